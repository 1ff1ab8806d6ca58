"""Data must reach the platform in a way that fits how often it changes."""

from __future__ import annotations

import pytest
import yaml

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_YAML


def parsed(document: dict, folder: str):
    return dataset_from_yaml(yaml.safe_dump(document), folder=folder)


def uploaded(expected: str | None, **source: object) -> dict:
    return {
        **TABLE_YAML,
        "source": {**TABLE_YAML["source"], "upload": True, **source},
        "update": {"expected": expected} if expected else {},
    }


@pytest.mark.parametrize("expected", ["hourly", "daily", "weekly", "monthly"])
def test_what_changes_more_often_than_yearly_cannot_be_uploaded_by_hand(expected):
    with pytest.raises(DefinitionError, match=rf"expected {expected} cannot be uploaded by hand.*kind: http"):
        parsed(uploaded(expected), TABLE)


@pytest.mark.parametrize("expected", ["yearly", "never", None])
def test_what_rarely_changes_may_be_uploaded_by_hand(expected):
    assert parsed(uploaded(expected), TABLE).source.upload


@pytest.mark.parametrize("expected", ["hourly", "daily", "weekly", "monthly"])
def test_a_local_folder_that_nobody_calls_an_upload_may_change_often(expected):
    """A provider's folder may be mounted here; only a declared upload is one."""
    assert not parsed({**TABLE_YAML, "update": {"expected": expected}}, TABLE).source.upload


def test_an_upload_is_a_folder_of_this_platform():
    with pytest.raises(DefinitionError, match=r"source\.upload belongs to kind: local"):
        parsed(uploaded("never", kind="http", url="https://data.example.org/"), TABLE)


def grid(expected: str, by: str, file_time: str) -> dict:
    start = {"day": "2024-01-01", "month": "2024-01", "year": "2024"}[by]
    partition = {"by": by, "start": start, "file_time": file_time}
    return {**GRID_YAML, "partition": partition, "update": {"expected": expected}}


@pytest.mark.parametrize(("by", "file_time"), [("year", "*_%Y.nc"), ("month", "*_%Y%m.nc")])
def test_a_daily_grid_in_files_of_a_month_or_a_year_is_refused(by, file_time):
    with pytest.raises(DefinitionError, match=r"files of a day or less.*tells no day"):
        parsed(grid("daily", by, file_time), GRID)


@pytest.mark.parametrize(
    ("expected", "by", "file_time"),
    [
        ("daily", "year", "*_%Y%m%d.nc"),
        ("hourly", "day", "*_%Y%j.nc"),
        ("monthly", "month", "*_%Y%m.nc"),
        ("yearly", "year", "*_%Y.nc"),
    ],
)
def test_a_grid_in_files_as_fine_as_its_updates_is_taken(expected, by, file_time):
    assert parsed(grid(expected, by, file_time), GRID).partition is not None


def test_an_agreement_that_is_still_a_guess_is_refused():
    limited = {**TABLE_YAML, "access": "limited", "data_sharing_agreement": "(guess) the reference"}
    with pytest.raises(DefinitionError, match=r"data_sharing_agreement.*still a guess of `rimrep init`"):
        parsed(limited, TABLE)
