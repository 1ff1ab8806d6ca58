"""Streams of a table's rows cut into row groups.

Here belongs where a row group ends, whatever its rows mean. Not here: their order (``table_order``), or which rows make
a version (``table_fold``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
END = object()

BATCH_ROWS = 65_536
MOST_BYTES = 64 * 1024 * 1024
"""of geometry in a row group, so that polygons of any size can be read group by group"""


def read_ahead(items: Iterator[T], most: int = 2) -> Iterator[T]:
    """``items``, made in a thread of their own, up to ``most`` of them before they are asked for."""
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = deque(maker.submit(next, items, END) for _ in range(most))
        try:
            while (item := coming.popleft().result()) is not END:
                coming.append(maker.submit(next, items, END))
                yield item  # type: ignore[misc]
        finally:
            maker.shutdown(cancel_futures=True)


def row_groups(
    batches: Iterator[pa.RecordBatch], rows: int, heavy: str | None = None, first_key: str | None = None
) -> Iterator[pa.Table]:
    """``batches`` cut anew, every table in one chunk a column: ``rows`` long, shorter where the binary column
    ``heavy`` exceeds ``MOST_BYTES``, and, by up to a half, so as to end where the value of ``first_key`` changes: who
    asks for one site then reads few rows of others. Where the cuts fall depends on the rows alone, not on how they
    arrived."""

    held: list[pa.RecordBatch] = []
    count = weight = 0
    for batch in batches:
        held.append(batch)
        count += len(batch)
        weight += _bytes_of(batch, heavy)
        # One row more than a group holds says whether the group may end there.
        while count > rows or weight >= MOST_BYTES:
            whole = _joined(held)
            stop = _end_of_group(whole, rows, heavy, first_key)
            if stop is None:
                break
            yield whole.slice(0, stop).combine_chunks()
            rest = whole.slice(stop)
            held, count, weight = rest.to_batches(), len(rest), _bytes_of(rest, heavy)
    while count:
        whole = _joined(held)
        stop = _end_of_group(whole, rows, heavy, first_key) or count
        yield whole.slice(0, stop).combine_chunks()
        rest = whole.slice(stop)
        held, count = rest.to_batches(), len(rest)


def _joined(batches: list[pa.RecordBatch]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()


def _bytes_of(rows: pa.RecordBatch | pa.Table, heavy: str | None) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(rows.column(heavy))).as_py() or 0) if heavy else 0


def _end_of_group(whole: pa.Table, rows: int, heavy: str | None, first_key: str | None) -> int | None:
    """How many rows make the first group; None where rows that are still to come decide."""
    import numpy as np
    import pyarrow.compute as pc

    most = rows
    if heavy:
        sums = np.cumsum(np.asarray(pc.fill_null(pc.binary_length(whole.column(heavy)), 0), np.int64))
        # The row that crosses the weight still belongs to the group, so that a group is never empty.
        most = min(rows, int(np.searchsorted(sums, MOST_BYTES)) + 1)
    if most < rows and most <= len(whole):
        return most
    if len(whole) <= rows:
        return None
    return rows if first_key is None else _last_change(whole.column(first_key), rows)


def _last_change(column: pa.ChunkedArray, rows: int) -> int:
    """The last position above the half of ``rows`` where another value begins; ``rows`` where none does."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = column.combine_chunks()
    cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
    half = rows // 2
    now, before = cells.slice(half + 1, rows - half), cells.slice(half, rows - half)
    if pa.types.is_dictionary(cells.type):
        now, before = now.indices, before.indices
    same = pc.or_kleene(pc.equal(now, before), pc.and_(pc.is_null(now), pc.is_null(before)))
    changes = np.flatnonzero(~np.asarray(pc.fill_null(same, False)))
    return half + 1 + int(changes[-1]) if len(changes) else rows
