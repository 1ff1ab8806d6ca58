"""A second reader of source files that shares no code with the one that converts them.

Here belongs interpreting the cells of chosen rows as plain Python values. Not here: reading each format
(``table_second_csv`` and its neighbours), or anything that the conversion uses; the two must not err alike.
"""

from __future__ import annotations

import datetime
import json
import zoneinfo
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_second_files import rows_of
from rimrep_assets.domain.table_second_misfits import is_of
from rimrep_assets.domain.table_second_row import GEOMETRY, Row, Rows
from rimrep_assets.domain.table_second_steps import name_in_file, stepped_rows


def chosen_rows(
    path: Path,
    dataset: Dataset,
    schema: Mapping[str, Any] | None,
    kinds: Mapping[str, str],
    rows: Collection[int],
    name: str | None = None,
) -> Iterator[Row]:
    """``(row, values by final column name)`` of ``rows`` (numbers from 0, after all steps) of the file at ``path``,
    which is called ``name`` in its source (the last part of ``path``).

    ``kinds``: the published Table Schema type of each column, as which its cells are interpreted. A geometry is
    a shapely geometry. Raises: ValueError, KeyError or csv.Error where this reader cannot make sense of the file.
    """
    import shapely

    x, y, geometry = dataset.coordinates.x, dataset.coordinates.y, dataset.coordinates.geometry
    fields = {field["name"]: field for field in (schema or {}).get("fields", [])}
    options = getattr(dataset.convert, dataset.convert.table_readers()[0])
    zones, decimal = getattr(options, "timezone", None), getattr(options, "decimal", ".")

    def read(wanted: set[int]) -> Rows:
        return rows_of(path, dataset, wanted)

    for row, raw in stepped_rows(read, name or path.name, dataset, set(rows)):
        shape = raw.pop(GEOMETRY, None)
        values: dict[str, Any] = {}
        for column, cell in raw.items():
            if column not in kinds:
                continue
            if column == geometry:
                shape = _shape(cell)
                continue
            key = name_in_file(column, dataset)
            zone = zones if isinstance(zones, str | None) else zones.get(key, zones.get("*"))
            field = fields.get(column, {})
            if (
                "type" in field
                and dataset.convert.cast.drops(column)
                and not is_of(cell, kinds[column], field, decimal)
            ):
                values[column] = None
                continue
            values[column] = interpreted(cell, kinds[column], field, zone, decimal)
        if geometry:
            values[geometry] = shape
        elif x and y:
            place = [float("nan") if values.get(end) is None else float(values[end]) for end in (x, y)]
            values["geometry"] = None if any(edge != edge for edge in place) else shapely.Point(place)
        yield row, values


def _shape(cell: Any) -> Any:
    import shapely

    if cell is None or hasattr(cell, "geom_type"):
        return cell
    return shapely.from_wkb(cell) if isinstance(cell, bytes) else shapely.from_wkt(cell)


def interpreted(cell: Any, kind: str, field: Mapping[str, Any], zone: str | None, decimal: str = ".") -> Any:
    """A cell as the plain Python value that the published type ``kind`` stands for."""
    if cell is None:
        return None
    pattern = field.get("format") if "%" in str(field.get("format")) else None
    if kind == "integer":
        return int(cell)
    if kind == "number":
        return float(cell.replace(decimal, ".") if isinstance(cell, str) else cell)
    if kind == "boolean":
        return _boolean(cell, field)
    if kind == "date":
        return cell if isinstance(cell, datetime.date) else _date(str(cell), pattern)
    if kind == "datetime":
        return _instant(str(cell), pattern, zone)
    if isinstance(cell, (dict, list)):
        return cell
    return json.dumps(cell) if isinstance(cell, bool) else str(cell)


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
        # A clock that is set back shows an hour twice, one that is set forward skips one: no instant is told.
        if when.utcoffset() != when.replace(fold=1).utcoffset():
            raise ValueError(f"{text!r}: the clock of {zone} shows this time twice or never")
    return when.astimezone(datetime.UTC)
