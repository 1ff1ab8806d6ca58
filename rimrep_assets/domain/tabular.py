"""One source file of a table converted into one Parquet part.

Here belongs settling the types of its columns and writing its rows in their order. Not here: the form of source
files (``table_csv``, ``table_vector``), uniting parts into a version (``table_fold``), or judging the schema
(``table_schema``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_digests import FileDigests, RunningDigests
from rimrep_assets.domain.table_geometry import is_geographic
from rimrep_assets.domain.table_part import PartWriter
from rimrep_assets.domain.table_row_problems import alike, misplaced, mistimed
from rimrep_assets.domain.table_rows import read_ahead
from rimrep_assets.domain.table_source import SourceTable, geometry_column, open_source
from rimrep_assets.domain.table_steps_cast import dropping, infinities
from rimrep_assets.domain.table_times import TimeProblem, why_no_time
from rimrep_assets.domain.table_types import (
    MOST_MISFITS,
    ColumnType,
    ColumnWatch,
    Misfit,
    as_type,
    declared_type,
)

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StagedTable:
    """What came of one file: its ``rows``, the ``crs`` of its geometry as PROJJSON, up to five cells of every
    column that is not of its declared type (or is almost numbers), as ``row 12: 'no data'``, rows from 0, and how many
    more there are, also of those that ``cast`` dropped, the ``digests`` of the values that were read, and ``left_out``:
    what of the file is not published and how much of it, in words."""

    rows: int
    crs: dict[str, Any] | None
    misfits: dict[str, tuple[str, ...]]
    digests: FileDigests
    left_out: dict[str, int] = field(default_factory=dict)


def stage_table(source: Path, name: str, dataset: Dataset, schema: Mapping[str, Any] | None, out: Path) -> StagedTable:
    """Convert the file ``name`` at ``source`` into the Parquet part ``out``: its rows in the final columns and types,
    with the geometry (WKB) that the file has, and in sorted runs where the dataset declares an order.

    ``schema``: the curated Table Schema; columns that it lacks get the strictest type that all their cells are of.
    A column that is not of its declared type gets the type that it shows; comparing schemas is the gate's job.
    Memory: a few runs (``table_order.RUN_BYTES``). Raises: DataError with everything that is wrong with the file.
    """
    table = open_source(source, name, dataset)
    declared = declared_types(table, dataset, schema)
    table, dropped = dropping(table, dataset, declared)
    told = {column: ColumnType(kind) for column, kind in table.types.items()}
    unknown = {column for column in table.names if column not in declared and column not in told}
    types, misfits = _settle(table, dataset, {}, unknown)
    types = {**told, **declared, **types}
    try:
        digests = _write(table, dataset, types, out)
    except Misfit:
        types, shown = _settle(table, dataset, declared, set(table.names))
        misfits = {**misfits, **shown}
        digests = _write(table, dataset, types, out)
    misfits |= {column: tuple(cells) for column, cells in dropped.items()}
    crs = dict(table.crs) if table.crs is not None else None
    return StagedTable(digests.rows, crs, misfits, digests, dict(table.left_out()))


def declared_types(table: SourceTable, dataset: Dataset, schema: Mapping[str, Any] | None) -> dict[str, ColumnType]:
    """The types that the catalog declares for columns of ``table``; the geometry is always one."""
    fields = {field["name"]: field for field in (schema or {}).get("fields", [])}
    found = {}
    for column in table.names:
        if column == dataset.coordinates.geometry:
            found[column] = ColumnType("geometry")
        elif column in fields and (known := declared_type(fields[column], table.zone(column), table.decimal)):
            found[column] = known
    return found


def typed_blocks(table: SourceTable, dataset: Dataset, types: Mapping[str, ColumnType]) -> Iterator[pa.RecordBatch]:
    """The file's rows in their order and ``types``, with the geometry that the file has last.

    Raises: DataError for times that name no instant, infinite numbers and places outside the globe (with rows, from
    0); Misfit for a cell that is not of its type.
    """
    import pyarrow as pa

    geometry = geometry_column(dataset)
    geographic = is_geographic(table.crs)
    keys: list[pa.RecordBatch] = []
    row = 0
    for block in table.blocks({column: known.type for column, known in types.items()}):
        columns, problems = _converted(block, table, types, row)
        if geometry in columns:
            columns[geometry] = columns.pop(geometry)
        if geometry and not problems:
            problems += misplaced(columns, table.file, dataset, row, geographic=geographic)
        problems += [] if problems else mistimed(columns, table.file, dataset, row)
        if problems:
            raise DataError(problems)
        if table.unique:
            keys.append(pa.record_batch([columns[c] for c in table.unique], names=list(table.unique)))
        yield pa.record_batch(list(columns.values()), names=list(columns))
        row += len(block)
    if problems := alike(keys, table.file):
        raise DataError(problems, advice="the file writes one value in several ways: let the provider write it in one.")


def _converted(
    block: pa.RecordBatch, table: SourceTable, types: Mapping[str, ColumnType], row: int
) -> tuple[dict[str, pa.Array], list[str]]:
    columns, problems = {}, []
    for column, cells in zip(block.schema.names, block.columns, strict=True):
        try:
            converted = as_type(cells, types[column])
        except TimeProblem as problem:
            problems.append(_told(problem, column, cells, table, row))
            continue
        if converted is None:
            raise Misfit(column)
        if len(infinite := infinities(converted)):
            problems.append(_infinite(infinite, column, cells, table, row))
        columns[column] = converted
    return columns, problems


def _infinite(positions: Sequence[int], column: str, cells: pa.Array, table: SourceTable, row: int) -> str:
    shown = ", ".join(f"row {row + p}: {cells[p].as_py()!r}" for p in positions[:MOST_MISFITS])
    more = f" and {len(positions) - MOST_MISFITS} more" if len(positions) > MOST_MISFITS else ""
    what = f"{table.file}: column {column!r} holds infinity, or numbers beyond 1.8e308: {shown}{more}"
    word = f" or declare the word in {table.reader}.na," if table.reader in ("read_csv", "read_dwca") else ""
    return (
        f"{what}; no measurement is infinite: ask the provider,{word} or declare the column as number in "
        f"tableschema.json and leave such values out with cast: {{misfits: {{{column}: drop}}}}"
    )


def _told(problem: TimeProblem, column: str, cells: pa.Array, table: SourceTable, row: int) -> str:
    shown = ", ".join(f"row {row + p}: {cells[p].as_py()!r}" for p in problem.positions[:MOST_MISFITS])
    more = len(problem.positions) - MOST_MISFITS
    what = f"{table.file}: column {column!r} {problem.reason}: {shown}" + (f" and {more} more" if more > 0 else "")
    if table.zone(column) is None:
        what += f"; declare {table.reader}.timezone"
    return what


def _settle(
    table: SourceTable, dataset: Dataset, declared: Mapping[str, ColumnType], columns: set[str]
) -> tuple[dict[str, ColumnType], dict[str, tuple[str, ...]]]:
    """The types of ``columns`` from all their cells, and examples of cells that are not of the declared one."""
    if not columns:
        return {}, {}
    watches = {
        column: ColumnWatch(declared.get(column), table.zone(column), table.decimal)
        for column in table.names
        if column in columns
    }
    row = 0
    for block in table.blocks({}):
        for column, watch in watches.items():
            watch.see(block.column(column), row)
        row += len(block)
    types = {column: watch.type for column, watch in watches.items()}
    if table.texts:
        types = {column: _layer_type(table, column, seen, declared) for column, seen in types.items()}
    misfits = {column: tuple(watch.misfits) for column, watch in watches.items() if watch.misfits}
    return types, misfits


def _layer_type(table: SourceTable, column: str, seen: ColumnType, declared: Mapping[str, ColumnType]) -> ColumnType:
    """A format with types says itself what is text, and which texts may be times. Times without a zone stay text:
    nothing says where their clock hangs."""
    if seen == declared.get(column) or column not in table.texts:
        return seen
    if column not in table.times:
        return ColumnType("string")
    if seen.type == "date" and table.reader != "read_vector":
        return seen
    is_time = seen.type == "datetime" or (seen.type == "null" and table.reader == "read_vector")
    return ColumnType("datetime", timezone=table.zone(column)) if is_time else ColumnType("string")


def _write(table: SourceTable, dataset: Dataset, types: Mapping[str, ColumnType], out: Path) -> FileDigests:
    _check_coordinates(table, dataset, types)
    geometry = geometry_column(dataset)
    ordered = {column: types[column].type for column in table.names if column != geometry}
    if geometry:
        ordered[geometry] = "geometry"
    digests = RunningDigests()
    try:
        with PartWriter(out, table.file, ordered, table.crs, dataset) as part:
            for block in read_ahead(typed_blocks(table, dataset, types)):
                digests.see(part.write(block), digests.rows)
        if digests.rows == 0 and not table.may_be_empty:
            raise DataError(f"{table.file}: no rows below the header")
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return digests.done()


def _check_coordinates(table: SourceTable, dataset: Dataset, types: Mapping[str, ColumnType]) -> None:
    """Coordinates that are no numbers, or no times, cannot be mended by comparing schemas later."""
    wanted = {
        "x": ("integer", "number"),
        "y": ("integer", "number"),
        "t": ("date", "datetime"),
        "geometry": ("geometry",),
    }
    forms = {"t": ColumnType("datetime", timezone="UTC"), "geometry": ColumnType("geometry")}
    problems = []
    for part, column in dataset.coordinates.named().items():
        if part not in wanted or types[column].type in (*wanted[part], "null"):
            continue
        bad = ColumnWatch(forms.get(part, ColumnType("number", decimal=table.decimal)), timezone=None)
        row = 0
        for block in table.blocks({}):
            bad.see(block.column(column), row)
            row += len(block)
        shown = f": {', '.join(bad.misfits)}" if bad.misfits else ""
        if part == "t" and not bad.misfits:
            advice = f"its times carry no zone: declare {table.reader}.timezone"
        elif part == "t":
            why = why_no_time(bad.misfits[0].partition(": ")[2].strip("'\""))
            advice = f"{f'that is {why}; ' if why else ''}times are ISO 8601, or have a format in tableschema.json"
        elif part == "geometry":
            advice = "texts that are geometries are WKT, such as POINT (150.5 -20.25); ask the provider about these"
        else:
            advice = f"declare words for a missing value in {table.reader}.na"
        problems.append(
            f"{table.file}: coordinates.{part}, column {column!r}, holds {types[column].type}, not "
            f"{' or '.join(wanted[part])}{shown}; {advice}"
        )
    if problems:
        raise DataError(problems)
