"""Tiny grids whose every part can be bent, and what readers that are not ours find in them.

Here belong writing source files, describing the grid in a world, and reading sources and stores through xarray. Not
here: any expectation about a publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets_tests.worlds import GRID, GRID_YAML, World

LAT = np.array([-10.05, -10.55, -11.05, -11.55])
LON = np.array([145.0, 145.5, 146.0, 146.5])
UNITS = "days since 2020-01-01 00:00:00"
FILL = -999
CHUNK = 3
"""times of a block"""
MEANINGS = {
    "sst": {"units": "kelvin", "standard_name": "sea_surface_temperature", "long_name": "temperature"},
    "wind": {"units": "m s-1", "standard_name": "wind_speed", "long_name": "wind"},
}


@dataclass(frozen=True)
class GridFile:
    """One source file. ``days`` count from 2020-01-01, each at noon unless a fraction says otherwise."""

    days: Sequence[float]
    seed: int = 0
    """other seeds give other values"""
    variables: Sequence[str] = ("sst", "wind")
    lat: np.ndarray = field(default_factory=lambda: LAT)
    lon: np.ndarray = field(default_factory=lambda: LON)
    dims: tuple[str, ...] = ("time", "lat", "lon")
    dtype: str = "i2"
    scale: Any = 0.01
    offset: Any = 290.0
    fill: Any = FILL
    units: str = UNITS
    calendar: str | None = "standard"
    meanings: dict[str, dict[str, Any]] = field(default_factory=lambda: MEANINGS)
    extra: dict[str, Any] = field(default_factory=dict)
    """more attributes of every data variable"""
    format: str = "NETCDF4"
    lowest: int = 1
    highest: int = 3000
    """stored numbers lie between these"""
    missing: float = 0.15
    """the share of cells without a value"""
    fraction: float = 0.0
    """what is added to each of them"""

    @property
    def name(self) -> str:
        return f"day_{self.days[0]:07.2f}.nc"

    def write(self, folder: Path, name: str | None = None) -> Path:
        path = folder / (name or self.name)
        sizes = {"time": len(self.days), "lat": len(self.lat), "lon": len(self.lon)}
        with netCDF4.Dataset(str(path), "w", format=self.format) as file:
            for dim, size in sizes.items():
                file.createDimension(dim, size)
            file.title = "Invented grid"
            time = file.createVariable("time", "f8", ("time",))
            time.units = self.units
            if self.calendar is not None:
                time.calendar = self.calendar
            time[:] = [day if day % 1 else day + 0.5 for day in self.days]
            for axis, values, unit in (("lat", self.lat, "degrees_north"), ("lon", self.lon, "degrees_east")):
                file.createVariable(axis, values.dtype, (axis,))[:] = values
                file[axis].units = unit
            for variable in self.variables:
                self._write(file, variable, tuple(sizes[dim] for dim in self.dims))
        return path

    def _write(self, file: netCDF4.Dataset, name: str, shape: tuple[int, ...]) -> None:
        packed: dict[str, Any] = {"compression": "zlib"} if self.format == "NETCDF4" else {}
        variable = file.createVariable(name, self.dtype, self.dims, fill_value=self.fill, **packed)
        variable.set_auto_maskandscale(False)
        words = {**self.meanings[name], **self.extra}
        if self.scale is not None:
            words["scale_factor"] = self.scale
        if self.offset is not None:
            words["add_offset"] = self.offset
        variable.setncatts(words)
        variable[:] = self.stored(name, shape)

    def stored(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The numbers as they are stored: random, other ones for every day, seed and variable, some of them fill."""
        planes = []
        per_time = shape[1:]
        for day in self.days:
            random = np.random.default_rng([self.seed, round((day + 1000) * 100), sorted(MEANINGS).index(name)])
            numbers = (random.integers(self.lowest, self.highest, per_time) + self.fraction).astype(self.dtype)
            if self.fill is not None:
                numbers[random.random(per_time) < self.missing] = self.fill
            planes.append(numbers)
        return np.stack(planes)


def grid_yaml(
    *, chunk: int = CHUNK, lat: int = 2, lon: int = 2, cadence: str | None = None, plain: bool = True, **steps: Any
) -> dict[str, Any]:
    """The grid's dataset.yaml; ``steps`` are those of ``convert`` besides reading."""
    layout: dict[str, Any] = {"chunks": {"time": chunk, "lat": lat, "lon": lon}, "plain": plain}
    if cadence is not None:
        layout["cadence"] = cadence
    convert = [{"read_netcdf": steps.pop("read_netcdf", {})}, *({name: step} for name, step in steps.items())]
    return {**GRID_YAML, "layout": layout, "convert": convert}


