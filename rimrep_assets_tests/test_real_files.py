"""Real files go through small catalogs and read back equal: xarray, pandas and pyogrio read the source, xarray and
geopandas the published address.

Here belong whole publications of files that providers really sent. Not here: single formats' oddities (``domain``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.worlds import World

GSLA = "data/a_gridded/gsla/IMOS_OceanCurrent_HV_{}T000000Z_GSLA_FV02_NRT.nc"
RADAR = "data/a_gridded/hfradar_nwa/IMOS_ACORN_V_20220312T{}3000Z_NWA_FV01_1-hour-avg.nc"
ZONES: dict[str, Any] = {
    "id": "zones",
    "collection": "real",
    "format": "parquet",
    "access": "public",
    "coordinates": {"geometry": "geometry"},
    "source": {"kind": "local", "url": "../sources/zones", "include": "*.gpkg"},
    "convert": [{"read_vector": {"layer": "data"}}],
}
REEFS: dict[str, Any] = {
    **ZONES,
    "id": "reefs",
    "coordinates": {"x": "Longitude", "y": "Latitude"},
    "source": {"kind": "local", "url": "../sources/reefs", "include": "*.csv"},
    "convert": [{"read_csv": {}}],
}
Find = Callable[[str], Path]


def grid_yaml(dataset: str, *steps: dict[str, Any], **layout: Any) -> dict[str, Any]:
    return {
        "id": dataset,
        "collection": "real",
        "format": "zarr",
        "access": "public",
        "coordinates": {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"},
        "source": {"kind": "local", "url": f"../sources/{dataset}", "include": "*.nc"},
        "convert": [{"read_netcdf": {}}, *steps],
        "layout": layout,
    }


def put(world: World, dataset: str, *files: Path) -> None:
    for file in files:
        shutil.copyfile(file, world.source(dataset) / file.name)


def published(root: Path, yaml_: dict[str, Any], *files: Path, **curated: Any) -> World:
    """A world that published ``files`` with the schema that the gate proposed at first."""
    world = World(root)
    put(world, yaml_["id"], *files)
    world.describe(yaml_, None, **curated)
    told = take_proposed(world, yaml_["id"])
    assert "schema_matches_catalog" in told
    assert world.projector(yaml_["id"]).log.numbers() == []
    record = world.attempt(yaml_["id"]).publish()
    assert record is not None
    assert record.release == 1
    return world


def data_of(world: World, dataset: str) -> str:
    record = world.projector(dataset).log.newest()
    assert record is not None
    return str(record.datapackage["rimrep"]["addresses"]["data"])


def assert_same_grid(address: str, files: Sequence[Path], only: Sequence[str] | None = None) -> None:
    """All values, types and units of every variable; of what has no time those of the newest file."""
    with xr.open_zarr(address) as grid:
        sources = [xr.open_dataset(file) for file in files]
        first = sources[-1]
        names = set(only or first.variables)
        assert set(grid.variables) == names
        for name in sorted(names):
            if "TIME" in first[name].dims:
                expected = np.concatenate([source[name].values for source in sources])
            else:
                expected = first[name].values
            found = grid[name].values
            if np.issubdtype(expected.dtype, np.datetime64):
                # Times are published as whole microseconds; days as float64 hold no more than that.
                assert (np.abs(found - expected) < np.timedelta64(1, "us")).all()
                continue
            assert found.dtype == expected.dtype, name
            np.testing.assert_array_equal(found, expected, err_msg=name)
            assert grid[name].attrs.get("units") == first[name].attrs.get("units")
            assert grid[name].attrs.get("standard_name") == first[name].attrs.get("standard_name")
        for source in sources:
            source.close()


@pytest.fixture(scope="module")
def gsla(shared: Find) -> dict[str, Path]:
    return {day: shared(GSLA.format(day)) for day in ("20110901", "20110902", "20240101")}


def test_a_day_of_sea_level_reads_back_equal(gsla, tmp_path):
    world = published(tmp_path, grid_yaml("gsla"), gsla["20240101"])
    assert_same_grid(data_of(world, "gsla"), [gsla["20240101"]])


def test_two_days_of_one_format_read_back_equal_as_one_grid(gsla, tmp_path):
    files = [gsla["20110901"], gsla["20110902"]]
    world = published(tmp_path, grid_yaml("gsla", cadence="P1D"), *files)
    assert_same_grid(data_of(world, "gsla"), files)
    assert_same_grid(f"{world.store.url('gsla')}/data.zarr", files)


def test_files_of_two_formats_are_refused_with_every_difference(gsla, tmp_path):
    world = World(tmp_path)
    put(world, "gsla", gsla["20110901"], gsla["20240101"])
    world.describe(grid_yaml("gsla"), None)
    with pytest.raises(DataError) as refused:
        world.attempt("gsla").publish()
    told = str(refused.value)
    for difference in ("UCUR_MEAN", "VCUR_MEAN", "LATITUDE", "LONGITUDE"):
        assert difference in told
    assert "unite" in told
    assert world.projector("gsla").log.numbers() == []


def test_files_of_two_formats_are_united_by_a_declared_rule(gsla, tmp_path):
    files = [gsla["20110901"], gsla["20240101"]]
    rule = {"unite": {"variables": "common", "coordinate_tolerance": 0.0001}}
    world = published(tmp_path, grid_yaml("gsla", rule), *files)
    with xr.open_dataset(files[0]) as old:
        assert_same_grid(data_of(world, "gsla"), files, only=list(old.variables))


def test_an_hour_of_radar_is_appended_and_both_read_back_equal(shared, tmp_path):
    first, second = shared(RADAR.format("00")), shared(RADAR.format("01"))
    world = published(tmp_path, grid_yaml("radar", {"unite": {"variables": "common"}}), first)
    assert_same_grid(data_of(world, "radar"), [first])
    put(world, "radar", second)
    record = world.attempt("radar").publish()
    assert record.release == 2
    assert_same_grid(data_of(world, "radar"), [first, second])


def test_a_table_of_reefs_reads_back_equal(shared, tmp_path):
    import geopandas
    import pandas as pd

    source = shared("data/b_tabular/ltmp/all.reefs_3Zone.csv")
    world = published(tmp_path, REEFS, source, temporal=None)
    found, expected = geopandas.read_parquet(data_of(world, "reefs")), pd.read_csv(source)
    assert len(found) == len(expected) > 100
    order = ["REEF_NAME", "REEF_ID", "Latitude", "Longitude"]
    found, expected = (f.sort_values(order, ignore_index=True) for f in (found, expected))
    for column in expected.columns:
        assert found[column].tolist() == expected[column].tolist(), column
    assert found.geometry.x.tolist() == expected["Longitude"].tolist()
    assert found.geometry.y.tolist() == expected["Latitude"].tolist()
    assert found.crs.to_string() == "OGC:CRS84"


def test_a_geopackage_of_polygons_reads_back_equal(shared, tmp_path):
    import geopandas
    import pyogrio

    source = shared("data/b_tabular/gpkg/Test_domain.gpkg")
    world = published(tmp_path, ZONES, source, temporal=None)
    found, expected = geopandas.read_parquet(data_of(world, "zones")), pyogrio.read_dataframe(source)
    assert len(found) == len(expected) > 0
    assert set(found.columns) == {*expected.columns, "fid"}
    assert found["fid"].is_unique
    found, expected = (f.sort_values("UNIQUE_ID", ignore_index=True) for f in (found, expected))
    for column in expected.columns.drop("geometry"):
        left, right = found[column], expected[column]
        assert left.isna().tolist() == right.isna().tolist(), column
        assert left.dropna().tolist() == right.dropna().tolist(), column
    assert found.geometry.to_wkb().tolist() == expected.geometry.to_wkb().tolist()
    assert found.crs.to_epsg() == 4326


def test_a_geopackage_in_a_place_that_nobody_defined_is_refused_by_name(shared, tmp_path):
    world = World(tmp_path)
    put(world, "zones", shared("data/b_tabular/gpkg/reefmod_gbr.gpkg"))
    world.describe(ZONES, None, temporal=None)
    with pytest.raises(DataError, match=r"reefmod_gbr\.gpkg.*Undefined geographic SRS"):
        world.attempt("zones").publish()


def test_a_curvilinear_grid_passes_the_gate(tmp_path, shared):
    world = World(tmp_path)
    path = shared("data/a_gridded/hfradar_turq/IMOS_ACORN_V_20240101T000000Z_TURQ_FV01_1-hour-avg.nc")
    (world.source("radar") / path.name).write_bytes(path.read_bytes())
    raw = {
        "id": "radar",
        "collection": "reef",
        "format": "zarr",
        "access": "public",
        "coordinates": {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"},
        "source": {"kind": "local", "url": "../sources/radar", "include": "*.nc"},
        "convert": [{"read_netcdf": {}}],
    }
    world.describe(raw, None)
    attempt = world.attempt("radar")
    candidate = attempt.prepare(attempt.stage()[1])
    failed = {check.name for check in candidate.verdict.checks if not check.passed}
    assert failed - {"definition_of_done"} == {"schema_matches_catalog"}
