"""Delimited text as blocks of text cells.

Here belongs the form of such files: encoding, header, skipped lines, cells, and saying where a file breaks it. Not
here: what type cells have (``table_types``) or what the columns mean (``tabular``).
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset, ReadCsv
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import EVERY, known_encoding, missing_words, named_columns, zone_of
from rimrep_assets.domain.table_types import ColumnType, Misfit, as_type

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 * 1024 * 1024
"""also the longest row that can be read"""
PIECE_BYTES = 1024 * 1024
MOST_EXAMPLES = 5
CLOSE = 'let the provider close it, or declare read_csv.quote: "" where quotes are text.'
NOT_OF_ITS_TYPE = "CSV conversion error"
"""Arrow's words; those for bytes that are no text name UTF8 besides"""


def open_csv(path: Path, name: str, options: ReadCsv, dataset: Dataset) -> SourceTable:
    """The file as a table of text. Raises: DataError as ``header_of``, and for options that name absent columns."""
    names = header_of(path, name, options)
    refuse_absent({"na": options.na, "timezone": options.timezone}, names, name, "read_csv")
    return csv_table(path, name, options, names, crs84() if geometry_column(dataset) else None)


def csv_table(
    path: Path, name: str, options: ReadCsv, names: Sequence[str], crs: Mapping[str, Any] | None
) -> SourceTable:
    """A table of ``names`` alone; the others are not read."""
    return SourceTable(
        file=name,
        names=tuple(names),
        blocks=lambda kinds: text_blocks(path, name, options, {column: kinds.get(column) for column in names}),
        crs=crs,
        zones={column: zone_of(options.timezone, column) for column in names},
        decimal=options.decimal,
        keep=lambda kept: csv_table(path, name, options, kept, crs),
    )


def refuse_absent(words: Mapping[str, Any], names: Sequence[str], name: str, reader: str) -> None:
    """Raise DataError for columns that an option by column names and the file does not have."""
    problems = [
        f"{name}: {reader}.{option} names {column!r}, which is not in the data{nearest(column, names)}"
        for option, value in words.items()
        for column in named_columns(value)
        if column not in names
    ]
    if problems:
        raise DataError(problems)


def header_of(path: Path, name: str, options: ReadCsv) -> list[str]:
    """The column names as written, without a byte order mark; the declared ones where the file has no header.

    Raises: DataError for an empty file, a header that cannot be decoded, and names that stand twice;
    DefinitionError for an encoding that does not exist.
    """
    _encoding(options)
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        with _lines(path, options) as lines:
            header = next((row for row in cells_of(lines, options) if row), None)
    except (UnicodeError, csv.Error) as error:
        raise DataError(_what_is_wrong(path, name, options) or f"{name}: {error}") from error
    if not header:
        raise DataError(f"{name}: the file holds only empty lines")
    if not options.header:
        if len(header) != len(options.names):
            raise DataError(f"{name}: the first row has {len(header)} cells, read_csv.names {len(options.names)}")
        return list(options.names)
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError([f"{name}: {header.count(c)} columns are called {c!r}" for c in twice])
    return header


def text_blocks(path: Path, name: str, options: ReadCsv, columns: Mapping[str, str | None]) -> Iterator[pa.RecordBatch]:
    """Rows in file order, null where empty or one of ``options.na``; cells of ``columns`` (name to type) that are
    to be integer or number as such, all others as text.

    Empty lines are no rows. Memory: a few blocks of 8 MiB, at any file size.
    Raises: DataError naming bad bytes (line and offset) and rows with too few or too many cells; Misfit where a
    cell is not the number that it should be.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    direct = {"integer": pa.int64(), "number": pa.float64()}
    own = {column: words for column in named_columns(options.na) if (words := options.na[column])}  # type: ignore[call-overload]
    arrow = {c: pa.string() if c in own else direct.get(kind or "", pa.string()) for c, kind in columns.items()}
    try:
        quotes = _quotes(path, options)
        if quotes % 2 and (unclosed := _unclosed_quote(path, name, options)):
            raise DataError(unclosed, advice=CLOSE)
        source, encoding = _bytes_of(path, options)
        for block in pacsv.open_csv(
            source,
            read_options=pacsv.ReadOptions(
                block_size=BLOCK_BYTES,
                encoding=encoding,
                column_names=options.names or None,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=options.delimiter,
                quote_char=options.quote or False,
                # Where no cell can go over several lines, these need not be looked for twice.
                newlines_in_values=quotes > 0,
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(columns),
                column_types=arrow,
                null_values=["", *missing_words(options.na, EVERY)],
                strings_can_be_null=True,
                decimal_point=options.decimal,
            ),
        ):
            yield _without_own(block, own, columns, options.decimal) if own else block
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError) as error:
        if NOT_OF_ITS_TYPE in str(error) and "UTF8" not in str(error):
            raise Misfit(str(error)) from error
        raise DataError(_what_is_wrong(path, name, options) or f"{name}: {error}") from error


def _quotes(path: Path, options: ReadCsv) -> int:
    """How many quotes the lines that are not skipped have. Raises: UnicodeError."""
    if not options.quote:
        return 0
    encoding = _encoding(options)
    if options.skip_rows or options.comment or encoding.startswith(("utf-16", "utf-32")):
        with _lines(path, options) as lines:
            return sum(line.count(options.quote) for line in lines)
    mark = options.quote.encode(encoding.removesuffix("-sig"))[-1:]
    with path.open("rb") as file:
        # Not mapped: pages of a large file would count as this process's memory.
        return sum(piece.count(mark) for piece in iter(lambda: file.read(PIECE_BYTES), b""))


def _unclosed_quote(path: Path, name: str, options: ReadCsv) -> str | None:
    """Where a quote is not closed, so that Arrow takes all that follows, up to the next quote, for one cell.

    Slowly, and so only for files with an odd number of quotes. One in the middle of a cell is part of its text.
    Raises: UnicodeError.
    """
    csv.field_size_limit(sys.maxsize)
    quoting = {"quotechar": options.quote, "strict": True}
    with _lines(path, options) as lines:
        begin = number = 0
        try:
            for row in csv.reader(iter(lines), delimiter=options.delimiter, **quoting):  # type: ignore[arg-type]
                number += bool(row)
                begin = lines.number
        except csv.Error as error:
            row_number = number - bool(options.header)
            where = f"row {row_number} (line {begin + 1})" if row_number >= 0 else f"the header (line {begin + 1})"
            return f"{name}: {where} opens a quote {options.quote} that is not closed as it should be: {error}"
    return None


def _without_own(
    block: pa.RecordBatch, own: Mapping[str, Sequence[str]], columns: Mapping[str, str | None], decimal: str
) -> pa.RecordBatch:
    """The block without the words for a missing value that columns have for themselves."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column, words in own.items():
        if column not in columns:
            continue
        cells = block.column(column)
        missing = pc.is_in(cells, value_set=pa.array(words, pa.string()))
        cells = pc.if_else(missing, pa.scalar(None, pa.string()), cells)
        if (kind := columns[column]) in ("integer", "number"):
            converted = as_type(cells, ColumnType(str(kind), decimal=decimal))
            if converted is None:
                raise Misfit(column)
            cells = converted
        block = block.set_column(block.schema.get_field_index(column), column, cells)
    return block


