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
POLYGONS_WITHIN = (142.0, -24.0, 152.0, -10.0)
"""west, south, east, north, degrees"""
CORNERS = 48
"""of a polygon: few, for a reef"""
LOGGERS = 400
LOGGER_ROWS_AT_ONCE = 500_000
LOGGER_COLUMNS = [
    "deployment_id", "site", "site_id", "subsite", "depth", "parameter", "serial_num", "lat", "long",
    "gbrmpa_reef_id", "time", "cal_val", "qc_val", "qc_flag",
]  # fmt: skip
"""those of aims-temp-loggers that differ from row to row"""


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
    long_rows: int
    """of the table on which memory is compared"""
    polygons: int
    """all over ``POLYGONS_WITHIN``"""
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
    rows=4_000_000,
    long_rows=16_000_000,
    polygons=40_000,
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
    long_rows=20_000,
    polygons=400,
    datasets=("gbrmpa-management-areas",),
    catalog=40,
)


def grid_files(folder: Path, days: int, kind: str = "grids") -> list[Path]:
    """The first ``days`` files of the series; of kind ``grids`` a plane is one chunk, of ``pieces`` about twenty."""
    return sorted((folder / kind).glob("*.nc"))[:days]


def table_file(folder: Path, *, long: bool = False) -> Path:
    return folder / "tables" / ("long.csv" if long else "loggers.csv")


def polygon_file(folder: Path) -> Path:
    return folder / "tables" / "reefs.gpkg"


def generate(folder: Path, _out: Path, size: Size, _clock: object) -> None:
    """Write NetCDF files below ``grids`` and ``pieces``, CSV files and a GeoPackage below ``tables``; nothing is
    timed."""
    (folder / "grids").mkdir(parents=True)
    (folder / "pieces").mkdir()
    (folder / "tables").mkdir(parents=True)
    for number in range(size.long_days):
        _write_day(folder / "grids", number, size, size.lat)
    for number in range(size.days):
        # As eReefs' files are: about 64 000 cells a chunk, lines whole.
        _write_day(folder / "pieces", number, size, -(-size.lat // 22))
    _write_loggers(table_file(folder), size.rows)
    _write_loggers(table_file(folder, long=True), size.long_rows)
    write_polygons(polygon_file(folder), size.polygons)


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
    """Ten-minute rows of 400 loggers at 200 sites, in order of time, as they arrive; local times, some 'no data'."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    random = np.random.default_rng(1)
    numbers = np.arange(LOGGERS)
    texts = {
        "site": [f"Reef No {n // 2} (18-{n // 2:03d})" for n in numbers],
        "subsite": [f"R{n // 2}FL{n % 2}" for n in numbers],
        "serial_num": [f"SN{10200 + n}" for n in numbers],
        "gbrmpa_reef_id": [f"{n // 2:03d}18{n:06d}" for n in numbers],
    }
    options = pacsv.WriteOptions(quoting_style="none", include_header=False)
    with path.open("wb") as file:
        file.write((",".join(LOGGER_COLUMNS) + "\n").encode())
        for begin in range(0, rows, LOGGER_ROWS_AT_ONCE):
            row = np.arange(begin, min(begin + LOGGER_ROWS_AT_ONCE, rows))
            logger = row % LOGGERS
            coded = {name: pa.array(values).take(pa.array(logger)) for name, values in texts.items()}
            value = np.round(26 + 2 * np.sin(row / 90_000) + random.normal(0, 0.3, len(row)), 4)
            known = pa.array(random.random(len(row)) >= 0.001)
            words = pc.if_else(known, pa.array(value).cast(pa.string()), "no data")
            times = np.datetime64("2010-09-01", "s") + (row // LOGGERS * 600).astype("timedelta64[s]")
            columns = {
                "deployment_id": pa.array(14_000 + logger),
                "site": coded["site"],
                "site_id": pa.array(900 + logger // 2),
                "subsite": coded["subsite"],
                "depth": pa.array(np.round(1.5 + (logger % 2) * 7.3, 1)),
                "parameter": pa.array(["Water Temperature"]).take(pa.array(logger * 0)),
                "serial_num": coded["serial_num"],
                "lat": pa.array(np.round(-10.5 - logger * 0.033, 4)),
                "long": pa.array(np.round(142.2 + logger * 0.024, 4)),
                "gbrmpa_reef_id": coded["gbrmpa_reef_id"],
                "time": pa.array(times).cast(pa.string()),
                "cal_val": words,
                "qc_val": words,
                "qc_flag": pa.array(np.where(random.random(len(row)) < 0.98, 1, 2)),
            }
            pacsv.write_csv(pa.table([columns[name] for name in LOGGER_COLUMNS], LOGGER_COLUMNS), file, options)


def write_polygons(path: Path, polygons: int) -> None:
    """Outlines of reefs, ``CORNERS`` to each, evenly spread, in an order that says nothing of where they are."""
    import geopandas
    import numpy as np
    import shapely

    random = np.random.default_rng(2)
    west, south, east, north = POLYGONS_WITHIN
    side = int(np.ceil(np.sqrt(polygons)))
    place = random.permutation(side * side)[:polygons]
    cell_x, cell_y = (east - west) / side, (north - south) / side
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach = random.uniform(0.25, 0.48, (polygons, CORNERS))
    x = west + (place[:, None] % side + 0.5 + reach * np.cos(turn)) * cell_x
    y = south + (place[:, None] // side + 0.5 + reach * np.sin(turn)) * cell_y
    columns = {
        "reef_id": [f"{number:08d}" for number in random.permutation(polygons)],
        "reef_name": [f"Reef {number}" for number in range(polygons)],
        "area_ha": np.round(random.lognormal(4, 1, polygons), 2),
    }
    shapes = shapely.polygons(np.round(np.stack([x, y], axis=-1), 6))
    geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326").to_file(path, driver="GPKG", layer="reefs")
