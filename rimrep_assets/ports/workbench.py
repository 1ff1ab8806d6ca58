"""All that one attempt at a release works with: the description, the store, the source, and where it may scratch.

Here belongs opening these from settings. Not here: what the attempt does (``publication``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.partial_file import LocalFile, PartialFile
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.catalog import Catalog, DatasetFolder, open_catalog
from rimrep_assets.ports.object_store import ObjectStore, S3Access, open_store
from rimrep_assets.ports.projector import silent
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess
from rimrep_assets.ports.sources.http_ranges import RangedFolder
from rimrep_assets.ports.sources.open_source import source_for
from rimrep_assets.ports.sources.protocol import SourceFolder

BUCKETS = {"public": "public", "limited": "limited-access"}
"""access -> the word in a store's address"""
CODE_VERSION = "1"
"""raised when the descriptions that the same input gives become others"""
CACHE_BYTES = 20_000_000_000


def utc_now() -> datetime:
    return datetime.now(UTC)


def absolute(location: str) -> str:
    """A path as seen from the current folder; an address on the web or of a store as it is."""
    if "://" in location or location.startswith("git@"):
        return location
    return str(Path(location).expanduser().absolute())


@dataclass(frozen=True)
class Settings:
    """Where this platform's parts are; every field comes from the command line or the environment."""

    catalog: str
    store: str | None
    """address with ``{access}`` in it, or above the two folders; None: as the catalog's endpoints say"""
    environment: str
    data_folder: Path
    """caches and embedded defaults of this user"""
    source_roots: tuple[Path, ...] = ()
    s3: S3Access = field(default_factory=S3Access)
    cache_bytes: int = CACHE_BYTES
    """so much of what was downloaded is kept, so that the steps of a run need not fetch it again"""
    files_url: str | None = None
    """where this platform shows the store's ``public/`` folder on the web; for links in Dagster, never published"""
    pygeoapi_url: str | None = None
    """where this platform's pygeoapi answers; for links in Dagster, never published"""
    dask_scheduler: str | None = None
    """address of the environment's own scheduler, for datasets that ask for dask"""
    earthdata: EarthdataAccess = field(default_factory=EarthdataAccess)
    """where NASA Earthdata is, and who we are there"""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        home = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        # Absolute from here on: parts of the platform run in other folders than the one that was meant.
        data_folder = Path(absolute(environment.get("RIMREP_DATA") or str(home / "rimrep")))
        roots = environment.get("RIMREP_SOURCES", "")
        store = environment.get("RIMREP_STORE")
        return cls(
            catalog=absolute(environment.get("RIMREP_CATALOG") or str(data_folder / "catalog.git")),
            store=absolute(store) if store else None,
            environment=environment.get("RIMREP_ENVIRONMENT") or "development",
            data_folder=data_folder,
            source_roots=tuple(Path(absolute(root)) for root in roots.split(os.pathsep) if root),
            s3=S3Access.from_environment(environment),
            cache_bytes=int(environment.get("RIMREP_CACHE_BYTES") or CACHE_BYTES),
            files_url=environment.get("RIMREP_FILES_URL") or None,
            pygeoapi_url=environment.get("RIMREP_PYGEOAPI_URL") or None,
            dask_scheduler=environment.get("RIMREP_DASK_SCHEDULER") or None,
            earthdata=EarthdataAccess.from_environment(environment),
        )

    def source_of(self, dataset: Dataset, place: Path | None) -> SourceFolder:
        """The source of ``dataset``; local ones count from ``place``, the catalog repository's folder.

        Raises: as ``source_for``.
        """
        return source_for(dataset, place, self.cache, allowed_roots=self.source_roots, earthdata=self.earthdata)

    @property
    def uses_example_catalog(self) -> bool:
        """Whether the catalog is the embedded one, which is made when it is not there yet."""
        return self.catalog == str(self.data_folder / "catalog.git")

    @property
    def cache(self) -> Path:
        """What may be deleted at any time."""
        return self.data_folder / "cache"

    def shrink_cache(self) -> int:
        """Remove the downloads that were used longest ago until ``cache_bytes`` are left; the bytes removed."""
        return DownloadCache(self.cache / "downloads").shrink(self.cache_bytes)

    def open_catalog(self) -> Catalog:
        return open_catalog(self.catalog, self.data_folder / "catalogs")

    def store_for(self, access: str, endpoints: Mapping[str, object] | None = None) -> ObjectStore:
        """The store of public or limited data: as told, else as the endpoints say, else a folder of this user."""
        told, documents = self.store, None
        if told is None and self.uses_example_catalog:
            told = str(self.data_folder / "store")
        if told is None:
            told = str((endpoints or {}).get("store") or self.data_folder / "store")
            web = (endpoints or {}).get("files_url")
            documents = web.get(access) if isinstance(web, Mapping) else None
        url = told if "{access}" in told else told.rstrip("/") + "/{access}"
        return open_store(url.replace("{access}", BUCKETS[access]), self.s3, documents)

    def stores(self, endpoints: Mapping[str, object] | None = None) -> dict[str, ObjectStore]:
        return {access: self.store_for(access, endpoints) for access in BUCKETS}


