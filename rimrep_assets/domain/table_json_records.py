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
            yield record
    except (ijson.JSONError, ValueError, OverflowError, RecursionError) as error:
        after = f" after row {row}" if row >= 0 else ""
        raise DataError(f"{name}: is no JSON{after}: {' '.join(str(error).split())[:200]}") from error


def _found(path: Path, name: str, options: ReadJson) -> Iterator[Any]:
    import ijson

    with path.open("rb") as file:
        start = _start_of(file)
    if path.suffix.lower() in LINES or _is_lines(path, start):
        if options.records is not None:
            raise DataError(f"{name}: is lines of JSON: each is a record, and read_json.records cannot be followed")
        with path.open("rb") as file:
            file.seek(start)
            yield from ijson.items(file, "", multiple_values=True, use_float=True)
        return
    keys = options.path()
    kind = _kind_at(path, start, keys, name)
    prefix = ".".join("item" if key is None else key for key in keys)
    with path.open("rb") as file:
        file.seek(start)
        if kind == "list":
            yield from ijson.items(file, f"{prefix}.item" if prefix else "item", use_float=True)
            return
        if path.stat().st_size > MOST_COLUMN_BYTES:
            raise DataError(f"{name}: columns of more than {MOST_COLUMN_BYTES} bytes; ask for records")
        for columns in ijson.items(file, prefix, use_float=True):
            yield from _across(columns, name, options)


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
    lengths = {key: len(cells) for key, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key!r} {length}" for key, length in list(lengths.items())[:_MOST_KEYS])
        raise DataError(f"{name}: its columns have different lengths: {told}")
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
