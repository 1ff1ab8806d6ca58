"""Digests of columns: alike for the same cells in any order, different for anything else."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from rimrep_assets.domain.table_digests import FileDigests, RunningDigests, RunningDigestsOfMany
from rimrep_assets_tests.domain.test_table_order import KINDS, table_of, tables


def digests_of(table, pieces=7) -> FileDigests:
    running, row = RunningDigests(), 0
    for batch in table.to_batches(max_chunksize=pieces):
        running.see(batch, row)
        row += len(batch)
    return running.done()


def published(table, order, *, files=None, number=0, pieces=5) -> FileDigests:
    """Digests of the rows of ``table`` as they are met in another ``order``."""
    files = np.zeros(len(table), np.int32) if files is None else files
    running = RunningDigestsOfMany(int(files.max(initial=0)) + 1)
    order = np.asarray(order, np.int64)
    shuffled = table.take(order)
    for begin in range(0, len(order), pieces):
        batch = shuffled.slice(begin, pieces).combine_chunks()
        columns = {name: batch[name].chunk(0) for name in table.schema.names}
        running.see(columns, files[order][begin : begin + pieces], order[begin : begin + pieces])
    return running.of(number)


@given(tables(), st.randoms(), st.integers(1, 9))
def test_the_order_of_rows_does_not_matter(told, random, pieces):
    table = table_of(*told)
    order = list(range(len(table)))
    random.shuffle(order)
    if len(table):
        assert digests_of(table, pieces).differences(published(table, order), ()) == []


@given(tables(), st.data())
def test_a_value_that_moves_to_another_row_is_told(told, data):
    names, rows = told
    if len(rows) < 2:
        return
    one, other = data.draw(st.lists(st.sampled_from(range(len(rows))), min_size=2, max_size=2, unique=True))
    swapped = [list(row) for row in rows]
    swapped[one][0], swapped[other][0] = rows[other][0], rows[one][0]
    before, after = table_of(names, rows), table_of(names, swapped)
    found = digests_of(before).differences(published(after, range(len(rows))), ())
    same = before[names[0]].combine_chunks().equals(after[names[0]].combine_chunks())
    nothing = str(rows[one][0]) == str(rows[other][0]) or {rows[one][0], rows[other][0]} == {0.0, -0.0}
    assert (found == []) == (same or nothing)


@given(st.lists(st.text("abÄ\U0001f600", max_size=200), min_size=1, max_size=20), st.data())
def test_a_text_that_changes_by_a_letter_is_told_at_any_length(texts, data):
    row = data.draw(st.sampled_from(range(len(texts))))
    at = data.draw(st.integers(0, len(texts[row])))
    changed = [*texts[:row], texts[row][:at] + "x" + texts[row][at:], *texts[row + 1 :]]
    before, after = (pa.table({"t": pa.array(one, pa.string())}) for one in (texts, changed))
    assert digests_of(before).differences(published(after, range(len(texts))), ()) != []


@given(st.lists(st.none() | st.text("abÄ\U0001f600", max_size=80), min_size=1, max_size=30), st.integers(0, 5))
def test_coded_texts_and_slices_have_the_digests_of_plain_texts(texts, start):
    plain = pa.array(["?"] * start + texts, pa.string())
    sliced = pa.table({"t": plain.slice(start)})
    fresh = pa.table({"t": pa.array(texts, pa.string())})
    coded = pa.table({"t": pa.array(texts, pa.string()).dictionary_encode()})
    assert digests_of(sliced) == digests_of(fresh) == digests_of(coded)


@given(st.lists(st.none() | st.integers(-(2**52), 2**52), min_size=1, max_size=20))
def test_whole_numbers_that_are_published_as_numbers_agree(values):
    whole, numbers = (pa.table({"n": pa.array(values, kind)}) for kind in (pa.int64(), pa.float64()))
    assert digests_of(whole).differences(published(numbers, range(len(values))), ()) == []
    other = pa.table({"n": pa.array([7.5, *values[1:]], pa.float64())})
    assert digests_of(whole).differences(published(other, range(len(values))), ()) != []


def test_a_column_without_values_agrees_with_nulls_of_any_type_and_with_no_column():
    read = digests_of(pa.table({"a": pa.array([1, 2]), "b": pa.nulls(2)}))
    with_nulls = pa.table({"a": pa.array([1, 2]), "b": pa.array([None, None], pa.string()), "c": pa.nulls(2)})
    assert read.differences(published(with_nulls, [1, 0]), ()) == []
    with_value = pa.table({"a": pa.array([1, 2]), "b": pa.array([None, None], pa.string()), "c": pa.array([None, "x"])})
    assert read.differences(published(with_value, [1, 0]), ()) == [
        "column 'c' does not hold the values that were read from the source"
    ]


def test_lost_doubled_and_foreign_rows_are_told():
    table = pa.table({"a": pa.array([1, 2, 3])})
    assert digests_of(table).differences(published(table, [0, 1]), ()) == ["3 rows were read, 2 are published"]
    assert digests_of(table).differences(published(table, [0, 1, 1, 2]), ()) == ["3 rows were read, 4 are published"]
    assert digests_of(table).differences(published(table, [0, 1, 1]), ()) != []
    assert digests_of(table).differences(published(table.rename_columns(["b"]), [0, 1, 2]), ()) == [
        "column 'a' is not published",
        "column 'b' does not hold the values that were read from the source",
    ]


def test_rows_of_many_files_are_kept_apart():
    table = pa.table({"a": pa.array([1.5, 2.5, 3.5, 4.5])})
    files = np.array([0, 1, 0, 1], np.int32)
    rows = np.array([0, 0, 1, 1])
    running = RunningDigestsOfMany(2)
    running.see({"a": table["a"].chunk(0)}, files, rows)
    for number, values in ((0, [1.5, 3.5]), (1, [2.5, 4.5])):
        assert digests_of(pa.table({"a": values})).differences(running.of(number), ()) == []


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_null_in_place_of_a_value_is_told(name):
    value = {"text": "", "coded": "", "bytes": b"", "whole": 0, "number": 0.0, "flag": False}.get(name)
    kind = KINDS[name][0]
    value = pa.scalar(0, pa.int32()).cast(kind).as_py() if name == "day" else value
    value = pa.scalar(0, pa.int64()).cast(kind).as_py() if name == "time" else value
    there, gone = (pa.table({"a": pa.array([cell], kind)}) for cell in (value, None))
    assert digests_of(there).differences(published(gone, [0]), ()) != []
    assert digests_of(gone).differences(published(there, [0]), ()) != []
