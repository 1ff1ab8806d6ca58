"""The sample sources of the example catalog: what providers would keep, small and the same bytes every time.

Here belongs writing the files. Not here: the numbers in them (``sample_reef``), or the catalog that describes
them (``catalog``, ``catalog_repository``).
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rimrep_examples.sample_reef import COAST, OUTER_BOUNDARY, heating_weeks, longitude_along, temperature_c

SEED = 20240402
FIRST_DAY = datetime(2024, 1, 15, tzinfo=UTC)
DAYS = 60
MONTHS = ((2023, 10), (2023, 11), (2023, 12), (2024, 1), (2024, 2), (2024, 3))
LOCAL = timedelta(hours=10)
"""Queensland's offset; it has no summer time"""

LOGGER_COLUMNS = (
    *("deployment_id", "site", "site_id", "subsite", "subsite_id", "from_date", "thru_date", "depth"),
    *("parameter", "instrument_type", "serial_num", "lat", "long", "gbrmpa_reef_id"),
    *("metadata_uuid", "sites_with_climatology_available", "time", "cal_val", "qc_val", "qc_flag", "fid"),
)

LOGGERS = (
    # deployment, site, site id, subsite, subsite id, depth, serial number, latitude, longitude, reef id
    (14071, "Agincourt Reef No 3", 3, "AGIN3FL1", 2391, 1.9, "SN10231", -15.9886, 145.8206, "15-099c"),
    (14102, "Chicken Reef", 9, "CHICSL1", 1047, 8.7, "SN10377", -18.6559, 147.7163, "18-086"),
    (14115, "Davies Reef", 923, "DAVFL1", 2786, 2.4, "SN10401", -18.8065, 147.6696, "18-096"),
    (14116, "Davies Reef", 923, "DAVSL1", 2787, 9.1, "SN10402", -18.8223, 147.6522, "18-096"),
    (14140, "Heron Island", 28, "HERFL1", 1312, 1.4, "SN10466", -23.4421, 151.9093, "23-052a"),
    (14141, "Heron Island", 28, "HERSL1", 1313, 7.5, "SN10467", -23.4346, 151.9294, "23-052a"),
    (14158, "Lizard Island", 41, "LIZFL1", 1671, 1.1, "SN10512", -14.6879, 145.4629, "14-116a"),
    (14170, "Myrmidon Reef", 50, "MYRSL1", 1804, 9.8, "SN10544", -18.2654, 147.3809, "18-034"),
    (14188, "Thursday Island", 71, "THUFL1", 2207, 2.0, "SN10598", -10.5842, 142.2223, "10-300"),
)

AREAS = (
    (1, "Far Northern Management Area", "FN", -10.68, -14.9),
    (2, "Cairns/Cooktown Management Area", "CC", -14.9, -17.9),
    (3, "Townsville/Whitsunday Management Area", "TW", -17.9, -20.6),
    (4, "Mackay/Capricorn Management Area", "MC", -20.6, -24.5),
)


def write_sources(folder: Path) -> None:
    """Write one folder a dataset of the example catalog below ``folder``, some 8 MB in all."""
    write_loggers(folder / "aims-temp-loggers")
    write_heating_weeks(folder / "noaa-crw-chs-dhw")
    write_management_areas(folder / "gbrmpa-management-areas")


def write_loggers(folder: Path) -> None:
    """CSV files, one a month: a row a logger and two hours, times as Queensland's clocks show them."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    counts = dict.fromkeys((logger[0] for logger in LOGGERS), 0)
    for year, month in MONTHS:
        start = datetime(year, month, 1)
        end = datetime(year + month // 12, month % 12 + 1, 1)
        times = [start + timedelta(hours=2 * i) for i in range((end - start).days * 12)]
        with (folder / f"temperature_loggers_{year}-{month:02d}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(LOGGER_COLUMNS)
            for logger in LOGGERS:
                writer.writerows(_logger_rows(logger, times, counts, random))


def _logger_rows(
    logger: tuple[Any, ...], times: list[datetime], counts: dict[int, int], random: Any
) -> list[list[Any]]:
    """Rows of one logger; a few values are absent, a few are bad and flagged."""
    import numpy as np

    deployment, *_, depth, _, lat, _, _ = logger
    day = np.array([(t - LOCAL - datetime(2024, 1, 1)).total_seconds() / 86400 for t in times])
    weather = np.convolve(random.normal(0, 1, len(times) + 35), np.ones(36) / 36, "valid")
    value = temperature_c(np.full(len(times), lat), day, np.full(len(times), depth)) + 1.5 * weather
    fate = random.random(len(times))
    rows = []
    for time, celsius, chance in zip(times, value, fate, strict=True):
        counts[deployment] += 1
        absent = chance < 0.001
        flag = 4 if absent or chance > 0.998 else 2 if chance > 0.98 else 1
        measured = "no data" if absent else f"{celsius + (6 if flag == 4 else 0):.4f}"
        checked = measured if flag < 4 else "no data"
        count = counts[deployment]
        rows.append(_logger_row(logger, [f"{time:%Y-%m-%d %H:%M:%S}", measured, checked, flag], count))
    return rows


def _logger_row(logger: tuple[Any, ...], measured: list[Any], count: int) -> list[Any]:
    deployment, site, site_id, subsite, subsite_id, depth, serial, lat, lon, reef = logger
    return [
        *(
            deployment,
            site,
            site_id,
            subsite,
            subsite_id,
            "2023-09-28 09:00:00",
            "2024-04-02 11:30:00",
            depth,
        ),
        *("Water Temperature", "Sensus Ultra", serial, lat, lon, reef),
        *("4a12a8c0-c573-11dc-b99b-00008a07204e", 1, *measured, f"{deployment}-{count}"),
    ]


def write_heating_weeks(folder: Path) -> None:
    """NetCDF4 files, one a day: packed int16 heat stress and a uint8 mask, latitude from north to south."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    lat = np.round(-10.025 - 0.05 * np.arange(300), 3)
    lon = np.round(142.025 + 0.05 * np.arange(260), 3)
    land = lon[None, :] < longitude_along(COAST, lat)[:, None]
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        packed = np.rint(heating_weeks(lat, lon, number) * 100).astype("i2")
        packed[land] = -32768
        _write_day(folder / f"ct5km_dhw_v3.1_{day:%Y%m%d}.nc", day, lat, lon, packed, land.astype("u1"))


