"""Whether a cell is of its declared type, asked by the second reader where ``cast`` drops what is not.

Here belongs the written form of each type, cell by cell with Python's own means. Not here: ``table_types``, which the
conversion uses; the two must not err alike.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

INTEGER = re.compile(r"-?[0-9]+")
NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)


def is_of(cell: Any, kind: str, field: Mapping[str, Any], decimal: str = ".") -> bool:
    """Whether ``cell`` can be a value of the Table Schema type ``kind``; a missing one can."""
    if cell is None:
        return True
    if not isinstance(cell, str):
        return _typed(cell, kind)
    pattern = field.get("format") if "%" in str(field.get("format")) else None
    if kind == "integer":
        return INTEGER.fullmatch(cell.strip()) is not None and -(2**63) <= int(cell) < 2**63
    if kind == "number":
        if decimal != "." and "." in cell:
            return False
        text = cell.replace(decimal, ".").strip()
        return NUMBER.fullmatch(text) is not None and not math.isinf(float(text))
    if kind == "boolean":
        yes = field.get("trueValues", ("true", "True", "TRUE", "1"))
        return cell in yes or cell in field.get("falseValues", ("false", "False", "FALSE", "0"))
    if kind == "date":
        return _parses(cell if pattern else cell.strip(), pattern, DATE)
    if kind == "datetime":
        return _parses(cell, pattern, INSTANT)
    return True


def _typed(cell: Any, kind: str) -> bool:
    if isinstance(cell, bool):
        return kind == "boolean"
    if isinstance(cell, int):
        return kind in ("integer", "number", "string", "boolean")
    if isinstance(cell, float):
        return (kind == "number" and not math.isinf(cell)) or (kind == "integer" and cell.is_integer())
    if isinstance(cell, datetime.datetime):
        return kind == "datetime"
    if isinstance(cell, datetime.date):
        return kind == "date"
    return kind == "string"


def _parses(text: str, pattern: str | None, form: re.Pattern[str]) -> bool:
    try:
        if pattern:
            datetime.datetime.strptime(text, pattern)
            return True
        if form.fullmatch(text) is None:
            return False
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
