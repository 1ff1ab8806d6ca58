"""Clipping and turning grids; values held against xarray."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain import grid_values
from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.grid_bench import LAT, Published, grid_dataset, header_of
from rimrep_assets_tests.domain.grid_rules_bench import (
    BASE,
    GLOBE,
    NEXT,
    assert_same,
    curvilinear,
    levels,
    published,
    refusal,
    source,
)

# Clipping


def test_a_box_leaves_the_cells_whose_centres_lie_within_it_edges_included(tmp_path):
    grid = published(tmp_path, {"clip": {"bbox": [145.5, -11.0, 146.0, -10.4]}}, BASE).xarray()
    expected = source(tmp_path).sel(lon=slice(145.5, 146.0), lat=slice(-10.4, -11.0))
    assert grid.sizes == {"time": 1, "lat": 2, "lon": 2}
    assert_same(grid, expected, "sst", "flag", "depth", "lat", "lon")


def test_nothing_outside_the_box_is_read(tmp_path, monkeypatch):
    path = replace(BASE, lat=np.linspace(-20, 20, 400), format="NETCDF3_CLASSIC").write(tmp_path / "0.nc")
    read: list[int] = []
    held = grid_values.native
    monkeypatch.setattr(grid_values, "native", lambda values: read.append(np.size(values)) or held(values))
    Published(grid_dataset(steps={"clip": {"bbox": [145, -1, 146, 1]}})).to(path)
    rows = int(((np.linspace(-20, 20, 400) >= -1) & (np.linspace(-20, 20, 400) <= 1)).sum())
    assert sorted(set(read))[-1] == 400
    assert max(n for n in read if n != 400) == rows * 3


@pytest.mark.parametrize(
    ("west", "east", "expected"),
    [
        (-40.0, 40.0, [0, 30, 330]),
        (320.0, 400.0, [0, 30, 330]),
        (350.0, 40.0, [0, 30]),
        (100.0, 130.0, [120]),
        (-180.0, 180.0, GLOBE.tolist()),
    ],
)
def test_a_box_in_either_way_of_counting_meets_longitudes_in_the_other(tmp_path, west, east, expected):
    steps = {"clip": {"bbox": [west, -90, east, 90]}}
    grid = published(tmp_path, steps, replace(BASE, lon=GLOBE)).xarray()
    assert grid["lon"].values.tolist() == expected
    assert_same(grid, source(tmp_path).sel(lon=expected), "sst", "depth")


def test_a_box_over_the_antimeridian_of_a_grid_that_is_cut_there(tmp_path):
    lon = np.arange(-180.0, 180.0, 30.0)
    steps = {"clip": {"bbox": [140, -90, -140, 90]}, "orient": {"longitude": "0..360"}}
    grid = published(tmp_path, steps, replace(BASE, lon=lon)).xarray()
    assert grid["lon"].values.tolist() == [150, 180, 210]
    assert_same(grid, source(tmp_path).sel(lon=[150, -180, -150]), "sst")
    assert grid.attrs["geospatial_lon_min"] == 150
    assert grid.attrs["geospatial_lon_max"] == -150


def test_a_bound_is_the_number_that_the_file_would_hold(tmp_path):
    """145.1 in float32 is larger than 145.1, and a box that ends there is meant to hold that cell."""
    lon = np.array([145.0, 145.1, 145.2], "f4")
    grid = published(tmp_path, {"clip": {"bbox": [145.0, -90, 145.1, 90]}}, replace(BASE, lon=lon)).xarray()
    assert grid["lon"].values.tolist() == lon[:2].tolist()


def test_a_box_without_cells_is_refused_with_what_there_is(tmp_path):
    words = refusal(tmp_path, {"clip": {"bbox": [0, 0, 10, 10]}}, BASE)
    assert "0.nc: clip.bbox [0, 0, 10, 10] holds the centre of no cell (lon 145 to 146, lat -11.5 to -10)" in words


def test_of_a_curvilinear_grid_the_smallest_rectangle_that_holds_the_box_is_published(tmp_path):
    whole = curvilinear(tmp_path / "a.nc")
    box = (152.0, -19.0, 154.5, -17.0)
    grid = Published(grid_dataset(steps={"clip": {"bbox": box}})).to(tmp_path / "a.nc")
    inside = (whole.lon >= box[0]) & (whole.lon <= box[2]) & (whole.lat >= box[1]) & (whole.lat <= box[3])
    rows, columns = np.flatnonzero(inside.any("i")), np.flatnonzero(inside.any("j"))
    expected = whole.isel(j=slice(rows[0], rows[-1] + 1), i=slice(columns[0], columns[-1] + 1))
    assert_same(grid.xarray(), expected, "v", "lon", "lat")
    assert [d for proof in grid.prove() for d in proof.differences] == []


def test_levels_are_clipped_by_their_values(tmp_path):
    whole = levels(tmp_path / "a.nc")
    dataset = grid_dataset(
        steps={"clip": {"z": [-20, -5]}}, coordinates={"x": "lon", "y": "lat", "z": "z", "t": "time"}
    )
    grid = Published(dataset).to(tmp_path / "a.nc").xarray()
    assert_same(grid, whole.sel(z=[-20, -10, -5]), "t", "z")
    assert (grid.attrs["geospatial_vertical_min"], grid.attrs["geospatial_vertical_max"]) == (-20, -5)
    nowhere = grid_dataset(steps={"clip": {"z": [5, 6]}}, coordinates=dataset.coordinates.named())
    with pytest.raises(DataError, match=r"clip.z \[5, 6\] holds no level \(z -40 to 0\)"):
        header_of(tmp_path / "a.nc", nowhere)


# Turning


def test_a_file_that_is_upside_down_is_refused_without_orient_and_put_right_with_it(tmp_path):
    flipped = replace(NEXT, lat=LAT[::-1].copy())
    assert "lat: 0.nc has certain values; 1.nc has other values" in refusal(tmp_path, {}, BASE, flipped)
    grid = published(tmp_path, {"orient": {"y": "ascending"}, "unite": {"variables": "all"}}, BASE, flipped).xarray()
    assert grid["lat"].values.tolist() == sorted(LAT)
    for number in (0, 1):
        expected = source(tmp_path, number).sortby("lat")
        np.testing.assert_array_equal(grid["sst"].values[number], expected["sst"].values[0])


@pytest.mark.parametrize("lon", [GLOBE, GLOBE[::-1] - 180])
@pytest.mark.parametrize("chunks", [(3, 2, 5), (10, 4, 12)])
def test_compressed_chunks_are_clipped_turned_and_rolled_as_xarray_does(tmp_path, lon, chunks):
    """The fast way decodes chunks itself; a clip touches some of them, a roll takes them in another order."""
    path = replace(BASE, times=range(10), lon=lon, fill=-32768).write(tmp_path / "0.nc")
    with xr.open_dataset(path, mask_and_scale=False) as plain:
        form = {"chunksizes": chunks, "zlib": True, "shuffle": True}
        plain.load().to_netcdf(tmp_path / "a.nc", encoding={"sst": form, "flag": form})
    steps = {"clip": {"bbox": [-100, -11.2, 130, -10]}, "orient": {"longitude": "-180..180", "y": "ascending"}}
    grid = Published(grid_dataset(steps=steps, layout={"chunks": {"time": 4, "lat": 2, "lon": 4}})).to(
        tmp_path / "a.nc"
    )
    assert [d for proof in grid.prove() for d in proof.differences] == []
    there = source(tmp_path)
    turned = there.assign_coords(lon=xr.where(there.lon > 180, there.lon - 360, there.lon))
    expected = turned.sortby("lon", ascending=bool(lon[1] > lon[0])).sortby("lat")
    expected = expected.isel(lon=(expected.lon >= -100) & (expected.lon <= 130)).sel(lat=slice(-11.2, -10))
    assert_same(grid.xarray(), expected, "sst", "flag", "depth", "lon", "lat")


@pytest.mark.parametrize("name", ["sst", "lat", "lon"])
def test_a_grid_that_was_turned_wrongly_is_seen_by_the_proof(tmp_path, name):
    grid = published(tmp_path, {"orient": {"y": "ascending", "longitude": "-180..180"}}, replace(BASE, lon=GLOBE))
    array: Any = grid.group[name]
    array[...] = np.flip(array[...], axis=-1)
    assert any(name in d for proof in grid.prove() for d in proof.differences)


def test_a_descending_axis_may_be_wanted(tmp_path):
    grid = published(tmp_path, {"orient": {"x": "descending"}}, BASE).xarray()
    assert_same(grid, source(tmp_path).isel(lon=slice(None, None, -1)), "sst", "depth", "lon")


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize(("lon", "way"), [(GLOBE, "-180..180"), (GLOBE - 180, "0..360"), (GLOBE[::-1], "-180..180")])
def test_longitudes_are_rolled_into_the_other_way_of_counting(tmp_path, lon, way, dtype):
    grid = published(tmp_path, {"orient": {"longitude": way}}, replace(BASE, lon=lon.astype(dtype))).xarray()
    low = -180 if way == "-180..180" else 0
    there = source(tmp_path)
    turned = there.assign_coords(lon=np.where(there.lon == low + 360, there.lon, (there.lon - low) % 360 + low))
    expected = turned.sortby("lon", ascending=bool(lon[1] > lon[0]))
    assert grid["lon"].dtype == there["lon"].dtype
    assert_same(grid, expected, "lon", "sst", "depth")


def test_files_that_count_longitudes_differently_become_one_grid_with_orient(tmp_path):
    east = replace(BASE, lon=np.array([170.0, 180.0, 190.0]))
    west = replace(NEXT, lon=np.array([170.0, 180.0, -170.0]))
    assert "1.nc: lon neither ascends nor descends: 180 at 1 is followed by -170" in refusal(tmp_path, {}, east, west)
    assert "lon: 0.nc has certain values" in refusal(tmp_path, {}, east, replace(west, lon=east.lon - 1))
    grid = published(tmp_path, {"orient": {"longitude": "0..360"}}, east, west).xarray()
    assert grid["lon"].values.tolist() == [170, 180, 190]
    for number in (0, 1):
        np.testing.assert_array_equal(grid["sst"].values[number], source(tmp_path, number)["sst"].values[0])


def test_bounds_turn_with_their_axis_and_stay_beside_their_cells(tmp_path):
    path = replace(BASE, lon=GLOBE).write(tmp_path / "0.nc")
    with netCDF4.Dataset(str(path), "a") as file:
        file.createDimension("nv", 2)
        for name in ("lon", "lat"):
            centres = file.variables[name][:]
            half = abs(centres[1] - centres[0]) / 2
            file.variables[name].bounds = f"{name}_bnds"
            bounds = file.createVariable(f"{name}_bnds", "f8", (name, "nv"))
            bounds[:] = np.stack([centres - half, centres + half], axis=1)
    steps = {"orient": {"longitude": "-180..180", "y": "ascending"}}
    grid = Published(grid_dataset(steps=steps)).to(path).xarray()
    assert grid["lon"].values.tolist() == [*range(-150, 0, 30), *range(0, 181, 30)]
    np.testing.assert_array_equal(grid["lon_bnds"].values.mean(axis=1), grid["lon"].values)
    np.testing.assert_array_equal(grid["lon_bnds"].values[1:, 0], grid["lon_bnds"].values[:-1, 1])
    np.testing.assert_array_equal(grid["lat_bnds"].values.mean(axis=1), sorted(LAT))


def test_longitudes_of_a_curvilinear_grid_change_and_its_cells_stay(tmp_path):
    whole = curvilinear(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as found:
        found.assign_coords(lon=found.lon + 27).to_netcdf(tmp_path / "b.nc")
    grid = Published(grid_dataset(steps={"orient": {"longitude": "-180..180"}})).to(tmp_path / "b.nc").xarray()
    lon = whole.lon.values + 27
    np.testing.assert_allclose(grid["lon"].values, np.where(lon > 180, lon - 360, lon), atol=1e-12)
    assert_same(grid, whole, "v", "lat")


@pytest.mark.parametrize(
    ("sample", "step", "words"),
    [
        (replace(BASE, lon=np.array([0.0, 180.0, 360.0])), {"longitude": "-180..180"}, "lon would have 0 twice"),
        (replace(BASE, lat=np.array([1.0, 5, 2, 4, 3, 6, 0])), {"y": "ascending"}, "lat is in no order"),
        (replace(BASE, lon=np.array([200, 210], "u1")), {"longitude": "-180..180"}, "uint8, which cannot hold"),
    ],
)
def test_an_axis_that_cannot_be_turned_is_refused(tmp_path, sample, step, words):
    assert words in refusal(tmp_path, {"orient": step}, sample)


def test_two_dimensional_axes_cannot_be_turned(tmp_path):
    curvilinear(tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"orient.y: lat has dimensions \('j', 'i'\); only one can be turned"):
        header_of(tmp_path / "a.nc", grid_dataset(steps={"orient": {"y": "ascending"}}))


def test_packed_longitudes_cannot_be_shifted_as_they_are_stored(tmp_path):
    path = replace(BASE, lon=np.array([200, 210], "i2")).write(tmp_path / "0.nc")
    with netCDF4.Dataset(str(path), "a") as file:
        file.variables["lon"].scale_factor = 1.0
    with pytest.raises(DataError, match=r"orient.longitude: lon is packed"):
        header_of(path, grid_dataset(steps={"orient": {"longitude": "-180..180"}}))


def test_axes_that_move_with_time_are_not_clipped(tmp_path):
    with xr.open_dataset(BASE.write(tmp_path / "0.nc")) as plain:
        moving = plain.load().drop_vars("lon").assign(x=(("time", "lat", "lon"), np.ones((1, 4, 3))))
        moving.to_netcdf(tmp_path / "a.nc")
    dataset = grid_dataset(coordinates={"x": "x", "y": "lat", "t": "time"}, steps={"clip": {"bbox": [0, -20, 2, 20]}})
    with pytest.raises(DataError, match="need axes that stand still, and 'x' varies with time"):
        header_of(tmp_path / "a.nc", dataset)


def test_levels_of_two_dimensions_are_not_clipped(tmp_path):
    coordinates = {"x": "lon", "y": "lat", "z": "depth", "t": "time"}
    path = BASE.write(tmp_path / "0.nc")
    with pytest.raises(DataError, match=r"clip.z: depth has dimensions \('lat', 'lon'\); clipping needs one"):
        header_of(path, grid_dataset(coordinates=coordinates, steps={"clip": {"z": [0, 1]}}))


def test_an_axis_of_metres_is_no_longitude(tmp_path):
    with xr.open_dataset(BASE.write(tmp_path / "0.nc")) as plain:
        metres = plain.load()
        metres["lon"].attrs["units"] = "m"
        metres.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"orient.longitude: lon is no longitude \(unit m\)"):
        header_of(tmp_path / "a.nc", grid_dataset(steps={"orient": {"longitude": "0..360"}}))
