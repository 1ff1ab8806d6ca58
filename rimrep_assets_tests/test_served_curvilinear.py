"""Curvilinear grids and calendars of 360 days from real files to the real pygeoapi.

Here belongs the whole way; expected values by xarray from the provider's files. Not here: what the provider of
coverages does with every kind of request (``service/test_pygeoapi_curvilinear``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import xarray as xr

from rimrep_assets.reading_back import served_from
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.real_grid_rows import IMOS, LONG, NAV, NEMO, TURQ
from rimrep_assets_tests.test_real_files import put
from rimrep_assets_tests.worlds import World

EREEFS = "a_gridded/ereefs_gbr4/small.nc"
CLIMATE = "a_gridded/calendars/A1B_north_america.nc"


@dataclass(frozen=True)
class Real:
    """Files, coordinates and steps of a dataset; ``dims`` of x and y, rows first."""

    files: Sequence[str]
    coordinates: dict[str, str]
    steps: dict[str, Any]
    dims: tuple[str, str]


REAL = {
    "radar": Real(
        [TURQ.format(0), TURQ.format(1)],
        IMOS,
        {"fix_time": {"round": "PT1H"}, "unite": {"variables": "common"}},
        ("I", "J"),
    ),
    "ereefs": Real([EREEFS], {**LONG, "z": "zc"}, {}, ("j", "i")),
    "nemo": Real(
        [NEMO.format("0101-20150201"), NEMO.format("0201-20150301")],
        NAV,
        {"set_time": {"variable": "time_centered"}},
        ("y", "x"),
    ),
    "climate": Real([CLIMATE], LONG, {}, ("latitude", "longitude")),
}


@dataclass
class Served:
    world: World
    pygeoapi: PygeoapiServer
    files: dict[str, list[Path]]

    def get(self, path: str, **query: Any) -> Any:
        with urlopen(f"{self.pygeoapi.url}{path}?{urlencode({'f': 'json', **query})}") as answer:
            return json.load(answer)

    def source(self, name: str) -> xr.Dataset:
        decoder = xr.coders.CFDatetimeCoder()
        with xr.open_dataset(self.files[name][0], decode_times=decoder, decode_timedelta=False) as found:
            return found.load()


@pytest.fixture(scope="module")
def served(shared, tmp_path_factory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("curvilinear")
    world = World(root / "world")
    files = {name: [shared(f"data/{file}") for file in real.files] for name, real in REAL.items()}
    for name, real in REAL.items():
        put(world, name, *files[name])
        steps = {"read_netcdf": {}, **real.steps}
        raw = {
            "id": name,
            "collection": "real",
            "format": "zarr",
            "access": "public",
            "coordinates": real.coordinates,
            "source": {"kind": "local", "url": f"../sources/{name}", "include": "*.nc"},
            "convert": [{step: options} for step, options in steps.items()],
        }
        world.describe(raw, None)
        take_proposed(world, name)
        assert world.attempt(name).publish().release == 1
    (folder := root / "pygeoapi").mkdir()
    with served_from(world.store, folder) as pygeoapi:
        yield Served(world, pygeoapi, files)


def values(answer: dict[str, Any], name: str) -> np.ndarray:
    held = answer["ranges"][name]
    return np.array([np.nan if v is None else v for v in held["values"]], "f8").reshape(held["shape"])


def a_variable(source: xr.Dataset, real: Real) -> str:
    """One that varies with time and place."""
    time = next(str(d) for d in source.dims if "time" in str(d).lower())
    return next(str(n) for n, v in source.data_vars.items() if {time, *real.dims} <= set(v.dims))


@pytest.mark.parametrize("name", ["radar", "ereefs", "nemo"])
def test_a_box_of_a_curvilinear_grid_is_the_window_that_xarray_finds(served, name):
    real, source = REAL[name], served.source(name)
    x, y = source[real.coordinates["x"]], source[real.coordinates["y"]]
    west, east = np.nanquantile(x, [0.3, 0.6])
    south, north = np.nanquantile(y, [0.3, 0.6])
    inside = ((x >= west) & (x <= east) & (y >= south) & (y <= north)).values
    j, i = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    part = {real.dims[0]: slice(j[0], j[-1] + 1), real.dims[1]: slice(i[0], i[-1] + 1)}
    variable = a_variable(source, real)
    box = ",".join(repr(float(n)) for n in (west, south, east, north))
    answer = served.get(f"/collections/{name}/coverage", bbox=box, properties=variable)
    for wanted in (real.coordinates["x"], real.coordinates["y"]):
        np.testing.assert_allclose(values(answer, wanted), source[wanted].isel(part).values.astype("f8"))
    held = answer["ranges"][variable]
    time = held["axisNames"].index("t")
    first = values(answer, variable).take(0, axis=time)
    expected = source[variable].isel(part)
    expected = expected.isel({d: 0 for d in expected.dims if "time" in str(d).lower()})
    np.testing.assert_allclose(first, expected.values.astype("f8"), rtol=1e-6)
    assert "domainType" not in answer["domain"]
    labels = [d if d not in "xy" else f"{d}_index" for d in real.dims]
    assert [answer["domain"]["axes"][label]["num"] for label in labels] == [len(j), len(i)]
    begin = source[real.dims[0]].values[j[0]] if real.dims[0] in source.coords else j[0]
    assert answer["domain"]["axes"][labels[0]]["start"] == begin


@pytest.mark.parametrize("name", REAL)
def test_the_collection_tells_its_extent(served, name):
    real, source = REAL[name], served.source(name)
    found = served.get(f"/collections/{name}")
    west, south, east, north = found["extent"]["spatial"]["bbox"][0]
    y = source[real.coordinates["y"]]
    np.testing.assert_allclose((south, north), (float(y.min()), float(y.max())), atol=1e-4)
    assert west < east
    assert found["extent"]["temporal"]["interval"][0][0] is not None


@pytest.mark.parametrize("name", REAL)
def test_stac_item_and_datapackage_stand_beside_it(served, name):
    record = served.world.projector(name).log.newest()
    assert len(record.stac_item["bbox"]) == 4
    assert record.datapackage["spatial"]["bbox"]


def test_a_calendar_of_360_days_tells_its_times_as_texts(served):
    source = served.source("climate")
    variable = a_variable(source, REAL["climate"])
    answer = served.get(
        "/collections/climate/coverage", properties=variable, subset="latitude(15:20),longitude(250:260)"
    )
    axis = answer["domain"]["axes"]["t"]
    assert axis["values"] == [f"{t.isoformat()}Z" for t in source["time"].values]
    (system,) = [r["system"] for r in answer["domain"]["referencing"] if r["coordinates"] == ["t"]]
    assert system["cf:calendar"] == "360_day"
    expected = source[variable].sel(latitude=slice(15, 20), longitude=slice(250, 260))
    if not expected.sizes["latitude"]:
        expected = source[variable].sel(latitude=slice(20, 15), longitude=slice(250, 260))
    np.testing.assert_allclose(values(answer, variable), expected.values, rtol=1e-6)


def test_a_part_of_the_times_of_360_days_is_found(served):
    source = served.source("climate")
    variable = a_variable(source, REAL["climate"])
    first, last = (source["time"].values[n].isoformat()[:10] for n in (3, 7))
    answer = served.get("/collections/climate/coverage", properties=variable, datetime=f"{first}/{last}")
    assert answer["domain"]["axes"]["t"]["values"] == [f"{t.isoformat()}Z" for t in source["time"].values[3:8]]
