"""Types from the schema: ``cast`` drops what does not fit and counts it, and nothing else does."""

from __future__ import annotations

import csv

import geopandas
import pandas as pd
import pyarrow as pa
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import fields, table
from rimrep_assets_tests.domain.table_steps_bench import published, steps

DROP = {"cast": {"misfits": "drop"}}
NUMBERS = ("mean", "median", "p5", "p95", "lowest", "highest")


def staged(tmp_path, text, dataset, schema):
    (tmp_path / "in.csv").write_text(text)
    return stage_table(tmp_path / "in.csv", "in.csv", dataset, schema, tmp_path / "part.parquet")


def test_values_that_are_no_numbers_are_dropped_and_counted(shared, tmp_path):
    """formatting-data-type: the extraction tool writes 'no data' among numbers."""
    source = shared("data/b_tabular/ereefs_csv/eReefsData.csv")
    expected = pd.read_csv(source, na_values=["no data"], keep_default_na=False)
    schema = fields(**dict.fromkeys(NUMBERS, "number"))
    dataset = steps({"read_csv": {}}, DROP)
    told = stage_table(source, "e.csv", dataset, schema, tmp_path / "part.parquet")
    for column in NUMBERS:
        lost = int(expected[column].isna().sum())
        assert told.left_out.get(f"values of {column!r} that are no number, by cast", 0) == lost
    assert all("'no data'" in cell for cell in told.misfits["mean"])
    assert len(told.misfits["mean"]) == int(expected["mean"].isna().sum()) == 4
    found = published(tmp_path, dataset, {"e.csv": source}, schema)
    for column in NUMBERS:
        assert found.schema.field(column).type == pa.float64()
        assert found[column].to_pylist() == [None if v != v else v for v in expected[column]]


def test_without_the_rule_the_column_is_not_of_its_type(tmp_path):
    told = staged(tmp_path, "n\n1\nx\n", steps({"read_csv": {}}), fields(n="integer"))
    assert told.misfits == {"n": ("row 1: 'x'",)}
    assert told.left_out == {}


def test_the_rule_holds_for_the_columns_that_it_names(tmp_path):
    dataset = steps({"read_csv": {}}, {"cast": {"misfits": {"a": "drop"}}})
    told = staged(tmp_path, "a,b\n1,1\nx,x\n,y\n", dataset, fields(a="integer", b="integer"))
    assert told.left_out == {"values of 'a' that are no integer, by cast": 1}
    assert told.misfits == {"a": ("row 1: 'x'",), "b": ("row 1: 'x'", "row 2: 'y'")}


def test_a_column_without_a_declared_type_cannot_be_cast(tmp_path):
    with pytest.raises(DataError, match=r"cast names 'a', for which tableschema.json declares no type"):
        staged(tmp_path, "a\n1\n", steps({"read_csv": {}}, {"cast": {"misfits": {"a": "drop"}}}), None)
    with pytest.raises(DataError, match="cast names 'A', which is not there; known: a"):
        staged(tmp_path, "a\n1\n", steps({"read_csv": {}}, {"cast": {"misfits": {"A": "drop"}}}), fields(a="integer"))


def test_a_time_without_a_zone_is_told_even_where_misfits_are_dropped(tmp_path):
    with pytest.raises(DataError, match=r"column 't' carries no time zone: row 1: '2020-01-01 00:00:00'"):
        text = "t\n2020-01-01T00:00:00Z\n2020-01-01 00:00:00\nnever\n"
        staged(tmp_path, text, steps({"read_csv": {}}, DROP), fields(t="datetime"))


def test_times_that_are_none_are_dropped_where_the_zone_is_declared(tmp_path):
    dataset = steps({"read_csv": {"timezone": "Australia/Brisbane"}}, DROP)
    found = published(tmp_path, dataset, {"in.csv": "t,n\n2020-01-01 00:00:00,1\nnever,2\n,3\n"}, fields(t="datetime"))
    assert [value and value.isoformat() for value in found["t"].to_pylist()] == [
        "2019-12-31T14:00:00+00:00",
        None,
        None,
    ]


def test_an_all_null_column_keeps_its_type_also_beside_a_file_with_values(tmp_path):
    sources = {"one.csv": "id,t\n007,\n008,\n", "two.csv": "id,t\n009,21.5\n"}
    found = published(tmp_path, steps({"read_csv": {}}), sources, fields(id="string", t="number"))
    assert [str(field.type) for field in found.schema] == ["string", "double"]
    assert found["id"].to_pylist() == ["007", "008", "009"]
    alone = published(
        tmp_path, steps({"read_csv": {}}), {"one.csv": sources["one.csv"]}, fields(id="string", t="number")
    )
    assert str(alone.schema.field("t").type) == "double"


def test_all_values_of_a_column_may_go_and_its_type_stays(tmp_path):
    found = published(
        tmp_path, steps({"read_csv": {}}, DROP), {"in.csv": "n,d\nx,y\nz,\n"}, fields(n="integer", d="date")
    )
    assert [str(field.type) for field in found.schema] == ["int64", "date32[day]"]
    assert found["n"].null_count == found["d"].null_count == 2


