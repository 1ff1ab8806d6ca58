"""The types that a table's column may have, and the exact conversion of cells into them.

Here belongs what a cell must look like to be an integer, a date and so on, and which type unknown columns show.
Not here: reading files (``table_csv``, ``table_vector``) or times of a local clock (``table_times``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.table_times import TimeProblem, by_pattern, instants

if TYPE_CHECKING:
    import pyarrow as pa

GUESSED = ("boolean", "integer", "number", "date", "datetime")
"""the types that cells without a declared type are tried as, strictest first"""
LIKE_A_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
IDENTIFIER = {"integer": r"^\s*[+-]?0\d", "number": r"^\s*[+-]?(0\d|\d{16,}\s*$)"}
"""leading zeros, or more digits than the type keeps: an identifier, never a number that was guessed"""
MOST_MISFITS = 5
"""so many cells of a column are shown"""
MOST_FILES = 10
"""of so many files misfits are shown"""
MOST_COUNTED = 1000
"""so many cells of a file's column are counted; finding each costs more than reading a thousand"""


class Misfit(ValueError):
    """A cell is not of its column's type: the types must be settled by looking at all cells."""


@dataclass(frozen=True)
class ColumnType:
    """A Table Schema type (also ``geometry`` and ``null``) and how its text is written.

    ``format``: a strptime pattern for date and datetime; ``timezone``: IANA zone of times that carry none;
    ``decimal``: what stands before a number's fraction.
    """

    type: str
    format: str | None = None
    timezone: str | None = None
    true_values: tuple[str, ...] = ("true", "True", "TRUE", "1")
    false_values: tuple[str, ...] = ("false", "False", "FALSE", "0")
    decimal: str = "."


def declared_type(field: Mapping[str, Any], timezone: str | None, decimal: str = ".") -> ColumnType | None:
    """The type that a field of a Table Schema declares; None where it declares none that cells can be held to."""
    known = ("integer", "number", "string", "boolean", "date", "datetime")
    if field.get("type") not in known:
        return None
    pattern = field.get("format")
    return ColumnType(
        type=field["type"],
        format=pattern if pattern and "%" in pattern else None,
        timezone=timezone,
        true_values=tuple(field.get("trueValues", ColumnType.true_values)),
        false_values=tuple(field.get("falseValues", ColumnType.false_values)),
        decimal=decimal,
    )


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type in which a Table Schema type is stored."""
    import pyarrow as pa

    return {
        "integer": pa.int64(),
        "number": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", "UTC"),
        "geometry": pa.binary(),
        "null": pa.null(),
        "object": pa.struct([(edge, pa.float64()) for edge in ("xmin", "ymin", "xmax", "ymax")]),
    }[name]


def type_name(stored: pa.DataType) -> str:
    """The inverse of ``arrow_type``."""
    for name in (*GUESSED, "string", "geometry", "null", "object"):
        if stored == arrow_type(name):
            return name
    raise ValueError(f"{stored} is no type of a table")


def as_type(cells: pa.Array, wanted: ColumnType) -> pa.Array | None:
    """``cells`` in the Arrow type of ``wanted``, or None if a cell is not of it; nothing is rounded.

    Raises: TimeProblem for times that name no instant.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    target = arrow_type(wanted.type)
    if cells.type == target:
        return cells
    if pa.types.is_null(target) or pa.types.is_null(cells.type):
        return pa.nulls(len(cells), target) if cells.null_count == len(cells) else None
    if not pa.types.is_string(cells.type):
        return _cast_exactly(cells, target, wanted.type)
    if wanted.type == "datetime":
        return instants(cells, wanted.timezone, wanted.format)
    if wanted.type == "boolean":
        return _booleans(cells, wanted)
    if wanted.type == "geometry":
        return _from_wkt(cells)
    if wanted.type == "date" and wanted.format:
        parsed = by_pattern(cells, wanted.format)
        # A date whose pattern has a time of day besides is that day's.
        return None if parsed is None else pc.floor_temporal(parsed, unit="day").cast(target)
    if wanted.type == "number" and wanted.decimal != ".":
        if pc.any(pc.match_substring(cells, ".")).as_py():
            return None
        cells = pc.replace_substring(cells, wanted.decimal, ".")
    for texts in (lambda: cells, lambda: pc.utf8_trim_whitespace(cells)):
        try:
            return texts().cast(target)
        except pa.ArrowInvalid:
            continue
    return None


def _cast_exactly(cells: pa.Array, target: pa.DataType, name: str) -> pa.Array | None:
    import pyarrow as pa

    source = type_name(cells.type)
    # A whole number is the same number in both types; a date is no instant, and a text no guess.
    if {source, name} != {"integer", "number"} and not (source == "integer" and name == "string"):
        return None
    try:
        return cells.cast(target)
    except pa.ArrowInvalid:
        return None


