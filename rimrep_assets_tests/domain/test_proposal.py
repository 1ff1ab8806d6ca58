"""Marks, names and words of a proposed dataset; expectations are written by hand, or read by yaml and csv."""

from __future__ import annotations

import fnmatch
import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.datapackage import validate
from rimrep_assets.domain.dataset import ID
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.partition import Partition
from rimrep_assets.domain.proposal import Draft, in_one_line
from rimrep_assets.domain.proposal_csv import first_rows, form_of, look_at_columns, missing_words
from rimrep_assets.domain.proposal_marks import GUESS, guesses_in, guesses_in_schema, still_guesses, without_marks
from rimrep_assets.domain.proposal_names import (
    families,
    family_of,
    id_from,
    partition_of,
    pattern_of,
    rhythm_of,
    title_from,
    words_of,
)
from rimrep_assets.domain.proposal_words import words_from
from rimrep_assets_tests.worlds import PROFILE, curated

leaves = st.one_of(st.text(), st.integers(), st.none(), st.booleans())
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(documents)
def test_a_confirmed_document_holds_no_mark_and_nothing_else_changes(document):
    marked = json.loads(json.dumps(document))
    assert list(guesses_in(without_marks({"a": f"{GUESS}b", "c": marked}))) == list(
        guesses_in({"c": without_marks(marked)})
    )
    if not list(guesses_in(marked)):
        assert without_marks(marked) == marked


def test_every_mark_is_named_with_its_place_and_what_to_do():
    told = still_guesses({"title": f"{GUESS}Reefs", "licenses": [{"name": f"{GUESS}other", "title": "Other"}]})
    assert told == [
        "title: '(guess) Reefs' is still a guess of `rimrep init`: confirm it by removing the mark '(guess)', "
        "or write what is right",
        "licenses.0.name: '(guess) other' is still a guess of `rimrep init`: confirm it by removing the mark "
        "'(guess)', or write what is right",
    ]


def test_a_datapackage_with_a_guess_is_not_valid_and_its_other_problems_are_told_too():
    profile = json.loads(PROFILE.read_text())
    package = {**curated("reefs"), "title": f"{GUESS}Reefs", "keywords": []}
    told = validate(package, profile, dataset="reefs")
    assert len(told) == 2
    assert told[0].startswith("title: ")
    assert "still a guess" in told[0]
    assert told[1] == "keywords: needs at least 1"
    assert validate(curated("reefs"), profile, dataset="reefs") == []


def test_the_words_of_the_data_are_no_guesses():
    profile = json.loads(PROFILE.read_text())
    package = {**curated("reefs"), "rimrep": {"dataset": "reefs", "statistics": {"min": f"{GUESS}a site"}}}
    assert validate(package, profile) == []


@given(st.dictionaries(st.sampled_from(["url", "include"]), st.text()), st.text(), st.lists(st.text(), max_size=3))
def test_whatever_stands_in_a_file_dataset_yaml_is_read_back_as_it_was_meant(source, why, words):
    """Names of columns and files, and reasons that quote them, come from files that nobody trusts."""
    draft = Draft({})
    draft.put("id", "a", why)
    for key, value in source.items():
        draft.put(f"source.{key}", value, why)
    draft.put("convert.read_csv", {"na": words}, why)
    found = yaml.safe_load(draft.text())
    assert found["id"] == "a"
    assert found.get("source", {}) == source
    assert found["convert"] == [{"read_csv": {"na": words}}]


@given(st.text())
def test_a_reason_is_one_line(text):
    assert len(in_one_line(text).splitlines()) <= 1


HOURS = [
    "IMOS_ACORN_V_20220312T003000Z_NWA_FV01_1-hour-avg.nc",
    "IMOS_ACORN_V_20220312T013000Z_NWA_FV01_1-hour-avg.nc",
]


