"""The plain Zarr copy of a grid at its stable address: made equal to a snapshot, encoded bytes as they are.

Here belongs the order of its writes, so that a reader meets old or new and never misreads (the table in
``docs/publication.md``). Not here: when a release is projected (``projector``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.release import Places, ReleaseRecord, json_bytes
from rimrep_assets.ports.grid_repository import GridRepository, encoded, keys
from rimrep_assets.ports.object_store import ObjectStore, read_if_there

if TYPE_CHECKING:
    import numpy as np
    import zarr

ROOT = "zarr.json"
OURS = "rimrep"
"""attribute of the root that carries the data's version"""
WRITERS = 8


@dataclass(frozen=True)
class PlainCopy:
    """The store ``<dataset>/data.zarr``. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    repository: GridRepository

    @property
    def _folder(self) -> str:
        return Places(self.repository.dataset).grid

    def _root(self) -> dict[str, Any] | None:
        """The root's document; None where there is none, or what is there is no root: then all is written anew."""
        found = read_if_there(self.store, f"{self._folder}/{ROOT}")
        try:
            document = None if found is None else json.loads(found)
        except ValueError:
            return None
        return document if isinstance(document, dict) and isinstance(document.get("attributes"), dict) else None

    def shown_snapshot(self) -> str | None:
        """The snapshot that the root says it shows; None where there is no root."""
        root = self._root()
        return None if root is None else root["attributes"].get(OURS, {}).get("snapshot")

    def project(self, record: ReleaseRecord, *, suspects: Iterable[str] = ()) -> None:
        """Make the copy show ``record``; ``suspects`` are snapshots whose chunks a broken projection may have left.

        Growing: chunks, root, the arrays' own metadata. Shrinking: root and metadata first. Where the old metadata
        would misread new chunks, it goes first and comes back last.
        """
        assert record.snapshot is not None
        suspects = set(suspects) - {record.snapshot}
        root = self._root()
        shown = None if root is None else root["attributes"].get(OURS, {}).get("snapshot")
        if shown == record.snapshot and not suspects and not self.metadata_differences(record):
            return
        new = self.repository.read(record.snapshot)
        documents = _documents(new)
        changed = self._changed_chunks({shown, *suspects} if shown else suspects, record.snapshot)
        if root is None or shown is None:
            self._rewrite(record, new, documents, None)
        elif self._would_misread(root, documents, shown, record, changed):
            self._withdraw_metadata(root)
            self._rewrite(record, new, documents, changed)
        elif _shrinks(root, documents):
            self._write_metadata(record, documents, root_first=True)
            self._copy_chunks(new, changed)
            self._delete_strays(new)
        else:
            self._copy_chunks(new, changed)
            self._write_metadata(record, documents, root_first=True)
            if changed is None:
                self._delete_strays(new)

    def remove(self) -> None:
        """Take the copy away, the root first: for a dataset that has none any more. Nothing happens where none is."""
        self.store.delete(f"{self._folder}/{ROOT}")
        for stored in self.store.list(self._folder):
            self.store.delete(stored.path)

    def _rewrite(self, record: ReleaseRecord, new: Any, documents: Mapping[str, Any], changed: set[str] | None) -> None:
        """Chunks, then metadata, the root last: without a root there is nothing to open."""
        self._copy_chunks(new, changed)
        self._delete_strays(new)
        self._write_metadata(record, documents, root_first=False)

    def _changed_chunks(self, snapshots: set[str], to: str) -> set[str] | None:
        """The chunk keys that may differ from ``to``; None when all may."""
        changed: set[str] = set()
        if not snapshots:
            return None
        for snapshot in snapshots:
            difference = self.repository.difference(snapshot, to)
            if difference is None or difference.arrays_made_anew:
                return None
            changed |= difference.chunks
        return changed

    def _would_misread(
        self,
        root: Mapping[str, Any],
        documents: Mapping[str, Any],
        shown: str,
        record: ReleaseRecord,
        changed: set[str] | None,
    ) -> bool:
        old = root.get("consolidated_metadata", {}).get("metadata", {})
        if old.keys() - documents.keys():
            return True
        if any(_without_shape(old[path]) != _without_shape(documents[path]) for path in old):
            return True
        time = record.datapackage.get("coordinates", {}).get("t")
        steady = [p for p in old if _is_steady(documents[p], time) and _touched(p, changed)]
        if not steady:
            return False
        if self.repository.difference(shown, shown) is None:
            return True
        before, after = self.repository.group(shown), self.repository.group(record.snapshot or "")
        for path in steady:
            values = _array_values(before, path)
            again = _array_values(after, path)[tuple(slice(0, size) for size in values.shape)]
            if again.shape == values.shape and again.tobytes() != values.tobytes():
                return True
        return False

    def _withdraw_metadata(self, root: Mapping[str, Any]) -> None:
        self.store.delete(f"{self._folder}/{ROOT}")
        for path in root.get("consolidated_metadata", {}).get("metadata", {}):
            self.store.delete(f"{self._folder}/{path}/{ROOT}")

    def _copy_chunks(self, new: Any, changed: set[str] | None) -> None:
        wanted = [k for k in keys(new) if not k.endswith(ROOT)] if changed is None else sorted(changed)

        def copy(key: str) -> None:
            data = encoded(new, key)
            if data is None:
                self.store.delete(f"{self._folder}/{key}")
            else:
                self.store.write(f"{self._folder}/{key}", data)

        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(copy, key) for key in wanted]:
                done.result()

    def _delete_strays(self, new: Any) -> None:
        keep = {f"{self._folder}/{key}" for key in keys(new)}
        for stored in self.store.list(self._folder):
            if stored.path not in keep:
                self.store.delete(stored.path)

    def _write_metadata(self, record: ReleaseRecord, documents: Mapping[str, Any], *, root_first: bool) -> None:
        writes = list(_metadata(record, documents).items())
        for key, data in writes if root_first else reversed(writes):
            self.store.write(f"{self._folder}/{key}", data)

    def metadata_differences(self, record: ReleaseRecord) -> list[str]:
        """The copy's metadata documents that are not those of the release; reads no chunk."""
        assert record.snapshot is not None
        wanted = _metadata(record, _documents(self.repository.read(record.snapshot)))
        return [
            f"data.zarr/{key} is not that of release {record.release}"
            for key, data in wanted.items()
            if read_if_there(self.store, f"{self._folder}/{key}") != data
        ]

    def differs_from(self, record: ReleaseRecord) -> list[str]:
        """Every key whose bytes are not those of the release's snapshot, in words; reads all of both."""
        assert record.snapshot is not None
        new = self.repository.read(record.snapshot)
        stored = {o.path.removeprefix(f"{self._folder}/") for o in self.store.list(self._folder)}
        wanted = {k for k in keys(new) if not k.endswith(ROOT)}
        found = [f"data.zarr/{key} is missing" for key in sorted(wanted - stored)]
        found += [
            f"data.zarr/{key} does not belong to the release"
            for key in sorted(stored - wanted)
            if not key.endswith(ROOT)
        ]
        with ThreadPoolExecutor(WRITERS) as pool:
            both = sorted(wanted & stored)
            same = pool.map(lambda k: encoded(new, k) == read_if_there(self.store, f"{self._folder}/{k}"), both)
            found += [
                f"data.zarr/{k} has other bytes than the release" for k, ok in zip(both, same, strict=True) if not ok
            ]
        return found + self.metadata_differences(record)


