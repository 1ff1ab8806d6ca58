"""GeoTIFF files as grids; expected values from rasterio (GDAL)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import rasterio
import xarray as xr
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_file import format_of
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset, header_of

XY = {"x": "x", "y": "y"}
PLACE = from_origin(145.0, -10.0, 0.5, 0.5)
NAMED = {"set_time": {"name": "*_%Y%m%d.tif"}}


def write(
    path: Path,
    values: np.ndarray,
    transform: Affine = PLACE,
    crs: Any = "EPSG:4326",
    tags: dict[str, str] | None = None,
    band: dict[int, dict[str, Any]] | None = None,
    **profile: Any,
) -> Path:
    """A GeoTIFF; ``values`` are (bands, rows, columns), ``band`` has scale, offset, description, unit by number."""
    profile = {"driver": "GTiff", "dtype": values.dtype, "crs": crs, "transform": transform, **profile}
    count, height, width = values.shape
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as file:
        file.write(values)
        file.update_tags(**(tags or {}))
        for number, told in (band or {}).items():
            for key, value in told.items():
                if key == "description":
                    file.set_band_description(number, value)
                else:
                    held = list(getattr(file, key))
                    held[number - 1] = value
                    setattr(file, key, held)
    return path


def numbers(*shape: int, dtype: str = "i2", base: int = 0) -> np.ndarray:
    return (base + np.arange(np.prod(shape))).reshape(shape).astype(dtype)


def published(steps: dict[str, Any], *paths: Path, coordinates: Any = XY, **keys: Any) -> Published:
    """A grid of these files, proven; the proof has no difference."""
    steps = {"read_geotiff": {}, **steps}
    grid = Published(grid_dataset(steps=steps, coordinates=coordinates, **keys)).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    return grid


def refusal(steps: dict[str, Any], *paths: Path, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        published(steps, *paths, **keys)
    return str(caught.value)


def by_rasterio(path: Path, number: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decoded values with NaN, x and y of the centres."""
    with rasterio.open(path) as source:
        values = source.read(number, masked=True).astype("f8") * source.scales[number - 1] + source.offsets[number - 1]
        x = np.array([source.xy(0, column)[0] for column in range(source.width)])
        y = np.array([source.xy(row, 0)[1] for row in range(source.height)])
    return values.filled(np.nan), x, y


def assert_as_rasterio(grid: xr.Dataset, name: str, path: Path, number: int = 1, time: int | None = None) -> None:
    values, x, y = by_rasterio(path, number)
    found = grid[name] if time is None else grid[name].isel(time=time)
    np.testing.assert_allclose(found.values, values, rtol=1e-7, equal_nan=True)
    np.testing.assert_allclose(grid["x"].values, x)
    np.testing.assert_allclose(grid["y"].values, y)


def test_a_band_is_a_variable_and_x_and_y_are_the_centres_of_cells(tmp_path):
    path = write(tmp_path / "a.tif", numbers(1, 4, 3), nodata=5)
    grid = published({}, path).xarray()
    assert_as_rasterio(grid, "band_1", path)
    assert grid["x"].values.tolist() == [145.25, 145.75, 146.25]
    assert np.isnan(grid["band_1"].values[1, 2])
    assert grid["x"].attrs["units"] == "degrees_east"
    assert grid["band_1"].dtype.kind == "f"


