"""Steps that choose rows and change columns: ``where``, ``add_columns``, ``rename``, ``drop_columns``, their order."""

from __future__ import annotations

import time

import geopandas
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.table_steps_applied import taken_from
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import LONLAT, fields
from rimrep_assets_tests.domain.table_steps_bench import published, steps

YAML = """
id: reefs
collection: reefs
format: parquet
access: public
source: {kind: local, url: in}
"""
CSV = {"read_csv": {}}
SITES = "site,year,v\na,2001,1\nb,2001,2\na,2002,3\nc,2003,\n"


def refused(tmp_path, dataset, text, schema=None, name="in.csv"):
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises((DataError, DefinitionError)) as told:
        stage_table(tmp_path / "in.csv", name, dataset, schema, tmp_path / "part.parquet")
    return str(told.value)


def test_one_source_split_by_a_column_gives_as_many_rows_as_it_has(shared, tmp_path):
    """split-by-column: k datasets read one source, each with the rows of one value."""
    source = shared("data/b_tabular/ereefs_csv/eReefsData.csv")
    expected = pd.read_csv(source)
    read = {"read_csv": {"na": ["no data"], "timezone": "Australia/Brisbane"}}
    total = 0
    for number, (variable, rows) in enumerate(expected.groupby("Variable")):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = published(folder, steps(read, {"where": {"Variable": variable}}), {"eReefsData.csv": source})
        assert found["Variable"].to_pylist() == [variable] * len(rows)
        assert found["Latitude"].to_pylist() == rows["Latitude"].tolist()
        total += len(found)
    assert total == len(expected) == 8766


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("a", [0, 2]),
        (["a", "c"], [0, 2, 3]),
        ("nowhere", []),
    ],
)
def test_rows_are_chosen_by_text(tmp_path, wanted, rows):
    found = published(tmp_path, steps(CSV, {"where": {"site": wanted}}), {"in.csv": SITES}, fields(v="integer"))
    expected = pd.read_csv(tmp_path / "in.csv").iloc[rows]
    assert found["site"].to_pylist() == expected["site"].tolist()
    assert found["year"].to_pylist() == expected["year"].tolist()


@pytest.mark.parametrize(
    ("cells", "wanted", "rows"),
    [
        (["1", "1.0", " 1", "01", "1e0", "x", "", "10"], 1, [0, 1, 2, 3, 4]),
        (["1.5", "1,5", "-1.5"], 1.5, [0]),
        (["true", "TRUE", "1", "yes", "false"], True, [0, 1]),
        (["2020-01-31", "2020-01-31T00:00", ""], "2020-01-31", [0]),
        (["a", "", "b"], None, [1]),
        (["a", "", "b"], [None, "b"], [1, 2]),
        (["12345678901234567890", "12345678901234567891"], 12345678901234567891, [1]),
    ],
)
def test_what_a_value_means_in_text(tmp_path, cells, wanted, rows):
    text = "n,c\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(cells))
    found = published(tmp_path, steps(CSV, {"where": {"c": wanted}}), {"in.csv": text}, fields(c="string"))
    assert found["n"].to_pylist() == rows


def test_a_date_is_written_in_yaml_as_one(tmp_path):
    dataset = dataset_from_yaml(YAML + "convert: [{read_csv: {}}, {where: {d: 2020-01-31}}]", folder="reefs")
    found = published(tmp_path, dataset, {"in.csv": "d,n\n2020-01-30,1\n2020-01-31,2\n"})
    assert found["n"].to_pylist() == [2]


