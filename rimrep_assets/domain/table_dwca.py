"""The core, or an extension, of a Darwin Core archive as a table.

Here belongs turning what ``meta.xml`` says into the reading of delimited text. Not here: ``meta.xml`` itself
(``table_dwca_meta``), delimited text (``table_csv``), or what the terms mean.
Source: https://dwc.tdwg.org/text/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rimrep_assets.domain.dataset import Dataset, ReadCsv
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable, one_after_the_other
from rimrep_assets.domain.table_csv import cells_of, csv_table, refuse_absent
from rimrep_assets.domain.table_dwca_meta import ArchivedTable, is_identifier, read_meta
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import EVERY, ReadDwca, Words
from rimrep_assets.domain.table_zip import Unzipped, inflated, opened_zip, refuse_unreadable

if TYPE_CHECKING:
    import zipfile

    import pyarrow as pa

META = "meta.xml"
MOST_META_BYTES = 1_000_000
MOST_BYTES = 20_000_000_000


def open_dwca(path: Path, name: str, options: ReadDwca, dataset: Dataset) -> SourceTable:
    """The archive's core, or the extension that ``options`` name, as a table of text.

    Columns are called by the last part of their terms (by the whole term where two end alike), the key of the core
    ``id`` and that of an extension ``coreid`` where they have no term. Identifiers are text unless declared otherwise.
    Raises: DataError for what ``table_zip`` refuses, an archive without ``meta.xml`` or whose ``meta.xml`` contradicts
    itself or the files, and one with extensions of which nothing is said.
    """
    with opened_zip(path, name) as archive:
        described, folder = _meta(archive, name)
        table = chosen_table(described, options, name)
        members = Unzipped()
        files: list[tuple[str, Path]] = []
        for location in table.locations:
            inside = f"{folder}{location}"
            if inside not in archive.NameToInfo:
                raise DataError(f"{name}: {META} names the file {location!r}, which is not in the archive")
            refuse_unreadable([archive.NameToInfo[inside]], name, MOST_BYTES)
            target = members.folder / str(len(files))
            with target.open("wb") as out:
                for block in inflated(archive, archive.NameToInfo[inside], name, MOST_BYTES):
                    out.write(block)
            files.append((f"{name}/{inside}", target))
    parts = [_opened(file, called, table, options, dataset) for called, file in files]
    joined = parts[0] if len(parts) == 1 else one_after_the_other(parts, name)
    return replace(joined, blocks=members.held_by(joined.blocks), file=name, reader="read_dwca", keep=None)


def _meta(archive: zipfile.ZipFile, name: str) -> tuple[list[ArchivedTable], str]:
    """What ``meta.xml`` describes, and the folder in which it stands with a closing ``/``."""
    found = sorted(
        (member for member in archive.namelist() if member.rpartition("/")[2] == META and "__MACOSX" not in member),
        key=lambda member: member.count("/"),
    )
    if not found:
        raise DataError(f"{name}: has no {META}: it is no Darwin Core archive")
    info = archive.getinfo(found[0])
    if info.file_size > MOST_META_BYTES:
        raise DataError(f"{name}: its {META} has {info.file_size} bytes; at most {MOST_META_BYTES} are read")
    refuse_unreadable([info], name, MOST_META_BYTES)
    xml = b"".join(inflated(archive, info, name, MOST_META_BYTES))
    return read_meta(xml, name), found[0].removesuffix(META)


def chosen_table(tables: Sequence[ArchivedTable], options: ReadDwca, name: str) -> ArchivedTable:
    """The core, or the extension that is wanted. Raises: DataError that lists what there is."""
    core, extensions = tables[0], tables[1:]
    listed = ", ".join(f"{one.row_type.rpartition('/')[2]!r} ({', '.join(one.locations)})" for one in extensions)
    if options.extension is None:
        if extensions and not options.core:
            raise DataError(
                f"{name}: has extensions besides its core: {listed}; declare read_dwca.core: true for the core alone, "
                "or read_dwca.extension for one of them"
            )
        return core
    found = [
        one
        for one in extensions
        if options.extension in (one.row_type, one.row_type.rpartition("/")[2], *one.locations)
    ]
    if len(found) != 1:
        what = "names several extensions" if found else "is no extension of it"
        raise DataError(f"{name}: read_dwca.extension {options.extension!r} {what}; it has {listed or 'none'}")
    return found[0]


def _opened(path: Path, name: str, table: ArchivedTable, options: ReadDwca, dataset: Dataset) -> SourceTable:
    words = {"na": options.na, "timezone": options.timezone}
    columns = table.columns(name)
    refuse_absent(words, list(columns), name, "read_dwca")
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    width = _width(path, name, table)
    beyond = [column for column, at in columns.items() if at is not None and at >= width]
    if beyond:
        told = [f"{name}: {META} says that {c!r} is cell {columns[c]} (from 0); a row has {width}" for c in beyond]
        raise DataError(told)
    # A column of the file may be two columns of the table, one for the key and one for its term.
    first = {at: column for column, at in reversed(columns.items()) if at is not None}
    names = tuple(first.get(at, f"\x00{at}") for at in range(width))
    reading = _reading(table, options, names)
    text = csv_table(path, name, reading, [n for n in names if n in columns], None)
    whole = {column: first[at] if at is not None else None for column, at in columns.items()}
    return SourceTable(
        file=name,
        names=tuple(columns),
        blocks=lambda kinds: _completed(text.blocks(_known(kinds, table)), table, whole),
        crs=crs84() if geometry_column(dataset) else None,
        zones={column: text.zones.get(str(source), None) for column, source in whole.items()},
        types={column: "string" for column in columns if is_identifier(column)},
        reader="read_dwca",
    )


def _known(kinds: Mapping[str, str], table: ArchivedTable) -> dict[str, str]:
    """Types of columns that may be read as such: a default is text until it is put in."""
    return {column: kind for column, kind in kinds.items() if column not in table.defaults}


def _reading(table: ArchivedTable, options: ReadDwca, names: tuple[str, ...]) -> ReadCsv:
    na: Words = options.na
    if isinstance(na, Mapping):
        na = {column: words for column, words in na.items() if column in names or column == EVERY}
    return ReadCsv(
        delimiter=table.delimiter,
        encoding=table.encoding,
        quote=table.quote,
        skip_rows=table.skip_rows,
        header=False,
        names=names,
        na=na,
        timezone=options.timezone,
    )


def _width(path: Path, name: str, table: ArchivedTable) -> int:
    """The number of cells of the first row."""
    import itertools

    form = ReadCsv(delimiter=table.delimiter, quote=table.quote)
    try:
        with path.open(encoding=table.encoding, newline="") as text:
            lines = itertools.islice(text, table.skip_rows, None)
            first = next((row for row in cells_of(lines, form) if row), None)
    except UnicodeError as error:
        raise DataError(f"{name}: is not {table.encoding}, as {META} says: {error}") from error
    if first is None:
        raise DataError(f"{name}: no rows below the header")
    return len(first)


def _completed(
    blocks: Iterator[pa.RecordBatch], table: ArchivedTable, whole: Mapping[str, str | None]
) -> Iterator[pa.RecordBatch]:
    """The blocks with all columns, and defaults where a cell is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for block in blocks:
        columns = []
        for column, source in whole.items():
            default = table.defaults.get(column)
            cells = pa.nulls(len(block), pa.string()) if source is None else block.column(source)
            columns.append(cells if default is None else pc.fill_null(cells, default))
        yield pa.record_batch(columns, names=list(whole))
