"""Zarr stores as sources; expected values from xarray."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_zarr import open_zarr
from rimrep_assets_tests.domain.grid_bench import LAT, LON, Published, grid_dataset, header_of

BOTH = pytest.mark.parametrize("zarr_format", [2, 3])
PACKED = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 20.0, "_FillValue": -999}


def days(first: int = 0, count: int = 4) -> xr.Dataset:
    """Temperatures with a missing value; times and axes with attributes."""
    values = 20 + 0.01 * (np.arange(count * 12) + first).reshape(count, 4, 3)
    values[0, 1, 1] = np.nan
    times = np.datetime64("2024-01-01", "ns") + (first + np.arange(count)) * np.timedelta64(1, "D")
    return xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), values, {"units": "degree_Celsius", "long_name": "temperature"}),
            "depth": (("lat", "lon"), np.arange(12, dtype="f4").reshape(4, 3), {"units": "m"}),
        },
        {
            "time": times,
            "lat": ("lat", LAT, {"units": "degrees_north"}),
            "lon": ("lon", LON, {"units": "degrees_east"}),
        },
        {"title": "Small grid"},
    )


def store(path: Path, data: xr.Dataset, zarr_format: int = 2, **encoding: Any) -> Path:
    encoding = {"sst": dict(PACKED), "time": {"units": "days since 2000-01-01", "dtype": "i4"}, **encoding}
    data.to_zarr(path, zarr_format=zarr_format, consolidated=zarr_format == 2, encoding=encoding)
    return path


def published(*paths: Path, steps: dict[str, Any] | None = None, **keys: Any) -> Published:
    grid = Published(grid_dataset(steps={"read_zarr": {}, **(steps or {})}, **keys)).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    return grid


def refusal(*paths: Path, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        published(*paths, **keys)
    return str(caught.value)


def assert_same(grid: xr.Dataset, expected: xr.Dataset) -> None:
    assert set(grid.variables) == set(expected.variables)
    for name in expected.variables:
        np.testing.assert_array_equal(grid[name].values, expected[name].values, err_msg=name)


@BOTH
def test_a_store_reads_back_equal_and_its_numbers_stay_packed(tmp_path, zarr_format):
    path = store(tmp_path / "a.zarr", days(), zarr_format)
    grid = published(path)
    with xr.open_zarr(path) as expected:
        assert_same(grid.xarray(), expected)
    np.testing.assert_array_equal(grid.group["sst"][...], zarr.open_group(path, mode="r")["sst"][...])
    assert grid.group["sst"].dtype == np.dtype("i2")
    assert grid.xarray()["sst"].attrs["units"] == "degree_Celsius"
    assert np.isnan(grid.xarray()["sst"].values[0, 1, 1])


@BOTH
def test_several_stores_are_one_grid_along_time(tmp_path, zarr_format):
    """The old template ``concat-multiple-zarrs``."""
    paths = [store(tmp_path / f"{n}.zarr", days(n, 4), zarr_format) for n in (4, 0, 8)]
    expected = xr.concat([xr.open_zarr(path) for path in paths], "time", data_vars="minimal").sortby("time")
    assert_same(published(*paths).xarray(), expected)


def test_stores_of_both_formats_are_one_grid(tmp_path):
    paths = [store(tmp_path / f"{n}.zarr", days(n), format_) for n, format_ in ((0, 2), (4, 3))]
    expected = xr.concat([xr.open_zarr(path) for path in paths], "time", data_vars="minimal")
    assert_same(published(*paths).xarray(), expected)


@BOTH
def test_what_xarray_takes_for_no_value_has_none(tmp_path, zarr_format):
    """Format 2: the array's fill is 'no value'; format 3: the attribute alone."""
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    for name, dims, values in (
        ("lat", ("lat",), LAT),
        ("lon", ("lon",), LON),
        ("v", ("lat", "lon"), np.arange(12.0).reshape(4, 3)),
        ("w", ("lat", "lon"), np.arange(12.0).reshape(4, 3)),
    ):
        named = {"dimension_names": dims} if zarr_format == 3 else {}
        array = root.create_array(
            name, shape=values.shape, dtype="f8", fill_value=7.0 if name == "v" else None, **named
        )
        array[...] = values
        if zarr_format == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
        elif name == "w":
            array.attrs["_FillValue"] = "AAAAAAAACEA="  # 3.0 as xarray writes it
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as expected:
        assert_same(published(tmp_path / "a.zarr", coordinates={"x": "lon", "y": "lat"}).xarray(), expected)
        assert np.isnan(expected["v"].values[2, 1]) == (zarr_format == 2)
        assert np.isnan(expected["w"].values[1, 0]) == (zarr_format == 3)


