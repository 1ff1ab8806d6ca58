"""What is measured on a version of a table.

Here belongs reading the published Parquet file and counting. Not here: the shapes of the measurements
(``facts``) or the documents made from them (``table_schema``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import ColumnFacts, Facts, Scalar
from rimrep_assets.domain.table_geometry import crs_code
from rimrep_assets.domain.table_objects import batches_of, head_of
from rimrep_assets.domain.table_rows import BATCH_ROWS
from rimrep_assets.domain.table_types import type_name

if TYPE_CHECKING:
    import pyarrow as pa

WGS84 = ("OGC:CRS84", "OGC:CRS84h", "EPSG:4326", "EPSG:4979")
COVERING = "bbox"


@dataclass
class _Column:
    type: str
    nulls: int = 0
    low: Any = None
    high: Any = None

    def see(self, cells: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self.nulls += cells.null_count
        if self.type == "geometry":
            return
        if pa.types.is_floating(cells.type):
            # Not a number is no least and no greatest number.
            cells = cells.filter(pc.invert(pc.is_nan(cells)))
        if pa.types.is_timestamp(cells.type):
            cells = cells.cast(pa.int64())
        found = pc.min_max(cells).as_py()
        if found["min"] is not None:
            self.low = found["min"] if self.low is None else min(self.low, found["min"])
            self.high = found["max"] if self.high is None else max(self.high, found["max"])


def measure_table(data: Path, dataset: Dataset) -> Facts:
    """Measure what is published (a file, or a folder of parts), batch by batch: rows, and per column (without the
    covering) type, nulls, least and greatest value; the extents from the covering (reprojected to WGS 84) and from
    ``coordinates.t``.

    A calendar date counts as its midnight UTC. Longitudes above 180 are told as degrees west; a west greater than
    east means that the data crosses the antimeridian.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(head_of(data)) as head:
        schema, rows = head.schema_arrow, head.metadata.num_rows
        geo = json.loads((head.metadata.metadata or {}).get(b"geo", b"null"))
    columns = {f.name: _Column(type_name(f.type)) for f in schema if not (geo and f.name == COVERING)}
    for batch in batches_of(data, list(columns), BATCH_ROWS):
        for name, column in columns.items():
            column.see(batch.column(name))
    about = geo["columns"][geo["primary_column"]] if geo else {}
    t = columns.get(dataset.coordinates.t or "")
    return Facts(
        format="parquet",
        row_count=rows,
        columns=tuple(
            ColumnFacts(name=n, type=c.type, nulls=c.nulls, min=_scalar(c.low, c.type), max=_scalar(c.high, c.type))
            for n, c in columns.items()
        ),
        bbox=_in_wgs84(about.get("bbox"), about.get("crs")) if geo else None,
        start=_instant(t.low, t.type) if t else None,
        end=_instant(t.high, t.type) if t else None,
        crs=crs_code(about.get("crs")) if geo else None,
    )


def _scalar(value: Any, kind: str) -> Scalar:
    if value is None or kind in ("null", "geometry", "object"):
        return None
    if kind == "datetime":
        return _instant(value, kind)
    return str(value.isoformat()) if kind == "date" else value


def _instant(value: Any, kind: str) -> str | None:
    """ISO 8601 ending in Z of microseconds since 1970, or of a date's midnight; None of anything else."""
    import numpy as np

    if value is None or kind not in ("date", "datetime"):
        return None
    moment = np.datetime64(value, "us") if kind == "datetime" else np.datetime64(value, "D")
    text = str(moment.astype("datetime64[us]"))
    return text.removesuffix(".000000") + "Z"


def _in_wgs84(bbox: list[float] | None, crs: Mapping[str, Any] | None) -> tuple[float, float, float, float] | None:
    import pyproj

    if bbox is None:
        return None
    west, south, east, north = bbox
    if crs_code(crs) not in WGS84:
        to_wgs84 = pyproj.Transformer.from_crs(pyproj.CRS.from_json_dict(dict(crs or {})), "OGC:CRS84", always_xy=True)
        west, south, east, north = to_wgs84.transform_bounds(west, south, east, north)
    if east > 180:
        west, east = (-180.0, 180.0) if east - west >= 360 else (_wrapped(west), _wrapped(east))
    return (west, south, east, north)


def _wrapped(longitude: float) -> float:
    return longitude - 360 if longitude > 180 else longitude
