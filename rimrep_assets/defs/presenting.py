"""What a materialization shows to people: tables, counts, pictures, links, and checks in words.

Here belongs turning a record and a verdict into Dagster's metadata. Not here: measuring or judging (``domain``,
``ports``). Of limited data only counts and places in its own store are shown, never values and never a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rimrep_assets.domain.release import Check, Places, ReleaseRecord, Verdict
from rimrep_assets.domain.release_changes import changes_since
from rimrep_assets.ports.descriptions import CHECKS, VERDICT
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.withholding import withheld
from rimrep_assets.ports.workbench import BUCKETS, Settings

TO_DO = {
    "values_match_source": "Nothing is published of it. Look whether the source changed while it was read; if this "
    "repeats, it is a defect of the conversion.",
    "schema_matches_catalog": "Compare the findings with the schema in the catalog: correct the schema if the provider "
    "meant it (the last finding says where the data's lies), else ask the provider.",
    "datapackage_valid": "Complete datapackage.json in the catalog.",
    "stac_item_valid": "Correct coordinates in dataset.yaml, or the description that the item is made from.",
    "pygeoapi_entry_valid": "Correct coordinates in dataset.yaml, or the header of pygeoapi's configuration.",
    "projection_possible": "Give the platform the right to write there.",
    "nothing_left_out": "Compare the numbers with what the rules in dataset.yaml are meant to leave out; the release "
    "goes on.",
    "complete": "Ask the provider for these times; the release goes on.",
    "definition_of_done": "Add what is missing when you can; the release goes on.",
}


MOST_TOLD = 5


def link(address: str) -> dg.MetadataValue:
    """A link where a browser can follow it, else the address as text."""
    return (
        dg.MetadataValue.url(address) if address.startswith(("http://", "https://")) else dg.MetadataValue.text(address)
    )


def facts_metadata(record: ReleaseRecord) -> dict[str, Any]:
    """Extents, sizes and a table of columns or variables. Values of limited data are left out."""
    facts, open_data = record.facts, record.access == "public"
    found: dict[str, Any] = {
        "extents_from_data": record.datapackage["rimrep"]["extents_from_data"],
        "bbox": list(facts.bbox) if facts.bbox else None,
        "start": facts.start,
        "end": facts.end,
        "CRS": facts.crs,
    }
    if facts.row_count is not None:
        found |= {"rows": facts.row_count, "dagster/row_count": facts.row_count}
        found["dagster/column_schema"] = _columns(record, open_data)
    found |= {f"size of {name}": dimension.size for name, dimension in facts.dimensions.items()}
    if facts.dimensions:
        found["dimensions"] = _dimensions(record)
    if facts.variables:
        found["variables"] = _variables(record, open_data)
    found |= {f"left out: {what}": count for what, count in facts.left_out.items()}
    if facts.missing_times:
        found["missing times"] = len(facts.missing_times)
    return {name: value for name, value in found.items() if value is not None}


def _columns(record: ReleaseRecord, open_data: bool) -> dg.TableSchema:
    fields = {field["name"]: field for field in record.table_or_grid_schema.get("fields", [])}
    columns = []
    for column in record.facts.columns:
        field = fields.get(column.name, {})
        words = [str(field.get("title") or ""), f"in {field['unit']}" if field.get("unit") else ""]
        words.append(f"{column.nulls} empty" if column.nulls else "")
        if open_data and column.min is not None:
            words.append(f"{column.min} to {column.max}")
        said = "; ".join(filter(None, words))
        columns.append(dg.TableColumn(column.name, column.type, description=said or None))
    return dg.TableSchema(columns=columns)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dg.MetadataValue:
    cells = [[str("" if cell is None else cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, tuple("---" for _ in head), *cells]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _dimensions(record: ReleaseRecord) -> dg.MetadataValue:
    return _table(
        ("dimension", "size", "from", "to", "step", "unit"),
        [
            (name, d.size, *(d.extent or ("", "")), d.step or "irregular", d.unit)
            for name, d in record.facts.dimensions.items()
        ],
    )


def _variables(record: ReleaseRecord, open_data: bool) -> dg.MetadataValue:
    described = record.table_or_grid_schema.get("variables", {})
    return _table(
        ("variable", "dimensions", "type", "unit", "lowest", "highest", "valid", "missing", "chunks"),
        [
            (
                name,
                " × ".join(v.dimensions),
                v.data_type,
                v.unit,
                v.min if open_data else "",
                v.max if open_data else "",
                v.valid,
                v.missing,
                " × ".join(map(str, _listed(described.get(name, {}).get("chunks")))),
            )
            for name, v in record.facts.variables.items()
        ],
    )


def _listed(chunks: Any) -> list[Any]:
    if isinstance(chunks, Mapping):
        return list(chunks.values())
    return list(chunks) if isinstance(chunks, list | tuple) else []


def datapackage_metadata(record: ReleaseRecord, verdict: Verdict, publication: Publication) -> dict[str, Any]:
    """The receipt's summary, the verdict in words, and where both lie."""
    import json

    receipt = json.loads(publication.bench.store.read(record.receipt.path))
    proofs = receipt.get("files", [])
    compared, sampled = (sum(proof[what] for proof in proofs) for what in ("compared", "sampled"))
    differing = sum(bool(proof["differences"]) for proof in proofs)
    marks = {True: "✓", False: "✗"}
    return {
        "version": record.version,
        "values_proven": record.cost.values_proven,
        "receipt": f"{len(proofs)} source files: {_spaced(compared)} values compared with what was read back, "
        f"{_spaced(sampled)} of them decoded by a second reader too; "
        + (f"{differing} files differ" if differing else "none differs"),
        "gate": _table(
            ("check", "", "found"),
            [
                (check.name, marks[check.passed], f"{len(check.findings)} findings" if check.findings else "")
                for check in verdict.checks
            ],
        ),
        "receipt and verdict": publication.bench.store.url(publication.places.version(record.version)),
    }


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def place_of_findings(publication: Publication, record: ReleaseRecord) -> str | None:
    """Where findings that quote limited data can be read; None for public data, whose findings are shown."""
    if record.access != "limited":
        return None
    return publication.bench.store.url(publication.places.version(record.version, VERDICT))


