from __future__ import annotations

import datetime
import io
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import fields, proven, table


@pytest.fixture
def published(tmp_path):
    def run(content, schema=None, coordinates=None, **options):
        path = tmp_path / "in.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        dataset = table(convert={"read_csv": options}, coordinates=coordinates or {})
        return proven(path, tmp_path / "v", dataset, schema)

    return run


def test_a_decimal_comma_is_read_as_pandas_reads_it(published):
    text = "lon;lat;n;word\n150,5;-20,25;1;a\n151;-21,125e-1;2;1,5,7\n;;3;\n"
    rows = published(text, delimiter=";", decimal=",")
    expected = pd.read_csv(io.StringIO(text), sep=";", decimal=",").astype(object)
    expected = expected.where(expected.notna(), None).to_dict("records")
    assert rows == expected


def test_a_decimal_point_under_a_decimal_comma_makes_text_of_its_column(published):
    rows = published("x;y\n1,5;1\n1.234;2\n", delimiter=";", decimal=",")
    assert [row["x"] for row in rows] == ["1,5", "1.234"]


def test_a_declared_text_keeps_its_comma(published):
    rows = published("x;y\n1,5;1\n2,5;2\n", fields(x="string"), delimiter=";", decimal=",")
    assert [row["x"] for row in rows] == ["1,5", "2,5"]


def test_sentinels_are_missing_in_their_own_column_alone(published):
    text = "TEMP,PSAL,note\n-999,99.9,-999\n21.5,-999,n/a\n99.9,35,x\n"
    rows = published(text, na={"TEMP": ["-999", "99.9"], "*": ["n/a"]})
    assert rows == [
        {"TEMP": None, "PSAL": 99.9, "note": "-999"},
        {"TEMP": 21.5, "PSAL": -999.0, "note": None},
        {"TEMP": None, "PSAL": 35.0, "note": "x"},
    ]


def test_sentinels_stay_missing_where_the_type_is_declared(published):
    rows = published("T,n\n-999,1\n21,2\n", fields(T="integer", n="integer"), na={"T": ["-999"]})
    assert [row["T"] for row in rows] == [None, 21]
    rows = published("T,n\nabc,1\n21,2\n", fields(T="integer", n="integer"), na={"T": ["-999"]})
    assert [row["T"] for row in rows] == ["abc", "21"], "what is no number shows in the schema"


@pytest.mark.parametrize("option", [{"na": {"TMP": ["x"]}}, {"timezone": {"TMP": "UTC"}}])
def test_an_option_for_a_column_that_is_not_there_is_refused_with_the_nearest(published, option):
    with pytest.raises(DataError, match=r"names 'TMP', which is not in the data; did you mean 'TEMP'\?"):
        published("TEMP,n\n1,2\n", **option)


def test_columns_have_clocks_of_their_own(published):
    text = "local,utc,other\n2020-01-01 10:00:00,2020-01-01 00:00:00,2020-01-01 05:00:00\n"
    rows = published(text, timezone={"local": "Australia/Brisbane", "*": "UTC", "other": "Asia/Kolkata"})
    expected = {
        "local": datetime.datetime(2020, 1, 1, 10, tzinfo=ZoneInfo("Australia/Brisbane")),
        "utc": datetime.datetime(2020, 1, 1, 0, tzinfo=datetime.UTC),
        "other": datetime.datetime(2020, 1, 1, 5, tzinfo=ZoneInfo("Asia/Kolkata")),
    }
    assert rows == [expected]


def test_a_column_without_a_clock_stays_text(published):
    rows = published("a,b\n2020-01-01 10:00:00,2020-01-01 10:00:00\n", timezone={"a": "UTC"})
    assert rows[0]["b"] == "2020-01-01 10:00:00"
    assert rows[0]["a"].tzinfo is not None


