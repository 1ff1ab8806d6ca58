"""Bounds of the time axis become times in its published units; what is expected is what xarray reads in the sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import grid_time_bounds
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_growth import grown
from rimrep_assets.domain.grid_proof import WHOLE
from rimrep_assets.domain.grid_sample import choose
from rimrep_assets.domain.gridded import unite
from rimrep_assets_tests.domain.grid_bench import Published, Sample, grid_dataset, header_of, told

SECONDS, MICROSECONDS = (f"{step} since 1970-01-01 00:00:00" for step in ("seconds", "microseconds"))


@dataclass
class Bounded:
    """A small file whose times lie in the middle of their bounds, which count as the time does unless told."""

    days: Sequence[float]
    bounds: Sequence[Sequence[float]] | None = None
    """by default half a day around each time"""
    units: str = "days since 2024-01-01"
    calendar: str | None = "standard"
    name: str = "time_bnds"
    attribute: str = "bounds"
    own: dict[str, Any] = field(default_factory=dict)
    """attributes of the bounds themselves"""
    dtype: str = "f8"
    base: int = 0

    def write(self, path: Path) -> Path:
        Sample(times=self.days, units=self.units, calendar=self.calendar, base=self.base).write(path)
        numbers = self.bounds if self.bounds is not None else [[day - 0.5, day + 0.5] for day in self.days]
        with netCDF4.Dataset(str(path), "a") as file:
            file["time"].setncattr(self.attribute, self.name)
            file.createDimension("nv", 2)
            own = dict(self.own)
            bounds = file.createVariable(self.name, self.dtype, ("time", "nv"), fill_value=own.pop("_FillValue", None))
            bounds.set_auto_maskandscale(False)
            bounds.setncatts(own)
            bounds[:] = np.asarray(numbers)
        return path


def in_source(path: Path, name: str = "time_bnds", axis: str = "time") -> np.ndarray:
    """The bounds as xarray reads them, with units and calendar of their axis where they have none."""
    with xr.open_dataset(path, decode_times=False, mask_and_scale=False) as source:
        given = {k: source[axis].attrs[k] for k in ("units", "calendar") if k in source[axis].attrs}
        bounds = xr.Variable(source[name].dims, source[name].values, {**given, **source[name].attrs})
        return xr.conventions.decode_cf_variable(name, bounds).values


def assert_read_as_sources(published: Published, *paths: Path, name: str = "time_bnds") -> np.ndarray:
    """The proof holds, readers see the sources' times, and bounds count as their axis does; the bounds, decoded."""
    assert told(published) == {}
    with published.xarray() as seen:
        found: np.ndarray = seen[name].values
        np.testing.assert_array_equal(found, np.concatenate([in_source(path, name) for path in paths]))
    stored, axis = (dict(published.group[n].attrs) for n in (name, "time"))
    assert {k: stored[k] for k in ("units", "calendar")} == {k: axis[k] for k in ("units", "calendar")}
    return found


def per_file(folder: Path, *days: int, **bends: Any) -> list[Path]:
    """A file a day, each with units of its own."""
    return [
        Bounded([0.5], units=f"days since 2024-01-{1 + day:02d}", base=day, **bends).write(folder / f"{day}.nc")
        for day in days
    ]


def test_bounds_in_files_with_units_of_their_own_are_the_times_that_xarray_reads_in_them(tmp_path):
    paths = per_file(tmp_path, 0, 2, 3)
    published = Published(grid_dataset(layout={"chunks": {"time": 2}})).to(*paths)
    found = assert_read_as_sources(published, *paths)
    assert found[1].astype("M8[s]").tolist() == np.array(["2024-01-03", "2024-01-04"], "M8[s]").tolist()
    array = published.group["time_bnds"]
    assert (array.dtype, array.attrs["units"]) == (np.dtype("int64"), SECONDS)
    assert "_FillValue" not in array.attrs


def test_ranges_of_times_in_a_file_are_not_those_of_the_published_numbers(tmp_path):
    path = Bounded([0.5], own={"valid_range": [0.0, 1.0], "long_name": "bounds"}).write(tmp_path / "a.nc")
    with netCDF4.Dataset(str(path), "a") as file:
        file["time"].valid_max = 1.0
    group = Published(grid_dataset()).to(path).group
    assert set(group["time_bnds"].attrs) == {"long_name", "units", "calendar"}
    assert "valid_max" not in group["time"].attrs


def test_files_with_units_of_their_own_share_a_layout_so_that_a_day_more_needs_no_other_file(tmp_path):
    dataset = grid_dataset()
    headers = [header_of(path, dataset) for path in per_file(tmp_path, 0, 1, 2)]
    assert len({header.file.layout for header in headers}) == 1
    state = grown(unite(headers[:2], dataset), headers[2:], dataset)
    assert state is not None
    assert state.to_json() == unite(headers, dataset).to_json()


