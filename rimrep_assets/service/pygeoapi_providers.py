"""pygeoapi's Parquet and xarray providers, with their defects mended.

Here belongs what the running pygeoapi does with one of our tables or grids. Not here: the entry that names these
classes (``domain/pygeoapi``). Only pygeoapi imports this module: it loads pygeoapi, pyarrow and xarray.

Mended against pygeoapi 0.21: features carry their own id and not a row's number; a bbox selects what intersects it,
by the GeoParquet covering and then by shape; the covering and binary columns are no properties; every field has a
type; times with and without timezone are compared in UTC; the geometry column may have any name; ``numberMatched`` is
the true count; a coverage honours ``bbox`` without ``subset``, says its axes in the array's order, and never changes
the process's working folder.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Sequence
from functools import reduce
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

from rimrep_assets.domain.table_objects import METADATA
from rimrep_assets.service import pygeoapi_csv
from rimrep_assets.service.pygeoapi_box import Box
from rimrep_assets.service.pygeoapi_coverages import CoverageProvider
from rimrep_assets.service.pygeoapi_values import interval, json_type, json_value, moment_scalar, scalar

__all__ = ["CoverageProvider", "FeatureProvider"]

BATCH_ROWS = 16_384
"""rows decoded at a time; a page is at most 10 000 features"""
ROW = "__row"
"""stands for the id of a table without an id_field: the row's number in the release, which never changes"""


