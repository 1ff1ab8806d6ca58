"""The geometry of axes: which indexes are published in what order, held against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.grid_layout import Variable, Wrap
from rimrep_assets.domain.grid_reencoding import wrapped
from rimrep_assets.domain.grid_spans import Axis, Placing, disorder
from rimrep_assets.domain.grid_steps import Clip, Orient
from rimrep_assets.domain.grid_values import places


@given(
    start=st.integers(-360, 360),
    size=st.integers(1, 36),
    backward=st.booleans(),
    box=st.tuples(st.integers(-360, 360), st.integers(0, 360)),
    way=st.sampled_from([None, "-180..180", "0..360"]),
)
def test_clipping_and_rolling_agree_with_sorting_by_brute_force(start, size, backward, box, way):
    lon = np.arange(start, start + 10 * size, 10.0)[:: -1 if backward else 1]
    west, east = float(box[0]), float(box[0] + box[1])
    axes = {
        "x": Axis("lon", ("lon",), lon, "float64", "degrees_east"),
        "y": Axis("lat", ("lat",), np.array([0.0, 1.0]), "float64"),
    }
    placing = Placing(axes, Clip(bbox=(west, 0, east, 1)), Orient(longitude=way) if way else None)
    spans = placing.spans()
    inside = [n for n, v in enumerate(lon) if any(west <= v + turn <= east for turn in range(-1080, 1081, 360))]
    if not inside:
        assert "holds the centre of no cell" in placing.problems[0]
        return
    if way is None:
        expected = inside
    else:
        low = -180.0 if way == "-180..180" else 0.0
        turns = sorted(range(-4, 5), key=abs)
        new = [next(v + 360 * n for n in turns if low <= v + 360 * n <= low + 360) for v in lon]
        if len({new[n] for n in inside}) < len(inside):
            assert "twice" in placing.problems[0]
            return
        steps = np.sign(np.diff([new[n] for n in inside])).sum()
        expected = sorted(inside, key=lambda n: new[n], reverse=bool(steps < 0))
    assert placing.problems == []
    there = spans.get("lon")
    found = np.arange(len(lon)) if there is None else np.arange(len(lon))[min(s.low for s in there) :]
    assert (
        list(found if there is None else found[places(there, min(s.low for s in there))])[: len(expected)] == expected
    )


@given(st.lists(st.floats(-540, 540, allow_nan=False), min_size=1), st.sampled_from([(-180.0, 180.0), (0.0, 360.0)]))
def test_a_longitude_in_a_range_is_the_same_meridian(values, ends):
    lon = Variable(source="x", source_dims=("x",), dims=("x",), dtype="float64", role="coordinate")
    lon = lon.model_copy(update={"wrap": Wrap(low=ends[0], high=ends[1])})
    found = wrapped(np.array(values), lon)
    assert ((found >= ends[0] - 1e-3) & (found <= ends[1] + 1e-3)).all()
    turns = (found - np.array(values)) / 360
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


@given(st.lists(st.floats(-540, 540, allow_nan=False), min_size=1, max_size=6))
def test_an_axis_is_in_order_exactly_when_sorting_changes_nothing(values):
    told = disorder(Axis("lat", ("lat",), np.array(values), "float64"), "y")
    in_order = any(values == sorted(set(values), reverse=way) for way in (False, True))
    assert (told is None) == in_order


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([358, 359, 0, 1, 2], "lon neither ascends nor descends: 359 at 1 is followed by 0; "
         "orient: {longitude: -180..180} puts it in order"),
        ([178, 179, -180, -179], "179 at 1 is followed by -180; orient: {longitude: 0..360} puts it in order"),
        ([10, 50, 20, 60, 30, 70], "lon neither ascends nor descends: 50 at 1 is followed by 20"),
        ([10, 20, 20, 40], "lon has 20 twice, at 1 and 2"),
        ([10, 20, 10], "lon has 10 twice, at 0 and 2"),
        ([10, np.nan, 30], "lon has cells without value"),
    ],
)  # fmt: skip
def test_an_axis_in_disorder_is_told_with_the_rule_that_helps(values, words):
    told = disorder(Axis("lon", ("lon",), np.array(values, "f8"), "float64", "degrees_east"), "x")
    assert words in told
    assert ("orient" in told) == ("orient" in words)
