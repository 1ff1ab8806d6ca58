"""Rows brought into order outside of memory: sorted in runs, runs merged.

Here belongs comparing and moving rows whatever they mean. Not here: which rows make a version (``table_fold``), or
places along a curve (``table_hilbert``).

The order of a column: numbers and times ascending, texts by their UTF-8 bytes, not-a-number after all numbers, null
after everything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Ranks = np.ndarray[Any, np.dtype[Any]]

RUN_BYTES = 48 * 1024 * 1024
"""of rows that are sorted at once, in memory"""
MERGED_BYTES = 24 * 1024 * 1024
"""of rows that are held while runs are merged, over all runs"""
MOST_RUNS = 64
"""so many are merged at once; more are merged in turns"""
LEAST_ROWS, MOST_ROWS = 64, 65_536
"""of a batch"""

Run = Callable[[int], Iterator["pa.RecordBatch"]]
"""reads sorted rows from the start, in batches of about so many bytes"""


def in_order(
    batches: Iterable[pa.RecordBatch], keys: Sequence[str], spill: str, sorted_runs: Sequence[Run] = ()
) -> Iterator[pa.RecordBatch]:
    """The rows of ``batches`` and of ``sorted_runs``, all of one schema, ordered by ``keys``, which must tell all rows
    apart.

    Memory: about five times ``RUN_BYTES`` at any number of rows; the rest goes into files below the folder ``spill``.
    """
    with tempfile.TemporaryDirectory(dir=spill) as folder:
        runs = list(sorted_runs)
        for table in in_pieces(batches, RUN_BYTES):
            ordered = sorted_rows(table, keys)
            # What fits is not written, if nothing else is there.
            runs.append(_in_memory(ordered) if not runs and ordered.nbytes < RUN_BYTES else _spilled(ordered, folder))
        while len(runs) > MOST_RUNS:
            groups = [runs[begin : begin + MOST_RUNS] for begin in range(0, len(runs), MOST_RUNS)]
            runs = [_spilled_stream(merged(group, keys), folder) for group in groups]
        yield from merged(runs, keys)


def in_pieces(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """``batches`` put together into tables of ``most`` bytes or a little more, the last one of less."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    weight = 0
    for batch in batches:
        held.append(batch)
        weight += batch.nbytes
        if weight >= most:
            yield pa.Table.from_batches(held)
            held, weight = [], 0
    if held:
        yield pa.Table.from_batches(held)


def sorted_rows(table: pa.Table, keys: Sequence[str]) -> pa.RecordBatch:
    """All rows of ``table`` ordered by ``keys``; rows with equal keys stay in their order."""
    import pyarrow as pa

    whole = table.unify_dictionaries().combine_chunks()
    batch = pa.record_batch(
        [c.chunk(0) if c.num_chunks else pa.array([], c.type) for c in whole.columns], schema=whole.schema
    )
    order = order_of([batch.column(key) for key in keys])
    return batch if order is None else batch.take(pa.array(order))


def order_of(keys: Sequence[pa.Array]) -> Ranks | None:
    """The positions (n,) that bring rows into order, most significant key first; None where they are in order."""
    order: Any = None
    found = [part for key in keys for part in ranks(key)]
    for rank in reversed(found):
        now = rank if order is None else rank[order]
        if len(now) < 2 or bool((now[1:] >= now[:-1]).all()):
            continue
        # Stable: what the less significant keys ordered stays so. Sixteen bits are sorted in linear time.
        moved = now.argsort(kind="stable")
        order = moved if order is None else order[moved]
    return order


