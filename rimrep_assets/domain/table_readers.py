"""The readers of tables in ``convert``: what a curator may write of them, and the sentences that say why not.

Here belong the options of ``unzip`` and of the steps that read a table's files. Not here: reading (``table_csv`` and
its neighbours), the steps that change rows and columns, or the rest of ``dataset.yaml`` (``dataset``).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.schedule import checked_zone
from rimrep_assets.domain.strict_model import StrictModel

TABLE_READERS = ("read_csv", "read_vector", "read_json", "read_parquet", "read_rdata", "read_dwca", "read_profiles")
"""a table has exactly one of these steps"""
SUFFIXES_IN_ZIP = {
    "read_csv": (".csv", ".tsv", ".txt"),
    "read_vector": (".gpkg", ".geojson", ".json", ".shp", ".gdb"),
    "read_json": (".json", ".jsonl", ".ndjson"),
    "read_parquet": (".parquet", ".geoparquet", ".pq"),
    "read_rdata": (".rda", ".rdata", ".rds"),
    "read_profiles": (".nc", ".nc4", ".cdf"),
}
"""by reader: what ``unzip`` takes where no member is named"""
EVERY = "*"
"""in an option by column: all columns that are not named"""
Zones = str | dict[str, str]
Words = tuple[str, ...] | dict[str, tuple[str, ...]]


def zone_of(zones: Zones | None, column: str) -> str | None:
    """The declared zone of a column's times that carry none."""
    if zones is None or isinstance(zones, str):
        return zones
    return zones.get(column, zones.get(EVERY))


def missing_words(words: Words, column: str) -> tuple[str, ...]:
    """The words for a missing value in a column, besides the empty cell: those of all columns, then its own."""
    if not isinstance(words, Mapping):
        return words
    return (*words.get(EVERY, ()), *(words.get(column, ()) if column != EVERY else ()))


def named_columns(words: Words | Zones | None) -> list[str]:
    """The columns that an option by column names."""
    return [column for column in words if column != EVERY] if isinstance(words, Mapping) else []


class Unzip(StrictModel):
    """The source file is a zip; what lies in it is read by the reader that follows.

    ``member``: globs; one without ``/`` is held against the last part of a member's path, ``**/`` is not needed.
    Without it the zip must hold exactly one file that the reader takes. Several members are one table, in the order
    of their names, and must have the same columns. ``most_bytes``: more than these are never unpacked.
    """

    member: tuple[str, ...] = ()
    most_bytes: int = Field(default=20_000_000_000, gt=0)

    @field_validator("member", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def takes(self, member: str) -> bool:
        """Whether a glob names this path within the zip."""
        path = PurePosixPath(member)
        return any(path.match(pattern) for pattern in self.member)


class _Timed(StrictModel):
    """A reader whose times may carry no zone."""

    timezone: Zones | None = None
    """IANA zone of times that carry none, for all columns or by column (``"*"``: the others); stored in UTC"""

    @field_validator("timezone")
    @classmethod
    def _are_zones(cls, value: Zones | None) -> Zones | None:
        for zone in [value] if isinstance(value, str) else (value or {}).values():
            checked_zone(zone)
        return value


class ReadCsv(_Timed):
    """Delimited text. ``na``: words for a missing value besides the empty cell, for all columns or by column
    (``"*"``: all of them), as they are written in the file.

    ``decimal``: what stands before a number's fraction. ``quote``: what may enclose a cell; ``""`` for nothing.
    ``skip_rows``: so many lines stand before the header. ``comment``: lines that begin so are no rows, wherever they
    stand. ``header: false``: there is no header line; ``names`` are the columns.
    """

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    na: Words = ()
    decimal: str = Field(default=".", pattern=r"^[.,]$")
    quote: str = Field(default='"', max_length=1)
    skip_rows: int = Field(default=0, ge=0)
    comment: str | None = Field(default=None, min_length=1)
    header: bool = True
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> ReadCsv:
        problems = []
        special = [self.delimiter, self.decimal, self.quote]
        if self.delimiter == self.decimal:
            problems.append(f"read_csv: {self.delimiter!r} cannot be both delimiter and decimal")
        if self.quote and special.count(self.quote) > 1:
            problems.append(f"read_csv: {self.quote!r} cannot be quote and something else too")
        if self.header and self.names:
            problems.append("read_csv.names needs header: false; else the file's own header names the columns")
        if not self.header and not self.names:
            problems.append("read_csv.header: false needs names: [...], one for each column")
        for name in sorted({n for n in self.names if self.names.count(n) > 1}):
            problems.append(f"read_csv.names: {name!r} stands twice")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class ReadVector(_Timed):
    """GeoPackage, GeoJSON, shapefile, FileGDB: what GDAL reads as one layer; tables without geometry too.

    ``encoding``: of a shapefile's texts, where no ``.cpg`` tells it or what it tells is wrong.
    """

    layer: str | None = None
    encoding: str | None = None


class ReadJson(_Timed):
    """JSON: a list of records, an object of lists of the same length (columns), or one record a line.

    ``records``: the dotted path from the top to the list, such as ``results`` or ``data.series[*].values``; ``[*]``
    stands for every item of a list on the way, and may be left out at the end. Objects in a record become columns
    ``outer.inner``, one level deep; what lies deeper, and lists, are kept as JSON text. ``na``: as for ``read_csv``.
    """

    records: str | None = None
    na: Words = ()

    @field_validator("records")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^.\[\]]+(\[\*\])?(\.[^.\[\]]+(\[\*\])?)*", value):
            raise ValueError(f"{value!r} is not a dotted path like results or data.series[*].values")
        return value

    def path(self) -> list[str | None]:
        """The keys from the top to the list of records; None stands for every item of a list."""
        steps: list[str | None] = []
        for part in (self.records or "").split("."):
            key = part.removesuffix("[*]")
            steps += ([key] if key else []) + ([None] if part != key else [])
        return steps[:-1] if steps and steps[-1] is None else steps


class ReadParquet(_Timed):
    """Parquet, GeoParquet among it: types stay, nested values become JSON text."""


class ReadRdata(_Timed):
    """RData, rda and rds with a data frame; ``object`` is its name where a file holds several.

    Factors are strings; NA and NaN are missing. POSIXct are instants: ``timezone`` is for times in texts alone. Row
    names are not read: they are no column.
    """

    object: str | None = None


class ReadDwca(_Timed):
    """A Darwin Core archive: the core's table, its columns named by the last part of their terms.

    ``extension``: read this one instead, by its row type (whole or the last part) or its file. ``core``: whether
    the core alone is wanted of an archive with extensions. ``na``: as for ``read_csv``.
    """

    extension: str | None = None
    core: bool = False
    na: Words = ()

    @model_validator(mode="after")
    def _one_table(self) -> ReadDwca:
        if self.core and self.extension:
            raise ValueError("read_dwca: core and extension exclude each other: a dataset is one table")
        return self


def known_encoding(encoding: str) -> str | None:
    """Python's name of an encoding of text; None where there is none."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return None
