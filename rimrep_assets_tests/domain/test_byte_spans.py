"""Spans of bytes, held against sets of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.byte_spans import ByteSpan, joined, lacking, overlap, pieces

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6)


def bytes_of(some: Iterable[ByteSpan]) -> set[int]:
    return {at for start, stop in some for at in range(start, stop)}


@given(spans)
def test_joined_spans_hold_the_same_bytes_in_order_and_apart(some):
    found = joined(some)
    assert bytes_of(found) == bytes_of(some)
    assert all(one[1] < other[0] for one, other in pairwise(found))


@given(spans, st.integers(0, 9))
def test_a_gap_is_bridged_up_to_its_length_and_no_farther(some, gap):
    found = joined(some, gap)
    assert bytes_of(found) >= bytes_of(some)
    assert all(other[0] - one[1] > gap for one, other in pairwise(found))
    more = bytes_of(found) - bytes_of(some)
    assert all(any(abs(at - have) <= gap for have in bytes_of(some)) for at in more)


@given(spans, spans)
def test_what_lacks_is_what_is_wanted_and_not_there(wanted, there):
    found = lacking(joined(wanted), joined(there))
    assert bytes_of(found) == bytes_of(wanted) - bytes_of(there)
    assert sum(stop - start for start, stop in found) == len(bytes_of(found))


@given(spans, st.integers(1, 9))
def test_pieces_are_short_and_hold_the_same_bytes(some, longest):
    found = list(pieces(joined(some), longest))
    assert bytes_of(found) == bytes_of(some)
    assert all(0 < stop - start <= longest for start, stop in found)


@given(st.tuples(st.integers(0, 40), st.integers(0, 40)), spans)
def test_spans_overlap_where_they_have_a_byte_in_common(one, others):
    assert overlap(one, joined(others)) == bool(bytes_of([one]) & bytes_of(others)) or one[0] >= one[1]
