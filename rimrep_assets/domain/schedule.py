"""When a cron line in a time zone comes next, right also where clocks are put forward or back.

Here belongs the arithmetic and what is wrong with a line or a zone. Not here: what time it is, or what happens then
(``defs/source_sensor``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def next_time(schedule: str, timezone: str, after: datetime) -> datetime:
    """The first time (UTC) later than ``after`` (aware) at which ``schedule`` comes in ``timezone``.

    A time of day that is skipped when clocks go forward comes at the first moment after the gap, one that happens
    twice when they go back comes once; lines with ``*`` in hour or minute follow the clock through both (as Debian's
    cron does). Raises: ValueError when it never comes.
    """
    from cronsim import CronSim, CronSimError

    try:
        coming = CronSim(schedule, after.astimezone(ZoneInfo(timezone)))
        # Begun within the repeated hour, the library may first answer with the hour that is over.
        return next(t for t in (c.astimezone(UTC) for c in coming) if t > after)
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{schedule!r} is not a cron line that ever comes, like '15 2 * * *'") from error


def checked_schedule(line: str) -> str:
    """``line`` itself. Raises: ValueError when it is not a cron line of five fields, or never comes."""
    if len(line.split()) != 5:
        raise ValueError(f"{line!r} is not a cron line of five fields, like '15 2 * * *'")
    next_time(line, "UTC", ANY_TIME)
    return line


def checked_zone(name: str) -> str:
    """``name`` itself. Raises: ValueError when there is no such IANA time zone."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone like 'Australia/Sydney'") from error
    return name
