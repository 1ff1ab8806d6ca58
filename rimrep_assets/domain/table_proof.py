"""Published rows held against the files that they came from.

Here belongs the comparing: of every value by our own reader, of chosen rows by a second one. Not here: the second
reader (``table_second_reader``), the receipt (``proof``), or what to do about a difference (the gate).
"""

from __future__ import annotations

import datetime
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import RimrepError
from rimrep_assets.domain.proof import MOST_DIFFERENCES, FileProof, capped
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.table_rows import in_order
from rimrep_assets.domain.table_second_reader import chosen_rows
from rimrep_assets.domain.table_source import geometry_column, open_source, platform_columns
from rimrep_assets.domain.table_types import ColumnType, Misfit
from rimrep_assets.domain.table_version import FILE, ROW, FileContents, TableVersion, contents_of
from rimrep_assets.domain.tabular import declared_types, typed_blocks

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 1000
"""rows a file that the second reader decodes; all where there are fewer"""


def prove_table(
    version: TableVersion,
    sources: Mapping[str, SourceFile],
    opened: Mapping[str, Path],
    untouched_rows: Mapping[str, int],
    dataset: Dataset,
    schema: Mapping[str, Any] | None,
    seed: int,
) -> list[FileProof]:
    """Compare a version with its sources: a proof for every file of ``opened`` (source file to local path), and
    one with differences for every other file whose number of rows is not that of ``untouched_rows``, or that the
    version has and ``sources`` do not.

    Complete: every value of an opened file, read again by our reader, and the platform's ``fid``. Independent:
    ``SAMPLE`` rows a file, chosen by ``seed``, with geometry and bbox. Never raises for a difference; a file that
    can no longer be read is one.
    """
    contents = contents_of(version)
    counts = _counts(version, list(contents))
    proofs = [
        FileProof(name=name, digest=sources[name].digest if name in sources else "", compared=0, sampled=0,
                  differences=(problem,))
        for name, problem in _miscounted(counts, sources, opened, untouched_rows)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as spill:
        published = _Published(version, [n for n in contents if n in opened], contents, dataset, spill)
        for name in sorted(opened):
            comparison = _Comparison(name, opened[name], contents.get(name), dataset, schema)
            comparison.run(published, counts.get(name, 0), seed)
            digest = sources[name].digest if name in sources else ""
            if name not in sources:
                comparison.differences.append(f"{name}: the version has it, the source does not")
            proofs.append(comparison.proof(digest))
    return sorted(proofs, key=lambda proof: proof.name)


def _counts(version: TableVersion, names: list[str]) -> dict[str, int]:
    import numpy as np

    counts = np.zeros(len(names), np.int64)
    for _, files, _ in version.batches(columns=[]):
        counts += np.bincount(files, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def _miscounted(
    counts: Mapping[str, int],
    sources: Mapping[str, SourceFile],
    opened: Mapping[str, Path],
    untouched_rows: Mapping[str, int],
) -> Iterator[tuple[str, str]]:
    for name in sorted((counts.keys() | sources.keys() | untouched_rows.keys()) - opened.keys()):
        found, expected = counts.get(name, 0), untouched_rows.get(name)
        if name not in sources:
            yield name, f"{name}: {found} rows of a file that is not in the source"
        elif expected is None:
            yield name, f"{name}: nothing says how many rows it has; {found} are published, and it was not opened"
        elif found != expected:
            yield name, f"{name}: {found} rows are published, {expected} were before, and it did not change"


class _Published:
    """The published rows of some files, ordered by file and row, handed out in pieces."""

    def __init__(
        self,
        version: TableVersion,
        wanted: list[str],
        contents: Mapping[str, FileContents],
        dataset: Dataset,
        spill: str,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._numbers = {name: number for number, name in enumerate(contents)}
        data = pq.read_schema(version.data)
        self.schema = pa.schema([*data.remove_metadata(), (FILE, pa.int32()), (ROW, pa.int64())])
        rows = self._rows(version, [self._numbers[name] for name in wanted])
        self._stream = in_order(rows, self.schema, [FILE, ROW], spill) if dataset.layout.sort_by else rows
        self._held: pa.RecordBatch | None = None

    def _rows(self, version: TableVersion, wanted: list[int]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        for batch, files, rows in version.batches():
            columns = [*batch.columns, pa.array(files), pa.array(rows)]
            whole = pa.record_batch(columns, schema=self.schema)
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


class _Comparison:
    """One opened file against its published rows."""

    def __init__(
        self,
        name: str,
        path: Path,
        contents: FileContents | None,
        dataset: Dataset,
        schema: Mapping[str, Any] | None,
    ) -> None:
        self.name, self._path, self._dataset, self._schema = name, path, dataset, schema
        self._kinds = contents.columns if contents else {}
        own_fid = "fid" in self._kinds
        self._made = {c for c in platform_columns(dataset) if c in ("bbox", "fid") and not (own_fid and c == "fid")}
        self.differences: list[str] = []
        self._compared = self._sampled = 0
        self._chosen: dict[int, dict[str, Any]] = {}

    def proof(self, digest: str) -> FileProof:
        return FileProof(
            name=self.name,
            digest=digest,
            compared=self._compared,
            sampled=self._sampled,
            differences=capped(self.differences),
        )

    def run(self, published: _Published, count: int, seed: int) -> None:
        import numpy as np

        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        sample = np.sort(rng.permutation(count)[:SAMPLE]) if count <= 4 * SAMPLE else np.unique(
            rng.integers(0, count, 2 * SAMPLE)
        )  # fmt: skip
        row = 0
        try:
            for block in self._source_blocks():
                found = published.take(self.name, len(block))
                if not self._same_rows(found, row, len(block)):
                    break
                self._remember(found, sample, row)
                self._compare(block, found, row)
                row += len(block)
        except (RimrepError, Misfit) as error:
            self.differences.append(f"{self.name}: cannot be read again as it was published: {error}")
        rest = published.take(self.name, None)
        if row < count and not self.differences:
            self.differences.append(f"{self.name}: {row + len(rest)} rows are published, the file has {row}")
        self._hold_against_second_reader()

    def _source_blocks(self) -> Iterator[pa.RecordBatch]:
        table = open_source(self._path, self.name, self._dataset)
        declared = declared_types(table, self._dataset, self._schema)
        types = {}
        for column in table.names:
            kind = self._kinds.get(column, "string")
            same = column in declared and declared[column].type == kind
            types[column] = declared[column] if same else ColumnType(kind, timezone=table.timezone)
        yield from typed_blocks(table, self._dataset, types)

    def _same_rows(self, found: pa.Table, start: int, length: int) -> bool:
        """Whether exactly the rows from ``start`` on are published; else says which are missing or too many."""
        import numpy as np

        numbers = np.asarray(found.column(ROW))
        wanted = np.arange(start, start + length)
        if np.array_equal(numbers, wanted):
            return True
        missing = np.setdiff1d(wanted, numbers)
        there, times = np.unique(numbers, return_counts=True)
        for word, rows in (("not published", missing), ("published more than once", there[times > 1])):
            if len(rows):
                listed = ", ".join(str(number) for number in rows[:5])
                self.differences.append(f"{self.name}: {len(rows)} rows are {word}, such as {listed}")
        return False

    def _remember(self, found: pa.Table, sample: Any, start: int) -> None:
        here = sample[(sample >= start) & (sample < start + len(found))] - start
        if len(here):
            for row in found.take(here).to_pylist():
                self._chosen[row[ROW]] = row

    def _compare(self, block: pa.RecordBatch, found: pa.Table, start: int) -> None:
        import numpy as np
        import pyarrow as pa

        for column in block.schema.names:
            if column not in found.schema.names and start == 0:
                self.differences.append(f"{self.name}: column {column!r} is not published")
        for field in found.schema:
            if field.name in (FILE, ROW, "bbox") and (field.name != "bbox" or field.name in self._made):
                continue
            theirs = found.column(field.name).combine_chunks()
            if isinstance(theirs, pa.ChunkedArray):
                theirs = pa.concat_arrays(theirs.chunks)
            if field.name == "fid" and "fid" in self._made:
                ours = self._keys(start, len(block))
            elif field.name in block.schema.names:
                ours = block.column(field.name).cast(field.type)
            else:
                ours = pa.nulls(len(block), field.type)
            self._compared += len(block)
            if ours.equals(theirs):
                continue
            for position in np.flatnonzero(_differ(ours, theirs)):
                self._tell(start + int(position), field.name, ours[position].as_py(), theirs[position].as_py())

    def _keys(self, start: int, length: int) -> pa.Array:
        import pyarrow as pa

        prefix = f"{zlib.crc32(self.name.encode()):08x}-"
        return pa.array([prefix + str(row) for row in range(start, start + length)])

    def _tell(self, row: int, column: str, source: Any, published: Any, by: str = "") -> None:
        shown = f"{_shown(source)} in the source{by}, {_shown(published)} published"
        # Thousands of sentences would be counted and thrown away.
        self.differences.append(
            f"{self.name}: row {row}, column {column!r}: {shown}" if len(self.differences) <= MOST_DIFFERENCES else ""
        )

    def _hold_against_second_reader(self) -> None:
        columns = {k: kind for k, kind in self._kinds.items() if kind != "null"}
        try:
            for row, values in chosen_rows(self._path, self._dataset, self._schema, columns, self._chosen):
                self._sampled += self._hold(row, values, self._chosen.pop(row), columns)
        except (ValueError, KeyError, TypeError, StopIteration, OSError, _shapely_error()) as error:
            self.differences.append(f"{self.name}: a second reader cannot read it: {error!r}")
        if self._chosen:
            listed = ", ".join(str(row) for row in sorted(self._chosen)[:5])
            self.differences.append(f"{self.name}: a second reader does not find rows such as {listed}")

    def _hold(self, row: int, read: Mapping[str, Any], published: Mapping[str, Any], kinds: Mapping[str, str]) -> int:
        """Compare one row; returns the number of values."""
        for column, kind in kinds.items():
            if not same_value(read.get(column), published.get(column), kind):
                self._tell(row, column, read.get(column), published.get(column), by=" (second reader)")
        shape = read.get(geometry_column(self._dataset) or "")
        if "bbox" in self._made and "bbox" in published:
            bounds = None if shape is None or shape.is_empty else shape.bounds
            box = published["bbox"]
            if (tuple(box[e] for e in ("xmin", "ymin", "xmax", "ymax")) if box else None) != bounds:
                self._tell(row, "bbox", bounds, box, by=" (second reader)")
        return len(kinds)


def _differ(ours: pa.Array, theirs: pa.Array) -> Any:
    """Where two arrays of one type differ; null equals null, and not a number equals not a number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    differ = np.asarray(pc.fill_null(pc.not_equal(ours, theirs), False))
    differ |= np.asarray(ours.is_null()) != np.asarray(theirs.is_null())
    if pa.types.is_floating(ours.type):
        both = pc.and_(pc.is_nan(ours), pc.is_nan(theirs))
        differ &= ~np.asarray(pc.fill_null(both, False))
    return differ


def same_value(read: Any, published: Any, kind: str) -> bool:
    """Whether a value of the second reader is the published one: floats and instants exactly, a geometry by its
    coordinates, in whatever order a format stores its rings."""
    import shapely

    if read is None or published is None:
        return read is None and published is None
    if kind == "geometry":
        return _same_shape(read, shapely.from_wkb(published))
    if kind == "number":
        return read == published or (read != read and published != published)
    if isinstance(read, (dict, list)):
        return bool(json.loads(published) == read)
    if kind == "string" and read != published:
        try:
            return datetime.time.fromisoformat(read) == datetime.time.fromisoformat(published)
        except ValueError:
            return False
    return bool(read == published)


def _same_shape(one: Any, other: Any) -> bool:
    import shapely

    def plain(shape: Any) -> Any:
        single = shape.geoms[0] if shape.geom_type.startswith("Multi") and len(shape.geoms) == 1 else shape
        return shapely.normalize(single)

    return bool(shapely.equals_identical(plain(one), plain(other)))


def _shapely_error() -> type[Exception]:
    import shapely

    return shapely.errors.ShapelyError


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        import shapely

        value = shapely.from_wkb(value).wkt
    text = getattr(value, "wkt", None) or repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
