"""A second reader of NetCDF samples that shares no code with the one that converts them.

Here belongs finding the cells of chosen rows with xarray (through SciPy and h5netcdf, not through the NetCDF library).
Not here: what a cell stands for (``table_second_profiles_values``), nor anything that the conversion uses: the two must
not err alike. It does not look for what is wrong with a file: the first reader has refused that.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.table_profiles_options import ReadProfiles
from rimrep_assets.domain.table_second_profiles_values import BLANK, Number, word_of
from rimrep_assets.domain.table_second_row import Rows

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

WINDOW = 50_000
"""cells of a variable that are read at once, unless a row needs more"""


def profile_rows(path: Path, options: ReadProfiles, rows: Collection[int]) -> Rows:
    """``(row, values by variable name)`` of ``rows``, numbered from 0 as they are published.

    Numbers are int or float, times aware datetimes, missing values None; returns how many rows the file has.
    Raises: ValueError, KeyError, IndexError or
    OSError where this reader cannot make sense of the file.
    """
    import xarray as xr

    with path.open("rb") as file:
        engine: Any = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_cf=False, cache=False) as source:
        held = _Held(source, options)
        cells, count = held.cells_of(sorted(rows))
        constants = {column: _attribute(source.attrs[name]) for name, column in options.attributes.items()}
        for window in _windows(cells):
            columns = {name: held.values(name, [cell for _, cell in window]) for name in held.columns}
            for number, (row, _) in enumerate(window):
                yield row, {**{name: column[number] for name, column in columns.items()}, **constants}
        return count


def _attribute(value: Any) -> Any:
    return value.strip(BLANK) if isinstance(value, str) else value.item()


def _windows(cells: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Neighbouring cells together, so that one reading serves many."""
    window: list[tuple[int, int]] = []
    for row, cell in cells:
        if window and cell - window[0][1] > WINDOW:
            yield window
            window = []
        window.append((row, cell))
    if window:
        yield window


