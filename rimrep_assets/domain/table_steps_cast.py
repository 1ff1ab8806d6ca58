"""Values that are not of their column's declared type, left out where the dataset says so.

Here belongs ``cast``. Not here: what it takes to be of a type (``table_types``), or what becomes of misfits otherwise:
they stop the release (``tabular``, the gate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable, counting
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_times import TimeProblem
from rimrep_assets.domain.table_types import MOST_MISFITS, ColumnType, as_type, misfit_cells

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VALUES = "values of {column!r} that are no {kind}, by cast"
"""under which dropped values are counted"""
MAY_BE = {"integer": r"^\s*[+-]?\d+\s*$", "number": r"(?i)\d|nan|inf"}
"""texts that do not look so are misfits; the others are tried"""


def dropping(
    table: SourceTable, dataset: Dataset, declared: Mapping[str, ColumnType]
) -> tuple[SourceTable, dict[str, list[str]]]:
    """``table`` without the values that are not of their ``declared`` type, in the columns of which ``cast`` says so;
    and up to five of them by column, which are there when the blocks have been read.

    Raises: DataError where ``cast`` names a column that has no declared type.
    """
    cast = dataset.convert.cast
    if isinstance(cast.misfits, dict):
        _refuse_unknown(cast.misfits, table, declared)
    held = {c: kind for c, kind in declared.items() if kind.type != "geometry" and cast.drops(c)}
    shown: dict[str, list[str]] = {}
    if not held:
        return table, shown
    words = {column: VALUES.format(column=column, kind=kind.type) for column, kind in held.items()}
    counted = dict.fromkeys(words.values(), 0)

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        counted.update(dict.fromkeys(counted, 0))
        shown.clear()
        row = 0
        for block in table.blocks({c: kind for c, kind in kinds.items() if c not in held}):
            columns = dict(zip(block.schema.names, block.columns, strict=True))
            for column, kind in held.items():
                columns[column], bad = _without_misfits(columns[column], kind)
                counted[words[column]] += len(bad)
                some = shown.setdefault(column, []) if bad else []
                cells = block.column(column)
                some += [f"row {row + at}: {cells[at].as_py()!r}" for at in bad[: MOST_MISFITS - len(some)]]
            yield _batch(columns)
            row += len(block)

    return replace(table, blocks=blocks, left_out=counting(table, counted), keep=None), shown


def _batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.record_batch(list(columns.values()), names=list(columns))


def _refuse_unknown(rules: Mapping[str, str], table: SourceTable, declared: Mapping[str, ColumnType]) -> None:
    problems = []
    for column in rules:
        if column not in table.names:
            problems.append(f"{table.file}: cast names {column!r}, which is not there{nearest(column, table.names)}")
        elif column not in declared:
            problems.append(f"{table.file}: cast names {column!r}, for which tableschema.json declares no type")
    if problems:
        raise DataError(problems)


def _without_misfits(cells: pa.Array, kind: ColumnType) -> tuple[pa.Array, list[int]]:
    """The cells in their declared type, and the positions of those that are not of it and became null.

    Times that name no instant are no misfits: the cells come back as they are, and reading them says what is wrong.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        read = as_type(cells, kind)
        if read is not None:
            return _without_infinities(read)
    except TimeProblem:
        pass
    bad = _misfits(cells, kind)
    cells = pc.if_else(pa.array(bad), pa.scalar(None, cells.type), cells)
    try:
        read = as_type(cells, kind)
    except TimeProblem:
        read = None
    if read is None:
        return cells, [int(at) for at in np.flatnonzero(bad)]
    read, infinite = _without_infinities(read)
    return read, sorted({*infinite, *(int(at) for at in np.flatnonzero(bad))})


def infinities(cells: pa.Array) -> list[int]:
    """The positions of infinite numbers. They are of the type, but measured nothing: JSON has no word for them, and
    text such as 1e400 became one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(cells.type):
        return []
    return [int(at) for at in np.flatnonzero(pc.fill_null(pc.is_inf(cells), False))]


def _without_infinities(cells: pa.Array) -> tuple[pa.Array, list[int]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    positions = infinities(cells)
    if not positions:
        return cells, []
    return pc.if_else(pc.is_inf(cells), pa.scalar(None, cells.type), cells), positions


def _misfits(cells: pa.Array, kind: ColumnType) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which cells are not of ``kind``; each different text is tried once."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    bad = np.zeros(len(cells), bool)
    if not pa.types.is_string(cells.type):
        bad[misfit_cells(cells, kind, len(cells))] = True
        return bad
    coded = cells.dictionary_encode()
    texts = coded.dictionary
    wrong = np.zeros(len(texts), bool)
    if kind.type in MAY_BE:
        points = texts if kind.decimal == "." else pc.replace_substring(texts, kind.decimal, ".")
        wrong = ~np.asarray(pc.match_substring_regex(points, MAY_BE[kind.type]))
    likely = np.flatnonzero(~wrong)
    tried = misfit_cells(texts.take(pa.array(likely)), kind, len(likely))
    wrong[likely[tried]] = True
    known = np.asarray(cells.is_valid())
    codes = np.asarray(pc.fill_null(coded.indices, 0))
    bad[known] = wrong[codes[known]]
    return bad
