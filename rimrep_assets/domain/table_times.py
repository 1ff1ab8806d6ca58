"""Written times as instants in UTC.

Here belongs reading ISO 8601 or a declared pattern, with the zone in the text or the declared one. Not here:
any other type of a column (``table_types``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

HAS_ZONE = r"(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
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
        naive = pc.strptime(texts, format=pattern, unit="us", error_is_null=True)
        if naive.null_count != texts.null_count:
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
