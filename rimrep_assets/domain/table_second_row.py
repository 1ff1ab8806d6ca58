"""What every second reader hands over.

Here belongs the form of a row, and nothing that reads.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

Row = tuple[int, dict[str, Any]]
"""a row's number, from 0, and its plain values by the names of the file"""
Rows = Generator[Row, None, int | None]
"""chosen rows in their order; returns how many rows the file has, where its end was met"""
GEOMETRY = "\x00geometry"
"""the key of a layer's geometry in a row"""
