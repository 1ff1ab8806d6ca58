"""The protocol: who wins, who folds again, what is made again, and what nobody may do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError, GateRefusal, Unavailable
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.descriptions import Candidate
from rimrep_assets.ports.grid_repository import StagingConflict
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets_tests.faulty_store import FaultyStore, Gate, Switch, stable_grid, stable_table
from rimrep_assets_tests.ports.test_faults import Scene, expected_days, expected_rows, same_days
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


@pytest.fixture
def table(tmp_path) -> World:
    """A world with one published table of two files."""
    world = World(tmp_path)
    for name, shift in (("a.csv", 0), ("b.csv", 1)):
        write_table(world.source(TABLE), name, shift=shift)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    assert world.attempt(TABLE).publish().release == 1
    return world


@pytest.fixture
def grid(tmp_path) -> Scene:
    """A published grid of six days, and a seventh to ninth that wait in the source."""
    return Scene(tmp_path, "grid append")


def rows_of(world: World):
    return stable_table(Path(world.store_url), TABLE)


def test_nothing_changed_writes_nothing_at_all(table):
    before = table.files()
    switch = Switch()
    assert table.attempt(TABLE, store=lambda real: FaultyStore(real, switch)).publish() is None
    assert switch.calls == []
    assert table.files() == before


def test_a_new_file_a_reissued_one_and_a_withdrawn_one_are_each_taken_in(table):
    source = table.source(TABLE)
    a, b = write_table(source, "a.csv"), write_table(source, "b.csv", shift=1)
    c = write_table(source, "c.csv", shift=2)
    assert table.attempt(TABLE).publish().release == 2
    assert rows_of(table) == expected_rows(a, b, c)
    a = write_table(source, "a.csv", rows=3, shift=3)
    assert table.attempt(TABLE).publish().release == 3
    assert rows_of(table) == expected_rows(a, b, c)
    (source / "b.csv").unlink()
    record = table.attempt(TABLE).publish()
    assert rows_of(table) == expected_rows(a, c)
    assert record.shrinks
    assert record.source_rows == {"a.csv": 3, "c.csv": 6}
    assert record.kept == (2, 3, 4)
    assert record.dropped == (1,)


def test_the_incremental_table_is_the_clean_rebuild_byte_for_byte(table, tmp_path):
    source = table.source(TABLE)
    write_table(source, "c.csv", shift=2)
    table.attempt(TABLE).publish()
    write_table(source, "a.csv", rows=3, shift=3)
    (source / "b.csv").unlink()
    table.attempt(TABLE).publish()
    clean = World(tmp_path / "clean")
    for path in source.iterdir():
        (clean.source(TABLE) / path.name).write_bytes(path.read_bytes())
    clean.describe(TABLE_YAML, TABLE_SCHEMA)
    clean.attempt(TABLE).publish()
    name = f"public/{TABLE}/data.parquet"
    assert table.files()[name] == clean.files()[name]


def test_a_metadata_change_makes_a_release_on_the_same_data_and_touches_no_byte_of_it(table):
    old = table.projector(TABLE).log.newest()
    table.describe(TABLE_YAML, TABLE_SCHEMA, title="A better title")
    switch = Switch(only=frozenset({"read", "write", "create", "upload", "copy", "download"}))
    record = table.attempt(TABLE, store=lambda real: FaultyStore(real, switch)).publish()
    assert (record.release, record.data_version) == (2, old.data_version)
    assert [call for call in switch.calls if call.endswith(("data.parquet", "rows.parquet"))] == []
    package = json.loads(table.store.read(f"{TABLE}/datapackage.json"))
    assert package["title"] == "A better title"
    assert Path(table.store.url(f"{TABLE}/{package['resources'][0]['path']}")).exists()
    assert table.attempt(TABLE).publish() is None


def test_of_two_attempts_that_prepared_the_same_one_releases_and_the_other_finds_it_done(table):
    write_table(table.source(TABLE), "c.csv", shift=2)
    one, two = table.attempt(TABLE), table.attempt(TABLE)
    candidates = [attempt.prepare(attempt.stage()[1]) for attempt in (one, two)]
    first = one.commit(candidates[0])
    second = two.commit(candidates[1])
    assert first == second
    assert first.release == 2
    assert table.projector(TABLE).log.numbers() == [1, 2]


def test_the_slower_of_two_different_attempts_folds_again_on_the_new_release(table):
    source = table.source(TABLE)
    a, b = write_table(source, "a.csv"), write_table(source, "b.csv", shift=1)
    c = write_table(source, "c.csv", shift=2)
    slow = table.attempt(TABLE)
    waiting = slow.prepare(slow.stage()[1])
    d = write_table(source, "d.csv", shift=3)
    fast = table.attempt(TABLE).publish()
    (source / "d.csv").unlink()
    e = write_table(source, "e.csv", shift=4)
    record = slow.commit(waiting)
    slow.project(record)
    assert (fast.release, record.release, record.base) == (2, 3, 2)
    assert rows_of(table) == expected_rows(a, b, c, e)
    assert rows_of(table) != expected_rows(a, b, c, d)
    assert Reconciliation(table.store).find() == []


def test_two_attempts_on_one_chunk_end_in_one_log_with_all_days(grid):
    world, source = grid.world, grid.world.source(GRID)
    gate = Gate()

    def wait(number: int, call: str) -> None:
        if call.startswith("create") and "/releases/" in call and not gate.reached.is_set():
            gate.wait_here()

    switch = Switch(before=wait)
    slow_record: list[ReleaseRecord] = []
    attempt = world.attempt(GRID, store=lambda real: FaultyStore(real, switch))
    thread = threading.Thread(target=lambda: slow_record.append(attempt.publish()))
    thread.start()
    assert gate.reached.wait(60)
    late = write_day(source, 9)
    fast = world.attempt(GRID).publish()
    gate.go.set()
    thread.join()
    assert fast.release == 2
    assert slow_record[0].release == 2
    days = stable_grid(Path(world.store_url), GRID)
    assert same_days(days, {**grid.new, **expected_days(late)})
    assert world.projector(GRID).log.numbers() == [1, 2]


def test_two_stagings_at_once_on_one_chunk_are_both_complete(grid):
    """Both open `next` before either commits; Icechunk refuses the later one, which is redone on the new tip."""
    world = grid.world
    one, two = world.attempt(GRID), world.attempt(GRID)
    real = one.data.repository.commit
    refused: list[BaseException] = []
    others: list[Candidate] = []

    def commit(*arguments):
        if not others:
            others.append(two.prepare(two.stage()[1]))
        try:
            return real(*arguments)
        except StagingConflict as error:
            refused.append(error)
            raise

    one.data.repository.commit = commit
    mine = one.prepare(one.stage()[1])
    assert len(refused) == 1
    for candidate in (mine, *others):
        assert candidate.verdict.passed
        snapshot = ReleaseRecord.from_bytes(candidate.record).snapshot
        with xr.open_zarr(world.projector(GRID).repository.read(snapshot), consolidated=False) as staged:
            assert staged.sizes["time"] == 9
    one.project(one.commit(mine))
    assert two.commit(others[0]).release == 2
    assert same_days(stable_grid(Path(world.store_url), GRID), grid.new)


@pytest.mark.long
def test_two_processes_on_a_local_folder_end_in_one_log_with_nothing_lost(grid):
    """On a folder Icechunk cannot compare and set; the file lock does it for it."""
    world = grid.world
    environment = {
        **os.environ,
        "RIMREP_CATALOG": str(world.catalog_folder),
        "RIMREP_STORE": world.store_url,
        "RIMREP_DATA": str(world.root / "data"),
    }
    environment.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "rimrep_assets.cli", "publish", GRID, "--json"]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ends
    assert [json.loads(out)[0]["release"] for out, _ in ends] == [2, 2]
    assert world.projector(GRID).log.numbers() == [1, 2]
    assert same_days(stable_grid(Path(world.store_url), GRID), grid.new)
    assert Reconciliation(world.store).find() == []


def test_a_projector_that_stalls_until_the_next_release_is_out_does_not_leave_the_old_one(table):
    source = table.source(TABLE)
    a, b = write_table(source, "a.csv"), write_table(source, "b.csv", shift=1)
    c = write_table(source, "c.csv", shift=2)
    gate = Gate()

    def wait(number: int, call: str) -> None:
        if call.startswith("copy") and not gate.reached.is_set():
            gate.wait_here()

    stalled = table.attempt(TABLE, store=lambda real: FaultyStore(real, Switch(before=wait)))
    thread = threading.Thread(target=stalled.publish)
    thread.start()
    assert gate.reached.wait(60)
    d = write_table(source, "d.csv", shift=3)
    assert table.attempt(TABLE).publish().release == 3
    gate.go.set()
    thread.join()
    assert rows_of(table) == expected_rows(a, b, c, d)
    assert Reconciliation(table.store).find() == []


def test_a_grid_projector_that_stalls_between_chunks_is_put_right_by_itself(grid):
    world = grid.world
    gate = Gate()

    def wait(number: int, call: str) -> None:
        if call.startswith("write") and "data.zarr/heat/c/" in call and not gate.reached.is_set():
            gate.wait_here()

    stalled = world.attempt(GRID, store=lambda real: FaultyStore(real, Switch(before=wait)))
    thread = threading.Thread(target=stalled.publish)
    thread.start()
    assert gate.reached.wait(60)
    again = write_day(world.source(GRID), 7, shift=30)
    assert world.attempt(GRID).publish().release == 3
    gate.go.set()
    thread.join()
    expected = {**grid.new, **expected_days(again)}
    assert same_days(stable_grid(Path(world.store_url), GRID), expected)
    assert Reconciliation(world.store).find() == []


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_whose_answer_is_lost_releases_once(table, done):
    write_table(table.source(TABLE), "c.csv", shift=2)

    class LosesTheCommit(FaultyStore):
        def create(self, path: str, data: bytes) -> bool:
            if "/releases/" in path:
                if done:
                    self._real.create(path, data)
                raise Unavailable("the connection broke")
            return self._real.create(path, data)

    attempt = table.attempt(TABLE, store=lambda real: LosesTheCommit(real, Switch()))
    if done:
        assert attempt.publish().release == 2
    else:
        with pytest.raises(Unavailable):
            attempt.publish()
        assert table.attempt(TABLE).publish().release == 2
    assert table.projector(TABLE).log.numbers() == [1, 2]
    assert Reconciliation(table.store).find() == []


def test_what_an_aborted_attempt_staged_is_not_converted_again(table, monkeypatch):
    write_table(table.source(TABLE), "c.csv", shift=2)
    assert table.attempt(TABLE).stage()[1] is not None
    from rimrep_assets.ports import table_data

    def refuse(*arguments):
        raise AssertionError("converted again")

    monkeypatch.setattr(table_data, "stage_table", refuse)
    assert table.attempt(TABLE).publish().release == 2


def test_a_grid_staged_by_an_aborted_attempt_is_released_by_the_next_one(grid):
    world = grid.world
    staged = world.attempt(GRID).stage()[1]
    record = world.attempt(GRID).publish()
    assert record.snapshot == staged.snapshot
    assert same_days(stable_grid(Path(world.store_url), GRID), grid.new)


def test_a_verdict_about_other_digests_is_refused(table):
    write_table(table.source(TABLE), "c.csv", shift=2)
    attempt = table.attempt(TABLE)
    candidate = attempt.prepare(attempt.stage()[1])
    tampered = candidate.record.replace(b'"release": 2', b'"release": 2 ')
    with pytest.raises(GateRefusal, match="other documents"):
        attempt.commit(Candidate(candidate.version, tampered, candidate.verdict))
    assert table.projector(TABLE).log.numbers() == [1]


def test_a_candidate_made_from_another_description_is_refused(table):
    write_table(table.source(TABLE), "c.csv", shift=2)
    attempt = table.attempt(TABLE)
    candidate = attempt.prepare(attempt.stage()[1])
    table.describe(TABLE_YAML, TABLE_SCHEMA, title="Described otherwise meanwhile")
    with pytest.raises(GateRefusal, match="describes the dataset otherwise"):
        table.attempt(TABLE).commit(candidate)


def test_a_candidate_whose_data_is_gone_is_refused(table):
    write_table(table.source(TABLE), "c.csv", shift=2)
    attempt = table.attempt(TABLE)
    candidate = attempt.prepare(attempt.stage()[1])
    table.store.delete(f"{TABLE}/versions/{candidate.version}/data.parquet")
    with pytest.raises(GateRefusal, match=r"data\.parquet is gone"):
        attempt.commit(candidate)


def test_staging_that_failed_its_proof_is_never_used_again(grid, monkeypatch):
    """A corrupted staging found by the next attempt would fail for ever, were it not marked."""
    world = grid.world
    from rimrep_assets.ports import grid_data

    real = grid_data.write_grid

    def corrupt(group, *arguments):
        written = real(group, *arguments)
        heat = group["heat"]
        heat[7, 1, 1] = heat[7, 1, 1] + 1
        return written

    monkeypatch.setattr(grid_data, "write_grid", corrupt)
    with pytest.raises(GateRefusal) as told:
        world.attempt(GRID).publish()
    assert "values_match_source" in str(told.value)
    assert "heat" in str(told.value)
    monkeypatch.setattr(grid_data, "write_grid", real)
    assert same_days(stable_grid(Path(world.store_url), GRID), grid.old)
    assert world.attempt(GRID).publish().release == 2
    assert same_days(stable_grid(Path(world.store_url), GRID), grid.new)


def test_a_chunk_that_changed_without_being_asked_for_stops_the_release(grid, monkeypatch):
    from rimrep_assets.ports import grid_data

    real = grid_data.write_grid

    def touch_another_block(group, *arguments):
        written = real(group, *arguments)
        group["heat"][0, 1, 1] = 77
        return written

    monkeypatch.setattr(grid_data, "write_grid", touch_another_block)
    with pytest.raises(GateRefusal, match="changed, although no source file asks for it"):
        grid.world.attempt(GRID).publish()


def test_a_withdrawn_day_of_a_regular_axis_becomes_fill_and_is_named(grid):
    world = grid.world
    (world.source(GRID) / "heat_2024-01-03.nc").unlink()
    record = world.attempt(GRID).publish()
    assert any("2024-01-03" in time for time in record.facts.missing_times)
    days = stable_grid(Path(world.store_url), GRID)
    import numpy as np

    assert np.isnan(days["2024-01-03"]).all()
    assert np.array_equal(days["2024-01-04"], grid.new["2024-01-04"], equal_nan=True)


def test_the_plain_copy_can_be_left_out_and_icechunk_is_named_instead(tmp_path):
    scene = Scene(tmp_path, "grid append")
    world = scene.world
    yaml_ = {**GRID_YAML, "layout": {**GRID_YAML["layout"], "plain": False}}
    world.write(f"datasets/{GRID}/dataset.yaml", yaml_)
    world.commit("no plain copy")
    record = world.attempt(GRID).publish()
    addresses = record.datapackage["rimrep"]["addresses"]
    assert addresses["data"].endswith("data.icechunk")
    assert stable_grid(Path(world.store_url), GRID) is None
    assert world.store.list(f"{GRID}/data.zarr") == []
    assert Reconciliation(world.store).find() == []
    import icechunk

    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(addresses["icechunk"]))
    with xr.open_zarr(repository.readonly_session(tag=addresses["tag"]).store, consolidated=False) as opened:
        assert opened.sizes["time"] == 9


def test_an_old_release_stays_whole_at_its_own_address(grid):
    world = grid.world
    world.attempt(GRID).publish()
    write_day(world.source(GRID), 1, shift=70)
    world.attempt(GRID).publish()
    import icechunk

    storage = icechunk.local_filesystem_storage(world.store.url(f"{GRID}/data.icechunk"))
    repository = icechunk.Repository.open(storage)
    for tag, days in (("release-1", grid.old), ("release-2", grid.new)):
        with xr.open_zarr(repository.readonly_session(tag=tag).store, consolidated=False) as opened:
            assert same_days({str(t.values)[:10]: opened["heat"].sel(time=t).values for t in opened["time"]}, days)


def test_without_any_staging_there_is_nothing_to_release(tmp_path):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    with pytest.raises(DataError, match="nothing is staged"):
        world.attempt(TABLE).prepare(None)
