from __future__ import annotations

import json
import tracemalloc

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_readers import ReadJson
from rimrep_assets.domain.table_second_json import json_rows
from rimrep_assets.domain.table_source import open_source
from rimrep_assets_tests.domain.table_examples import fields, proven, table


@pytest.fixture
def published(tmp_path):
    def run(content, schema=None, name="in.json", **options):
        path = tmp_path / name
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return proven(path, tmp_path / "v", table(convert={"read_json": options}), schema)

    return run


RECORDS = [{"k": 1, "v": "a"}, {"v": "b", "w": 1.5}, {"k": None, "w": 2}]
ROWS = [{"k": 1, "v": "a", "w": None}, {"k": None, "v": "b", "w": 1.5}, {"k": None, "v": None, "w": 2.0}]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (RECORDS, {}),
        ({"results": RECORDS}, {"records": "results"}),
        ({"n": 3, "a": {"x": [1, {}], "b": RECORDS}, "z": []}, {"records": "a.b"}),
        ({"a": {"b": RECORDS}}, {"records": "a.b[*]"}),
        ({"series": [{"values": RECORDS[:1]}, {"values": RECORDS[1:]}]}, {"records": "series[*].values"}),
        ({"k": [1, None, None], "v": ["a", "b", None], "w": [None, 1.5, 2]}, {}),
        ({"data": {"k": [1, None, None], "v": ["a", "b", None], "w": [None, 1.5, 2]}}, {"records": "data"}),
        ("\n".join(map(json.dumps, RECORDS)), {}),
        ("\n\n".join(map(json.dumps, RECORDS)) + "\n", {"name": "in.jsonl"}),
        (b"\xef\xbb\xbf" + json.dumps(RECORDS, indent=2).encode(), {}),
    ],
)
def test_records_are_found_wherever_they_lie(published, content, options):
    assert published(content, **options) == ROWS


def test_objects_become_columns_one_level_deep_and_the_rest_is_json(published):
    record = {"id": 1, "site": {"name": "Heron", "place": {"lon": 151.9}, "tags": ["a", "é"]}, "list": [1, None]}
    (row,) = published([record])
    assert row == {
        "id": 1,
        "site.name": "Heron",
        "site.place": '{"lon": 151.9}',
        "site.tags": '["a", "é"]',
        "list": "[1, null]",
    }
    flat = pd.json_normalize(record, max_level=1).to_dict("records")[0]
    assert set(flat) == set(row)


def test_texts_of_digits_stay_texts_and_dates_become_dates(published):
    rows = published([{"id": "007", "n": "12", "day": "2020-01-02", "time": "2020-01-02T10:00:00Z"}])
    assert (rows[0]["id"], rows[0]["n"]) == ("007", "12")
    assert rows[0]["day"].isoformat() == "2020-01-02"
    assert rows[0]["time"].isoformat() == "2020-01-02T10:00:00+00:00"


def test_times_without_zone_take_the_declared_one(published):
    (row,) = published([{"t": "2020-01-02T10:00:00"}], timezone="Australia/Brisbane")
    assert row["t"].isoformat() == "2020-01-02T00:00:00+00:00"
    (row,) = published([{"t": "2020-01-02T10:00:00"}])
    assert row["t"] == "2020-01-02T10:00:00"


def test_a_column_of_several_kinds_is_text(published):
    rows = published([{"x": 1}, {"x": "n/a"}, {"x": True}, {"x": 1.5}, {"x": None}])
    assert [row["x"] for row in rows] == ["1", "n/a", "true", "1.5", None]


def test_words_for_missing_values_leave_the_numbers_that_are_declared(published):
    rows = published(
        [{"x": 1.5, "y": "-"}, {"x": "n/a", "y": "n/a"}], fields(x="number"), na={"x": ["n/a"], "*": ["-"]}
    )
    assert rows == [{"x": 1.5, "y": None}, {"x": None, "y": "n/a"}]


