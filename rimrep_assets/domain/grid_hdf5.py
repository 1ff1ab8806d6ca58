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
from math import prod
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.byte_spans import ByteSpan
from rimrep_assets.domain.errors import RimrepError
from rimrep_assets.domain.partial_file import LocalFile, PartialFile

if TYPE_CHECKING:
    import h5py
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
    """of numbers; None of what else is stored"""
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

    def spans(self, window: Window) -> list[ByteSpan]:
        """The bytes of the file that reading ``window`` needs; none where nothing was ever written."""
        part = tuple(slice(w.start, min(w.stop, size)) for w, size in zip(window, self.shape, strict=True))
        if any(w.start >= w.stop for w in part):
            return []
        if not self.filters and self.chunks == self.shape:
            return [span for whole in self.stored.values() for span in self._planes(whole, part)]
        places = (self.stored.get(number) for number in self.touching(part))
        return [(place.offset, place.offset + place.size) for place in places if place is not None]

    def _planes(self, whole: Stored, window: Window) -> Iterator[ByteSpan]:
        """Of values that lie plainly one behind the other: of each plane of the last two dimensions the stretch from
        the first value that is wanted to the last."""
        steps = [prod(self.shape[axis + 1 :]) * self.dtype.itemsize for axis in range(len(self.shape))]
        first = [part.start for part in window[-2:]]
        last = [part.stop - 1 for part in window[-2:]]
        for plane in product(*(range(part.start, part.stop) for part in window[:-2])):
            ends = [
                whole.offset + sum(at * step for at, step in zip((*plane, *corner), steps, strict=True))
                for corner in (first, last)
            ]
            yield ends[0], ends[1] + self.dtype.itemsize


def chunk_indexes(source: LocalFile, names: Sequence[str]) -> dict[str, ChunkIndex]:
    """The index of each variable (by its name in the file) that the fast way can read; others are left out.

    Empty for a file that is not HDF5. Known are numbers, contiguous or in chunks, with deflate, shuffle and Fletcher's
    checksum; not known: other filters, external or virtual storage, text.
    """
    places = chunk_places(source, names)
    return {name: index for name, index in places.items() if index is not None and _is_decodable(index)}


def chunk_places(source: LocalFile, names: Sequence[str]) -> dict[str, ChunkIndex | None]:
    """Where in the file the values of each variable lie, whatever their filters.

    None where that is not known: no such variable, external or virtual storage, texts of any length. Empty for a file
    that is not HDF5. Raises (of a file that is partly here): Unavailable, DataError.
    """
    if isinstance(source, PartialFile):
        unknown = [name for name in names if name not in source.indexes]
        if unknown:
            source.indexes |= _places_in_stream(source, unknown)
        return {name: source.indexes[name] for name in names}
    import h5py

    if not h5py.is_hdf5(source):
        return {}
    with h5py.File(source, "r") as file:
        return _places(file, names, source.stat().st_size)


def _places_in_stream(source: PartialFile, names: Sequence[str]) -> dict[str, ChunkIndex | None]:
    import h5py

    stream = source.stream()
    try:
        with h5py.File(stream, "r") as file:
            return _places(file, names, source.size)
    except (OSError, RuntimeError, RimrepError):
        if stream.failed is not None:
            raise stream.failed from None
        raise


def _places(file: h5py.File, names: Sequence[str], size: int) -> dict[str, ChunkIndex | None]:
    import h5py

    found: dict[str, ChunkIndex | None] = {}
    for name in names:
        index = _index_of(file[name]) if file.get(name, getclass=True) is h5py.Dataset else None
        found[name] = index if index is not None and _is_sane(index, size) else None
    return found


def _is_decodable(index: ChunkIndex) -> bool:
    """Whether the fast way knows the filters, and what kind of numbers they hide."""
    is_number = index.dtype.kind in "iuf" and not index.dtype.metadata
    return is_number and bool(index.shape) and 0 not in index.shape and set(index.filters) <= _KNOWN


def _is_sane(index: ChunkIndex, file_size: int) -> bool:
    """Whether no chunk lies outside the file, nor asks for more memory than a chunk should."""
    within = all(s.size >= 0 and s.offset + s.size <= file_size for s in index.stored.values())
    return within and (not index.filters or index.chunk_bytes <= LARGEST_CHUNK)


def _index_of(dataset: h5py.Dataset) -> ChunkIndex | None:
    import h5py

    plan = dataset.id.get_create_plist()
    if dataset.shape is None or dataset.dtype.hasobject or plan.get_external_count():
        return None
    filters = tuple(plan.get_filter(number)[0] for number in range(plan.get_nfilters()))
    fill = dataset.fillvalue if dataset.dtype.kind in "iuf" else None
    if plan.get_layout() == h5py.h5d.CONTIGUOUS:
        chunks, stored = dataset.shape, _contiguous(dataset)
    elif plan.get_layout() == h5py.h5d.CHUNKED:
        chunks, stored = dataset.chunks, _chunked(dataset)
    else:
        return None
    return ChunkIndex(dataset.shape, chunks, dataset.dtype, filters, fill, stored)


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
