from __future__ import annotations

import sqlite3

import pandas as pd
import pyogrio
import pytest
import shapely

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, proven, table

PLACES = pd.DataFrame({"site": ["007", "b", None], "lon": [150.5, 151.0, 151.5], "lat": [-20.25, -21.0, -22.0]})


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "in.gpkg"
    pyogrio.write_dataframe(PLACES, path, layer="places")
    return path


def test_a_table_without_geometry_is_published_as_one(package, tmp_path):
    rows = proven(package, tmp_path / "v", table(convert={"read_vector": {}}))
    assert rows == PLACES.astype(object).where(PLACES.notna(), None).to_dict("records")


def test_points_are_made_from_the_attributes_of_a_table_without_geometry(package, tmp_path):
    rows = proven(package, tmp_path / "v", table(convert={"read_vector": {}}, coordinates=LONLAT))
    assert [shapely.from_wkb(row["geometry"]).x for row in rows] == PLACES["lon"].tolist()


def test_a_geometry_that_is_named_and_not_there_is_refused(package, tmp_path):
    with pytest.raises(DataError, match=r"layer 'places' has no geometry; coordinates\.geometry names 'geom'"):
        proven(package, tmp_path / "v", table(**VECTOR))


def test_a_geometry_that_is_there_and_not_named_is_refused(shared, tmp_path):
    path = shared("data/b_tabular/gpkg/Test_domain.gpkg")
    with pytest.raises(DataError, match=r"layer 'data' has a geometry: name it in coordinates\.geometry"):
        proven(path, tmp_path / "v", table(convert={"read_vector": {}}))


def test_a_table_of_a_package_with_layers_is_chosen_by_name(tmp_path):
    import geopandas

    path = tmp_path / "in.gpkg"
    points = geopandas.GeoDataFrame({"n": [1]}, geometry=shapely.points([[1.0, 2.0]]), crs="EPSG:4326")
    pyogrio.write_dataframe(points, path, layer="points")
    pyogrio.write_dataframe(PLACES, path, layer="places", append=True)
    with pytest.raises(DataError, match="one of 'points', 'places'"):
        proven(path, tmp_path / "v", table(convert={"read_vector": {}}))
    rows = proven(path, tmp_path / "v", table(convert={"read_vector": {"layer": "places"}}))
    assert [row["site"] for row in rows] == ["007", "b", None]


def test_an_attribute_called_like_the_geometry_can_be_renamed(tmp_path):
    path = tmp_path / "in.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"geom": "x"}, '
        '"geometry": {"type": "Point", "coordinates": [1.5, 2.5]}}]}'
    )
    with pytest.raises(DataError, match="'geom'"):
        proven(path, tmp_path / "v", table(**VECTOR))
    dataset = table(**{**VECTOR, "convert": {"read_vector": {}, "rename": {"geom": "note"}}})
    (row,) = proven(path, tmp_path / "v", dataset)
    assert row["note"] == "x"
    assert shapely.from_wkb(row["geom"]).coords[0] == (1.5, 2.5)


def test_an_empty_table_is_refused(package, tmp_path):
    with sqlite3.connect(package) as connection:
        connection.execute("DELETE FROM places")
    connection.close()
    with pytest.raises(DataError, match="layer 'places' has no rows"):
        proven(package, tmp_path / "v", table(convert={"read_vector": {}}))


def test_a_broken_geodatabase_is_refused_by_name(shared, tmp_path):
    import shutil

    path = tmp_path / "in.gdb"
    shutil.copytree(shared("data/b_tabular/filegdb/multilayer.gdb"), path)
    path.chmod(0o755)
    (path / "a00000001.gdbtable").chmod(0o644)
    (path / "a00000001.gdbtable").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"in\.gdb"):
        proven(path, tmp_path / "v", table(convert={"read_vector": {"layer": "lines"}}, coordinates={"geometry": "g"}))


LOCAL = ["2024-01-01 09:30:00", "2024-07-01 23:00:00.250", None]


def timed(path):
    """A package whose times carry no zone, as most people write them."""
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE places ADD COLUMN seen DATETIME")
        for number, when in enumerate(LOCAL, start=1):
            connection.execute("UPDATE places SET seen = ? WHERE fid = ?", (when and when.replace(" ", "T"), number))
    connection.close()
    return path


@pytest.mark.parametrize("zone", ["Australia/Brisbane", {"seen": "Australia/Sydney"}])
def test_times_of_a_layer_without_a_zone_are_those_of_the_declared_one(package, tmp_path, zone):
    dataset = table(convert={"read_vector": {"timezone": zone}}, coordinates={"t": "seen"})
    rows = proven(timed(package), tmp_path / "v", dataset)
    told = pd.to_datetime(pd.Series(LOCAL), format="ISO8601")
    utc = told.dt.tz_localize(zone if isinstance(zone, str) else zone["seen"]).dt.tz_convert("UTC")
    assert [row["seen"] for row in rows] == [None if pd.isna(when) else when for when in utc]


def test_without_a_zone_such_times_are_texts_and_no_coordinate(package, tmp_path):
    rows = proven(timed(package), tmp_path / "v", table(convert={"read_vector": {}}))
    assert rows[0]["seen"].startswith("2024-01-01T09:30:00")
    with pytest.raises(DataError, match=r"its times carry no zone: declare read_vector\.timezone"):
        proven(package, tmp_path / "v", table(convert={"read_vector": {}}, coordinates={"t": "seen"}))


def test_a_zone_of_a_column_that_is_not_there_is_refused(package, tmp_path):
    dataset = table(convert={"read_vector": {"timezone": {"sene": "UTC"}}})
    with pytest.raises(DataError, match=r"read_vector\.timezone.*'sene'.*'seen'"):
        proven(timed(package), tmp_path / "v", dataset)
