"""Blocks: chunks as zarr itself writes them, bands as blocks, digests of what is really there."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from rimrep_assets.domain import grid_block, grid_chunks, grid_source
from rimrep_assets_tests.domain.grid_bench import LAT, LON, Published, Sample, grid_dataset, told

LAYOUT = {"chunks": {"time": 2, "lat": 2, "lon": 2}}


def written(tmp_path, **keys) -> Published:
    paths = [Sample(times=[d], base=7 * d, **keys).write(tmp_path / f"{d}.nc") for d in range(5)]
    return Published(grid_dataset(layout=LAYOUT)).to(*paths)


def test_chunks_are_stored_as_zarr_itself_stores_them(tmp_path):
    found = written(tmp_path)
    by_zarr = zarr.storage.MemoryStore()
    old = found.group["sst"]
    new = zarr.open_group(by_zarr, mode="a").create_array(
        "sst",
        shape=old.shape,
        chunks=old.chunks,
        dtype=old.dtype,
        compressors=old.compressors,
        fill_value=old.fill_value,
    )
    new[...] = old[...]
    keys = {key for key in found.store._store_dict if key.startswith("sst/c/")}
    assert keys == {key for key in by_zarr._store_dict if key.startswith("sst/c/")}
    assert len(keys) == 3 * 2 * 2
    for key in keys:
        assert found.store._store_dict[key].to_bytes() == by_zarr._store_dict[key].to_bytes(), key


def test_a_chunk_of_nothing_but_fill_is_not_stored_and_one_that_was_there_goes(tmp_path):
    found = written(tmp_path)
    everywhere = [Sample(times=[d], base=-999, fill=-999).write(tmp_path / f"{d}.nc") for d in (0, 1)]
    for path in everywhere:
        import netCDF4

        with netCDF4.Dataset(path, "a") as file:
            file["sst"].set_auto_maskandscale(False)
            file["sst"][:] = -999
    found.to(*everywhere, *(tmp_path / f"{d}.nc" for d in (2, 3, 4)))
    assert not [key for key in found.store._store_dict if key.startswith("sst/c/0/")]
    with found.xarray() as seen:
        assert np.isnan(seen.sst.values[:2]).all() and np.isfinite(seen.sst.values[2:]).any()


@pytest.mark.parametrize("held", [1, 30, 100])
def test_a_block_too_large_to_be_held_is_written_in_bands_with_the_same_outcome(tmp_path, monkeypatch, held):
    whole = written(tmp_path)
    monkeypatch.setattr(grid_chunks, "HELD_BYTES", held)
    assert len(list(grid_chunks.bands(whole.state, "sst"))) == (2 if held < 100 else 1)
    banded = written(tmp_path)
    assert banded.content() == whole.content()
    assert banded.digests == whole.digests
    assert told(banded) == {}
    banded.group["sst"][3, 3, 0] = 1
    assert "sst at 2020-01-04T00:00:00Z [3, 3, 0]" in told(banded)["3.nc"]


@pytest.mark.parametrize("dims", [("time", "lat", "lon"), ("lat", "time", "lon"), ("lon", "lat", "time")])
@pytest.mark.parametrize("dtype", ["i2", "f4", ">i2"])
def test_the_fast_way_and_the_slow_way_give_the_same_store(tmp_path, monkeypatch, dims, dtype):
    fast = written(tmp_path, dims=dims, dtype=dtype)
    monkeypatch.setattr(grid_source, "chunk_indexes", lambda *_: {})
    slow = written(tmp_path, dims=dims, dtype=dtype)
    assert fast.content() == slow.content() and fast.digests == slow.digests
    with fast.xarray() as ours, xr.open_dataset(tmp_path / "3.nc") as theirs:
        np.testing.assert_array_equal(ours.sst.values[3:4], theirs.sst.transpose(*ours.sst.dims).values)


def test_values_read_back_otherwise_than_they_were_digested_are_told(tmp_path):
    found = written(tmp_path)
    assert told(found) == {}
    found.group["sst"][1, 0, 1] = 5
    assert "sst at 2020-01-02T00:00:00Z [1, 0, 1]" in told(found)["1.nc"]
    found.digests.clear()
    assert "sst at 2020-01-02T00:00:00Z [1, 0, 1]" in told(found)["1.nc"]


def test_a_block_whose_digests_are_unknown_is_compared_cell_by_cell(tmp_path, monkeypatch):
    found = written(tmp_path)
    opened = []
    slow = grid_source.SourceFile.read
    monkeypatch.setattr(
        grid_source.SourceFile, "read", lambda self, *a: (opened.append(self.file.name), slow(self, *a))[1]
    )
    assert told(found) == {}
    assert opened == []
    del found.digests[0]
    assert told(found) == {}
    assert set(opened) == {"0.nc", "1.nc"}


def test_encodings_that_only_zarr_knows_are_left_to_it(tmp_path, monkeypatch):
    direct = written(tmp_path)
    monkeypatch.setattr(grid_block, "_codec", lambda array: None)
    by_zarr = written(tmp_path)
    assert by_zarr.content() == direct.content()
    assert told(by_zarr) == {}


def test_files_that_know_no_time_are_read_by_the_fast_way_too(tmp_path, monkeypatch):
    rules = {"set_time": {"name": "%Y%m%d.nc"}}
    paths = [tmp_path / f"2020010{d}.nc" for d in (1, 2, 3)]
    for number, path in enumerate(paths):
        values = np.arange(12, dtype="i2").reshape(4, 3) + 9 * number
        axes = {"lat": LAT, "lon": LON}
        xr.Dataset({"sst": (("lat", "lon"), values)}, axes).to_netcdf(path, engine="netcdf4")

    def published() -> Published:
        return Published(grid_dataset(steps=rules, layout=LAYOUT)).to(*paths)

    slow = grid_source.SourceFile.read
    with monkeypatch.context() as patched:
        patched.setattr(grid_source, "chunk_indexes", lambda *_: {})
        slowly = published()
    monkeypatch.setattr(grid_source.SourceFile, "read", lambda *_: pytest.fail("the slow way was taken"))
    fast = published()
    monkeypatch.setattr(grid_source.SourceFile, "read", slow)
    assert fast.content() == slowly.content()
    with fast.xarray() as ours, xr.open_dataset(paths[1]) as theirs:
        np.testing.assert_array_equal(ours.sst.values[1], theirs.sst.values)
