"""What a dataset lacks is said in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rimrep_assets.domain.completeness import missing_times, undone
from rimrep_assets_tests.domain.documents import CURATED, GRID_FACTS, TABLE_FACTS, dataset, grid_dataset, table_package

SCHEDULED = {"schedule": "15 2 * * *", "expected": "daily"}
LONG = "Water temperature at reefs of the Great Barrier Reef, " * 3


def test_a_finished_dataset_lacks_nothing():
    package = table_package(curated={**CURATED, "description": LONG})
    assert undone(dataset(update=SCHEDULED), package) == []
    assert undone(dataset(update={"expected": "never"}), package) == []


@pytest.mark.parametrize(
    ("change", "update", "words"),
    [
        ({"licenses": [{"name": "CC0-1.0"}]}, SCHEDULED, "no address of the licence's text"),
        ({"citation": ""}, SCHEDULED, "no citation"),
        ({"contributors": [{"title": "A", "roles": ["producer"]}]}, SCHEDULED, "no contact"),
        ({"contributors": [{"title": "A", "roles": ["contact"], "email": "a@b"}]}, SCHEDULED, "producer or licensor"),
        ({"description": "Short."}, SCHEDULED, "fewer than 100 characters"),
        ({"keywords": []}, SCHEDULED, "no keywords"),
        ({"themes": []}, SCHEDULED, "no themes"),
        ({"sources": []}, SCHEDULED, "no link to the original data"),
        ({}, {"schedule": "15 2 * * *"}, "update.expected is not set"),
        ({}, {"expected": "daily"}, "update.schedule is not set"),
    ],
)
def test_each_thing_that_is_not_done_is_named(change, update, words):
    package = {**table_package(curated={**CURATED, "description": LONG}), **change}
    (finding,) = undone(dataset(update=update), package)
    assert words in finding


def test_without_a_licence_its_name_and_its_text_are_missing():
    package = {**table_package(curated={**CURATED, "description": LONG}), "licenses": []}
    found = undone(dataset(update=SCHEDULED), package)
    assert found == ["no licence", "no address of the licence's text (licenses[].path)"]


def test_times_that_no_source_file_covers_are_named_and_the_rest_is_counted():
    now = datetime(2023, 1, 3, 13, tzinfo=UTC)
    assert missing_times(GRID_FACTS, grid_dataset(), now) == ["no data for 2023-01-02T12:00:00Z"]
    many = GRID_FACTS.model_copy(update={"missing_times": tuple(f"t{i}" for i in range(25))})
    found = missing_times(many, grid_dataset(), now)
    assert len(found) == 21
    assert found[-1] == "no data for 5 more times"


@pytest.mark.parametrize(
    ("expected", "now", "late"),
    [
        ("daily", datetime(2020, 1, 7, 0, 0, tzinfo=UTC), False),
        ("daily", datetime(2020, 1, 7, 0, 1, tzinfo=UTC), True),
        ("hourly", datetime(2020, 1, 5, 2, 1, tzinfo=UTC), True),
        ("weekly", datetime(2020, 1, 18, tzinfo=UTC), False),
        ("monthly", datetime(2020, 3, 10, tzinfo=UTC), True),
        ("yearly", datetime(2021, 12, 31, tzinfo=UTC), False),
        ("never", datetime(2090, 1, 1, tzinfo=UTC), False),
        (None, datetime(2090, 1, 1, tzinfo=UTC), False),
        ("daily", datetime(2020, 1, 8), True),
    ],
)
def test_data_is_late_after_two_periods(expected, now, late):
    found = missing_times(TABLE_FACTS, dataset(update={"expected": expected}), now)
    assert bool(found) == late
    if late:
        assert f"expected {expected}, and the newest is of 2020-01-05T00:00:00Z" in found[0]


def test_expected_data_without_any_time_is_said():
    empty = TABLE_FACTS.model_copy(update={"start": None, "end": None})
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert missing_times(empty, dataset(update={"expected": "daily"}), now) == [
        "data is expected daily, and it holds no time at all"
    ]
