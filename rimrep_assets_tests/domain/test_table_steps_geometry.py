"""Steps about places: ``clip`` and ``join_geometry``, against geopandas."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.table_nothing_left import nothing_left
from rimrep_assets.domain.table_second_places import features_beside
from rimrep_assets.domain.table_steps_join import features_of
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import LONLAT
from rimrep_assets_tests.domain.table_steps_bench import published, steps

CSV = {"read_csv": {}}
GEOM = {"coordinates": {"geometry": "geom"}}
SHAPES = ["shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp", "shapefile/gbr_w6m_dylan/gbr_w6m_dylan.shp"]


def clip(*bbox, **more):
    return {"clip": {"bbox": list(bbox), **more}}


def normal(shapes):
    return [shapely.normalize(shape).wkt for shape in shapes]


def test_reefs_within_a_box_are_those_of_geopandas(shared, tmp_path):
    """clip-data"""
    source = shared("data/b_tabular/ltmp/all.reefs_3Zone.csv")
    dataset = steps(CSV, clip(146, -19, 148.5, -17), coordinates={"x": "Longitude", "y": "Latitude"})
    found = published(tmp_path, dataset, {"reefs.csv": source})
    frame = pd.read_csv(source)
    points = geopandas.GeoSeries.from_xy(frame.Longitude, frame.Latitude)
    expected = frame[points.intersects(shapely.box(146, -19, 148.5, -17))]
    assert 0 < len(expected) < len(frame)
    assert found["REEF_ID"].to_pylist() == expected["REEF_ID"].tolist()
    told = stage_table(source, "reefs.csv", dataset, None, tmp_path / "part.parquet")
    assert told.left_out == {"rows, by clip": len(frame) - len(expected)}


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("path", SHAPES)
def test_polygons_meet_the_box_and_may_be_cut_to_it(shared, tmp_path, path, cut):
    """clip-data; the files are in metres, so that a box is in metres too."""
    source = shared(f"data/b_tabular/{path}")
    layer = geopandas.read_file(source)
    layer["geometry"] = layer.geometry.force_2d()
    west, south, east, north = layer.total_bounds
    bbox = [west, south, (west + east) / 2, (south + north) / 2]
    if cut and not layer.is_valid.all():
        with pytest.raises(DataError, match="cannot cut"):
            stage_table(
                source, "in.shp", steps({"read_vector": {}}, clip(*bbox, cut=True), **GEOM), None, tmp_path / "p"
            )
        layer["geometry"] = layer.geometry.make_valid()
        source = tmp_path / "valid.gpkg"
        layer.to_file(source)
    dataset = steps({"read_vector": {}}, clip(*bbox, cut=cut), **GEOM)
    found = published(tmp_path, dataset, {source.name: source})
    shapes = shapely.from_wkb(found["geom"].to_pylist())
    box = shapely.box(*bbox)
    assert shapely.intersects(shapes, box).all()
    if cut:
        expected = geopandas.clip(layer, box, keep_geom_type=True, sort=True)
        assert np.allclose(shapely.area(shapes).sum(), expected.area.sum(), rtol=1e-12)
        assert len(shapes) == len(expected)
        assert shapely.covers(box.buffer(1e-6), shapes).all()
    else:
        assert normal(shapes) == normal(layer[layer.intersects(box)].geometry)


@pytest.mark.parametrize("bbox", [(170, -20, -170, -10), (170, -20, 190, -10), (-190, -20, -170, -10)])
def test_a_box_over_the_antimeridian_in_either_way_to_write_longitudes(tmp_path, bbox):
    text = "lon,lat\n" + "".join(f"{lon},-15\n" for lon in (169.9, 170, 179, 180, -180, -175, 185, 190, 190.1, -169, 0))
    found = published(tmp_path, steps(CSV, clip(*bbox), coordinates=LONLAT), {"in.csv": text})
    assert found["lon"].to_pylist() == [170, 179, 180, -180, -175, 185, 190]


def test_polygons_in_0_to_360_meet_a_box_in_minus_180_to_180(tmp_path):
    shapes = [shapely.box(188, -16, 192, -14), shapely.box(-172, -16, -168, -14), shapely.box(0, 0, 1, 1)]
    text = "n,geom\n" + "".join(f'{n},"{shape.wkt}"\n' for n, shape in enumerate(shapes))
    dataset = steps(CSV, clip(-180, -20, -170, -10, cut=True), **GEOM)
    found = published(tmp_path, dataset, {"in.csv": text})
    assert found["n"].to_pylist() == [0, 1]
    assert shapely.bounds(shapely.from_wkb(found["geom"].to_pylist())).tolist() == [
        [188, -16, 190, -14],
        [-172, -16, -170, -14],
    ]


def test_rows_without_a_place_are_in_no_box(tmp_path):
    found = published(
        tmp_path, steps(CSV, clip(0, 0, 9, 9), coordinates=LONLAT), {"in.csv": "lon,lat,n\n1,1,1\n,1,2\n1,,3\n"}
    )
    assert found["n"].to_pylist() == [1]


def test_a_polygon_that_only_touches_the_box_is_met_but_leaves_nothing_when_cut(tmp_path):
    text = f'n,geom\n1,"{shapely.box(1, 0, 2, 1).wkt}"\n2,"{shapely.box(0, 0, 2, 1).wkt}"\n'
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    met = published(tmp_path / "1", steps(CSV, clip(0, 0, 1, 1), **GEOM), {"in.csv": text})
    cut = published(tmp_path / "2", steps(CSV, clip(0, 0, 1, 1, cut=True), **GEOM), {"in.csv": text})
    assert met["n"].to_pylist() == [1, 2]
    assert cut["n"].to_pylist() == [2]
    assert shapely.from_wkb(cut["geom"][0].as_py()).bounds == (0, 0, 1, 1)


def test_polygons_that_are_not_valid_are_not_cut(tmp_path):
    bow = "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"
    (tmp_path / "in.csv").write_text(f'n,geom\n1,"{bow}"\n')
    with pytest.raises(DataError, match="row 0: Self-intersection"):
        dataset = steps(CSV, clip(0, 0, 1, 1, cut=True), **GEOM)
        stage_table(tmp_path / "in.csv", "in.csv", dataset, None, tmp_path / "p.parquet")


def test_places_that_are_no_numbers_are_told(tmp_path):
    (tmp_path / "in.csv").write_text("lon,lat\n1,1\nx,1\n")
    with pytest.raises(DataError, match="clip needs numbers in 'lon': row 1: 'x'; declare words for a missing"):
        stage_table(
            tmp_path / "in.csv", "in.csv", steps(CSV, clip(0, 0, 1, 1), coordinates=LONLAT), None, tmp_path / "p"
        )


@pytest.mark.parametrize("bbox", [(0, -100, 1, 0), (-400, 0, 1, 1)])
def test_a_box_that_is_not_in_degrees_is_refused(tmp_path, bbox):
    (tmp_path / "in.csv").write_text("lon,lat\n1,1\n")
    with pytest.raises(DataError, match="is not west, south, east, north in degrees"):
        stage_table(tmp_path / "in.csv", "in.csv", steps(CSV, clip(*bbox), coordinates=LONLAT), None, tmp_path / "p")


def test_the_place_may_be_renamed_before_or_after(tmp_path):
    text = "long,lat\n1,1\n20,1\n"
    for number, order in enumerate([(clip(0, 0, 2, 2), {"rename": {"long": "lon"}})] * 2):
        (tmp_path / str(number)).mkdir()
        chosen = order if number else order[::-1]
        found = published(tmp_path / str(number), steps(CSV, *chosen, coordinates=LONLAT), {"in.csv": text})
        assert found["lon"].to_pylist() == [1]


@given(
    st.lists(st.tuples(st.integers(-180, 360), st.integers(-90, 90)), min_size=1, max_size=20),
    st.tuples(st.integers(-180, 180), st.integers(-90, 0), st.integers(-180, 180), st.integers(0, 90)),
)
@settings(max_examples=30, deadline=None)
def test_a_point_is_in_a_box_when_its_meridian_is(tmp_path_factory, points, bbox):
    folder = tmp_path_factory.mktemp("clip")
    text = "lon,lat\n" + "".join(f"{x},{y}\n" for x, y in points)
    found = published(folder, steps(CSV, clip(*bbox), coordinates=LONLAT), {"in.csv": text})
    west, south, east, north = bbox
    meridians = {m % 360 for m in range(west, (east if east >= west else east + 360) + 1)}
    inside = [(x, y) for x, y in points if x % 360 in meridians and south <= y <= north]
    assert list(zip(found["lon"].to_pylist(), found["lat"].to_pylist(), strict=True)) == inside


def geojson(features):
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": about, "geometry": None if shape is None else shape.__geo_interface__}
                for about, shape in features
            ],
        }
    )


def join(content, **more):
    return {"join_geometry": {"file": "sites.geojson", "on": {"site": "name"}, "content": content, **more}}


PLACES = [({"name": "a", "n": 1}, shapely.Point(150, -20)), ({"name": "b", "n": 2}, shapely.box(140, -20, 141, -19))]


def test_rows_get_the_geometry_of_their_feature_as_in_geopandas(tmp_path):
    """add-geoms"""
    dataset = steps(CSV, join(geojson(PLACES)), **GEOM)
    found = published(tmp_path, dataset, {"in.csv": "site,v\nb,1\na,2\nz,3\nb,4\n,5\n"})
    left = pd.read_csv(tmp_path / "in.csv")
    right = geopandas.GeoDataFrame([about for about, _ in PLACES], geometry=[shape for _, shape in PLACES])
    expected = left.merge(right[["name", "geometry"]].dropna(), how="left", left_on="site", right_on="name")
    shapes = [shapely.from_wkb(cell) if cell else None for cell in found["geom"].to_pylist()]
    assert shapes == [shape or None for shape in expected["geometry"]]
    assert found["v"].to_pylist() == [1, 2, 3, 4, 5]
    told = stage_table(tmp_path / "in.csv", "in.csv", dataset, None, tmp_path / "p.parquet")
    assert told.left_out == {"geometries, by join_geometry": 2}
    assert told.crs["id"] == {"authority": "OGC", "code": "CRS84"}


@pytest.mark.parametrize("read", ["read_json", "read_parquet", "read_vector"])
def test_rows_of_other_formats_get_geometries_too(tmp_path, read):
    frame = pd.DataFrame({"site": ["b", "z", "a"], "v": [1, 2, 3]})
    source = tmp_path / {"read_json": "in.json", "read_parquet": "in.parquet", "read_vector": "in.gpkg"}[read]
    if read == "read_json":
        frame.to_json(source, orient="records")
    elif read == "read_parquet":
        frame.to_parquet(source)
    else:
        pyogrio.write_dataframe(frame, source, layer="table")
    found = published(tmp_path, steps({read: {}}, join(geojson(PLACES)), **GEOM), {source.name: source})
    assert [cell and shapely.from_wkb(cell) for cell in found["geom"].to_pylist()] == [PLACES[1][1], None, PLACES[0][1]]


def test_a_layer_that_has_geometries_gets_no_others(shared, tmp_path):
    source = shared("data/b_tabular/shapefile/marcia_nodes/marcia_nodes.shp")
    step = {"join_geometry": {"file": "s.geojson", "on": {"year": "name"}, "content": geojson(PLACES)}}
    with pytest.raises(DataError, match="join_geometry: the data has a geometry"):
        stage_table(source, "m.shp", steps({"read_vector": {}}, step, **GEOM), None, tmp_path / "part.parquet")


def test_rows_without_a_feature_may_be_refused(tmp_path):
    (tmp_path / "in.csv").write_text("site\na\nz\n")
    dataset = steps(CSV, join(geojson(PLACES), unmatched="refuse"), **GEOM)
    with pytest.raises(DataError, match=r"in.csv: row 1: sites.geojson has no feature for site 'z'"):
        stage_table(tmp_path / "in.csv", "in.csv", dataset, None, tmp_path / "p.parquet")


def test_several_values_name_a_feature_and_numbers_are_numbers(tmp_path):
    step = {"join_geometry": {"file": "s.geojson", "on": {"site": "name", "k": "n"}, "content": geojson(PLACES)}}
    found = published(tmp_path, steps(CSV, step, **GEOM), {"in.csv": "site,k\na,1\na,2\nb,2\n"})
    assert [cell is None for cell in found["geom"].to_pylist()] == [False, True, False]


def test_joined_geometries_can_be_clipped(tmp_path):
    dataset = steps(CSV, join(geojson(PLACES)), clip(149, -21, 151, -19), **GEOM)
    found = published(tmp_path, dataset, {"in.csv": "site\nb\na\nz\n"})
    assert found["site"].to_pylist() == ["a"]


@pytest.mark.parametrize("features", [features_of])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is no GeoJSON FeatureCollection"),
        (geojson([*PLACES, PLACES[0]]), "feature 2 has the same 'a' as one before"),
        (geojson([({"n": 1}, None)]), "feature 0 has no 'name'"),
        (geojson(PLACES).replace('"Point"', '"Blob"'), "feature 0 has no geometry that can be read"),
        (
            json.dumps({"features": [], "crs": {"properties": {"name": "EPSG:3112"}}}),
            "is in 'EPSG:3112'; GeoJSON is in longitude and latitude",
        ),
        (None, "was not handed over"),
    ],
)
def test_a_file_that_is_no_key_to_geometries_is_refused(features, content, words):
    with pytest.raises(DefinitionError) as told:
        features("sites.geojson", content, ("name",))
    assert words in str(told.value)


def test_both_readings_of_a_file_find_the_same_features():
    keys = [({"name": 1.0}, None), ({"name": "1.5"}, shapely.Point(1, 2)), ({"name": True}, shapely.Point(1, 3))]
    ours, theirs = features_of("s", geojson(keys), ("name",)), features_beside(geojson(keys), ("name",))
    assert set(ours) == set(theirs) == {("1",), ("1.5",), ("true",)}
    assert [wkb and shapely.from_wkb(wkb) for (wkb,) in ours.values()] == list(theirs.values())


def in_metres(path):
    """Two points of MGA zone 55, and where geopandas says they lie."""
    points = geopandas.GeoDataFrame(
        {"n": [1, 2]}, geometry=shapely.points([[500_000.0, 7_500_000.0], [510_000.0, 7_600_000.0]]), crs="EPSG:28355"
    )
    points.to_file(path)
    return geopandas.read_file(path).total_bounds


def test_a_box_of_degrees_is_refused_for_a_layer_in_metres(tmp_path):
    source = tmp_path / "in.gpkg"
    in_metres(source)
    dataset = steps({"read_vector": {}}, clip(-180, -90, 180, 90), **GEOM)
    with pytest.raises(DataError, match=r"clip\.bbox .* is in degrees, and the layer in EPSG:28355"):
        stage_table(source, "in.gpkg", dataset, None, tmp_path / "part.parquet")


def test_where_a_box_leaves_no_row_the_place_of_the_rows_is_told(tmp_path):
    source = tmp_path / "in.gpkg"
    west, south, east, north = in_metres(source)
    dataset = steps({"read_vector": {}}, clip(100_000, 0, 200_000, 1), **GEOM)
    assert nothing_left(source, "in.gpkg", dataset, {"rows, by clip": 2}) == (
        "no source file has any row left; left out were 2 rows, by clip; clip.bbox is [100000, 0, 200000, 1], in the "
        f"units of EPSG:28355, and in.gpkg spans x {west:g} to {east:g}, y {south:g} to {north:g}"
    )


def test_where_a_box_leaves_no_row_of_a_csv_the_place_of_the_rows_is_told(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("lon,lat\n147.5,-18\n,\n151,-23.5\n")
    dataset = steps(CSV, clip(0, 0, 1, 1), coordinates=LONLAT)
    told = nothing_left(source, "in.csv", dataset, {"rows, by clip": 3})
    assert told.endswith("in the units of OGC:CRS84, and in.csv spans x 147.5 to 151, y -23.5 to -18")
    source.write_text("lon,lat\n,\n")
    assert nothing_left(source, "in.csv", dataset, {"rows, by clip": 1}).endswith("no row of in.csv has a place")