def merged(runs: Sequence[Run], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of sorted ``runs`` in one order; ``keys`` tell all rows apart."""
    import pyarrow as pa

    if len(runs) == 1:
        yield from runs[0](MERGED_BYTES // 8)
        return
    share = MERGED_BYTES // max(len(runs), 8)
    with ExitStack() as closing:
        cursors = [_Cursor(run(share), keys, closing) for run in runs]
        while cursors := [cursor for cursor in cursors if cursor.is_open]:
            # Up to the least of the last rows that are held of each run nothing can come in between any more.
            bound = min(cursor.last_key() for cursor in cursors)
            pieces = [piece for cursor in cursors if len(piece := cursor.taken_up_to(bound))]
            if pieces:
                yield sorted_rows(pa.Table.from_batches(pieces), keys)


class _Cursor:
    """How far a run has been merged."""

    def __init__(self, batches: Iterator[pa.RecordBatch], keys: Sequence[str], closing: ExitStack) -> None:
        self._batches, self._keys = batches, keys
        close = getattr(batches, "close", None)
        if close:
            closing.callback(close)
        self._held: pa.RecordBatch | None = None
        self._advance()

    def _advance(self) -> None:
        self._held = next((batch for batch in self._batches if len(batch)), None)

    @property
    def is_open(self) -> bool:
        return self._held is not None

    def last_key(self) -> tuple[Any, ...]:
        assert self._held is not None
        return self._key(len(self._held) - 1)

    def _key(self, row: int) -> tuple[Any, ...]:
        assert self._held is not None
        return tuple(_comparable(self._held.column(key)[row]) for key in self._keys)

    def taken_up_to(self, bound: tuple[Any, ...]) -> pa.RecordBatch:
        """The held rows whose key is not above ``bound``."""
        assert self._held is not None
        low, high = 0, len(self._held)
        if self._key(high - 1) > bound:
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if self._key(middle) > bound else (middle + 1, high)
        taken = self._held.slice(0, high)
        self._held = self._held.slice(high)
        if len(self._held) == 0:
            self._advance()
        return taken


def _comparable(cell: pa.Scalar) -> tuple[int, Any]:
    """The cell's place in the order of its column, as a value that Python compares."""
    import pyarrow as pa

    if not cell.is_valid:
        return 2, 0
    if isinstance(cell, (pa.TimestampScalar, pa.Date32Scalar)):
        return 0, cell.value
    value = cell.as_py()
    if isinstance(value, float) and value != value:
        return 1, 0
    return 0, value


def ranks(column: pa.Array) -> list[Ranks]:
    """Numbers (n,) that order as the column does, the more significant array first."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = [] if column.null_count == 0 else [np.asarray(column.is_null()).view(np.uint8)]
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        places = np.empty(len(column.dictionary), np.int64)
        places[np.asarray(pc.array_sort_indices(column.dictionary))] = np.arange(len(places))
        if len(places) <= 2**16:
            places = places.astype(np.uint16)
        at = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return [*known, places[at] if len(places) else np.zeros(len(column), np.uint16)]
    if pa.types.is_floating(kind):
        values = column.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
        values[np.isnan(values)] = np.nan
        bits = values.view(np.int64)
        # Of negative numbers the greater bits are the lesser number; not-a-number has the greatest bits of all.
        return [*known, np.where(np.isnan(values), np.int64(2**63 - 1), bits ^ ((bits >> 63) & np.int64(2**63 - 1)))]
    if pa.types.is_null(kind):
        return []
    plain = pa.int64() if pa.types.is_timestamp(kind) else pa.int32() if pa.types.is_date(kind) else None
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    whole = (column.view(plain) if plain else column).fill_null(0)
    return [*known, whole.to_numpy(zero_copy_only=False)]


def _in_memory(batch: pa.RecordBatch) -> Run:
    return lambda most: _slices(batch, most)


def _slices(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    rows = rows_for(most, batch.nbytes, len(batch))
    for begin in range(0, len(batch), rows):
        yield batch.slice(begin, rows)


def rows_for(most: int, weight: int, rows: int) -> int:
    """How many of ``rows``, which weigh ``weight`` bytes, make a batch of ``most`` bytes."""
    return min(max(LEAST_ROWS, most * rows // max(weight, 1)), MOST_ROWS)


def _spilled(batch: pa.RecordBatch, folder: str) -> Run:
    return _spilled_stream(_slices(batch, MERGED_BYTES // MOST_RUNS), folder, batch.schema)


def _spilled_stream(batches: Iterator[pa.RecordBatch], folder: str, schema: pa.Schema | None = None) -> Run:
    """Written to a file, in batches small enough for ``MOST_RUNS`` to be held."""
    import pyarrow as pa

    path = Path(tempfile.mkstemp(dir=folder, suffix=".arrows")[1])
    pieces = (piece for batch in batches for piece in _slices(batch, MERGED_BYTES // MOST_RUNS))
    with ExitStack() as closing:
        writer = None
        for piece in pieces:
            if writer is None:
                sink = closing.enter_context(pa.OSFile(str(path), "wb"))
                writer = closing.enter_context(pa.ipc.new_stream(sink, schema or piece.schema))
            writer.write_batch(piece)
    return lambda _most: _read_back(path)


def _read_back(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if path.stat().st_size == 0:
        return
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
        yield from reader
