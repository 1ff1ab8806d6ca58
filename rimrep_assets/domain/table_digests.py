"""What a source file's values come to, column by column, in whatever order its rows stand.

Here belongs hashing cells and adding the hashes up. Not here: comparing sums with those of the published rows, or what
a difference means (``table_proof``).

A cell's hash is made of its value and of its row's number in the source file; a column's digest is the sum of its
hashes modulo 2^64. Rows may be moved, a value may not: not to another row, not to
another column or file. An integer is hashed as the floating-point number that it equals, because a column that is
whole in one file and not in another is published as numbers.
Source of the mixing steps: https://prng.di.unimi.it/splitmix64.c (public domain).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.strict_model import StrictModel
from rimrep_assets.domain.table_types import type_name

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

LONG_BYTES = 64
"""texts and geometries up to here are hashed word by word, all cells at once; longer ones cell by cell"""
NAN_BITS = 0x7FF8000000000000
"""of every value that is not a number, whichever of its bits a file has set"""
EXACT = 2**53
"""whole numbers up to here are floating-point numbers"""
ROWS_AT_ONCE = 32768
"""what is made of so many cells stays in the processor's cache"""


class ColumnDigest(StrictModel):
    """``sum`` of the hashes of the cells with a value, in hex, and ``nulls``, the number of the others."""

    sum: str
    nulls: int


class FileDigests(StrictModel):
    """Of one source file: its number of rows and a digest for each of its columns."""

    rows: int
    columns: dict[str, ColumnDigest]

    def differences(self, published: FileDigests, made: Collection[str]) -> list[str]:
        """What does not agree with the ``published`` rows of the file, in words, ``made`` columns left out."""
        if self.rows != published.rows:
            return [f"{self.rows} rows were read, {published.rows} are published"]
        problems = [f"column {name!r} is not published" for name in self.columns if name not in published.columns]
        for name, found in published.columns.items():
            if name not in made and not self._agrees(name, found):
                problems.append(f"column {name!r} does not hold the values that were read from the source")
        return problems

    def without(self, left_out: FileDigests) -> FileDigests:
        """Of the file's rows except those of ``left_out``, which are some of them."""
        return self._with(left_out, -1)

    def plus(self, more: FileDigests) -> FileDigests:
        """Of the rows of both, none of which is in both."""
        return self._with(more, 1)

    def _with(self, other: FileDigests, sign: int) -> FileDigests:
        columns = dict(self.columns)
        for name in columns.keys() & other.columns.keys():
            mine, theirs = columns[name], other.columns[name]
            total = int(mine.sum, 16) + sign * int(theirs.sum, 16)
            columns[name] = ColumnDigest(sum=_hex(total), nulls=mine.nulls + sign * theirs.nulls)
        return FileDigests(rows=self.rows + sign * other.rows, columns=columns)

    def _agrees(self, name: str, found: ColumnDigest) -> bool:
        read = self.columns.get(name)
        return found.nulls == self.rows if read is None else read == found