@pytest.mark.parametrize("own", [{}, {"units": "hours since 2024-01-01 00:00:00 +10"}], ids=["the axis'", "own"])
def test_a_zone_in_the_units_is_honoured_in_bounds_too(tmp_path, own):
    hours = [[24.0, 48.0], [48.0, 72.0]] if own else None
    paths = [
        Bounded([1.5, 2.5], hours, units="days since 2024-01-01 00:00:00 +10", own=own).write(tmp_path / "a.nc"),
        Bounded([3.5], [[96.0, 120.0]] if own else None, units="days since 2024-01-02 00:00:00 +10", own=own).write(
            tmp_path / "b.nc"
        ),
    ]
    found = assert_read_as_sources(Published(grid_dataset()).to(*paths), *paths)
    assert str(found[0, 0].astype("M8[s]")) == "2024-01-01T14:00:00"


def test_bounds_of_another_calendar_keep_it_and_its_units(tmp_path):
    thirty = {"units": "days since 1850-01-01", "calendar": "360_day"}
    paths = [
        Bounded([15.0, 45.25], [[0, 30], [30, 60.5]], **thirty).write(tmp_path / "a.nc"),
        Bounded([75.0], [[60 * 24, 90 * 24]], own={"units": "hours since 1850-01-01"}, **thirty).write(
            tmp_path / "b.nc"
        ),
    ]
    published = Published(grid_dataset()).to(*paths)
    found = assert_read_as_sources(published, *paths)
    assert (found[1, 0].month, found[1, 0].day, found[1, 0].calendar) == (2, 1, "360_day")
    np.testing.assert_array_equal(published.group["time_bnds"][...], [[0, 30], [30, 60.5], [60, 90]])
    assert published.group["time_bnds"].attrs["units"] == "days since 1850-01-01 00:00:00"


@pytest.mark.parametrize("late", [[3.5 + 0.1 / 86400], [3.5]], ids=["a time", "bounds alone"])
def test_a_file_that_makes_the_axis_finer_moves_the_numbers_of_all_bounds_and_so_does_its_withdrawal(tmp_path, late):
    paths = per_file(tmp_path, 0, 1)
    fine = Bounded(late, [[3, 4 - 0.25 / 86400]]).write(tmp_path / "c.nc")
    dataset = grid_dataset(layout={"chunks": {"time": 2}})
    published = Published(dataset).to(*paths)
    assert published.group["time_bnds"].attrs["units"] == SECONDS
    published.to(*paths, fine)
    assert published.group["time_bnds"].attrs["units"] == MICROSECONDS
    assert told(published) == {}
    with published.xarray() as seen:
        wanted = np.concatenate([in_source(path) for path in [*paths, fine]]).astype("M8[us]")
        apart = np.abs(seen["time_bnds"].values.astype("M8[us]") - wanted)
        assert apart.max() <= np.timedelta64(1, "us")
        assert seen["time_bnds"].values[-1, 1].astype("M8[us]") == np.datetime64("2024-01-04T23:59:59.750000")
    assert published.content() == Published(dataset).to(*paths, fine).content()
    published.to(*paths)
    assert published.content() == Published(dataset).to(*paths).content()


EDITIONS = st.dictionaries(st.integers(0, 6), st.integers(0, 3), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories=st.lists(EDITIONS, min_size=2, max_size=4), cadence=st.sampled_from([None, "P1D"]))
def test_any_history_of_bounds_ends_as_a_clean_build_does_and_is_proven(tmp_path_factory, histories, cadence):
    folder = tmp_path_factory.mktemp("history")
    layout = {"chunks": {"time": 3, "lat": 2}, **({"cadence": cadence} if cadence else {})}
    dataset = grid_dataset(layout=layout)
    published = Published(dataset)
    for history in histories:
        paths = [_edition(folder, day, edition) for day, edition in sorted(history.items())]
        published.to(*paths)
        assert told(published) == {}
    assert published.content() == Published(dataset).to(*paths).content()


def _edition(folder: Path, day: int, edition: int) -> Path:
    """Edition 1 has fine bounds, edition 2 lacks one, edition 3 packs them."""
    path, units = folder / f"{day}-{edition}.nc", f"days since 2024-01-{1 + day:02d}"
    if not path.exists():
        bends: list[dict[str, Any]] = [
            {},
            {"bounds": [[0.0, 1 - 0.5 / 86400]]},
            {"bounds": [[0.0, np.nan]]},
            {"bounds": [[0, 24]], "dtype": "i2", "own": {"units": f"hours since 2024-01-{1 + day:02d}"}},
        ]
        Bounded([0.5], units=units, base=100 * day + edition, **bends[edition]).write(path)
    return path


