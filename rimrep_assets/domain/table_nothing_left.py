"""A table of which no row is left: which steps took them, and where the rows lie that a box missed.

Here belongs saying it. Not here: the steps (``table_steps_applied``), or deciding that there is nothing to publish.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import crs_code, is_geographic
from rimrep_assets.domain.table_source import makes_points, open_source
from rimrep_assets.domain.table_steps_applied import LEFT_OUT
from rimrep_assets.domain.table_types import ColumnType, as_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FAR = 1e300
"""beyond any place in metres"""


def nothing_left(path: Path, name: str, dataset: Dataset, left_out: Mapping[str, int]) -> str:
    """Why no row is left of any source file, of which ``name`` at ``path`` is the first; it is read again where
    ``clip`` took rows. ``left_out``: of all files, by step."""
    counted = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
    told = "no source file has any row" + (f" left; left out were {counted}" if counted else "")
    clip = dataset.convert.clip
    if clip is None or clip.bbox is None or not left_out.get(LEFT_OUT.format(step="clip")):
        return told
    crs, bounds = _lying(path, name, dataset)
    box = ", ".join(f"{edge:g}" for edge in clip.bbox)
    told += f"; clip.bbox is [{box}], in the units of {crs_code(crs)}"
    if bounds is None:
        return f"{told}, and no row of {name} has a place"
    return f"{told}, and {name} spans x {bounds[0]:g} to {bounds[2]:g}, y {bounds[1]:g} to {bounds[3]:g}"


def _lying(path: Path, name: str, dataset: Dataset) -> tuple[Mapping[str, Any] | None, np.ndarray[Any, Any] | None]:
    """The CRS of a file, and the bounds of what the steps but for ``clip`` leave; None where nothing has a place."""
    import numpy as np

    convert = dataset.convert
    assert convert.clip is not None
    crs = open_source(path, name, dataset).crs
    everywhere = (-180.0, -90.0, 180.0, 90.0) if is_geographic(crs) else (-FAR, -FAR, FAR, FAR)
    clip = convert.clip.model_copy(update={"bbox": everywhere, "cut": False})
    whole = dataset.model_copy(update={"convert": convert.model_copy(update={"clip": clip})})
    table = open_source(path, name, whole)
    ends = [_bounds(block, whole, table.decimal) for block in table.blocks({})]
    known = np.array([bounds for bounds in ends if not np.isnan(bounds).any()])
    if len(known) == 0:
        return crs, None
    return crs, np.concatenate([known[:, :2].min(axis=0), known[:, 2:].max(axis=0)])


def _bounds(block: pa.RecordBatch, dataset: Dataset, decimal: str) -> np.ndarray[Any, Any]:
    import numpy as np
    import shapely

    there = dataset.coordinates
    if makes_points(dataset):
        cells = [as_type(block.column(str(c)), ColumnType("number", decimal=decimal)) for c in (there.x, there.y)]
        # What is within a box was read as numbers.
        x, y = (np.asarray(numbers, float) for numbers in cells if numbers is not None)
        return np.array([x.min(), y.min(), x.max(), y.max()])
    geometries = as_type(block.column(str(there.geometry)), ColumnType("geometry"))
    assert geometries is not None
    return shapely.total_bounds(shapely.from_wkb(geometries.to_numpy(zero_copy_only=False)))
