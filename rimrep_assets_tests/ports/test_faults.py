"""The table of what may be relied on, with readers that are not ours: pyarrow and xarray.

A publication is broken at every numbered write, of the store and of Icechunk; the reader sees old or new, and the
next run finishes. The reads between two writes change nothing, so breaking there is the same as at the next write.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest
import xarray as xr
import yaml

from rimrep_assets.domain.release import sha256
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets_tests.faulty_store import (
    CALLS,
    WRITES,
    Crash,
    FaultyStore,
    Switch,
    document,
    icechunk_behind,
    stable_grid,
    stable_table,
)
from rimrep_assets_tests.worlds import (
    GRID,
    GRID_YAML,
    TABLE,
    TABLE_SCHEMA,
    TABLE_YAML,
    World,
    write_day,
    write_table,
)


def expected_rows(*frames) -> list[tuple[str, ...]]:
    """What the CSV files say, by pandas alone."""
    import pandas as pd

    rows = []
    for frame in frames:
        times = pd.to_datetime(frame["time"]).dt.tz_localize("Australia/Brisbane").dt.tz_convert("UTC")
        for site, lon, lat, time, value in zip(
            frame["site"], frame["long"], frame["lat"], times, frame["temperature"], strict=True
        ):
            rows.append((site, str(float(lon)), str(float(lat)), str(time.to_pydatetime()), str(float(value))))
    return sorted(rows)


def expected_days(*paths: Path) -> dict[str, np.ndarray]:
    """What the NetCDF files say, by xarray alone."""
    days = {}
    for path in paths:
        with xr.open_dataset(path) as day:
            days[str(day["time"].values[0])[:10]] = day["heat"].values[0]
    return days


def same_days(one, other) -> bool:
    return (
        one is not None
        and one.keys() == other.keys()
        and all(np.array_equal(one[d], other[d], equal_nan=True) for d in one)
    )


PARTS_YAML = {**TABLE_YAML, "layout": {**TABLE_YAML["layout"], "row_group_rows": 1000, "object_bytes": 1}}
"""the table with a part for every row group"""
PARTS = {"table to parts": (4, 2500), "table fewer parts": (2500, 1200), "table to one object": (1200, 4)}
"""kinds in which a table lies in parts before, behind or both: rows of its second file before and after"""
SWITCHES = {"grid to v2": "zarr.json", "grid to v3 from v2": ".zmetadata"}
"""kinds in which the plain copy changes its format, and the root of the format that it leaves"""


class Scene:
    """A world before and after a change of its source; ``old`` is None before the first publication."""

    def __init__(self, root: Path, kind: str) -> None:
        self.world, self.kind = World(root), kind
        self.dataset = TABLE if kind.startswith("table") else GRID
        source = self.world.source(self.dataset)
        if self.dataset == TABLE:
            self.world.describe(PARTS_YAML if kind in PARTS else TABLE_YAML, TABLE_SCHEMA)
            rows = PARTS.get(kind, (6, 4))
            first = [write_table(source, "a.csv"), write_table(source, "b.csv", rows=rows[0], shift=1)]
            self.old = expected_rows(*first) if kind != "table first" else None
            if self.old is not None:
                self._publish()
                first[1] = write_table(source, "b.csv", rows=rows[1], shift=2, site="Myrmidon Reef")
            self.new = expected_rows(*first)
        else:
            format = 2 if kind.endswith("v2") and kind != "grid to v2" else 3
            self.yaml = {**GRID_YAML, "layout": {**GRID_YAML["layout"], "plain_format": format}}
            self.world.describe(self.yaml, self._grid_schema(root))
            paths = [write_day(source, day) for day in range(6)]
            self.old = expected_days(*paths) if kind != "grid first" else None
            if self.old is not None:
                self._publish()
                if kind.startswith("grid append"):
                    paths += [write_day(source, day) for day in (6, 7, 8)]
                elif kind in SWITCHES:
                    self.change_format(5 - format)
                else:
                    paths[1] = write_day(source, 1, shift=50)
            self.new = expected_days(*paths)
        self.before = root / "before"
        if Path(self.world.store_url).exists():
            shutil.copytree(self.world.store_url, self.before)

    def _grid_schema(self, root: Path):
        """The proposed schema of a first, refused attempt, as a curator would take it over."""
        from rimrep_assets.domain.grid_schema import curated_part

        aside = World(root / "aside")
        write_day(aside.source(GRID), 0)
        aside.describe(GRID_YAML, None)
        attempt = aside.attempt(GRID)
        candidate = attempt.prepare(attempt.stage()[1])
        return curated_part(json.loads(candidate.record)["table_or_grid_schema"])

    def change_format(self, format: int) -> None:
        """Let the catalog ask for the other format of the plain copy."""
        layout = {**self.yaml["layout"], "plain_format": format}
        self.world.write(f"datasets/{GRID}/dataset.yaml", {**self.yaml, "layout": layout})
        self.world.commit(f"plain copy in format {format}")

    def _publish(self) -> None:
        assert self.world.attempt(self.dataset).publish() is not None

    def restore(self) -> None:
        shutil.rmtree(self.world.store_url, ignore_errors=True)
        if self.before.exists():
            shutil.copytree(self.before, self.world.store_url)

    def broken_at(self, number: int | None, only: frozenset[str]) -> Switch:
        """One attempt that crashes at call ``number`` of those that count; how far it came."""
        switch = Switch(number, only)
        try:
            self.world.attempt(self.dataset, store=lambda real: FaultyStore(real, switch)).publish()
        except Crash:
            assert number is not None
        return switch

    def look(self) -> str:
        """'old' or 'new' at the stable addresses; anything torn fails here."""
        root = Path(self.world.store_url)
        package = document(root, f"{self.dataset}/datapackage.json")
        item = document(root, f"stac/reef/items/{self.dataset}.json")
        if package is not None:
            self._follow(root, package)
        if item is not None:
            assert document(root, f"{self.dataset}/releases/{item['properties']['version']}.json") is not None
        config = root / "public/pygeoapi/config-pygeoapi.yaml"
        if config.exists():
            yaml.safe_load(config.read_text())
        if self.dataset == TABLE:
            if self.kind in PARTS and (settling := self._look_at_parts(root)):
                return settling
            rows = stable_table(root, TABLE)
            assert rows in (self.old, self.new), "the stable table is neither old nor new"
            return "new" if rows == self.new else "old"
        days = stable_grid(root, GRID)
        if days is None:
            assert self.old is None, "the plain copy cannot be opened although a release stands"
            return "old"
        if self.kind in SWITCHES and same_days(days, self.old):
            # The same days in another format: it is the old copy as long as its root is there.
            return "old" if (root / "public" / GRID / "data.zarr" / SWITCHES[self.kind]).exists() else "new"
        if same_days(days, self.new):
            return "new"
        if self.old is not None and same_days(days, self.old):
            return "old"
        if self.kind == "grid re-issue":
            # A middle revision settles chunk by chunk: each is old or new, and none is torn.
            for day, values in days.items():
                assert any(np.array_equal(values, side[day], equal_nan=True) for side in (self.old, self.new)), day
            return "settling"
        raise AssertionError("the plain copy is neither old nor new")

    def _look_at_parts(self, root: Path) -> str | None:
        """'settling' where objects of both releases, or not all of one, lie at the stable address; each is whole."""
        stable = root / "public" / TABLE / "data.parquet"
        there = [path for path in (stable, *stable.rglob("*")) if path.is_file()]
        found = {path.relative_to(stable.parent).as_posix(): sha256(path.read_bytes()) for path in there}
        releases = [_objects(json.loads(p.read_text())) for p in (root / "public" / TABLE / "releases").iterdir()]
        for name, digest in found.items():
            assert digest in [objects.get(name) for objects in releases], f"{name} is no release's"
        if (stable / "_metadata").exists():
            # Who reads through it sees one release or the other.
            whole = pads.parquet_dataset(stable / "_metadata").to_table(columns=["site"])
            assert whole.num_rows in (len(self.old), len(self.new))
        return None if found in releases else "settling"

    def _follow(self, root: Path, package) -> None:
        """What a datapackage names can be opened, and is the release that it says it is."""
        path = root / "public" / self.dataset / package["resources"][0]["path"]
        assert path.exists(), f"{path} is named by the datapackage and is not there"
        record = document(root, f"{self.dataset}/releases/{package['rimrep']['release']}.json")
        assert record is not None
        assert package["row_count"] == len(stable_table_of(path)) if self.dataset == TABLE else True

    def finished(self) -> bool:
        drift = Reconciliation(self.world.store).find()
        return self.look() == "new" and drift == []


def _objects(record) -> dict[str, str]:
    """The digests of a release's table, by their places below a dataset's folder."""
    objects = ((o["path"].split("/", 3)[-1], o["sha256"]) for o in record["objects"])
    return {path: digest for path, digest in objects if path.split("/")[0] == "data.parquet"}


def stable_table_of(path: Path):
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=["site"]).to_pylist()


KINDS = [
    *("table first", "table replaced", "grid first", "grid append", "grid re-issue"),
    *PARTS,
    *("grid append v2", "grid to v2", "grid to v3 from v2"),
]
FAULTS = pytest.mark.faults


@pytest.mark.parametrize(
    "kind", [kind if kind == "table replaced" else pytest.param(kind, marks=FAULTS) for kind in KINDS]
)
def test_broken_at_every_write_a_reader_sees_old_or_new_and_the_next_run_finishes(kind, tmp_path, monkeypatch):
    break_everywhere(kind, WRITES, tmp_path, monkeypatch)


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_broken_at_every_call_a_reader_sees_old_or_new_and_the_next_run_finishes(kind, tmp_path, monkeypatch):
    break_everywhere(kind, CALLS, tmp_path, monkeypatch)


def break_everywhere(kind: str, only: frozenset[str], tmp_path: Path, monkeypatch) -> None:
    with icechunk_behind(monkeypatch):
        scene = Scene(tmp_path, kind)
        whole = scene.broken_at(None, only)
        assert scene.finished()
        assert len(whole.calls) > 15
        for number in range(1, len(whole.calls) + 1):
            scene.restore()
            broken = scene.broken_at(number, only)
            where = f"broken at {broken.calls[-1]}"
            state = scene.look()
            committed = any(c.startswith("create") and "/releases/" in c for c in broken.calls[:-1])
            assert committed or state == "old", where
            if committed and number % 2:
                # Half of the time somebody runs `reconcile --fix`, else simply the next attempt comes.
                reconciliation = Reconciliation(scene.world.store)
                reconciliation.fix(reconciliation.find())
            else:
                scene.world.attempt(scene.dataset).publish()
            assert scene.finished(), where