def test_large_whole_numbers_are_kept_to_the_last_digit(published):
    rows = published([{"id": 2**53 + 1, "mixed": 2**53 + 1}, {"id": 1, "mixed": 0.5}])
    assert [row["id"] for row in rows] == [2**53 + 1, 1]
    assert [row["mixed"] for row in rows] == [str(2**53 + 1), "0.5"], "no number type holds both"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({"results": []}, {"records": "result"}, r"at the top is no 'result'; did you mean 'results'\?"),
        ({"a": {"b": 1}}, {"records": "a.c"}, r"at 'a' is no 'c'.*an object with the keys 'b'"),
        ({"a": {"b": 1}}, {"records": "a.b.c"}, r"at 'a\.b' is no 'c'.*there is a number"),
        ({"a": {"b": "x"}}, {"records": "a.b"}, r"at 'a\.b' is a text, not a list of records"),
        ({"a": 1}, {}, r"at the top is an object with the keys 'a', not a list of records; declare read_json\.records"),
        ({}, {}, "at the top is an empty object"),
        ([], {}, "holds no records"),
        ([{}], {}, "its records have no keys"),
        ([1, 2], {}, "row 0 is 1, not an object"),
        ([{"a": 1}, [2]], {}, r"row 1 is \[2\], not an object"),
        ([{"a.b": 1, "a": {"b": 2}}], {}, "row 0: two keys make the column 'a.b'"),
        ({"a": [1, 2], "b": [1]}, {}, "its columns have different lengths: 'a' 2, 'b' 1"),
        ('[{"a": 1}, {"a": NaN}]', {}, "is no JSON after row 0"),
        ('[{"a": 1}', {}, "is no JSON"),
        ('[{"a": 1}] x', {}, "is no JSON"),
        (b'[{"a": "\xff"}]', {}, "is no JSON"),
        ('[{"a": 123456789012345678901234567890}]', {}, "more than 64 bits"),
        ("", {}, r"the file is empty \(0 bytes\)"),
        ("[" * 5000, {}, "is no JSON"),
        ('{"a": 1}\n{"a": 2}\n', {"records": "a"}, "is lines of JSON"),
        ([{f"k{n}": 1 for n in range(5001)}], {}, "more than 5000 columns"),
    ],
)
def test_what_holds_no_records_is_refused_in_words(published, content, options, words):
    with pytest.raises(DataError, match=words):
        published(content, **options)


@pytest.mark.parametrize("path", ["", "a..b", "a[0]", ".a", "a.", "[*]"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ValidationError, match="dotted path"):
        table(convert={"read_json": {"records": path}})


def test_a_key_that_appears_late_is_a_column_of_all_rows(published):
    rows = published([{"a": n} for n in range(20_000)] + [{"b": 1}])
    assert len(rows) == 20_001
    assert rows[0] == {"a": 0, "b": None}
    assert rows[-1] == {"a": None, "b": 1}


def test_memory_is_bounded_by_a_few_records(tmp_path):
    path = tmp_path / "in.json"
    record = json.dumps({"text": "x" * 200, "n": 1})
    path.write_text('{"results": [' + ",".join([record] * 60_000) + "]}")
    dataset = table(convert={"read_json": {"records": "results"}})
    tracemalloc.start()
    rows = sum(len(block) for block in open_source(path, "in.json", dataset).blocks({}))
    list(json_rows(path, ReadJson(records="results"), {0, 59_999}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 60_000
    assert peak < path.stat().st_size


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
records = st.lists(st.dictionaries(st.sampled_from("abc"), values, min_size=1), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(content=records, indent=st.sampled_from([None, 1]))
def test_the_second_reader_finds_in_any_records_what_json_loads_finds(tmp_path_factory, content, indent):
    path = tmp_path_factory.mktemp("json") / "in.json"
    path.write_text(json.dumps({"a": [{"x": 1}], "r": content}, indent=indent))
    found = [row for _, row in json_rows(path, ReadJson(records="r"), set(range(len(content))))]
    expected = []
    for record in content:
        flat = {}
        for key, cell in record.items():
            flat.update({f"{key}.{k}": v for k, v in cell.items()} if isinstance(cell, dict) else {key: cell})
        expected.append(flat)
    assert found == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"v": 1}, {"v": 18446744073709551616}]', r"row 1: near .*18446744073709551616.* more than 64 bits"),
        (b'{"v": 1}\n{"v": -9223372036854775809}\n', r"row 1: near .* more than 64 bits"),
        (b'{"v": [1, 18446744073709551616]}', r"in\.json: near .* more than 64 bits"),
        (b'[{"v": 1}, {"v": 2}, {"v": 1e400}]', r"row 2: near .*1e400.* beyond 1\.8e308"),
        (b'[{"v": "Orph\xe9e"}]', r'row 0: near \[\{"v": "Orph\\xe9e"\}\]: is no JSON: its bytes are not UTF-8'),
    ],
)
def test_what_the_parser_cannot_hold_is_told_with_row_and_reason(published, content, words):
    with pytest.raises(DataError, match=words):
        published(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"a": 1}, {"a": 1, "b": 2, "a": 3}]', "row 1: the key 'a' stands twice in one object"),
        ('{"a": 1}\n{"a": 2, "a": 2}\n', "row 1: the key 'a' stands twice"),
        ('[{"a": {"b": [{"c": 1, "c": 2}]}}]', "row 0: the key 'c' stands twice"),
        ('{"a": [1], "b": [2], "a": [3]}', "the key 'a' stands twice among its columns"),
    ],
)
def test_a_key_that_stands_twice_in_one_object_is_refused(published, content, words):
    """The last of them won without a word."""
    with pytest.raises(DataError, match=words):
        published(content)
