"""Written times as instants in UTC.

Here belongs reading ISO 8601 or a declared pattern, with the zone in the text or the declared one. Not here:
any other type of a column (``table_types``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_YEAR, LAST_YEAR = 1, 2999
"""in which times of observations lie"""
HAS_ZONE = r"(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
_DIRECTIVE = re.compile(r"%(.)")
_SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%h": "%b", "%e": "%d"}
"""patterns of the C library in words that Python knows too"""
_KNOWN_WELL = set("YmdyHMSIpbB%")
"""directives of which it is known what the C library lets pass"""
DATE_LENGTH = len("2010-09-01")


class TimeProblem(ValueError):
    """Cells that have the form of a time but name no instant; ``positions`` say which."""

    def __init__(self, reason: str, positions: list[int]) -> None:
        self.reason = reason
        self.positions = positions
        super().__init__(reason)


def instants(texts: pa.Array, timezone: str | None, pattern: str | None = None) -> pa.Array | None:
    """Texts as ``timestamp[us, UTC]``; None if one is no date with a time of day in microseconds or coarser.

    ``timezone``: IANA zone for those texts that carry none, with its daylight saving; ``pattern``: strptime.
    Raises: TimeProblem where a text carries no zone and none is declared, and for a local time that its clock
    shows twice or never.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pattern:
        naive = by_pattern(texts, pattern)
        if naive is None:
            return None
        return naive.cast(pa.timestamp("us", "UTC")) if "%z" in pattern else _local(naive, timezone)
    shortest = pc.min(pc.utf8_length(texts)).as_py()
    if shortest is not None and shortest <= DATE_LENGTH:
        return None
    if pc.all(pc.match_substring_regex(texts.slice(0, 1000), HAS_ZONE)).as_py():
        # A cast that fails is told so by every cell, which costs more than the cast: try the likely one alone.
        zoned = _cast(texts, pa.timestamp("us", "UTC"))
        return zoned if zoned is not None else _mixed(texts, timezone)
    naive = _cast(texts, pa.timestamp("us"))
    return _local(naive, timezone) if naive is not None else _mixed(texts, timezone)


def why_no_time(text: str) -> str:
    """What keeps a text from being a time that a column can hold, in words; empty where nothing special does."""
    reasons = {
        r".*[.,]\d{7,}.*": "a fraction of a second finer than a microsecond",
        r"\s*\d{4}-\d{2}-\d{2}\s*": "a date without a time of day",
        r".*(:60|T24:).*": "a second or an hour that no clock shows",
        r"\s*\d{8}T?\d{4}.*": "ISO 8601 in its basic form, where the extended one is read (2024-01-31T10:00:00Z)",
    }
    return next((words for form, words in reasons.items() if re.fullmatch(form, text)), "")


def by_pattern(texts: pa.Array, pattern: str) -> pa.Array | None:
    """Texts as ``timestamp[us]`` by a strptime pattern; None where one is not of it, or names no day that there is.

    The C library that Arrow asks takes the 31st of April for the 1st of May and 24 for the year 24. Cells in which it
    may have done so are read again by Python, which refuses both.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.strptime(texts, format=pattern, unit="us", error_is_null=True)
    if found.null_count != texts.null_count:
        return None
    plain = pattern
    for short, long in _SHORTHANDS.items():
        plain = plain.replace(short, long)
    if set(_DIRECTIVE.findall(plain)) <= _KNOWN_WELL:
        # A day that is not in its month becomes one of the next month's first three, a 60th second the next minute.
        asked = pc.and_(pc.less_equal(pc.day(found), 3), pc.match_substring_regex(texts, "29|3[01]"))
        asked = pc.or_(asked, pc.less(pc.year(found), 1000))
        if "%S" in plain:
            asked = pc.or_(asked, pc.match_substring_regex(texts, "6[01]"))
    else:
        asked = texts.is_valid()
    times = found.cast(pa.timestamp("us"))
    pairs = pa.table([texts.filter(asked), times.filter(asked)], names=["text", "time"])
    different = pairs.group_by("text").aggregate([("time", "min")])
    for text, time in zip(different["text"].to_pylist(), different["time_min"].to_pylist(), strict=True):
        if text is not None and _by_python(text, plain) != time:
            return None
    return found


def _by_python(text: str, pattern: str) -> datetime | None:
    try:
        read = datetime.strptime(text.strip(), pattern)
    except ValueError:
        return None
    return read if read.tzinfo is None else read.astimezone(UTC).replace(tzinfo=None)


def _mixed(texts: pa.Array, timezone: str | None) -> pa.Array | None:
    """Texts of which some carry a zone and some do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, pa.string())
    has_zone = pc.match_substring_regex(texts, HAS_ZONE)
    zoned = _cast(pc.if_else(has_zone, texts, nothing), pa.timestamp("us", "UTC"))
    naive = _cast(pc.if_else(has_zone, nothing, texts), pa.timestamp("us"))
    if zoned is None or naive is None:
        return None
    return pc.coalesce(zoned, _local(naive, timezone))


def _cast(texts: pa.Array, target: pa.DataType) -> pa.Array | None:
    import pyarrow as pa

    try:
        return texts.cast(target)
    except pa.ArrowInvalid:
        return None


def _local(naive: pa.Array, timezone: str | None) -> pa.Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    utc = pa.timestamp("us", "UTC")
    if naive.null_count == len(naive):
        return pa.nulls(len(naive), utc)
    if timezone is None:
        raise TimeProblem("carries no time zone", np.flatnonzero(naive.is_valid()).tolist())
    try:
        return pc.assume_timezone(naive, timezone).cast(utc)
    except pa.ArrowInvalid:
        bounds = [
            pc.assume_timezone(naive, timezone, ambiguous=side, nonexistent=side).cast(pa.int64())
            for side in ("earliest", "latest")
        ]
        unclear = np.flatnonzero(pc.fill_null(pc.not_equal(*bounds), False)).tolist()
        if not unclear:
            raise
        raise TimeProblem(f"the clock of {timezone} shows this time twice or never", unclear) from None
