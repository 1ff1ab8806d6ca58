"""Streams of a table's rows: brought into order outside of memory, and cut into row groups.

Here belongs moving rows whatever they mean. Not here: which rows make a version (``table_fold``) or comparing
them (``table_proof``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

SORT_MEMORY = "384MB"
"""DuckDB's; what does not fit is sorted in files"""
BATCH_ROWS = 65_536
MOST_BYTES = 64 * 1024 * 1024
"""of geometry in a row group, so that polygons of any size can be read group by group"""


def in_order(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, keys: Sequence[str], spill: str
) -> Iterator[pa.RecordBatch]:
    """The rows of ``batches`` ordered by ``keys``, nulls last; ``keys`` must tell all rows apart.

    Memory: about 0.4 GB at any number of rows; the rest goes into files below the folder ``spill``.
    """
    import duckdb
    import pyarrow as pa

    # Positions for names: DuckDB takes names that differ in case for one. Whole numbers for instants: its
    # time zones are an extension.
    lean = pa.schema([(f"c{i}", _lean(field.type)) for i, field in enumerate(schema)])
    failures: list[Exception] = []
    reader = pa.RecordBatchReader.from_batches(lean, _remembering(batches, lean, failures))
    order = ", ".join(f"c{schema.get_field_index(key)} ASC NULLS LAST" for key in keys)
    with tempfile.TemporaryDirectory(dir=spill) as folder:
        config = {"memory_limit": SORT_MEMORY, "temp_directory": folder, "preserve_insertion_order": "false"}
        with duckdb.connect(config=config) as connection:
            connection.register("stream", reader)
            ordered = connection.sql(f"SELECT * FROM stream ORDER BY {order}")  # noqa: S608
            try:
                for batch in ordered.to_arrow_reader(BATCH_ROWS):
                    yield _as(batch, schema)
            except (duckdb.Error, pa.ArrowException, OSError):
                # DuckDB turns what went wrong in the rows into words of its own.
                if failures:
                    raise failures[0] from None
                raise


def _remembering(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, failures: list[Exception]
) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            yield _as(batch, schema)
    except Exception as error:
        failures.append(error)
        raise


def _lean(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [c.cast(field.type) for c, field in zip(batch.columns, schema, strict=True)]
    return pa.record_batch(columns, schema=schema)


def row_groups(batches: Iterator[pa.RecordBatch], rows: int, heavy: str | None = None) -> Iterator[pa.Table]:
    """``batches`` cut anew, every table in one chunk a column: ``rows`` long, shorter where the binary column
    ``heavy`` exceeds ``MOST_BYTES``. Where the cuts fall depends on the rows alone, not on how they arrived."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    held: list[pa.RecordBatch] = []
    count = weight = 0
    for batch in batches:
        lengths = np.zeros(len(batch), np.int64)
        if heavy:
            lengths = np.asarray(pc.fill_null(pc.binary_length(batch.column(heavy)), 0), np.int64)
        sums = np.cumsum(lengths)
        start, before = 0, 0
        while start < len(batch):
            # The row that crosses the weight still belongs to the group, so that a group is never empty.
            by_weight = int(np.searchsorted(sums, MOST_BYTES - weight + before)) + 1
            stop = min(start + rows - count, max(by_weight, start + 1), len(batch))
            held.append(batch.slice(start, stop - start))
            count += stop - start
            weight += int(sums[stop - 1]) - before
            before, start = int(sums[stop - 1]), stop
            if count == rows or weight >= MOST_BYTES:
                yield pa.Table.from_batches(held).combine_chunks()
                held, count, weight = [], 0, 0
    if held:
        yield pa.Table.from_batches(held).combine_chunks()
