"""The gridschema: what a grid's dimensions and variables are, for people and for programs.

Here belong making it from the data, its JSON schema, and grading how it differs from the catalog's. Not here:
measuring (``grid_facts``), or STAC's words for the same (``stac_cube``).

Its form follows Frictionless' Table Schema and STAC's datacube: ``dimensions``, ``variables``, ``coordinates``,
``attributes``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import DimensionFacts, Facts
from rimrep_assets.domain.grid_chunks import chunks_of
from rimrep_assets.domain.grid_layout import GLOBAL, Variable
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.schema_difference import Difference

FROM_DATA = {
    "dimensions": ("type", "axis", "extent", "step", "direction", "reference_system", "size"),
    "variables": ("dimensions", "type", "data_type", "nodata", "scale", "offset", "chunks", "min", "max"),
}
"""keys that only the data may set; all others of a curated schema survive"""

CHANGES_WITH_DATA = {"dimensions": ("extent", "step"), "variables": ("min", "max", "chunks")}
"""keys that a catalog need not promise"""

_NUMBER_OR_WORD = {"type": ["number", "string", "null"]}
_NAMES = {"type": "array", "items": {"type": "string"}}
_TEXT = {"type": "string"}

GRID_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "gridschema.json",
    "type": "object",
    "required": ["dimensions", "variables", "coordinates"],
    "properties": {
        "dimensions": {"type": "object", "additionalProperties": {"$ref": "#/$defs/dimension"}},
        "variables": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"$ref": "#/$defs/variable"},
        },
        "coordinates": {
            "type": "object",
            "required": ["x", "y"],
            "properties": dict.fromkeys(("x", "y", "z", "t"), _TEXT),
            "additionalProperties": False,
        },
        "attributes": {"type": "object"},
    },
    "$defs": {
        "dimension": {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"enum": ["spatial", "temporal", "other"]},
                "axis": {"enum": ["x", "y", "z", "t"]},
                "extent": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {"type": ["number", "string"]},
                },
                "step": _NUMBER_OR_WORD,
                "direction": {"enum": ["ascending", "descending"]},
                "unit": _TEXT,
                "reference_system": {"type": ["integer", "string"]},
                "size": {"type": "integer", "minimum": 1},
                "title": _TEXT,
                "description": _TEXT,
            },
            "allOf": [
                {
                    "if": {"properties": {"type": {"const": "spatial"}}},
                    "then": {"required": ["axis"], "properties": {"axis": {"enum": ["x", "y", "z"]}}},
                }
            ],
        },
        "variable": {
            "type": "object",
            "required": ["dimensions", "data_type"],
            "properties": {
                "dimensions": _NAMES,
                "type": {"enum": ["data", "auxiliary"]},
                "data_type": {"type": "string", "pattern": "^(u?int(8|16|32|64)|float(16|32|64))$"},
                "unit": _TEXT,
                "title": _TEXT,
                "description": _TEXT,
                "standard_name": _TEXT,
                "nodata": _NUMBER_OR_WORD,
                "scale": {"type": "number"},
                "offset": {"type": "number"},
                "chunks": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                "min": {"type": ["number", "null"]},
                "max": {"type": ["number", "null"]},
            },
        },
    },
}


def schema_of(state: GridState, facts: Facts, dataset: Dataset, curated: Mapping[str, Any] | None) -> dict[str, Any]:
    """The gridschema of the published grid, which satisfies ``GRID_SCHEMA``.

    What people wrote in ``curated`` survives; keys in ``FROM_DATA`` come from the data alone; unit, standard name and
    title are the data's where it has them, the title only where nobody wrote one.
    """
    written = curated or {}
    dimensions = {name: _dimension(found, facts.crs) for name, found in facts.dimensions.items()}
    variables = {}
    for name, variable in state.united.variables.items():
        if variable.role != "coordinate" or variable.dims != (name,):
            variables[name] = _variable(name, variable, state, facts)
    others = {k: v for k, v in written.items() if k not in ("dimensions", "variables", "coordinates", "attributes")}
    return {
        **others,
        "dimensions": _with_curated(dimensions, written, "dimensions"),
        "variables": _with_curated(variables, written, "variables"),
        "coordinates": dataset.coordinates.named(),
        "attributes": state.published_attributes(GLOBAL),
    }


def _dimension(facts: DimensionFacts, crs: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": facts.type, "axis": facts.axis}
    if facts.extent is not None:
        found["extent"] = list(facts.extent)
        if facts.type != "temporal" and facts.extent[0] != facts.extent[1]:
            ascends = facts.extent[0] < facts.extent[1]  # type: ignore[operator]
            found["direction"] = "ascending" if ascends else "descending"
    found |= {"step": facts.step, "unit": facts.unit, "size": facts.size}
    if facts.axis in ("x", "y") and crs:
        authority, _, code = crs.partition(":")
        found["reference_system"] = int(code) if authority == "EPSG" and code.isdigit() else crs
    return {key: value for key, value in found.items() if value is not None}


def _variable(name: str, variable: Variable, state: GridState, facts: Facts) -> dict[str, Any]:
    told = state.published_attributes(name)
    packing, measured = variable.packing, facts.variables.get(name)
    found = {
        "dimensions": list(variable.dims),
        "type": "data" if variable.role == "data" else "auxiliary",
        "data_type": variable.dtype,
        "unit": variable.units,
        "title": told.get("long_name"),
        "description": told.get("description"),
        "standard_name": told.get("standard_name"),
        "nodata": packing.fill.value if packing.fill else None,
        "scale": packing.scale.value if packing.scale else None,
        "offset": packing.offset.value if packing.offset else None,
        "chunks": list(chunks_of(state, name)),
        "min": measured.min if measured else None,
        "max": measured.max if measured else None,
    }
    texts = ("unit", "title", "description", "standard_name")
    return {
        k: str(v).strip() if k in texts else v
        for k, v in found.items()
        if v is not None and (k not in texts or str(v).strip())
    }


def _with_curated(
    made: Mapping[str, dict[str, Any]], curated: Mapping[str, Any], kind: str
) -> dict[str, dict[str, Any]]:
    """Each made entry with what people wrote about it."""
    found = {}
    for name, entry in made.items():
        written = curated.get(kind, {}).get(name, {})
        words = {k: v for k, v in written.items() if k not in FROM_DATA[kind]}
        facts_first = {k: v for k, v in entry.items() if k not in ("title", "description")}
        found[name] = {**entry, **words, **facts_first}
    return found


def curated_part(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a catalog keeps of a gridschema: its promises, without extents, ranges, chunks and the length of time."""
    kept: dict[str, Any] = {k: v for k, v in schema.items() if k != "attributes"}
    for kind, dropped in CHANGES_WITH_DATA.items():
        kept[kind] = {
            name: {
                k: v
                for k, v in entry.items()
                if k not in dropped and not (k == "size" and entry.get("type") == "temporal")
            }
            for name, entry in schema.get(kind, {}).items()
        }
    return kept


