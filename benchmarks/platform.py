"""The running platform: how long a merged commit waits for its run.

Here belongs what only a running Dagster shows. Not here: planning, or the run itself (``graph``).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.inputs import Size
from benchmarks.measuring import Clock

if TYPE_CHECKING:
    from rimrep_assets.stack.dagster_server import DagsterServer

COMMITS = 3
PATIENCE_S = 300
POLL_S = 0.5
SENSOR = """{ sensorOrError(sensorSelector: {repositoryLocationName: "rimrep_assets", repositoryName: "__repository__",
  sensorName: "catalog"}) { ... on Sensor { sensorState { ticks(limit: 1) { skipReason } } } } }"""
RUNS = """query($f: RunsFilter) { runsOrError(filter: $f, limit: 10) { ... on Runs { results { startTime } } } }"""
T = TypeVar("T")


def commit_to_run(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Seconds from a pushed commit to the start of the run that it asks for, on the example catalog; median of three.

    In it: the sensor notices, the code location is loaded anew, the next tick asks for the run, the daemon takes it out
    of the queue and its process imports what it needs.
    """
    from rimrep_examples.catalog_repository import make_catalog
    from rimrep_examples.sources import write_sources

    from rimrep_assets.ports.workbench import Settings
    from rimrep_assets.stack.local_platform import LocalPlatform

    catalog, work, name = out / "catalog.git", out / "work", size.datasets[0]
    write_sources(out / "sources")
    make_catalog(catalog)
    _git(out, "clone", "--quiet", str(catalog), str(work))
    for left in [v for v in os.environ if v.startswith(("RIMREP_", "DAGSTER_"))]:
        del os.environ[left]
    told = {"RIMREP_CATALOG": catalog, "RIMREP_STORE": out / "store", "RIMREP_DATA": out / "data"}
    os.environ.update({variable: str(value) for variable, value in told.items()})
    with LocalPlatform(Settings.from_environment(os.environ)) as platform:
        waits = []
        for number in range(COMMITS):
            _wait_for(lambda: _is_settled(platform.dagster, _git(work, "rev-parse", "--short=7", "HEAD")))
            commit, begin = _retitle(work, name, f"Title {number}")
            waits.append(_wait_for(lambda commit=commit: _start_of(platform.dagster, commit)) - begin)  # type: ignore[misc]
    clock.seconds = statistics.median(waits)


def _is_settled(dagster: DagsterServer, head: str) -> bool:
    """Whether the newest tick had nothing left to do; before that, a commit waits for the work of another."""
    ticks = dagster.graphql(SENSOR)["sensorOrError"]["sensorState"]["ticks"]
    return bool(ticks) and f"nothing is due at {head}" in str(ticks[0]["skipReason"])


def _retitle(work: Path, name: str, title: str) -> tuple[str, float]:
    """Push a new title; the commit and the time, in seconds since 1970, at which it arrived."""
    path = work / f"datasets/{name}/datapackage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "title": title}))
    _git(work, "commit", "--quiet", "--all", "--message", title)
    _git(work, "push", "--quiet", "origin", "HEAD")
    return _git(work, "rev-parse", "HEAD"), time.time()


def _start_of(dagster: DagsterServer, commit: str) -> float | None:
    """When the run of ``commit`` started; None as long as it has not."""
    wanted: dict[str, Any] = {"tags": [{"key": "rimrep/catalog_commit", "value": commit}]}
    found = dagster.graphql(RUNS, {"f": wanted})["runsOrError"]["results"]
    return next((float(run["startTime"]) for run in found if run["startTime"]), None)


def _wait_for(what: Callable[[], T | None]) -> T:
    until = time.monotonic() + PATIENCE_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < until, f"nothing came within {PATIENCE_S} s"
        time.sleep(POLL_S)


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A Curator", "-c", "user.email=curator@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
