"""A grid's facts: its blocks' counts merged, and what its axes span.

Here belong extents, steps, bounding box and missing times. Not here: counting a block (``grid_stats``), or naming the
facts in a schema (``grid_schema``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.facts import DimensionFacts, Facts, VariableFacts
from rimrep_assets.domain.grid_axis import missing_times
from rimrep_assets.domain.grid_layout import GLOBAL
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats, VariableStats, count
from rimrep_assets.domain.grid_time import cadence_us, iso_duration, iso_time
from rimrep_assets.domain.grid_values import decode

if TYPE_CHECKING:
    import numpy as np
    import zarr
    from pyproj import CRS

MOST_ALONG = 1000
"""so many cells along each axis are projected for a bounding box"""
_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    # A rotated pole's own degrees.
    **dict.fromkeys(("degree", "degrees"), 1.0),
}
_EAST = {"degrees_east", "degree_east", "degreese", "degreee", "degrees_e", "degree_e"}
Box = tuple[float, float, float, float]


def measure_grid(state: GridState, stats: Mapping[int, BlockStats], group: zarr.Group, dataset: Dataset) -> Facts:
    """Merge the counts of every block, and measure the axes as ``group`` holds them.

    ``stats`` has each block of the state: those proven now and, for unchanged ones, those of the last release.
    ``bbox`` is of cell centres; longitudes are brought to -180..180, and west > east where the grid crosses the
    antimeridian (RFC 7946, 5.2); a grid all around gives -180..180. Dimensions keep the data's own numbers.
    Raises: DataError naming the blocks without counts.
    """
    blocks = range(-(-len(state.axis) // state.chunk))
    lacking = [b for b in blocks if b not in stats]
    if lacking:
        raise DataError(f"no counts of blocks {', '.join(map(str, lacking))}; prove them first")
    united = state.united
    values = {
        part: axis_values(group, state, name)
        for part, name in dataset.coordinates.named().items()
        if part != "t" and name in united.variables
    }
    crs = crs_of(state, dataset)
    time = united.time
    calendar = time.calendar if time else ""
    return Facts(
        format="zarr",
        dimensions=_dimensions(state, dataset, group),
        variables=_variables(state, [stats[b] for b in blocks], group),
        bbox=box_of(state, dataset, values),
        start=iso_time(state.axis[0].time, calendar) if time else None,
        end=iso_time(state.axis[-1].time, calendar) if time else None,
        missing_times=tuple(iso_time(t, calendar) for t in missing_times(state)) if time else (),
        crs=crs,
    )


def axis_values(group: zarr.Group, state: GridState, name: str) -> np.ndarray:
    """Decoded values of a coordinate, any shape; NaN where there is none."""
    array: Any = group[name]
    return decode(array[...], state.united.variables[name].packing)


def _variables(state: GridState, stats: Sequence[BlockStats], group: zarr.Group) -> dict[str, VariableFacts]:
    found = {}
    for name, variable in state.united.variables.items():
        if variable.role != "data":
            continue
        counted = [s.variables[name] for s in stats if name in s.variables]
        if not counted and not state.united.varies(name):
            array: Any = group[name]
            counted = [count(array[...], variable.packing)]
        merged = VariableStats()
        for one in counted:
            merged = merged.and_then(one)
        found[name] = VariableFacts(
            dimensions=variable.dims,
            data_type=variable.dtype,
            unit=variable.units,
            min=merged.min,
            max=merged.max,
            valid=merged.valid,
            missing=merged.missing,
        )
    return found


def _dimensions(state: GridState, dataset: Dataset, group: zarr.Group) -> dict[str, DimensionFacts]:
    found = {}
    time = state.united.time
    if time is not None:
        times = [slot.time for slot in state.axis]
        found[time.dim] = DimensionFacts(
            size=len(times),
            type="temporal",
            axis="t",
            extent=(iso_time(times[0], time.calendar), iso_time(times[-1], time.calendar)),
            step=_time_step(times, state.cadence),
        )
    for dim, size in state.united.dimensions.items():
        found[dim] = _dimension(dim, size, state, dataset, group)
    return found


def _time_step(times: Sequence[int], cadence: str | None) -> str | None:
    if cadence is not None:
        return iso_duration(cadence_us(cadence))
    # Hours stored as fractions of days differ by microseconds; a step is told to the millisecond.
    steps = {round((b - a) / 1000) * 1000 for a, b in pairwise(times)}
    return iso_duration(steps.pop()) if len(steps) == 1 else None


def _dimension(dim: str, size: int, state: GridState, dataset: Dataset, group: zarr.Group) -> DimensionFacts:
    """A dimension with the one-dimensional coordinate that lies along it: a declared one, else that of its name."""
    declared = {
        part: name
        for part, name in dataset.coordinates.named().items()
        if name in state.united.variables and state.united.variables[name].dims == (dim,)
    }
    part, name = next(iter(declared.items()), (None, dim))
    variable = state.united.variables.get(name)
    if variable is None or variable.dims != (dim,):
        return DimensionFacts(size=size, type="other")
    values = axis_values(group, state, name)
    axis: Literal["x", "y", "z"] | None = part if part in ("x", "y", "z") else None  # type: ignore[assignment]
    return DimensionFacts(
        size=size,
        type="spatial" if axis else "other",
        axis=axis,
        extent=_extent(values),
        step=_step(values),
        unit=variable.units,
    )


def _extent(values: np.ndarray) -> tuple[float, float] | None:
    """First and last value, so that a descending axis shows; None without numbers."""
    import numpy as np

    held = values[np.isfinite(values)]
    return (float(held[0]), float(held[-1])) if held.size else None


def _step(values: np.ndarray) -> float | None:
    """The regular step (negative where the axis descends); None where it is irregular.

    Regular: no step is farther from the mean than a thousandth of it, for axes are stored in float32.
    """
    import numpy as np

    if values.size < 2 or not np.isfinite(values).all():
        return None
    mean = float((values[-1] - values[0]) / (values.size - 1))
    if mean == 0 or np.abs(np.diff(values) - mean).max() > abs(mean) * 1e-3:
        return None
    return float(f"{mean:.7g}")


def crs_of(state: GridState, dataset: Dataset) -> str | None:
    """The authority code of the grid mapping, its name without one, or of plain degrees; None when nothing tells."""
    mapped = _mapped_crs(state)
    projection = mapping_of(state, dataset)
    if mapped is not None and (projection is not None or mapped.is_geographic):
        authority = mapped.to_authority()
        if authority == ("OGC", "CRS84"):
            # The same datum; the axes of a grid are named, so their order does not matter.
            return "EPSG:4326"
        if authority or projection is not None:
            return ":".join(authority) if authority else str(mapped.name)
    units = _x_units(state, dataset) or "degrees_east"
    return "EPSG:4326" if units.lower().startswith("degree") else None


def mapping_of(state: GridState, dataset: Dataset) -> CRS | None:
    """The projection that coordinates x and y are in; None where they are longitude and latitude."""
    mapped = _mapped_crs(state)
    if mapped is None or (mapped.is_geographic and not mapped.is_derived):
        return None
    east = (_x_units(state, dataset) or "").lower() in _EAST
    return None if east else mapped


def _x_units(state: GridState, dataset: Dataset) -> str | None:
    x = state.united.variables.get(dataset.coordinates.x or GLOBAL)
    return x.units if x else None


def _mapped_crs(state: GridState) -> CRS | None:
    """What the grid mapping of a data variable says."""
    for name, variable in state.united.variables.items():
        if variable.role == "data":
            mapping = state.published_attributes(name).get("grid_mapping")
            if isinstance(mapping, str) and mapping.strip():
                found = _crs_from(state.published_attributes(mapping.split()[0].rstrip(":")))
                if found is not None:
                    return found
    return None


def _crs_from(attributes: Mapping[str, Any]) -> CRS | None:
    """A coordinate reference system from what is written of it, else from CF's parameters."""
    import pyproj

    for key in ("crs_wkt", "spatial_ref", "epsg_code", "proj4"):
        if key in attributes:
            try:
                return pyproj.CRS.from_user_input(attributes[key])
            except pyproj.exceptions.CRSError:
                continue
    if "grid_mapping_name" not in attributes:
        return None
    try:
        return pyproj.CRS.from_cf(dict(attributes))
    except (pyproj.exceptions.CRSError, KeyError, ValueError, TypeError):
        return None


