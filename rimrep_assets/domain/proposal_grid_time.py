"""Where the time of a grid's files stands, when no time axis tells it: what ``set_time`` could take it from.

Here belongs finding a variable without dimension, an attribute or a date in names that tells every file's time. Not
here: roles of variables (``proposal_grid_roles``), trying what is found on the files (``proposal_grid_rules``), or
reading times for good (``grid_file_time``).
Source: https://wiki.esipfed.org/Attribute_Convention_for_Data_Discovery_1-3 (time_coverage_start)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rimrep_assets.domain.file_time import moment_told
from rimrep_assets.domain.grid_file import RawFile, open_raw
from rimrep_assets.domain.grid_time import decode_times, parse_units
from rimrep_assets.domain.grid_values import native
from rimrep_assets.domain.proposal import Draft
from rimrep_assets.domain.proposal_grid_roles import evidence, said, says_it_is_time, time_problem
from rimrep_assets.domain.proposal_marks import GUESS
from rimrep_assets.domain.proposal_names import Family

FORMATS = (None, "%Y%m%d", "%Y%m%d%H%M%S", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d-%b-%Y", "%d-%b-%Y %H:%M:%S")
"""``set_time.format`` that are tried on an attribute (None: ISO 8601, a text); none reads one text in two ways"""
SURE = 7
"""evidence (units, with name, standard_name or axis) from which a variable is the time, and no other of the file"""
_TIMES = re.compile(r"time|date|day|start|begin", re.IGNORECASE)
_OTHER_TIMES = re.compile(
    r"creat|modif|issue|updat|process|histor|generat|publi|reference|end|stop|last|resolution|duration", re.IGNORECASE
)
"""attributes that tell when a file was made, or the end of what it covers"""
_FIRST = "time_coverage_start"
WHAT_SET_TIME_DOES = (
    "set_time takes the time from elsewhere: `variable`: another variable with units like 'days since 1990-01-01'; "
    "for files of one time each also `attribute`: a global attribute like time_coverage_start, or `name`: the date in "
    "the file's name"
)


@dataclass(frozen=True)
class TimeSource:
    """One place that may tell the time; ``step`` None: the axis that the draft names, or no time at all."""

    step: Mapping[str, str] | None = None
    axis: str = ""
    """the name of the published axis"""
    why: str = ""

    def put(self, draft: Draft, problems: Sequence[str]) -> None:
        """Let ``draft`` take the time from here, because of ``problems`` with likelier places."""
        if self.step is not None:
            draft.put("coordinates.t", self.axis)
            draft.put("convert.set_time", dict(self.step), "; ".join([self.why, *problems[:1]]))


@dataclass(frozen=True)
class Scalar:
    """A variable without dimension that holds one time, in microseconds since 1970, and what speaks for it."""

    score: int
    reasons: str
    time: int


@dataclass(frozen=True)
class Clock:
    """What one file says of time beside a time axis."""

    scalars: Mapping[str, Scalar]
    """variables without dimension that hold a time"""
    unread: tuple[tuple[str, str], ...]
    """axes that say they are the time and cannot be decoded, each with why, in words"""
    attributes: Mapping[str, Any]


def clock_of(name: str, path: Path) -> Clock:
    """Look at one file's header. Raises: DataError as ``open_raw`` does."""
    with open_raw(path, name) as file:
        scalars = {}
        for n, v in file.variables.items():
            score, reasons = evidence(n, v, "t")
            if v.ndim == 0 and score and (time := _time_in(v)) is not None:
                scalars[n] = Scalar(score, ", ".join(reasons), time)
        return Clock(scalars, tuple(_unread(file)), {key: file.getncattr(key) for key in file.ncattrs()})


def _time_in(variable: Any) -> int | None:
    """The time that a variable without dimension holds; None where it holds none."""
    if time_problem(variable) is not None:
        return None
    try:
        units = parse_units(said(variable, "units"), said(variable, "calendar") or None)
        return decode_times(native(variable[...]), units)[0]
    except ValueError:
        return None


