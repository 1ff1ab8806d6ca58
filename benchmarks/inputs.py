"""What the benchmarks convert: generated grids and tables of a size that is told.

Here belongs writing the files; the same size gives the same values. Not here: converting them (``grids``, ``tables``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

VARIABLES = ("sst", "dhw")
FILL = -32768
FIRST_DAY = date(2020, 1, 1)


@dataclass(frozen=True)
class Size:
    """How much is converted; ``chunk_*`` are lengths of the published chunks."""

    days: int
    long_days: int
    """of the series on which memory is compared"""
    appended_to: tuple[int, int]
    """steps of the two stores to which one more is appended"""
    lat: int
    lon: int
    chunk_days: int
    chunk_lat: int
    chunk_lon: int
    rows: int
    datasets: tuple[str, ...]
    """those of the example catalog that are published"""
    catalog: int
    """datasets in the generated catalog"""

    @property
    def chunks(self) -> dict[str, int]:
        return {"time": self.chunk_days, "lat": self.chunk_lat, "lon": self.chunk_lon}


FULL = Size(
    days=120,
    long_days=480,
    appended_to=(10, 10_000),
    lat=900,
    lon=1600,
    chunk_days=30,
    chunk_lat=300,
    chunk_lon=400,
    rows=500_000,
    datasets=("aims-temp-loggers", "gbrmpa-management-areas", "noaa-crw-chs-dhw"),
    catalog=1000,
)
SMOKE = Size(
    days=4,
    long_days=8,
    appended_to=(4, 40),
    lat=60,
    lon=80,
    chunk_days=4,
    chunk_lat=30,
    chunk_lon=40,
    rows=5_000,
    datasets=("gbrmpa-management-areas",),
    catalog=40,
)


def grid_files(folder: Path, days: int, kind: str = "grids") -> list[Path]:
    """The first ``days`` files of the series; of kind ``grids`` a plane is one chunk, of ``pieces`` about twenty."""
    return sorted((folder / kind).glob("*.nc"))[:days]


def table_file(folder: Path) -> Path:
    return folder / "tables" / "loggers.csv"


def generate(folder: Path, _out: Path, size: Size, _clock: object) -> None:
    """Write NetCDF files below ``grids`` and ``pieces``, and a CSV file below ``tables``; nothing is timed."""
    (folder / "grids").mkdir(parents=True)
    (folder / "pieces").mkdir()
    (folder / "tables").mkdir(parents=True)
    for number in range(size.long_days):
        _write_day(folder / "grids", number, size, size.lat)
    for number in range(size.days):
        # As eReefs' files are: about 64 000 cells a chunk, lines whole.
        _write_day(folder / "pieces", number, size, -(-size.lat // 22))
    _write_loggers(table_file(folder), size.rows)


def _write_day(folder: Path, number: int, size: Size, lines: int) -> None:
    """One day: two packed int16 variables, zlib and shuffle, ``lines`` to a chunk; noisy, land without value."""
    import netCDF4
    import numpy as np

    random = np.random.default_rng(number)
    lat, lon = np.linspace(-10, -28, size.lat), np.linspace(142, 156, size.lon)
    land = lon[None, :] < 146 - (lat[:, None] + 18) * 0.3
    day = FIRST_DAY + timedelta(days=number)
    with netCDF4.Dataset(folder / f"{day:%Y%m%d}.nc", "w") as file:
        for name, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            file.createDimension(name, len(values))
            file.createVariable(name, "f4", (name,))[:] = values
            file[name].units = units
        file.createDimension("time", 1)
        file.createVariable("time", "i4", ("time",))[:] = number
        file["time"].units = f"days since {FIRST_DAY} 00:00:00"
        for name in VARIABLES:
            wave = 2600 + 250 * np.sin(lat[:, None] / 3 + number / 9) * np.cos(lon[None, :] / 2)
            packed = np.rint(wave + random.normal(0, 6, wave.shape)).astype("i2")
            packed[land] = FILL
            variable = file.createVariable(
                name,
                "i2",
                ("time", "lat", "lon"),
                fill_value=FILL,
                compression="zlib",
                shuffle=True,
                chunksizes=(1, lines, size.lon),
            )
            variable.set_auto_maskandscale(False)
            variable.setncatts({"scale_factor": 0.01, "add_offset": 0.0, "units": "degree_Celsius"})
            variable[0] = packed


def _write_loggers(path: Path, rows: int) -> None:
    """Ten-minute rows of forty loggers, in order of time, as loggers' exports are; local times, some 'no data'."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(1)
    logger = np.arange(rows) % 40
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta((np.arange(rows) // 40) * 10, unit="min")
    value = np.round(26 + 2 * np.sin(np.arange(rows) / 90_000) + random.normal(0, 0.3, rows), 4).astype(str)
    value[random.random(rows) < 0.001] = "no data"
    table = pd.DataFrame(
        {
            "deployment_id": 14000 + logger,
            "site": np.array([f"Reef No {n // 2}" for n in range(40)])[logger],
            "depth": np.round(1.5 + (logger % 2) * 7.3, 1),
            "serial_num": np.array([f"SN{10200 + n}" for n in range(40)])[logger],
            "lat": np.round(-10.5 - logger * 0.33, 4),
            "long": np.round(142.2 + logger * 0.24, 4),
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "cal_val": value,
            "qc_flag": np.where(random.random(rows) < 0.98, 1, 2),
        }
    )
    table.to_csv(path, index=False)
