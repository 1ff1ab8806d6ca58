"""From a proven version to a candidate: every document of the release rendered, judged, and laid beside the data.

Here belongs composing addresses and the record, and gathering the gate's checks. Not here: what the documents say
(``domain/datapackage``, ``stac``, ``pygeoapi``), or committing the candidate (``publication``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from rimrep_assets.domain.addresses import Addresses
from rimrep_assets.domain.completeness import missing_times, undone
from rimrep_assets.domain.datapackage import Edition, complete, json_bytes, refuse_other_types, validate
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError, RimrepError
from rimrep_assets.domain.facts import Facts
from rimrep_assets.domain.proposal_marks import guesses_in_schema
from rimrep_assets.domain.pygeoapi import entry_from, validate_entry
from rimrep_assets.domain.release import (
    TABLE,
    Check,
    Cost,
    Fingerprints,
    Places,
    ReleaseRecord,
    StoredFile,
    Verdict,
    release_tag,
    retention,
    sha256,
    shrinks,
    table_objects,
)
from rimrep_assets.domain.stac import collection_from, item_from
from rimrep_assets.domain.stac_validation import validate_collection, validate_item
from rimrep_assets.domain.zarr_v2 import array_v2
from rimrep_assets.ports.catalog import schema_name
from rimrep_assets.ports.grid_virtual import folders_of
from rimrep_assets.ports.pygeoapi_config import PygeoapiConfig
from rimrep_assets.ports.pygeoapi_openapi import fragment_for
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.stac_catalog import ROOT, collection_path
from rimrep_assets.ports.version import Version
from rimrep_assets.ports.workbench import Workbench

CANDIDATE, VERDICT, RECEIPT = "candidate.json", "verdict.json", "receipt.json"
VALUES_MATCH_SOURCE = "values_match_source"
SCHEMA_CHECK = "schema_matches_catalog"
NOTHING_LEFT_OUT = "nothing_left_out"
CHECKS = {
    VALUES_MATCH_SOURCE: "every value that was read back from the store equals its source file's",
    SCHEMA_CHECK: "the data has the columns, types and meaning that the catalog's schema promises",
    "datapackage_valid": "the complete datapackage satisfies the programme's profile",
    "stac_item_valid": "the STAC item is valid and its extents make sense",
    "pygeoapi_entry_valid": "pygeoapi accepts the entry and its provider opens data of this shape",
    "projection_possible": "every place that the release will be carried to can be written",
    NOTHING_LEFT_OUT: "every row and every value of the source files is published",
    "complete": "no expected time is missing",
    "definition_of_done": "what a finished dataset needs is there",
}
"""the checks of the gate by name, and what each one asserts"""
WARNINGS = frozenset({NOTHING_LEFT_OUT, "complete", "definition_of_done"})


@dataclass(frozen=True)
class Candidate:
    """A release that could be: ``record`` is what ``releases/<n>.json`` would hold, byte for byte."""

    version: str
    record: bytes
    verdict: Verdict

    @property
    def proof_holds(self) -> bool:
        return all(c.passed for c in self.verdict.checks if c.name == VALUES_MATCH_SOURCE)


def addresses_of(bench: Workbench, number: int, version: str, made: Version) -> Addresses:
    """Where each part of release ``number`` can be opened."""
    places, url, web = Places(bench.id), bench.store.url, bench.store.document_url
    dataset, endpoints = bench.folder.dataset, bench.folder.endpoints
    name = schema_name(dataset)
    if dataset.format == "parquet":
        data, stable = url(places.version(made.data_version, TABLE)), url(places.table)
    elif dataset.layout.plain:
        data, stable = url(places.grid), url(places.grid)
    else:
        data, stable = url(places.icechunk), None
    is_grid = dataset.format == "zarr"
    return Addresses(
        data=data,
        data_stable=stable,
        icechunk=url(places.icechunk) if is_grid else None,
        snapshot=made.snapshot,
        tag=release_tag(number) if is_grid else None,
        virtual=folders_of(bench.source, made.sources) if dataset.layout.virtual else (),
        datapackage=web(places.version(version, "datapackage.json")),
        datapackage_stable=web(places.datapackage),
        schema_own=web(places.version(version, name)),
        schema_stable=web(places.schema(name)),
        stac_item=web(places.stac_item(dataset.collection)),
        stac_collection=web(collection_path(dataset.collection)),
        stac_root=web(ROOT),
        pygeoapi=f"{str(endpoints.get('pygeoapi', '')).rstrip('/')}/collections/{bench.id}",
        stac_api=endpoints.get("stac_api"),
    )


def describe(
    bench: Workbench,
    base: ReleaseRecord | None,
    made: Version,
    version: str,
    fingerprints: Fingerprints,
    started: tuple[float, float],
) -> Candidate:
    """Render and judge all documents, write them under ``versions/<version>/``, the verdict last.

    Raises: DefinitionError when the curated metadata cannot be completed; Unavailable as the store does.
    """
    bench.progress("describing and judging the release")
    folder, dataset, places = bench.folder, bench.folder.dataset, Places(bench.id)
    refuse_other_types(folder.curated, folder.profile, dataset=bench.id)
    number = base.release + 1 if base else 1
    now = bench.now()
    addresses = addresses_of(bench, number, version, made)
    table = table_objects(made.objects)
    edition = Edition(
        release=number,
        version=version,
        data_version=made.data_version,
        updated=in_utc(now),
        catalog_commit=folder.commit,
        environment=bench.environment,
        bytes=sum(o.bytes for o in table.values()) if table else None,
        sha256=table[""].sha256 if "" in table else None,
        parts=tuple(name.removeprefix("/") for name in table if name),
    )
    package = complete(folder.curated, made.facts, made.schema, dataset=dataset, edition=edition, addresses=addresses)
    package_problems = validate(package, folder.profile, dataset=bench.id)
    item, item_problems, entry, fragment, entry_problems = _projections(package, made, package_problems)
    if item:
        item_problems += _collection_problems(bench, item, addresses)
    guessed = guesses_in_schema(folder.schema)
    proposed = bench.store.url(places.version(version, schema_name(dataset)))
    copied = f"where the data is right, copy its schema from {proposed} to datasets/{bench.id}/ in the catalog"
    differing = [f"{d.grade}: {d.message}" for d in made.differences]
    disagreeing = (*differing, *([copied] if differing else []), *guessed)
    checks = (
        _values(made),
        Check(
            name=SCHEMA_CHECK,
            passed=not disagreeing,
            findings=disagreeing,
        ),
        _check("datapackage_valid", package_problems),
        _check("stac_item_valid", item_problems),
        _check("pygeoapi_entry_valid", entry_problems),
        _check("projection_possible", [*_write_problems(bench), *plain_problems(dataset, made.sample)]),
        _check(NOTHING_LEFT_OUT, left_out_in_words(made.facts)),
        _check("complete", missing_times(made.facts, dataset, now)),
        _check("definition_of_done", undone(dataset, package)),
    )
    receipt = json_bytes(made.receipt)
    documents = {
        "datapackage.json": json_bytes(package),
        schema_name(dataset): json_bytes(made.schema),
        RECEIPT: receipt,
    }
    stored = [StoredFile.of(places.version(version, name), data) for name, data in documents.items()]
    released = ReleaseLog(bench.store, bench.id).numbers()
    kept, dropped = retention(released, number)
    record = ReleaseRecord(
        dataset=bench.id,
        release=number,
        base=base.release if base else None,
        attempt=bench.attempt,
        created=in_utc(now),
        format=dataset.format,
        access=dataset.access,
        collection=dataset.collection,
        environment=bench.environment,
        catalog=bench.catalog,
        catalog_commit=folder.commit,
        catalog_time=in_utc(folder.commit_time),
        code_version=installed_version("rimrep_assets"),
        fingerprints=fingerprints,
        version=version,
        data_version=made.data_version,
        snapshot=made.snapshot,
        state=dict(made.state) if made.state else None,
        sources=made.sources,
        source_rows=dict(made.source_rows),
        plain=dataset.layout.plain,
        plain_format=dataset.layout.plain_format,
        shrinks=shrinks(base.facts if base else None, made.facts),
        folded=made.folded,
        objects=(*made.objects, *([made.quicklook] if made.quicklook else []), *stored),
        quicklook=made.quicklook,
        table_or_grid_schema=dict(made.schema),
        facts=made.facts,
        datapackage=package,
        stac_item=item,
        stac_collection=dict(folder.collection),
        pygeoapi_entry=entry,
        openapi_fragment=fragment,
        receipt=next(s for s in stored if s.path.endswith(RECEIPT)),
        cost=_cost(made, stored, started),
        kept=kept,
        dropped=dropped,
    ).to_bytes()
    verdict = Verdict(dataset=bench.id, candidate=sha256(record), checks=checks)
    for name, data in {**documents, CANDIDATE: record}.items():
        bench.store.write(places.version(version, name), data)
    bench.store.write(places.version(version, VERDICT), json_bytes(verdict.model_dump(mode="json")))
    return Candidate(version, record, verdict)


def in_utc(moment: datetime) -> str:
    """ISO 8601 to the second, ending in Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(name: str, findings: list[str]) -> Check:
    severity = "warning" if name in WARNINGS else "error"
    return Check(name=name, passed=not findings, severity=severity, findings=tuple(findings))  # type: ignore[arg-type]


