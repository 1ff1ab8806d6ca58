"""Boxes that pygeoapi is asked for, against geopandas: shapes whose bounds reach into a box and which do not themselves."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely

from rimrep_assets.service.pygeoapi_providers import FeatureProvider

BOXES = [
    (145.2, -14.9, 146.4, -12.3),
    (144.0, -16.0, 150.0, -10.0),
    (146.05, -13.05, 146.1, -13.0),
    (10.0, 10.0, 11.0, 11.0),
]


def triangles(crs=4326, without=7):
    """Sixty triangles, each the half of its bounds; one row has no place."""
    rng = np.random.default_rng(5)
    x, y, size = 145 + 4 * rng.random(60), -15 + 4 * rng.random(60), 0.2 + rng.random(60)
    shapes = [
        shapely.Polygon([(a, b), (a + s, b), (a, b + s)]) if n != without else None
        for n, (a, b, s) in enumerate(zip(x, y, size, strict=True))
    ]
    frame = geopandas.GeoDataFrame({"fid": [f"{n:02d}" for n in range(60)]}, geometry=shapes, crs=4326)
    return frame.to_crs(crs)


def provider(frame, path, **more):
    frame.to_parquet(path, write_covering_bbox=True, row_group_size=7)
    definition = {"name": "x", "type": "feature", "data": {"source": str(path)}, "id_field": "fid", **more}
    return FeatureProvider({key: value for key, value in definition.items() if value is not None})


@pytest.mark.parametrize("key", ["fid", None])
@pytest.mark.parametrize("box", BOXES)
def test_features_of_a_box_are_those_that_geopandas_finds(tmp_path, box, key):
    frame = triangles()
    served = provider(frame, tmp_path / "t.parquet", id_field=key)
    wanted = frame[frame.intersects(shapely.box(*box))]["fid"].tolist()
    answer = served.query(bbox=box, limit=100)
    assert [f["properties"]["fid"] for f in answer["features"]] == wanted
    assert answer["numberMatched"] == len(wanted)
    assert served.query(bbox=box, resulttype="hits")["numberMatched"] == len(wanted)


def test_some_bounds_reach_into_boxes_that_the_shapes_do_not(tmp_path):
    bounds, served = triangles().geometry.bounds, provider(triangles(), tmp_path / "t.parquet")
    found, near = 0, 0
    for west, south in ((146, -13), (147, -12), (148, -13), (147, -14)):
        near += (
            (bounds.minx <= west + 0.1) & (bounds.maxx >= west) & (bounds.miny <= south + 0.1) & (bounds.maxy >= south)
        ).sum()
        found += served.query(bbox=(west, south, west + 0.1, south + 0.1), resulttype="hits")["numberMatched"]
    assert 0 < found < near


def test_pages_of_a_box_together_are_its_features_once(tmp_path):
    served = provider(triangles(), tmp_path / "t.parquet")
    whole = [f["id"] for f in served.query(bbox=BOXES[0], limit=100)["features"]]
    pages = [served.query(bbox=BOXES[0], limit=4, offset=n, skip_geometry=n == 4) for n in range(0, len(whole), 4)]
    assert [f["id"] for page in pages for f in page["features"]] == whole
    assert all(f["geometry"] is None for f in pages[1]["features"])
    assert {page["numberMatched"] for page in pages} == {len(whole)}


@pytest.mark.parametrize("box", BOXES)
def test_a_projected_layer_is_asked_for_in_degrees(tmp_path, box):
    frame = triangles(crs=3577)
    fine = shapely.segmentize(shapely.box(*box), 0.01)
    asked = geopandas.GeoSeries([fine], crs=4326).to_crs(3577).iloc[0]
    wanted = frame[frame.intersects(asked)]["fid"].tolist()
    assert [f["id"] for f in provider(frame, tmp_path / "t.parquet").query(bbox=box, limit=100)["features"]] == wanted


def test_a_box_over_180_degrees_takes_what_touches_it_on_both_sides(tmp_path):
    shapes = [
        shapely.Polygon([(170, 0), (179, 0), (170, 9)]),
        shapely.Polygon([(-179, 0), (-170, 0), (-179, 9)]),
        shapely.Polygon([(160, 0), (178.5, 0), (160, -9)]),
        shapely.box(0, 0, 1, 1),
    ]
    frame = geopandas.GeoDataFrame({"fid": list("abcd")}, geometry=shapes, crs=4326)
    served = provider(frame, tmp_path / "t.parquet")
    assert [f["id"] for f in served.query(bbox=(178, 0.2, -178, 5))["features"]] == ["a", "b"]
    assert [f["id"] for f in served.query(bbox=(178, 5, -178, 9))["features"]] == ["b"]


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((-161, -1, -159, 1), ["at 200"]),
        ((-1, -1, 0, 1), ["at 359.9"]),
        ((170, -1, -170, 1), ["at 179", "at 181.5", "over 180"]),
        ((-179.9, -1, -179.8, 1), ["over 180"]),
        ((179.4, -1, 179.9, 1), ["over 180"]),
        ((-180, -1, 180, 1), ["at 179", "at 181.5", "over 180", "at 200", "at 359.9"]),
        ((10, -1, 11, 1), []),
    ],
)
def test_longitudes_of_a_table_may_go_on_to_360(tmp_path, box, found):
    shapes = {
        "at 179": shapely.Point(179, 0),
        "at 181.5": shapely.Point(181.5, 0),
        "over 180": shapely.box(179.5, -0.5, 180.5, 0.5),
        "at 200": shapely.Point(200, 0),
        "at 359.9": shapely.Point(359.9, 0),
    }
    frame = geopandas.GeoDataFrame({"fid": list(shapes)}, geometry=list(shapes.values()), crs=4326)
    served = provider(frame, tmp_path / "t.parquet")
    answer = served.query(bbox=box, limit=10)
    assert [f["properties"]["fid"] for f in answer["features"]] == found
    assert served.query(bbox=box, resulttype="hits")["numberMatched"] == len(found)
