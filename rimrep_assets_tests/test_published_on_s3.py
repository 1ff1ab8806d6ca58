"""Publication on a real S3 server: read back by pyarrow, xarray, boto3 and Icechunk, and counted in its request log.

Here belongs what only S3 can show: requests, lost answers, readers across a publication. Not here: the protocol at
every write (``ports/test_faults``).
"""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.stack.s3_server import WRITES
from rimrep_assets_tests.homes import publish_both, rimrep_process
from rimrep_assets_tests.ports.test_faults import PARTS_YAML
from rimrep_assets_tests.worlds import GRID, TABLE, TABLE_SCHEMA, World, write_day, write_table

pytest.importorskip("moto")


@pytest.fixture
def aws(s3_server, monkeypatch):
    """The server, with variables by which readers find it and an empty log; it is healed at the end."""
    for name, value in s3_server.client_environment().items():
        monkeypatch.setenv(name, value)
    s3_server.forget_requests()
    yield s3_server
    s3_server.heal()


@pytest.fixture(scope="module")
def world(s3_server, tmp_path_factory) -> World:
    """A table and a grid that are published; every test adds releases of its own to what it finds."""
    url = f"s3://platform/{uuid.uuid4().hex[:8]}"
    made = World(tmp_path_factory.mktemp("s3"), store_url=url, s3_environment=s3_server.client_environment())
    publish_both(made, days=6)
    return made


FRESH = itertools.count(10)


def add_file(world: World, dataset: str) -> None:
    """One source file more: a CSV of another day, or the next day's NetCDF."""
    if dataset == TABLE:
        number = next(FRESH)
        write_table(world.source(TABLE), f"{number}.csv", shift=number)
    else:
        write_day(world.source(GRID), len(list(world.source(GRID).iterdir())))


def reissue_file(world: World, dataset: str) -> None:
    """Another content under a name that is there."""
    if dataset == TABLE:
        write_table(world.source(TABLE), "a.csv", rows=3, shift=next(FRESH), site="Myrmidon Reef")
    else:
        write_day(world.source(GRID), 1, shift=next(FRESH))


def number(world: World, dataset: str) -> int:
    return world.projector(dataset).log.numbers()[-1]


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


def newest(world: World, dataset: str) -> dict[str, str]:
    record = world.projector(dataset).log.newest()
    assert record is not None
    return record.datapackage["rimrep"]["addresses"]


CHECKS = {TABLE: assert_table_is_the_sources, GRID: assert_grid_is_the_sources}


def assert_published(world: World, dataset: str) -> None:
    """The newest release is the sources, at its own and at the stable address, and nothing drifted."""
    addresses = newest(world, dataset)
    for name in ("data", "data_stable"):
        CHECKS[dataset](world, addresses[name])
    assert Reconciliation(world.store, world.settings.s3).find() == []


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_data_reads_back_equal_through_append_and_reissue(world, aws, dataset):
    for change in (add_file, reissue_file):
        before = number(world, dataset)
        change(world, dataset)
        assert world.attempt(dataset).publish().release == before + 1
        assert_published(world, dataset)


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_boto3_finds_records_and_documents_that_agree(world, aws, dataset):
    def document(path: str):
        return json.load(client(aws).get_object(Bucket="platform", Key=key(world, path))["Body"])

    record = document(f"{dataset}/releases/{number(world, dataset)}.json")
    assert document(f"{dataset}/datapackage.json")["rimrep"]["release"] == record["release"]
    assert document(f"stac/reef/items/{dataset}.json")["properties"]["version"] == str(record["release"])
    for stored in record["objects"]:
        head = client(aws).head_object(Bucket="platform", Key=key(world, stored["path"]))
        assert head["ContentLength"] == stored["bytes"]


