"""Many files, one grid: headers united by the dataset's rules into the state that is published.

Here belongs what a united grid is made of. Not here: reading a header (``grid_header``), in what files differ
(``grid_differences``), or moving values (``grid_write``, ``grid_proof``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_axis import assign_axis, name_order
from rimrep_assets.domain.grid_chunks import chunk_lengths
from rimrep_assets.domain.grid_differences import LayoutDifference, axes_apart, fits_rules, layout_differences
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import (
    Attributes,
    FileGrid,
    GridHeader,
    GridLayout,
    Number,
    Packing,
    Variable,
)
from rimrep_assets.domain.grid_reencoding import affine, is_repacked
from rimrep_assets.domain.grid_state import GridState, holders
from rimrep_assets.domain.grid_steps import Unpack
from rimrep_assets.domain.grid_time import STANDARD
from rimrep_assets.domain.grid_time_bounds import united_bounds, unreadable_bounds
from rimrep_assets.domain.grid_values import REPACK_ADVICE

__all__ = ["FileGrid", "GridHeader", "GridLayout", "GridState", "read_header", "unite"]

ADVICE = (
    "if these files do belong together, declare by what rule they are united (unite: {variables: common | all, "
    "coordinate_tolerance: ..., overlap: newest_name}; unpack or repack where packing differs; orient where axes are "
    "turned), or exclude files."
)

# What netCDF puts where nothing was written; https://docs.unidata.ucar.edu/netcdf-c/current/netcdf_8h_source.html
_DEFAULT_FILL = {
    "int8": -127,
    "uint8": 255,
    "int16": -32767,
    "uint16": 65535,
    "int32": -2147483647,
    "uint32": 4294967295,
    "int64": -9223372036854775806,
    "uint64": 18446744073709551614,
}


def unite(headers: Iterable[GridHeader], dataset: Dataset) -> GridState:
    """Make one grid of its files' headers: a pure function of them and of the dataset's rules; order plays no part.

    Without a rule, files must agree in everything but times, description and what belongs to one file. Rules:
    ``unite.variables`` lets variables be absent, standard names and flags differ (the newest file's are taken), and
    variables without time differ (the newest file's values are taken); ``unite.coordinate_tolerance`` lets axes
    differ (the newest file's values are taken, in its type); ``unite.overlap`` lets files cover the same times;
    ``unpack`` lets packing and type differ (decoded values are stored), ``repack`` packing that converts into the
    newest file's without loss. Sizes, dimensions and units must always agree.
    Raises: DataError that lists every difference between files, every time that two files cover, every time off the
    declared cadence.
    """
    known = sorted(headers, key=lambda h: h.file.name)
    _refuse_impossible(known, dataset)
    differences = _differences(known, dataset)
    if differences:
        raise DataError([*differences, *_axis_problems(known, dataset)], advice=ADVICE)
    layouts = {h.file.layout: h.layout for h in known}
    united = _United(known, dataset).layout()
    lossy = _lossy(known, united)
    if lossy:
        raise DataError([*lossy, *_axis_problems(known, dataset)], advice=REPACK_ADVICE)
    files, agreed = _attributes(known)
    state = GridState(
        files=files,
        layouts=dict(sorted(layouts.items())),
        united=united,
        attributes=agreed,
        chunks=chunk_lengths(united, dataset.layout.chunks),
        cadence=dataset.layout.cadence,
        overlap=dataset.convert.unite.overlap,
        values=_values(known, dataset),
    )
    # Built now, so that overlapping times are refused here.
    unreadable = unreadable_bounds(united, state.axis)
    if unreadable:
        raise DataError(unreadable)
    return state


def _refuse_impossible(headers: Sequence[GridHeader], dataset: Dataset) -> None:
    if not headers:
        raise DataError("there is no source file")
    twice = [name for name, n in Counter(h.file.name for h in headers).items() if n > 1]
    if twice:
        raise DataError([f"{name}: stands twice among the files" for name in twice])
    if dataset.coordinates.t is None and len(headers) > 1:
        raise DataError(
            f"{len(headers)} files, but no coordinates.t: a grid without time is made of exactly one file "
            f"({', '.join(h.file.name for h in headers[:5])}{', ...' if len(headers) > 5 else ''})",
            advice="name the time coordinate, or let source.include match one file.",
        )


def _differences(headers: Sequence[GridHeader], dataset: Dataset) -> list[str]:
    """Every difference that no rule covers; each distinct layout is held against the commonest."""
    names: dict[str, list[str]] = {}
    by_layout: dict[str, GridHeader] = {}
    values: dict[str, str] = {}
    for header in headers:
        names.setdefault(header.file.layout, []).append(header.file.name)
        by_layout.setdefault(header.file.layout, header)
        values |= header.values
    common = max(names, key=lambda digest: (len(names[digest]), [-ord(c) for c in names[digest][0]]))
    rules = dataset.convert.unite

    def told(one: str, other: str, found: Iterable[LayoutDifference]) -> list[str]:
        return [f"{d.subject}: {_named(names[one])} {d.first}; {_named(names[other])} {d.second}" for d in found]

    problems = []
    for digest, header in by_layout.items():
        if digest != common:
            found = layout_differences(by_layout[common].layout, header.layout, rules)
            problems += told(common, digest, [d for d in found if not fits_rules(d, dataset.convert)])
    if rules.coordinate_tolerance:
        # The newest file's axis is published, so it is the one that no file may be farther from.
        newest = list(dict.fromkeys(header.file.layout for header in _newest_first(headers)))
        for name in sorted({name for header in headers for name in header.layout.coordinates()}):
            holders = [digest for digest in newest if name in by_layout[digest].layout.coordinates()]
            first = by_layout[holders[0]].layout.variables[name]
            for digest in holders[1:]:
                other = by_layout[digest].layout.variables[name]
                problems += told(holders[0], digest, axes_apart(name, first, other, values, rules.coordinate_tolerance))
    return problems


def _newest_first(headers: Sequence[GridHeader]) -> list[GridHeader]:
    """Headers by the last time of their file, the latest first."""
    return sorted(headers, key=lambda h: (h.file.times[-1:] or (0,), name_order(h.file.name)), reverse=True)


def _axis_problems(headers: Sequence[GridHeader], dataset: Dataset) -> list[str]:
    """What is wrong with the times of files that do not fit each other, so that all is told at once."""
    calendars = {h.layout.time.calendar for h in headers if h.layout.time is not None}
    if len(calendars) != 1:
        return []
    try:
        assign_axis(
            [h.file for h in headers if h.layout.time is not None],
            dataset.layout.cadence,
            calendars.pop(),
            dataset.convert.unite.overlap,
        )
    except DataError as error:
        return list(error.problems)
    return []


def _lossy(headers: Sequence[GridHeader], united: GridLayout) -> list[str]:
    """Variables whose packing cannot become the published one without loss, whatever their values."""
    names: dict[str, list[str]] = {}
    for header in headers:
        names.setdefault(header.file.layout, []).append(header.file.name)
    layouts = {h.file.layout: h.layout for h in headers}
    return [
        f"{name}: {_named(names[digest])} {of_file.dtype} with {of_file.packing}, which does not become "
        f"{published.dtype} with {published.packing} without loss"
        for digest, layout in layouts.items()
        for name, of_file in layout.variables.items()
        for published in [united.variables.get(name)]
        if published and is_repacked(of_file, published) and affine(of_file, published) is None
    ]


def _named(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]}{f' (and {more} more)' if more else ''} has"


@dataclass
class _United:
    """The layout that the files share under the rules."""

    headers: Sequence[GridHeader]
    dataset: Dataset

    def layout(self) -> GridLayout:
        distinct = list({h.file.layout: h.layout for h in _newest_first(self.headers)}.values())
        names = self._names(distinct)
        time = distinct[0].time
        variables: dict[str, Variable] = {}
        dimensions: dict[str, int] = {}
        for name in names:
            holders = [layout for layout in distinct if name in layout.variables]
            variables[name] = self._variable(name, holders, lacking=len(holders) < len(distinct))
            dimensions |= {d: holders[0].dimensions[d] for d in variables[name].dims if not time or d != time.dim}
        return GridLayout(dimensions=dict(sorted(dimensions.items())), variables=variables, time=time)

    def _names(self, layouts: Sequence[GridLayout]) -> list[str]:
        sets = [set(layout.variables) for layout in layouts]
        if self.dataset.convert.unite.variables == "common":
            return sorted(set.intersection(*sets))
        return sorted(set.union(*sets))

    def _variable(self, name: str, holders: Sequence[GridLayout], *, lacking: bool) -> Variable:
        variable = holders[0].variables[name]
        variable = variable.model_copy(update={"source_dims": variable.dims, "spans": {}, "wrap": None})
        plain = variable.role != "coordinate" and variable.time_bounds is None
        if self.dataset.convert.unpack and plain:
            variable = unpacked(variable, [h.variables[name] for h in holders], self.dataset.convert.unpack)
        gaps = holders[0].varies(name) and (lacking or self.dataset.layout.cadence is not None)
        if variable.time_bounds is not None:
            calendar = holders[0].time.calendar if holders[0].time else STANDARD
            variable = united_bounds(variable, [h.variables[name].time_bounds for h in holders], calendar, gaps)
        fill = fill_of_gaps(variable)
        if gaps and fill is not None:
            # Times without a file need a number that says so, and readers must be told which.
            packing = variable.packing.model_copy(update={"fill": fill})
            variable = variable.model_copy(update={"packing": packing})
        return variable


def fill_of_gaps(variable: Variable) -> Number | None:
    """The platform's own number for times without a file, for a variable whose files declare none; None where they
    do, or where NaN says it."""
    fill = _DEFAULT_FILL.get(variable.dtype)
    return None if fill is None or variable.packing.fill is not None else Number(dtype=variable.dtype, value=fill)


def unpacked(variable: Variable, of_files: Sequence[Variable], step: Unpack) -> Variable:
    """``variable`` as decoded floats with NaN for no value, when it is packed or its files pack differently."""
    drifts = len({(v.dtype, v.packing.model_dump_json()) for v in of_files}) > 1
    if not (drifts or any(v.packing.scales for v in of_files)):
        return variable
    fill = Number(dtype=step.data_type, value="NaN")
    return variable.model_copy(update={"dtype": step.data_type, "packing": Packing(fill=fill)})


def _attributes(headers: Sequence[GridHeader]) -> tuple[tuple[FileGrid, ...], Attributes]:
    """Files that keep only what they alone say, and the attributes in which all agree.

    A variable's attribute is agreed upon when every file that has the variable has it with the same value.
    """
    agreed: Attributes = {}
    seen: set[str] = set()
    for header in headers:
        for name in holders(header.layout):
            own = header.file.attributes.get(name, {})
            if name not in seen:
                seen.add(name)
                agreed[name] = dict(own)
            else:
                agreed[name] = {k: v for k, v in agreed[name].items() if k in own and own[k] == v}
    files = []
    for header in headers:
        rest = {
            name: left
            for name, own in header.file.attributes.items()
            if (left := {k: v for k, v in own.items() if k not in agreed[name]})
        }
        files.append(FileGrid.model_construct(**{**header.file.__dict__, "attributes": rest}))
    return tuple(files), {name: found for name, found in sorted(agreed.items()) if found}


def _values(headers: Sequence[GridHeader], dataset: Dataset) -> dict[str, str]:
    if not dataset.convert.unite.coordinate_tolerance:
        return {}
    merged: dict[str, str] = {}
    for header in headers:
        merged |= header.values
    return dict(sorted(merged.items()))
