"""What the workflow templates for CSV, JSON and Parquet did, done by the platform from catalog to release;
``docs/templates-tables.md`` is the table.

Here belong templates that need a catalog or a release to be shown. Not here: the rules themselves (``domain``).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

PAGE = Path(__file__).parents[1] / "docs" / "templates-tables.md"
READ: dict[str, Any] = {"read_csv": {"timezone": "Australia/Brisbane"}}
LONG: dict[str, Any] = {"rename": {"long": "lon"}}


def described(world: World, *convert: dict[str, Any], schema: Any = TABLE_SCHEMA, **keys: Any) -> None:
    world.describe({**TABLE_YAML, "convert": [READ, *convert], **keys}, schema)


def released(world: World, dataset: str = TABLE) -> tuple[ReleaseRecord, Path]:
    record = world.attempt(dataset).publish()
    assert record is not None
    path = next(stored.path for stored in record.objects if stored.path.endswith("/data.parquet"))
    return record, Path(world.store_url) / "public" / path


def receipt_of(world: World, record: ReleaseRecord) -> dict[str, Any]:
    text = (Path(world.store_url) / "public" / record.receipt.path).read_text()
    return {file["name"]: file for file in json.loads(text)["files"]}


def findings(world: World, record: ReleaseRecord, check: str) -> list[str]:
    verdict = Path(world.store_url) / "public" / TABLE / "versions" / record.version / "verdict.json"
    checks = {found["name"]: found for found in json.loads(verdict.read_text())["checks"]}
    assert checks[check]["passed"] or checks[check]["severity"] == "warning"
    return list(checks[check]["findings"])


def test_datasets_split_by_a_column_share_one_source_and_lose_no_row(tmp_path):
    """split-by-column"""
    world = World(tmp_path)
    source = world.source("shared")
    frames = [
        write_table(source, f"{site}.csv", rows, shift=number, site=site)
        for number, (site, rows) in enumerate([("Davies Reef", 6), ("Heron", 4), ("Myrmidon", 5)])
    ]
    whole = pd.concat(frames, ignore_index=True)
    whole.sample(frac=1, random_state=1).to_csv(source / "all.csv", index=False)
    for frame in frames:
        (source / f"{frame.site[0]}.csv").unlink()
    rows = 0
    for site in whole.site.unique():
        dataset = site.lower().replace(" ", "-")
        keys = {"id": dataset, "source": {**TABLE_YAML["source"], "url": "../sources/shared"}}
        described(world, {"where": {"site": site}}, LONG, **keys)
        record, data = released(world, dataset)
        assert pq.read_table(data)["site"].unique().to_pylist() == [site]
        rows += record.facts.row_count or 0
        left = len(whole) - (record.facts.row_count or 0)
        assert record.facts.left_out == {"rows, by where": left}
    assert rows == len(whole)


def test_what_cast_drops_is_told_by_receipt_gate_facts_and_datapackage_also_when_the_file_stays(tmp_path):
    """formatting-data-type"""
    world = World(tmp_path)
    frame = write_table(world.source(TABLE), "a.csv")
    frame["temperature"] = frame["temperature"].astype(str)
    frame.loc[[1, 3], "temperature"] = ["broken", "no data"]
    frame.to_csv(world.source(TABLE) / "a.csv", index=False)
    described(world, LONG)
    with pytest.raises(GateRefusal, match=r"column 'temperature' is string in the data.*row 1: 'broken'"):
        world.attempt(TABLE).publish()
    described(world, LONG, {"cast": {"misfits": {"temperature": "drop"}}})
    record, data = released(world)
    said = {"values of 'temperature' that are no number, by cast": 2}
    assert record.facts.left_out == record.datapackage["rimrep"]["left_out"] == said
    assert receipt_of(world, record)["a.csv"]["left_out"] == said
    told = ["left out as declared: 2 values of 'temperature' that are no number, by cast"]
    assert findings(world, record, "nothing_left_out") == told
    found = pq.read_table(data).to_pandas().sort_values("time")["temperature"].tolist()
    assert [None if v != v else v for v in found] == [26.5, None, 27.0, None, 27.5, 27.75]
    write_table(world.source(TABLE), "b.csv", shift=1)
    assert released(world)[0].facts.left_out == said
    (world.source(TABLE) / "a.csv").unlink()
    assert released(world)[0].facts.left_out == {}


def test_files_are_one_table_and_those_with_other_columns_are_told(tmp_path):
    """concat-csv"""
    world = World(tmp_path)
    a, b = (write_table(world.source(TABLE), f"{name}.csv", shift=n) for n, name in enumerate("ab"))
    described(world, LONG, {"concat": {"columns": "same"}})
    record, _ = released(world)
    assert record.facts.row_count == len(a) + len(b)
    b.assign(depth=3).drop(columns="temperature").to_csv(world.source(TABLE) / "b.csv", index=False)
    with pytest.raises(DataError) as refused:
        world.attempt(TABLE).publish()
    assert "b.csv lacks 'temperature' and has 'depth' besides, unlike a.csv" in str(refused.value)
    described(world, LONG)
    with pytest.raises(GateRefusal, match=r"column 'depth' \(integer\) of the data is not in the catalog"):
        world.attempt(TABLE).publish()
    described(world, LONG, schema={"fields": [*TABLE_SCHEMA["fields"], {"name": "depth", "type": "integer"}]})
    _, data = released(world)
    found = pq.read_table(data)
    assert (found["depth"].null_count, found["temperature"].null_count, len(found)) == (len(a), len(b), len(a) + len(b))


ZONES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "properties": {"zone": name}, "geometry": shapely.box(n, -20, n + 1, -19).__geo_interface__}
        for n, name in enumerate(["Davies Reef", "Heron"], start=147)
    ],
}
JOIN = {"join_geometry": {"file": "zones.geojson", "on": {"site": "zone"}}}
NO_PLACE = {"drop_columns": ["long", "lat"]}
ZONE_FIELDS = [f for f in TABLE_SCHEMA["fields"] if f["name"] not in ("lon", "lat")]
ZONE_SCHEMA = {"fields": [*ZONE_FIELDS, {"name": "geometry", "type": "any"}]}


@pytest.fixture
def zoned(tmp_path) -> World:
    """A table without places, beside whose description lies a file of them."""
    world = World(tmp_path)
    for number, site in enumerate(["Davies Reef", "Nowhere"]):
        write_table(world.source(TABLE), f"{number}.csv", 3, shift=number, site=site)
    world.write(f"datasets/{TABLE}/zones.geojson", json.dumps(ZONES))
    keys = {"coordinates": {"geometry": "geometry", "t": "time"}}
    described(world, NO_PLACE, JOIN, schema=ZONE_SCHEMA, **keys)
    return world


def test_geometries_from_a_file_of_the_catalog_are_published_and_opened(zoned):
    """add-geoms"""
    record, data = released(zoned)
    layer = geopandas.read_parquet(data)
    matched = layer[layer.site == "Davies Reef"]
    assert len(matched) == 3
    assert matched.geometry.geom_equals(shapely.box(147, -20, 148, -19)).all()
    assert layer[layer.site == "Nowhere"].geometry.isna().all()
    assert layer.crs.equals("OGC:CRS84")
    assert record.facts.left_out == {"geometries, by join_geometry": 3}
    assert record.facts.bbox == (147, -20, 148, -19)
    if "Parquet" in pyogrio.list_drivers():
        assert pyogrio.read_info(data)["features"] == 6


def test_another_file_of_geometries_makes_the_data_anew_and_another_title_does_not(zoned):
    first, _ = released(zoned)
    zoned.write(f"datasets/{TABLE}/datapackage.json", first.datapackage | {"title": "Another title"})
    described(zoned, NO_PLACE, JOIN, schema=ZONE_SCHEMA, coordinates={"geometry": "geometry", "t": "time"})
    zoned.write(f"datasets/{TABLE}/README.md", "words")
    zoned.commit()
    second, _ = released(zoned)
    assert second.data_version == first.data_version
    moved = json.loads(json.dumps(ZONES))
    moved["features"][0]["geometry"] = shapely.box(150, -20, 151, -19).__geo_interface__
    zoned.write(f"datasets/{TABLE}/zones.geojson", json.dumps(moved))
    zoned.commit()
    third, data = released(zoned)
    assert third.data_version != first.data_version
    assert third.facts.bbox == (150, -20, 151, -19)
    assert geopandas.read_parquet(data).total_bounds.tolist() == [150, -20, 151, -19]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, f"join_geometry names datasets/{TABLE}/zones.geojson, which is not there at"),
        ("{", "zones.geojson is not JSON"),
        (json.dumps({**ZONES, "features": ZONES["features"] * 2}), "feature 2 has the same 'Davies Reef'"),
        (" " * 10_000_001, "which is larger than 10,000,000 bytes at"),
    ],
)
def test_a_file_of_geometries_that_cannot_be_used_is_told_by_the_catalog(zoned, content, words):
    path = zoned.catalog_folder / "datasets" / TABLE / "zones.geojson"
    path.unlink()
    if content is not None:
        path.write_text(content)
    commit = zoned.commit()
    with pytest.raises(DefinitionError) as told:
        zoned.catalog.at(commit).folder(TABLE, "development")
    assert words in str(told.value)


def test_what_a_file_of_geometries_holds_is_not_written_into_yaml(zoned):
    step = {"join_geometry": {**JOIN["join_geometry"], "content": "{}"}}
    described(zoned, NO_PLACE, step, coordinates={"geometry": "geometry", "t": "time"})
    with pytest.raises(DefinitionError, match=r"unknown key 'content' in convert\.join_geometry"):
        zoned.catalog.at(zoned.catalog.resolve()).dataset(TABLE)


COLUMNS = (
    "column,unit,standard_name,description\ntemperature,degree_Celsius,sea_water_temperature,\nlon,,longitude,Été\n"
)


@pytest.fixture
def explained(tmp_path) -> World:
    """A table whose columns are explained in a file beside its schema."""
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.write(f"datasets/{TABLE}/columns.csv", COLUMNS)
    described(world, LONG, {"column_metadata": {"file": "columns.csv", "name": "column"}})
    return world


def test_what_is_said_of_columns_is_metadata_of_the_fields_of_the_published_file(explained):
    """add-column-metadata"""
    record, data = released(explained)
    schema = pq.read_schema(data)
    assert schema.field("temperature").metadata == {
        b"unit": b"degree_Celsius",
        b"standard_name": b"sea_water_temperature",
    } | {key: value for key, value in schema.field("temperature").metadata.items() if key.startswith(b"PARQUET:")}
    assert schema.field("lon").metadata[b"description"].decode() == "Été"
    assert schema.field("site").metadata[b"title"] == b"Site"
    published = {field["name"]: field for field in record.table_or_grid_schema["fields"]}
    assert published["temperature"]["standard_name"] == "sea_water_temperature"
    assert published["lon"]["description"] == "Été"


def test_a_file_with_metadata_of_fields_is_read_by_everybody_as_before(explained):
    _, data = released(explained)
    layer = geopandas.read_parquet(data)
    assert layer.crs.equals("OGC:CRS84")
    assert [point.x for point in layer.geometry] == layer.lon.tolist()
    assert str(layer.dtypes["time"]).startswith("datetime64[us, UTC]") or "UTC" in str(layer.dtypes["time"])
    metadata = pq.read_schema(data).metadata
    assert {b"geo", b"pandas"} <= set(metadata)
    assert json.loads(metadata[b"geo"])["version"] == "1.1.0"
    assert b"ARROW:schema" not in metadata
    if "Parquet" in pyogrio.list_drivers():
        assert pyogrio.read_dataframe(data).crs.equals("OGC:CRS84")
    with duckdb.connect() as connection:
        asked = "SELECT count(*), min(temperature), any_value(site) FROM read_parquet(?)"
        rows = connection.execute(asked, [str(data)]).fetchone()
    assert rows == (6, 26.5, "Davies Reef")
    assert str(pq.read_schema(data).field("site").type) == "string"
    assert np.isclose(pd.read_parquet(data)["temperature"].max(), 27.75)


def test_other_words_about_a_column_touch_no_data(explained):
    first, _ = released(explained)
    explained.write(f"datasets/{TABLE}/columns.csv", COLUMNS.replace("Été", "Longitude"))
    explained.commit()
    second, _ = released(explained)
    assert second.data_version == first.data_version
    assert {f["name"]: f for f in second.table_or_grid_schema["fields"]}["lon"]["description"] == "Longitude"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, f"column_metadata names datasets/{TABLE}/columns.csv, which is not there"),
        ("name,unit\nlon,m\n", "columns.csv: has no column 'column'"),
        ("column,unit\nlong,m\n", "row 0: no column 'long' in tableschema.json; did you mean 'lon'"),
        ("column,unit\nlon,m\nlon,m\n", "row 1: column 'lon' stands twice"),
        ("column,type\nlon,string\n", "'type' is for tableschema.json to say"),
        ("column,unit\ntemperature,K\n", "column 'temperature': unit is 'K', in tableschema.json 'degree_Celsius'"),
        ("column,unit\nlon,m,x\n", "row 0 has not 2 cells"),
        ("column,unit\nlon\n", "row 0 has not 2 cells"),
        ("", "has no column 'column'"),
    ],
)
def test_a_file_about_columns_that_cannot_be_used_is_told_by_the_catalog(explained, text, words):
    path = explained.catalog_folder / "datasets" / TABLE / "columns.csv"
    path.unlink()
    if text is not None:
        path.write_text(text)
    commit = explained.commit()
    with pytest.raises(DefinitionError) as told:
        explained.catalog.at(commit).folder(TABLE, "development")
    assert words in str(told.value)


def test_words_about_columns_need_a_schema_to_add_to(tmp_path):
    world = World(tmp_path)
    world.write(f"datasets/{TABLE}/columns.csv", COLUMNS)
    described(world, LONG, {"column_metadata": {"file": "columns.csv"}}, schema=None)
    with pytest.raises(DefinitionError, match=r"column_metadata adds to tableschema\.json, and there is no"):
        world.catalog.at(world.catalog.resolve()).folder(TABLE, "development")


def test_a_row_group_of_a_published_table_has_statistics_and_a_reader_prunes(tmp_path):
    """combine-metadata: one file holds the metadata of all its row groups."""
    world = World(tmp_path)
    for number, site in enumerate("abc"):
        write_table(world.source(TABLE), f"{site}.csv", 1000, shift=number, site=site)
    described(world, LONG, layout={"sort_by": ["site", "time"], "row_group_rows": 1000})
    _, data = released(world)
    about = pq.read_metadata(data)
    assert about.num_row_groups == 3
    place = about.schema.names.index("site")
    assert [about.row_group(n).column(place).statistics.min for n in range(3)] == ["a", "b", "c"]


def test_the_table_names_tests_that_exist():
    named = re.findall(r"`(rimrep_assets_tests/[^`]+?\.py)::(test_\w+)`", PAGE.read_text())
    assert len(named) >= 15
    root = PAGE.parents[1]
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (root / file).read_text()]
    assert missing == []
