"""Time axes as whole microseconds: CF units to numbers that can be compared, and back to what is published.

Here belongs what CF says about units, calendars and reference times, ISO 8601 texts, and the steps of a cadence.
Not here: which file stands at which time (``grid_axis``).

A time is an ``int``: microseconds since 1970-01-01 00:00:00 UTC in the axis' own calendar. The calendars
``standard``, ``gregorian`` and ``proleptic_gregorian`` are one and the same here, since elapsed time is counted.
Source: https://cfconventions.org/cf-conventions/cf-conventions.html#time-coordinate
"""

from __future__ import annotations

import calendar as gregorian_calendar
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

STANDARD = "proleptic_gregorian"
SECONDS = "seconds since 1970-01-01 00:00:00"
MICROSECONDS = "microseconds since 1970-01-01 00:00:00"
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000

_STANDARD_NAMES = {"", "standard", "gregorian", "proleptic_gregorian"}
_KEPT_CALENDARS = {
    "360_day": "360_day",
    "noleap": "noleap",
    "365_day": "noleap",
    "all_leap": "all_leap",
    "366_day": "all_leap",
    "julian": "julian",
}
_STEPS = {
    "microsecond": 1, "microsec": 1, "us": 1,
    "millisecond": 1_000, "millisec": 1_000, "msec": 1_000, "ms": 1_000,
    "second": SECOND, "sec": SECOND, "s": SECOND,
    "minute": MINUTE, "min": MINUTE,
    "hour": HOUR, "hr": HOUR, "h": HOUR,
    "day": DAY, "d": DAY,
    "week": 7 * DAY,
}  # fmt: skip
_UNITS = re.compile(
    r"\s*(?P<step>[A-Za-z]+)\s+since\s+(?P<y>[+-]?\d{1,4})-(?P<mo>\d{1,2})-(?P<d>\d{1,2})"
    r"(?:[T\s]\s*(?P<h>\d{1,2})(?::(?P<mi>\d{1,2})(?::(?P<s>\d{1,2})(?P<f>\.\d*)?)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TimeUnits:
    """Parsed units: one step and the reference in microseconds; the calendar as it is published."""

    step: int
    reference: int
    calendar: str
    words: str
    """the units, cosmetically normal, reference in UTC: what is published for calendars that are kept"""


@lru_cache(maxsize=1024)
def parse_units(units: str, calendar: str | None) -> TimeUnits:
    """Units such as ``days since 1990-01-01 00:00:00 +10`` of a calendar (None: standard).

    Raises: ValueError in words when they are not units of time with a reference, or the step has no fixed length.
    """
    name = (calendar or "").strip().lower()
    known = STANDARD if name in _STANDARD_NAMES else _KEPT_CALENDARS.get(name)
    if known is None:
        raise ValueError(f"calendar {calendar!r} is not one of CF's")
    found = _UNITS.fullmatch(units)
    if not found:
        raise ValueError(f"units {units!r} are not like 'days since 1990-01-01 00:00:00'")
    word = found["step"].lower()
    step = _STEPS.get(word) or _STEPS.get(word.removesuffix("s"))
    if step is None and word in {"month", "months"} and known == "360_day":
        step = 30 * DAY
    if step is None:
        raise ValueError(f"units {units!r}: a {found['step']!r} is no step of fixed length")
    reference = _reference_us(found, name or "standard") - _zone_us(found["zone"])
    return TimeUnits(step, reference, known, _words(step, reference, known, word))


def _reference_us(found: re.Match[str], calendar: str) -> int:
    import cftime  # type: ignore[import-untyped]

    year = int(found["y"])
    options: dict[str, Any] = {"calendar": calendar}
    if year <= 0:
        options["has_year_zero"] = True
    fraction = round(float(found["f"] or 0) * SECOND) if found["f"] not in (None, ".") else 0
    clock = [int(found[part] or 0) for part in ("h", "mi", "s")]
    try:
        start = cftime.datetime(year, int(found["mo"]), int(found["d"]), *clock, **options)
        epoch = cftime.datetime(1970, 1, 1, **options)
    except ValueError as error:
        raise ValueError(f"units {found.string!r}: {error}") from error
    return _whole_us(start - epoch) + fraction


def _zone_us(zone: str | None) -> int:
    if not zone or zone.upper() in {"Z", "UTC", "GMT"}:
        return 0
    digits = zone[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    return (-1 if zone[0] == "-" else 1) * (int(hours) * HOUR + int(minutes) * MINUTE)


def _whole_us(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds


def _words(step: int, reference: int, calendar: str, word: str) -> str:
    names = {1: "microseconds", 1_000: "milliseconds", SECOND: "seconds", MINUTE: "minutes", HOUR: "hours", DAY: "days"}
    text = iso_time(reference, calendar).removesuffix("Z").replace("T", " ")
    return f"{names.get(step, word)} since {text}"


def same_units(a: str | None, b: str | None) -> bool:
    """Whether two units mean the same; times may be written differently (``UTC``, ``+00:00``, ``T``)."""
    if a == b:
        return True
    if a is None or b is None:
        return False
    if a.strip() == b.strip():
        return True
    try:
        left, right = parse_units(a, None), parse_units(b, None)
    except ValueError:
        return False
    return (left.step, left.reference) == (right.step, right.reference)


def decode_times(values: Any, units: TimeUnits) -> tuple[int, ...]:
    """Numbers on a time axis as microseconds since 1970, rounded to the nearest; shape (n,).

    Raises: ValueError that names the positions of numbers that are not finite.
    """
    import numpy as np

    numbers = np.asarray(values).reshape(-1)
    if numbers.dtype.kind in "iu":
        return tuple(int(n) * units.step + units.reference for n in numbers.tolist())
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ValueError(f"no number at position {', '.join(map(str, bad[:5].tolist()))}")
    # Days since the year 1 times microseconds leave float64's whole numbers: split before multiplying.
    return tuple(
        math.floor(n) * units.step + round((n - math.floor(n)) * units.step) + units.reference
        for n in numbers.astype("float64").tolist()
    )


def published_units(times: Iterable[int], units: str, calendar: str) -> str:
    """The units in which an axis is stored: whole seconds where all are whole; a kept calendar keeps its own."""
    if calendar != STANDARD:
        return units
    return MICROSECONDS if any(time % SECOND for time in times) else SECONDS


def encode_times(times: Iterable[int], units: str, calendar: str) -> Any:
    """Times as stored in ``units``: int64, or float64 where a kept calendar's own numbers are not whole; shape (n,)."""
    import numpy as np

    parsed = parse_units(units, calendar)
    spans = [time - parsed.reference for time in times]
    if any(span % parsed.step for span in spans):
        return np.array([span / parsed.step for span in spans], "float64")
    return np.array([span // parsed.step for span in spans], "int64")


def iso_time(time: int, calendar: str = STANDARD) -> str:
    """ISO 8601 in UTC, ending in Z; a day that other calendars have and ours has not is the month's last day."""
    if calendar == STANDARD and -62_135_596_800 * SECOND <= time < 253_402_300_800 * SECOND:
        return _iso(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time))
    import cftime

    moment = cftime.datetime(1970, 1, 1, calendar=calendar) + timedelta(microseconds=time)
    last = gregorian_calendar.monthrange(min(max(moment.year, 1), 9999), moment.month)[1]
    return _iso(moment, min(moment.day, last))


def _iso(moment: Any, day: int | None = None) -> str:
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return (
        f"{moment.year:04d}-{moment.month:02d}-{day or moment.day:02d}"
        f"T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}{fraction}Z"
    )


def cadence_us(cadence: str) -> int:
    """``P1D``, ``PT1H``, ``PT30M``, ``PT1S`` in microseconds."""
    found = re.fullmatch(r"P(?:(\d+)D|T(\d+)H|T(\d+)M|T(\d+)S)", cadence)
    if not found:
        raise ValueError(f"{cadence!r} is not a step like P1D, PT1H or PT30M")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND


def iso_duration(span: int) -> str:
    """Microseconds as an ISO 8601 duration in the largest unit that divides them."""
    if span % DAY == 0:
        return f"P{span // DAY}D"
    for unit, letter in ((HOUR, "H"), (MINUTE, "M"), (SECOND, "S")):
        if span % unit == 0:
            return f"PT{span // unit}{letter}"
    return f"PT{span / SECOND:.6f}".rstrip("0") + "S"
