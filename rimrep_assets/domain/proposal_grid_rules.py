"""By what declared rules the files of a grid become readable and one: the strictest that do, tried on their headers.

Here belongs trying rules of time, of axes and of differences, and saying why one is proposed. Not here: what the rules
do (``grid_file_time``, ``grid_spans``, ``gridded``), or which variable is what (``proposal_grid``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.gridded import unite
from rimrep_assets.domain.proposal import Draft
from rimrep_assets.domain.proposal_grid import refuse_broken
from rimrep_assets.domain.proposal_grid_axes import put_orient
from rimrep_assets.domain.proposal_grid_time import WHAT_SET_TIME_DOES, time_sources
from rimrep_assets.domain.proposal_marks import GUESS
from rimrep_assets.domain.proposal_names import Family

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
OVERLAP = f"{GUESS}newest_name"
"""it leaves values out, so a person confirms it"""
FIXES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"sort": True}, "no step is lost"),
    ({"duplicates": f"{GUESS}last"}, "of equal times the last in the file is taken"),
    ({"duplicates": f"{GUESS}last", "sort": True}, "of equal times the last in the file is taken"),
)
"""``fix_time`` that is tried, the most harmless first, with what it does"""
TRIED = (
    "None of the rules that `rimrep init` tries (set_time, fix_time, orient, unite, unpack) makes a grid of these "
    "files. docs/grids.md says what each rule does, and what no rule cures; clip, repack, fix_time.round and "
    "unite.variables: all it does not try: write these into a dataset.yaml by hand. Else name files that belong "
    "together, or ask who made them; nothing was written."
)
NO_TIME = (
    f"{WHAT_SET_TIME_DOES}. None of these was found in all files. docs/grids.md tells more: write a dataset.yaml by "
    "hand, or ask who made the files. An axis that is no time, such as the months of a climatology, is published under "
    "another name (rename), without coordinates.t. Nothing was written."
)


def unite_by_least_rule(files: Mapping[str, Path], family: Family, draft: Draft) -> GridState:
    """Read the headers of ``files``, unite them by the strictest rules that fit; ``draft`` then holds these.

    Raises: DataError with what is wrong in the files, or with all differences when no rule fits.
    """
    for name, path in files.items():
        refuse_broken(name, path)
    put_orient(files, draft)
    sources, problems = time_sources(files, family, draft)
    first = DataError(problems, advice=NO_TIME) if problems else None
    for source in sources:
        tried = draft.copy()
        source.put(tried, first.problems if first else ())
        try:
            headers = _readable(files, tried)
        except DataError as error:
            first = first or DataError(error.problems, advice=TRIED)
            continue
        try:
            state = _united(files, headers, tried)
        except DataError as error:
            raise DataError(error.problems, advice=TRIED) from error
        draft.keys, draft.why = tried.keys, tried.why
        return state
    assert first is not None
    raise first


def _readable(files: Mapping[str, Path], draft: Draft) -> list[GridHeader]:
    """The headers, read with the most harmless ``fix_time`` that they need, which ``draft`` then holds."""
    try:
        return _headers(files, draft)
    except DataError as error:
        if draft.keys["coordinates"].get("t") is None:
            raise
        problems = error.problems
    for fix, what in FIXES:
        tried = draft.copy()
        tried.put("convert.fix_time", fix, f"{_told(problems)}; {what}")
        try:
            headers = _headers(files, tried)
        except DataError:
            continue
        draft.keys, draft.why = tried.keys, tried.why
        return headers
    raise DataError(problems)


def _united(files: Mapping[str, Path], headers: Sequence[GridHeader], draft: Draft) -> GridState:
    """The grid by the strictest ``unite`` and ``unpack``, which ``draft`` then holds."""
    first: DataError | None = None
    by_tolerance = {False: headers}
    for rule, unpack, why in RULES if len(files) > 1 else RULES[:1]:
        tried = draft.copy()
        if rule:
            tried.put("convert.unite", rule, why)
        if unpack is not None:
            tried.put("convert.unpack", unpack, why)
        # Values of axes are remembered for the tolerance alone; nothing else of a header depends on these rules.
        tolerant = "coordinate_tolerance" in rule
        if tolerant not in by_tolerance:
            by_tolerance[tolerant] = _headers(files, tried)
        state: GridState | None
        try:
            state = unite(by_tolerance[tolerant], tried.dataset())
        except DataError as error:
            first = first or error
            state = _with_newest(by_tolerance[tolerant], rule, why, error, tried)
        if state is not None:
            draft.keys, draft.why = tried.keys, tried.why
            return state
    assert first is not None
    raise first


def _with_newest(
    headers: Sequence[GridHeader], rule: Mapping[str, Any], why: str, error: DataError, draft: Draft
) -> GridState | None:
    """The grid where files that cover the same times are all that ``rule`` leaves; ``error`` tells these times."""
    if draft.keys["coordinates"].get("t") is None or len(headers) < 2:
        return None
    draft.put("convert.unite", {**rule, "overlap": OVERLAP})
    try:
        state = unite(headers, draft.dataset())
    except DataError:
        return None
    unused = sorted(state.unused())
    left = f"; then nothing is taken of {_some(unused)}" if unused else ""
    draft.why["convert.unite"] = "; ".join(filter(None, [_told(error.problems) + left, why]))
    return state


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


def _told(problems: Sequence[str]) -> str:
    return f"{problems[0]} (and {len(problems) - 1} more like it)" if len(problems) > 1 else problems[0]


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
