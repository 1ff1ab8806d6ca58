"""What one stored cell of a NetCDF variable stands for, as a plain Python value: the second reader's view.

Here belong fills, packing, words, and times by cftime and fractions. Not here: which cells are read
(``table_second_profiles``), nor anything that the conversion uses: the two must not err alike.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
BLANK = "\0 \t\r\n"


def word_of(cell: Any, fill: Any, encoding: str) -> str | None:
    """``cell``: a str, or an array of single bytes."""
    if isinstance(cell, str):
        return None if cell == fill else cell.strip(BLANK) or None
    letters = cell if isinstance(cell, bytes) else b"".join(cell.reshape(-1).tolist())
    one = fill if isinstance(fill, bytes) else str(fill or "").encode()
    if one and set(letters.split(one)) == {b""}:
        return None
    return letters.decode(encoding).strip(BLANK) or None


class Number:
    """Numbers and times, one at a time."""

    def __init__(self, dtype: Any, about: Mapping[str, Any]) -> None:
        self.dtype = dtype.newbyteorder("=")
        self.wrap = 0
        if str(about.get("_Unsigned", "")).lower() == "true" and dtype.kind == "i":
            self.wrap = 2 ** (8 * dtype.itemsize)
        self.scale, self.offset = (_first(about.get(k)) for k in ("scale_factor", "add_offset"))
        low, high = (_first(about.get(k)) for k in ("valid_min", "valid_max"))
        if len(both := _all(about.get("valid_range"))) == 2:
            low, high = both
        packed = self.scale is not None or self.offset is not None
        unpacked = packed and dtype.kind in "iu" and any(isinstance(limit, float) for limit in (low, high))
        self.limits_unpacked = unpacked
        self.low, self.high = (low, high) if unpacked else (self._near(low), self._near(high))
        told = [*_all(about.get("_FillValue")), *_all(about.get("missing_value"))]
        self.fills = {self._near(fill) for fill in told}
        if "_FillValue" not in about and dtype.itemsize > 1:
            self.fills.add(self._default())
        self.since = _since(about)
        self.apart = _first(about.get("resolution"))

    def _default(self) -> Any:
        """What the NetCDF library leaves where nobody wrote."""
        bits = 8 * self.dtype.itemsize
        if self.dtype.kind == "f":
            # NC_FILL_FLOAT and NC_FILL_DOUBLE are 15 * 2 ** 119.
            return float(15 * 2**119)
        if self.dtype.kind == "i":
            return -(2 ** (bits - 1)) + (2 if bits == 64 else 1)
        return 2**bits - (2 if bits == 64 else 1)

    def _near(self, told: Any) -> Any:
        """A number of an attribute as a stored one would be read."""
        if told is None or self.dtype.kind != "f":
            return told + self.wrap if self.wrap and told is not None and told < 0 else told
        return self.dtype.type(told).item()

    def __call__(self, cell: Any) -> Any:
        value = cell.item()
        if self.wrap and value < 0:
            value += self.wrap
        if value in self.fills or value != value:
            return None
        plain = value
        if self.scale is not None or self.offset is not None:
            plain = float(value) * (1.0 if self.scale is None else float(self.scale))
            plain = plain if self.offset is None else plain + float(self.offset)
        judged = plain if self.limits_unpacked else value
        if (self.low is not None and judged < self.low) or (self.high is not None and judged > self.high):
            return None
        return plain if self.since is None else self._instant(plain)

    def _instant(self, value: Any) -> datetime.datetime:
        assert self.since is not None
        reference, step = self.since
        exact = reference + Fraction(value) * step
        unit = 1
        if isinstance(value, float):
            single = self.dtype.itemsize == 4 and self.dtype.kind == "f" and self.scale is self.offset is None
            gap = 2.0 ** (math.frexp(abs(value))[1] - 24) if single and value else math.ulp(value)
            if self.apart is not None and 0 < self.apart < 1:
                gap = max(gap, self.apart)
            unit = next((n for n in (1, 1_000) if gap * step <= n), 1_000_000)
        try:
            return EPOCH + datetime.timedelta(microseconds=round(exact / unit) * unit)
        except OverflowError as error:
            raise ValueError(f"{value} is no time") from error


def _since(about: Mapping[str, Any]) -> tuple[int, int] | None:
    """Microseconds of the moment from which a time counts, since 1970, and of its step; None for other units."""
    import cftime  # type: ignore[import-untyped]

    units = about.get("units")
    if not isinstance(units, str) or " since " not in units.lower():
        return None
    calendar = str(about.get("calendar") or "standard").lower()
    ours = "microseconds since 1970-01-01 00:00:00"
    moments = cftime.num2date([0, 1], units, calendar)
    start, after = (int(n) for n in cftime.date2num(moments, ours, calendar))
    return start, after - start


def _all(told: Any) -> list[Any]:
    """Plain numbers of an attribute."""
    if told is None:
        return []
    if isinstance(told, (str, bytes)):
        try:
            return [float(told)]
        except ValueError:
            return []
    listed = told.reshape(-1).tolist() if hasattr(told, "reshape") else [told]
    return [n for n in listed if isinstance(n, (int, float))]


def _first(told: Any) -> Any:
    listed = _all(told)
    return listed[0] if len(listed) == 1 else None
