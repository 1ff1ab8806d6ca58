"""The published Table Schema, and how it differs from the curated one.

Here belongs what fields say and how grave a difference is. Not here: measuring (``table_facts``) or deciding
whether to publish (the gate).
Source: https://specs.frictionlessdata.io/table-schema/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import ColumnFacts, Facts
from rimrep_assets.domain.schema_difference import Difference
from rimrep_assets.domain.table_objects import head_of
from rimrep_assets.domain.table_source import platform_columns
from rimrep_assets.domain.table_types import some_files

FROM_DATA = frozenset({"name", "type", "min", "max", "coordinates", "crs", "encoding"})
"""keys of a field that only the data decides"""
TEXT_FORM = frozenset({"format", "trueValues", "falseValues", "decimalChar", "groupChar", "bareNumber"})
"""keys that say how the source writes a value; the published file holds values, not text"""
MADE = {
    "geometry": "Point made from the coordinates x and y, as well-known binary.",
    "bbox": "Bounds of the row's geometry in the unit of its CRS; GeoParquet's covering.",
    "fid": "Key of the row: CRC-32 of its source file's name, and its row in that file.",
}
GEOMETRY_TYPES = frozenset({"any", "geojson", "geometry"})
"""the types by which a curated schema may call a geometry"""


def schema_of(data: Path, facts: Facts, dataset: Dataset, curated: Mapping[str, Any] | None) -> dict[str, Any]:
    """The Table Schema to publish: a field for every column of ``data``, in its order.

    Keys that people wrote (title, description, unit, constraints, ...) are kept; type, ``min``, ``max``,
    ``coordinates`` and ``crs`` come from the data alone. A geometry is of type ``any`` (Table Schema knows no
    bytes) with ``encoding: WKB``.
    """
    import pyarrow.parquet as pq

    measured = {column.name: column for column in facts.columns}
    written = {field["name"]: field for field in (curated or {}).get("fields", [])}
    roles = {name: part for part, name in dataset.coordinates.named().items()}
    if "geometry" in platform_columns(dataset):
        roles["geometry"] = "geometry"
    fields = []
    for name in pq.read_schema(head_of(data)).names:
        field = _field(name, measured.get(name), facts.crs)
        field |= {"coordinates": roles[name]} if name in roles else {}
        people = {k: v for k, v in written.get(name, {}).items() if k not in FROM_DATA | TEXT_FORM}
        if name in platform_columns(dataset):
            people = {"description": MADE[name], **people}
        fields.append({**field, **people})
    kept = {k: v for k, v in (curated or {}).items() if k not in {"fields", "primaryKey", "missingValues"}}
    return {**kept, "fields": fields, "primaryKey": "fid", "missingValues": [""]}


def _field(name: str, measured: ColumnFacts | None, crs: str | None) -> dict[str, Any]:
    if measured is None:
        return {"name": name, "type": "object"}
    if measured.type == "geometry":
        return {"name": name, "type": "any", "encoding": "WKB", **({"crs": crs} if crs else {})}
    field: dict[str, Any] = {"name": name, "type": measured.type}
    if measured.type not in ("string", "boolean"):
        field |= {k: v for k, v in (("min", measured.min), ("max", measured.max)) if v is not None}
    return field


def compare_schemas(
    generated: Mapping[str, Any],
    curated: Mapping[str, Any] | None,
    dataset: Dataset,
    misfits: Mapping[str, Sequence[str]] | None = None,
    nulls: Mapping[str, int] | None = None,
) -> list[Difference]:
    """Everything in which ``generated`` (from the data) is not ``curated``; empty when they agree.

    Breaking: a column is missing or of another type (``misfits``: cells to show, by file). Additive: a column is new.
    Meaning: unit, coordinate or CRS differ, or values leave the constraints (``nulls``: missing cells by column).
    Columns made by the platform are not compared.
    """
    made = platform_columns(dataset)
    now = {f["name"]: f for f in generated.get("fields", []) if f["name"] not in made}
    if curated is None:
        proposed = ", ".join(f"{name} ({field['type']})" for name, field in now.items())
        return [Difference("additive", "", f"no tableschema.json in the catalog; the proposed one is {proposed}")]
    then = {f["name"]: f for f in curated.get("fields", []) if f["name"] not in made}
    differences = [*_missing(now, then), *_new(now, then)]
    for name in (name for name in then if name in now):
        differences += _type_differs(now[name], then[name], (misfits or {}).get(name, ()))
        differences += _meaning_differs(now[name], then[name], (nulls or {}).get(name, 0))
    return differences


def _missing(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[Difference]:
    new = [field for name, field in now.items() if name not in then]
    for name, field in then.items():
        if name in now:
            continue
        alike = [f["name"] for f in new if _same_type(f.get("type"), field.get("type"))]
        hint = f"; new and of the same type: {', '.join(alike)}: was it renamed?" if alike else ""
        yield Difference("breaking", name, f"column {name!r} of the catalog is not in the data{hint}")


def _new(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[Difference]:
    for name, field in now.items():
        if name not in then:
            message = f"column {name!r} ({field['type']}) of the data is not in the catalog"
            yield Difference("additive", name, message)


def _same_type(one: Any, other: Any) -> bool:
    return one == other or (one in GEOMETRY_TYPES and other in GEOMETRY_TYPES)


def _type_differs(now: Mapping[str, Any], then: Mapping[str, Any], misfits: Sequence[str]) -> Iterator[Difference]:
    # A field without a type, or of any, takes what comes.
    if _same_type(now["type"], then.get("type", "any")) or then.get("type", "any") == "any":
        return
    shown = f": {some_files(misfits)}" if misfits else ""
    message = f"column {now['name']!r} is {now['type']} in the data, {then['type']} in the catalog{shown}"
    yield Difference("breaking", now["name"], message)


def _meaning_differs(now: Mapping[str, Any], then: Mapping[str, Any], nulls: int) -> Iterator[Difference]:
    name = now["name"]
    for key, word in (("unit", "unit"), ("coordinates", "coordinate"), ("crs", "CRS")):
        if key in then and now.get(key) != then[key]:
            message = f"column {name!r}: {word} is {now.get(key)!r} in the data, {then[key]!r} in the catalog"
            yield Difference("meaning", name, message)
    constraints = then.get("constraints", {})
    if constraints.get("required") and nulls:
        yield Difference("meaning", name, f"column {name!r}: {nulls} cells are missing, and the catalog requires them")
    for bound, key, word in (("minimum", "min", "below"), ("maximum", "max", "above")):
        limit, value = constraints.get(bound), now.get(key)
        if limit is None or value is None:
            continue
        if _is_beyond(value, limit, below=bound == "minimum"):
            message = f"column {name!r}: {value!r} is {word} the catalog's {bound} {limit!r}"
            yield Difference("meaning", name, message)


def _is_beyond(value: Any, limit: Any, *, below: bool) -> bool:
    left, right = _comparable(value), _comparable(limit)
    if type(left) is not type(right):
        return False
    return bool(left < right if below else left > right)


def _comparable(value: Any) -> Any:
    """Numbers as float; ISO 8601 dates and times as instants (midnight, UTC where no zone stands)."""
    import datetime

    try:
        return float(value)
    except ValueError:
        pass
    try:
        when = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
