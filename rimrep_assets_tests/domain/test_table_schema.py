from __future__ import annotations

import json
import re

import pytest

from rimrep_assets.domain.table_facts import measure_table
from rimrep_assets.domain.table_schema import Difference, compare_schemas, schema_of
from rimrep_assets.domain.table_schema_promises import broken_promises
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, table, version_of


def published(sources, tmp_path, dataset, curated=None):
    version = version_of(sources, tmp_path / "v", dataset, curated)
    return version, schema_of(version.data, measure_table(version.data, dataset), dataset, curated)


@pytest.fixture
def reefs(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(
        "site,n,depth,lon,lat,t,d,ok\n"
        "a,1,1.5,142,-10,2020-01-01T00:00:00Z,2020-01-01,true\nb,,9,143,-11,2020-01-02T00:00:00.5Z,,\n"
        ",3,0,,,2020-01-03T00:00:00Z,2020-02-01,false\n"
    )
    return {"in.csv": path}, table(coordinates={**LONLAT, "t": "t", "z": "depth"})


CURATED = {
    "description": "reefs",
    "fields": [
        {"name": "site", "type": "string", "title": "Site"},
        {"name": "n", "type": "integer", "min": -99},
        {"name": "depth", "type": "number", "unit": "m", "constraints": {"minimum": 0, "maximum": 10}},
        {"name": "lon", "type": "integer"},
        {"name": "lat", "type": "integer"},
        {"name": "t", "type": "datetime", "format": "default", "constraints": {"minimum": "2019-01-01T00:00:00Z"}},
        {"name": "d", "type": "date"},
        {"name": "ok", "type": "boolean", "trueValues": ["true"]},
    ],
}


def test_the_published_schema_keeps_what_people_wrote_and_measures_the_rest(reefs, tmp_path):
    _, schema = published(*[reefs[0], tmp_path, reefs[1]], CURATED)
    by_name = {field["name"]: field for field in schema["fields"]}
    assert list(by_name) == ["site", "n", "depth", "lon", "lat", "t", "d", "ok", "geometry", "bbox", "fid"]
    assert by_name["site"] == {"name": "site", "type": "string", "title": "Site"}
    assert by_name["n"] == {"name": "n", "type": "integer", "min": 1, "max": 3}
    assert by_name["depth"] == {
        "name": "depth", "type": "number", "min": 0.0, "max": 9.0, "coordinates": "z", "unit": "m",
        "constraints": {"minimum": 0, "maximum": 10},
    }  # fmt: skip
    assert (by_name["t"]["min"], by_name["t"]["coordinates"]) == ("2020-01-01T00:00:00Z", "t")
    assert by_name["geometry"]["coordinates"] == "geometry"
    assert by_name["geometry"]["crs"] == "OGC:CRS84"
    assert (schema["primaryKey"], schema["description"]) == ("fid", "reefs")


def flawless(version, schema, folder):
    """Frictionless' own verdict on a package of the published file and schema; the errors, if any."""
    from frictionless import Package

    resource = {
        "name": "data", "path": version.data.name, "format": "parquet",
        "mediatype": "application/vnd.apache.parquet", "schema": schema,
    }  # fmt: skip
    (folder / "datapackage.json").write_text(json.dumps({"name": "reefs", "resources": [resource]}))
    return Package(str(folder / "datapackage.json")).validate().flatten(["type", "rowNumber", "fieldName", "note"])


@pytest.mark.parametrize("curated", [None, CURATED])
def test_frictionless_validates_the_published_file_with_its_schema(reefs, tmp_path, curated):
    version, schema = published(*[reefs[0], tmp_path, reefs[1]], curated)
    assert flawless(version, schema, tmp_path / "v") == []
    schema["fields"][0]["type"] = "integer"
    assert flawless(version, schema, tmp_path / "v"), "a wrong schema must be found, or the test is blind"


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("gpkg/Test_domain.gpkg", VECTOR),
        ("shapefile/dylan_active_pts/dylan_active_pts.shp", VECTOR),
        ("vector_misc/items.geojson", VECTOR),
        ("moorings/rottnest.csv", {"coordinates": {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}}),
    ],
)
def test_frictionless_validates_real_tables(shared, tmp_path, path, keys):
    version, schema = published({path: shared(f"data/b_tabular/{path}")}, tmp_path, table(**keys))
    assert flawless(version, schema, tmp_path / "v") == []
    assert compare_schemas(schema, schema, table(**keys)) == []


