"""One version of a table: ``data.parquet`` and its provenance ``rows.parquet``, read and written together.

Here belongs how rows and their provenance lie in files. Not here: which rows they are (``table_fold``), or how many
objects ``data.parquet`` is (``table_objects``).
Source: https://geoparquet.org/releases/v1.1.0/
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_column_metadata import ARROW_SCHEMA, arrow_schema
from rimrep_assets.domain.table_geometry import (
    EDGES,
    bbox_column,
    bounds_of,
    bounds_of_points,
    crs84,
    geo_metadata,
    points_from,
)
from rimrep_assets.domain.table_objects import Cover, ObjectsWriter, group_lengths, head_of, parts_of
from rimrep_assets.domain.table_part import ROW, FileContents, repeats, sorting_keys
from rimrep_assets.domain.table_rows import BATCH_ROWS, read_ahead, row_groups
from rimrep_assets.domain.table_source import geometry_column, makes_points
from rimrep_assets.domain.table_types import arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

FILE = "\x00file"
FILES_KEY = b"files"
CONTENTS_KEY = b"contents"


@dataclass(frozen=True)
class TableVersion:
    """``data``: the published rows, a file or a folder of parts; ``rows``: per row, in the same order, ``file`` (index
    into the names in the metadata under ``files``) and ``row`` (its number in that file, from 0)."""

    data: Path
    rows: Path

    def rows_by_file(self) -> dict[str, int]:
        """How many rows each source file has."""
        import numpy as np
        import pyarrow.parquet as pq

        names = list(contents_of(self))
        counts = np.zeros(len(names), np.int64)
        with pq.ParquetFile(self.rows) as parquet:
            for batch in parquet.iter_batches(columns=["file"]):
                counts += np.bincount(np.asarray(batch.column(0)), minlength=len(names))
        return dict(zip(names, counts.tolist(), strict=True))

    def batches(
        self, columns: Collection[str] | None = None, *, coded: bool = False
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """The rows in their order with the index of their file and their row in it; all ``columns`` by default.

        ``coded``: texts whose values repeat come as codes, which is quicker.
        Raises: DataError where the two files do not have the same number of rows.
        """
        import numpy as np
        import pyarrow.parquet as pq

        repeating = _repeating_texts(self.data) if coded else []
        wanted = [name for name in pq.read_schema(head_of(self.data)).names if columns is None or name in columns]
        with pq.ParquetFile(self.rows) as rows:
            lengths = group_lengths(self.data), group_lengths(self.rows)
            if lengths[0] != lengths[1]:
                raise DataError(
                    f"{self.rows.name} is not of this data: it has {sum(lengths[1])} rows in {len(lengths[1])} "
                    f"groups, the data {sum(lengths[0])} in {len(lengths[0])}"
                )
            for number, (data, group) in enumerate(_groups_of(self.data, repeating)):
                origin = rows.read_row_group(number)
                files, numbers = np.asarray(origin.column(0)), np.asarray(origin.column(1))
                start = 0
                for batch in data.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                    among = slice(start, start + len(batch))
                    yield batch.select(wanted), files[among], numbers[among]
                    start += len(batch)


def _groups_of(data: Path, repeating: list[str]) -> Iterator[tuple[pq.ParquetFile, int]]:
    """Every row group, as an open file and its number in it."""
    import pyarrow.parquet as pq

    for part in parts_of(data):
        with pq.ParquetFile(part, read_dictionary=repeating) as parquet:
            yield from ((parquet, group) for group in range(parquet.num_row_groups))


def _repeating_texts(data: Path) -> list[str]:
    """Columns of text whose first rows say that values repeat."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(parts_of(data)[0]) as parquet:
        texts = [field.name for field in parquet.schema_arrow if pa.types.is_string(field.type)]
        groups = list(range(min(parquet.num_row_groups, 1)))
        first = next(parquet.iter_batches(BATCH_ROWS // 8, row_groups=groups, columns=texts), None)
    return [name for name in texts if first is not None and repeats(first.column(name))]


def contents_of(version: TableVersion) -> dict[str, FileContents]:
    """The source files of a version, in the order of their index, and what each gave."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(version.rows).metadata
    files = json.loads(metadata[FILES_KEY])
    told = json.loads(metadata[CONTENTS_KEY])
    kinds = told["columns"]
    return {name: FileContents(dict(kinds[kind]), told["crs"]) for name, kind in zip(files, told["file"], strict=True)}


class TableWriter:
    """Writes both files of a version row group by row group; ``rows`` counts."""

    def __init__(
        self,
        out: Path,
        columns: Mapping[str, str],
        files: Mapping[str, FileContents],
        dataset: Dataset,
        described: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.rows = 0
        self._group_rows = dataset.layout.row_group_rows
        self._first_key = next(iter(sorting_keys(dataset)), None)
        geometry = geometry_column(dataset)
        self._geometry = geometry if geometry in columns else None
        x_and_y = (str(dataset.coordinates.x), str(dataset.coordinates.y))
        self._made_from = x_and_y if makes_points(dataset) else None
        self._crs = next(iter(files.values())).crs or (crs84() if self._geometry else None)
        self._prefixes = pa.array([f"{zlib.crc32(name.encode()):08x}" for name in files])
        self._made_fid = "fid" not in columns
        kinds = dict(columns)
        if self._geometry:
            kinds["bbox"] = "object"
        if self._made_fid:
            kinds["fid"] = "string"
        self._kinds = kinds
        self._pandas = json.dumps(_pandas_metadata(kinds))
        self._described = described or {}
        origin = pa.schema([("file", pa.int32()), ("row", pa.int64())], metadata=_provenance(files))
        self._out, self._layout = out, dataset.layout
        self._data: ObjectsWriter | None = None
        self._origin = pq.ParquetWriter(out / "rows.parquet", origin, compression="zstd", use_dictionary=["file"])
        self._origin_schema = origin

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                (self._data or self._begun(set())).finish()
        finally:
            if self._data is not None:
                self._data.abandon()
            self._origin.close()

    def _begun(self, repeating: set[str]) -> ObjectsWriter:
        """The writer of the data, told which columns of text repeat."""
        import pyarrow as pa

        codes = pa.dictionary(pa.int32(), pa.string())
        self._schema = pa.schema(
            [(name, codes if name in repeating else arrow_type(kind)) for name, kind in self._kinds.items()]
        )
        # Codes do not help columns in which no two values are alike, and measurements seldom are; places often are.
        whole = {name for name, kind in self._kinds.items() if kind == "integer"}
        coded = [name for name in self._kinds if name in {*repeating, *whole, *(self._made_from or ())}]
        coded += [self._geometry, *(f"bbox.{edge}" for edge in EDGES)] if self._geometry and self._made_from else []
        # Least and greatest of a geometry or of a made key tell nobody which rows to read, and every reader loads them.
        useless = {self._geometry, "fid" if self._made_fid else None, "bbox"}
        told = [*(name for name in self._kinds if name not in useless)]
        told += [f"bbox.{edge}" for edge in EDGES if self._geometry]
        self._data = ObjectsWriter(self._out / "data.parquet", self._schema, self._layout, coded, told, self._about)
        return self._data

    def _repeating(self, group: pa.Table) -> set[str]:
        """Columns of text that the first group shows to repeat: of the rows alone, however they came."""
        import pyarrow.compute as pc

        texts = [name for name in group.schema.names if self._kinds.get(name) == "string"]
        return {name for name in texts if 2 * pc.count_distinct(_plain(group.column(name))).as_py() <= len(group)}

    def _about(self, cover: Cover) -> dict[str, str]:
        """What the footer says of rows with that cover.

        A stored Arrow schema would hide from Arrow's readers what is added to the file when it ends: it is added too.
        """
        import pyarrow as pa

        told = {"pandas": self._pandas}
        if self._geometry and self._crs is not None:
            told["geo"] = json.dumps(geo_metadata(self._geometry, self._crs, cover.types, cover.bounds))
        if self._described:
            plain = pa.schema([(name, arrow_type(kind)) for name, kind in self._kinds.items()])
            told[ARROW_SCHEMA] = arrow_schema(plain, told, self._described)
        return told

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Write rows that carry ``FILE`` and ``ROW``, in their order, adding points from x and y, bbox and fid."""
        heavy = None if self._made_from else self._geometry
        with ThreadPoolExecutor(max_workers=1) as behind:
            # Three things at once: rows are put in order, a group is completed, the one before it is written.
            pending: Future[None] | None = None
            for group in row_groups(read_ahead(batches), self._group_rows, heavy, self._first_key):
                ready = self._completed(group)
                if pending:
                    pending.result()
                pending = behind.submit(self._write_group, *ready)
            if pending:
                pending.result()

    def _completed(self, group: pa.Table) -> tuple[pa.Table, pa.Table, Cover]:
        """The published columns of a group, the origins of its rows, and what its geometries cover."""
        import pyarrow as pa

        if self._data is None:
            self._begun(self._repeating(group))
        types = {field.name: field.type for field in self._schema}
        columns = {name: _as_written(group.column(name), types[name]) for name in group.schema.names if name in types}
        files, rows, cover = group.column(FILE), group.column(ROW), Cover()
        if self._made_from and self._geometry:
            x, y = (columns[name].chunk(0) for name in self._made_from)
            points = points_from(x, y)
            columns[self._geometry] = pa.chunked_array([points])
            bounds = bounds_of_points(x, y)
            cover.see(bounds, {"Point"} if points.null_count < len(points) else set())
            columns["bbox"] = pa.chunked_array([bbox_column(bounds)])
        elif self._geometry:
            found = [bounds_of(cells) for cells in columns[self._geometry].chunks]
            for box, kinds in found:
                cover.see(box, kinds)
            columns["bbox"] = pa.chunked_array([bbox_column(box) for box, _ in found])
        if self._made_fid:
            columns["fid"] = self._keys(files, rows)
        ordered = [columns[name] for name in self._schema.names]
        return pa.table(ordered, schema=self._schema), pa.table([files, rows], schema=self._origin_schema), cover

    def _write_group(self, data: pa.Table, origin: pa.Table, cover: Cover) -> None:
        assert self._data is not None
        self._data.write(data, cover)
        self._origin.write_table(origin, row_group_size=len(origin))
        self.rows += len(data)

    def _keys(self, files: pa.ChunkedArray, rows: pa.ChunkedArray) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.binary_join_element_wise(self._prefixes.take(files), rows.cast(pa.string()), "-")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _as_written(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """``column`` as ``kind``; codes count up in the order in which their texts are met, because a file's bytes must not
    depend on how its rows came."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = column.combine_chunks()
    cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
    if not pa.types.is_dictionary(kind):
        return pa.chunked_array([cells if cells.type == kind else cells.cast(kind)])
    if not pa.types.is_dictionary(cells.type):
        return pa.chunked_array([cells.dictionary_encode()])
    met = pc.unique(cells.indices).drop_null()
    places = np.zeros(max(len(cells.dictionary), 1), np.int32)
    places[met.to_numpy()] = np.arange(len(met), dtype=np.int32)
    codes = places[cells.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    nulls = np.asarray(cells.is_null()) if cells.null_count else None
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(codes, mask=nulls), cells.dictionary.take(met))])


def _provenance(files: Mapping[str, FileContents]) -> dict[bytes, bytes]:
    # Thousands of files share a few sets of columns: each set is written once.
    kinds: list[list[list[str]]] = []
    per_file = []
    for about in files.values():
        kind = [list(pair) for pair in about.columns.items()]
        if kind not in kinds:
            kinds.append(kind)
        per_file.append(kinds.index(kind))
    told = {"columns": kinds, "file": per_file, "crs": next(iter(files.values())).crs}
    return {FILES_KEY: json.dumps(list(files)).encode(), CONTENTS_KEY: json.dumps(told).encode()}


def _pandas_metadata(columns: Mapping[str, str]) -> dict[str, Any]:
    """Types in which pandas keeps a null: else it makes floats of whole numbers, which lose ids above 2^53."""
    nullable = {"integer": ("int64", "Int64"), "boolean": ("bool", "boolean")}
    told = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": nullable[kind][0],
            "numpy_type": nullable[kind][1],
            "metadata": None,
        }
        for name, kind in columns.items()
        if kind in nullable
    ]
    return {"index_columns": [], "column_indexes": [], "columns": told, "pandas_version": "2.2.0"}
