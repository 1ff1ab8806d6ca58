"""Which cells of a file are published and in what order: clipping and turning axes, as spans of indexes.

Here belongs the geometry of axes, on values. Not here: reading values by spans (``grid_values``), or shifting
longitudes (``grid_reencoding``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rimrep_assets.domain.grid_layout import Span, Wrap
from rimrep_assets.domain.grid_reencoding import into_range
from rimrep_assets.domain.grid_steps import Clip, Orient

if TYPE_CHECKING:
    import numpy as np

RANGES = {"-180..180": Wrap(low=-180.0, high=180.0), "0..360": Wrap(low=0.0, high=360.0)}
MOST_SPANS = 3
"""a box across the seam of a rolled axis has so many; an axis that needs more is in no order"""
Direction = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Axis:
    """A coordinate of one file: its published dimensions, and its decoded values (float64, NaN for none) along them."""

    name: str
    dims: tuple[str, ...]
    values: np.ndarray
    dtype: str
    """in which its values are stored, so that a bound is compared as the number that the file would hold"""
    units: str | None = None

    @property
    def in_degrees(self) -> bool:
        import numpy as np

        if self.units:
            return self.units.lower().startswith("degree")
        held = self.values[np.isfinite(self.values)]
        return bool(held.size and np.abs(held).max() <= 540.0)


@dataclass
class Placing:
    """The spans of dimensions that ``clip`` and ``orient`` ask for; ``problems`` gathers what forbids them."""

    axes: Mapping[str, Axis]
    """by part: x, y and, where it is clipped, z"""
    clip: Clip | None
    orient: Orient | None
    problems: list[str] = field(default_factory=list)

    def spans(self) -> dict[str, tuple[Span, ...]]:
        """By dimension; dimensions that are published as they stand are absent."""
        x, y = self.axes["x"], self.axes["y"]
        kept: dict[str, np.ndarray] = {}
        if self.clip is not None and self.clip.bbox is not None:
            kept |= self._within_box(x, y, self.clip)
        if self.clip is not None and self.clip.z is not None:
            kept |= self._within_z(self.axes["z"], self.clip.z)
        if self.problems:
            return {}
        found = {dim: _stretches(mask) for dim, mask in kept.items()}
        if self.orient is not None:
            found |= self._turned(kept, self.orient)
        sizes = {d: size for axis in self.axes.values() for d, size in zip(axis.dims, axis.values.shape, strict=True)}
        return {dim: tuple(s) for dim, s in found.items() if list(s) != [Span(low=0, high=sizes[dim])]}

    def _within_box(self, x: Axis, y: Axis, clip: Clip) -> dict[str, np.ndarray]:
        """Of each dimension which indexes hold a cell within the box."""
        assert clip.bbox is not None
        west, south, east, north = clip.bbox
        if west > east and not x.in_degrees:
            self.problems.append(f"clip.bbox: west {west:g} lies east of east {east:g}, and {x.name} is no longitude")
            return {}
        columns = _between_meridians(x, west, east) if x.in_degrees else _between(x, west, east)
        rows = _between(y, south, north)
        if x.values.ndim == 2 and x.dims == y.dims:
            inside = columns & rows
            found = {x.dims[0]: _hull(inside.any(axis=1)), x.dims[1]: _hull(inside.any(axis=0))}
        elif x.values.ndim == y.values.ndim == 1 and x.dims != y.dims:
            found = {x.dims[0]: columns, y.dims[0]: rows}
        else:
            self.problems.append(
                f"clip.bbox: {x.name} {x.dims} and {y.name} {y.dims} are neither two axes nor a curvilinear grid"
            )
            return {}
        if not all(mask.any() for mask in found.values()):
            self.problems.append(
                f"clip.bbox [{west:g}, {south:g}, {east:g}, {north:g}] holds the centre of no cell "
                f"({x.name} {_ends(x)}, {y.name} {_ends(y)})"
            )
        return found

    def _within_z(self, z: Axis, bounds: tuple[float, float]) -> dict[str, np.ndarray]:
        if z.values.ndim != 1:
            self.problems.append(f"clip.z: {z.name} has dimensions {z.dims}; clipping needs one")
            return {}
        kept = _between(z, *bounds)
        if not kept.any():
            self.problems.append(f"clip.z [{bounds[0]:g}, {bounds[1]:g}] holds no level ({z.name} {_ends(z)})")
        return {z.dims[0]: kept}

    def _turned(self, kept: Mapping[str, np.ndarray], orient: Orient) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        for part, direction in (("x", orient.x), ("y", orient.y)):
            axis = self.axes[part]
            values = axis.values
            if part == "x" and orient.longitude is not None:
                if not axis.in_degrees:
                    self.problems.append(f"orient.longitude: {axis.name} is no longitude (unit {axis.units})")
                    continue
                values = into_range(values, RANGES[orient.longitude])
            elif direction is None:
                continue
            if values.ndim == 1:
                self._in_order(axis, values, kept, direction, found)
            elif direction is not None:
                self.problems.append(f"orient.{part}: {axis.name} has dimensions {axis.dims}; only one can be turned")
        return found

    def _in_order(
        self,
        axis: Axis,
        values: np.ndarray,
        kept: Mapping[str, np.ndarray],
        direction: Direction | None,
        found: dict[str, list[Span]],
    ) -> None:
        import numpy as np

        dim = axis.dims[0]
        mask = kept.get(dim, np.ones(values.shape, bool))
        if not np.isfinite(values[mask]).all():
            self.problems.append(f"orient: {axis.name} has cells without value, so its order is unknown")
            return
        if np.unique(values[mask]).size < mask.sum():
            ordered = np.sort(values[mask])
            twice = ordered[1:][np.diff(ordered) == 0][0]
            self.problems.append(f"orient: {axis.name} would have {twice:g} twice; clip one of them away")
            return
        spans = _ordered(values, mask, direction)
        if len(spans) > MOST_SPANS:
            self.problems.append(f"orient: {axis.name} is in no order that turning and rolling could put right")
            return
        found[dim] = spans


def disorder(axis: Axis, part: str) -> str | None:
    """Why readers cannot look a place up on a one-dimensional axis, in words with the rule that helps; None where all
    is well: every cell has a value, and they ascend or descend."""
    import numpy as np

    values = axis.values
    if values.ndim != 1 or values.size == 0:
        return None
    if not np.isfinite(values).all():
        return f"{axis.name} has cells without value, so that nobody knows where they are"
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return None
    order = np.argsort(values, kind="stable")
    equal = np.flatnonzero(np.diff(values[order]) == 0)
    if equal.size:
        first, second = sorted(order[equal[0] : equal[0] + 2].tolist())
        return f"{axis.name} has {values[first]:g} twice, at {first} and {second}"
    # Against the way of most steps.
    at = int(np.flatnonzero(np.sign(steps) != (np.sign(steps).sum() >= 0) * 2 - 1)[0])
    told = f"{axis.name} neither ascends nor descends: {values[at]:g} at {at} is followed by {values[at + 1]:g}"
    return f"{told}{_rolled(axis) if part == 'x' and axis.in_degrees else ''}"


def _rolled(axis: Axis) -> str:
    """The rule that puts longitudes in order which cross the end of their range; no word where none does."""
    import numpy as np

    every = np.ones(axis.values.shape, bool)
    widest: dict[str, float] = {}
    for words, wrap in RANGES.items():
        moved = into_range(axis.values, wrap)
        if np.unique(moved).size == moved.size and len(_ordered(moved, every, None)) <= MOST_SPANS:
            widest[words] = float(np.diff(np.sort(moved)).max())
    # A grid that crosses the end of one range has a gap of nearly the whole turn in it.
    return f"; orient: {{longitude: {min(widest, key=widest.__getitem__)}}} puts it in order" if widest else ""


def _between(axis: Axis, low: float, high: float) -> np.ndarray:
    bounds = [_as_stored(axis, bound) for bound in (low, high)]
    inside: np.ndarray = (axis.values >= bounds[0]) & (axis.values <= bounds[1])
    return inside


def _between_meridians(axis: Axis, west: float, east: float) -> np.ndarray:
    """Longitudes from west eastward to east, whichever turn the file counts them in."""
    import numpy as np

    east = east + 360.0 if west > east else east
    inside = np.zeros(axis.values.shape, bool)
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):
        inside |= _between(axis, west + turn, east + turn)
    return inside


def _as_stored(axis: Axis, bound: float) -> float:
    """145.1 in a file of float32 is another number; a bound at a cell's centre must hold that cell."""
    import numpy as np

    return float(np.dtype(axis.dtype).type(bound)) if np.dtype(axis.dtype).kind == "f" else bound


