"""pygeoapi's entries and the configuration that they are joined into."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from rimrep_assets.domain.pygeoapi import default_header, entry_from, merge, validate_entry
from rimrep_assets_tests.domain.documents import CURATED, GRID_SCHEMA, TABLE_SCHEMA, grid_package, table_package

HEADER = default_header("http://127.0.0.1:5050/")


def table_entry(**changes: Any) -> dict[str, Any]:
    return entry_from(table_package(**changes), TABLE_SCHEMA)


def grid_entry(**changes: Any) -> dict[str, Any]:
    return entry_from(grid_package(**changes), GRID_SCHEMA)


def test_a_table_is_served_as_features_from_the_releases_own_address():
    entry = table_entry()
    (provider,) = entry["providers"]
    assert provider["type"] == "feature"
    assert provider["data"] == {"source": "s3://bucket/aims-temp-loggers/versions/v3/data.parquet"}
    assert [provider[f"{k}_field"] for k in ("id", "x", "y", "time")] == ["fid", "lon", "lat", "time"]
    assert entry["extents"]["spatial"]["bbox"] == [146.0, -19.5, 147.5, -18.0]
    assert entry["extents"]["temporal"] == {"begin": "2020-01-01T00:00:00Z", "end": "2020-01-05T00:00:00Z"}
    assert entry["rimrep"] == {"dataset": "aims-temp-loggers", "release": 3, "data_version": "v3"}
    assert json.loads(json.dumps(entry)) == entry


def test_a_grid_is_served_as_a_coverage():
    (provider,) = grid_entry()["providers"]
    assert provider["type"] == "coverage"
    assert provider["data"] == "s3://bucket/aims-temp-loggers/data.zarr"
    assert provider["format"] == {"name": "zarr", "mimetype": "application/zip"}
    assert "options" not in provider


def test_a_grid_without_a_plain_copy_is_served_from_icechunk_at_its_tag():
    (provider,) = grid_entry(plain=False)["providers"]
    assert provider["data"] == "s3://bucket/aims-temp-loggers/data.icechunk"
    assert provider["options"] == {"icechunk_tag": "release-3"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"fields": [{"name": "fid"}, {"name": "a"}], "primaryKey": "a"}, "fid"),
        ({"fields": [{"name": "a"}], "primaryKey": ["a"]}, "a"),
        ({"fields": [{"name": "a"}, {"name": "b"}], "primaryKey": ["a", "b"]}, None),
        ({"fields": [{"name": "a"}]}, None),
    ],
)
def test_a_features_id_is_fid_or_a_single_primary_key_or_left_to_the_row(schema, expected):
    assert entry_from(table_package(), schema)["providers"][0].get("id_field") == expected


@pytest.mark.parametrize(
    ("crs", "expected"),
    [
        ("EPSG:4326", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"),
        ("EPSG:28355", "http://www.opengis.net/def/crs/EPSG/0/28355"),
        ("some grid", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"),
    ],
)
def test_only_a_projected_grid_has_a_crs_of_its_own(crs, expected):
    package = {**grid_package(), "crs": crs}
    assert entry_from(package, GRID_SCHEMA)["providers"][0]["storage_crs"] == expected


def test_a_dataset_without_place_or_time_covers_the_earth():
    curated = {**CURATED, "spatial": None, "temporal": None}
    entry = entry_from(table_package(curated=curated, coordinates={}), TABLE_SCHEMA)
    assert entry["extents"] == {
        "spatial": {"bbox": [-180.0, -90.0, 180.0, 90.0], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
    }
    assert validate_entry(entry) == []


def test_what_people_write_cannot_read_the_servers_environment():
    curated = {**CURATED, "title": "Loggers ${AWS_SECRET_ACCESS_KEY}"}
    entry = entry_from(table_package(curated=curated), TABLE_SCHEMA)
    assert "${" not in json.dumps(entry)
    assert any("environment variable" in p for p in validate_entry({**entry, "title": "${HOME}"}))


def test_entries_are_valid_for_pygeoapi():
    for entry in (table_entry(), grid_entry(), grid_entry(plain=False)):
        assert validate_entry(entry) == []


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (None, "not a mapping"),
        (["a"], "not a mapping"),
        ({}, "'type' is a required property"),
        (without(table_entry(), "title"), "'title' is a required property"),
        (without(table_entry(), "extents"), "'extents' is a required property"),
        ({**table_entry(), "providers": []}, "providers: there is none"),
        ({**table_entry(), "providers": [{"name": "Parquet", "data": "x"}]}, "'type' is a required property"),
        ({**table_entry(), "type": "stac-collection"}, "'stac-collection' is not 'collection'"),
        ({**table_entry(), "extents": {"spatial": {"bbox": [0, 5, 1, -5]}}}, "south 5 is above north -5"),
        ({**table_entry(), "links": [{"href": "https://x"}]}, "links.0"),
        (
            {
                **table_entry(),
                "extents": {"spatial": {"bbox": [0, 0, 1, 1]}, "temporal": {"begin": "soon", "end": None}},
            },
            "'soon' is not a UTC date and time",
        ),
    ],
)
def test_a_broken_entry_is_left_out_with_a_reason_and_the_others_stay(broken, words):
    config, left_out = merge(HEADER, {"broken": broken, "good": table_entry(), "grid": grid_entry()})
    assert list(config["resources"]) == ["good", "grid"]
    assert list(left_out) == ["broken"]
    assert words in left_out["broken"]


def test_the_merged_configuration_is_header_plus_entries_and_pygeoapi_calls_it_valid():
    from pygeoapi.config import validate_config

    header = deepcopy(HEADER)
    config, left_out = merge(header, {"b": table_entry(), "a": grid_entry()})
    assert left_out == {}
    assert header == HEADER
    assert {k: v for k, v in config.items() if k != "resources"} == {
        k: v for k, v in HEADER.items() if k != "resources"
    }
    assert list(config["resources"]) == ["a", "b"]
    assert validate_config(config)
    assert validate_config(merge(HEADER, {})[0])


def test_times_reach_the_server_as_datetimes_through_yaml():
    """pygeoapi compares them; a text makes every request with a datetime fail with 'should be RFC3339'."""
    config, _ = merge(HEADER, {"a": yaml.safe_load(yaml.safe_dump(table_entry()))})
    served = yaml.safe_load(yaml.safe_dump(config))
    begin = served["resources"]["a"]["extents"]["temporal"]["begin"]
    assert begin == datetime(2020, 1, 1, tzinfo=UTC)


def test_resources_of_the_header_stay():
    process = {"type": "process", "processor": {"name": "HelloWorld"}}
    config, _ = merge({**HEADER, "resources": {"hello": process}}, {"a": table_entry()})
    assert config["resources"]["hello"] == process


def test_the_default_header_binds_the_port_of_its_url():
    assert HEADER["server"]["bind"] == {"host": "127.0.0.1", "port": 5050}
    assert default_header("https://pygeoapi.example")["server"]["bind"]["port"] == 5000
    assert default_header("https://pygeoapi.example")["server"]["url"] == "https://pygeoapi.example"
