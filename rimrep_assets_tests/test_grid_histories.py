"""Whatever happens to a grid's source, and wherever attempts crash: the store ends as a clean rebuild would make it.

Each history is appended days, re-issued, withdrawn and late files, new variables and crashes, in any order. What must
come of it is worked out from the sources by netCDF4, and from days alone (``grid_history``).
"""

from __future__ import annotations

import uuid
from itertools import pairwise

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets_tests.grid_changes import QUICK, STEPS, ends_as_a_clean_rebuild, lived
from rimrep_assets_tests.grid_history import Benches, Life, Rules, data_alone
from rimrep_assets_tests.grid_worlds import grid_yaml
from rimrep_assets_tests.worlds import GRID, World

HISTORIES = st.tuples(st.sampled_from([3, 2]), st.integers(1, 4), st.lists(STEPS, min_size=1, max_size=3))
"""times of a chunk, days at first, and what follows"""


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


@pytest.mark.parametrize("cadence", [None, "P1D"])
def test_withdrawing_the_whole_last_block_reads_and_writes_no_other_and_is_released(benches, tmp_path, cadence):
    life = Life(tmp_path / "life", benches, Rules(cadence, 2, "both"))
    for day in range(4):
        life.put([day], 0)
    life.publish()
    for name in sorted(life.held)[2:]:
        life.take_out(name)
    calls = life.publish().calls
    assert ends_as_a_clean_rebuild(life)
    assert [call for call in calls if call.startswith("write") and "/sst/c/" in call] == []
    touched_only_what_it_must(life, *life.records())


def test_a_new_variable_leaves_the_chunks_of_the_others_alone_here_and_in_the_plain_copy(benches, tmp_path):
    life = Life(tmp_path / "life", benches, Rules(None, 2, "all"))
    for day in range(6):
        life.put([day], 0)
    life.publish()
    life.put([6], 0, ("sst", "wind"))
    calls = life.publish().calls
    copied = {call.partition("data.zarr/")[2] for call in calls if call.startswith("write") and "/c/" in call}
    assert {key for key in copied if key.startswith("sst")} == {"sst/c/3/0/0", "sst/c/3/0/1"}
    assert {key for key in copied if key.startswith("wind")} == {"wind/c/3/0/0", "wind/c/3/0/1"}
    touched_only_what_it_must(life, *life.records())
    assert ends_as_a_clean_rebuild(life)


def test_a_variable_that_went_and_came_back_between_two_releases_leaves_no_stale_chunk(benches, tmp_path):
    """Icechunk's diff does not tell the chunks of an array that was taken away and made anew in between."""
    life = Life(tmp_path / "life", benches, Rules(None, 2, "all"))
    life.put([0], 0, ("sst", "wind"))
    for day in (1, 2, 3):
        life.put([day], 0)
    life.publish()
    life.put([0], 1)
    life.publish(crash=5)
    assert life.attempt().projector.repository.tip().snapshot != life.records()[0].snapshot
    life.put([4], 0, ("sst", "wind"))
    life.publish()
    assert [record.release for record in life.records()] == [1, 2]
    assert ends_as_a_clean_rebuild(life)


ALL = pytest.mark.faults
"""the 200 take minutes; a few of other kinds run with every test"""


@pytest.mark.parametrize(
    ("number", "cadence", "variables", "histories"),
    [
        pytest.param(1, None, "all", 50, marks=ALL),
        pytest.param(2, "P1D", "all", 50, marks=ALL),
        pytest.param(3, None, "sst", 50, marks=ALL),
        pytest.param(4, "P1D", "sst", 50, marks=ALL),
        (5, "P1D", "all", 3),
        (6, None, "all", 3),
    ],
)
def test_each_of_200_histories_ends_as_a_clean_rebuild_and_touches_only_the_chunks_that_it_must(
    benches, tmp_path, number, cadence, variables, histories
):
    @hypothesis.seed(number)
    @settings(QUICK, max_examples=histories)
    @given(HISTORIES)
    def lives(history):
        chunk, first, steps = history
        life = Life(tmp_path / uuid.uuid4().hex, benches, Rules(cadence, chunk, variables))
        life.put(range(first), 0)
        assert ends_as_a_clean_rebuild(lived(life, steps))
        for before, after in pairwise(life.records()):
            touched_only_what_it_must(life, before, after)

    lives()


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
