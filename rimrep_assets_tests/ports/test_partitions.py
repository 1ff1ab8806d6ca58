"""Partitions staged in any order, at once, again and in part: one release, with the values of the sources."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets_tests.faulty_store import WRITES, Crash, FaultyStore, Switch, icechunk_behind
from rimrep_assets_tests.homes import command_environment
from rimrep_assets_tests.months import (
    MONTHS,
    describe_grid,
    describe_table,
    grid_yaml,
    rows_in_source,
    rows_published,
    same_steps,
    steps_in_source,
    steps_published,
    table_yaml,
    write_days,
    write_month,
)
from rimrep_assets_tests.worlds import GRID, TABLE, TABLE_SCHEMA, World


def is_published(world: World, dataset: str) -> bool:
    """Whether the stable address holds what the source holds, by readers that are not ours."""
    if dataset == TABLE:
        return rows_published(world) == rows_in_source(world)
    return same_steps(steps_published(world), steps_in_source(world))


def described(root: Path, dataset: str) -> World:
    world = World(root)
    (describe_table if dataset == TABLE else describe_grid)(world)
    return world


def stage(world: World, dataset: str, *months: str) -> None:
    world.attempt(dataset).stage(list(months))


def release(world: World, dataset: str):
    """What a run without a data step does."""
    attempt = world.attempt(dataset)
    candidate = attempt.prepare(None)
    if candidate is None:
        return None
    record = attempt.commit(candidate)
    attempt.project(record)
    return record


def break_month(world: World, dataset: str, month: str) -> None:
    """The provider's file of a month cannot be read any more."""
    for path in sorted(world.source(dataset).glob(f"*{month}*")):
        path.write_bytes(b"\x00not a file of this kind\x00")


ORDERS = ("ascending", "descending", "mixed", "at once", "unpartitioned")
TABLE_AND_LONG_GRID = [TABLE, pytest.param(GRID, marks=pytest.mark.long)]
"""a grid takes three times as long, and goes the same way; ``make test-faults`` takes both"""


def restore_month(world: World, dataset: str, month: str, shift: float = 0.0) -> None:
    (write_month if dataset == TABLE else write_days)(world, month, shift=shift)


@pytest.mark.parametrize(
    ("order", "dataset"),
    [(order, TABLE) for order in ORDERS]
    + [pytest.param(order, GRID, marks=[] if order == "mixed" else pytest.mark.long) for order in ORDERS],
)
def test_twelve_months_in_any_order_are_one_release_with_the_values_of_the_source(dataset, order, tmp_path):
    world = described(tmp_path, dataset)
    if order == "unpartitioned":
        assert world.attempt(dataset).publish().release == 1
    else:
        months = {"ascending": MONTHS, "descending": MONTHS[::-1], "mixed": MONTHS[6:] + MONTHS[:6]}.get(order)
        for step in [[m] for m in months] if months else [MONTHS]:
            stage(world, dataset, *step)
        assert release(world, dataset).release == 1
    assert is_published(world, dataset)
    assert Reconciliation(world.store).find() == []
    left = [o.path for o in world.store.list(f"{dataset}/staging")]
    assert left == [], "what was folded is needed by nobody"
    assert release(world, dataset) is None


