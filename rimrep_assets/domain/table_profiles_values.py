"""What the stored numbers and characters of a sample mean: missing values, packing, times, words.

Here belongs one variable's values. Not here: where they lie in a file or which rows they belong to
(``table_profiles``, ``table_profiles_layout``).
Source: https://cfconventions.org/cf-conventions/cf-conventions.html (2.5.1, 4.4, 8.1) and
https://docs.unidata.ucar.edu/nug/current/attribute_conventions.html (default fills, valid range)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_time import SECOND, STANDARD, TimeUnits, parse_units
from rimrep_assets.domain.table_profiles_layout import Variable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_SHOWN = 5
LONGEST_WORD = 65_536
FIRST_YEAR, LAST_YEAR = 1, 2999
_EARLIEST, _LATEST = -62_135_596_800 * SECOND, 32_503_680_000 * SECOND
"""the first microsecond of the year 1, and of the year 3000"""
SINCE = re.compile(r"\bsince\b", re.IGNORECASE)
DEFAULT_FILLS = {
    "i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806,
    "u8": 18446744073709551614, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36,
}  # fmt: skip
"""what NetCDF leaves where nobody wrote; bytes have none that could be told from data"""
PLACES = ("latitude", "longitude", "time")
DEGREES = re.compile(r"degrees?_?(north|east|n|e)", re.IGNORECASE)


class ValueProblems(ValueError):
    """Values that cannot be published: ``(position among those decoded, words)``, the first few and how many."""

    def __init__(self, shown: list[tuple[int, str]], count: int) -> None:
        self.shown, self.count = shown, count
        super().__init__(shown, count)


@dataclass
class Meaning:
    """How the values of one variable are decoded. ``outside``: so many were outside the valid range, and are null.

    ``strict``: a place or a time, which nobody makes null without saying so; ``keep``: the range says nothing.
    """

    name: str
    kind: str
    stored: Any
    fills: tuple[Any, ...]
    low: Any
    high: Any
    scale: float | None
    offset: float | None
    units: TimeUnits | None
    resolution: float
    strict: bool
    keep: bool
    encoding: str
    range_of_packed: bool = True
    outside: int = field(default=0, compare=False)

    @property
    def is_time(self) -> bool:
        return self.units is not None

    def decoded(self, raw: np.ndarray[Any, Any]) -> pa.Array:
        """Values of any shape (words along the last axis) as a flat array: int64, float64, string, or instants.

        Raises: ValueProblems.
        """
        if self.kind in ("char", "text"):
            return self._words(raw)
        import numpy as np

        flat = np.ascontiguousarray(raw).reshape(-1)
        flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
        if flat.dtype != self.stored:
            flat = flat.view(self.stored)
        missing = np.isin(flat, np.asarray(self.fills, self.stored)) if self.fills else np.zeros(flat.shape, bool)
        if self.stored.kind == "f":
            missing |= np.isnan(flat)
        values = self._unpacked(flat)
        outside = self._outside(flat if self.range_of_packed else values) & ~missing
        if self.strict and not self.keep and outside.any():
            raise _told(outside, lambda at: f"{values[at]} lies outside its own valid range {self._range()}")
        self.outside += 0 if self.keep else int(outside.sum())
        missing |= outside & (not self.keep)
        if self.units is not None:
            return self._instants(values, missing)
        return self._numbers(values, missing)

    def _range(self) -> str:
        return f"{'' if self.low is None else self.low}..{'' if self.high is None else self.high}"

    def _unpacked(self, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.scale is None and self.offset is None:
            return flat
        values: np.ndarray[Any, Any] = flat.astype("f8") * (1.0 if self.scale is None else self.scale)
        return values if self.offset is None else values + self.offset

    def _outside(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        found = np.zeros(values.shape, bool)
        with np.errstate(invalid="ignore"):
            if self.low is not None:
                found |= values < self.low
            if self.high is not None:
                found |= values > self.high
        return found

    def _numbers(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pa.Array:
        import pyarrow as pa

        if values.dtype.kind == "f":
            return pa.array(values.astype("f8"), pa.float64(), mask=missing)
        if values.dtype == "u8":
            large = (values > 2**63 - 1) & ~missing
            if large.any():
                raise _told(large, lambda at: f"{values[at]} is larger than the whole numbers of a table")
        return pa.array(values.astype("i8"), pa.int64(), mask=missing)

    def _instants(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        assert self.units is not None
        step, reference = self.units.step, self.units.reference
        floats = np.where(missing, 0.0, values.astype("f8"))
        with np.errstate(over="ignore"):
            rough = floats * step + reference
        wrong = ~((rough >= _EARLIEST) & (rough < _LATEST)) & ~missing
        if wrong.any():
            raise _told(
                wrong,
                lambda at: f"{values[at]} is {_year(rough[at])}; times lie in the years {FIRST_YEAR} to {LAST_YEAR}",
            )
        if values.dtype.kind in "iu":
            exact = np.where(missing, 0, values).astype("i8") * step + reference
        else:
            exact = _rounded(np.where(missing, 0, values), step, reference, self.resolution)
        return pa.array(exact, pa.timestamp("us", "UTC"), mask=missing)

    def _words(self, raw: np.ndarray[Any, Any]) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        if self.kind == "char":
            cells = np.ascontiguousarray(raw)
            cells = cells.reshape(-1, cells.shape[-1]) if cells.ndim else cells.reshape(1, 1)
            flat = cells.view(f"S{cells.shape[-1]}").reshape(-1)
        else:
            flat = np.asarray(raw, object).reshape(-1)
        different, which = np.unique(flat.astype(str) if self.kind == "text" else flat, return_inverse=True)
        words: list[str | None] = []
        for number, word in enumerate(different.tolist()):
            try:
                words.append(self._word(word))
            except ValueError as error:
                wrong, reason = which == number, str(error)
                raise _told(wrong, lambda _, reason=reason: reason) from error
        return pa.array(words, pa.string()).take(pa.array(which.reshape(-1)))

    def _word(self, stored: Any) -> str | None:
        """Without the blanks and NUL around it; None where nothing is left, or fill alone."""
        if isinstance(stored, bytes):
            try:
                word = stored.decode(self.encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"{stored[:40]!r} is not {self.encoding}; declare read_profiles.encoding") from error
            if any(fill and not stored.replace(fill, b"") for fill in self.fills):
                return None
        else:
            word = str(stored)
            if word in self.fills:
                return None
        word = word.strip("\0 \t\r\n")
        if "\0" in word:
            raise ValueError(f"{word[:40]!r} holds NUL between letters")
        return word or None


def _rounded(values: np.ndarray[Any, Any], step: int, reference: int, resolution: float) -> np.ndarray[Any, Any]:
    """Numbers of ``step`` microseconds as whole microseconds since 1970, as fine as the numbers can tell: to the
    millisecond or second where neighbouring numbers (or the declared resolution) lie farther apart than a finer one.
    """
    import numpy as np

    apart = np.maximum(np.spacing(np.abs(values)).astype("f8"), resolution) * step
    unit = np.select([apart <= 1, apart <= 1_000], [1, 1_000], SECOND)
    floats = values.astype("f8")
    whole = np.floor(floats)
    fraction = floats - whole
    # A product of 26 bits and a step is exact; of all 53 it is not.
    upper = np.floor(fraction * 2**26) / 2**26
    first = upper * step
    rest = (first - np.floor(first)) + (fraction - upper) * step
    micros = whole.astype("i8") * step + reference + np.floor(first).astype("i8") + np.floor(rest).astype("i8")
    rest -= np.floor(rest)
    units, over = np.divmod(micros, unit)
    over = over + rest
    up = (over > unit / 2) | ((over == unit / 2) & (units % 2 == 1))
    found: np.ndarray[Any, Any] = (units + up) * unit
    return found


def _year(micros: float) -> str:
    year = 1970 + micros / (365.2425 * 86_400 * SECOND)
    return f"in the year {int(year // 1)}" if abs(year) < 1e12 else "no time"


def _told(wrong: np.ndarray[Any, Any], say: Any) -> ValueProblems:
    import numpy as np

    positions = np.flatnonzero(wrong)
    return ValueProblems([(int(at), say(int(at))) for at in positions[:MOST_SHOWN]], len(positions))


def meaning_of(variable: Variable, dtype: Any, *, coordinate: bool, outside: str | None, encoding: str) -> Meaning:
    """How to decode a variable of the stored type ``dtype``; ``coordinate``: the catalog calls it a place or time;
    ``outside``: what it says of values outside the valid range.

    Raises: ValueError in words for units of time, scales and fills that make no sense.
    """
    import numpy as np

    about = variable.attributes
    if variable.kind != "number":
        fill = about.get("_FillValue")
        fills = () if fill is None else (fill if variable.kind == "text" else _as_bytes(fill),)
        return Meaning(
            variable.name, variable.kind, None, fills, None, None, None, None, None, 0.0, False, True, encoding
        )
    stored = np.dtype(dtype).newbyteorder("=")
    unsigned = str(about.get("_Unsigned", "")).lower() == "true" and stored.kind == "i"
    read_as = np.dtype(f"u{stored.itemsize}") if unsigned else stored
    scale, offset = _factor(about, "scale_factor"), _factor(about, "add_offset")
    if scale == 0:
        raise ValueError("scale_factor is 0: all values would be one")
    units = _time_units(about)
    low, high = _limits(about)
    packed = scale is not None or offset is not None
    of_packed = not (packed and stored.kind in "iu" and any(_is_float(limit) for limit in (low, high)))
    if of_packed:
        low, high = (_in_type(limit, stored, read_as) for limit in (low, high))
    strict = units is not None or coordinate or _is_place(about)
    return Meaning(
        name=variable.name,
        kind=variable.kind,
        stored=read_as,
        fills=_fills(about, stored, read_as),
        low=low,
        high=high,
        scale=scale,
        offset=offset,
        units=units,
        resolution=_resolution(about),
        strict=strict and outside is None,
        keep=outside == "keep",
        encoding=encoding,
        range_of_packed=of_packed,
    )


def _time_units(about: Mapping[str, Any]) -> TimeUnits | None:
    """None where its units are not of time since a moment."""
    told = about.get("units")
    if not isinstance(told, str) or not SINCE.search(told):
        return None
    calendar = about.get("calendar")
    units = parse_units(told, calendar if isinstance(calendar, str) else None)
    if units.calendar != STANDARD:
        raise ValueError(f"calendar {calendar!r}: the times of a table are instants, and this calendar's are not")
    if units.reference < _EARLIEST:
        raise ValueError(f"units {told!r} count from before the year 1, where calendars disagree on the year 0")
    return units


def _is_place(about: Mapping[str, Any]) -> bool:
    named = str(about.get("standard_name", "")) in PLACES or str(about.get("axis", "")) in ("X", "Y", "T")
    return named or DEGREES.fullmatch(str(about.get("units", ""))) is not None


def _factor(about: Mapping[str, Any], key: str) -> float | None:
    import math

    if key not in about:
        return None
    value = _numbers_in(about[key])
    if len(value) != 1 or not math.isfinite(value[0]):
        raise ValueError(f"{key} {about[key]!r} is no number")
    return float(value[0])


def _numbers_in(told: Any) -> list[Any]:
    """The numbers of an attribute; of a text that is one too, for many writers put them so."""
    import numpy as np

    if isinstance(told, (str, bytes)):
        try:
            return [np.float64(told)]
        except ValueError:
            return []
    found = np.asarray(told).reshape(-1)
    return list(found) if found.dtype.kind in "iuf" else []


def _resolution(about: Mapping[str, Any]) -> float:
    told = _numbers_in(about.get("resolution", ""))
    return float(told[0]) if len(told) == 1 and 0 < told[0] < 1 else 0.0


def _limits(about: Mapping[str, Any]) -> tuple[Any, Any]:
    both = _numbers_in(about.get("valid_range", ""))
    if len(both) == 2:
        return both[0], both[1]
    low, high = (_numbers_in(about.get(key, "")) for key in ("valid_min", "valid_max"))
    return (low[0] if len(low) == 1 else None), (high[0] if len(high) == 1 else None)


def _is_float(limit: Any) -> bool:
    return limit is not None and limit.dtype.kind == "f"


def _in_type(limit: Any, stored: Any, read_as: Any) -> Any:
    """A limit of float32 values is the nearest float32: else a value on the limit would lie outside."""
    if limit is None or limit != limit:
        return None
    if stored.kind == "f":
        return stored.type(limit)
    return limit.astype(stored).view(read_as) if limit.dtype == stored else limit


def _fills(about: Mapping[str, Any], stored: Any, read_as: Any) -> tuple[Any, ...]:
    """Every number that stands for none, in the type in which values are read."""
    import numpy as np

    told = [n for key in ("_FillValue", "missing_value") for n in _numbers_in(about.get(key, ""))]
    if "_FillValue" not in about and stored.str[1:] in DEFAULT_FILLS:
        told.append(stored.type(DEFAULT_FILLS[stored.str[1:]]))
    found = []
    for number in told:
        with np.errstate(all="ignore"):
            same = np.asarray(number).astype(stored)
        # A float is meant by what its nearest neighbour of the stored type is; a whole number must be one.
        if stored.kind == "f" or same == number:
            found.append(same.reshape(1).view(read_as)[0])
        elif np.asarray(number).astype(read_as) == number:
            found.append(np.asarray(number).astype(read_as)[()])
    return tuple(found)


def _as_bytes(fill: Any) -> bytes:
    return fill if isinstance(fill, bytes) else str(fill).encode()
