"""Which cells are rows, from headers alone; and what a curator may write about it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rimrep_assets.domain.dataset import Dataset, dataset_from_yaml
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.table_profiles_layout import Header, Variable, layout_of
from rimrep_assets.domain.table_profiles_options import ReadProfiles

YAML = """
id: floats
collection: argo
format: parquet
access: public
coordinates: {x: LONGITUDE, y: LATITUDE, t: JULD}
source: {kind: local, url: ../sources/floats, include: "*.nc"}
convert:
  - read_profiles: {dimension: [N_PROF, N_LEVELS], variables: "PRES*", attributes: {platform: float},
      outside_valid: {PSAL: keep}, keep_empty: true}
  - rename: {PRES: pressure}
"""


def header(sizes, **variables):
    """Variables as ``"dim dim"``, numbers unless the name is in capitals (characters); with attributes as a pair."""
    found = {}
    for name, told in variables.items():
        dims, about = told if isinstance(told, tuple) else (told, {})
        found[name] = Variable(name, tuple(dims.split()), "char" if name.isupper() else "number", about)
    return Header(sizes, found)


def rows(head, **options):
    found = layout_of(head, ReadProfiles(**options))
    return found.dims, found.columns, found.measured, found.left


def test_the_largest_set_of_dimensions_are_the_rows():
    head = header({"p": 3, "z": 4}, time="p", temp="p z")
    assert rows(head) == (("p", "z"), ("time", "temp"), ("temp",), ())


def test_an_axis_of_its_own_makes_every_cell_a_row():
    head = header({"p": 3, "z": 4}, time="p", z="z", temp="p z")
    assert rows(head)[2] == ()


def test_letters_are_no_rows_and_flags_of_one_letter_are():
    head = header({"p": 3, "z": 4, "l": 8}, time="p", temp="p z", FLAG="p z", NAME="p l", NOTES="p z l", LOG="l")
    found = layout_of(head, ReadProfiles())
    assert found.text == {"l"}
    assert found.columns == ("time", "temp", "FLAG", "NAME", "NOTES", "LOG")


def test_flags_and_what_others_name_ancillary_do_not_show_that_a_cell_holds_a_sample():
    head = header(
        {"p": 3, "z": 4},
        time="p",
        temp=("p z", {"ancillary_variables": "error other"}),
        error="p z",
        flag=("p z", {"flag_values": [1, 2]}),
        status=("p z", {"standard_name": "sea_water_temperature status_flag"}),
    )
    assert rows(head)[2] == ("temp",)


def test_dimensions_of_size_one_and_of_size_none_are_no_other_set():
    head = header({"p": 3, "z": 4, "one": 1, "none": 0}, time="p", temp="p z", id="one", history="none p")
    assert rows(head) == (("p", "z"), ("time", "temp", "id"), ("temp",), ("history",))


def test_a_file_of_single_values_is_one_row():
    assert rows(header({}, a="", b=""))[:2] == ((), ("a", "b"))


def test_bounds_and_the_crs_are_no_columns_unless_they_are_chosen():
    head = header({"t": 3, "two": 2}, t=("t", {"bounds": "b"}), b="t two", crs=("", {"grid_mapping_name": "x"}), v="t")
    assert rows(head)[:2] == (("t",), ("t", "v"))
    assert rows(head, variables=["t", "b"])[:2] == (("t", "two"), ("t", "b"))


def test_two_ragged_arrays_beside_each_other_are_told_apart_by_the_catalog():
    head = header(
        {"a": 9, "b": 7, "p": 2},
        na=("p", {"sample_dimension": "a"}),
        nb=("p", {"sample_dimension": "b"}),
        lat="p",
        xa="a",
        xb="b",
    )
    with pytest.raises(DataError) as caught:
        rows(head)
    assert caught.value.problems[1:] == ("a (9): na, nb, lat, xa", "b (7): na, nb, lat, xb")
    assert rows(head, dimension="a")[1] == ("na", "nb", "lat", "xa")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"n": ("p", {"sample_dimension": "ob"})}, "n: sample_dimension names 'ob'; did you mean 'obs'?"),
        ({"n": ("p obs", {"sample_dimension": "obs"})}, "n: has sample_dimension, and is not a list of whole numbers"),
        (
            {"n": ("p", {"sample_dimension": "obs"}), "i": ("obs", {"instance_dimension": "p"})},
            "n and i both say to which instance the samples of 'obs' belong",
        ),
        (
            {"n": ("p", {"sample_dimension": "obs"}), "i": ("p", {"instance_dimension": "obs"})},
            "samples that are their own instances",
        ),
        ({"v": "obs obs"}, "v: its dimension 'obs' stands twice"),
    ],
)
def test_links_and_dimensions_that_make_no_sense_are_refused(variables, says):
    with pytest.raises(DataError) as caught:
        rows(header({"obs": 5, "p": 2}, x="obs", **variables))
    assert says in str(caught.value)


def test_instances_and_their_samples_are_no_two_dimensions_of_rows():
    head = header({"obs": 5, "p": 2}, n=("p", {"sample_dimension": "obs"}), x="obs")
    with pytest.raises(DataError, match="names 'obs' and its instances 'p'; name 'obs' alone"):
        rows(head, dimension=["obs", "p"])


def test_a_file_without_variables_is_refused():
    with pytest.raises(DataError, match="the file holds no variables"):
        rows(header({"obs": 5}))


def test_the_options_are_read_from_the_catalog():
    found = dataset_from_yaml(YAML, folder="floats").convert.read_profiles
    assert found == ReadProfiles(
        dimension=("N_PROF", "N_LEVELS"),
        variables=("PRES*",),
        attributes={"platform": "float"},
        outside_valid={"PSAL": "keep"},
        keep_empty=True,
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dimension": ["a", "a"]}, "dimension: 'a' stands twice"),
        ({"attributes": {"a": "c", "b": "c"}}, "attributes: 'c' names two columns"),
        ({"encoding": "utf-9"}, "'utf-9' is no encoding that is known"),
        ({"outside_valid": {"a": "drop"}}, "'null' or 'keep'"),
        ({"dimensions": "a"}, "Extra inputs"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        ReadProfiles(**options)


def test_a_grid_takes_no_profiles_and_a_table_one_reader():
    with pytest.raises(DefinitionError, match="read_profiles: a step of tables"):
        dataset_from_yaml(YAML.replace("parquet", "zarr"), folder="floats")
    raw = {"read_profiles": {}, "read_csv": {}}
    with pytest.raises(ValidationError, match=r"needs one of .*read_profiles"):
        Dataset.model_validate(
            {
                "id": "floats",
                "collection": "argo",
                "format": "parquet",
                "access": "public",
                "source": {"kind": "local", "url": "in"},
                "convert": raw,
            }
        )
