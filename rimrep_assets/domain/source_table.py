"""An opened source file as a table: which columns there are, and their cells by blocks.

Here belongs what every reader hands over, and several such tables read one after the other. Not here: any format of
files (``table_csv`` and its neighbours), or the dataset's steps (``table_source``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_types import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

Blocks = Callable[[Mapping[str, str]], "Iterator[pa.RecordBatch]"]
"""reads a table from its start; told the types by column that are known already"""


@dataclass(frozen=True)
class SourceTable:
    """``names``: columns in the file's order, a geometry that the file holds last.

    ``blocks``: reads the file from its start; cells are text (CSV) or what the format has: int64, float64, bool,
    date32, timestamp[us, UTC], string, and binary for the geometry. It is told the types that columns will have, and
    may hand over numbers where that saves making text of them (Misfit where one is none). ``times``: columns of text
    that may be dates with times; ``texts``: those that the format holds as text, ``times`` among them; both are
    empty for CSV, where all is text. ``timezone``: the zone of times that carry none, ``zones`` by column where they
    differ. ``decimal``: what stands before the fraction of numbers in texts. ``geometry``: the column whose cells are
    a geometry in the file. ``reader``: the step that read it. ``keep``: the same table of some columns alone, where
    that saves reading. ``types``: of columns whose cells are of one type whatever they hold, since the file says so.
    ``left_out``: once the blocks have been read, what of the file is not published and how much of it, in words.
    ``may_be_empty``: a step may have left out all rows. ``unique``: columns in which no two rows are alike once they
    have their types, because a step made it so.
    """

    file: str
    names: tuple[str, ...]
    blocks: Blocks
    crs: Mapping[str, Any] | None = None
    times: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    timezone: str | None = None
    zones: Mapping[str, str | None] = field(default_factory=dict)
    decimal: str = "."
    geometry: str | None = None
    reader: str = "read_csv"
    keep: Callable[[Sequence[str]], SourceTable] | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    left_out: Callable[[], Mapping[str, int]] = dict
    may_be_empty: bool = False
    unique: tuple[str, ...] = ()

    def zone(self, column: str) -> str | None:
        """The zone of a column's times that carry none."""
        return self.zones.get(column, self.timezone)

    def column_type(self, column: str, kind: str) -> ColumnType:
        """The type ``kind`` as this file writes it in ``column``."""
        return ColumnType(kind, timezone=self.zone(column), decimal=self.decimal)


def counting(table: SourceTable, counted: Mapping[str, int]) -> Callable[[], Mapping[str, int]]:
    """``left_out`` of ``table`` with what one more step counts; of what it left out of nothing, nothing is said."""
    return lambda: {**table.left_out(), **{what: count for what, count in counted.items() if count}}


def one_after_the_other(tables: Sequence[SourceTable], file: str) -> SourceTable:
    """Several tables as one, their rows in this order.

    Raises: DataError naming two whose columns or CRS differ, and how; while reading, two whose types do.
    """
    first = tables[0]
    problems = []
    for other in tables[1:]:
        for what, ours, theirs in (
            ("columns", list(first.names), list(other.names)),
            ("CRS", (first.crs or {}).get("name"), (other.crs or {}).get("name")),
        ):
            if ours != theirs:
                both = f"{first.file} and {other.file} are one table, but their {what} differ"
                problems.append(f"{both}: {_differ(ours, theirs)}")
    if problems:
        raise DataError(problems[:20] + ([f"and {len(problems) - 20} more like these"] if len(problems) > 20 else []))

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        seen: dict[str, tuple[str, str]] = {}
        for table in tables:
            for block in table.blocks(kinds):
                _refuse_mixed(block, table.file, seen)
                yield block

    return SourceTable(
        file=file,
        names=first.names,
        blocks=blocks,
        crs=first.crs,
        times=frozenset().union(*(table.times for table in tables)),
        texts=frozenset().union(*(table.texts for table in tables)),
        timezone=first.timezone,
        zones=first.zones,
        decimal=first.decimal,
        geometry=first.geometry,
        reader=first.reader,
        types={c: kind for c, kind in first.types.items() if all(t.types.get(c) == kind for t in tables)},
        left_out=lambda: sum((Counter(table.left_out()) for table in tables), Counter[str]()),
        keep=(lambda names: _kept(tables, names, file)) if first.keep else None,
    )


def _kept(tables: Sequence[SourceTable], names: Sequence[str], file: str) -> SourceTable:
    return one_after_the_other([table.keep(names) for table in tables if table.keep], file)


def _differ(ours: Any, theirs: Any) -> str:
    if not isinstance(ours, list):
        return f"{ours!r} and {theirs!r}"
    alone, others = [c for c in ours if c not in theirs], [c for c in theirs if c not in ours]
    if not alone and not others:
        return "their order"
    told = [f"the first alone has {', '.join(map(repr, alone))}"] if alone else []
    return "; ".join(told + ([f"the second alone has {', '.join(map(repr, others))}"] if others else []))


def _refuse_mixed(block: pa.RecordBatch, file: str, seen: dict[str, tuple[str, str]]) -> None:
    """A whole number is a number too, and nothing is of any type; else a column has one type in all tables."""
    problems = []
    for column in block.schema:
        kind = str(column.type)
        before, where = seen.setdefault(column.name, (kind, file)) if kind != "null" else (kind, file)
        if kind != before and {kind, before} != {"int64", "double"}:
            problems.append(f"column {column.name!r} holds {before} in {where} and {kind} in {file}")
    if problems:
        raise DataError(problems)
