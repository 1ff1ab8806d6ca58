"""Places of the second reader: rows in a box, features beside the description, one row at a time.

Here belongs doing ``clip`` and ``join_geometry`` once more. Not here: the other steps (``table_second_steps``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_second_row import GEOMETRY

Values = dict[str, Any]


def within_box(
    rows: Iterator[Values], dataset: Dataset, x: str | None, y: str | None, shape: str | None, point: str
) -> Iterator[Values]:
    """The rows that ``clip`` leaves: by the columns ``x`` and ``y``, or by the geometry, which may stand in the
    column ``shape``. Degrees are tried a full turn to the west and to the east too."""
    clip = dataset.convert.clip
    assert clip is not None and clip.bbox is not None
    west, south, east, north = clip.bbox
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    # What is in metres lies thousands of them from its origin: a box of such small numbers is in degrees.
    turns = (-360.0, 0.0, 360.0) if _is_degrees(clip.bbox) else (0.0,)
    spans = [(start + turn, stop + turn) for start, stop in spans for turn in turns]
    if shape is None:
        assert x and y
        for values in rows:
            across, up = _float(values[x], point), _float(values[y], point)
            if across is None or up is None:
                continue
            if south <= up <= north and any(start <= across <= stop for start, stop in spans):
                yield values
        return
    import shapely

    area = shapely.unary_union([shapely.geometry.box(start, south, stop, north) for start, stop in spans])
    for values in rows:
        key = GEOMETRY if GEOMETRY in values else shape
        held = _shape(values[key])
        if held is None or held.disjoint(area):
            continue
        if clip.cut and not held.within(area) and not area.covers(held):
            held = _cut(held, area)
            if held is None:
                continue
        yield {**values, key: held}


def _is_degrees(bbox: tuple[float, float, float, float]) -> bool:
    return all(-360 <= edge <= 360 for edge in (bbox[0], bbox[2])) and all(-90 <= e <= 90 for e in (bbox[1], bbox[3]))


def _float(cell: Any, point: str) -> float | None:
    if cell is None:
        return None
    return float(cell.replace(point, ".")) if isinstance(cell, str) else float(cell)


def _shape(cell: Any) -> Any:
    import shapely

    if cell is None or hasattr(cell, "geom_type"):
        return cell
    return shapely.from_wkb(cell) if isinstance(cell, bytes) else shapely.from_wkt(cell)


def _cut(held: Any, area: Any) -> Any:
    import shapely

    left = held.intersection(area)
    wanted = shapely.get_dimensions(held)
    parts = [part for part in _flat(left) if shapely.get_dimensions(part) == wanted]
    if not parts:
        return None
    return left if left.geom_type != "GeometryCollection" else shapely.unary_union(parts)


def _flat(shape: Any) -> Iterator[Any]:
    if not hasattr(shape, "geoms"):
        yield shape
        return
    for part in shape.geoms:
        yield from _flat(part)


@lru_cache(maxsize=4)
def features_beside(content: str, properties: tuple[str, ...]) -> dict[tuple[str | None, ...], Any]:
    """The geometry of each feature of a GeoJSON text, by its properties as text."""
    import shapely.geometry

    found = {}
    for feature in json.loads(content)["features"]:
        key = tuple(own_key(feature["properties"][name]) for name in properties)
        place = feature["geometry"]
        found[key] = None if place is None else shapely.geometry.shape(place)
    return found


def own_key(value: Any) -> str | None:
    """A value as text, whole numbers without a fraction."""
    if value is None:
        return None
    if value is True or value is False:
        return str(value).lower()
    return f"{value:.0f}" if isinstance(value, float) and value % 1 == 0 else str(value)