class _Held:
    """An open file whose samples have been found."""

    def __init__(self, source: xr.Dataset, options: ReadProfiles) -> None:
        self.source, self.options = source, options
        self.parents: dict[str, tuple[str, str, bool]] = {}
        for name, variable in source.variables.items():
            if "sample_dimension" in variable.attrs and variable.dims:
                child = str(variable.attrs["sample_dimension"]).strip()
                self.parents[child] = (str(variable.dims[0]), str(name), True)
            elif "instance_dimension" in variable.attrs and variable.dims:
                parent = str(variable.attrs["instance_dimension"]).strip()
                self.parents[str(variable.dims[0])] = (parent, str(name), False)
        taken = [str(n) for n in source.variables if self._is_chosen(str(n))]
        self.dims = options.dimension or self._longest(taken)
        self.shape = tuple(source.sizes[d] for d in self.dims)
        self.columns = [name for name in taken if self._is_column(name)]
        self.ends: dict[str, list[int]] = {}

    def _is_chosen(self, name: str) -> bool:
        return not self.options.variables or any(fnmatchcase(name, p) for p in self.options.variables)

    def _longest(self, taken: list[str]) -> tuple[str, ...]:
        """The dimensions of the samples: of a ragged array those that have instances and are none, else the ones
        with the most cells among numbers."""
        variables = {n: self.source.variables[n] for n in taken}
        numbers = {n: v for n, v in variables.items() if v.dtype.kind in "iuf"} or variables
        bounds = {v.attrs.get("bounds") for v in self.source.variables.values()}
        numbers = {n: v for n, v in numbers.items() if self.options.variables or n not in bounds}
        leaves = set(self.parents) - {parent for parent, _, _ in self.parents.values()}
        ragged = [v for v in numbers.values() if leaves & {str(d) for d in v.dims}]
        most = max(ragged or list(numbers.values()), key=lambda v: math.prod(v.shape))
        dims = tuple(str(d) for d in most.dims)
        return tuple(d for d in dims if self.source.sizes[d] > 1) or dims

    def _word_dim(self, name: str) -> str | None:
        """The dimension along which the letters of a word stand."""
        variable = self.source.variables[name]
        last = str(variable.dims[-1]) if variable.dims and variable.dtype == "S1" else None
        return None if last is None or self._child(last) is not None else last

    def _child(self, dim: str) -> str | None:
        """The dimension of the rows on which ``dim`` hangs."""
        for row in self.dims:
            at: str = row
            for _ in range(len(self.parents) + 1):
                if at == dim:
                    return row
                at = self.parents[at][0] if at in self.parents else at
        return None

    def _is_column(self, name: str) -> bool:
        if not self.options.variables and "grid_mapping_name" in self.source.variables[name].attrs:
            return False
        dims = [str(d) for d in self.source.variables[name].dims if d != self._word_dim(name)]
        return all(self._child(d) is not None or self.source.sizes[d] == 1 for d in dims)

    # Which cells are rows

    def cells_of(self, rows: list[int]) -> tuple[list[tuple[int, int]], int]:
        """Rows with their cells, those that hold nothing passed over; and how many rows there are."""
        import numpy as np

        measured = [] if self.options.keep_empty else self._measured()
        if not measured:
            count = math.prod(self.shape)
            return [(row, row) for row in rows if row < count], count
        full = np.zeros(self.shape, bool)
        inner = max(1, math.prod(self.shape[1:]))
        for first in range(0, self.shape[0], step := max(1, 20 * WINDOW // inner)):
            part = slice(first, first + step)
            for name in measured:
                full[part] |= self._filled(name, part)
        cells = np.flatnonzero(full)
        return [(row, int(cells[row])) for row in rows if row < len(cells)], len(cells)

    def _measured(self) -> list[str]:
        own = {tuple(str(d) for d in v.dims if d != self._word_dim(str(n))) for n, v in self.source.variables.items()}
        if all((d,) in own for d in self.dims):
            return []
        whole = [n for n in self.columns if set(self.dims) <= {str(d) for d in self.source.variables[n].dims}]
        about = [v.attrs for v in self.source.variables.values()]
        ancillary = {word for a in about for word in str(a.get("ancillary_variables", "")).split()}
        return [n for n in whole if n not in ancillary and not self._is_flag(n)] or whole

    def _is_flag(self, name: str) -> bool:
        about = self.source.variables[name].attrs
        told = {"flag_values", "flag_masks", "flag_meanings"} & set(about)
        return bool(told) or str(about.get("standard_name", "")).endswith(("status_flag", "quality_flag"))

    def _filled(self, name: str, part: slice) -> np.ndarray[Any, Any]:
        """Which cells of a part of the first dimension hold a value."""
        import numpy as np

        variable = self.source[name]
        word = self._word_dim(name)
        single = {d: 0 for d in variable.dims if d not in self.dims and d != word}
        order = (*self.dims, *([word] if word else []))
        raw = variable.isel({**single, self.dims[0]: part}).transpose(*order).values
        if raw.dtype.kind in "SO":
            flat = raw.reshape(math.prod(raw.shape[: len(self.dims)]), -1)
            means = self._meaning(name)
            found = [means(cell if word else cell[0]) is not None for cell in flat]
            return np.array(found).reshape(raw.shape[: len(self.dims)])
        means = self._meaning(name)
        different, which = np.unique(raw, return_inverse=True)
        held = np.array([means(cell) is not None for cell in different], bool)
        return held[which].reshape(raw.shape)

    # Values

    def values(self, name: str, cells: list[int]) -> list[Any]:
        """The plain values of a variable at cells of the rows, which lie near each other."""
        import numpy as np

        places = dict(zip(self.dims, np.unravel_index(np.array(cells), self.shape), strict=True)) if self.dims else {}
        raw, index = self._raw(name, places)
        means = self._meaning(name)
        if not index:
            # One value, or one word, for all.
            return [means(raw)] * len(cells)
        return [means(raw[at]) for at in zip(*index, strict=True)]

    def _raw(self, name: str, places: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        """What is stored around the places, and where in it each place lies."""
        variable, word = self.source[name], self._word_dim(name)
        parts: dict[Any, Any] = {}
        index: list[Any] = []
        for dim in map(str, variable.dims):
            if dim == word:
                continue
            if self._child(dim) is None:
                parts[dim] = 0
                continue
            own = self._place(dim, places)
            parts[dim] = slice(int(own.min()), int(own.max()) + 1)
            index.append(own - own.min())
        return variable.isel(parts).values, index

    def _place(self, dim: str, places: Mapping[str, Any]) -> Any:
        """Positions along a dimension of rows, or the instances along one that they hang on."""
        import numpy as np

        if dim in places:
            return places[dim]
        at = str(self._child(dim))
        own = places[at]
        while at != dim:
            parent, name, counts = self.parents[at]
            if counts:
                if name not in self.ends:
                    self.ends[name] = list(accumulate(int(n) for n in self.source[name].values))
                own = np.array([bisect_right(self.ends[name], int(n)) for n in own])
            else:
                first = int(own.min())
                told = self.source[name].isel({at: slice(first, int(own.max()) + 1)}).values
                own = np.array([int(told[int(n) - first]) for n in own])
            at = parent
        return own

    def _meaning(self, name: str) -> Callable[[Any], Any]:
        """What a stored cell of the variable stands for."""
        variable = self.source.variables[name]
        about = dict(variable.attrs)
        if variable.dtype.kind not in "iuf":
            return lambda cell: word_of(cell, about.get("_FillValue"), self.options.encoding)
        if self.options.outside_valid.get(name) == "keep":
            about = {k: v for k, v in about.items() if not k.startswith("valid_")}
        return Number(variable.dtype, about)
