"""What ``dataset.yaml`` and ``tableschema.json`` say of a table's columns, held against each other before any work.

Here belongs what is wrong whatever the data is. Not here: the JSON types of the schema (``curated_shapes``), or
whether the data keeps what it promises (``table_schema``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_names import geometry_column, platform_columns

TYPES = ("string", "integer", "number", "boolean", "date", "datetime")
"""what a column may be declared as; ``any`` takes what comes"""
ALSO = frozenset({"any", "null", "geometry", "geojson"})
"""what published schemas say of geometries and of columns without any value, and what people write for that"""


def column_problems(dataset: Dataset, schema: Mapping[str, Any]) -> list[str]:
    """In words: fields of no type that a column can have, and columns named in ``layout`` that are none.

    ``schema`` has the shape of a Table Schema. It lists what is published, to which the steps may add.
    """
    made = platform_columns(dataset)
    fields = [field for field in schema["fields"] if field["name"] not in made]
    problems = [
        _wrong_type(str(f["name"]), str(f["type"])) for f in fields if f.get("type", "any") not in {*TYPES, *ALSO}
    ]
    there = {str(field["name"]) for field in fields} | set(dataset.convert.add_columns)
    return problems + list(_unknown_columns(dataset, there))


def _wrong_type(column: str, kind: str) -> str:
    close = difflib.get_close_matches(kind.lower(), TYPES, n=1, cutoff=0.6)
    what = f"tableschema.json: column {column!r} has the type {kind!r}, which no published column can have"
    # A time of day is no instant: what looks alike would mislead.
    hint = f"; did you mean {close[0]!r}?" if close and kind != "time" else ""
    return f"{what}{hint or '; declare string where nothing else fits'}; the types are {', '.join(TYPES)}, any"


def _unknown_columns(dataset: Dataset, there: set[str]) -> Iterator[str]:
    geometry = geometry_column(dataset)
    for key, columns, known in (
        ("layout.sort_by", dataset.layout.sort_by, there | ({geometry} if geometry else set())),
        ("layout.key", dataset.layout.key, there),
    ):
        for column in columns:
            if column not in known:
                yield f"{key} names {column!r}, which is no column of tableschema.json{nearest(column, known)}"
