"""Chosen rows of R's files, read with rdata, which is written in Python and shares nothing with librdata.

Here belongs the second reading of this format: R's vectors as the parser gives them, taken apart here. Not here:
pyreadr, with which ``table_rdata`` reads.
"""

from __future__ import annotations

import datetime
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import ReadRdata
from rimrep_assets.domain.table_second_row import Rows

DAY_ZERO = datetime.date(1970, 1, 1)
START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MISSING_WHOLE = -(2**31)
"""R's NA of integers and of true and false"""


def rdata_rows(path: Path, options: ReadRdata, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: ValueError where the parser cannot read the file."""
    import rdata.parser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top = rdata.parser.parse_file(path).object
    frame = _frame(top, options.object)
    names = _texts(_attributes(frame)["names"])
    columns = dict(zip(names, frame.value, strict=True))
    attributes = {name: _attributes(column) for name, column in columns.items()}
    count = len(frame.value[0].value)
    for row in sorted(number for number in rows if number < count):
        yield row, {name: _cell(column, attributes[name], row) for name, column in columns.items()}
    return count


def _frame(top: Any, wanted: str | None) -> Any:
    if top.info.type.name != "LIST":
        return top
    while top.info.type.name == "LIST":
        value, following = top.value
        name = top.tag.value.value.decode()
        if name == wanted or (wanted is None and "data.frame" in _classes(_attributes(value))):
            return value
        top = following
    raise ValueError("there is no such data frame")


def _attributes(value: Any) -> dict[str, Any]:
    found = {}
    pair = value.attributes
    while pair is not None and pair.info.type.name == "LIST":
        tag = pair.tag.referenced_object if pair.tag.value is None else pair.tag
        found[tag.value.value.decode()] = pair.value[0]
        pair = pair.value[1]
    return found


def _texts(vector: Any) -> list[Any]:
    return [None if text.value is None else _decoded(text) for text in vector.value]


def _decoded(text: Any) -> str:
    # Bit 2 of the flags says Latin-1, bit 3 UTF-8; https://cran.r-project.org/doc/manuals/r-release/R-ints.html
    return str(text.value.decode("latin-1" if text.info.gp & 0b100 else "utf-8"))


def _classes(attributes: dict[str, Any]) -> list[Any]:
    return _texts(attributes["class"]) if "class" in attributes else []


def _cell(column: Any, attributes: dict[str, Any], row: int) -> Any:
    import numpy as np

    kind, classes = column.info.type.name, _classes(attributes)
    cell = column.value[row]
    if kind == "STR":
        return None if cell.value is None else _decoded(cell)
    if cell is np.ma.masked or (kind in ("INT", "LGL") and int(cell) == MISSING_WHOLE) or cell != cell:
        return None
    if "factor" in classes:
        return _texts(attributes["levels"])[int(cell) - 1]
    if "Date" in classes:
        return DAY_ZERO + datetime.timedelta(days=int(np.floor(cell)))
    if "POSIXct" in classes:
        return START + datetime.timedelta(microseconds=_microseconds(float(cell)))
    return {"LGL": bool, "INT": int, "REAL": float}[kind](cell)


def _microseconds(seconds: float) -> int:
    """By whole nanoseconds, as readers of R's files count: R's numbers often lie in the middle of two microseconds."""
    nanoseconds = round(Fraction(seconds) * 10**9)
    return round(Fraction(nanoseconds, 1000))