def _write_day(path: Path, day: datetime, lat: Any, lon: Any, packed: Any, mask: Any) -> None:
    import netCDF4

    degree = "degree_heating_week"
    attributes = {
        "time": {"units": "seconds since 1981-01-01 00:00:00", "standard_name": "time", "axis": "T"},
        "lat": {"units": "degrees_north", "standard_name": "latitude", "axis": "Y"},
        "lon": {"units": "degrees_east", "standard_name": "longitude", "axis": "X"},
        degree: {"units": "degree_Celsius_weeks", "long_name": "degree heating week", "grid_mapping": "crs"},
        "mask": {
            "long_name": "pixel characteristics flag array",
            "grid_mapping": "crs",
            "comment": "0 water, 1 land",
        },
        "crs": {"grid_mapping_name": "latitude_longitude", "epsg_code": "EPSG:4326"}
        | {"semi_major_axis": 6378137.0, "inverse_flattening": 298.257223563},
    }
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(
            {
                "Conventions": "CF-1.6, ACDD-1.3",
                "title": "NOAA Coral Reef Watch Daily 5km Degree Heating Week (sample)",
                "institution": "NOAA/NESDIS/STAR Coral Reef Watch program",
                "product_version": "3.1",
                "time_coverage_start": f"{day:%Y%m%dT000000Z}",
                "time_coverage_end": f"{day:%Y%m%dT235959Z}",
            }
        )
        for name, values, kind in (("time", None, "i4"), ("lat", lat, "f4"), ("lon", lon, "f4")):
            file.createDimension(name, 1 if values is None else len(values))
            variable = file.createVariable(name, kind, (name,))
            noon = day + timedelta(hours=12) - datetime(1981, 1, 1, tzinfo=UTC)
            variable[:] = int(noon.total_seconds()) if values is None else values
        file.createVariable("crs", "i2", ())
        shape: dict[str, Any] = {"dimensions": ("time", "lat", "lon"), "compression": "zlib", "shuffle": True}
        shape["chunksizes"] = (1, 300, 260)
        stress = file.createVariable(degree, "i2", fill_value=-32768, **shape)
        stress.set_auto_maskandscale(False)
        stress[0] = packed
        stress.setncatts({"scale_factor": 0.01, "add_offset": 0.0})
        file.createVariable("mask", "u1", fill_value=False, **shape)[0] = mask
        for name, given in attributes.items():
            file[name].setncatts(given)


def write_management_areas(folder: Path) -> None:
    """One GeoPackage with the layer ``management_areas``: four multipolygons in GDA94 (EPSG:4283)."""
    import numpy as np
    import pyogrio
    import shapely

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "management_areas.gpkg"
    path.unlink(missing_ok=True)
    shapes = [shapely.MultiPolygon([shapely.Polygon(_outline(north, south))]) for *_, north, south in AREAS]
    hectares = [s.area * 111.2**2 * 100 * np.cos(np.radians(s.centroid.y)) for s in shapes]
    # A GeoPackage says when its content changed last.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"})
    try:
        pyogrio.raw.write(
            path,
            np.array([shapely.to_wkb(shape) for shape in shapes], dtype=object),
            [
                np.array([area[0] for area in AREAS], dtype="i8"),
                np.array([area[1] for area in AREAS], dtype=object),
                np.array([area[2] for area in AREAS], dtype=object),
                np.round(hectares, 1),
            ],
            ["OBJECTID", "AREA_DESCR", "CODE", "AREA_HA"],
            layer="management_areas",
            driver="GPKG",
            geometry_type="MultiPolygon",
            crs="EPSG:4283",
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _outline(north: float, south: float) -> list[tuple[float, float]]:
    """Down the coast and back up along the outer boundary, a point every twentieth of the way."""
    import numpy as np

    latitude = np.linspace(north, south, 21)
    down = list(zip(longitude_along(COAST, latitude), latitude, strict=True))
    up = list(zip(longitude_along(OUTER_BOUNDARY, latitude), latitude, strict=True))[::-1]
    return [(round(float(x), 5), round(float(y), 5)) for x, y in [*down, *up, down[0]]]
