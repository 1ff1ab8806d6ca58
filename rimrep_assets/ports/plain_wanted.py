"""What a plain Zarr copy is to hold: the chunks and metadata of a snapshot, in the copy's format, and what differs.

Here belongs what is wanted and how what is there differs from it. Not here: writing it (``plain_copy``), or in what
formats 3 and 2 differ (``plain_format``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.release import Places, ReleaseRecord
from rimrep_assets.ports.grid_repository import GridRepository, encoded, keys
from rimrep_assets.ports.object_store import ObjectStore, read_if_there
from rimrep_assets.ports.plain_format import ROOT_V3, ROOTS, PlainFormat, Root, is_metadata, plain_format

READERS = 8


@dataclass(frozen=True)
class Wanted:
    """What is to be shown: a snapshot's store, in the copy's format, with its metadata, the root first."""

    store: Any
    format: PlainFormat
    metadata: Mapping[str, bytes]
    root: Root

    @cached_property
    def own_chunks(self) -> list[str]:
        """The snapshot's own keys of all its chunks; costs with their number."""
        return [key for key in keys(self.store) if not is_metadata(key, 3)]

    @cached_property
    def chunks(self) -> Mapping[str, str]:
        """Key in the copy -> the snapshot's own key, of every chunk that belongs into the copy."""
        own = {*self.own_chunks, *self.format.written_absent({})}
        return {self.format.chunk_key(key): key for key in own}

    def bytes_of(self, key: str) -> bytes | None:
        """What the copy holds at the snapshot's ``key``; None: nothing. Raises: Damaged, Unavailable."""
        data = encoded(self.store, key)
        return self.format.absent_chunk(key) if data is None else data

    def is_right(self, key: str, there: bytes | None) -> bool:
        """Whether ``there`` may stand in the copy for the snapshot's ``key``. Raises: Damaged, Unavailable."""
        own = encoded(self.store, key)
        if own is None and there is not None:
            return self.format.is_absent_chunk(key, there)
        return own == there


def wanted_by(repository: GridRepository, record: ReleaseRecord) -> Wanted:
    """What the copy of ``record`` holds. Raises: Unavailable; Damaged when the snapshot cannot be read."""
    assert record.snapshot is not None
    store = repository.read(record.snapshot)
    with repository.understanding(record.snapshot):
        format = plain_format(record.plain_format, _documents(store))
        metadata = format.metadata(version_mark(record))
    root = Root.parse(record.plain_format, metadata[ROOTS[record.plain_format]])
    assert root is not None
    return Wanted(store, format, metadata, root)


def version_mark(record: ReleaseRecord) -> dict[str, Any]:
    """What the data itself says of the release that it belongs to."""
    return {
        "dataset": record.dataset,
        "release": record.release,
        "data_version": record.data_version,
        "snapshot": record.snapshot,
    }


def _documents(store: Any) -> dict[str, Any]:
    """Zarr metadata by node path; '' is the root. Chunks are not listed: that would cost with the store's length."""
    import zarr

    paths = ["", *sorted(zarr.open_group(store, mode="r").array_keys())]
    return {p: json.loads(encoded(store, f"{p}/{ROOT_V3}".lstrip("/")) or b"{}") for p in paths}


@dataclass(frozen=True)
class PlainDrift:
    """The copy that is there against the one that ``record`` wants. Findings go by the key in the copy.

    Raises: Unavailable, DefinitionError as the store does; Damaged when the snapshot cannot be read.
    """

    store: ObjectStore
    repository: GridRepository
    record: ReleaseRecord

    @cached_property
    def wanted(self) -> Wanted:
        return wanted_by(self.repository, self.record)

    @property
    def _folder(self) -> str:
        return Places(self.repository.dataset).grid

    @cached_property
    def _there(self) -> set[str]:
        return {o.path.removeprefix(f"{self._folder}/") for o in self.store.list(self._folder)}

    def of_metadata(self) -> list[str]:
        """The copy's metadata documents that are not those of the release; reads no chunk."""
        release, format = self.record.release, self.record.plain_format
        found = [
            f"data.zarr/{key} is not that of release {release}"
            for key, data in self.wanted.metadata.items()
            if read_if_there(self.store, f"{self._folder}/{key}") != data
        ]
        found += [
            f"data.zarr/{root} is there, but release {release} has its copy in format {format}"
            for other, root in ROOTS.items()
            if other != format and self.store.stat(f"{self._folder}/{root}") is not None
        ]
        return found

    def of_keys(self) -> dict[str, str]:
        """Chunks that are missing, and objects that do not belong there; lists copy and snapshot, reads no chunk."""
        wanted = self.wanted.chunks
        found = {key: f"data.zarr/{key} is missing" for key in sorted(wanted.keys() - self._there)}
        strays = self._there - wanted.keys() - self.wanted.metadata.keys() - set(ROOTS.values())
        return found | {key: f"data.zarr/{key} does not belong to the release" for key in sorted(strays)}

    def of_bytes(self) -> dict[str, str]:
        """Chunks that hold other bytes than the snapshot; reads all of both.

        Of a chunk that the snapshot itself cannot give nothing is said here: that is told of the release.
        """
        both = sorted(self.wanted.chunks.keys() & self._there)
        with ThreadPoolExecutor(READERS) as pool:
            right = pool.map(self._is_right, both)
            return {
                key: f"data.zarr/{key} has other bytes than the release"
                for key, ok in zip(both, right, strict=True)
                if not ok
            }

    def _is_right(self, key: str) -> bool:
        there = read_if_there(self.store, f"{self._folder}/{key}")
        try:
            return self.wanted.is_right(self.wanted.chunks[key], there)
        except Damaged:
            return True


def snapshot_keys(wanted: Wanted, keys_in_copy: Iterable[str]) -> set[str]:
    """The snapshot's own keys of those of ``keys_in_copy`` that belong into the copy."""
    return {wanted.chunks[key] for key in keys_in_copy if key in wanted.chunks}
