"""The times of one source file: from its time coordinate, or from where ``set_time`` says; put right by ``fix_time``.

Here belongs everything about time that one file tells. Not here: units and calendars (``grid_time``), or the axis that
the files have together (``grid_axis``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.file_time import moment_told
from rimrep_assets.domain.grid_attributes import packing_of, references_of
from rimrep_assets.domain.grid_file import RawFile
from rimrep_assets.domain.grid_layout import GridTime, TimeBounds
from rimrep_assets.domain.grid_steps import FixTime, SetTime
from rimrep_assets.domain.grid_time import STANDARD, TimeUnits, cadence_us, decode_times, iso_time, parse_units
from rimrep_assets.domain.grid_time_bounds import are_whole, decoded_bounds
from rimrep_assets.domain.grid_values import decode, native, numbers_and_gaps
from rimrep_assets.domain.strict_model import nearest

ROUNDING_SHARE = 10
"""``fix_time.round`` moves no time by more than the step divided by this"""
GREGORIAN_SINCE = -12_219_292_800_000_000
"""1582-10-15 in microseconds since 1970: from then on dates of CF's ``standard`` calendar are those of ISO 8601"""
_TOLD = 5


@dataclass(frozen=True)
class FileTimes:
    """What one file says of time. ``times``: microseconds since 1970, ascending; ``positions``: where each stands in
    the file, empty where they stand there in this order and without others."""

    axis: GridTime
    times: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


