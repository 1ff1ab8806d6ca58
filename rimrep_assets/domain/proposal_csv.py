"""How delimited text is written, told from its beginning: encoding, delimiter, header; and a first look at its columns.

Here belongs what ``read_csv`` must be told, and what cells look like. Not here: what columns mean
(``proposal_table``), or reading for good (``table_csv``).
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import ReadCsv
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.proposal_marks import GUESS
from rimrep_assets.domain.table_csv import header_of, text_blocks
from rimrep_assets.domain.table_times import by_pattern
from rimrep_assets.domain.table_types import LIKE_A_NUMBER, ColumnWatch

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_NEEDED = "give a line of column names and at least one row below it, then run `rimrep init` again."
HEAD_BYTES = 256_000
WHOLE_BYTES = 64_000_000
"""files up to this size are read whole for their encoding"""
MOST_ROWS = 200
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MISSING = frozenset(
    (
        *("na", "n/a", "nan", "null", "none", "nil", "no data", "nodata", "no_data", "missing", "unknown"),
        *("not available", "not recorded", "#n/a", "#na", "#value!", "-", "--", ".", "?"),
    )
)
"""words, in lower case, that people write where a number is missing"""
TIME_FORMS = (
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%m-%Y",
    "%m-%d-%Y %H:%M:%S",
    "%m-%d-%Y %H:%M",
    "%m-%d-%Y",
    "%Y%m%dT%H%M%S",
    "%d-%b-%Y",
)
"""forms of times that are not ISO 8601, day first before month first"""
DAY_FIRST = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
"""how a form begins, and how the same text begins where the month comes first"""
EITHER_ORDER = f"{GUESS}Read day before month: 01/02/2024 is 1 February 2024."
WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
WITH_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
SENTINEL = re.compile(r"-99(\.[09]+)?|-?9{3,}(\.[09]+)?|-32768(\.0+)?|-?1e\+?(20|30|35|36|37|38)", re.IGNORECASE)
"""numbers that people write where one is missing"""
TIME_NAME = re.compile(r"time|date|datum|when", re.IGNORECASE)


@dataclass(frozen=True)
class CsvForm:
    """What ``read_csv`` needs; ``why`` by option where it is not the default."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    why: dict[str, str] = field(default_factory=dict)
    decimal: str = "."

    @property
    def reading(self) -> ReadCsv:
        """With it the file can be read as text."""
        return ReadCsv(encoding=self.encoding, delimiter=self.delimiter, decimal=self.decimal)

    @property
    def options(self) -> dict[str, str]:
        """The options that are not the default."""
        told = {"encoding": self.encoding, "delimiter": self.delimiter, "decimal": self.decimal}
        return {name: value for name, value in told.items() if value != getattr(ReadCsv(), name)}


@dataclass(frozen=True)
class ColumnLook:
    """What a column's cells look like: a Table Schema ``type``, whether its times need a zone, words for missing."""

    name: str
    type: str
    needs_zone: bool = False
    form: str | None = None
    """strptime pattern of times that are not ISO 8601"""
    either_order: bool = False
    """whether the times could as well be written month before day"""
    missing: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    sentinel: str | None = None
    """the least or greatest number, where it looks like a word for missing and lies far from all others"""


def form_of(path: Path, name: str) -> CsvForm:
    """Look at the file ``name`` at ``path``. Raises: DataError that says why it is no table of delimited text."""
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)", advice=ROWS_NEEDED)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    encoding, why = _encoding(path, head, name)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(head).removeprefix("\ufeff")
    begin = text.lstrip()[:1]
    if begin in ("<", "{") or text.lstrip()[:2] == "[{":
        raise DataError(
            f"{name}: is no delimited text; it begins like {'a web page or XML' if begin == '<' else 'JSON'}"
        )
    if begin == "#":
        raise DataError(
            f"{name}: begins with lines of comment (#)", advice="take them out: the first line names the columns."
        )
    delimiter = _delimiter(text, name, whole=len(head) < HEAD_BYTES)
    reasons = {"encoding": why} if why else {}
    if delimiter != ",":
        reasons["delimiter"] = f"a {DELIMITERS[delimiter]} divides the first lines most evenly"
    decimal = _decimal(text, delimiter)
    if decimal != ".":
        reasons["decimal"] = "numbers are written like 1,5 and none like 1.5"
    header = header_of(path, name, ReadCsv(encoding=encoding, delimiter=delimiter))
    if all(re.fullmatch(LIKE_A_NUMBER, cell) for cell in header):
        raise DataError(f"{name}: its first line holds numbers; a table needs a line of column names first")
    return CsvForm(encoding, delimiter, tuple(header), reasons, decimal)


