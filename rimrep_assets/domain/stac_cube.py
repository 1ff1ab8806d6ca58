"""A grid's dimensions and variables in the words of STAC's datacube extension.

Here belongs the mapping from measured dimensions to ``cube:`` fields. Not here: measuring them (``gridded``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rimrep_assets.domain.datapackage import OWN


def cube_from(package: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """``cube:dimensions`` and ``cube:variables``; of limited data neither a variable's range nor other axes' values.

    Source: https://github.com/stac-extensions/datacube v2.2.0.
    """
    measured = package[OWN]["statistics"]
    told = package[OWN]["access"] == "public"
    dimensions = {
        name: _dimension(facts, schema.get("dimensions", {}).get(name, {}), package.get("crs"), told)
        for name, facts in measured.get("dimensions", {}).items()
    }
    variables = {
        name: _variable(facts, schema.get("variables", {}).get(name, {}), told)
        for name, facts in measured.get("variables", {}).items()
    }
    return {"cube:dimensions": dimensions, "cube:variables": variables}


def _dimension(facts: Mapping[str, Any], described: Mapping[str, Any], crs: str | None, told: bool) -> dict[str, Any]:
    words = {"description": described["description"]} if described.get("description") else {}
    extent = list(facts["extent"]) if facts.get("extent") else None
    kind, axis = facts["type"], facts.get("axis")
    if kind == "temporal" and extent:
        return {"type": "temporal", **words, "extent": extent, "step": facts.get("step")}
    if kind == "spatial" and axis in ("x", "y") and extent:
        unit = {"unit": facts["unit"]} if facts.get("unit") else {}
        return {
            "type": "spatial",
            "axis": axis,
            **words,
            "extent": sorted(extent),
            "step": facts.get("step"),
            **unit,
            **_reference_system(crs),
        }
    if extent is None or not told or kind == "temporal":
        # An axis without values of its own, or whose values are not to be told, is counted.
        return {"type": "index", **words, "extent": [0, facts["size"] - 1], "step": 1}
    unit = {"unit": facts["unit"]} if facts.get("unit") else {}
    upright = {"type": "spatial", "axis": "z"} if kind == "spatial" and axis == "z" else {"type": "other"}
    return {**upright, **words, "extent": sorted(extent), "step": facts.get("step"), **unit}


def _reference_system(crs: str | None) -> dict[str, Any]:
    authority, _, code = (crs or "").partition(":")
    return {"reference_system": int(code)} if authority == "EPSG" and code.isdigit() else {}


def _variable(facts: Mapping[str, Any], described: Mapping[str, Any], told: bool) -> dict[str, Any]:
    variable: dict[str, Any] = {"dimensions": list(facts["dimensions"]), "variable_type": "data"}
    for key in ("description", "unit"):
        text = described.get(key) or facts.get(key)
        if text:
            variable[key] = text
    if "standard_name" in described:
        variable["standard_name"] = described["standard_name"]
    variable["data_type"] = facts["data_type"]
    if told and facts.get("min") is not None:
        variable["extent"] = [facts["min"], facts["max"]]
    return variable
