"""Partitions of a dataset: what a backfill is counted in, and which source file belongs to which.

Here belong keys of partitions and telling a file's by its name. Not here: what is staged of a partition
(``staged_union``, ``ports/publication``), or Dagster's picture of them (``defs/partitions``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import model_validator

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.file_time import WIDTHS, codes_of, date_told
from rimrep_assets.domain.strict_model import StrictModel

FORMS = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
EXAMPLES = {"day": "2010-09-01", "month": "2010-09", "year": "2010"}
MOST_NAMED = 20


class Partition(StrictModel):
    """How a dataset's source files are counted: every file belongs to the one partition that its name tells.

    A file whose times reach over the edge of its partition still belongs to it wholly.
    """

    by: Literal["day", "month", "year"]
    start: str
    """first key: ``2010``, ``2010-09`` or ``2010-09-01``, as ``by`` says"""
    end: str | None = None
    """last key, where the dataset does not go on"""
    backfill: Literal["single", "parallel"] = "single"
    """one run for all that is asked for, or one for each partition"""
    file_time: str
    """where the time stands in a file's name: strptime codes and ``*``, e.g. ``"*_%Y%m%d.nc"``; with a ``/`` it is held
    against the whole path below the source, without one against the last part of it"""

    @model_validator(mode="after")
    def _can_be_counted(self) -> Partition:
        problems = [
            f"partition.{name} {value!r} is not written like {example}"
            for name, value in (("start", self.start), ("end", self.end))
            if value is not None and self._date(value) is None
            for example in [EXAMPLES[self.by]]
        ]
        if not problems and self.end is not None and self.end < self.start:
            problems.append(f"partition.end {self.end} lies before partition.start {self.start}")
        codes = codes_of(self.file_time)
        unknown = sorted(codes - WIDTHS.keys())
        if unknown:
            problems.append(
                f"partition.file_time: %{', %'.join(unknown)} cannot be used; known are %{' %'.join(WIDTHS)} and *"
            )
        year, month, day = bool(codes & {"Y", "y"}), bool(codes & {"m", "j"}), bool({"m", "d"} <= codes or "j" in codes)
        if not {"year": year, "month": year and month, "day": year and day}[self.by]:
            needed = {"year": "%Y", "month": "%Y and %m", "day": "%Y, %m and %d (or %j)"}[self.by]
            problems.append(f"partition.file_time {self.file_time!r} does not tell the {self.by}: it needs {needed}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _date(self, key: str) -> date | None:
        try:
            found = datetime.strptime(key, FORMS[self.by]).date()
        except ValueError:
            return None
        return found if self.key(found) == key else None

    def key(self, day: date) -> str:
        """The key of the partition that holds ``day``."""
        # Before the year 1000 strftime writes fewer than four digits.
        return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[self.by]]

    def key_of(self, name: str) -> str | None:
        """The partition of a source file; None when its name does not tell one."""
        day = date_told(self.file_time, name)
        return None if day is None else self.key(day)

    def keys(self, now: datetime) -> list[str]:
        """All keys from ``start`` to ``end``, or to the one that holds ``now``; ascending."""
        day, last = self.first_day(self.start), self.end or self.key(now.date())
        found = []
        while (key := self.key(day)) <= last:
            found.append(key)
            day = _next(day, self.by)
        return found

    def range_of(self, told: str, now: datetime) -> tuple[str, str]:
        """First and last key of ``A`` or ``A...B``, where a year or month stands for all that is in it.

        Raises: DefinitionError that says what is wrong with ``told``, and which partitions there are.
        """
        keys = self.keys(now)
        if not keys:
            raise DefinitionError(f"it has no partition yet: partition.start {self.start} has not come", advice="")
        first, dots, last = told.partition("...")
        last = last if dots else first
        wrong = self._misspelt(told, first, last, like=keys[0])
        within = [key for key in keys if key[: len(first)] >= first and key[: len(last)] <= last]
        if wrong is None and within:
            return within[0], within[-1]
        wrong = wrong or f"there is no partition in {told!r}"
        raise DefinitionError(f"{wrong}; its partitions are {keys[0]} to {keys[-1]}, one a {self.by}", advice="")

    def _misspelt(self, told: str, first: str, last: str, *, like: str) -> str | None:
        """What is wrong with how a range is written; ``like``: a key that is right."""
        if "..." not in told and ".." in told:
            begin, _, end = told.partition("..")
            return f"{told!r}: a range is written with three dots: {begin}...{end}"
        strange = [text for text in dict.fromkeys((first, last)) if not self._is_key_or_wider(text)]
        if strange:
            wider = [like[: len(example)] for example in EXAMPLES.values() if len(example) < len(like)]
            several = f", or what holds several, like {' or '.join(wider)}" if wider else ""
            return "; ".join(f"{text!r} is not a {self.by} like {like}{several}" for text in strange)
        common = min(len(first), len(last))
        if first[:common] > last[:common]:
            return f"{told!r} ends before it begins: write {last}...{first}"
        return None

    def _is_key_or_wider(self, text: str) -> bool:
        """Whether ``text`` is a key, or a year or month that holds some."""
        for by, form in FORMS.items():
            if len(text) == len(EXAMPLES[by]) <= len(EXAMPLES[self.by]):
                try:
                    datetime.strptime(text, form)
                except ValueError:
                    return False
                return True
        return False

    def first_day(self, key: str) -> date:
        """The first day of the partition ``key``."""
        found = self._date(key)
        assert found is not None, key
        return found

    def first_day_after(self, key: str) -> date:
        """The first day of the partition that follows ``key``."""
        return _next(self.first_day(key), self.by)

    def keys_of(self, names: Iterable[str]) -> dict[str, str]:
        """File name -> key. Raises: DataError naming every file that belongs to no partition, and why."""
        keys = {name: self.key_of(name) for name in names}
        problems = []
        for name, key in keys.items():
            if key is None:
                problems.append(f"{name} does not match partition.file_time {self.file_time!r}")
            elif key < self.start:
                problems.append(f"{name} lies in {key}, before partition.start {self.start}")
            elif self.end is not None and key > self.end:
                problems.append(f"{name} lies in {key}, after partition.end {self.end}")
        if problems:
            more = len(problems) - MOST_NAMED
            told = problems[:MOST_NAMED] + ([f"and {more} more files"] if more > 0 else [])
            raise DataError(
                told, advice="mend partition in dataset.yaml, or leave files out by source.include or exclude."
            )
        return {name: key for name, key in keys.items() if key is not None}

    def picking(self, partitions: Sequence[str] | None) -> Callable[[Sequence[str]], set[str]]:
        """What chooses the files of ``partitions`` (None: of all) out of a source's names; raises as ``keys_of``."""

        def pick(names: Sequence[str]) -> set[str]:
            keys = self.keys_of(names)
            return {name for name, key in keys.items() if partitions is None or key in set(partitions)}

        return pick

    def holds(self, partitions: Sequence[str] | None, name: str) -> bool:
        """Whether the file ``name`` belongs to one of ``partitions``; to None belongs every file."""
        return partitions is None or self.key_of(name) in partitions


def _next(day: date, by: str) -> date:
    if by == "day":
        return day + timedelta(1)
    if by == "month":
        return (day.replace(day=1) + timedelta(32)).replace(day=1)
    return date(day.year + 1, 1, 1)
