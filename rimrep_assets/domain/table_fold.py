"""The fold: a base version, minus files, plus staged parts, as one GeoParquet file and its provenance.

Here belongs which rows make a version, in what columns and order, so that the result is that of a clean rebuild,
byte for byte. Not here: converting source files (``tabular``) or describing the result (``table_facts``).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_column_metadata import field_metadata
from rimrep_assets.domain.table_concat import differing_columns
from rimrep_assets.domain.table_digests import FileDigests, RunningDigestsOfMany
from rimrep_assets.domain.table_duplicates import columns_for, places_left_out
from rimrep_assets.domain.table_duplicates import without as without_rows
from rimrep_assets.domain.table_objects import batches_of
from rimrep_assets.domain.table_order import MERGED_BYTES, MOST_RUNS, Run, in_order
from rimrep_assets.domain.table_part import (
    HILBERT,
    ROW,
    FileContents,
    as_stored,
    coded_columns,
    hilbert_column,
    part_contents,
    part_groups,
    run_batches,
    sorting_keys,
)
from rimrep_assets.domain.table_rows import BATCH_ROWS
from rimrep_assets.domain.table_source import geometry_column, makes_points
from rimrep_assets.domain.table_types import arrow_type, some_files
from rimrep_assets.domain.table_version import FILE, TableVersion, TableWriter, contents_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Folded", "TableVersion", "fold_table"]


@dataclass(frozen=True)
class Folded:
    """The number of published ``rows``, and by source file the digests of its rows that ``layout.duplicates`` left
    out, where there are any."""

    rows: int
    duplicates: dict[str, FileDigests]


def fold_table(
    *,
    base: TableVersion | None,
    without: Collection[str],
    staged: Mapping[str, Path],
    out: Path,
    dataset: Dataset,
    schema: Mapping[str, Any] | None = None,
    misfits: Mapping[str, Sequence[str]] | None = None,
) -> Folded:
    """Write ``out/data.parquet`` (a folder of parts where it is larger than ``layout.object_bytes``) and
    ``out/rows.parquet``.

    Rows: those of ``base`` except of the source files ``without`` and of those staged again, plus the parts
    ``staged`` (source file to part), less what ``layout.duplicates`` leaves out. What was left out of the base is not
    in it: where files are withdrawn or staged again, so must be those that had duplicates. Order: ``layout.sort_by``,
    nulls last, then source file and row. Columns: those of the files in the order of their names, each where it is
    first met; then geometry, bbox and fid.
    ``schema``: the curated Table Schema, whose words about columns go into the file. ``misfits``: by column and file
    cells that are not of the declared type, told where files disagree on it.
    Memory: about 0.5 GB at any number of rows.
    Raises: DataError where files disagree on a column's type or on the CRS, where an own ``fid`` is not a key,
    where no file is left, and where rows have one ``layout.key`` against ``layout.duplicates``.
    """
    kept = _kept(base, {*without, *staged})
    files = {**kept, **{name: part_contents(part) for name, part in staged.items()}}
    files = {name: files[name] for name in sorted(files)}
    if not files:
        raise DataError("no source file is left: a table without files cannot be published")
    _refuse_same_fid_prefix(files)
    columns = _united(files, dataset, misfits or {})
    out.mkdir(parents=True, exist_ok=True)
    left_out = None
    if dataset.layout.key:
        deciding = {name: columns[name] for name in columns_for(dataset, list(columns))}
        asked = _Rows(base, kept, staged, files, deciding, dataset, [])
        left_out = places_left_out(asked.as_they_stand(), dataset, list(files), str(out))
    digests = RunningDigestsOfMany(len(files))
    rows = _Rows(base, kept, staged, files, columns, dataset, sorting_keys(dataset))
    with TableWriter(out, columns, files, dataset, field_metadata(schema)) as writer:
        writer.write(without_rows(rows.in_order(spill=str(out)), left_out, digests))
    if "fid" in columns:
        _refuse_broken_key(out / "data.parquet", columns["fid"], str(out))
    return Folded(writer.rows, {n: digests.of(i) for i, n in enumerate(files) if digests.rows[i]})


def _kept(base: TableVersion | None, gone: Collection[str]) -> dict[str, FileContents]:
    contents = contents_of(base) if base else {}
    return {name: about for name, about in contents.items() if name not in gone}


def _refuse_same_fid_prefix(files: Collection[str]) -> None:
    prefixes: dict[int, list[str]] = {}
    for name in files:
        prefixes.setdefault(zlib.crc32(name.encode()), []).append(name)
    alike = [names for names in prefixes.values() if len(names) > 1]
    if alike:
        raise DataError([f"files {', '.join(n)} have the same CRC-32: their rows need other names" for n in alike])


def _united(
    files: Mapping[str, FileContents], dataset: Dataset, misfits: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Column to type over all files: nulls give way to any type, integer to number; the geometry is last."""
    seen: dict[str, dict[str, list[str]]] = {}
    for file, about in files.items():
        for column, kind in about.columns.items():
            seen.setdefault(column, {}).setdefault(kind, []).append(file)
    problems, united = [], {}
    for column, kinds in seen.items():
        told = set(kinds) - {"null"}
        if told == {"integer", "number"}:
            told = {"number"}
        if len(told) > 1:
            among = "; ".join(f"{kind} in {_some(kinds[kind])}" for kind in sorted(told))
            cells = some_files(misfits.get(column, ()))
            problems.append(f"column {column!r} has more than one type: {among}" + (f" ({cells})" if cells else ""))
        united[column] = told.pop() if told else "string"
    systems: dict[str, list[str]] = {}
    for file, about in files.items():
        systems.setdefault(about.crs_name, []).append(file)
    if len(systems) > 1:
        among = "; ".join(f"{name} in {_some(named)}" for name, named in sorted(systems.items()))
        problems.append(f"the files have more than one CRS: {among}")
    if dataset.convert.concat.columns == "same":
        problems += differing_columns({file: about.columns for file, about in files.items()})
    if problems:
        raise DataError(problems)
    geometry = geometry_column(dataset)
    if geometry in united:
        united[geometry] = united.pop(geometry)
    return united


