"""Source files opened for the independent reading, by other means than those that read them for publishing.

Here belongs one way for each format: xarray for NetCDF and Zarr, GDAL's own georeferencing and merging for GeoTIFF.
Not here: which cells are compared (``grid_sample``), or any of our own readers (``grid_file``), on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_file import format_of
from rimrep_assets.domain.grid_zarr import opened_store
from rimrep_assets.domain.partial_file import LocalFile, PartialFile

if TYPE_CHECKING:
    import numpy as np

_RAW: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "decode_coords": False}


@contextmanager
def open_otherwise(source: LocalFile) -> Iterator[Any]:
    """The file, undecoded: ``variables`` by name, each with ``shape``, ``attrs`` and an index that takes slices, and
    the file's ``attrs``. Raises: what the libraries raise.
    """
    import xarray as xr

    if isinstance(source, PartialFile):
        with _in_parts(source) as found:
            yield found
        return
    path, kind = source, format_of(source)
    with ExitStack() as opened:
        if kind in ("geotiff", "together"):
            yield opened.enter_context(_rasters(path))
        elif kind == "zarr":
            store, root = opened.enter_context(opened_store(path))
            yield opened.enter_context(
                xr.open_dataset(store, engine="zarr", group=root or None, consolidated=False, **_RAW)
            )
        else:
            yield opened.enter_context(xr.open_dataset(path, engine=_engine(path), **_RAW))


@contextmanager
def _in_parts(source: PartialFile) -> Iterator[Any]:
    """HDF5 itself asks for what it reads. Raises, besides what the libraries do: Unavailable, DataError."""
    import xarray as xr

    stream = source.stream()
    try:
        with xr.open_dataset(stream, engine="h5netcdf", **_RAW) as found:
            yield found
    finally:
        stream.tell_failure()


def _engine(path: Path) -> Any:
    with path.open("rb") as file:
        return "scipy" if file.read(3) == b"CDF" else "h5netcdf"


@contextmanager
def _rasters(path: Path) -> Iterator[Any]:
    """GeoTIFF files by rasterio: of a folder those below ``<variable>/``."""
    import rasterio

    with ExitStack() as opened:
        opened.enter_context(rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"))
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        sources: dict[str, list[Any]] = {}
        for file in files:
            variable = "_" if path.is_file() else file.relative_to(path).parts[0]
            sources.setdefault(variable, []).append(opened.enter_context(rasterio.open(file, driver="GTiff")))
        everything = [source for own in sources.values() for source in own]
        variables: dict[str, Any] = dict(_axes(everything))
        for variable, own in sources.items():
            for number, text in enumerate(own[0].descriptions, start=1):
                merged = _Merged(own, number, variables["x"].values, variables["y"].values)
                names = (f"band_{number}", text) if variable == "_" else (variable,)
                variables |= {name: merged for name in names if name and name not in ("x", "y")}
        yield SimpleNamespace(variables=variables, attrs=everything[0].tags())


def _axes(sources: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Centres of cells over all files, counted from the outermost bounds."""
    import numpy as np
    import xarray as xr

    dx, dy = sources[0].transform.a, sources[0].transform.e
    bounds = [source.bounds for source in sources]
    west, east = min(min(b.left, b.right) for b in bounds), max(max(b.left, b.right) for b in bounds)
    south, north = min(min(b.bottom, b.top) for b in bounds), max(max(b.bottom, b.top) for b in bounds)
    for name, low, high, step in (("x", west, east, dx), ("y", south, north, dy)):
        count = round((high - low) / abs(step))
        centres = low + (np.arange(count) + 0.5) * (high - low) / count
        yield name, xr.Variable((name,), centres[:: 1 if step > 0 else -1])


class _Merged:
    """One band over all files, by ``rasterio.merge`` of the bounds that are asked for."""

    def __init__(self, sources: Sequence[Any], number: int, x: np.ndarray, y: np.ndarray) -> None:
        self.sources, self.number, self.x, self.y = sources, number, x, y
        self.shape = (y.size, x.size)
        self.attrs = self._attributes()

    def _attributes(self) -> dict[str, Any]:
        import numpy as np

        source, band = self.sources[0], self.number - 1
        found: dict[str, Any] = {"scale_factor": source.scales[band], "add_offset": source.offsets[band]}
        if (source.scales[band], source.offsets[band]) == (1.0, 0.0):
            found = {}
        if source.nodatavals[band] is not None:
            found["_FillValue"] = np.asarray(source.nodatavals[band]).astype(source.dtypes[band])[()]
        elif len(self.sources) > 1 and np.dtype(source.dtypes[band]).kind == "f":
            found["_FillValue"] = np.dtype(source.dtypes[band]).type("nan")
        return found

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, columns = (slice(None), slice(None)) if index is ... else index
        return self._bounded(self.x[columns], self.y[rows])

    def _bounded(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from rasterio.merge import merge
        from rasterio.windows import from_bounds

        first = self.sources[0]
        half_x, half_y = abs(first.transform.a) / 2, abs(first.transform.e) / 2
        west, south, east, north = x.min() - half_x, y.min() - half_y, x.max() + half_x, y.max() + half_y
        if len(self.sources) == 1 and (first.height, first.width) == self.shape:
            top, bottom = (north, south) if first.transform.e < 0 else (south, north)
            left, right = (west, east) if first.transform.a > 0 else (east, west)
            window = from_bounds(left, bottom, right, top, first.transform).round()
            found: np.ndarray = first.read(self.number, window=window)
            return found
        merged, _ = merge(
            self.sources, (west, south, east, north), indexes=[self.number], nodata=self.attrs.get("_FillValue")
        )
        return merged[0] if first.transform.e < 0 else merged[0][::-1]
