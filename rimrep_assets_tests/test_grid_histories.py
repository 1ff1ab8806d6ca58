"""Whatever happens to a grid's source, and wherever attempts crash: the store ends as a clean rebuild would make it.

Each history is appended days, re-issued, withdrawn and late files, new variables and crashes, in any order. What must
come of it is worked out from the sources by xarray, and from days alone (``grid_history``).
"""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimrep_assets.ports.workbench import Workbench
from rimrep_assets_tests.grid_history import Life, Rules, content, data_alone, days_in, read_by_netcdf4
from rimrep_assets_tests.grid_worlds import grid_yaml
from rimrep_assets_tests.worlds import GRID, World

SEEDS = st.integers(0, 5)
PLACES = st.integers(0, 30)
CHANGES = st.one_of(
    st.tuples(st.just("append"), PLACES, SEEDS),
    st.tuples(st.just("re-issue"), PLACES, SEEDS),
    st.tuples(st.just("withdraw"), PLACES, SEEDS),
    st.tuples(st.just("late"), PLACES, SEEDS),
    st.tuples(st.just("new variable"), PLACES, SEEDS),
)
STEPS = st.tuples(st.lists(CHANGES, min_size=1, max_size=2), st.one_of(st.none(), st.integers(1, 24)))
HISTORIES = st.tuples(st.sampled_from([3, 2]), st.integers(1, 4), st.lists(STEPS, min_size=1, max_size=3))
QUICK = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    """A workbench for every set of rules, and the publication of data alone."""
    world = World(tmp_path_factory.mktemp("catalog"))
    found = {}
    for cadence in (None, "P1D"):
        for chunk in (2, 3):
            for variables in ("all", "sst", "both"):
                steps = {"unite": {"variables": "all"}} if variables == "all" else {}
                steps |= {"read_netcdf": {"variables": ["sst"]}} if variables == "sst" else {}
                world.describe(grid_yaml(chunk=chunk, lat=3, cadence=cadence, **steps), None)
                found[Rules(cadence, chunk, variables)] = world.attempt(GRID).bench
    with data_alone():
        yield Benches(found)


class Benches(dict[Rules, Workbench]):
    """By rules; short in what hypothesis prints."""

    def __repr__(self) -> str:
        return "benches"


def test_what_an_attempt_staged_for_a_file_that_went_again_is_proven_and_released(benches, tmp_path):
    """Re-issued, staged, crashed, and taken back by the provider: the block was written twice, and is the old one."""
    life = Life(tmp_path / "life", benches, Rules(None, 2, "both"))
    life.put([0], 0)
    life.put([1], 0)
    life.publish()
    life.put([0], 1)
    life.publish(crash=5)
    assert len(life.records()) == 1
    assert life.attempt().projector.repository.tip().snapshot != life.records()[0].snapshot
    life.put([0], 0)
    life.put([2], 0)
    life.publish()
    assert ends_as_a_clean_rebuild(life)
    assert len(life.records()) == 2


def change(life: Life, kind: str, place: int, seed: int) -> None:
    """One thing that a provider or a curator does; nothing where it cannot be done."""
    days = sorted(day for file in life.held.values() for day in file.days)
    names = sorted(life.held)
    if kind == "append":
        first = days[-1] + 1 + place % 3
        life.put([first, first + 1] if place % 2 else [first], seed)
    elif kind == "re-issue":
        file = life.held[names[place % len(names)]]
        life.put(file.days, seed, tuple(file.variables))
    elif kind == "withdraw" and len(names) > 1:
        life.take_out(names[place % len(names)])
    elif kind == "late":
        free = [day for day in range(int(days[0]) - 2, int(days[-1])) if day not in days]
        life.put([free[place % len(free)]], seed)
    elif kind == "new variable":
        if life.rules.variables == "all":
            life.put([days[-1] + 1], seed, ("sst", "wind"))
        else:
            life.rules = Rules(life.rules.cadence, life.rules.chunk, "both")


@pytest.mark.parametrize("cadence", [None, "P1D"])
@pytest.mark.parametrize("variables", ["all", "sst"])
@settings(QUICK, max_examples=50)
@given(HISTORIES)
def test_each_of_200_histories_ends_as_a_clean_rebuild_and_touches_only_the_chunks_that_it_must(
    benches, tmp_path_factory, cadence, variables, history
):
    chunk, first, steps = history
    life = Life(tmp_path_factory.getbasetemp() / uuid.uuid4().hex, benches, Rules(cadence, chunk, variables))
    life.put(range(first), 0)
    life.publish()
    for changes, crash in steps:
        for kind, place, seed in changes:
            change(life, kind, place, seed)
        life.publish(crash)
    life.publish()
    assert ends_as_a_clean_rebuild(life)
    records = life.records()
    for before, after in itertools.pairwise(records):
        touched_only_what_it_must(life, before, after)


def ends_as_a_clean_rebuild(life: Life) -> bool:
    """Snapshot, plain copy and a rebuild in an empty place are one, and what xarray reads of the source."""
    published = life.attempt().projector.repository.read(life.records()[-1].snapshot)
    plain = str(Path(life.store.address) / GRID / "data.zarr")
    assert content(published) == content(life.rebuilt()) == content(plain)
    assert days_in(plain) == read_by_netcdf4(life)
    return True


def touched_only_what_it_must(life: Life, before, after) -> None:
    if before.fingerprints.data != after.fingerprints.data or before.snapshot == after.snapshot:
        return
    repository = life.attempt().projector.repository.open()
    found = repository.diff(from_snapshot_id=before.snapshot, to_snapshot_id=after.snapshot)
    touched = {
        f"{path.strip('/')}/c/" + "/".join(map(str, index))
        for path, indexes in found.updated_chunks.items()
        for index in indexes
    }
    needless = touched - life.may_change(before, after)
    assert needless == set()
