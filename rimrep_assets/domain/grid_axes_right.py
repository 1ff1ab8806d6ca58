"""Axes of one file put right by declared rule: its variables get the spans and ranges that ``clip`` and ``orient`` ask.

Here belongs which variables of a file are concerned. Not here: the geometry (``grid_spans``), or what becomes of the
values (``grid_values``, ``grid_reencoding``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_attributes import references_of
from rimrep_assets.domain.grid_file import RawFile
from rimrep_assets.domain.grid_layout import Span, Variable, Wrap
from rimrep_assets.domain.grid_reencoding import into_range
from rimrep_assets.domain.grid_spans import RANGES, Axis, Placing
from rimrep_assets.domain.grid_values import decode, read_raw

if TYPE_CHECKING:
    import numpy as np


def put_axes_right(
    file: RawFile, variables: Mapping[str, Variable], dataset: Dataset, time_dim: str | None, problems: list[str]
) -> dict[str, Variable]:
    """The variables, by published name, with the spans and ranges of ``clip`` and ``orient``.

    The axes' values are read. What forbids a rule is added to ``problems``, and the variables are then as they were.
    """
    clip, orient = dataset.convert.clip, dataset.convert.orient
    named = dataset.coordinates.named()
    parts = ["x", "y", *(["z"] if clip is not None and clip.z is not None else [])]
    if (clip is None and orient is None) or any(named.get(part) not in variables for part in parts):
        return dict(variables)
    found = len(problems)
    for part in parts:
        variable = variables[named[part]]
        if not variable.dims or time_dim in variable.dims:
            what = "varies with time" if variable.dims else "has no dimension"
            problems.append(f"clip and orient need axes that stand still, and {named[part]!r} {what}")
    if len(problems) > found:
        return dict(variables)
    held = {part: variables[named[part]] for part in parts}
    axes = {part: axis_of(named[part], variable, read_raw(file, variable)) for part, variable in held.items()}
    placing = Placing(axes, clip, orient)
    spans = placing.spans()
    wraps = (
        _wraps(file, variables, axes["x"], RANGES[orient.longitude], problems) if orient and orient.longitude else {}
    )
    problems += placing.problems
    if len(problems) > found:
        return dict(variables)
    return {name: _placed(variable, spans, wraps.get(name)) for name, variable in variables.items()}


def axis_of(name: str, variable: Variable, raw: np.ndarray) -> Axis:
    """The axis whose stored numbers are ``raw``."""
    values = decode(raw, variable.packing)
    dtype = "float64" if variable.packing.scales else variable.dtype
    return Axis(name, variable.dims, values, dtype, variable.units)


def _wraps(
    file: RawFile, variables: Mapping[str, Variable], x: Axis, wrap: Wrap, problems: list[str]
) -> dict[str, Wrap]:
    """The longitudes and the corners of their cells with the range they are brought into; none where they are in it."""
    import numpy as np

    moved = into_range(x.values, wrap)
    if not (moved != x.values)[np.isfinite(x.values)].any():
        return {}
    variable = variables[x.name]
    if variable.packing.scales:
        problems.append(
            f"orient.longitude: {x.name} is packed (scale, offset), so it cannot be shifted as it is stored"
        )
    kind = np.dtype(variable.dtype)
    if kind.kind in "iu" and (np.nanmin(moved) < np.iinfo(kind).min or np.nanmax(moved) > np.iinfo(kind).max):
        problems.append(
            f"orient.longitude: {x.name} is stored as {kind.name}, which cannot hold {wrap.low:g}..{wrap.high:g}"
        )
    found = {x.name: wrap}
    corners = references_of(file.variables[variable.source], "bounds")
    for name, other in variables.items():
        if other.source in corners and other.dims[: len(x.dims)] == x.dims and len(other.dims) == len(x.dims) + 1:
            found[name] = wrap.model_copy(update={"cells": True})
    return found


def _placed(variable: Variable, spans: Mapping[str, tuple[Span, ...]], wrap: Wrap | None) -> Variable:
    own = {dim: spans[dim] for dim in variable.source_dims if dim in spans}
    return variable.model_copy(update={"spans": own, "wrap": wrap}) if own or wrap else variable


def published_size(dim: str, size: int, variables: Mapping[str, Variable]) -> int:
    """The size of a dimension after its spans."""
    spans = next((v.spans[dim] for v in variables.values() if dim in v.spans), ())
    return sum(span.high - span.low for span in spans) if spans else size