@dataclass(frozen=True)
class Workbench:
    """One attempt's things; ``attempt`` is unique to it."""

    folder: DatasetFolder
    store: ObjectStore
    source: SourceFolder
    s3: S3Access
    environment: str
    catalog: str
    attempt: str
    scratch: Path
    now: Callable[[], datetime] = utc_now
    progress: Callable[[str], None] = silent
    dask_scheduler: str | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def id(self) -> str:
        return self.folder.dataset.id

    @cached_property
    def _fetched(self) -> dict[str, Path]:
        return {}

    def fetch(self, file: SourceFile) -> Path:
        """A local copy of a source file, fetched once an attempt. Raises: Unavailable, DataError."""
        key = f"{file.name}:{file.digest}"
        if key not in self._fetched:
            target = self.fetched / file.digest[:16]
            target.mkdir(parents=True, exist_ok=True)
            self._fetched[key] = self.source.fetch(file, target)
        return self._fetched[key]

    @cached_property
    def _opened(self) -> dict[str, LocalFile]:
        return {}

    def open(self, file: SourceFile) -> LocalFile:
        """A source file for who can say which bytes he reads: partly here where its source is read by ranges, else as
        ``fetch`` brings it. Raises: Unavailable, DataError."""
        if not isinstance(self.source, RangedFolder):
            return self.fetch(file)
        key = f"{file.name}:{file.digest}"
        with self._opening:
            if key not in self._opened:
                self._opened[key] = self.source.open(file, self.fetched / file.digest[:16], self.progress)
        return self._opened[key]

    @property
    def bytes_in_parts(self) -> int:
        """How much was fetched so far of files that are partly here."""
        opened = list(self._opened.values())
        return sum(file.bytes_read for file in opened if isinstance(file, PartialFile))

    @property
    def fetched(self) -> Path:
        """Where ``fetch`` puts files: in a folder named by the first 16 letters of the digest."""
        return self.scratch / "sources"

    def scratch_folder(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def open_workbench(
    settings: Settings,
    catalog: Catalog,
    commit: str,
    dataset_id: str,
    *,
    attempt: str,
    scratch: Path,
    progress: Callable[[str], None] = silent,
) -> Workbench:
    """The workbench for ``dataset_id`` as ``commit`` describes it. Raises: DefinitionError, Unavailable."""
    folder = catalog.at(commit).folder(dataset_id, settings.environment)
    if folder.dataset.access == "limited":
        _refuse_published_openly(settings.store_for("public", folder.endpoints), dataset_id)
    return Workbench(
        folder=folder,
        store=settings.store_for(folder.dataset.access, folder.endpoints),
        source=settings.source_of(folder.dataset, catalog.place),
        s3=settings.s3,
        environment=settings.environment,
        catalog=catalog.location,
        attempt=attempt,
        scratch=scratch,
        progress=progress,
        dask_scheduler=settings.dask_scheduler,
    )


def _refuse_published_openly(public: ObjectStore, dataset_id: str) -> None:
    """A dataset that became limited must not stay readable for everybody under its old releases."""
    numbers = ReleaseLog(public, dataset_id).numbers()
    if numbers:
        raise DefinitionError(
            f"access is limited, but the public store {public.address} holds {len(numbers)} releases of it",
            dataset=dataset_id,
            advice=f"remove {dataset_id}/ and what stac/ and pygeoapi/ say of it from the public store, then publish; "
            "or set access: public again.",
        )
