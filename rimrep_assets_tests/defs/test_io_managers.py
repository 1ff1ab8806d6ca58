"""Reading through the IO manager: lazy, from the store, in many processes, on S3; documents as values; bulk refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rimrep_assets.definitions import definitions_at, platform_of
from rimrep_assets.defs.io_managers import ReleasedData
from rimrep_assets.defs.names import key
from rimrep_assets.defs.resources import Platform
from rimrep_assets_tests.homes import Home, command_environment, publish_both
from rimrep_assets_tests.months import MONTHS, describe_table, rows_in_source
from rimrep_assets_tests.worlds import GRID, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("io"))
    publish_both(World(home.root), days=5)
    home.keep()
    return home


@pytest.fixture
def world(home, monkeypatch) -> World:
    world = home.world()
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(world.root / "data"))
    return world


def given(world: World, *path: str, tags=None, partitions=None, partition_key=None):
    """What an asset downstream of ``path`` is given."""
    seen = []

    @dg.asset(
        ins={"value": dg.AssetIn(list(path), input_manager_key="released")}, partitions_def=partitions, name="reader"
    )
    def reader(value) -> None:
        seen.append(value)

    platform = platform_of(world.settings, world.catalog.resolve())
    done = dg.materialize(
        [reader, dg.AssetSpec(list(path), partitions_def=partitions)],
        resources={"released": ReleasedData(platform=platform)},
        raise_on_error=False,
        run_config=QUIET,
        tags=tags,
        partition_key=partition_key,
        selection=[reader],
    )
    if done.success:
        return seen[0]
    failed = next(e for e in done.all_events if e.is_step_failure).step_failure_data
    return failed.user_failure_data.description if failed.user_failure_data else failed.error.to_string()


def test_a_grid_is_given_lazily_with_the_values_of_its_sources(world):
    grid = given(world, GRID, "release")
    assert isinstance(grid, xr.Dataset)
    assert not grid["heat"]._in_memory
    with xr.open_mfdataset(sorted(world.source(GRID).glob("*.nc")), combine="by_coords", engine="h5netcdf") as source:
        np.testing.assert_array_equal(grid["heat"].values, source["heat"].values)


def test_opening_a_grid_reads_no_chunk_of_it(world, monkeypatch):
    import icechunk

    read: list[str] = []
    real = icechunk.IcechunkStore.get

    async def counting(self, key, *arguments, **options):
        read.append(key)
        return await real(self, key, *arguments, **options)

    monkeypatch.setattr(icechunk.IcechunkStore, "get", counting)
    grid = given(world, GRID, "data")
    assert [k for k in read if k.startswith("heat/c/")] == []
    grid["heat"].isel(time=0).load()
    assert [k for k in read if k.startswith("heat/c/")] == ["heat/c/0/0/0"]


def test_a_table_is_given_lazily_at_the_releases_own_address(world):
    table = given(world, TABLE, "release")
    record = world.projector(TABLE).log.newest()
    assert [Path(f).parent.name for f in table.files] == [record.data_version]
    read = table.to_table(columns=["site", "temperature"]).to_pandas()
    frames = [pd.read_csv(path) for path in sorted(world.source(TABLE).glob("*.csv"))]
    assert sorted(read["temperature"]) == sorted(pd.concat(frames)["temperature"])


def test_documents_are_given_as_values(world):
    record = world.projector(TABLE).log.newest()
    own = Path(world.store_url) / "public" / TABLE / "versions" / record.version
    assert given(world, TABLE, "datapackage") == json.loads((own / "datapackage.json").read_text())
    assert given(world, TABLE, "stac_item")["id"] == TABLE
    assert given(world, "collections", "reef")["id"] == "reef"
    assert [file["name"] for file in given(world, TABLE, "source")] == ["a.csv", "b.csv"]


def test_the_data_of_a_run_that_has_not_released_it_is_what_it_staged(world):
    write_table(world.source(TABLE), "c.csv", rows=2, shift=7)
    rows = []

    @dg.asset(ins={"table": dg.AssetIn([TABLE, "data"], input_manager_key="released")})
    def reader(table) -> None:
        rows.extend(table.to_table(columns=["temperature"])["temperature"].to_pylist())

    commit = world.catalog.resolve()
    definitions = dg.Definitions.merge(definitions_at(world.settings, commit, pooled=False), dg.Definitions([reader]))
    keys = [key(TABLE, "data"), dg.AssetKey("reader")]
    job = definitions.resolve_implicit_job_def_def_for_assets(keys)
    assert job.execute_in_process(asset_selection=keys, run_config=QUIET).success
    assert rows == [33.5, 33.75]


def test_a_partitioned_reader_is_given_its_span_of_time(tmp_path, monkeypatch):
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    world = World(tmp_path)
    describe_table(world)
    assert world.attempt(TABLE).publish().release == 1
    monthly = dg.TimeWindowPartitionsDefinition(start="2024-01", fmt="%Y-%m", cron_schedule="0 0 1 * *", timezone="UTC")
    table = given(world, TABLE, "data", partitions=monthly, partition_key=MONTHS[3])
    expected = [row[4] for row in rows_in_source(world) if str(row[3])[:7] == MONTHS[3]]
    assert len(expected) == 5
    assert sorted(table.to_table()["temperature"].to_pylist()) == sorted(expected)


def test_what_is_not_there_is_said_in_words(world):
    world.describe({**TABLE_YAML, "id": "reef-new"}, TABLE_SCHEMA)
    assert "reef-new: nothing is released yet" in given(world, "reef-new", "release")
    assert "nothing is kept of asset nobody/made" in given(world, "nobody", "made")
    assert "collection nowhere is not published yet" in given(world, "collections", "nowhere")


@pytest.mark.parametrize("value", ["frame", "array", "bytes", "large"])
def test_bulk_data_is_refused_with_what_to_do_instead(world, value):
    made = {"frame": pd.DataFrame({"a": [1]}), "array": np.zeros(3), "bytes": b"x", "large": ["x" * 100] * 20_000}[
        value
    ]

    @dg.asset(io_manager_key="released")
    def bulky():
        return made

    platform = platform_of(world.settings, world.catalog.resolve())
    done = dg.materialize(
        [bulky], resources={"released": ReleasedData(platform=platform)}, raise_on_error=False, run_config=QUIET
    )
    assert not done.success
    told = next(e for e in done.all_events if e.is_step_failure).step_failure_data.error.to_string()
    assert "only small documents pass" in told and "publish bulk data as a dataset" in told
    assert not (Path(world.store_url) / "limited-access" / "assets").exists()


def run_readers(world: World, **environment: str) -> dict:
    """Both assets of ``readers`` in processes of their own, on an instance of their own."""
    home = world.root / "dagster"
    home.mkdir()
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("RIMREP_", "DAGSTER_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from rimrep_assets_tests.defs.readers import in_many_processes as run; run()"],
        env={**ours, **command_environment(world), **environment, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "SECRET-OF-THE-STORE" not in done.stdout + done.stderr
    for file in home.rglob("*"):
        if file.is_file():
            assert b"SECRET-OF-THE-STORE" not in file.read_bytes(), file
    return json.loads(done.stdout.splitlines()[-1])


def mean_in_source(world: World) -> float:
    return float(pd.concat([pd.read_csv(p) for p in world.source(TABLE).glob("*.csv")])["temperature"].mean())


@pytest.mark.long
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_run_of_many_processes_reads_through_it_and_keeps_small_documents(kind, tmp_path, request):
    if kind == "s3":
        pytest.importorskip("moto")
        server = request.getfixturevalue("s3_server")
        told = {**server.client_environment(), "AWS_SECRET_ACCESS_KEY": "SECRET-OF-THE-STORE"}
        world = World(tmp_path, store_url=f"s3://platform/{uuid.uuid4().hex[:8]}", s3_environment=told)
    else:
        world = World(tmp_path)
    publish_both(world, days=3)
    found = run_readers(world)
    assert found["success"]
    assert len({found["pid"], *found["summary"]["pids"]}) == 3, "each step ran in a process of its own"
    with xr.open_mfdataset(sorted(world.source(GRID).glob("*.nc")), combine="by_coords", engine="h5netcdf") as source:
        highest = float(source["heat"].max())
    assert found["summary"]["hottest"] == highest
    assert found["summary"]["mean"] == pytest.approx(mean_in_source(world), abs=1e-9)
    assert found["summary"]["title"] == f"Title of {TABLE}"
    kept = json.loads(world.settings.store_for("limited").read("assets/hottest.json"))
    kept.pop("pid")
    assert kept == {"kind": "xarray.core.dataset", "loaded": False, "highest": highest}


def test_a_platform_on_s3_takes_its_access_from_the_resource_and_names_its_keys_only(tmp_path, monkeypatch):
    world = World(tmp_path, store_url="s3://somewhere/x")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-THE-STORE")
    platform = platform_of(world.settings, world.catalog.resolve())
    assert type(platform).__name__ == "PlatformOnS3"
    assert "SECRET-OF-THE-STORE" not in repr(platform) + json.dumps(platform.s3.model_dump(), default=str)
    seen = []

    @dg.asset
    def looks(platform: Platform) -> None:
        seen.append(platform.settings().s3)

    assert dg.materialize([looks], resources={"platform": platform}, run_config=QUIET).success
    access = seen[0]
    assert (access.endpoint_url, access.access_key_id) == ("http://127.0.0.1:9", "some-key")
    assert access.secret_access_key == "SECRET-OF-THE-STORE"
