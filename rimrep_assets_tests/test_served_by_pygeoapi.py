"""From a provider's web server to the real pygeoapi: what it answers is what the provider's files say.

Here belongs the whole way over HTTP; expected values by pandas, geopandas and xarray from the source files. Not here:
what the providers do with every kind of request (``service/test_pygeoapi_providers``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rimrep_assets.reading_back import served_from
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_day, write_table

pytestmark = pytest.mark.skipif(nginx_program() is None, reason="nginx is not installed: apt-get install nginx-light")
ZONES = "reef-zones"
ZONES_YAML: dict[str, Any] = {
    "id": ZONES,
    "collection": "reef",
    "format": "parquet",
    "access": "public",
    "coordinates": {"geometry": "geometry"},
    "source": {"kind": "local", "url": f"../sources/{ZONES}", "include": "*.gpkg"},
    "convert": [{"read_vector": {}}],
}


@dataclass
class Served:
    """A published world and the servers before and behind it."""

    world: World
    provider: Nginx
    pygeoapi: PygeoapiServer

    def get(self, path: str, **query: Any) -> Any:
        with urlopen(f"{self.pygeoapi.url}{path}?{urlencode({'f': 'json', **query})}") as answer:
            return json.load(answer)

    def table(self) -> pd.DataFrame:
        """The provider's rows, with times in UTC."""
        frame = pd.concat(pd.read_csv(path) for path in sorted(self.world.source(TABLE).glob("*.csv")))
        local = pd.to_datetime(frame["time"]).dt.tz_localize("Australia/Brisbane")
        return frame.assign(time=local.dt.tz_convert("UTC")).reset_index(drop=True)


def write_zones(world: World) -> Any:
    """Three squares of one degree side by side."""
    import geopandas
    import shapely

    boxes = [shapely.box(145 + i, -12, 146 + i, -11) for i in range(3)]
    zones = geopandas.GeoDataFrame({"zone": ["north", "middle", "south"]}, geometry=boxes, crs=4326)
    zones.to_file(world.source(ZONES) / "zones.gpkg", layer="zones")
    return zones


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    world = World(root / "world")
    write_table(world.source(TABLE), "a.csv")
    write_table(world.source(TABLE), "b.csv", shift=1, site="Myrmidon Reef")
    for day in range(3):
        write_day(world.source(GRID), day)
    write_zones(world)
    for path in world.root.glob("sources/*/*"):
        # What changed in this very second may change again in it, so its stamp would not be trusted.
        os.utime(path, (1.7e9, 1.7e9))
    with Nginx(world.root / "sources", root / "nginx") as provider:
        for yaml_, include in ((TABLE_YAML, "*.csv"), (GRID_YAML, "*.nc")):
            source = {"kind": "http", "url": f"{provider.url}/{yaml_['id']}/", "include": include}
            world.describe({**yaml_, "source": source}, TABLE_SCHEMA if yaml_ is TABLE_YAML else None)
        world.describe(ZONES_YAML, None, temporal=None)
        for dataset in (GRID, ZONES):
            take_proposed(world, dataset)
        for dataset in (TABLE, GRID, ZONES):
            assert world.attempt(dataset).publish().release == 1
        folder = root / "pygeoapi"
        folder.mkdir()
        with served_from(world.store, folder) as pygeoapi:
            yield Served(world, provider, pygeoapi)


def test_every_dataset_is_a_collection(served):
    listed = {c["id"]: c for c in served.get("/collections")["collections"]}
    assert set(listed) == {TABLE, GRID, ZONES}
    assert listed[TABLE]["title"] == f"Title of {TABLE}"
    frame = served.table()
    west, south, east, north = listed[TABLE]["extent"]["spatial"]["bbox"][0]
    assert (west, east) == (frame["long"].min(), frame["long"].max())
    assert (south, north) == (frame["lat"].min(), frame["lat"].max())


def test_all_items_are_the_providers_rows(served):
    answer, frame = served.get(f"/collections/{TABLE}/items", limit=100), served.table()
    assert answer["numberMatched"] == answer["numberReturned"] == len(frame)
    found = sorted(
        (f["properties"]["site"], *f["geometry"]["coordinates"], f["properties"]["temperature"])
        for f in answer["features"]
    )
    assert found == sorted(zip(frame["site"], frame["long"], frame["lat"], frame["temperature"], strict=True))


