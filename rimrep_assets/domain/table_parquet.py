"""Parquet and GeoParquet files of providers as blocks of rows.

Here belongs what their types and their ``geo`` metadata become. Not here: the Parquet that is published
(``table_version``), or what the columns mean (``tabular``).
Source: https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.table_csv import refuse_absent
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import ReadParquet, zone_of

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 16_384
UNKNOWN_CRS = "ask the provider for the file with its CRS: what is not known cannot be published."


def open_parquet(path: Path, name: str, options: ReadParquet, dataset: Dataset) -> SourceTable:
    """The file as a table: numbers, texts, dates and instants as they are, decimals and times without a zone as
    text, lists and objects as JSON text; without the bounding boxes that GeoParquet adds for readers.

    Raises: DataError for a file that cannot be read or has no rows, and all columns that no published type can show,
    times without a declared zone, and a geometry without CRS.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        with pq.ParquetFile(path) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{name}: cannot be read as Parquet: {error}") from error
    if rows == 0:
        raise DataError(f"{name}: has no rows")
    geo = _geo_of(schema, name)
    about = _geometry_of(geo, schema, dataset)
    names = [column for column in schema.names if column not in _coverings(geo)]
    _refuse_unusable(name, schema, names, about, options, dataset)
    refuse_absent({"timezone": options.timezone}, names, name, "read_parquet")
    fields = {column: schema.field(column).type for column in names}
    zones = {column: zone_of(options.timezone, column) for column in names}
    return _table(path, name, names, fields, about, zones, dataset)


def _table(
    path: Path,
    name: str,
    names: Sequence[str],
    fields: Mapping[str, pa.DataType],
    about: tuple[str, Mapping[str, Any]] | None,
    zones: Mapping[str, str | None],
    dataset: Dataset,
) -> SourceTable:
    import pyarrow as pa

    naive = frozenset(c for c in names if pa.types.is_timestamp(fields[c]) and fields[c].tz is None)
    made = crs84() if geometry_column(dataset) else None
    geometry = about[0] if about and about[0] in names else None
    return SourceTable(
        file=name,
        names=tuple(names),
        blocks=lambda _: _blocks(path, name, names),
        crs=_projjson(about[1], name) if about else made,
        times=naive,
        texts=naive | {c for c in names if _becomes_text(fields[c])},
        zones=zones,
        geometry=geometry,
        reader="read_parquet",
        keep=lambda kept: _table(path, name, kept, fields, about, zones, dataset),
    )


