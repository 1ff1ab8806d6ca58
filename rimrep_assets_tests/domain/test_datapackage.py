"""The complete datapackage: curated keys survive, measured ones come from the data alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.datapackage import complete, json_bytes, stable_datapackage, validate
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets_tests.domain.documents import (
    CURATED,
    EDITION,
    GRID_FACTS,
    GRID_SCHEMA,
    TABLE_FACTS,
    TABLE_SCHEMA,
    addresses,
    dataset,
    grid_dataset,
    grid_package,
    table_package,
)

PROFILE = json.loads((Path(__file__).parents[2] / "examples/catalog/templates/gbr-dms-data-package.json").read_text())
MEASURED = {"spatial", "temporal", "row_count", "updated", "coordinates", "crs", "resources", "rimrep"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(extra=st.dictionaries(st.text().filter(lambda k: k not in MEASURED | {"name"}), json_values, max_size=5))
def test_every_curated_key_survives_byte_for_byte(extra):
    curated = {**extra, **{k: v for k, v in CURATED.items() if k not in extra}}
    package = table_package(curated=curated)
    for key, value in curated.items():
        assert json_bytes(package[key]) == json_bytes(value)
    assert list(package)[: len(curated)] == list(curated)


def test_what_is_measured_replaces_what_was_written():
    lies = {
        **CURATED,
        "spatial": {"bbox": [0, 0, 1, 1], "name": "GBR"},
        "temporal": {"start_datetime": "1900-01-01T00:00:00Z", "end_datetime": "1901-01-01T00:00:00Z"},
        "row_count": 7,
        "crs": "EPSG:1",
        "updated": "1999-01-01T00:00:00Z",
        "coordinates": {"x": "easting"},
        "resources": [{"name": "old", "path": "old.csv", "title": "Loggers"}, {"name": "codes", "path": "codes.csv"}],
    }
    package = table_package(curated=lies)
    assert package["spatial"] == {"bbox": [146.0, -19.5, 147.5, -18.0], "name": "GBR"}
    assert package["temporal"] == {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-05T00:00:00Z"}
    assert (package["row_count"], package["crs"]) == (5, "EPSG:4326")
    assert package["updated"] == "2024-05-06T07:08:09Z"
    assert package["coordinates"] == {"x": "lon", "y": "lat", "t": "time"}
    assert package["resources"][0]["title"] == "Loggers"
    assert package["resources"][0]["path"] == "data.parquet"
    assert package["resources"][1] == {"name": "codes", "path": "codes.csv"}
    assert lies["resources"][0]["path"] == "old.csv", "the input is not changed"


def test_a_key_that_the_data_lacks_does_not_survive_from_the_curated_document():
    package = complete(
        {**CURATED, "row_count": 7, "temporal": None},
        GRID_FACTS,
        GRID_SCHEMA,
        dataset=grid_dataset(coordinates={"x": "lon", "y": "lat"}),
        edition=EDITION,
        addresses=addresses(grid=True),
    )
    assert "row_count" not in package
    assert package["temporal"] is None


def test_extents_that_the_data_cannot_give_are_the_curated_ones():
    span = {"start_datetime": "1991-01-01T00:00:00Z", "end_datetime": "1992-01-01T00:00:00Z"}
    curated = {**CURATED, "spatial": {"bbox": [142, -24, 154, -10]}, "temporal": span}
    package = table_package(curated=curated, coordinates={})
    assert package["spatial"] == curated["spatial"]
    assert package["temporal"] == span
    assert package["rimrep"]["extents_from_data"] == {"spatial": False, "temporal": False}


def test_every_extent_that_nobody_gives_is_named():
    with pytest.raises(DefinitionError) as refused:
        table_package(coordinates={})
    assert len(refused.value.problems) == 2
    assert "spatial.bbox is missing" in refused.value.problems[0]
    assert "temporal.start_datetime and temporal.end_datetime is missing" in refused.value.problems[1]


def test_null_states_that_there_is_no_extent():
    package = table_package(curated={**CURATED, "spatial": None, "temporal": None}, coordinates={})
    assert (package["spatial"], package["temporal"]) == (None, None)


def test_declared_coordinates_without_a_value_are_a_fault_of_the_data():
    empty = TABLE_FACTS.model_copy(update={"bbox": None, "start": None})
    with pytest.raises(DataError) as refused:
        complete(CURATED, empty, TABLE_SCHEMA, dataset=dataset(), edition=EDITION, addresses=addresses())
    assert len(refused.value.problems) == 2


def test_another_datasets_name_is_refused():
    with pytest.raises(DefinitionError, match="'other' is not the dataset's id"):
        table_package(curated={**CURATED, "name": "other"})


def test_the_release_is_named_under_one_key():
    own = table_package()["rimrep"]
    assert {
        k: own[k] for k in ("release", "data_version", "catalog_commit", "environment", "access", "collection")
    } == {
        "release": 3,
        "data_version": "v3",
        "catalog_commit": "c0ffee",
        "environment": "production",
        "access": "public",
        "collection": "aims-temp",
    }
    assert own["addresses"]["data"] == "s3://bucket/aims-temp-loggers/versions/v3/data.parquet"
    assert grid_package()["rimrep"]["missing_times"] == ["2023-01-02T12:00:00Z"]


def test_the_same_input_gives_the_same_bytes():
    assert json_bytes(table_package()) == json_bytes(table_package())
    assert json.loads(json_bytes(table_package()))["homepage"] == "https://example.org/ü"


def frictionless(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frictionless", "validate", *options, "datapackage.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_frictionless_accepts_a_tables_package_beside_the_release_and_at_the_stable_address(tmp_path):
    import pandas

    own = tmp_path / "aims-temp-loggers" / "versions" / "v3"
    own.mkdir(parents=True)
    times = pandas.to_datetime(["2020-01-01", "2020-01-05"], utc=True)
    columns = {"fid": ["a", "b"], "time": times, "lon": [1.5, 2], "lat": [1.0, 2], "qc_val": [1.0, None]}
    pandas.DataFrame({**columns, "geometry": [b"x", b"y"]}).to_parquet(own / "data.parquet")
    digest = hashlib.sha256((own / "data.parquet").read_bytes()).hexdigest()
    package = table_package(str(tmp_path))
    package["resources"][0]["hash"] = f"sha256:{digest}"
    for folder, document in ((own, package), (own.parents[1], stable_datapackage(package))):
        (folder / "tableschema.json").write_bytes(json_bytes(TABLE_SCHEMA))
        (folder / "datapackage.json").write_bytes(json_bytes(document))
        done = frictionless(folder)
        assert done.returncode == 0, done.stdout
    broken = {**TABLE_SCHEMA, "fields": TABLE_SCHEMA["fields"][1:]}
    (own / "tableschema.json").write_bytes(json_bytes(broken))
    assert frictionless(own).returncode == 1


def test_frictionless_accepts_a_grids_package(tmp_path):
    own = tmp_path / "aims-temp-loggers" / "versions" / "v3"
    own.mkdir(parents=True)
    (tmp_path / "aims-temp-loggers" / "data.zarr").mkdir()
    package = grid_package(str(tmp_path))
    stable = stable_datapackage(package)
    assert stable["resources"][0]["path"] == "data.zarr"
    assert stable["resources"][0]["gridschema"] == "gridschema.json"
    (own / "datapackage.json").write_bytes(json_bytes(package))
    (own.parents[1] / "datapackage.json").write_bytes(json_bytes(stable))
    assert frictionless(own.parents[1]).returncode == 0
    assert frictionless(own, "--trusted").returncode == 0


def test_data_of_an_older_release_is_reached_by_url_or_through_the_folders():
    edition = EDITION.model_copy(update={"data_version": "v1"})

    def path(root: str) -> str:
        at = addresses(root, version="v1")
        made = complete(CURATED, TABLE_FACTS, TABLE_SCHEMA, dataset=dataset(), edition=edition, addresses=at)
        assert stable_datapackage(made)["resources"][0]["path"] == "versions/v1/data.parquet"
        return str(made["resources"][0]["path"])

    assert path("s3://bucket") == "s3://bucket/aims-temp-loggers/versions/v1/data.parquet"
    assert path("/data") == "../v1/data.parquet"


def test_curated_and_complete_documents_satisfy_the_profile():
    for document in (CURATED, table_package(), grid_package(), stable_datapackage(table_package())):
        assert validate(document, PROFILE) == []


@pytest.mark.parametrize("key", PROFILE["required"])
def test_a_missing_required_field_is_named(key):
    document = {k: v for k, v in CURATED.items() if k != key}
    assert any(problem.startswith(f"datapackage.json: {key} is missing") for problem in validate(document, PROFILE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licenses": []}, "licenses: needs at least 1"),
        ({"licenses": [{"name": "CC BY 4.0"}]}, "licenses.0.name: 'CC BY 4.0' is not as expected: an SPDX"),
        ({"contributors": [{"title": "A", "roles": ["boss"]}]}, "contributors.0.roles.0: 'boss' is none of licensor"),
        ({"contributors": [{"roles": ["host"]}]}, "contributors.0: title is missing"),
        ({"doi": "https://doi.org/10.1/x"}, "doi: 'https://doi.org/10.1/x' is not as expected: a DOI without"),
        ({"title": "T"}, "title: 'T' is shorter than 3 characters"),
        ({"homepage": "javascript:alert(1)"}, "homepage: 'javascript:alert(1)' is not as expected: a web address"),
        ({"themes": [{"scheme": "x", "concepts": []}]}, "themes.0.concepts: needs at least 1"),
        ({"spatial": {"bbox": [10, -5, 20, -15]}}, "spatial.bbox: [10, -5, 20, -15]: south -5 is above north -15"),
        ({"spatial": {"bbox": [20, -15, 10, -5]}}, "spatial.bbox: [20, -15, 10, -5]: west 20 is beyond east 10"),
        ({"spatial": {"bbox": [0, -95, 10, -5]}}, "spatial.bbox: [0, -95, 10, -5]: a latitude lies outside -90..90"),
        ({"spatial": {"bbox": [0, 1, 2]}}, "spatial.bbox: [0, 1, 2] is not [west, south, east, north]"),
        (
            {"temporal": {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}},
            "temporal: start 2021-01-01T00:00:00Z is after end 2020-01-01T00:00:00Z",
        ),
        (
            {"temporal": {"start_datetime": "last year", "end_datetime": "2020-01-01"}},
            "temporal: start_datetime 'last year' is not a UTC date and time",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_place_and_what_was_expected(change, words):
    problems = validate({**CURATED, **change}, PROFILE)
    assert any(problem.startswith(words) for problem in problems), problems


def test_the_name_must_be_the_datasets_id():
    assert validate(CURATED, PROFILE, dataset="other") == ["name: 'aims-temp-loggers' is not the dataset's id 'other'"]


def test_a_box_over_180_degrees_is_in_order():
    assert validate({**CURATED, "spatial": {"bbox": [170, -20, -170, -10]}}, PROFILE) == []
    assert validate({**CURATED, "spatial": {"bbox": [170, -20, 190, -10]}}, PROFILE) == []
