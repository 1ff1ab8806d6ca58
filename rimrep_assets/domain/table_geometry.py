"""Geometries as well-known binary, their bounds, and the GeoParquet metadata about them.

Here belongs what is true of a geometry column whatever file it came from. Not here: reading vector files
(``table_vector``) or writing Parquet (``table_fold``).
Source: https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

EDGES = ("xmin", "ymin", "xmax", "ymax")
POINT_BYTES = 21
"""byte order, type, x, y"""


def point_record() -> np.dtype[Any]:
    """The bytes of a little-endian WKB point as a numpy record."""
    import numpy as np

    return np.dtype([("order", "<u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])


def points_from(x: pa.Array, y: pa.Array) -> pa.Array:
    """WKB points of two numeric columns; null where either is null or NaN. Shape: (n,) and (n,) -> (n,)."""
    import numpy as np
    import pyarrow as pa

    across = _floats(x)
    up = _floats(y)
    known = ~(np.isnan(across) | np.isnan(up))
    records = np.zeros(int(known.sum()), point_record())
    records["order"], records["type"] = 1, 1
    records["x"], records["y"] = across[known], up[known]
    offsets = np.zeros(len(known) + 1, np.int32)
    np.cumsum(known * POINT_BYTES, out=offsets[1:])
    validity = pa.array(known).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(records.tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(known), buffers)


def _floats(cells: pa.Array) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    return cells.cast(pa.float64()).to_numpy(zero_copy_only=False)


def bounds_of(geometries: pa.Array) -> tuple[np.ndarray[Any, Any], set[str]]:
    """Bounds of each geometry, shape (n, 4) as ``EDGES`` in the CRS's unit, NaN where null or empty; and the
    types met, as GeoParquet writes them (``Point``, ``Polygon Z``).

    Raises: ValueError for a geometry with M values or curves, which GeoParquet 1.1 cannot hold, and for bytes
    that are no geometry.
    """
    import numpy as np
    import pyarrow.compute as pc
    import shapely

    bounds = np.full((len(geometries), 4), np.nan)
    valid = geometries.drop_null()
    if len(valid) == 0:
        return bounds, set()
    where = np.asarray(geometries.is_valid())
    if pc.all(pc.equal(pc.binary_length(valid), POINT_BYTES)).as_py():
        _, offsets, data = valid.buffers()
        start = np.frombuffer(offsets, np.int32)[valid.offset]
        points = np.frombuffer(data, point_record(), count=len(valid), offset=start)
        if (points["order"] == 1).all() and (points["type"] == 1).all():
            bounds[where] = np.stack([points["x"], points["y"], points["x"], points["y"]], axis=1)
            return bounds, {"Point"}
    try:
        shapes = shapely.from_wkb(valid.to_numpy(zero_copy_only=False))
    except shapely.errors.GEOSException as error:
        raise ValueError(f"bytes that are no geometry: {error}") from error
    if shapely.has_m(shapes).any():
        raise ValueError("geometries with M values, which GeoParquet 1.1 cannot hold")
    bounds[where] = shapely.bounds(shapes)
    return bounds, _types_of(shapes)


def _types_of(shapes: Any) -> set[str]:
    import numpy as np
    import shapely

    kinds = np.unique(np.stack([shapely.get_type_id(shapes), shapely.has_z(shapes)]), axis=1).T
    names = [
        "Point", "LineString", "LinearRing", "Polygon",
        "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection",
    ]  # fmt: skip
    if kinds[:, 0].max() >= len(names):
        raise ValueError("curved geometries, which GeoParquet 1.1 cannot hold")
    return {names[kind] + (" Z" if has_z else "") for kind, has_z in kinds}


def bounds_of_points(x: pa.Array, y: pa.Array) -> np.ndarray[Any, Any]:
    """Bounds of the points that ``points_from`` makes, NaN where it makes none. Shape: (n,) and (n,) -> (n, 4)."""
    import numpy as np

    across, up = _floats(x), _floats(y)
    bounds = np.stack([across, up, across, up], axis=1)
    bounds[np.isnan(across) | np.isnan(up)] = np.nan
    return bounds


def bbox_column(bounds: np.ndarray[Any, Any]) -> pa.StructArray:
    """The covering: a struct of four float64, null where there is no geometry. Shape: (n, 4) -> (n,)."""
    import numpy as np
    import pyarrow as pa

    unknown = np.isnan(bounds).any(axis=1)
    columns = [pa.array(np.ascontiguousarray(bounds[:, i])) for i in range(4)]
    return pa.StructArray.from_arrays(columns, names=list(EDGES), mask=pa.array(unknown))


def crs84() -> dict[str, Any]:
    """Longitude, latitude on WGS 84 as PROJJSON: what columns x and y of degrees are in."""
    import pyproj

    return pyproj.CRS.from_authority("OGC", "CRS84").to_json_dict()


def crs_code(crs: Mapping[str, Any] | None) -> str:
    """The authority's code of a PROJJSON, or its name where it has none; absent means OGC:CRS84."""
    import pyproj

    if crs is None:
        return "OGC:CRS84"
    if "id" in crs:
        return f"{crs['id']['authority']}:{crs['id']['code']}"
    known = pyproj.CRS.from_json_dict(dict(crs))
    authority = known.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(known.name)


def is_geographic(crs: Mapping[str, Any] | None) -> bool:
    """Whether coordinates are degrees of longitude and latitude."""
    import pyproj

    return crs is None or pyproj.CRS.from_json_dict(dict(crs)).is_geographic


def outside_the_globe(bounds: np.ndarray[Any, Any]) -> list[int]:
    """Positions of bounds with x outside [-180, 360] or y outside [-90, 90] (degrees)."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        x_wrong = (bounds[:, 0] < -180) | (bounds[:, 2] > 360)
        y_wrong = (bounds[:, 1] < -90) | (bounds[:, 3] > 90)
    return [int(position) for position in np.flatnonzero(x_wrong | y_wrong)]


def geo_metadata(
    column: str, crs: Mapping[str, Any], types: Collection[str], bbox: list[float] | None
) -> dict[str, Any]:
    """The ``geo`` key of a GeoParquet 1.1 file whose rows carry their bounds in the column ``bbox``."""
    about: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(types),
        "crs": dict(crs),
        "covering": {"bbox": {edge: ["bbox", edge] for edge in EDGES}},
    }
    if bbox is not None:
        about["bbox"] = bbox
    return {"version": "1.1.0", "primary_column": column, "columns": {column: about}}
