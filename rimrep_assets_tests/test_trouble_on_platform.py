"""Runs of the running platform in trouble: the catalog moves on under them, they are killed, their store goes away.

Two parts stand still when a test says so: the provider's web server, and S3.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rimrep_assets_tests.homes import command_environment
from rimrep_assets_tests.running_platform import RunningPlatform, platform_on, wait_for
from rimrep_assets_tests.worlds import TABLE_SCHEMA, TABLE_YAML, World, curated, write_table

pytest.importorskip("moto")
pytestmark = pytest.mark.long
HELD, GONE, TYPED, QUICK = "reef-held", "reef-gone", "reef-typed", "reef-quick"
STEPS = ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")
SOON = 90
"""seconds within which the platform does by itself what it should, on a busy machine"""
KILLED = 60
"""seconds within which a killed run is failed, and what it held is free"""


class Provider:
    """A web server with one table a dataset; a request for one that is held waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: list[str] = []
        self._open: dict[str, threading.Event] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._wait_at(self.path.strip("/"))
                body = (outer.folder / self.path.strip("/")).read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", "text/csv")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def write(self, dataset: str, shift: float) -> None:
        write_table(self.folder, f"{dataset}.csv", shift=shift)

    def hold(self, dataset: str) -> None:
        self.waiting.clear()
        self._open[f"{dataset}.csv"] = threading.Event()

    def let_go(self, dataset: str) -> None:
        self._open.pop(f"{dataset}.csv").set()

    def is_asked(self, dataset: str) -> bool:
        return f"{dataset}.csv" in self.waiting

    def _wait_at(self, name: str) -> None:
        gate = self._open.get(name)
        if gate is not None:
            self.waiting.append(name)
            gate.wait(120)


@pytest.fixture(scope="module")
def provider(tmp_path_factory) -> Iterator[Provider]:
    running = Provider(tmp_path_factory.mktemp("provider"))
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(scope="module")
def platform(provider, s3_server, tmp_path_factory) -> Iterator[RunningPlatform]:
    """Four tables on S3, three of them from the provider's server, each published once by the sensor."""
    url = f"s3://platform/{uuid.uuid4().hex[:8]}"
    access = s3_server.client_environment()
    world = World(tmp_path_factory.mktemp("trouble"), store_url=url, s3_environment=access)
    for dataset in (HELD, GONE, TYPED):
        provider.write(dataset, 0)
        source = {"kind": "http", "url": f"{provider.url}/{dataset}.csv"}
        world.describe({**TABLE_YAML, "id": dataset, "source": source}, TABLE_SCHEMA)
    write_table(world.source(QUICK), "a.csv")
    source = {**TABLE_YAML["source"], "url": f"../sources/{QUICK}"}
    world.describe({**TABLE_YAML, "id": QUICK, "source": source}, TABLE_SCHEMA)
    with platform_on(world) as started:
        for dataset in (HELD, GONE, TYPED, QUICK):
            wait_for(lambda dataset=dataset: numbers(started, dataset) == [1], SOON, f"{dataset} is published")
        settled(started)
        yield started


def numbers(platform: RunningPlatform, dataset: str) -> list[int]:
    return platform.world.projector(dataset).log.numbers()


def newest(platform: RunningPlatform, dataset: str) -> Any:
    return platform.world.projector(dataset).log.newest()


def settled(platform: RunningPlatform) -> None:
    """No run is under way, and the sensor has nothing to do at the newest commit."""
    head = platform.world.catalog.resolve()[:7]

    def quiet() -> bool:
        going = platform.runs(statuses=["QUEUED", "NOT_STARTED", "STARTING", "STARTED"])
        last = platform.ticks("catalog")[:1]
        return not going and bool(last) and f"nothing is due at {head}" in str(last[0]["skipReason"])

    wait_for(quiet, SOON, f"the sensor settles at {head}")


def launched(platform: RunningPlatform, dataset: str, **tags: str) -> str:
    return platform.launch([f"{dataset}/{step}" for step in STEPS], tags)


def held(platform: RunningPlatform, provider: Provider, dataset: str, shift: float) -> str:
    """A run from the UI, with new data, that waits for the provider."""
    provider.write(dataset, shift)
    provider.hold(dataset)
    run = launched(platform, dataset)
    wait_for(lambda: provider.is_asked(dataset), SOON, f"the run of {dataset} asks the provider")
    return run


def tags_of(platform: RunningPlatform, run: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in platform.runs(runIds=[run])[0]["tags"]}


