"""What people say of a table's columns: from a second file into its schema, and from the schema into Parquet.

Here belongs merging ``column_metadata`` into ``tableschema.json``, and the metadata of fields in a Parquet file. Not
here: what a published schema holds (``table_schema``), or writing rows (``table_version``).
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_steps import ColumnMetadata

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_SCHEMA = "ARROW:schema"
"""the key of a Parquet file under which Arrow's readers look for a schema, as base64 of an IPC message"""
OF_THE_SCHEMA = frozenset(
    {"name", "type", "min", "max", "coordinates", "crs", "encoding", "format", "constraints"}
    | {"trueValues", "falseValues", "decimalChar", "groupChar", "bareNumber"}
)
"""keys of a field that the data or ``tableschema.json`` alone decides"""


def with_column_metadata(
    schema: Mapping[str, Any], step: ColumnMetadata, text: str, problems: list[str]
) -> dict[str, Any]:
    """``schema`` with what the CSV ``text`` says of its columns; empty cells say nothing.

    Added to ``problems``: a column that the schema does not have or that stands twice, a key that only the schema
    decides, and what both say differently.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        rows, keys = list(reader), list(reader.fieldnames or [])
    except csv.Error as error:
        problems.append(f"{step.file}: line {reader.line_num}: {error}")
        return dict(schema)
    if step.name not in keys:
        problems.append(f"{step.file}: has no column {step.name!r}{nearest(step.name, keys)}")
        return dict(schema)
    problems += [
        f"{step.file}: {key!r} is for tableschema.json to say" for key in keys if key in OF_THE_SCHEMA - {step.name}
    ]
    fields = {str(field["name"]): dict(field) for field in schema.get("fields", [])}
    seen: set[str] = set()
    for number, row in enumerate(rows):
        column = row[step.name] or ""
        if None in row or None in row.values():
            problems.append(f"{step.file}: row {number} has not {len(keys)} cells")
        elif column not in fields:
            problems.append(
                f"{step.file}: row {number}: no column {column!r} in tableschema.json{nearest(column, fields)}"
            )
        elif column in seen:
            problems.append(f"{step.file}: row {number}: column {column!r} stands twice")
        else:
            seen.add(column)
            said = {key: row[key] for key in keys if key != step.name and row[key] and key not in OF_THE_SCHEMA}
            problems += [
                f"{step.file}: column {column!r}: {key} is {cell!r}, in tableschema.json {fields[column][key]!r}"
                for key, cell in said.items()
                if key in fields[column] and fields[column][key] != cell
            ]
            fields[column] = {**said, **fields[column]}
    return {**schema, "fields": list(fields.values())}


def field_metadata(schema: Mapping[str, Any] | None) -> dict[str, dict[str, str]]:
    """By column the texts that people wrote of it: unit, description, standard_name and whatever else is text."""
    found = {}
    for field in (schema or {}).get("fields", []):
        texts = {k: str(v) for k, v in field.items() if k not in OF_THE_SCHEMA and isinstance(v, str | int | float)}
        if texts:
            found[str(field["name"])] = texts
    return found


def arrow_schema(schema: pa.Schema, about: Mapping[str, str], fields: Mapping[str, Mapping[str, str]]) -> str:
    """The value of ``ARROW_SCHEMA``: ``schema`` with ``fields``' metadata by column and ``about`` for the whole.

    Arrow's readers take the metadata of a file from here alone, so that ``about`` must hold all that the file's own
    keys hold. Source: https://arrow.apache.org/docs/cpp/parquet.html#serialization-details
    """
    import pyarrow as pa

    said = pa.schema(
        [field.with_metadata(fields.get(field.name) or None) for field in schema], metadata=dict(about) or None
    )
    return base64.b64encode(said.serialize().to_pybytes()).decode("ascii")
