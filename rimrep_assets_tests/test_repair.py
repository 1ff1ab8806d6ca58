"""Damaged bytes: seen by `rimrep verify` or `reconcile`, mended by the command that they name, never from damaged data.

Here belongs damage to data: of a plain copy, of Icechunk, of a table. Not here: damaged documents (``test_drift``), or
rebuilding a release that breaks off (``ports/test_rebuild``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rimrep_assets_tests.grid_worlds import GridFile, differences, grid_yaml, in_sources, stable
from rimrep_assets_tests.homes import Ended, Home, take_proposed
from rimrep_assets_tests.test_drift import change_one_byte, public
from rimrep_assets_tests.worlds import GRID, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

LAT, LON = np.linspace(-10, -20, 24), np.linspace(140, 150, 30)
PARTS = {**TABLE_YAML, "layout": {**TABLE_YAML["layout"], "row_group_rows": 1000, "object_bytes": 1}}
"""a table that lies in a part for every row group"""


def describe_grid_of_objects(world: World, format: int = 3) -> None:
    """Six days in two chunks, each larger than Icechunk keeps in its manifests, so that it is an object."""
    for day in range(6):
        GridFile([day], lat=LAT, lon=LON, variables=("sst",)).write(world.source(GRID))
    described = grid_yaml(chunk=3, lat=24, lon=30)
    described["layout"]["plain_format"] = format
    world.describe(described, None)
    take_proposed(world, GRID)


@pytest.fixture(scope="module", params=[3, 2])
def grid_home(tmp_path_factory, request) -> tuple[Home, int]:
    made = Home(tmp_path_factory.mktemp("grid"))
    world = World(made.root)
    describe_grid_of_objects(world, request.param)
    assert world.attempt(GRID).publish().release == 1
    made.keep()
    return made, request.param


@pytest.fixture
def grid(grid_home) -> World:
    return grid_home[0].world()


@pytest.fixture
def chunk(grid_home) -> Callable[..., str]:
    """The key of a chunk of ``sst`` in the format of the grid's copy."""
    separator, prefix = ("/", "sst/c/") if grid_home[1] == 3 else (".", "sst/")
    return lambda *index: prefix + separator.join(map(str, index))


@pytest.fixture(scope="module", params=["one object", "parts"])
def table_home(tmp_path_factory, request) -> Home:
    made = Home(tmp_path_factory.mktemp("table"))
    world = World(made.root)
    write_table(world.source(TABLE), "a.csv")
    write_table(world.source(TABLE), "b.csv", rows=2500, shift=1)
    world.describe(PARTS if request.param == "parts" else TABLE_YAML, TABLE_SCHEMA)
    assert world.attempt(TABLE).publish().release == 1
    made.keep()
    return made


@pytest.fixture
def table(table_home) -> World:
    return table_home.world()


def copy_of(world: World, key: str) -> Path:
    return public(world, f"{GRID}/data.zarr/{key}")


def icechunk_chunks(world: World) -> list[Path]:
    return sorted(public(world, f"{GRID}/data.icechunk/chunks").iterdir())


def grid_is_the_sources(world: World) -> bool:
    return not differences(stable(world), in_sources(world.source(GRID).glob("*.nc")))


def table_is_the_sources(world: World) -> bool:
    """Whether pandas reads at the stable address what it reads in the CSV files."""
    there = pd.read_parquet(public(world, f"{TABLE}/data.parquet"))
    source = pd.concat(pd.read_csv(path) for path in sorted(world.source(TABLE).glob("*.csv")))
    return sorted(zip(there["lon"], there["lat"], there["temperature"], strict=True)) == sorted(
        zip(source["long"], source["lat"], source["temperature"], strict=True)
    )


def told(done: Ended) -> str:
    assert "Traceback" not in done.out + done.err
    assert "rimrep_assets/" not in done.err
    return done.out


def test_a_byte_changed_in_the_plain_copy_is_seen_by_reading_and_written_again(grid, chunk, rimrep):
    good, key = grid.files(), chunk(1, 0, 0)
    change_one_byte(copy_of(grid, key))
    assert told(rimrep(grid, "reconcile")) == "no drift\n"
    found = rimrep(grid, "verify", GRID)
    assert found.code == 4
    assert f"data.zarr/{key} has other bytes than the release" in told(found)
    assert f"`rimrep verify {GRID} --fix`" in found.out
    mended = rimrep(grid, "verify", GRID, "--fix")
    assert mended.code == 0
    assert told(mended).splitlines() == [
        f"{GRID}: release 1 holds",
        f"  - data.zarr/{key} has other bytes than the release (mended)",
    ]
    assert grid.files() == good
    assert grid_is_the_sources(grid)


