"""A grid that is published from NASA Earthdata, end to end: search, login, download, clip, Zarr.

Here belongs what only the whole shows. Not here: how the source behaves when Earthdata does not
(``ports/test_source_earthdata``).
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from rimrep_assets.ports.due_work import DueWork
from rimrep_assets.ports.source_glances import Glimpse, glimpse
from rimrep_assets_tests.fake_earthdata import PASSWORD, FakeEarthdata
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.test_real_files import data_of
from rimrep_assets_tests.worlds import World

SEA = {
    "id": "sea",
    "collection": "reef",
    "format": "zarr",
    "access": "public",
    "coordinates": {"x": "lon", "y": "lat", "t": "time"},
    "source": {
        "kind": "earthdata",
        "short_name": "MUR-INVENTED",
        "version": "4.1",
        "provider": "POCLOUD",
        "bbox": [142, -29, 155, -9],
        "temporal": ["2024-01-01", None],
        "include": "*.nc",
    },
    "convert": [{"read_netcdf": {}}, {"clip": {"bbox": [142, -29, 155, -9]}}],
    "layout": {"chunks": {"time": 2, "lat": 10, "lon": 10}, "cadence": "P1D"},
}


@pytest.fixture
def nasa():
    server = FakeEarthdata()
    yield server
    server.close()


@pytest.fixture
def world(nasa, tmp_path) -> World:
    world = World(tmp_path / "world", s3_environment=nasa.with_password)
    world.describe(SEA, None)
    return world


def ingest(nasa: FakeEarthdata, folder, day: int, seed: int = 0) -> None:
    """A global daily file as of MUR, coarser: packed, with fill and a global box."""
    name = f"202401{day:02}090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"
    lat, lon = np.arange(-89.0, 90.0, 2.0), np.arange(-179.0, 180.0, 2.0)
    values = 280 + 20 * np.random.default_rng([seed, day]).random((1, lat.size, lon.size))
    values[0, ::7, ::5] = np.nan
    packing = {
        "dtype": "int16",
        "scale_factor": 0.001,
        "add_offset": 298.15,
        "_FillValue": np.int16(-32768),
        "zlib": True,
    }
    xr.Dataset(
        {"analysed_sst": (("time", "lat", "lon"), values, {"units": "kelvin"})},
        {
            "time": ("time", [np.datetime64(f"2024-01-{day:02}T09:00:00", "ns")]),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    ).to_netcdf(
        folder / name,
        encoding={"analysed_sst": packing, "time": {"units": "seconds since 1981-01-01 00:00:00", "dtype": "int32"}},
    )
    nasa.put(name, (folder / name).read_bytes())


def assert_published_is(world: World, folder) -> None:
    with xr.open_zarr(data_of(world, "sea")) as grid, xr.open_mfdataset(str(folder / "*.nc")) as source:
        box = source.sel(lon=slice(142, 155), lat=slice(-29, -9))
        for axis in ("time", "lat", "lon"):
            assert grid[axis].values.tolist() == box[axis].values.tolist()
        np.testing.assert_array_equal(grid["analysed_sst"].values, box["analysed_sst"].values)


def test_a_box_of_a_collection_is_published_and_follows_its_granules(nasa, world, tmp_path):
    """download-and-clip-multi-nasa-netcdf: the token expires in between, a granule is re-issued and one comes."""
    folder = tmp_path / "granules"
    folder.mkdir()
    nasa.accepts_directly = False
    for day in (1, 2, 3):
        ingest(nasa, folder, day)
    nasa.put("20240101-quicklook.png", b"PNG")
    take_proposed(world, "sea")
    record = world.attempt("sea").publish()
    assert (record.release, len(record.sources)) == (1, 3)
    assert_published_is(world, folder)

    downloads = len(nasa.of("/cdn/"))
    assert downloads == 3
    assert world.attempt("sea").publish() is None
    assert len(nasa.of("/cdn/")) == downloads, "nothing changed, nothing is fetched"

    nasa.expire()
    ingest(nasa, folder, 2, seed=1)
    ingest(nasa, folder, 4)
    record = world.attempt("sea").publish()
    assert (record.release, len(record.sources)) == (2, 4)
    assert len(nasa.of("/cdn/")) == downloads + 2
    assert_published_is(world, folder)

    (search,) = {request.query for request in nasa.of("/search/")}
    assert "provider=POCLOUD&bounding_box=142,-29,155,-9&temporal=2024-01-01T00:00:00.000Z," in search
    assert {file.url for file in record.sources} == {f"{nasa.url}/protected/{file.name}" for file in record.sources}
    secrets = [secret.encode() for secret in (*nasa.given, PASSWORD, "Signature=", "SecretCode")]
    everywhere = {
        **world.files(),
        **{str(p): p.read_bytes() for p in (tmp_path / "world").rglob("*") if p.is_file()},
    }
    assert not [(path, secret) for path, held in everywhere.items() for secret in secrets if secret in held]


def test_the_sensor_s_glance_tells_new_granules_from_the_catalogue_alone(nasa, world, tmp_path):
    folder = tmp_path / "granules"
    folder.mkdir()
    ingest(nasa, folder, 1)
    take_proposed(world, "sea")
    world.attempt("sea").publish()
    downloads = len(nasa.of("/protected/"))

    def glance() -> Glimpse:
        at = world.catalog.at(world.catalog.resolve())
        seen = glimpse(world.settings, DueWork(world.settings, at), world.catalog.place, at.dataset("sea"))
        assert isinstance(seen, Glimpse), seen
        return seen

    before = glance()
    assert (before.names, before.release) == ((), 1)
    ingest(nasa, folder, 2)
    after = glance()
    assert [name[:8] for name in after.names] == ["20240102"]
    assert after.state != before.state
    assert len(nasa.of("/protected/")) == downloads
