"""A source file of a grid, open: what readers of all formats have in common.

Here belong the shape that every opened file has, and choosing who opens it. Not here: what the file says of itself
(``grid_header``), or its numbers (``grid_values``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rimrep_assets.domain.errors import DataError

if TYPE_CHECKING:
    import netCDF4
    import numpy as np

_NETCDF = threading.RLock()


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


@contextmanager
def open_raw(path: Path, name: str) -> Iterator[RawFile]:
    """A source file whose values come as they are stored.

    Raises: DataError, also while it is read, when it is cut or damaged; ``name`` is what people know it by.
    """
    with _open_netcdf(path, name) as file:
        yield file


@contextmanager
def _open_netcdf(path: Path, name: str) -> Iterator[netCDF4.Dataset]:
    """An open file keeps other threads from opening one: with two threads in it the C library ends the process."""
    import netCDF4

    try:
        with _NETCDF, netCDF4.Dataset(str(path)) as file:
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            file.set_always_mask(False)
            yield file
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name}: cannot be read as NetCDF ({error})".replace(f": {str(path)!r}", "")) from error
