"""STAC as a static catalog in the store: items by dataset, collections and root as functions of what is listed.

Here belongs where the files of ``stac/`` lie and how they are kept in step. Not here: what an item or a collection
says (``domain/stac``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rimrep_assets.domain.release import Places, ReleaseRecord, json_bytes, sha256
from rimrep_assets.domain.stac import catalog_from, collection_from
from rimrep_assets.ports.object_store import ObjectStore, StoredObject, read_if_there
from rimrep_assets.ports.shared_document import json_objects, keep_in_step, listing_digest, render_from

ROOT = "stac/catalog.json"


def collection_path(collection: str) -> str:
    """Where the collection's document lies."""
    return f"stac/{collection}/collection.json"


@dataclass(frozen=True)
class StaticStac:
    """The tree ``stac/`` of one store. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore

    def own_documents(self, record: ReleaseRecord) -> dict[str, bytes]:
        """What the record alone decides."""
        return {Places(record.dataset).stac_item(record.collection): json_bytes(record.stac_item)}

    def publish(self, record: ReleaseRecord) -> None:
        """Write the item, then its collection and the root, where they differ."""
        self._remember_description(record)
        for path, data in self.own_documents(record).items():
            if read_if_there(self.store, path) != data:
                self.store.write(path, data)
        for stored in self.store.list("stac"):
            # A dataset that moved to another collection leaves the old one.
            if stored.path.endswith(f"/items/{record.dataset}.json") and stored.path not in self.own_documents(record):
                self.store.delete(stored.path)
                self.refresh(stored.path.split("/")[1])
        self.refresh(record.collection)

    def _remember_description(self, record: ReleaseRecord) -> None:
        """Keep the collection as the catalog described it; the newest commit's description is the one in force."""
        data = json_bytes(record.stac_collection)
        stamp = record.catalog_time.replace("-", "").replace(":", "")
        path = f"stac/{record.collection}/described/{stamp}-{sha256(data)[:12]}.json"
        there = self.store.list(f"stac/{record.collection}/described")
        if not there or (there[-1].path < path and self.store.read(there[-1].path) != data):
            self.store.create(path, data)

    def refresh(self, collection: str) -> bool:
        """Bring the collection and the root in step with what is listed; whether anything was written."""
        wrote = keep_in_step(self.store, lambda: self._parts(collection), lambda c: self._collection(collection, c))
        return keep_in_step(self.store, self._collections, self._root) or wrote

    def differences(self, collection: str) -> list[str]:
        """The shared documents that are not what the listings want."""
        wanted = render_from(self.store, lambda: self._parts(collection), lambda c: self._collection(collection, c))
        wanted |= render_from(self.store, self._collections, self._root)
        return [
            f"{p} is not in step with what is listed" for p, d in wanted.items() if read_if_there(self.store, p) != d
        ]

    def _parts(self, collection: str) -> Sequence[StoredObject]:
        described = self.store.list(f"stac/{collection}/described")[-1:]
        return [*described, *self.store.list(f"stac/{collection}/items")]

    def _collection(self, collection: str, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        items, described = json_objects(contents, "/items/"), json_objects(contents, "/described/")
        if not described:
            return {}
        document = collection_from(
            described[0],
            items,
            listing_digest=listing_digest(contents),
            self_href=self.store.document_url(collection_path(collection)),
            root_href=self.store.document_url(ROOT),
        )
        return {collection_path(collection): json_bytes(document)}

    def _collections(self) -> Sequence[StoredObject]:
        return [o for o in self.store.list("stac") if o.path.count("/") == 2 and o.path.endswith("/collection.json")]

    def _root(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        collections = json_objects(contents, "")
        return {ROOT: json_bytes(catalog_from(collections, self_href=self.store.document_url(ROOT)))}
