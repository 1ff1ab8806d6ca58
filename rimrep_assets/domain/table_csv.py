"""Delimited text as blocks of text cells.

Here belongs the form of such files: encoding, header, rows, cells, and saying where a file breaks it. Not here:
what type cells have (``table_types``) or what the columns mean (``tabular``).
"""

from __future__ import annotations

import codecs
import csv
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rimrep_assets.domain.dataset import ReadCsv
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.table_types import Misfit

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 8 * 1024 * 1024
"""also the longest row that can be read"""
MOST_EXAMPLES = 5
NOT_OF_ITS_TYPE = "CSV conversion error"
"""Arrow's words; those for bytes that are no text name UTF8 besides"""


def header_of(path: Path, name: str, options: ReadCsv) -> list[str]:
    """The column names as written, without a byte order mark.

    Raises: DataError for an empty file, a header that cannot be decoded, and names that stand twice;
    DefinitionError for an encoding that does not exist.
    """
    encoding = _encoding(options)
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        with path.open(encoding=encoding, newline="") as text:
            header = next((row for row in csv.reader(text, delimiter=options.delimiter) if row), None)
    except (UnicodeError, csv.Error) as error:
        raise DataError(_what_is_wrong(path, name, options) or f"{name}: {error}") from error
    if not header:
        raise DataError(f"{name}: the file holds only empty lines")
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

    try:
        yield from pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, encoding=options.encoding),
            parse_options=pacsv.ParseOptions(delimiter=options.delimiter, newlines_in_values=_has_quotes(path)),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(columns),
                column_types={name: direct.get(kind or "", pa.string()) for name, kind in columns.items()},
                null_values=["", *options.na],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError) as error:
        if NOT_OF_ITS_TYPE in str(error) and "UTF8" not in str(error):
            raise Misfit(str(error)) from error
        raise DataError(_what_is_wrong(path, name, options) or f"{name}: {error}") from error


def _has_quotes(path: Path) -> bool:
    """Whether a cell may go over several lines: where none can, lines need not be looked for twice."""
    import mmap

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        return whole.find(b'"') >= 0


def _encoding(options: ReadCsv) -> str:
    try:
        known = codecs.lookup(options.encoding).name
    except LookupError as error:
        raise DefinitionError(f"read_csv.encoding {options.encoding!r} is no encoding that is known") from error
    return "utf-8-sig" if known == "utf-8" else known


def _what_is_wrong(path: Path, name: str, options: ReadCsv) -> list[str]:
    """Slowly, where the file breaks its form: bad bytes first, since nothing after them can be trusted."""
    encoding = _encoding(options)
    return list(itertools.islice(_bad_bytes(path, name, encoding), MOST_EXAMPLES)) or list(
        itertools.islice(_ragged_rows(path, name, options, encoding), MOST_EXAMPLES)
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


def _ragged_rows(path: Path, name: str, options: ReadCsv, encoding: str) -> Iterator[str]:
    with path.open(encoding=encoding, newline="") as text:
        reader = csv.reader(text, delimiter=options.delimiter)
        try:
            rows = (row for row in reader if row)
            width = len(next(rows, []))
            for number, row in enumerate(rows):
                if len(row) != width:
                    yield (
                        f"{name}: row {number} (line {reader.line_num}) has {len(row)} cells, the header has {width}"
                    )
        except csv.Error as error:
            yield f"{name}: line {reader.line_num}: {error}"
