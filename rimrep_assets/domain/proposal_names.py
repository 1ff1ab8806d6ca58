"""What the names of source files tell: which belong together, which times they carry, what the dataset may be called.

Here belongs everything that is told by names alone. Not here: what the files hold (``proposal_table``,
``proposal_grid``), or listing a folder (``ports/proposing``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from rimrep_assets.domain.dataset import TAKEN
from rimrep_assets.domain.partition import WIDTHS, Partition

LONGEST_ID = 60
_EARLIEST = {"day": "1900-01-01", "month": "1900-01", "year": "1900"}
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3])[0-5]\d"
_DATES: tuple[tuple[str, str], ...] = (
    (rf"(?<!\d){_YEAR}{_MONTH}{_DAY}([T_-]?){_CLOCK}[0-5]\d(?!\d)", r"%Y%m%d{}%H%M%S"),
    (rf"(?<!\d){_YEAR}{_MONTH}{_DAY}([T_-]?){_CLOCK}(?!\d)", r"%Y%m%d{}%H%M"),
    (rf"(?<!\d){_YEAR}{_MONTH}{_DAY}(?!\d)", r"%Y%m%d"),
    (rf"(?<!\d){_YEAR}([-_.]){_MONTH}\1{_DAY}(?!\d)", r"%Y{0}%m{0}%d"),
    (rf"(?<!\d){_YEAR}([-_.]){_MONTH}(?!\d)", r"%Y{}%m"),
    (rf"(?<!\d){_YEAR}{_MONTH}(?!\d)", r"%Y%m"),
    (rf"(?<!\d){_YEAR}(?:[0-2]\d\d|3[0-6]\d)(?!\d)", r"%Y%j"),
    (rf"(?<!\d){_YEAR}(?!\d)", r"%Y"),
)
"""dates as they stand in names, the most telling first, with what stands for them in ``partition.file_time``"""


@dataclass(frozen=True)
class Family:
    """Files of a source that look like one dataset; ``pattern`` as in ``partition.file_time``, None without dates."""

    names: tuple[str, ...]
    pattern: str | None
    include: str
    """the glob that takes them"""


def pattern_of(name: str) -> str | None:
    """``name`` with codes for its date and ``*`` for later numbers of four digits and more; None without a date.

    Folders above the file count where they are a year, a month, a day.
    """
    folders, _, last = name.rpartition("/")
    for form, codes in _DATES:
        found = re.search(form, last)
        if found:
            told = codes.format(*(part or "" for part in found.groups()))
            after = re.sub(r"\d{4,}", "*", _escaped(last[found.end() :]))
            stem = f"{_escaped(last[: found.start()])}{told}{after}"
            return "/".join([*_folder_codes(folders), stem]) if folders else stem
    codes_above = _folder_codes(folders) if folders else []
    if not any(part.startswith("%") for part in codes_above):
        return None
    return "/".join([*codes_above, re.sub(r"\d+", "*", _escaped(last))])


def _folder_codes(folders: str) -> list[str]:
    found: list[str] = []
    for part in folders.split("/"):
        before = found[-1] if found else ""
        if re.fullmatch(_YEAR, part):
            found.append("%Y")
        elif before == "%Y" and re.fullmatch(_MONTH, part):
            found.append("%m")
        elif before == "%Y" and re.fullmatch(r"\d{3}", part):
            found.append("%j")
        elif before == "%m" and re.fullmatch(_DAY, part):
            found.append("%d")
        else:
            found.append(_escaped(part))
    return found


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def glob_of(pattern: str) -> str:
    """The glob that takes the names of a ``file_time`` pattern."""
    parts = []
    for piece in re.split(r"(%.|\*)", pattern):
        if piece == "%%":
            parts.append("%")
        elif len(piece) == 2 and piece[0] == "%":
            parts.append("?" * WIDTHS[piece[1]])
        else:
            parts.append(piece if piece == "*" else literal_glob(piece))
    return "".join(parts)


def literal_glob(name: str) -> str:
    """The glob that takes ``name`` alone."""
    return re.sub(r"[\[\]*?]", lambda found: f"[{found[0]}]", name)


def families(names: Iterable[str]) -> list[Family]:
    """Names that differ in their dates, or in numbers, are one family; the largest first."""
    groups: dict[tuple[str | None, str], list[str]] = {}
    for name in sorted(names):
        pattern = pattern_of(name)
        groups.setdefault((pattern, pattern or re.sub(r"\d+", "*", name)), []).append(name)
    found = [_family(group, pattern, masked) for (pattern, masked), group in groups.items()]
    return sorted(found, key=lambda family: (-len(family.names), family.names))


def family_of(name: str, beside: Iterable[str]) -> Family:
    """The family of one file among those ``beside`` it; without a date in its name it stands alone."""
    pattern = pattern_of(name)
    alike = sorted({name, *(other for other in beside if pattern is not None and pattern_of(other) == pattern)})
    return _family(alike, pattern, "")


def _family(names: Sequence[str], pattern: str | None, masked: str) -> Family:
    if len(names) == 1:
        return Family(tuple(names), pattern, literal_glob(names[0]))
    if pattern is not None:
        return Family(tuple(names), pattern, glob_of(pattern))
    return Family(tuple(names), None, "*".join(literal_glob(part) for part in masked.split("*")))


def rhythm_of(family: Family) -> str | None:
    """How often files come, a word of ``update.expected``, from the dates in names; None where they say nothing."""
    days = sorted(_days(family))
    if len(days) < 2 or family.pattern is None:
        return None
    if max(Counter(days).values()) > 1:
        return "hourly" if "%H" in family.pattern else None
    gap = min((b - a).days for a, b in pairwise(days))
    return next((word for most, word in ((1, "daily"), (8, "weekly"), (31, "monthly")) if gap <= most), "yearly")


def partition_of(family: Family) -> dict[str, str] | None:
    """Keys of ``partition`` for files whose names carry dates; None where there is one file, or no date."""
    days, rhythm = _days(family), rhythm_of(family)
    if rhythm is None or family.pattern is None:
        return None
    by = {"hourly": "day", "yearly": "year"}.get(rhythm, "month")
    first = min(days).isoformat()[: len(_EARLIEST[by])]
    return {"by": by, "start": first, "file_time": family.pattern}


def _days(family: Family) -> list[date]:
    """The day (or first day of month, year) that each name tells; empty unless all of them tell one."""
    pattern = family.pattern or ""
    by = "day" if "%d" in pattern or "%j" in pattern else "month" if "%m" in pattern else "year"
    if "%Y" not in pattern:
        return []
    partition = Partition.model_validate({"by": by, "start": _EARLIEST[by], "file_time": pattern})
    keys = [partition.key_of(name) for name in family.names]
    return [partition.first_day(key) for key in keys if key is not None] if None not in keys else []


def words_of(family: Family) -> list[str]:
    """The words of the files' name without its date, numbers and suffix apart."""
    pattern = family.pattern or ""
    # A year in the name of a single file is part of what it is called; in a series, and as a whole date, it is not.
    dated = pattern if len(family.names) > 1 or "%d" in pattern or "%j" in pattern else ""
    last = (dated or family.names[0].replace("%", "%%")).rpartition("/")[2]
    stem = re.sub(r"(%[A-Za-z][T_.-]?)+Z?|\*", " ", last.rpartition(".")[0] or last).replace("%%", "%")
    if family.pattern is None and len(family.names) > 1:
        stem = re.sub(r"\d+", " ", stem)
    return [word for word in re.split(r"[\s_.,;:()\[\]+-]+", stem) if word]


def id_from(words: Sequence[str]) -> str:
    """An id like ``noaa-crw-dhw`` from words; ``dataset`` where nothing of them can stand in an id."""
    plain = unicodedata.normalize("NFKD", "-".join(words)).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    slug = slug[:LONGEST_ID].rstrip("-") or "dataset"
    return f"{slug}-data" if slug in TAKEN else slug


def title_from(words: Sequence[str]) -> str:
    """A title of at least three characters from words."""
    text = " ".join(words).strip()
    text = text[:1].upper() + text[1:]
    return text if len(text) >= 3 else f"Dataset {text}".strip()
