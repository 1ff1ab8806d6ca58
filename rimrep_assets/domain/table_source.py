"""A source file of a table with its declared steps applied: which columns there are, and their cells by blocks.

Here belongs which reader opens it, and whether every column that the catalog names is there. Not here: the form of
files (``table_csv`` and its neighbours), the steps (``table_steps_applied``) or the types of columns (``tabular``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable, one_after_the_other
from rimrep_assets.domain.table_csv import open_csv
from rimrep_assets.domain.table_dwca import open_dwca
from rimrep_assets.domain.table_json import open_json
from rimrep_assets.domain.table_names import (
    MADE_GEOMETRY,
    absent,
    geometry_column,
    is_layers,
    makes_points,
    platform_columns,
)
from rimrep_assets.domain.table_parquet import open_parquet
from rimrep_assets.domain.table_profiles import open_profiles
from rimrep_assets.domain.table_rdata import open_rdata
from rimrep_assets.domain.table_readers import SUFFIXES_IN_ZIP
from rimrep_assets.domain.table_steps_applied import with_steps
from rimrep_assets.domain.table_vector import open_vector
from rimrep_assets.domain.table_zip import unzipped

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MADE_GEOMETRY", "SourceTable", "geometry_column", "makes_points", "open_source", "platform_columns"]


def open_source(path: Path, name: str, dataset: Dataset) -> SourceTable:
    """Look at the file ``name``, which lies at ``path``, and apply the dataset's steps to its columns.

    Raises: DataError naming everything that keeps the file from being read, and all columns that the catalog
    names and the file lacks, with those that it has, nearest first.
    """
    problems: list[str] = []
    table = with_steps(_opened(path, name, dataset), name, dataset, problems)
    own = str(dataset.coordinates.geometry)
    final = {column: own if is_layers(table, column) else column for column in table.names}
    problems += _problems(list(final.values()), dataset)
    if problems:
        raise DataError([f"{name}: {problem}" for problem in dict.fromkeys(problems)])
    return replace(
        table,
        file=name,
        names=tuple(final.values()),
        blocks=lambda kinds: _called(table.blocks({c: kinds[new] for c, new in final.items() if new in kinds}), final),
        times=frozenset(final[c] for c in table.times if c in final),
        texts=frozenset(final[c] for c in table.texts if c in final),
        types={final[c]: kind for c, kind in table.types.items() if c in final},
        zones={final[c]: zone for c, zone in table.zones.items() if c in final},
        geometry=final.get(table.geometry) if table.geometry else None,
        keep=None,
    )


def _opened(path: Path, name: str, dataset: Dataset) -> SourceTable:
    """The file's table with its own names; of a zip the members that are wanted, one after the other."""
    reader = dataset.convert.table_readers()[0]
    opened, options = _READERS[reader], getattr(dataset.convert, reader)
    if dataset.convert.unzip is None:
        return opened(path, name, options, dataset)
    members = unzipped(path, name, dataset.convert.unzip, SUFFIXES_IN_ZIP[reader])
    tables = [opened(member, f"{name}/{inside}", options, dataset) for inside, member in members.paths.items()]
    table = tables[0] if len(tables) == 1 else one_after_the_other(tables, name)
    # The files go when nothing reads them any more: what reads them holds on to them.
    return replace(table, blocks=members.held_by(table.blocks), keep=members.held_by_table(table.keep))


_READERS: dict[str, Callable[[Path, str, Any, Dataset], SourceTable]] = {
    "read_csv": open_csv,
    "read_vector": open_vector,
    "read_json": open_json,
    "read_parquet": open_parquet,
    "read_rdata": open_rdata,
    "read_dwca": open_dwca,
    "read_profiles": open_profiles,
}
"""by step: opens a file as a table with its own names"""


def _called(blocks: Iterator[pa.RecordBatch], final: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        yield block.rename_columns([final[name] for name in block.schema.names])


def _problems(there: Sequence[str], dataset: Dataset) -> list[str]:
    """What the catalog asks of the finished columns and they do not give."""
    named = dataset.coordinates.named().items()
    problems = [absent(f"coordinates.{part}", column, there) for part, column in named if column not in there]
    orders = {*there, geometry_column(dataset)}
    problems += [absent("layout.sort_by", c, there) for c in dataset.layout.sort_by if c not in orders]
    problems += [absent("layout.key", c, there) for c in dataset.layout.key if c not in there]
    return problems + _clashes(there, dataset)


def _clashes(there: Sequence[str], dataset: Dataset) -> list[str]:
    problems = []
    if "" in there:
        problems.append("a column has no name: name it with rename: {'': name} or drop it with drop_columns: ['']")
    made = [c for c in platform_columns(dataset) if not (c == "fid" and "fid" in there)]
    for column in made:
        if column in there:
            problems.append(f"column {column!r} has a name that the platform gives; rename or drop it")
    # Several readers (DuckDB, Spark, SQL) hold such names for one.
    counted = Counter(column.lower() for column in {*there, *made})
    for lower in sorted(column for column, count in counted.items() if count > 1):
        alike = ", ".join(repr(c) for c in sorted({*there, *made}) if c.lower() == lower)
        problems.append(f"columns {alike} differ in case alone; rename or drop one")
    for column in sorted({c for c in there if there.count(c) > 1}):
        problems.append(f"after rename {there.count(column)} columns are called {column!r}")
    return problems