def left_out_in_words(facts: Facts) -> list[str]:
    """What rules left out, which the dataset declares: a warning, because nobody shall miss it."""
    return [f"left out as declared: {count} {what}" for what, count in facts.left_out.items()]


def _values(made: Version) -> Check:
    findings = [f"{proof.name}: {difference}" for proof in made.proofs for difference in proof.differences]
    findings += [f"{key} changed, although no source file asks for it" for key in made.receipt.get("untouched", [])]
    proven = {proof["name"] for proof in made.receipt.get("files", [])}
    findings += [f"{f.name}: it was not compared with what was published" for f in made.sources if f.name not in proven]
    return _check(VALUES_MATCH_SOURCE, findings)


def _projections(
    package: Mapping[str, Any], made: Version, package_problems: list[str]
) -> tuple[dict[str, Any], list[str], dict[str, Any], dict[str, Any], list[str]]:
    """STAC item and pygeoapi entry with fragment, and what is wrong with each; both rest on a valid datapackage."""
    if package_problems:
        not_made = ["not made, because the datapackage is not valid"]
        return {}, not_made, {}, {}, not_made
    item, entry = item_from(package, made.schema), entry_from(package, made.schema)
    fragment, entry_problems = _openapi(entry, made)
    return item, validate_item(item), entry, fragment, entry_problems


