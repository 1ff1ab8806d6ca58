"""Where the records of a JSON file lie, and reading them one by one.

Here belongs the path to the records, columns turned into records, and lines of JSON. Not here: what the records'
keys become (``table_json``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_readers import ReadJson

MOST_COLUMN_BYTES = 256_000_000
"""columns must be read whole before there is a row: larger files are refused"""
LINES = (".jsonl", ".ndjson")
_MOST_KEYS = 30


def records_in(path: Path, name: str, options: ReadJson) -> Iterator[dict[str, Any]]:
    """The records of the file, one by one, whatever its size. Raises: DataError (see ``table_json.open_json``)."""
    import ijson

    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    row = -1
    try:
        for row, record in enumerate(_found(path, name, options)):
            if not isinstance(record, dict):
                raise DataError(f"{name}: row {row} is {_shown(record)}, not an object")
            if (key := _twice_in(record)) is not None:
                raise DataError(f"{name}: row {row}: the key {key!r} stands twice in one object")
            yield record
    except (ijson.JSONError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(_no_json(error, name, row)) from error


class _Object(dict[str, Any]):
    """An object of the file, which remembers a key that stands in it twice. Raising would come too soon: ijson makes
    later records before it hands over the first."""

    twice: str | None = None

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            self.twice = key
        super().__setitem__(key, value)


def _twice_in(value: Any) -> str | None:
    """A key that stands twice in an object, or in one within it."""
    if isinstance(value, _Object) and value.twice is not None:
        return value.twice
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((key for inner in within if (key := _twice_in(inner)) is not None), None)


def _no_json(error: Exception, name: str, row: int | None) -> str:
    """What the parser found behind record ``row``, in words; None where there are no records but columns."""
    raw = error.args[0] if error.args and isinstance(error.args[0], bytes) else str(error).encode()
    text = " ".join(raw.decode("utf-8", "backslashreplace").replace("(right here) ------^", "").split())
    near = text.partition(". " if ". " in text else "overflow ")[2]
    place = name if row is None else f"{name}: row {row + 1}"
    place += f": near {near[:200]}: " if near else ": "
    if "integer overflow" in text:
        return f"{place}a whole number has more than 64 bits; ask for it as a text in quotes"
    if "floating point) overflow" in text:
        return f"{place}a number lies beyond 1.8e308, which no measurement does; ask the provider"
    if "invalid bytes in UTF8" in text:
        return f"{place}is no JSON: its bytes are not UTF-8; write the file anew in UTF-8, its only encoding"
    after = f" after row {row}" if row is not None and row >= 0 else ""
    return f"{name}: is no JSON{after}: {text[:200]}"


def _found(path: Path, name: str, options: ReadJson) -> Iterator[Any]:
    import ijson

    with path.open("rb") as file:
        start = _start_of(file)
    if path.suffix.lower() in LINES or _is_lines(path, start):
        if options.records is not None:
            raise DataError(f"{name}: is lines of JSON: each is a record, and read_json.records cannot be followed")
        with path.open("rb") as file:
            file.seek(start)
            yield from ijson.items(file, "", multiple_values=True, use_float=True, map_type=_Object)
        return
    keys = options.path()
    try:
        kind = _kind_at(path, start, keys, name)
    except ijson.JSONError as error:
        raise DataError(_no_json(error, name, None)) from error
    prefix = ".".join("item" if key is None else key for key in keys)
    with path.open("rb") as file:
        file.seek(start)
        if kind == "list":
            yield from ijson.items(file, f"{prefix}.item" if prefix else "item", use_float=True, map_type=_Object)
            return
        if path.stat().st_size > MOST_COLUMN_BYTES:
            raise DataError(f"{name}: columns of more than {MOST_COLUMN_BYTES} bytes; ask for records")
        try:
            for columns in ijson.items(file, prefix, use_float=True, map_type=_Object):
                yield from _across(columns, name, options)
        except ijson.JSONError as error:
            raise DataError(_no_json(error, name, None)) from error


def _start_of(file: Any) -> int:
    """Where the text begins behind a byte order mark."""
    return 3 if file.read(3) == b"\xef\xbb\xbf" else 0


def _is_lines(path: Path, start: int) -> bool:
    """Whether more than one value stands in the file; only an object can be the first of lines."""
    import ijson

    with path.open("rb") as file:
        file.seek(start)
        first = file.readline(1 << 20)
        second = file.read(64).lstrip()
    if not second.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError, ijson.JSONError):
        return False


def _kind_at(path: Path, start: int, keys: Sequence[str | None], name: str) -> str:
    """``list`` or ``columns``: what lies at ``keys``. Raises: DataError naming what is there instead."""
    import ijson

    wanted = ".".join("item" if key is None else key for key in keys)
    met: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(start)
        for prefix, event, value in ijson.parse(file, use_float=True):
            if event == "map_key" and (prefix == wanted or _leads_to(prefix, wanted)):
                listed = met.setdefault(prefix, [])
                if len(listed) <= _MOST_KEYS and value not in listed:
                    listed.append(value)
            elif event != "map_key" and not event.startswith("end_"):
                kinds.setdefault(prefix, event)
            if prefix == wanted and event == "start_array":
                return "list"
            if prefix == wanted and event == "end_map" and _all_lists(wanted, met, kinds):
                return "columns"
    raise DataError(f"{name}: {_not_there(keys, wanted, met, kinds)}")


def _leads_to(prefix: str, wanted: str) -> bool:
    return prefix == "" or wanted.startswith(f"{prefix}.")


def _all_lists(wanted: str, met: dict[str, list[str]], kinds: dict[str, str]) -> bool:
    keys = met.get(wanted, [])
    return bool(keys) and all(kinds.get(f"{wanted}.{k}" if wanted else k) == "start_array" for k in keys)


def _not_there(keys: Sequence[str | None], wanted: str, met: dict[str, list[str]], kinds: dict[str, str]) -> str:
    """Words for a path that leads to no records: how far it leads, and what is there."""
    reached, steps = "", ["item" if key is None else key for key in keys]
    for number in range(1, len(steps) + 1):
        further = ".".join(steps[:number])
        if further not in kinds:
            break
        reached = further
    there = met.get(reached, [])
    keys_there = ", ".join(repr(key) for key in there[:_MOST_KEYS]) + (", ..." if len(there) > _MOST_KEYS else "")
    place = f"at {reached!r}" if reached else "at the top"
    what = f"an object with the keys {keys_there}" if there else _WORDS.get(kinds.get(reached, ""), "nothing")
    if reached == wanted:
        return f"{place} is {what}, not a list of records; declare read_json.records, the path to them"
    missing = steps[len(reached.split(".")) if reached else 0]
    return f"read_json.records: {place} is no {missing!r}{nearest(missing, there) if there else ''}; there is {what}"


_WORDS = {
    "start_array": "a list", "start_map": "an empty object", "string": "a text", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


def _across(columns: Any, name: str, options: ReadJson) -> Iterator[dict[str, Any]]:
    """The rows of an object of lists."""
    if not isinstance(columns, dict) or not all(isinstance(cells, list) for cells in columns.values()):
        raise DataError(f"{name}: {options.records or 'the top'} is not everywhere an object of lists")
    if isinstance(columns, _Object) and columns.twice is not None:
        raise DataError(f"{name}: the key {columns.twice!r} stands twice among its columns")
    lengths = {key: len(cells) for key, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key!r} {length}" for key, length in list(lengths.items())[:_MOST_KEYS])
        raise DataError(f"{name}: its columns have different lengths: {told}")
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
