"""Counting a block: equal to numpy's masked arrays, for every type, fill and end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.grid_layout import Number, Packing
from rimrep_assets.domain.grid_stats import count

WHOLE = ("i1", "u1", "i2", "u2", "i4", "u4", "i8")


@st.composite
def whole_numbers(draw):
    dtype = np.dtype(draw(st.sampled_from(WHOLE)))
    ends = np.iinfo(dtype)
    one = st.one_of(st.integers(int(ends.min), int(ends.max)), st.sampled_from([int(ends.min), int(ends.max), 0, 1]))
    fills = draw(st.lists(one, max_size=3))
    numbers = draw(st.lists(st.one_of(one, st.sampled_from(fills or [0])), min_size=0, max_size=12))
    return np.array(numbers, dtype), fills


@given(whole_numbers(), st.sampled_from([None, 0.5, -2.0]))
def test_whole_numbers_count_as_numpys_masked_arrays_do(held, scale):
    raw, fills = held
    numbers = [Number.of(f, raw.dtype.name) for f in fills]
    packing = Packing(
        fill=numbers[0] if numbers else None, missing=tuple(numbers[1:]), scale=scale and Number.of(np.float64(scale))
    )
    found = count(raw, packing)
    masked = np.ma.masked_array(raw, np.isin(raw, np.array(fills, raw.dtype)))
    assert (found.valid, found.missing) == (masked.count(), raw.size - masked.count())
    if not masked.count():
        assert (found.min, found.max) == (None, None)
        return
    ends = [float(masked.min()) * (scale or 1), float(masked.max()) * (scale or 1)]
    assert (found.min, found.max) == (min(ends), max(ends))


@given(
    st.lists(st.one_of(st.floats(width=32), st.sampled_from([-9999.0, float("nan"), float("inf")])), max_size=12),
    st.booleans(),
)
def test_floats_count_what_is_a_number_and_measure_what_is_finite(values, filled):
    raw = np.array(values, "f4")
    packing = Packing(fill=Number.of(np.float32(-9999.0)) if filled else None)
    found = count(raw, packing)
    valid = ~np.isnan(raw) & ~((raw == np.float32(-9999.0)) & filled)
    assert (found.valid, found.missing) == (int(valid.sum()), raw.size - int(valid.sum()))
    finite = raw[valid & np.isfinite(raw)]
    assert found.min == (float(finite.min()) if finite.size else None)
    assert found.max == (float(finite.max()) if finite.size else None)


@pytest.mark.parametrize("fill", [255, 0, 7])
def test_signed_bytes_that_mean_unsigned_ones_are_measured_so(fill):
    raw = np.array([255, 0, 7, 200], "u1").view("i1")
    found = count(raw, Packing(unsigned=True, fill=Number.of(np.array([fill], "u1").view("i1")[0])))
    rest = [n for n in (255, 0, 7, 200) if n != fill]
    assert (found.valid, found.min, found.max) == (3, min(rest), max(rest))