def compare_schemas(
    generated: Mapping[str, Any], curated: Mapping[str, Any] | None, dataset: Dataset
) -> list[Difference]:
    """In what the data's gridschema differs from the catalog's; empty when it keeps every promise.

    Only what ``curated`` says is held against the data, and never extents, ranges, chunks or the length of time.
    Breaking: a dimension or variable is missing, has another type or other dimensions. Additive: something is new.
    Meaning: unit, standard name, packing, the part a coordinate plays, an axis' direction or length.
    """
    if curated is None:
        proposal = json.dumps(curated_part(generated), ensure_ascii=False)
        words = f"the catalog has no gridschema.json; the proposed one is {proposal}"
        return [Difference("additive", "", words)]
    return [
        *_entries(generated, curated, "dimensions"),
        *_entries(generated, curated, "variables"),
        *_coordinates(dataset.coordinates.named(), curated.get("coordinates", {})),
    ]


def _entries(generated: Mapping[str, Any], curated: Mapping[str, Any], kind: str) -> Iterator[Difference]:
    now, then = generated.get(kind, {}), curated.get(kind, {})
    word = kind[:-1]
    new = {name: entry for name, entry in now.items() if name not in then}
    for name, promised in then.items():
        if name in now:
            yield from _entry(name, now[name], promised, word)
        else:
            yield Difference(
                "breaking", name, f"{word} {name!r} of the catalog is not in the data{_renamed(promised, new)}"
            )
    for name, entry in new.items():
        what = entry.get("data_type") or entry.get("type")
        yield Difference("additive", name, f"{word} {name!r} ({what}) of the data is not in the catalog")


def _renamed(promised: Mapping[str, Any], new: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("data_type", "dimensions", "unit", "standard_name") if "data_type" in promised else ("type", "axis")
    alike = [n for n, e in new.items() if all(e.get(k) == promised[k] for k in keys if k in promised)]
    return f"; new and alike: {', '.join(alike)}: was it renamed?" if alike else ""


_GRADES: dict[str, tuple[tuple[str, str], ...]] = {
    "dimension": (
        ("type", "breaking"),
        ("axis", "meaning"),
        ("unit", "meaning"),
        ("direction", "meaning"),
        ("reference_system", "meaning"),
        ("size", "meaning"),
    ),
    "variable": (
        ("dimensions", "breaking"),
        ("data_type", "breaking"),
        ("type", "meaning"),
        ("unit", "meaning"),
        ("standard_name", "meaning"),
        ("nodata", "meaning"),
        ("scale", "meaning"),
        ("offset", "meaning"),
    ),
}
_SILENT = {"unit", "standard_name"}
"""where the data says nothing of these, the catalog's word stands"""


def _entry(name: str, now: Mapping[str, Any], promised: Mapping[str, Any], word: str) -> Iterator[Difference]:
    whole = "data_type" in promised or word == "dimension"
    for key, grade in _GRADES[word]:
        if key == "size" and now.get("type") == "temporal":
            continue
        if key not in promised:
            # A promise without packing is a promise of plain numbers, once it says their type.
            if not (key in ("scale", "offset") and whole and word == "variable" and key in now):
                continue
        elif key in _SILENT and key not in now:
            continue
        if now.get(key) != promised.get(key):
            yield Difference(
                grade,  # type: ignore[arg-type]
                name,
                f"{word} {name!r}: {key} is {_word(now.get(key))} in the data, "
                f"{_word(promised.get(key))} in the catalog",
            )


def _coordinates(now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[Difference]:
    for part in sorted(now.keys() | then.keys()):
        if then and now.get(part) != then.get(part):
            name = now.get(part) or then[part]
            yield Difference(
                "meaning",
                name,
                f"coordinate {part} is {_word(now.get(part))} in dataset.yaml, "
                f"{_word(then.get(part))} in gridschema.json",
            )


def _word(value: Any) -> str:
    return "none" if value is None else str(value)
