"""Facts and the gridschema: expected values from xarray and jsonschema; every grade has its case."""

from __future__ import annotations

import copy
import json

import jsonschema
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_facts import bounding_box
from rimrep_assets.domain.grid_proof import measure_grid
from rimrep_assets.domain.grid_schema import GRID_SCHEMA, compare_schemas, curated_part, schema_of
from rimrep_assets.domain.schema_difference import Difference
from rimrep_assets_tests.domain.grid_bench import Published, Sample, grid_dataset

GRIDDED = "data/a_gridded/"


def measured(published: Published):
    return measure_grid(published.state, published.stats(), published.group, published.dataset)


@pytest.fixture
def published(tmp_path) -> Published:
    paths = [Sample(times=[d], base=100 * d).write(tmp_path / f"{d}.nc") for d in (0, 1, 3)]
    return Published(grid_dataset(layout={"cadence": "P1D", "chunks": {"time": 2}})).to(*paths)


def test_facts_are_what_xarray_sees(published):
    facts = measured(published)
    with published.xarray() as seen:
        sst = seen.sst.values
        assert facts.variables["sst"].min == pytest.approx(np.nanmin(sst))
        assert facts.variables["sst"].max == pytest.approx(np.nanmax(sst))
        assert facts.variables["sst"].valid == np.isfinite(sst).sum()
        assert facts.variables["sst"].missing == np.isnan(sst).sum()
    assert facts.variables["depth"].max == 11
    assert (facts.start, facts.end) == ("2020-01-01T00:00:00Z", "2020-01-04T00:00:00Z")
    assert facts.missing_times == ("2020-01-03T00:00:00Z",)
    assert facts.dimensions["time"].step == "P1D"
    assert facts.dimensions["lat"].extent == (-10.0, -11.5)
    assert facts.dimensions["lat"].step == -0.5
    assert facts.bbox == (145.0, -11.5, 146.0, -10.0)
    assert facts.crs == "EPSG:4326"


def test_blocks_without_counts_are_named(published):
    stats = published.stats()
    del stats[1]
    with pytest.raises(DataError, match="no counts of blocks 1"):
        measure_grid(published.state, stats, published.group, published.dataset)


@pytest.mark.parametrize(
    ("lon", "expected"),
    [
        (np.arange(100.0, 180.0), (100.0, 179.0)),
        (np.arange(210.0, 221.0), (-150.0, -140.0)),
        (np.arange(57.0, 186.0), (57.0, -175.0)),
        (np.arange(0.0, 360.0), (-180.0, 180.0)),
        (np.arange(-180.0, 181.0), (-180.0, 180.0)),
        (np.array([[150.0, np.nan], [151.0, 152.0]]), (150.0, 152.0)),
    ],
)
def test_the_box_is_in_degrees_from_minus_180(lon, expected):
    lat = np.array([-10.0, np.nan, -20.0])
    assert bounding_box(lon, lat, "EPSG:4326") == (expected[0], -20.0, expected[1], -10.0)


def test_a_projected_grid_has_its_box_in_degrees():
    west, south, east, north = bounding_box(np.array([500_000.0, 600_000.0]), np.array([8.0e6, 8.1e6]), "EPSG:32755")
    assert west == pytest.approx(147.0, abs=0.01)
    assert east == pytest.approx(147.95, abs=0.02)
    assert south == pytest.approx(-18.08, abs=0.05)
    assert north == pytest.approx(-17.18, abs=0.05)


def test_a_curvilinear_grid_has_its_box_from_cells_that_are_there(shared):
    path = shared(GRIDDED + "ereefs_gbr4/small.nc")
    coordinates = {"x": "longitude", "y": "latitude", "z": "zc", "t": "time"}
    published = Published(grid_dataset(coordinates=coordinates)).to(path)
    facts = measured(published)
    with xr.open_dataset(path) as source:
        expected = [float(f(source[n])) for f, n in ((np.nanmin, "longitude"), (np.nanmin, "latitude"))]
    assert list(facts.bbox[:2]) == pytest.approx(expected)
    assert facts.dimensions["k"].axis == "z"
    assert facts.dimensions["i"].type == "other"
    jsonschema.validate(schema_of(published.state, facts, published.dataset, None), GRID_SCHEMA)


def test_a_projection_in_the_grid_mapping_names_the_crs(shared):
    path = shared(GRIDDED + "ereefs_raster_export/ereefsDailyMeanWaterTemperature_10Dec2022_Depth1p5m.nc")
    published = Published(grid_dataset(coordinates={"x": "longitude", "y": "latitude"})).to(path)
    assert measured(published).crs == "EPSG:4326"


@pytest.fixture
def schema(published):
    return schema_of(published.state, measured(published), published.dataset, None)


def test_the_schema_satisfies_its_json_schema_and_json(schema):
    jsonschema.Draft202012Validator.check_schema(GRID_SCHEMA)
    jsonschema.validate(schema, GRID_SCHEMA)
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    sst = schema["variables"]["sst"]
    assert (sst["data_type"], sst["scale"], sst["offset"], sst["nodata"]) == ("int16", 0.01, 20.0, -999)
    assert sst["chunks"] == [2, 4, 3]
    assert schema["coordinates"] == {"x": "lon", "y": "lat", "t": "time"}
    assert schema["dimensions"]["lat"]["direction"] == "descending"
    assert "lat" not in schema["variables"]


