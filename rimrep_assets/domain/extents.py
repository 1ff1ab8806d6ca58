"""Where and when: boxes in degrees and spans of time, as every description writes them.

Here belongs what may stand in a bbox and how boxes become geometries and unions. Not here: measuring extents
(``tabular``, ``gridded``) or deciding where they come from (``facts``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def on_globe(bbox: Sequence[float]) -> list[float]:
    """``[west, south, east, north]`` with longitudes in -180..180; west above east says that 180° is crossed.

    Source: https://www.rfc-editor.org/rfc/rfc7946#section-5.2
    """
    west, south, east, north = bbox
    if east - west >= 360:
        return [-180.0, south, 180.0, north]
    if west >= 180 and east > 180:
        west, east = west - 360, east - 360
    if east > 180:
        east -= 360
    return [west, south, east, north]


def geometry_of(bbox: Sequence[float]) -> dict[str, Any]:
    """The box as a GeoJSON polygon, counter-clockwise and closed; two polygons where it crosses 180°."""
    west, south, east, north = bbox
    if west <= east:
        return {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
    parts = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
    return {"type": "MultiPolygon", "coordinates": parts}


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def union_of(boxes: Iterable[Sequence[float]]) -> list[float] | None:
    """The smallest box around all; None for none. A box that crosses 180° keeps the union crossing."""
    known = list(boxes)
    if not known:
        return None
    wests, souths, easts, norths = zip(*known, strict=True)
    if all(west <= east for west, east in zip(wests, easts, strict=True)):
        return [min(wests), min(souths), max(easts), max(norths)]
    # Widths counted eastwards, so that 170..-170 is one stretch; the shortest stretch that holds all begins at a west.
    stretches = [(w, e - w if w <= e else e - w + 360) for w, e in zip(wests, easts, strict=True)]
    width, west = min((max((w - begin) % 360 + wide for w, wide in stretches), begin) for begin in wests)
    return on_globe([west, min(souths), west + min(width, 360), max(norths)])


def in_utc(text: str) -> str:
    """The same instant written in UTC, ending in Z, as STAC wants it. Raises: ValueError for what is no instant."""
    found = moment(text)
    if found is None:
        raise ValueError(f"{text!r} is not a date and time with a timezone")
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(text: Any) -> datetime | None:
    """The instant that an ISO 8601 text with a timezone names; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def bbox_problems(bbox: Any) -> list[str]:
    """What is wrong with ``[west, south, east, north]`` in degrees; longitudes may run to 360."""
    if not isinstance(bbox, Sequence) or isinstance(bbox, str) or len(bbox) != 4:
        return [f"{bbox!r} is not [west, south, east, north]"]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in bbox):
        return [f"{list(bbox)!r} holds something that is not a number"]
    west, south, east, north = bbox
    problems = []
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        problems.append(f"{list(bbox)}: a latitude lies outside -90..90")
    elif south > north:
        problems.append(f"{list(bbox)}: south {south} is above north {north}")
    if not (-180 <= west <= 360 and -180 <= east <= 360):
        problems.append(f"{list(bbox)}: a longitude lies outside -180..360")
    elif west > east and not (west <= 180 and east >= -180 and west > 0 > east):
        problems.append(f"{list(bbox)}: west {west} is beyond east {east}")
    return problems


def span_problems(temporal: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``start_datetime`` and ``end_datetime``."""
    moments, problems = [], []
    for key in ("start_datetime", "end_datetime"):
        found = moment(temporal.get(key))
        if found is None:
            problems.append(f"{key} {temporal.get(key)!r} is not a UTC date and time like 2020-01-31T00:00:00Z")
        else:
            moments.append(found)
    if len(moments) == 2 and moments[0] > moments[1]:
        problems.append(f"start {temporal['start_datetime']} is after end {temporal['end_datetime']}")
    return problems
