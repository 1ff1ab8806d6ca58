"""Backfills on the running platform, as the UI launches them, and one launch over many datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rimrep_assets_tests.homes import rimrep_process
from rimrep_assets_tests.months import (
    MONTHS,
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
from rimrep_assets_tests.running_platform import RunningPlatform, chromium, platform_on, screenshot, wait_for
from rimrep_assets_tests.worlds import TABLE_SCHEMA, TABLE_YAML, World, write_table

TABLES, GRIDS = (
    {"single": "table-single", "parallel": "table-parallel"},
    {"single": "grid-single", "parallel": "grid-parallel"},
)
STEPS = ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")
MANY = [f"many-{number:02d}" for number in range(50)]
BROKEN = "2024-05"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> RunningPlatform:
    """Twelve months of two tables and two grids, May broken in each; fifty small tables of one collection."""
    world = World(tmp_path_factory.mktemp("backfills"))
    for backfill in ("single", "parallel"):
        describe_table(world, backfill, TABLES[backfill])
        describe_grid(world, backfill, GRIDS[backfill])
        for dataset in (TABLES[backfill], GRIDS[backfill]):
            for path in world.source(dataset).glob(f"*{BROKEN}*"):
                path.write_bytes(b"\x00not a file of this kind\x00")
    for dataset in MANY:
        write_table(world.source(dataset), "a.csv")
        source = {**TABLE_YAML["source"], "url": f"../sources/{dataset}"}
        world.describe({**TABLE_YAML, "id": dataset, "collection": "many", "source": source}, TABLE_SCHEMA)
    with platform_on(world, "--no-sensors") as started:
        yield started


def keys(dataset: str) -> list[str]:
    return [f"{dataset}/{step}" for step in STEPS]


def backfilled(platform: RunningPlatform, backfill: str) -> str:
    """The status with which a backfill ends."""
    done = ("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")
    return wait_for(
        lambda: s if (s := platform.backfill_status(backfill)) in done else "",
        300,
        f"backfill {backfill} has not ended",
    )


def released(platform: RunningPlatform, dataset: str) -> list[int]:
    return platform.world.projector(dataset).log.numbers()


def fail_then_repeat(platform: RunningPlatform, table: str, grid: str) -> None:
    """A backfill of all months with a broken one, and, when it is mended, its repeat: of the grid by clicks."""
    begun = {dataset: platform.backfill(keys(dataset), MONTHS) for dataset in (table, grid)}
    for dataset, backfill in begun.items():
        assert backfilled(platform, backfill) == "COMPLETED_FAILED", dataset
        assert released(platform, dataset) == [], dataset
    for dataset, file in ((table, f"sites_{BROKEN}.csv"), (grid, f"heat_{BROKEN}-03.nc")):
        runs = platform.runs(tags=[{"key": "dagster/backfill", "value": begun[dataset]}])
        assert len(runs) == (12 if dataset.endswith("parallel") else 1)
        failed = [run["runId"] for run in runs if run["status"] == "FAILURE"]
        assert len(failed) == 1 and file in platform.told(failed[0])
    write_month(platform.world, BROKEN, dataset=table)
    write_days(platform.world, BROKEN, dataset=grid)
    # In parallel what was staged waits, so that the broken month alone is repeated.
    again = platform.backfill(keys(table), [BROKEN] if table.endswith("parallel") else MONTHS)
    launch_by_clicks(platform, grid)
    assert backfilled(platform, again) == "COMPLETED_SUCCESS"
    wait_for(lambda: released(platform, grid), 240, "the grid's backfill releases")
    assert (released(platform, table), released(platform, grid)) == ([1], [1])
    assert rows_published(platform.world, table) == rows_in_source(platform.world, table)
    found, expected = steps_published(platform.world, grid), steps_in_source(platform.world, grid)
    assert len(expected) == 36
    assert same_steps(found, expected)
    wait_for(lambda: platform.served(table) and platform.served(grid), 30, "pygeoapi shows both")
    assert (released(platform, table), released(platform, grid)) == ([1], [1])


def launch_by_clicks(platform: RunningPlatform, dataset: str) -> None:
    with chromium() as page:
        group = dataset.replace("-", "_")
        page.goto(f"{platform.addresses['dagster']}/locations/__repository__@rimrep_assets/asset-groups/{group}")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_role("button", name="All", exact=True).click()
        launch = page.get_by_role("button", name="Launch backfill")
        page.wait_for_timeout(800)
        screenshot(page, "backfill")
        launch.click()
        page.get_by_text("backfill", exact=False).first.wait_for()
        page.wait_for_timeout(1500)


def test_twelve_months_with_a_broken_one_release_nothing_and_the_repeat_releases_all_twelve(platform):
    fail_then_repeat(platform, TABLES["parallel"], GRIDS["single"])


def test_the_same_for_a_table_in_a_single_run_and_a_grid_in_parallel_ones(platform):
    fail_then_repeat(platform, TABLES["single"], GRIDS["parallel"])


def test_one_launch_over_many_datasets_and_the_command_line_at_the_same_time_lose_none(platform):
    world = platform.world
    # One of the run's datasets fails; it keeps no other out of the collection.
    bad = MANY[7]
    (world.source(bad) / "a.csv").write_text(
        "site,long,lat,time,temperature\nDavies Reef,east,-18,2024-01-01 00:00:00,1\n"
    )
    clicked, typed = MANY[:25], MANY[25:]
    run = platform.launch([key for dataset in clicked for key in keys(dataset)] + ["collections/many"])
    ended = rimrep_process(world, "publish", *typed, "--json")
    assert ended.code == 0, ended.err
    assert platform.ended(run, 240) == "FAILURE"
    assert "many-07" in platform.told(run)
    write_table(world.source(bad), "a.csv")
    assert platform.ended(platform.launch([*keys(bad), "collections/many"])) == "SUCCESS"
    public = Path(world.store_url) / "public"
    collection = json.loads((public / "stac/many/collection.json").read_text())
    items = {
        link["href"].rpartition("/")[2].removesuffix(".json") for link in collection["links"] if link["rel"] == "item"
    }
    assert items == set(MANY)
    assert {path.stem for path in (public / "stac/many/items").glob("*.json")} == set(MANY)
    wait_for(lambda: all(platform.served(dataset) for dataset in MANY), 60, "pygeoapi serves all fifty")


def test_a_range_on_the_command_line_is_staged_and_released_by_itself(platform):
    dataset = GRIDS["single"]
    write_days(platform.world, "2024-07", shift=8.0, dataset=dataset)
    write_days(platform.world, "2024-08", shift=9.0, dataset=dataset)
    before = released(platform, dataset)
    ended = rimrep_process(platform.world, "publish", dataset, "--partition", "2024-07...2024-08")
    assert ended.code == 0, ended.err
    assert released(platform, dataset) == [*before, before[-1] + 1]
    assert same_steps(steps_published(platform.world, dataset), steps_in_source(platform.world, dataset))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("2023", "there is no partition in '2023'; its partitions are 2024-01 to 2024-12"),
        ("x...y", "'x' is not a month like 2024-01"),
    ],
)
def test_a_range_that_holds_no_partition_is_refused_in_words(platform, told, said):
    ended = rimrep_process(platform.world, "publish", GRIDS["single"], "--partition", told)
    assert ended.code == 2
    assert said in ended.err


def test_a_range_of_a_dataset_without_partitions_is_refused_in_words(platform):
    ended = rimrep_process(platform.world, "publish", MANY[0], "--partition", "2024")
    assert ended.code == 2
    assert "many-00 is not partitioned" in ended.err
