"""``pivot`` against ``pandas.DataFrame.pivot``."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_steps_pivot
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import fields
from rimrep_assets_tests.domain.table_steps_bench import published, steps

CSV = {"read_csv": {}}
SITES = {"pivot": {"index": ["site", "year"], "columns": "what", "values": "v"}}


def test_a_long_table_of_the_extraction_tool_becomes_wide(shared, tmp_path):
    source = shared("data/b_tabular/ereefs_csv/eReefsData.csv")
    names = {"Aggregated Date/Time": "time", "Site Name": "site"}
    dataset = steps(
        {"read_csv": {"na": ["no data"], "timezone": "Australia/Brisbane"}},
        {"rename": names},
        {"pivot": {"index": ["site", "time", "Depth"], "columns": "Variable", "values": "mean"}},
    )
    frame = pd.read_csv(source, na_values=["no data"], keep_default_na=False).rename(columns=names)
    expected = frame.pivot(index=["site", "time", "Depth"], columns="Variable", values="mean").reset_index()
    found = published(tmp_path, dataset, {"e.csv": source})
    assert found.column_names == list(expected.columns)
    for column in expected:
        cells = [None if v != v else v for v in expected[column]]
        if column == "time":
            cells = [pd.Timestamp(v, tz="Australia/Brisbane").tz_convert("UTC").to_pydatetime() for v in cells]
        assert found[column].to_pylist() == cells


def test_rows_that_are_alike_are_named(tmp_path):
    (tmp_path / "in.csv").write_text("site,year,what,v\na,1,x,1\nb,1,x,2\na,1,x,3\nb,1,x,4\n")
    with pytest.raises(DataError) as told:
        stage_table(tmp_path / "in.csv", "in.csv", steps(CSV, SITES), None, tmp_path / "p.parquet")
    assert "in.csv: pivot: rows 0 and 2 are alike in site 'a', year '1', what 'x'" in told.value.problems
    assert "in.csv: pivot: rows 1 and 3 are alike in site 'b', year '1', what 'x'" in told.value.problems


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("1.0", "1.00", "number"),
        ("1", "1e0", "number"),
        ("2024-01-01T00:00:00Z", "2024-01-01 00:00:00Z", "datetime"),
        ("2024-01-01T00:00:00Z", "2024-01-01T10:00:00+10:00", "datetime"),
    ],
)
def test_one_value_written_in_two_ways_does_not_make_two_rows(tmp_path, one, other, kind):
    """Where the column is text, they are two values."""
    (tmp_path / "in.csv").write_text(f"site,year,what,v\na,{one},x,1\na,{other},y,2\nb,{one},x,3\n")
    dataset = steps(CSV, SITES, {"rename": {"year": "when"}})
    types = {"site": "string", "when": kind, "x": "integer", "y": "integer"}
    with pytest.raises(DataError, match=r"rows 0 and 1 of the pivoted table are alike in site 'a', when"):
        stage_table(tmp_path / "in.csv", "in.csv", dataset, fields(**types), tmp_path / "p.parquet")
    text = fields(**{**types, "when": "string"})
    assert stage_table(tmp_path / "in.csv", "in.csv", dataset, text, tmp_path / "p.parquet").rows == 3


def test_missing_names_are_told_with_their_rows(tmp_path):
    (tmp_path / "in.csv").write_text("site,year,what,v\na,1,,1\n,1,x,2\n")
    with pytest.raises(DataError) as told:
        stage_table(tmp_path / "in.csv", "in.csv", steps(CSV, SITES), None, tmp_path / "p.parquet")
    assert "in.csv: pivot: 'site' is missing in 1 rows, such as 1, and names no row" in told.value.problems
    assert "in.csv: pivot: 'what' is missing in 1 rows, such as 0, and names no column" in told.value.problems


def test_a_value_may_not_be_called_like_the_index(tmp_path):
    (tmp_path / "in.csv").write_text("site,year,what,v\na,1,site,1\n")
    with pytest.raises(DataError, match=r"pivot.columns 'what' has the value 'site', a column of pivot.index"):
        stage_table(tmp_path / "in.csv", "in.csv", steps(CSV, SITES), None, tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MOST_BYTES", 10, "holds a file in memory, and this one has more than 10 bytes"),
        ("MOST_COLUMNS", 1, "pivot makes 1 rows of 2 columns; at most 1 columns"),
        ("MOST_CELLS", 1, "at most 5,000 columns and 1 cells"),
    ],
)
def test_what_exceeds_the_memory_is_refused(tmp_path, monkeypatch, limit, value, words):
    monkeypatch.setattr(table_steps_pivot, limit, value)
    (tmp_path / "in.csv").write_text("site,year,what,v\na,1,x,1\na,1,y,1\n")
    with pytest.raises(DataError, match=words):
        stage_table(tmp_path / "in.csv", "in.csv", steps(CSV, SITES), None, tmp_path / "p.parquet")


def test_rows_may_be_chosen_before_and_columns_renamed_after(tmp_path):
    text = "site,year,what,v\na,1,x,1\na,1,x,2\nb,2,y,3\nb,2,x,4\n"
    dataset = steps(CSV, {"where": {"v": [2, 3, 4]}}, SITES, {"rename": {"x": "X"}}, {"drop_columns": ["y"]})
    found = published(tmp_path, dataset, {"in.csv": text})
    assert found.to_pylist() == [{"site": "a", "year": 1, "X": 2}, {"site": "b", "year": 2, "X": 4}]


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["b", "a", "c c"]), st.integers(-20, 120), st.sampled_from(["y", "x", "10", "9"])),
        st.none() | st.integers(-5, 5),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=30, deadline=None)
def test_the_wide_table_is_that_of_pandas(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("pivot")
    frame = pd.DataFrame([(*key, value) for key, value in cells.items()], columns=["site", "year", "what", "v"])
    frame["v"] = frame["v"].astype("Int64")
    frame.to_csv(folder / "in.csv", index=False)
    expected = frame.pivot(index=["site", "year"], columns="what", values="v").reset_index()
    found = published(folder, steps(CSV, SITES), {"in.csv": folder / "in.csv"})
    # Names that are all numbers are ordered by size, as pandas does where it reads them as numbers.
    heads = sorted(
        set(frame["what"]), key=lambda head: (float(head), head) if set(frame["what"]) <= {"9", "10"} else head
    )
    assert found.column_names == ["site", "year", *heads]
    for column in found.column_names:
        assert found[column].to_pylist() == [None if v is pd.NA else v for v in expected[column].tolist()]
