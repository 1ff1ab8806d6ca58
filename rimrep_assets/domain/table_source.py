"""A source file of a table with its declared steps applied: which columns there are, and their cells by blocks.

Here belongs ``rename``, ``drop_columns`` and whether every column that the catalog names is there. Not here: the
form of files (``table_csv``, ``table_vector``, ``table_profiles``) or the types of columns (``tabular``).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_csv import header_of, text_blocks
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_profiles import open_profiles
from rimrep_assets.domain.table_profiles_options import ReadProfiles
from rimrep_assets.domain.table_vector import layer_blocks, open_layer

if TYPE_CHECKING:
    import pyarrow as pa

MADE_GEOMETRY = "geometry"


def geometry_column(dataset: Dataset) -> str | None:
    """The name of the geometry in the published table; None where the dataset has neither geometry nor x and y."""
    if dataset.coordinates.geometry:
        return dataset.coordinates.geometry
    return MADE_GEOMETRY if dataset.coordinates.x else None


def makes_points(dataset: Dataset) -> bool:
    """Whether the geometry is made from x and y."""
    return geometry_column(dataset) is not None and dataset.coordinates.geometry is None


def platform_columns(dataset: Dataset) -> tuple[str, ...]:
    """Names of the columns that the platform makes, in their published order; ``fid`` unless the data has its own."""
    made = (MADE_GEOMETRY,) if makes_points(dataset) else ()
    covering = ("bbox",) if geometry_column(dataset) else ()
    return (*made, *covering, "fid")


@dataclass(frozen=True)
class SourceTable:
    """``names``: columns after the declared steps, in the file's order, a geometry that the file holds last.

    ``blocks``: reads the file from its start; cells are text (CSV) or what the layer has. It is told the types
    that columns will have, and may hand over numbers where that saves making text of them (Misfit where one is
    none). ``times``: columns that the layer knows as date with time; ``texts``: those that it holds as text, times
    among them; both are empty for CSV, where all is text. ``timezone``: the zone of times that carry none.
    ``types``: of columns whose cells are of one type whatever they hold, since the file says so.
    ``left_out``: once the blocks have been read, what of the file is not published and how much of it, in words.
    """

    file: str
    names: tuple[str, ...]
    blocks: Callable[[Mapping[str, str]], Iterator[pa.RecordBatch]]
    crs: Mapping[str, Any] | None = None
    times: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    timezone: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def open_source(path: Path, name: str, dataset: Dataset) -> SourceTable:
    """Look at the file ``name``, which lies at ``path``, and apply the dataset's steps to its columns.

    Raises: DataError naming everything that keeps the file from being read, and all columns that the catalog
    names and the file lacks, with those that it has, nearest first.
    """
    csv = dataset.convert.read_csv
    if csv is not None:
        raw = header_of(path, name, csv)
        final = _final_names(raw, name, dataset)
        keep = [column for column in raw if column in final]
        return SourceTable(
            file=name,
            names=tuple(final[column] for column in keep),
            blocks=lambda kinds: _renamed(
                text_blocks(path, name, csv, {column: kinds.get(final[column]) for column in keep}), final
            ),
            crs=crs84() if geometry_column(dataset) else None,
            timezone=csv.timezone,
        )
    if dataset.convert.read_profiles is not None:
        return _profiles(path, name, dataset.convert.read_profiles, dataset)
    vector = dataset.convert.read_vector
    layer = open_layer(path, name, vector.layer if vector else None)
    final = _final_names(list(layer.names), name, dataset, made=str(dataset.coordinates.geometry))
    final[layer.geometry] = str(dataset.coordinates.geometry)
    return SourceTable(
        file=name,
        names=(*(final[c] for c in layer.names if c in final), final[layer.geometry]),
        blocks=lambda _: _renamed(layer_blocks(layer), final),
        crs=layer.crs,
        times=frozenset(final[c] for c in layer.times if c in final),
        texts=frozenset(final[c] for c in layer.texts if c in final),
    )


def _profiles(path: Path, name: str, options: ReadProfiles, dataset: Dataset) -> SourceTable:
    profiles = open_profiles(path, name, options, dataset)
    final = _final_names(list(profiles.types), name, dataset)
    left_out: dict[str, int] = {}
    return SourceTable(
        file=name,
        names=tuple(final[c] for c in profiles.types if c in final),
        blocks=lambda _: _renamed(profiles.blocks(left_out), final),
        crs=crs84() if geometry_column(dataset) else None,
        texts=frozenset(final[c] for c, kind in profiles.types.items() if c in final and kind == "string"),
        types={final[c]: kind for c, kind in profiles.types.items() if c in final},
        left_out=left_out,
    )


def _renamed(blocks: Iterator[pa.RecordBatch], final: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        kept = [name for name in block.schema.names if name in final]
        yield block.select(kept).rename_columns([final[name] for name in kept])


def _final_names(raw: Sequence[str], name: str, dataset: Dataset, made: str | None = None) -> dict[str, str]:
    """Raw name to final name of the columns that stay; ``made`` is a geometry beside the attributes."""
    rename, drop = dataset.convert.rename, dataset.convert.drop_columns
    renamed = {column: rename.get(column, column) for column in raw}
    final = {column: new for column, new in renamed.items() if new not in drop}
    there = [*final.values(), *([made] if made else [])]
    problems = [_absent("rename", old, raw) for old in rename if old not in raw]
    problems += [_absent("drop_columns", old, list(renamed.values())) for old in drop if old not in renamed.values()]
    for part, column in dataset.coordinates.named().items():
        if column not in there:
            problems.append(_absent(f"coordinates.{part}", column, there))
    problems += [_absent("layout.sort_by", c, there) for c in dataset.layout.sort_by if c not in there]
    problems += _clashes(there, dataset)
    if problems:
        raise DataError([f"{name}: {problem}" for problem in problems])
    return final


def _absent(key: str, column: str, there: Sequence[str]) -> str:
    def likeness(other: str) -> float:
        return difflib.SequenceMatcher(None, column.lower(), other.lower()).ratio()

    listed = ", ".join(repr(other) for other in sorted(there, key=likeness, reverse=True))
    return f"{key} names {column!r}, which is not in the data; its columns, nearest first: {listed or 'none'}"


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
