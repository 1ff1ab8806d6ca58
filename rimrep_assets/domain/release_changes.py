"""What changed between two releases, in words.

Here belongs the comparison for people. Not here: what is due (``plan``), or whether a schema may change (the gate).
"""

from __future__ import annotations

from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.domain.source_file import compare_ledgers

OWN = {"rimrep", "resources", "updated", "spatial", "temporal", "row_count", "version"}
"""keys of a datapackage that follow from data or release, so that they say nothing of the description"""


def changes_since(base: ReleaseRecord | None, record: ReleaseRecord) -> list[str]:
    """One sentence for each kind of change; the first release says so."""
    if base is None:
        files = len(record.sources)
        return [f"first release, of {files} source file{'s' if files != 1 else ''}"]
    told = []
    files_changed = compare_ledgers(base.sources, record.sources)
    if not files_changed.is_empty:
        told.append(str(files_changed))
    if base.fingerprints.data != record.fingerprints.data:
        told.append("converted or laid out otherwise")
    told += _sizes(base, record)
    if (base.facts.bbox, base.facts.start, base.facts.end) != (record.facts.bbox, record.facts.start, record.facts.end):
        told += [
            f"{what} was {old}, is {new}"
            for what, old, new in (
                ("bbox", base.facts.bbox, record.facts.bbox),
                ("start", base.facts.start, record.facts.start),
                ("end", base.facts.end, record.facts.end),
            )
            if old != new
        ]
    if base.table_or_grid_schema != record.table_or_grid_schema:
        told.append(_schema(base, record))
    old, new = base.datapackage, record.datapackage
    described = sorted(key for key in {*old, *new} - OWN if old.get(key) != new.get(key))
    if described:
        told.append(f"description changed: {', '.join(described)}")
    if base.stac_collection != record.stac_collection:
        told.append("the collection's description changed")
    return told or ["nothing that a reader sees"]


def _sizes(base: ReleaseRecord, record: ReleaseRecord) -> list[str]:
    told = []
    if base.facts.row_count != record.facts.row_count:
        more = (record.facts.row_count or 0) - (base.facts.row_count or 0)
        told.append(f"{more:+,} rows".replace(",", " "))
    for name, dimension in record.facts.dimensions.items():
        old = base.facts.dimensions.get(name)
        if old is None or old.size != dimension.size:
            told.append(f"{name} was {old.size if old else 'absent'}, is {dimension.size}")
    return told


def _schema(base: ReleaseRecord, record: ReleaseRecord) -> str:
    old, new = _fields(base), _fields(record)
    parts = [f"{name} came" for name in new if name not in old] + [f"{name} went" for name in old if name not in new]
    return "schema changed" + (f": {', '.join(parts)}" if parts else " in what it says of its fields")


def _fields(record: ReleaseRecord) -> list[str]:
    schema = record.table_or_grid_schema
    return [field["name"] for field in schema.get("fields", [])] or list(schema.get("variables", {}))
