"""The catalog's sensor: each merge runs what it changed, once, and says why it does not run the rest."""

from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from rimrep_assets.definitions import definitions_at
from rimrep_assets.defs import catalog_sensor as module
from rimrep_assets.defs.catalog_sensor import catalog_sensor
from rimrep_assets.defs.names import key
from rimrep_assets.defs.resources import Platform
from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.ports.due_work import DueWork
from rimrep_assets_tests.defs import sensor_bench
from rimrep_assets_tests.defs.sensor_bench import Ticks
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, curated, write_table

OTHER = "other-sites"


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """Two tables on one source; nothing is published."""
    for name in ("DAGSTER_HOME", "RIMREP_CATALOG_COMMIT", "RIMREP_DAGSTER_URL", "RIMREP_SENSORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.describe({**TABLE_YAML, "id": OTHER}, TABLE_SCHEMA)
    return world


@pytest.fixture
def ticks(world):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(world, catalog_sensor(), instance)


@pytest.fixture
def clock(monkeypatch):
    """``clock(seconds)`` lets time pass for the sensor."""
    offset = [0.0]
    passing = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + offset[0])
    monkeypatch.setattr(module, "time", passing)

    def later(seconds: float) -> None:
        offset[0] += seconds

    return later


def names(requests: list[dg.RunRequest]) -> list[str]:
    return sorted(r.tags["rimrep/dataset"] for r in requests)


def release(ticks: Ticks, *datasets: str) -> None:
    """The runs that are asked for do their work."""
    for dataset in datasets:
        assert ticks.world.attempt(dataset).publish() is not None
        ticks.end(dataset, success=True)


def settle(ticks: Ticks) -> None:
    ticks.tick()
    release(ticks, TABLE, OTHER)
    assert ticks.tick() == []
    assert ticks.tick() == [] and "nothing is due" in ticks.told


def retitle(world: World, dataset: str = TABLE, title: str = "Another") -> str:
    world.write(f"datasets/{dataset}/datapackage.json", curated(dataset, title=title))
    return world.commit()


def remove(world: World, dataset: str) -> str:
    shutil.rmtree(world.catalog_folder / "datasets" / dataset)
    return world.commit()


