"""Axes x and y of a grid's files that are in no order, or lie the other way round: what ``orient`` puts right.

Here belongs telling from the axes' values which way is proposed. Not here: turning (``grid_spans``), or axes that
differ otherwise (``proposal_grid_rules``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_attributes import packing_of
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_reencoding import SLACK, into_range
from rimrep_assets.domain.grid_spans import RANGES, Axis
from rimrep_assets.domain.grid_values import decode, native
from rimrep_assets.domain.proposal import Draft
from rimrep_assets.domain.proposal_grid_roles import is_numeric, said

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class _Axes:
    """The axes of one file, each of one dimension."""

    file: str
    x: Axis
    y: Axis


def put_orient(files: Mapping[str, Path], draft: Draft) -> None:
    """Let ``draft`` turn axes where longitudes cross the end of their range, or files have them in different ways.

    Nothing is proposed where that would not bring them in order, nor for a curvilinear grid.
    """
    names = draft.keys["coordinates"]["x"], draft.keys["coordinates"]["y"]
    found = [axes for file, path in files.items() if (axes := _axes_of(file, path, *names)) is not None]
    if len(found) < len(files):
        return
    orient: dict[str, str] = {}
    why: list[str] = []
    for propose in (_longitude, _directions):
        for part, (value, reason) in propose(found).items():
            orient[part] = value
            why.append(reason)
    if orient:
        draft.put("convert.orient", orient, "; ".join(why))


def _axes_of(file: str, path: Path, x: str, y: str) -> _Axes | None:
    with open_raw(path, file) as opened:
        axes = []
        for name in (x, y):
            variable: Any = opened.variables.get(name)
            if variable is None or variable.ndim != 1 or not is_numeric(variable) or variable.shape[0] == 0:
                return None
            stored = native(variable[...])
            values = decode(stored, packing_of(variable, stored.dtype.name))
            axes.append(Axis(name, variable.dimensions, values, stored.dtype.name, said(variable, "units") or None))
        return _Axes(file, *axes)


def _longitude(found: Sequence[_Axes]) -> dict[str, tuple[str, str]]:
    """The range of longitudes, where those of a file are in no order, or files count them differently."""
    if not all(axes.x.in_degrees for axes in found):
        return {}
    broken = next((axes for axes in found if not _in_order(axes.x.values)), None)
    if broken is not None:
        values, ranged = broken.x.values, _range_in_order([axes.x.values for axes in found])
        if ranged is None:
            return {}
        at = next(i for i in range(len(values) - 1) if (values[i + 1] > values[i]) != (values[1] > values[0]))
        why = f"{broken.file}: {broken.x.name} is in no order: {values[at]:g} is followed by {values[at + 1]:g}"
        return {"longitude": (ranged, why)}
    sides = {axes.file: side for axes in found if (side := _side(axes.x.values))}
    if len(set(sides.values())) < 2:
        return {}
    ranged = Counter(sides.values()).most_common(1)[0][0]
    other = next(file for file, side in sides.items() if side != ranged)
    return {"longitude": (ranged, f"most files count longitudes in {ranged}, {other} does not")}


def _range_in_order(axes: Sequence[np.ndarray]) -> str | None:
    """The range in which all axes are in order as they stand, else one in which they are once they are rolled."""
    import numpy as np

    moved = {words: [into_range(values, wrap) for values in axes] for words, wrap in RANGES.items()}
    # Where rolling alone helps, the range in which the numbers stay what they are.
    least = sorted(moved, key=lambda words: sum(int((a != b).sum()) for a, b in zip(moved[words], axes, strict=True)))
    for fits, order in ((_in_order, list(moved)), (_in_order_when_rolled, least)):
        for words in order:
            if all(np.isfinite(values).all() and fits(values) for values in moved[words]):
                return words
    return None


def _directions(found: Sequence[_Axes]) -> dict[str, tuple[str, str]]:
    """Which way x and y run, where that differs from file to file: the way of most files."""
    turned = {}
    for part in ("x", "y"):
        axes = {one.file: getattr(one, part) for one in found}
        ways = {file: _way(axis.values) for file, axis in axes.items() if len(axis.values) > 1}
        ways = {file: way for file, way in ways.items() if way}
        if len(set(ways.values())) == 2:
            most = Counter(ways.values()).most_common(1)[0][0]
            other = next(file for file, way in ways.items() if way != most)
            turned[part] = (most, f"in most files {axes[other].name} is {most}, in {other} it is not")
    return turned


def _in_order(values: np.ndarray) -> bool:
    import numpy as np

    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _in_order_when_rolled(values: np.ndarray) -> bool:
    import numpy as np

    back = int(np.argmax(values)), int(np.argmin(values))
    return any(_in_order(np.roll(values, -start)) for start in back)


def _way(values: np.ndarray) -> str:
    return "" if not _in_order(values) else "ascending" if values[-1] > values[0] else "descending"


def _side(values: np.ndarray) -> str:
    """The range in which an axis counts; empty where it lies in both."""
    if values.min() < -SLACK:
        return "-180..180"
    return "0..360" if values.max() > 180.0 + SLACK else ""
