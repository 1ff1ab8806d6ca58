"""Publication on a real S3 server: read back by pyarrow, xarray, boto3 and Icechunk, and counted in its request log.

Here belongs what only S3 can show: requests, lost answers, readers across a publication. Not here: the protocol at
every write (``ports/test_faults``).
"""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.stack.s3_server import WRITES
from rimrep_assets_tests.worlds import GRID, TABLE, World, publish_both, rimrep_process, write_day, write_table

pytest.importorskip("moto")


@pytest.fixture
def aws(s3_server, monkeypatch):
    """The server, with variables by which readers find it; it is healed at the end."""
    for name, value in s3_server.client_environment().items():
        monkeypatch.setenv(name, value)
    yield s3_server
    s3_server.heal()


@pytest.fixture
def world(aws, tmp_path) -> World:
    """A table of two files and a grid of six days, both at release 1."""
    url = f"s3://platform/{uuid.uuid4().hex[:8]}"
    made = World(tmp_path, store_url=url, s3_environment=aws.client_environment())
    publish_both(made, days=6)
    aws.forget_requests()
    return made


def client(server):
    import boto3

    return boto3.client("s3", endpoint_url=server.url)


def key(world: World, path: str) -> str:
    return f"{world.store_url.removeprefix('s3://platform/')}/public/{path}"


def writes(server) -> list[str]:
    return [f"{r['method']} {r['path']}" for r in server.requests() if r["method"] in WRITES]


def expected_table(world: World) -> pd.DataFrame:
    """What the CSV files say, by pandas alone."""
    frame = pd.concat(pd.read_csv(path) for path in sorted(world.source(TABLE).glob("*.csv")))
    frame["time"] = pd.to_datetime(frame["time"]).dt.tz_localize("Australia/Brisbane").dt.tz_convert("UTC")
    return frame.rename(columns={"long": "lon"}).sort_values(["site", "time", "lon"], ignore_index=True)


def expected_days(world: World) -> np.ndarray:
    days = []
    for path in sorted(world.source(GRID).glob("*.nc")):
        with xr.open_dataset(path) as day:
            days.append(day["heat"].values[0])
    return np.stack(days)


def assert_table_is_the_sources(world: World, url: str) -> None:
    import pyarrow.fs as fs
    import pyarrow.parquet as pq

    s3 = fs.S3FileSystem(
        endpoint_override=world.s3_environment["AWS_ENDPOINT_URL"].removeprefix("http://"), scheme="http"
    )
    expected = expected_table(world)
    found = pq.read_table(url.removeprefix("s3://"), filesystem=s3, columns=list(expected.columns)).to_pandas()
    found = found.sort_values(["site", "time", "lon"], ignore_index=True)
    for column in expected.columns:
        assert found[column].tolist() == expected[column].tolist(), column


def assert_grid_is_the_sources(world: World, url: str) -> None:
    with xr.open_zarr(url) as grid:
        np.testing.assert_array_equal(grid["heat"].values, expected_days(world))


def newest(world: World, dataset: str) -> dict[str, object]:
    record = world.projector(dataset).log.newest()
    assert record is not None
    return record.datapackage["rimrep"]["addresses"]


def test_table_and_grid_read_back_equal_through_append_and_reissue(world):
    assert_table_is_the_sources(world, newest(world, TABLE)["data"])
    assert_grid_is_the_sources(world, newest(world, GRID)["data"])
    write_table(world.source(TABLE), "c.csv", shift=2)
    write_day(world.source(GRID), 6)
    assert world.attempt(TABLE).publish().release == 2
    assert world.attempt(GRID).publish().release == 2
    write_table(world.source(TABLE), "a.csv", rows=3, shift=5, site="Myrmidon Reef")
    write_day(world.source(GRID), 1, shift=40)
    assert world.attempt(TABLE).publish().release == 3
    assert world.attempt(GRID).publish().release == 3
    for dataset in (TABLE, GRID):
        check = assert_table_is_the_sources if dataset == TABLE else assert_grid_is_the_sources
        check(world, newest(world, dataset)["data"])
        check(world, newest(world, dataset)["data_stable"])
    assert Reconciliation(world.store, world.settings.s3).find() == []


def test_boto3_finds_the_log_of_records_and_documents_that_agree(world, aws):
    s3 = client(aws)
    for dataset in (TABLE, GRID):
        record = json.load(s3.get_object(Bucket="platform", Key=key(world, f"{dataset}/releases/1.json"))["Body"])
        package = json.load(s3.get_object(Bucket="platform", Key=key(world, f"{dataset}/datapackage.json"))["Body"])
        item = json.load(s3.get_object(Bucket="platform", Key=key(world, f"stac/reef/items/{dataset}.json"))["Body"])
        assert package["rimrep"]["release"] == record["release"] == 1
        assert item["properties"]["version"] == "1"
        for stored in record["objects"]:
            head = s3.head_object(Bucket="platform", Key=key(world, stored["path"]))
            assert head["ContentLength"] == stored["bytes"]


def test_a_reader_without_our_libraries_gets_the_datapackage_over_http(world, aws):
    with urlopen(f"{aws.url}/platform/{key(world, f'{TABLE}/datapackage.json')}") as answer:
        package = json.load(answer)
    assert package["name"] == TABLE
    with urlopen(f"{aws.url}/platform/{key(world, TABLE)}/{package['resources'][0]['path']}"
                 if "://" not in package["resources"][0]["path"]
                 else package["resources"][0]["path"].replace("s3://", f"{aws.url}/")) as answer:
        assert answer.read(4) == b"PAR1"


def test_publishing_again_makes_no_request_that_writes(world, aws):
    for dataset in (TABLE, GRID):
        assert world.attempt(dataset).publish() is None
    assert len(aws.requests()) > 0
    assert writes(aws) == []


