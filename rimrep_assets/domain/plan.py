"""What runs again, and why: a pure function from what is wanted and what is released to the steps that are due.

Here belong fingerprints and the decision. Not here: finding out what is wanted or released (``ports``), or running
anything (``defs``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.release import Fingerprints
from rimrep_assets.domain.source_file import SourceFile, compare_ledgers

CODE_OF_DATA = {"parquet": "1", "zarr": "2"}
"""raised when the same source files would give other data, so that every dataset of that format is made again"""
CODE_OF_DOCUMENTS = "1"
"""raised when the same data and catalog would give other documents"""

Step = Literal["data", "datapackage", "release"]
STEPS: tuple[Step, ...] = ("data", "datapackage", "release")


@dataclass(frozen=True)
class Wanted:
    """What the catalog and the source say of a dataset now; ``sources`` None when nobody looked."""

    fingerprints: Fingerprints
    sources: tuple[SourceFile, ...] | None


@dataclass(frozen=True)
class Released:
    """What the newest release was made from."""

    release: int
    fingerprints: Fingerprints
    sources: tuple[SourceFile, ...]


@dataclass(frozen=True, order=True)
class Due:
    """A step that must run, and why in words."""

    dataset: str
    step: Step
    reason: str


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def data_fingerprint(dataset: Dataset, schema: Mapping[str, Any] | None) -> str:
    """Of all that decides the data besides the source's files: steps, layout, coordinates, declared types, code."""
    types = [(f.get("name"), f.get("type"), f.get("format")) for f in (schema or {}).get("fields", [])]
    other = {"object_bytes", "folder"} if dataset.format == "zarr" else set()
    layout = dataset.layout.model_dump(mode="json", exclude={"plain", "plain_format", *other})
    return _digest(
        [
            CODE_OF_DATA[dataset.format],
            dataset.format,
            dataset.coordinates.model_dump(mode="json"),
            dataset.convert.model_dump(mode="json"),
            layout,
            types if dataset.format == "parquet" else [],
        ]
    )


def documents_fingerprint(description_digest: str, environment: str, store: str) -> str:
    """Of all that decides the documents besides the data: the folder, imports and endpoints, where they lie, code."""
    return _digest([CODE_OF_DOCUMENTS, description_digest, environment, store])


def plan(wanted: Mapping[str, Wanted], released: Mapping[str, Released]) -> list[Due]:
    """The steps that are due, sorted by dataset and order; a dataset that is not wanted any more has none.

    Data is due when it was never released, its fingerprint is new or a source file is new, re-issued, withdrawn or
    (where references name it) re-marked; the datapackage is due when data is, or its own fingerprint is new; a release
    is due when any of them is.
    """
    due: list[Due] = []
    for dataset, now in sorted(wanted.items()):
        before = released.get(dataset)
        why_data = _why_data(now, before)
        if why_data:
            due.append(Due(dataset, "data", why_data))
        if why_data:
            due += [Due(dataset, step, "its data is due") for step in STEPS[1:]]
        elif before is not None and before.fingerprints.documents != now.fingerprints.documents:
            due.append(Due(dataset, "datapackage", "its description in the catalog changed"))
            due.append(Due(dataset, "release", "its datapackage is due"))
    return due


def _why_data(now: Wanted, before: Released | None) -> str:
    if before is None:
        return "it was never released"
    if before.fingerprints.data != now.fingerprints.data:
        return "how it is converted or laid out changed"
    if now.sources is not None:
        change = compare_ledgers(before.sources, now.sources)
        if not change.is_empty:
            return str(change)
    return ""
