"""``meta.xml`` of a Darwin Core archive: which files it has, how they are written, and which term a column is.

Here belongs what the document says, and refusing what could harm whoever reads it. Not here: the files themselves
(``table_dwca``).
Source: https://dwc.tdwg.org/text/ (defaults of the attributes among it)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from xml.parsers import expat

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_readers import known_encoding

NAMESPACE = "http://rs.tdwg.org/dwc/text/"
MOST_DEPTH = 10
MOST_FIELDS = 5_000
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\", "&quot;": '"'}


@dataclass
class ArchivedTable:
    """A core or extension: its files, how they are written, and its fields."""

    kind: str
    row_type: str
    encoding: str
    delimiter: str
    quote: str
    skip_rows: int
    key: int | None = None
    locations: list[str] = field(default_factory=list)
    fields: list[tuple[str, int | None, str | None]] = field(default_factory=list)
    """term, column of the file from 0 (None: it has none), value where a cell is empty or there is no column"""

    def columns(self, name: str) -> dict[str, int | None]:
        """Column names with their place in the file, the key first where no term is it. Raises: DataError where a
        term stands twice."""
        terms = Counter(term for term, _, _ in self.fields)
        twice = [f"{name}: meta.xml gives the term {term!r} {n} times" for term, n in terms.items() if n > 1]
        if twice:
            raise DataError(twice)
        return {column: at for column, at, _ in self._named()}

    @property
    def defaults(self) -> dict[str, str]:
        """By column, what stands for an empty cell."""
        return {column: value for column, _, value in self._named() if value is not None}

    def _named(self) -> list[tuple[str, int | None, str | None]]:
        named: list[tuple[str, int | None, str | None]] = []
        if self.key is not None and self.key not in [at for _, at, _ in self.fields]:
            named.append(("id" if self.kind == "core" else "coreid", self.key, None))
        short = Counter([column for column, _, _ in named] + [_last(term) for term, _, _ in self.fields])
        return named + [(_last(t) if short[_last(t)] == 1 else t, at, value) for t, at, value in self.fields]


def is_identifier(column: str) -> bool:
    """Whether a column's values are names, whatever they are written with: ``occurrenceID``, ``catalogNumber``. A file
    in which all of them are digits says nothing of the next one."""
    last = _last(column)
    return last.endswith("ID") or last in ("id", "coreid", "catalogNumber")


def _last(term: str) -> str:
    return term.rstrip("/#").replace("#", "/").rpartition("/")[2]


def read_meta(xml: bytes, name: str) -> list[ArchivedTable]:
    """The core, then the extensions. Raises: DataError for what is no ``meta.xml``, everything in it that cannot be
    read, and any document type or entity: they serve to attack readers alone."""
    reader = _Reader(name)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.EntityDeclHandler = reader.refuse_doctype
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"{name}: its meta.xml is no XML: {error}") from error
    return reader.tables()


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.found: list[ArchivedTable] = []
        self._depth = 0
        self._location: list[str] | None = None

    def refuse_doctype(self, *_: object) -> None:
        raise DataError(f"{self.name}: its meta.xml declares a document type or entities, which are not read")

    def start(self, tag: str, told: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise DataError(f"{self.name}: its meta.xml is nested more than {MOST_DEPTH} deep")
        element = tag.rpartition(" ")[2]
        if element in ("core", "extension"):
            self._begin(element, told)
        elif self.found and element in ("id", "coreid"):
            self.found[-1].key = self._index(told, element)
        elif self.found and element == "field":
            self._field(told)
        elif element == "location":
            self._location = []

    def end(self, tag: str) -> None:
        self._depth -= 1
        if tag.rpartition(" ")[2] == "location" and self._location is not None:
            location = "".join(self._location).strip()
            if "://" in location:
                self.problems.append(f"{location!r} lies elsewhere; only files in the archive are read")
            elif self.found:
                self.found[-1].locations.append(location.removeprefix("./"))
            self._location = None

    def text(self, data: str) -> None:
        if self._location is not None:
            self._location.append(data)

    def _begin(self, kind: str, told: dict[str, str]) -> None:
        lines = _unescaped(told.get("linesTerminatedBy", "\n"))
        if lines not in ("\n", "\r\n", "\r", ""):
            self.problems.append(f"{kind}: lines end in {lines!r}; only line ends are read")
        delimiter = _unescaped(told.get("fieldsTerminatedBy", ","))
        quote = _unescaped(told.get("fieldsEnclosedBy", '"'))
        for what, value, lengths in (("fieldsTerminatedBy", delimiter, (1,)), ("fieldsEnclosedBy", quote, (0, 1))):
            if len(value) not in lengths or value in ("\n", "."):
                self.problems.append(f"{kind}: {what} is {value!r}; one letter is read")
        if quote == delimiter:
            self.problems.append(f"{kind}: {quote!r} cannot be both between cells and around them")
        encoding = told.get("encoding", "UTF-8")
        if known_encoding(encoding) is None:
            self.problems.append(f"{kind}: encoding {encoding!r} is not known")
        skip = told.get("ignoreHeaderLines", "0").strip() or "0"
        if not skip.isdecimal() or len(skip) > 6:
            self.problems.append(f"{kind}: ignoreHeaderLines is {skip!r}, not a number")
            skip = "0"
        self.found.append(ArchivedTable(kind, told.get("rowType", ""), encoding, delimiter, quote, int(skip)))

    def _field(self, told: dict[str, str]) -> None:
        table = self.found[-1]
        term, default = told.get("term", ""), told.get("default") or None
        at = self._index(told, f"field {term!r}") if "index" in told else None
        if not term:
            self.problems.append(f"{table.kind}: a field has no term")
        elif at is None and default is None and "index" not in told:
            self.problems.append(f"{table.kind}: field {term!r} has neither index nor default")
        elif len(table.fields) >= MOST_FIELDS:
            raise DataError(f"{self.name}: its meta.xml has more than {MOST_FIELDS} fields")
        else:
            table.fields.append((term, at, default))

    def _index(self, told: dict[str, str], what: str) -> int | None:
        text = told.get("index", "")
        if not text.isdecimal() or len(text) > 5:
            self.problems.append(f"{what}: index {text!r} is not the number of a column")
            return None
        return int(text)

    def tables(self) -> list[ArchivedTable]:
        """What was read, the core first."""
        cores = [table for table in self.found if table.kind == "core"]
        if len(cores) != 1:
            self.problems.append(f"it describes {len(cores)} cores, not one")
        self.problems += [f"{t.kind} {t.row_type!r} names no file" for t in self.found if not t.locations]
        self.problems += [
            f"{t.kind} {t.row_type!r} has neither key nor fields" for t in self.found if not t.fields and t.key is None
        ]
        if self.problems:
            raise DataError([f"{self.name}: meta.xml: {problem}" for problem in self.problems[:20]])
        return [*cores, *(table for table in self.found if table.kind != "core")]


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text
