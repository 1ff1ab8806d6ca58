"""Chosen rows of delimited text, read with Python's csv; of a large file in which a line is a row, with pandas.

Here belongs the second reading of this format. Not here: anything that ``table_csv`` uses; the two must not err alike.
"""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rimrep_assets.domain.dataset import ReadCsv
from rimrep_assets.domain.table_second_row import Row, Rows

SEEKING_PAYS = 4_000_000
"""bytes of a file; a smaller one is read whole"""
PIECE = 1 << 20
TWO_ENDS = 0x0A0A
ONE_BYTE_ENDS = ("utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1", "cp1252", "windows-1252")
"""encodings in which the byte of a line's end means nothing else"""


def csv_rows(path: Path, options: ReadCsv, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: csv.Error, UnicodeError, ValueError."""
    if path.stat().st_size > SEEKING_PAYS and (places := _Lines.of(path, options)):
        yield from _rows_at_their_places(path, options, rows, places)
        return places.rows
    csv.field_size_limit(sys.maxsize)
    encoding = "utf-8-sig" if options.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else options.encoding
    form: dict[str, Any] = {"delimiter": options.delimiter, "quotechar": options.quote or None}
    if not options.quote:
        form["quoting"] = csv.QUOTE_NONE
    quoted = bool(options.quote) and _has(path, encoding, options.quote)
    with path.open(encoding=encoding, newline="" if quoted else None) as text:
        lines = _without_skipped(text, options)
        header = next(cells for cells in csv.reader(lines, **form) if cells) if options.header else list(options.names)
        missing = {column: {"", *_missing(options, column)} for column in header}
        last = max(rows, default=-1)
        # Without quotes a line is a row, and only the chosen lines need to be taken apart.
        records: Iterator[Any] = csv.reader(lines, **form) if quoted else lines
        number = -1
        for record in records:
            if not record or record == "\n":
                continue
            number += 1
            if number > last:
                return None
            if number in rows:
                cells = record if quoted else record.rstrip("\n").split(options.delimiter)
                pairs = zip(header, cells, strict=True)
                yield number, {name: None if cell in missing[name] else cell for name, cell in pairs}
    return number + 1


def _has(path: Path, encoding: str, quote: str) -> bool:
    with path.open(encoding=encoding, newline="") as text:
        return any(quote in piece for piece in iter(lambda: text.read(1 << 20), ""))


class _Lines:
    """Where the lines of a file begin, of which each is a row; ``rows`` counts them without the header."""

    def __init__(self, path: Path, ends: Any, size: int, first: int) -> None:
        self._path, self._ends, self._size, self._first = path, ends, size, first
        with path.open("rb") as file:
            file.seek(size - 1)
            unended = file.read(1) != b"\n"
        self.rows = int(ends[-1]) + unended - first

    @classmethod
    def of(cls, path: Path, options: ReadCsv) -> _Lines | None:
        """None where a row may be no line, or a line no row: quotes, comments, empty lines, lone carriage returns."""
        import numpy as np

        simple = options.comment is None and options.encoding.lower().replace("_", "-") in ONE_BYTE_ENDS
        if not simple:
            return None
        odd = [b"\r", *([options.quote.encode()[-1:]] if options.quote else [])]
        ends, size, last = [0], path.stat().st_size, b"\n"
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                if any(mark in piece for mark in odd) or _has_empty_line(last + piece):
                    return None
                ends.append(ends[-1] + piece.count(b"\n"))
                last = piece[-1:]
        return cls(path, np.array(ends), size, options.skip_rows + bool(options.header))

    def bytes_of(self, row: int, count: int) -> bytes:
        """The lines of ``count`` rows from ``row`` on."""
        begin, end = self._begin(row + self._first), self._begin(row + self._first + count)
        with self._path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)

    def _begin(self, line: int) -> int:
        import numpy as np

        if line == 0:
            return 0
        if line > self._ends[-1]:
            return self._size
        piece = int(np.searchsorted(self._ends, line)) - 1
        with self._path.open("rb") as file:
            file.seek(piece * PIECE)
            ends = np.flatnonzero(np.frombuffer(file.read(PIECE), np.uint8) == 10)
        return piece * PIECE + int(ends[line - int(self._ends[piece]) - 1]) + 1


def _has_empty_line(piece: bytes) -> bool:
    """Whether two line ends follow one another; looked for as pairs of bytes, three times as fast as searching."""
    import numpy as np

    found = np.frombuffer(piece, np.uint8)
    pairs = (found[begin : begin + (len(found) - begin) // 2 * 2].view("<u2") for begin in (0, 1))
    return any(bool((both == TWO_ENDS).any()) for both in pairs)


def _rows_at_their_places(path: Path, options: ReadCsv, rows: set[int], lines: _Lines) -> Iterator[Row]:
    import pandas as pd

    form: dict[str, Any] = {"sep": options.delimiter, "quoting": csv.QUOTE_NONE, "encoding": options.encoding}
    form |= {"dtype": str, "keep_default_na": False, "na_filter": False}
    names = list(options.names)
    if options.header:
        names = list(pd.read_csv(path, skiprows=options.skip_rows, nrows=0, index_col=False, **form).columns)
    missing = {column: {"", *_missing(options, column)} for column in names}
    for first, count in _stretches(sorted(row for row in rows if row < lines.rows)):
        text = io.BytesIO(lines.bytes_of(first, count))
        frame = pd.read_csv(text, header=None, names=names, index_col=False, **form)
        if len(frame) != count:
            raise ValueError(f"rows {first} to {first + count - 1} are {len(frame)} rows")
        for number, cells in zip(itertools.count(first), frame.itertuples(index=False, name=None)):
            pairs = zip(names, cells, strict=True)
            yield number, {name: None if cell in missing[name] else cell for name, cell in pairs}


def _stretches(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Rows that follow one another, as the first and their number."""
    for _, group in itertools.groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
        numbers = [row for _, row in group]
        yield numbers[0], len(numbers)


def _without_skipped(text: IO[str], options: ReadCsv) -> Iterator[str]:
    lines = itertools.islice(text, options.skip_rows, None)
    mark = options.comment
    return lines if mark is None else (line for line in lines if not line.startswith(mark))


def _missing(options: ReadCsv, column: str) -> tuple[str, ...]:
    if isinstance(options.na, dict):
        return (*options.na.get("*", ()), *options.na.get(column, ()))
    return options.na
