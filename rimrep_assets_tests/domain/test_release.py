"""Numbers, retention and growth of releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.facts import DimensionFacts, Facts
from rimrep_assets.domain.release import Check, Verdict, newest_release, release_number, retention, shrinks

numbers = st.sets(st.integers(1, 40), max_size=12)


@given(numbers=numbers, new=st.integers(1, 50))
def test_the_newest_three_are_kept_and_the_rest_is_named_as_dropped(numbers, new):
    kept, dropped = retention(numbers, new)
    assert sorted((*kept, *dropped)) == sorted({*numbers, new})
    assert len(kept) == min(3, len({*numbers, new}))
    assert all(k > d for k in kept for d in dropped)


@pytest.mark.parametrize(
    "path", ["d/releases/01.json", "d/releases/1.txt", "d/releases/x.json", "d/releases/1.json.tmp"]
)
def test_what_is_no_record_has_no_number(path):
    assert release_number(path) is None


def test_the_newest_release_is_the_highest_number_not_the_last_name():
    assert newest_release([f"d/releases/{n}.json" for n in (1, 10, 9, 2)]) == 10
    assert newest_release([]) is None


def facts(rows: int | None = None, end: str | None = None, **sizes: int) -> Facts:
    dimensions = {n: DimensionFacts(size=s, type="other") for n, s in sizes.items()}
    return Facts(format="parquet", row_count=rows, end=end, start="2024", dimensions=dimensions)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, facts(1), False),
        (facts(5), facts(5), False),
        (facts(5), facts(6), False),
        (facts(5), facts(4), True),
        (facts(end="2025"), facts(end="2024"), True),
        (facts(time=3), facts(time=4), False),
        (facts(time=3), facts(time=2), True),
        (facts(time=3), facts(), True),
    ],
)
def test_a_release_shrinks_when_a_reader_of_the_old_could_ask_for_what_is_gone(old, new, expected):
    assert shrinks(old, new) is expected


def test_a_warning_does_not_stop_a_release_and_an_error_does():
    warned = Check(name="complete", passed=False, severity="warning", findings=("2024-01-02 is missing",))
    failed = Check(name="values_match_source", passed=False, findings=("row 3", "row 4"))
    assert Verdict(dataset="d", candidate="x", checks=(warned,)).passed
    verdict = Verdict(dataset="d", candidate="x", checks=(warned, failed))
    assert not verdict.passed
    assert verdict.refusals() == ["values_match_source: row 3", "values_match_source: row 4"]
