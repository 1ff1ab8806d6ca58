"""Which variable of a NetCDF file plays which coordinate, and how much speaks for it.

Here belongs what attributes and names of one variable tell. Not here: what is proposed from it (``proposal_grid``), or
times that stand elsewhere than on an axis (``proposal_grid_time``).
Source: https://cfconventions.org/ (axis, standard_name, units of coordinates)
"""

from __future__ import annotations

import re
from typing import Any

from rimrep_assets.domain.grid_file import RawFile
from rimrep_assets.domain.grid_time import parse_units

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


def is_numeric(variable: Any) -> bool:
    """Whether a grid can hold it; a single character often is a grid mapping, of which only attributes matter."""
    kind = getattr(variable.dtype, "kind", "O")
    return (kind in "iuf" and not getattr(variable, "_isvlen", False)) or (kind == "S" and variable.ndim == 0)


def coordinate(file: RawFile, part: str, without: set[str]) -> tuple[str | None, str]:
    """The variable that plays ``part``, with the reasons; the one for which most speaks."""
    best: tuple[int, str | None, str] = (0, None, "")
    for name, variable in file.variables.items():
        if name in without or getattr(variable.dtype, "kind", "O") not in "iuf" or not _may_be(variable, part):
            continue
        score, reasons = evidence(name, variable, part)
        if score > best[0]:
            best = (score, name, ", ".join(reasons))
    return best[1], best[2]


def _may_be(variable: Any, part: str) -> bool:
    if part == "t":
        return variable.ndim == 1 and time_problem(variable) is None
    return variable.ndim in ((1, 2) if part in "xy" else (1,))


def evidence(name: str, variable: Any, part: str) -> tuple[int, list[str]]:
    """How much speaks for ``part``, as a number, and what."""
    score = 0
    reasons: list[str] = []
    if said(variable, "axis").upper() == part.upper():
        score, reasons = score + 8, [*reasons, f"axis {part.upper()}"]
    if said(variable, "standard_name").lower() in _STANDARD[part]:
        score, reasons = score + 8, [*reasons, f"standard_name {said(variable, 'standard_name')}"]
    if part in _UNITS and _UNITS[part].fullmatch(said(variable, "units")):
        score, reasons = score + 4, [*reasons, f"units {said(variable, 'units')}"]
    if _NAMES[part].fullmatch(name):
        score, reasons = score + 3, [*reasons, f"its name {name}"]
    if score and variable.dimensions == (name,):
        score += 2
    return score, reasons


def time_problem(variable: Any) -> str | None:
    """Why a variable's numbers cannot be told as times, in words that name its units; None where they can."""
    if not is_numeric(variable) or variable.dtype.kind == "S":
        return "it holds text"
    units = said(variable, "units")
    if not units:
        return "it has no units"
    try:
        parse_units(units, said(variable, "calendar") or None)
    except ValueError as error:
        return f"its {error}"
    return None


def says_it_is_time(name: str, variable: Any) -> str | None:
    """By what a variable says that it is the time of the file, whatever its units; None where it does not."""
    if said(variable, "standard_name").lower() == "time":
        return "standard_name time"
    if said(variable, "axis").upper() == "T":
        return "axis T"
    if name.lower() == "time":
        return "its name"
    if variable.dimensions == (name,) and _UNITS["t"].fullmatch(said(variable, "units")):
        return "its units"
    return None


def said(variable: Any, attribute: str) -> str:
    """An attribute that is a text; empty where there is none."""
    value = variable.getncattr(attribute) if attribute in variable.ncattrs() else ""
    return value.strip() if isinstance(value, str) else ""
