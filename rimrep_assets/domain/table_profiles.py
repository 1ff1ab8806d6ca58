"""NetCDF files of samples (profiles, trajectories, time series, ragged arrays) as blocks of rows.

Here belongs reading a file's cells piece by piece and repeating on each row what belongs to its instance. Not here:
which cells are rows (``table_profiles_layout``) or what their values mean (``table_profiles_values``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_file import NETCDF, refuse_unreadable
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import geometry_column
from rimrep_assets.domain.table_profiles_attributes import meaning_of
from rimrep_assets.domain.table_profiles_layout import Header, Layout, Variable, layout_of
from rimrep_assets.domain.table_profiles_options import ReadProfiles
from rimrep_assets.domain.table_profiles_rows import Samples, slabs
from rimrep_assets.domain.table_profiles_values import LONGEST_WORD, Meaning

if TYPE_CHECKING:
    import netCDF4
    import pyarrow as pa

BLOCK_ROWS = 65_536
BLOCK_BYTES = 8 * 1024 * 1024
"""of one variable"""
EMPTY_ROWS = "rows that hold nothing but fill"
OUTSIDE = "rows with a value outside the valid range of {}"
NOT_ALONG = "variables that do not lie along the rows: {}"


@dataclass(frozen=True)
class Profiles:
    """A file of samples. ``types``: its columns, global attributes last, with the Table Schema's types."""

    path: Path
    file: str
    types: Mapping[str, str]
    _layout: Layout
    _header: Header
    _meanings: Mapping[str, Meaning]
    _constants: Mapping[str, Any]

    def blocks(self, left_out: dict[str, int]) -> Iterator[pa.RecordBatch]:
        """Rows in the order of the file's cells, numbers as int64 or float64, instants in UTC, words as string.

        ``left_out``: cleared, and afterwards what is not published and how much of it, in words. Memory: a few MB,
        and one number for each instance of a ragged array.
        Raises: DataError naming file, variable and row (from 0, counted before any is left out).
        """
        left_out.clear()
        empty = 0
        with _opened(self.path, self.file) as file:
            samples = Samples(file, self._layout, self._header, self._meanings, self.file)
            shape = tuple(self._header.sizes[d] for d in self._layout.dims)
            for start, slab in slabs(shape, self._block_rows()):
                block = samples.read(start, slab)
                full = samples.is_measured(block)
                block = self._with_constants(block)
                if full is not None:
                    empty += len(block) - full.true_count
                    block = block.filter(full)
                if len(block):
                    yield block
        self._tell(left_out, empty, samples.outside)

    def _block_rows(self) -> int:
        """Fewer where a row holds long words."""
        words = [d for c in self._layout.columns for d in self._header.variables[c].dims if d in self._layout.text]
        widest = max([8, *(self._header.sizes[d] for d in words)])
        return max(1, min(BLOCK_ROWS, BLOCK_BYTES // widest))

    def _with_constants(self, block: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        for column, value in self._constants.items():
            block = block.append_column(column, pa.repeat(pa.scalar(value), len(block)))
        return block

    def _tell(self, left_out: dict[str, int], empty: int, outside: Mapping[str, int]) -> None:
        if empty:
            left_out[EMPTY_ROWS] = empty
        left_out |= {OUTSIDE.format(name): rows for name, rows in outside.items()}
        if self._layout.left:
            left_out[NOT_ALONG.format(", ".join(self._layout.left))] = len(self._layout.left)


def open_profiles(path: Path, name: str, options: ReadProfiles, dataset: Dataset) -> SourceTable:
    """The samples of the file ``name``, which lies at ``path``, as a table.

    Raises: DataError naming everything that keeps it from being read as rows: a broken file, several sets of samples,
    variables that no column can show, units of time that make no sense, attributes that are not there.
    """
    profiles = _looked_at(path, name, options, dataset)
    left_out: dict[str, int] = {}
    return SourceTable(
        file=name,
        names=tuple(profiles.types),
        blocks=lambda _: profiles.blocks(left_out),
        crs=crs84() if geometry_column(dataset) else None,
        texts=frozenset(c for c, kind in profiles.types.items() if kind == "string"),
        reader="read_profiles",
        types=profiles.types,
        left_out=lambda: left_out,
    )


def _looked_at(path: Path, name: str, options: ReadProfiles, dataset: Dataset) -> Profiles:
    refuse_unreadable(path, name, "read_netcdf")
    with path.open("rb") as opened:
        if opened.read(4) == b"CDF\5":
            # No second reader knows this format, so that what is published could not be proven.
            raise DataError(f"{name}: is NetCDF of the format CDF-5", advice="have it written as NetCDF-4.")
    header, dtypes = header_of(path, name)
    try:
        layout = layout_of(header, options)
    except DataError as error:
        raise DataError([f"{name}: {problem}" for problem in error.problems], advice=error.advice) from error
    problems: list[str] = []
    meanings = _meanings(header, layout, dtypes, options, dataset, problems)
    constants = _constants(header, layout, options, problems)
    if problems:
        raise DataError([f"{name}: {problem}" for problem in problems])
    types = {name: meanings[name].type for name in layout.columns}
    return Profiles(
        path=path,
        file=name,
        types={**types, **{column: _type_of(value) for column, value in constants.items()}},
        _layout=layout,
        _header=header,
        _meanings=meanings,
        _constants=constants,
    )


def header_of(path: Path, name: str) -> tuple[Header, dict[str, Any]]:
    """What the file says of itself, and the stored types of its variables. Raises: DataError."""
    with _opened(path, name) as file:
        return _header_of(file), {n: v.dtype for n, v in file.variables.items()}


def _header_of(file: netCDF4.Dataset) -> Header:
    sizes = {name: len(dim) for name, dim in file.dimensions.items()}
    variables = {
        name: Variable(name, tuple(v.dimensions), _kind(v), {a: v.getncattr(a) for a in v.ncattrs()})
        for name, v in file.variables.items()
    }
    groups = tuple(path for path, group in _groups(file, "") if group.variables)
    return Header(sizes, variables, groups, {a: file.getncattr(a) for a in file.ncattrs()})


def _groups(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in group.groups.items():
        yield f"{path}/{name}", inner
        yield from _groups(inner, f"{path}/{name}")


def _kind(variable: Any) -> str:
    import netCDF4
    import numpy as np

    if variable.dtype is str:
        return "text"
    if isinstance(variable.datatype, (netCDF4.VLType, netCDF4.CompoundType)):
        return "other"
    dtype = np.dtype(variable.dtype)
    if dtype.kind in "iuf":
        return "number"
    return "char" if dtype == "S1" else "other"


def _meanings(
    header: Header,
    layout: Layout,
    dtypes: Mapping[str, Any],
    options: ReadProfiles,
    dataset: Dataset,
    problems: list[str],
) -> dict[str, Meaning]:
    placed = {dataset.coordinates.x, dataset.coordinates.y, dataset.coordinates.t}
    found = {}
    for name in layout.columns:
        variable = header.variables[name]
        long = [d for d in variable.dims if d in layout.text and header.sizes[d] > LONGEST_WORD]
        if long:
            problems.append(f"{name}: words of {header.sizes[long[0]]} letters are longer than {LONGEST_WORD}")
            continue
        try:
            found[name] = meaning_of(
                variable,
                dtypes[name],
                coordinate=dataset.convert.rename.get(name, name) in placed,
                outside=options.outside_valid.get(name),
                encoding=options.encoding,
            )
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return found


def _constants(header: Header, layout: Layout, options: ReadProfiles, problems: list[str]) -> dict[str, Any]:
    """The values of global attributes by column, as text or plain numbers."""
    import numpy as np

    held = header.attributes or {}
    found: dict[str, Any] = {}
    for attribute, column in options.attributes.items():
        value: Any = held.get(attribute)
        if attribute not in held:
            problems.append(f"read_profiles.attributes names {attribute!r}, which it lacks{nearest(attribute, held)}")
        elif column in layout.columns:
            problems.append(f"read_profiles.attributes: a variable is called {column!r} too; choose another name")
        elif isinstance(value, str):
            found[column] = value.strip("\0 \t\r\n")
        elif np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf":
            found[column] = value.item()
        else:
            problems.append(f"read_profiles.attributes: {attribute!r} is neither a text nor one number")
    return found


def _type_of(value: Any) -> str:
    return "string" if isinstance(value, str) else "integer" if isinstance(value, int) else "number"


@contextmanager
def _opened(path: Path, name: str) -> Iterator[netCDF4.Dataset]:
    """The file, its values as they are stored. The library is locked by every call, not for as long as it is open."""
    import netCDF4

    try:
        with NETCDF:
            file = netCDF4.Dataset(str(path))
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            file.set_always_mask(False)
        try:
            yield file
        finally:
            with NETCDF:
                file.close()
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as NetCDF ({error})".replace(f": {str(path)!r}", "")) from error
