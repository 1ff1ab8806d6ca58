"""One block of a grid: put together from its source files, written chunk by chunk, its digests taken on the way.

A block is one chunk of the time axis over all other dimensions. A variable that is too large to be held for a block is
cut into bands of whole chunks along its first other dimension. Decoding and encoding are shared out among threads.

Here belongs moving a block's values. Not here: which blocks (``grid_axis``), making arrays (``grid_write``).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.grid_axis import Slot, block_slots
from rimrep_assets.domain.grid_chunks import bands, chunks_of, runs, shape_of, varying
from rimrep_assets.domain.grid_digests import BlockDigests, RowDigests, rows_by_file
from rimrep_assets.domain.grid_source import REMEMBERED_FILES, SourceFile, Sources, Task
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_values import Band, stored_fill

if TYPE_CHECKING:
    import numpy as np
    import zarr

    from rimrep_assets.domain.grid_kept import KeptRows, StoredRows


KEPT_BYTES = 32 * 1024 * 1024
"""memory for as much as this at once is kept for the next when it is freed"""


def run_all(threads: Executor, tasks: Iterable[Task]) -> None:
    """Do all tasks; the first error is raised when all have ended."""
    for done in [threads.submit(task) for task in tasks]:
        done.result()


@cache
def keep_freed_memory() -> None:
    """Let the C library keep what is freed, of this process and from now on.

    Codecs return new memory for every chunk, and all chunks are of a few sizes: given back to the system each time, its
    pages were a tenth of the time of writing. Nothing happens where the C library is not glibc.
    Source: ``man 3 mallopt``; 32 MiB is the largest threshold that it takes.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 8 * KEPT_BYTES)
        mallopt(mmap_threshold, KEPT_BYTES)