Found = dict[str, dict[str, np.ndarray]]
"""time (to the nearest second) -> variable -> values"""


def found_in(grid: xr.Dataset, variables: Iterable[str] = tuple(MEANINGS)) -> Found:
    """What xarray, masking and scaling, reads of these variables as (lat, lon)."""
    times = [str((t + np.timedelta64(500, "ms")).astype("M8[s]")) for t in grid["time"].values]
    assert len(set(times)) == len(times), "a time stands twice"
    found: Found = {time: {} for time in times}
    for name in variables:
        if name in grid:
            values = grid[name].transpose("time", "lat", "lon").values
            for time, plane in zip(times, values, strict=True):
                found[time][name] = plane
    return found


def in_sources(paths: Iterable[Path]) -> Found:
    """What the files hold, by xarray; each time stands in one of them."""
    found: Found = {}
    for path in sorted(paths):
        with xr.open_dataset(path, engine="h5netcdf" if path.read_bytes()[:3] != b"CDF" else "scipy") as grid:
            of_file = found_in(grid.load())
        assert not found.keys() & of_file.keys()
        found |= of_file
    return dict(sorted(found.items()))


def in_store(store: Any) -> Found:
    """What a Zarr store holds, by xarray; its axis must ascend."""
    with xr.open_zarr(store, consolidated=False, chunks=None) as grid:
        found = found_in(grid.load())
    assert list(found) == sorted(found), "the axis does not ascend"
    return found


def differences(found: Found, expected: Found, *, exact: bool = True) -> list[str]:
    """Where two readings differ, in words; a variable that ``expected`` has not at a time must have no value there.

    Times that ``expected`` lacks must hold no value at all (a regular axis has them).
    """
    told = [f"{time}: is missing" for time in expected.keys() - found.keys()]
    for time, variables in found.items():
        for name, values in variables.items():
            wanted = expected.get(time, {}).get(name)
            wanted = np.full(values.shape, np.nan) if wanted is None else wanted
            same = np.array_equal(values, wanted, equal_nan=True) if exact else near(values, wanted)
            if not same:
                told.append(f"{time}: {name} is {values.tolist()}, the sources say {wanted.tolist()}")
        told += [f"{time}: {name} is missing" for name in expected.get(time, {}).keys() - variables.keys()]
    return sorted(told)


def near(values: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal to the precision of float32."""
    return values.shape == wanted.shape and bool(np.allclose(values, wanted, rtol=1e-6, atol=0, equal_nan=True))


def stable(world: World) -> Found:
    """What stands at the stable address."""
    return in_store(str(Path(world.store_url) / "public" / GRID / "data.zarr"))


def snapshot(world: World, snapshot_id: str) -> Any:
    """The store of an Icechunk snapshot, opened by Icechunk itself."""
    import icechunk

    storage = icechunk.local_filesystem_storage(str(Path(world.store_url) / "public" / GRID / "data.icechunk"))
    return icechunk.Repository.open(storage).readonly_session(snapshot_id=snapshot_id).store


def seen_by_readers(world: World) -> dict[str, bytes]:
    """Every object that a reader can come upon: not what attempts stage, nor Icechunk's own files, whose branch and
    tags are read below."""
    import icechunk

    hidden = ("/staging/", "/versions/", "/data.icechunk/")
    found = {path: data for path, data in world.files().items() if not any(part in path for part in hidden)}
    folder = Path(world.store_url) / "public" / GRID / "data.icechunk"
    if folder.exists():
        repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder)))
        tags = {tag: repository.lookup_tag(tag) for tag in sorted(repository.list_tags())}
        found["icechunk"] = f"{repository.lookup_branch('main')} {tags}".encode()
    return found


def assert_equals_sources(world: World, snapshot: str, paths: Sequence[Path], *names: str) -> None:
    """The times and the variables ``names`` of a snapshot are those of its files, as xarray reads both."""
    store = GridRepository(world.store, GRID, world.settings.s3).read(snapshot)
    with (
        xr.open_zarr(store, consolidated=False) as seen,
        xr.open_mfdataset(paths, combine="nested", concat_dim="time", data_vars="minimal") as expected,
    ):
        for name in ("time", *names):
            np.testing.assert_array_equal(seen[name].values, expected[name].values)
