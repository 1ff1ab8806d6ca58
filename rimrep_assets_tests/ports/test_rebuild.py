"""Making everything again from the sources: of grids and tables, in partitions too, also when it breaks off.

Here belongs what becomes of an attempt at rebuilding. Not here: finding the damage that asks for it (``test_repair``).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rimrep_assets.domain.errors import Damaged, DefinitionError
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.ports.verification import verify
from rimrep_assets_tests.faulty_store import WRITES, Crash, FaultyStore, Switch, icechunk_behind
from rimrep_assets_tests.grid_worlds import GridFile
from rimrep_assets_tests.homes import Home
from rimrep_assets_tests.months import (
    describe_grid,
    describe_table,
    rows_in_source,
    rows_published,
    same_steps,
    steps_in_source,
    steps_published,
    write_days,
    write_month,
)
from rimrep_assets_tests.test_drift import change_one_byte, public
from rimrep_assets_tests.test_repair import (
    LAT,
    LON,
    describe_grid_of_objects,
    grid_is_the_sources,
    icechunk_chunks,
    own_objects,
    table_is_the_sources,
)
from rimrep_assets_tests.worlds import GRID, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

EVERY = 10
"""every so many writes a rebuild is broken; ``make test-faults`` breaks it at each"""


def rebuilding(world: World, dataset: str, switch: Switch | None = None) -> Publication:
    store = (lambda real: real) if switch is None else (lambda real: FaultyStore(real, switch))
    attempt = world.attempt(dataset, store=store)
    attempt.rebuild = True
    return attempt


def holds(world: World, dataset: str, release: int) -> bool:
    """Whether this is the newest release, and everything of it is what was proven."""
    projector = world.projector(dataset)
    record = projector.log.newest()
    return record.release == release and not verify(projector, record, stable=True).differences


def no_drift(world: World) -> bool:
    return not Reconciliation(world.store, world.settings.s3).find()


@pytest.fixture(scope="module", params=[GRID, TABLE])
def damaged_home(tmp_path_factory, request) -> tuple[Home, str]:
    """A release whose own data is damaged; what stands at the stable address is whole."""
    made = Home(tmp_path_factory.mktemp("damaged"))
    world = World(made.root)
    if request.param == GRID:
        describe_grid_of_objects(world)
    else:
        write_table(world.source(TABLE), "a.csv")
        write_table(world.source(TABLE), "b.csv", shift=1)
        world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.attempt(request.param).publish()
    change_one_byte((icechunk_chunks if request.param == GRID else own_objects)(world)[0])
    made.keep()
    return made, request.param


def is_the_sources(world: World, dataset: str) -> bool:
    return grid_is_the_sources(world) if dataset == GRID else table_is_the_sources(world)


def writes_of_a_rebuild(home: Home, dataset: str, monkeypatch) -> int:
    switch = Switch(only=WRITES)
    with icechunk_behind(monkeypatch):
        assert rebuilding(home.world(), dataset, switch).publish().release == 2
    monkeypatch.undo()
    return len(switch.calls)


def test_a_rebuild_that_breaks_off_leaves_what_was_there_or_all_that_is_new(damaged_home, monkeypatch):
    break_at_every(damaged_home, monkeypatch, EVERY)


@pytest.mark.faults
def test_a_rebuild_may_break_off_at_any_write(damaged_home, monkeypatch):
    break_at_every(damaged_home, monkeypatch, 1)


def break_at_every(damaged_home: tuple[Home, str], monkeypatch, step: int) -> None:
    home, dataset = damaged_home
    writes = writes_of_a_rebuild(home, dataset, monkeypatch)
    ended = set()
    for at in range(1, writes + 1, step):
        world = home.world()
        with icechunk_behind(monkeypatch), pytest.raises(Crash):
            rebuilding(world, dataset, Switch(at, WRITES)).publish()
        monkeypatch.undo()
        world.attempt(dataset).publish()
        assert no_drift(world), at
        assert is_the_sources(world, dataset), at
        release = world.projector(dataset).log.newest().release
        ended.add(release)
        if release == 1:
            assert rebuilding(world, dataset).publish().release == 2
        assert holds(world, dataset, 2), at
    assert ended == {1, 2}


def test_new_files_that_come_after_a_rebuild_broke_off_stand_on_no_damaged_chunk(damaged_home, monkeypatch):
    home, dataset = damaged_home
    world = home.world()
    rebuilding(world, dataset).stage()
    if dataset == GRID:
        GridFile([6], lat=LAT, lon=LON, variables=("sst",)).write(world.source(GRID))
        assert world.attempt(dataset).publish().release == 2
        assert holds(world, dataset, 2)
    else:
        write_table(world.source(TABLE), "c.csv", shift=2)
        with pytest.raises(Damaged, match="holds other bytes than the release put there"):
            world.attempt(dataset).publish()
        assert rebuilding(world, dataset).publish().release == 2
        assert holds(world, dataset, 2)
    assert is_the_sources(world, dataset)


def test_what_a_rebuild_staged_is_released_by_a_run_without_a_data_step(damaged_home):
    home, dataset = damaged_home
    world = home.world()
    rebuilding(world, dataset).stage()
    attempt = world.attempt(dataset)
    attempt.project(attempt.commit(attempt.prepare(attempt.staged_by(None))))
    assert holds(world, dataset, 2)
    attempt = world.attempt(dataset)
    assert attempt.prepare(attempt.staged_by(None)) is None


def test_a_rebuild_that_is_overtaken_by_another_release_makes_that_one_again(damaged_home):
    home, dataset = damaged_home
    world = home.world()
    slow = rebuilding(world, dataset)
    staged = slow.stage()[1]
    assert rebuilding(world, dataset).publish().release == 2
    record = slow.commit(slow.prepare(staged))
    slow.project(record)
    assert record.release == 3
    assert holds(world, dataset, 3)
    assert is_the_sources(world, dataset)


def test_a_first_release_may_be_asked_for_as_a_rebuild(tmp_path):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    assert rebuilding(world, TABLE).publish().release == 1
    assert holds(world, TABLE, 1)


@pytest.fixture(scope="module", params=[TABLE, GRID])
def months_home(tmp_path_factory, request) -> tuple[Home, str]:
    made = Home(tmp_path_factory.mktemp("months"))
    world = World(made.root)
    (describe_table if request.param == TABLE else describe_grid)(world)
    world.attempt(request.param).publish()
    if request.param == TABLE:
        change_one_byte(own_objects(world)[0])
    shutil.rmtree(world.root / "scratch")
    made.keep()
    return made, request.param


def months_are_published(world: World, dataset: str) -> bool:
    if dataset == TABLE:
        return rows_published(world) == rows_in_source(world)
    return same_steps(steps_published(world), steps_in_source(world))


def icechunk_files(world: World) -> list[Path]:
    return [
        p
        for kind in ("chunks", "manifests")
        for p in public(world, f"{GRID}/data.icechunk/{kind}").rglob("*")
        if p.is_file()
    ]


def test_all_partitions_are_rebuilt_at_once(months_home, rimrep):
    home, dataset = months_home
    world = home.world()
    old = icechunk_files(world) if dataset == GRID else []
    done = rimrep(world, "publish", dataset, "--rebuild")
    assert done.code == 0, done.err
    for path in old:
        path.unlink()
    assert holds(world, dataset, 2)
    assert no_drift(world)
    assert months_are_published(world, dataset)
    assert "nothing changed, still release 2" in rimrep(world, "publish", dataset).out


def test_a_rebuild_of_partitions_that_broke_off_is_finished_with_what_came_meanwhile(months_home):
    home, dataset = months_home
    world = home.world()
    rebuilding(world, dataset).stage()
    (write_month if dataset == TABLE else write_days)(world, "2024-05", shift=0.5)
    assert world.attempt(dataset).publish().release == 2
    assert holds(world, dataset, 2)
    assert no_drift(world)
    assert months_are_published(world, dataset)
    assert world.attempt(dataset).publish() is None


def test_a_rebuild_of_some_partitions_is_refused_in_words(months_home):
    home, dataset = months_home
    with pytest.raises(DefinitionError, match="makes all partitions again"):
        rebuilding(home.world(), dataset).stage(["2024-05"])
