"""Where the values of an HDF5 file's variables lie: its chunks, found once, and the bytes that a window of them needs.

Here belongs what HDF5 is asked for: the index alone, because its library serves one thread at a time. Not here: what
stands in the bytes (``grid_hdf5``).

Filters: https://support.hdfgroup.org/documentation/hdf5/latest/group___h5_z.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.byte_spans import ByteSpan
from rimrep_assets.domain.partial_file import LocalFile, PartialFile

if TYPE_CHECKING:
    import h5py
    import numpy as np

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
_KNOWN = {DEFLATE, SHUFFLE, FLETCHER32}
LARGEST_CHUNK = 1_000_000_000
"""bytes; what claims to be larger is left to the HDF5 library"""

Window = tuple[slice, ...]
"""first index and the one after the last of every dimension; steps are always 1"""


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
    finally:
        stream.tell_failure()


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
