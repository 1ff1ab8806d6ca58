"""Which second reader a file has, and files that come as a zip.

Here belongs handing a file to the module that reads its format. Not here: reading, or interpreting cells.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_readers import SUFFIXES_IN_ZIP
from rimrep_assets.domain.table_second_csv import csv_rows
from rimrep_assets.domain.table_second_dwca import dwca_rows
from rimrep_assets.domain.table_second_json import json_rows
from rimrep_assets.domain.table_second_parquet import parquet_rows
from rimrep_assets.domain.table_second_profiles import profile_rows
from rimrep_assets.domain.table_second_rdata import rdata_rows
from rimrep_assets.domain.table_second_row import Rows
from rimrep_assets.domain.table_second_vector import vector_rows

SECOND_READERS: dict[str, Callable[[Path, Any, set[int]], Rows]] = {
    "read_csv": csv_rows,
    "read_vector": vector_rows,
    "read_json": json_rows,
    "read_parquet": parquet_rows,
    "read_rdata": rdata_rows,
    "read_dwca": dwca_rows,
    "read_profiles": profile_rows,
}
"""by step: ``(path, options, rows)`` to chosen rows"""


def rows_of(path: Path, dataset: Dataset, rows: set[int]) -> Rows:
    """The rows of the file at ``path`` whose numbers are among ``rows``, in their order, with the file's own names.

    Raises: ValueError, KeyError, TypeError, OSError, csv.Error or sqlite3.Error where it makes no sense of the file.
    """
    try:
        return (yield from _rows_of(path, dataset, rows))
    except (RuntimeError, AttributeError, zipfile.BadZipFile, zlib.error, ElementTree.ParseError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _rows_of(path: Path, dataset: Dataset, rows: set[int]) -> Rows:
    step = dataset.convert.table_readers()[0]
    read, options = SECOND_READERS[step], getattr(dataset.convert, step)
    if dataset.convert.unzip is None:
        return (yield from read(path, options, rows))
    with files_of(path, dataset) as members:
        before = 0
        for member in members:
            here = {row - before for row in rows if row >= before}
            count = yield from _shifted(read(member, options, here), before)
            if count is None:
                return None
            before += count
        return before


@contextmanager
def files_of(path: Path, dataset: Dataset) -> Iterator[list[Path]]:
    """The file itself, or of a zip the members that are converted, as long as the context lasts."""
    if dataset.convert.unzip is None:
        yield [path]
        return
    with tempfile.TemporaryDirectory(prefix="rimrep-second-") as folder:
        yield _members(path, dataset, dataset.convert.table_readers()[0], Path(folder))


def _shifted(rows: Rows, by: int) -> Rows:
    while True:
        try:
            row, values = next(rows)
        except StopIteration as end:
            return None if end.value is None else int(end.value)
        yield row + by, values


def _members(path: Path, dataset: Dataset, step: str, folder: Path) -> list[Path]:
    """The members of a zip that were converted, in the order of their names; all is unpacked, for some need others."""
    assert dataset.convert.unzip is not None
    wanted = dataset.convert.unzip.member
    with zipfile.ZipFile(path) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/") and "/." not in f"/{name}"
        ]
        units = sorted({_up_to_geodatabase(name) for name in names})
        if wanted:
            found = [unit for unit in units if any(PurePosixPath(unit).match(pattern) for pattern in wanted)]
        else:
            found = [unit for unit in units if unit.lower().endswith(SUFFIXES_IN_ZIP[step])]
        for name in names:
            if any(_up_to_geodatabase(name) == unit or _same_stem(name, unit) for unit in found):
                archive.extract(name, folder)
    return [folder / unit for unit in found]


def _same_stem(name: str, unit: str) -> bool:
    return name.rpartition(".")[0].lower() == unit.rpartition(".")[0].lower()


def _up_to_geodatabase(name: str) -> str:
    head, found, _ = name.lower().partition(".gdb/")
    return name[: len(head) + 4] if found else name