def box_of(state: GridState, dataset: Dataset, values: Mapping[str, np.ndarray]) -> Box | None:
    """The bounding box of coordinates x and y, whose decoded ``values`` are given; None where it cannot be told."""
    if "x" not in values or "y" not in values:
        return None
    projection = mapping_of(state, dataset)
    if projection is None:
        return bounding_box(values["x"], values["y"], crs_of(state, dataset))
    factor = _METRES.get((_x_units(state, dataset) or "m").lower())
    return None if factor is None else bounding_box(values["x"] * factor, values["y"] * factor, projection)


def bounding_box(x: np.ndarray, y: np.ndarray, crs: CRS | str | None) -> Box | None:
    """West, south, east, north of cell centres in degrees; ``x``, ``y`` 1-D axes or 2-D, NaN where no cell is."""
    import numpy as np

    if crs not in (None, "EPSG:4326") and x.ndim == 1:
        x, y = _in_degrees(x, y, crs)
    lon, lat = x[np.isfinite(x)], y[np.isfinite(y)]
    if not lon.size or not lat.size or np.abs(lat).max() > 90.0 or np.abs(lon).max() > 540.0:
        return None
    west, east = _west_east(np.unique(lon))
    return west, float(lat.min()), east, float(lat.max())


def _west_east(lon: np.ndarray) -> tuple[float, float]:
    """Ends of sorted longitudes in -180..180; the grid goes around when its gap is no wider than its cells."""
    import numpy as np

    low, high = float(lon[0]), float(lon[-1])
    if low >= -180.0 and high <= 180.0:
        return low, high
    widest = float(np.diff(lon).max(initial=0.0))
    if high - low >= 360.0 - 1.5 * widest:
        return -180.0, 180.0
    west, east = ((v + 180.0) % 360.0 - 180.0 for v in (low, high))
    return west, east


def _in_degrees(x: np.ndarray, y: np.ndarray, crs: CRS | str | None) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes, without a jump at the antimeridian, and latitudes of the cells (of a large grid every some-th)."""
    import numpy as np
    import pyproj

    try:
        transform = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.CRSError:
        return np.array([]), np.array([])
    some = [values[np.unique(np.linspace(0, values.size - 1, MOST_ALONG).round().astype(int))] for values in (x, y)]
    lon, lat = transform.transform(*np.meshgrid(*some))
    held = np.isfinite(lon) & np.isfinite(lat)
    if held.all():
        lon = np.unwrap(np.unwrap(lon, axis=1, period=360.0), axis=0, period=360.0)
    return np.asarray(lon)[held], np.asarray(lat)[held]