def test_the_catalogs_schema_without_what_is_measured_is_identical(reefs, tmp_path):
    _, schema = published(*[reefs[0], tmp_path, reefs[1]], CURATED)
    assert compare_schemas(schema, CURATED, reefs[1]) == []
    assert compare_schemas(schema, schema, reefs[1]) == []


def fields(*told):
    return {"fields": [dict(field) for field in told]}


A, B = {"name": "a", "type": "integer", "min": 1, "max": 9}, {"name": "b", "type": "string"}


@pytest.mark.parametrize(
    ("now", "then", "grade", "says"),
    [
        (fields(A), fields(A, B), "breaking", "column 'b' of the catalog is not in the data"),
        (fields(A, B), fields(A), "additive", "column 'b' \\(string\\) of the data is not in the catalog"),
        (fields(A), fields({**A, "type": "number"}), "breaking", "in the data, number in the catalog: row 1: 'x'"),
        (fields({**A, "unit": "m"}), fields({**A, "unit": "cm"}), "meaning", "unit is 'm' in the data, 'cm'"),
        (fields(A), fields({**A, "coordinates": "x"}), "meaning", "coordinate is None in the data, 'x'"),
        (fields({**A, "crs": "EPSG:4283"}), fields({**A, "crs": "EPSG:4326"}), "meaning", "CRS is 'EPSG:4283'"),
        (fields(A), fields({**A, "constraints": {"minimum": 2}}), "meaning", "1 is below the catalog's minimum 2"),
        (fields(A), fields({**A, "constraints": {"maximum": "8"}}), "meaning", "9 is above the catalog's maximum '8'"),
        (
            fields({"name": "t", "type": "date", "max": "2020-01-02"}),
            fields({"name": "t", "type": "date", "constraints": {"maximum": "2020-01-01"}}),
            "meaning", "above the catalog's maximum",
        ),
    ],
)  # fmt: skip
def test_a_difference_is_graded_and_said(now, then, grade, says):
    (difference,) = compare_schemas(now, then, table(), {"a": ["row 1: 'x'"]})
    assert difference.grade == grade
    assert re.search(says, difference.message)


def test_a_missing_column_hints_at_new_ones_of_its_type():
    missing, new = compare_schemas(fields({**A, "name": "c"}, B), fields(A, B), table())
    assert "new and of the same type: c: was it renamed?" in missing.message
    assert new == Difference("additive", "c", "column 'c' (integer) of the data is not in the catalog")


def test_columns_of_the_platform_are_not_compared():
    fid = {"name": "fid", "type": "string"}
    assert compare_schemas(fields(A, fid), fields(A), table()) == []


def test_values_within_the_constraints_are_no_difference():
    assert compare_schemas(fields(A), fields({**A, "constraints": {"minimum": 1, "maximum": 9}}), table()) == []


def test_missing_cells_of_a_required_column_are_told():
    required = fields({**A, "constraints": {"required": True}})
    assert compare_schemas(fields(A), required, table(), nulls={"a": 0}) == []
    (difference,) = compare_schemas(fields(A), required, table(), nulls={"a": 3})
    assert (difference.grade, difference.column) == ("meaning", "a")
    assert "3 cells are missing" in difference.message


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"missingValues": ["", "-99"]}, "declare read_csv.na"),
        ({"primaryKey": ["id"]}, "declare layout.key: [id]"),
        ({"primaryKey": "id"}, "declare layout.key: [id]"),
        (
            {"fields": [{"name": "a", "constraints": {"unique": True, "minimum": 1, "enum": [1]}}]},
            "unique, enum are not",
        ),
    ],
)
def test_what_nobody_holds_against_the_data_cannot_be_promised(schema, words):
    (problem,) = broken_promises({"fields": [], **schema}, table())
    assert words in problem


def test_what_is_held_may_be_promised():
    bounds = {"name": "a", "constraints": {"required": True, "minimum": 1, "maximum": 2}}
    kept = {"fields": [bounds, {"name": "b"}], "missingValues": [""], "primaryKey": "fid", "title": "x"}
    assert broken_promises(kept, table()) == []
    keyed = table(layout={"key": ["a", "b"]})
    assert broken_promises({"fields": [], "primaryKey": ["a", "b"]}, keyed) == []


def test_without_a_curated_schema_the_proposed_one_is_told():
    (difference,) = compare_schemas(fields(A, B), None, table())
    assert difference.grade == "additive"
    assert difference.message == ("no tableschema.json in the catalog; the proposed one is a (integer), b (string)")