@dataclass
class TimeReading:
    """The time of one open file; ``problems`` gathers what is wrong with it."""

    file: RawFile
    name: str
    dataset: Dataset
    renamed: Callable[[str], str]
    problems: list[str]

    @property
    def step(self) -> SetTime | None:
        return self.dataset.convert.set_time

    def source(self) -> str | None:
        """The variable (its name in the file) that tells the time; None where no variable does, or none is there."""
        told = self.dataset.coordinates.t if self.step is None else self.step.variable
        return None if told is None else self._by_published(told)

    def own(self) -> str | None:
        """The variable (its name in the file) that has the name of the published axis."""
        name = self.dataset.coordinates.t
        return None if name is None else self._by_published(name)

    def read(self) -> FileTimes | None:
        """None where the grid has no time, or the file's cannot be told (then there are problems)."""
        if self.dataset.coordinates.t is None:
            return None
        if self.step is not None and self.step.variable is None:
            moment = self._from_attribute(self.step) if self.step.attribute else self._from_name(self.step)
            axis = self._axis(None, STANDARD, "")
            return None if moment is None or axis is None else FileTimes(axis, (moment,))
        return self._from_variable()

    def _by_published(self, name: str) -> str | None:
        return next((n for n in self.file.variables if self.renamed(n) == name), None)

    def _axis(self, variable: Any, calendar: str, units: str) -> GridTime | None:
        """The time axis; a ``variable`` of one dimension brings it, else it is of size 1."""
        name = str(self.dataset.coordinates.t)
        if variable is not None and len(variable.dimensions) == 1:
            return GridTime(name=name, dim=self.renamed(variable.dimensions[0]), units=units, calendar=calendar)
        own = self.own()
        dims = self.file.variables[own].dimensions if own is not None else ()
        dim = self.renamed(dims[0]) if len(dims) == 1 else name
        size = next((len(d) for n, d in self.file.dimensions.items() if self.renamed(n) == dim), 1)
        if size != 1:
            self.problems.append(f"set_time gives one time, but the file has {size} steps along {dim!r}")
            return None
        return GridTime(name=name, dim=dim, units=units, calendar=calendar)

    def _from_variable(self) -> FileTimes | None:
        source = self.source()
        if source is None:
            # An absent coordinates.t is told with the other coordinates.
            if self.step is not None:
                known = [self.renamed(n) for n in self.file.variables]
                hint = nearest(str(self.step.variable), known)
                self.problems.append(f"set_time.variable: there is no variable {self.step.variable!r}{hint}")
            return None
        variable, key = self.file.variables[source], "coordinates.t" if self.step is None else "set_time.variable"
        name = self.renamed(source)
        if len(variable.dimensions) != 1 and (self.step is None or variable.dimensions):
            what = f"dimensions {variable.dimensions}" if variable.dimensions else "no dimension"
            advice = "" if variable.dimensions else f"; with set_time: {{variable: {name}}} the file gets one"
            self.problems.append(f"{key}: {name!r} has {what}; a time axis has exactly one{advice}")
            return None
        units = self._units(variable, key, name)
        if units is None:
            return None
        axis = self._axis(variable, units.calendar, units.words if units.calendar != STANDARD else "")
        if axis is None:
            return None
        times, positions = self._decoded(variable, key, units)
        return FileTimes(axis, times, positions)

    def _units(self, variable: Any, key: str, name: str) -> TimeUnits | None:
        units = getattr(variable, "units", None)
        if not isinstance(units, str):
            advice = "" if self.step else "; set_time says where else the time stands"
            self.problems.append(f"{key}: {name!r} has no units, so its times are unknown{advice}")
            return None
        try:
            return parse_units(units, getattr(variable, "calendar", None))
        except ValueError as error:
            self.problems.append(f"{key}: {name!r} cannot be decoded: {error}")
            return None

    def _decoded(self, variable: Any, key: str, units: TimeUnits) -> tuple[tuple[int, ...], tuple[int, ...]]:
        name = self.renamed(variable.name)
        values = native(variable[...]).reshape(-1)
        if not values.size:
            self.problems.append(f"the time axis {name!r} is empty")
            return (), ()
        if values.dtype.kind not in "iuf":
            self.problems.append(f"{key}: {name!r} holds {values.dtype.name}, not numbers")
            return (), ()
        try:
            times = decode_times(_unpacked(values, variable), units)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return (), ()
        if (
            units.calendar == STANDARD
            and min(times) < GREGORIAN_SINCE
            and not _is_proleptic(getattr(variable, "calendar", ""))
        ):
            first = iso_time(min(times), STANDARD)
            self.problems.append(
                f"{name}: has times before 1582-10-15, which its calendar counts by Julian years; published they have "
                f"other dates ({first} is the first of them); have them written in proleptic_gregorian"
            )
            return (), ()
        problems, fixed, positions = put_right(times, self.dataset.convert.fix_time, units.calendar)
        more = len(problems) - _TOLD
        told = problems[:_TOLD] + ([f"and {more} more"] if more > 0 else [])
        self.problems += [f"{name}: {problem}" for problem in told]
        return fixed, positions

    def bounds(self, name: str, source: str, owner: str | None, axis: GridTime | None) -> TimeBounds | None:
        """What bounds (or a climatology) of the time axis say of their times; None of all other variables.

        ``source`` and ``owner``, the axis, are names in the file. Bounds that cannot be decoded are a problem.
        """
        if axis is None or owner is None:
            return None
        if source not in references_of(self.file.variables[owner], "bounds", "climatology"):
            return None
        try:
            return bounds_told(self.file.variables[source], self.file.variables[owner], axis.calendar)
        except ValueError as error:
            words = f"{name}: bounds of time that cannot be decoded: {error}; {self.left_out(source)}"
            self.problems.append(words)
            return None

    def left_out(self, source: str) -> str:
        """How a variable that cannot be published is left out."""
        return f"{self.dataset.convert.reader()}: {{drop: [{source}]}} leaves them out"

    def _from_attribute(self, step: SetTime) -> int | None:
        name = str(step.attribute)
        if name not in self.file.ncattrs():
            known = nearest(name, self.file.ncattrs())
            self.problems.append(f"set_time.attribute: the file has no attribute {name!r}{known}")
            return None
        value = self.file.getncattr(name)
        if step.format is not None and getattr(value, "dtype", None) is not None and value.dtype.kind in "iu":
            # 20240101, as a number.
            value = str(value)
        try:
            if not isinstance(value, str):
                raise ValueError("not a text")
            if step.format is not None:
                moment = datetime.strptime(value.strip(), step.format)
            else:
                moment = datetime.fromisoformat(value.strip())
        except ValueError:
            how = f"as set_time.format {step.format!r} says" if step.format else "ISO 8601 (set_time.format says how)"
            told = repr(value[:60]) if isinstance(value, str) else f"the {type(value).__name__} {value}"
            self.problems.append(f"set_time.attribute: {name} is {told}, which is not a time {how}")
            return None
        return _microseconds(moment)

    def _from_name(self, step: SetTime) -> int | None:
        moment = moment_told(str(step.name), self.name)
        if moment is None:
            self.problems.append(f"set_time.name: the file's name does not match {step.name!r}")
            return None
        return _microseconds(moment)


