"""A layer of a GeoPackage, GeoJSON, shapefile or FileGDB as blocks of rows.

Here belongs choosing the layer, its CRS, and turning what GDAL hands over into the few types that tables have.
Not here: the encoding of texts (``table_layer_text``), what the columns mean (``tabular``) or delimited text
(``table_csv``).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_csv import refuse_absent
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_layer_text import name_for_gdal, refuse_other_text, text_encoding
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import ReadVector, zone_of

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".gdb")
"""each of them has a second reader, with which the published values are proven"""
BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class Layer:
    """One layer: ``names`` of its attributes; ``texts`` those of text, ``times`` the texts that
    GDAL knows as date with time; ``file`` is what the source calls it."""

    path: Path
    file: str
    name: str
    names: tuple[str, ...]
    times: frozenset[str]
    texts: frozenset[str]
    geometry: str | None
    """the geometry column as GDAL calls it; None for a table without"""
    crs: dict[str, Any] | None
    """PROJJSON; None without geometry"""
    encoding: str | None
    """of texts; None where nothing tells it"""


def open_vector(path: Path, name: str, options: ReadVector, dataset: Dataset) -> SourceTable:
    """The layer as a table, its geometry last and called as ``coordinates.geometry`` says.

    Raises: DataError as ``open_layer``, and for a layer whose geometry the dataset does not name.
    """
    layer = open_layer(path, name, options)
    refuse_absent({"timezone": options.timezone}, list(layer.names), name, "read_vector")
    own = dataset.coordinates.geometry
    if layer.geometry is not None and own is None:
        raise DataError(f"{name}: layer {layer.name!r} has a geometry: name it in coordinates.geometry")
    joined = dataset.convert.join_geometry is not None
    if layer.geometry is None and own is not None and not joined:
        raise DataError(f"{name}: layer {layer.name!r} has no geometry; coordinates.geometry names {own!r}")
    # An attribute may have the name too: rename can put that right, so both must be told apart.
    called = None if own is None or layer.geometry is None else own if own not in layer.names else f"\x00{own}"
    crs = layer.crs if layer.geometry else crs84() if geometry_column(dataset) else None
    return SourceTable(
        file=name,
        names=(*layer.names, called) if called else layer.names,
        blocks=lambda _: _with_geometry_last(layer_blocks(layer), layer, called),
        crs=crs,
        times=layer.times,
        texts=layer.texts,
        zones={column: zone_of(options.timezone, column) for column in layer.names},
        geometry=called,
        reader="read_vector",
    )


def _with_geometry_last(blocks: Iterator[pa.RecordBatch], layer: Layer, called: str | None) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for block in blocks:
        attributes = block.select(list(layer.names))
        if layer.geometry is None or called is None:
            yield attributes
        else:
            geometry = block.column(block.schema.get_field_index(layer.geometry))
            yield pa.record_batch([*attributes.columns, geometry], names=[*layer.names, called])


def open_layer(path: Path, name: str, options: ReadVector) -> Layer:
    """Find the layer that ``options`` name (or the only one) of the file ``name``.

    Raises: DataError for a file that cannot be read, a layer that is not there or not named among several, one
    without features or CRS, attributes of bytes, and what ``text_encoding`` refuses.
    """
    import pyogrio
    import pyogrio.errors

    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{name}: read_vector reads {', '.join(SUFFIXES)}")
    try:
        layers = [str(layer) for layer, _ in pyogrio.list_layers(path)]
    except (pyogrio.errors.DataSourceError, OSError) as error:
        raise DataError(f"{name}: {unreadable(path, error)}") from error
    layer = _choose(layers, options.layer, name)
    encoding = text_encoding(path, name, options.encoding)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            about = pyogrio.read_info(path, layer=layer, force_feature_count=True)
            with _arrow(path, layer, encoding) as (meta, reader):
                schema = reader.schema
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: the names of its attributes are not {encoding or 'UTF-8'}: {error}") from error
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, OSError) as error:
        raise DataError(f"{name}: layer {layer!r} cannot be read: {error}") from error
    geometry = _geometry_name(about, meta, schema)
    _refuse_unusable(name, layer, about, schema, geometry)
    times = {f.name for f in schema if (f.metadata or {}).get(b"GDAL:OGR:type") == b"DateTime"}
    names = tuple(f.name for f in schema if f.name != geometry)
    texts = {f.name for f in schema if _is_text(f.type)}
    crs = _projjson(about["crs"], name, layer) if geometry else None
    return Layer(path, name, layer, names, frozenset(times), frozenset(texts), geometry, crs, encoding)


def is_json(path: Path) -> bool:
    """Whether by its name a file is JSON, and so may be GeoJSON."""
    return path.suffix.lower() in (".geojson", ".json")


def unreadable(path: Path, error: Exception) -> str:
    """Why no layer of the file can be listed, without GDAL's advice to its programmers."""
    if is_json(path):
        return "cannot be read as GeoJSON; records of JSON are read by read_json"
    what = str(error).partition("; It might help")[0].partition(" It might help")[0]
    return f"cannot be read: {what.replace(str(path), path.name)}"


