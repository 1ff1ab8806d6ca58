"""Chosen rows of delimited text, read with Python's csv.

Here belongs the second reading of this format. Not here: anything that ``table_csv`` uses; the two must not err alike.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rimrep_assets.domain.dataset import ReadCsv
from rimrep_assets.domain.table_second_row import Rows


def csv_rows(path: Path, options: ReadCsv, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: csv.Error, UnicodeError, ValueError."""
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


def _without_skipped(text: IO[str], options: ReadCsv) -> Iterator[str]:
    lines = itertools.islice(text, options.skip_rows, None)
    mark = options.comment
    return lines if mark is None else (line for line in lines if not line.startswith(mark))


def _missing(options: ReadCsv, column: str) -> tuple[str, ...]:
    if isinstance(options.na, dict):
        return (*options.na.get("*", ()), *options.na.get(column, ()))
    return options.na
