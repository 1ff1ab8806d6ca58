"""Chosen rows of Darwin Core archives, read with ElementTree, zipfile and csv.

Here belongs the second reading of this format. Not here: anything that ``table_dwca`` uses; the two must not err alike.
The document type that could harm a reader is refused before anything is published (``table_dwca_meta``).
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rimrep_assets.domain.dataset import ReadDwca
from rimrep_assets.domain.table_second_row import Rows

DWC = "{http://rs.tdwg.org/dwc/text/}"


def dwca_rows(path: Path, options: ReadDwca, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: ValueError, KeyError, csv.Error, zipfile.BadZipFile."""
    csv.field_size_limit(sys.maxsize)
    last, number = max(rows, default=-1), -1
    with zipfile.ZipFile(path) as archive:
        meta = min((name for name in archive.namelist() if name.split("/")[-1] == "meta.xml"), key=len)
        text = archive.read(meta)
        if b"<!" in text.replace(b"<!--", b""):
            raise ValueError("meta.xml declares more than elements")
        table = _table(ElementTree.fromstring(text), options)  # noqa: S314
        columns = _columns(table)
        for location in table.iter(f"{DWC}location"):
            with archive.open(meta.removesuffix("meta.xml") + (location.text or "").strip()) as file:
                for cells in _cells(file, table):
                    number += 1
                    if number > last:
                        return None
                    if number in rows:
                        yield number, _values(cells, columns, options)
    return number + 1


def _table(archive: ElementTree.Element, options: ReadDwca) -> ElementTree.Element:
    if options.extension is None:
        return archive.findall(f"{DWC}core")[0]
    for table in archive.findall(f"{DWC}extension"):
        row_type = table.get("rowType", "")
        files = [location.text for location in table.iter(f"{DWC}location")]
        if options.extension in (row_type, row_type.split("/")[-1], *files):
            return table
    raise ValueError(f"there is no extension {options.extension!r}")


def _columns(table: ElementTree.Element) -> list[tuple[str, int | None, str | None]]:
    """Name, place and default of each column."""
    fields = []
    for field in table.findall(f"{DWC}field"):
        told = field.get("index")
        fields.append((field.get("term", ""), None if told is None else int(told), field.get("default") or None))
    key = next((table.find(f"{DWC}{tag}") for tag in ("id", "coreid") if table.find(f"{DWC}{tag}") is not None), None)
    found: list[tuple[str, int | None, str | None]] = []
    if key is not None and int(key.get("index", "")) not in [place for _, place, _ in fields]:
        found.append((key.tag.removeprefix(DWC), int(key.get("index", "")), None))
    endings = Counter([name for name, _, _ in found] + [term.replace("#", "/").split("/")[-1] for term, _, _ in fields])
    for term, place, default in fields:
        ending = term.replace("#", "/").split("/")[-1]
        found.append((ending if endings[ending] == 1 else term, place, default))
    return found


def _cells(file: Any, table: ElementTree.Element) -> Any:
    text = io.TextIOWrapper(file, encoding=table.get("encoding", "utf-8"), newline="")
    for _ in range(int(table.get("ignoreHeaderLines") or 0)):
        text.readline()
    quote = table.get("fieldsEnclosedBy", '"').replace("&quot;", '"')
    form: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    reader = csv.reader(text, delimiter=table.get("fieldsTerminatedBy", ",").replace("\\t", "\t"), **form)
    return (cells for cells in reader if cells)


def _values(cells: list[str], columns: list[tuple[str, int | None, str | None]], options: ReadDwca) -> dict[str, Any]:
    values = {}
    for name, place, default in columns:
        words = options.na
        if isinstance(words, dict):
            words = (*words.get("*", ()), *words.get(name, ()))
        cell = "" if place is None else cells[place]
        values[name] = default if cell == "" or cell in words else cell
    return values