@pytest.mark.parametrize(("wanted", "count"), [({"YEAR": 2015}, None), ({"NAME": "dylan", "YEAR": 2009}, None)])
def test_rows_of_a_layer_are_chosen_by_what_they_hold(shared, tmp_path, wanted, count):
    source = shared("data/b_tabular/shapefile/dylan_active_pts/dylan_active_pts.shp")
    expected = geopandas.read_file(source)
    first = expected.iloc[0]
    wanted = {column: first[column].item() if hasattr(first[column], "item") else first[column] for column in wanted}
    rows = expected[(expected[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    dataset = steps({"read_vector": {}}, {"where": wanted}, coordinates={"geometry": "geom"})
    found = published(tmp_path, dataset, {source.name: source})
    assert found["geom"].to_pylist() == rows.geometry.to_wkb().tolist()


def test_a_number_is_no_text_in_a_layer(shared, tmp_path):
    source = shared("data/b_tabular/shapefile/dylan_active_pts/dylan_active_pts.shp")
    dataset = steps({"read_vector": {}}, {"where": {"YEAR": "2015"}}, coordinates={"geometry": "geom"})
    with pytest.raises(DataError, match=r"where.YEAR names '2015', but the column holds numbers; write them without"):
        stage_table(source, "dylan.shp", dataset, None, tmp_path / "part.parquet")


def test_a_row_that_is_left_out_decides_no_type(tmp_path):
    text = "site,v\na,1\nb,broken\na,2\n"
    found = published(tmp_path, steps(CSV, {"where": {"site": "a"}}), {"in.csv": text}, fields(v="integer"))
    assert found["v"].to_pylist() == [1, 2]
    (tmp_path / "undeclared").mkdir()
    found = published(tmp_path / "undeclared", steps(CSV, {"where": {"site": "a"}}), {"in.csv": text})
    assert found["v"].to_pylist() == [1, 2]


def test_what_where_leaves_out_is_counted(tmp_path):
    (tmp_path / "in.csv").write_text(SITES)
    told = stage_table(
        tmp_path / "in.csv", "in.csv", steps(CSV, {"where": {"site": "a"}}), None, tmp_path / "p.parquet"
    )
    assert (told.rows, told.left_out) == (2, {"rows, by where": 2})


def test_a_file_may_lose_all_rows_where_another_keeps_some(tmp_path):
    sources = {"one.csv": "site,t\na,2020-01-01\n", "two.csv": "site,t\nb,2020-01-02\n"}
    found = published(tmp_path, steps(CSV, {"where": {"site": "b"}}), sources)
    assert found["site"].to_pylist() == ["b"]
    assert found.schema.field("t").type == pa.date32()


def test_a_file_without_rows_is_refused_whatever_is_chosen(tmp_path):
    assert "no rows below the header" in refused(tmp_path, steps(CSV, {"where": {"site": "a"}}), "site,v\n")


def test_columns_that_steps_name_and_the_file_lacks_are_told_together(tmp_path):
    dataset = steps(
        CSV,
        {"rename": {"sight": "s"}},
        {"where": {"sites": "a"}},
        {"drop_columns": ["w"]},
        {"add_columns": {"v": 1}},
        coordinates={"x": "lon", "y": "lat"},
    )
    told = refused(tmp_path, dataset, SITES)
    for word in ("rename names 'sight'", "where names 'sites'", "drop_columns names 'w'", "add_columns names 'v'"):
        assert word in told
    assert "coordinates.x names 'lon'" in told
    assert "nearest first: 'site'" in told


def test_steps_are_applied_in_the_order_in_which_they_stand(tmp_path):
    before = steps(CSV, {"where": {"site": "a"}}, {"rename": {"site": "place"}})
    after = steps(CSV, {"rename": {"site": "place"}}, {"where": {"place": "a"}})
    wrong = steps(CSV, {"rename": {"site": "place"}}, {"where": {"site": "a"}})
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    assert published(tmp_path / "1", before, {"a.csv": SITES}).equals(
        published(tmp_path / "2", after, {"a.csv": SITES})
    )
    assert "where names 'site', which is not in the data" in refused(tmp_path, wrong, SITES)


def test_an_order_that_differs_is_another_conversion():
    one, other = (
        steps(CSV, {"rename": {"a": "b"}}, {"drop_columns": ["b"]}),
        steps(CSV, {"drop_columns": ["b"]}, {"rename": {"a": "b"}}),
    )
    assert one.convert.model_dump() != other.convert.model_dump()
    assert one.convert.model_validate(one.convert.model_dump()) == one.convert


def test_the_order_is_not_a_step_that_people_write():
    with pytest.raises(DefinitionError, match="unknown step 'order'"):
        dataset_from_yaml(YAML + "convert: [{read_csv: {}}, {order: [where]}]", folder="reefs")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), min_size=1, max_size=30),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3),
    st.lists(st.integers(-3, 3), min_size=1, max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_what_is_chosen_is_what_pandas_chooses(tmp_path_factory, rows, sites, numbers):
    folder = tmp_path_factory.mktemp("where")
    text = "s,n\n" + "".join(f"{site},{number}\n" for site, number in rows)
    found = published(folder, steps(CSV, {"where": {"s": sites, "n": numbers}}), {"in.csv": text})
    frame = pd.DataFrame(rows, columns=["s", "n"])
    chosen = frame[frame.s.isin(sites) & frame.n.isin(numbers)]
    assert list(zip(found["s"].to_pylist(), found["n"].to_pylist(), strict=True)) == list(
        chosen.itertuples(index=False, name=None)
    )


def test_constant_columns_are_the_place_of_every_row(tmp_path):
    """add-lat-lon-columns"""
    dataset = steps(
        CSV, {"add_columns": {"lat": -23.4, "lon": 151.9, "station": "007", "depth": 3}}, coordinates=LONLAT
    )
    found = published(tmp_path, dataset, {"in.csv": SITES}).drop_columns(["geometry"])
    expected = pd.read_csv(tmp_path / "in.csv").assign(lat=-23.4, lon=151.9, station="007", depth=3)
    assert found.to_pandas()[list(expected)].astype(object).where(lambda f: f.notna(), None).to_numpy().tolist() == (
        expected.astype(object).where(lambda f: f.notna(), None).to_numpy().tolist()
    )
    assert found.schema.field("station").type == pa.string()


def test_a_value_is_taken_from_the_name_of_the_file(tmp_path):
    step = {"add_columns": {"site": {"from_name": "loggers_{}_*.csv"}, "year": {"from_name": "*_*_{}.csv"}}}
    sources = {"x/loggers_Heron_2020.csv": "v\n1\n", "x/loggers_Davies_2021.csv": "v\n2\n"}
    found = published(tmp_path, steps(CSV, step), sources, fields(year="integer"))
    assert found.select(["v", "site", "year"]).to_pylist() == [
        {"v": 2, "site": "Davies", "year": 2021},
        {"v": 1, "site": "Heron", "year": 2020},
    ]


def test_a_name_that_does_not_fit_is_refused(tmp_path):
    dataset = steps(CSV, {"add_columns": {"site": {"from_name": "loggers_{}_*.csv"}}})
    assert "other.csv: the name does not fit add_columns.site.from_name" in refused(
        tmp_path, dataset, "v\n1\n", name="other.csv"
    )


@pytest.mark.parametrize(
    ("pattern", "name", "value"),
    [
        ("loggers_{}_*.csv", "loggers_Heron_2020.csv", "Heron"),
        ("loggers_{}_*.csv", "deep/er/loggers_Heron_2020.csv", "Heron"),
        ("{}.csv", "a.b.csv", "a.b"),
        ("{}.csv", ".csv", None),
        ("*_{}", "a_b_c", "b_c"),
        ("{}/*.csv", "Heron/2020.csv", "Heron"),
        ("*/{}/*.csv", "a/Heron/2020.csv", "Heron"),
        ("{}/x.csv", "a/b/x.csv", None),
        ("a{}", "b", None),
        ("(a+)+{}.csv", "(a+)+x.csv", "x"),
    ],
)
def test_what_stands_at_the_place_of_a_pattern(pattern, name, value):
    assert taken_from(pattern, name) == value


def test_no_pattern_takes_long():
    begin = time.perf_counter()
    assert taken_from("*a" * 50 + "{}b", "a" * 4000) is None
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"add_columns": {"s": {"from_name": "x"}}}, "needs {} once"),
        ({"add_columns": {"s": {"from_name": "*{}"}}}, "put a letter between"),
        ({"where": {"a": []}}, "where.a: no value is named"),
        ({"cast": {"misfits": "ignore"}}, "convert.cast.misfits"),
        ({"clip": {"bbox": [0, 0, 1, 1]}}, "clip needs coordinates x and y, or geometry"),
        ({"pivot": {"index": "a", "columns": "a", "values": "v"}}, "'a' stands twice"),
        ({"join_geometry": {"file": "../x.geojson", "on": {"a": "b"}}}, "is not the name of a file .geojson beside"),
        ({"join_geometry": {"file": "x.geojson", "on": {"a": "b"}}}, "name it in coordinates.geometry"),
        ({"column_metadata": {"file": "x.json"}}, "is not the name of a file .csv beside"),
        ({"concat": {"columns": "some"}}, "convert.concat.columns"),
    ],
)
def test_steps_that_mean_nothing_are_refused(step, sentence):
    import yaml

    with pytest.raises(DefinitionError) as told:
        dataset_from_yaml(YAML + yaml.safe_dump({"convert": [CSV, step]}), folder="reefs")
    assert sentence in str(told.value)


@pytest.mark.parametrize("step", ["where", "add_columns", "pivot", "cast", "concat"])
def test_a_grid_has_no_steps_of_tables(step):
    options = {
        "where": {"a": 1},
        "add_columns": {"a": 1},
        "pivot": {"index": "a", "columns": "b", "values": "c"},
        "cast": {"misfits": "drop"},
        "concat": {"columns": "same"},
    }[step]
    import yaml

    text = YAML.replace("parquet", "zarr") + "coordinates: {x: lon, y: lat}\n"
    text += yaml.safe_dump({"convert": [{"read_netcdf": {}}, {step: options}]})
    with pytest.raises(DefinitionError, match=f"{step}: a step of tables"):
        dataset_from_yaml(text, folder="reefs")
