"""JSON records, lines of JSON, and JSON columns as blocks of rows.

Here belongs finding the records, which columns they have, and of what type their cells are. Not here: GeoJSON
(``table_vector``), or what the columns mean (``tabular``).
Source: https://www.rfc-editor.org/rfc/rfc8259, https://jsonlines.org
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.table_csv import refuse_absent
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_json_records import records_in
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import ReadJson, missing_words, zone_of

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 16_384
MOST_COLUMNS = 5_000
EXACT = 2**53
"""whole numbers up to here are the same as float64"""


def open_json(path: Path, name: str, options: ReadJson, dataset: Dataset) -> SourceTable:
    """The file as a table, with the columns of all its records in the order in which they are first met.

    A column of whole numbers, numbers or true and false holds those; any other holds text: that of the file's own
    texts, and what else stands there as JSON. Memory: some thousand records (columns: the file).
    Raises: DataError for what is no JSON, a path that leads nowhere (naming what is there), no records, records that
    are no objects, and two keys that make the same column.
    """
    columns: dict[str, _Column] = {}
    count = 0
    for row, record in enumerate(records_in(path, name, options)):
        count += 1
        for column, cell in flattened(record, name, row):
            if column not in columns and len(columns) >= MOST_COLUMNS:
                raise DataError(f"{name}: row {row}: more than {MOST_COLUMNS} columns: its keys are data, not names")
            columns.setdefault(column, _Column()).see(cell)
    if count == 0:
        raise DataError(f"{name}: holds no records")
    if not columns:
        raise DataError(f"{name}: its records have no keys")
    refuse_absent({"na": options.na, "timezone": options.timezone}, list(columns), name, "read_json")
    words = {column: frozenset(missing_words(options.na, column)) for column in columns}
    return SourceTable(
        file=name,
        names=tuple(columns),
        blocks=lambda _: _blocks(path, name, options, columns, words),
        crs=crs84() if geometry_column(dataset) else None,
        times=frozenset(c for c, seen in columns.items() if seen.type == "text"),
        texts=frozenset(c for c, seen in columns.items() if seen.type == "text"),
        zones={column: zone_of(options.timezone, column) for column in columns},
        reader="read_json",
    )


@dataclass
class _Column:
    """What was met in a column."""

    kinds: set[str] = field(default_factory=set)
    largest: int = 0

    def see(self, cell: Any) -> None:
        if cell is None:
            return
        self.kinds.add(type(cell).__name__)
        if type(cell) is int:
            self.largest = max(self.largest, abs(cell))

    @property
    def type(self) -> str:
        if not self.kinds:
            return "null"
        if self.kinds == {"bool"}:
            return "bool"
        if self.kinds == {"int"} and self.largest < 2**63:
            return "int"
        if self.kinds == {"float"} or (self.kinds == {"int", "float"} and self.largest <= EXACT):
            return "float"
        return "text"


def flattened(record: Mapping[str, Any], name: str, row: int) -> Iterator[tuple[str, Any]]:
    """The cells of a record by column: objects as ``outer.inner``. Raises: DataError where two keys make one."""
    seen: set[str] = set()
    for key, value in record.items():
        nested = isinstance(value, dict)
        for column, cell in [(f"{key}.{inner}", cell) for inner, cell in value.items()] if nested else [(key, value)]:
            if column in seen:
                raise DataError(f"{name}: row {row}: two keys make the column {column!r}")
            seen.add(column)
            yield column, cell


def _blocks(
    path: Path, name: str, options: ReadJson, columns: Mapping[str, _Column], words: Mapping[str, frozenset[str]]
) -> Iterator[pa.RecordBatch]:
    kinds = {column: seen.type for column, seen in columns.items()}
    rows: list[dict[str, Any]] = []
    for row, record in enumerate(records_in(path, name, options)):
        rows.append(dict(flattened(record, name, row)))
        if len(rows) == BLOCK_ROWS:
            yield _block(rows, kinds, words)
            rows = []
    if rows:
        yield _block(rows, kinds, words)


def _block(
    rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], words: Mapping[str, frozenset[str]]
) -> pa.RecordBatch:
    import pyarrow as pa

    types = {"null": pa.null(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string()}
    arrays = []
    for column, kind in kinds.items():
        cells = [row.get(column) for row in rows]
        if kind == "text":
            missing = words[column]
            cells = [None if cell is None or (text := _text(cell)) in missing else text for cell in cells]
        elif kind == "float":
            cells = [None if cell is None else float(cell) for cell in cells]
        arrays.append(pa.array(cells, types[kind]))
    return pa.record_batch(arrays, names=list(kinds))


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
