"""Publishing into memory: what xarray makes of the sources is what it makes of the store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimrep_assets_tests.domain.grid_bench import LAT, Published, Sample, grid_dataset

GRIDDED = "data/a_gridded/"
GSLA = GRIDDED + "gsla/IMOS_OceanCurrent_HV_{}T000000Z_GSLA_FV02_NRT.nc"
IMOS = {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
NWA = GRIDDED + "hfradar_nwa/IMOS_ACORN_V_20220312T0{}3000Z_NWA_FV01_1-hour-avg.nc"


def assert_seen_alike(published: xr.Dataset, source: xr.Dataset, within_us: float = 0.0) -> None:
    """Values, dimensions and coordinates of every variable, as xarray decodes both."""
    assert set(published.variables) == set(source.variables)
    assert set(published.coords) == set(source.coords)
    for name in source.variables:
        expected = source[name].transpose(*published[name].dims)
        if expected.dtype.kind == "M":
            apart = np.abs((published[name].values - expected.values) / np.timedelta64(1, "us"))
            assert apart.max() <= within_us, name
        else:
            np.testing.assert_array_equal(published[name].values, expected.values, err_msg=name)
            assert published[name].dtype == expected.dtype, name


@pytest.mark.parametrize(
    ("path", "coordinates"),
    [
        (GSLA.format("20240101"), IMOS),
        (GSLA.format("20110901"), IMOS),
        (GRIDDED + "ereefs_gbr4/small.nc", {"x": "longitude", "y": "latitude", "z": "zc", "t": "time"}),
        (GRIDDED + "noaa_crw/DHWmax_y2date.nc", {"x": "lon", "y": "lat"}),
        (
            GRIDDED + "ereefs_raster_export/ereefsDailyMeanWaterTemperature_10Dec2022_Depth1p5m.nc",
            {"x": "longitude", "y": "latitude"},
        ),
        (GRIDDED + "ostia/ostia_monthly.nc", {"x": "longitude", "y": "latitude", "t": "time"}),
        (GRIDDED + "calendars/A1B_north_america.nc", {"x": "longitude", "y": "latitude", "t": "time"}),
        (GRIDDED + "sst_erddap/MWsstd1day.nc", {"x": "longitude", "y": "latitude", "z": "altitude", "t": "time"}),
    ],
)
def test_a_real_file_reads_as_its_source_does(shared, path, coordinates):
    published = Published(grid_dataset(coordinates=coordinates)).to(shared(path))
    with published.xarray() as seen, xr.open_dataset(shared(path)) as source:
        assert_seen_alike(seen, source)


def test_two_real_days_follow_each_other(shared):
    paths = [shared(GSLA.format(day)) for day in ("20110901", "20110902")]
    published = Published(grid_dataset(coordinates=IMOS)).to(*paths)
    sources = [xr.open_dataset(p) for p in paths]
    with published.xarray() as seen:
        for day, source in enumerate(sources):
            assert_seen_alike(seen.isel(TIME=[day]), source)


def test_appending_an_hour_of_real_radar_keeps_microseconds(shared):
    first, second = (shared(NWA.format(n)) for n in (0, 1))
    dataset = grid_dataset(coordinates=IMOS)
    published = Published(dataset).to(second).to(first, second)
    assert published.content() == Published(dataset).to(first, second).content()
    with published.xarray() as seen:
        for hour, path in enumerate((first, second)):
            with xr.open_dataset(path) as source:
                assert_seen_alike(seen.isel(TIME=[hour]), source, within_us=1)


def test_a_time_zone_in_the_units_is_honoured_and_unknown_cells_stay(shared):
    path = shared(GRIDDED + "ereefs_gbr4/small.nc")
    dataset = grid_dataset(coordinates={"x": "longitude", "y": "latitude", "z": "zc", "t": "time"})
    with Published(dataset).to(path).xarray() as seen:
        assert str(seen.time.values[0])[:19] == "2010-08-31T14:00:00"
        assert int(np.isnan(seen.longitude.values).sum()) == 15435


def test_years_apart_are_united_by_the_declared_rules(shared):
    days = ("20110901", "20240101")
    rules = {"unite": {"variables": "all", "coordinate_tolerance": 1e-4}}
    published = Published(grid_dataset(coordinates=IMOS, steps=rules)).to(*(shared(GSLA.format(d)) for d in days))
    with published.xarray() as seen, xr.open_dataset(shared(GSLA.format("20240101"))) as newest:
        assert np.isnan(seen.UCUR_MEAN.isel(TIME=0)).all()
        np.testing.assert_array_equal(seen.UCUR_MEAN.values[1], newest.UCUR_MEAN.values[0])
        np.testing.assert_array_equal(seen.LATITUDE.values, newest.LATITUDE.values)
        with xr.open_dataset(shared(GSLA.format("20110901"))) as oldest:
            np.testing.assert_array_equal(seen.GSLA.values[0], oldest.GSLA.values[0])


def test_stored_numbers_and_chunks_are_what_was_declared(tmp_path):
    path = Sample(times=[0, 1, 2]).write(tmp_path / "a.nc")
    dataset = grid_dataset(layout={"chunks": {"time": 2, "lat": 3}})
    group = Published(dataset).to(path).group
    assert group["sst"].chunks == (2, 3, 3)
    assert group["sst"].dtype == "int16"
    assert group["sst"].metadata.dimension_names == ("time", "lat", "lon")
    assert group["time"].chunks[0] >= 8192
    assert group["lat"].chunks == (4,)
    assert not group["sst"].metadata.codecs[0].__class__.__name__.startswith("Sharding")
    assert dict(group["time"].attrs)["units"] == "seconds since 1970-01-01 00:00:00"


def test_declared_coordinates_get_what_cf_wants_where_they_lack_it(tmp_path):
    path = Sample(times=[0]).write(tmp_path / "a.nc")
    group = Published(grid_dataset()).to(path).group
    assert dict(group["lon"].attrs) == {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    assert dict(group["time"].attrs)["axis"] == "T"
    assert "axis" not in dict(group["depth"].attrs)


def test_another_order_of_dimensions_is_turned(tmp_path):
    path = Sample(times=[0, 1], dims=("lat", "time", "lon")).write(tmp_path / "a.nc")
    published = Published(grid_dataset()).to(path)
    with published.xarray() as seen, xr.open_dataset(path) as source:
        assert seen.sst.dims == ("time", "lat", "lon")
        assert_seen_alike(seen, source)


def test_steps_without_a_file_are_fill_also_for_numbers_without_one(tmp_path):
    paths = [Sample(times=[d]).write(tmp_path / f"{d}.nc") for d in (0, 3)]
    published = Published(grid_dataset(layout={"cadence": "P1D"})).to(*paths)
    with published.xarray() as seen:
        assert np.isnan(seen.sst.values[1:3]).all()
        assert np.isnan(seen.flag.values[1:3]).all()
        assert np.isfinite(seen.flag.values[[0, 3]]).all()
        assert [str(t)[:10] for t in seen.time.values] == [f"2020-01-0{d}" for d in (1, 2, 3, 4)]


def test_unpacked_values_are_those_that_xarray_decodes(tmp_path):
    paths = [
        Sample(times=[0]).write(tmp_path / "0.nc"),
        Sample(times=[1], scale=0.5, offset=None, fill=-5, dtype="i4").write(tmp_path / "1.nc"),
    ]
    published = Published(grid_dataset(steps={"unpack": {"data_type": "float64"}})).to(*paths)
    with published.xarray() as seen:
        for day, path in enumerate(paths):
            with xr.open_dataset(path) as source:
                np.testing.assert_array_equal(seen.sst.values[day], source.sst.values[0].astype("f8"))


@pytest.mark.parametrize("kind", ["i1", "i2"])
def test_unsigned_numbers_in_signed_types_are_kept(tmp_path, kind):
    sample = Sample(
        times=[0], base=100, dtype=kind, fill=-1, scale=0.1, offset=0.0, sst_attributes={"_Unsigned": "true"}
    )
    path = replace(sample, lat=np.linspace(-10, 0, 9)).write(tmp_path / "a.nc")
    published = Published(grid_dataset()).to(path)
    with published.xarray() as seen, xr.open_dataset(path) as source:
        np.testing.assert_array_equal(seen.sst.values, source.sst.values)
    assert [p.differences for p in published.prove()] == [(), ()]


def test_a_changed_layout_replaces_the_arrays(tmp_path):
    one = Sample(times=[0]).write(tmp_path / "0.nc")
    other = Sample(times=[0], extra=("anom",), without=("flag",), scale=0.5).write(tmp_path / "1.nc")
    published = Published(grid_dataset()).to(one)
    assert published.to(other).content() == Published(grid_dataset()).to(other).content()


def test_only_changed_blocks_are_read_and_written(tmp_path):
    paths = [Sample(times=[d], base=10 * d).write(tmp_path / f"{d}.nc") for d in range(6)]
    published = Published(grid_dataset(layout={"chunks": {"time": 2}})).to(*paths)
    again = Sample(times=[2], base=500).write(tmp_path / "2b.nc")
    published.to(*paths[:2], again, *paths[3:])
    assert published.blocks == [1]
    assert set(published.opened) == {"2b.nc", "3.nc"}


EDITIONS = st.dictionaries(st.integers(0, 6), st.integers(0, 2), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories=st.lists(EDITIONS, min_size=2, max_size=4), cadence=st.sampled_from([None, "P1D"]))
def test_any_history_ends_as_a_clean_build_does(tmp_path_factory, histories, cadence):
    folder = tmp_path_factory.mktemp("history")
    layout = {"chunks": {"time": 3, "lat": 2}, **({"cadence": cadence} if cadence else {})}
    rules = {"unite": {"variables": "all", "coordinate_tolerance": 1e-3}}
    dataset = grid_dataset(layout=layout, steps=rules)
    published = Published(dataset)
    for history in histories:
        paths = [_edition(folder, day, edition) for day, edition in sorted(history.items())]
        published.to(*paths)
    assert published.content() == Published(dataset).to(*paths).content()


def _edition(folder, day, edition):
    """Edition 1 has another axis and attribute, edition 2 another variable, and a time within the second."""
    path = folder / f"{day}-{edition}.nc"
    if not path.exists():
        Sample(
            times=[day],
            base=100 * day + edition,
            lat=LAT + (1e-5 if edition == 1 else 0.0),
            extra=("anom",) if edition == 2 else (),
            attributes={"run": str(edition)},
        ).write(path)
    return path


def test_an_icechunk_session_takes_the_same_writes(tmp_path):
    import icechunk

    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    paths = [Sample(times=[d]).write(tmp_path / f"{d}.nc") for d in range(3)]
    plain = Published(grid_dataset()).to(*paths[:2]).to(*paths)
    published = Published(grid_dataset())
    for end in (2, 3):
        session = repository.writable_session("main")
        published.store = session.store
        published.to(*paths[:end])
        session.commit(f"{end} days")
    published.store = repository.readonly_session("main").store
    group = zarr.open_group(published.store, mode="r")
    for name, array in plain.group.arrays():
        np.testing.assert_array_equal(array[...], group[name][...])
        assert dict(array.attrs) == dict(group[name].attrs)


def test_a_series_that_got_shorter_is_stored_byte_for_byte_as_one_that_was_never_longer(tmp_path):
    paths = [Sample(times=[d], base=d).write(tmp_path / f"{d}.nc") for d in range(5)]
    dataset = grid_dataset(layout={"chunks": {"time": 3}})
    shorter, never_longer = Published(dataset).to(*paths).to(*paths[:4]), Published(dataset).to(*paths[:4])
    stored = [{k: v.to_bytes() for k, v in grid.store._store_dict.items()} for grid in (shorter, never_longer)]
    assert stored[0] == stored[1]