@pytest.mark.parametrize(
    ("names", "pattern", "include", "rhythm", "by", "start"),
    [
        (
            HOURS,
            "IMOS_ACORN_V_%Y%m%dT%H%M%SZ_NWA_FV01_1-hour-avg.nc",
            "IMOS_ACORN_V_????????T??????Z_NWA_FV01_1-hour-avg.nc",
            "hourly",
            "day",
            "2022-03-12",
        ),
        (["a_20240101.nc", "a_20240102.nc"], "a_%Y%m%d.nc", "a_????????.nc", "daily", "month", "2024-01"),
        (["a-2024-03.csv", "a-2024-04.csv"], "a-%Y-%m.csv", "a-????-??.csv", "monthly", "month", "2024-03"),
        (["a_2023.csv", "a_2024.csv"], "a_%Y.csv", "a_????.csv", "yearly", "year", "2023"),
        (["2024/001/a.nc", "2024/002/a.nc"], "%Y/%j/a.nc", "????/???/a.nc", "daily", "month", "2024-01"),
        (["m_20150101-20150201.nc", "m_20150201-20150301.nc"], "m_%Y%m%d-*.nc", "m_????????-*.nc", "monthly", "month", "2015-01"),
        (["100%_201001.csv", "100%_201002.csv"], "100%%_%Y%m.csv", "100%_??????.csv", "monthly", "month", "2010-01"),
    ],
)  # fmt: skip
def test_dates_in_names_make_a_partition(names, pattern, include, rhythm, by, start):
    (family,) = families(names)
    assert (family.pattern, family.include, rhythm_of(family)) == (pattern, include, rhythm)
    assert partition_of(family) == {"by": by, "start": start, "file_time": pattern}


def test_a_file_that_is_named_otherwise_is_no_member_of_the_family():
    names = ["gbr4_2018-10.nc", "gbr4_2018-11.nc", "gbr4_2018-11_modified.nc"]
    family = family_of("gbr4_2018-10.nc", names)
    assert family.names == ("gbr4_2018-10.nc", "gbr4_2018-11.nc")
    assert not fnmatch.fnmatchcase(names[2], family.include)


def test_a_name_without_a_date_stands_alone():
    family = family_of("a_1.csv", ["a_1.csv", "a_2.csv"])
    assert family.names == ("a_1.csv",)
    assert partition_of(family) is None


@given(
    st.text(alphabet="ab%_-.[]*?() 1", max_size=8), st.dates(min_value=date(1950, 1, 1)),
    st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y_%m", "%Y%m"]),
)  # fmt: skip
def test_a_pattern_tells_the_partition_of_the_name_that_it_was_made_from(word, day, form):
    if not 1950 <= day.year < 2100:
        return
    name = f"x{word}_{day.strftime(form)}.nc"
    pattern = pattern_of(name)
    if pattern is None or "%Y" not in pattern or "%m" not in pattern:
        return
    partition = Partition(by="month", start="1950-01", file_time=pattern)
    assert partition.key_of(name) is not None


@given(st.lists(st.text(), max_size=5))
def test_any_words_make_an_id_and_a_title(words):
    assert ID.fullmatch(id_from(words))
    assert len(title_from(words)) >= 3


@pytest.mark.parametrize("name", ["items.geojson", "stac.csv", "Pygeoapi.csv"])
def test_an_id_is_never_the_name_of_a_folder_of_the_platform(name):
    assert id_from(words_of(family_of(name, ()))) == f"{name.partition('.')[0].lower()}-data"


def test_words_of_a_file_are_taken_as_they_stand_and_their_origin_is_told():
    attributes = {
        "title": "Sea level\nof the reef",
        "abstract": "Gridded sea level of the Great Barrier Reef, adjusted.",
        "license": "http://creativecommons.org/licenses/by/4.0/",
        "institution": "CSIRO",
        "creator_name": "YOUR NAME",
        "creator_email": "someone@example.org",
        "keywords": "sea level, Oceans > Currents, sea level",
        "citation": "CSIRO (2020). https://doi.org/10.1234/abcd.",
    }
    words = words_from("x", "X", ["x"], attributes, year=2026, url=None)
    package = words.package
    assert package["title"] == "Sea level of the reef"
    assert package["licenses"] == [{"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/"}]
    assert package["contributors"] == [
        {"title": "CSIRO", "roles": ["licensor", "producer", "contact"], "email": "someone@example.org"}
    ]
    assert package["keywords"] == ["sea level", "Oceans", "Currents"]
    assert package["doi"] == "10.1234/abcd"
    assert words.taken["title"] == "title"
    assert words.taken["description"] == "abstract"
    assert [place for place, _ in guesses_in(package)] == ["themes.0.concepts.0.id"]