def _unread(file: RawFile) -> Iterator[tuple[str, str]]:
    for name, variable in file.variables.items():
        by, problem = says_it_is_time(name, variable), time_problem(variable)
        # Texts of one length are characters along a dimension of their own.
        most = 1 if getattr(variable.dtype, "kind", "O") in "iuf" else 2
        if by is not None and problem is not None and 1 <= variable.ndim <= most:
            count = len(file.dimensions[variable.dimensions[0]])
            what = "1 time is" if count == 1 else f"{count} times are"
            yield name, f"{name!r} is the time axis by {by}, but {problem}, so its {what} unknown"


def time_sources(files: Mapping[str, Path], family: Family, draft: Draft) -> tuple[list[TimeSource], list[str]]:
    """The places that may tell the time, the likeliest first, and what is wrong where the files' axis does not.

    ``files`` are those of ``family`` that are looked into. A date or attribute tells a time only where it differs from
    file to file.
    """
    clocks = {name: clock_of(name, path) for name, path in files.items()}
    axis = draft.keys["coordinates"].get("t")
    unread = [(name, *told) for name, clock in clocks.items() for told in clock.unread]
    found: list[TimeSource] = []
    problems: list[str] = []
    if axis is not None or (len(family.names) == 1 and not unread):
        found.append(TimeSource())
    elif unread:
        alike: dict[str, list[str]] = {}
        for file, _, words in unread:
            alike.setdefault(words, []).append(file)
        problems += [f"{_several(names)}: {words}" for words, names in alike.items()]
    else:
        problems.append(
            f"{len(family.names)} files, and none says its time on an axis with units like 'days since 1990-01-01' "
            f"({', '.join(list(files)[:3])}{', ...' if len(files) > 3 else ''})"
        )
    if axis is None and found:
        return found, []
    name = axis or (unread[0][1] if unread else "time")
    found += _variables(clocks, axis)
    found += _attributes(clocks, name)
    found += _names(family, name)
    return found, problems


def _variables(clocks: Mapping[str, Clock], axis: str | None) -> Iterator[TimeSource]:
    found: dict[str, list[Scalar]] = {}
    for clock in clocks.values():
        for name, scalar in clock.scalars.items():
            found.setdefault(name, []).append(scalar)
    for name, scalars in sorted(found.items(), key=lambda item: -item[1][0].score):
        is_sure = scalars[0].score >= SURE
        if (axis is None or name == axis) and (is_sure or len({s.time for s in scalars}) == len(clocks)):
            why = f"{name} tells the time of each file, but has no dimension ({scalars[0].reasons})"
            yield TimeSource({"variable": name if is_sure else f"{GUESS}{name}"}, name, why)


def _attributes(clocks: Mapping[str, Clock], axis: str) -> Iterator[TimeSource]:
    first, clock = next(iter(clocks.items()))
    told = [key for key in clock.attributes if _TIMES.search(key) and not _OTHER_TIMES.search(key)]
    for key in sorted(told, key=lambda key: (key.lower() != _FIRST, key)):
        values = [other.attributes.get(key, "") for other in clocks.values()]
        for form in FORMATS:
            moments = [_moment(value, form) for value in values]
            if None in moments or len(set(moments)) < len(moments):
                continue
            step = {"attribute": f"{GUESS}{key}", **({"format": form} if form else {})}
            why = f"it differs from file to file, and is {values[0]} in {first}"
            yield TimeSource(step, axis, why)
            break


def _moment(value: Any, form: str | None) -> datetime | None:
    is_whole = getattr(getattr(value, "dtype", None), "kind", "") in "iu" and getattr(value, "size", 0) == 1
    if not isinstance(value, str) and not (is_whole and form is not None):
        return None
    text = str(value).strip()
    try:
        moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    except ValueError:
        return None
    if form is not None and moment.strftime(form).lower() != text.lower():
        # strptime reads 2024061, the 61st day, as the 1st of June.
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _names(family: Family, axis: str) -> Iterator[TimeSource]:
    if family.pattern is None:
        return
    moments = [moment_told(family.pattern, name) for name in family.names]
    if None in moments or len(set(moments)) < len(moments):
        return
    why = f"{family.names[0]} tells {moments[0]:%Y-%m-%dT%H:%MZ}"
    yield TimeSource({"name": f"{GUESS}{family.pattern}"}, axis, why)


def _several(names: Sequence[str]) -> str:
    return f"{names[0]} (and {len(names) - 1} more)" if len(names) > 1 else names[0]
