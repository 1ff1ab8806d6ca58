"""The sensors on the running platform: a commit or a source, and nobody clicks."""

from __future__ import annotations

from typing import Any

import pytest

from rimrep_assets_tests.months import describe_table, rows_in_source, rows_published
from rimrep_assets_tests.running_platform import RunningPlatform, platform_on, wait_for
from rimrep_assets_tests.worlds import COLLECTION, TABLE_SCHEMA, TABLE_YAML, World, curated, write_table

ONE, TWO, NEW, MONTHLY = "table-one", "table-two", "table-new", "table-monthly"
SOON = 90
"""seconds within which the platform does by itself what it should, on a busy machine"""


def described(world: World, dataset: str, **more: Any) -> str:
    source = {**TABLE_YAML["source"], "url": f"../sources/{dataset}"}
    return world.describe({**TABLE_YAML, "id": dataset, "source": source, **more}, TABLE_SCHEMA)


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> RunningPlatform:
    world = World(tmp_path_factory.mktemp("sensors"))
    for dataset in (ONE, TWO):
        write_table(world.source(dataset), "a.csv")
    described(world, ONE)
    described(world, TWO, collection="other")
    describe_table(world, "single", MONTHLY)
    with platform_on(world) as started:
        yield started


def numbers(platform: RunningPlatform, dataset: str) -> list[int]:
    return platform.world.projector(dataset).log.numbers()


def released(platform: RunningPlatform, dataset: str, number: int) -> Any:
    """The record of a release, when it is there."""
    wait_for(lambda: number in numbers(platform, dataset), SOON, f"release {number} of {dataset}")
    return platform.world.projector(dataset).log.read(number)


def settled(platform: RunningPlatform) -> None:
    """No run is under way, and the sensor has compared the newest commit."""
    head = platform.world.catalog.resolve()[:7]

    def quiet() -> bool:
        going = platform.runs(statuses=["QUEUED", "NOT_STARTED", "STARTING", "STARTED"])
        last = platform.ticks("catalog")[:1]
        return not going and bool(last) and f"nothing is due at {head}" in str(last[0]["skipReason"])

    wait_for(quiet, SOON, f"the sensor settles at {head}: {platform.ticks('catalog')[:3]}")


def ran(platform: RunningPlatform) -> dict[str, int]:
    return {dataset: len(platform.runs_of(dataset)) for dataset in (ONE, TWO, MONTHLY)}


def retitle(world: World, dataset: str, title: str) -> str:
    world.write(f"datasets/{dataset}/datapackage.json", curated(dataset, title=title))
    return world.commit(f"retitle {dataset}")


def test_what_was_never_released_is_published_without_a_click(platform):
    for dataset in (ONE, TWO, MONTHLY):
        assert released(platform, dataset, 1).catalog_commit == platform.world.catalog.resolve()
    assert rows_published(platform.world, MONTHLY) == rows_in_source(platform.world, MONTHLY)
    settled(platform)
    assert ran(platform) == {ONE: 1, TWO: 1, MONTHLY: 1}


def test_a_merged_commit_runs_exactly_what_it_changed_and_a_broken_folder_keeps_nobody_waiting(platform):
    settled(platform)
    world, before = platform.world, ran(platform)
    good = (world.catalog_folder / f"datasets/{TWO}/dataset.yaml").read_text()
    world.write(f"datasets/{TWO}/dataset.yaml", good.replace("collection:", "colection:"))
    write_table(world.source(NEW), "a.csv")
    described(world, NEW)
    commit = retitle(world, ONE, "A title of its own")
    record = released(platform, ONE, 2)
    assert (record.catalog_commit, record.datapackage["title"]) == (commit, "A title of its own")
    assert record.data_version == world.projector(ONE).log.read(1).data_version
    assert released(platform, NEW, 1).catalog_commit == commit
    settled(platform)
    assert ran(platform) == {**before, ONE: before[ONE] + 1}
    run = platform.runs_of(ONE)[0]
    assert {"key": "rimrep/catalog_commit", "value": commit} in run["tags"]
    steps = {event.get("stepKey") for event in platform.events(run["runId"])}
    assert "table_one_data" not in steps and "table_one_release" in steps, "words alone changed"
    assert "did you mean 'collection'?" in platform.assets()[f"{TWO}/description"]["description"]
    assert f"{TWO}/data" not in platform.assets()
    assert f"{NEW}/data" in platform.assets()
    assert "unknown key 'colection'" in platform.ticks("catalog")[0]["skipReason"]
    world.write(f"datasets/{TWO}/dataset.yaml", good)


@pytest.mark.long
def test_rewritten_history_a_collection_and_a_deleted_dataset_run_exactly_what_differs(platform):
    """The last commit is replaced by another one, which mends the broken folder and drops the new dataset."""
    settled(platform)
    world, before = platform.world, ran(platform)
    text = COLLECTION.replace("'reef', stac", "'other', stac").replace("title: 'Reefs'", "title: 'Other reefs'")
    world.write("collections/other/collection.jsonnet", text)
    world._git("rm", "-r", "--quiet", f"datasets/{NEW}")
    world._git("add", "--all")
    world._git("commit", "--quiet", "--amend", "--message", "rewritten")
    commit = world.catalog.resolve()
    assert released(platform, TWO, 2).catalog_commit == commit
    settled(platform)
    assert ran(platform) == {**before, TWO: before[TWO] + 1}
    assert f"{TWO}/data" in platform.assets()
    assert f"{NEW}/data" not in platform.assets()
    gone = f"{NEW} is no longer in the catalog; its release 1 stays published"
    assert sum(gone in (tick["skipReason"] or "") for tick in platform.ticks("catalog")) == 1
    assert numbers(platform, NEW) == [1] and platform.served(NEW)


@pytest.mark.long
def test_a_scheduled_source_is_published_when_it_changed_and_not_before(platform):
    settled(platform)
    world = platform.world
    described(world, ONE, update={"schedule": "* * * * *", "timezone": "Australia/Sydney"})
    settled(platform)
    count = len(platform.runs_of(ONE))
    first = len(platform.ticks("sources"))
    wait_for(
        lambda: len(platform.ticks("sources")) > min(first, 20) and _looked(platform), 150, "the source was looked at"
    )
    assert len(platform.runs_of(ONE)) == count, "nothing is new, nothing runs"
    number = numbers(platform, ONE)[-1] + 1
    write_table(world.source(ONE), "b.csv", shift=1)
    wait_for(lambda: number in numbers(platform, ONE), 180, "the new file is published by itself")
    record = world.projector(ONE).log.read(number)
    assert {file.name for file in record.sources} == {"a.csv", "b.csv"}


def _looked(platform: RunningPlatform) -> bool:
    return any("no new files" in str(tick["skipReason"]) for tick in platform.ticks("sources"))