def _some(files: Sequence[str], most: int = 5) -> str:
    more = f" and {len(files) - most} more files" if len(files) > most else ""
    return ", ".join(files[:most]) + more


class _Rows:
    """The rows of a version in the united columns, with the number of their file and their row in it."""

    def __init__(
        self,
        base: TableVersion | None,
        kept: Collection[str],
        staged: Mapping[str, Path],
        files: Mapping[str, FileContents],
        columns: Mapping[str, str],
        dataset: Dataset,
        sorting: Sequence[str],
    ) -> None:
        self._base, self._kept, self._dataset = base if kept else None, kept, dataset
        self._staged = {name: staged[name] for name in files if name in staged}
        self._numbers = {name: number for number, name in enumerate(files)}
        self._crs = next(iter(files.values())).crs
        # Points are made again behind the sort: cheaper than carrying them through it.
        carried = [name for name in columns if not (makes_points(dataset) and name == geometry_column(dataset))]
        self._sorting = sorting
        # Parts of a table that has an order carry the numbers of their rows.
        self._numbered = bool(sorting_keys(dataset))
        self._schema = self._stream_schema(columns, carried)

    def _stream_schema(self, columns: Mapping[str, str], carried: Sequence[str]) -> pa.Schema:
        import pyarrow as pa

        coded = set.intersection(*map(coded_columns, self._staged.values())) if self._staged else set()
        codes = pa.dictionary(pa.int32(), pa.string())
        fields = [
            (name, codes if name in coded and columns[name] == "string" else arrow_type(columns[name]))
            for name in carried
        ]
        fields += [(HILBERT, pa.int64())] * (HILBERT in self._sorting)
        return pa.schema([*fields, (FILE, pa.int32()), (ROW, pa.int64())])

    def in_order(self, spill: str) -> Iterator[pa.RecordBatch]:
        """By the dataset's order, then file and row."""
        keys = [*self._sorting, FILE, ROW]
        base = [self._base_run] if self._base else []
        if not self._sorting:
            # File after file is their order already.
            return in_order((), keys, spill, [*base, self._parts_run] if self._staged else base)
        runs = [
            self._part_run(name, [group])
            for name, part in self._staged.items()
            for group in range(len(part_groups(part)))
        ]
        if len(runs) + len(base) <= MOST_RUNS // 2:
            return in_order((), keys, spill, [*base, *runs])
        batches = (batch for run in runs for batch in run(MERGED_BYTES // 8))
        return in_order(batches, keys, spill, base)

    def as_they_stand(self) -> Iterator[pa.RecordBatch]:
        """In no order."""
        if self._base:
            yield from self._base_run(MERGED_BYTES // 8)
        yield from self._parts_run(MERGED_BYTES // 8)

    def _parts_run(self, most: int) -> Iterator[pa.RecordBatch]:
        for name, part in self._staged.items():
            yield from self._part_run(name, list(range(len(part_groups(part)))))(most)

    def _part_run(self, name: str, groups: list[int]) -> Run:
        def read(most: int) -> Iterator[pa.RecordBatch]:
            import numpy as np

            there = set(part_contents(self._staged[name]).columns)
            wanted = [c for c in self._schema.names if c in there] + ([ROW] if self._numbered else [])
            wanted += [HILBERT] * (HILBERT in self._sorting)
            first = 0
            for batch in run_batches(self._staged[name], groups, wanted, most):
                files = np.full(len(batch), self._numbers[name], np.int32)
                rows = batch.column(ROW) if self._numbered else np.arange(first, first + len(batch))
                yield _as_united(batch, files, rows, self._schema, name)
                first += len(batch)

        return read

    def _base_run(self, _most: int) -> Iterator[pa.RecordBatch]:
        """What stays of the base: it was made in this order, and files keep theirs among each other."""
        import numpy as np
        import pyarrow as pa

        assert self._base is not None
        names = list(contents_of(self._base))
        renumbered = np.array([self._numbers[name] if name in self._kept else -1 for name in names], np.int32)
        for batch, files, rows in self._base.batches(self._schema.names):
            now = renumbered[files]
            stays = now >= 0
            if not stays.any():
                continue
            left = batch.filter(pa.array(stays))
            if HILBERT in self._sorting:
                columns = dict(zip(left.schema.names, left.columns, strict=True))
                left = left.append_column(HILBERT, hilbert_column(columns, self._crs, self._dataset))
            yield _as_united(left, now[stays], rows[stays], self._schema, "the base version")


def _as_united(batch: pa.RecordBatch, files: object, rows: object, schema: pa.Schema, where: str) -> pa.RecordBatch:
    import pyarrow as pa

    columns, problems = [], []
    for field in list(schema)[:-2]:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(len(batch), field.type))
            continue
        try:
            columns.append(as_stored(batch.column(field.name), field.type))
        except pa.ArrowInvalid as error:
            problems.append(f"{where}: column {field.name!r} is not the same number as {field.type}: {error}")
    if problems:
        raise DataError(problems)
    return pa.record_batch([*columns, pa.array(files, pa.int32()), pa.array(rows, pa.int64())], schema=schema)


def _refuse_broken_key(data: Path, kind: str, spill: str) -> None:
    """The data's own ``fid`` names every row, once."""
    import pyarrow as pa

    schema = pa.schema([("fid", arrow_type(kind))])
    problems: dict[str, None] = {}
    last = object()
    batches = (pa.record_batch(b.columns, schema=schema) for b in batches_of(data, ["fid"], BATCH_ROWS))
    for batch in in_order(batches, ["fid"], spill):
        for value in batch.column(0).to_pylist():
            if value is None:
                problems["the data's own fid is null in some rows"] = None
            elif value == last:
                problems[f"the data's own fid {value!r} stands in more than one row"] = None
            last = value
    if problems:
        told = list(problems)
        raise DataError(told[:5] + ([f"and {len(told) - 5} more like these"] if len(told) > 5 else []))
