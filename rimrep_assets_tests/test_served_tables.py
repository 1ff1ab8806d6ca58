"""A table of points and a layer of polygons side by side: one static STAC, one pygeoapi, and the right features.

Here belongs asking both at once for a box and a time, and opening what STAC names; expected features by pandas and
geopandas from the source files. Not here: the way of one dataset from a provider's server (``test_served_by_pygeoapi``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import geopandas
import pandas as pd
import pystac
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimrep_assets.reading_back import served_from
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World

CLOSURES = "reef-closures"
CLOSURES_YAML: dict[str, Any] = {
    "id": CLOSURES,
    "collection": "reef",
    "format": "parquet",
    "access": "public",
    "coordinates": {"geometry": "geometry", "t": "closed"},
    "source": {"kind": "local", "url": f"../sources/{CLOSURES}", "include": "*.gpkg"},
    "convert": [{"read_vector": {}}],
    "layout": {"sort_by": ["geometry"]},
}
CLOSURES_SCHEMA: dict[str, Any] = {
    "fields": [
        {"name": "zone", "type": "string"},
        {"name": "closed", "type": "date"},
        {"name": "geometry", "type": "any"},
    ]
}
DAYS = pd.date_range("2024-01-01", periods=6, freq="D")


def write_points(world: World) -> pd.DataFrame:
    """Reefs on a lattice of half a degree, one a row, local times eight hours apart; times in UTC are given back."""
    times = pd.date_range("2024-01-01 06:00", periods=48, freq="8h")
    frame = pd.DataFrame(
        {
            "site": [f"{n:03d}" for n in range(48)],
            "long": [145 + 0.5 * (n % 8) for n in range(48)],
            "lat": [-12 - 0.5 * (n * 5 % 6) for n in range(48)],
            "time": times.strftime("%Y-%m-%d %H:%M:%S"),
            "temperature": [20 + 0.25 * n for n in range(48)],
        }
    )
    for name, part in (("a.csv", frame[:20]), ("b.csv", frame[20:])):
        part.to_csv(world.source(TABLE) / name, index=False)
    return frame.assign(time=times.tz_localize("Australia/Brisbane").tz_convert("UTC"))


def write_closures(world: World) -> geopandas.GeoDataFrame:
    """Triangles, whose boxes reach over places that they do not, each closed on a day; one has no place."""
    shapes: list[Any] = []
    for n in range(18):
        x, y = 145 + 0.7 * (n % 6), -12 - 1.1 * (n // 6)
        shapes.append(shapely.Polygon([(x, y), (x + 1, y), (x, y - 1)]))
    shapes[7] = None
    frame = geopandas.GeoDataFrame(
        {"zone": [f"{n:02d}" for n in range(18)], "closed": [DAYS[n * 5 % 6].date() for n in range(18)]},
        geometry=shapes,
        crs=4326,
    )
    frame[:9].to_file(world.source(CLOSURES) / "north.gpkg", layer="closures")
    frame[9:].to_file(world.source(CLOSURES) / "south.gpkg", layer="closures")
    return frame


@dataclass(repr=False)
class Served:
    """Both datasets, published and served, and what their providers have."""

    world: World
    pygeoapi: PygeoapiServer
    points: pd.DataFrame
    closures: geopandas.GeoDataFrame

    def items(self, dataset: str, **query: Any) -> Any:
        """What pygeoapi answers; it refuses a time in which, by the collection's extent, there is nothing."""
        asked = urlencode({"f": "json", "limit": 100, **query})
        try:
            with urlopen(f"{self.pygeoapi.url}/collections/{dataset}/items?{asked}", timeout=60) as answer:
                return json.load(answer)
        except HTTPError as refusal:
            assert refusal.code == 400 and "datetime" in query
            return {"numberMatched": 0, "features": []}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    world = World(root / "world")
    points, closures = write_points(world), write_closures(world)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.describe(CLOSURES_YAML, CLOSURES_SCHEMA)
    for dataset in (TABLE, CLOSURES):
        record = world.attempt(dataset).publish()
        assert record is not None and record.release == 1
    folder = root / "pygeoapi"
    folder.mkdir()
    with served_from(world.store, folder) as pygeoapi:
        yield Served(world, pygeoapi, points, closures)


def interval(begin: pd.Timestamp, end: pd.Timestamp) -> str:
    return "/".join(t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in (begin, end))


