"""Rows of a table that have one key, found over all its files and left out as the dataset declares.

Here belongs which rows stand more than once and which of them is published. Not here: the version that is made of the
others (``table_fold``), or comparing it with its sources (``table_proof``).

Rows have one key where all columns of ``layout.key`` hold the same; null is the same as null, and not-a-number as
not-a-number, as pandas has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_digests import RunningDigestsOfMany, hashes_of_rows
from rimrep_assets.domain.table_order import in_order, ranks
from rimrep_assets.domain.table_part import ROW
from rimrep_assets.domain.table_version import FILE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Places = np.ndarray[Any, np.dtype[np.int64]]

LEFT_OUT = "rows that stand there already, by layout.key"
"""what duplicates are called among what is left out of a file"""
HASH = "\x00hash"
ROW_BITS = 40
"""of a place: the number of a row's file, then of the row"""
MOST_TOLD = 5


def columns_for(dataset: Dataset, columns: Sequence[str]) -> list[str]:
    """Those of ``columns`` that decide what is a duplicate."""
    return [c for c in columns if dataset.layout.duplicates == "drop_same" or c in dataset.layout.key]


def places_left_out(
    batches: Iterable[pa.RecordBatch], dataset: Dataset, files: Sequence[str], spill: str
) -> Places | None:
    """The places of the rows that are not published, ascending; None where there are none.

    ``batches``: all rows in any order, with ``columns_for``, ``FILE`` (number in ``files``) and ``ROW``. Memory: that
    of ``in_order``, and 8 bytes for every row that is left out. Raises: DataError that shows some rows that have one
    key and are not declared as duplicates, and counts the others.
    """
    import numpy as np

    rule, key = dataset.layout.duplicates, list(dataset.layout.key)
    keyed = (_keyed(batch, key, with_hash=rule == "drop_same") for batch in batches)
    found: list[Places] = []
    clashes = _Clashes(key, files)
    last: pa.RecordBatch | None = None
    for batch in filter(len, in_order(keyed, [*key, FILE, ROW], spill)):
        pairs, last = _joined(last, batch), batch.slice(len(batch) - 1)
        same = _same_as_before(pairs, key)
        if rule == "drop_same":
            hashes = pairs.column(HASH).to_numpy(zero_copy_only=False)
            wrong, gone = same & (hashes[1:] != hashes[:-1]), 1 + np.flatnonzero(same)
        else:
            wrong, gone = same & (rule == "refuse"), np.flatnonzero(same)
        clashes.see(pairs, np.flatnonzero(wrong))
        found.append(places_of(*(pairs.column(name).to_numpy()[gone] for name in (FILE, ROW))))
    clashes.refuse(rule)
    places = np.sort(np.concatenate([np.empty(0, np.int64), *found]))
    return places if len(places) else None


def places_of(files: Any, rows: Any) -> Places:
    """One number for a row's file and its number in it, (n,)."""
    import numpy as np

    places: Places = (files.astype(np.int64) << ROW_BITS) + rows
    return places


def without(
    batches: Iterable[pa.RecordBatch], left_out: Places | None, digests: RunningDigestsOfMany
) -> Iterator[pa.RecordBatch]:
    """``batches``, which have ``FILE`` and ``ROW``, without the rows at the places ``left_out``; these go into
    ``digests``."""
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        if left_out is None:
            yield batch
            continue
        places = places_of(batch.column(FILE).to_numpy(), batch.column(ROW).to_numpy())
        gone = left_out[np.minimum(np.searchsorted(left_out, places), len(left_out) - 1)] == places
        if gone.any():
            rows = batch.filter(pa.array(gone))
            columns = dict(zip(rows.schema.names, rows.columns, strict=True))
            own = {name: cells for name, cells in columns.items() if not name.startswith("\x00")}
            digests.see(own, columns[FILE].to_numpy(), columns[ROW].to_numpy())
            batch = batch.filter(pa.array(~gone))
        if len(batch):
            yield batch


def _keyed(batch: pa.RecordBatch, key: Sequence[str], *, with_hash: bool) -> pa.RecordBatch:
    import pyarrow as pa

    names, columns = [*key, FILE, ROW], [batch.column(name) for name in (*key, FILE, ROW)]
    if with_hash:
        whole = [c for name, c in zip(batch.schema.names, batch.columns, strict=True) if not name.startswith("\x00")]
        names, columns = [*names, HASH], [*columns, pa.array(hashes_of_rows(whole))]
    return pa.record_batch(columns, names=names)


def _joined(last: pa.RecordBatch | None, batch: pa.RecordBatch) -> pa.RecordBatch:
    """``batch`` behind the row before it; the very first row stands behind none."""
    import pyarrow as pa

    whole = pa.Table.from_batches([batch] if last is None else [last, batch])
    return whole.unify_dictionaries().combine_chunks().to_batches()[0]


def _same_as_before(rows: pa.RecordBatch, key: Sequence[str]) -> Any:
    """(n - 1,): whether row 1, 2, ... has the key of the one before it."""
    import numpy as np

    same = np.ones(len(rows) - 1, bool)
    for name in key:
        for rank in ranks(rows.column(name)):
            same &= rank[1:] == rank[:-1]
    return same


class _Clashes:
    """Rows with one key that no rule allows: some are remembered, all are counted."""

    def __init__(self, key: Sequence[str], files: Sequence[str]) -> None:
        self._key, self._files = key, files
        self._shown: list[str] = []
        self._count = 0

    def see(self, rows: pa.RecordBatch, at: Any) -> None:
        """Each of ``at`` (n,) is the first of two rows."""
        self._count += len(at)
        for first in at[: MOST_TOLD - len(self._shown)].tolist():
            one, other = rows.slice(first, 2).to_pylist()
            values = ", ".join(f"{name} = {_shown(one[name])}" for name in self._key)
            self._shown.append(f"{self._place(one)} and {self._place(other)} have the same key: {values}")

    def _place(self, row: dict[str, Any]) -> str:
        return f"{self._files[row[FILE]]} row {row[ROW]}"

    def refuse(self, rule: str) -> None:
        """Raises: DataError where there are any."""
        if not self._count:
            return
        more = self._count - len(self._shown)
        told = [*self._shown, *([f"and {more} more pairs of rows with one key"] if more else [])]
        advice = "declare layout.duplicates: last, or name columns in layout.key that tell the rows apart."
        if rule == "refuse":
            advice = f"declare layout.duplicates: drop_same or {advice.removeprefix('declare layout.duplicates: ')}"
            raise DataError(told, advice=advice)
        raise DataError(["rows with one key differ in other columns:", *told], advice=advice)


def _shown(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
