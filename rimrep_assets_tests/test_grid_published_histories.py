"""Histories of a grid through the whole publication, gate and descriptions too, and what an append costs.

Values and chunks of many histories are tried without descriptions (``test_grid_histories``); here a few, and what a
release says of itself besides.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports import grid_data
from rimrep_assets_tests.faulty_store import CALLS, FaultyStore, Switch, icechunk_behind
from rimrep_assets_tests.grid_changes import QUICK, STEPS, ends_as_a_clean_rebuild, lived
from rimrep_assets_tests.grid_history import PLANE, Benches, Life, Rules
from rimrep_assets_tests.grid_worlds import GridFile, grid_yaml
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.worlds import GRID, World

UNITED = {"unite": {"variables": "all"}}
FIRST = GridFile((-9,), **PLANE)
"""holds both variables, and is never taken out: the catalog's schema promises both"""


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    """A workbench for regular and for free axes, with the schema in the catalog; pictures are not drawn."""
    found = {}
    for cadence in (None, "P1D"):
        world = World(tmp_path_factory.mktemp("catalog"))
        FIRST.write(world.source(GRID))
        world.describe(grid_yaml(lat=3, cadence=cadence, **UNITED), None)
        take_proposed(world, GRID)
        found[Rules(cadence, 3, "all")] = world.attempt(GRID).bench
    with pytest.MonkeyPatch.context() as patch, icechunk_behind(patch):
        patch.setattr(grid_data, "draw_grid", lambda *anything: None)
        yield Benches(found)


def begun(root: Path, benches: Any, rules: Rules) -> Life:
    life = Life(root, benches, rules)
    life.put(FIRST.days, FIRST.seed, ("sst", "wind"))
    life.kept.add(FIRST.name)
    return life


@pytest.mark.parametrize("cadence", [None, pytest.param("P1D", marks=pytest.mark.long)])
@settings(QUICK, max_examples=5, derandomize=True)
@given(steps=st.lists(STEPS, min_size=1, max_size=3))
def test_what_a_release_says_of_itself_is_what_a_first_release_of_the_same_files_says(
    benches, tmp_path_factory, cadence, steps
):
    rules = Rules(cadence, 3, "all")
    life = lived(begun(tmp_path_factory.getbasetemp() / uuid.uuid4().hex, benches, rules), steps)
    assert ends_as_a_clean_rebuild(life)
    clean = Life(tmp_path_factory.getbasetemp() / uuid.uuid4().hex, benches, rules)
    for path in life.source.iterdir():
        (clean.source / path.name).write_bytes(path.read_bytes())
    clean.publish()
    assert says(life) == says(clean)


def says(life: Life) -> dict[str, Any]:
    """Of the newest release what does not depend on how it came about."""
    record: ReleaseRecord = life.records()[-1]
    receipt = json.loads(life.store.read(record.receipt.path))
    return {
        "facts": record.facts,
        "schema": record.table_or_grid_schema,
        "state": record.state,
        "digests": receipt["digests"],
        "counts": receipt["blocks"],
        "compared": sorted((file["name"], file["digest"]) for file in receipt["files"] if file["digest"]),
    }


class Listed:
    """Counts what is asked of Icechunk's store: keys got, put and listed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        import icechunk

        self.asked: list[str] = []
        for name in ("get", "set", "delete", "exists"):
            real = getattr(icechunk.IcechunkStore, name)
            patch.setattr(icechunk.IcechunkStore, name, self._counting(name, real))
        for name in ("list", "list_prefix", "list_dir"):
            real = getattr(icechunk.IcechunkStore, name)
            patch.setattr(icechunk.IcechunkStore, name, self._listing(name, real))

    def _counting(self, name: str, real: Any) -> Any:
        def called(store: Any, key: str, *arguments: Any, **options: Any) -> Any:
            self.asked.append(f"{name} {key}")
            return real(store, key, *arguments, **options)

        return called

    def _listing(self, name: str, real: Any) -> Any:
        async def listed(store: Any, *arguments: Any) -> Any:
            async for key in real(store, *arguments):
                self.asked.append(f"{name} {key}")
                yield key

        return listed


def cost_of_an_append(root: Path, benches: Any, blocks: int) -> tuple[list[str], list[str]]:
    """What is asked of the object store and of Icechunk when one day is appended to so many blocks."""
    life = begun(root, benches, Rules(None, 3, "all"))
    life.put(range(3 * blocks - 1), 0)
    life.publish()
    life.put([3 * blocks], 0)
    switch = Switch(only=CALLS)
    with pytest.MonkeyPatch.context() as patch:
        listed = Listed(patch)
        attempt = life.attempt(switch=switch)
        assert isinstance(attempt.bench.store, FaultyStore)
        assert attempt.publish().release == 2
    return switch.calls, listed.asked


def test_appending_to_forty_blocks_asks_for_no_more_than_appending_to_four(benches, tmp_path):
    few = cost_of_an_append(tmp_path / "few", benches, 4)
    many = cost_of_an_append(tmp_path / "many", benches, 40)
    assert len(many[0]) == len(few[0])
    assert len(many[1]) == len(few[1])
    assert 0 < len(few[1]) < 400
