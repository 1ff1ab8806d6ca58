"""A source file of a grid, open: what readers of all formats have in common.

Here belong the shape that every opened file has, and choosing who opens it. Not here: what the file says of itself
(``grid_header``), or its numbers (``grid_values``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_classic import missing_bytes
from rimrep_assets.domain.grid_partial import GuardedFile
from rimrep_assets.domain.partial_file import LocalFile, PartialFile

if TYPE_CHECKING:
    import netCDF4
    import numpy as np

NETCDF = threading.RLock()
"""held by whoever calls the NetCDF library: with two threads in it the process ends"""
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""first bytes of TIFF and BigTIFF in either byte order"""
ZIP = b"PK\3\4"
READ_BY = {"netcdf": "read_netcdf", "geotiff": "read_geotiff", "together": "read_geotiff", "zarr": "read_zarr"}
"""the steps of ``convert`` that read files of a format"""
WORDS = {"read_netcdf": "NetCDF", "read_geotiff": "GeoTIFF", "read_zarr": "Zarr store"}


class RawHolder(Protocol):
    """What has attributes: a file or a variable."""

    def ncattrs(self) -> list[str]: ...

    def getncattr(self, name: str) -> Any: ...


class RawVariable(RawHolder, Protocol):
    """A variable whose values come as they are stored; netCDF4's own is one.

    ``dimensions`` are names, outermost first; ``dtype`` is numpy's; indexing takes slices or ``...``.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> tuple[str, ...]: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def ndim(self) -> int: ...

    def __getitem__(self, index: Any) -> np.ndarray: ...


class RawFile(RawHolder, Protocol):
    """An open file: variables and sizes of dimensions by name."""

    @property
    def variables(self) -> Mapping[str, RawVariable]: ...

    @property
    def dimensions(self) -> Mapping[str, Sized]: ...


Format = Literal["netcdf", "geotiff", "zarr", "together"]
"""``together``: a folder of GeoTIFF files that make up one file of the grid"""


def format_of(path: Path) -> Format:
    """Who opens what was fetched to ``path``, by its first bytes; what is unknown is left to the NetCDF library."""
    if path.is_dir():
        return "zarr" if path.suffix.lower() == ".zarr" else "together"
    with path.open("rb") as file:
        magic = file.read(4)
    if magic in TIFF:
        return "geotiff"
    return "zarr" if magic == ZIP else "netcdf"


def refuse_unreadable(source: LocalFile, name: str, declared: str) -> None:
    """Raise DataError for an empty file, a cut one, and one that the ``declared`` step of ``convert`` does not read."""
    # The first bytes of a partial file are there: it would not be one otherwise.
    path = source.path if isinstance(source, PartialFile) else source
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{name}: is empty (0 bytes)")
    found = READ_BY[format_of(path)]
    if declared != found:
        # What is of no known format is told by the library that it was declared for.
        kind, wanted = (WORDS[reader] for reader in (found, declared))
        words = f"is no {wanted}" if found == "read_netcdf" else f"is {kind}, no {wanted}"
        raise DataError(f"{name}: {words} ({declared})", advice="declare the step that reads these files.")
    try:
        short = missing_bytes(path) if found == "read_netcdf" else 0
    except ValueError as error:
        raise DataError(f"{name}: cannot be read as NetCDF: {error}") from error
    if short:
        raise DataError(f"{name}: is cut: {short} bytes fewer than its header says")


@contextmanager
def open_raw(source: LocalFile, name: str) -> Iterator[RawFile]:
    """A source file whose values come as they are stored.

    Raises: DataError, also while it is read, when it is cut or damaged; ``name`` is what people know it by.
    """
    from rimrep_assets.domain.grid_geotiff import open_geotiff
    from rimrep_assets.domain.grid_mosaic import open_mosaic
    from rimrep_assets.domain.grid_zarr import open_zarr

    if isinstance(source, PartialFile):
        with _open_netcdf(source.path, name) as held:
            yield GuardedFile(held, source)
        return
    others: Mapping[str, Any] = {"geotiff": open_geotiff, "zarr": open_zarr, "together": open_mosaic}
    with others.get(format_of(source), _open_netcdf)(source, name) as file:
        yield file


@contextmanager
def _open_netcdf(path: Path, name: str) -> Iterator[netCDF4.Dataset]:
    """An open file keeps other threads from opening one: with two threads in it the C library ends the process."""
    import netCDF4

    try:
        with NETCDF, netCDF4.Dataset(str(path)) as file:
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            file.set_always_mask(False)
            yield file
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read as NetCDF ({error})".replace(f": {str(path)!r}", "")) from error
