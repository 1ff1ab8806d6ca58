"""A table's copy at the stable address: one object, or a folder of parts with `_metadata`.

Here belongs the order in which the copy is written and what of it is not as a record wants it. Not here: when it is
written (``projector``), or the objects of a release's own version (``table_data``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rimrep_assets.domain.release import Places, ReleaseRecord, table_objects
from rimrep_assets.domain.table_objects import METADATA
from rimrep_assets.ports.object_store import ObjectStore

FOOTERS = f"/{METADATA}"


@dataclass(frozen=True)
class TableCopy:
    """The stable copy of the table ``dataset``. Every method raises Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    dataset: str

    @property
    def places(self) -> Places:
        return Places(self.dataset)

    def project(self, record: ReleaseRecord, only: Collection[str] | None = None) -> None:
        """Let the stable address hold the objects of ``record`` and nothing else.

        ``only``: what follows `data.parquet` in the paths of those that are made right, where all others are those of
        the record already; None for all.

        One object is replaced by one write. Of parts each is whole at any time, and the set settles at the end:
        `_metadata` that is about parts which are about to be replaced goes first, then the parts are written, then
        `_metadata`, and then the parts that are no more are removed. Where an object and a folder change places, the
        old one goes before the new one comes: a folder of files cannot hold both under one name. `_metadata` that is
        not among ``only`` stays, for it is about the very parts that are written again.
        """
        wanted, there = table_objects(record.objects), self._there()
        if only is not None:
            wanted = {name: stored for name, stored in wanted.items() if name in only}
            there = {name: size for name, size in there.items() if name in only}
        single = "" in table_objects(record.objects)
        first = {name for name in there if name == FOOTERS or (name == "") != single}
        for name in sorted(first):
            self.store.delete(f"{self.places.table}{name}")
        for name in sorted(wanted, key=lambda name: (name == FOOTERS, name)):
            self.store.copy(wanted[name].path, f"{self.places.table}{name}")
        for name in sorted(there.keys() - wanted.keys() - first):
            self.store.delete(f"{self.places.table}{name}")

    def misplaced(self, record: ReleaseRecord) -> dict[str, str]:
        """What of the copy is missing, too much or of another size: what follows `data.parquet` in its path, and a
        finding; reads no data."""
        wanted, there = table_objects(record.objects), self._there()
        whose = f"of release {record.release}"
        found = {}
        for name in sorted(wanted.keys() | there.keys()):
            said = f"{self.places.table}{name}"
            if name not in there:
                found[name] = f"{said} {whose} is not there"
            elif name not in wanted:
                found[name] = f"{said} is not {whose}"
            elif wanted[name].bytes != there[name]:
                found[name] = f"{said} is not that {whose}"
        return found

    def _there(self) -> dict[str, int]:
        """What lies at the stable address, by what follows it, and its size in bytes."""
        found = {
            stored.path.removeprefix(self.places.table): stored.size for stored in self.store.list(self.places.table)
        }
        single = self.store.stat(self.places.table)
        return found | ({"": single.size} if single is not None else {})
