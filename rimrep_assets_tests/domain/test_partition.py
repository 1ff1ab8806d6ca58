"""Partitions: keys in order and without gaps, and the one partition to which a file's name belongs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.partition import Partition

NOW = datetime(2024, 3, 15, tzinfo=UTC)
DAYS = st.dates(date(1970, 1, 1), date(2068, 12, 31))
PATTERNS = {"day": "*_%Y%m%d.nc", "month": "%Y/%m/*.csv", "year": "*_%Y.csv"}
FORMS = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


def by(unit: str, start: date, file_time: str | None = None) -> Partition:
    return Partition(by=unit, start=start.strftime(FORMS[unit]), file_time=file_time or PATTERNS[unit])


@given(unit=st.sampled_from(["day", "month", "year"]), start=DAYS, more=st.integers(0, 900))
def test_keys_run_from_the_start_to_now_without_gaps(unit, start, more):
    until = start + timedelta(more)
    keys = by(unit, start).keys(datetime(until.year, until.month, until.day, tzinfo=UTC))
    days = {(start + timedelta(n)).strftime(FORMS[unit]) for n in range(more + 1)}
    assert keys == sorted(days)


@given(unit=st.sampled_from(["day", "month", "year"]), day=DAYS)
def test_a_files_name_tells_the_partition_that_holds_its_day(unit, day):
    name = {"day": f"a/b/sst_{day:%Y%m%d}.nc", "month": f"{day:%Y/%m}/x.csv", "year": f"x_{day:%Y}.csv"}[unit]
    assert by(unit, date(1970, 1, 1)).key_of(name) == day.strftime(FORMS[unit])


@given(day=DAYS)
def test_day_of_year_and_years_of_two_digits_are_understood(day):
    partition = Partition(by="day", start="1970-01-01", file_time="x%y%j*.nc")
    assert partition.key_of(f"x{day:%y%j}_v2.nc") == day.isoformat()


@pytest.mark.parametrize(
    "name", ["sst.nc", "sst_20241301.nc", "sst_2024130.nc", "sst_20240101.nc.tmp", "sst_20230229.nc"]
)
def test_a_name_without_a_date_belongs_to_no_partition(name):
    assert by("day", date(2020, 1, 1)).key_of(name) is None


def test_a_name_that_contradicts_itself_belongs_to_no_partition():
    partition = Partition(by="month", start="2020-01", file_time="%Y/*_%Y%m.csv")
    assert partition.key_of("2024/a_202402.csv") == "2024-02"
    assert partition.key_of("2023/a_202402.csv") is None


def test_all_files_outside_are_named_with_the_reason():
    partition = Partition(by="month", start="2024-02", end="2024-03", file_time="*_%Y-%m.csv")
    with pytest.raises(DataError) as told:
        partition.keys_of(["a_2024-02.csv", "a_2024-01.csv", "a_2024-04.csv", "readme.txt"])
    assert [problem.split(" ")[0] for problem in told.value.problems] == [
        "a_2024-01.csv",
        "a_2024-04.csv",
        "readme.txt",
    ]
    assert "before partition.start 2024-02" in str(told.value) and "after partition.end 2024-03" in str(told.value)


def test_picking_takes_the_files_of_the_named_partitions_alone():
    partition = Partition(by="month", start="2024-01", file_time="*_%Y-%m.csv")
    names = ["a_2024-01.csv", "b_2024-01.csv", "a_2024-02.csv"]
    assert partition.picking(["2024-01"])(names) == {"a_2024-01.csv", "b_2024-01.csv"}
    assert partition.picking(None)(names) == set(names)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"by": "month", "start": "2024", "file_time": "%Y%m"}, "partition.start '2024' is not written like 2010-09"),
        ({"by": "month", "start": "2024-1", "file_time": "%Y%m"}, "is not written like"),
        ({"by": "day", "start": "2024-01-01", "file_time": "%Y%m"}, "does not tell the day"),
        ({"by": "year", "start": "2024", "file_time": "*.nc"}, "does not tell the year"),
        ({"by": "year", "start": "2024", "file_time": "%Y%q"}, "%q cannot be used"),
        ({"by": "year", "start": "2024", "end": "2020", "file_time": "%Y"}, "lies before partition.start"),
        ({"by": "week", "start": "2024", "file_time": "%Y"}, "'day', 'month' or 'year'"),
        ({"by": "year", "start": "2024"}, "Field required"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(keys, told):
    with pytest.raises(ValidationError, match=told):
        Partition(**keys)


def test_a_partition_that_has_ended_has_no_key_after_its_end():
    assert Partition(by="year", start="2010", end="2012", file_time="%Y").keys(NOW) == ["2010", "2011", "2012"]


def test_a_partition_that_begins_in_the_future_has_no_key_yet():
    assert Partition(by="year", start="2030", file_time="%Y").keys(NOW) == []


MONTHLY = Partition(by="month", start="2023-11", end="2024-02", file_time="*_%Y-%m.csv")
DAILY = Partition(by="day", start="2024-03-10", file_time="*_%Y%m%d.nc")


@pytest.mark.parametrize(
    ("partition", "told", "found"),
    [
        (MONTHLY, "2024-01", ("2024-01", "2024-01")),
        (MONTHLY, "2024", ("2024-01", "2024-02")),
        (MONTHLY, "2023...2024-01", ("2023-11", "2024-01")),
        (MONTHLY, "2020...2030", ("2023-11", "2024-02")),
        (DAILY, "2024-03", ("2024-03-10", "2024-03-15")),
        (DAILY, "2024-03-12...2024", ("2024-03-12", "2024-03-15")),
    ],
)
def test_a_range_takes_whole_years_and_months(partition, told, found):
    assert partition.range_of(told, NOW) == found


@pytest.mark.parametrize(
    ("partition", "told", "why"),
    [
        (MONTHLY, "2024-02...2023-12", "ends before it begins: write 2023-12...2024-02"),
        (MONTHLY, "2024...2023-12", "ends before it begins"),
        (MONTHLY, "2023-11..2024-01", "a range is written with three dots: 2023-11...2024-01"),
        (MONTHLY, "2024-13", "'2024-13' is not a month like 2023-11, or what holds several, like 2023"),
        (MONTHLY, "2024-01-05", "'2024-01-05' is not a month like 2023-11"),
        (MONTHLY, "2024-01...", "'' is not a month"),
        (MONTHLY, "", "'' is not a month"),
        (MONTHLY, "january", "'january' is not a month"),
        (MONTHLY, "2025", "there is no partition in '2025'"),
        (DAILY, "2024-02-30", "'2024-02-30' is not a day like 2024-03-10, or what holds several, like 2024-03 or 2024"),
    ],
)
def test_a_range_that_is_none_is_told_why_and_which_partitions_there_are(partition, told, why):
    with pytest.raises(DefinitionError) as refused:
        partition.range_of(told, NOW)
    keys = partition.keys(NOW)
    assert why in str(refused.value)
    assert f"its partitions are {keys[0]} to {keys[-1]}, one a {partition.by}" in str(refused.value)


def test_a_dataset_that_begins_later_has_no_partition_yet():
    with pytest.raises(DefinitionError, match=r"no partition yet: partition.start 2030-01-01"):
        Partition(by="day", start="2030-01-01", file_time="%Y%m%d.nc").range_of("2030", NOW)


@given(DAYS, st.text(alphabet="0123456789-.", max_size=24))
def test_whatever_is_told_is_a_range_of_keys_or_refused(start, told):
    partition = by("month", start)
    keys = partition.keys(datetime(2069, 1, 1, tzinfo=UTC))
    try:
        first, last = partition.range_of(told, datetime(2069, 1, 1, tzinfo=UTC))
    except DefinitionError:
        return
    assert first in keys and last in keys and first <= last
