"""Rows in order, however they come and however little is held in memory."""

from __future__ import annotations

import datetime
import math

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from rimrep_assets.domain import table_order
from rimrep_assets.domain.table_order import in_order, in_pieces, sorted_rows

UTC = datetime.UTC
KINDS = {
    "text": (pa.string(), st.text("aAzÄ\uffff\U0001f600 ", max_size=4)),
    "coded": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["Äx", "a", "", "zz"])),
    "bytes": (pa.binary(), st.binary(max_size=3)),
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "number": (pa.float64(), st.floats()),
    "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates(datetime.date(1, 1, 2), datetime.date(9999, 1, 1))),
    "time": (
        pa.timestamp("us", "UTC"),
        st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(9000, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),
    ),
}


def place(value):
    """The documented order of a column, said again in Python."""
    if value is None:
        return 2, 0
    if isinstance(value, float):
        return (1, 0) if math.isnan(value) else (0, value)
    return 0, value.encode() if isinstance(value, str) else value


@st.composite
def tables(draw):
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3, unique=True))
    rows = draw(st.lists(st.tuples(*(st.none() | KINDS[name][1] for name in names)), max_size=40))
    return names, rows


def table_of(names, rows):
    columns = [pa.array([row[i] for row in rows], KINDS[name][0]) for i, name in enumerate(names)]
    return pa.table([*columns, pa.array(range(len(rows)), pa.int64())], names=[*names, "n"])


def expected(names, rows):
    return sorted(range(len(rows)), key=lambda n: (*(place(cell) for cell in rows[n]), n))


@given(tables())
def test_sorted_rows_are_those_that_python_sorts(told):
    names, rows = told
    found = sorted_rows(table_of(names, rows), [*names, "n"])
    assert found.column("n").to_pylist() == expected(names, rows)


@settings(max_examples=50)
@given(tables(), st.integers(1, 7), st.integers(40, 400), st.sampled_from([2, 64]))
def test_runs_of_any_length_merge_into_the_same_order(tmp_path_factory, told, length, run_bytes, at_once):
    names, rows = told
    whole = table_of(names, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_order, "RUN_BYTES", run_bytes)
        patch.setattr(table_order, "MOST_RUNS", at_once)
        patch.setattr(table_order, "MERGED_BYTES", 256)
        patch.setattr(table_order, "LEAST_ROWS", 2)
        spill = tmp_path_factory.mktemp("spill")
        merged = in_order(iter(whole.to_batches(max_chunksize=length)), [*names, "n"], str(spill))
        found = [row for batch in merged for row in batch.to_pylist()]
    order = expected(names, rows)
    assert [row["n"] for row in found] == order
    # Said by their words, in which not-a-number equals itself.
    assert repr(found) == repr(whole.take(pa.array(order, pa.int64())).to_pylist())
    assert list(spill.iterdir()) == []


def test_a_run_that_is_sorted_already_is_merged_with_rows_that_are_not(tmp_path):
    even = pa.table({"k": range(0, 1000, 2), "s": ["x"] * 500})
    odd = pa.table({"k": list(range(999, 0, -2)), "s": ["y"] * 500})
    run = lambda most: iter(even.to_batches(max_chunksize=37))  # noqa: E731
    found = list(in_order(odd.to_batches(max_chunksize=11), ["k"], str(tmp_path), [run]))
    assert pa.Table.from_batches(found)["k"].to_pylist() == list(range(1000))


def test_no_rows_are_in_order(tmp_path):
    assert list(in_order([], ["k"], str(tmp_path))) == []


def test_files_of_runs_are_gone_when_the_reader_stops_early(tmp_path, monkeypatch):
    monkeypatch.setattr(table_order, "RUN_BYTES", 1000)
    table = pa.table({"k": np.random.default_rng(1).permutation(5000)})
    stream = in_order(iter(table.to_batches(max_chunksize=100)), ["k"], str(tmp_path))
    first = next(stream)
    assert first["k"][0].as_py() == 0
    assert list(tmp_path.iterdir()) != []
    stream.close()
    assert list(tmp_path.iterdir()) == []


def test_pieces_hold_the_bytes_that_were_asked_for():
    batches = pa.table({"k": range(1000)}).to_batches(max_chunksize=10)
    pieces = list(in_pieces(batches, 800))
    assert [len(piece) for piece in pieces] == [100] * 10