@pytest.mark.parametrize("command", [["reconcile"], ["verify", GRID]])
def test_chunks_that_are_missing_or_too_many_are_seen_by_listing_and_mended(grid, chunk, rimrep, command):
    good, times = grid.files(), {p: p.stat().st_mtime_ns for p in copy_of(grid, "").rglob("*") if p.is_file()}
    lost, stray = chunk(0, 0, 0), chunk(7, 0, 0)
    copy_of(grid, lost).unlink()
    copy_of(grid, stray).parent.mkdir(parents=True, exist_ok=True)
    copy_of(grid, stray).write_bytes(b"of nobody")
    found = rimrep(grid, *command)
    assert found.code == 4
    assert f"data.zarr/{lost} is missing" in told(found)
    assert f"data.zarr/{stray} does not belong to the release" in found.out
    mended = rimrep(grid, *command, "--fix")
    assert mended.code == 0
    assert told(mended).count("(mended)") == 2
    assert told(rimrep(grid, "reconcile")) == "no drift\n"
    assert grid.files() == good
    assert grid_is_the_sources(grid)
    written = {p for p in times if p.stat().st_mtime_ns != times[p]}
    assert written == {copy_of(grid, lost)}


def test_a_chunk_that_was_lost_before_an_append_is_seen_and_mended_after_it(grid, chunk, rimrep):
    copy_of(grid, chunk(0, 0, 0)).unlink()
    GridFile([6], lat=LAT, lon=LON, variables=("sst",)).write(grid.source(GRID))
    assert rimrep(grid, "publish", GRID).code == 0
    assert rimrep(grid, "reconcile").code == 4
    assert rimrep(grid, "reconcile", "--fix").code == 0
    assert grid_is_the_sources(grid)


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [change_one_byte, lose, pytest.param(cut, marks=pytest.mark.long)])
def test_a_damaged_chunk_of_icechunk_is_named_and_comes_again_from_the_sources_alone(grid, chunk, rimrep, damage):
    old = icechunk_chunks(grid)
    assert len(old) == 2
    for path in old:
        damage(path)
    copy_of(grid, chunk(0, 0, 0)).unlink()
    found = rimrep(grid, "verify", GRID)
    assert found.code == 4
    for files, times in (("[012]", "[123]"), ("[345]", "[456]")):
        assert re.search(rf"day_000{files}\.00\.nc.*: sst at 2020-01-0{times}T12", told(found))
    assert f"What to do: `rimrep publish {GRID} --rebuild`" in found.out
    for command in (["verify", GRID, "--fix"], ["reconcile", "--fix"]):
        refused = rimrep(grid, *command)
        assert refused.code == 4
        assert "is not copied from a damaged release: day_000" in told(refused)
        assert not copy_of(grid, chunk(0, 0, 0)).exists()
    rebuilt = rimrep(grid, "publish", GRID, "--rebuild")
    assert rebuilt.code == 0, rebuilt.err
    assert f"{GRID}: published release 2" in told(rebuilt)
    for path in old:
        path.unlink(missing_ok=True)
    assert told(rimrep(grid, "verify", GRID)) == f"{GRID}: release 2 holds\n"
    assert told(rimrep(grid, "reconcile")) == "no drift\n"
    assert grid_is_the_sources(grid)
    assert "nothing changed, still release 2" in told(rimrep(grid, "publish", GRID))


@pytest.mark.parametrize("kind", ["manifests", "snapshots"])
def test_a_release_whose_snapshot_cannot_be_opened_any_more_is_told_in_words_and_rebuilt(grid, rimrep, kind):
    own = {"manifests": "", "snapshots": json.loads(public(grid, f"{GRID}/releases/1.json").read_text())["snapshot"]}
    for path in public(grid, f"{GRID}/data.icechunk/{kind}").iterdir():
        if own[kind] in path.name:
            path.unlink()
    found = rimrep(grid, "verify", GRID)
    assert found.code == 4
    assert "not found" in told(found)
    assert f"`rimrep publish {GRID} --rebuild`" in found.out
    left = rimrep(grid, "reconcile", "--fix")
    assert left.code == 4
    assert "not found" in told(left)
    rebuilt = rimrep(grid, "publish", GRID, "--rebuild")
    assert rebuilt.code == 0, rebuilt.err
    assert told(rimrep(grid, "verify", GRID)) == f"{GRID}: release 2 holds\n"
    assert grid_is_the_sources(grid)


def test_the_whole_plain_copy_is_not_made_again_from_a_damaged_release(grid, chunk, rimrep):
    change_one_byte(icechunk_chunks(grid)[0])
    root = copy_of(grid, "zarr.json") if copy_of(grid, "zarr.json").exists() else copy_of(grid, ".zmetadata")
    root.unlink()
    before = grid.files()
    refused = rimrep(grid, "verify", GRID, "--fix")
    assert refused.code == 4
    assert "is not copied whole from release 1, which is damaged itself" in told(refused)
    assert grid.files() == before


def test_an_axis_that_changed_under_the_store_is_found(grid, rimrep):
    import icechunk
    import zarr

    storage = icechunk.local_filesystem_storage(str(public(grid, f"{GRID}/data.icechunk")))
    repository = icechunk.Repository.open(storage)
    path = public(grid, f"{GRID}/releases/1.json")
    record = json.loads(path.read_text())
    repository.create_branch("slip", record["snapshot"])
    session = repository.writable_session("slip")
    axis = zarr.open_group(session.store)["lat"]
    axis[1] = axis[1] + 0.01
    record["snapshot"] = session.commit("slip")
    path.write_text(json.dumps(record))
    found = rimrep(grid, "verify", GRID)
    assert found.code == 4
    assert "lat: what is stored is not what was proven" in told(found)