class RunningDigests:
    """Digests of one file, batch by batch."""

    def __init__(self) -> None:
        self.rows = 0
        self._counts: dict[str, tuple[int, int]] = {}

    def see(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Add rows that follow one another in the source, the first of them numbered ``first_row``."""
        import numpy as np

        sums = dict.fromkeys(batch.schema.names, 0)
        for columns, begin, stop in _pieces(dict(zip(batch.schema.names, batch.columns, strict=True)), len(batch)):
            salt = row_salt(np.arange(first_row + begin, first_row + stop, dtype=np.uint64))
            for name, cells in columns.items():
                sums[name] += int(cells.hashes(salt).sum(dtype=np.uint64))
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            total, nulls = self._counts.get(name, (0, 0))
            self._counts[name] = (total + sums[name], nulls + cells.null_count)
        self.rows += len(batch)

    def done(self) -> FileDigests:
        columns = {name: ColumnDigest(sum=_hex(total), nulls=nulls) for name, (total, nulls) in self._counts.items()}
        return FileDigests(rows=self.rows, columns=columns)


class RunningDigestsOfMany:
    """Digests of the rows of many files, which come in any order."""

    def __init__(self, files: int) -> None:
        import numpy as np

        self.rows = np.zeros(files, np.int64)
        self._sums: dict[str, Any] = {}
        self._nulls: dict[str, Any] = {}

    def see(self, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> None:
        """Add rows: ``files`` (n,) the number of each row's file, ``rows`` (n,) its number in that file."""
        import numpy as np

        self.rows += np.bincount(files, minlength=len(self.rows))
        for name in columns:
            self._sums.setdefault(name, np.zeros(len(self.rows), np.uint64))
            self._nulls.setdefault(name, np.zeros(len(self.rows), np.int64))
        for pieces, begin, stop in _pieces(columns, len(files)):
            salt = row_salt(rows[begin:stop].astype(np.uint64))
            mine = files[begin:stop]
            # Rows are sorted by what a table is asked for, which keeps those of a file together: few stretches, mostly.
            starts = np.concatenate([[0], np.flatnonzero(np.diff(mine)) + 1])
            owners = mine[starts]
            for name, cells in pieces.items():
                hashes = cells.hashes(salt)
                if len(starts) == 1:
                    # An array's sum, unlike a single number's, goes round at 2^64 without a word.
                    self._sums[name][owners[:1]] += hashes.sum(dtype=np.uint64)
                else:
                    np.add.at(self._sums[name], owners, np.add.reduceat(hashes, starts))
                if cells.nulls is not None:
                    self._nulls[name] += np.bincount(mine[cells.nulls], minlength=len(self.rows))

    def of(self, number: int) -> FileDigests:
        """Of the file with this number."""
        return FileDigests(
            rows=int(self.rows[number]),
            columns={
                name: ColumnDigest(sum=_hex(int(sums[number])), nulls=int(self._nulls[name][number]))
                for name, sums in self._sums.items()
            },
        )


def hashes_of_rows(columns: Sequence[pa.Array]) -> Hashes:
    """(n,): alike for rows that hold the same values in the same ``columns``, each (n,), wherever they stand."""
    import numpy as np

    rows = len(columns[0])
    found = np.zeros(rows, np.uint64)
    salts = [row_salt(np.array([number], np.uint64)) for number in range(len(columns))]
    for pieces, begin, stop in _pieces({str(number): cells for number, cells in enumerate(columns)}, rows):
        for salt, cells in zip(salts, pieces.values(), strict=True):
            found[begin:stop] += cells.hashes(salt)
    return found


def _hex(total: int) -> str:
    return f"{total % 2**64:016x}"


def row_salt(rows: Hashes) -> Hashes:
    """What the numbers of rows (n,) add to the hashes of their cells; takes ``rows`` for its result."""
    rows += _word(0x9E3779B97F4A7C15)
    return _mixed(rows)


class _Cells:
    """Cells of one column: a word each, alike for alike values of one type; and which are ``nulls`` (None: none)."""

    def __init__(self, words: Hashes, nulls: np.ndarray[Any, Any] | None) -> None:
        self.words, self.nulls = words, nulls

    def hashes(self, salt: Hashes) -> Hashes:
        """(n,): of each cell in its row, 0 where it is null."""
        hashes = _mixed(self.words ^ salt)
        if self.nulls is not None:
            hashes[self.nulls] = 0
        return hashes


def _pieces(columns: Mapping[str, pa.Array], rows: int) -> Iterator[tuple[dict[str, _Cells], int, int]]:
    """``columns`` in stretches of ``ROWS_AT_ONCE``, with the first row of each and the one after its last.

    Raises: ValueError for a type that no table has.
    """

    readers = {name: _reader(column) for name, column in columns.items()}
    for begin in range(0, rows, ROWS_AT_ONCE):
        stop = min(begin + ROWS_AT_ONCE, rows)
        yield {n: _cells(c.slice(begin, stop - begin), readers[n]) for n, c in columns.items()}, begin, stop


def _cells(column: pa.Array, words_of: Callable[[pa.Array], Hashes]) -> _Cells:
    import numpy as np

    if column.null_count == 0:
        return _Cells(words_of(column), None)
    return _Cells(words_of(column), np.asarray(column.is_null()))


def _reader(column: pa.Array) -> Callable[[pa.Array], Hashes]:
    """What makes a word of each cell of a piece of ``column``, anything of a null."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        codes = _reader(column.dictionary)(column.dictionary)
        if len(codes) == 0:
            return lambda cells: np.zeros(len(cells), np.uint64)
        return lambda cells: codes[_filled(cells.indices)]
    kind = type_name(column.type)
    if kind == "boolean":
        return lambda cells: _filled(cells.cast(pa.int8())).astype(np.uint64)
    if kind in ("date", "datetime"):
        plain = pa.int32() if kind == "date" else pa.int64()
        return lambda cells: _filled(cells.view(plain)).astype(np.int64).view(np.uint64)
    readers: dict[str, Callable[[pa.Array], Hashes]] = {
        "null": lambda cells: np.zeros(len(cells), np.uint64),
        "string": _text_words,
        "geometry": _text_words,
        "number": lambda cells: _float_words(cells.to_numpy(zero_copy_only=False)),
        "integer": lambda cells: _integer_words(_filled(cells)),
    }
    return readers[kind]


def _filled(cells: pa.Array) -> Any:
    """Whole numbers, 0 where there is none."""
    return (cells.fill_null(0) if cells.null_count else cells).to_numpy(zero_copy_only=False)


def _float_words(values: Any) -> Hashes:
    import numpy as np

    # Adding zero makes one zero of the two; it also copies, so that Arrow's memory is not written to.
    values = values + 0.0
    words = values.view(np.uint64)
    words[np.isnan(values)] = NAN_BITS
    return words


def _integer_words(values: Any) -> Hashes:
    import numpy as np

    words = _float_words(values.astype(np.float64))
    beyond = (values > EXACT) | (values < -EXACT)
    # Neighbours share a number out here; such a column is never published as numbers, so its bits serve as well.
    words[beyond] = values[beyond].view(np.uint64)
    return words


def _text_words(cells: pa.Array) -> Hashes:
    import numpy as np
    import xxhash

    if len(cells) == 0:
        return np.zeros(0, np.uint64)
    _, offsets_buffer, data_buffer = cells.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets)
    data = b"" if data_buffer is None else memoryview(data_buffer)
    words = _mixed(lengths.astype(np.uint64) + _word(1))
    for number, at, part in _parts(starts, lengths, data):
        words[at] = _mixed(words[at] ^ part) + _word(number)
    for cell in np.flatnonzero(lengths > LONG_BYTES):
        begin = starts[cell]
        words[cell] = xxhash.xxh3_64_intdigest(data[begin : begin + lengths[cell]])
    return words


def _parts(starts: Any, lengths: Any, data: Any) -> Iterator[tuple[int, Any, Hashes]]:
    """Bytes 0 to 8, 8 to 16, ... of every text that has them and is not long, as words; missing bytes are 0."""
    import numpy as np

    if len(data) == 0:
        return
    padded = np.frombuffer(bytes(data[int(starts[0]) : int(starts[-1] + lengths[-1])]) + bytes(8), np.uint8)
    view = np.ndarray((len(padded) - 7,), "<u8", buffer=padded.data, strides=(1,))
    at = np.flatnonzero((lengths > 0) & (lengths <= LONG_BYTES))
    begin = starts - starts[0]
    for number in range(LONG_BYTES // 8):
        at = at[lengths[at] > 8 * number]
        if len(at) == 0:
            return
        left = np.minimum(lengths[at] - 8 * number, 8).astype(np.uint64)
        keep = _word(0xFFFFFFFFFFFFFFFF) >> (_word(64) - left * _word(8))
        yield number, at, view[begin[at] + 8 * number] & keep


def _mixed(words: Hashes) -> Hashes:
    """Every bit of a word in every bit of the result, one to one; takes ``words`` for its result."""
    words ^= words >> _word(30)
    words *= _word(0xBF58476D1CE4E5B9)
    words ^= words >> _word(27)
    words *= _word(0x94D049BB133111EB)
    words ^= words >> _word(31)
    return words


def _word(number: int) -> Any:
    import numpy as np

    return np.uint64(number)