@pytest.mark.parametrize("calendar", ["standard", "360_day"])
def test_times_without_a_file_have_no_bounds(tmp_path, calendar):
    paths = [Bounded([day + 0.5], calendar=calendar, base=day).write(tmp_path / f"{day}.nc") for day in (0, 1, 3)]
    published = Published(grid_dataset(layout={"cadence": "P1D", "chunks": {"time": 2}})).to(*paths)
    assert told(published) == {}
    with xr.open_zarr(published.store, consolidated=False, decode_times=False) as seen:
        numbers = seen["time_bnds"].values
    assert np.isnan(numbers).tolist() == [[False] * 2] * 2 + [[True] * 2] + [[False] * 2]
    with published.xarray() as seen:
        found = seen["time_bnds"].values[[0, 1, 3]]
        np.testing.assert_array_equal(found, np.concatenate([in_source(path) for path in paths]))
        if calendar == "standard":
            assert np.isnat(seen["time_bnds"].values[2]).all()


@pytest.mark.parametrize("own", [{"_FillValue": -1.0}, {"missing_value": -1.0}], ids=["fill", "missing"])
def test_what_is_no_time_in_a_file_stays_none(tmp_path, own):
    paths = [
        Bounded([0.5, 1.5], [[0, 1], [-1, 2]], own=own).write(tmp_path / "a.nc"),
        Bounded([2.5]).write(tmp_path / "b.nc"),
    ]
    found = assert_read_as_sources(Published(grid_dataset()).to(*paths), *paths)
    assert np.isnat(found).tolist() == [[False, False], [True, False], [False, False]]


def test_packed_bounds_are_unpacked_before_they_are_times(tmp_path):
    own = {"scale_factor": 0.25, "add_offset": 10.0, "_FillValue": np.int32(-9)}
    path = Bounded([10.5, 12], [[0, 4], [-9, 11]], dtype="i4", own=own).write(tmp_path / "a.nc")
    assert_read_as_sources(Published(grid_dataset()).to(path), path)


def test_whole_microseconds_are_kept_to_the_last(tmp_path):
    """As float64 they would be rounded from the year 2255 on."""
    last = 9_100_000_000_000_001
    own = {"units": MICROSECONDS}
    path = Bounded([0.5], [[last, last + 1]], dtype="i8", own=own).write(tmp_path / "a.nc")
    published = Published(grid_dataset(layout={"cadence": "P1D"})).to(path)
    assert published.group["time_bnds"][...].tolist() == [[last, last + 1]]
    assert_read_as_sources(published, path)


def test_a_climatology_is_read_as_times_although_xarray_gives_it_no_units_by_itself(tmp_path):
    paths = [
        Bounded(
            [15.0], [[0, 366 + 31]], units=f"days since 202{year}-01-01", name="clima", attribute="climatology"
        ).write(tmp_path / f"{year}.nc")
        for year in (0, 4)
    ]
    found = assert_read_as_sources(Published(grid_dataset()).to(*paths), *paths, name="clima")
    assert found.dtype.kind == "M"


def test_a_rounded_axis_leaves_its_bounds_exact(tmp_path):
    path = Bounded([0.5000001, 1.5], [[1e-6, 1], [1, 2]]).write(tmp_path / "a.nc")
    published = Published(grid_dataset(steps={"fix_time": {"round": "PT1H"}})).to(path)
    with published.xarray() as seen:
        assert str(seen["time"].values[0].astype("M8[us]")) == "2024-01-01T12:00:00.000000"
        assert str(seen["time_bnds"].values[0, 0].astype("M8[us]")) == "2024-01-01T00:00:00.086400"
    assert told(published) == {}


def test_bounds_of_a_single_time_without_a_dimension_get_it_with_the_time(tmp_path):
    paths = [tmp_path / f"{day}.nc" for day in (0, 1)]
    for day, path in enumerate(paths):
        with xr.open_dataset(Bounded([0.5], base=day).write(path), decode_cf=False) as source:
            plane = source.load().isel(time=0)
        plane["time"].attrs["units"] = f"days since 2024-01-{1 + day:02d}"
        plane.rename(time="middle").to_netcdf(path)
    published = Published(grid_dataset(steps={"set_time": {"variable": "middle"}})).to(*paths)
    assert told(published) == {}
    with published.xarray() as seen:
        assert seen["time_bnds"].dims == ("time", "nv")
        wanted = np.stack([in_source(path, axis="middle") for path in paths])
        np.testing.assert_array_equal(seen["time_bnds"].values, wanted)


