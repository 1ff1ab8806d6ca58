"""The steps of a table done once more, row by row in plain Python, on what the second reader reads.

Here belongs every step of ``convert`` that changes rows and columns, and which rows must be read for it. Not here:
reading formats (``table_second_files``), or anything that ``table_steps_applied`` uses; the two must not err alike.
Only cutting a polygon is GEOS's work in both, for there is no second library for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_second_places import features_beside, own_key, within_box
from rimrep_assets.domain.table_second_row import Row, Rows
from rimrep_assets.domain.table_steps import FromName

NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
BEYOND = 10**15
"""the number of a row that no file has: asked for it, a reader meets the end and tells how many there are"""
WINDOW = 200_000
"""rows that are read together where all must be read"""
Values = dict[str, Any]


def stepped_rows(read: Callable[[set[int]], Rows], name: str, dataset: Dataset, rows: set[int]) -> Iterator[Row]:
    """``rows`` as they are numbered after the steps, with the names that columns have then.

    ``read`` reads chosen rows of the source file ``name`` with its own names. Where no step chooses or makes rows
    only those are read; else all up to the last, and with ``pivot`` its result is held. Raises: ValueError, KeyError.
    """
    steps = dataset.convert.order
    if not {"where", "clip", "pivot"} & {*steps}:
        for number, values in read(rows):
            yield number, next(_through(iter([values]), name, dataset))
        return
    last = max(rows, default=-1)
    for number, values in enumerate(_through(_all_rows(read), name, dataset)):
        if number > last:
            return
        if number in rows:
            yield number, values


def _all_rows(read: Callable[[set[int]], Rows]) -> Iterator[Values]:
    """Window by window, because a reader may hold what it is asked for."""
    count = _count(read({BEYOND}))
    for first in range(0, count, WINDOW):
        # A range is asked what a set is asked, and holds nothing.
        for _, values in read(cast(set[int], range(first, min(first + WINDOW, count)))):
            yield values


def _count(reading: Rows) -> int:
    while True:
        try:
            next(reading)
        except StopIteration as end:
            if end.value is None:
                raise ValueError("the second reader does not tell how many rows there are") from None
            return int(end.value)


def _through(rows: Iterator[Values], name: str, dataset: Dataset) -> Iterator[Values]:
    order = dataset.convert.order
    for at, step in enumerate(order):
        rows = _STEPS[step](rows, name, dataset, "rename" in order[at + 1 :])
    return rows


def _rename(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    for values in rows:
        yield {dataset.convert.rename.get(column, column): cell for column, cell in values.items()}


def _drop(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    for values in rows:
        yield {column: cell for column, cell in values.items() if column not in dataset.convert.drop_columns}


def _where(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    point = _decimal(dataset)
    asked = {c: w if isinstance(w, tuple) else (w,) for c, w in dataset.convert.where.items()}
    for values in rows:
        if all(any(_is(values.get(column), one, point) for one in wanted) for column, wanted in asked.items()):
            yield values


def _decimal(dataset: Dataset) -> str:
    return str(getattr(getattr(dataset.convert, dataset.convert.table_readers()[0]), "decimal", "."))


def _is(cell: Any, wanted: Any, point: str) -> bool:
    if cell is None or wanted is None:
        return cell is None and wanted is None
    if not isinstance(cell, str):
        return bool(cell == wanted)
    if isinstance(wanted, bool):
        return cell in (("true", "True", "TRUE") if wanted else ("false", "False", "FALSE"))
    if isinstance(wanted, int | float):
        if abs(wanted) > 2**53:
            return cell == str(wanted)
        text = cell.replace(point, ".")
        return NUMBER.fullmatch(text) is not None and float(text) == wanted
    return cell == (wanted if isinstance(wanted, str) else wanted.isoformat())


def _clip(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    before = {new: old for old, new in dataset.convert.rename.items()} if renamed_later else {}
    places = dataset.coordinates
    x, y, shape = (c and before.get(c, c) for c in (places.x, places.y, places.geometry))
    yield from within_box(rows, dataset, x, y, shape, _decimal(dataset))


def _add(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    made = {
        column: _part_of(name, value.from_name) if isinstance(value, FromName) else value
        for column, value in dataset.convert.add_columns.items()
    }
    for values in rows:
        yield {**values, **made}


def _part_of(name: str, pattern: str) -> str:
    """The text at ``{}``, by a regular expression whose parts never try again, so that no name takes it long."""
    text = name if "/" in pattern else name.split("/")[-1]
    head, *parts = re.split(r"(\{\}|\*)", pattern)
    expression = re.escape(head)
    for mark, literal in zip(parts[::2], parts[1::2], strict=True):
        wild = "([^/]+?)" if mark == "{}" else "[^/]*?"
        expression += f"(?>{wild}{re.escape(literal)})"
    # The last literal stands at the end, not where it is met first.
    expression = expression[:-1] + r"\Z)"
    found = re.match(expression, text)
    if found is None:
        raise ValueError(f"{name!r} does not fit {pattern!r}")
    return found[1]


def _pivot(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    step = dataset.convert.pivot
    assert step is not None
    wide: dict[tuple[Any, ...], Values] = {}
    for values in rows:
        key = tuple(values[column] for column in step.index)
        head = values[step.columns]
        head = str(head).lower() if isinstance(head, bool) else str(head)
        cells = wide.setdefault(key, {})
        if head in cells:
            raise ValueError(f"two rows are alike in {key} and {head!r}")
        cells[head] = values[step.values]
    point = _decimal(dataset)
    numbers = [all(_number(key[at], point) is not None for key in wide) for at in range(len(step.index))]

    def place(key: tuple[Any, ...]) -> list[Any]:
        return [(_number(k, point), str(k)) if n else (k, "") for k, n in zip(key, numbers, strict=True)]

    for key in sorted(wide, key=place):
        yield {**dict(zip(step.index, key, strict=True)), **wide[key]}


def _number(cell: Any, point: str) -> float | None:
    if not isinstance(cell, str):
        return float(cell) if isinstance(cell, int | float) else None
    text = cell.replace(point, ".")
    return float(text) if NUMBER.fullmatch(text) or text.lower().lstrip("+-") in ("inf", "infinity") else None


def _join(rows: Iterator[Values], name: str, dataset: Dataset, renamed_later: bool) -> Iterator[Values]:
    step, own = dataset.convert.join_geometry, dataset.coordinates.geometry
    assert step is not None and own is not None
    features = features_beside(step.content or "", tuple(step.on.values()))
    for values in rows:
        yield {**values, own: features.get(tuple(own_key(values.get(column)) for column in step.on))}


_STEPS: dict[str, Callable[[Iterator[Values], str, Dataset, bool], Iterator[Values]]] = {
    "rename": _rename,
    "drop_columns": _drop,
    "where": _where,
    "clip": _clip,
    "add_columns": _add,
    "pivot": _pivot,
    "join_geometry": _join,
}


def name_in_file(column: str, dataset: Dataset) -> str:
    """What the file calls a column; of one that ``pivot`` makes, the column that its cells come from."""
    convert = dataset.convert
    for step in reversed(convert.order):
        if step == "rename":
            column = next((old for old, new in convert.rename.items() if new == column), column)
        elif step == "pivot" and convert.pivot is not None and column not in convert.pivot.index:
            column = convert.pivot.values
    return column
