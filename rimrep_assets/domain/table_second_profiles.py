"""A second reader of NetCDF samples that shares no code with the one that converts them.

Here belongs reading chosen rows with xarray (through SciPy and h5netcdf, not through the NetCDF library), times by
cftime and fractions, and every cell as a plain Python value. Not here: anything that the conversion uses; the two must
not err alike. It does not look for what is wrong with a file: the first reader has refused that.
"""

from __future__ import annotations

import datetime
import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.table_profiles_options import ReadProfiles

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

WINDOW = 50_000
"""cells of a variable that are read at once, unless a row needs more"""
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
BLANK = "\0 \t\r\n"


def profile_rows(path: Path, options: ReadProfiles, rows: Collection[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """``(row, values by variable name)`` of ``rows``, numbered from 0 as they are published.

    Numbers are int or float, times aware datetimes, missing values None. Raises: ValueError, KeyError, IndexError or
    OSError where this reader cannot make sense of the file.
    """
    import xarray as xr

    with path.open("rb") as file:
        engine: Any = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_cf=False, cache=False) as source:
        held = _Held(source, options)
        cells = held.cells_of(sorted(rows))
        constants = {column: _attribute(source.attrs[name]) for name, column in options.attributes.items()}
        for window in _windows(cells):
            columns = {name: held.values(name, [cell for _, cell in window]) for name in held.columns}
            for number, (row, _) in enumerate(window):
                yield row, {**{name: column[number] for name, column in columns.items()}, **constants}


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

    def cells_of(self, rows: list[int]) -> list[tuple[int, int]]:
        """Rows with the cells that they are, once those that hold nothing are passed over."""
        import numpy as np

        measured = [] if self.options.keep_empty else self._measured()
        if not measured:
            return [(row, row) for row in rows if row < math.prod(self.shape)]
        full = np.zeros(self.shape, bool)
        inner = max(1, math.prod(self.shape[1:]))
        for first in range(0, self.shape[0], step := max(1, 20 * WINDOW // inner)):
            part = slice(first, first + step)
            for name in measured:
                full[part] |= self._filled(name, part)
        cells = np.flatnonzero(full)
        return [(row, int(cells[row])) for row in rows if row < len(cells)]

    def _measured(self) -> list[str]:
        own = {
            tuple(str(d) for d in v.dims if d != self._word_dim(str(n))) for n, v in self.source.variables.items()
        }
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
            return lambda cell: _word(cell, about.get("_FillValue"), self.options.encoding)
        if self.options.outside_valid.get(name) == "keep":
            about = {k: v for k, v in about.items() if not k.startswith("valid_")}
        return _Number(variable.dtype, about)


def _word(cell: Any, fill: Any, encoding: str) -> str | None:
    """``cell``: a str, or an array of single bytes."""
    if isinstance(cell, str):
        return None if cell == fill else cell.strip(BLANK) or None
    letters = cell if isinstance(cell, bytes) else b"".join(cell.reshape(-1).tolist())
    one = fill if isinstance(fill, bytes) else str(fill or "").encode()
    if one and set(letters.split(one)) == {b""}:
        return None
    return letters.decode(encoding).strip(BLANK) or None


class _Number:
    """Numbers and times, one at a time."""

    def __init__(self, dtype: Any, about: Mapping[str, Any]) -> None:
        self.dtype = dtype.newbyteorder("=")
        self.wrap = 0
        if str(about.get("_Unsigned", "")).lower() == "true" and dtype.kind == "i":
            self.wrap = 2 ** (8 * dtype.itemsize)
        self.scale, self.offset = (_first(about.get(k)) for k in ("scale_factor", "add_offset"))
        low, high = (_first(about.get(k)) for k in ("valid_min", "valid_max"))
        if len(both := _all(about.get("valid_range"))) == 2:
            low, high = both
        packed = self.scale is not None or self.offset is not None
        unpacked = packed and dtype.kind in "iu" and any(isinstance(limit, float) for limit in (low, high))
        self.limits_unpacked = unpacked
        self.low, self.high = (low, high) if unpacked else (self._near(low), self._near(high))
        told = [*_all(about.get("_FillValue")), *_all(about.get("missing_value"))]
        self.fills = {self._near(fill) for fill in told}
        if "_FillValue" not in about and dtype.itemsize > 1:
            self.fills.add(self._default())
        self.since = _since(about)
        self.apart = _first(about.get("resolution"))

    def _default(self) -> Any:
        """What the NetCDF library leaves where nobody wrote."""
        bits = 8 * self.dtype.itemsize
        if self.dtype.kind == "f":
            # NC_FILL_FLOAT and NC_FILL_DOUBLE are 15 * 2 ** 119.
            return float(15 * 2**119)
        if self.dtype.kind == "i":
            return -(2 ** (bits - 1)) + (2 if bits == 64 else 1)
        return 2**bits - (2 if bits == 64 else 1)

    def _near(self, told: Any) -> Any:
        """A number of an attribute as a stored one would be read."""
        if told is None or self.dtype.kind != "f":
            return told + self.wrap if self.wrap and told is not None and told < 0 else told
        return self.dtype.type(told).item()

    def __call__(self, cell: Any) -> Any:
        value = cell.item()
        if self.wrap and value < 0:
            value += self.wrap
        if value in self.fills or value != value:
            return None
        plain = value
        if self.scale is not None or self.offset is not None:
            plain = float(value) * (1.0 if self.scale is None else float(self.scale))
            plain = plain if self.offset is None else plain + float(self.offset)
        judged = plain if self.limits_unpacked else value
        if (self.low is not None and judged < self.low) or (self.high is not None and judged > self.high):
            return None
        return plain if self.since is None else self._instant(plain)

    def _instant(self, value: Any) -> datetime.datetime:
        assert self.since is not None
        reference, step = self.since
        exact = reference + Fraction(value) * step
        unit = 1
        if isinstance(value, float):
            single = self.dtype.itemsize == 4 and self.dtype.kind == "f" and self.scale is self.offset is None
            gap = 2.0 ** (math.frexp(abs(value))[1] - 24) if single and value else math.ulp(value)
            if self.apart is not None and 0 < self.apart < 1:
                gap = max(gap, self.apart)
            unit = next((n for n in (1, 1_000) if gap * step <= n), 1_000_000)
        return EPOCH + datetime.timedelta(microseconds=round(exact / unit) * unit)


def _since(about: Mapping[str, Any]) -> tuple[int, int] | None:
    """Microseconds of the moment from which a time counts, since 1970, and of its step; None for other units."""
    import cftime  # type: ignore[import-untyped]

    units = about.get("units")
    if not isinstance(units, str) or " since " not in units.lower():
        return None
    calendar = str(about.get("calendar") or "standard").lower()
    ours = "microseconds since 1970-01-01 00:00:00"
    moments = cftime.num2date([0, 1], units, calendar)
    start, after = (int(n) for n in cftime.date2num(moments, ours, calendar))
    return start, after - start


def _all(told: Any) -> list[Any]:
    """Plain numbers of an attribute."""
    if told is None:
        return []
    if isinstance(told, (str, bytes)):
        try:
            return [float(told)]
        except ValueError:
            return []
    listed = told.reshape(-1).tolist() if hasattr(told, "reshape") else [told]
    return [n for n in listed if isinstance(n, (int, float))]


def _first(told: Any) -> Any:
    listed = _all(told)
    return listed[0] if len(listed) == 1 else None
