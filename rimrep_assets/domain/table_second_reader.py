"""A second reader of source files that shares no code with the one that converts them.

Here belongs reading chosen rows with Python's csv and zoneinfo, sqlite3, json and pyshp, and interpreting
cells as plain Python values. Not here: anything that the conversion uses; the two must not err alike.
Source of the GeoPackage blob: https://www.geopackage.org/spec/#gpb_format
"""

from __future__ import annotations

import csv
import datetime
import json
import sqlite3
import sys
import zoneinfo
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Dataset, ReadCsv
from rimrep_assets.domain.table_second_profiles import profile_rows

Row = tuple[int, dict[str, Any]]
GEOMETRY = "\x00geometry"
"""the key of a layer's geometry in a row"""


def chosen_rows(
    path: Path, dataset: Dataset, schema: Mapping[str, Any] | None, kinds: Mapping[str, str], rows: Collection[int]
) -> Iterator[Row]:
    """``(row, values by final column name)`` of ``rows`` (numbers from 0) of the file at ``path``.

    ``kinds``: the published Table Schema type of each column, as which its cells are interpreted. A geometry is
    a shapely geometry. Raises: ValueError, KeyError or csv.Error where this reader cannot make sense of the file.
    """
    import shapely

    x, y, geometry = dataset.coordinates.x, dataset.coordinates.y, dataset.coordinates.geometry
    fields = {field["name"]: field for field in (schema or {}).get("fields", [])}
    from_text = dataset.convert.read_csv is not None
    for row, raw in _reader(path, dataset)(set(rows)):
        shape = raw.pop(GEOMETRY, None)
        named = {dataset.convert.rename.get(key, key): cell for key, cell in raw.items()}
        values: dict[str, Any] = {}
        for column, cell in named.items():
            if column in dataset.convert.drop_columns or column not in kinds:
                continue
            if from_text and column == geometry:
                shape = None if cell is None else shapely.from_wkt(cell)
                continue
            values[column] = interpreted(cell, kinds[column], fields.get(column, {}), dataset.convert.read_csv)
        if geometry:
            values[geometry] = shape
        elif x and y:
            place = [values[x], values[y]]
            nowhere = any(edge is None or edge != edge for edge in place)
            values["geometry"] = None if nowhere else shapely.Point(float(place[0]), float(place[1]))
        yield row, values


def interpreted(cell: Any, kind: str, field: Mapping[str, Any], options: ReadCsv | None) -> Any:
    """A cell as the plain Python value that the published type ``kind`` stands for."""
    if cell is None:
        return None
    pattern = field.get("format") if "%" in str(field.get("format")) else None
    if kind == "integer":
        return int(cell)
    if kind == "number":
        return float(cell)
    if kind == "boolean":
        return _boolean(cell, field)
    if kind == "date":
        return cell if isinstance(cell, datetime.date) else _date(str(cell), pattern)
    if kind == "datetime":
        return _instant(str(cell), pattern, options.timezone if options else None)
    if isinstance(cell, (dict, list)):
        return cell
    return str(cell)


def _boolean(cell: Any, field: Mapping[str, Any]) -> bool:
    if not isinstance(cell, str):
        return bool(cell)
    if cell in field.get("trueValues", ("true", "True", "TRUE", "1")):
        return True
    if cell in field.get("falseValues", ("false", "False", "FALSE", "0")):
        return False
    raise ValueError(f"{cell!r} is no boolean")


def _date(text: str, pattern: str | None) -> datetime.date:
    if pattern:
        return datetime.datetime.strptime(text, pattern).date()
    return datetime.date.fromisoformat(text.strip().replace("/", "-"))


def _instant(text: str, pattern: str | None, zone: str | None) -> datetime.datetime:
    if pattern:
        when = datetime.datetime.strptime(text, pattern)
    else:
        when = datetime.datetime.fromisoformat(text.replace("/", "-"))
    if when.tzinfo is None:
        if zone is None:
            raise ValueError(f"{text!r} carries no time zone")
        when = when.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return when.astimezone(datetime.UTC)


