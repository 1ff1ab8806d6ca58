"""What a source file's values come to, column by column, in whatever order its rows stand.

Here belongs hashing cells and adding the hashes up. Not here: comparing sums with those of the published rows, or what
a difference means (``table_proof``).

A cell's hash is made of its value and of its row's number in the source file; a column's digest is the sum of its
hashes modulo 2^64. Rows may be moved, a value may not: not to another cell, not to another row of its column, not to
another column or file. Integers are hashed a second time as floating-point numbers, because a column that is whole in
one file and not in another is published as numbers.
Source of the mixing steps: https://prng.di.unimi.it/splitmix64.c (public domain).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.strict_model import StrictModel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

LONG_BYTES = 64
"""texts and geometries up to here are hashed word by word, all cells at once; longer ones cell by cell"""
NAN_BITS = 0x7FF8000000000000
"""of every value that is not a number, whichever of its bits a file has set"""


class ColumnDigest(StrictModel):
    """``type``: the Table Schema type that the cells have; ``sum`` of the hashes of the cells with a value, in hex, and
    ``nulls`` the number of the others; ``as_number``: of integers, the sum that they have once they are stored as
    floating-point numbers."""

    type: str
    sum: str
    nulls: int
    as_number: str | None = None


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

    def _agrees(self, name: str, found: ColumnDigest) -> bool:
        read = self.columns.get(name)
        if read is None or read.nulls == self.rows:
            return found.nulls == self.rows
        wanted = read.as_number if (read.type, found.type) == ("integer", "number") else read.sum
        return (wanted, read.nulls) == (found.sum, found.nulls)


class RunningDigests:
    """Digests of one file, batch by batch."""

    def __init__(self) -> None:
        self.rows = 0
        self._kinds: dict[str, str] = {}
        self._counts: dict[str, list[int]] = {}
        """sum, nulls, and the sum as numbers"""

    def see(self, batch: pa.RecordBatch, first_row: int) -> None:
        """Add rows that follow one another in the source, the first of them numbered ``first_row``."""
        import numpy as np

        salt = row_salt(np.arange(first_row, first_row + len(batch), dtype=np.uint64))
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            kind, hashes, _ = cell_hashes(cells, salt)
            again = _hashes_as_numbers(cells, salt) if kind == "integer" else hashes[:0]
            seen = (int(hashes.sum(dtype=np.uint64)), cells.null_count, int(again.sum(dtype=np.uint64)))
            before = self._counts.get(name, [0, 0, 0])
            self._counts[name] = [one + other for one, other in zip(before, seen, strict=True)]
            self._kinds[name] = kind
        self.rows += len(batch)

    def done(self) -> FileDigests:
        return FileDigests(
            rows=self.rows,
            columns={
                name: ColumnDigest(
                    type=self._kinds[name],
                    sum=_hex(total),
                    nulls=nulls,
                    as_number=_hex(as_numbers) if self._kinds[name] == "integer" else None,
                )
                for name, (total, nulls, as_numbers) in self._counts.items()
            },
        )


class RunningDigestsOfMany:
    """Digests of the rows of many files, which come in any order."""

    def __init__(self, files: int) -> None:
        import numpy as np

        self.rows = np.zeros(files, np.int64)
        self._sums: dict[str, Any] = {}
        self._nulls: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}

    def see(self, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> None:
        """Add rows: ``files`` (n,) the number of each row's file, ``rows`` (n,) its number in that file."""
        import numpy as np

        if len(files) == 0:
            return
        salt = row_salt(rows.astype(np.uint64))
        # Rows are sorted by what a table is asked for, which keeps those of a file together: few pieces, mostly.
        starts = np.concatenate([[0], np.flatnonzero(np.diff(files)) + 1])
        owners = files[starts]
        self.rows += np.bincount(files, minlength=len(self.rows))
        for name, cells in columns.items():
            kind, hashes, valid = cell_hashes(cells, salt)
            sums = self._sums.setdefault(name, np.zeros(len(self.rows), np.uint64))
            np.add.at(sums, owners, np.add.reduceat(hashes, starts))
            self._kinds[name] = kind
            nulls = self._nulls.setdefault(name, np.zeros(len(self.rows), np.int64))
            if valid is not None:
                nulls += np.bincount(files[~valid], minlength=len(self.rows))

    def of(self, number: int) -> FileDigests:
        """Of the file with this number."""
        return FileDigests(
            rows=int(self.rows[number]),
            columns={
                name: ColumnDigest(
                    type=kind, sum=_hex(int(self._sums[name][number])), nulls=int(self._nulls[name][number])
                )
                for name, kind in self._kinds.items()
            },
        )


def _hex(total: int) -> str:
    return f"{total % 2**64:016x}"


def row_salt(rows: Hashes) -> Hashes:
    """What a row's number (n,) adds to the hashes of its cells."""
    return _mixed(rows + _word(0x9E3779B97F4A7C15))


def cell_hashes(cells: pa.Array, salt: Hashes) -> tuple[str, Hashes, np.ndarray[Any, Any] | None]:
    """The column's type, the hash of each cell (n,) in its row, 0 where it is null, and which are not null (None: all).

    Raises: ValueError for a type that no table has.
    """
    import numpy as np

    kind, words = _words(cells)
    hashes = _mixed(words ^ salt)
    if cells.null_count == 0:
        return kind, hashes, None
    valid = np.asarray(cells.is_valid())
    hashes[~valid] = 0
    return kind, hashes, valid


def _hashes_as_numbers(cells: pa.Array, salt: Hashes) -> Hashes:
    import numpy as np
    import pyarrow as pa

    hashes = _mixed(_float_words(cells.cast(pa.float64(), safe=False)) ^ salt)
    hashes[~np.asarray(cells.is_valid())] = 0
    return hashes


def _words(cells: pa.Array) -> tuple[str, Hashes]:
    """One 64-bit word a cell, anything where it is null: alike for alike values of one type."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from rimrep_assets.domain.table_types import type_name

    if pa.types.is_dictionary(cells.type):
        kind, words = _words(cells.dictionary)
        at = pc.fill_null(cells.indices, 0).to_numpy(zero_copy_only=False)
        return kind, words[at] if len(words) else np.zeros(len(cells), np.uint64)
    kind = type_name(cells.type)
    if kind == "null":
        return kind, np.zeros(len(cells), np.uint64)
    if kind == "number":
        return kind, _float_words(cells)
    if kind in ("string", "geometry"):
        return kind, _text_words(cells)
    if kind == "boolean":
        cells = cells.cast(pa.int8())
    plain = {"date": pa.int32(), "datetime": pa.int64()}.get(kind)
    whole = (cells.view(plain) if plain else cells).fill_null(0)
    return kind, whole.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)


def _float_words(cells: pa.Array) -> Hashes:
    import numpy as np

    # Adding zero makes one zero of the two; it also copies, so that Arrow's memory is not written to.
    values = cells.to_numpy(zero_copy_only=False) + 0.0
    words = values.view(np.uint64)
    words[np.isnan(values)] = NAN_BITS
    return words


def _text_words(cells: pa.Array) -> Hashes:
    import numpy as np
    import xxhash

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
    """Every bit of a word in every bit of the result; one to one."""
    words = (words ^ (words >> _word(30))) * _word(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> _word(27))) * _word(0x94D049BB133111EB)
    return words ^ (words >> _word(31))


def _word(number: int) -> Any:
    import numpy as np

    return np.uint64(number)
