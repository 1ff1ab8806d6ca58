"""The proposed form of NetCDF files whose values are samples: coordinates, and fields with what the file says of them.

Here belongs telling such files from grids, and what their variables mean, by headers alone. Not here: grids
(``proposal_grid``), or finding the rows of a file (``table_profiles_layout``).
Source: https://cfconventions.org/ (featureType, axis, standard_name, units of coordinates)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Coordinates, Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_file import refuse_unreadable
from rimrep_assets.domain.proposal import Draft
from rimrep_assets.domain.proposal_table import rename_clashes
from rimrep_assets.domain.table_profiles import header_of, open_profiles
from rimrep_assets.domain.table_profiles_layout import Header, Variable, layout_of
from rimrep_assets.domain.table_profiles_options import ReadProfiles

MANY = 3
"""a table of so many axes is larger than most people want"""
LINKS = ("sample_dimension", "instance_dimension")
_STANDARD = {"x": "longitude", "y": "latitude", "z": "depth", "t": "time"}
_NAMES = {
    "x": re.compile(r"lon|long|longitude", re.IGNORECASE),
    "y": re.compile(r"lat|latitude", re.IGNORECASE),
    "z": re.compile(r"depth|pres|height|altitude|z", re.IGNORECASE),
    "t": re.compile(r"time|juld|date", re.IGNORECASE),
}
_UNITS = {
    "x": re.compile(r"degrees?_?e(ast)?", re.IGNORECASE),
    "y": re.compile(r"degrees?_?n(orth)?", re.IGNORECASE),
    "t": re.compile(r"\w+\s+since\s.*", re.IGNORECASE),
}


def holds_samples(name: str, path: Path) -> bool:
    """Whether a NetCDF file's values are samples: it says so, or its places are one, a track, or a list.

    False for what cannot be read: who reads it as a grid says why.
    """
    try:
        refuse_unreadable(path, name, "read_netcdf")
        header, _ = header_of(path, name)
    except DataError:
        return False
    said = {key.lower(): value for key, value in (header.attributes or {}).items()}
    ragged = any(link in v.attributes for v in header.variables.values() for link in LINKS)
    if ragged or isinstance(said.get("featuretype"), str):
        return True
    numbers = [v for v in header.variables.values() if v.kind == "number"]
    x, y = (_coordinate(numbers, part)[0] for part in "xy")
    return x is not None and y is not None and _is_no_grid(header, x, y)


def _is_no_grid(header: Header, x: Variable, y: Variable) -> bool:
    across, up = ([d for d in v.dims if header.sizes[d] > 1] for v in (x, y))
    return (not across and not up and not x.dims) or (x.dims == y.dims and len(x.dims) == 1)


def propose_profiles(name: str, path: Path, draft: Draft) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Fill ``draft`` from the header of one file; the fields of its columns, and the file's global attributes.

    Raises: DataError when it is no NetCDF, or where nothing says which of its cells are the rows.
    """
    draft.put("convert.read_profiles", {}, "its values are samples, each of them a row")
    header, _ = header_of(path, name)
    options = _options(header, draft)
    opened = open_profiles(path, name, options, _without_coordinates(draft))
    final = rename_clashes(draft, opened.names, made=("geometry", "bbox"))
    numbers = [header.variables[n] for n in opened.names if header.variables[n].kind == "number"]
    for part in ("x", "y", "z", "t"):
        found, why = _coordinate([v for v in numbers if part != "t" or opened.types[v.name] == "datetime"], part)
        if found is not None:
            draft.put(f"coordinates.{part}", final[found.name], why)
    there = draft.keys.get("coordinates", {})
    if ("x" in there) != ("y" in there):
        for part in "xy":
            there.pop(part, None)
    if "t" in there:
        draft.put("layout.sort_by", [there["t"]], "people ask for a time")
    fields = [_field(header.variables[n], final[n], opened.types[n]) for n in opened.names]
    return fields, dict(header.attributes or {})


def _options(header: Header, draft: Draft) -> ReadProfiles:
    """Where samples have more axes than two, such as a spectrum at each time: one row for each time."""
    rows = layout_of(header, ReadProfiles()).dims
    times = [v for v in header.variables.values() if len(v.dims) == 1 and v.dims[0] in rows]
    time, _ = _coordinate([v for v in times if _UNITS["t"].fullmatch(str(v.attributes.get("units", "")))], "t")
    if len(rows) < MANY or time is None:
        return ReadProfiles()
    why = f"a row for each time; name {', '.join(rows)} to have one for each cell of the largest variable"
    draft.put("convert.read_profiles", {"dimension": time.dims[0]})
    draft.why["convert.read_profiles"] = why
    return ReadProfiles(dimension=time.dims)


def _without_coordinates(draft: Draft) -> Dataset:
    """The dataset as far as it is drafted: which columns are places is not known yet."""
    raw = {**draft.keys, "access": "public", "coordinates": Coordinates()}
    return Dataset.model_validate({key: value for key, value in raw.items() if key != "data_sharing_agreement"})


def _field(variable: Variable, name: str, kind: str) -> dict[str, Any]:
    """A field of a Table Schema; an instant needs no unit."""
    said = {
        "title": variable.attributes.get("long_name"),
        "unit": variable.attributes.get("units") if kind != "datetime" else None,
    }
    return {"name": name, "type": kind, **{k: v.strip() for k, v in said.items() if isinstance(v, str) and v.strip()}}


def _coordinate(variables: Iterable[Variable], part: str) -> tuple[Variable | None, str]:
    """The variable that plays ``part`` and for which most speaks, with the reasons."""
    best: tuple[int, Variable | None, str] = (0, None, "")
    for variable in variables:
        score, why = _evidence(variable, part)
        if score > best[0]:
            best = (score, variable, why)
    return best[1], best[2]


def _evidence(variable: Variable, part: str) -> tuple[int, str]:
    about: Mapping[str, Any] = variable.attributes
    standard = str(about.get("standard_name", "")).lower()
    found = [
        (8, f"axis {part.upper()}", str(about.get("axis", "")).upper() == part.upper()),
        (8, f"standard_name {standard}", standard == _STANDARD[part]),
        (
            4,
            f"units {about.get('units')}",
            part in _UNITS and bool(_UNITS[part].fullmatch(str(about.get("units", "")))),
        ),
        (3, f"its name {variable.name}", bool(_NAMES[part].fullmatch(variable.name))),
    ]
    spoken = [(score, why) for score, why, holds in found if holds]
    return sum(score for score, _ in spoken), ", ".join(why for _, why in spoken)
