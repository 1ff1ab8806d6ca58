"""Reading headers and uniting them: small files bent in one place each, and real ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import netCDF4
import numpy as np
import pytest

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.gridded import read_header, unite
from rimrep_assets_tests.domain.grid_bench import LAT, Sample, grid_dataset, header_of

GSLA = "data/a_gridded/gsla/IMOS_OceanCurrent_HV_{}T000000Z_GSLA_FV02_NRT.nc"
IMOS = {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}


def united(tmp_path, dataset, *samples) -> GridState:
    paths = [s.write(tmp_path / f"{n}.nc") for n, s in enumerate(samples)]
    return unite([header_of(p, dataset) for p in paths], dataset)


def refusal(tmp_path, dataset, *samples) -> str:
    with pytest.raises(DataError) as caught:
        united(tmp_path, dataset, *samples)
    return str(caught.value)


def test_a_header_says_times_layout_and_what_packs(tmp_path):
    path = Sample(times=[0, 1.5], units="days since 2020-01-01 10:00 +10").write(tmp_path / "a.nc")
    header = header_of(path, grid_dataset())
    assert [str(np.datetime64(t, "us"))[:16] for t in header.file.times] == ["2020-01-01T00:00", "2020-01-02T12:00"]
    sst = header.layout.variables["sst"]
    assert (sst.dims, sst.dtype, sst.role) == (("time", "lat", "lon"), "int16", "data")
    assert sst.packing.scale.numpy() == np.float64(0.01)
    assert sst.packing.fill.numpy() == np.int16(-999)
    assert header.layout.variables["lat"].sha256 == hashlib.sha256(LAT.astype("<f8").tobytes()).hexdigest()
    assert header.layout.variables["depth"].sha256 is not None
    assert header.layout.variables["flag"].sha256 is None


def test_time_first_whatever_the_order_in_the_file(tmp_path):
    path = Sample(times=[0, 1], dims=("lat", "lon", "time")).write(tmp_path / "a.nc")
    assert header_of(path, grid_dataset()).layout.variables["sst"].dims == ("time", "lat", "lon")


def test_every_problem_of_a_file_is_told_at_once(tmp_path):
    path = Sample(times=[2, 1, 1]).write(tmp_path / "a.nc")
    dataset = grid_dataset(
        coordinates={"x": "long", "y": "lat", "t": "time"},
        steps={"read_netcdf": {"drop": ["flagg"]}, "rename": {"dept": "z"}},
    )
    with pytest.raises(DataError) as caught:
        header_of(path, dataset)
    text = str(caught.value)
    assert "a.nc: read_netcdf.drop: there is no variable 'flagg'; did you mean 'flag'?" in text
    assert "rename: there is no variable or dimension 'dept'; did you mean 'depth'?" in text
    assert "coordinates.x: there is no variable 'long'; did you mean 'lon'?; known: lon" in text
    assert "position 1 has 2020-01-02T00:00:00Z before the one in front of it" in text
    assert "position 2 has 2020-01-02T00:00:00Z again" in text


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (Sample(times=[]), "the time axis 'time' is empty"),
        (Sample(times=[0, np.nan]), "no number at position 1"),
        (Sample(times=[0], units="months since 2000-01-01"), "no step of fixed length"),
        (Sample(times=[0], units="whenever"), "cannot be decoded"),
        (Sample(times=[0], without=("sst", "flag", "depth")), "no data variable"),
    ],
)
def test_a_file_without_a_usable_axis_or_data_is_refused(tmp_path, sample, words):
    assert words in refusal(tmp_path, grid_dataset(), sample)


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("cut", [0, 20, 0.5, 0.97])
def test_a_cut_file_is_refused(tmp_path, form, cut):
    """The NetCDF library reads zeros beyond the end of a cut classic file, and says nothing."""
    whole = Sample(times=[0, 1, 2], format=form).write(tmp_path / "whole.nc").read_bytes()
    path = tmp_path / "cut.nc"
    path.write_bytes(whole[: int(cut * len(whole)) if isinstance(cut, float) else cut])
    with pytest.raises(DataError, match=r"cut\.nc: (is empty|is cut|cannot be read as NetCDF)"):
        read_header(path, "cut.nc", "x", grid_dataset())


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("unlimited", [None, 0])
def test_a_whole_file_is_never_taken_for_a_cut_one(tmp_path, form, unlimited):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(str(path), "w", format=form) as file:
        file.createDimension("time", unlimited if unlimited is None else 3)
        file.createDimension("lat", 3)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        file.createDimension("lon", 1)
        file.createVariable("lat", "f4", ("lat",))[:] = [1, 2, 3]
        file.createVariable("lon", "f4", ("lon",))[:] = [1]
        file.createVariable("v", "i1", ("time", "lat"))[:] = np.ones((3, 3))
        time[:] = [0, 1, 2]
    assert read_header(path, "a.nc", "x", grid_dataset()).file.times != ()


def test_one_odd_record_variable_is_not_padded(tmp_path):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(str(path), "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("r", None)
        file.createDimension("n", 3)
        file.createDimension("m", 1)
        for name, dim in (("lat", "n"), ("lon", "m")):
            file.createVariable(name, "f4", (dim,))[:] = np.arange(file.dimensions[dim].size)
        file.createVariable("v", "i1", ("r", "n"))[:] = np.ones((5, 3))
    dataset = grid_dataset(coordinates={"x": "lon", "y": "lat"})
    assert read_header(path, "a.nc", "x", dataset).layout.dimensions["r"] == 5


def test_text_variables_are_to_be_dropped(tmp_path):
    path = Sample(times=[0]).write(tmp_path / "a.nc")
    with netCDF4.Dataset(str(path), "a") as file:
        file.createVariable("note", str, ("lat",))
    with pytest.raises(DataError, match=r"note: holds text or records, not numbers; add it to read_netcdf\.drop"):
        header_of(path, grid_dataset())
    dropped = grid_dataset(steps={"read_netcdf": {"drop": ["note"]}})
    assert "note" not in header_of(path, dropped).layout.variables


def test_only_what_is_asked_for_is_kept_with_its_axes_and_under_its_new_name(tmp_path):
    dataset = grid_dataset(
        coordinates={"x": "x", "y": "lat", "t": "t"},
        steps={"read_netcdf": {"variables": ["sst"]}, "rename": {"lon": "x", "time": "t", "sst": "temp"}},
    )
    state = united(tmp_path, dataset, Sample(times=[0], sst_attributes={"coordinates": "time lat lon depth"}))
    assert set(state.united.variables) == {"temp", "lat", "x", "depth"}
    assert state.united.variables["temp"].dims == ("t", "lat", "x")
    assert state.published_attributes("temp")["coordinates"] == "t lat x depth"


def test_units_of_time_may_be_written_differently(tmp_path):
    state = united(
        tmp_path,
        grid_dataset(),
        Sample(times=[0], units="days since 2020-01-01 00:00:00+00:00"),
        Sample(times=[24], units="hours since 2020-01-01T00:00:00Z", calendar="gregorian"),
    )
    assert state.time_units == "seconds since 1970-01-01 00:00:00"
    assert len(state.axis) == 2
    assert len(state.layouts) == 1


BASE = Sample(times=[0])
NEXT = replace(BASE, times=[1])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(NEXT, scale=0.02), "sst: 0.nc has scale 0.01, offset 20.0, fill -999; 1.nc has scale 0.02"),
        (replace(NEXT, fill=-9), "fill -9"),
        (replace(NEXT, dtype="i4"), "sst: 0.nc has type int16; 1.nc has type int32"),
        (replace(NEXT, sst_attributes={"units": "K"}), "unit degree_Celsius; 1.nc has unit K"),
        (replace(NEXT, sst_attributes={"standard_name": "sst"}), "standard_name sea_surface_temperature; 1.nc has"),
        (replace(NEXT, lat=LAT + 1e-7), "lat: 0.nc has certain values; 1.nc has other values"),
        (replace(NEXT, lat=LAT.astype("f4")), "lat: 0.nc has type float64; 1.nc has type float32"),
        (replace(NEXT, lat=LAT[:3]), "dimension lat: 0.nc has 4; 1.nc has 3"),
        (replace(NEXT, without=("flag",)), "flag: 0.nc has int8 (time, lat, lon); 1.nc has no such variable"),
        (replace(NEXT, extra=("anom",)), "anom: 0.nc has no such variable; 1.nc has int16 (time, lat, lon)"),
        (replace(NEXT, calendar="360_day"), "time: 0.nc has calendar proleptic_gregorian; 1.nc has calendar 360_day"),
        (replace(NEXT, times=[0]), "0.nc and 1.nc both cover 2020-01-01T00:00:00Z"),
    ],
)
def test_files_that_differ_are_refused_with_what_either_has(tmp_path, other, words):
    assert words in refusal(tmp_path, grid_dataset(), replace(BASE, attributes={"x": "1"}), other)


def test_what_belongs_to_one_file_is_never_frozen_and_what_all_say_is_kept(tmp_path):
    state = united(
        tmp_path,
        grid_dataset(),
        replace(BASE, attributes={"time_coverage_start": "a", "institution": "AIMS", "run": "1", "uuid": "u"}),
        replace(NEXT, attributes={"time_coverage_start": "b", "institution": "AIMS", "run": "2", "uuid": "v"}),
    )
    assert state.published_attributes("") == {"title": "Small grid", "institution": "AIMS"}
    alone = unite(state.headers()[:1], grid_dataset())
    assert alone.published_attributes("") == {"title": "Small grid", "institution": "AIMS", "run": "1"}


def test_a_state_remembers_enough_to_be_united_again_and_order_plays_no_part(tmp_path):
    dataset = grid_dataset(steps={"unite": {"variables": "all", "coordinate_tolerance": 1e-3}})
    samples = [
        replace(BASE, attributes={"run": "1"}, lat=LAT.astype("f4")),
        replace(NEXT, attributes={"run": "2"}, extra=("anom",)),
        replace(NEXT, times=[5], sst_attributes={"long_name": "sst"}),
    ]
    state = united(tmp_path, dataset, *samples)
    assert unite(reversed(state.headers()), dataset).to_json() == state.to_json()
    assert GridState.from_json(state.to_json()).to_json() == state.to_json()
    fewer = unite(state.headers()[:2], dataset)
    fresh = [header_of(tmp_path / f"{n}.nc", dataset) for n in (0, 1)]
    assert unite(fresh, dataset).to_json() == fewer.to_json()


def test_axes_within_the_tolerance_are_one_and_the_newest_file_gives_them(tmp_path):
    dataset = grid_dataset(steps={"unite": {"coordinate_tolerance": 1e-5}})
    state = united(tmp_path, dataset, replace(NEXT, lat=LAT.astype("f4")), replace(BASE, lat=LAT + 1e-6))
    assert state.united.variables["lat"].dtype == "float32"
    assert "differ by up to 1" in refusal(tmp_path, dataset, BASE, replace(NEXT, lat=LAT + 1.0))


def test_packing_drift_is_united_by_unpack_alone(tmp_path):
    drift = replace(NEXT, scale=0.02)
    rule = {"unite": {"variables": "all"}}
    assert "scale 0.02" in refusal(tmp_path, grid_dataset(steps=rule), BASE, drift)
    state = united(tmp_path, grid_dataset(steps={"unpack": {"data_type": "float32"}}), BASE, drift)
    assert state.united.variables["sst"].dtype == "float32"
    assert str(state.united.variables["sst"].packing) == "scale none, offset none, fill NaN"
    assert state.united.variables["flag"].dtype == "int8"


def test_a_grid_without_time_is_one_file(tmp_path):
    dataset = grid_dataset(coordinates={"x": "lon", "y": "lat"})
    assert len(united(tmp_path, dataset, BASE).axis) == 1
    assert "exactly one file (0.nc, 1.nc)" in refusal(tmp_path, dataset, BASE, NEXT)


def test_chunks_name_known_dimensions(tmp_path):
    dataset = grid_dataset(layout={"chunks": {"time": 5, "latitude": 3}})
    assert "no dimension 'latitude' (dimensions: time, lat, lon)" in refusal(tmp_path, dataset, BASE)


def test_chosen_chunks_hold_about_two_megabytes_and_do_not_depend_on_the_number_of_times(shared):
    path = shared(GSLA.format("20110901"))
    dataset = grid_dataset(coordinates=IMOS)
    other = shared(GSLA.format("20110902"))
    one = unite([header_of(path, dataset)], dataset)
    assert one.chunks == unite([header_of(path, dataset), header_of(other, dataset)], dataset).chunks
    times, lat, lon = (one.chunks[d] for d in ("TIME", "LATITUDE", "LONGITUDE"))
    assert 1_000_000 <= 2 * times * lat * lon <= 4_000_000


def test_the_real_sea_level_files_of_2011_and_2024_differ_in_these_seven_ways(shared):
    dataset = grid_dataset(coordinates=IMOS)
    headers = [header_of(shared(GSLA.format(day)), dataset) for day in ("20110901", "20110902", "20240101")]
    assert len(unite(headers[:2], dataset).axis) == 2
    with pytest.raises(DataError) as caught:
        unite(headers, dataset)
    assert sorted(p.split(":")[0] for p in caught.value.problems) == [
        "GSLA", "LATITUDE", "LATITUDE", "LONGITUDE", "LONGITUDE", "UCUR_MEAN", "VCUR_MEAN",
    ]  # fmt: skip


def test_a_month_and_its_republished_twin_are_named(shared):
    dataset = grid_dataset()
    names = ("gbr4_simple_2018-12.nc", "gbr4_simple_2018-12_modified.nc")
    headers = [header_of(shared(f"data/a_gridded/ereefs_gbr4_months/{n}"), dataset) for n in names]
    with pytest.raises(DataError, match=r"2018-12\.nc and gbr4_simple_2018-12_modified\.nc both cover 2018-11-30T14"):
        unite(headers, dataset)


def test_a_file_whose_axes_are_in_disorder_is_refused_with_all_of_them(tmp_path):
    lat, lon = np.array([-10.0, -10.5, -10.5, -11.0]), np.array([359.0, 0.0, 1.0])
    text = refusal(tmp_path, grid_dataset(), replace(BASE, lat=lat, lon=lon))
    assert "0.nc: lat has -10.5 twice, at 1 and 2" in text
    assert "0.nc: lon neither ascends nor descends: 359 at 0 is followed by 0; orient: {longitude: -180..180}" in text


def test_what_orient_puts_in_order_is_no_disorder(tmp_path):
    dataset = grid_dataset(steps={"orient": {"longitude": "-180..180"}})
    assert united(tmp_path, dataset, replace(BASE, lon=np.array([359.0, 0.0, 1.0]))).united.dimensions["lon"] == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, "0.01", [1.0, 2.0]])
@pytest.mark.parametrize("name", ["scale_factor", "add_offset"])
def test_packing_that_is_no_number_is_refused_by_name(tmp_path, name, value):
    bent = replace(BASE, scale=None, offset=None, sst_attributes={name: value})
    assert f"0.nc: sst: {name} is" in refusal(tmp_path, grid_dataset(), bent)


def test_no_file_lies_farther_from_the_published_axis_than_the_tolerance(tmp_path):
    dataset = grid_dataset(steps={"unite": {"coordinate_tolerance": 0.5}})
    files = [replace(BASE, times=[n], lat=LAT + moved) for n, moved in enumerate((0.0, -0.4, 0.4))]
    assert united(tmp_path, dataset, *files[:2]).files
    text = refusal(tmp_path, dataset, *files)
    assert (
        "lat: 2.nc has certain values; 1.nc has values that differ by up to 0.8 (coordinate_tolerance is 0.5)" in text
    )
    assert "0.nc" not in text


def test_differences_between_files_and_their_overlap_are_told_at_once(tmp_path):
    kelvin = replace(BASE, times=[0], sst_attributes={"units": "K"})
    text = refusal(tmp_path, grid_dataset(), replace(BASE, times=[0]), kelvin)
    assert "0.nc and 1.nc both cover 2020-01-01T00:00:00Z" in text
    assert "unit K" in text


def test_the_rule_for_an_overlap_and_for_times_off_the_cadence_is_named(tmp_path):
    text = refusal(tmp_path, grid_dataset(), replace(BASE, times=[0]), replace(BASE, times=[0], base=7))
    assert "both cover" in text
    assert "unite: {overlap: newest_name}" in text
    text = refusal(tmp_path, grid_dataset(layout={"cadence": "P1D"}), replace(BASE, times=[0, 1.2]))
    assert "off the cadence" in text
    assert "fix_time: {round: ...}" in text
    assert "overlap" not in text
