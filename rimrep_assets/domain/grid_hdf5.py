"""The fast way into NetCDF-4: chunks of an HDF5 file found once, then read, inflated and unshuffled in threads.

Here belongs what is known of HDF5's chunks and filters. HDF5 itself is asked for the index alone, because its library
serves one thread at a time. Not here: choosing between this way and the slow one (``grid_source``).

Filters: https://support.hdfgroup.org/documentation/hdf5/latest/group___h5_z.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
_KNOWN = {DEFLATE, SHUFFLE, FLETCHER32}
CHECKSUM_BYTES = 4
LARGEST_CHUNK = 1_000_000_000
"""bytes; what claims to be larger is left to the HDF5 library"""

Window = tuple[slice, ...]
"""first index and the one after the last of every dimension; steps are always 1"""


class UndecodableChunk(Exception):
    """A chunk that is not what the index and the filters promise; the slow way is to say what is wrong."""


@dataclass(frozen=True)
class Stored:
    """Where the bytes of one chunk are; ``skipped`` has a bit for every filter that was left out."""

    offset: int
    size: int
    skipped: int = 0


@dataclass(frozen=True)
class ChunkIndex:
    """The chunks of one variable; ``dtype`` is the stored one, byte order included."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    filters: tuple[int, ...]
    """in the order in which they were applied"""
    fill: Any
    stored: dict[tuple[int, ...], Stored]
    """by the number of the chunk along each dimension; absent where nothing was ever written"""

    @property
    def chunk_bytes(self) -> int:
        size = self.dtype.itemsize
        for length in self.chunks:
            size *= length
        return size

    def touching(self, window: Window) -> Iterator[tuple[int, ...]]:
        """The numbers of the chunks that hold a part of ``window``."""
        spans = [
            range(part.start // length, -(-part.stop // length))
            for part, length in zip(window, self.chunks, strict=True)
        ]
        yield from product(*spans)


def chunk_indexes(path: Path, names: Sequence[str]) -> dict[str, ChunkIndex]:
    """The index of each variable (by its name in the file) that the fast way can read; others are left out.

    Empty for a file that is not HDF5. Known are numbers, contiguous or in chunks, with deflate, shuffle and Fletcher's
    checksum; not known: other filters, external or virtual storage, text.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return {}
    found = {}
    with h5py.File(path, "r") as file:
        for name in names:
            held = file.get(name, getclass=True) is h5py.Dataset and _index_of(file[name])
            if held and _is_sane(held, path.stat().st_size):
                found[name] = held
    return found


def _is_sane(index: ChunkIndex, file_size: int) -> bool:
    """Whether no chunk lies outside the file, nor asks for more memory than a chunk should."""
    within = all(s.size >= 0 and s.offset + s.size <= file_size for s in index.stored.values())
    return within and (not index.filters or index.chunk_bytes <= LARGEST_CHUNK)


def _index_of(dataset: Any) -> ChunkIndex | None:
    import h5py

    plan = dataset.id.get_create_plist()
    kinds = {h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS}
    if dataset.dtype.kind not in "iuf" or dataset.ndim == 0 or plan.get_layout() not in kinds or dataset.size == 0:
        return None
    if dataset.dtype.metadata or plan.get_external_count():
        return None
    filters = tuple(plan.get_filter(number)[0] for number in range(plan.get_nfilters()))
    if not set(filters) <= _KNOWN:
        return None
    if plan.get_layout() == h5py.h5d.CONTIGUOUS:
        chunks, stored = dataset.shape, _contiguous(dataset)
    else:
        chunks, stored = dataset.chunks, _chunked(dataset)
    return ChunkIndex(dataset.shape, chunks, dataset.dtype, filters, dataset.fillvalue, stored)


def _contiguous(dataset: Any) -> dict[tuple[int, ...], Stored]:
    offset = dataset.id.get_offset()
    # None where no value was ever written: then all is fill.
    return {} if offset is None else {(0,) * dataset.ndim: Stored(offset, dataset.nbytes)}


def _chunked(dataset: Any) -> dict[tuple[int, ...], Stored]:
    found: dict[tuple[int, ...], Stored] = {}

    def keep(info: Any) -> None:
        number = tuple(at // length for at, length in zip(info.chunk_offset, dataset.chunks, strict=True))
        found[number] = Stored(info.byte_offset, info.size, info.filter_mask)

    dataset.id.chunk_iter(keep)
    return found


def read_chunk(file: int, index: ChunkIndex, number: tuple[int, ...], window: Window, out: np.ndarray) -> None:
    """Put the part of one chunk that lies in ``window`` into ``out``, which has the window's shape, native order.

    ``file`` is a file descriptor; any number of threads may share it.
    Raises: UndecodableChunk.
    """
    starts = [n * length for n, length in zip(number, index.chunks, strict=True)]
    low = [max(s, w.start) for s, w in zip(starts, window, strict=True)]
    high = [min(s + c, w.stop) for s, c, w in zip(starts, index.chunks, window, strict=True)]
    there = out[tuple(slice(a - w.start, b - w.start) for a, b, w in zip(low, high, window, strict=True))]
    stored = index.stored.get(number)
    if stored is None:
        there[...] = index.fill
        return
    inner = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, starts, strict=True))
    whole = there.shape == index.chunks
    if not index.filters and not whole and _rows_of(file, index, stored, inner, there):
        return
    data, shuffled = _bytes_of(file, index, stored)
    if whole and shuffled and there.flags.c_contiguous and there.dtype == index.dtype:
        _unshuffle(data, there)
        return
    if shuffled:
        scratch = _empty(index)
        _unshuffle(data, scratch)
        values = scratch
    else:
        import numpy as np

        values = np.frombuffer(data, index.dtype).reshape(index.chunks)
    there[...] = values[inner]


def _empty(index: ChunkIndex) -> np.ndarray:
    import numpy as np

    return np.empty(index.chunks, index.dtype)


def _rows_of(file: int, index: ChunkIndex, stored: Stored, inner: Window, there: np.ndarray) -> bool:
    """Of unfiltered data read no more than the rows that are wanted; False where that is not worth it."""
    import numpy as np

    row = index.dtype.itemsize
    for length in index.chunks[1:]:
        row *= length
    begin = inner[0].start * row
    length = (inner[0].stop - inner[0].start) * row
    data = os.pread(file, length, stored.offset + begin)
    if len(data) != length:
        raise UndecodableChunk("the file ends within it")
    values = np.frombuffer(data, index.dtype).reshape(-1, *index.chunks[1:])
    there[...] = values[(slice(None), *inner[1:])]
    return True


def _bytes_of(file: int, index: ChunkIndex, stored: Stored) -> tuple[Any, bool]:
    """The chunk's bytes with every filter but shuffle undone, and whether they are still shuffled."""
    import deflate

    data: Any = os.pread(file, stored.size, stored.offset)
    if len(data) != stored.size:
        raise UndecodableChunk("the file ends within it")
    shuffled = False
    for place in reversed(range(len(index.filters))):
        if stored.skipped >> place & 1:
            continue
        kind = index.filters[place]
        if kind == FLETCHER32:
            data = _checked(data)
        elif kind == DEFLATE:
            if shuffled:
                raise UndecodableChunk("shuffled after it was deflated")
            data = _inflated(deflate, data, index.chunk_bytes)
        else:
            shuffled = index.dtype.itemsize > 1
    if len(data) != index.chunk_bytes:
        raise UndecodableChunk(f"{len(data)} bytes, expected {index.chunk_bytes}")
    return data, shuffled


def _inflated(deflate: Any, data: Any, size: int) -> Any:
    # With a checksum behind it the chunk is a little larger once inflated.
    for room in (size, size + CHECKSUM_BYTES):
        try:
            return deflate.zlib_decompress(data, room)
        except deflate.DeflateError as error:
            problem = error
    raise UndecodableChunk(str(problem))


def _checked(data: Any) -> Any:
    """The data without its Fletcher-32 checksum, as HDF5 counts it. Raises: UndecodableChunk when it differs."""
    body, end = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    told = int.from_bytes(end, "little")
    if told != fletcher32(body):
        raise UndecodableChunk("its checksum differs")
    return body


def fletcher32(data: Any) -> int:
    """HDF5's Fletcher-32: sums of big-endian 16-bit words modulo 65535, a last odd byte in the upper half."""
    import numpy as np

    words = np.frombuffer(bytes(data) + b"\0" * (len(data) % 2), ">u2").astype("u8")
    low = high = 0
    # In pieces in which the weighted sum cannot overflow 64 bits.
    for start in range(0, len(words), 1 << 20):
        piece = words[start : start + (1 << 20)]
        weights = np.arange(len(piece), 0, -1, dtype="u8")
        high = (high + low * len(piece) + int((piece * weights).sum())) % 65535
        low = (low + int(piece.sum())) % 65535
    # HDF5 folds by carries and so never reaches 0 from a sum that is not 0.
    low, high = (_folded(low, words), _folded(high, words))
    return high << 16 | low


def _folded(total: int, words: np.ndarray) -> int:
    return 65535 if total == 0 and words.any() else total


def _unshuffle(data: Any, out: np.ndarray) -> None:
    """Undo shuffle: bytes of equal rank stand together in ``data``; ``out`` is contiguous, of the stored type."""
    import numpy as np

    size = out.dtype.itemsize
    planes = np.frombuffer(data, "u1").reshape(size, -1)
    if size == 2:
        # Packed numbers are nearly always these; in words it takes a third of the time. The byte order that they
        # have in memory is put together here, whatever ``out`` makes of it.
        words = out.reshape(-1).view("<u2")
        np.left_shift(planes[1], 8, out=words, dtype="u2")
        np.bitwise_or(words, planes[0], out=words)
        return
    places = out.reshape(-1).view("u1").reshape(-1, size)
    for rank in range(size):
        places[:, rank] = planes[rank]