def test_numbers_stay_as_they_are_stored_with_scale_offset_and_nodata(tmp_path):
    path = write(
        tmp_path / "a.tif", numbers(1, 4, 3), nodata=-99, band={1: {"scales": 0.01, "offsets": 20.0, "units": "degC"}}
    )
    grid = published({"read_geotiff": {"names": {1: "sst"}}}, path)
    assert grid.group["sst"].dtype == np.dtype("i2")
    np.testing.assert_array_equal(grid.group["sst"][...], numbers(1, 4, 3)[0])
    assert grid.xarray()["sst"].encoding["scale_factor"] == 0.01
    assert grid.xarray()["sst"].attrs["units"] == "degC"
    assert_as_rasterio(grid.xarray(), "sst", path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_every_type_of_number_reads_back(tmp_path, dtype):
    path = write(tmp_path / "a.tif", numbers(1, 4, 3, dtype=dtype), nodata=7)
    grid = published({}, path)
    assert grid.group["band_1"].dtype == np.dtype(dtype)
    assert_as_rasterio(grid.xarray(), "band_1", path)


def test_nodata_that_is_no_number_hides_what_is_no_number(tmp_path):
    values = numbers(1, 4, 3, dtype="f4")
    values[0, 0, 0] = np.nan
    path = write(tmp_path / "a.tif", values, nodata=np.nan)
    assert_as_rasterio(published({}, path).xarray(), "band_1", path)


def test_a_tiled_compressed_projected_raster_keeps_its_crs(tmp_path):
    path = write(
        tmp_path / "reef.tif",
        numbers(2, 100, 130, dtype="f4"),
        from_origin(300_000, 8_000_000, 30, 30),
        "EPSG:32755",
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress="deflate",
        predictor=3,
        interleave="pixel",
    )
    grid = published({}, path, layout={"chunks": {"y": 40, "x": 50}})
    seen = grid.xarray()
    for number in (1, 2):
        assert_as_rasterio(seen, f"band_{number}", path, number)
    assert seen["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert seen["x"].attrs["units"] == "m"
    assert seen["band_1"].attrs["grid_mapping"] == "spatial_ref"
    assert rasterio.crs.CRS.from_wkt(seen["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 32755
    facts = measure_grid(grid.state, grid.stats(), grid.group, grid.dataset)
    assert facts.crs == "EPSG:32755"
    lon, lat = transform("EPSG:32755", "EPSG:4326", np.repeat(seen["x"].values, 100), np.tile(seen["y"].values, 130))
    np.testing.assert_allclose(facts.bbox, (min(lon), min(lat), max(lon), max(lat)), atol=1e-9)


def test_a_raster_with_south_first_and_one_whose_point_is_a_cells_centre(tmp_path):
    south = write(tmp_path / "s.tif", numbers(1, 4, 3), Affine(0.5, 0, 145, 0, 0.5, -12))
    assert_as_rasterio(published({}, south).xarray(), "band_1", south)
    point = write(tmp_path / "p.tif", numbers(1, 4, 3), tags={"AREA_OR_POINT": "Point"})
    assert_as_rasterio(published({}, point).xarray(), "band_1", point)


def test_bands_are_named_by_number_by_description_or_as_told(tmp_path):
    told = {1: {"description": "sst"}, 2: {"description": "Error of it (K)"}, 3: {"description": "x"}}
    path = write(tmp_path / "a.tif", numbers(3, 4, 3), band=told)
    grid = published({}, path).xarray()
    assert {"sst", "band_2", "band_3"} <= set(grid.data_vars)
    assert grid["band_2"].attrs["long_name"] == "Error of it (K)"
    chosen = published({"read_geotiff": {"names": {2: "err"}}}, path).xarray()
    assert set(chosen.data_vars) == {"err", "spatial_ref"}
    assert_as_rasterio(chosen, "err", path, 2)


def test_tags_are_attributes_and_counts_of_one_file_are_not(tmp_path):
    path = write(tmp_path / "a.tif", numbers(1, 4, 3), tags={"processing_level": "L4"})
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, STATISTICS_MEAN="3", cell_methods="time: mean", scale_factor="nonsense")
    grid = published({}, path).xarray()
    assert grid.attrs["processing_level"] == "L4"
    assert grid["band_1"].attrs["cell_methods"] == "time: mean"
    assert not {"STATISTICS_MEAN", "scale_factor", "AREA_OR_POINT"} & (grid["band_1"].attrs | grid.attrs).keys()


def test_a_series_by_name_is_one_grid_along_time_and_x_and_y_may_be_renamed(tmp_path):
    paths = [write(tmp_path / f"sst_2024010{n}.tif", numbers(1, 4, 3, base=n), nodata=-1) for n in (2, 1)]
    steps = {**NAMED, "rename": {"x": "lon", "y": "lat", "band_1": "sst"}}
    grid = published(steps, *paths, coordinates={"x": "lon", "y": "lat", "t": "time"}).xarray()
    assert grid["sst"].dims == ("time", "lat", "lon")
    assert grid["time"].values.astype("M8[D]").astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    for position, path in enumerate(reversed(paths)):
        np.testing.assert_array_equal(grid["sst"].values[position], by_rasterio(path)[0])


def test_a_series_by_tag_is_one_grid_along_time(tmp_path):
    tags = [{"TIFFTAG_DATETIME": f"2024:01:0{n} 12:00:00"} for n in (1, 2)]
    paths = [write(tmp_path / f"{n}.tif", numbers(1, 4, 3, base=n), tags=tag) for n, tag in enumerate(tags)]
    step = {"set_time": {"attribute": "TIFFTAG_DATETIME", "format": "%Y:%m:%d %H:%M:%S"}}
    grid = published(step, *paths, coordinates={**XY, "t": "time"}).xarray()
    assert grid["time"].values[1] == np.datetime64("2024-01-02T12:00")
    assert_as_rasterio(grid, "band_1", paths[1], time=1)


def test_clip_and_orient_hold_for_rasters(tmp_path):
    path = write(tmp_path / "a.tif", numbers(1, 40, 30))
    grid = published({"clip": {"bbox": [146, -14, 148, -12]}, "orient": {"y": "ascending"}}, path).xarray()
    values, x, y = by_rasterio(path)
    expected = xr.DataArray(values, {"y": y, "x": x}, ("y", "x")).sortby("y").sel(x=slice(146, 148), y=slice(-14, -12))
    np.testing.assert_array_equal(grid["band_1"].values, expected.values)
    np.testing.assert_array_equal(grid["y"].values, expected["y"].values)


def gcps() -> list[Any]:
    from rasterio.control import GroundControlPoint

    corners = [(0, 0, 145, -10), (0, 3, 147, -10), (4, 0, 145, -12)]
    return [GroundControlPoint(row, col, x, y) for row, col, x, y in corners]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"transform": Affine(0.9, 0.3, 145, 0.3, -0.9, -10)}, "rotated"),
        ({"transform": Affine.identity()}, "says nothing of its place"),
        ({"gcps": gcps()}, "placed by control points"),
        ({"crs": None}, "names no CRS"),
        ({"crs": 'LOCAL_CS["somewhere",UNIT["metre",1]]'}, "no x and y on the earth"),
        ({"dtype": "complex64"}, "not numbers"),
    ],
)
def test_what_cannot_be_a_grid_is_refused_in_words(tmp_path, profile, words):
    values = numbers(1, 4, 3).astype(profile.get("dtype", "i2"))
    if "gcps" in profile:
        profile = {**profile, "transform": Affine.identity()}
    told = refusal({}, write(tmp_path / "bad.tif", values, **profile))
    assert words in told
    assert "bad.tif" in told


