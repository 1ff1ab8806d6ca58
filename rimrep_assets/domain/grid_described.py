"""Attributes as they are published: what CF wants of coordinates, what ACDD wants of the whole, computed from the axes.

Here belongs completing what the files say. Not here: what they say (``grid_attributes``), or packing
(``grid_encoding``). Nothing here knows the clock: equal grids get equal attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_facts import axis_values, box_of, mapping_of
from rimrep_assets.domain.grid_layout import GLOBAL
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import cadence_us, iso_duration, iso_time

if TYPE_CHECKING:
    import zarr

_SPATIAL = {
    "x": {"standard_name": "longitude", "units": "degrees_east"},
    "y": {"standard_name": "latitude", "units": "degrees_north"},
}
_COUNTED = ("units", "calendar", "valid_min", "valid_max", "valid_range")
"""attributes of times in a file that do not hold in the units that are published"""
_POSITIVE = {"depth": "down", "altitude": "up", "height": "up"}
"""which way a vertical axis counts, by standard name or name"""


def global_attributes(group: zarr.Group, state: GridState, dataset: Dataset) -> dict[str, Any]:
    """Attributes of the grid as a whole: extents computed from its axes in ``group``, and what all files agree on.

    Longitudes are those of the bounding box: west is larger than east where the grid crosses the antimeridian.
    Source: https://wiki.esipfed.org/Attribute_Convention_for_Data_Discovery_1-3
    """
    return {**_coverage(state), **_extent(group, state, dataset), **state.published_attributes(GLOBAL)}


def _coverage(state: GridState) -> dict[str, Any]:
    time = state.united.time
    if time is None:
        return {}
    found = {
        "time_coverage_start": iso_time(state.axis[0].time, time.calendar),
        "time_coverage_end": iso_time(state.axis[-1].time, time.calendar),
    }
    step = {} if state.cadence is None else {"time_coverage_resolution": iso_duration(cadence_us(state.cadence))}
    return {**found, **step}


def _extent(group: zarr.Group, state: GridState, dataset: Dataset) -> dict[str, Any]:
    named = {p: n for p, n in dataset.coordinates.named().items() if p != "t" and n in state.united.variables}
    values = {part: axis_values(group, state, name) for part, name in named.items()}
    found: dict[str, Any] = {}
    box = box_of(state, dataset, values)
    if box is not None:
        names = ("geospatial_lon_min", "geospatial_lat_min", "geospatial_lon_max", "geospatial_lat_max")
        found |= {name: round(value, 6) for name, value in zip(names, box, strict=True)}
    if "z" in values:
        z = values["z"][values["z"] == values["z"]]
        if z.size:
            found |= {"geospatial_vertical_min": float(z.min()), "geospatial_vertical_max": float(z.max())}
    return found


def completed(state: GridState, name: str, dataset: Dataset) -> dict[str, Any]:
    """Published attributes of a variable; declared coordinates get what CF wants of them where they lack it."""
    found = state.published_attributes(name)
    part = next((p for p, n in dataset.coordinates.named().items() if n == name), None)
    time = state.united.time
    if time is not None and name == time.name:
        calendar = {"calendar": time.calendar}
        kept = {k: v for k, v in found.items() if k not in _COUNTED}
        return {"standard_name": "time", **kept, "axis": "T", "units": state.time_units, **calendar}
    if time is not None and name in state.united.variables and state.united.variables[name].time_bounds is not None:
        # CF 7.1 wants the very units of the axis, or none; xarray decodes a climatology only where they are said.
        kept = {k: v for k, v in found.items() if k not in _COUNTED}
        return {**kept, "units": state.time_units, "calendar": time.calendar}
    if part is None:
        return found
    # CF allows axis on one-dimensional coordinates alone.
    one_dimension = len(state.united.variables[name].dims) == 1
    axis = {"axis": part.upper()} if one_dimension else {}
    kept = found if one_dimension else {k: v for k, v in found.items() if k != "axis"}
    return {**_words(part, name, found, state, dataset), **axis, **kept}


def _words(part: str, name: str, found: dict[str, Any], state: GridState, dataset: Dataset) -> dict[str, str]:
    """Standard name, units or direction of a coordinate in space, as far as they are certain."""
    if part == "z":
        told = str(found.get("standard_name", name)).lower()
        positive = _POSITIVE.get(told)
        words = {} if positive is None else {"standard_name": told, "positive": positive}
        return words
    units = found.get("units")
    if isinstance(units, str) and units:
        degrees = units.lower().startswith("degree")
        return {"standard_name": _SPATIAL[part]["standard_name"] if degrees else f"projection_{part}_coordinate"}
    projected = str(found.get("standard_name", "")).startswith("projection") or mapping_of(state, dataset) is not None
    return {"standard_name": f"projection_{part}_coordinate"} if projected else dict(_SPATIAL[part])
