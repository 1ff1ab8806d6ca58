"""The JSON types of what people write beside ``dataset.yaml``: the schemas and the collection.

Here belongs only what nothing can be made of, so that it is said before any work. Not here: whether a document keeps
its promises (``table_schema``, ``grid_schema``), or is valid STAC (``stac_validation``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OBJECT: dict[str, Any] = {"type": "object"}
_OBJECTS: dict[str, Any] = {"type": "array", "items": _OBJECT}
_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_BY_NAME: dict[str, Any] = {"type": "object", "additionalProperties": _OBJECT}

_SHAPES: dict[str, dict[str, Any]] = {
    "tableschema.json": {
        "required": ["fields"],
        "properties": {
            "fields": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": _TEXT, "type": _TEXT, "format": _TEXT, "constraints": _OBJECT},
                },
            },
        },
    },
    "gridschema.json": {
        "required": ["dimensions", "variables"],
        "properties": {"dimensions": _BY_NAME, "variables": _BY_NAME, "coordinates": _OBJECT, "attributes": _OBJECT},
    },
    "collection.jsonnet": {
        "required": ["id", "description", "license"],
        "properties": {
            "id": _TEXT,
            "title": _TEXT,
            "description": {"type": "string", "minLength": 1},
            "license": _TEXT,
            "keywords": _TEXTS,
            "providers": _OBJECTS,
            "links": {
                "type": "array",
                "items": {"type": "object", "required": ["rel", "href"], "properties": {"rel": _TEXT, "href": _TEXT}},
            },
            "summaries": _OBJECT,
            "assets": _BY_NAME,
            "extent": _OBJECT,
            "stac_extensions": _TEXTS,
        },
    },
}


def shape_problems(kind: str, document: Mapping[str, Any]) -> list[str]:
    """Everything in ``document`` that has another type than ``kind`` (a file's name) asks for, in words."""
    from jsonschema import Draft202012Validator

    problems = []
    for error in Draft202012Validator(_SHAPES[kind]).iter_errors(document):
        place = ".".join(str(part) for part in error.absolute_path)
        problems.append(f"{kind}: {place}: {error.message}" if place else f"{kind}: {error.message}")
    return problems
