"""The proposed form of a grid: its coordinates, what is left out, chunks, cadence, schema.

Here belongs what headers tell of one grid. Not here: which variable is what (``proposal_grid_roles``), by what rules
files become one grid (``proposal_grid_rules``), words for people (``proposal_words``), names of files
(``proposal_names``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_attributes import references_of
from rimrep_assets.domain.grid_classic import missing_bytes
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_file import RawFile, open_raw
from rimrep_assets.domain.grid_file_time import bounds_told
from rimrep_assets.domain.grid_layout import Number
from rimrep_assets.domain.grid_schema import curated_part, schema_of
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats
from rimrep_assets.domain.grid_time import DAY, HOUR, MINUTE, SECOND, STANDARD, iso_duration, parse_units
from rimrep_assets.domain.grid_write import write_grid
from rimrep_assets.domain.gridded import fill_of_gaps, unite
from rimrep_assets.domain.proposal import Draft
from rimrep_assets.domain.proposal_grid_roles import coordinate, is_numeric, said

MONTH = 28 * DAY
"""months and years are steps of no fixed length, also where the times looked at happen to be equally far apart"""
MOST_GAPS = 2.0
"""a regular axis that were longer than this many times the times that there are is mostly fill"""


def propose_grid(name: str, path: Path, draft: Draft) -> dict[str, Any]:
    """Fill ``draft`` from the header of one file; return the file's global attributes.

    Raises: DataError when it is no NetCDF, or has no coordinates x and y.
    """
    refuse_broken(name, path)
    with open_raw(path, name) as file:
        text = [n for n, v in file.variables.items() if not is_numeric(v)]
        twice = [n for n, v in file.variables.items() if len(set(v.dimensions)) < len(v.dimensions)]
        draft.put("convert.read_netcdf", {"drop": [*text, *twice]} if text or twice else {})
        if text or twice:
            draft.why["convert.read_netcdf"] = "these hold text, or have a dimension twice, which a grid cannot have"
        for part in ("x", "y", "z", "t"):
            found, why = coordinate(file, part, {*text, *twice})
            if found:
                draft.put(f"coordinates.{part}", found, why)
        _refuse_placeless(name, file, draft)
        _drop_no_times(file, draft)
        return {key: file.getncattr(key) for key in file.ncattrs()}


def _drop_no_times(file: RawFile, draft: Draft) -> None:
    """Drop bounds of time that cannot be decoded, without which the file would be refused."""
    owner = file.variables.get(draft.keys["coordinates"].get("t", ""))
    if owner is None:
        return
    try:
        calendar = parse_units(said(owner, "units"), said(owner, "calendar")).calendar
    except ValueError:
        # That the axis cannot be decoded is told when the header is read.
        return
    for bounds in references_of(owner, "bounds", "climatology"):
        if bounds not in file.variables or not is_numeric(file.variables[bounds]):
            continue
        try:
            bounds_told(file.variables[bounds], owner, calendar)
        except ValueError as error:
            dropped = draft.keys["convert"]["read_netcdf"].get("drop", [])
            draft.put("convert.read_netcdf", {"drop": [*dropped, bounds]})
            why = draft.why.get("convert.read_netcdf")
            told = f"the bounds of time {bounds} cannot be decoded ({error})"
            draft.why["convert.read_netcdf"] = f"{why}; {told}" if why else told


def refuse_broken(name: str, path: Path) -> None:
    """Raise DataError for a file that no rule makes readable: it is empty, cut, or no NetCDF."""
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        short = missing_bytes(path)
    except ValueError as error:
        raise DataError(f"{name}: cannot be read as NetCDF: {error}") from error
    if short:
        raise DataError(f"{name}: is cut: {short} bytes fewer than its header says")


def _refuse_placeless(name: str, file: RawFile, draft: Draft) -> None:
    lacking = [part for part in ("x", "y") if part not in draft.keys.get("coordinates", {})]
    if lacking:
        there = ", ".join(f"{n} ({', '.join(v.dimensions) or 'one value'})" for n, v in file.variables.items())
        raise DataError(
            f"{name}: no variable is coordinate {' or '.join(lacking)} (by axis, standard_name, units or name); "
            f"its variables: {there or 'none'}",
            advice="a grid lies along x and y; a series at one place is published as a table, from CSV.",
        )


def put_layout(draft: Draft, state: GridState, share: float) -> list[str]:
    """Chunks of about 2 MB, and a cadence where the times are regular; ``share`` of all files were looked at.

    A cadence that would put a number of the platform's own into the data is left out, and the remark says so.
    """
    draft.put(
        "layout.chunks", dict(state.chunks), "about 2 MB each, whole planes over many times where these are small"
    )
    cadence = cadence_of(state, share)
    if not cadence:
        return []
    marked = _marked_by_us(state)
    if marked:
        return [_without_cadence(cadence, marked)]
    draft.put("layout.cadence", cadence, f"the {len(state.axis)} times looked at are that far apart, or multiples")
    return []


def _marked_by_us(state: GridState) -> dict[str, Number]:
    """Variables whose missing times a cadence would mark by a number that no file declares; bounds are not data."""
    return {
        name: fill
        for name, variable in state.united.variables.items()
        if variable.time_bounds is None and state.united.varies(name) and (fill := fill_of_gaps(variable)) is not None
    }


def _without_cadence(cadence: str, marked: Mapping[str, Number]) -> str:
    numbers = ", ".join(f"{name} ({fill.dtype}, {fill})" for name, fill in marked.items())
    return (
        f"layout.cadence is left out, though the times are {cadence} or multiples of it apart: integers without "
        f"_FillValue would get one. With layout.cadence: {cadence} missing times are stored as that number, readers "
        f"take it for no value, and files that hold it as a value are refused: {numbers}"
    )


def cadence_of(state: GridState, share: float = 1.0) -> str | None:
    """The regular step of the axis as ISO 8601; None when the times are not regular or mostly absent."""
    times = [round(slot.time / SECOND) * SECOND for slot in state.axis]
    if len(times) < 2 or state.united.time is None or state.united.time.calendar != STANDARD:
        return None
    step = min(b - a for a, b in pairwise(times))
    if not MINUTE <= step < MONTH or step % MINUTE or any((time - times[0]) % step for time in times):
        return None
    expected = (times[-1] - times[0]) // step + 1
    if expected > MOST_GAPS * len(times) / share:
        return None
    duration = iso_duration(step)
    return duration if re.fullmatch(r"P(\d+D|T\d+H|T\d+M)", duration) else None


def grid_notes(state: GridState, draft: Draft) -> list[str]:
    """What is unusual about how the grid will be served, whatever is confirmed."""
    coordinates = draft.keys["coordinates"]
    notes = []
    if any(len(state.united.variables[coordinates[part]].dims) > 1 for part in ("x", "y")):
        notes.append("x and y have two dimensions (a curvilinear grid): pygeoapi serves it along its indexes")
    if state.united.time is not None and state.united.time.calendar != STANDARD:
        notes.append(f"its calendar is {state.united.time.calendar}: pygeoapi tells its times as texts")
    return notes


def rhythm_of_times(state: GridState) -> str | None:
    """How often new times come, a word of ``update.expected``; None for one time or none."""
    times = [slot.time for slot in state.axis]
    if len(times) < 2 or state.united.time is None:
        return None
    gap = min(b - a for a, b in pairwise(times))
    steps = ((2 * HOUR, "hourly"), (2 * DAY, "daily"), (8 * DAY, "weekly"), (32 * DAY, "monthly"))
    return next((word for most, word in steps if gap <= most), "yearly")


def propose_grid_schema(state: GridState, files: Mapping[str, Path], draft: Draft) -> dict[str, Any]:
    """The gridschema of ``state`` as the gate computes it, without what changes with the data.

    Axes and variables without time are read; of those with time only their headers are needed.
    """
    import zarr
    from zarr.storage import MemoryStore

    dataset = draft.dataset()
    final = unite(state.headers(), dataset)
    group = zarr.group(store=MemoryStore())
    write_grid(group, None, final, (), dataset, lambda name: files[name])
    blocks = range(-(-len(final.axis) // final.chunk))
    facts = measure_grid(final, dict.fromkeys(blocks, BlockStats()), group, dataset)
    return curated_part(schema_of(final, facts, dataset, None))


def files_to_look_at(names: Sequence[str], most: int) -> list[str]:
    """At most ``most`` names: the first, the last, and neighbours and others between, in their order."""
    if len(names) <= most:
        return list(names)
    third = most // 3
    spread = [names[round(i * (len(names) - 1) / max(1, most - 2 * third - 1))] for i in range(most - 2 * third)]
    wanted = {*names[:third], *names[len(names) - third :], *spread}
    return [name for name in names if name in wanted]
