"""Chosen rows of layers, read with sqlite3, json and pyshp; of FileGDB with GDAL's row by row interface.

Here belongs the second reading of these formats. Not here: anything that ``table_vector`` uses, with one exception:
nothing but GDAL reads FileGDB, so that there its other interface is used (features one by one instead of Arrow).
Source of the GeoPackage blob: https://www.geopackage.org/spec/#gpb_format
"""

from __future__ import annotations

import codecs
import itertools
import json
import sqlite3
import warnings
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import ReadVector
from rimrep_assets.domain.table_second_row import GEOMETRY, Rows

NEAR = 500
"""rows with fewer between them are read together"""


def vector_rows(path: Path, options: ReadVector, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: KeyError for a format without second reader."""
    readers = {
        ".gpkg": _geopackage_rows,
        ".geojson": _geojson_rows,
        ".json": _geojson_rows,
        ".shp": _shapefile_rows,
        ".gdb": _filegdb_rows,
    }
    return (yield from readers[path.suffix.lower()](path, options, rows))


def _geopackage_rows(path: Path, options: ReadVector, rows: set[int]) -> Rows:
    import shapely

    layer = options.layer
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        if layer is None:
            found = "SELECT table_name FROM gpkg_contents WHERE data_type IN ('features', 'attributes')"
            layer = str(connection.execute(found).fetchone()[0])
        known = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
        geometry = next((str(row[0]) for row in connection.execute(known, (layer,))), None)
        quoted = '"' + layer.replace('"', '""') + '"'
        key = next(c[1] for c in connection.execute(f"PRAGMA table_info({quoted})") if c[5])
        cursor = connection.execute(f'SELECT * FROM {quoted} ORDER BY "{key}"')  # noqa: S608
        names = [column[0] for column in cursor.description]
        number = -1
        for number, cells in enumerate(cursor):
            if number in rows:
                values = dict(zip(names, cells, strict=True))
                values.pop(key)
                if geometry is not None:
                    blob = values.pop(geometry)
                    values[GEOMETRY] = None if blob is None else shapely.from_wkb(_wkb_in(blob))
                yield number, values
        return number + 1
    finally:
        connection.close()


def _wkb_in(blob: bytes) -> bytes:
    if blob[:2] != b"GP":
        raise ValueError("a geometry is no GeoPackage blob")
    envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[(blob[3] >> 1) & 0b111]
    return blob[8 + envelope :]


def _geojson_rows(path: Path, options: ReadVector, rows: set[int]) -> Rows:
    import shapely.geometry

    document = json.loads(path.read_text(encoding="utf-8-sig"))
    features = document["features"] if document["type"] == "FeatureCollection" else [document]
    for number, feature in enumerate(features):
        if number in rows:
            values = dict(feature.get("properties") or {})
            if "id" in feature:
                values.setdefault("id", feature["id"])
            shape = feature["geometry"]
            # https://www.rfc-editor.org/rfc/rfc7946#section-3.1: empty coordinates may be read as null; a point without
            # them lies nowhere, and GDAL reads it so too.
            nowhere = shape is None or (shape["type"] == "Point" and not shape["coordinates"])
            values[GEOMETRY] = None if nowhere else shapely.geometry.shape(shape)
            yield number, values
    return len(features)


def _shapefile_rows(path: Path, options: ReadVector, rows: set[int]) -> Rows:
    import shapefile
    import shapely.geometry

    page = next((p for s in (".cpg", ".CPG") if (p := path.with_suffix(s)).exists()), None)
    encoding = options.encoding or (page.read_text(encoding="ascii", errors="replace").strip() if page else "ascii")
    try:
        codecs.lookup(encoding)
    except LookupError:
        encoding = "ascii"
    with warnings.catch_warnings():
        # That .cpg says something else is known: read_vector.encoding goes before it.
        warnings.simplefilter("ignore")
        opened = shapefile.Reader(str(path), encoding=encoding)
    with opened as reader:
        for number in sorted(number for number in rows if number < len(reader)):
            pair = reader.shapeRecord(number)
            # A blank of the table file is a missing value: it has no other way to say so.
            values = {k: None if v == "" else v for k, v in pair.record.as_dict().items()}
            empty = pair.shape.shapeType == shapefile.NULL
            values[GEOMETRY] = None if empty else shapely.geometry.shape(pair.shape.__geo_interface__)
            yield number, values
        return len(reader)


def _filegdb_rows(path: Path, options: ReadVector, rows: set[int]) -> Rows:
    import pyogrio
    import shapely

    layer = options.layer or str(pyogrio.list_layers(path)[0][0])
    count = int(pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"])
    for run in _runs(sorted(number for number in rows if number < count)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta, _, shapes, cells = pyogrio.raw.read(
                path, layer=layer, skip_features=run[0], max_features=run[-1] - run[0] + 1, datetime_as_string=True
            )
        for number in run:
            at = number - run[0]
            values = {name: _plain(column[at]) for name, column in zip(meta["fields"], cells, strict=True)}
            if shapes is not None:
                values[GEOMETRY] = None if shapes[at] is None else shapely.from_wkb(shapes[at])
            yield number, values
    return count


def _runs(rows: list[int]) -> list[list[int]]:
    """Neighbouring rows together: each run is one reading."""
    runs: list[list[int]] = []
    for before, row in itertools.pairwise([-NEAR, *rows]):
        if row - before < NEAR and runs:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _plain(cell: Any) -> Any:
    value = cell.item() if hasattr(cell, "item") else cell
    return None if value != value else value
