"""What a curated Table Schema promises, and nobody holds against the data.

Here belongs refusing such words while the catalog is read: published as they stand, they would be a promise that was
never looked at. Not here: what is held against the data (``table_schema``), or the JSON types (``curated_shapes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rimrep_assets.domain.dataset import Dataset

HELD = ("required", "minimum", "maximum")
"""constraints that the gate holds against the data"""


def broken_promises(schema: Mapping[str, Any], dataset: Dataset) -> list[str]:
    """Every word of ``schema`` that would be published without having been looked at, and what says it instead."""
    found = []
    missing = schema.get("missingValues", [""])
    if missing not in ([""], []):
        reader = dataset.convert.table_readers()[0]
        found.append(
            f"tableschema.json: missingValues {missing} say how the source writes, which dataset.yaml tells: declare "
            f"{reader}.na, and leave them out"
        )
    key = schema.get("primaryKey", "fid")
    columns = [key] if isinstance(key, str) else list(key) if isinstance(key, list) else [str(key)]
    if columns not in (["fid"], [], list(dataset.layout.key)):
        found.append(
            f"tableschema.json: primaryKey {key!r}: the key of a row is fid; declare layout.key: "
            f"[{', '.join(map(str, columns))}] where rows that are alike in these are to be refused"
        )
    for field in schema.get("fields", []):
        unheld = [word for word in field.get("constraints", {}) if word not in HELD]
        if unheld:
            found.append(
                f"tableschema.json: column {field['name']!r}: constraints {', '.join(unheld)} are not held against the "
                f"data, so they cannot be promised; {', '.join(HELD)} are"
            )
    return found