class _Lines:
    """The lines of a text that are not skipped; ``number`` is that of the last one in the file, from 1."""

    def __init__(self, text: Iterable[str], options: ReadCsv) -> None:
        self.number = 0
        self._text, self._skip, self._comment = text, options.skip_rows, options.comment

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.number += 1
            if self.number > self._skip and not (self._comment and line.startswith(self._comment)):
                yield line


@contextmanager
def _lines(path: Path, options: ReadCsv) -> Iterator[_Lines]:
    with path.open(encoding=_encoding(options), newline="") as text:
        yield _Lines(text, options)


def cells_of(lines: Iterable[str], options: ReadCsv) -> Iterator[list[str]]:
    """The rows of text as Python's csv reads them. Raises: csv.Error."""
    quoting = {"quotechar": options.quote} if options.quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    return csv.reader(iter(lines), delimiter=options.delimiter, **quoting)


def _bytes_of(path: Path, options: ReadCsv) -> tuple[Any, str]:
    """What Arrow reads, without the skipped lines, and how it is encoded."""
    wide = _encoding(options).startswith(("utf-16", "utf-32"))
    if options.comment is None and not wide:
        if options.skip_rows == 0:
            return path, options.encoding
        file = path.open("rb")
        skipped = [file.readline() for _ in range(options.skip_rows)]
        # Lines of old files end in a carriage return alone, which only text mode knows.
        if not any(b"\r" in line.removesuffix(b"\r\n") for line in skipped):
            return file, options.encoding
        file.close()
    return _Unskipped(path, options), "utf8"


class _Unskipped:
    """A file for Arrow that holds, in UTF-8, the lines that are not skipped."""

    def __init__(self, path: Path, options: ReadCsv) -> None:
        self._text = path.open(encoding=_encoding(options), newline="")
        self._left = iter(_Lines(self._text, options))
        self._rest = b""

    @property
    def closed(self) -> bool:
        return self._text.closed

    def close(self) -> None:
        self._text.close()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            some = "".join(itertools.islice(self._left, 4096)).encode()
            if not some:
                break
            self._rest += some
        size = len(self._rest) if size < 0 else size
        block, self._rest = self._rest[:size], self._rest[size:]
        return block


def _encoding(options: ReadCsv) -> str:
    known = known_encoding(options.encoding)
    if known is None:
        raise DefinitionError(f"read_csv.encoding {options.encoding!r} is no encoding that is known")
    return "utf-8-sig" if known == "utf-8" else known


def _what_is_wrong(path: Path, name: str, options: ReadCsv) -> list[str]:
    """Slowly, where the file breaks its form: bad bytes first, since nothing after them can be trusted."""
    encoding = _encoding(options)
    return list(itertools.islice(_bad_bytes(path, name, encoding), MOST_EXAMPLES)) or list(
        itertools.islice(_ragged_rows(path, name, options), MOST_EXAMPLES)
    )


def _bad_bytes(path: Path, name: str, encoding: str) -> Iterator[str]:
    offset = 0
    with path.open("rb") as lines:
        if encoding.startswith(("utf-16", "utf-32")):
            # A line end in these is more than one byte: only the whole can be decoded.
            lines = iter([lines.read()])  # type: ignore[assignment]
        for number, line in enumerate(lines, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                byte = f"0x{line[error.start]:02x}"
                yield (
                    f"{name}: line {number}, byte offset {offset + error.start}: byte {byte} is not "
                    f"{encoding.removesuffix('-sig')}; declare read_csv.encoding (often latin-1 or cp1252)"
                )
            offset += len(line)


def _ragged_rows(path: Path, name: str, options: ReadCsv) -> Iterator[str]:
    with _lines(path, options) as lines:
        try:
            rows = (row for row in cells_of(lines, options) if row)
            width = len(next(rows, [])) if options.header else len(options.names)
            whose = "the header" if options.header else "read_csv.names"
            for number, row in enumerate(rows):
                if len(row) != width:
                    yield f"{name}: row {number} (line {lines.number}) has {len(row)} cells, {whose} has {width}"
        except csv.Error as error:
            yield f"{name}: line {lines.number}: {error}"