def _ends(axis: Axis) -> str:
    import numpy as np

    held = axis.values[np.isfinite(axis.values)]
    return f"{held.min():g} to {held.max():g}" if held.size else "without values"


def _hull(mask: np.ndarray) -> np.ndarray:
    """All indexes from the first to the last that are held."""
    import numpy as np

    held = np.flatnonzero(mask)
    found = np.zeros(mask.shape, bool)
    if held.size:
        found[held[0] : held[-1] + 1] = True
    return found


def _stretches(mask: np.ndarray) -> list[Span]:
    """Neighbouring indexes that are held, as spans in the order of the source."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype("i1")))
    return [Span(low=int(low), high=int(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]


def _ordered(values: np.ndarray, mask: np.ndarray, direction: Direction | None) -> list[Span]:
    """The held indexes in order of their values, as spans; ``direction`` None: that of most steps."""
    import numpy as np

    held = np.flatnonzero(mask)
    ascending = direction == "ascending" if direction else np.sign(np.diff(values[held])).sum() >= 0
    order = held[np.argsort(values[held] if ascending else -values[held], kind="stable")].tolist()
    spans: list[Span] = []
    start = 0
    for stop in range(1, len(order) + 1):
        step = order[start + 1] - order[start] if stop - start > 1 else 0
        if stop < len(order) and order[stop] - order[stop - 1] in ((step,) if step else (1, -1)):
            continue
        first, last = order[start], order[stop - 1]
        spans.append(Span(low=min(first, last), high=max(first, last) + 1, backward=first > last))
        start = stop
    return spans