def _booleans(cells: pa.Array, wanted: ColumnType) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    yes = pc.is_in(cells, value_set=pa.array(wanted.true_values, pa.string()))
    no = pc.is_in(cells, value_set=pa.array(wanted.false_values, pa.string()))
    if not pc.all(pc.or_(pc.or_(yes, no), cells.is_null())).as_py():
        return None if len(cells) else pa.nulls(0, pa.bool_())
    return pc.if_else(cells.is_valid(), yes, pa.scalar(None, pa.bool_()))


def _from_wkt(cells: pa.Array) -> pa.Array | None:
    import pyarrow as pa
    import shapely

    shapes = shapely.from_wkt(cells.to_pylist(), on_invalid="ignore")
    if int(shapely.is_missing(shapes).sum()) != cells.null_count:
        return None
    return pa.array(shapely.to_wkb(shapes, flavor="iso"), pa.binary())


def misfit_cells(cells: pa.Array, wanted: ColumnType, most: int = MOST_MISFITS) -> list[int]:
    """Positions of the first ``most`` cells that are not of ``wanted``, found by halving."""
    if most < 1 or len(cells) == 0 or fits(cells, wanted):
        return []
    if len(cells) == 1:
        return [0]
    half = len(cells) // 2
    found = misfit_cells(cells.slice(0, half), wanted, most)
    rest = misfit_cells(cells.slice(half), wanted, most - len(found))
    return found + [half + position for position in rest]


def fits(cells: pa.Array, wanted: ColumnType) -> bool:
    """Whether every cell is of ``wanted``; a time that names no instant has at least the form of one."""
    try:
        return as_type(cells, wanted) is not None
    except TimeProblem:
        return True


def some_files(misfits: Sequence[str]) -> str:
    """Misfits of several files in one sentence, those of the first files alone."""
    more = f"; and {len(misfits) - MOST_FILES} more files" if len(misfits) > MOST_FILES else ""
    return "; ".join(misfits[:MOST_FILES]) + more


class ColumnWatch:
    """Sees a column block by block; afterwards tells its type and the cells that are not of the declared one."""

    def __init__(self, declared: ColumnType | None, timezone: str | None, decimal: str = ".") -> None:
        self.declared = declared
        self._shown: list[str] = []
        self._count = 0
        self._fits = declared is not None
        self._stored: str | None = None
        yes, no = ("true", "True", "TRUE"), ("false", "False", "FALSE")
        self._guesses = [ColumnType(name, None, timezone, yes, no, decimal) for name in GUESSED]
        self._first = True

    def see(self, cells: pa.Array, first_row: int) -> None:
        import pyarrow as pa

        if self.declared is not None and not fits(cells, self.declared):
            self._fits = False
            self._remember(cells, self.declared, first_row)
        if not pa.types.is_string(cells.type):
            kind = type_name(cells.type)
            # A file's parts may differ so: a whole number is a number, and nothing is of any type.
            if self._stored in (None, "null") or kind == "number":
                self._stored = kind
            return
        self._guesses = [guess for guess in self._guesses if _could_be(cells, guess)]
        if self._first and self.declared is None and not self._guesses and _mostly_numbers(cells):
            self._remember(cells, ColumnType("number"), first_row)
        self._first = self._first and cells.null_count == len(cells)

    @property
    def misfits(self) -> list[str]:
        """Cells that are not of the declared type, the first few with their rows, and how many more there are."""
        more = self._count - len(self._shown)
        words = f"and {more} more" if self._count < MOST_COUNTED else f"and {more} more at least"
        return self._shown + ([words] if more else [])

    @property
    def type(self) -> ColumnType:
        """The declared type if every cell is of it, else the strictest that every cell is of."""
        if self.declared is not None and self._fits:
            return self.declared
        if self._stored is not None:
            return ColumnType(self._stored)
        if len(self._guesses) == len(GUESSED):
            return ColumnType("null")
        return self._guesses[0] if self._guesses else ColumnType("string")

    def _remember(self, cells: pa.Array, wanted: ColumnType, first_row: int) -> None:
        found = misfit_cells(cells, wanted, MOST_COUNTED - self._count)
        self._count += len(found)
        for position in found[: MOST_MISFITS - len(self._shown)]:
            self._shown.append(f"row {first_row + position}: {cells[position].as_py()!r}")


def _could_be(cells: pa.Array, guess: ColumnType) -> bool:
    import pyarrow.compute as pc

    identifier = IDENTIFIER.get(guess.type)
    if identifier and pc.any(pc.match_substring_regex(cells, identifier)).as_py():
        return False
    try:
        return as_type(cells, guess) is not None
    except TimeProblem:
        # Without a zone it stays text; in a declared zone it is a time, and reading it says what is wrong.
        return guess.timezone is not None


def _mostly_numbers(cells: pa.Array) -> bool:
    import pyarrow.compute as pc

    share = pc.mean(pc.match_substring_regex(cells, LIKE_A_NUMBER)).as_py()
    return share is not None and share > 0.5