def test_a_mask_that_only_gdal_knows_is_refused(tmp_path):
    path = write(tmp_path / "m.tif", numbers(1, 4, 3))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[True, True, False]] * 4))
    assert "hides cells by a mask" in refusal({}, path)


def test_two_images_in_one_file_are_refused(tmp_path):
    path = write(tmp_path / "two.tif", numbers(1, 4, 3))
    with rasterio.open(path) as source:
        profile = source.profile
    with rasterio.open(path, "w", APPEND_SUBDATASET=True, **profile) as file:
        file.write(numbers(1, 4, 3))
    assert "holds 2 images" in refusal({}, path)


@pytest.mark.parametrize("compress", [None, "deflate"])
def test_a_cut_file_is_refused_before_anything_is_written(tmp_path, compress):
    path = write(tmp_path / "cut.tif", numbers(1, 400, 300), compress=compress)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    told = refusal({}, path)
    assert "cut.tif" in told
    assert "is cut" in told or "cannot be read as GeoTIFF" in told


def test_an_empty_file_and_one_of_another_format_are_refused(tmp_path):
    (tmp_path / "e.tif").write_bytes(b"")
    assert "is empty" in refusal({}, tmp_path / "e.tif")
    (tmp_path / "t.tif").write_text("no raster")
    assert "is no GeoTIFF (read_geotiff)" in refusal({}, tmp_path / "t.tif")
    path = write(tmp_path / "a.tif", numbers(1, 4, 3))
    with pytest.raises(DataError, match=r"is GeoTIFF, no NetCDF \(read_netcdf\)"):
        header_of(path, grid_dataset(coordinates=XY))


