"""What a curator may write in dataset.yaml, and the sentence for everything else."""

from __future__ import annotations

import copy
import datetime as dt

import pytest
import yaml

from rimrep_assets.domain.dataset import SENSITIVE, dataset_from_yaml
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_YAML


def parsed(raw: dict, folder: str = TABLE):
    return dataset_from_yaml(yaml.safe_dump(raw), folder=folder)


def changed(raw: dict, **changes) -> dict:
    return {**copy.deepcopy(raw), **changes}


def test_a_table_and_a_grid_are_read_as_they_stand():
    table = parsed(TABLE_YAML)
    assert table.convert.read_csv.timezone == "Australia/Brisbane"
    assert table.convert.rename == {"long": "lon"}
    assert table.source.include == ("*.csv",)
    assert table.coordinates.named() == {"x": "lon", "y": "lat", "t": "time"}
    assert parsed(GRID_YAML, GRID).layout.cadence == "P1D"


def test_every_problem_is_told_at_once_with_the_nearest_known_key():
    raw = changed(TABLE_YAML, acces="public", coordinates={"x": "lon", "y": "lat", "tt": "time"})
    raw["convert"] = [{"read_csv": {"timezon": "Australia/Brisbane"}}, {"renam": {}}]
    del raw["collection"]
    with pytest.raises(DefinitionError) as told:
        parsed(raw)
    text = str(told.value)
    for sentence in (
        "unknown key 'acces' in the file; did you mean 'access'?",
        "unknown key 'tt' in coordinates; did you mean 't'?",
        "unknown key 'timezon' in convert.read_csv; did you mean 'timezone'?",
        "unknown step 'renam'; did you mean 'rename'?",
        "collection is missing",
    ):
        assert sentence in text
    assert text.startswith(f"{TABLE}: 5 problems")
    assert "What to do: edit the dataset's folder" in text


@pytest.mark.parametrize("slug", ["AIMS", "a--b", "-a", "a_b", "reef é", "a/b", ".."])
def test_an_id_that_would_break_a_path_or_url_is_refused(slug):
    with pytest.raises(DefinitionError, match="is not an id like"):
        parsed(changed(TABLE_YAML, id=slug), slug)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"access": "limited"}, "limited data needs data_sharing_agreement"),
        ({"convert": [{"read_netcdf": {}}]}, "convert of a table needs one of read_csv, read_vector"),
        ({"convert": [{"read_csv": {}}, {"read_csv": {}}]}, "read_csv stands twice"),
        ({"layout": {"chunks": {"time": 3}}}, "belong to grids"),
        ({"layout": {"row_group_rows": 1}}, "greater than or equal to 100"),
        ({"coordinates": {"x": "lon"}}, "coordinates x and y come together"),
        ({"source": {"kind": "http", "url": "ftp://x"}}, "does not start with http:// or https://"),
        ({"source": {"kind": "local", "url": "http://x"}}, "is not a folder or file of this machine"),
        ({"source": {"kind": "gopher", "url": "x"}}, "source.kind"),
        ({"source": {"kind": "http", "url": "https://me:pw@x/"}}, "credentials never stand in the catalog"),
        ({"update": {"expected": "sometimes"}}, "update.expected"),
        ({"convert": [{"read_csv": {}}, {"clip": {"z": [0, 1]}}, {"repack": {}}]}, "repack: a step of grids"),
        ({"convert": [{"read_csv": {}}, {"clip": {"z": [0, 1]}}]}, "clip.z belongs to grids"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(changes, sentence):
    with pytest.raises(DefinitionError) as told:
        parsed(changed(TABLE_YAML, **changes))
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layout": {"cadence": "daily"}}, "is not a step like P1D"),
        ({"layout": {"chunks": {"time": 0}}}, "a chunk holds at least 1 value"),
        ({"coordinates": {"t": "time"}}, "a grid needs coordinates x and y"),
        ({"coordinates": {"x": "lon", "y": "lat"}}, "layout.cadence needs coordinates.t"),
        ({"convert": [{"read_csv": {}}]}, "read_csv: a step of tables"),
    ],
)
def test_keys_that_do_not_fit_a_grid_are_refused(changes, sentence):
    with pytest.raises(DefinitionError) as told:
        parsed(changed(GRID_YAML, **changes), GRID)
    assert sentence in str(told.value)


MUR = {"kind": "earthdata", "short_name": "MUR-JPL-L4-GLOB-v4.1", "version": "4.1"}


