"""Published rows held against the files that they came from.

Here belongs the comparing: of every value by our own reader, of chosen rows by a second one. Not here: the second
reader (``table_second_reader``), the receipt (``proof``), or what to do about a difference (the gate).
"""

from __future__ import annotations

import csv
import datetime
import json
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import RimrepError
from rimrep_assets.domain.proof import MOST_DIFFERENCES, FileProof, capped
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.table_digests import FileDigests
from rimrep_assets.domain.table_geometry import EDGES
from rimrep_assets.domain.table_made import differ
from rimrep_assets.domain.table_part import ROW, FileContents
from rimrep_assets.domain.table_published import PublishedReading, RowsByFile
from rimrep_assets.domain.table_second_crs import crs_differences
from rimrep_assets.domain.table_second_reader import chosen_rows
from rimrep_assets.domain.table_source import geometry_column, open_source
from rimrep_assets.domain.table_steps_cast import dropping
from rimrep_assets.domain.table_types import Misfit
from rimrep_assets.domain.table_version import FILE, TableVersion, contents_of
from rimrep_assets.domain.tabular import declared_types, typed_blocks

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 1000
"""rows a file that the second reader decodes; all where there are fewer"""
WINDOWS = 10
"""so many places of a long file"""


def prove_table(
    version: TableVersion,
    sources: Mapping[str, SourceFile],
    opened: Mapping[str, Path],
    untouched_rows: Mapping[str, int],
    dataset: Dataset,
    schema: Mapping[str, Any] | None,
    seed: int,
    digests: Mapping[str, FileDigests] | None = None,
    duplicates: Mapping[str, FileDigests] | None = None,
) -> list[FileProof]:
    """Compare a version with its sources: a proof for every file of ``opened`` (source file to local path), and one
    for every other file that is not as ``untouched_rows`` or ``digests`` say, or that ``sources`` do not have.

    Complete: of every file of ``digests``, which were taken while the source was read, each column's digest of what is
    published; of an opened file without digests every cell, read again by our reader; in all rows the platform's
    columns, made again from the others. Where digests disagree the file is read again to name the cells.
    ``duplicates``: of the rows of a file that are not published because ``layout.duplicates`` left them out; what is
    published is held against its ``digests`` less these.
    Independent: ``SAMPLE`` rows of an opened file, chosen by ``seed``, with geometry and bbox. Never raises for a
    difference; a file that can no longer be read is one.
    """
    read, gone = digests or {}, duplicates or {}
    known = {name: found.without(gone[name]) if name in gone else found for name, found in read.items()}
    contents = contents_of(version)
    counts = version.rows_by_file()
    in_source = {name: counts.get(name, 0) + (gone[name].rows if name in gone else 0) for name in opened}
    samples = {name: _sample(name, in_source[name], seed) for name in opened}
    comparisons = {n: _Comparison(n, opened[n], contents.get(n), dataset, schema) for n in sorted(opened)}
    with ThreadPoolExecutor(max_workers=1) as beside:
        # Python's readers hold one processor, ours leave them one: both read at the same time.
        chosen = {n: beside.submit(one.read_chosen, [*samples[n], in_source[n]]) for n, one in comparisons.items()}
        reading = PublishedReading(version, contents, samples, dataset)
        second = {name: future.result() for name, future in chosen.items()}
    suspects = []
    told: dict[str, list[str]] = {}
    for name in sorted(known.keys() & (counts.keys() | opened.keys())):
        differences = known[name].differences(reading.digests_of(name), reading.made)
        if differences:
            told[name] = [f"{name}: {difference}" for difference in differences]
            suspects += [name] if name in opened else []
        elif name in comparisons:
            comparisons[name].agrees(known[name].rows, len(reading.digests_of(name).columns) + len(reading.made))
    for name, difference in crs_differences(version, contents, opened, dataset):
        told.setdefault(name, []).append(difference)
    suspects += sorted(opened.keys() - known.keys())
    _compare_cells(suspects, comparisons, version, contents, dataset, counts, reading.made)
    for name, comparison in comparisons.items():
        if name in told and not comparison.differs:
            comparison.tell_all(told[name])
        comparison.hold_chosen(second[name], reading, in_source[name])
    for name, problem in _miscounted(counts, sources, opened, {**untouched_rows, **_rows(known)}):
        told.setdefault(name, []).append(problem)
    for name, row, column, expected, found in reading.problems:
        if name in comparisons:
            comparisons[name].tell(row, column, expected, found)
        else:
            shown = f"{expected!r} expected, {found!r} published"
            told.setdefault(name, []).append(f"{name}: row {row}, column {column!r}: {shown}")
    names = {name: source.digest for name, source in sources.items()}
    proofs = [comparison.proof(names.get(name), read.get(name)) for name, comparison in comparisons.items()]
    for name, problems in told.items():
        if name not in comparisons:
            proofs.append(
                FileProof(name=name, digest=names.get(name, ""), compared=0, sampled=0, differences=capped(problems))
            )
    return sorted(proofs, key=lambda proof: proof.name)


