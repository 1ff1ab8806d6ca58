"""Chosen records of JSON files, read with Python's json, piece by piece.

Here belongs the second reading of this format. Not here: anything that ``table_json`` uses; the two must not err alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rimrep_assets.domain.dataset import ReadJson
from rimrep_assets.domain.table_second_row import Rows

PIECE = 1 << 18
BLANK = " \t\n\r"


def json_rows(path: Path, options: ReadJson, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: ValueError for what is no JSON or has no such path."""
    last = max(rows, default=-1)
    number = -1
    with path.open(encoding="utf-8-sig") as text:
        for number, record in enumerate(_records(_Text(text), path, options)):
            if number > last:
                return None
            if number in rows:
                yield number, {column: _known(cell, column, options) for column, cell in _spread(record)}
    return number + 1


def _spread(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", cell) for inner, cell in value.items())
        else:
            yield key, value


def _known(cell: Any, column: str, options: ReadJson) -> Any:
    words = options.na
    if isinstance(words, dict):
        words = (*words.get("*", ()), *words.get(column, ()))
    return None if isinstance(cell, str) and cell in words else cell


class _Text:
    """A JSON text of any size, of which as much is held as one value needs."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._held = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next letter that is no blank; empty at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._held) or not self._more(PIECE):
                return self._held[self._at : self._at + 1]

    def take(self, letter: str) -> None:
        if self.peek() != letter:
            raise ValueError(f"{letter!r} expected, {self.peek()!r} found")
        self._at += 1

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        size = PIECE
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError:
                if not self._more(size):
                    raise
                size *= 2
                continue
            # A number may go on behind what is held.
            if end == len(self._held) and self._more(size):
                continue
            self._at = end
            return value

    def _more(self, size: int) -> bool:
        if self._ended:
            return False
        piece = self._file.read(size)
        self._ended = not piece
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)


def _records(text: _Text, path: Path, options: ReadJson) -> Iterator[dict[str, Any]]:
    first = text.peek()
    if options.records is not None:
        yield from _below(text, options.path())
    elif first == "[":
        yield from _items(text)
    else:
        value = text.value()
        if text.peek() or path.suffix.lower() in (".jsonl", ".ndjson"):
            yield value
            while text.peek():
                yield text.value()
        else:
            yield from _rows_of(value)


def _items(text: _Text) -> Iterator[Any]:
    text.take("[")
    while text.peek() != "]":
        yield text.value()
        if text.peek() == ",":
            text.take(",")
    text.take("]")


def _below(text: _Text, path: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """The records at ``path`` below the value that comes next; what lies beside it is read over."""
    if path and path[0] is None:
        text.take("[")
        while text.peek() != "]":
            yield from _below(text, path[1:])
            if text.peek() == ",":
                text.take(",")
        text.take("]")
    elif path:
        text.take("{")
        while text.peek() != "}":
            key = text.value()
            text.take(":")
            if key == path[0]:
                yield from _below(text, path[1:])
            else:
                text.value()
            if text.peek() == ",":
                text.take(",")
        text.take("}")
    elif text.peek() == "[":
        yield from _items(text)
    else:
        yield from _rows_of(text.value())


def _rows_of(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))