@pytest.mark.parametrize("calendar", ["standard", "360_day"])
def test_a_conversion_that_is_off_by_one_step_is_seen_by_the_independent_reader(tmp_path, monkeypatch, calendar):
    encode = grid_time_bounds.encode_times
    monkeypatch.setattr(grid_time_bounds, "encode_times", lambda *given: encode(*given) + 1)
    paths = [Bounded([day + 0.5], calendar=calendar).write(tmp_path / f"{day}.nc") for day in (0, 1)]
    found = told(Published(grid_dataset()).to(*paths))
    assert set(found) == {"0.nc", "1.nc"}
    assert all(
        "time_bnds at 2024-01-0" in words and "independent reader 2024-01-0" in words for words in found.values()
    )


def test_a_zone_that_is_overlooked_is_seen_by_the_independent_reader(tmp_path, monkeypatch):
    parse = grid_time_bounds.parse_units
    monkeypatch.setattr(
        grid_time_bounds, "parse_units", lambda units, calendar: parse(units.replace(" +10", ""), calendar)
    )
    path = Bounded([0.5], units="days since 2024-01-01 00:00:00 +10").write(tmp_path / "a.nc")
    assert "independent reader 2023-12-31T14:00:00" in told(Published(grid_dataset()).to(path))["a.nc"]


def test_of_every_file_the_bounds_are_looked_at_beside_one_other_variable(tmp_path):
    state = Published(grid_dataset()).to(*per_file(tmp_path, 0, 1)).state
    picks = choose(state, [0], 1, lambda digest, name: {})[0]
    assert sorted(pick.file.name for pick in picks if pick.name == "time_bnds") == ["0.nc", "1.nc"]
    assert len(picks) == 4


def test_changed_bounds_and_units_that_are_not_the_axis_are_named(tmp_path):
    published = Published(grid_dataset()).to(*per_file(tmp_path, 0, 1))
    array = published.group["time_bnds"]
    array[1, 0] += 1
    assert "time_bnds" in told(published)["1.nc"]
    array[1, 0] -= 1
    array.attrs.put({**array.attrs, "units": "seconds since 1971-01-01 00:00:00"})
    assert "time_bnds: bounds in ['seconds since 1971-01-01 00:00:00'" in told(published)[WHOLE]


@pytest.mark.parametrize(
    ("bends", "words"),
    [
        ({"own": {"units": "1"}}, "units '1' are not like 'days since 1990-01-01 00:00:00'"),
        ({"own": {"calendar": "360_day"}}, "calendar 360_day, the axis has proleptic_gregorian"),
        ({"bounds": [[0, 9.969209968386869e36]]}, "9.969209968386869e+36 is no time"),
        ({"bounds": [[0, np.inf]]}, "no number at position"),
        ({"bounds": [[-200_000, 1]]}, "has times before 1582-10-15, which its calendar counts by Julian years"),
    ],
)
def test_bounds_that_cannot_be_decoded_are_refused_with_the_rule_that_leaves_them_out(tmp_path, bends, words):
    path = Bounded([0.5], **bends).write(tmp_path / "a.nc")
    with pytest.raises(DataError) as refused:
        header_of(path, grid_dataset())
    assert f"a.nc: time_bnds: bounds of time that cannot be decoded: {words}" in str(refused.value)
    assert "read_netcdf: {drop: [time_bnds]} leaves them out" in str(refused.value)
    published = Published(grid_dataset(steps={"read_netcdf": {"drop": ["time_bnds"]}})).to(path)
    assert told(published) == {}
    assert "bounds" not in published.group["time"].attrs


def test_bounds_of_which_one_file_says_that_they_are_none_are_refused(tmp_path):
    paths = per_file(tmp_path, 0, 1)
    with netCDF4.Dataset(str(paths[1]), "a") as file:
        file["time"].delncattr("bounds")
    with pytest.raises(DataError, match="bounds of the time axis"):
        Published(grid_dataset()).to(*paths)


def test_bounds_with_gaps_farther_away_than_readers_can_tell_are_refused(tmp_path):
    paths = [
        Bounded([day + 0.5], units="days since 1500-01-01", calendar="proleptic_gregorian").write(
            tmp_path / f"{day}.nc"
        )
        for day in (0, 1, 3)
    ]
    with pytest.raises(DataError, match=r"time_bnds: bounds of time that lack .* 1678 to 2261 .*1500-01-01"):
        Published(grid_dataset(layout={"cadence": "P1D"})).to(*paths)
    published = Published(grid_dataset()).to(*paths)
    assert_read_as_sources(published, *paths)


def test_files_on_both_sides_of_1678_are_proven_although_xarray_names_their_times_differently(tmp_path):
    paths = [
        Bounded([0.5], units=f"days since {year}-01-01", calendar="proleptic_gregorian").write(tmp_path / f"{year}.nc")
        for year in (1500, 1677, 1679)
    ]
    published = Published(grid_dataset()).to(*paths)
    assert told(published) == {}
    published.group["time_bnds"][2, 0] += 1
    assert "independent reader 1679-01-01T00:00:00" in told(published)["1679.nc"]
