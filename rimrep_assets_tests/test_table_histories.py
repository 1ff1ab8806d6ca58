"""Whatever happens to a table's source, and wherever attempts crash: the table ends as a clean rebuild would make it.

Each history is appended, re-issued and withdrawn files and crashes at a numbered call of the store, in any order. What
must come of it is worked out from the sources by pandas and json (``table_history``, ``table_files``).
"""

from __future__ import annotations

import uuid

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_fold
from rimrep_assets_tests.grid_changes import QUICK
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.table_files import KEPT, KINDS, SCHEMA
from rimrep_assets_tests.table_history import Life, ends_as_a_clean_rebuild, no_pictures
from rimrep_assets_tests.worlds import World

CHANGES = st.one_of(
    [
        st.tuples(st.just(kind), st.integers(0, 30), st.integers(0, 11))
        for kind in ("append", "re-issue", "withdraw", "stage")
    ]
)
"""a kind, a number that picks the place, and a seed of what the file holds"""
STEPS = st.tuples(st.lists(CHANGES, min_size=1, max_size=3), st.one_of(st.none(), st.integers(1, 110)))
"""changes, then an attempt that crashes at the numbered call, or does not"""
HISTORIES = st.tuples(st.one_of(st.none(), st.integers(1, 100)), st.lists(STEPS, min_size=1, max_size=3))
"""where the first attempt crashes, and what follows"""


class Benches(dict):
    """By kind; short in what hypothesis prints."""

    def __repr__(self) -> str:
        return "benches"


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    """A workbench for every kind of table."""
    found = Benches()
    with no_pictures():
        for name, kind in KINDS.items():
            world = World(tmp_path_factory.mktemp("catalog"))
            dataset = kind.description["id"]
            if kind.ending == "csv":
                world.describe(kind.description, SCHEMA)
            else:
                kind.write(world.source(dataset) / f"first.{kind.ending}", KEPT, 0)
                world.describe(kind.description, None, temporal=None)
                take_proposed(world, dataset)
            found[name] = world.attempt(dataset).bench
        yield found


def change(life: Life, kind: str, place: int, seed: int) -> None:
    """One thing that a provider or an operator does; nothing where it cannot be done."""
    stems = sorted(life.held)
    may_go = [stem for stem in stems if stem != KEPT]
    if kind == "append":
        life.put(f"2024-{1 + place % 12:02d}_{place % 5}", seed)
    elif kind == "re-issue":
        life.put(stems[place % len(stems)], seed)
    elif kind == "withdraw" and may_go:
        life.take_out(may_go[place % len(may_go)])
    elif kind == "stage" and life.bench.folder.dataset.partition:
        # As a backfill does: months are staged one by one, and nothing is released yet.
        life.publish(crash=1 + seed * 3 if seed % 2 else None, months=[stems[place % len(stems)][:7]])


def begun(benches, root, kind: str) -> Life:
    return Life(root / uuid.uuid4().hex, KINDS[kind], benches[kind])


def test_an_append_that_is_put_behind_the_old_rows_is_no_clean_rebuild(benches, tmp_path, monkeypatch):
    """The gate does not see it, since every value is right: the comparison with a rebuild must."""
    life = begun(benches, tmp_path, "sorted")
    life.publish()
    life.put("2024-01_0", 2)

    def behind(rows, spill):
        return in_order(rows, spill) if rows._base is None else both(rows)

    def both(rows):
        yield from rows._base_run(1 << 20)
        yield from rows._parts_run(1 << 20)

    in_order = table_fold._Rows.in_order
    monkeypatch.setattr(table_fold._Rows, "in_order", behind)
    with pytest.raises(AssertionError, match="neither the old table nor the new one"):
        life.publish()
    with pytest.raises(AssertionError, match="data is not that of a clean rebuild"):
        ends_as_a_clean_rebuild(life)


ALL = pytest.mark.faults
"""the 200 take minutes; a few of other seeds run with every test"""


@pytest.mark.parametrize(
    ("number", "kind", "histories"),
    [
        *(pytest.param(n, kind, 50, marks=ALL) for n, kind in enumerate(KINDS, start=1)),
        (5, "sorted", 5),
        (6, "polygons", 5),
    ],
)
def test_each_of_200_histories_ends_as_a_clean_rebuild_and_readers_see_old_or_new(
    benches, tmp_path, number, kind, histories
):
    @hypothesis.seed(number)
    @settings(QUICK, max_examples=histories)
    @given(HISTORIES)
    def lives(history):
        first, steps = history
        life = begun(benches, tmp_path, kind)
        life.publish(first)
        for changes, crash in steps:
            for what, place, seed in changes:
                change(life, what, place, seed)
            life.publish(crash)
        life.publish()
        assert ends_as_a_clean_rebuild(life)

    lives()
