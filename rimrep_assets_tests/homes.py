"""Worlds that are published already, and the command that works on them, in this process or another.

Here belong publishing as a curator does it at first, giving a published world back unchanged, and running `rimrep`.
Not here: what a world is made of (``worlds``), or any expectation.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rimrep_assets_tests.worlds import (
    GRID,
    GRID_YAML,
    TABLE,
    TABLE_SCHEMA,
    TABLE_YAML,
    World,
    write_day,
    write_table,
)


def take_proposed(world: World, dataset: str) -> str:
    """Publish without a schema, take what the refusing gate proposes into the catalog as a curator would; its text."""
    from rimrep_assets.domain.errors import GateRefusal
    from rimrep_assets.domain.grid_schema import curated_part

    try:
        world.attempt(dataset).publish()
    except GateRefusal as refusal:
        told = str(refusal)
    else:
        raise AssertionError(f"{dataset} was published without a schema")
    proposed = [
        o.path
        for o in world.store_of(dataset).list(f"{dataset}/versions")
        if o.path.endswith(("/tableschema.json", "/gridschema.json"))
    ]
    schema = json.loads(world.store_of(dataset).read(proposed[-1]))
    name = proposed[-1].rpartition("/")[2]
    world.write(f"datasets/{dataset}/{name}", curated_part(schema) if name == "gridschema.json" else schema)
    world.commit("take the proposed schema")
    return told


class Home:
    """A world that is published once and given back to every test as it was, at the same place.

    Documents name absolute addresses, so that a copy elsewhere would be another store.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._kept = root / "home", root / "kept"

    def keep(self) -> None:
        """What stands now is what ``world`` gives back."""
        shutil.copytree(self.root, self._kept, symlinks=True)

    def world(self) -> World:
        """The world as it was kept."""
        shutil.rmtree(self.root)
        shutil.copytree(self._kept, self.root, symlinks=True)
        return World(self.root)


def publish_both(world: World, days: int = 2) -> None:
    """Describe and publish the table (two files) and the grid of ``days`` days, each as release 1."""
    for name, shift in (("a.csv", 0.0), ("b.csv", 1.0)):
        write_table(world.source(TABLE), name, shift=shift)
    for day in range(days):
        write_day(world.source(GRID), day)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.describe(GRID_YAML, None)
    take_proposed(world, GRID)
    for dataset in (TABLE, GRID):
        assert world.attempt(dataset).publish() is not None
    for leftover in (world.root / "scratch", world.root / "data"):
        shutil.rmtree(leftover, ignore_errors=True)


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command_environment(world: World) -> dict[str, str]:
    """Variables with which the command works on ``world``."""
    return {
        "RIMREP_CATALOG": str(world.catalog_folder),
        "RIMREP_STORE": world.store_url,
        "RIMREP_DATA": str(world.root / "data"),
        **world.s3_environment,
    }


def rimrep_process(world: World, *arguments: str) -> Ended:
    """Run the real command on ``world`` in a process of its own."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("RIMREP_", "DAGSTER_HOME"))}
    done = subprocess.run(
        [sys.executable, "-m", "rimrep_assets.cli", *arguments],
        env={**ours, **command_environment(world)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