def test_the_table_of_single_months_is_that_of_one_piece_byte_for_byte(tmp_path):
    bytes_of = []
    for name, pieces in (("months", [[m] for m in MONTHS[::-1]]), ("whole", [MONTHS])):
        world = described(tmp_path / name, TABLE)
        for piece in pieces:
            stage(world, TABLE, *piece)
        release(world, TABLE)
        bytes_of.append((Path(world.store_url) / "public" / TABLE / "data.parquet").read_bytes())
    assert bytes_of[0] == bytes_of[1]


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_a_failing_month_leaves_the_others_staged_and_its_repeat_releases_all(dataset, tmp_path):
    world = described(tmp_path, dataset)
    break_month(world, dataset, "2024-05")
    for month in MONTHS:
        if month == "2024-05":
            with pytest.raises(DataError, match="2024-05"):
                stage(world, dataset, month)
        else:
            stage(world, dataset, month)
    restore_month(world, dataset, "2024-05")
    stage(world, dataset, "2024-05")
    record = release(world, dataset)
    assert len(record.folded) == 12
    assert is_published(world, dataset)


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_a_partition_reads_the_files_of_its_months_alone(dataset, tmp_path):
    world = described(tmp_path, dataset)
    for month in MONTHS[2:]:
        break_month(world, dataset, month)
    attempt = world.attempt(dataset)
    fetched: list[str] = []
    real = attempt.bench.source.fetch
    attempt.bench.source.fetch = lambda file, to: fetched.append(file.name) or real(file, to)
    look, _ = attempt.stage(MONTHS[:2])
    assert fetched and all(any(month in name for month in MONTHS[:2]) for name in fetched)
    assert {file.name for file in look.sources} == set(fetched)


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_a_reissued_month_and_a_withdrawn_one_change_nothing_else(dataset, tmp_path):
    world = described(tmp_path, dataset)
    world.attempt(dataset).publish()
    restore_month(world, dataset, "2024-03", shift=40.0)
    for path in world.source(dataset).glob("*2024-11*"):
        path.unlink()
    restore_month(world, dataset, "2024-07", shift=9.0)
    stage(world, dataset, "2024-03", "2024-11")
    assert release(world, dataset).release == 2
    restored = world.source(dataset)
    assert not is_published(world, dataset), "July was not asked for"
    stage(world, dataset, "2024-07")
    assert release(world, dataset).release == 3
    assert is_published(world, dataset)
    assert not list(restored.glob("*2024-11*"))


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_what_is_staged_waits_through_a_release_of_others(dataset, tmp_path):
    world = described(tmp_path, dataset)
    stage(world, dataset, *MONTHS[:6])
    first = world.attempt(dataset)
    candidate = first.prepare(None)
    # While release 1 is judged, other months are staged for no release yet.
    stage(world, dataset, *MONTHS[6:])
    first.project(first.commit(candidate))
    assert not is_published(world, dataset)
    assert release(world, dataset).release == 2
    assert is_published(world, dataset)


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_of_two_runs_that_fold_the_same_months_one_releases_and_nothing_is_lost(dataset, tmp_path):
    world = described(tmp_path, dataset)
    stage(world, dataset, *MONTHS[:6])
    slow, fast = world.attempt(dataset), world.attempt(dataset)
    late = slow.prepare(None)
    stage(world, dataset, *MONTHS[6:])
    early = fast.prepare(None)
    fast.project(fast.commit(early))
    record = slow.commit(late)
    slow.project(record)
    assert record.release == 1
    assert is_published(world, dataset)


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_an_older_staging_does_not_undo_a_newer_release(dataset, tmp_path):
    world = described(tmp_path, dataset)
    world.attempt(dataset).publish()
    restore_month(world, dataset, "2024-02", shift=5.0)
    stage(world, dataset, "2024-02")
    restore_month(world, dataset, "2024-02", shift=7.0)
    other = world.attempt(dataset)
    other.stage(["2024-02"])
    other.project(other.commit(other.prepare(None)))
    assert is_published(world, dataset)
    assert release(world, dataset) is None


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_when_conversion_changed_a_single_month_is_refused_until_all_are_staged(dataset, tmp_path):
    world = described(tmp_path, dataset)
    world.attempt(dataset).publish()
    if dataset == TABLE:
        world.describe(table_yaml(layout={"sort_by": ["time"]}), TABLE_SCHEMA)
    else:
        new = grid_yaml(layout={"chunks": {"time": 3, "lat": 3, "lon": 5}})
        world.write(f"datasets/{GRID}/dataset.yaml", new)
        world.commit("other chunks")
    stage(world, dataset, "2024-01")
    with pytest.raises(DataError, match=r"2024-02, 2024-03.*2024-12") as told:
        release(world, dataset)
    assert "launch a backfill" in str(told.value)
    stage(world, dataset, *MONTHS[1:])
    record = release(world, dataset)
    assert record.release == 2 or record is not None
    assert is_published(world, dataset)


def test_files_that_belong_to_no_partition_are_refused_by_name(tmp_path):
    world = described(tmp_path, TABLE)
    write_month(world, "2025-01")
    (world.source(TABLE) / "notes.csv").write_text("site\n")
    with pytest.raises(DataError) as told:
        stage(world, TABLE, "2024-01")
    assert "notes.csv does not match" in str(told.value) and "sites_2025-01.csv lies in 2025-01, after" in str(
        told.value
    )


