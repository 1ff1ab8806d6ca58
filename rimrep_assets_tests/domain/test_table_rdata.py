from __future__ import annotations

import bz2
import datetime
import gzip
import lzma

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_rdata
from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import proven, table
from rimrep_assets_tests.r_files import INTEGER, LOGICAL, REAL, STRING, frame, vector, write_rda, write_rds


def r_table(**options):
    return table(convert={"read_rdata": options})


CLASS = {"class": vector(STRING, ["factor"]), "levels": vector(STRING, ["calm", "rough"])}
COLUMNS = {
    "whole": vector(INTEGER, [1, None, 3]),
    "number": vector(REAL, [1.5, None, float("nan")]),
    "word": vector(STRING, ["é", None, "007"]),
    "old": vector(STRING, ["é", "ü", "a"], "latin-1"),
    "yes": vector(LOGICAL, [True, None, False]),
    "sea": vector(INTEGER, [2, None, 1], **CLASS),
    "day": vector(REAL, [18262, None, -1], **{"class": vector(STRING, ["Date"])}),
    "time": vector(REAL, [1577836800.25, None, 0], **{"class": vector(STRING, ["POSIXct", "POSIXt"])}),
}
EXPECTED = {
    "whole": [1, None, 3],
    "number": [1.5, None, None],
    "word": ["é", None, "007"],
    "old": ["é", "ü", "a"],
    "yes": [True, None, False],
    "sea": ["rough", None, "calm"],
    "day": [datetime.date(2020, 1, 1), None, datetime.date(1969, 12, 31)],
    "time": [
        datetime.datetime(2020, 1, 1, 0, 0, 0, 250000, tzinfo=datetime.UTC),
        None,
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
    ],
}


@pytest.mark.parametrize("form", ["rda", "rds"])
def test_the_types_of_r_become_those_of_tables(tmp_path, form):
    value = frame(COLUMNS, 3, "tbl_df", "data.frame")
    path = write_rds(tmp_path / "in.rds", value) if form == "rds" else write_rda(tmp_path / "in.rda", {"sea": value})
    rows = proven(path, tmp_path / "v", r_table())
    assert {column: [row[column] for row in rows] for column in rows[0]} == EXPECTED


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_all_of_rs_ways_to_pack_are_read(tmp_path, pack):
    path = write_rds(tmp_path / "in.rds", frame({"n": vector(INTEGER, [1, 2])}, 2))
    path.write_bytes(pack(path.read_bytes()))
    assert proven(path, tmp_path / "v", r_table()) == [{"n": 1}, {"n": 2}]


def test_of_two_data_frames_one_must_be_named(tmp_path):
    objects = {name: frame({name: vector(INTEGER, [1])}, 1) for name in ("reefs", "tows")}
    path = write_rda(tmp_path / "in.rda", objects)
    with pytest.raises(DataError, match=r"2 data frames: declare read_rdata\.object, one of 'reefs', 'tows'"):
        proven(path, tmp_path / "v", r_table())
    assert proven(path, tmp_path / "v", r_table(object="tows")) == [{"tows": 1}]
    with pytest.raises(DataError, match=r"no data frame 'tow'; did you mean 'tows'\?; it has 'reefs', 'tows'"):
        proven(path, tmp_path / "v", r_table(object="tow"))


def test_what_is_beside_the_only_data_frame_does_not_matter(tmp_path):
    objects = {"note": vector(STRING, ["made by hand"]), "reefs": frame({"n": vector(INTEGER, [7])}, 1)}
    path = write_rda(tmp_path / "in.rda", objects)
    assert proven(path, tmp_path / "v", r_table()) == [{"n": 7}]


def test_what_is_no_data_frame_is_refused_by_its_class(tmp_path):
    path = write_rda(tmp_path / "in.rda", {"x": vector(REAL, [1.0, 2.0])})
    with pytest.raises(DataError, match="no data frame: it has an object of class real"):
        proven(path, tmp_path / "v", r_table())


def test_times_in_texts_take_the_declared_zone(tmp_path):
    path = write_rds(tmp_path / "in.rds", frame({"t": vector(STRING, ["2020-01-01 10:00:00"])}, 1))
    (row,) = proven(path, tmp_path / "v", r_table(timezone="Australia/Brisbane"))
    assert row["t"] == datetime.datetime(2020, 1, 1, 0, tzinfo=datetime.UTC)


def test_a_file_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rdata, "MOST_BYTES", 10_000)
    path = tmp_path / "in.rda"
    path.write_bytes(gzip.compress(b"\0" * 20_000))
    with pytest.raises(DataError, match="unpacks to more than 10000 bytes"):
        proven(path, tmp_path / "v", r_table())


# A gzip file holds the second in which it was made, unless it is told another.
@pytest.mark.parametrize(
    "content",
    [b"", b"abc", b"\x1f\x8bxx", b"BZh9xx", b"\xfd7zXZxx", gzip.compress(b"RDX2\nX\n", mtime=0)],
    ids=["empty", "no archive", "gzip", "bzip2", "xz", "gzip of another format"],
)
def test_files_that_are_not_of_r_are_refused_by_name(tmp_path, content):
    path = tmp_path / "in.rda"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"in\.rda"):
        proven(path, tmp_path / "v", r_table())


@settings(max_examples=20, deadline=None)
@given(seconds=st.lists(st.floats(-9e9, 9e9), min_size=1, max_size=50))
def test_any_instant_is_the_same_to_both_readers(tmp_path_factory, seconds):
    folder = tmp_path_factory.mktemp("r")
    when = vector(REAL, seconds, **{"class": vector(STRING, ["POSIXct"])})
    path = write_rds(folder / "in.rds", frame({"t": when}, len(seconds)))
    rows = proven(path, folder / "v", r_table())
    assert all(abs(row["t"].timestamp() - told) < 2e-6 for row, told in zip(rows, seconds, strict=True))


def test_a_fraction_of_a_second_in_the_year_6063_is_refused(tmp_path):
    when = vector(REAL, [1.2916e11 + 0.5], **{"class": vector(STRING, ["POSIXct"])})
    path = write_rds(tmp_path / "in.rds", frame({"t": when}, 1))
    with pytest.raises(DataError, match=r"in\.rds: a column holds what cannot be kept"):
        proven(path, tmp_path / "v", r_table())


def test_a_data_frame_without_rows_is_refused(tmp_path):
    path = write_rds(tmp_path / "in.rds", frame({"n": vector(INTEGER, [])}, 0))
    with pytest.raises(DataError, match="has no rows"):
        proven(path, tmp_path / "v", r_table())
