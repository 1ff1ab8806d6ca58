"""What a curator may write in dataset.yaml, and the sentence for everything else."""

from __future__ import annotations

import copy

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
        ({"layout": {"row_group_rows": 1}}, "greater than or equal to 1000"),
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
