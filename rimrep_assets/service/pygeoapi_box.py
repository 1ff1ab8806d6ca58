"""Which rows of a table intersect a box that pygeoapi is asked for.

Here belongs the box: a condition on the GeoParquet covering, which leaves row groups unread, and the look at shapes
whose bounds reach into the box although they may not. Not here: reading rows and writing features
(``pygeoapi_providers``).
Source: https://docs.ogc.org/is/17-069r4/17-069r4.html#_parameter_bbox
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

TURN = 360.0
STEPS = 64
"""an edge of a box is bent by another CRS: so many pieces follow it"""


class Box:
    """``bbox`` in degrees as it is asked for (a west above the east crosses 180°), in the table's ``crs``.

    Longitudes of a table may go on to 360: what stands at 200 is met by a box at -160.

    ``may``: which rows may intersect it, by the ``covering`` (edge to path) alone; ``surely``: those of them that lie
    in it wholly, or None where nothing can be said.
    """

    def __init__(self, bbox: Sequence[float], covering: Mapping[str, Sequence[str]], crs: Any) -> None:
        half = len(bbox) // 2
        west, south, east, north = (float(n) for n in (bbox[0], bbox[1], bbox[half], bbox[half + 1]))
        sides = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        around = [(w + TURN, e + TURN) for w, e in sides if e + TURN > 180.0]
        shapes = [shapely.box(w, south, e, north) for w, e in sides]
        self._shape, projected = _in_own_crs(shapely.union_all(shapes), crs)
        # Not united with the box: a union would lose one that is a point.
        self._around = [] if projected else [shapely.box(w, south, e, north) for w, e in around]
        shapely.prepare([self._shape, *self._around])
        xmin, ymin, xmax, ymax = (pc.field(*covering[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
        self.surely = None
        if projected:
            west, south, east, north = shapely.bounds(self._shape).tolist()
        elif west <= east:
            self.surely = (xmin >= west) & (xmax <= east) & (ymin >= south) & (ymax <= north)
        across = (xmax >= west) & (xmin <= east) if west <= east else (xmax >= west) | (xmin <= east)
        for w, _, e, _ in map(shapely.bounds, self._around):
            across = across | ((xmax >= w) & (xmin <= e))
        self.may = across & (ymax >= south) & (ymin <= north)

    def touching(self, geometries: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Which WKB geometries intersect the box, shape (n,); none of those that are null."""
        there = shapely.from_wkb(geometries.to_pylist())
        found: np.ndarray[Any, Any] = shapely.intersects(self._shape, there)
        for shape in self._around:
            found |= shapely.intersects(shape, there)
        return pa.array(found)


def _in_own_crs(shape: Any, crs: Any) -> tuple[Any, bool]:
    """The box in ``crs``, and whether that is a projection."""
    from pyproj import CRS, Transformer

    own = CRS.from_user_input(crs)
    if own.is_geographic:
        return shape, False
    into = Transformer.from_crs("OGC:CRS84", own, always_xy=True)
    west, south, east, north = shapely.bounds(shape)
    fine = shapely.segmentize(shape, max(east - west, north - south, 1e-9) / STEPS)
    return shapely.transform(fine, lambda at: np.column_stack(into.transform(at[:, 0], at[:, 1]))), True
