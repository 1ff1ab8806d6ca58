"""The sensor of the sources: who is due is looked at, and what changed runs once."""

from __future__ import annotations

import time
from types import SimpleNamespace

import dagster as dg
import pytest

from rimrep_assets.defs import source_sensor as module
from rimrep_assets.defs.source_sensor import SourceCursor, source_sensor
from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.ports.sources import digest_memory
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets_tests.defs.sensor_bench import Ticks
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

HOURLY = {**TABLE_YAML, "update": {"schedule": "0 * * * *", "timezone": "Australia/Brisbane"}}
HOUR = 3600


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """A published table whose source is due every hour."""
    for name in ("DAGSTER_HOME", "RIMREP_CATALOG_COMMIT", "RIMREP_DAGSTER_URL", "RIMREP_SENSORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(digest_memory, "RACY_NS", -(10**18))
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(HOURLY, TABLE_SCHEMA)
    world.attempt(TABLE).publish()
    return world


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets time pass for the sensor."""
    offset = [0.0]
    passing = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + offset[0])
    monkeypatch.setattr(module, "time", passing)

    def later(seconds: float) -> None:
        offset[0] += seconds

    return later


@pytest.fixture
def ticks(world, clock):
    """The sensor has seen the dataset, whose schedule comes within the hour."""
    with dg.DagsterInstance.ephemeral() as instance:
        made = Ticks(world, source_sensor(), instance)
        made.tick()
        yield made


def test_a_new_dataset_waits_for_its_schedule(ticks, world, clock):
    write_table(world.source(TABLE), "b.csv", shift=1)
    assert ticks.tick() == [] and f"{TABLE} is next, at" in ticks.told
    clock(HOUR)
    assert len(ticks.tick()) == 1


def test_a_source_without_anything_new_runs_nothing(ticks, clock):
    clock(HOUR)
    assert ticks.tick() == []
    assert "no new files" in ticks.told


def test_new_files_run_the_data_and_everything_after_it_once(ticks, world, clock):
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(HOUR)
    (request,) = ticks.tick()
    assert request.tags["rimrep/catalog_commit"] == world.catalog.resolve()
    assert f"{TABLE}/data" in {k.to_user_string() for k in request.asset_selection}
    assert ticks.tick() == []
    clock(HOUR)
    assert ticks.tick() == []
    assert "waits until the run under way has ended" in ticks.told
    world.attempt(TABLE).publish()
    ticks.end(TABLE, success=True)
    assert ticks.tick() == []
    clock(HOUR)
    assert ticks.tick() == []
    assert SourceCursor.model_validate_json(ticks.cursor).watched[TABLE].pending is None


@pytest.mark.parametrize("change", ["re-issue", "withdraw"])
def test_re_issued_and_withdrawn_files_are_noticed(ticks, world, clock, change):
    write_table(world.source(TABLE), "b.csv", shift=1)
    world.attempt(TABLE).publish()
    if change == "withdraw":
        (world.source(TABLE) / "b.csv").unlink()
    else:
        write_table(world.source(TABLE), "b.csv", shift=2)
    clock(HOUR)
    assert len(ticks.tick()) == 1


def test_only_the_partitions_of_the_changed_files_run_as_one_range(ticks, world, clock):
    partition = {"by": "month", "start": "2024-01", "end": "2024-12", "file_time": "*_%Y%m.csv"}
    (world.source(TABLE) / "a.csv").rename(world.source(TABLE) / "a_202401.csv")
    world.describe({**HOURLY, "partition": partition}, TABLE_SCHEMA)
    world.attempt(TABLE).publish()
    for month in ("202403", "202405"):
        write_table(world.source(TABLE), f"a_{month}.csv", shift=1)
    clock(HOUR)
    (request,) = ticks.tick()
    assert request.tags["dagster/asset_partition_range_start"] == "2024-03"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-05"


def test_a_refused_run_is_not_repeated_until_the_source_changes(ticks, world, clock):
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(HOUR)
    assert len(ticks.tick()) == 1
    ticks.end(TABLE, DataError("a cell is no number"))
    told = []
    for _ in range(3):
        assert ticks.tick() == []
        told.append(ticks.told)
        clock(HOUR)
    assert sum("would fail again as things are" in words for words in told) == 1
    write_table(world.source(TABLE), "b.csv", shift=2)
    clock(HOUR)
    assert len(ticks.tick()) == 1


def test_a_run_that_was_killed_is_repeated_after_a_while(ticks, world, clock):
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(HOUR)
    (first,) = ticks.tick()
    ticks.end(TABLE)
    assert ticks.tick() == [] and "the next starts in 1 min" in ticks.told
    clock(61)
    (second,) = ticks.tick()
    assert second.run_key != first.run_key


def test_a_source_that_does_not_answer_is_asked_again_and_others_go_on(ticks, world, clock, monkeypatch):
    world.describe(
        {**HOURLY, "id": "other-sites", "source": {**HOURLY["source"], "url": "../sources/other"}}, TABLE_SCHEMA
    )
    write_table(world.source("other"), "a.csv")
    ticks.tick()
    real = LocalFolder.glance

    def down(self, known=()):
        if self.root.name == TABLE:
            raise Unavailable("the provider's server does not answer")
        return real(self, known)

    monkeypatch.setattr(LocalFolder, "glance", down)
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(HOUR)
    assert [r.tags["rimrep/dataset"] for r in ticks.tick()] == ["other-sites"]
    assert ticks.tick() == []
    clock(61)
    assert ticks.tick() == [] and "does not answer" in ticks.told and "asked again in 5 min" in ticks.told
    monkeypatch.setattr(LocalFolder, "glance", real)
    clock(301)
    assert [r.tags["rimrep/dataset"] for r in ticks.tick()] == [TABLE]


def test_a_source_that_is_wrong_is_told_and_looked_at_when_its_schedule_comes_next(ticks, world, clock):
    for path in world.source(TABLE).iterdir():
        path.unlink()
    clock(HOUR)
    assert ticks.tick() == [] and "is empty" in ticks.told
    assert ticks.tick() == [] and "is empty" not in ticks.told
    clock(HOUR)
    assert ticks.tick() == [] and "is empty" in ticks.told


def test_a_run_under_way_is_replaced_where_the_catalog_says_so(ticks, world, clock, monkeypatch):
    update = {**HOURLY["update"], "overlap": "replace"}
    world.describe({**HOURLY, "update": update}, TABLE_SCHEMA)
    world.attempt(TABLE).publish()
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(HOUR)
    assert len(ticks.tick()) == 1
    clock(HOUR)
    assert ticks.tick() == [], "the run under way does just this"
    write_table(world.source(TABLE), "c.csv", shift=2)
    clock(HOUR)
    assert ticks.tick() == []
    assert "cannot be replaced" in ticks.told and "RIMREP_DAGSTER_URL" in ticks.told
    ended = []
    monkeypatch.setattr(module.DagsterWeb, "terminate", lambda self, run_id: ended.append(run_id))
    first = ticks.runs(TABLE)[0].run_id
    assert len(ticks.tick()) == 1
    assert ended == [first]


def test_however_often_a_schedule_came_while_nobody_looked_it_is_one_turn(ticks, world, clock):
    write_table(world.source(TABLE), "b.csv", shift=1)
    clock(30 * HOUR)
    assert len(ticks.tick()) == 1
    assert ticks.tick() == []


def test_who_waits_longest_comes_first_and_nobody_starves(ticks, world, clock, monkeypatch):
    names = [TABLE]
    for name in ("b-sites", "c-sites"):
        world.describe(
            {**HOURLY, "id": name, "source": {**HOURLY["source"], "url": f"../sources/{name}"}}, TABLE_SCHEMA
        )
        write_table(world.source(name), "a.csv")
        names.append(name)
    write_table(world.source(TABLE), "b.csv", shift=1)
    ticks.tick()
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(module, "BUDGET_S", -1.0)
    clock(HOUR)
    taken = [r.tags["rimrep/dataset"] for _ in names for r in ticks.tick()]
    assert sorted(taken) == sorted(names)


def test_a_schedule_of_half_past_two_is_one_turn_on_nights_when_clocks_change(world, monkeypatch):
    """Local time 02:30 comes twice on 2026-04-05 in Sydney, and not at all on 2026-10-04."""
    from datetime import UTC, datetime

    update = {"schedule": "30 2 * * *", "timezone": "Australia/Sydney"}
    world.describe({**HOURLY, "update": update}, TABLE_SCHEMA)
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.monotonic, time=lambda: now[0]))
    looks: list[float] = []
    real = LocalFolder.glance
    monkeypatch.setattr(LocalFolder, "glance", lambda self, known=(): looks.append(now[0]) or real(self, known))
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = Ticks(world, source_sensor(), instance)
        for night, expected in (("2026-04-04T12:00", "15:30"), ("2026-10-03T12:00", "16:00")):
            ticks.cursor = None
            looks.clear()
            begin = datetime.fromisoformat(night).replace(tzinfo=UTC).timestamp()
            for half_hour in range(16):
                now[0] = begin + 1800 * half_hour
                ticks.tick()
            assert [f"{datetime.fromtimestamp(t, UTC):%H:%M}" for t in looks] == [expected]