def test_the_command_again_makes_no_request_that_writes(world, aws):
    done = rimrep_process(world, "publish", TABLE, GRID, "--json")
    assert done.code == 0, done.err
    assert [(row["dataset"], row["release"], row["changed"]) for row in done.json] == [
        (TABLE, 1, False),
        (GRID, 1, False),
    ]
    assert len(aws.requests()) > 0
    assert writes(aws) == []


def test_the_command_publishes_what_is_new(world, aws):
    write_table(world.source(TABLE), "c.csv", shift=2)
    done = rimrep_process(world, "publish", TABLE, "--json")
    assert done.code == 0, done.err
    assert done.json[0]["release"] == 2
    assert done.json[0]["data"].startswith(f"{world.store_url}/public/{TABLE}/versions/2-")
    assert_table_is_the_sources(world, done.json[0]["data"])


def test_a_parquet_file_held_open_at_the_releases_own_address_stays_that_release(world):
    import pyarrow.parquet as pq
    import s3fs

    before = expected_table(world)
    files = s3fs.S3FileSystem(default_fill_cache=False, default_cache_type="none")
    with files.open(str(newest(world, TABLE)["data"])) as opened:
        held = pq.ParquetFile(opened)
        write_table(world.source(TABLE), "a.csv", rows=3, shift=5)
        assert world.attempt(TABLE).publish().release == 2
        rows = held.read(columns=list(before.columns)).to_pandas()
    rows = rows.sort_values(["site", "time", "lon"], ignore_index=True)
    assert rows["temperature"].tolist() == before["temperature"].tolist()
    assert_table_is_the_sources(world, newest(world, TABLE)["data"])


def test_an_old_release_of_a_grid_is_read_by_its_tag(world, aws):
    import icechunk

    old = expected_days(world)
    write_day(world.source(GRID), 1, shift=40)
    assert world.attempt(GRID).publish().release == 2
    storage = icechunk.s3_storage(
        bucket="platform",
        prefix=key(world, f"{GRID}/data.icechunk"),
        endpoint_url=aws.url,
        allow_http=True,
        force_path_style=True,
        from_env=True,
    )
    repository = icechunk.Repository.open(storage)
    for tag, expected in (("release-1", old), ("release-2", expected_days(world))):
        with xr.open_zarr(repository.readonly_session(tag=tag).store, consolidated=False) as grid:
            np.testing.assert_array_equal(grid["heat"].values, expected)


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_two_publications_at_once_end_in_one_log_and_lose_nothing(world, dataset):
    if dataset == TABLE:
        write_table(world.source(TABLE), "c.csv", shift=2)
    else:
        write_day(world.source(GRID), 6)
    attempts = [world.attempt(dataset), world.attempt(dataset)]
    problems: list[BaseException] = []
    start = threading.Barrier(2)

    def run(attempt) -> None:
        start.wait()
        try:
            attempt.publish()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    numbers = world.projector(dataset).log.numbers()
    assert numbers in ([1, 2], [1, 2, 3])
    check = assert_table_is_the_sources if dataset == TABLE else assert_grid_is_the_sources
    check(world, newest(world, dataset)["data"])
    check(world, newest(world, dataset)["data_stable"])
    assert Reconciliation(world.store, world.settings.s3).find() == []


def put_of_the_record(server, world: World) -> int:
    """The number among all PUTs of the one that creates a record, in a log that begins before a publication."""
    puts = [r["path"] for r in server.requests() if r["method"] == "PUT"]
    return next(n for n, path in enumerate(puts, start=1) if "/releases/" in path)


@pytest.mark.parametrize("fault", ["answer-lost", "drop"])
def test_a_commit_whose_answer_is_lost_or_that_never_arrived_is_released_once(world, aws, fault):
    """The number of the commit among the PUTs is learned from the publication before."""
    write_table(world.source(TABLE), "c.csv", shift=2)
    world.attempt(TABLE).publish()
    at = put_of_the_record(aws, world)
    write_table(world.source(TABLE), "d.csv", shift=3)
    aws.forget_requests()
    aws.fail(fault, first=at, times=1, methods=("PUT",))
    world.attempt(TABLE).publish()
    hit = [r["path"] for r in aws.requests() if r["fault"]]
    aws.heal()
    assert [path.rpartition("/releases/")[2] for path in hit] == ["3.json"]
    assert world.projector(TABLE).log.numbers() == [1, 2, 3]
    assert_table_is_the_sources(world, newest(world, TABLE)["data_stable"])
    assert Reconciliation(world.store, world.settings.s3).find() == []


def test_a_store_that_refuses_the_commit_leaves_the_old_release(world, aws):
    from rimrep_assets.domain.errors import DefinitionError

    write_table(world.source(TABLE), "c.csv", shift=2)
    attempt = world.attempt(TABLE)
    candidate = attempt.prepare(attempt.stage()[1])
    aws.fail("refuse", methods=WRITES)
    with pytest.raises((DefinitionError, Unavailable), match="refuses access"):
        attempt.commit(candidate)
    aws.heal()
    assert world.projector(TABLE).log.numbers() == [1]
    assert world.attempt(TABLE).publish().release == 2
    assert_table_is_the_sources(world, newest(world, TABLE)["data_stable"])


def test_an_unchanged_chunk_of_the_plain_copy_is_not_written_again(world, aws):
    write_day(world.source(GRID), 6)
    world.attempt(GRID).publish()
    chunks = {Path(path).name for path in writes(aws) if "/data.zarr/heat/c/" in path}
    written = [path for path in writes(aws) if "/data.zarr/heat/c/" in path]
    assert chunks == {"0"}
    assert {path.rpartition("/heat/c/")[2] for path in written} == {"1/0/0"}