def test_a_month_without_files_is_staged_as_nothing(tmp_path):
    world = described(tmp_path, TABLE)
    (world.source(TABLE) / "sites_2024-04.csv").unlink()
    look, staged = world.attempt(TABLE).stage(["2024-04"])
    assert (look.sources, staged) == ((), None)
    stage(world, TABLE, *MONTHS)
    release(world, TABLE)
    assert is_published(world, TABLE)


def test_a_regular_axis_is_filled_whatever_month_comes_first(tmp_path):
    world = World(tmp_path)
    describe_grid(world, layout={"chunks": {"time": 30, "lat": 3, "lon": 5}, "cadence": "P1D"})
    for month in ("2024-08", "2024-02", "2024-05"):
        stage(world, GRID, month)
    release(world, GRID)
    with xr.open_zarr(Path(world.store_url) / "public" / GRID / "data.zarr") as grid:
        days = grid["time"].values.astype("datetime64[D]")
        assert (np.diff(days) == np.timedelta64(1, "D")).all()
        found = {
            str(day): grid["heat"].values[i] for i, day in enumerate(days) if np.isfinite(grid["heat"].values[i]).any()
        }
    expected = {d: v for d, v in steps_in_source(world).items() if d[:7] in ("2024-02", "2024-05", "2024-08")}
    assert same_steps(found, expected)


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_threads_that_stage_different_months_at_once_lose_nothing(dataset, tmp_path):
    world = described(tmp_path, dataset)
    failed: list[BaseException] = []

    def work(months: list[str]) -> None:
        try:
            for month in months:
                stage(world, dataset, month)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(MONTHS[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    release(world, dataset)
    assert is_published(world, dataset)


STAGE = """
import sys
from pathlib import Path
from rimrep_assets_tests.worlds import World
World(Path(sys.argv[1])).attempt(sys.argv[2]).stage(sys.argv[3:])
"""


@pytest.mark.parametrize("dataset", TABLE_AND_LONG_GRID)
def test_processes_that_stage_different_months_at_once_lose_nothing(dataset, tmp_path):
    world = described(tmp_path, dataset)
    command = [sys.executable, "-c", STAGE, str(tmp_path), dataset]
    import os

    environment = {**os.environ, **command_environment(world)}
    started = [subprocess.Popen([*command, *MONTHS[n::2]], env=environment) for n in range(2)]
    assert [process.wait(timeout=100) for process in started] == [0, 0]
    release(world, dataset)
    assert is_published(world, dataset)


@pytest.mark.faults
@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_broken_at_every_write_of_staging_and_folding_the_next_run_releases_all(dataset, tmp_path, monkeypatch):
    with icechunk_behind(monkeypatch):
        for number in itertools.count(1):
            root = tmp_path / str(number)
            world = described(root, dataset) if number == 1 else copied(tmp_path / "1", root)
            switch = Switch(number, WRITES)
            try:
                for month in ("2024-02", "2024-01"):
                    world.attempt(dataset, store=lambda real, s=switch: FaultyStore(real, s)).stage([month])
                attempt = world.attempt(dataset, store=lambda real, s=switch: FaultyStore(real, s))
                attempt.project(attempt.commit(attempt.prepare(None)))
            except Crash:
                for month in ("2024-01", "2024-02"):
                    stage(world, dataset, month)
                release(world, dataset)
                world.projector(dataset).finish()
            found = rows_published(world) if dataset == TABLE else list(steps_published(world))
            wanted = rows_in_source(world) if dataset == TABLE else list(steps_in_source(world))
            early = [w for w in wanted if str(w[3] if dataset == TABLE else w)[:7] in ("2024-01", "2024-02")]
            assert found == early, switch.calls[-1]
            assert Reconciliation(world.store).find() == [], switch.calls[-1]
            if len(switch.calls) < number:
                break
        assert number > 20


def copied(first: Path, root: Path) -> World:
    """Catalog and sources as in ``first``, with an empty store."""
    import shutil

    for part in ("catalog", "sources"):
        shutil.copytree(first / part, root / part)
    return World(root)