def test_runs_under_way_keep_their_commit_while_the_catalog_moves_on_and_even_drops_their_dataset(platform, provider):
    world = platform.world
    before = world.catalog.resolve()
    kept, dropped = held(platform, provider, HELD, 1), held(platform, provider, GONE, 1)
    for run in (kept, dropped):
        assert tags_of(platform, run)["rimrep/catalog_commit"] == before, "stamped with what the server has loaded"
    world.write(f"datasets/{HELD}/datapackage.json", curated(HELD, title="A newer title"))
    world._git("rm", "-r", "--quiet", f"datasets/{GONE}")
    after = world.commit("a new title, and one dataset less")
    wait_for(lambda: f"{GONE}/data" not in platform.assets(), SOON, "the graph is loaded anew")
    assert {platform.status(run) for run in (kept, dropped)} == {"STARTED"}
    for dataset, run in ((HELD, kept), (GONE, dropped)):
        provider.let_go(dataset)
        assert platform.ended(run) == "SUCCESS", platform.told(run)
        assert tags_of(platform, run)["rimrep/catalog_commit"] == before
    last = newest(platform, GONE)
    assert (last.release, last.catalog_commit) == (2, before), "it was released, and stays"
    settled(platform)
    last = newest(platform, HELD)
    assert last.catalog_commit == after and last.datapackage["title"] == "A newer title"
    digests = {newest(platform, HELD).sources[0].digest, sha_of(provider, HELD)}
    assert len(digests) == 1, "what the older run had found is in it"


def sha_of(provider: Provider, dataset: str) -> str:
    from hashlib import sha256

    return sha256((provider.folder / f"{dataset}.csv").read_bytes()).hexdigest()


def test_killed_runs_are_failed_and_what_they_held_is_free_within_a_minute(platform, provider):
    clicked = held(platform, provider, HELD, 2)
    provider.write(TYPED, 2)
    provider.hold(TYPED)
    with typed_publish(platform.world, TYPED) as typed:
        wait_for(lambda: provider.is_asked(TYPED), SOON, "the command asks the provider")
        mine = [{"key": "rimrep/pid", "value": str(typed.pid)}]
        (run,) = wait_for(lambda: platform.runs(tags=mine, statuses=["STARTED"]), SOON, "it is seen in the UI")
        worker = process_of(platform, clicked)
        provider.waiting.clear()
        begin = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        typed.kill()
    for killed in (clicked, run["runId"]):
        assert platform.ended(killed, left(begin)) == "FAILURE"
    assert "the process of this command-line run is gone" in platform.told(run["runId"])
    again = [{"key": "dagster/parent_run_id", "value": clicked}]
    wait_for(lambda: provider.is_asked(HELD), left(begin), "another run of the same dataset is let into the pool")
    for dataset in (HELD, TYPED):
        provider.let_go(dataset)
    (repeat,) = platform.runs(tags=again)
    assert platform.ended(repeat["runId"]) == "SUCCESS"
    assert newest(platform, HELD).sources[0].digest == sha_of(provider, HELD)
    other = launched(platform, TYPED)
    assert platform.ended(other) == "SUCCESS", platform.told(other)
    assert newest(platform, TYPED).sources[0].digest == sha_of(provider, TYPED)


def left(begin: float) -> float:
    return KILLED - (time.monotonic() - begin)


def typed_publish(world: World, dataset: str) -> subprocess.Popen[str]:
    """`rimrep publish` on the platform's instance, as somebody types it."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("RIMREP_", "DAGSTER_"))}
    home = {"DAGSTER_HOME": str(world.root / "data" / "dagster")}
    command = [sys.executable, "-m", "rimrep_assets.cli", "publish", dataset]
    return subprocess.Popen(
        command, env={**ours, **command_environment(world), **home}, stderr=subprocess.DEVNULL, text=True
    )


def process_of(platform: RunningPlatform, run: str) -> int:
    """The process that executes a run of the UI, as its log says."""
    told = re.search(r"process.*\(pid: (\d+)\)", platform.told(run))
    assert told is not None, platform.told(run)
    return int(told.group(1))


def test_a_store_that_goes_away_is_named_and_the_run_goes_on_when_it_is_back(platform, s3_server):
    world = platform.world
    write_table(world.source(QUICK), "b.csv", shift=3)
    s3_server.fail("drop")
    try:
        run = launched(platform, QUICK)
        said = f"the store {world.store_url}/public did not answer"
        wait_for(lambda: said in steps_told(platform, run), 150, f"{run} says: {said}")
        assert platform.status(run) == "STARTED" and platform.assets()
    finally:
        s3_server.heal()
    assert platform.ended(run) == "SUCCESS", platform.told(run)
    assert {file.name for file in newest(platform, QUICK).sources} == {"a.csv", "b.csv"}
    assert platform.process.poll() is None and platform.served(HELD)


def steps_told(platform: RunningPlatform, run: str) -> str:
    """Why steps of a run were tried again."""
    query = """query($r: ID!) { logsForRun(runId: $r, limit: 5000) { ... on EventConnection { events {
      ... on ExecutionStepUpForRetryEvent { message error { message causes { message } } } } } } }"""
    return json.dumps(platform.graphql(query, r=run))
