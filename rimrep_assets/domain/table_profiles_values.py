"""What the stored numbers and characters of a sample mean: missing values, packing, times, words.

Here belongs decoding one variable's values. Not here: what its attributes say (``table_profiles_attributes``), where
its values lie in a file or which rows they belong to (``table_profiles_rows``, ``table_profiles_layout``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_time import SECOND, TimeUnits
from rimrep_assets.domain.table_times import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_SHOWN = 5
LONGEST_WORD = 65_536
EARLIEST, LATEST = -62_135_596_800 * SECOND, 32_503_680_000 * SECOND
"""the first microsecond of the year 1, and of the year 3000"""


class ValueProblems(ValueError):
    """Values that cannot be published: ``(position among those decoded, words)``, the first few and how many."""

    def __init__(self, shown: list[tuple[int, str]], count: int) -> None:
        self.shown, self.count = shown, count
        super().__init__(shown, count)


@dataclass
class Meaning:
    """How the values of one variable are decoded. ``outside``: which of those decoded last were outside the valid
    range, and are null.

    ``strict``: a place or a time, which nobody makes null without saying so; ``keep``: the range says nothing.
    """

    name: str
    kind: str
    stored: Any
    fills: tuple[Any, ...]
    low: Any
    high: Any
    scale: float | None
    offset: float | None
    units: TimeUnits | None
    resolution: float
    strict: bool
    keep: bool
    encoding: str
    range_of_packed: bool = True
    outside: Any = field(default=None, compare=False)

    @property
    def type(self) -> str:
        """The Table Schema's type of what ``decoded`` gives."""
        if self.kind != "number":
            return "string"
        if self.units is not None:
            return "datetime"
        packed = self.scale is not None or self.offset is not None
        return "number" if packed or self.stored.kind == "f" else "integer"

    def decoded(self, raw: np.ndarray[Any, Any]) -> pa.Array:
        """Values of any shape (words along the last axis) as a flat array: int64, float64, string, or instants.

        Raises: ValueProblems.
        """
        if self.kind in ("char", "text"):
            return self._words(raw)
        import numpy as np

        flat = np.ascontiguousarray(raw).reshape(-1)
        flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
        if flat.dtype != self.stored:
            flat = flat.view(self.stored)
        missing = np.isin(flat, np.asarray(self.fills, self.stored)) if self.fills else np.zeros(flat.shape, bool)
        if self.stored.kind == "f":
            missing |= np.isnan(flat)
        values = self._unpacked(flat)
        outside = self._outside(flat if self.range_of_packed else values) & ~missing
        if self.strict and not self.keep and outside.any():
            own = f"lies outside its own valid range {self._range()}; read_profiles.outside_valid says if it is kept"
            raise _told(outside, lambda at: f"{values[at]} {own}")
        self.outside = None if self.keep or not outside.any() else outside
        missing |= outside & (not self.keep)
        if self.units is not None:
            return self._instants(values, missing)
        return self._numbers(values, missing)

    def _range(self) -> str:
        return f"{'' if self.low is None else self.low}..{'' if self.high is None else self.high}"

    def _unpacked(self, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.scale is None and self.offset is None:
            return flat
        values: np.ndarray[Any, Any] = flat.astype("f8") * (1.0 if self.scale is None else self.scale)
        return values if self.offset is None else values + self.offset

    def _outside(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        found = np.zeros(values.shape, bool)
        with np.errstate(invalid="ignore"):
            if self.low is not None:
                found |= values < self.low
            if self.high is not None:
                found |= values > self.high
        return found

    def _numbers(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pa.Array:
        import pyarrow as pa

        if values.dtype.kind == "f":
            return pa.array(values.astype("f8"), pa.float64(), mask=missing)
        if values.dtype == "u8":
            large = (values > 2**63 - 1) & ~missing
            if large.any():
                raise _told(large, lambda at: f"{values[at]} is larger than the whole numbers of a table")
        return pa.array(values.astype("i8"), pa.int64(), mask=missing)

    def _instants(self, values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        assert self.units is not None
        step, reference = self.units.step, self.units.reference
        floats = np.where(missing, 0.0, values.astype("f8"))
        with np.errstate(over="ignore"):
            rough = floats * step + reference
        wrong = ~((rough >= EARLIEST) & (rough < LATEST)) & ~missing
        if wrong.any():
            raise _told(
                wrong,
                lambda at: (
                    f"{values[at]} is {_year(float(rough[at]))}; times lie in the years {FIRST_YEAR} to {LAST_YEAR}"
                ),
            )
        if values.dtype.kind in "iu":
            exact = np.where(missing, 0, values).astype("i8") * step + reference
        else:
            exact = _rounded(np.where(missing, 0, values), step, reference, self.resolution)
        return pa.array(exact, pa.timestamp("us", "UTC"), mask=missing)

    def _words(self, raw: np.ndarray[Any, Any]) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        if self.kind == "char":
            cells = np.ascontiguousarray(raw)
            cells = cells.reshape(-1, cells.shape[-1]) if cells.ndim else cells.reshape(1, 1)
            flat = cells.view(f"S{cells.shape[-1]}").reshape(-1)
        else:
            flat = np.asarray(raw, object).reshape(-1)
        different, which = np.unique(flat.astype(str) if self.kind == "text" else flat, return_inverse=True)
        words: list[str | None] = []
        for number, word in enumerate(different.tolist()):
            try:
                words.append(self._word(word))
            except ValueError as error:
                wrong, reason = which == number, str(error)
                raise _told(wrong, lambda _, reason=reason: reason) from error
        return pa.array(words, pa.string()).take(pa.array(which.reshape(-1)))

    def _word(self, stored: Any) -> str | None:
        """Without the blanks and NUL around it; None where nothing is left, or fill alone."""
        if isinstance(stored, bytes):
            try:
                word = stored.decode(self.encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"{stored[:40]!r} is not {self.encoding}; declare read_profiles.encoding") from error
            if any(fill and not stored.replace(fill, b"") for fill in self.fills):
                return None
        else:
            word = str(stored)
            if word in self.fills:
                return None
        word = word.strip("\0 \t\r\n")
        if "\0" in word:
            raise ValueError(f"{word[:40]!r} holds NUL between letters")
        return word or None


def _rounded(values: np.ndarray[Any, Any], step: int, reference: int, resolution: float) -> np.ndarray[Any, Any]:
    """Numbers of ``step`` microseconds as whole microseconds since 1970, as fine as the numbers can tell: to the
    millisecond or second where neighbouring numbers (or the declared resolution) lie farther apart than a finer one.
    """
    import numpy as np

    apart = np.maximum(np.spacing(np.abs(values)).astype("f8"), resolution) * step
    unit = np.select([apart <= 1, apart <= 1_000], [1, 1_000], SECOND)
    floats = values.astype("f8")
    whole = np.floor(floats)
    fraction = floats - whole
    # A product of 26 bits and a step is exact; of all 53 it is not.
    upper = np.floor(fraction * 2**26) / 2**26
    first = upper * step
    rest = (first - np.floor(first)) + (fraction - upper) * step
    micros = whole.astype("i8") * step + reference + np.floor(first).astype("i8") + np.floor(rest).astype("i8")
    rest -= np.floor(rest)
    units, over = np.divmod(micros, unit)
    over = over + rest
    up = (over > unit / 2) | ((over == unit / 2) & (units % 2 == 1))
    found: np.ndarray[Any, Any] = (units + up) * unit
    return found


def _year(micros: float) -> str:
    year = 1970 + micros / (365.2425 * 86_400 * SECOND)
    return f"in the year {int(year // 1)}" if abs(year) < 1e12 else "no time"


def _told(wrong: np.ndarray[Any, Any], say: Any) -> ValueProblems:
    import numpy as np

    positions = np.flatnonzero(wrong)
    return ValueProblems([(int(at), say(int(at))) for at in positions[:MOST_SHOWN]], len(positions))
