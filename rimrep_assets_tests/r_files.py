"""R files, written byte by byte: what R itself writes and no library for Python can.

Here belongs the XDR form of R's values, as far as tests of reading need it.
Source: https://cran.r-project.org/doc/manuals/r-release/R-ints.html#Serialization-Formats
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

MISSING_WHOLE = -(2**31)
MISSING_NUMBER = struct.pack(">II", 0x7FF00000, 1954)
CHARACTER, LOGICAL, INTEGER, REAL, STRING, VECTOR, SYMBOL, PAIRLIST, END = 9, 10, 13, 14, 16, 19, 1, 2, 254


def whole(value: int) -> bytes:
    return struct.pack(">i", value)


def flags(kind: int, *, is_object: bool = False, attributes: bool = False, tag: bool = False) -> bytes:
    return whole(kind | is_object << 8 | attributes << 9 | tag << 10)


def text(value: str | None, encoding: str = "utf-8") -> bytes:
    if value is None:
        return whole(CHARACTER) + whole(-1)
    mark = {"utf-8": 8, "latin-1": 4}[encoding]
    data = value.encode(encoding)
    return whole(CHARACTER | mark << 12) + whole(len(data)) + data


def symbol(name: str) -> bytes:
    return whole(SYMBOL) + text(name)


def vector(kind: int, cells: Sequence[object], encoding: str = "utf-8", **attributes: bytes) -> bytes:
    """An atomic vector; None is R's NA."""
    whose = flags(kind, is_object="class" in attributes, attributes=bool(attributes))
    if kind == STRING:
        body = b"".join(text(cell, encoding) for cell in cells)  # type: ignore[arg-type]
    elif kind == REAL:
        body = b"".join(MISSING_NUMBER if cell is None else struct.pack(">d", cell) for cell in cells)
    else:
        body = b"".join(whole(MISSING_WHOLE if cell is None else int(cell)) for cell in cells)  # type: ignore[call-overload]
    return whose + whole(len(cells)) + body + (pairs(attributes) if attributes else b"")


def pairs(values: Mapping[str, bytes]) -> bytes:
    inside = b"".join(flags(PAIRLIST, tag=True) + symbol(name) + value for name, value in values.items())
    return inside + whole(END)


def frame(columns: Mapping[str, bytes], rows: int, *classes: str) -> bytes:
    """A data frame with row names 1 to ``rows``."""
    attributes = {
        "names": vector(STRING, list(columns)),
        "class": vector(STRING, classes or ("data.frame",)),
        "row.names": vector(INTEGER, [None, -rows]),
    }
    head = flags(VECTOR, is_object=True, attributes=True) + whole(len(columns))
    return head + b"".join(columns.values()) + pairs(attributes)


def write_rda(path: Path, objects: Mapping[str, bytes]) -> Path:
    """As R's ``save`` does, packed with gzip."""
    head = b"RDX2\nX\n" + whole(2) + whole(0x40202) + whole(0x20300)
    path.write_bytes(gzip.compress(head + pairs(objects)))
    return path


def write_rds(path: Path, value: bytes) -> Path:
    """As R's ``saveRDS`` does, not packed."""
    path.write_bytes(b"X\n" + whole(2) + whole(0x40202) + whole(0x20300) + value)
    return path