def _blocks(path: Path, name: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    with pq.ParquetFile(path) as parquet:
        try:
            for batch in parquet.iter_batches(BLOCK_ROWS, columns=list(names)):
                columns, problems = [], []
                for column in names:
                    try:
                        columns.append(_plain(batch.column(column)))
                    except (pa.ArrowInvalid, ValueError) as error:
                        where = f"rows {row} to {row + len(batch) - 1}"
                        problems.append(f"{name}: column {column!r}, {where}, cannot be kept as it is: {error}")
                if problems:
                    raise DataError(problems)
                yield pa.record_batch(columns, names=list(names))
                row += len(batch)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise DataError(f"{name}: cannot be read as Parquet after row {row}: {error}") from error


def _geo_of(schema: pa.Schema, name: str) -> dict[str, Any]:
    written = (schema.metadata or {}).get(b"geo")
    if written is None:
        return {}
    try:
        geo = json.loads(written)
        if not isinstance(geo, dict) or not all(isinstance(c, dict) for c in geo["columns"].values()):
            raise ValueError("not an object with columns")
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{name}: its geo metadata is not that of GeoParquet: {error}") from error
    return geo


def _coverings(geo: Mapping[str, Any]) -> set[str]:
    """Columns that only repeat the bounds of a geometry; the platform makes its own."""
    found = set()
    for about in geo.get("columns", {}).values():
        box = (about.get("covering") or {}).get("bbox") or {}
        found |= {str(place[0]) for place in box.values() if isinstance(place, list) and place}
    return found


def _geometry_of(geo: Mapping[str, Any], schema: pa.Schema, dataset: Dataset) -> tuple[str, Mapping[str, Any]] | None:
    """The column that ``coordinates.geometry`` names after ``rename``, and what the file says of it; None for text."""
    import pyarrow as pa

    rename = dataset.convert.rename
    for column in schema.names:
        about = geo.get("columns", {}).get(column, {})
        bytes_or_native = _is_bytes(schema.field(column).type, pa) or not _is_wkb(about)
        if rename.get(column, column) == dataset.coordinates.geometry and bytes_or_native:
            return column, about
    return None


def _is_wkb(about: Mapping[str, Any]) -> bool:
    """Whether a geometry is in bytes; GeoParquet 1.1 knows structs and lists of coordinates too (GeoArrow)."""
    return str(about.get("encoding", "WKB")).upper() == "WKB"


def _refuse_unusable(
    name: str,
    schema: pa.Schema,
    names: Sequence[str],
    geometry: tuple[str, Mapping[str, Any]] | None,
    options: ReadParquet,
    dataset: Dataset,
) -> None:
    import pyarrow as pa

    dropped = {c for c in names if dataset.convert.rename.get(c, c) in dataset.convert.drop_columns}
    problems = [f"{name}: {names.count(c)} columns are called {c!r}" for c in sorted({*names}) if names.count(c) > 1]
    for field in (schema.field(i) for i, column in enumerate(schema.names) if column in names):
        kind = field.type
        if field.name in dropped or (geometry and field.name == geometry[0]):
            continue
        if _is_bytes(kind, pa):
            problems.append(
                f"{name}: column {field.name!r} holds bytes; name it in coordinates.geometry where it is the geometry, "
                "else drop it with drop_columns"
            )
        elif not _is_known(kind):
            problems.append(f"{name}: column {field.name!r} holds {kind}, which no published type can show; drop it")
        elif pa.types.is_timestamp(kind) and kind.tz is None and zone_of(options.timezone, field.name) is None:
            problems.append(f"{name}: the times of column {field.name!r} carry no zone: declare read_parquet.timezone")
    if geometry:
        problems += _geometry_problems(name, *geometry)
    if problems:
        raise DataError(problems)


def _geometry_problems(name: str, column: str, about: Mapping[str, Any]) -> Iterator[str]:
    if not about:
        yield f"{name}: nothing says which CRS geometry {column!r} has: no geo metadata names it; {UNKNOWN_CRS}"
        return
    if not _is_wkb(about):
        yield (
            f"{name}: geometry {column!r} is encoded as {about['encoding']!r}; only WKB is read: ask the provider for "
            "the file with that encoding, which is GeoParquet's usual one"
        )
    if about.get("edges", "planar") != "planar":
        yield f"{name}: geometry {column!r} has edges on the sphere, which would be published as straight lines"
    if "crs" in about and about["crs"] is None:
        yield f"{name}: geometry {column!r} has no CRS (its geo metadata says null); {UNKNOWN_CRS}"
    elif "crs" in about:
        try:
            _projjson(about, name)
        except DataError as error:
            yield from error.problems


def _projjson(about: Mapping[str, Any], name: str) -> dict[str, Any]:
    import pyproj
    import pyproj.exceptions

    if "crs" not in about:
        # https://geoparquet.org/releases/v1.1.0/: without the key it is longitude, latitude on WGS 84.
        return crs84()
    try:
        known = pyproj.CRS.from_user_input(about["crs"])
    except (pyproj.exceptions.CRSError, TypeError, ValueError) as error:
        raise DataError(f"{name}: its CRS cannot be understood: {error}") from error
    if known.name.lower().startswith(("undefined", "unknown")):
        raise DataError(f"{name}: has a CRS that says {known.name!r}; {UNKNOWN_CRS}")
    return known.to_json_dict()


def _is_bytes(kind: pa.DataType, pa: Any) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _becomes_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _becomes_text(kind.value_type)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    tests = (*texts, pa.types.is_time, pa.types.is_nested)
    return any(test(kind) for test in tests)


def _is_known(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_known(kind.value_type)
    tests = (
        pa.types.is_null, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date,
        pa.types.is_timestamp, pa.types.is_decimal,
    )  # fmt: skip
    return _becomes_text(kind) or any(test(kind) for test in tests)


def _plain(column: pa.Array) -> pa.Array:
    """A column in one of the types that tables have; ArrowInvalid where a value cannot be kept exactly."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_date(kind):
        return column.cast(pa.date32())
    if pa.types.is_timestamp(kind):
        exact = column.cast(pa.timestamp("us", kind.tz))
        return exact.cast(pa.timestamp("us", "UTC")) if kind.tz else exact.cast(pa.string())
    if pa.types.is_nested(kind):
        values = column.to_pylist(maps_as_pydicts="strict")
        return pa.array([None if value is None else _json(value) for value in values], pa.string())
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column
    return column.cast(pa.binary() if _is_bytes(kind, pa) else pa.string())


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a nested value has no form in JSON: {error}") from error
