"""Axes of a grid as a request names parts of them, and as CoverageJSON tells them.

Here belong masks, windows and texts of times. Not here: the provider (``pygeoapi_coverages``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pygeoapi.provider.base import ProviderInvalidQueryError

from rimrep_assets.service.pygeoapi_values import interval


def is_curvilinear(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether every cell has an x and y of its own, so that neither is an axis."""
    return x.ndim == 2 and x.shape == y.shape


def step(values: np.ndarray) -> float | None:
    """The distance of the first two values of an axis; None for one value and for what is no axis."""
    return float(abs(values[1] - values[0])) if values.ndim == 1 and values.size > 1 else None


def box_of(x: np.ndarray, y: np.ndarray) -> list[float]:
    """West, south, east, north of what is finite; the whole earth where nothing is."""
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    if not x.size or not y.size:
        return [-180.0, -90.0, 180.0, 90.0]
    return [float(n) for n in (x.min(), y.min(), x.max(), y.max())]


def positions(mask: np.ndarray) -> slice | np.ndarray:
    """As a slice where they are one stretch, which reads no chunk twice."""
    found = np.flatnonzero(mask)
    if found.size and found[-1] - found[0] + 1 == found.size:
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


def window(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle that holds all cells of ``mask`` (rows, columns)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Where values lie within, ends included; where there is no number they do not. Shape as given."""
    found: np.ndarray = (values >= low) & (values <= high)
    return found


def along_x(values: np.ndarray, west: float, east: float) -> np.ndarray:
    """Longitudes in both manners of counting, -180..180 and 0..360; a west above the east crosses 180°."""
    held = values[np.isfinite(values)]
    if held.size and held.max() > 180 and held.min() >= 0:
        west, east = (w + 360 if w < 0 else w for w in (west, east))
    if west > east:
        crossing: np.ndarray = (values >= west) | (values <= east)
        return crossing
    return between(values, west, east)


def between_times(values: np.ndarray, text: str) -> np.ndarray:
    """Where times lie within an OGC datetime; those of other calendars are compared as texts, as they are told.

    Raises: ProviderInvalidQueryError for what is no datetime.
    """
    begin, end = interval(text)
    mask = np.ones(values.shape, dtype=bool)
    if values.dtype.kind != "M":
        told = np.array([t.removesuffix("Z") for t in time_texts(values)])
        ends = [None if e is None else e.replace(tzinfo=None, microsecond=0).isoformat() for e in (begin, end)]
        mask &= True if ends[0] is None else told >= ends[0]
        mask &= True if ends[1] is None else told <= ends[1]
        return mask
    # In nanoseconds a bound such as 9999-12-31 would overflow.
    values = values.astype("M8[us]")
    if begin is not None:
        mask &= values >= np.datetime64(begin.replace(tzinfo=None), "us")
    if end is not None:
        mask &= values <= np.datetime64(end.replace(tzinfo=None), "us")
    return mask


def time_texts(times: np.ndarray) -> list[str]:
    """ISO 8601 in UTC, to the second where nothing is finer; other calendars have their own days (``2001-02-30``)."""
    if times.dtype.kind != "M":
        return [f"{t.year:04d}-{t.month:02d}-{t.day:02d}T{t.hour:02d}:{t.minute:02d}:{t.second:02d}Z" for t in times]
    whole = bool((times == times.astype("M8[s]")).all())
    return [f"{text}Z" for text in np.datetime_as_string(times, unit="s" if whole else "ms")]


def is_time(values: np.ndarray) -> bool:
    """Whether they are datetimes, or cftime's of another calendar."""
    return values.dtype.kind == "M" or (values.dtype == object and bool(values.size) and hasattr(values[0], "calendar"))


def with_times(data: Any) -> Any:
    """An ``xarray.Dataset`` whose variables with units of time are datetimes; those that cannot be stay numbers.

    A sample of a store has axes and no other values, and bounds of fill are no times.
    """
    from xarray.conventions import decode_cf_variable

    decoded = {}
    for name, variable in data.variables.items():
        if " since " in str(variable.attrs.get("units", "")):
            try:
                decoded[name] = decode_cf_variable(name, variable, mask_and_scale=False)
            except (ValueError, OverflowError):
                continue
    return data.assign(decoded)


def calendar_of(times: np.ndarray) -> dict[str, str]:
    """The reference system of a time axis in CoverageJSON, https://covjson.org/spec/#temporal-reference-systems."""
    if times.dtype.kind == "M" or not times.size:
        return {"type": "TemporalRS", "calendar": "Gregorian"}
    place = "https://cfconventions.org/cf-conventions/cf-conventions.html#calendar"
    return {"type": "TemporalRS", "calendar": place, "cf:calendar": str(times[0].calendar)}


def axis_values(values: np.ndarray) -> dict[str, Any]:
    """Start, stop and number of an even axis, in the array's direction; every value of another."""
    if is_time(values):
        return {"values": time_texts(values)}
    if values.dtype.kind not in "fiu":
        return {"values": [str(v) for v in values]}
    steps = np.diff(values.astype("f8"))
    if steps.size and np.allclose(steps, steps[0], rtol=1e-3):
        return {"start": float(values[0]), "stop": float(values[-1]), "num": int(values.size)}
    return {"values": [float(v) for v in values]}


def one_of(values: np.ndarray, ends: list[Any]) -> slice | np.ndarray:
    """Positions that ``subset`` names: the nearest to one number, what lies between two, or times."""
    if is_time(values):
        return positions(between_times(values, "/".join(map(str, ends))))
    try:
        numbers = sorted(float(end) for end in ends)
    except ValueError as error:
        raise ProviderInvalidQueryError(f"subset: {ends} are not numbers") from error
    if len(numbers) == 1:
        nearest = int(np.abs(values - numbers[0]).argmin())
        return slice(nearest, nearest + 1)
    return positions(between(values, *numbers))


def plain_values(values: np.ndarray) -> list[Any]:
    """Row-major; missing values are null."""
    flat = values.ravel()
    if flat.dtype.kind == "f":
        as_float = flat.astype("f8")
        return [v if math.isfinite(v) else None for v in as_float.tolist()]
    if flat.dtype.kind in "iub":
        return flat.astype("i8").tolist()
    return time_texts(flat) if is_time(flat) else [str(v) for v in flat]