def _collection_problems(bench: Workbench, item: Mapping[str, Any], addresses: Addresses) -> list[str]:
    """What is wrong with the collection that the catalog describes, as it would be with this item alone."""
    hrefs = {"self_href": addresses.stac_collection, "root_href": addresses.stac_root}
    collection = collection_from(bench.folder.collection, [item], listing_digest="", **hrefs)
    return [f"collection {bench.folder.dataset.collection}: {problem}" for problem in validate_collection(collection)]


def _openapi(entry: Mapping[str, Any], made: Version) -> tuple[dict[str, Any], list[str]]:
    problems = validate_entry(entry)
    if problems:
        return {}, problems
    try:
        return fragment_for(entry, made.sample), []
    except RimrepError as error:
        return {}, list(error.problems)


def _write_problems(bench: Workbench) -> list[str]:
    """Try every folder that the projection will write into, beside the things that lie there."""
    problems: list[str] = []
    for folder in ("stac", "pygeoapi", "commits", f"{bench.id}/projecting-probe"):
        probe = f"{folder}/.probe/{bench.attempt}"
        try:
            bench.store.write(probe, b"can this place be written?\n")
            bench.store.delete(probe)
        except DefinitionError as error:
            problems += error.problems
    try:
        PygeoapiConfig(bench.store).require_header()
    except DefinitionError as error:
        problems += error.problems
    return problems


def plain_problems(dataset: Dataset, sample: Path) -> list[str]:
    """What the plain copy's declared format cannot hold of the data, whose metadata lies in the folder ``sample``."""
    if dataset.format != "zarr" or not dataset.layout.plain or dataset.layout.plain_format == 3:
        return []
    problems: list[str] = []
    for document in sorted(sample.glob("*/zarr.json")):
        try:
            array_v2(document.parent.name, json.loads(document.read_bytes()))
        except DefinitionError as error:
            problems += error.problems
    return problems


def _cost(made: Version, stored: list[StoredFile], started: tuple[float, float]) -> Cost:
    new = [o for o in made.objects if f"/{made.data_version}/" in o.path] if made.proofs else []
    return Cost(
        wall_s=round(time.monotonic() - started[0], 3),
        cpu_s=round(time.process_time() - started[1], 3),
        source_bytes=made.source_bytes,
        stored_bytes=sum(o.bytes for o in (*new, *stored)),
        values_proven=sum(proof.compared + proof.sampled for proof in made.proofs),
    )