def _reader(path: Path, dataset: Dataset) -> Callable[[set[int]], Iterator[Row]]:
    options = dataset.convert.read_csv
    if options is not None:
        return lambda rows: _csv_rows(path, options, rows)
    profiles = dataset.convert.read_profiles
    if profiles is not None:
        return lambda rows: profile_rows(path, profiles, rows)
    vector = dataset.convert.read_vector
    layer = vector.layer if vector else None
    readers: dict[str, Callable[[set[int]], Iterator[Row]]] = {
        ".gpkg": lambda rows: _geopackage_rows(path, layer, rows),
        ".geojson": lambda rows: _geojson_rows(path, rows),
        ".json": lambda rows: _geojson_rows(path, rows),
        ".shp": lambda rows: _shapefile_rows(path, rows),
    }
    return readers[path.suffix.lower()]


def _csv_rows(path: Path, options: ReadCsv, rows: set[int]) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    encoding = "utf-8-sig" if options.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else options.encoding
    missing = {"", *options.na}
    with path.open(encoding=encoding, newline="") as text:
        quoted = any('"' in piece for piece in iter(lambda: text.read(1 << 20), ""))
    with path.open(encoding=encoding, newline="" if quoted else None) as text:
        header = next(cells for cells in csv.reader(text, delimiter=options.delimiter) if cells)
        last = max(rows, default=-1)
        # Without quotes a line is a row, and only the chosen lines need to be taken apart.
        records: Iterator[Any] = csv.reader(text, delimiter=options.delimiter) if quoted else text
        number = -1
        for record in records:
            if not record or record == "\n":
                continue
            number += 1
            if number > last:
                return
            if number in rows:
                cells = record if quoted else record.rstrip("\n").split(options.delimiter)
                pairs = zip(header, cells, strict=True)
                yield number, {name: None if cell in missing else cell for name, cell in pairs}


def _geopackage_rows(path: Path, layer: str | None, rows: set[int]) -> Iterator[Row]:
    import shapely

    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        if layer is None:
            found = "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'"
            layer = str(connection.execute(found).fetchone()[0])
        known = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
        geometry = connection.execute(known, (layer,)).fetchone()[0]
        quoted = '"' + layer.replace('"', '""') + '"'
        key = next(c[1] for c in connection.execute(f"PRAGMA table_info({quoted})") if c[5])
        cursor = connection.execute(f'SELECT * FROM {quoted} ORDER BY "{key}"')  # noqa: S608
        names = [column[0] for column in cursor.description]
        for number, cells in enumerate(cursor):
            if number in rows:
                values = dict(zip(names, cells, strict=True))
                values.pop(key)
                blob = values.pop(geometry)
                values[GEOMETRY] = None if blob is None else shapely.from_wkb(_wkb_in(blob))
                yield number, values
    finally:
        connection.close()


def _wkb_in(blob: bytes) -> bytes:
    if blob[:2] != b"GP":
        raise ValueError("a geometry is no GeoPackage blob")
    envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[(blob[3] >> 1) & 0b111]
    return blob[8 + envelope :]


def _geojson_rows(path: Path, rows: set[int]) -> Iterator[Row]:
    import shapely.geometry

    document = json.loads(path.read_text(encoding="utf-8-sig"))
    features = document["features"] if document["type"] == "FeatureCollection" else [document]
    for number, feature in enumerate(features):
        if number in rows:
            values = dict(feature.get("properties") or {})
            if "id" in feature:
                values.setdefault("id", feature["id"])
            shape = feature["geometry"]
            values[GEOMETRY] = None if shape is None else shapely.geometry.shape(shape)
            yield number, values


def _shapefile_rows(path: Path, rows: set[int]) -> Iterator[Row]:
    import shapefile
    import shapely.geometry

    page = next((p for s in (".cpg", ".CPG") if (p := path.with_suffix(s)).exists()), None)
    encoding = page.read_text(encoding="ascii").strip() if page else "latin-1"
    with shapefile.Reader(str(path), encoding=encoding) as reader:
        for number in sorted(row for row in rows if row < len(reader)):
            pair = reader.shapeRecord(number)
            # A blank of the table file is a missing value: it has no other way to say so.
            values = {k: None if v == "" else v for k, v in pair.record.as_dict().items()}
            empty = pair.shape.shapeType == shapefile.NULL
            values[GEOMETRY] = None if empty else shapely.geometry.shape(pair.shape.__geo_interface__)
            yield number, values
