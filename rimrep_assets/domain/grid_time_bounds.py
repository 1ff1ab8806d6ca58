"""Bounds of the time axis, and climatologies: times beside times, published in the units of their axis.

Here belongs what CF asks of them (7.1: a boundary variable has the units and the calendar of its parent) as pure
functions of numbers. Not here: units and calendars themselves (``grid_time``), or which variable of a file they are
and what it says (``grid_file_time``).
Source: https://cfconventions.org/cf-conventions/cf-conventions.html#cell-boundaries
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_layout import GridLayout, Number, Packing, TimeBounds, Variable
from rimrep_assets.domain.grid_time import (
    SECOND,
    STANDARD,
    TimeUnits,
    decode_times,
    encode_times,
    iso_time,
    parse_units,
)

if TYPE_CHECKING:
    import numpy as np

    from rimrep_assets.domain.grid_axis import Slot

NO_TIME = -9223372036854775806
"""what netCDF puts into int64 where nothing was written; 292 thousand years ago even as microseconds"""
FARTHEST_US = 2**62
"""numbers beyond it stand for no time: a float that was never written is 10**37 days"""
READABLE_US = -9_200_000_000 * SECOND, 9_200_000_000 * SECOND
"""what datetime64[ns] holds (1678 to 2261); beyond it xarray cannot tell a fill from a time, and opens nothing"""


def decoded_bounds(numbers: np.ndarray, hidden: np.ndarray, units: TimeUnits) -> tuple[int, ...]:
    """The times (microseconds) of the numbers that are not ``hidden``, in C order.

    Raises: ValueError in words for numbers that stand for no time.
    """
    times = decode_times(numbers[~hidden], units)
    if any(abs(time) > FARTHEST_US for time in times):
        far = next(n for n, t in zip(numbers[~hidden].tolist(), times, strict=True) if abs(t) > FARTHEST_US)
        raise ValueError(f"{far} is no time")
    return times


def are_whole(times: Iterable[int], calendar: str) -> bool:
    """Whether seconds hold these times; a calendar that keeps its own units has fractions of them."""
    return calendar != STANDARD or not any(time % SECOND for time in times)


def united_bounds(variable: Variable, of_files: Sequence[TimeBounds | None], calendar: str, gaps: bool) -> Variable:
    """``variable`` as all files' bounds are published; ``gaps``: some times have none.

    Whole seconds or microseconds where the axis has them, float64 where the axis keeps the units of its calendar:
    of other calendars xarray opens nothing that has whole numbers with a fill.
    """
    told = [one for one in of_files if one is not None]
    lacking = gaps or any(one.lacking for one in told)
    dtype = "int64" if calendar == STANDARD else "float64"
    fill = Number(dtype=dtype, value=NO_TIME) if lacking and dtype == "int64" else None
    bounds = TimeBounds(whole=all(one.whole for one in told), lacking=lacking)
    return variable.model_copy(update={"dtype": dtype, "packing": Packing(fill=fill), "time_bounds": bounds})


def unreadable_bounds(united: GridLayout, axis: Sequence[Slot]) -> list[str]:
    """Why bounds with gaps could not be read where they lie too far away."""
    times = [slot.time for slot in axis]
    if united.time is None or united.time.calendar != STANDARD:
        return []
    low, high = READABLE_US
    if low < times[0] and times[-1] < high:
        return []
    far = iso_time(times[0] if times[0] <= low else times[-1])
    return [
        f"{name}: bounds of time that lack at some times can be read from 1678 to 2261 alone, and the axis has {far}; "
        f"dropped by the reader ({{drop: [{variable.source}]}}) they are left out"
        for name, variable in united.variables.items()
        if variable.time_bounds is not None and variable.time_bounds.lacking
    ]


def in_units_of_axis(
    numbers: np.ndarray, hidden: np.ndarray, of_file: TimeBounds, published: Variable, fill: Any
) -> np.ndarray:
    """A file's bounds in the units of the published axis, ``fill`` where they are ``hidden``. Shape as given.

    Raises: ValueError in words for what does not fit what was said of the file when its header was read.
    """
    import numpy as np

    assert published.time_bounds is not None
    units = parse_units(of_file.units, of_file.calendar)
    times = decoded_bounds(numbers, hidden, units)
    target = np.dtype(published.dtype)
    stored = encode_times(times, published.time_bounds.units, published.time_bounds.calendar)
    if target.kind == "i" and stored.dtype != target:
        raise ValueError(f"holds times that are not whole {published.time_bounds.units}")
    if target.kind == "i" and published.packing.fill is None and hidden.any():
        raise ValueError(f"{int(hidden.sum())} values are no times")
    found = np.full(numbers.shape, fill, target)
    found[~hidden] = stored.astype(target)
    return found
