"""What the attributes of a NetCDF variable say about its values: fills, packing, valid range, units of time.

Here belongs one variable's attributes. Not here: decoding values by them (``table_profiles_values``).
Source: https://cfconventions.org/cf-conventions/cf-conventions.html (2.5.1, 4.4, 8.1) and
https://docs.unidata.ucar.edu/nug/current/attribute_conventions.html (default fills, valid range)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from rimrep_assets.domain.grid_time import DAY, STANDARD, TimeUnits, parse_units
from rimrep_assets.domain.table_profiles_layout import Variable
from rimrep_assets.domain.table_profiles_values import EARLIEST, Meaning

SINCE = re.compile(r"\bsince\b", re.IGNORECASE)
DEFAULT_FILLS = {
    "i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806,
    "u8": 18446744073709551614, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36,
}  # fmt: skip
"""what NetCDF leaves where nobody wrote; bytes have none that could be told from data"""
PLACES = ("latitude", "longitude", "time")
DEGREES = re.compile(r"degrees?_?(north|east|n|e)", re.IGNORECASE)


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
    # The first day of the year 1 of the mixed calendar is two days before that of ours.
    if units.reference < EARLIEST - 2 * DAY:
        raise ValueError(f"units {told!r} count from before the year 1, where calendars disagree on the year 0")
    return units


def _is_place(about: Mapping[str, Any]) -> bool:
    named = str(about.get("standard_name", "")) in PLACES or str(about.get("axis", "")) in ("X", "Y", "T")
    return named or DEGREES.fullmatch(str(about.get("units", ""))) is not None


def _factor(about: Mapping[str, Any], key: str) -> float | None:
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
