"""Data frames in R's files (RData, rda, rds) as blocks of rows.

Here belongs choosing the data frame and what R's types become. Not here: what the columns mean (``tabular``).
Source: https://cran.r-project.org/doc/manuals/r-release/R-ints.html#Serialization-Formats
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_csv import refuse_absent
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_readers import ReadRdata, zone_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MOST_BYTES = 2_000_000_000
"""of an R file when it is unpacked: it can only be read whole into memory"""
BLOCK_ROWS = 65_536
ADVICE = "ask the provider for a data frame, or for GeoPackage or CSV."


def open_rdata(path: Path, name: str, options: ReadRdata, dataset: Dataset) -> SourceTable:
    """The data frame ``options.object``, or the only one of the file, as a table.

    Memory: the data frame. Raises: DataError for a file that cannot be read, that unpacks to more than 2 GB, without
    a data frame (sf and sp objects, lists and matrices are none), with several of which none is named, and for
    columns that no published type can show.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    _refuse_huge(path, name)
    frame = _frame(path, name, options)
    names = [str(column) for column in frame.columns]
    if len(frame) == 0:
        raise DataError(f"{name}: its data frame has no rows")
    problems = [f"{name}: {names.count(c)} columns are called {c!r}" for c in sorted({*names}) if names.count(c) > 1]
    columns = {}
    for number, column in enumerate(names):
        try:
            columns[column] = _plain(frame.iloc[:, number])
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(f"{name}: column {column!r} cannot be kept as it is: {error}; drop it in R")
    if problems:
        raise DataError(problems)
    refuse_absent({"timezone": options.timezone}, names, name, "read_rdata")
    texts = frozenset(column for column, cells in columns.items() if str(cells.type) == "string")
    return SourceTable(
        file=name,
        names=tuple(names),
        blocks=lambda _: _blocks(columns),
        crs=crs84() if geometry_column(dataset) else None,
        times=texts,
        texts=texts,
        zones={column: zone_of(options.timezone, column) for column in names},
        reader="read_rdata",
    )


def _blocks(columns: dict[str, pa.Array]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    yield from pa.table(columns).to_batches(max_chunksize=BLOCK_ROWS)


def _refuse_huge(path: Path, name: str) -> None:
    """Unpack to nowhere and count: a small file may hold any number of bytes."""
    size = 0
    try:
        with unpacked(path) as stream:
            while block := stream.read(1 << 20):
                size += len(block)
                if size > MOST_BYTES:
                    raise DataError(f"{name}: unpacks to more than {MOST_BYTES} bytes, which R's files cannot here")
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{name}: cannot be unpacked: {error}") from error


def unpacked(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The bytes of an R file, whichever of R's three ways it is packed."""
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZh"):
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    return path.open("rb")


def _frame(path: Path, name: str, options: ReadRdata) -> pd.DataFrame:
    import pyreadr

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = {
                about["object_name"]: about["columns"] for about in pyreadr.list_objects(str(path)) if about["columns"]
            }
            wanted = _choose(frames, name, options, path)
            # An object that is not asked for is not read.
            read = pyreadr.read_r(str(path), use_objects=[wanted] if wanted is not None else None)
    except (pyreadr.PyreadrError, pyreadr.LibrdataError) as error:
        raise DataError(f"{name}: holds no data frame that can be read{_holds(path)}", advice=ADVICE) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name}: a column holds what cannot be kept: {error}", advice=ADVICE) from error
    return read[wanted]


def _choose(frames: dict[Any, Any], name: str, options: ReadRdata, path: Path) -> Any:
    if not frames:
        raise DataError(f"{name}: holds no data frame{_holds(path)}", advice=ADVICE)
    # A file of one value (rds) gives it no name.
    if options.object is None and len(frames) > 1:
        listed = ", ".join(repr(frame) for frame in frames)
        raise DataError(f"{name}: holds {len(frames)} data frames: declare read_rdata.object, one of {listed}")
    if options.object is not None and options.object not in frames and None not in frames:
        listed = ", ".join(repr(frame) for frame in frames)
        raise DataError(
            f"{name}: holds no data frame {options.object!r}{nearest(options.object, frames)}; it has {listed}"
        )
    return options.object if options.object in frames else next(iter(frames))


def _holds(path: Path) -> str:
    """What the file holds, by R's classes, as words that follow another sentence; empty where nothing can be said."""
    import rdata.parser

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = rdata.parser.parse_file(path).object
    except (ValueError, LookupError, NotImplementedError, EOFError, TypeError, AttributeError, RecursionError, OSError):
        return ""
    found = []
    while top is not None and top.tag is not None:
        value, top = top.value
        classes = _classes(value) or [value.info.type.name.lower()]
        tag = getattr(top, "tag", None)
        found.append(f"of class {', '.join(classes)}")
        if tag is None:
            break
    return f": it has an object {' and one '.join(found)}" if found else ""


def _classes(value: Any) -> list[str]:
    """The class attribute of an R object."""
    pair = value.attributes
    while pair is not None and pair.tag is not None:
        # A name that was met before in the file is written as a reference to it.
        symbol = pair.tag if pair.tag.value is not None else pair.tag.referenced_object
        if symbol is not None and symbol.value.value == b"class":
            return [text.value.decode("utf-8", "replace") for text in pair.value[0].value]
        pair = pair.value[1]
    return []


def _plain(cells: pd.Series[Any]) -> pa.Array:
    """A column in one of the types that tables have. Raises: ValueError, TypeError for what has none."""
    import pandas as pd
    import pyarrow as pa

    kind = cells.dtype
    if isinstance(kind, pd.CategoricalDtype):
        cells = cells.astype(object)
        kind = cells.dtype
    if pd.api.types.is_datetime64_any_dtype(kind):
        return _instants(cells)
    if pd.api.types.is_timedelta64_dtype(kind):
        raise ValueError("it holds spans of time")
    if pd.api.types.is_bool_dtype(kind):
        return pa.array(cells, pa.bool_())
    if pd.api.types.is_integer_dtype(kind):
        return pa.array(cells, pa.int64())
    if pd.api.types.is_float_dtype(kind):
        return pa.array(cells, pa.float64(), from_pandas=True)
    found = pa.array(_without_gaps(cells), from_pandas=True)
    for known in (pa.bool_(), pa.date32(), pa.int64(), pa.float64(), pa.string(), pa.null()):
        if found.type == known:
            return found
    if pa.types.is_large_string(found.type):
        return found.cast(pa.string())
    raise ValueError(f"it holds {found.type}")


def _without_gaps(cells: pd.Series[Any]) -> Sequence[Any]:
    import pandas as pd

    return [None if cell is None or cell is pd.NaT or cell != cell else cell for cell in cells.tolist()]


def _instants(cells: pd.Series[Any]) -> pa.Array:
    """R counts seconds since 1970 in UTC; of their fractions microseconds are kept."""
    import pyarrow as pa

    if getattr(cells.dt, "tz", None) is not None:
        cells = cells.dt.tz_convert("UTC").dt.tz_localize(None)
    exact = pa.array(cells.dt.round("us"), from_pandas=True)
    return exact.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
