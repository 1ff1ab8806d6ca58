"""Attributes as they are published, and projections; held against pyproj."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyproj
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset, header_of
from rimrep_assets_tests.domain.grid_rules_bench import BASE, NEXT, levels, published

# Attributes


def test_extents_are_computed_from_the_axes_and_what_is_one_files_own_is_gone(tmp_path):
    own = {
        "history": "made", "date_created": "2020", "time_coverage_start": "x", "geospatial_lat_max": 90.0,
        "geospatial_bounds": "POLYGON", "institution": "AIMS",
    }  # fmt: skip
    grid = published(
        tmp_path, {}, replace(BASE, attributes=own), replace(NEXT, times=[3], attributes=own), layout={"cadence": "P1D"}
    )
    assert grid.xarray().attrs == {
        "time_coverage_start": "2020-01-01T00:00:00Z",
        "time_coverage_end": "2020-01-04T00:00:00Z",
        "time_coverage_resolution": "P1D",
        "geospatial_lon_min": 145.0,
        "geospatial_lat_min": -11.5,
        "geospatial_lon_max": 146.0,
        "geospatial_lat_max": -10.0,
        "title": "Small grid",
        "institution": "AIMS",
    }


def test_attributes_are_set_dropped_and_made_texts_as_declared(tmp_path):
    sample = replace(
        BASE, attributes={"levels": np.array([1, 2]), "run": "7"}, sst_attributes={"bands": np.float32(2.5)}
    )
    step = {"set": {"title": "Sea surface", "version": 3}, "drop": ["run"], "as_text": ["levels", "bands"]}
    grid = published(tmp_path, {"attributes": step}, sample).xarray()
    assert {k: grid.attrs[k] for k in ("title", "version", "levels")} == {
        "title": "Sea surface", "version": 3, "levels": "1, 2",
    }  # fmt: skip
    assert "run" not in grid.attrs
    assert grid["sst"].attrs["bands"] == "2.5"


def test_coordinates_get_the_attributes_that_cf_wants_of_them(tmp_path):
    levels(tmp_path / "a.nc")
    parts = {"x": "lon", "y": "lat", "z": "depth", "t": "time"}
    grid = Published(grid_dataset(steps={"rename": {"z": "depth"}}, coordinates=parts)).to(tmp_path / "a.nc").xarray()
    wanted = {
        "lon": {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
        "lat": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
        "depth": {"standard_name": "depth", "positive": "down", "axis": "Z"},
        "time": {"standard_name": "time", "axis": "T"},
    }
    for name, attributes in wanted.items():
        assert {k: grid[name].attrs.get(k) for k in attributes} == attributes


def test_what_a_file_says_of_its_levels_is_kept(tmp_path):
    levels(tmp_path / "a.nc", positive="up", units="m", standard_name="depth")
    parts = {"x": "lon", "y": "lat", "z": "z", "t": "time"}
    grid = Published(grid_dataset(coordinates=parts)).to(tmp_path / "a.nc").xarray()
    assert grid["z"].attrs == {"standard_name": "depth", "positive": "up", "axis": "Z", "units": "m"}


# Projections


def projected(path, crs: pyproj.CRS, x, y, units="m", wkt=True):
    x, y = np.asarray(x, "f8"), np.asarray(y, "f8")
    data = xr.Dataset(
        {"v": (("time", "y", "x"), np.ones((1, y.size, x.size), "f4"), {"grid_mapping": "crs"})},
        {"x": ("x", x, {"units": units}), "y": ("y", y, {"units": units}), "time": [0.0]},
    )
    data["time"].attrs["units"] = "days since 2020-01-01"
    told = crs.to_cf()
    data["crs"] = ((), np.int32(0), {k: v for k, v in told.items() if wkt or k != "crs_wkt"})
    data.to_netcdf(path)


@pytest.mark.parametrize("wkt", [True, False])
@pytest.mark.parametrize(("units", "factor"), [("m", 1.0), ("km", 0.001)])
@pytest.mark.parametrize(("code", "x", "y"), [
    (32755, np.arange(500e3, 600e3, 10e3), np.arange(8e6, 8.1e6, 10e3)),
    (3031, np.arange(-1e6, 1.01e6, 1e5), np.arange(1e6, 2e6, 1e5)),
    (3832, np.arange(2e6, 5e6, 1e5), np.arange(-3e6, 0, 1e5)),
])  # fmt: skip
def test_a_projected_grids_box_is_that_of_its_cells_in_degrees(tmp_path, code, x, y, units, factor, wkt):
    crs = pyproj.CRS.from_epsg(code)
    projected(tmp_path / "a.nc", crs, x * factor, y * factor, units, wkt)
    dataset = grid_dataset(coordinates={"x": "x", "y": "y", "t": "time"})
    grid = Published(dataset).to(tmp_path / "a.nc")
    facts = measure_grid(grid.state, grid.stats(), grid.group, dataset)
    if wkt:
        assert facts.crs == f"EPSG:{code}"
    lon, lat = pyproj.Proj(crs)(*np.meshgrid(x, y), inverse=True)
    west, east = lon.min(), lon.max()
    if code == 3832:
        # It lies across the antimeridian.
        west, east = lon[lon > 0].min(), lon[lon < 0].max()
    np.testing.assert_allclose(facts.bbox, (west, lat.min(), east, lat.max()), atol=1e-6)
    assert grid.xarray()["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert grid.xarray().attrs["geospatial_lon_min"] == pytest.approx(west, abs=1e-5)


def test_a_projected_box_is_clipped_in_the_grids_own_units(tmp_path):
    projected(tmp_path / "a.nc", pyproj.CRS.from_epsg(32755), [0, 100, 200, 300], [300, 200, 100, 0])
    parts = {"x": "x", "y": "y", "t": "time"}
    dataset = grid_dataset(coordinates=parts, steps={"clip": {"bbox": [100, 50, 250, 200]}})
    grid = Published(dataset).to(tmp_path / "a.nc").xarray()
    assert (grid["x"].values.tolist(), grid["y"].values.tolist()) == ([100, 200], [200, 100])
    with pytest.raises(DataError, match="west 250 lies east of east 100, and x is no longitude"):
        header_of(tmp_path / "a.nc", grid_dataset(coordinates=parts, steps={"clip": {"bbox": [250, 50, 100, 200]}}))
