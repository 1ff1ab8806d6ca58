"""The published rows of a version as a proof needs them: digests of every file, made columns checked, a sample kept.

Here belongs one reading of everything that is published, and a second one, file by file in the order of the source,
for files in which something is wrong. Not here: comparing with source files (``table_proof``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_digests import FileDigests, RunningDigestsOfMany
from rimrep_assets.domain.table_made import MadeColumns
from rimrep_assets.domain.table_objects import head_of
from rimrep_assets.domain.table_order import in_order
from rimrep_assets.domain.table_part import ROW, FileContents
from rimrep_assets.domain.table_rows import read_ahead
from rimrep_assets.domain.table_source import platform_columns
from rimrep_assets.domain.table_version import FILE, TableVersion

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROW_BITS = 40
"""of a key of file and row"""
MOST_PROBLEMS = 1000
"""so many cells of made columns are told; a version in which more are wrong was made wrongly"""


def made_columns(contents: Mapping[str, FileContents], dataset: Dataset) -> tuple[str, ...]:
    """The columns that no source file has; ``fid`` is one unless a file brings its own."""
    own = any("fid" in about.columns for about in contents.values())
    return tuple(name for name in platform_columns(dataset) if not (name == "fid" and own))


class PublishedReading:
    """One reading of all rows of a version.

    ``problems``: what is wrong with made columns, as ``(file, row, column, expected, published)``; ``samples``: which
    rows of a file to keep for the second reader.
    """

    def __init__(
        self,
        version: TableVersion,
        contents: Mapping[str, FileContents],
        samples: Mapping[str, np.ndarray[Any, Any]],
        dataset: Dataset,
    ) -> None:
        import numpy as np

        self._names = list(contents)
        self._numbers = {name: number for number, name in enumerate(contents)}
        self.made = made_columns(contents, dataset)
        self.problems: list[tuple[str, int, str, Any, Any]] = []
        self._made = MadeColumns(self.made, self._names, dataset)
        keys = [(self._numbers[n] << ROW_BITS) + rows for n, rows in samples.items() if n in self._numbers]
        self._sampled = np.sort(np.concatenate([np.empty(0, np.int64), *keys]))
        self._kept: list[pa.Table] = []
        self._digests = RunningDigestsOfMany(len(self._names))
        for batch, files, rows in read_ahead(version.batches(coded=True)):
            self._see(batch, files, rows)

    def _see(self, batch: pa.RecordBatch, files: Any, rows: Any) -> None:
        import numpy as np
        import pyarrow as pa

        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        self._check_made(columns, files, rows)
        self._digests.see({name: cells for name, cells in columns.items() if name not in self.made}, files, rows)
        if len(self._sampled):
            keys = (files.astype(np.int64) << ROW_BITS) + rows
            at = np.minimum(np.searchsorted(self._sampled, keys), len(self._sampled) - 1)
            chosen = np.flatnonzero(self._sampled[at] == keys)
            if len(chosen):
                whole = pa.Table.from_batches([batch]).append_column(FILE, pa.array(files))
                self._kept.append(whole.append_column(ROW, pa.array(rows)).take(pa.array(chosen)))

    def _check_made(self, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> None:
        absent = [column for column in self.made if column not in columns]
        if not self.problems:
            self.problems += [(self._names[0], 0, column, "a column", None) for column in absent]
        for column, at, expected, found in self._made.wrong(columns, files, rows):
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append((self._names[files[at]], int(rows[at]), column, expected, found))

    def digests_of(self, name: str) -> FileDigests:
        """Of the file's published rows, without made columns."""
        if name not in self._numbers:
            return FileDigests(rows=0, columns={})
        return self._digests.of(self._numbers[name])

    def rows_of(self, name: str) -> int:
        return int(self._digests.rows[self._numbers[name]]) if name in self._numbers else 0

    def sample_of(self, name: str) -> dict[int, dict[str, Any]]:
        """The published rows of the sample of a file, by their row in the file."""
        import pyarrow.compute as pc

        number = self._numbers.get(name, -1)
        mine = [kept.filter(pc.equal(kept.column(FILE), number)) for kept in self._kept]
        return {row[ROW]: row for kept in mine for row in kept.to_pylist()}


class RowsByFile:
    """The published rows of the files ``wanted`` without made columns, handed out in the order of the source."""

    def __init__(
        self,
        version: TableVersion,
        contents: Mapping[str, FileContents],
        wanted: Collection[str],
        dataset: Dataset,
        spill: str,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._numbers = {name: number for number, name in enumerate(contents)}
        made = made_columns(contents, dataset)
        origin = [(FILE, pa.int32()), (ROW, pa.int64())]
        published = pq.read_schema(head_of(version.data)).remove_metadata()
        self.schema = pa.schema([*(field for field in published if field.name not in made), *origin])
        rows = self._rows(version, [self._numbers[name] for name in wanted if name in self._numbers])
        self._stream = in_order(rows, [FILE, ROW], spill)
        self._held: pa.RecordBatch | None = None

    def _rows(self, version: TableVersion, wanted: list[int]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        columns = [name for name in self.schema.names if name not in (FILE, ROW)]
        for batch, files, rows in version.batches(columns):
            whole = pa.record_batch([*batch.columns, pa.array(files), pa.array(rows)], schema=self.schema)
            mine = np.isin(files, wanted)
            yield whole if mine.all() else whole.filter(pa.array(mine))

    def take(self, name: str, most: int | None) -> pa.Table:
        """The next rows of the file ``name``: ``most`` (None: all), fewer where it has no more."""
        import numpy as np
        import pyarrow as pa

        number, pieces, count = self._numbers.get(name, -1), [], 0
        while most is None or count < most:
            if self._held is None or len(self._held) == 0:
                self._held = next(self._stream, None)
                if self._held is None:
                    break
            files = np.asarray(self._held.column(FILE))
            other = np.flatnonzero(files != number)
            length = int(other[0]) if len(other) else len(files)
            length = length if most is None else min(length, most - count)
            if length == 0 and len(files):
                break
            pieces.append(self._held.slice(0, length))
            self._held = self._held.slice(length)
            count += length
        return pa.Table.from_batches(pieces, self.schema)
