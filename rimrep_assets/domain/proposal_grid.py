"""The proposed form of a grid: its coordinates, what is left out, by what rule files unite, chunks, cadence, schema.

Here belongs what variables mean, told by headers alone. Not here: reading headers for good (``grid_header``), words
for people (``proposal_words``), names of files (``proposal_names``).
Source: https://cfconventions.org/ (axis, standard_name, units of coordinates)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_classic import missing_bytes
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_file import RawFile, open_raw
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_schema import curated_part, schema_of
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats
from rimrep_assets.domain.grid_time import DAY, HOUR, MINUTE, SECOND, STANDARD, iso_duration
from rimrep_assets.domain.grid_write import write_grid
from rimrep_assets.domain.gridded import unite
from rimrep_assets.domain.proposal import Draft

MOST_GAPS = 2.0
"""a regular axis that were longer than this many times the times that there are is mostly fill"""
TOLERANCE = 0.0001
"""degrees; less than ten metres, more than what float32 loses"""
RULES: tuple[tuple[dict[str, Any], dict[str, Any] | None, str], ...] = (
    ({}, None, ""),
    ({"variables": "common"}, None, "files differ in variables, or in what does not vary with time"),
    ({"coordinate_tolerance": TOLERANCE}, None, "the axes of files differ by less than this"),
    (
        {"variables": "common", "coordinate_tolerance": TOLERANCE},
        None,
        "files differ in variables and, a little, in axes",
    ),
    ({}, {}, "files pack their numbers differently"),
    ({"variables": "common", "coordinate_tolerance": TOLERANCE}, {}, "files differ in variables, axes and packing"),
)
"""``unite`` and ``unpack`` that are tried, the strictest first"""
_NAMES = {
    "x": re.compile(r"(nav_)?(lon|long|longitude)(_rho|_t)?|x", re.IGNORECASE),
    "y": re.compile(r"(nav_)?(lat|latitude)(_rho|_t)?|y", re.IGNORECASE),
    "z": re.compile(r"depth.?|lev|level|altitude|height|zc?", re.IGNORECASE),
    "t": re.compile(r"time.*", re.IGNORECASE),
}
_STANDARD = {
    "x": ("longitude", "projection_x_coordinate"),
    "y": ("latitude", "projection_y_coordinate"),
    "z": ("depth", "altitude", "height"),
    "t": ("time",),
}
_UNITS = {
    "x": re.compile(r"degrees?_?e(ast)?", re.IGNORECASE),
    "y": re.compile(r"degrees?_?n(orth)?", re.IGNORECASE),
    "t": re.compile(r"\w+\s+since\s.*", re.IGNORECASE),
}


def propose_grid(name: str, path: Path, draft: Draft) -> dict[str, Any]:
    """Fill ``draft`` from the header of one file; return the file's global attributes.

    Raises: DataError when it is no NetCDF, or has no coordinates x and y.
    """
    _refuse_broken(name, path)
    with open_raw(path, name) as file:
        text = [n for n, v in file.variables.items() if not _is_numeric(v)]
        twice = [n for n, v in file.variables.items() if len(set(v.dimensions)) < len(v.dimensions)]
        draft.put("convert.read_netcdf", {"drop": [*text, *twice]} if text or twice else {})
        if text or twice:
            draft.why["convert.read_netcdf"] = "these hold text, or have a dimension twice, which a grid cannot have"
        for part in ("x", "y", "z", "t"):
            found, why = _coordinate(file, part, {*text, *twice})
            if found:
                draft.put(f"coordinates.{part}", found, why)
        _refuse_placeless(name, file, draft)
        return {key: file.getncattr(key) for key in file.ncattrs()}


def _refuse_broken(name: str, path: Path) -> None:
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


def _is_numeric(variable: Any) -> bool:
    kind = getattr(variable.dtype, "kind", "O")
    return (kind in "iuf" and not getattr(variable, "_isvlen", False)) or (kind == "S" and variable.ndim == 0)


def _coordinate(file: RawFile, part: str, without: set[str]) -> tuple[str | None, str]:
    """The variable that plays ``part``, with the reasons; the one for which most speaks."""
    best: tuple[int, str | None, str] = (0, None, "")
    for name, variable in file.variables.items():
        if name in without or getattr(variable.dtype, "kind", "O") not in "iuf" or not _may_be(variable, part):
            continue
        score, reasons = _evidence(name, variable, part)
        if score > best[0]:
            best = (score, name, ", ".join(reasons))
    return best[1], best[2]


def _may_be(variable: Any, part: str) -> bool:
    if part == "t":
        return variable.ndim == 1 and bool(_UNITS["t"].fullmatch(_said(variable, "units")))
    return variable.ndim in ((1, 2) if part in "xy" else (1,))


def _evidence(name: str, variable: Any, part: str) -> tuple[int, list[str]]:
    score = 0
    reasons: list[str] = []
    if _said(variable, "axis").upper() == part.upper():
        score, reasons = score + 8, [*reasons, f"axis {part.upper()}"]
    if _said(variable, "standard_name").lower() in _STANDARD[part]:
        score, reasons = score + 8, [*reasons, f"standard_name {_said(variable, 'standard_name')}"]
    if part in _UNITS and _UNITS[part].fullmatch(_said(variable, "units")):
        score, reasons = score + 4, [*reasons, f"units {_said(variable, 'units')}"]
    if _NAMES[part].fullmatch(name):
        score, reasons = score + 3, [*reasons, f"its name {name}"]
    if score and variable.dimensions == (name,):
        score += 2
    return score, reasons


def _said(variable: Any, attribute: str) -> str:
    value = variable.getncattr(attribute) if attribute in variable.ncattrs() else ""
    return value.strip() if isinstance(value, str) else ""


def unite_by_least_rule(files: Mapping[str, Path], draft: Draft) -> GridState:
    """Read the headers of ``files`` and unite them by the strictest rule that fits, which ``draft`` then holds.

    Raises: DataError with what is wrong in the files, or with all differences when no rule fits.
    """
    first: DataError | None = None
    for rule, unpack, why in RULES if len(files) > 1 else RULES[:1]:
        tried = Draft({**draft.keys, "convert": {**draft.keys["convert"]}}, dict(draft.why))
        if rule:
            tried.put("convert.unite", rule, why)
        if unpack is not None:
            tried.put("convert.unpack", unpack, why)
        try:
            state = unite(_headers(files, tried), tried.dataset())
        except DataError as error:
            first = first or error
            continue
        draft.keys, draft.why = tried.keys, tried.why
        return state
    assert first is not None
    raise first


def _headers(files: Mapping[str, Path], draft: Draft) -> list[GridHeader]:
    dataset = draft.dataset()
    headers: list[GridHeader] = []
    problems: list[str] = []
    for name, path in files.items():
        try:
            # A name is as good as a digest here: nothing is remembered of these headers.
            headers.append(read_header(path, name, name, dataset))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return headers


def put_layout(draft: Draft, state: GridState, share: float) -> None:
    """Chunks of about 2 MB, and a cadence where the times are regular; ``share`` of all files were looked at."""
    draft.put(
        "layout.chunks", dict(state.chunks), "about 2 MB each, whole planes over many times where these are small"
    )
    cadence = cadence_of(state, share)
    if cadence:
        draft.put("layout.cadence", cadence, f"the {len(state.axis)} times looked at are that far apart, or multiples")


def cadence_of(state: GridState, share: float = 1.0) -> str | None:
    """The regular step of the axis as ISO 8601; None when the times are not regular or mostly absent."""
    times = [round(slot.time / SECOND) * SECOND for slot in state.axis]
    if len(times) < 2 or state.united.time is None or state.united.time.calendar != STANDARD:
        return None
    step = min(b - a for a, b in pairwise(times))
    if step < MINUTE or step % MINUTE or any((time - times[0]) % step for time in times):
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
