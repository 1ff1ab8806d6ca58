"""Times of one file, from wherever they stand and put right by rule; held against xarray, pandas and the file's maker."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.file_time import date_told, moment_told
from rimrep_assets.domain.grid_axis import name_order
from rimrep_assets.domain.grid_file_time import put_right
from rimrep_assets.domain.grid_steps import FixTime
from rimrep_assets.domain.grid_time import DAY, HOUR, SECOND, STANDARD
from rimrep_assets_tests.domain.grid_bench import Published, Sample, grid_dataset, header_of

DAYS = [np.datetime64("2020-03-01T06:00"), np.datetime64("2020-03-02T06:00")]


def planes(tmp_path, values=(1.0, 2.0), dim: str | None = None, **variables: Any) -> list[Any]:
    """One file a day without a time coordinate: the day stands in its name and in an attribute."""
    paths = []
    for day, value in zip(DAYS, values, strict=True):
        dims = (*([dim] if dim else []), "lat", "lon")
        data = xr.Dataset(
            {
                "sst": (dims, np.full((1,) * (len(dims) - 2) + (2, 3), value, "f4")),
                "depth": (("lat", "lon"), np.ones((2, 3), "f4")),
            },
            {"lat": [1.0, 2.0], "lon": [3.0, 4.0, 5.0]},
            {"time_coverage_start": f"{day}:00Z", "made": pd.Timestamp(day).strftime("%d/%m/%Y %H:%M")},
        )
        for name, (units, make) in variables.items():
            data[name] = ((), make(day), {"units": units})
        paths.append(tmp_path / f"SST_{pd.Timestamp(day).strftime('%Y%j_%H')}.nc")
        data.to_netcdf(paths[-1])
    return paths


def proven(dataset, paths) -> xr.Dataset:
    grid = Published(dataset).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    return grid.xarray()


@pytest.mark.parametrize(
    "step",
    [
        {"attribute": "time_coverage_start"},
        {"attribute": "made", "format": "%d/%m/%Y %H:%M"},
        {"name": "SST_%Y%j_%H.nc"},
        {"name": "*_%Y%j_%H*"},
    ],
)
def test_files_without_a_time_become_a_series(tmp_path, step):
    seen = proven(grid_dataset(steps={"set_time": {**step, "only": ["sst"]}}), planes(tmp_path))
    assert seen["time"].values.tolist() == [d.astype("M8[ns]").astype(int) for d in DAYS]
    assert seen["sst"].dims == ("time", "lat", "lon")
    assert seen["sst"].values[:, 0, 0].tolist() == [1, 2]
    assert seen["depth"].dims == ("lat", "lon")
    assert seen["time"].attrs == {"standard_name": "time", "axis": "T"}


def test_without_only_every_data_variable_gets_the_time(tmp_path):
    seen = proven(grid_dataset(steps={"set_time": {"attribute": "time_coverage_start"}}), planes(tmp_path))
    assert seen["depth"].dims == ("time", "lat", "lon")


def test_a_dimension_of_one_that_the_file_has_is_its_time(tmp_path):
    seen = proven(grid_dataset(steps={"set_time": {"name": "SST_%Y%j_%H.nc"}}), planes(tmp_path, dim="time"))
    assert (seen["sst"].dims, seen["depth"].dims) == (("time", "lat", "lon"), ("lat", "lon"))


def test_the_time_may_stand_in_another_variable_without_a_dimension(tmp_path):
    def hours(day):
        return (day - np.datetime64("2020-01-01")) / np.timedelta64(1, "h")

    paths = planes(tmp_path, middle=("hours since 2020-01-01", hours))
    seen = proven(grid_dataset(steps={"set_time": {"variable": "middle"}}), paths)
    assert seen["time"].values.tolist() == [d.astype("M8[ns]").astype(int) for d in DAYS]
    assert "middle" not in seen.variables


def test_a_time_in_another_variable_replaces_the_one_that_has_the_name(tmp_path):
    path = Sample(times=[0, 0, 0]).write(tmp_path / "a.nc")
    with netCDF4.Dataset(str(path), "a") as file:
        true = file.createVariable("centre", "f8", ("time",))
        true.units, true.bounds = "days since 2020-01-01", "centre_bnds"
        file.createDimension("nv", 2)
        file.createVariable("centre_bnds", "f8", ("time", "nv"))[:] = [[0, 1], [1, 2], [2, 3]]
        file.variables["sst"].coordinates = "centre lat lon"
        true[:] = [0.5, 1.5, 2.5]
    dataset = grid_dataset(steps={"set_time": {"variable": "centre"}})
    seen = proven(dataset, [path])
    with xr.open_dataset(path) as source:
        np.testing.assert_array_equal(seen["time"].values, source["centre"].values)
        np.testing.assert_array_equal(seen["centre_bnds"].values, source["centre_bnds"].values)
        np.testing.assert_array_equal(seen["sst"].values, source["sst"].values)
    assert seen["sst"].encoding.get("coordinates", seen["sst"].attrs.get("coordinates")) == "time lat lon"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            {"attribute": "time_coverage_begin"},
            "no attribute 'time_coverage_begin'; did you mean 'time_coverage_start'?",
        ),
        ({"attribute": "made"}, "made is '01/03/2020 06:00', which is not a time ISO 8601"),
        ({"attribute": "made", "format": "%Y"}, "which is not a time as set_time.format '%Y' says"),
        ({"name": "CHL_%Y%j_%H.nc"}, "the file's name does not match 'CHL_%Y%j_%H.nc'"),
        ({"variable": "centre"}, "set_time.variable: there is no variable 'centre'"),
        ({"variable": "depth"}, "set_time.variable: 'depth' has dimensions ('lat', 'lon')"),
        (
            {"name": "SST_%Y%j_%H.nc", "only": ["sstt"]},
            "set_time.only: there is no variable 'sstt'; did you mean 'sst'?",
        ),
    ],
)
def test_a_time_that_does_not_stand_there_is_refused(tmp_path, step, words):
    with pytest.raises(DataError) as caught:
        header_of(planes(tmp_path)[0], grid_dataset(steps={"set_time": step}))
    assert words in str(caught.value)


def test_one_time_does_not_do_for_a_file_of_many_steps(tmp_path):
    path = Sample(times=[0, 1]).write(tmp_path / "a_2020.nc")
    with pytest.raises(DataError, match="set_time gives one time, but the file has 2 steps along 'time'"):
        header_of(path, grid_dataset(steps={"set_time": {"name": "a_%Y.nc"}}))


def test_a_time_that_the_other_reader_sees_otherwise_stops_the_grid(tmp_path):
    """The sample reads attributes with pandas; here the published axis is one hour late."""
    paths = planes(tmp_path)
    grid = Published(grid_dataset(steps={"set_time": {"attribute": "time_coverage_start"}})).to(*paths)
    times: Any = grid.group["time"]
    times[...] = times[...] + 3600
    told = [d for proof in grid.prove() for d in proof.differences]
    assert any("independent reader 2020-03-01T06:00" in d for d in told)
    assert any("expected 2020-03-01T06:00:00Z, published 2020-03-01T07:00:00Z" in d for d in told)


# Putting right


@pytest.mark.parametrize(
    ("times", "step", "positions"),
    [
        ([2, 0, 1], {"sort": True}, [1, 2, 0]),
        ([0, 1, 1, 2], {"duplicates": "first"}, [0, 1, 3]),
        ([0, 1, 1, 2], {"duplicates": "last"}, [0, 2, 3]),
        ([1, 0, 1, 0], {"duplicates": "last", "sort": True}, [3, 2]),
        ([0, 1, 0], {"duplicates": "first"}, [0, 1]),
    ],
)
def test_steps_are_sorted_and_taken_once_as_declared(tmp_path, times, step, positions):
    path = Sample(times=times).write(tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"time: position \d has 2020-01-0"):
        header_of(path, grid_dataset())
    seen = proven(grid_dataset(steps={"fix_time": step}), [path])
    with xr.open_dataset(path) as source:
        np.testing.assert_array_equal(seen["sst"].values, source["sst"].values[positions])
        np.testing.assert_array_equal(seen["time"].values, source["time"].values[positions])


def test_errors_of_rounding_are_rounded_away_and_other_times_refused(tmp_path):
    late = Sample(times=[0.0208333331, 0.0625000002], units="days since 2020-01-01").write(tmp_path / "a.nc")
    seen = proven(grid_dataset(steps={"fix_time": {"round": "PT30M"}}), [late])
    assert [str(t)[:19] for t in seen["time"].values] == ["2020-01-01T00:30:00", "2020-01-01T01:30:00"]
    with pytest.raises(DataError) as caught:
        header_of(late, grid_dataset(steps={"fix_time": {"round": "PT1H"}}))
    assert "position 0 has 2020-01-01T00:29:59.99998Z, which is farther than a tenth of PT1H from" in str(caught.value)


def test_rounding_that_makes_two_times_one_is_refused_unless_one_is_chosen(tmp_path):
    twice = Sample(times=[0, 1e-6, 1]).write(tmp_path / "a.nc")
    with pytest.raises(DataError, match="position 1 has 2020-01-01T00:00:00Z again"):
        header_of(twice, grid_dataset(steps={"fix_time": {"round": "PT1H"}}))
    rule = {"fix_time": {"round": "PT1H", "duplicates": "last"}}
    assert header_of(twice, grid_dataset(steps=rule)).file.positions == (1, 2)


@given(
    times=st.lists(st.integers(-20, 20), min_size=1),
    duplicates=st.sampled_from(["first", "last"]),
)
def test_sorting_and_taking_once_agrees_with_pandas(times, duplicates):
    step = FixTime.model_validate({"sort": True, "duplicates": duplicates})
    problems, fixed, positions = put_right([t * DAY for t in times], step, STANDARD)
    expected = pd.Series(range(len(times)), index=times).groupby(level=0).agg(duplicates)
    assert problems == []
    assert [t // DAY for t in fixed] == expected.index.tolist()
    assert list(positions or range(len(times))) == expected.tolist()


@given(st.integers(-(10**6), 10**6), st.integers(-400 * SECOND, 400 * SECOND))
def test_a_time_is_moved_to_the_nearest_step_or_refused(hours, off):
    step = FixTime(round="PT1H")
    problems, fixed, _ = put_right([hours * HOUR + off], step, STANDARD)
    assert fixed == (hours * HOUR,)
    assert bool(problems) == (abs(off) > 360 * SECOND)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)))
def test_names_tell_what_strftime_wrote(moment):
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    for pattern in ("a_%Y%m%dT%H%M%S*", "*/%Y/%j_%H-%M-%S.nc", "x%y%m%d%H%M%S"):
        name = whole.strftime(pattern).replace("*", "z")
        assert moment_told(pattern, name) == whole
        assert date_told(pattern, name) == whole.date()


@pytest.mark.parametrize("name", ["a_20201301.nc", "a_2020.nc", "b_20200101.nc", "a_20200101_20200102.nc"])
def test_a_name_that_tells_no_day_tells_nothing(name):
    assert moment_told("a_%Y%m%d.nc", name) is None
    assert moment_told("a_%Y%m%d_%Y%m%d.nc", name) is None


@pytest.mark.parametrize(
    ("older", "newer"),
    [("v9.nc", "v10.nc"), ("a.nc", "a_modified.nc"), ("2018-12.nc", "2018-12_modified.nc"), ("a1", "a01b")],
)
def test_names_are_sorted_as_people_count(older, newer):
    assert name_order(older) < name_order(newer)


def test_times_of_a_file_whose_name_has_odd_digits_can_be_sorted():
    assert sorted(["²", "2", "a2²"], key=name_order)


def test_a_late_edition_whose_steps_are_unsorted_is_written_where_they_belong(tmp_path):
    dataset = grid_dataset(steps={"fix_time": {"sort": True}}, layout={"chunks": {"time": 2}})
    base = Sample(times=[5, 1, 3])
    paths = [base.write(tmp_path / "a.nc"), replace(base, times=[4, 2, 0], base=70).write(tmp_path / "b.nc")]
    seen = proven(dataset, paths)
    with xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="minimal") as both:
        expected = both.sortby("time").load()
    np.testing.assert_array_equal(seen["sst"].values, expected["sst"].values)
    np.testing.assert_array_equal(seen["time"].values, expected["time"].values)


def test_a_day_that_stands_as_a_number_in_an_attribute_is_read_by_its_format(tmp_path):
    paths = planes(tmp_path)
    for path, day in zip(paths, (20200301, 20200302), strict=True):
        with netCDF4.Dataset(str(path), "a") as file:
            file.day = np.int32(day)
    dataset = grid_dataset(steps={"set_time": {"attribute": "day", "format": "%Y%m%d"}})
    found = proven(dataset, paths)["time"].values
    assert found.astype("M8[D]").tolist() == [np.datetime64("2020-03-01").item(), np.datetime64("2020-03-02").item()]
    with pytest.raises(DataError, match="day is the int32 20200301, which is not a time ISO 8601"):
        Published(grid_dataset(steps={"set_time": {"attribute": "day"}})).to(*paths)


@pytest.mark.parametrize("calendar", ["standard", "gregorian", None, "proleptic_gregorian"])
def test_a_series_that_reaches_beyond_1678_is_proven(tmp_path, calendar):
    path = Sample(times=[0, 1], units="days since 1582-10-15", calendar=calendar).write(tmp_path / "a.nc")
    found = proven(grid_dataset(), [path])["time"].values
    assert [moment.isoformat() for moment in found] == ["1582-10-15T00:00:00", "1582-10-16T00:00:00"]


def test_dates_of_the_julian_years_are_refused_because_readers_would_see_others(tmp_path):
    files = {
        calendar: Sample(times=[0], units="days since 1582-10-04", calendar=calendar).write(tmp_path / f"{calendar}.nc")
        for calendar in ("standard", "julian", "proleptic_gregorian")
    }
    with pytest.raises(DataError, match=r"time: has times before 1582-10-15, .* \(1582-10-14T00:00:00Z is the first"):
        header_of(files["standard"], grid_dataset())
    for calendar in ("julian", "proleptic_gregorian"):
        found = proven(grid_dataset(), [files[calendar]])["time"].values
        assert found[0].isoformat() == "1582-10-04T00:00:00"