def version_mark(record: ReleaseRecord) -> dict[str, Any]:
    """What the data itself says of the release that it belongs to."""
    return {
        "dataset": record.dataset,
        "release": record.release,
        "data_version": record.data_version,
        "snapshot": record.snapshot,
    }


def _metadata(record: ReleaseRecord, documents: Mapping[str, Any]) -> dict[str, bytes]:
    """All metadata of the copy by key, the root first: the snapshot's, with the mark and consolidated in the root."""
    arrays = {path: document for path, document in sorted(documents.items()) if path}
    root = {
        **documents[""],
        "attributes": {**documents[""].get("attributes", {}), OURS: version_mark(record)},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
    }
    return {ROOT: json_bytes(root), **{f"{path}/{ROOT}": json_bytes(doc) for path, doc in arrays.items()}}


def _documents(store: Any) -> dict[str, Any]:
    """Zarr metadata by node path; '' is the root. Chunks are not listed: that would cost with the store's length."""
    import zarr

    paths = ["", *sorted(zarr.open_group(store, mode="r").array_keys())]
    return {p: json.loads(encoded(store, f"{p}/{ROOT}".lstrip("/")) or b"{}") for p in paths}


def _array_values(group: zarr.Group, path: str) -> np.ndarray:
    import numpy as np
    import zarr

    array = group[path]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


def _without_shape(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "shape"}


def _is_steady(document: Mapping[str, Any], time: str | None) -> bool:
    """Whether old readers take the array's values for granted: an axis, or anything without time."""
    dimensions = document.get("dimension_names") or ()
    return document.get("node_type") == "array" and (len(dimensions) <= 1 or time not in dimensions)


def _touched(path: str, changed: set[str] | None) -> bool:
    return changed is None or any(key.startswith(f"{path}/c") for key in changed)


def _shrinks(root: Mapping[str, Any], documents: Mapping[str, Any]) -> bool:
    old = root.get("consolidated_metadata", {}).get("metadata", {})
    return any(
        new < before
        for path, document in old.items()
        for before, new in zip(document.get("shape", ()), documents.get(path, {}).get("shape", ()), strict=False)
    )