def check_result(check: Check, place: str | None) -> dg.AssetCheckResult:
    """A check of the gate in words: what it asserts, what it found, and what to do when it failed."""
    severity = dg.AssetCheckSeverity.WARN if check.severity == "warning" else dg.AssetCheckSeverity.ERROR
    told = [withheld(check.findings, place)] if check.findings and place else check.findings
    findings = "\n".join(f"- {finding}" for finding in told) or "nothing to say against it"
    some = "; ".join(told[:MOST_TOLD]) + (f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else "")
    holds = CHECKS[check.name] if check.passed else f"It does not hold that {CHECKS[check.name]}: {some}"
    metadata: dict[str, Any] = {"findings": dg.MetadataValue.md(findings)}
    if not check.passed:
        metadata["what to do"] = TO_DO[check.name]
    return dg.AssetCheckResult(
        passed=check.passed, check_name=check.name, severity=severity, description=holds, metadata=metadata
    )


def release_metadata(record: ReleaseRecord, publication: Publication, settings: Settings) -> dict[str, Any]:
    """The picture, what changed since the release before, what it cost, and every address."""
    base = publication.log.read(record.base) if record.base is not None else None
    changes = changes_since(base, record)
    return {
        "changed": dg.MetadataValue.md("\n".join(f"- {change}" for change in changes)),
        "quicklook": _quicklook(record, publication, settings),
        "data": link(record.datapackage["rimrep"]["addresses"]["data"]),
        "datapackage": link(_shown(Places(record.dataset).datapackage, record, publication, settings)),
        "pygeoapi page": link(pygeoapi_page(record, settings)),
        "bytes": sum(stored.bytes for stored in record.objects),
        "stored bytes": record.cost.stored_bytes,
        "seconds": record.cost.wall_s,
        "catalog commit": record.catalog_commit,
    }


def _quicklook(record: ReleaseRecord, publication: Publication, settings: Settings) -> dg.MetadataValue:
    """The picture where a browser finds it. Of limited data it is never shown: where it lies is said."""
    if record.quicklook is None:
        return dg.MetadataValue.text("none: the data could not be drawn")
    if record.access != "public":
        return dg.MetadataValue.text(publication.bench.store.url(record.quicklook.path))
    address = _shown(record.quicklook.path, record, publication, settings)
    if address.startswith(("http://", "https://")):
        return dg.MetadataValue.md(f"![quicklook]({address})")
    return dg.MetadataValue.text(address)


def _shown(path: str, record: ReleaseRecord, publication: Publication, settings: Settings) -> str:
    """Where a browser of this platform finds an object; limited data is never served by the platform itself."""
    if settings.files_url and record.access == "public":
        return f"{settings.files_url.rstrip('/')}/{BUCKETS['public']}/{path}"
    return publication.bench.store.document_url(path)


def pygeoapi_page(record: ReleaseRecord, settings: Settings) -> str:
    """The dataset's page: at the server that this platform runs, where it runs one, else as published."""
    if settings.pygeoapi_url and record.access == "public":
        return f"{settings.pygeoapi_url.rstrip('/')}/collections/{record.dataset}"
    return str(record.datapackage["rimrep"]["addresses"]["pygeoapi"])
