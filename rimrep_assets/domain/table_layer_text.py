"""In which encoding the texts of a layer are, and refusing those that are not of it.

Here belongs what stands beside a shapefile and says so, and looking at the bytes of texts. Not here: layers, their
CRS and types (``table_vector``).
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_readers import known_encoding

if TYPE_CHECKING:
    import pyarrow as pa

SHAPEFILE = ".shp"
LOOKED_AT_BYTES = 64_000_000
"""of a shapefile's table, for a guess at its encoding"""


def text_encoding(path: Path, name: str, declared: str | None) -> str | None:
    """Python's name of the encoding of the layer's texts; None of a shapefile of which nothing tells it.

    Raises: DataError for an encoding that nobody knows, one of a format whose texts are UTF-8 always, and a shapefile
    without its table.
    """
    if path.suffix.lower() != SHAPEFILE:
        if declared is not None:
            raise DataError(f"{name}: read_vector.encoding is for shapefiles; in this format texts are UTF-8 always")
        return "utf-8"
    if _beside(path, ".dbf") is None:
        raise DataError(
            f"{name}: {path.stem}.dbf is not there: without it a shapefile has no attributes",
            advice="put it beside the .shp, or ask the provider for all files of the shapefile.",
        )
    if declared is not None:
        known = known_encoding(declared)
        if known is None:
            raise DataError(f"{name}: read_vector.encoding {declared!r} is not known; such as utf-8, latin-1 or cp1252")
        return known
    page = _beside(path, ".cpg")
    return None if page is None else known_encoding(page.read_text(encoding="ascii", errors="replace").strip())


def likely_encoding(path: Path) -> str | None:
    """A shapefile's encoding, told from the bytes of its texts where no ``.cpg`` tells it; None where none need be."""
    table = _beside(path, ".dbf") if path.suffix.lower() == SHAPEFILE else None
    if table is None or _beside(path, ".cpg") is not None:
        return None
    with table.open("rb") as file:
        head = file.read(32)
        file.seek(int.from_bytes(head[8:10], "little"))
        cells = file.read(LOOKED_AT_BYTES)
    if cells.isascii():
        return None
    try:
        # The last letter may be cut.
        codecs.getincrementaldecoder("utf-8")("strict").decode(cells)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _beside(path: Path, suffix: str) -> Path | None:
    wanted = f"{path.stem}{suffix}".lower()
    return next((other for other in path.parent.iterdir() if other.name.lower() == wanted), None)


def name_for_gdal(encoding: str) -> str:
    """GDAL hands the name on to iconv, which knows ``ISO-8859-1``, not ``iso8859-1``; what it does not know it
    leaves as it is without a word."""
    return re.sub(r"^iso8859-", "ISO-8859-", encoding).upper()


def refuse_other_text(columns: list[pa.Array], names: list[str], row: int, file: str, encoding: str | None) -> None:
    """Raises: DataError for the first text of each column, from row ``row`` on, that is not UTF-8 as GDAL hands it
    over; where no ``encoding`` is known, for what is not ASCII."""
    problems = []
    for name, column in zip(names, columns, strict=True):
        found = _first_other(column, ascii_only=encoding is None)
        if found is None:
            continue
        at, cell = found
        where = f"{file}: row {row + at}: column {name!r} holds '{cell.decode('utf-8', 'backslashreplace')}'"
        if encoding is None:
            problems.append(
                f"{where}, and no .cpg that is understood says in which encoding: declare read_vector.encoding, "
                "such as utf-8 or latin-1"
            )
        else:
            problems.append(f"{where}, whose bytes are not {encoding}; {_advice(file)}")
    if problems:
        raise DataError(problems)


def _advice(file: str) -> str:
    if file.lower().endswith(SHAPEFILE):
        return "declare read_vector.encoding, such as latin-1 or cp1252"
    return "write the file anew in UTF-8, which is the only encoding of this format"


def _first_other(column: pa.Array, *, ascii_only: bool) -> tuple[int, bytes] | None:
    """The first text that is not ASCII, or not UTF-8, with its position."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    if pc.all(pc.string_is_ascii(column)).as_py() is not False:
        return None
    try:
        if not ascii_only:
            column.validate(full=True)
            return None
    except pa.ArrowInvalid:
        pass
    for at, cell in enumerate(column):
        text = cell.as_buffer().to_pybytes() if cell.is_valid else b""
        if (not text.isascii()) if ascii_only else not _is_utf8(text):
            return at, text
    return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