def test_what_was_never_released_runs_whole_and_pinned_to_the_commit(ticks, world):
    requests = ticks.tick()
    assert names(requests) == [OTHER, TABLE]
    (request,) = (r for r in requests if r.tags["rimrep/dataset"] == TABLE)
    assert request.tags["rimrep/catalog_commit"] == world.catalog.resolve()
    assert {k.to_user_string() for k in request.asset_selection} == {
        "collections/reef",
        *(f"{TABLE}/{s}" for s in ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")),
    }


def test_a_run_that_is_under_way_is_not_asked_for_again(ticks):
    assert len(ticks.tick()) == 2
    assert ticks.tick() == []
    assert "2 datasets are not settled" in ticks.told


def test_a_merge_runs_what_it_changed_and_only_its_documents_where_the_data_stays(ticks, world):
    settle(ticks)
    head = retitle(world)
    (request,) = ticks.tick()
    assert request.tags["rimrep/dataset"] == TABLE
    assert request.tags["rimrep/catalog_commit"] == head
    assert f"{TABLE}/data" not in {k.to_user_string() for k in request.asset_selection}
    assert f"{TABLE}/release" in {k.to_user_string() for k in request.asset_selection}
    release(ticks, TABLE)
    assert ticks.tick() == []


def test_a_changed_collection_runs_every_dataset_in_it_and_an_unused_file_none(ticks, world):
    settle(ticks)
    world.write("lib/unused.libsonnet", "{}")
    world.commit()
    assert ticks.tick() == []
    path = world.catalog_folder / "collections/reef/collection.jsonnet"
    path.write_text(path.read_text().replace("Made for tests.", "Made for other tests."))
    world.commit()
    assert names(ticks.tick()) == [OTHER, TABLE]


@pytest.mark.parametrize("lost", [None, "", "not JSON", '{"scope": "another", "commit": "x"}'])
def test_without_its_cursor_the_sensor_finds_the_same_work(ticks, world, lost):
    settle(ticks)
    retitle(world)
    ticks.cursor = lost
    assert names(ticks.tick()) == [TABLE]
    release(ticks, TABLE)
    ticks.cursor = lost
    assert ticks.tick() == []


def test_rewritten_history_is_compared_as_a_whole(ticks, world):
    settle(ticks)
    world._git("checkout", "--quiet", "--orphan", "fresh")
    retitle(world)
    world._git("branch", "--force", "main", "fresh")
    assert names(ticks.tick()) == [TABLE]


def test_a_dataset_that_is_deleted_is_told_once_and_runs_nothing(ticks, world):
    settle(ticks)
    remove(world, OTHER)
    assert ticks.tick() == []
    assert ticks.told == f"{OTHER} is no longer in the catalog; its release 1 stays published"
    assert ticks.tick() == []
    assert ticks.told == f"nothing is due at {world.catalog.resolve()[:7]}"
    world.commit("an empty commit")
    assert ticks.tick() == []
    assert "no longer" not in ticks.told


def test_a_deleted_dataset_beside_one_that_runs_is_told_by_the_next_tick_that_shows_a_message(ticks, world):
    settle(ticks)
    retitle(world)
    remove(world, OTHER)
    assert names(ticks.tick()) == [TABLE]
    assert ticks.tick() == []
    assert f"{OTHER} is no longer in the catalog; its release 1 stays published" in ticks.told
    release(ticks, TABLE)
    for _ in range(2):
        assert ticks.tick() == []
        assert "no longer" not in ticks.told


def test_a_dataset_that_the_commit_breaks_is_told_and_the_others_go_on(ticks, world):
    settle(ticks)
    world.write(f"datasets/{OTHER}/datapackage.json", "{")
    retitle(world)
    assert names(ticks.tick()) == [TABLE]
    # With a request Dagster shows no skip message; the same words are in the tick's log, and here where nothing runs.
    ticks.cursor = None
    release(ticks, TABLE)
    assert ticks.tick() == []
    told = ticks.told
    assert "other-sites: datasets/other-sites/datapackage.json is not JSON" in told
    assert "Its published release stays" in told


def test_a_failure_that_may_pass_is_repeated_later_under_another_key(ticks, clock):
    keys = {r.run_key for r in ticks.tick()}
    ticks.end(TABLE, Unavailable("the server is down"))
    ticks.end(OTHER)  # killed
    assert ticks.tick() == []
    assert "run 1 of 5 failed; the next starts in 1 min" in ticks.told
    clock(30)
    assert ticks.tick() == []
    clock(31)
    again = ticks.tick()
    assert names(again) == [OTHER, TABLE]
    assert not keys & {r.run_key for r in again}


def test_after_five_failures_there_is_one_message_and_then_silence_until_something_changes(ticks, world, clock):
    started, told = 0, []
    for _ in range(12):
        requests = [r for r in ticks.tick() if r.tags["rimrep/dataset"] == TABLE]
        started += len(requests)
        told.append(ticks.told)
        if requests:
            ticks.end(TABLE, Unavailable("the server is down"))
        clock(8000)
    assert started == 5
    assert sum("5 runs failed" in words for words in told) == 1
    retitle(world)
    assert TABLE in names(ticks.tick())


def test_a_failure_that_only_a_change_mends_is_told_once_and_not_repeated(ticks, world, clock):
    ticks.tick()
    release(ticks, OTHER)
    ticks.end(TABLE, DataError("a cell is no number"))
    assert ticks.tick() == []
    assert f"{TABLE}: its run failed, and would fail again as things are" in ticks.told
    clock(100_000)
    assert ticks.tick() == []
    assert "its run failed" not in ticks.told
    retitle(world, OTHER)
    assert names(ticks.tick()) == [OTHER]
    retitle(world, TABLE)
    assert names(ticks.tick()) == [TABLE]


def test_a_run_of_an_older_commit_is_watched_until_it_has_ended(ticks, world):
    """It releases what the older commit says, after the newer one was released."""
    settle(ticks)
    first = retitle(world, title="First")
    assert len(ticks.tick()) == 1
    slow = world.attempt(TABLE, commit=first)
    retitle(world, title="Second")
    assert len(ticks.tick()) == 1
    release(ticks, TABLE)
    assert ticks.tick() == []
    slow.publish()
    ticks.instance.report_run_canceled(ticks.runs(TABLE)[1])
    assert len(ticks.tick()) == 1


def test_a_moved_head_asks_for_a_reload_and_leaves_the_cursor(ticks, world, monkeypatch):
    settle(ticks)
    before = ticks.cursor
    monkeypatch.setenv("RIMREP_CATALOG_COMMIT", world.catalog.resolve())
    retitle(world)
    assert ticks.tick() == []
    assert "reload the code location rimrep_assets" in ticks.told and "RIMREP_DAGSTER_URL" in ticks.told
    monkeypatch.setenv("RIMREP_DAGSTER_URL", "http://127.0.0.1:9")
    assert ticks.tick() == []
    assert "did not answer" in ticks.told
    asked = []
    monkeypatch.setattr(module.DagsterWeb, "reload", lambda self, location: asked.append(location))
    assert ticks.tick() == []
    assert asked == ["rimrep_assets"] and "was reloaded" in ticks.told
    assert ticks.cursor == before
    monkeypatch.setenv("RIMREP_CATALOG_COMMIT", world.catalog.resolve())
    assert names(ticks.tick()) == [TABLE]


def test_a_store_that_does_not_answer_skips_the_tick_and_loses_nothing(ticks, world, monkeypatch):
    def down(self, names):
        raise Unavailable("the store did not answer")

    with monkeypatch.context() as broken:
        broken.setattr(DueWork, "compare", down)
        assert ticks.tick() == []
        assert "the store did not answer" in ticks.told
    assert names(ticks.tick()) == [OTHER, TABLE]


def test_a_catalog_that_is_not_there_is_told(ticks, world):
    settings = world.settings
    repository = definitions_at(settings, world.catalog.resolve()).get_repository_def()
    shutil.rmtree(world.catalog_folder / ".git")
    platform = Platform(catalog=settings.catalog, store=settings.store or "", environment="development")
    context = dg.build_sensor_context(
        instance=ticks.instance, repository_def=repository, resources={"platform": platform}
    )
    assert "is not a git repository" in str(catalog_sensor().evaluate_tick(context).skip_message)


def test_what_is_left_of_a_long_comparison_comes_in_the_next_tick(ticks, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 1)
    monkeypatch.setattr(module, "BUDGET_S", -1.0)
    assert names(ticks.tick()) == [OTHER]
    assert names(ticks.tick()) == [TABLE]


def test_a_partitioned_dataset_runs_all_its_partitions_in_one_run_that_names_no_range(ticks, world):
    partition = {"by": "month", "start": "2024-01", "end": "2024-03", "file_time": "*_%Y%m.csv"}
    world.write(f"datasets/{TABLE}/dataset.yaml", {**TABLE_YAML, "partition": partition})
    world.commit()
    (request,) = (r for r in ticks.tick() if r.tags["rimrep/dataset"] == TABLE)
    assert not [tag for tag in request.tags if "partition" in tag]
    assert key(TABLE, "data") in request.asset_selection


def test_an_asset_that_the_loaded_graph_lacks_is_not_asked_for(ticks, world, monkeypatch):
    old = world.catalog.resolve()
    world.describe({**TABLE_YAML, "id": "newest"}, TABLE_SCHEMA)
    monkeypatch.setattr(sensor_bench, "definitions_at", lambda settings, commit: definitions_at(settings, old))
    assert names(ticks.tick()) == [OTHER, TABLE]
    assert ticks.tick() == []
    assert "newest: the loaded graph lacks" in ticks.told and "reload the code location" in ticks.told
    monkeypatch.undo()
    monkeypatch.setenv("RIMREP_DATA", str(world.root / "data"))
    assert names(ticks.tick()) == ["newest"]


def test_the_sensor_runs_unless_the_environment_stops_it(monkeypatch):
    monkeypatch.delenv("RIMREP_SENSORS", raising=False)
    assert catalog_sensor().default_status == dg.DefaultSensorStatus.RUNNING
    monkeypatch.setenv("RIMREP_SENSORS", "stopped")
    assert catalog_sensor().default_status == dg.DefaultSensorStatus.STOPPED