def _rows(digests: Mapping[str, FileDigests]) -> dict[str, int]:
    return {name: known.rows for name, known in digests.items()}


def _compare_cells(
    names: Sequence[str],
    comparisons: Mapping[str, _Comparison],
    version: TableVersion,
    contents: Mapping[str, FileContents],
    dataset: Dataset,
    counts: Mapping[str, int],
    made: Sequence[str],
) -> None:
    if not names:
        return
    with tempfile.TemporaryDirectory() as spill:
        published = RowsByFile(version, contents, names, dataset, spill)
        for name in sorted(names):
            comparisons[name].run(published, counts.get(name, 0), made)


def _sample(name: str, count: int, seed: int) -> Any:
    """At least ``SAMPLE`` different rows of ``count`` (all where there are fewer), in order."""
    import numpy as np

    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if count <= 4 * SAMPLE:
        return np.sort(rng.permutation(count)[:SAMPLE])
    # Windows of rows, because a reader that seeks pays for each place: one in each of so many equal stretches.
    length = -(-SAMPLE // WINDOWS)
    edges = np.linspace(0, count, WINDOWS + 1).astype(np.int64)
    begin = rng.integers(edges[:-1], edges[1:] - length + 1)
    return (begin[:, None] + np.arange(length)).ravel()


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
        self._kinds = {k: kind for k, kind in (contents.columns if contents else {}).items() if kind != "null"}
        self._differences: list[str] = []
        self._compared = self._sampled = 0

    @property
    def differs(self) -> bool:
        return bool(self._differences)

    def agrees(self, rows: int, columns: int) -> None:
        """All cells were compared by their digests."""
        self._compared = rows * columns

    def tell_all(self, differences: Sequence[str]) -> None:
        self._differences += differences

    def proof(self, digest: str | None, digests: FileDigests | None) -> FileProof:
        if digest is None:
            self._differences.append(f"{self.name}: the version has it, the source does not")
        return FileProof(
            name=self.name,
            digest=digest or "",
            compared=self._compared,
            sampled=self._sampled,
            differences=capped(self._differences),
            digests=digests,
        )

    def run(self, published: RowsByFile, count: int, made: Sequence[str]) -> None:
        """Read the file again and compare every value; ``count`` rows of it are published."""
        row = 0
        try:
            if count == 0 and self._has_rows():
                self._differences.append(f"{self.name}: none of its rows is published")
                return
            for block in self._source_blocks():
                found = published.take(self.name, len(block))
                if not self._same_rows(found, row, len(block)):
                    break
                self._compare(block, found, row, made)
                self._compared += len(block) * len(made)
                row += len(block)
        except (RimrepError, Misfit) as error:
            self._differences.append(f"{self.name}: cannot be read again as it was published: {error}")
        published.take(self.name, None)
        if row < count and not self._differences:
            self._differences.append(f"{self.name}: {count} rows are published, the file has {row}")

    def _has_rows(self) -> bool:
        """Whether the steps leave any row of the file."""
        return any(len(block) for block in open_source(self._path, self.name, self._dataset).blocks({}))

    def _source_blocks(self) -> Iterator[pa.RecordBatch]:
        table = open_source(self._path, self.name, self._dataset)
        declared = declared_types(table, self._dataset, self._schema)
        table, _ = dropping(table, self._dataset, declared)
        types = {}
        for column in table.names:
            kind = self._kinds.get(column, "null")
            same = column in declared and declared[column].type == kind
            types[column] = declared[column] if same else table.column_type(column, kind)
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
                self._differences.append(f"{self.name}: {len(rows)} rows are {word}, such as {listed}")
        return False

    def _compare(self, block: pa.RecordBatch, found: pa.Table, start: int, made: Sequence[str]) -> None:
        import numpy as np
        import pyarrow as pa

        gone = [c for c in block.schema.names if c not in found.schema.names and c not in made]
        if start == 0:
            self._differences += [f"{self.name}: column {column!r} is not published" for column in gone]
        for field in found.schema:
            if field.name in (FILE, ROW):
                continue
            theirs = pa.concat_arrays(found.column(field.name).chunks)
            if field.name in block.schema.names:
                ours = block.column(field.name).cast(field.type)
            else:
                ours = pa.nulls(len(block), field.type)
            self._compared += len(block)
            if ours.equals(theirs):
                continue
            for at in np.flatnonzero(differ(ours, theirs)):
                self.tell(start + int(at), field.name, ours[int(at)].as_py(), theirs[int(at)].as_py())

    def tell(self, row: int, column: str, source: Any, published: Any, by: str = "") -> None:
        """Remember a difference; thousands are counted alone."""
        few = len(self._differences) <= MOST_DIFFERENCES
        shown = f"{_shown(source)} in the source{by}, {_shown(published)} published" if few else ""
        self._differences.append(f"{self.name}: row {row}, column {column!r}: {shown}" if few else "")

    def read_chosen(self, rows: Any) -> dict[int, dict[str, Any]] | Exception:
        """What the second reader makes of ``rows``, or why it cannot."""
        import shapely

        failures = (ValueError, KeyError, TypeError, IndexError, StopIteration, OverflowError, OSError, csv.Error)
        chosen = {int(row) for row in rows}
        try:
            return dict(chosen_rows(self._path, self._dataset, self._schema, self._kinds, chosen, self.name))
        except (*failures, sqlite3.Error, shapely.errors.ShapelyError) as error:
            return error

    def hold_chosen(self, read: dict[int, dict[str, Any]] | Exception, published: PublishedReading, count: int) -> None:
        """Compare what the second reader read with the published rows of the sample; after them it finds no row."""
        if isinstance(read, Exception):
            self._differences.append(f"{self.name}: a second reader cannot read it: {read!r}")
            return
        if count in read:
            self._differences.append(f"{self.name}: {count} rows are published, a second reader finds more")
        sample = published.sample_of(self.name)
        for row in sorted(sample.keys() & read.keys()):
            self._hold(row, read[row], sample[row])
        lost = sorted(sample.keys() - read.keys())
        if lost:
            listed = ", ".join(str(row) for row in lost[:5])
            self._differences.append(f"{self.name}: a second reader does not find rows such as {listed}")

    def _hold(self, row: int, read: Mapping[str, Any], published: Mapping[str, Any]) -> None:
        by = " (second reader)"
        self._sampled += len(self._kinds)
        for column, kind in self._kinds.items():
            if not same_value(read.get(column), published.get(column), kind):
                self.tell(row, column, read.get(column), published.get(column), by)
        shape, box = read.get(geometry_column(self._dataset) or ""), published.get("bbox")
        if geometry_column(self._dataset):
            bounds = None if shape is None or shape.is_empty else shape.bounds
            if (tuple(box[edge] for edge in EDGES) if box else None) != bounds:
                self.tell(row, "bbox", bounds, box, by)


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


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        import shapely

        value = shapely.from_wkb(value).wkt
    text = getattr(value, "wkt", None) or repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