class Room:
    """Memory for a band of a block; used again by the next, because fresh memory costs as much as decoding."""

    def __init__(self) -> None:
        self.held: np.ndarray | None = None

    def of(self, state: GridState, name: str, rows: int, band: Band) -> np.ndarray:
        """Room for ``rows`` times of a variable's band, with whatever it held before."""
        import numpy as np

        shape = list(shape_of(state, name))
        shape[0] = rows
        if band is not None:
            shape[state.united.variables[name].dims.index(band[0])] = band[2] - band[1]
        dtype = np.dtype(state.united.variables[name].dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        if self.held is None or self.held.nbytes < size:
            self.held = np.empty(size, "u1")
        return self.held[:size].view(dtype).reshape(shape)


@dataclass
class BlockWriter:
    """Writes blocks of ``state`` into ``group``. Held in memory: a variable's band of a block, and a chunk a thread."""

    group: zarr.Group
    state: GridState
    sources: Sources
    threads: Executor
    stored: StoredRows | None = None
    """rows that are there are taken from here, and their source files not opened"""
    _room: Room = field(default_factory=Room)

    def __post_init__(self) -> None:
        keep_freed_memory()

    def write(self, block: int, names: Collection[str] | None = None, following: int | None = None) -> BlockDigests:
        """Write one block of every varying variable, or of those in ``names``; returns the digests of its values by
        file and variable. ``following``: the block that is written next.

        Raises: DataError when a source file cannot be read; DamagedRows.
        """
        digests: BlockDigests = {}
        slots = block_slots(self.state.axis, block, self.state.chunk)
        own = [name for name in varying(self.state) if names is None or name in names]
        for content in sorted(self._opened(slots, own)):
            self.sources.of(content).begin(slots, own, self._time_dim)
        looked_up = [] if following is None else self._look_up(slots, following, own)
        for name in own:
            rows, kept = RowDigests(len(slots)), self._kept(name, slots)
            for band in bands(self.state, name):
                values = self._assembled(name, slots, band, kept)
                run_all(self.threads, [partial(rows.update, row, values[row]) for row in range(len(slots))])
                self._store(block, name, values, band)
            if kept is not None:
                kept.check()
            for digest, of_file in rows_by_file(slots):
                if digest is not None and self._has(digest, name):
                    digests.setdefault(digest, {})[name] = rows.of_rows(of_file)
        for done in looked_up:
            done.result()
        return digests

    def _look_up(self, slots: Sequence[Slot], following: int, names: Collection[str]) -> list[Future[None]]:
        """Have the chunks of the next block's files found, and asked for, beside this one: one at a time, all threads
        wait for it."""
        next_slots = block_slots(self.state.axis, following, self.state.chunk)
        own, later = self._opened(slots, names), self._opened(next_slots, names)
        if len(own | later) > REMEMBERED_FILES:
            return []
        files = [self.sources.of(digest) for digest in sorted(later - own)]
        return [self.threads.submit(self._look_up_one, file, next_slots, names) for file in files]

    def _look_up_one(self, file: SourceFile, slots: Sequence[Slot], names: Collection[str]) -> None:
        if file.indexes:
            file.begin(slots, names, self._time_dim)

    @property
    def _time_dim(self) -> str:
        assert self.state.united.time is not None
        return self.state.united.time.dim

    def _opened(self, slots: Sequence[Slot], names: Collection[str]) -> set[str]:
        """The files, by content, that writing ``names`` at ``slots`` opens."""
        if self.stored is not None:
            return self.stored.lacks(self.state, slots, names)
        return {slot.digest for slot in slots if slot.digest is not None and names}

    def _has(self, digest: str, name: str) -> bool:
        """Whether a file has a variable; told without opening it."""
        return name in self.state.layout_of(self.state.by_digest[digest]).variables

    def _kept(self, name: str, slots: Sequence[Slot]) -> KeptRows | None:
        """The rows that need no source file."""
        if self.stored is None:
            return None
        from rimrep_assets.domain.grid_kept import KeptRows

        return KeptRows(self.stored, BlockReader(self.stored.group, self.stored.state, self.threads), name, slots)

    def _assembled(self, name: str, slots: Any, band: Band, kept: KeptRows | None = None) -> np.ndarray:
        """The values of a band as they are published: (times of the block, the other dimensions)."""
        values = self._room.of(self.state, name, len(slots), band)
        time_dim, published = self._time_dim, self.state.published(name)
        filled = [False] * len(slots)
        tasks: list[Task] = []
        for start, stop, first in runs(slots if kept is None else kept.others()):
            assert first.digest is not None
            if not self._has(first.digest, name):
                continue
            source = self.sources.of(first.digest)
            times = slice(first.position, first.position + stop - start)
            tasks += source.tasks(name, published, time_dim, times, band, values[start:stop])
            filled[start:stop] = [True] * (stop - start)
        if kept is not None:
            kept.fill(values, band)
            for row in kept.rows:
                filled[row] = True
        for row, done in enumerate(filled):
            if not done:
                values[row] = stored_fill(published)
        run_all(self.threads, tasks)
        return values

    def _store(self, block: int, name: str, values: np.ndarray, band: Band) -> None:
        array: Any = self.group[name]
        codec = _codec(array)
        if codec is None or chunks_of(self.state, name)[0] != self.state.chunk:
            # Chunks that hold more than this block, and encodings that only zarr knows.
            array[_index(self.state, name, block, len(values), band)] = values
            return
        tasks = [
            partial(_store_chunk, array, codec, values[part], lengths, key)
            for part, lengths, key in _chunks(self.state, name, block, values.shape, band)
        ]
        run_all(self.threads, tasks)


@dataclass
class BlockReader:
    """Reads blocks of ``state`` back from ``group``, all values as they are stored."""

    group: zarr.Group
    state: GridState
    threads: Executor
    _room: Room = field(default_factory=Room)

    def read(self, name: str, block: int, band: Band) -> np.ndarray:
        """A band of a block: (times of the block, the other dimensions); it holds until the next is read."""
        array: Any = self.group[name]
        rows = len(block_slots(self.state.axis, block, self.state.chunk))
        codec = _codec(array)
        expected = shape_of(self.state, name), chunks_of(self.state, name)
        direct = expected == (array.shape, array.chunks) and expected[1][0] == self.state.chunk
        if codec is None or not direct or array.dtype != self.state.united.variables[name].dtype:
            import numpy as np

            return np.ascontiguousarray(array[_index(self.state, name, block, rows, band)])
        values = self._room.of(self.state, name, rows, band)
        tasks = [
            partial(_fetch_chunk, array, codec, values[part], lengths, key)
            for part, lengths, key in _chunks(self.state, name, block, values.shape, band)
        ]
        run_all(self.threads, tasks)
        return values


def _index(state: GridState, name: str, block: int, rows: int, band: Band) -> tuple[slice, ...]:
    """Where a band of a block stands in the whole array."""
    dims = state.united.variables[name].dims
    index = [slice(block * state.chunk, block * state.chunk + rows)] + [slice(None)] * (len(dims) - 1)
    if band is not None:
        index[dims.index(band[0])] = slice(band[1], band[2])
    return tuple(index)


def _chunks(
    state: GridState, name: str, block: int, shape: tuple[int, ...], band: Band
) -> Iterator[tuple[tuple[slice, ...], tuple[int, ...], tuple[int, ...]]]:
    """The chunks of a band of ``shape``: where each stands in the band, the lengths of a chunk, its number."""
    lengths = chunks_of(state, name)
    first = [block] + [0] * (len(shape) - 1)
    if band is not None:
        axis = state.united.variables[name].dims.index(band[0])
        first[axis] = band[1] // lengths[axis]
    counts = [range(-(-size // length)) for size, length in zip(shape, lengths, strict=True)]
    for number in product(*counts):
        part = tuple(slice(n * c, (n + 1) * c) for n, c in zip(number, lengths, strict=True))
        yield part, lengths, tuple(begin + n for begin, n in zip(first, number, strict=True))


def _store_chunk(array: Any, codec: Any, part: np.ndarray, lengths: tuple[int, ...], key: tuple[int, ...]) -> None:
    """Encode one chunk and put it where zarr would; a chunk of nothing but fill is not stored."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    fill = array.fill_value
    chunk = _room_of_thread(lengths, part.dtype)
    if part.shape != lengths:
        chunk[...] = fill
    chunk[tuple(slice(0, size) for size in part.shape)] = part
    place = array.store_path / array.metadata.encode_chunk_key(key)
    if _is_all(chunk, fill):
        sync(place.delete())
    else:
        sync(place.set(default_buffer_prototype().buffer.from_bytes(codec.encode(chunk))))


def _fetch_chunk(array: Any, codec: Any, part: np.ndarray, lengths: tuple[int, ...], key: tuple[int, ...]) -> None:
    """Put what is stored of one chunk into ``part``; fill where nothing is stored. Raises: Damaged."""
    from zarr.core.sync import sync

    stored = sync((array.store_path / array.metadata.encode_chunk_key(key)).get())
    if stored is None:
        part[...] = array.fill_value
        return
    chunk = _room_of_thread(lengths, part.dtype)
    try:
        codec.decode(stored.to_bytes(), out=chunk)
    except (RuntimeError, ValueError) as error:
        # What a decoder raises for bytes that it did not make.
        place = f"{array.name.strip('/')}/{array.metadata.encode_chunk_key(key)}"
        raise Damaged(f"{place} cannot be decoded: {error}") from error
    part[...] = chunk[tuple(slice(0, size) for size in part.shape)]


_OWN = threading.local()


def _room_of_thread(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Memory for one chunk, used again by the thread's next: fresh memory costs as much as copying."""
    import numpy as np

    held = getattr(_OWN, "room", None)
    size = int(np.prod(shape)) * dtype.itemsize
    if held is None or held.nbytes < size:
        _OWN.room = held = np.empty(size, "u1")
    room: np.ndarray = held[:size].view(dtype).reshape(shape)
    return room


def _is_all(chunk: np.ndarray, fill: Any) -> bool:
    """Whether every value has the very bits of the fill value, so that a reader of nothing gets the same."""
    import numpy as np

    bits = chunk.reshape(-1).view(f"u{chunk.dtype.itemsize}")
    wanted = np.asarray(fill, chunk.dtype).reshape(1).view(bits.dtype)[0]
    return bool(bits[0] == wanted and (bits == wanted).all())


def _codec(array: Any) -> Any:
    """What zarr encodes chunks of this array with, to be called without its detours; None for what only it knows."""
    import numcodecs  # type: ignore[import-untyped]

    codecs = [codec.to_dict() for codec in array.metadata.codecs]
    if len(codecs) != 2 or codecs[0]["name"] != "bytes" or codecs[0].get("configuration", {}).get("endian") == "big":
        return None
    settings = dict(codecs[1].get("configuration", {}))
    if codecs[1]["name"] == "blosc":
        ranks = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
        settings["shuffle"] = ranks[settings["shuffle"]]
        return numcodecs.Blosc(**settings)
    if codecs[1]["name"] == "zstd":
        return numcodecs.Zstd(settings["level"], checksum=bool(settings.get("checksum")))
    return None