def test_items_of_a_box_are_those_that_pandas_finds(served):
    frame = served.table()
    box = (147.615, -18.845, 147.635, -18.815)
    wanted = frame[frame["long"].between(box[0], box[2]) & frame["lat"].between(box[1], box[3])]
    answer = served.get(f"/collections/{TABLE}/items", bbox=",".join(map(str, box)))
    assert 0 < len(wanted) < len(frame)
    assert answer["numberMatched"] == len(wanted)
    assert sorted(f["properties"]["temperature"] for f in answer["features"]) == sorted(wanted["temperature"])


def test_items_of_a_time_are_those_that_pandas_finds(served):
    frame = served.table()
    begin, end = sorted(frame["time"])[2], sorted(frame["time"])[7]
    wanted = frame[frame["time"].between(begin, end)]
    words = "/".join(t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in (begin, end))
    answer = served.get(f"/collections/{TABLE}/items", datetime=words, limit=3)
    assert answer["numberMatched"] == len(wanted) == 6
    assert answer["numberReturned"] == 3
    rest = served.get(f"/collections/{TABLE}/items", datetime=words, limit=3, offset=3)
    found = [f["properties"]["temperature"] for f in (*answer["features"], *rest["features"])]
    assert sorted(found) == sorted(wanted["temperature"])


def test_one_item_by_its_id_is_that_row(served):
    import geopandas

    data = served.world.projector(TABLE).log.newest().datapackage["rimrep"]["addresses"]["data"]
    row = geopandas.read_parquet(data).iloc[4]
    feature = served.get(f"/collections/{TABLE}/items/{row['fid']}")
    assert feature["id"] == row["fid"]
    assert feature["properties"]["temperature"] == row["temperature"]
    assert feature["geometry"]["coordinates"] == [row["lon"], row["lat"]]


def test_polygons_of_a_box_are_those_that_touch_it(served):
    answer = served.get(f"/collections/{ZONES}/items", bbox="145.5,-11.6,146.5,-11.4")
    assert sorted(f["properties"]["zone"] for f in answer["features"]) == ["middle", "north"]
    assert all(f["geometry"]["type"] in ("Polygon", "MultiPolygon") for f in answer["features"])
    whole = served.get(f"/collections/{ZONES}")["extent"]["spatial"]["bbox"][0]
    assert whole == [145, -12, 148, -11]


def test_a_part_of_the_coverage_has_the_values_of_the_file(served):
    answer = served.get(
        f"/collections/{GRID}/coverage",
        bbox="145.4,-10.6,146.1,-9.9",
        datetime="2024-01-02T12:00:00Z",
    )
    with xr.open_dataset(served.world.source(GRID) / "heat_2024-01-02.nc") as day:
        wanted = day["heat"].sel(lon=slice(145.4, 146.1), lat=slice(-9.9, -10.6)).load()
    part = answer["ranges"]["heat"]
    found = xr.DataArray(
        np.array([np.nan if v is None else v for v in part["values"]], "float64").reshape(part["shape"]),
        dims=[{"x": "lon", "y": "lat", "t": "time"}.get(name, name) for name in part["axisNames"]],
    )
    axes = answer["domain"]["axes"]
    for name, axis in (("lon", axes.get("x") or axes["lon"]), ("lat", axes.get("y") or axes["lat"])):
        values = axis.get("values") or np.linspace(axis["start"], axis["stop"], axis["num"])
        found = found.assign_coords({name: np.asarray(values)})
    found = found.squeeze().transpose("lat", "lon").sortby("lat").sortby("lon")
    expected = wanted.squeeze().transpose("lat", "lon").sortby("lat").sortby("lon")
    np.testing.assert_allclose(found["lon"], expected["lon"])
    np.testing.assert_allclose(found["lat"], expected["lat"])
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)


def test_the_openapi_document_names_every_dataset(served):
    paths = served.get("/openapi")["paths"]
    for path in (f"/collections/{TABLE}/items", f"/collections/{ZONES}/items", f"/collections/{GRID}/coverage"):
        assert path in paths


def test_a_second_release_is_served_after_a_reload(served):
    before = len(served.table())
    write_table(served.world.source(TABLE), "c.csv", shift=2, rows=4)
    assert served.world.attempt(TABLE).publish().release == 2
    folder = served.pygeoapi.configuration.parent
    served_from(served.world.store, folder)
    served.pygeoapi.reload()
    answer = served.get(f"/collections/{TABLE}/items", limit=100)
    assert answer["numberMatched"] == len(served.table()) == before + 4
    # The provider was asked whether the two files changed that we have, and sent the new one alone.
    asked = [(r["path"].rpartition("/")[2], r["status"]) for r in served.provider.requests()[-3:]]
    assert sorted(asked) == [("a.csv", 304), ("b.csv", 304), ("c.csv", 200)]