def _is_proleptic(calendar: object) -> bool:
    return str(calendar).strip().lower() == "proleptic_gregorian"


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _unpacked(values: Any, variable: Any) -> Any:
    """A time variable's numbers, packing and fill honoured."""
    packing = packing_of(variable, values.dtype.name)
    if packing.scales or packing.fill is not None or packing.missing:
        decoded = decode(values, packing)
        return decoded if packing.scales or (decoded != decoded).any() else values
    return values


def bounds_told(bounds: Any, owner: Any, calendar: str) -> TimeBounds:
    """What a variable says as bounds of the time axis ``owner``, whose ``calendar`` is the published one.

    Bounds may leave to their axis what their numbers count (CF 7.1).
    Raises: ValueError in words where they cannot be decoded as times of that calendar.
    """
    told = {n: v.getncattr(n) for v in (owner, bounds) for n in ("units", "calendar") if n in v.ncattrs()}
    units, named = str(told["units"]), str(told.get("calendar", ""))
    parsed = parse_units(units, named)
    if parsed.calendar != calendar:
        raise ValueError(f"calendar {parsed.calendar}, the axis has {calendar}")
    raw = native(bounds[...])
    numbers, hidden = numbers_and_gaps(raw, packing_of(bounds, raw.dtype.name))
    times = decoded_bounds(numbers, hidden, parsed)
    if calendar == STANDARD and min(times, default=0) < GREGORIAN_SINCE and not _is_proleptic(named):
        raise ValueError("has times before 1582-10-15, which its calendar counts by Julian years")
    whole = are_whole(times, calendar)
    return TimeBounds(units=units, calendar=named, whole=whole, lacking=bool(hidden.any()))


def put_right(
    times: Sequence[int], step: FixTime | None, calendar: str
) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
    """Problems, times in ascending order, and their positions in the file (empty where nothing was moved).

    Without ``step`` nothing is changed, and equal or descending times are problems.
    """
    problems: list[str] = []
    order = list(range(len(times)))
    held = list(times)
    if step is not None:
        if step.round is not None:
            problems, held = _rounded(times, step.round, calendar)
        if step.sort:
            order.sort(key=lambda position: (held[position], position))
        if step.duplicates != "refuse":
            order = _without_duplicates(order, held, keep_last=step.duplicates == "last")
    for before, after in pairwise(order):
        if held[after] <= held[before]:
            word = "again" if held[after] == held[before] else "before the one in front of it"
            problems.append(f"position {after} has {iso_time(held[after], calendar)} {word}")
    moved = order != list(range(len(times)))
    return problems, tuple(held[position] for position in order), tuple(order) if moved else ()


def _rounded(times: Sequence[int], step: str, calendar: str) -> tuple[list[str], list[int]]:
    length = cadence_us(step)
    rounded = [(time + length // 2) // length * length for time in times]
    problems = [
        f"position {position} has {iso_time(exact, calendar)}, which is farther than a tenth of {step} from "
        f"{iso_time(near, calendar)}: that is no error of rounding (fix_time.round)"
        for position, (exact, near) in enumerate(zip(times, rounded, strict=True))
        if abs(exact - near) * ROUNDING_SHARE > length
    ]
    return problems, rounded


def _without_duplicates(order: Sequence[int], times: Sequence[int], *, keep_last: bool) -> list[int]:
    """Of the positions in ``order`` those that remain when every time is taken once."""
    kept: dict[int, int] = {}
    for position in sorted(order, reverse=keep_last):
        kept.setdefault(times[position], position)
    return [position for position in order if kept[times[position]] == position]