def test_long_and_zero_led_identifiers_stay_texts_undeclared(tmp_path):
    found = published(tmp_path, steps({"read_csv": {}}, DROP), {"in.csv": "a,b\n0123,1234567890123456789\n1,2\n"})
    assert found.to_pylist()[0] == {"a": "0123", "b": 1234567890123456789}
    found = published(tmp_path, steps({"read_csv": {}}), {"in.csv": "a\n12345678901234567890\n2\n"})
    assert found.to_pylist()[0] == {"a": "12345678901234567890"}


def test_numbers_with_a_fraction_are_no_whole_numbers_in_a_layer(shared, tmp_path):
    source = shared("data/b_tabular/shapefile/marcia_nodes/marcia_nodes.shp")
    dataset = steps({"read_vector": {}}, DROP, coordinates={"geometry": "g"})
    found = published(tmp_path, dataset, {source.name: source}, fields(lat="integer", long="number"))
    assert str(found.schema.field("lat").type) == "int64"
    assert found["lat"].null_count == 2


WRITTEN = st.text("0123456789-+:.eETZ /nalifx_", max_size=26) | st.sampled_from(
    [
        "2020-01-05",
        "2020-01-05T10:00:00Z",
        "2020-01-05 10:00",
        "2020-13-01",
        "1e5",
        "nan",
        "-0",
        "+7",
        "true",
        "1_0",
        "1.",
    ]
)


@pytest.mark.parametrize("kind", ["integer", "number", "boolean", "date", "datetime"])
@given(cells=st.lists(WRITTEN, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_both_readers_agree_on_what_is_of_a_type(tmp_path_factory, kind, cells):
    folder = tmp_path_factory.mktemp("cast")
    with (folder / "in.csv").open("w", newline="") as text:
        csv.writer(text).writerows([["n", "c"], *enumerate(cells)])
    dataset = steps({"read_csv": {"timezone": "UTC"}}, DROP)
    found = published(folder, dataset, {"in.csv": folder / "in.csv"}, fields(c=kind, n="integer"))
    kinds = {"integer": "int64", "number": "double", "boolean": "bool", "date": "date32[day]"}
    assert str(found.schema.field("c").type) == kinds.get(kind, "timestamp[us, tz=UTC]")


INFINITE = ["inf", "-Infinity", "1e400"]


def test_infinite_numbers_are_refused_by_row_in_every_format(tmp_path):
    """JSON has no word for infinity: facts and schema of such a column ended in a traceback."""
    frame = pd.DataFrame({"n": [1.5, float("inf"), 2.5, -float("inf")]})
    frame.to_parquet(tmp_path / "in.parquet")
    pyogrio.write_dataframe(frame, tmp_path / "in.gpkg")
    (tmp_path / "in.csv").write_text("n\n1.5\ninf\n2.5\n-1e400\n")
    for reader, name in (("read_parquet", "in.parquet"), ("read_vector", "in.gpkg"), ("read_csv", "in.csv")):
        for schema in (None, fields(n="number")):
            with pytest.raises(
                DataError, match=rf"{name}: column 'n' holds infinity.*: row 1: inf, row 3: -inf; no mea"
            ):
                stage_table(tmp_path / name, name, steps({reader: {}}), schema, tmp_path / "part.parquet")


def test_infinite_numbers_are_dropped_by_the_rule_and_counted(tmp_path):
    (tmp_path / "in.csv").write_text("\n".join(["id,n", "a,1.5", *(f"b,{word}" for word in INFINITE), "c,x"]))
    pd.DataFrame({"id": list("abc"), "n": [1.5, float("inf"), None]}).to_parquet(tmp_path / "in.parquet")
    schema = fields(id="string", n="number")
    for reader, name, lost in (("read_csv", "in.csv", 4), ("read_parquet", "in.parquet", 1)):
        dataset = steps({reader: {}}, DROP)
        told = stage_table(tmp_path / name, name, dataset, schema, tmp_path / "part.parquet")
        assert told.left_out == {"values of 'n' that are no number, by cast": lost}
        found = published(tmp_path, dataset, {name: tmp_path / name}, schema)
        assert found["n"].to_pylist()[0] == 1.5
        assert found["n"].null_count == len(found) - 1


def test_a_geometry_with_infinite_coordinates_is_refused_in_metres_too(tmp_path):
    shapes = shapely.points([[500_000.0, 7_500_000.0], [float("inf"), 7_500_000.0]])
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=shapes, crs="EPSG:28355")
    frame.to_parquet(tmp_path / "in.parquet")
    dataset = table(convert={"read_parquet": {}}, coordinates={"geometry": "geometry"})
    with pytest.raises(DataError, match=r"in\.parquet: row 1: the geometry has infinite coordinates"):
        stage_table(tmp_path / "in.parquet", "in.parquet", dataset, None, tmp_path / "part.parquet")
