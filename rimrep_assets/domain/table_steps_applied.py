"""The declared steps of a table, applied one after the other in the order in which they stand.

Here belong the order, choosing rows by value, and renaming, dropping and adding columns. Not here: the options
(``table_steps``), the steps about geometry (``table_steps_geometry``), pivoting (``table_steps_pivot``), or types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable, counting
from rimrep_assets.domain.table_names import absent, is_layers
from rimrep_assets.domain.table_steps import PLACE, FromName, wanted_values
from rimrep_assets.domain.table_steps_geometry import clipped
from rimrep_assets.domain.table_steps_join import joined
from rimrep_assets.domain.table_steps_matching import matching
from rimrep_assets.domain.table_steps_pivot import pivoted

if TYPE_CHECKING:
    import pyarrow as pa

LEFT_OUT = "rows, by {step}"
"""under which a step that chooses rows counts those that it left out"""


def with_steps(table: SourceTable, name: str, dataset: Dataset, problems: list[str]) -> SourceTable:
    """``table``, read from the source file ``name``, with the steps of ``convert`` that change rows and columns.

    What is wrong with a step is added to ``problems`` and the step passed over, so that all is found together. Rows
    are read block by block, except by ``pivot``, which holds them. Raises: DataError for rows that do not fit a step.
    """
    order = dataset.convert.order
    for at, step in enumerate(order):
        table = _STEPS[step](table, name, dataset, order[at + 1 :], problems)
    return table


def _renamed(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    own = [column for column in table.names if not is_layers(table, column)]
    problems += [absent("rename", old, own) for old in dataset.convert.rename if old not in own]
    final = {c: dataset.convert.rename.get(c, c) if c in own else c for c in table.names}
    if len(set(final.values())) < len(final):
        # Columns of one name cannot be told apart any more; the names are judged when all steps are through.
        twice = sorted({c for c in final.values() if list(final.values()).count(c) > 1})
        problems += [f"after rename {list(final.values()).count(c)} columns are called {c!r}" for c in twice]
        return table
    return _called(table, final)


def _called(table: SourceTable, final: Mapping[str, str]) -> SourceTable:
    before = {new: old for old, new in final.items()}

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        for block in table.blocks({before[c]: kind for c, kind in kinds.items() if c in before}):
            yield block.rename_columns([final[column] for column in block.schema.names])

    def keep(names: Sequence[str]) -> SourceTable:
        assert table.keep is not None
        return _called(table.keep([before[column] for column in names]), {before[c]: c for c in names})

    return replace(
        table,
        names=tuple(final[column] for column in table.names),
        blocks=blocks,
        times=frozenset(final[c] for c in table.times if c in final),
        texts=frozenset(final[c] for c in table.texts if c in final),
        types={final[c]: kind for c, kind in table.types.items() if c in final},
        zones={final[c]: zone for c, zone in table.zones.items() if c in final},
        geometry=final.get(table.geometry) if table.geometry else None,
        keep=keep if table.keep else None,
        unique=tuple(final[c] for c in table.unique if c in final),
    )


def _dropped(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    drop = dataset.convert.drop_columns
    own = [column for column in table.names if not is_layers(table, column)]
    problems += [absent("drop_columns", column, own) for column in drop if column not in own]
    kept = [column for column in table.names if column not in drop or column not in own]
    if len(kept) == len(table.names):
        return table
    return table.keep(kept) if table.keep is not None else _only(table, kept)


def _only(table: SourceTable, kept: Sequence[str]) -> SourceTable:
    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        for block in table.blocks(kinds):
            yield block.select(list(kept))

    return replace(
        table,
        names=tuple(kept),
        blocks=blocks,
        geometry=table.geometry if table.geometry in kept else None,
        keep=None,
        unique=table.unique if {*table.unique} <= {*kept} else (),
    )


def _chosen(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    wanted = {column: wanted_values(values) for column, values in dataset.convert.where.items()}
    missing = [absent("where", column, table.names) for column in wanted if column not in table.names]
    problems += missing
    if missing:
        return table

    def choose(block: pa.RecordBatch, row: int) -> pa.RecordBatch:
        import pyarrow.compute as pc

        masks = [matching(block.column(c), values, c, name, table.decimal) for c, values in wanted.items()]
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.and_(mask, other)
        return block.filter(mask)

    return selecting(table, "where", choose)


def selecting(
    table: SourceTable,
    step: str,
    choose: Callable[[pa.RecordBatch, int], pa.RecordBatch],
) -> SourceTable:
    """``table`` with the rows that ``choose`` leaves of each block; it is told the number of the block's first row.

    Cells come as the file has them, whatever type they will have: a row that goes need not be of it.
    """
    key = LEFT_OUT.format(step=step)
    counted = {key: 0}

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        counted[key] = row = 0
        for block in table.blocks({}):
            left = choose(block, row)
            counted[key] += len(block) - len(left)
            row += len(block)
            if len(left):
                yield left
        if row == 0:
            raise DataError(f"{table.file}: no rows below the header")

    return replace(table, blocks=blocks, left_out=counting(table, counted), may_be_empty=True, keep=None)


def _clipped(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    found = clipped(table, dataset, later, problems)
    return table if found is None else selecting(table, "clip", found)


def _added(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    import pyarrow as pa

    columns = dataset.convert.add_columns
    problems += [f"add_columns names {c!r}, which is in the data already" for c in columns if c in table.names]
    values: dict[str, Any] = {c: value for c, value in columns.items() if c not in table.names}
    for column, value in values.items():
        if isinstance(value, FromName):
            values[column] = found = taken_from(value.from_name, name)
            if found is None:
                problems.append(f"the name does not fit add_columns.{column}.from_name {value.from_name!r}")
    kinds_of = {column: pa.scalar(value).type for column, value in values.items()}
    # What the file brings as its geometry stays last.
    last = [column for column in table.names if column == table.geometry]
    first = [column for column in table.names if column not in last]

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        for block in table.blocks({c: kind for c, kind in kinds.items() if c not in values}):
            made = [pa.repeat(pa.scalar(value, kinds_of[c]), len(block)) for c, value in values.items()]
            arrays = [block.column(c) for c in first] + made + [block.column(c) for c in last]
            yield pa.record_batch(arrays, names=[*first, *values, *last])

    texts = {column for column, value in values.items() if isinstance(value, str)}
    return replace(table, names=(*first, *values, *last), blocks=blocks, texts=table.texts | texts, keep=None)


def taken_from(pattern: str, name: str) -> str | None:
    """What stands at ``{}`` of ``pattern`` in a file's name, None where it does not fit; see ``FromName``.

    Takes time in proportion to the length of the name, whatever the pattern is.
    """
    text = name if "/" in pattern else name.rpartition("/")[2]
    pieces, wild = _pieces(pattern)
    if not text.startswith(pieces[0]):
        return None
    at, found = len(pieces[0]), None
    for number, (mark, piece) in enumerate(zip(wild, pieces[1:], strict=True), start=1):
        least = at + (mark == PLACE)
        is_last = number == len(wild)
        begin = (
            len(text) - len(piece) if is_last and text.endswith(piece) else -1 if is_last else text.find(piece, least)
        )
        if begin < least or "/" in text[at:begin]:
            return None
        found = text[at:begin] if mark == PLACE else found
        at = begin + len(piece)
    return found


def _pieces(pattern: str) -> tuple[list[str], list[str]]:
    """The literal texts of a pattern, and the marks between them."""
    pieces, marks, rest = [""], [], pattern
    while rest:
        mark = PLACE if rest.startswith(PLACE) else "*" if rest.startswith("*") else ""
        if mark:
            marks.append(mark)
            pieces.append("")
        else:
            pieces[-1] += rest[0]
        rest = rest[len(mark or "x") :]
    return pieces, marks


def _pivoted(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    assert dataset.convert.pivot is not None
    return pivoted(table, name, dataset.convert.pivot, problems)


def _joined(table: SourceTable, name: str, dataset: Dataset, later: Sequence[str], problems: list[str]) -> SourceTable:
    return joined(table, name, dataset, problems)


_STEPS: dict[str, Callable[[SourceTable, str, Dataset, Sequence[str], list[str]], SourceTable]] = {
    "rename": _renamed,
    "drop_columns": _dropped,
    "where": _chosen,
    "clip": _clipped,
    "add_columns": _added,
    "pivot": _pivoted,
    "join_geometry": _joined,
}
