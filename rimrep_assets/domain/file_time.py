"""The time that a file's name tells, by a pattern of strptime codes and ``*``.

Here belong the patterns of ``partition.file_time`` and ``set_time.name``. Not here: what is made of the time
(``partition``, ``grid_file_time``).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "j": 3, "H": 2, "M": 2, "S": 2}
"""strptime codes that may stand in a pattern and their digits"""


def codes_of(pattern: str) -> set[str]:
    """The letters of the strptime codes in a pattern."""
    return set(re.findall(r"%(.)", pattern.replace("%%", "")))


def code_problems(pattern: str, key: str) -> list[str]:
    """What a pattern lacks to tell a moment, in words that begin with its ``key`` in dataset.yaml."""
    codes = codes_of(pattern)
    unknown = sorted(codes - WIDTHS.keys())
    if unknown:
        return [f"{key}: %{', %'.join(unknown)} cannot be used; known are %{' %'.join(WIDTHS)} and *"]
    if not codes & {"Y", "y"}:
        return [f"{key} {pattern!r} does not tell the year: it needs %Y"]
    return []


def date_told(pattern: str, name: str) -> date | None:
    """The day that a file's name tells, the first of the month or year where it tells no more; None where it fails.

    A pattern with ``/`` is held against the whole ``name``, else against its last part. A code that stands twice must
    tell the same twice.
    """
    told = _told(pattern, name)
    return None if told is None else _date(told)


def moment_told(pattern: str, name: str) -> datetime | None:
    """As ``date_told``, with the clock as far as the name tells it; UTC."""
    told = _told(pattern, name)
    day = None if told is None else _date(told)
    if told is None or day is None:
        return None
    hour, minute, second = (int(told.get(code, 0)) for code in "HMS")
    try:
        return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _told(pattern: str, name: str) -> dict[str, str] | None:
    found = _compiled(pattern).fullmatch(name if "/" in pattern else name.rpartition("/")[2])
    told: dict[str, str] = {}
    for group, digits in (found.groupdict() if found else {}).items():
        if told.setdefault(group[0], digits) != digits:
            return None
    return told or None


def _date(told: dict[str, str]) -> date | None:
    if not told.keys() & {"Y", "y"}:
        return None
    year = int(told["Y"]) if "Y" in told else 2000 + int(told["y"]) - 100 * (int(told["y"]) >= 69)
    try:
        if "j" in told and "m" not in told:
            day = date(year, 1, 1) + timedelta(int(told["j"]) - 1)
            return day if day.year == year else None
        return date(year, int(told.get("m", 1)), int(told.get("d", 1)))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts, seen = [], 0
    for piece in re.split(r"(%.|\*)", pattern):
        if piece == "*":
            parts.append("[^/]*")
        elif piece == "%%":
            parts.append("%")
        elif piece.startswith("%") and len(piece) == 2:
            seen += 1
            parts.append(f"(?P<{piece[1]}{seen}>[0-9]{{{WIDTHS[piece[1]]}}})")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts))
