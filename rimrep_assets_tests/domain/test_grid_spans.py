"""The geometry of axes: which indexes are published in what order, held against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.grid_layout import Variable, Wrap
from rimrep_assets.domain.grid_reencoding import wrapped
from rimrep_assets.domain.grid_spans import Axis, Placing
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
