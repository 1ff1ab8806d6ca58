"""A running platform for tests: the real `rimrep up` on a world, asked by GraphQL and seen in Chromium.

Here belong starting it, asking it and waiting for it. Not here: any expectation.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from rimrep_assets_tests.homes import command_environment
from rimrep_assets_tests.worlds import World

LOCATION = {"repositoryLocationName": "rimrep_assets", "repositoryName": "__repository__"}
T = TypeVar("T")

LAUNCH = """mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on InvalidSubsetError { message } } }"""
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """query($f: RunsFilter) { runsOrError(filter: $f, limit: 200) { ... on Runs { results {
  runId status tags { key value } startTime creationTime } } } }"""
EVENTS = """query($r: ID!) { logsForRun(runId: $r, limit: 5000) { ... on EventConnection { events { __typename
  ... on MessageEvent { message stepKey }
  ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
  ... on MaterializationEvent { assetKey { path } partition } } } } }"""
ASSETS = """{ assetNodes { assetKey { path } groupName description kinds owners { __typename
  ... on UserAssetOwner { email } ... on TeamAssetOwner { team } } tags { key value } isPartitioned } }"""


def wait_for(what: Callable[[], T], seconds: float, said: str) -> T:
    """The first true answer of ``what``; fails with ``said`` when there is none in time."""
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds:g} s: {said}"
        time.sleep(0.25)


def answer_of(url: str) -> int:
    """The status with which ``url`` answers; 0 when it does not."""
    try:
        with urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return 0


@dataclass
class RunningPlatform:
    """The process of `rimrep up` and the addresses that it printed."""

    world: World
    process: subprocess.Popen[str]
    addresses: Mapping[str, str]
    log: Path

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.addresses['dagster']}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert found.get("data"), found
        return found["data"]

    def launch(self, keys: Sequence[str], tags: Mapping[str, str] | None = None) -> str:
        """Launch one run of these assets, as the UI does; its id."""
        params = {
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
            "selector": {
                **LOCATION,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": key.split("/")} for key in keys],
                "assetCheckSelection": None,
            },
        }
        found = self.graphql(LAUNCH, p=params)["launchPipelineExecution"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def backfill(self, keys: Sequence[str], partitions: Sequence[str]) -> str:
        """Launch a backfill of these assets over these partitions, as the UI does; its id."""
        params = {"assetSelection": [{"path": key.split("/")} for key in keys], "partitionNames": list(partitions)}
        found = self.graphql(BACKFILL, p=params)["launchPartitionBackfill"]
        assert found["__typename"] == "LaunchBackfillSuccess", found
        return str(found["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        query = (
            "query($b: String!) { partitionBackfillOrError(backfillId: $b) { ... on PartitionBackfill { status } } }"
        )
        return str(self.graphql(query, b=backfill)["partitionBackfillOrError"]["status"])

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self.graphql(RUNS, f=filters)["runsOrError"]["results"])

    def runs_of(self, dataset: str) -> list[dict[str, Any]]:
        return self.runs(tags=[{"key": "rimrep/dataset", "value": dataset}])

    def status(self, run: str) -> str:
        return str(self.runs(runIds=[run])[0]["status"])

    def ended(self, run: str, seconds: float = 120) -> str:
        """The status with which a run ends."""
        done = ("SUCCESS", "FAILURE", "CANCELED")
        return wait_for(lambda: s if (s := self.status(run)) in done else "", seconds, f"run {run} has not ended")

    def events(self, run: str) -> list[dict[str, Any]]:
        return list(self.graphql(EVENTS, r=run)["logsForRun"]["events"])

    def told(self, run: str) -> str:
        """Every message of a run, and why its steps failed."""
        lines = []
        for event in self.events(run):
            lines.append(str(event.get("message") or ""))
            lines += [str(part) for part in (event.get("error"), event.get("failureMetadata")) if part]
        return "\n".join(lines)

    def assets(self) -> dict[str, dict[str, Any]]:
        return {"/".join(node["assetKey"]["path"]): node for node in self.graphql(ASSETS)["assetNodes"]}

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """Newest first: status, skip reason, error."""
        query = """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState {
          ticks(limit: 30) { status skipReason timestamp error { message } runIds } } } } }"""
        found = self.graphql(query, s={**LOCATION, "sensorName": sensor})
        return list(found["sensorOrError"]["sensorState"]["ticks"])

    def served(self, dataset: str) -> bool:
        return answer_of(f"{self.addresses['pygeoapi']}/collections/{dataset}?f=html") == 200


@contextmanager
def platform_on(world: World, *options: str, **environment: str) -> Iterator[RunningPlatform]:
    """`rimrep up` on ``world`` until the end of the block; its log is shown when it does not come up."""
    log = world.root / "up.log"
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("RIMREP_", "DAGSTER_"))}
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "rimrep_assets.cli", "up", "--json", *options],
            env={**ours, **command_environment(world), **environment},
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
    try:
        assert process.stdout is not None
        out = ""
        for line in process.stdout:
            out += line
            if line.startswith("}"):
                break
        assert out.rstrip().endswith("}"), log.read_text()
        yield RunningPlatform(world, process, json.loads(out), log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def chromium() -> Iterator[Any]:
    """A page of a real Chromium; skipped where there is none, which is a failure where ``RIMREP_SHARED`` is set."""
    program = shutil.which("chromium")
    if program is None:
        (pytest.fail if os.environ.get("RIMREP_SHARED") else pytest.skip)("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(30_000)
        try:
            yield page
        finally:
            browser.close()


def screenshot(page: Any, name: str) -> None:
    """Keep what is seen, in the folder that RIMREP_SCREENSHOTS names."""
    folder = os.environ.get("RIMREP_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")
