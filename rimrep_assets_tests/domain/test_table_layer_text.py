"""Texts of layers: in which encoding they are, who says so, and what is refused where nobody does."""

from __future__ import annotations

import json

import pytest
import shapefile
import shapely

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import VECTOR, proven, table

WGS84 = 'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137,298.257223563]],PRIMEM["Greenwich",0],\
UNIT["Degree",0.0174532925199433]]'
NAMES = ["Davies", "Orphée", "Zoë"]


def read_as(encoding):
    return table(**{**VECTOR, "convert": {"read_vector": {"encoding": encoding}}})


def shapes(folder, encoding, page=None, names=NAMES):
    """A shapefile as pyshp writes it: it never makes a .cpg."""
    path = folder / "in.shp"
    with shapefile.Writer(str(path), encoding=encoding) as out:
        out.field("reef", "C")
        for number, name in enumerate(names):
            out.point(150.5 + number, -20.25)
            out.record(name)
    path.with_suffix(".prj").write_text(WGS84)
    if page:
        path.with_suffix(".cpg").write_text(page)
    return path


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "cp850"])
def test_a_shapefile_without_cpg_is_read_in_the_declared_encoding(tmp_path, encoding):
    path = shapes(tmp_path, encoding)
    rows = proven(path, tmp_path / "v", read_as(encoding))
    with shapefile.Reader(str(path), encoding=encoding) as reader:
        assert [row["reef"] for row in rows] == [record["reef"] for record in reader.records()] == NAMES


def test_what_is_declared_goes_before_what_the_cpg_says(tmp_path):
    rows = proven(shapes(tmp_path, "latin-1", page="UTF-8"), tmp_path / "v", read_as("latin-1"))
    assert [row["reef"] for row in rows] == NAMES


@pytest.mark.parametrize("page", ["ISO-8859-1", "1252"])
def test_a_shapefile_is_read_as_its_cpg_says(tmp_path, page):
    rows = proven(shapes(tmp_path, "latin-1", page), tmp_path / "v", table(**VECTOR))
    assert [row["reef"] for row in rows] == NAMES


@pytest.mark.parametrize(("encoding", "page"), [("latin-1", None), ("utf-8", None), ("utf-8", "as usual")])
def test_letters_of_which_nothing_says_how_they_are_written_are_refused_by_row(tmp_path, encoding, page):
    with pytest.raises(DataError, match=r"in\.shp: row 1: column 'reef' holds 'Orph.*: declare read_vector\.encoding"):
        proven(shapes(tmp_path, encoding, page), tmp_path / "v", table(**VECTOR))


def test_a_shapefile_of_ascii_needs_no_encoding(tmp_path):
    rows = proven(shapes(tmp_path, "latin-1", names=["a", "b"]), tmp_path / "v", table(**VECTOR))
    assert [row["reef"] for row in rows] == ["a", "b"]


def test_letters_that_are_not_of_the_declared_encoding_are_refused_by_row(tmp_path):
    with pytest.raises(DataError, match=r"row 1: column 'reef' holds 'Orph.*', whose bytes are not utf-8"):
        proven(shapes(tmp_path, "latin-1"), tmp_path / "v", read_as("utf-8"))


def test_an_encoding_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(DataError, match="encoding 'latin-one' is not known"):
        proven(shapes(tmp_path, "latin-1"), tmp_path / "v", read_as("latin-one"))


def test_a_shapefile_without_its_table_is_refused(tmp_path):
    path = shapes(tmp_path, "ascii", names=["a"])
    path.with_suffix(".dbf").unlink()
    with pytest.raises(DataError, match=r"in\.shp: in\.dbf is not there"):
        proven(path, tmp_path / "v", table(**VECTOR))


def features(*about):
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": p, "geometry": g} for p, g in about],
    }


def test_geojson_that_is_not_utf8_is_refused_by_row(tmp_path):
    path, point = tmp_path / "in.geojson", {"type": "Point", "coordinates": [1.5, 2.5]}
    text = json.dumps(features(*(({"reef": name}, point) for name in NAMES)), ensure_ascii=False)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"in\.geojson: row 1: column 'reef' holds 'Orph.*not utf-8; write the file"):
        proven(path, tmp_path / "v", table(**VECTOR))
    with pytest.raises(DataError, match=r"read_vector\.encoding is for shapefiles"):
        proven(path, tmp_path / "v", read_as("latin-1"))


def test_names_of_attributes_that_are_not_utf8_are_refused(tmp_path):
    path, point = tmp_path / "in.geojson", {"type": "Point", "coordinates": [1.5, 2.5]}
    path.write_text(json.dumps(features(({"réef": "a"}, point)), ensure_ascii=False), encoding="latin-1")
    with pytest.raises(DataError, match="the names of its attributes are not utf-8"):
        proven(path, tmp_path / "v", table(**VECTOR))


def test_geometries_without_coordinates_are_empty_and_points_without_them_missing(tmp_path):
    """A point without coordinates made the two readers of GeoJSON disagree."""
    kinds = ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"]
    path = tmp_path / "in.geojson"
    shapes = [{"type": kind, "coordinates": []} for kind in kinds]
    path.write_text(json.dumps(features(*(({"n": n}, shape) for n, shape in enumerate(shapes)))))
    rows = proven(path, tmp_path / "v", table(**VECTOR))
    assert rows[0]["geom"] is None
    assert [shapely.from_wkb(row["geom"]).wkt for row in rows[1:]] == [f"{kind.upper()} EMPTY" for kind in kinds[1:]]
