"""Grids whose chunks stay in the provider's files: folders here, and a web server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import icechunk
import netCDF4
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.referred import locate
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets_tests.grid_worlds import assert_equals_sources
from rimrep_assets_tests.virtual_worlds import LAT, LON, kinds_of, published, stage, world_of, write_day
from rimrep_assets_tests.worlds import GRID, World


def test_a_release_refers_to_the_sources_own_chunks_and_is_proven_through_them(tmp_path):
    world = world_of(tmp_path)
    paths = [write_day(world.source(GRID), day) for day in range(4)]
    record = published(world)
    assert_equals_sources(world, record.snapshot, paths, "heat")
    kinds = kinds_of(world, record.snapshot)
    assert kinds["heat"] == icechunk.ChunkType.VIRTUAL
    assert kinds["lat"] != icechunk.ChunkType.VIRTUAL
    receipt = json.loads(world.store.read(record.receipt.path))
    assert all(not proof["differences"] for proof in receipt["files"])
    assert {p["name"]: p["compared"] >= LAT * LON for p in receipt["files"] if p["name"].endswith(".nc")} == {
        path.name: True for path in paths
    }


def test_readers_are_told_what_to_authorize_and_the_snippet_opens_it(tmp_path):
    world = world_of(tmp_path)
    paths = [write_day(world.source(GRID), day) for day in range(2)]
    record = published(world)
    folder = world.source(GRID).resolve().as_uri() + "/"
    assert record.datapackage["rimrep"]["addresses"]["virtual"] == [folder]
    description = record.stac_item["assets"]["data"]["description"]
    assert folder in description
    code = description.split("```python\n")[1].split("\n```")[0]
    names: dict = {}
    exec(code, names)
    with xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="minimal") as expected:
        np.testing.assert_array_equal(names["grid"]["heat"].values, expected["heat"].values)


def test_days_are_appended_reissued_and_withdrawn(tmp_path):
    world = world_of(tmp_path, layout={"cadence": "P1D"})
    source = world.source(GRID)
    paths = [write_day(source, day) for day in range(4)]
    first = published(world)
    paths.append(write_day(source, 4))
    with netCDF4.Dataset(paths[1], "a") as file:
        file["heat"].set_auto_maskandscale(False)
        file["heat"][0, 3, 3] = 1234
    second = world.attempt(GRID).publish()
    assert_equals_sources(world, second.snapshot, paths, "heat")
    with pytest.raises(icechunk.IcechunkError, match="has changed"):
        assert_equals_sources(world, first.snapshot, paths[:4], "heat")
    paths.pop(2).unlink()
    third = world.attempt(GRID).publish()
    store = GridRepository(world.store, GRID, world.settings.s3).read(third.snapshot)
    with xr.open_zarr(store, consolidated=False) as seen:
        assert np.isnan(seen["heat"].values[2]).all()
        for path in paths:
            with xr.open_dataset(path) as day:
                np.testing.assert_array_equal(seen["heat"].sel(time=day["time"]).values, day["heat"].values)


def test_a_file_that_was_changed_after_staging_is_refused_and_nothing_is_published(tmp_path):
    world = world_of(tmp_path)
    paths = [write_day(world.source(GRID), day) for day in range(2)]
    attempt = world.attempt(GRID)
    staged = attempt.stage()[1]
    state = paths[0].stat()
    os.utime(paths[0], (state.st_atime + 60, state.st_mtime + 60))
    with pytest.raises(Unavailable, match=r"heat_000\.nc was changed at file://.*/heat_000\.nc after it was looked at"):
        attempt.prepare(staged)
    assert world.projector(GRID).log.newest() is None


@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"zlib": False, "shuffle": False},
        {"shuffle": False},
        {"dtype": "f4", "fill_value": None},
        {"dtype": "i1", "fill_value": -99},
        {"dtype": "f8", "fill_value": 1e20},
    ],
)
def test_every_filter_that_fits_reads_as_xarray_reads_the_source(tmp_path, storage):
    world = world_of(tmp_path)
    paths = [write_day(world.source(GRID), day, **storage) for day in range(2)]
    staged = stage(world)
    assert_equals_sources(world, staged.snapshot, paths, "heat")
    assert kinds_of(world, staged.snapshot)["heat"] == icechunk.ChunkType.VIRTUAL


def test_files_of_several_steps_fit_where_their_chunks_begin_with_the_grids(tmp_path):
    world = world_of(tmp_path, layout={"chunks": {"time": 2, "lat": 20, "lon": 30}})
    paths = [write_day(world.source(GRID), day, 4, chunksizes=(2, 20, 30)) for day in (0, 4)]
    paths.append(write_day(world.source(GRID), 8, 3, chunksizes=(2, 20, 30)))
    assert_equals_sources(world, stage(world).snapshot, paths, "heat")


def test_chunks_that_were_never_written_read_as_fill(tmp_path):
    world = world_of(tmp_path)
    path = write_day(world.source(GRID), 0)
    other = world.source(GRID) / "heat_001.nc"
    with netCDF4.Dataset(path) as source, netCDF4.Dataset(other, "w") as file:
        for name, dim in source.dimensions.items():
            file.createDimension(name, len(dim))
        for name, held in source.variables.items():
            how = {"zlib": True, "chunksizes": (1, 10, 30), "fill_value": -32768} if name == "heat" else {}
            made = file.createVariable(name, held.dtype, held.dimensions, **how)
            made.setncatts({k: held.getncattr(k) for k in held.ncattrs() if k != "_FillValue"})
            made.set_auto_maskandscale(False)
            if name != "heat":
                made[:] = held[:] + (1 if name == "time" else 0)
        file["heat"][0, :10] = 7
    assert_equals_sources(world, stage(world).snapshot, [path, other], "heat")


@pytest.mark.parametrize(
    ("day", "world", "sentence"),
    [
        (
            {"chunksizes": (1, 20, 30)},
            {},
            "heat: its chunks are {time: 1, lat: 20, lon: 30}, those of the grid {time: 1",
        ),
        ({"endian": "big"}, {}, "heat: its numbers are stored as >i2, not as little-endian int16"),
        ({"fletcher32": True}, {}, "heat: its filters are not shuffle, deflate, or one after the other"),
        ({"compression": "zstd", "zlib": False}, {}, "heat: it is not stored in HDF5 with filters that are known"),
        ({"dims": ("lat", "time", "lon"), "chunksizes": (10, 1, 30)}, {}, "heat: its dimensions are lat, time, lon"),
        ({}, {"steps": [{"unpack": {"data_type": "float32"}}]}, "heat: a step of convert changes its numbers"),
        (
            {"steps": 3, "chunksizes": (2, 10, 30)},
            {"layout": {"chunks": {"time": 2, "lat": 10, "lon": 30}}},
            "do not fill whole chunks of 2 steps of the time axis",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words_and_nothing_is_staged(tmp_path, day, world, sentence):
    world = world_of(tmp_path, **world)
    steps = day.get("steps", 1)
    for number in (0, 1):
        write_day(world.source(GRID), number * steps, **day)
    with pytest.raises(DefinitionError) as told:
        stage(world)
    assert sentence in str(told.value)
    assert "take layout.virtual out of dataset.yaml" in str(told.value)
    grid = GridRepository(world.store, GRID, world.settings.s3)
    assert [s.message for s in grid.open().ancestry(branch="next")] == ["Repository initialized"]


def test_files_that_are_stored_in_different_ways_are_told_together(tmp_path):
    world = world_of(tmp_path)
    write_day(world.source(GRID), 0)
    write_day(world.source(GRID), 1, shuffle=False)
    write_day(world.source(GRID), 2, chunksizes=(1, 5, 30))
    with pytest.raises(DefinitionError) as told:
        stage(world)
    assert "heat_001.nc: heat: it is stored with deflate, other files with shuffle and deflate" in str(told.value)
    assert "heat_002.nc: heat: its chunks are {time: 1, lat: 5, lon: 30}" in str(told.value)


def test_an_appended_file_must_be_stored_as_the_array_is(tmp_path):
    world = world_of(tmp_path)
    write_day(world.source(GRID), 0)
    stage(world)
    write_day(world.source(GRID), 1, shuffle=False)
    with pytest.raises(DefinitionError, match="it is stored with deflate, other files with shuffle and deflate"):
        stage(world)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ({"plain": True}, "virtual needs plain: false"),
        ({"plain": False, "chunks": {}}, "those of the grid"),
    ],
)
def test_the_declaration_itself_must_make_sense(tmp_path, layout, sentence):
    world = world_of(tmp_path, layout=layout)
    write_day(world.source(GRID), 0)
    with pytest.raises(DefinitionError, match=sentence):
        stage(world)


@pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed")
def test_chunks_on_a_web_server_are_read_from_there_and_refused_when_the_file_changed(tmp_path, monkeypatch):
    """Icechunk leaves ports out of addresses, so nginx plays the proxy to a server that is known by its name alone."""
    provider = tmp_path / "provider"
    provider.mkdir()
    paths = [write_day(provider, day) for day in range(3)]
    for path in paths:
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    with Nginx(provider, tmp_path / "nginx") as server:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, server.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        world = world_of(tmp_path, source={"kind": "http", "url": "http://data.example.org/", "include": "*.nc"})
        record = published(world)
        assert record.datapackage["rimrep"]["addresses"]["virtual"] == ["http://data.example.org/"]
        before = len(server.requests())
        assert_equals_sources(world, record.snapshot, paths, "heat")
        ranges = [r for r in server.requests()[before:] if r["range"]]
        assert {r["path"] for r in ranges} == {f"/{path.name}" for path in paths}
        state = paths[1].stat()
        os.utime(paths[1], (state.st_atime + 60, state.st_mtime + 60))
        with pytest.raises(icechunk.IcechunkError, match="has changed"):
            assert_equals_sources(world, record.snapshot, paths, "heat")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ({"url": "http://a.example:8080/x.nc"}, "names port 8080"),
        ({"url": "http://a.example/x.nc?day=1"}, "has a query"),
        ({"url": "http://a.example/x%20y.nc"}, "letters that may be written in several ways"),
        ({"url": "ftp://a.example/x.nc"}, "does not lie on a web server"),
        ({"etag": 'W/"1"'}, "tells neither an ETag nor a time"),
    ],
)
def test_an_address_that_readers_could_not_follow_is_refused(tmp_path, file, sentence):
    plain = SourceFile(name="x.nc", digest="0" * 64, size=1, url="http://a.example/x.nc")
    folder = HttpFolder("http://a.example/", cache=DownloadCache(tmp_path))
    with pytest.raises(DefinitionError, match=sentence):
        locate(folder, plain.model_copy(update=file))


def test_a_weak_etag_is_passed_over_for_the_time(tmp_path):
    folder = HttpFolder("http://a.example/", cache=DownloadCache(tmp_path))
    file = SourceFile(name="x.nc", digest="0" * 64, size=1, url="http://a.example/x.nc", etag='W/"1"')
    found = locate(folder, file.model_copy(update={"last_modified": "Sat, 21 Nov 2026 10:30:55 GMT"}))
    assert (found.etag, found.last_modified) == (None, "Sat, 21 Nov 2026 10:30:55 GMT")
    assert locate(folder, file.model_copy(update={"etag": '"1"'})).etag == '"1"'


def test_a_local_file_with_other_bytes_than_were_looked_at_is_refused(tmp_path):
    world = world_of(tmp_path)
    path = write_day(world.source(GRID), 0)
    bench = world.attempt(GRID).bench
    (file,) = bench.source.look()
    assert locate(bench.source, file).url == path.resolve().as_uri()
    with pytest.raises(Unavailable, match=r"heat_000\.nc was changed after it was looked at"):
        locate(bench.source, file.model_copy(update={"digest": "0" * 64}))


def test_pygeoapi_opens_a_release_whose_chunks_stay_at_the_source(tmp_path):
    from rimrep_assets.service.pygeoapi_coverages import _open_grid

    world = world_of(tmp_path)
    path = write_day(world.source(GRID), 0)
    record = published(world)
    provider = record.pygeoapi_entry["providers"][0]
    grid = _open_grid(provider["data"], provider["options"]["icechunk_tag"])
    assert world.projector(GRID).finish() is False
    with xr.open_dataset(path) as expected:
        np.testing.assert_array_equal(grid["heat"].values, expected["heat"].values)


def test_bounds_of_the_time_axis_are_copied_in_its_units_beside_what_is_referred_to(tmp_path):
    world = world_of(tmp_path, layout={"cadence": "P1D"})
    paths = [with_bounds(write_day(world.source(GRID), day), day) for day in (0, 1, 3)]
    record = published(world)
    assert_equals_sources_at(world, record.snapshot, paths, [0, 1, 3])
    assert kinds_of(world, record.snapshot)["heat"] == icechunk.ChunkType.VIRTUAL
    paths.append(with_bounds(write_day(world.source(GRID), 4), 4))
    later = world.attempt(GRID).publish()
    assert later is not None
    assert_equals_sources_at(world, later.snapshot, paths, [0, 1, 3, 4])


def with_bounds(path: Path, day: int) -> Path:
    """The file with times that are counted from its own day, and bounds that inherit this."""
    with netCDF4.Dataset(path, "a") as file:
        file["time"].setncatts({"units": f"days since 2024-01-{1 + day:02d} 00:00:00 +10", "bounds": "time_bnds"})
        file["time"][:] = [0]
        file.createDimension("nv", 2)
        file.createVariable("time_bnds", "f8", ("time", "nv"))[:] = [[-0.5, 0.5]]
    return path


def assert_equals_sources_at(world: World, snapshot: str, paths: list[Path], rows: list[int]) -> None:
    """The files' times, bounds and values stand at ``rows``, as xarray reads both; other rows have no bounds."""
    store = GridRepository(world.store, GRID, world.settings.s3).read(snapshot)
    with xr.open_zarr(store, consolidated=False) as seen:
        there = np.zeros(seen.sizes["time"], bool)
        there[rows] = True
        assert np.isnat(seen["time_bnds"].values[~there]).all()
        for row, path in zip(rows, paths, strict=True):
            with xr.open_dataset(path) as source:
                for name in ("time", "time_bnds", "heat"):
                    np.testing.assert_array_equal(seen[name].values[row], source[name].values[0])
