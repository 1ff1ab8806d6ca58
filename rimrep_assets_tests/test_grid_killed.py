"""Processes that are killed while they publish a grid, and several at once: the next run finishes, and all is there once.

A process is killed at a numbered chunk, or when a condition holds that can be seen from outside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.ports.verification import verify
from rimrep_assets_tests.grid_history import content
from rimrep_assets_tests.grid_worlds import GridFile, differences, grid_yaml, in_sources, snapshot, stable
from rimrep_assets_tests.homes import command_environment, rimrep_process, take_proposed
from rimrep_assets_tests.worlds import GRID, World

LAT, LON = np.linspace(-10, -20, 48), np.linspace(140, 150, 48)
"""so many cells that a chunk of three days is a file of its own in Icechunk"""
MONTHS = ["2020-01", "2020-02", "2020-03", "2020-04", "2020-05", "2020-06"]
PARTITION = {"by": "month", "start": "2020-01", "end": "2020-06", "backfill": "parallel", "file_time": "g_%Y-%m-%d.nc"}

PUBLISH = """
import sys
from pathlib import Path
from rimrep_assets_tests.worlds import GRID, World
from rimrep_assets_tests.killing import killed_at
killed_at(sys.argv[2], int(sys.argv[3]))
World(Path(sys.argv[1])).attempt(GRID).publish()
"""
STAGE = """
import sys
from pathlib import Path
from rimrep_assets_tests.worlds import GRID, World
world = World(Path(sys.argv[1]))
for month in sys.argv[2:]:
    world.attempt(GRID).stage([month])
"""


def write_days(world: World, days: range, *, seed: int = 0, each: int = 3) -> None:
    """Files of ``each`` days, named for their first."""
    for first in days[::each]:
        held = range(first, min(first + each, days[-1] + 1))
        file = GridFile(tuple(held), seed=seed, variables=("sst",), lat=LAT, lon=LON)
        file.write(world.source(GRID), f"g_{np.datetime64('2020-01-01') + first}.nc")


def write_months(world: World) -> None:
    """Four files a month; no month is a whole number of chunks."""
    begin = np.datetime64("2020-01-01")
    for month in MONTHS:
        first = int((np.datetime64(f"{month}-01") - begin).astype(int))
        after = int(((np.datetime64(month) + 1).astype("M8[D]") - begin).astype(int))
        write_days(world, range(first, after), each=8)


def described(root: Path, **keys) -> World:
    """A world that describes the grid with the schema that it has; nothing is published."""
    partition = keys.pop("partition", None)
    aside = World(root / "aside")
    write_days(aside, range(1))
    yaml = grid_yaml(lat=len(LAT), lon=len(LON), **keys)
    aside.describe(yaml, None)
    take_proposed(aside, GRID)
    schema = json.loads((aside.catalog_folder / f"datasets/{GRID}/gridschema.json").read_text())
    world = World(root / "world")
    world.describe({**yaml, "partition": partition} if partition else yaml, schema)
    return world


def started(world: World, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **command_environment(world)}
    command = [sys.executable, "-c", script, str(world.root), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def killed(world: World, call: str, number: int) -> None:
    process = started(world, PUBLISH, call, str(number))
    _, told = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, told.decode()[-2000:]


def finished(world: World) -> None:
    process = started(world, PUBLISH, "stored", "-1")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told.decode()[-2000:]


def kill_when(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    """SIGKILL at the moment at which something has happened; the process must not have ended by then."""
    while not happened():
        try:
            process.wait(timeout=0.001)
        except subprocess.TimeoutExpired:
            continue
        told = process.stderr.read().decode()[-2000:] if process.stderr else ""
        raise AssertionError(f"it ended with {process.returncode} before it was killed: {told}")
    process.kill()
    process.communicate()


def nothing_lost_or_doubled(world: World) -> None:
    """Verify and reconcile find nothing, xarray reads the sources' values, and a clean rebuild holds the same."""
    projector = world.projector(GRID)
    record = projector.log.newest()
    assert verify(projector, record, stable=True).differences == []
    assert Reconciliation(world.store).find() == []
    assert differences(stable(world), in_sources(world.source(GRID).glob("*.nc"))) == []
    clean = World(world.root.parent / "clean", store_url=str(world.root.parent / "clean-store"))
    rebuilt = rebuild(world, clean)
    assert content(snapshot(world, record.snapshot)) == content(snapshot(clean, rebuilt))
    plain = str(Path(world.store_url) / "public" / GRID / "data.zarr")
    assert content(plain) == content(snapshot(clean, rebuilt))


def rebuild(world: World, clean: World) -> str:
    """The snapshot that the same sources and catalog give in an empty store."""
    import shutil

    for part in ("catalog", "sources"):
        shutil.rmtree(clean.root / part, ignore_errors=True)
        shutil.copytree(world.root / part, clean.root / part)
    staged = clean.attempt(GRID).stage()[1]
    return staged.snapshot


@pytest.mark.long
def test_killed_while_storing_while_reading_back_and_while_copying_the_next_run_finishes(tmp_path):
    world = described(tmp_path)
    write_days(world, range(9))
    assert world.attempt(GRID).publish().release == 1
    before = stable(world)
    write_days(world, range(3, 6), seed=5)
    write_days(world, range(9, 120))
    for call, number in (("stored", 14), ("read back", 14)):
        killed(world, call, number)
        assert differences(stable(world), before) == []
        assert world.projector(GRID).log.numbers() == [1]
    killed(world, "copied", 14)
    assert world.projector(GRID).log.numbers() == [1, 2]
    ended = rimrep_process(world, "publish", GRID, "--json")
    assert ended.code == 0, ended.err
    assert world.projector(GRID).log.numbers() == [1, 2]
    nothing_lost_or_doubled(world)


@pytest.mark.faults
def test_a_first_publication_that_is_killed_twice_is_finished_by_the_next_run(tmp_path):
    world = described(tmp_path)
    write_days(world, range(90))
    for number in (9, 21):
        killed(world, "stored", number)
        assert world.projector(GRID).log.numbers() == []
    finished(world)
    nothing_lost_or_doubled(world)


def staged_of(world: World) -> list[Path]:
    return list((Path(world.store_url) / "public" / GRID / "staging").glob("*/staged.json"))


@pytest.mark.long
@pytest.mark.parametrize("one_is_killed", [False, True])
def test_processes_that_stage_months_which_share_chunks_end_as_a_clean_rebuild(tmp_path, one_is_killed):
    world = described(tmp_path, partition=PARTITION, chunk=40, cadence="P1D")
    write_months(world)
    parts = [MONTHS[0::2], MONTHS[1::2]]
    running = [started(world, STAGE, *months) for months in parts]
    if one_is_killed:
        kill_when(running[0], lambda: any(staged_of(world)))
        running[0] = started(world, STAGE, *parts[0])
    assert [process.wait(timeout=200) for process in running] == [0, 0], [p.stderr.read() for p in running]
    attempt = world.attempt(GRID)
    attempt.project(attempt.commit(attempt.prepare(None)))
    nothing_lost_or_doubled(world)


@pytest.mark.faults
@pytest.mark.parametrize("call", ["stored", "read back", "copied"])
@pytest.mark.parametrize("number", range(1, 20, 6))
def test_killed_at_any_chunk_the_next_run_finishes(tmp_path, call, number):
    world = described(tmp_path)
    write_days(world, range(60))
    killed(world, call, number)
    finished(world)
    nothing_lost_or_doubled(world)