def test_a_virtual_raster_that_names_other_files_is_not_followed(tmp_path):
    """A VRT can name any file of the machine."""
    secret = write(tmp_path / "secret.tif", numbers(1, 4, 3))
    (tmp_path / "a.tif").write_text(
        f'<VRTDataset rasterXSize="3" rasterYSize="4"><VRTRasterBand dataType="Int16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert "is no GeoTIFF" in refusal({}, tmp_path / "a.tif")


def test_what_lies_beside_a_file_plays_no_part(tmp_path):
    """GDAL reads scale and nodata from a file ``a.tif.aux.xml``, which is not in the ledger."""
    path = write(tmp_path / "a.tif", numbers(1, 4, 3))
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>3</NoDataValue><Scale>7</Scale></PAMRasterBand></PAMDataset>'
    )
    grid = published({}, path).xarray()
    np.testing.assert_array_equal(grid["band_1"].values, numbers(1, 4, 3)[0])


@pytest.mark.parametrize("magic", [{"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"BIGTIFF": "YES", "ENDIANNESS": "BIG"}])
def test_every_kind_of_tiff_is_known_by_its_first_bytes(tmp_path, magic):
    path = write(tmp_path / "a.tif", numbers(1, 4, 3), **magic)
    assert format_of(path) == "geotiff"
    assert_as_rasterio(published({}, path).xarray(), "band_1", path)


def test_a_band_that_is_not_there_is_told_with_the_number_that_are(tmp_path):
    path = write(tmp_path / "a.tif", numbers(2, 4, 3))
    assert "there is no band 3; the file has 2" in refusal({"read_geotiff": {"names": {1: "a", 3: "b"}}}, path)


def test_a_raster_of_another_place_in_the_series_is_refused(tmp_path):
    paths = [
        write(tmp_path / "a_20240101.tif", numbers(1, 4, 3)),
        write(tmp_path / "a_20240102.tif", numbers(1, 4, 3), from_origin(146.0, -10.0, 0.5, 0.5)),
    ]
    assert "x" in refusal(NAMED, *paths, coordinates={**XY, "t": "time"})


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"read_geotiff": {"names": {0: "a"}}}, "the first is 1"),
        ({"read_geotiff": {"names": {1: "a/b"}}}, "no name of a variable"),
        ({"read_geotiff": {"names": {1: "a", 2: "a"}}}, "stands twice"),
        ({"read_geotiff": {"variable": "*.tif"}}, "needs {variable} once"),
        ({"read_geotiff": {"variable": "{variable}.tif", "names": {1: "a"}}}, "exclude each other"),
        ({"read_geotiff": {}}, "needs set_time"),
        ({"read_geotiff": {}, "read_zarr": {}, **NAMED}, "one of read_netcdf, read_geotiff, read_zarr"),
        ({"read_zarr": {}, "mosaic": {}}, "mosaic needs read_geotiff"),
        ({"read_geotiff": {}, "mosaic": {}, "set_time": {"attribute": "when"}}, "mosaic needs set_time.name"),
    ],
)
def test_steps_that_contradict_themselves_are_refused(steps, words):
    with pytest.raises(pydantic.ValidationError) as caught:
        grid_dataset(steps=steps, coordinates={**XY, "t": "time"})
    assert words in str(caught.value)