@given(st.dictionaries(st.sampled_from(["title", "summary", "license", "institution", "creator_email", "keywords",
                                        "citation", "doi", "metadata_link", "creator_url"]), st.text() | st.integers()))  # fmt: skip
def test_whatever_a_file_says_the_confirmed_datapackage_is_valid(attributes):
    package = words_from("x", "A title", ["word"], attributes, year=2026, url="https://data.example.org/a/").package
    assert validate(without_marks(package), json.loads(PROFILE.read_text()), dataset="x") == []


def written(folder: Path, data: bytes) -> Path:
    (folder / "a.csv").write_bytes(data)
    return folder / "a.csv"


@pytest.mark.parametrize(
    ("data", "encoding", "delimiter"),
    [
        (b"a,b\n1,2\n", "utf-8", ","),
        (b"\xef\xbb\xbfa,b\n1,2\n", "utf-8", ","),
        (b"a;b;c\n1,5;2;3\n2,5;3;4\n", "utf-8", ";"),
        (b"a\tb\n1\t2\n", "utf-8", "\t"),
        ("site,where\nHéron,x\n".encode("latin-1"), "cp1252", ","),
        ("a,b\n1,2\n".encode("utf-16"), "utf-16", ","),
        (b'a,"b, c"\n1,"2, 3"\n', "utf-8", ","),
    ],
)
def test_encoding_and_delimiter_are_told_from_the_text(tmp_path, data, encoding, delimiter):
    form = form_of(written(tmp_path, data), "a.csv")
    assert (form.encoding, form.delimiter) == (encoding, delimiter)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04\x00\x00\x00", "is no text"),
        (b"<!DOCTYPE html><html>,</html>", "web page"),
        (b'{"a": 1, "b": 2}', "like JSON"),
        (b"# note, more\na,b\n1,2\n", "comment"),
        (b"a\n1\n2\n", "one column"),
        (b"1,2\n3,4\n", "holds numbers"),
    ],
)
def test_what_is_no_delimited_text_is_refused_in_words(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        form_of(written(tmp_path, data), "a.csv")


def test_words_for_missing_numbers_zones_and_odd_times_are_found(tmp_path):
    text = "t,date,n,m,name\n" + "".join(
        f"2024-01-0{i} 10:00:00,0{i}/02/2024 10:00,{'NA' if i == 3 else i},{i},NA\n" for i in range(1, 6)
    )
    path = written(tmp_path, text.encode())
    form = form_of(path, "a.csv")
    block = first_rows(path, "a.csv", form.reading, form.header)
    looks = {look.name: look for look in look_at_columns([block], form.header)}
    assert looks["t"].type == "datetime"
    assert looks["t"].needs_zone
    assert looks["date"].form == "%d/%m/%Y %H:%M"
    assert looks["n"].type == "integer"
    assert missing_words(looks.values()) == {"NA": ["n"]}
    assert looks["name"].missing == ()


def test_dates_that_fit_both_orders_are_known_as_such(tmp_path):
    text = "both_date,first_date,second_date,dash_date,iso_date\n" + "".join(
        f"0{i}/02/2024,{i + 12}/02/2024,02/{i + 12}/2024 10:00,02-{i + 12}-2024,2024-02-0{i}\n" for i in range(1, 6)
    )
    path = written(tmp_path, text.encode())
    form = form_of(path, "a.csv")
    looks = look_at_columns([first_rows(path, "a.csv", form.reading, form.header)], form.header)
    assert [(look.form, look.either_order) for look in looks] == [
        ("%d/%m/%Y", True),
        ("%d/%m/%Y", False),
        ("%m/%d/%Y %H:%M", False),
        ("%m-%d-%Y", False),
        (None, False),
    ]


def test_marks_in_a_schema_are_found_in_words_and_not_in_names():
    fields = [
        {"name": "day", "type": "date", "description": f"{GUESS}Read day before month."},
        {"name": f"{GUESS}odd", "type": "string", "title": "Odd"},
    ]
    told = guesses_in_schema({"fields": fields})
    assert len(told) == 1
    assert told[0].startswith("tableschema.json: day.description: '(guess) Read day before month.' is still a guess")
    assert guesses_in_schema(None) == guesses_in_schema({"variables": {}}) == []


@pytest.mark.parametrize(
    ("key", "attribute", "text", "why"),
    [
        ("title", "title", "Ocean radar, hourly, 2022-03-12T00:30:00Z", "2022-03-12T00 looks like the time of one file"),
        ("title", "title", "Sea level 20110901", "20110901 looks like the time of one file"),
        ("description", "summary", "Sea level of the reef at 2011-09-01 00:00:00.", "looks like the time of one file"),
        ("citation", "citation", "IMOS, [year-of-data-download], [Title], [data-access-URL]",
         "[year-of-data-download] is to be filled in"),
    ],
)  # fmt: skip
def test_what_a_file_says_of_itself_alone_is_marked(key, attribute, text, why):
    words = words_from("x", "X", ["x"], {attribute: text}, year=2026, url=None)
    assert words.package[key] == GUESS + text
    assert key not in words.taken
    (guess,) = (guess for guess in words.guesses("datapackage.json") if guess.key == key)
    assert why in guess.why
    assert guess.why.startswith(f"the file's {attribute}; ")


@pytest.mark.parametrize(
    ("key", "attribute", "text"),
    [
        ("title", "title", "Sea level 2010 to 2024 of the reef [m]"),
        ("description", "summary", "Sea level of the reef since 2011-09-01, adjusted."),
        ("citation", "citation", "CSIRO (2020). Sea level [1]."),
    ],
)
def test_what_holds_for_every_file_is_taken_without_a_mark(key, attribute, text):
    words = words_from("x", "X", ["x"], {attribute: text}, year=2026, url=None)
    assert words.package[key] == text
    assert words.taken[key] == attribute


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("lon;lat\n147,5;-18,25\n148;-19\n", ","),
        ("lon;lat\n147.5;-18.25\n148;-19\n", "."),
        ("n;place\n1;12,5 km\n2;3\n", "."),
        ("n;a\n1,5;2.5\n", "."),
        ("a,b\n1,5\n", "."),
    ],
)
def test_a_decimal_comma_is_told_from_the_cells(tmp_path, text, decimal):
    form = form_of(written(tmp_path, text.encode()), "a.csv")
    assert form.decimal == decimal
    assert ("decimal" in form.options) == (decimal == ",")


@pytest.mark.parametrize(
    ("numbers", "sentinel"),
    [
        (["1.5", "-999.9", "2.5", "-999.9"], "-999.9"),
        (["3", "-9999", "12"], "-9999"),
        (["3", "99999", "12"], "99999"),
        (["3", "9.96921e36", "12"], None),
        ([str(n) for n in range(900, 1000)], None),
        (["-9999", "-9999"], None),
        (["-5000", "-9999", "5000"], None),
    ],
)
def test_a_number_that_looks_like_a_word_for_missing_is_told(tmp_path, numbers, sentinel):
    text = "depth;n\n" + "".join(f"{number};{row}\n" for row, number in enumerate(numbers))
    for decimal in ".,":
        path = written(tmp_path, text.replace(".", decimal).encode())
        form = form_of(path, "a.csv")
        block = first_rows(path, "a.csv", form.reading, form.header)
        depth, _ = look_at_columns([block], form.header, form.decimal)
        assert depth.type in ("integer", "number")
        assert depth.sentinel == (sentinel and sentinel.replace(".", decimal))
