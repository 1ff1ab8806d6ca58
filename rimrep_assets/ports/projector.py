"""Carrying a committed release out to the addresses that people use, any number of times, from its record alone.

Here belongs the order of the writes, the mark of a projection under way, and saying what is not as the newest record
wants it. Not here: committing (``release_log``), the plain Zarr copy's own order (``plain_copy``), or what the shared
documents say (``stac_catalog``, ``pygeoapi_config``).
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from rimrep_assets.domain.datapackage import stable_datapackage
from rimrep_assets.domain.release import Places, ReleaseRecord, json_bytes
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.object_store import ObjectStore, S3Access, read_if_there
from rimrep_assets.ports.plain_copy import PlainCopy
from rimrep_assets.ports.process_identity import process_start
from rimrep_assets.ports.pygeoapi_config import PygeoapiConfig
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.shared_document import json_object
from rimrep_assets.ports.stac_catalog import StaticStac
from rimrep_assets.ports.table_copy import TableCopy

STALE = timedelta(minutes=30)
"""a mark of another machine that is older, by the store's clock, belongs to a projection that died"""

_under_way: set[str] = set()
"""marks of projections that this process is carrying out right now"""


def silent(message: str) -> None:
    """Progress that nobody asked for."""


@dataclass
class Projector:
    """Projects the releases of ``dataset``. Every method raises Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    dataset: str
    s3: S3Access = field(default_factory=S3Access)
    progress: Callable[[str], None] = silent

    @cached_property
    def log(self) -> ReleaseLog:
        return ReleaseLog(self.store, self.dataset)

    @cached_property
    def repository(self) -> GridRepository:
        return GridRepository(self.store, self.dataset, self.s3)

    @cached_property
    def plain_copy(self) -> PlainCopy:
        return PlainCopy(self.store, self.repository)

    @cached_property
    def table_copy(self) -> TableCopy:
        return TableCopy(self.store, self.dataset)

    @cached_property
    def stac(self) -> StaticStac:
        return StaticStac(self.store)

    @cached_property
    def pygeoapi(self) -> PygeoapiConfig:
        return PygeoapiConfig(self.store)

    @property
    def places(self) -> Places:
        return Places(self.dataset)

    def finish(self) -> bool:
        """Finish what a broken projection left; False, and not a single write, where all is as it should be."""
        newest = self.log.newest()
        if newest is None or not (self.store.list(self.places.marks) or self.unprojected(newest)):
            return False
        self.progress(f"finishing the projection of release {newest.release}")
        self.project(newest)
        return True

    def project(self, record: ReleaseRecord, again: Collection[str] = frozenset()) -> None:
        """Make all addresses show ``record``, or what is newer by the time that this ends.

        ``again``: what of the data at the stable address is made right although it says that it is (``misplaced``).
        """
        mark = f"{self.places.marks}/{record.release}-{uuid.uuid4().hex[:12]}.json"
        _under_way.add(mark)
        try:
            self.store.write(mark, json_bytes(self._mark_of(record)))
            while True:
                others = [o.path for o in self.store.list(self.places.marks) if o.path != mark]
                self._carry_out(record, self._suspects(others), again)
                newest = self.log.newest()
                if newest is None or newest.release == record.release:
                    break
                record = newest
            self._remove_stale_marks(mark)
            self.store.delete(mark)
        finally:
            _under_way.discard(mark)

    def _mark_of(self, record: ReleaseRecord) -> dict[str, object]:
        return {
            "release": record.release,
            "snapshots": [s for s in (record.snapshot, *self._shown_snapshots(record)) if s],
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": process_start(os.getpid()),
        }

    def _shown_snapshots(self, record: ReleaseRecord) -> tuple[str, ...]:
        return self.plain_copy.shown_snapshots() if record.snapshot and record.plain else ()

    def _suspects(self, marks: list[str]) -> set[str] | None:
        """Snapshots whose chunks other projections may have left; None when there are no other projections."""
        if not marks:
            return None
        found: set[str] = set()
        for path in marks:
            said = json_object(read_if_there(self.store, path)) or {}
            found.update(said.get("snapshots", []))
        return found

    def _carry_out(self, record: ReleaseRecord, suspects: set[str] | None, again: Collection[str]) -> None:
        if record.shrinks:
            table = self._table_to_copy(record, suspects, again)
            self._project_descriptions(record)
            self._project_data(record, suspects, again, table)
        else:
            self._project_data(record, suspects, again, self._table_to_copy(record, suspects, again))
            self._project_descriptions(record)
        commit = json_bytes(_what_the_commit_produced(record))
        self._write_if_other(self.places.commit(record.catalog_commit), commit)

    def _table_to_copy(
        self, record: ReleaseRecord, suspects: set[str] | None, again: Collection[str]
    ) -> Collection[str] | None:
        """What of a table's stable copy may hold other bytes than the record's data version; None for all of it."""
        if record.format != "parquet":
            return frozenset()
        if suspects is not None or self._shown_data_version() != record.data_version:
            return None
        return {*self.table_copy.misplaced(record), *again}

    def _shown_data_version(self) -> str | None:
        shown = json_object(read_if_there(self.store, self.places.datapackage)) or {}
        found = shown.get("rimrep", {}).get("data_version")
        return None if found is None else str(found)

    def copies_all(self, record: ReleaseRecord) -> bool:
        """Whether projecting ``record`` would write its data at the stable address again, more than is asked for."""
        if self.store.list(self.places.marks):
            return True
        if record.format == "parquet":
            return self._shown_data_version() != record.data_version
        return record.plain and bool(self.plain_copy.metadata_differences(record))

    def _project_data(
        self,
        record: ReleaseRecord,
        suspects: set[str] | None,
        again: Collection[str],
        table: Collection[str] | None,
    ) -> None:
        if record.format == "parquet":
            if table is None or table:
                self.progress("copying the table to its stable address")
                self.table_copy.project(record, table)
            return
        assert record.snapshot is not None
        self.repository.promote(record.snapshot, record.release)
        if record.plain:
            self.progress("bringing the plain copy up to date")
            self.plain_copy.project(record, suspects=suspects or (), again=again)
        elif self.plain_copy.shown_snapshots() or suspects:
            self.plain_copy.remove()

    def _project_descriptions(self, record: ReleaseRecord) -> None:
        self.progress("writing datapackage, STAC and pygeoapi")
        for path, data in self._own_documents(record).items():
            self._write_if_other(path, data)
        self.stac.publish(record)
        self.pygeoapi.publish(record)

    def _own_documents(self, record: ReleaseRecord) -> dict[str, bytes]:
        return {
            self.places.schema(record.schema_name): json_bytes(record.table_or_grid_schema),
            self.places.datapackage: json_bytes(stable_datapackage(record.datapackage)),
        }

    def _write_if_other(self, path: str, data: bytes) -> None:
        if read_if_there(self.store, path) != data:
            self.store.write(path, data)

    def _remove_stale_marks(self, own: str) -> None:
        marks = self.store.list(self.places.marks)
        now = next((o.last_modified for o in marks if o.path == own), None)
        for stored in marks:
            if stored.path == own or stored.path in _under_way:
                continue
            said = json_object(read_if_there(self.store, stored.path)) or {}
            too_old = now is not None and now - stored.last_modified > STALE
            if too_old or _has_ended(said):
                self.store.delete(stored.path)

    def unprojected(self, record: ReleaseRecord) -> list[str]:
        """What of the dataset's own addresses does not show ``record``, in words; cheap, reads no data."""
        wanted = {
            **self._own_documents(record),
            **self.stac.own_documents(record),
            **self.pygeoapi.own_documents(record),
        }
        found = [
            f"{path} is not that of release {record.release}"
            for path, data in wanted.items()
            if read_if_there(self.store, path) != data
        ]
        if record.format == "zarr" and record.snapshot:
            if not self.repository.shows(record.snapshot, record.release):
                found.append(f"Icechunk's main or its tag {record.tag} is not release {record.release}")
            elif record.plain:
                found += self.plain_copy.metadata_differences(record)
            elif self.plain_copy.shown_snapshots():
                found.append(f"data.zarr is there, but release {record.release} has no plain copy")
        return found + (list(self.misplaced(record).values()) if record.format == "parquet" else [])

    def misplaced(self, record: ReleaseRecord) -> dict[str, str]:
        """What of the data at the stable address is missing, too much, or of another size (tables): by what follows the
        address in its path, with a finding. Reads no data; of a plain copy it lists all chunks, and those of its
        snapshot.
        """
        if record.format == "parquet":
            return self.table_copy.misplaced(record)
        return self.plain_copy.drift(record).of_keys() if record.plain and record.snapshot else {}

    def shared_differences(self, record: ReleaseRecord) -> list[str]:
        """What of the collection, the catalog and pygeoapi's configuration is not what the listings want."""
        return [*self.stac.differences(record.collection), *self.pygeoapi.differences()]


def _what_the_commit_produced(record: ReleaseRecord) -> dict[str, object]:
    return {
        "catalog": record.catalog,
        "catalog_commit": record.catalog_commit,
        "dataset": record.dataset,
        "release": record.release,
        "record": record.places.record(record.release),
        "data_version": record.data_version,
    }


def _has_ended(said: dict[str, object]) -> bool:
    """Whether the process that made a mark on this host is over, or has given the projection up."""
    if said.get("host") != socket.gethostname() or not isinstance(said.get("pid"), int):
        return False
    pid = int(str(said["pid"]))
    if pid == os.getpid():
        return True
    return process_start(pid) != said.get("started")
