"""The published rows of a version as a proof needs them: file by file, in the order of the source.

Here belongs undoing the published order, checking the columns that the platform makes, and picking the rows of the
sample. Not here: comparing with source files (``table_proof``).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import bbox_column, bounds_of, points_from
from rimrep_assets.domain.table_rows import in_order
from rimrep_assets.domain.table_source import geometry_column, makes_points, platform_columns
from rimrep_assets.domain.table_version import FILE, ROW, FileContents, TableVersion

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROW_BITS = 40
"""of a key of file and row"""


def made_columns(contents: Mapping[str, FileContents], dataset: Dataset) -> tuple[str, ...]:
    """The columns that no source file has; ``fid`` is one unless a file brings its own."""
    own = any("fid" in about.columns for about in contents.values())
    return tuple(name for name in platform_columns(dataset) if not (name == "fid" and own))


class PublishedRows:
    """The rows of the files ``wanted``, handed out in pieces; every row of the version is looked at on the way.

    ``problems``: what is wrong with made columns, as ``(file, row, column, expected, published)``; complete when
    the last row was taken, like ``sample_of``. ``samples``: which rows of a file to keep for the second reader.
    """

    def __init__(
        self,
        version: TableVersion,
        contents: Mapping[str, FileContents],
        wanted: Collection[str],
        samples: Mapping[str, np.ndarray[Any, Any]],
        dataset: Dataset,
        spill: str,
    ) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._names = list(contents)
        self._numbers = {name: number for number, name in enumerate(contents)}
        self._dataset = dataset
        self.made = made_columns(contents, dataset)
        self.problems: list[tuple[str, int, str, Any, Any]] = []
        origin = [(FILE, pa.int32()), (ROW, pa.int64())]
        self._whole = pa.schema([*pq.read_schema(version.data).remove_metadata(), *origin])
        # What is made of other columns is checked where it stands, and need not go through the sort.
        self.schema = pa.schema([field for field in self._whole if field.name not in self.made])
        self._prefixes = pa.array([f"{zlib.crc32(name.encode()):08x}" for name in self._names], pa.string())
        keys = [(self._numbers[n] << ROW_BITS) + rows for n, rows in samples.items() if n in self._numbers]
        self._sampled = np.sort(np.concatenate([np.empty(0, np.int64), *keys]))
        self._kept: list[pa.RecordBatch] = []
        rows = self._rows(version, [self._numbers[name] for name in wanted if name in self._numbers])
        self._stream = in_order(rows, self.schema, [FILE, ROW], spill) if dataset.layout.sort_by else rows
        self._held: pa.RecordBatch | None = None

    def _rows(self, version: TableVersion, wanted: list[int]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        for batch, files, rows in version.batches():
            whole = pa.record_batch([*batch.columns, pa.array(files), pa.array(rows)], schema=self._whole)
            self._check_made(whole, files, rows)
            keys = (files.astype(np.int64) << ROW_BITS) + rows
            chosen = np.flatnonzero(np.isin(keys, self._sampled, kind="sort")) if len(self._sampled) else keys[:0]
            if len(chosen):
                self._kept.append(whole.take(pa.array(chosen)))
            mine = np.isin(files, wanted)
            lean = whole.select(self.schema.names)
            yield lean if mine.all() else lean.filter(pa.array(mine))

    def _check_made(self, whole: pa.RecordBatch, files: Any, rows: Any) -> None:
        import numpy as np

        for column in self.made:
            if column not in whole.schema.names:
                if not self.problems:
                    self.problems.append((self._names[0], 0, column, "a column", None))
                continue
            published, expected = whole.column(column), self._remade(column, whole)
            if published.equals(expected):
                continue
            for at in np.flatnonzero(differ(expected, published)):
                shown = expected[int(at)].as_py(), published[int(at)].as_py()
                self.problems.append((self._names[files[at]], int(rows[at]), column, *shown))

    def _remade(self, column: str, whole: pa.RecordBatch) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if column == "fid":
            number = whole.column(ROW).cast(pa.string())
            return pc.binary_join_element_wise(self._prefixes.take(whole.column(FILE)), number, "-")
        geometry = str(geometry_column(self._dataset))
        if column == geometry and makes_points(self._dataset):
            places = self._dataset.coordinates
            return points_from(whole.column(str(places.x)), whole.column(str(places.y)))
        return bbox_column(bounds_of(whole.column(geometry))[0])

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

    def finish(self) -> None:
        """Look at the rows that nobody took."""
        for _ in self._stream:
            pass

    def sample_of(self, name: str) -> dict[int, dict[str, Any]]:
        """The published rows of the sample of a file whose rows were taken, by their row in the file."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kept = pa.Table.from_batches(self._kept, self._whole)
        mine = kept.filter(pc.equal(kept.column(FILE), self._numbers.get(name, -1)))
        return {row[ROW]: row for row in mine.to_pylist()}


def differ(ours: pa.Array, theirs: pa.Array) -> Any:
    """Where two arrays of one type differ; null equals null, and not a number equals not a number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(ours.type):
        return np.array([one != other for one, other in zip(ours.to_pylist(), theirs.to_pylist(), strict=True)])
    found = np.array(pc.fill_null(pc.not_equal(ours, theirs), False))
    found |= np.asarray(ours.is_null()) != np.asarray(theirs.is_null())
    if pa.types.is_floating(ours.type):
        both = pc.and_(pc.is_nan(ours), pc.is_nan(theirs))
        found &= ~np.asarray(pc.fill_null(both, False))
    return found
