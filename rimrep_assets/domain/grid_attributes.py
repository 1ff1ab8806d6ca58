"""Attributes of NetCDF files: which pack numbers, which give them meaning, which are one file's own.

Here belongs what CF, ACDD and NUG attribute names mean to us. Not here: whether files agree (``gridded``), or how
Zarr stores them (``grid_write``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rimrep_assets.domain.grid_layout import Number, Packing, json_value
from rimrep_assets.domain.grid_steps import AttributesStep

PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")
MEANING = ("units", "calendar", "standard_name", "positive", "flag_values", "flag_masks", "flag_meanings")
REFERENCES = (
    "coordinates",
    "bounds",
    "climatology",
    "grid_mapping",
    "ancillary_variables",
    "formula_terms",
    "cell_measures",
)
DESCRIPTIVE = (*REFERENCES, "long_name", "description", "cell_methods", "axis", "comment")
"""where files disagree about these the newest file's word is taken; other disagreeing attributes are dropped"""

# What a program writes anew into every file; it must not be frozen into the grid from one of them.
_OF_ONE_FILE = re.compile(
    r"time_coverage_.*|geospatial_(lat|lon|vertical)_(min|max)|geospatial_bounds.*|history|date|date_.*|.*_date"
    r"|creation_time|timestamp|id|uuid|tracking_id|file_?name|product_name|source_file|actual_range|min|max|nco"
    r"|name|_netcdf4_.*|_nccoordinates|_ncproperties|software_version_.*|start_orbit.*|end_orbit.*"
    r"|(north|south|east|west)ernmost_.*|start_(date|time)|(stop|end)_(date|time)",
    re.IGNORECASE,
)


def packing_of(variable: Any, dtype: str) -> Packing:
    """The packing attributes of a NetCDF variable; fills are brought to the stored type where they fit it."""
    held = {name: variable.getncattr(name) for name in variable.ncattrs() if name in PACKING}
    if not held:
        return Packing()
    missing = held.get("missing_value")
    return Packing(
        fill=_fitting(held.get("_FillValue"), dtype),
        missing=tuple(n for v in _items(missing) if (n := _fitting(v, dtype)) is not None),
        scale=_number(held.get("scale_factor")),
        offset=_number(held.get("add_offset")),
        unsigned=str(held.get("_Unsigned", "")).lower() == "true",
    )


def packing_problems(variable: Any) -> list[str]:
    """What is wrong with the attributes that unpack: each must be one number, and finite; in words."""
    import numpy as np

    problems = []
    for name in (n for n in ("scale_factor", "add_offset") if n in variable.ncattrs()):
        value = variable.getncattr(name)
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.size != 1 or not np.isfinite(array).all():
            told = repr(value) if isinstance(value, str) else array.tolist()
            problems.append(f"{name} is {told}, not one finite number")
    return problems


def _items(value: Any) -> Iterable[Any]:
    import numpy as np

    return [] if value is None or isinstance(value, str) else np.asarray(value).reshape(-1)


def _number(value: Any) -> Number | None:
    return None if value is None or isinstance(value, str) else Number.of(value)


def _fitting(value: Any, dtype: str) -> Number | None:
    """The number in the stored type; None when no stored value can equal it."""
    import numpy as np

    if value is None or isinstance(value, str):
        return None
    scalar = np.asarray(value).reshape(-1)[0]
    if scalar.dtype.kind not in "iuf":
        return None
    with np.errstate(all="ignore"):
        cast = np.asarray(scalar).astype(dtype)[()]
    if np.dtype(dtype).kind in "iu" and not (np.isfinite(scalar) and cast == scalar):
        return None
    return Number.of(cast)


def meaning_of(variable: Any) -> dict[str, Any]:
    """The attributes that say what the numbers are."""
    return {n: json_value(variable.getncattr(n)) for n in variable.ncattrs() if n in MEANING}


def references_of(variable: Any, *names: str) -> list[str]:
    """Variables that a variable's attributes name (all kinds of reference by default)."""
    held = set(variable.ncattrs())
    texts = [variable.getncattr(n) for n in names or REFERENCES if n in held]
    return [w for text in texts if isinstance(text, str) for w in text.split() if not w.endswith(":")]


def attributes_of(holder: Any, new_names: Mapping[str, str], gone: set[str]) -> dict[str, Any]:
    """The descriptive attributes of a variable or file as JSON, with references under the published names.

    Packing, meaning and what belongs to one file alone are left out.
    """
    found = {}
    for name in holder.ncattrs():
        if name in PACKING or name in MEANING or _OF_ONE_FILE.fullmatch(name):
            continue
        value = json_value(holder.getncattr(name))
        if name in REFERENCES and isinstance(value, str):
            value = _renamed_references(value, new_names, gone)
            if not value:
                continue
        found[name] = value
    return found


def declared_attributes(found: Mapping[str, Any], step: AttributesStep | None, *, of_file: bool) -> dict[str, Any]:
    """Attributes after the step ``attributes``: values as texts; of the file's own some dropped and some set."""
    told = dict(found)
    if step is None:
        return told
    if of_file:
        told = {**{n: v for n, v in told.items() if n not in step.drop}, **step.set}
    every = "*" in step.as_text
    return {
        n: _text(v) if n not in (step.set if of_file else ()) and (every or n in step.as_text) else v
        for n, v in told.items()
    }


def _text(value: Any) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _renamed_references(text: str, new_names: Mapping[str, str], gone: set[str]) -> str:
    words = text.split()
    kept: list[str] = []
    for word in words:
        if word in gone:
            # The key of 'key: variable' goes with its variable.
            if kept and kept[-1].endswith(":"):
                kept.pop()
            continue
        kept.append(new_names.get(word, word))
    return " ".join(kept)
