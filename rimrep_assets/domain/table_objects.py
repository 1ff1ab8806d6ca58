"""The objects that hold a table's rows: one Parquet file, or a folder of parts with `_metadata`.

Here belongs where one object ends and the next begins, and reading them as one table. Not here: what the rows are
(``table_fold``) or where they came from (``table_version``).
Source: https://arrow.apache.org/docs/python/parquet.html#writing-metadata-and-common-metadata-files
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset_layout import Layout
from rimrep_assets.domain.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

METADATA = "_metadata"
"""the footers of all parts in one file, so that a reader knows from one read which row groups of which part it needs"""


def part_name(number: int) -> str:
    """``part-00000.parquet`` and so on: their order is that of the rows."""
    return f"part-{number:05d}.parquet"


def parts_of(data: Path) -> list[Path]:
    """The Parquet files of a table in the order of its rows: ``data`` itself where it is one file."""
    if not data.is_dir():
        return [data]
    return sorted(data.glob("part-*.parquet"), key=lambda part: (len(part.name), part.name))


def objects_of(data: Path) -> list[Path]:
    """All files of a table, those that name others last."""
    return [*parts_of(data), data / METADATA] if data.is_dir() else [data]


def head_of(data: Path) -> Path:
    """The file whose footer tells schema, metadata and number of rows of the whole table."""
    return data / METADATA if data.is_dir() else data


def batches_of(data: Path, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    """The table's rows in their order, ``rows`` at a time; all ``columns`` by default."""
    import pyarrow.parquet as pq

    for part in parts_of(data):
        with pq.ParquetFile(part) as parquet:
            yield from parquet.iter_batches(rows, columns=None if columns is None else list(columns))


def group_lengths(data: Path) -> list[int]:
    """The number of rows of every row group, over all parts.

    Raises: DataError where `_metadata` is not about these parts: readers that trust it would read other bytes.
    """
    import pyarrow.parquet as pq

    lengths: list[int] = []
    told: list[dict[str, Any]] = []
    for part in parts_of(data):
        metadata = pq.read_metadata(part)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        lengths += [group.num_rows for group in groups]
        if data.is_dir():
            told += [_placed(group.to_dict(), part.name) for group in groups]
    if data.is_dir():
        whole = pq.read_metadata(head_of(data))
        if [whole.row_group(number).to_dict() for number in range(whole.num_row_groups)] != told:
            raise DataError(
                f"{data.name}/{METADATA} is not about the parts beside it", advice="make the version again."
            )
    return lengths


def _placed(group: dict[str, Any], name: str) -> dict[str, Any]:
    return {**group, "columns": [{**column, "file_path": name} for column in group["columns"]]}


@dataclass
class Cover:
    """Types of the geometries of some rows, and their bounds: x and y from, x and y to; None without any."""

    types: set[str] = field(default_factory=set)
    bounds: list[float] | None = None

    def see(self, bounds: np.ndarray[Any, Any], types: set[str]) -> None:
        """Add rows by their bounds, of which NaN has none."""
        import numpy as np

        known = ~np.isnan(bounds[:, 0])
        self.types |= types
        if known.any():
            edges = bounds if known.all() else bounds[known]
            self._unite([*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0)])

    def add(self, other: Cover) -> None:
        self.types |= other.types
        if other.bounds is not None:
            self._unite(other.bounds)

    def _unite(self, edges: Sequence[float]) -> None:
        both = [edges, self.bounds or edges]
        low, high = [min(e[i] for e in both) for i in (0, 1)], [max(e[i] for e in both) for i in (2, 3)]
        self.bounds = [float(edge) for edge in (*low, *high)]


class ObjectsWriter:
    """Writes row groups at ``data``: one file, or parts in a folder, the next one begun once a part holds
    ``layout.object_bytes``. What was written decides, and that follows from the rows alone.

    ``about``: what the footer of an object says of rows with that cover. ``coded``: columns with a dictionary;
    ``told``: those whose least and greatest value stand in the footer.
    """

    def __init__(
        self,
        data: Path,
        schema: pa.Schema,
        layout: Layout,
        coded: Sequence[str],
        told: Sequence[str],
        about: Callable[[Cover], Mapping[str, str]],
    ) -> None:
        self._data, self._schema, self._layout, self._coded, self._about = data, schema, layout, coded, about
        self._told = list(told)
        self._folder = data.with_name(f"{data.name}.unfinished")
        self._parts: list[Path] = []
        self._whole, self._cover = Cover(), Cover()
        self._sink: pa.OSFile | None = None
        self._writer: pq.ParquetWriter | None = None
        for old in (data, self._folder):
            _remove(old)
        self._folder.mkdir(parents=True)

    def write(self, group: pa.Table, cover: Cover) -> None:
        """Write ``group`` as one row group."""
        if self._sink is not None and self._sink.tell() >= self._layout.object_bytes:
            self._end()
        if self._writer is None:
            self._begin()
        assert self._writer is not None
        self._writer.write_table(group, row_group_size=max(len(group), 1))
        self._cover.add(cover)

    def finish(self) -> None:
        """Put what was written in its place: a single object, unless ``layout.folder`` wants a folder."""
        if self._writer is None:
            self._begin()
        self._end()
        if len(self._parts) == 1 and not self._layout.folder:
            self._parts[0].rename(self._data)
            self._folder.rmdir()
            return
        self._write_metadata()
        self._folder.rename(self._data)

    def abandon(self) -> None:
        """Leave nothing of what is not finished."""
        try:
            if self._writer is not None and self._sink is not None:
                self._writer.close()
                self._sink.close()
        finally:
            _remove(self._folder)

    def _begin(self) -> None:
        import pyarrow as pa

        self._cover = Cover()
        self._parts.append(self._folder / part_name(len(self._parts)))
        self._sink = pa.OSFile(str(self._parts[-1]), "wb")
        self._writer = self._parquet(self._sink)

    def _parquet(self, where: pa.OSFile | Path) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        # A stored Arrow schema would hide from Arrow's readers what is added to the file when it ends.
        return pq.ParquetWriter(
            where,
            self._schema,
            compression="zstd",
            use_dictionary=list(self._coded) or False,
            write_statistics=self._told,
            store_schema=False,
        )

    def _end(self) -> None:
        assert self._writer is not None and self._sink is not None
        self._writer.add_key_value_metadata(dict(self._about(self._cover)))
        self._writer.close()
        self._sink.close()
        self._whole.add(self._cover)
        self._writer = self._sink = None

    def _write_metadata(self) -> None:
        import pyarrow.parquet as pq

        path = self._folder / METADATA
        writer = self._parquet(path)
        writer.add_key_value_metadata(dict(self._about(self._whole)))
        writer.close()
        whole = pq.read_metadata(path)
        for part in self._parts:
            footer = pq.read_metadata(part)
            footer.set_file_path(part.name)
            whole.append_row_groups(footer)
        whole.write_metadata_file(str(path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
