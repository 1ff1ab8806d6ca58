"""What the workflow templates for NetCDF and Zarr did, done by the platform; ``docs/templates-grids.md`` is the table.

Here belong templates that are not the subject of another test. Not here: the rules themselves (``domain``).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.request import url2pathname

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.batches import batches_of, split_evenly
from rimrep_assets.domain.completeness import undone
from rimrep_assets.domain.grid_partitions import partition_advice, valid_partition_size
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets_tests.domain.grid_bench import grid_dataset
from rimrep_assets_tests.domain.test_grid_mosaic import WHOLE, tile
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.test_real_files import data_of
from rimrep_assets_tests.worlds import World

TABLE = Path(__file__).parents[1] / "docs" / "templates-grids.md"
LISTS = st.lists(st.integers())


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    if nginx_program() is None:
        if os.environ.get("RIMREP_SHARED"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    root = tmp_path_factory.mktemp("provider")
    (root / "files").mkdir()
    with Nginx(root / "files", root / "nginx") as server:
        yield server


@given(LISTS, st.integers(1, 20))
def test_a_list_is_split_into_parts_that_cover_it_once(items, parts):
    """split-list"""
    found = split_evenly(items, parts)
    assert [item for part in found for item in part] == items
    assert len(found) == min(parts, len(items))
    assert max(map(len, found), default=0) - min(map(len, found), default=0) <= 1


@given(LISTS, st.integers(1, 20))
def test_batches_are_full_save_the_last(items, size):
    """exclude-no-content-urls"""
    found = batches_of(items, size)
    assert [item for part in found for item in part] == items
    assert len(found) == -(-len(items) // size)
    assert all(len(part) == size for part in found[:-1])


@pytest.mark.parametrize("call", [lambda: split_evenly([1], 0), lambda: batches_of([1], 0)])
def test_no_parts_are_refused(call):
    with pytest.raises(ValueError, match="at least 1"):
        call()


def test_files_without_content_are_excluded_and_the_others_come_in_hundreds(provider, tmp_path):
    """exclude-no-content-urls"""
    folder = provider.served / "skip"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number:03}.nc").write_bytes(b"" if number % 10 == 0 else b"1")
    exclude = tuple(f"{number:03}.nc" for number in range(0, 250, 10))
    source = HttpFolder(f"{provider.url}/skip/", Selection(("*.nc",), exclude), cache=DownloadCache(tmp_path / "c"))
    sighting = source.look()
    assert [f.name for f in sighting] == [f"{n:03}.nc" for n in range(250) if n % 10]
    assert [len(batch) for batch in batches_of(sighting)] == [100, 100, 25]


@given(st.integers(1, 500), st.integers(1, 10_000))
def test_a_valid_partition_is_the_least_multiple_of_the_chunk(chunk, wanted):
    """get-valid-partition-size"""
    found = valid_partition_size(chunk, wanted)
    assert found % chunk == 0
    assert wanted <= found < wanted + chunk


def test_a_partition_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        valid_partition_size(0, 5)


@pytest.mark.parametrize(
    ("by", "cadence", "chunk", "backfill", "told"),
    [
        ("day", "PT1H", 24, "parallel", None),
        ("day", "PT1H", 8, "parallel", None),
        (
            "day",
            "PT1H",
            30,
            "parallel",
            "a day of 24 steps of PT1H is no whole number of chunks of 30 (the next is 30)",
        ),
        ("month", "P1D", 30, "parallel", "a month of 28 to 31 steps of P1D"),
        ("month", "P1D", 1, "parallel", None),
        ("month", "P1D", 30, "single", None),
        ("year", "PT1H", 24, "parallel", None),
        ("month", None, 30, "parallel", None),
    ],
)
def test_partitions_that_share_chunks_are_told_before_they_run(by, cadence, chunk, backfill, told):
    """get-valid-partition-size"""
    start = {"day": "2020-01-01", "month": "2020-01", "year": "2020"}[by]
    dataset = grid_dataset(layout={"chunks": {"time": chunk}, "cadence": cadence}).model_dump(exclude_defaults=True)
    partition = {"by": by, "start": start, "backfill": backfill, "file_time": "%Y%m%d.nc"}
    dataset = type(grid_dataset()).model_validate({**dataset, "partition": partition})
    found = partition_advice(dataset)
    assert (told in found[0]) if told else not found
    assert [w for w in undone(dataset, {}) if w.startswith("partition.by")] == found


def test_urls_and_places_in_the_cache_are_pairs_in_order(provider, tmp_path):
    """generate-download-urls-and-uris"""
    folder = provider.served / "pairs"
    folder.mkdir()
    for name in ("b.nc", "a.nc"):
        (folder / name).write_bytes(name.encode())
    cache = DownloadCache(tmp_path / "cache")
    source = HttpFolder(f"{provider.url}/pairs/", Selection(("*.nc",)), cache=cache, client=HttpClient())
    pairs = cache.urls_and_places(source.look())
    assert [url for url, _ in pairs] == [f"{provider.url}/pairs/a.nc", f"{provider.url}/pairs/b.nc"]
    held = [Path(url2pathname(uri.removeprefix("file://"))).read_bytes() for _, uri in pairs]
    assert held == [b"a.nc", b"b.nc"]


def test_a_box_is_cut_out_of_what_a_server_has(provider, tmp_path):
    """download-and-clip: longitudes in 0..360, latitudes from north to south, a box in -180..180."""
    folder = provider.served / "globe"
    folder.mkdir()
    lon, lat = np.arange(0, 360, 2.0), np.arange(88, -90, -2.0)
    for day in range(2):
        values = np.random.default_rng(day).random((1, lat.size, lon.size)).astype("f4")
        times = np.array([f"2024-01-0{day + 1}"], "M8[ns]")
        xr.Dataset(
            {"sst": (("time", "lat", "lon"), values)},
            {
                "time": times,
                "lat": ("lat", lat, {"units": "degrees_north"}),
                "lon": ("lon", lon, {"units": "degrees_east"}),
            },
        ).to_netcdf(folder / f"{day}.nc", encoding={"time": {"units": "days since 2000-01-01"}})
    world = World(tmp_path / "world")
    box = {"clip": {"bbox": [-30, -20, 30, -10]}}
    world.describe(
        {
            "id": "globe",
            "collection": "real",
            "format": "zarr",
            "access": "public",
            "coordinates": {"x": "lon", "y": "lat", "t": "time"},
            "source": {"kind": "http", "url": f"{provider.url}/globe/", "include": "*.nc"},
            "convert": [{"read_netcdf": {}}, box, {"orient": {"longitude": "-180..180"}}],
        },
        None,
    )
    take_proposed(world, "globe")
    assert world.attempt("globe").publish().release == 1
    with xr.open_zarr(data_of(world, "globe")) as grid, xr.open_mfdataset(str(folder / "*.nc")) as source:
        turned = source.assign_coords(lon=((source.lon + 180) % 360) - 180).sortby("lon")
        expected = turned.sel(lon=slice(-30, 30), lat=slice(-10, -20))
        assert grid["lon"].values.tolist() == expected["lon"].values.tolist()
        assert grid["lat"].values.tolist() == expected["lat"].values.tolist()
        np.testing.assert_array_equal(grid["sst"].values, expected["sst"].values)


def test_tiles_from_a_folder_are_published_as_one_grid_and_grow_by_a_day(tmp_path):
    """gdal-merge, gdal-to-zarr"""
    world = World(tmp_path)
    halves = (slice(0, 43), slice(40, 80))
    steps = [{"read_geotiff": {"names": {1: "depth"}}}, {"mosaic": {}}, {"set_time": {"name": "*_%Y%m%d.tif"}}]
    for day in (1, 2):
        for number, half in enumerate(halves):
            tile(world.source("tiles"), f"t{number}_2024010{day}.tif", slice(0, 60), half, WHOLE + day)
        if day == 1:
            world.describe(
                {
                    "id": "tiles",
                    "collection": "real",
                    "format": "zarr",
                    "access": "public",
                    "coordinates": {"x": "x", "y": "y", "t": "time"},
                    "source": {"kind": "local", "url": "../sources/tiles", "include": "*.tif"},
                    "convert": steps,
                },
                None,
            )
            take_proposed(world, "tiles")
        record = world.attempt("tiles").publish()
    assert record.release == 2
    assert len(record.sources) == 4
    with xr.open_zarr(data_of(world, "tiles")) as grid:
        np.testing.assert_array_equal(grid["depth"].values, np.stack([WHOLE + 1, WHOLE + 2]))
        assert rasterio.crs.CRS.from_wkt(grid["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 4326


def test_a_reissued_tile_changes_its_day_alone(tmp_path):
    world = World(tmp_path)
    halves = (slice(0, 40), slice(40, 80))
    for day in (1, 2):
        for number, half in enumerate(halves):
            tile(world.source("tiles"), f"t{number}_2024010{day}.tif", slice(0, 60), half)
    steps = [{"read_geotiff": {}}, {"mosaic": {}}, {"set_time": {"name": "*_%Y%m%d.tif"}}]
    world.describe(
        {
            "id": "tiles",
            "collection": "real",
            "format": "zarr",
            "access": "public",
            "coordinates": {"x": "x", "y": "y", "t": "time"},
            "source": {"kind": "local", "url": "../sources/tiles", "include": "*.tif"},
            "convert": steps,
            "layout": {"chunks": {"time": 1}},
        },
        None,
    )
    take_proposed(world, "tiles")
    world.attempt("tiles").publish()
    tile(world.source("tiles"), "t1_20240102.tif", slice(0, 60), halves[1], WHOLE + 5)
    record = world.attempt("tiles").publish()
    expected = np.stack([WHOLE, WHOLE])
    expected[1, :, 40:] += 5
    with xr.open_zarr(data_of(world, "tiles")) as grid:
        np.testing.assert_array_equal(grid["band_1"].values, expected)
    receipt = json.loads(world.store.read(record.receipt.path))
    assert {p["name"] for p in receipt["files"] if p["digest"]} == {f.name for f in record.sources}


def test_the_table_names_tests_that_exist():
    named = re.findall(r"`(rimrep_assets_tests/[^`]+?\.py)::(test_\w+)`", TABLE.read_text())
    assert len(named) >= 15
    root = TABLE.parents[1]
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (root / file).read_text()]
    assert missing == []
