"""A long table made wide.

Here belongs ``pivot`` alone, the one step that holds a file in memory. Not here: its options (``table_steps``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.table_names import absent
from rimrep_assets.domain.table_steps import Pivot
from rimrep_assets.domain.table_types import MOST_MISFITS, ColumnType, as_type

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 1_000_000_000
"""of the three parts of the long table, as they lie in memory"""
MOST_COLUMNS = 5_000
MOST_CELLS = 100_000_000
"""of the wide table"""
BLOCK_ROWS = 65_536


def pivoted(table: SourceTable, name: str, step: Pivot, problems: list[str]) -> SourceTable:
    """``table`` with one row for each set of values of ``step.index``, in their order, and one column for each value
    of ``step.columns``.

    Reads the whole file, because its values are the names of columns. Numbers are ordered by size where all cells
    are numbers, else as text. Raises: DataError for rows that are alike in index and column, with their numbers, for
    a missing value there, and for what exceeds the limits above.
    """
    needed = [*step.index, step.columns, step.values]
    missing = [absent("pivot", column, table.names) for column in needed if column not in table.names]
    problems += missing
    if missing:
        return table
    long = _read(table, needed)
    wide = _wide(long, step, name, table.decimal)

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        yield from wide.to_batches(max_chunksize=BLOCK_ROWS)

    made = [column for column in wide.column_names if column not in step.index]

    def spread(columns: frozenset[str]) -> frozenset[str]:
        kept = columns & {*step.index}
        return frozenset({*kept, *made}) if step.values in columns else frozenset(kept)

    zones = {column: table.zone(column) for column in step.index} | dict.fromkeys(made, table.zone(step.values))
    return replace(
        table,
        names=tuple(wide.column_names),
        blocks=blocks,
        times=spread(table.times),
        texts=spread(table.texts),
        types={c: kind for c, kind in table.types.items() if c in step.index}
        | (dict.fromkeys(made, table.types[step.values]) if step.values in table.types else {}),
        zones=zones,
        geometry=None,
        keep=None,
        # Spellings were compared here: cells have no types yet.
        unique=tuple(step.index),
    )


def _read(table: SourceTable, needed: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = 0
    lean = table.keep(needed) if table.keep is not None else table
    for block in lean.blocks({}):
        held.append(block.select(list(needed)))
        size += held[-1].nbytes
        if size > MOST_BYTES:
            raise DataError(
                f"{table.file}: pivot holds a file in memory, and this one has more than {MOST_BYTES:,} bytes",
                advice="let the provider send smaller files, choose rows with where before, or publish the long table.",
            )
    whole = pa.Table.from_batches(held) if held else None
    if whole is None or len(whole) == 0:
        raise DataError(f"{table.file}: no rows to pivot")
    return whole.combine_chunks()


def _wide(long: pa.Table, step: Pivot, name: str, decimal: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    _refuse_missing(long, step, name)
    rows, codes = _row_numbers([long.column(column).combine_chunks() for column in step.index], decimal)
    heads, at = _ordered(long.column(step.columns).combine_chunks(), decimal)
    names = [_head(head) for head in heads.to_pylist()]
    if len(names) > MOST_COLUMNS or len(names) * len(rows) > MOST_CELLS:
        raise DataError(
            f"{name}: pivot makes {len(rows):,} rows of {len(names):,} columns; at most {MOST_COLUMNS:,} columns and "
            f"{MOST_CELLS:,} cells are made"
        )
    clash = sorted({*names} & {*step.index})
    if clash:
        raise DataError(f"{name}: pivot.columns {step.columns!r} has the value {clash[0]!r}, a column of pivot.index")
    cell = codes * len(names) + at
    _refuse_alike(long, step, name, cell)
    # The row of the long table that fills each cell of the wide one; -1 where none does.
    filled = np.full(len(rows) * len(names), -1, np.int64)
    filled[cell] = np.arange(len(long))
    source = filled.reshape(len(rows), len(names))
    values = long.column(step.values).combine_chunks()
    columns = [long.column(column).take(pa.array(rows)) for column in step.index]
    for number in range(len(names)):
        taken = source[:, number]
        columns.append(values.take(pa.array(taken, mask=taken < 0)))
    return pa.table([_one(column) for column in columns], names=[*step.index, *names])


def _one(column: Any) -> Any:
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _ordered(cells: pa.Array, decimal: str) -> tuple[pa.Array, Any]:
    """The different values in their order, and the place of each cell's value among them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = cells.dictionary_encode()
    values = coded.dictionary
    texts = values.cast(pa.string())
    numbers = as_type(values, ColumnType("number", decimal=decimal)) if pa.types.is_string(values.type) else None
    # The text decides between ways to write one number.
    by = pa.table([numbers if numbers is not None else values, texts], names=["value", "text"])
    order = pc.sort_indices(by, sort_keys=[("value", "ascending"), ("text", "ascending")])
    place = np.empty(len(values), np.int64)
    place[np.asarray(order)] = np.arange(len(values))
    return values.take(order), place[np.asarray(coded.indices)]


def _row_numbers(index: Sequence[pa.Array], decimal: str) -> tuple[Any, Any]:
    """For each row of the wide table a row of the long one that has its index; for each of the long one its row."""
    import numpy as np

    combined = np.zeros(len(index[0]), np.int64)
    for cells in index:
        values, places = _ordered(cells, decimal)
        # Numbered anew after each column, so that the product of their counts never overflows.
        _, combined = np.unique(combined * len(values) + places, return_inverse=True)
    _, first, codes = np.unique(combined, return_index=True, return_inverse=True)
    return first, codes


def _head(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _refuse_missing(long: pa.Table, step: Pivot, name: str) -> None:
    import numpy as np

    problems = []
    for column in (*step.index, step.columns):
        rows = np.flatnonzero(np.asarray(long.column(column).is_null()))
        if len(rows):
            listed = ", ".join(str(row) for row in rows[:MOST_MISFITS])
            what = "column" if column == step.columns else "row"
            problems.append(
                f"{name}: pivot: {column!r} is missing in {len(rows)} rows, such as {listed}, and names no {what}"
            )
    if problems:
        raise DataError(problems)


def _refuse_alike(long: pa.Table, step: Pivot, name: str, cell: Any) -> None:
    import numpy as np

    order = np.argsort(cell, kind="stable")
    again = np.flatnonzero(np.diff(cell[order]) == 0)
    if not len(again):
        return
    problems = []
    for pair in again[:MOST_MISFITS]:
        one, other = int(order[pair]), int(order[pair + 1])
        shown = ", ".join(f"{c} {long.column(c)[one].as_py()!r}" for c in (*step.index, step.columns))
        problems.append(f"{name}: pivot: rows {one} and {other} are alike in {shown}")
    if len(again) > MOST_MISFITS:
        problems.append(f"{name}: pivot: and {len(again) - MOST_MISFITS} more such pairs")
    raise DataError(problems, advice="add a column to pivot.index that tells them apart, or choose rows with where.")