@pytest.mark.parametrize(
    ("zarr_format", "encoding"),
    [
        (2, {"compressors": [numcodecs.Blosc("lz4", shuffle=2)]}),
        (2, {"compressors": [numcodecs.Zlib(3)], "filters": [numcodecs.Delta("i2")]}),
        (2, {"compressors": None}),
        (3, {"compressors": [zarr.codecs.BloscCodec(cname="zstd")]}),
        (3, {"compressors": [zarr.codecs.GzipCodec()], "chunks": (1, 2, 3), "shards": (2, 4, 3)}),
    ],
)
def test_every_usual_encoding_is_read(tmp_path, zarr_format, encoding):
    path = store(tmp_path / "a.zarr", days(), zarr_format, sst={**PACKED, "chunks": (2, 3, 2), **encoding})
    with xr.open_zarr(path) as expected:
        assert_same(published(path).xarray(), expected)


def test_truth_values_and_chunks_that_were_never_written_read_back(tmp_path):
    path = store(tmp_path / "a.zarr", days().assign(good=(("time", "lat", "lon"), np.ones((4, 4, 3), bool))))
    root = zarr.open_group(path, mode="a", use_consolidated=False)
    raw = root.create_array("land", shape=(4, 3), dtype="bool", fill_value=None)
    raw[...] = LAT[:, None] > -11
    raw.attrs["_ARRAY_DIMENSIONS"] = ["lat", "lon"]
    shutil.rmtree(path / "depth")
    hole = root.create_array("depth", shape=(4, 3), dtype="f4", chunks=(2, 3), fill_value=np.nan)
    hole[:2] = 5
    hole.attrs["_ARRAY_DIMENSIONS"] = ["lat", "lon"]
    grid = published(path).xarray()
    with xr.open_zarr(path, consolidated=False) as expected:
        np.testing.assert_array_equal(grid["land"].values, expected["land"].values)
        np.testing.assert_array_equal(grid["depth"].values, expected["depth"].values)
        np.testing.assert_array_equal(grid["good"].values, expected["good"].values)


@pytest.mark.parametrize("inside", ["", "a.zarr", "deep/a.zarr"])
@BOTH
def test_a_store_in_a_zip_is_read_without_unpacking_it(tmp_path, zarr_format, inside):
    path = store(tmp_path / "a.zarr", days(), zarr_format)
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as zipped:
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            zipped.write(file, Path(inside) / file.relative_to(path))
    with xr.open_zarr(path) as expected:
        assert_same(published(tmp_path / "a.zarr.zip").xarray(), expected)


@pytest.mark.parametrize("name", ["../escape.txt", "a.zarr/../../escape.txt", "a.zarr\\..\\escape.txt"])
def test_a_zip_with_a_name_that_leads_out_of_it_is_refused(tmp_path, name):
    path = store(tmp_path / "a.zarr", days())
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as zipped:
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            zipped.write(file, Path("a.zarr") / file.relative_to(path))
        zipped.writestr(name, "elsewhere")
    assert "leads out of the zip" in refusal(tmp_path / "slip.zip")


def test_a_bomb_in_a_zip_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rimrep_assets.domain.grid_zarr.MOST_METADATA_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(".zgroup", b"{}" + b" " * 1_000_000)
    assert "'.zgroup' holds 1000002 bytes when unpacked" in refusal(tmp_path / "b.zip")


def test_a_zip_with_two_stores_or_none_is_refused(tmp_path):
    for name, entries in (("two.zip", ("a/.zgroup", "b/.zgroup")), ("none.zip", ("a.txt",))):
        with zipfile.ZipFile(tmp_path / name, "w") as zipped:
            for entry in entries:
                zipped.writestr(entry, '{"zarr_format": 2}')
    assert "a zip with 2 Zarr stores" in refusal(tmp_path / "two.zip")
    assert "a zip with no Zarr stores" in refusal(tmp_path / "none.zip")


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "hostile",
    [
        {"filters": [{"id": "pickle", "protocol": 5}], "compressor": None},
        {"filters": None, "compressor": {"id": "pickle", "protocol": 5}},
        {"filters": [{"id": "pickle", "protocol": 5}], "compressor": None, "dtype": "|O", "fill_value": None},
    ],
)
def test_a_codec_that_would_run_a_strangers_program_is_never_run(tmp_path, hostile):
    """numcodecs knows ``pickle`` as a filter, for arrays of objects; a store may name it for any array."""
    path = store(tmp_path / "a.zarr", days())
    about = path / "sst" / ".zarray"
    described = json.loads(about.read_text())
    about.write_text(json.dumps({**described, **hostile}))
    marker = tmp_path / "ran"
    (path / "sst" / "0.0.0").write_bytes(pickle.dumps(_Touch(str(marker))))
    assert "a.zarr" in refusal(path)
    assert not marker.exists()
    pickle.loads((path / "sst" / "0.0.0").read_bytes())
    assert marker.exists()