class FeatureProvider(ParquetProvider):
    """Serves one GeoParquet or plain Parquet table; ``data.source`` is a path, ``s3://`` or ``https://`` address: of
    the one object, or of the ``_metadata`` that lies beside the parts."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        BaseProvider.__init__(self, provider_def)
        pygeoapi_csv.register()
        self.source = self.data["source"]
        try:
            self.ds = _open_table(self.source)
        except (OSError, pa.ArrowException) as error:
            raise ProviderConnectionError(f"cannot open {self.source}: {error}") from error
        geo = json.loads((self.ds.schema.metadata or {}).get(b"geo", b"{}"))
        self._geometry = geo.get("primary_column") if geo.get("primary_column") in self.ds.schema.names else None
        about = geo.get("columns", {}).get(self._geometry, {})
        self._covering = about.get("covering", {}).get("bbox") if self._geometry else None
        self._crs = about.get("crs") or "OGC:CRS84"
        self._bounds_may_be_empty = about.get("geometry_types") != ["Point"]
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
                described = json_type(field.type)
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
            raise ProviderInvalidQueryError("sortby, q and filter are not supported; use bbox, datetime, properties")
        box = self._box(bbox) if bbox else None
        conditions = [] if not bbox else [box.may if box else self._bbox_filter(bbox)]
        if datetime_:
            conditions.append(self._time_filter(datetime_))
        for name, value in properties:
            conditions.append(pc.field(name) == scalar(value, self.ds.schema.field(name).type, name))
        # None and not True: then the count comes from the file's metadata.
        chosen = reduce(operator.and_, conditions) if conditions else None
        looking = box if box and self._bounds_may_be_empty else None
        matched = self._matched(chosen, looking)
        features: list[dict[str, Any]] = []
        if resulttype != "hits":
            names = [n for n in self._fields if not select_properties or n in select_properties]
            features = list(self._features(chosen, offset, limit, names, skip_geometry, looking))
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
            wanted = pc.field(self._id) == scalar(identifier, id_type, self._id)
        except ProviderInvalidQueryError as error:
            raise ProviderItemNotFoundError(f"no feature {identifier!r}") from error
        for feature in self._features(wanted, 0, 1, list(self._fields), False):
            return feature
        raise ProviderItemNotFoundError(f"no feature {identifier!r}")

    def _box(self, bbox: Sequence[float]) -> Box | None:
        return Box(bbox, self._covering, self._crs) if self._covering else None

    def _bbox_filter(self, bbox: Sequence[float]) -> Any:
        """Of a table whose places are two columns; a west above the east crosses 180°."""
        if not self.has_geometry:
            raise ProviderInvalidQueryError("the table has no geometry; bbox cannot be asked for")
        if not (self.x_field and self.y_field):
            raise ProviderInvalidQueryError("the table has no bbox covering; bbox cannot be asked for")
        half = len(bbox) // 2
        west, south, east, north = (float(n) for n in (bbox[0], bbox[1], bbox[half], bbox[half + 1]))
        x, y = pc.field(self.x_field), pc.field(self.y_field)
        across = (x >= west) & (x <= east) if west <= east else (x >= west) | (x <= east)
        return across & (y >= south) & (y <= north)

    def _matched(self, chosen: Any, looking: Box | None) -> int:
        """How many rows there are; shapes are looked at where their bounds alone do not tell."""
        if looking is None:
            return int(self.ds.count_rows(filter=chosen))
        surely = 0
        if looking.surely is not None:
            surely = int(self.ds.count_rows(filter=chosen & looking.surely))
            chosen = chosen & ~looking.surely
        scanner = self.ds.scanner(
            columns=[self._geometry], filter=chosen, batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1
        )
        return surely + sum(pc.sum(looking.touching(b.column(0))).as_py() or 0 for b in scanner.to_batches())

    def _time_filter(self, text: str) -> Any:
        if self.time_field is None:
            raise ProviderInvalidQueryError("the table has no time; datetime cannot be asked for")
        column, type_ = pc.field(self.time_field), self.ds.schema.field(self.time_field).type
        begin, end = interval(text)
        chosen = pc.scalar(True)
        if begin is not None:
            chosen &= column >= moment_scalar(begin, type_)
        if end is not None:
            chosen &= column <= moment_scalar(end, type_)
        return chosen

    def _features(
        self,
        chosen: Any,
        offset: int,
        limit: int,
        names: Sequence[str],
        skip_geometry: bool,
        looking: Box | None = None,
    ) -> Iterator[dict[str, Any]]:
        """At most ``limit`` features after the first ``offset`` of those chosen, reading no further than needed."""
        geometry = None if skip_geometry else self._geometry
        points = [self.x_field, self.y_field] if not skip_geometry and not geometry and self.has_geometry else []
        columns = list(dict.fromkeys([*names, self._id, *([geometry] if geometry else []), *points]))
        read = [*columns, self._geometry] if looking and not geometry else columns
        skip, left = offset, limit
        for batch in self._batches(chosen, read):
            if looking:
                batch = batch.filter(looking.touching(batch.column(self._geometry)))
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            page = batch.slice(skip, left)
            skip, left = 0, left - page.num_rows
            shapes = self._shapes(page, geometry, points)
            for row, shape in zip(page.select(columns).to_pylist(), shapes, strict=True):
                yield {
                    "type": "Feature",
                    "id": json_value(row[self._id]),
                    "geometry": shape,
                    "properties": {name: json_value(row[name]) for name in names},
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
                numbered = rows.append_column(ROW, numbers)
                matching = numbered if chosen is None else numbered.filter(chosen)
                yield from matching.select(columns).to_batches()

    def _shapes(self, page: Any, geometry: str | None, points: Sequence[str]) -> list[dict[str, Any] | None]:
        import shapely

        if geometry is None:
            if not points:
                return [None] * page.num_rows
            pairs = zip(*(page.column(name).to_pylist() for name in points), strict=True)
            return [None if None in p else {"type": "Point", "coordinates": [float(n) for n in p]} for p in pairs]
        shapes = shapely.from_wkb(page.column(geometry).to_pylist())
        shapes = self._in_degrees(shapes)
        return [None if shape is None else shapely.geometry.mapping(shape) for shape in shapes]

    def _in_degrees(self, shapes: Any) -> Any:
        import geopandas
        from pyproj import CRS

        if CRS.from_user_input(self._crs).is_geographic:
            return shapes
        return geopandas.GeoSeries(shapes, crs=self._crs).to_crs("OGC:CRS84").to_numpy()


def _open_table(source: str) -> Any:
    in_parts = source.endswith(f"/{METADATA}")
    if "://" not in source:
        return pads.parquet_dataset(source) if in_parts else pads.dataset(source, format="parquet")
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    options = {"default_cache_type": "none"} if source.startswith("s3://") else {}
    filesystem, path = url_to_fs(source, **options)
    opened = PyFileSystem(FSSpecHandler(filesystem))
    if in_parts:
        return pads.parquet_dataset(path, filesystem=opened)
    return pads.dataset(path, filesystem=opened, format="parquet")
