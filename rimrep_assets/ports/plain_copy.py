"""The plain Zarr copy of a grid at its stable address: made equal to a snapshot, encoded bytes as they are.

Here belongs the order of its writes, so that a reader meets old or new and never misreads (the table in
``docs/publication.md``). Not here: what it is to hold (``plain_wanted``), in what formats 3 and 2 differ
(``plain_format``), or when a release is projected (``projector``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.release import Places, ReleaseRecord
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.object_store import ObjectStore, read_if_there
from rimrep_assets.ports.plain_format import ROOTS, Root, ShownArray, is_metadata, is_of_format
from rimrep_assets.ports.plain_wanted import PlainDrift, Wanted, snapshot_keys, wanted_by

if TYPE_CHECKING:
    import numpy as np
    import zarr

WRITERS = 8


@dataclass(frozen=True)
class PlainCopy:
    """The store ``<dataset>/data.zarr``. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    repository: GridRepository

    @property
    def _folder(self) -> str:
        return Places(self.repository.dataset).grid

    def _root(self, format: int) -> Root | None:
        return Root.parse(format, read_if_there(self.store, f"{self._folder}/{ROOTS[format]}"))

    def shown_snapshots(self) -> tuple[str, ...]:
        """The snapshots that roots say they show; two while the format is being changed, none without a root."""
        roots = [self._root(format) for format in ROOTS]
        return tuple(dict.fromkeys(root.snapshot for root in roots if root is not None and root.snapshot))

    def project(
        self, record: ReleaseRecord, *, suspects: Iterable[str] = (), again: Collection[str] = frozenset()
    ) -> None:
        """Make the copy show ``record``; ``suspects`` are snapshots whose chunks a broken projection may have left.

        Growing: chunks, root, the arrays' own metadata. Shrinking: root and metadata first. Where the old metadata
        would misread new chunks, it goes first and comes back last. Another format: it is written whole beside the
        old one, whose root then goes first. ``again``: keys in the copy that are made right although the root says
        that they are: written, and removed at the end where they do not belong to the copy.
        """
        assert record.snapshot is not None
        # Whoever broke off may also have been changing the format, of the very same snapshot.
        broken = bool(suspects := set(suspects))
        suspects -= {record.snapshot}
        root = self._root(record.plain_format)
        shown = None if root is None else root.snapshot
        if shown == record.snapshot and not broken and not self.metadata_differences(record):
            if again:
                # The metadata is right, so that every chunk that comes or goes is one more that is read as it should.
                self._make_right(wanted_by(self.repository, record), again)
            return
        new = wanted_by(self.repository, record)
        changed = self._changed_chunks({shown, *suspects} if shown else suspects, record.snapshot)
        if changed is not None and again:
            changed |= snapshot_keys(new, again)
        if root is None or shown is None:
            # With metadata that a lost root left some readers would open chunks that are being written.
            self._delete_metadata(record.plain_format)
            self._rewrite(new, None, root)
        elif self._would_misread(root, new, shown, record, changed):
            self._delete_metadata(record.plain_format)
            self._rewrite(new, changed, root)
        elif _shrinks(root, new.root):
            self._write_metadata(new, root_first=True)
            self._copy_chunks(new, changed, root)
            self._delete_strays(new)
        else:
            self._copy_chunks(new, changed, root)
            self._write_metadata(new, root_first=True)
            if changed is None:
                self._delete_strays(new)
        self._remove_other_format(new, broken)
        if again:
            self._delete_of(new, again)

    def _make_right(self, new: Wanted, again: Collection[str]) -> None:
        self._copy(new, snapshot_keys(new, again))
        self._delete_of(new, again)

    def _delete_of(self, new: Wanted, again: Collection[str]) -> None:
        """Remove those of ``again`` that do not belong to the copy."""
        for key in sorted(set(again) - new.chunks.keys() - new.metadata.keys()):
            self.store.delete(f"{self._folder}/{key}")

    def remove(self) -> None:
        """Take the copy away, roots first: for a dataset that has none any more. Nothing happens where none is."""
        for root in ROOTS.values():
            self.store.delete(f"{self._folder}/{root}")
        for stored in self.store.list(self._folder):
            self.store.delete(stored.path)

    def _rewrite(self, new: Wanted, changed: set[str] | None, root: Root | None) -> None:
        """Chunks, then metadata, the root last: without a root there is nothing to open."""
        self._copy_chunks(new, changed, root)
        self._delete_strays(new)
        self._write_metadata(new, root_first=False)

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
        self, root: Root, new: Wanted, shown: str, record: ReleaseRecord, changed: set[str] | None
    ) -> bool:
        old, wanted = root.arrays, new.root.arrays
        if old.keys() - wanted.keys():
            return True
        if any(array.rest != wanted[path].rest for path, array in old.items()):
            return True
        time = record.datapackage.get("coordinates", {}).get("t")
        steady = [path for path in old if _is_steady(wanted[path], time) and _touched(path, changed)]
        if not steady:
            return False
        if self.repository.difference(shown, shown) is None:
            return True
        try:
            before, after = self.repository.group(shown), self.repository.group(record.snapshot or "")
            return any(_differ(before, after, path) for path in steady)
        except (Damaged, RuntimeError, ValueError):
            # What is shown cannot be read any more: nobody knows what of it a reader takes for granted.
            return True

    def _delete_metadata(self, format: int) -> None:
        """All metadata of a format, the root first: without it there is nothing to open."""
        self.store.delete(f"{self._folder}/{ROOTS[format]}")
        found = [o.path for o in self.store.list(self._folder) if is_metadata(o.path, format)]
        for path in sorted(found, key=lambda path: (path.count("/"), path)):
            self.store.delete(path)

    def _remove_other_format(self, new: Wanted, broken: bool) -> None:
        """What a copy in the other format left, its metadata first, so that nobody reads it half."""
        other = next(format for format in ROOTS if format != new.format.number)
        if broken or self.store.stat(f"{self._folder}/{ROOTS[other]}") is not None:
            self._delete_metadata(other)
            for stored in self.store.list(self._folder):
                if is_of_format(stored.path.removeprefix(f"{self._folder}/"), other):
                    self.store.delete(stored.path)

    def _copy_chunks(self, new: Wanted, changed: set[str] | None, root: Root | None) -> None:
        shapes = {} if root is None or changed is None else {p: array.shape for p, array in root.arrays.items()}
        wanted = {*(new.own_chunks if changed is None else changed), *new.format.written_absent(shapes)}
        self._copy(new, wanted)

    def _copy(self, new: Wanted, wanted: Iterable[str]) -> None:
        """Write these chunks (the snapshot's keys) as the copy holds them; remove those that it does not hold."""

        def copy(key: str) -> None:
            data = new.bytes_of(key)
            target = f"{self._folder}/{new.format.chunk_key(key)}"
            if data is None:
                self.store.delete(target)
            else:
                self.store.write(target, data)

        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(copy, key) for key in sorted(wanted)]:
                done.result()

    def _delete_strays(self, new: Wanted) -> None:
        """What does not belong to the copy, save what a copy in the other format consists of."""
        other = next(format for format in ROOTS if format != new.format.number)
        keep = {*new.chunks, *new.metadata}
        for stored in self.store.list(self._folder):
            key = stored.path.removeprefix(f"{self._folder}/")
            if key not in keep and not is_of_format(key, other):
                self.store.delete(stored.path)

    def _write_metadata(self, new: Wanted, *, root_first: bool) -> None:
        writes = list(new.metadata.items())
        for key, data in writes if root_first else reversed(writes):
            self.store.write(f"{self._folder}/{key}", data)

    def drift(self, record: ReleaseRecord) -> PlainDrift:
        """What of the copy is not as ``record`` wants it."""
        return PlainDrift(self.store, self.repository, record)

    def metadata_differences(self, record: ReleaseRecord) -> list[str]:
        """The copy's metadata documents that are not those of the release; reads no chunk."""
        return self.drift(record).of_metadata()

    def differs_from(self, record: ReleaseRecord) -> list[str]:
        """Every key whose bytes are not those of the release's snapshot, in words; reads all of both."""
        drift = self.drift(record)
        return [*drift.of_keys().values(), *drift.of_bytes().values(), *drift.of_metadata()]


def _array_values(group: zarr.Group, path: str) -> np.ndarray:
    import numpy as np
    import zarr

    array = group[path]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


def _differ(before: zarr.Group, after: zarr.Group, path: str) -> bool:
    """Whether the values that a grown array had are others now."""
    values = _array_values(before, path)
    again = _array_values(after, path)[tuple(slice(0, size) for size in values.shape)]
    return again.shape == values.shape and again.tobytes() != values.tobytes()


def _is_steady(array: ShownArray, time: str | None) -> bool:
    """Whether old readers take the array's values for granted: an axis, or anything without time."""
    return len(array.dimensions) <= 1 or time not in array.dimensions


def _touched(path: str, changed: set[str] | None) -> bool:
    return changed is None or any(key.startswith(f"{path}/c") for key in changed)


def _shrinks(old: Root, new: Root) -> bool:
    return any(
        after < before
        for path, array in old.arrays.items()
        for before, after in zip(array.shape, new.arrays[path].shape if path in new.arrays else (), strict=False)
    )