def test_a_browser_gets_the_datapackage_and_by_it_the_table(world, aws):
    """Over plain HTTP, by addresses that the bucket's owner signed."""

    def get(path: str) -> bytes:
        signed = client(aws).generate_presigned_url("get_object", {"Bucket": "platform", "Key": path})
        with urlopen(signed) as answer:
            return answer.read()

    package = json.loads(get(key(world, f"{TABLE}/datapackage.json")))
    assert package["name"] == TABLE
    assert get(key(world, f"{TABLE}/{package['resources'][0]['path']}"))[:4] == b"PAR1"


def test_publishing_again_makes_no_request_that_writes(world, aws):
    for dataset in (TABLE, GRID):
        assert world.attempt(dataset).publish() is None
    assert len(aws.requests()) > 0
    assert writes(aws) == []


def test_the_command_again_makes_no_request_that_writes(world, aws):
    done = rimrep_process(world, "publish", TABLE, GRID, "--json")
    assert done.code == 0, done.err
    assert [(row["dataset"], row["changed"]) for row in done.json] == [(TABLE, False), (GRID, False)]
    assert len(aws.requests()) > 0
    assert writes(aws) == []


def test_the_command_publishes_what_is_new(world, aws):
    before = number(world, TABLE)
    add_file(world, TABLE)
    done = rimrep_process(world, "publish", TABLE, "--json")
    assert done.code == 0, done.err
    assert done.json[0]["release"] == before + 1
    assert done.json[0]["data"].startswith(f"{world.store_url}/public/{TABLE}/versions/{before + 1}-")
    assert_published(world, TABLE)


def test_a_parquet_file_held_open_at_the_releases_own_address_stays_that_release(world, aws):
    import pyarrow.parquet as pq
    import s3fs

    before = expected_table(world)
    files = s3fs.S3FileSystem(default_fill_cache=False, default_cache_type="none")
    with files.open(newest(world, TABLE)["data"]) as opened:
        held = pq.ParquetFile(opened)
        reissue_file(world, TABLE)
        assert world.attempt(TABLE).publish() is not None
        rows = held.read(columns=list(before.columns)).to_pandas()
    rows = rows.sort_values(["site", "time", "lon"], ignore_index=True)
    assert rows["temperature"].tolist() == before["temperature"].tolist()
    assert_published(world, TABLE)


def test_a_table_in_parts_is_read_by_the_footers_and_only_where_the_answer_lies(s3_server, aws, tmp_path):
    """One object, then three parts, then one object again; both the provider and the dataset read one part of them."""
    import pyarrow.compute as pc

    from rimrep_assets.ports.opening import Opener
    from rimrep_assets.service.pygeoapi_providers import FeatureProvider

    url = f"s3://platform/{uuid.uuid4().hex[:8]}"
    made = World(tmp_path, store_url=url, s3_environment=s3_server.client_environment())
    write_table(made.source(TABLE), "a.csv")
    made.describe(PARTS_YAML, TABLE_SCHEMA)
    made.attempt(TABLE).publish()
    assert_table_is_the_sources(made, newest(made, TABLE)["data_stable"])
    for site, rows in (("a", 800), ("b", 800), ("c", 800)):
        write_table(made.source(TABLE), f"{site}.csv", rows=rows, site=site)
    record = made.attempt(TABLE).publish()
    below = [o.path.rpartition("/")[2] for o in made.store.list(f"{TABLE}/data.parquet")]
    assert below == ["_metadata", *(f"part-{n:05d}.parquet" for n in range(3))]
    assert made.store.stat(f"{TABLE}/data.parquet") is None
    assert_published(made, TABLE)
    (definition,) = record.pygeoapi_entry["providers"]
    dataset = made.catalog.at(made.catalog.resolve()).dataset(TABLE)
    aws.forget_requests()
    assert FeatureProvider(definition).query(properties=[("site", "b")], limit=1000)["numberReturned"] == 800
    data = Opener(made.store, dataset, made.settings.s3).data_of(record)
    assert data.to_table(filter=pc.field("site") == "b").num_rows == 800
    read = {r["path"].rpartition("/")[2] for r in aws.requests() if r["method"] == "GET" and "part-" in r["path"]}
    assert read == {"part-00001.parquet"}
    for site in "bc":
        (made.source(TABLE) / f"{site}.csv").unlink()
    made.attempt(TABLE).publish()
    assert [o.path for o in made.store.list(f"{TABLE}/data.parquet")] == []
    assert_published(made, TABLE)


