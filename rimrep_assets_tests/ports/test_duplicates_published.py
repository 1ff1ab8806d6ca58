"""Duplicates from source files to releases: what is left out comes back when its twin goes, and everyone is told."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_duplicates import LEFT_OUT
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World

NAMES = ["a.csv", "b.csv", "c.csv", "d.csv"]


def described(world: World, rule: str) -> World:
    layout = {"sort_by": ["site", "time"], "key": ["site", "time"], "duplicates": rule}
    world.describe({**TABLE_YAML, "layout": layout}, TABLE_SCHEMA)
    return world


def hours(begin: int, end: int, heat: float = 20.0) -> pd.DataFrame:
    """Rows of the hours from ``begin`` to before ``end`` of one day."""
    times = [f"2024-01-01 {hour:02d}:00:00" for hour in range(begin, end)]
    return pd.DataFrame({"site": "Davies", "long": 147.6, "lat": -18.8, "time": times, "temperature": heat})


def put(world: World, **frames: pd.DataFrame) -> None:
    for name, frame in frames.items():
        frame.to_csv(world.source(TABLE) / f"{name}.csv", index=False)


def published(world: World) -> list[bytes]:
    """The data and the origins of its rows."""
    record = world.projector(TABLE).log.newest()
    places = (f"{TABLE}/versions/{record.data_version}/{name}" for name in ("data.parquet", "rows.parquet"))
    return [world.store.read(place) for place in places]


def receipt(world: World) -> dict[str, dict]:
    """What the newest receipt says of each file, without what depends on how often it was read."""
    record = world.projector(TABLE).log.newest()
    files = json.loads(world.store.read(record.receipt.path))["files"]
    return {f["name"]: {key: f[key] for key in ("left_out", "duplicates", "digests", "differences")} for f in files}


def rebuilt(world: World, rule: str, folder) -> World:
    clean = described(World(folder), rule)
    for path in world.source(TABLE).iterdir():
        (clean.source(TABLE) / path.name).write_bytes(path.read_bytes())
    clean.attempt(TABLE).publish()
    return clean


def test_rows_that_overlap_stand_once_and_are_counted_for_gate_receipt_and_facts(tmp_path):
    world = described(World(tmp_path), "drop_same")
    put(world, a=hours(0, 6), b=hours(4, 10))
    record = world.attempt(TABLE).publish()
    assert record.facts.row_count == 10
    assert record.source_rows == {"a.csv": 6, "b.csv": 4}
    assert record.facts.left_out == {LEFT_OUT: 2}
    assert receipt(world)["b.csv"]["left_out"] == {LEFT_OUT: 2}
    verdict = json.loads(world.store.read(f"{TABLE}/versions/{record.version}/verdict.json"))
    (check,) = [c for c in verdict["checks"] if c["name"] == "nothing_left_out"]
    assert (check["passed"], check["severity"]) == (False, "warning")
    assert check["findings"] == [f"left out as declared: 2 {LEFT_OUT}"]
    # What was left out stays so when files are added, without the file being read again.
    put(world, c=hours(9, 12))
    record = world.attempt(TABLE).publish()
    assert record.facts.left_out == {LEFT_OUT: 3}
    assert record.cost.source_bytes == (world.source(TABLE) / "c.csv").stat().st_size


def test_a_row_comes_back_when_the_file_that_had_it_too_is_withdrawn(tmp_path):
    world = described(World(tmp_path), "drop_same")
    put(world, a=hours(0, 6), b=hours(4, 10))
    world.attempt(TABLE).publish()
    (world.source(TABLE) / "a.csv").unlink()
    record = world.attempt(TABLE).publish()
    assert record.source_rows == {"b.csv": 6}
    assert record.facts.left_out == {}


def test_rows_with_one_key_stop_before_anything_is_published(tmp_path):
    world = described(World(tmp_path), "refuse")
    put(world, a=hours(0, 3), b=hours(2, 4, heat=21.0))
    with pytest.raises(DataError, match=r"a\.csv row 2 and b\.csv row 0 have the same key: site = 'Davies'"):
        world.attempt(TABLE).publish()
    assert world.projector(TABLE).log.numbers() == []


@pytest.mark.parametrize("rule", ["drop_same", "last"])
def test_after_any_history_the_release_is_the_clean_rebuild(tmp_path, rule):
    random = np.random.default_rng({"drop_same": 5, "last": 6}[rule])
    world = described(World(tmp_path / "world"), rule)
    changed = 0
    for step in range(9):
        names = random.choice(NAMES, size=random.integers(1, 3), replace=False)
        for name in names:
            path = world.source(TABLE) / name
            if path.exists() and random.random() < 0.4 and len(list(path.parent.iterdir())) > 1:
                path.unlink()
            else:
                begin = int(random.integers(0, 16))
                heat = 20.0 if rule == "drop_same" else 20.0 + step
                hours(begin, begin + int(random.integers(1, 8)), heat).to_csv(path, index=False)
        changed += world.attempt(TABLE).publish() is not None
        whole = pd.concat([pd.read_csv(path) for path in sorted(world.source(TABLE).iterdir())])
        left = whole.drop_duplicates(["site", "time"], keep="last" if rule == "last" else "first")
        record = world.projector(TABLE).log.newest()
        assert record.facts.row_count == len(left)
        assert record.facts.left_out == ({LEFT_OUT: len(whole) - len(left)} if len(whole) > len(left) else {})
        if step % 4 == 0:
            clean = rebuilt(world, rule, tmp_path / f"clean-{step}")
            assert published(world) == published(clean)
            assert receipt(world) == receipt(clean)
    assert changed > 6