def changed(path: Path, name: str, **keys: Any) -> None:
    file = path / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def test_everything_wrong_with_a_store_is_told_at_once(tmp_path):
    path = store(tmp_path / "a.zarr", days())
    changed(path, "depth/.zattrs", _ARRAY_DIMENSIONS=["lat"])
    changed(path, "sst/.zarray", chunks=[400_000, 4000, 3000])
    told = refusal(path)
    assert "depth: does not name its 2 dimensions (_ARRAY_DIMENSIONS)" in told
    assert "sst: a chunk would be" in told


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda p: (p / ".zgroup").unlink(), "cannot be read as Zarr"),
        (lambda p: (p / "sst" / ".zarray").write_text("{"), "cannot be read as Zarr"),
        (lambda p: (p / "sst" / "0.0.0").write_bytes(b"\x02\x01\x21\x02 not blosc"), "cannot be read as Zarr"),
        (lambda p: changed(p, "lat/.zarray", shape=[5], chunks=[5]), "where others have"),
    ],
)
def test_a_damaged_store_is_refused_in_words(tmp_path, break_it, words):
    path = store(tmp_path / "a.zarr", days())
    break_it(path)
    (path / ".zmetadata").unlink()
    told = refusal(path)
    assert words in told
    assert "a.zarr" in told
    assert str(tmp_path) not in told


def test_arrays_in_groups_and_texts_are_told(tmp_path):
    days().to_zarr(tmp_path / "g.zarr", group="inner", zarr_format=2)
    assert "those in groups are not read: inner" in refusal(tmp_path / "g.zarr")
    path = store(tmp_path / "t.zarr", days().assign(site=("lat", ["a", "b", "c", "d"])), 3)
    assert "site: holds text or records, not numbers; add it to read_zarr.drop" in refusal(path)
    assert "sst" in published(path, steps={"read_zarr": {"drop": ["site"]}}).xarray()


def test_variables_may_be_chosen_and_unknown_ones_are_told(tmp_path):
    path = store(tmp_path / "a.zarr", days())
    assert set(published(path, steps={"read_zarr": {"variables": ["sst"]}}).xarray().data_vars) == {"sst"}
    assert "read_zarr.variables: there is no variable 'ssd'" in refusal(
        path, steps={"read_zarr": {"variables": ["ssd"]}}
    )


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "e.zarr").mkdir()
    assert "so it is no Zarr store" in refusal(tmp_path / "e.zarr")
    with pytest.raises(DataError, match=r"is Zarr store, no NetCDF \(read_netcdf\)"):
        header_of(store(tmp_path / "a.zarr", days()), grid_dataset())


def test_rules_of_axes_hold_for_stores(tmp_path):
    path = store(tmp_path / "a.zarr", days())
    steps = {"clip": {"bbox": [145.2, -11.2, 147, -10.2]}, "orient": {"y": "ascending"}}
    grid = published(path, steps=steps).xarray()
    with xr.open_zarr(path) as source:
        expected = source["sst"].sortby("lat").sel(lat=slice(-11.2, -10.2), lon=slice(145.2, 147))
        np.testing.assert_array_equal(grid["sst"].values, expected.values)


def years(path: Path, steps: int) -> Path:
    """Random numbers in chunks that hold many times of a few cells."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    axes = {"time": np.arange(steps), "lat": np.arange(60) * 0.1, "lon": np.arange(80) * 0.1}
    units = {"time": "days since 2000-01-01", "lat": "degrees_north", "lon": "degrees_east"}
    for name, values in axes.items():
        array = root.create_array(name, shape=values.shape, dtype=values.dtype, fill_value=None)
        array[...] = values
        array.attrs.update({"_ARRAY_DIMENSIONS": [name], "units": units[name]})
    source = root.create_array("v", shape=(steps, 60, 80), chunks=(400, 20, 20), dtype="f4", fill_value=np.nan)
    for start in range(0, steps, 400):
        source[start : start + 400] = np.random.default_rng(start).random((400, 60, 80), "f4")
    source.attrs["_ARRAY_DIMENSIONS"] = ["time", "lat", "lon"]
    return path


def rechunked(path: Path, out: Path) -> tuple[zarr.Group, int]:
    """The store in chunks of a few times of many cells, and the most bytes that were held meanwhile."""
    dataset = grid_dataset(steps={"read_zarr": {}}, layout={"chunks": {"time": 40, "lat": 30, "lon": 40}})
    grid = Published(dataset, store=zarr.storage.LocalStore(out))
    tracemalloc.start()
    try:
        return grid.to(path).group, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_rechunking_holds_blocks_and_never_all_of_it(tmp_path):
    """The old template ``rechunk-zarr``. How much is held depends on how many threads are at it at a moment, 14 to
    23 MB whether it is 15 or 120 MB that are moved.
    """
    many = years(tmp_path / "many.zarr", 3200)
    group, peak = rechunked(many, tmp_path / "many")
    assert peak < 3200 * 60 * 80 * 4 / 2
    assert group["v"].chunks == (40, 30, 40)
    source = zarr.open_group(many, mode="r")["v"]
    for start in range(0, 3200, 400):
        np.testing.assert_array_equal(group["v"][start : start + 400], source[start : start + 400])


def test_a_name_of_a_variable_does_not_hide_what_a_store_is(tmp_path):
    path = store(tmp_path / "a.zarr", days().rename(depth="attributes"))
    with open_zarr(path, "a.zarr") as file:
        assert file.variables["attributes"][...].shape == (4, 3)
        assert file.variables["sst"].units == "degree_Celsius"
        with pytest.raises(AttributeError):
            _ = file.variables["sst"].calendar