@pytest.mark.parametrize(
    ("source", "query"),
    [
        (MUR, {"short_name": "MUR-JPL-L4-GLOB-v4.1", "version": "4.1"}),
        (
            {**MUR, "provider": "POCLOUD", "bbox": [142, -28.70125, 155.123456, -9]},
            {
                "short_name": "MUR-JPL-L4-GLOB-v4.1",
                "version": "4.1",
                "provider": "POCLOUD",
                "bounding_box": "142,-28.70125,155.123456,-9",
            },
        ),
        (
            {"kind": "earthdata", "concept_id": "C1996881146-POCLOUD", "bbox": [170, -30, -170, -9]},
            {"collection_concept_id": "C1996881146-POCLOUD", "bounding_box": "170,-30,-170,-9"},
        ),
        (
            # As YAML reads days: both are meant whole.
            {"kind": "earthdata", "concept_id": "C1-X", "temporal": [dt.date(2002, 6, 1), dt.date(2002, 6, 30)]},
            {"collection_concept_id": "C1-X", "temporal": "2002-06-01T00:00:00.000Z,2002-06-30T23:59:59.999Z"},
        ),
        (
            {"kind": "earthdata", "concept_id": "C1-X", "temporal": ["2002-06-01T19:00:00+10:00", None]},
            {"collection_concept_id": "C1-X", "temporal": "2002-06-01T09:00:00.000Z,"},
        ),
    ],
)
def test_a_collection_of_earthdata_is_searched_by_what_was_declared(source, query):
    assert parsed(changed(GRID_YAML, source=source), GRID).source.granule_query() == query


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"kind": "earthdata"}, "needs concept_id, or short_name and version; it lacks short_name and version"),
        ({"kind": "earthdata", "short_name": "MUR"}, "it lacks version"),
        ({**MUR, "version": 4.1}, "source.version: 4.1 is a number; write the version in quotes, as '4.1'"),
        ({**MUR, "short_name": ""}, "it lacks short_name"),
        ({**MUR, "concept_id": "C1-X"}, "concept_id names the collection already; leave out short_name, version"),
        ({"kind": "earthdata", "concept_id": "G1-X"}, "concept_id 'G1-X' is no collection's, like"),
        ({**MUR, "url": "https://x/"}, "url does not belong to kind: earthdata"),
        ({**MUR, "shortname": "x"}, "unknown key 'shortname' in source; did you mean 'short_name'?"),
        ({**MUR, "bbox": [142, -9, 155, -28]}, "is not [west, south, east, north]"),
        ({**MUR, "bbox": [142, -28, 355, -9]}, "is not [west, south, east, north]"),
        ({**MUR, "temporal": ["2002-06-01", "2001-06-01"]}, "2001-06-01 lies before 2002-06-01"),
        ({**MUR, "temporal": ["june", None]}, "source.temporal: 'june' is not a day like 2002-06-01"),
        ({**MUR, "upload": True}, "source.upload belongs to kind: local"),
        (
            {"kind": "http", "url": "https://x/", "version": "4.1"},
            "version belongs to kind: earthdata, not to kind: http",
        ),
        (
            {"kind": "local", "url": "x", "bbox": [1, 2, 3, 4], "temporal": ["2002-06-01", None]},
            "bbox, temporal belong to kind: earthdata, not to kind: local",
        ),
        ({"kind": "http"}, "url is missing: kind: http needs it"),
        ({"kind": "local", "url": "x", "ranges": True}, "ranges belongs to kind: http, not to kind: local"),
        ({**MUR, "ranges": True}, "ranges belongs to kind: http, not to kind: earthdata"),
    ],
)
def test_keys_of_one_kind_of_source_are_refused_on_another_and_must_make_sense(source, sentence):
    with pytest.raises(DefinitionError) as told:
        parsed(changed(GRID_YAML, source=source), GRID)
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("dataset", "changes", "sentence"),
    [
        (TABLE_YAML, {}, "parts of files are read of grids (format: zarr) with read_netcdf alone"),
        (
            GRID_YAML,
            {"convert": [{"read_zarr": {}}]},
            "parts of files are read of grids (format: zarr) with read_netcdf",
        ),
        (GRID_YAML, {"layout": {"virtual": True, "plain": False}}, "source.ranges: layout.virtual digests whole files"),
        (GRID_YAML, {"resources": {"dask": {"workers": 2}}}, "source.ranges: resources.dask hands whole files"),
    ],
)
def test_ranges_are_refused_where_whole_files_are_needed(dataset, changes, sentence):
    source = {"kind": "http", "url": "https://x/", "ranges": True}
    with pytest.raises(DefinitionError) as told:
        parsed(changed(dataset, source=source, **changes), dataset["id"])
    assert sentence in str(told.value)
    if dataset is GRID_YAML:
        assert parsed(changed(dataset, source=source), GRID).source.ranges


def test_references_to_what_needs_a_login_are_refused():
    with pytest.raises(DefinitionError, match=r"layout\.virtual: whoever reads references would have to log in"):
        parsed(changed(GRID_YAML, source=MUR, layout={"virtual": True, "plain": False}), GRID)


@pytest.mark.parametrize("word", ["sensitive", "highly-sensitive", "highly_sensitive"])
def test_sensitive_data_is_never_published(word):
    with pytest.raises(DefinitionError, match=SENSITIVE):
        parsed(changed(TABLE_YAML, access=word))


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "just words"])
def test_what_is_not_a_mapping_is_said_to_be_none(text):
    with pytest.raises(DefinitionError, match=r"not YAML|not a mapping"):
        dataset_from_yaml(text, folder=TABLE)


def test_a_folder_of_another_name_is_told():
    with pytest.raises(DefinitionError, match="is not the name of its folder"):
        parsed(TABLE_YAML, "another")


@pytest.mark.parametrize("name", ["stac", "items", "pygeoapi", "commits"])
def test_an_id_that_names_a_folder_of_the_platform_is_refused(name):
    with pytest.raises(DefinitionError, match=f"id: '{name}' names a folder of the platform itself"):
        dataset_from_yaml(yaml.safe_dump({**TABLE_YAML, "id": name}), folder=name)