def test_a_renamed_column_keeps_its_clock(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a,b\n2020-01-01 10:00:00,1\n")
    dataset = table(convert={"read_csv": {"timezone": {"a": "Australia/Brisbane"}}, "rename": {"a": "time"}})
    assert proven(path, tmp_path / "v", dataset)[0]["time"] == datetime.datetime(2020, 1, 1, 0, tzinfo=datetime.UTC)


def test_lines_of_remarks_are_skipped_wherever_they_stand(published):
    text = "# made by a logger\n#\nk,v\n1,a\n# battery low\n2,#b\n"
    assert published(text, comment="#") == [{"k": 1, "v": "a"}, {"k": 2, "v": "#b"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_before_the_header_are_skipped(published, end):
    text = end.join(["Station,Davies, Reef", '"an odd', "k,v", "1,a", "2,b", ""])
    assert published(text, skip_rows=2) == [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]


def test_a_file_without_header_takes_its_names_from_the_catalog(published):
    assert published("1,a\n2,b\n", header=False, names=["k", "v"]) == [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]
    with pytest.raises(DataError, match=r"the first row has 2 cells, read_csv\.names 3"):
        published("1,a\n2,b\n", header=False, names=["k", "v", "w"])
    with pytest.raises(DataError, match=r"row 1 \(line 2\) has 1 cells, read_csv\.names has 2"):
        published("1,a\n2\n", header=False, names=["k", "v"])


def test_rows_are_named_by_their_line_in_the_file_also_behind_skipped_ones(published):
    with pytest.raises(DataError, match=r"row 1 \(line 6\) has 3 cells, the header has 2"):
        published("title\n# x\nk,v\n1,a\n# y\n2,b,c\n", skip_rows=1, comment="#")


TEXTS = ["é,ü\nÅ,1\nß,2\n", "é,ü\nÅ,1\nß,\n"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
@pytest.mark.parametrize("comment", [None, "#"])
def test_encodings_give_the_same_text(published, encoding, comment):
    rows = published(TEXTS[0].encode(encoding), encoding=encoding.removesuffix("-sig"), comment=comment)
    assert rows == [{"é": "Å", "ü": 1}, {"é": "ß", "ü": 2}]


def test_tabulators_and_line_ends_in_quotes_are_read_as_pandas_reads_them(published):
    text = 'k\tv\n1\t"two\nlines"\n2\t"a ""word"""\n'
    assert published(text, delimiter="\t") == pd.read_csv(io.StringIO(text), sep="\t").to_dict("records")


@pytest.mark.parametrize(
    ("text", "where", "options"),
    [
        ('k,v\n1,a\n2,"oops\n3,b\n4,c\n', "row 1 (line 3)", {}),
        ('k,v\n1,"oops\n2,"b"\n3,c\n', "row 0 (line 2)", {}),
        ('k,v\n1,"a"\n2,"oops', "row 1 (line 3)", {}),
        ('k,v\n1,"a\nb"\n2,"oops""\n3,c\n', "row 1 (line 4)", {}),
        ('"k,v\n1,2\n', "the header (line 1)", {}),
        ('1,"oops\n2,b\n', "row 0 (line 1)", {"header": False, "names": ["k", "v"]}),
        ('5" wide\nk,v\n1,"oops\n2,b\n', "row 0 (line 3)", {"skip_rows": 1}),
        ("k,v\n1,'oops\n2,b\n", "row 0 (line 2)", {"quote": "'"}),
        ('k,v\n1,"oops\n2,b\n'.encode("utf-16"), "row 0 (line 2)", {"encoding": "utf-16"}),
    ],
)
def test_a_quote_that_is_never_closed_does_not_swallow_what_follows(published, text, where, options):
    with pytest.raises(DataError) as told:
        published(text, **options)
    assert f"in.csv: {where} opens a quote" in str(told.value)
    assert "read_csv.quote" in told.value.advice


@pytest.mark.parametrize(
    "text",
    ['k,v\n1,5" pipe\n2,b\n', 'k,v\n1,"a\nb"\n2,6" x\n', 'k,v\n1,"a ""b"" c"\n2,"d"\n', '# 5" x\nk,v\n1,"a"\n'],
)
def test_a_quote_within_a_cell_is_a_letter_of_it(published, text):
    options = {"comment": "#"} if text.startswith("#") else {}
    expected = pd.read_csv(io.StringIO(text), **options)
    assert published(text, **options) == expected.to_dict("records")


def test_without_quotes_a_quote_is_a_letter(published):
    assert published('k,v\n1,"a\n2,b"\n', quote="") == [{"k": 1, "v": '"a'}, {"k": 2, "v": 'b"'}]
    assert published("k,v\n1,'a,b'\n", quote="'") == [{"k": 1, "v": "a,b"}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decimal": ","}, "cannot be both delimiter and decimal"),
        ({"delimiter": ";", "quote": ";"}, "cannot be quote and something else"),
        ({"names": ["a"]}, "read_csv.names needs header: false"),
        ({"header": False}, "needs names"),
        ({"header": False, "names": ["a", "a"]}, "'a' stands twice"),
        ({"timezone": "Australia/Brisban"}, "not an IANA time zone"),
        ({"timezone": {"a": "Moon/Crater"}}, "not an IANA time zone"),
        ({"decimal": ";"}, "decimal"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        table(convert={"read_csv": options})


cells = st.one_of(st.integers(-999, 999).map(str), st.sampled_from(["", "-9", "x y", "1,5", "#"]))


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 9).map(str), cells, cells), min_size=1, max_size=8))
def test_any_rows_with_remarks_between_them_come_out_as_without(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    lines = [";".join(row) for row in rows]
    plain, marked = folder / "plain.csv", folder / "marked.csv"
    plain.write_text("\n".join(["k;a;b", *lines]) + "\n")
    marked.write_text("\n".join(["title", "%", "k;a;b", *(f"{line}\n% remark" for line in lines)]) + "\n")
    options = {"delimiter": ";", "na": {"a": ["-9"]}, "decimal": ","}
    expected = proven(plain, folder / "p", table(convert={"read_csv": options}))
    skipping = {**options, "comment": "%", "skip_rows": 1}
    assert proven(marked, folder / "m", table(convert={"read_csv": skipping})) == expected