def _decimal(text: str, delimiter: str) -> str:
    """A comma where numbers of the first rows have one before their fraction, and none has a point."""
    rows = itertools.islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), MOST_ROWS)
    cells = [cell for row in rows for cell in row]
    if delimiter == "," or any(WITH_POINT.fullmatch(cell) for cell in cells):
        return "."
    return "," if any(WITH_COMMA.fullmatch(cell) for cell in cells) else "."


def _encoding(path: Path, head: bytes, name: str) -> tuple[str, str]:
    """The encoding and why, empty for UTF-8."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "it begins with the mark of UTF-16"
    if b"\0" in head:
        raise DataError(f"{name}: is no text: it holds zero bytes")
    odd = _first_bad_byte(path)
    if odd is None:
        return "utf-8", ""
    control = sum(byte < 32 and byte not in (9, 10, 12, 13) for byte in head)
    if control > len(head) // 100:
        raise DataError(f"{name}: is no text: {control} of its first {len(head)} bytes are control characters")
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1", f"byte {odd} is not UTF-8, and bytes that Windows text has not are there too"
    return "cp1252", f"byte {odd} is not UTF-8; text written on Windows is likely"


def _first_bad_byte(path: Path) -> int | None:
    """The offset of the first byte that is not UTF-8, looked for in the first ``WHOLE_BYTES``."""
    decoder, offset = codecs.getincrementaldecoder("utf-8")("strict"), 0
    with path.open("rb") as file:
        while offset < WHOLE_BYTES and (piece := file.read(1_000_000)):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                return offset - held + error.start
            offset += len(piece)
    return None


def _delimiter(text: str, name: str, *, whole: bool) -> str:
    best: tuple[float, int, str] = (0.0, 1, "")
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        except csv.Error:
            continue
        rows = (rows if whole else rows[:-1])[:MOST_ROWS]
        width = len(rows[0]) if rows else 0
        if width >= 2:
            score = (sum(len(row) == width for row in rows) / len(rows), width, delimiter)
            best = max(best, score)
    if not best[2]:
        raise DataError(
            f"{name}: one column: no comma, semicolon, tab or bar divides its first line",
            advice="a table has a line of column names, then rows of as many cells.",
        )
    return best[2]


def first_rows(path: Path, name: str, options: ReadCsv, header: Sequence[str]) -> pa.RecordBatch | None:
    """The first rows as text; None where there is none. Raises: DataError as reading the file does."""
    return next(iter(text_blocks(path, name, options, dict.fromkeys(header))), None)


def look_at_columns(blocks: Iterable[pa.RecordBatch], header: Sequence[str], decimal: str = ".") -> list[ColumnLook]:
    """What each column of ``header`` looks like over the ``blocks`` of text that have it."""
    held = list(blocks)
    return [_look(name, [b.column(name) for b in held if name in b.schema.names], decimal) for name in header]


def _look(name: str, chunks: Sequence[pa.Array], decimal: str) -> ColumnLook:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pa.concat_arrays(list(chunks)) if chunks else pa.array([], pa.string())
    if decimal != ".":
        is_number = pc.match_substring_regex(cells, f"^{WITH_COMMA.pattern}$")
        cells = pc.if_else(is_number, pc.replace_substring(cells, decimal, "."), cells)
    missing = _missing_words(cells)
    if missing:
        cells = pc.if_else(pc.is_in(cells, value_set=pa.array(missing)), pa.scalar(None, pa.string()), cells)
    kind = _type(cells, "UTC")
    if kind == "string" and TIME_NAME.search(name):
        form, other = _time_forms(cells)
        if form:
            return ColumnLook(
                name, "datetime" if "%H" in form else "date", "%H" in form, form, other is not None, missing
            )
    low = high = sentinel = None
    if kind in ("integer", "number"):
        numbers = pc.utf8_trim_whitespace(cells).cast(pa.float64())
        ends = pc.min_max(numbers).as_py()
        low, high, sentinel = ends["min"], ends["max"], _sentinel(cells, numbers, ends.values())
        if sentinel is not None:
            sentinel = sentinel.replace(".", decimal)
    needs_zone = kind == "datetime" and _type(cells, None) != "datetime"
    return ColumnLook(name, kind, needs_zone, missing=missing, low=low, high=high, sentinel=sentinel)


def _sentinel(cells: pa.Array, numbers: pa.Array, ends: Iterable[float | None]) -> str | None:
    """The text of an extreme that is written like a word for missing, and lies further from all other numbers than
    these from each other."""
    import pyarrow.compute as pc

    for end in ends:
        if end is None:
            continue
        text = str(cells[pc.index(numbers, end).as_py()].as_py()).strip()
        others = pc.min_max(numbers.filter(pc.not_equal(numbers, end))).as_py()
        if not SENTINEL.fullmatch(text) or others["min"] is None:
            continue
        if min(abs(end - others["min"]), abs(end - others["max"])) > others["max"] - others["min"]:
            return text
    return None


def _type(cells: pa.Array, zone: str | None) -> str:
    watch = ColumnWatch(None, zone)
    watch.see(cells, 0)
    return watch.type.type


def _missing_words(cells: pa.Array) -> tuple[str, ...]:
    """Words in a column of numbers that stand for no number: known ones, or the only one there is."""
    import pyarrow.compute as pc

    is_number = pc.match_substring_regex(cells, LIKE_A_NUMBER)
    share = pc.mean(is_number).as_py()
    if share is None or share <= 0.5 or share == 1:
        return ()
    words = Counter(text for text in cells.filter(pc.invert(is_number)).to_pylist() if text is not None)
    known = sorted(word for word in words if word.strip().lower() in MISSING)
    if len(known) == len(words):
        return tuple(known)
    return tuple(words) if len(words) == 1 and next(iter(words.values())) > 1 else ()


def _time_forms(cells: pa.Array) -> tuple[str | None, str | None]:
    """The first form that fits all cells, and the form with the month first where that fits them too."""
    if cells.null_count == len(cells):
        return None, None
    form = next((form for form in TIME_FORMS if _fits(cells, form)), None)
    begin = next((begin for begin in DAY_FIRST if form and form.startswith(begin)), None)
    other = form.replace(begin, DAY_FIRST[begin]) if form and begin else None
    return form, other if other and _fits(cells, other) else None


def _fits(cells: pa.Array, form: str) -> bool:
    return by_pattern(cells, form) is not None


def missing_words(looks: Iterable[ColumnLook]) -> dict[str, list[str]]:
    """Word for missing -> the columns in which it was found."""
    found: dict[str, list[str]] = {}
    for look in looks:
        for word in look.missing:
            found.setdefault(word, []).append(look.name)
    return dict(sorted(found.items()))


def declared_fields(looks: Iterable[ColumnLook], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Fields of a Table Schema for what must be declared to be read: times that are not ISO 8601, empty columns."""
    found: list[dict[str, Any]] = []
    for look in looks:
        if look.form:
            marked = {"description": EITHER_ORDER} if look.either_order else {}
            found.append({"name": names[look.name], "type": look.type, "format": look.form, **marked})
        elif look.type == "null":
            found.append({"name": names[look.name], "type": "string"})
    return found