@pytest.mark.parametrize(
    "broken",
    [
        {"variables": {}},
        {"coordinates": {"x": "lon"}},
        {"dimensions": {"lat": {"type": "vertical"}}},
        {"dimensions": {"lat": {"type": "spatial"}}},
        {"variables": {"sst": {"dimensions": ["lat"], "data_type": "string"}}},
    ],
)
def test_a_schema_that_is_none_is_refused(schema, broken):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**schema, **broken}, GRID_SCHEMA)


def test_what_people_wrote_survives_and_what_they_cannot_know_does_not(published):
    curated = {
        "title": "SST",
        "dimensions": {"lat": {"type": "spatial", "axis": "y", "description": "north", "extent": [0, 1]}},
        "variables": {"sst": {"title": "Warm", "rdfType": "x", "data_type": "float32", "min": 3}},
    }
    made = schema_of(published.state, measured(published), published.dataset, curated)
    assert made["title"] == "SST"
    assert made["dimensions"]["lat"]["description"] == "north"
    assert made["dimensions"]["lat"]["extent"] == [-10.0, -11.5]
    assert made["variables"]["sst"]["title"] == "Warm"
    assert made["variables"]["sst"]["rdfType"] == "x"
    assert made["variables"]["sst"]["data_type"] == "int16"
    assert made["variables"]["sst"]["min"] != 3


def test_a_grid_keeps_the_promises_that_were_proposed_from_it_also_when_it_grows(published, schema, tmp_path):
    part = curated_part(schema)
    jsonschema.validate(part, GRID_SCHEMA)
    assert "extent" not in part["dimensions"]["lat"]
    assert "size" not in part["dimensions"]["time"]
    later = Sample(times=[9], base=900).write(tmp_path / "9.nc")
    published.to(*published.paths.values(), later)
    grown = schema_of(published.state, measured(published), published.dataset, part)
    assert compare_schemas(grown, part, published.dataset) == []


def test_without_a_schema_in_the_catalog_one_is_proposed(schema, published):
    [difference] = compare_schemas(schema, None, published.dataset)
    assert (difference.grade, difference.column) == ("additive", "")
    assert '"sst"' in difference.message


def without(schema, kind, name):
    del schema[kind][name]


def renamed(schema, kind, name, new):
    schema[kind][new] = schema[kind].pop(name)


@pytest.mark.parametrize(
    ("bend", "expected"),
    [
        (lambda s: without(s, "variables", "sst"), {("breaking", "sst")}),
        (lambda s: without(s, "dimensions", "lat"), {("breaking", "lat")}),
        (lambda s: renamed(s, "variables", "sst", "temp"), {("breaking", "sst"), ("additive", "temp")}),
        (lambda s: s["variables"]["sst"].update(data_type="float32"), {("breaking", "sst")}),
        (lambda s: s["variables"]["sst"].update(dimensions=["lat", "lon"]), {("breaking", "sst")}),
        (lambda s: s["variables"].update(new={"dimensions": ["lat"], "data_type": "int8"}), {("additive", "new")}),
        (lambda s: s["variables"]["sst"].update(unit="K"), {("meaning", "sst")}),
        (lambda s: s["variables"]["sst"].update(standard_name="x"), {("meaning", "sst")}),
        (lambda s: s["variables"]["sst"].update(scale=0.02), {("meaning", "sst")}),
        (lambda s: s["variables"]["sst"].update(offset=0.0), {("meaning", "sst")}),
        (lambda s: s["variables"]["sst"].update(nodata=-1), {("meaning", "sst")}),
        (lambda s: s["variables"]["depth"].update(scale=0.1), {("meaning", "depth")}),
        (lambda s: s["dimensions"]["lat"].update(direction="ascending"), {("meaning", "lat")}),
        (lambda s: s["dimensions"]["lat"].update(size=400), {("meaning", "lat")}),
        (lambda s: s["dimensions"]["time"].update(size=400), set()),
        (lambda s: s["dimensions"]["lat"].update(extent=[0, 1], step=3), set()),
        (lambda s: s["variables"]["sst"].update(min=0, max=1, chunks=[1, 1, 1]), set()),
    ],
)
def test_each_difference_has_its_grade(schema, published, bend, expected):
    curated, data = copy.deepcopy(curated_part(schema)), copy.deepcopy(schema)
    bend(data)
    found = compare_schemas(data, curated, published.dataset)
    assert {(d.grade, d.column) for d in found} == expected
    assert all(isinstance(d, Difference) and d.message for d in found)


def test_a_renamed_variable_is_hinted_at(schema, published):
    data = copy.deepcopy(schema)
    renamed(data, "variables", "sst", "temp")
    [lost] = [d for d in compare_schemas(data, curated_part(schema), published.dataset) if d.grade == "breaking"]
    assert "new and alike: temp: was it renamed?" in lost.message


def test_a_coordinate_that_plays_another_part_changes_the_meaning(schema):
    other = grid_dataset(coordinates={"x": "lat", "y": "lon", "t": "time"})
    found = compare_schemas(schema, curated_part(schema), other)
    assert [(d.grade, d.message) for d in found] == [
        ("meaning", "coordinate x is lat in dataset.yaml, lon in gridschema.json"),
        ("meaning", "coordinate y is lon in dataset.yaml, lat in gridschema.json"),
    ]
