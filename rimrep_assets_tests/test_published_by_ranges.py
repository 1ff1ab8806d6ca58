"""Grids published from parts of a provider's files, on a real web server that counts what it sends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.verification import verify
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets_tests.ports.test_grid_virtual import published
from rimrep_assets_tests.worlds import GRID, GRID_YAML, World

LAT, LON = 900, 1800
STEPS = [{"read_netcdf": {"variables": ["sst"]}}, {"clip": {"bbox": [142, -29, 157, -7]}}]
LAYOUT = {"chunks": {"time": 1, "lat": 60, "lon": 80}, "cadence": "P1D"}


def write(folder: Path, day: int, seed: int = 0, **storage: Any) -> Path:
    """A day of a globe as providers store it: two variables of some 3 MB each, latitude descending."""
    path = folder / f"sst_{day:03}.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in {"time": 1, "lat": LAT, "lon": LON}.items():
            file.createDimension(name, size)
        time = file.createVariable("time", "i4", ("time",))
        time.units = "days since 2024-01-01"
        time[:] = [day]
        file.createVariable("lat", "f4", ("lat",))[:] = np.linspace(89.9, -89.9, LAT)
        file.createVariable("lon", "f4", ("lon",))[:] = np.linspace(0.1, 359.9, LON)
        file["lat"].units, file["lon"].units = "degrees_north", "degrees_east"
        for number, name in enumerate(("sst", "error")):
            how = {"zlib": True, "shuffle": True, "chunksizes": (1, 100, 200), "fill_value": -32768, **storage}
            variable = file.createVariable(name, "i2", ("time", "lat", "lon"), **how)
            variable.setncatts({"scale_factor": 0.01, "units": "kelvin"})
            variable.set_auto_maskandscale(False)
            variable[:] = np.random.default_rng([day, seed, number]).integers(-32768, 32767, (1, LAT, LON))
    age(path, day + 1000 * seed)
    return path


def age(path: Path, seconds: int) -> None:
    """Let it be written some time ago, as all files that a provider does not write just now."""
    os.utime(path, (1_700_000_000 + seconds,) * 2)


@pytest.fixture(scope="module")
def provider(tmp_path_factory) -> Iterator[Nginx]:
    if nginx_program() is None:
        pytest.skip("nginx is not installed")
    served = tmp_path_factory.mktemp("provider")
    with Nginx(served, tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def files(provider, request) -> Path:
    folder = provider.served / request.node.name.split("[")[0]
    folder.mkdir(exist_ok=True)
    return folder


def world_of(root: Path, provider: Nginx, files: Path, *, ranges: bool = True, **keys: Any) -> World:
    root.mkdir(exist_ok=True)
    source = {"kind": "http", "url": f"{provider.url}/{files.name}/", "include": "*.nc"}
    world = World(root)
    told = {"source": {**source, "ranges": True} if ranges else source, "convert": STEPS, "layout": LAYOUT, **keys}
    world.describe({**GRID_YAML, **told}, None)
    return world


def content(world: World, record: ReleaseRecord) -> xr.Dataset:
    """The snapshot as xarray reads it, without the attributes that name this very release."""
    with xr.open_zarr(GridRepository(world.store, GRID, world.settings.s3).read(str(record.snapshot))) as found:
        return found.load().assign_attrs(rimrep=None)


def expected(*paths: Path) -> np.ndarray:
    """The box as xarray reads it out of the whole files."""
    with xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="minimal") as whole:
        return whole["sst"].sel(lat=slice(-7, -29), lon=slice(142, 157)).values


class Counted:
    """What a server was asked for from here on."""

    def __init__(self, provider: Nginx) -> None:
        self.provider, self.before = provider, len(provider.requests())

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self.provider.requests()[self.before :]

    @property
    def sent(self) -> int:
        return sum(request["bytes"] for request in self.requests)

    @property
    def read_in_parts(self) -> set[str]:
        """Names of the files of which more was asked for than what a look asks."""
        asked = [r for r in self.requests if r["range"] not in ("", "bytes=0-0")]
        return {request["path"].rpartition("/")[2] for request in asked}


def test_a_clip_is_published_for_a_small_share_of_the_bytes_and_equals_that_of_whole_files(tmp_path, provider, files):
    paths = [write(files, day) for day in range(2)]
    size = sum(path.stat().st_size for path in paths)
    world, plain = (world_of(tmp_path / str(r), provider, files, ranges=r) for r in (True, False))
    published(world)
    counted = Counted(provider)
    # What came first was a look for the schema; this one begins with nothing that was fetched.
    again = world_of(tmp_path / "again", provider, files)
    record = published(again)
    # The schema takes one attempt more, each of which fetches its parts for itself.
    assert counted.sent / 2 < 0.15 * size
    found = content(again, record)
    np.testing.assert_array_equal(found["sst"].values, expected(*paths))
    xr.testing.assert_identical(found, content(plain, published(plain)))
    assert {file.known_by for file in record.sources} == {"validators"}
    assert verify(again.projector(GRID), record, stable=True).differences == []


@pytest.mark.parametrize("storage", [{"contiguous": True}, {"zlib": False, "chunksizes": (1, 300, 300)}])
def test_values_that_nothing_protects_are_those_of_the_source(tmp_path, provider, files, storage):
    storage = {"zlib": False, "shuffle": False, "chunksizes": None, **storage}
    paths = [write(files, day, **storage) for day in range(2)]
    world = world_of(tmp_path, provider, files)
    record = published(world)
    np.testing.assert_array_equal(content(world, record)["sst"].values, expected(*paths))


def test_only_new_reissued_and_withdrawn_files_are_asked_for(tmp_path, provider, files):
    paths = [write(files, day) for day in range(3)]
    world = world_of(tmp_path, provider, files)
    published(world)

    counted = Counted(provider)
    assert world.attempt(GRID).publish() is None
    assert counted.read_in_parts == set()

    paths.append(write(files, 3))
    counted = Counted(provider)
    record = world.attempt(GRID).publish()
    assert counted.read_in_parts == {"sst_003.nc"}
    np.testing.assert_array_equal(content(world, record)["sst"].values, expected(*paths))

    write(files, 1, seed=1)
    counted = Counted(provider)
    assert world.attempt(GRID).bench.source.glance(record.sources).names == ("sst_001.nc",)
    record = world.attempt(GRID).publish()
    # The newest file has the axes, and the proof reads those again.
    assert counted.read_in_parts == {"sst_001.nc", "sst_003.nc"}
    np.testing.assert_array_equal(content(world, record)["sst"].values, expected(*paths))

    paths.pop().unlink()
    counted = Counted(provider)
    record = world.attempt(GRID).publish()
    assert counted.read_in_parts == {"sst_002.nc"}
    np.testing.assert_array_equal(content(world, record)["sst"].values, expected(*paths))
    assert verify(world.projector(GRID), record, stable=True).differences == []


def test_a_file_that_changes_between_its_parts_publishes_nothing_and_the_next_attempt_all(tmp_path, provider, files):
    paths = [write(files, day) for day in range(2)]
    world = world_of(tmp_path, provider, files)
    first = published(world)
    paths.append(write(files, 2))
    attempt = world.attempt(GRID)
    look = attempt.look()
    opened = attempt.bench.open(next(file for file in look.sources if file.name == "sst_002.nc"))
    write(files, 2, seed=1)
    with pytest.raises(Unavailable, match=r"sst_002\.nc was changed after it was looked at"):
        opened.whole()
    # The attempt that had its header already, and goes on: it looks again, but holds what it opened by digest.
    record = attempt.publish()
    assert record.release == first.release + 1
    np.testing.assert_array_equal(content(world, record)["sst"].values, expected(*paths))


def test_what_was_fetched_is_counted_and_nothing_else_lies_on_the_disk(tmp_path, provider, files):
    path = write(files, 0)
    world = world_of(tmp_path, provider, files)
    counted, attempt = Counted(provider), world.attempt(GRID)
    staged = attempt.stage()[1]
    parts = sum(r["bytes"] for r in counted.requests if r["range"] not in ("", "bytes=0-0"))
    assert staged.source_bytes == parts < 0.2 * path.stat().st_size
    (partial,) = [p for p in attempt.bench.fetched.rglob("*.nc") if p.is_file()]
    assert partial.stat().st_size == path.stat().st_size
    assert partial.stat().st_blocks * 512 < parts + 100_000
    candidate = attempt.prepare(staged)
    assert candidate is not None


def test_ranges_are_left_out_and_taken_up_again(tmp_path, provider, files):
    path = write(files, 0)
    world = world_of(tmp_path, provider, files)
    published(world)
    described = world.catalog_folder / f"datasets/{GRID}/dataset.yaml"
    with_ranges = described.read_text()
    for text, known_by in ((with_ranges.replace("  ranges: true\n", ""), "bytes"), (with_ranges, "validators")):
        described.write_text(text)
        world.commit("ranges or not")
        record = world.attempt(GRID).publish()
        assert {file.known_by for file in record.sources} == {known_by}
        np.testing.assert_array_equal(content(world, record)["sst"].values, expected(path))