# No edge of a box lies on a place: whether a touch counts is not what is asked here.
EDGES = st.tuples(st.integers(0, 8), st.integers(0, 7), st.integers(1, 6), st.integers(1, 6)).map(
    lambda n: (144.83 + n[0] * 0.5, -15.13 + n[1] * 0.5, 144.83 + (n[0] + n[2]) * 0.5, -15.13 + (n[1] + n[3]) * 0.5)
)
SPANS = st.tuples(st.integers(-8, 160), st.integers(0, 200)).map(
    lambda h: (DAYS[0] + pd.Timedelta(hours=h[0]), DAYS[0] + pd.Timedelta(hours=h[0] + h[1]))
)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(box=EDGES, span=SPANS)
def test_a_box_and_a_time_give_the_points_that_pandas_finds_and_the_polygons_that_geopandas_finds(served, box, span):
    asked = {"bbox": ",".join(f"{edge:.2f}" for edge in box), "datetime": interval(*span)}
    begin, end = (t.tz_localize("UTC") for t in span)
    frame = served.points
    at = frame[
        frame["long"].between(box[0], box[2]) & frame["lat"].between(box[1], box[3]) & frame["time"].between(begin, end)
    ]
    answer = served.items(TABLE, **asked)
    assert answer["numberMatched"] == len(at)
    assert sorted(f["properties"]["site"] for f in answer["features"]) == sorted(at["site"])
    for feature in answer["features"]:
        row = frame[frame["site"] == feature["properties"]["site"]].iloc[0]
        assert feature["geometry"] == {"type": "Point", "coordinates": [row["long"], row["lat"]]}
        assert feature["properties"]["temperature"] == row["temperature"]
    zones = served.closures
    closed = pd.to_datetime(zones["closed"]).dt.tz_localize("UTC")
    # A date is its whole day: any instant of it is in it.
    there = zones[zones.intersects(shapely.box(*box)) & closed.between(begin.floor("D"), end.floor("D"))]
    answer = served.items(CLOSURES, **asked)
    assert answer["numberMatched"] == len(there)
    assert sorted(f["properties"]["zone"] for f in answer["features"]) == sorted(there["zone"])
    for feature in answer["features"]:
        wanted = zones[zones["zone"] == feature["properties"]["zone"]].geometry.iloc[0]
        assert shapely.geometry.shape(feature["geometry"]).equals(wanted)


def test_a_triangle_beside_the_box_is_no_answer_though_its_bounds_reach_into_it(served):
    box = (145.75, -12.95, 145.95, -12.85)
    bounds = served.closures.geometry.bounds
    near = (bounds["minx"] < box[2]) & (bounds["maxx"] > box[0]) & (bounds["miny"] < box[3]) & (bounds["maxy"] > box[1])
    there = served.closures.intersects(shapely.box(*box))
    assert 0 < there.sum() < near.sum()
    answer = served.items(CLOSURES, bbox=",".join(map(str, box)), datetime="../..")
    assert sorted(f["properties"]["zone"] for f in answer["features"]) == sorted(served.closures[there]["zone"])


def test_one_instant_and_open_ends_are_answered_for_both(served):
    noon = served.points["time"][10]
    assert served.items(TABLE, datetime=noon.strftime("%Y-%m-%dT%H:%M:%SZ"))["numberMatched"] == 1
    assert served.items(TABLE, datetime=f"{noon:%Y-%m-%dT%H:%M:%SZ}/..")["numberMatched"] == 38
    day = DAYS[2].date()
    closed = served.closures["closed"]
    assert served.items(CLOSURES, datetime=f"{day}/{day}")["numberMatched"] == (closed == day).sum() == 3
    assert served.items(CLOSURES, datetime=f"../{day}")["numberMatched"] == (closed <= day).sum() == 9


def test_stac_leads_to_both_and_geopandas_opens_what_it_names(served):
    addresses = served.world.projector(TABLE).log.newest().datapackage["rimrep"]["addresses"]
    catalog = pystac.Catalog.from_file(addresses["stac_root"])
    items = {item.id: item for item in catalog.get_items(recursive=True)}
    assert set(items) == {TABLE, CLOSURES}
    read = {}
    for name, item in items.items():
        tables = [asset for asset in item.get_assets().values() if str(asset.media_type).endswith("parquet")]
        assert tables
        frames = [geopandas.read_parquet(asset.get_absolute_href()) for asset in tables]
        assert all(frame.equals(frames[0]) for frame in frames)
        read[name] = frames[0]
        assert read[name].crs.equals("OGC:CRS84", ignore_axis_order=True)
        assert tuple(item.bbox) == tuple(read[name].total_bounds)
    points = read[TABLE].sort_values("site")
    assert points["site"].tolist() == served.points["site"].tolist()
    assert points.geometry.x.tolist() == served.points["long"].tolist()
    assert (points["time"].dt.tz_convert("UTC").to_numpy() == served.points["time"].to_numpy()).all()
    zones = read[CLOSURES].sort_values("zone")
    assert [str(day) for day in zones["closed"]] == [str(day) for day in served.closures["closed"]]
    shapes = zip(zones.geometry, served.closures.geometry, strict=True)
    assert all((ours is None and theirs is None) or ours.equals(theirs) for ours, theirs in shapes)
    assert items[CLOSURES].common_metadata.start_datetime == DAYS[0].tz_localize("UTC").to_pydatetime()


def test_a_row_without_a_place_is_served_as_csv(served):
    asked = [urlencode({"f": "csv", "limit": 1, "offset": n}) for n in (0, len(served.closures) - 1)]
    zones = set()
    for query in asked:
        with urlopen(f"{served.pygeoapi.url}/collections/{CLOSURES}/items?{query}", timeout=60) as answer:
            zones |= set(pd.read_csv(answer, dtype=str)["zone"])
    # Along the curve rows without a place come first or last.
    assert served.closures[served.closures.geometry.isna()]["zone"].item() in zones