def stable_objects(world: World) -> list[Path]:
    path = public(world, f"{TABLE}/data.parquet")
    return sorted(path.iterdir()) if path.is_dir() else [path]


def own_objects(world: World) -> list[Path]:
    version = json.loads(public(world, f"{TABLE}/releases/1.json").read_text())["data_version"]
    path = public(world, f"{TABLE}/versions/{version}/data.parquet")
    return sorted(path.iterdir()) if path.is_dir() else [path]


def test_a_byte_changed_in_the_stable_table_is_seen_by_reading_and_written_again(table, rimrep):
    good, path = table.files(), stable_objects(table)[-1]
    change_one_byte(path)
    others = {p: p.stat().st_mtime_ns for p in stable_objects(table)[:-1]}
    assert told(rimrep(table, "reconcile")) == "no drift\n"
    found = rimrep(table, "verify", TABLE)
    assert found.code == 4
    assert path.name in told(found)
    mended = rimrep(table, "verify", TABLE, "--fix")
    assert mended.code == 0
    assert f"{path.name} holds other bytes than the release put there (mended)" in told(mended)
    assert table.files() == good
    assert {p: p.stat().st_mtime_ns for p in others} == others
    assert table_is_the_sources(table)


@pytest.mark.parametrize("damage", [lose, cut])
def test_an_object_of_the_stable_table_that_is_gone_or_cut_is_seen_by_listing_and_mended(table, rimrep, damage):
    good = table.files()
    path = stable_objects(table)[-1]
    damage(path)
    others = {p: p.stat().st_mtime_ns for p in stable_objects(table) if p != path} if path.parent.is_dir() else {}
    found = rimrep(table, "reconcile")
    assert found.code == 4
    assert path.name in told(found)
    assert rimrep(table, "reconcile", "--fix").code == 0
    assert table.files() == good
    assert {p: p.stat().st_mtime_ns for p in others} == others
    assert table_is_the_sources(table)


def test_a_damaged_table_comes_again_from_the_sources_alone(table, rimrep):
    for path in (*own_objects(table), stable_objects(table)[-1]):
        change_one_byte(path)
    found = rimrep(table, "verify", TABLE)
    assert found.code == 4
    assert f"`rimrep publish {TABLE} --rebuild`" in told(found)
    before = table.files()
    refused = rimrep(table, "verify", TABLE, "--fix")
    assert refused.code == 4
    assert "is not copied from a damaged release" in told(refused)
    assert table.files() == before
    assert "nothing changed" in told(rimrep(table, "publish", TABLE))
    rebuilt = rimrep(table, "publish", TABLE, "--rebuild")
    assert rebuilt.code == 0, rebuilt.err
    assert told(rimrep(table, "verify", TABLE)) == f"{TABLE}: release 2 holds\n"
    assert told(rimrep(table, "reconcile")) == "no drift\n"
    assert table_is_the_sources(table)


def test_rows_are_not_carried_over_from_a_damaged_table(table, rimrep):
    for damage in (change_one_byte, lose):
        damage(own_objects(table)[0])
        write_table(table.source(TABLE), "c.csv", shift=4)
        refused = rimrep(table, "publish", TABLE)
        assert refused.code == 2
        told(refused)
        assert "versions/" in refused.err and "`rimrep publish DATASET --rebuild`" in refused.err
    assert table_is_the_sources(table) is False
    assert rimrep(table, "publish", TABLE, "--rebuild").code == 0
    assert table_is_the_sources(table)


def test_nothing_is_released_on_a_damaged_receipt(grid, rimrep):
    version = json.loads(public(grid, f"{GRID}/releases/1.json").read_text())["version"]
    public(grid, f"{GRID}/versions/{version}/receipt.json").write_text("{")
    GridFile([6], lat=LAT, lon=LON, variables=("sst",)).write(grid.source(GRID))
    refused = rimrep(grid, "publish", GRID)
    assert refused.code == 2
    told(refused)
    assert "receipt.json does not say any more what was proven" in refused.err
    assert rimrep(grid, "publish", GRID, "--rebuild").code == 0
    assert rimrep(grid, "verify", GRID).code == 0


def test_options_that_do_not_go_together_are_refused_in_words(table, rimrep):
    refused = rimrep(table, "publish", TABLE, "--rebuild", "--partition", "2024-01")
    assert refused.code == 2 and "--rebuild makes all partitions again" in refused.err
    refused = rimrep(table, "verify", TABLE, "--fix", "--file", "a.csv")
    assert refused.code == 2 and "leave --file and --time out" in refused.err
    rimrep(table, "publish", TABLE, "--rebuild")
    refused = rimrep(table, "verify", TABLE, "--fix", "--release", "1")
    assert refused.code == 2 and "release 1 is not the newest" in refused.err
