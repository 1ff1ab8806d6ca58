"""pygeoapi's Parquet and xarray providers, with their defects mended.

Here belongs what the running pygeoapi does with one of our tables or grids. Not here: the entry that names these
classes (``domain/pygeoapi``). Only pygeoapi imports this module: it loads pygeoapi, pyarrow and xarray.

Mended against pygeoapi 0.21: features carry their own id and not a row's number; a bbox selects what intersects it,
by the GeoParquet covering; the covering and binary columns are no properties; every field has a type; times with and
without timezone are compared in UTC; the geometry column may have any name; ``numberMatched`` is the true count; a
coverage honours ``bbox`` without ``subset``, says its axes in the array's order, and never changes the process's
working folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pygeoapi.provider.base import (
    BaseProvider,
    ProviderConnectionError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
)
from pygeoapi.provider.parquet import ParquetProvider
from pygeoapi.util import crs_transform

from rimrep_assets.service.pygeoapi_coverages import CoverageProvider

__all__ = ["CoverageProvider", "FeatureProvider"]

BATCH_ROWS = 16_384
"""rows decoded at a time; a page is at most 10 000 features"""
ROW = "__row"
"""stands for the id of a table without an id_field: the row's number in the release, which never changes"""


class FeatureProvider(ParquetProvider):
    """Serves one GeoParquet or plain Parquet table; ``data.source`` is a path, ``s3://`` or ``https://`` address."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        BaseProvider.__init__(self, provider_def)
        self.source = self.data["source"]
        try:
            self.ds = _open_table(self.source)
        except (OSError, pa.ArrowException) as error:
            raise ProviderConnectionError(f"cannot open {self.source}: {error}") from error
        geo = json.loads((self.ds.schema.metadata or {}).get(b"geo", b"{}"))
        self._geometry = (
            geo.get("primary_column") if geo.get("primary_column") in self.ds.schema.names else None
        )
        about = geo.get("columns", {}).get(self._geometry, {})
        self._covering = about.get("covering", {}).get("bbox") if self._geometry else None
        self._crs = about.get("crs") or "OGC:CRS84"
        self._id = self.id_field or ROW
        self.has_geometry = self._geometry is not None or bool(self.x_field and self.y_field)
        self._check_columns()
        self.get_fields()

    def _check_columns(self) -> None:
        wanted = {"id_field": self.id_field, "time_field": self.time_field}
        wanted |= {"x_field": self.x_field, "y_field": self.y_field}
        for key, name in wanted.items():
            if name is not None and name not in self.ds.schema.names:
                raise ProviderConnectionError(f"{self.source} has no column {name!r}, the entry's {key}")

    def get_fields(self) -> dict[str, Any]:
        """Name -> JSON schema type (and format) of every property."""
        if not self._fields:
            hidden = {self._geometry} | {path[0] for path in (self._covering or {}).values()}
            for field in self.ds.schema:
                described = _json_type(field.type)
                if field.name not in hidden and described is not None:
                    self._fields[field.name] = described
        return self._fields

    @crs_transform
    def query(
        self,
        offset: int = 0,
        limit: int = 10,
        resulttype: str = "results",
        bbox: Sequence[float] = (),
        datetime_: str | None = None,
        properties: Sequence[tuple[str, str]] = (),
        sortby: Sequence[Any] = (),
        select_properties: Sequence[str] = (),
        skip_geometry: bool = False,
        q: str | None = None,
        filterq: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A GeoJSON FeatureCollection of the page, in the file's order, with the true ``numberMatched``."""
        if sortby or q or filterq is not None:
            raise ProviderInvalidQueryError(
                "sortby, q and filter are not supported; use bbox, datetime, properties"
            )
        chosen = pc.scalar(True)
        if bbox:
            chosen &= self._bbox_filter(bbox)
        if datetime_:
            chosen &= self._time_filter(datetime_)
        for name, value in properties:
            chosen &= pc.field(name) == _scalar(value, self.ds.schema.field(name).type, name)
        matched = self.ds.count_rows(filter=chosen)
        features: list[dict[str, Any]] = []
        if resulttype != "hits":
            names = [n for n in self._fields if not select_properties or n in select_properties]
            features = list(self._features(chosen, offset, limit, names, skip_geometry))
        return {
            "type": "FeatureCollection",
            "features": features,
            "numberMatched": matched,
            "numberReturned": len(features),
        }

    @crs_transform
    def get(self, identifier: str, **kwargs: Any) -> dict[str, Any]:
        """The feature whose id is ``identifier``. Raises: ProviderItemNotFoundError."""
        id_type = self.ds.schema.field(self.id_field).type if self.id_field else pa.int64()
        try:
            wanted = pc.field(self._id) == _scalar(identifier, id_type, self._id)
        except ProviderInvalidQueryError as error:
            raise ProviderItemNotFoundError(f"no feature {identifier!r}") from error
        for feature in self._features(wanted, 0, 1, list(self._fields), False):
            return feature
        raise ProviderItemNotFoundError(f"no feature {identifier!r}")

    def _bbox_filter(self, bbox: Sequence[float]) -> Any:
        """Envelope intersection; a west above the east crosses 180°."""
        if not self.has_geometry:
            raise ProviderInvalidQueryError("the table has no geometry; bbox cannot be asked for")
        half = len(bbox) // 2
        west, south, east, north = (float(n) for n in (bbox[0], bbox[1], bbox[half], bbox[half + 1]))
        if self._covering:
            xmin, ymin, xmax, ymax = (pc.field(*self._covering[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
            west, south, east, north = self._in_own_crs(west, south, east, north)
        elif self.x_field and self.y_field:
            xmin = xmax = pc.field(self.x_field)
            ymin = ymax = pc.field(self.y_field)
        else:
            raise ProviderInvalidQueryError("the table has no bbox covering; bbox cannot be asked for")
        across = (xmax >= west) & (xmin <= east) if west <= east else (xmax >= west) | (xmin <= east)
        return across & (ymax >= south) & (ymin <= north)

    def _in_own_crs(self, west: float, south: float, east: float, north: float) -> tuple[float, ...]:
        from pyproj import CRS, Transformer

        own = CRS.from_user_input(self._crs)
        if own.is_geographic:
            return west, south, east, north
        into = Transformer.from_crs("OGC:CRS84", own, always_xy=True)
        bounds: tuple[float, ...] = into.transform_bounds(west, south, east, north)
        return bounds

    def _time_filter(self, text: str) -> Any:
        if self.time_field is None:
            raise ProviderInvalidQueryError("the table has no time; datetime cannot be asked for")
        column, type_ = pc.field(self.time_field), self.ds.schema.field(self.time_field).type
        begin, end = interval(text)
        chosen = pc.scalar(True)
        if begin is not None:
            chosen &= column >= _moment_scalar(begin, type_)
        if end is not None:
            chosen &= column <= _moment_scalar(end, type_)
        return chosen

    def _features(
        self, chosen: Any, offset: int, limit: int, names: Sequence[str], skip_geometry: bool
    ) -> Iterator[dict[str, Any]]:
        """At most ``limit`` features after the first ``offset`` of those chosen, reading no further than needed."""
        geometry = None if skip_geometry else self._geometry
        points = (
            [self.x_field, self.y_field] if not skip_geometry and not geometry and self.has_geometry else []
        )
        columns = list(dict.fromkeys([*names, self._id, *([geometry] if geometry else []), *points]))
        skip, left = offset, limit
        for batch in self._batches(chosen, columns):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            page = batch.slice(skip, left)
            skip, left = 0, left - page.num_rows
            shapes = self._shapes(page, geometry, points)
            for row, shape in zip(page.select(columns).to_pylist(), shapes, strict=True):
                yield {
                    "type": "Feature",
                    "id": _json_value(row[self._id]),
                    "geometry": shape,
                    "properties": {name: _json_value(row[name]) for name in names},
                }
            if left <= 0:
                return

    def _batches(self, chosen: Any, columns: Sequence[str]) -> Iterator[Any]:
        if self.id_field is not None:
            scanner = self.ds.scanner(
                columns=columns, filter=chosen, batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1
            )
            yield from scanner.to_batches()
            return
        first = 0
        for fragment in self.ds.get_fragments():
            for group in fragment.split_by_row_group():
                rows = group.to_table(schema=self.ds.schema)
                numbers = pa.array(range(first, first + rows.num_rows), pa.int64())
                first += rows.num_rows
                yield from rows.append_column(ROW, numbers).filter(chosen).select(columns).to_batches()

    def _shapes(self, page: Any, geometry: str | None, points: Sequence[str]) -> list[dict[str, Any] | None]:
        import shapely

        if geometry is None:
            if not points:
                return [None] * page.num_rows
            pairs = zip(*(page.column(name).to_pylist() for name in points), strict=True)
            return [
                None if None in p else {"type": "Point", "coordinates": [float(n) for n in p]} for p in pairs
            ]
        shapes = shapely.from_wkb(page.column(geometry).to_pylist())
        shapes = self._in_degrees(shapes)
        return [None if shape is None else shapely.geometry.mapping(shape) for shape in shapes]

    def _in_degrees(self, shapes: Any) -> Any:
        import geopandas
        from pyproj import CRS

        if CRS.from_user_input(self._crs).is_geographic:
            return shapes
        return geopandas.GeoSeries(shapes, crs=self._crs).to_crs("OGC:CRS84").to_numpy()


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Both ends of an OGC datetime, in UTC and inclusive; None where it is open. A date stands for its whole day.

    Raises: ProviderInvalidQueryError.
    """
    first, slash, last = text.partition("/")
    ends = (first, last if slash else first)
    return _bound(ends[0], upper=False), _bound(ends[1], upper=True)


def _bound(text: str, *, upper: bool) -> datetime | None:
    if text in ("", ".."):
        return None
    try:
        moment = datetime.fromisoformat(text + {4: "-01-01", 7: "-01"}.get(len(text), ""))
    except ValueError as error:
        raise ProviderInvalidQueryError(
            f"{text!r} is not a date and time like 2020-01-31T00:00:00Z"
        ) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if upper and "T" not in text:
        moment = _next_after(moment, text) - timedelta(microseconds=1)
    return moment


def _next_after(moment: datetime, text: str) -> datetime:
    """The beginning of the next day, month or year, as precise as ``text`` is."""
    if len(text) == 4:
        return moment.replace(year=moment.year + 1)
    if len(text) == 7:
        return (moment.replace(day=28) + timedelta(days=4)).replace(day=1)
    return moment + timedelta(days=1)


def _open_table(source: str) -> Any:
    if "://" not in source:
        return pads.dataset(source, format="parquet")
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    options = {"default_cache_type": "none"} if source.startswith("s3://") else {}
    filesystem, path = url_to_fs(source, **options)
    return pads.dataset(path, filesystem=PyFileSystem(FSSpecHandler(filesystem)), format="parquet")


def _json_type(type_: Any) -> dict[str, str] | None:
    """JSON schema's words for an Arrow type; None for bytes, which no GeoJSON property can hold."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    checks = (
        (pa.types.is_integer, {"type": "integer", "format": str(type_)}),
        (pa.types.is_floating, {"type": "number", "format": str(type_)}),
        (pa.types.is_decimal, {"type": "number"}),
        (pa.types.is_boolean, {"type": "boolean"}),
        (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
        (pa.types.is_date, {"type": "string", "format": "date"}),
        (pa.types.is_time, {"type": "string", "format": "time"}),
        (pa.types.is_struct, {"type": "object"}),
        (pa.types.is_map, {"type": "array"}),
        (pa.types.is_nested, {"type": "array"}),
        (_is_bytes, None),
    )
    return next((described for fits, described in checks if fits(type_)), {"type": "string"})


def _is_bytes(type_: Any) -> bool:
    return any(
        fits(type_) for fits in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    )


def _json_value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return value


def _scalar(text: str, type_: Any, name: str) -> Any:
    """What ``text`` means in a column of ``type_``. Raises: ProviderInvalidQueryError."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    try:
        if pa.types.is_timestamp(type_):
            return _moment_scalar(_bound(text, upper=False), type_)
        return pa.scalar(str(text)).cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ProviderInvalidQueryError(
            f"{text!r} is not a value of {name!r}, which holds {type_}"
        ) from error


def _moment_scalar(moment: datetime | None, type_: Any) -> Any:
    assert moment is not None
    if pa.types.is_timestamp(type_):
        # Arrow counts both kinds from the epoch in UTC.
        return (
            pa.scalar(moment.replace(tzinfo=None), pa.timestamp("us"))
            .cast(pa.timestamp(type_.unit), safe=False)
            .cast(type_)
        )
    if pa.types.is_date(type_):
        return pa.scalar(moment.date(), type_)
    return pa.scalar(moment.isoformat().replace("+00:00", "Z"), type_)
