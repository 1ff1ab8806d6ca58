"""Which cells are one of the values that ``where`` names.

Here belongs what a value of ``dataset.yaml`` means in a column of text, numbers, dates or booleans. Not here: which
columns are asked (``table_steps_applied``).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_steps import Scalar

if TYPE_CHECKING:
    import pyarrow as pa

A_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
YES, NO = ("true", "True", "TRUE"), ("false", "False", "FALSE")
EXACT = 2**53
"""whole numbers beyond are compared as text: a float does not hold them"""


def matching(cells: pa.Array, values: Sequence[Scalar], column: str, file: str, decimal: str = ".") -> pa.Array:
    """A boolean for each cell, never null: whether it is one of ``values``; null stands for a missing cell.

    In text, a text is met by the same text, a number by every way to write it (``1``, ``1.0``), a date by its ISO
    form, true and false by these words. Raises: DataError for a value that no cell of the column's type can be.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    given = [value for value in values if value is not None]
    missing = cells.is_null() if len(given) < len(values) else pa.array([False] * len(cells), pa.bool_())
    if pa.types.is_null(cells.type):
        return missing
    if pa.types.is_string(cells.type):
        found = _in_text(cells, given, decimal)
    else:
        fits, word = _form(cells.type)
        wrong = [value for value in given if not fits(value)]
        if wrong:
            raise DataError(f"{file}: where.{column} names {wrong[0]!r}, but the column holds {word}")
        found = pc.is_in(cells, value_set=_typed(given, cells.type))
    return pc.or_(pc.fill_null(found, False), missing)


def _form(kind: pa.DataType) -> tuple[Callable[[Any], bool], str]:
    import pyarrow as pa

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return is_number, "numbers; write them without quotes"
    if pa.types.is_boolean(kind):
        return lambda value: isinstance(value, bool), "true and false; write them without quotes"
    if pa.types.is_date(kind):
        return lambda value: isinstance(value, datetime.date), "dates; write 2020-01-31 without quotes"
    return lambda value: False, f"{kind}, by which rows cannot be chosen"


def _typed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        # 1.5 is no whole number, and met by none.
        whole = (int(value) for value in values if value == int(value))
        return pa.array([value for value in whole if -(2**63) <= value < 2**63], kind)
    return pa.array(values, kind)


def _in_text(cells: pa.Array, values: Sequence[Any], decimal: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [value for value in values if isinstance(value, str)]
    texts += [value.isoformat() for value in values if isinstance(value, datetime.date)]
    texts += [word for value in values if isinstance(value, bool) for word in (YES if value else NO)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    texts += [str(value) for value in numbers if abs(value) > EXACT]
    found = pc.is_in(cells, value_set=pa.array(texts, pa.string()))
    numbers = [float(value) for value in numbers if abs(value) <= EXACT]
    if not numbers:
        return found
    points = cells if decimal == "." else pc.replace_substring(cells, decimal, ".")
    is_number = pc.match_substring_regex(points, A_NUMBER)
    read = pc.utf8_trim_whitespace(pc.if_else(is_number, points, pa.scalar(None, pa.string()))).cast(pa.float64())
    return pc.or_(found, pc.is_in(read, value_set=pa.array(numbers, pa.float64())))
