"""Cells of an open NetCDF file put side by side as rows: each variable's values where the rows need them.

Here belongs following samples to their instances and repeating values. Not here: what values mean
(``table_profiles_values``), opening files or what is left out (``table_profiles``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_file import NETCDF
from rimrep_assets.domain.table_profiles_layout import Header, Layout, Link, Variable
from rimrep_assets.domain.table_profiles_values import MOST_SHOWN, Meaning, ValueProblems

if TYPE_CHECKING:
    import netCDF4
    import numpy as np
    import pyarrow as pa

Slab = tuple[slice, ...]
PIECE = 65_536
"""instances that are read at once: neighbouring samples may belong to distant ones"""


def slabs(shape: Sequence[int], most: int) -> Iterator[tuple[int, Slab]]:
    """Cut an array into boxes of at most ``most`` cells that follow each other in its order: ``(first cell, box)``."""
    if not shape:
        yield 0, ()
        return
    inner = 1
    for length in shape[1:]:
        inner *= length
    if inner <= most:
        step = max(1, most // max(1, inner))
        for start in range(0, shape[0], step):
            stop = min(shape[0], start + step)
            yield start * inner, (slice(start, stop), *(slice(0, length) for length in shape[1:]))
        return
    for number in range(shape[0]):
        for start, rest in slabs(shape[1:], most):
            yield number * inner + start, (slice(number, number + 1), *rest)


class Samples:
    """Reads rows of an open file whose values come as they are stored."""

    def __init__(
        self, file: netCDF4.Dataset, layout: Layout, header: Header, meanings: Mapping[str, Meaning], name: str
    ) -> None:
        self._file, self._layout, self._header, self._meanings, self._name = file, layout, header, meanings, name
        self.outside = Counter[str]()
        """by variable the rows with a value outside its valid range"""
        self._chains = {
            d: (root, chain)
            for root in layout.dims
            for chain in [_chain(root, layout.links)]
            for d in [root, *(link.parent for link in chain)]
        }
        needed = {d for c in layout.columns for d in header.variables[c].dims}
        followed = {link for d in needed for link in self._links_to(d)}
        self._ends = {
            link.variable: self._ends_of(child, link) for child, link in layout.links.items() if link in followed
        }

    def read(self, start: int, slab: Slab) -> pa.RecordBatch:
        """The rows of ``slab``, of which the first is row ``start``. Raises: DataError."""
        import pyarrow as pa

        columns, problems = [], []
        for name in self._layout.columns:
            variable = self._header.variables[name]
            raw, where = self._raw(variable, slab)
            try:
                columns.append(self._meanings[name].decoded(raw))
            except ValueProblems as found:
                problems += self._told(name, start, where, found)
                continue
            outside = self._meanings[name].outside
            if outside is not None:
                self.outside[name] += int((outside if where is None else outside[where]).sum())
            if where is not None:
                columns[-1] = columns[-1].take(pa.array(where))
        if problems:
            raise DataError(problems)
        return pa.record_batch(columns, names=list(self._layout.columns))

    def is_measured(self, block: pa.RecordBatch) -> pa.BooleanArray | None:
        """Which rows hold a sample; None where every row stays."""
        import numpy as np
        import pyarrow as pa

        if not self._layout.measured:
            return None
        held = np.zeros(len(block), bool)
        for name in self._layout.measured:
            held |= np.asarray(block.column(name).is_valid())
        return pa.array(held)

    def _told(self, name: str, start: int, where: np.ndarray[Any, Any] | None, found: ValueProblems) -> list[str]:
        import numpy as np

        told = []
        for position, words in found.shown:
            row = position if where is None else int(np.argmax(where == position))
            told.append(f"{self._name}: {name}: row {start + row}: {words}")
        more = found.count - len(found.shown)
        return [*told, *([f"{self._name}: {name}: and {more} more like it nearby"] if more else [])]

    def _raw(self, variable: Variable, slab: Slab) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        """Stored values in the order of the rows' dimensions, and for each row the position of its own among them;
        None where that is the row's own."""
        import numpy as np

        shape = tuple(part.stop - part.start for part in slab)
        parts: list[Any] = []
        picks: dict[int, np.ndarray[Any, Any]] = {}
        axes: list[int] = []
        for dim in variable.dims:
            if dim in self._layout.text:
                parts.append(slice(None))
            elif dim not in self._chains:
                parts.append(0)
            else:
                axis = self._layout.dims.index(self._chains[dim][0])
                if dim == self._layout.dims[axis]:
                    parts.append(slab[axis])
                    picks[axis] = np.arange(shape[axis])
                else:
                    used, picks[axis] = np.unique(self._instances(dim, slab[axis]), return_inverse=True)
                    parts.append(used)
                axes.append(axis)
        raw = self._stored(variable.name, parts)
        order = sorted(range(len(axes)), key=axes.__getitem__)
        raw = raw.transpose(*order, *range(len(axes), raw.ndim))
        if variable.kind == "char" and not any(d in self._layout.text for d in variable.dims):
            raw = raw[..., None]
        held = raw.shape[: len(axes)]
        own = all(dim in self._layout.dims or dim not in self._chains for dim in variable.dims)
        if own and held == shape:
            return raw, None
        return raw, _positions(shape, sorted(axes), held, picks)

    def _stored(self, name: str, parts: Sequence[Any]) -> np.ndarray[Any, Any]:
        """What is stored at ``parts``: numbers, slices, or arrays of ascending positions, of which no more is read
        at once than ``PIECE``."""
        import numpy as np

        array = next((place for place, part in enumerate(parts) if isinstance(part, np.ndarray)), None)
        if array is None:
            with NETCDF:
                return np.asarray(self._file.variables[name][tuple(parts) if parts else ...])
        wanted = parts[array]
        axis = sum(not isinstance(part, int) for part in parts[:array])
        pieces = []
        for start in range(int(wanted[0]), int(wanted[-1]) + 1, PIECE):
            own = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, start + PIECE)]
            if len(own):
                near = slice(int(own[0]), int(own[-1]) + 1)
                read = self._stored(name, [*parts[:array], near, *parts[array + 1 :]])
                pieces.append(read.take(own - own[0], axis=axis))
        return np.concatenate(pieces, axis=axis)

    def _links_to(self, dim: str) -> list[Link]:
        """The links from the rows to ``dim``, in the order in which they are followed."""
        if dim not in self._chains:
            return []
        root, chain = self._chains[dim]
        return [] if dim == root else chain[: [link.parent for link in chain].index(dim) + 1]

    def _instances(self, dim: str, part: slice) -> np.ndarray[Any, Any]:
        """For each of the samples ``part`` the number of its instance along ``dim``."""
        import numpy as np

        numbers = np.arange(part.start, part.stop)
        for link in self._links_to(dim):
            if link.counts:
                numbers = np.searchsorted(self._ends[link.variable], numbers, side="right")
            else:
                numbers = self._indexed(link, numbers)
        return numbers

    def _indexed(self, link: Link, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The instances of samples as the file's index says. Raises: DataError for an instance that is not there."""
        import numpy as np

        low = int(numbers.min())
        with NETCDF:
            told = np.asarray(self._file.variables[link.variable][low : int(numbers.max()) + 1])[numbers - low]
        size = self._header.sizes[link.parent]
        wrong = np.flatnonzero(~((told >= 0) & (told < size) & (told == np.floor(told))))
        if len(wrong):
            shown = [
                f"{self._name}: {link.variable}: row {numbers[at]}: {told[at]} is no instance; {link.parent!r} has "
                f"{size}, numbered from 0"
                for at in wrong[:MOST_SHOWN]
            ]
            more = len(wrong) - MOST_SHOWN
            raise DataError([*shown, *([f"{self._name}: {link.variable}: and {more} more nearby"] if more > 0 else [])])
        return told.astype("i8")

    def _ends_of(self, child: str, link: Link) -> Any:
        """Where the samples of each instance end. Raises: DataError for counts that do not add up."""
        import numpy as np

        if not link.counts:
            return None
        with NETCDF:
            told = np.asarray(self._file.variables[link.variable][...])
        wrong = np.flatnonzero(~((told >= 0) & (told == np.floor(told)) & (told <= self._header.sizes[child])))
        where = f"{self._name}: {link.variable}"
        if len(wrong):
            shown = ", ".join(f"{told[at]} at {link.parent} {at}" for at in wrong[:MOST_SHOWN])
            raise DataError(f"{where}: holds numbers that count no samples of {child!r}: {shown}")
        ends = np.cumsum(told.astype("i8"))
        total = int(ends[-1]) if len(ends) else 0
        if total != self._header.sizes[child]:
            raise DataError(f"{where}: counts {total} samples in all, {child!r} has {self._header.sizes[child]}")
        return ends


def _chain(dim: str, links: Mapping[str, Link]) -> list[Link]:
    found: list[Link] = []
    while dim in links:
        found.append(links[dim])
        dim = links[dim].parent
    return found


def _positions(
    shape: Sequence[int], axes: Sequence[int], held: Sequence[int], picks: Mapping[int, np.ndarray[Any, Any]]
) -> np.ndarray[Any, Any]:
    """For each cell of ``shape`` the flat position of its value among those ``held`` along ``axes``."""
    import numpy as np

    position = np.zeros((), "i8")
    for axis, length in zip(axes, held, strict=True):
        place = picks[axis].reshape([-1 if a == axis else 1 for a in range(len(shape))])
        position = position * length + place
    return np.broadcast_to(position, tuple(shape)).reshape(-1)
