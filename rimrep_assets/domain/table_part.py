"""A staged part: the rows of one source file, in sorted runs, as a Parquet file that only the fold reads.

Here belongs how such a file lies on disk. Not here: what is converted (``tabular``), or the version that is made of
parts (``table_fold``, ``table_version``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import bounds_of, bounds_of_points, crs_code, is_geographic
from rimrep_assets.domain.table_hilbert import hilbert_positions
from rimrep_assets.domain.table_order import RUN_BYTES, rows_for, sorted_rows
from rimrep_assets.domain.table_source import geometry_column, makes_points
from rimrep_assets.domain.table_types import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PART_KEY = b"rimrep"
"""key of a part's metadata: its file, the types of its columns by name, its CRS"""
# Names that no column can have by accident: they stand beside the data's own columns while rows are ordered.
ROW = "\x00row"
HILBERT = "\x00hilbert"
PAGE_BYTES = 128 * 1024
"""small, because a page of every column of every run is held while runs are merged"""


@dataclass(frozen=True)
class FileContents:
    """What a source file gave: ``columns`` by name with their Table Schema type, and its CRS as PROJJSON."""

    columns: dict[str, str]
    crs: dict[str, Any] | None

    @property
    def crs_name(self) -> str:
        return crs_code(self.crs)


def part_contents(part: Path) -> FileContents:
    """What a staged part says of its file."""
    import pyarrow.parquet as pq

    told = json.loads(pq.read_metadata(part).metadata[PART_KEY])
    return FileContents(told["columns"], told["crs"])


def coded_columns(part: Path) -> set[str]:
    """The columns of text whose values repeat, and which are therefore held as codes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return {field.name for field in pq.read_schema(part) if pa.types.is_dictionary(field.type)}


def sorting_keys(dataset: Dataset) -> list[str]:
    """``layout.sort_by``, with the geometry's place along the Hilbert curve for the geometry."""
    geometry = geometry_column(dataset)
    return [HILBERT if column == geometry else column for column in dataset.layout.sort_by]


def hilbert_column(columns: Mapping[str, pa.Array], crs: Mapping[str, Any] | None, dataset: Dataset) -> pa.Array:
    """The place along the curve of every row; null where there is no geometry."""
    import pyarrow as pa

    if makes_points(dataset):
        bounds = bounds_of_points(columns[str(dataset.coordinates.x)], columns[str(dataset.coordinates.y)])
    else:
        bounds, _ = bounds_of(columns[str(dataset.coordinates.geometry)])
    found = hilbert_positions(bounds, is_geographic=is_geographic(crs))
    return pa.array(found, mask=found < 0)


class PartWriter:
    """Writes one part; where rows have an order, each row group is a sorted run that carries the numbers of its rows.

    Memory: a run that is collected, and one that is sorted and written at the same time.
    """

    def __init__(
        self, out: Path, file: str, columns: Mapping[str, str], crs: Mapping[str, Any] | None, dataset: Dataset
    ) -> None:
        made = makes_points(dataset)
        self._out, self._crs, self._dataset = out, crs, dataset
        self._stored = [name for name in columns if not (made and name == geometry_column(dataset))]
        self._types = {name: arrow_type(columns[name]) for name in self._stored}
        self._about = {PART_KEY: json.dumps({"file": file, "columns": dict(columns), "crs": crs}).encode()}
        self._keys = sorting_keys(dataset)
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.RecordBatch] = []
        self._weight = self._rows = 0
        self._behind = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._rows == 0:
                self._write_nothing()
            if error is None and self._held:
                self._flush()
            if self._pending is not None and error is None:
                self._pending.result()
        finally:
            self._behind.shutdown()
            if self._writer is not None:
                self._writer.close()

    def write(self, block: pa.RecordBatch) -> pa.RecordBatch:
        """Take the next rows of the file; returns the columns of the source as they are stored."""
        if self._schema is None:
            self._schema = self._schema_for(block)
        self._held.append(self._ready(block))
        self._weight += self._held[-1].nbytes
        self._rows += len(block)
        stored = self._held[-1].select(self._stored)
        if self._weight >= RUN_BYTES:
            self._flush()
        return stored

    def _schema_for(self, block: pa.RecordBatch) -> pa.Schema:
        import pyarrow as pa

        coded = pa.dictionary(pa.int32(), pa.string())
        repeating = {name for name in self._stored if self._types[name] == pa.string() and repeats(block.column(name))}
        fields = [(name, coded if name in repeating else self._types[name]) for name in self._stored]
        fields += [(HILBERT, pa.int64())] * (HILBERT in self._keys) + [(ROW, pa.int64())] * bool(self._keys)
        return pa.schema(fields, metadata=self._about)

    def _ready(self, block: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        assert self._schema is not None
        columns = dict(zip(block.schema.names, block.columns, strict=True))
        if HILBERT in self._keys:
            columns[HILBERT] = hilbert_column(columns, self._crs, self._dataset)
        if self._keys:
            columns[ROW] = pa.array(np.arange(self._rows, self._rows + len(block)))
        return pa.record_batch([as_stored(columns[f.name], f.type) for f in self._schema], schema=self._schema)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._pending is not None:
            self._pending.result()
        run, self._held, self._weight = pa.Table.from_batches(self._held), [], 0
        self._pending = self._behind.submit(self._write_run, run)

    def _write_nothing(self) -> None:
        """A part without rows: steps may leave none of a file's."""
        import pyarrow as pa

        cells = [pa.array([], self._types[name]) for name in self._stored]
        schema = self._schema_for(pa.record_batch(cells, names=self._stored))
        self._held = [pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)]

    def _write_run(self, run: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            coded = [field.name for field in run.schema if pa.types.is_dictionary(field.type)]
            self._writer = pq.ParquetWriter(
                self._out, run.schema, compression="lz4", use_dictionary=coded or False, data_page_size=PAGE_BYTES
            )
        if self._keys:
            run = pa.Table.from_batches([sorted_rows(run, self._keys)], run.schema)
        self._writer.write_table(run, row_group_size=max(len(run), 1))


def as_stored(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """``cells`` as ``kind``, also where one of the two is coded. Raises: ArrowInvalid where a value does not fit."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(cells.type):
        return cells.cast(kind.value_type).dictionary_encode()
    return cells if cells.type == kind else cells.cast(kind)


def repeats(texts: pa.Array) -> bool:
    """Whether a column is worth coding, by its first rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.types.is_dictionary(texts.type) or int(pc.count_distinct(texts).as_py()) * 8 <= len(texts)


def run_batches(part: Path, groups: list[int], columns: list[str], most: int) -> Iterator[pa.RecordBatch]:
    """Rows of the row groups ``groups`` in their order, in batches of about ``most`` bytes."""
    import pyarrow.parquet as pq

    # Pages are read as they are needed: a whole column of many runs would not fit.
    with pq.ParquetFile(part, buffer_size=PAGE_BYTES) as parquet:
        for group in groups:
            about = parquet.metadata.row_group(group)
            rows = rows_for(most, about.total_byte_size, about.num_rows)
            yield from parquet.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)


def part_groups(part: Path) -> list[int]:
    """The number of rows of each row group."""
    import pyarrow.parquet as pq

    about = pq.read_metadata(part)
    return [about.row_group(group).num_rows for group in range(about.num_row_groups)]
