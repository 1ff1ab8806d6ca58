"""Small NetCDF files, and a grid published from them into memory, for the tests of the grid modules."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
import zarr

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import changed_blocks, files_needed
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_proof import prove_grid
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_write import write_grid
from rimrep_assets.domain.gridded import read_header, unite
from rimrep_assets.domain.proof import FileProof

LAT = np.array([-10.0, -10.5, -11.0, -11.5])
LON = np.array([145.0, 145.5, 146.0])


def grid_dataset(**keys: Any) -> Dataset:
    """A grid's dataset.yaml; ``steps`` are added to ``read_netcdf``, unless one of them is another reader."""
    steps = keys.get("steps", {})
    if not steps.keys() & {"read_geotiff", "read_zarr"}:
        steps = {"read_netcdf": {}, **steps}
    return Dataset.model_validate(
        {
            "id": "d",
            "collection": "c",
            "format": "zarr",
            "access": "public",
            "coordinates": keys.get("coordinates", {"x": "lon", "y": "lat", "t": "time"}),
            "source": {"kind": "local", "url": "files"},
            "convert": steps,
            "layout": keys.get("layout", {}),
        }
    )


@dataclass
class Sample:
    """What one small file holds; every part can be bent."""

    times: Sequence[float]
    base: int = 0
    """first stored number; the others follow"""
    units: str = "days since 2020-01-01 00:00:00"
    calendar: str | None = "standard"
    scale: float | None = 0.01
    offset: float | None = 20.0
    fill: int | None = -999
    dtype: str = "i2"
    lat: np.ndarray = field(default_factory=lambda: LAT)
    lon: np.ndarray = field(default_factory=lambda: LON)
    dims: tuple[str, ...] = ("time", "lat", "lon")
    format: str = "NETCDF4"
    extra: Sequence[str] = ()
    without: Sequence[str] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    sst_attributes: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        sizes = {"time": len(self.times), "lat": len(self.lat), "lon": len(self.lon)}
        with netCDF4.Dataset(str(path), "w", format=self.format) as file:
            for name, size in sizes.items():
                file.createDimension(name, size)
            file.setncatts({"title": "Small grid", "history": f"made for {path.name}", **self.attributes})
            time = file.createVariable("time", "f8", ("time",))
            time.units = self.units
            if self.calendar:
                time.calendar = self.calendar
            time[:] = np.asarray(self.times, "f8")
            for name, values in (("lat", self.lat), ("lon", self.lon)):
                file.createVariable(name, values.dtype, (name,))[:] = values
            for name in [n for n in ("sst", "flag", "depth", *self.extra) if n not in self.without]:
                self._variable(file, name, sizes)
        return path

    def _variable(self, file: netCDF4.Dataset, name: str, sizes: dict[str, int]) -> None:
        if name == "depth":
            file.createVariable("depth", "f4", ("lat", "lon"))[:] = np.arange(
                sizes["lat"] * sizes["lon"], dtype="f4"
            ).reshape(sizes["lat"], -1)
            return
        if name == "flag":
            flags = file.createVariable("flag", "i1", ("time", "lat", "lon"))
            flags[:] = 1 + (np.arange(sizes["time"])[:, None, None] + np.zeros((1, sizes["lat"], sizes["lon"]))) % 4
            return
        fill = self.fill
        variable = file.createVariable(name, self.dtype, self.dims, fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.units = "degree_Celsius"
        variable.standard_name = "sea_surface_temperature"
        if self.scale is not None:
            variable.scale_factor = np.float64(self.scale)
        if self.offset is not None:
            variable.add_offset = np.float64(self.offset)
        variable.setncatts(self.sst_attributes)
        shape = tuple(sizes[d] for d in self.dims)
        numbers = self.base + np.arange(np.prod(shape), dtype="i8").reshape(shape)
        if fill is not None and numbers.size:
            numbers.reshape(-1)[::7] = fill
        variable[:] = numbers.astype(self.dtype)


def header_of(path: Path, dataset: Dataset) -> GridHeader:
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.read_bytes())
    return read_header(path, path.name, digest.hexdigest(), dataset)


@dataclass
class Published:
    """A grid in memory, with the files that it is made of."""

    dataset: Dataset
    store: zarr.storage.MemoryStore = field(default_factory=zarr.storage.MemoryStore)
    state: GridState | None = None
    opened: list[str] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    blocks: list[int] = field(default_factory=list)
    digests: dict[int, BlockDigests] = field(default_factory=dict)

    @property
    def group(self) -> zarr.Group:
        return zarr.open_group(self.store, mode="a")

    def open_source(self, name: str) -> Path:
        self.opened.append(name)
        return self.paths[name]

    def header_of(self, path: Path) -> GridHeader:
        return header_of(path, self.dataset)

    def to(self, *paths: Path) -> Published:
        """Bring the store to these files, from whatever it shows."""
        self.paths = {p.name: p for p in paths}
        base, state = self.state, unite([self.header_of(p) for p in paths], self.dataset)
        self.blocks = changed_blocks(base, state, state.chunk)
        self.opened.clear()
        written = write_grid(self.group, base, state, self.blocks, self.dataset, self.open_source)
        assert sorted(written) == self.blocks or state.united.time is None
        self.digests |= written
        assert set(self.opened) <= files_needed(state, self.blocks, base)
        self.state = state
        return self

    def xarray(self, *, decode_times: bool = True) -> xr.Dataset:
        return xr.open_zarr(self.store, consolidated=False, chunks=None, decode_times=decode_times)

    def content(self) -> dict[str, Any]:
        """Every array's raw values and attributes, and every key that is stored."""
        found: dict[str, Any] = {"": dict(self.group.attrs), "keys": sorted(self.store._store_dict)}
        for name, array in self.group.arrays():
            found[name] = (
                array.dtype.str,
                array.shape,
                array.chunks,
                np.asarray(array[...]).tobytes(),
                dict(array.attrs),
            )
        return found

    def prove(self, seed: int = 1) -> list[FileProof]:
        assert self.state is not None
        every, opener = changed_blocks(None, self.state, self.state.chunk), self.open_source
        with self.xarray(decode_times=False) as seen:
            return prove_grid(self.group, self.state, every, self.dataset, opener, seed, seen, self.digests)[0]

    def stats(self) -> Any:
        assert self.state is not None
        every = changed_blocks(None, self.state, self.state.chunk)
        with self.xarray(decode_times=False) as seen:
            return prove_grid(self.group, self.state, every, self.dataset, self.open_source, 1, seen)[1]


def told(published: Published, seed: int = 1) -> dict[str, str]:
    """Differences by file, joined; only of those that do not hold."""
    return {p.name: "\n".join(p.differences) for p in published.prove(seed) if not p.holds}