def test_an_old_release_of_a_grid_is_read_by_its_tag(world, aws):
    import icechunk

    old, old_tag = expected_days(world), newest(world, GRID)["tag"]
    reissue_file(world, GRID)
    assert world.attempt(GRID).publish() is not None
    storage = icechunk.s3_storage(
        bucket="platform",
        prefix=key(world, f"{GRID}/data.icechunk"),
        endpoint_url=aws.url,
        allow_http=True,
        force_path_style=True,
        from_env=True,
    )
    repository = icechunk.Repository.open(storage)
    for tag, expected in ((old_tag, old), (newest(world, GRID)["tag"], expected_days(world))):
        with xr.open_zarr(repository.readonly_session(tag=tag).store, consolidated=False) as grid:
            np.testing.assert_array_equal(grid["heat"].values, expected)


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_two_publications_at_once_end_in_one_log_and_lose_nothing(world, aws, dataset):
    before = number(world, dataset)
    add_file(world, dataset)
    attempts = [world.attempt(dataset), world.attempt(dataset)]
    start = threading.Barrier(2)

    def run(attempt) -> None:
        start.wait()
        attempt.publish()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, attempt) for attempt in attempts]:
            done.result()
    assert world.projector(dataset).log.numbers() == list(range(1, before + 2))
    assert_published(world, dataset)


def put_of_the_record(server) -> int:
    """Which of all PUTs in the log is the one that creates a record."""
    puts = [r["path"] for r in server.requests() if r["method"] == "PUT"]
    return next(n for n, path in enumerate(puts, start=1) if "/releases/" in path)


@pytest.mark.parametrize("fault", ["answer-lost", "drop"])
def test_a_commit_whose_answer_is_lost_or_that_never_arrived_is_released_once(world, aws, fault):
    """Which PUT the commit is, is learned from a publication like it."""
    add_file(world, TABLE)
    assert world.attempt(TABLE).publish() is not None
    before, at = number(world, TABLE), put_of_the_record(aws)
    add_file(world, TABLE)
    aws.forget_requests()
    aws.fail(fault, first=at, times=1, methods=("PUT",))
    assert world.attempt(TABLE).publish().release == before + 1
    hit = [r["path"] for r in aws.requests() if r["fault"]]
    aws.heal()
    assert [path.rpartition("/releases/")[2] for path in hit] == [f"{before + 1}.json"]
    assert number(world, TABLE) == before + 1
    assert_published(world, TABLE)


def test_a_store_that_refuses_the_commit_leaves_the_old_release(world, aws):
    before = number(world, TABLE)
    add_file(world, TABLE)
    attempt = world.attempt(TABLE)
    candidate = attempt.prepare(attempt.stage()[1])
    aws.fail("refuse", methods=WRITES)
    with pytest.raises(DefinitionError, match="refuses access"):
        attempt.commit(candidate)
    aws.heal()
    assert number(world, TABLE) == before
    assert world.attempt(TABLE).publish().release == before + 1
    assert_published(world, TABLE)


def test_an_append_writes_only_the_chunk_that_it_touches(world, aws):
    days = len(list(world.source(GRID).iterdir()))
    add_file(world, GRID)
    world.attempt(GRID).publish()
    written = {path.rpartition("/heat/c/")[2] for path in writes(aws) if "/data.zarr/heat/c/" in path}
    assert written == {f"{days // 4}/0/0"}
