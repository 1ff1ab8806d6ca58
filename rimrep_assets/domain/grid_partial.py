"""A NetCDF-4 file of which parts are on this machine, opened by the NetCDF library: what is read is brought before.

Here belong the guard before every reading, and bringing all that the library needs to open the file. Not here: the
holes themselves (``partial_file``), or the fast way (``grid_source``), which says itself what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.byte_spans import ByteSpan
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_hdf5_index import ChunkIndex, Window, chunk_places
from rimrep_assets.domain.partial_file import PartialFile

if TYPE_CHECKING:
    import h5py
    import numpy as np

    from rimrep_assets.domain.grid_file import RawFile, RawVariable

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
SIEVE_BYTES = 256 * 1024
"""of plain values HDF5 reads ahead into a buffer (64 KiB unless told otherwise), and answers later readings from it; so
much behind what is wanted is brought too, or such a reading would be answered with a hole"""

DEEPEST = 16
"""so many groups may lie in each other; a group may even lie in itself"""


class GuardedFile:
    """An open file, whose variables bring what is asked of them."""

    def __init__(self, held: RawFile, source: PartialFile) -> None:
        self.held = held
        self.variables = _Guarded(held.variables, source)

    @property
    def dimensions(self) -> Mapping[str, Any]:
        return self.held.dimensions

    def ncattrs(self) -> list[str]:
        return self.held.ncattrs()

    def getncattr(self, name: str) -> Any:
        return self.held.getncattr(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.held, name)


class _Guarded(Mapping[str, Any]):
    """Variables by name, each behind the guard."""

    def __init__(self, held: Mapping[str, RawVariable], source: PartialFile) -> None:
        self.held, self.source = held, source

    def __getitem__(self, name: str) -> GuardedVariable:
        return GuardedVariable(self.held[name], self.source)

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


class GuardedVariable:
    """A variable whose values are brought before they are read."""

    def __init__(self, held: RawVariable, source: PartialFile) -> None:
        self.held, self.source = held, source

    def __getattr__(self, name: str) -> Any:
        return getattr(self.held, name)

    def __getitem__(self, index: Any) -> np.ndarray:
        places = chunk_places(self.source, [self.held.name])[self.held.name]
        if places is None:
            # Texts of any length; a variable that HDF5 has under another name, because a dimension has its own.
            self.source.whole(f"it is not known where in it the values of {self.held.name} lie")
        else:
            self.source.bring(spans_of_reading(places, index))
        return self.held[index]


def spans_of_reading(places: ChunkIndex, index: Any) -> list[ByteSpan]:
    """The bytes that the NetCDF library may touch when it reads ``index`` of a variable."""
    spans = places.spans(_window(index, places.shape))
    if places.filters or places.chunks != places.shape:
        return spans
    end = max((place.offset + place.size for place in places.stored.values()), default=0)
    return [(start, min(stop + SIEVE_BYTES, end)) for start, stop in spans]


def _window(index: Any, shape: tuple[int, ...]) -> Window:
    """The stretches that an index of slices takes; of every other index all there is."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) != len(shape) or not all(isinstance(part, slice) for part in parts):
        return tuple(slice(0, size) for size in shape)
    # Another dimension's values may be longer than this variable was ever written: there is nothing to bring then.
    ends = [part.indices(size) for part, size in zip(parts, shape, strict=True)]
    return tuple(slice(*end[:2]) if end[2] == 1 else slice(0, size) for end, size in zip(ends, shape, strict=True))


@dataclass(frozen=True)
class NotInParts(Exception):
    """Why a file cannot be read in parts, in words that follow 'because'."""

    why: str


def bring_header(source: PartialFile, name: str) -> None:
    """Bring everything but values and chunk indexes, so that the NetCDF library opens the file as if it were whole.

    Raises: NotInParts for what is no NetCDF-4 and for what the libraries do not manage so; Unavailable, DataError.
    """
    import h5py

    from rimrep_assets.domain.grid_file import open_raw

    stream = source.stream()
    if stream.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
        raise NotInParts("it is no NetCDF-4 file")
    try:
        with h5py.File(stream, "r") as file:
            _walk(file["/"], DEEPEST)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise NotInParts(f"HDF5 cannot walk through it in parts ({error})") from error
    finally:
        stream.tell_failure()
    try:
        with open_raw(source, name) as opened:
            for holder in (opened, *opened.variables.values()):
                for attribute in holder.ncattrs():
                    holder.getncattr(attribute)
    except DataError as error:
        raise NotInParts(f"the NetCDF library does not open it in parts ({error.problems[0]})") from error


def _walk(group: h5py.Group, deeper: int) -> None:
    """Have the HDF5 library read every header, link and attribute, in both orders that files may keep of them.

    Indexes of chunks are not touched: of a variable that nobody wants they would be most of what is fetched.
    """
    import h5py

    if not deeper:
        raise ValueError(f"groups lie more than {DEEPEST} deep in each other")
    _attributes(group)
    tracked = group.id.get_create_plist().get_link_creation_order()
    for order in (h5py.h5.INDEX_NAME, *((h5py.h5.INDEX_CRT_ORDER,) if tracked else ())):
        group.id.links.iterate(_go_on, idx_type=order)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link to elsewhere")
        held = group[name]
        if isinstance(held, h5py.Group):
            _walk(held, deeper - 1)
        else:
            _attributes(held)
        if isinstance(held, h5py.Dataset):
            plan = held.id.get_create_plist()
            if plan.get_external_count() or plan.get_layout() == h5py.h5d.VIRTUAL:
                raise ValueError(f"{name} lies in other files or variables")


def _attributes(holder: h5py.HLObject) -> None:
    import h5py

    for order in (h5py.h5.INDEX_NAME, h5py.h5.INDEX_CRT_ORDER):
        h5py.h5a.iterate(holder.id, _go_on, index_type=order)
    for name in holder.attrs:
        holder.attrs[name]


def _go_on(_: object) -> None:
    """Called for each; None asks for the next."""
