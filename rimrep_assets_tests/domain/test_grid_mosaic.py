"""Several GeoTIFF files as one file of a grid: tiles and variables; expected values by rasterio.merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rasterio.merge import merge
from rasterio.transform import from_origin

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_mosaic import open_mosaic
from rimrep_assets.domain.grid_other_reader import open_otherwise
from rimrep_assets.domain.grid_together import Together, grid_files, variable_told
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset
from rimrep_assets_tests.domain.test_grid_geotiff import write

XY = {"x": "x", "y": "y"}
WHOLE = (np.arange(60 * 80) % 30000).reshape(60, 80).astype("i2")


def tile(folder: Path, name: str, rows: slice, columns: slice, values: np.ndarray = WHOLE, **profile: Any) -> Path:
    """A part of one large raster of cells of 0.1 degrees."""
    folder.mkdir(parents=True, exist_ok=True)
    at = from_origin(145 + 0.1 * columns.start, -10 - 0.1 * rows.start, 0.1, 0.1)
    part = values[rows, columns][np.newaxis]
    return write(folder / name, part, profile.pop("transform", at), **{"nodata": -1, **profile})


def quarters(folder: Path, overlap: int = 3, **profile: Any) -> list[Path]:
    rows, columns = [slice(0, 30 + overlap), slice(30, 60)], [slice(0, 40 + overlap), slice(40, 80)]
    return [
        tile(folder, f"t{r}{c}.tif", rows[r], columns[c], **profile) for r in range(2) for c in range(2)
    ]  # fmt: skip


def published(folder: Path, **steps: Any) -> Published:
    dataset = grid_dataset(steps={"read_geotiff": {}, "mosaic": {}, **steps}, coordinates=XY)
    grid = Published(dataset).to(folder)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    return grid


def refusal(folder: Path, **steps: Any) -> str:
    with pytest.raises(DataError) as caught:
        published(folder, **steps)
    return str(caught.value)


def merged(paths: list[Path], fill: float = -1) -> np.ndarray:
    values, _ = merge([rasterio.open(path) for path in paths], nodata=fill)
    return values[0]


def test_tiles_that_overlap_are_one_grid_with_the_values_that_gdal_merges(tmp_path):
    paths = quarters(tmp_path / "m" / "_")
    grid = published(tmp_path / "m")
    np.testing.assert_array_equal(grid.group["band_1"][...], merged(paths))
    np.testing.assert_array_equal(grid.group["band_1"][...], WHOLE)
    assert grid.xarray()["x"].values == pytest.approx(145.05 + 0.1 * np.arange(80))
    assert grid.xarray()["y"].values == pytest.approx(-10.05 - 0.1 * np.arange(60))


def test_cells_that_no_tile_covers_have_no_value(tmp_path):
    paths = quarters(tmp_path / "m" / "_")
    paths.pop().unlink()
    grid = published(tmp_path / "m")
    np.testing.assert_array_equal(grid.group["band_1"][...], merged(paths))
    assert np.isnan(grid.xarray()["band_1"].values[45, 60])


def test_cells_that_no_tile_covers_need_a_number_that_says_so(tmp_path):
    quarters(tmp_path / "m" / "_", nodata=None).pop().unlink()
    assert "no nodata that could stand for them" in refusal(tmp_path / "m")
    floats = WHOLE.astype("f4")
    paths = quarters(tmp_path / "f" / "_", nodata=None, values=floats)
    paths.pop().unlink()
    grid = published(tmp_path / "f").xarray()
    np.testing.assert_array_equal(grid["band_1"].values, merged(paths, np.nan))


def test_a_cell_without_value_gives_way_to_one_with(tmp_path):
    holes = WHOLE.copy()
    holes[:, 40:43] = -1
    paths = [
        tile(tmp_path / "m" / "_", "a.tif", slice(0, 60), slice(0, 43), holes),
        tile(tmp_path / "m" / "_", "b.tif", slice(0, 60), slice(40, 80)),
    ]
    np.testing.assert_array_equal(published(tmp_path / "m").group["band_1"][...], merged(paths[::-1]))


def test_overlapping_cells_with_different_values_are_refused_by_number_and_place(tmp_path):
    other = WHOLE.copy()
    other[5, 41] += 1
    tile(tmp_path / "m" / "_", "a.tif", slice(0, 60), slice(0, 43))
    tile(tmp_path / "m" / "_", "b.tif", slice(0, 60), slice(40, 80), other)
    told = refusal(tmp_path / "m")
    assert "a.tif and b.tif: band_1 differs in 1 cells that both cover, e.g. 441 and 442 at row 5, column 41" in told


@pytest.mark.parametrize(
    ("bent", "words"),
    [
        ({"crs": "EPSG:4283"}, "its CRS is not that of a.tif"),
        ({"transform": from_origin(149, -10, 0.2, 0.1)}, "cells of 0.2"),
        ({"transform": from_origin(149.04, -10, 0.1, 0.1)}, "0.40 of a cell off the raster of a.tif"),
        ({"nodata": -9}, "has another _FillValue"),
        ({"values": WHOLE.astype("f4")}, "has another type"),
        ({"band": {1: {"scales": 0.1}}}, "has another scale_factor, add_offset"),
        ({"band": {1: {"description": "sst"}}}, "has others"),
    ],
)
def test_tiles_that_do_not_fit_each_other_are_refused_in_words(tmp_path, bent, words):
    tile(tmp_path / "m" / "_", "a.tif", slice(0, 60), slice(0, 40))
    values = bent.pop("values", WHOLE)
    tile(tmp_path / "m" / "_", "b.tif", slice(0, 60), slice(40, 80), values, **bent)
    told = refusal(tmp_path / "m")
    assert words in told
    assert "b.tif" in told


def test_every_broken_tile_is_named(tmp_path):
    quarters(tmp_path / "m" / "_")
    for name in ("t00.tif", "t11.tif"):
        path = tmp_path / "m" / "_" / name
        path.write_bytes(path.read_bytes()[:200])
    told = refusal(tmp_path / "m")
    assert "t00.tif" in told
    assert "t11.tif" in told


def test_variables_in_files_of_their_own_are_one_grid(tmp_path):
    for name, values in (("sst", WHOLE), ("err", WHOLE[::-1].copy())):
        tile(tmp_path / "m" / name, f"day-{name}.tif", slice(0, 60), slice(0, 80), values)
    dataset = grid_dataset(steps={"read_geotiff": {"variable": "*-{variable}.tif"}}, coordinates=XY)
    grid = Published(dataset).to(tmp_path / "m")
    assert [d for proof in grid.prove() for d in proof.differences] == []
    np.testing.assert_array_equal(grid.group["sst"][...], WHOLE)
    np.testing.assert_array_equal(grid.group["err"][...], WHOLE[::-1])


def test_variables_that_do_not_cover_the_same_cells_are_refused_without_mosaic(tmp_path):
    tile(tmp_path / "m" / "sst", "day-sst.tif", slice(0, 60), slice(0, 80))
    tile(tmp_path / "m" / "err", "day-err.tif", slice(0, 60), slice(0, 40))
    steps = {"read_geotiff": {"variable": "*-{variable}.tif"}}
    with pytest.raises(DataError, match=r"day-err\.tif: does not cover"):
        Published(grid_dataset(steps=steps, coordinates=XY)).to(tmp_path / "m")
    grid = published(tmp_path / "m", **steps).xarray()
    assert np.isnan(grid["err"].values[:, 40:]).all()
    np.testing.assert_array_equal(grid["err"].values[:, :40], WHOLE[:, :40])


def test_a_file_with_two_bands_cannot_be_named_by_one_variable(tmp_path):
    (tmp_path / "m" / "sst").mkdir(parents=True)
    write(tmp_path / "m" / "sst" / "day-sst.tif", np.zeros((2, 4, 3), "i2"))
    with pytest.raises(DataError, match="has 2 bands"):
        published(tmp_path / "m", read_geotiff={"variable": "*-{variable}.tif"})


def test_a_window_over_tiles_reads_the_same_as_all_of_it(tmp_path):
    quarters(tmp_path / "m" / "_")
    with open_mosaic(tmp_path / "m", "m") as file, open_otherwise(tmp_path / "m") as other:
        for window in ((slice(28, 35), slice(38, 45)), (slice(0, 1), slice(79, 80)), (slice(0, 60), slice(40, 41))):
            np.testing.assert_array_equal(file.variables["band_1"][window], WHOLE[window])
            np.testing.assert_array_equal(other.variables["band_1"][window], WHOLE[window])


# Which files belong together


def file(name: str, digest: str = "") -> SourceFile:
    return SourceFile(name=name, digest=digest or f"digest of {name}", size=10, url=f"https://example.org/{name}")


def described(steps: dict[str, Any], t: bool = True) -> Dataset:
    return grid_dataset(steps={"read_geotiff": {}, **steps}, coordinates={**XY, **({"t": "time"} if t else {})})


BY_NAME = {"set_time": {"name": "*%Y%m%d*.tif"}}


def test_files_whose_names_differ_in_the_variable_alone_belong_together():
    dataset = described({"read_geotiff": {"variable": "*-{variable}.tif"}, **BY_NAME})
    names = ["x.20240102-sst.tif", "x.20240101-err.tif", "x.20240101-sst.tif"]
    found = grid_files([file(name) for name in names], dataset)
    assert [one.name for one in found] == ["x.20240101-*.tif", "x.20240102-*.tif"]
    assert [[(v, f.name) for v, f in one.members] for one in found if isinstance(one, Together)] == [
        [("err", "x.20240101-err.tif"), ("sst", "x.20240101-sst.tif")],
        [("sst", "x.20240102-sst.tif")],
    ]
    assert found[0].size == 20


def test_tiles_belong_together_by_the_time_in_their_names_or_all_without_time():
    names = ["a_20240101.tif", "b_20240101.tif", "a_20240102.tif"]
    found = grid_files(map(file, names), described({"mosaic": {}, **BY_NAME}))
    assert [one.name for one in found] == ["a_20240101.tif", "a_20240102.tif"]
    assert [len(one.members) for one in found if isinstance(one, Together)] == [2, 1]
    assert len(grid_files(map(file, names), described({"mosaic": {}}, t=False))) == 1


def test_names_that_do_not_match_are_all_told():
    dataset = described({"read_geotiff": {"variable": "*-{variable}.tif"}, "mosaic": {}, **BY_NAME})
    with pytest.raises(DataError) as caught:
        grid_files([file("a.tif"), file("day-sst.tif")], dataset)
    assert "a.tif: its name does not match read_geotiff.variable" in str(caught.value)
    assert "day-sst.tif: its name does not match set_time.name" in str(caught.value)


def test_without_such_a_step_every_file_stands_alone():
    files = [file("b.tif"), file("a.tif")]
    assert grid_files(files, described(BY_NAME)) == tuple(files[::-1])


def test_the_same_bytes_as_another_variable_are_another_content():
    dataset = described({"read_geotiff": {"variable": "*-{variable}.tif"}, **BY_NAME})
    one, other = (grid_files([file(f"20240101-{v}.tif", "same")], dataset)[0] for v in ("sst", "err"))
    assert one.digest != other.digest


def test_two_days_with_the_same_bytes_are_two_files(tmp_path):
    """Days of nothing but cloud are equal to the last bit; only their names tell their times."""
    paths = [write(tmp_path / f"a_2024010{day}.tif", np.ones((1, 4, 3), "u1")) for day in (1, 2)]
    grid = Published(described({"set_time": {"name": "*_%Y%m%d.tif"}})).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    assert grid.xarray()["time"].values.astype("M8[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]


@given(st.permutations([file(f"{tile}_2024010{day}.tif") for tile in "abc" for day in (1, 2)]))
def test_order_plays_no_part_and_no_file_is_lost(files):
    dataset = described({"mosaic": {}, **BY_NAME})
    found = grid_files(files, dataset)
    assert found == grid_files(sorted(files, key=lambda f: f.name), dataset)
    held = [member.name for one in found if isinstance(one, Together) for _, member in one.members]
    assert sorted(held) == sorted(f.name for f in files)


@pytest.mark.parametrize(
    ("pattern", "name", "told"),
    [
        ("*-{variable}.tif", "a-b-sst.tif", ("sst", "a-b-*.tif")),
        ("*-{variable}.tif", "2024/a-sst.tif", ("sst", "2024/a-*.tif")),
        ("{variable}/*.tif", "sst/a.tif", ("sst", "*/a.tif")),
        ("{variable}_*.tif", "sst_20240101.tif", ("sst", "*_20240101.tif")),
        ("*-{variable}.tif", "a-..tif", None),
        ("*-{variable}.tif", "a-1.tif", None),
        ("*-{variable}.tif", "a-sst.tiff", None),
    ],
)
def test_the_variable_in_a_name(pattern, name, told):
    assert variable_told(pattern, name) == told


def test_the_grid_of_tiles_opens_in_xarray_with_its_crs(tmp_path):
    quarters(tmp_path / "m" / "_")
    seen: xr.Dataset = published(tmp_path / "m").xarray()
    assert rasterio.crs.CRS.from_wkt(seen["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 4326
