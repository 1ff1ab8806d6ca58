"""The gridded files that are no NetCDF, and what becomes of each: published with the values that rasterio or xarray
read, or refused with the reason in words.

Here belong whole publications of real files. Not here: NetCDF (``test_real_grids``), single rules (``domain``).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.real_grid_rows import OTHER_READERS
from rimrep_assets_tests.test_real_files import data_of
from rimrep_assets_tests.worlds import World

OISST = "a_gridded/geotiff_oisst/oisst-avhrr-v02r01.20220913"
STORE = "a_gridded/zarr/analysed_sst.zarr"
SCHEMA = next(name for name in OTHER_READERS if name.endswith(".schema"))
OISST_STEPS: dict[str, Any] = {
    "read_geotiff": {"variable": "*.*-{variable}.tif"},
    "set_time": {"name": "*.%Y%m%d-*.tif"},
    "rename": {"x": "lon", "y": "lat"},
}
DEGREES = {"x": "lon", "y": "lat", "t": "time"}
ROWS: dict[str, tuple[dict[str, Any], str | None]] = {
    f"{OISST}-sst.tif": (OISST_STEPS, None),
    f"{OISST}-err.tif": (OISST_STEPS, None),
    STORE: ({"read_zarr": {}}, None),
    f"{OISST}.json": ({"read_netcdf": {}}, "cannot be read as NetCDF"),
    "a_gridded/ereefs_gbr4/small.nc.json": ({"read_zarr": {}}, "is no Zarr store (read_zarr)"),
    SCHEMA: ({"read_netcdf": {}}, "cannot be read as NetCDF"),
}
"""by file the steps, and words of the reason where it is refused"""


def test_the_table_names_every_file_that_is_no_netcdf():
    assert ROWS.keys() == OTHER_READERS.keys()


def grid_yaml(name: str, steps: dict[str, Any], include: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "collection": "real",
        "format": "zarr",
        "access": "public",
        "coordinates": more.pop("coordinates", DEGREES),
        "source": {"kind": "local", "url": f"../sources/{name}", "include": include},
        "convert": [{step: options} for step, options in steps.items()],
        **more,
    }


def put(world: World, name: str, *paths: Path) -> None:
    for path in paths:
        target = world.source(name) / path.name
        if path.is_dir():
            shutil.copytree(path, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(path, target)


def published(world: World, yaml_: dict[str, Any], *paths: Path, **curated: Any) -> str:
    """The address of the first release of ``paths``."""
    put(world, yaml_["id"], *paths)
    world.describe(yaml_, None, **curated)
    take_proposed(world, yaml_["id"])
    assert world.attempt(yaml_["id"]).publish().release == 1
    return data_of(world, yaml_["id"])


def masked(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1, masked=True).astype("f4").filled(np.nan)


def test_two_geotiffs_of_one_day_are_one_grid_of_two_variables(shared, tmp_path):
    world = World(tmp_path)
    paths = [shared(f"data/{OISST}-{name}.tif") for name in ("err", "sst")]
    address = published(world, grid_yaml("oisst", OISST_STEPS, "*.tif"), *paths)
    for place in (address, f"{world.store.url('oisst')}/data.zarr"):
        with xr.open_zarr(place) as grid, rasterio.open(paths[0]) as source:
            np.testing.assert_array_equal(grid["err"].values[0], masked(paths[0]))
            np.testing.assert_array_equal(grid["sst"].values[0], masked(paths[1]))
            assert grid["time"].values.tolist() == [np.datetime64("2022-09-13", "ns").astype(int)]
            np.testing.assert_allclose(grid["lon"].values, [source.xy(0, c)[0] for c in range(source.width)])
            np.testing.assert_allclose(grid["lat"].values, [source.xy(r, 0)[1] for r in range(source.height)])
    record = world.projector("oisst").log.newest()
    assert record.facts.crs == "EPSG:4326"
    assert [file.name for file in record.sources] == [path.name for path in paths]


def test_the_receipt_names_both_geotiffs(shared, tmp_path, rimrep):
    import json

    world = World(tmp_path)
    paths = [shared(f"data/{OISST}-{name}.tif") for name in ("err", "sst")]
    published(world, grid_yaml("oisst", OISST_STEPS, "*.tif"), *paths)
    record = world.projector("oisst").log.newest()
    receipt = json.loads(world.store.read(record.receipt.path))
    assert {p["name"] for p in receipt["files"] if p["digest"]} == {path.name for path in paths}
    ended = rimrep(world, "verify", "oisst")
    assert ended.code == 0, ended.err


def test_a_variable_that_comes_later_is_added_where_the_rule_says_so(shared, tmp_path):
    world = World(tmp_path)
    err, sst = (shared(f"data/{OISST}-{name}.tif") for name in ("err", "sst"))
    yaml_ = grid_yaml("oisst", {**OISST_STEPS, "unite": {"variables": "all"}}, "*.tif")
    published(world, yaml_, sst)
    put(world, "oisst", err)
    take_proposed(world, "oisst")
    assert world.attempt("oisst").publish().release == 2
    with xr.open_zarr(data_of(world, "oisst")) as grid:
        np.testing.assert_array_equal(grid["err"].values[0], masked(err))
        np.testing.assert_array_equal(grid["sst"].values[0], masked(sst))


def test_a_zarr_store_is_one_source_file_and_reads_back_equal(shared, tmp_path):
    world = World(tmp_path)
    source = shared(f"data/{STORE}")
    yaml_ = grid_yaml("sst", {"read_zarr": {}}, "*.zarr", layout={"chunks": {"time": 8, "lat": 40, "lon": 60}})
    address = published(world, yaml_, source)
    record = world.projector("sst").log.newest()
    assert [file.name for file in record.sources] == ["analysed_sst.zarr"]
    assert record.sources[0].size == sum(p.stat().st_size for p in source.rglob("*") if p.is_file())
    with xr.open_zarr(address) as grid, xr.open_zarr(source, consolidated=False) as expected:
        assert set(grid.variables) == set(expected.variables)
        for name in expected.variables:
            np.testing.assert_array_equal(grid[name].values, expected[name].values, err_msg=name)
        assert grid["analysed_sst"].encoding["chunks"] == (8, 40, 60)


@pytest.mark.parametrize("name", [name for name, (_, refused) in ROWS.items() if refused])
def test_what_is_no_grid_is_refused_with_the_reason_in_words(name, shared, tmp_path):
    world, path = World(tmp_path), shared(f"data/{name}")
    steps, words = ROWS[name]
    put(world, "real", path)
    world.describe(grid_yaml("real", steps, "*"), None)
    with pytest.raises(DataError) as caught:
        world.attempt("real").publish()
    assert str(words) in str(caught.value)
    assert path.name in str(caught.value)
    assert world.projector("real").log.numbers() == []
