"""The life of one small table: its source changes, attempts publish or crash, and what must come of it is worked out here.

Here belong publishing from a source folder that changes, and what pandas, json and geopandas read of the source and of
what is published. Not here: how a table is described and its files are written (``table_files``), or which lives are
tried (``test_table_histories``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports import table_data
from rimrep_assets.ports.object_store import open_store
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.ports.workbench import Workbench
from rimrep_assets_tests.faulty_store import CALLS, Crash, FaultyStore, Switch
from rimrep_assets_tests.table_files import KEPT, Kind, Rows, rows_in_file, rows_published

State = dict[str, int]
"""name of each source file -> the seed of what it holds"""


@contextmanager
def no_pictures() -> Iterator[None]:
    """Drawing takes longer than all else here, and proves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_data, "draw_table", lambda *anything: None)
        yield


@dataclass
class Life:
    """One store and one source folder of a table of this ``kind``; ``bench`` is a workbench on another store."""

    root: Path
    kind: Kind
    bench: Workbench
    held: State = field(default_factory=dict)
    """what the source folder holds"""
    known: dict[tuple[str, str], int] = field(default_factory=dict)
    """name and sha256 of every file that ever was -> its seed"""
    attempts: int = 0
    shown: list[State] = field(default_factory=list)
    """what the stable address may show, oldest first; it never goes back"""
    seen: str = ""
    """sha256 of what was last read at the stable address"""

    def __post_init__(self) -> None:
        self.source.mkdir(parents=True)
        self.store = open_store(str(self.root / "store"))
        self.put(KEPT, 0)

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def stable(self) -> Path:
        return self.root / "store" / self.bench.id / "data.parquet"

    def name_of(self, stem: str) -> str:
        return f"sites_{stem}.{self.kind.ending}"

    def put(self, stem: str, seed: int) -> None:
        """A file, new or sent again; the one that is kept has all columns."""
        path = self.source / self.name_of(stem)
        self.kind.write(path, stem, seed)
        self.held[stem] = seed
        self.known[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] = seed

    def take_out(self, stem: str) -> None:
        (self.source / self.name_of(stem)).unlink()
        del self.held[stem]

    def attempt(self, store: Any = None, switch: Switch | None = None) -> Publication:
        self.attempts += 1
        name = f"a{self.attempts}"
        store = store or self.store
        folder = LocalFolder(
            self.source, Selection(include=("*",)), allowed_roots=[self.root], memory_file=self.root / "memory"
        )
        bench = replace(
            self.bench,
            attempt=name,
            scratch=self.root / "scratch" / name,
            store=FaultyStore(store, switch) if switch else store,
            source=folder,
        )
        return Publication(bench)

    def publish(self, crash: int | None = None, months: list[str] | None = None) -> Switch:
        """One attempt; it crashes before call number ``crash`` of the store. ``months``: these are staged, and nothing
        is released."""
        switch = Switch(crash, CALLS, before=lambda number, call: self.look())
        if months is None and (not self.shown or self.shown[-1] != self.held):
            self.shown.append(dict(self.held))
        attempt = self.attempt(switch=switch)
        try:
            attempt.stage(months) if months else attempt.publish()
        except Crash:
            assert crash is not None
        self.look()
        return switch

    def look(self) -> None:
        """Whoever reads the stable address now gets the rows of one of the states in turn."""
        if not self.stable.exists():
            assert self.attempts <= 1 or not self.records_projected()
            return
        data = self.stable.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == self.seen:
            return
        found = rows_published(self.stable, self.kind)
        standing = [n for n, state in enumerate(self.shown) if self.kind.same(found, self.rows_of(state))]
        assert standing, "the stable address shows neither the old table nor the new one"
        # Not the states before it: an address that went back would be told.
        self.shown = self.shown[standing[0] :]
        self.seen = digest

    def records_projected(self) -> bool:
        """Whether descriptions at stable addresses speak of a release."""
        return (self.stable.parent / "datapackage.json").exists()

    def rows_of(self, state: State) -> Rows:
        """The rows of these files as somebody else reads them, in the order in which they are published."""
        aside = self.root / "aside"
        aside.mkdir(exist_ok=True)
        rows: Rows = []
        for stem in sorted(state, key=self.name_of):
            path = aside / self.name_of(stem)
            self.kind.write(path, stem, state[stem])
            rows += rows_in_file(path, self.kind)
        return self.kind.ordered(rows)

    def records(self) -> list[ReleaseRecord]:
        log = self.attempt().log
        return [log.read(number) for number in log.numbers()]

    def drift(self) -> list[Any]:
        return Reconciliation(self.store).find()


def says(life: Life, store: Any = None) -> dict[str, Any]:
    """Of the newest release what must not depend on how it came about."""
    store = store or life.store
    log = life.attempt(store=store).log
    record = log.read(log.numbers()[-1])
    receipt = json.loads(store.read(record.receipt.path))
    assert [name for name in receipt["files"] if name["differences"]] == []
    return {
        "data": store.read(life.attempt().places.version(record.data_version, "data.parquet")),
        "rows": store.read(life.attempt().places.version(record.data_version, "rows.parquet")),
        "sample": store.read(life.attempt().places.version(record.data_version, "sample.parquet")),
        "facts": record.facts,
        "schema": record.table_or_grid_schema,
        "sources": [(file.name, file.digest, file.size, file.url) for file in record.sources],
        "source rows": dict(sorted(record.source_rows.items())),
        "fingerprints": record.fingerprints.data,
        "receipt": {file["name"]: (file["digest"], file["digests"]) for file in receipt["files"]},
    }


def ends_as_a_clean_rebuild(life: Life) -> bool:
    """What stands at the stable address is the newest release, is what a first release of the same files makes, byte
    for byte, and is what others read of the source."""
    clean = open_store(str(life.root / f"clean-{life.attempts}"))
    assert life.attempt(store=clean).publish() is not None
    now, rebuilt = says(life), says(life, clean)
    for what in rebuilt:
        assert now[what] == rebuilt[what], f"{what} is not that of a clean rebuild"
    assert life.stable.read_bytes() == now["data"]
    assert rows_published(life.stable, life.kind) == life.rows_of(life.held)
    assert {name for name, *_ in now["sources"]} == {life.name_of(stem) for stem in life.held}
    assert life.drift() == []
    return True
