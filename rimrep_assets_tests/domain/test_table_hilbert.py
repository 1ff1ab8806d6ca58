"""The curve that puts near places near each other."""

from __future__ import annotations

import numpy as np
import pytest

from rimrep_assets.domain import table_hilbert
from rimrep_assets.domain.table_hilbert import hilbert_positions


def boxes(x, y):
    return np.stack([x, y, x, y], axis=1).astype(float)


def test_every_cell_of_a_small_square_is_met_once_and_each_step_goes_to_a_neighbour(monkeypatch):
    monkeypatch.setattr(table_hilbert, "BITS", 4)
    monkeypatch.setattr(table_hilbert, "METRES", (0.0, 0.0, 16.0))
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5))
    positions = hilbert_positions(boxes(x, y), is_geographic=False)
    assert sorted(positions) == list(range(256))
    order = np.argsort(positions)
    steps = np.abs(np.diff(x[order])) + np.abs(np.diff(y[order]))
    assert set(steps) == {1.0}


def test_a_place_keeps_its_position_whatever_else_is_there():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-180, 360, 500), rng.uniform(-90, 90, 500)
    whole = hilbert_positions(boxes(x, y), is_geographic=True)
    assert hilbert_positions(boxes(x[7:9], y[7:9]), is_geographic=True).tolist() == whole[7:9].tolist()
    assert len(set(whole.tolist())) == 500


@pytest.mark.parametrize("is_geographic", [True, False])
def test_nowhere_has_no_position_and_what_is_outside_counts_as_on_the_edge(is_geographic):
    found = hilbert_positions(np.array([[np.nan] * 4, [1e12] * 4, [1e13] * 4]), is_geographic=is_geographic)
    assert found[0] == -1
    assert found[1] == found[2] >= 0


def test_a_box_in_the_middle_of_many_places_lies_in_few_pieces_of_the_curve():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(142, 155, 20_000), rng.uniform(-25, -10, 20_000)
    order = np.argsort(hilbert_positions(boxes(x, y), is_geographic=True))
    inside = ((x > 147) & (x < 148.3) & (y > -18.5) & (y < -17))[order]
    groups = inside.reshape(200, 100).any(axis=1)
    # The box holds 1 % of the places; arrival order would put some of them into nearly all of 200 groups.
    assert groups.sum() < 12