def _geometry_name(about: Any, meta: Any, schema: pa.Schema) -> str | None:
    if about["geometry_type"] is None:
        return None
    called = str(meta["geometry_name"] or "wkb_geometry")
    return called if called in schema.names else None


def layer_blocks(layer: Layer) -> Iterator[pa.RecordBatch]:
    """Rows in the layer's order: attributes as int64, float64, bool, date32 or string, geometry as binary.

    Times are text with the zone that the file gives; lists and objects are JSON text. Raises: DataError for text that
    is not of the layer's encoding.
    """
    import pyarrow as pa

    row = 0
    with _arrow(layer.path, layer.name, layer.encoding) as (_, reader):
        for batch in reader:
            refuse_other_text(batch.columns, batch.schema.names, row, layer.file, layer.encoding)
            columns = [_plain(column) for column in batch.columns]
            yield pa.record_batch(columns, names=batch.schema.names)
            row += len(batch)


def _arrow(path: Path, layer: str, encoding: str | None) -> Any:
    from pyogrio.raw import open_arrow

    known = name_for_gdal(encoding) if encoding else None
    return open_arrow(
        path, layer=layer, batch_size=BLOCK_ROWS, use_pyarrow=True, datetime_as_string=True, encoding=known
    )


def _choose(layers: list[str], wanted: str | None, name: str) -> str:
    if wanted is not None and wanted not in layers:
        listed = ", ".join(repr(layer) for layer in layers)
        raise DataError(f"{name}: no layer {wanted!r}{nearest(wanted, layers)}; its layers: {listed}")
    if wanted is None and len(layers) > 1:
        raise DataError(f"{name}: declare read_vector.layer, one of {', '.join(repr(x) for x in layers)}")
    if not layers:
        raise DataError(f"{name}: holds no layer")
    return wanted or layers[0]


def _refuse_unusable(name: str, layer: str, about: Any, schema: pa.Schema, geometry: str | None) -> None:
    import pyarrow as pa

    problems = []
    if about["features"] == 0:
        problems.append(f"{name}: layer {layer!r} has no rows")
    for field in schema:
        if pa.types.is_binary(field.type) and field.name != geometry:
            problems.append(f"{name}: attribute {field.name!r} holds bytes, which no published type can show")
    if problems:
        raise DataError(problems)


def _projjson(crs: str | None, name: str, layer: str) -> dict[str, Any]:
    import pyproj

    advice = "ask the provider for the file with its CRS: what is not known cannot be published."
    if not crs:
        raise DataError(f"{name}: layer {layer!r} has no CRS", advice=advice)
    known = pyproj.CRS.from_user_input(crs)
    # GeoPackage's srs_id 0 and -1 arrive as a CRS of this name: it says nothing about where a point lies.
    if known.name.lower().startswith(("undefined", "unknown")):
        raise DataError(f"{name}: layer {layer!r} has a CRS that says {known.name!r}", advice=advice)
    return known.to_json_dict()


def _is_text(kind: pa.DataType) -> bool:
    """Whether ``_plain`` makes text of it."""
    import pyarrow as pa

    simple = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_date)
    binary = (pa.types.is_binary, pa.types.is_large_binary)
    return not any(test(kind) for test in (*simple, *binary))


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_large_string(kind) or pa.types.is_time(kind):
        return column.cast(pa.string())
    if pa.types.is_large_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_nested(kind):
        texts = [None if v is None else json.dumps(v, ensure_ascii=False) for v in column.to_pylist()]
        return pa.array(texts, pa.string())
    return column
