"""A release as a value: its commit record, the verdict that allowed it, and where each of its parts lies.

Here belongs what a record holds, how releases are numbered and kept, and every path below a dataset's folder.
Not here: writing any of it (``ports/release_log``, ``ports/projector``), or deciding what runs (``plan``).
"""

from __future__ import annotations

import builtins
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rimrep_assets.domain.facts import Facts
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.strict_model import StrictModel

TABLE = "data.parquet"
"""a table's object, or the folder of its parts"""
KEPT = 3
"""so many of the newest releases keep their data"""


def sha256(data: bytes) -> str:
    """The digest of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def json_bytes(document: Any) -> bytes:
    """The one way in which documents are written: deterministic, order kept, UTF-8, a newline at the end."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


class StoredFile(StrictModel):
    """An object of a release: path below the store's address, digest and size in bytes."""

    path: str
    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: str, data: builtins.bytes) -> StoredFile:
        return cls(path=path, sha256=sha256(data), bytes=len(data))


def table_objects(objects: Iterable[StoredFile]) -> dict[str, StoredFile]:
    """The objects that hold a table's rows, by what follows ``data.parquet`` in their paths: '' is the single object,
    ``/part-00000.parquet`` a part, ``/_metadata`` the footers of all parts."""
    found = {}
    for stored in objects:
        _, mark, rest = stored.path.partition(f"/{TABLE}")
        if mark and (not rest or rest.startswith("/")):
            found[rest] = stored
    return found


class Fingerprints(StrictModel):
    """What a release was made from, besides the source files; a step runs when its fingerprint is new."""

    data: str
    documents: str


class Check(StrictModel):
    """One check of the gate: in words what it found; a warning never stops a release."""

    name: str
    passed: bool
    severity: Literal["error", "warning"] = "error"
    findings: tuple[str, ...] = ()


class Verdict(StrictModel):
    """The gate's judgement on exactly one candidate, which it names by digest."""

    dataset: str
    candidate: str
    """sha256 of candidate.json"""
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks if check.severity == "error")

    def refusals(self) -> list[str]:
        """Every finding of every failed check, with the check's name."""
        return [
            f"{check.name}: {finding}"
            for check in self.checks
            if not check.passed and check.severity == "error"
            for finding in (check.findings or ("failed",))
        ]


class Cost(StrictModel):
    """What making the release took: seconds of wall and CPU time, bytes read from the source, written, proven."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    source_bytes: int = 0
    stored_bytes: int = 0
    values_proven: int = 0


class ReleaseRecord(StrictModel):
    """``releases/<n>.json``: created once, never changed, and enough to project the release from nothing else."""

    dataset: str
    release: int
    base: int | None
    attempt: str
    created: str
    format: Literal["parquet", "zarr"]
    access: Literal["public", "limited"]
    collection: str
    environment: str
    catalog: str
    catalog_commit: str
    catalog_time: str
    code_version: str
    fingerprints: Fingerprints
    version: str
    """``versions/<version>/`` holds this release's documents"""
    data_version: str
    """``versions/<data_version>/`` holds a table's data; a grid's is its snapshot"""
    snapshot: str | None = None
    state: dict[str, Any] | None = None
    """grids: which file stands at which time (``grid_axis``)"""
    sources: tuple[SourceFile, ...]
    source_rows: dict[str, int] = {}
    """tables: published rows of each source file"""
    plain: bool = True
    plain_format: Literal[2, 3] = 3
    shrinks: bool = False
    """descriptions are projected before the data"""
    folded: tuple[str, ...] = ()
    """attempts whose staging is in it, so that nobody needs that any more"""
    objects: tuple[StoredFile, ...]
    table_or_grid_schema: dict[str, Any]
    facts: Facts
    datapackage: dict[str, Any]
    stac_item: dict[str, Any]
    stac_collection: dict[str, Any]
    """the collection as the catalog describes it; what is published adds the items' extents"""
    pygeoapi_entry: dict[str, Any]
    openapi_fragment: dict[str, Any]
    receipt: StoredFile
    quicklook: StoredFile | None = None
    """a picture of the data; of another version where only descriptions changed"""
    cost: Cost
    kept: tuple[int, ...]
    dropped: tuple[int, ...]

    def to_bytes(self) -> bytes:
        return json_bytes(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> ReleaseRecord:
        return cls.model_validate_json(data)

    @property
    def places(self) -> Places:
        return Places(self.dataset)

    @property
    def schema_name(self) -> str:
        return "tableschema.json" if self.format == "parquet" else "gridschema.json"

    @property
    def tag(self) -> str:
        return release_tag(self.release)


def release_tag(release: int) -> str:
    """The Icechunk tag of a release."""
    return f"release-{release}"


@dataclass(frozen=True)
class Places:
    """Every path of one dataset below the store's address."""

    dataset: str

    def record(self, release: int) -> str:
        return f"{self.dataset}/releases/{release}.json"

    @property
    def records(self) -> str:
        return f"{self.dataset}/releases"

    def version(self, version: str, name: str = "") -> str:
        return f"{self.dataset}/versions/{version}" + (f"/{name}" if name else "")

    @property
    def versions(self) -> str:
        return f"{self.dataset}/versions"

    def staging(self, attempt: str, name: str = "") -> str:
        return f"{self.dataset}/staging/{attempt}" + (f"/{name}" if name else "")

    @property
    def staged(self) -> str:
        return f"{self.dataset}/staging"

    @property
    def marks(self) -> str:
        return f"{self.dataset}/projecting"

    @property
    def icechunk(self) -> str:
        return f"{self.dataset}/data.icechunk"

    @property
    def table(self) -> str:
        return f"{self.dataset}/{TABLE}"

    @property
    def grid(self) -> str:
        return f"{self.dataset}/data.zarr"

    @property
    def datapackage(self) -> str:
        return f"{self.dataset}/datapackage.json"

    def schema(self, name: str) -> str:
        return f"{self.dataset}/{name}"

    def stac_item(self, collection: str) -> str:
        return f"stac/{collection}/items/{self.dataset}.json"

    @property
    def pygeoapi_entry(self) -> str:
        return f"pygeoapi/datasets/{self.dataset}.yaml"

    @property
    def openapi_fragment(self) -> str:
        return f"pygeoapi/datasets/{self.dataset}.openapi.json"

    def commit(self, catalog_commit: str) -> str:
        return f"commits/{catalog_commit}/{self.dataset}.json"


def retention(releases: Iterable[int], new: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``(kept, dropped)`` when ``new`` joins ``releases``: the newest ``KEPT`` are kept; both ascending."""
    known = sorted({*releases, new})
    return tuple(known[-KEPT:]), tuple(known[:-KEPT])


def shrinks(base: Facts | None, new: Facts) -> bool:
    """Whether a reader of the old descriptions could ask for what the new data no longer has."""
    if base is None:
        return False
    if base.row_count is not None and new.row_count is not None and new.row_count < base.row_count:
        return True
    if any(name not in new.dimensions or new.dimensions[name].size < old.size for name, old in base.dimensions.items()):
        return True
    return (base.end or "") > (new.end or "") or (base.start or "9") < (new.start or "9")


def release_number(path: str) -> int | None:
    """The number in ``…/releases/<n>.json``; None for anything else."""
    name = path.rpartition("/")[2]
    stem, _, ending = name.partition(".")
    return int(stem) if ending == "json" and stem.isdigit() and stem == str(int(stem)) else None


def newest_release(paths: Sequence[str]) -> int | None:
    """The highest release number among ``paths``."""
    return max((n for n in map(release_number, paths) if n is not None), default=None)
