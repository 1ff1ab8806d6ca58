"""The table of the NetCDF files that providers sent: what a curator writes, and what becomes of them.

Here belongs the table alone. Not here: what the tests do with it (``test_real_grids``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

OTHER_READERS = {
    "a_gridded/geotiff_oisst/oisst-avhrr-v02r01.20220913-err.tif": "read_geotiff",
    "a_gridded/geotiff_oisst/oisst-avhrr-v02r01.20220913-sst.tif": "read_geotiff",
    "a_gridded/geotiff_oisst/oisst-avhrr-v02r01.20220913.json": "metadata of the two",
    "a_gridded/zarr/analysed_sst.zarr": "read_zarr",
    "a_gridded/ereefs_gbr4/small.nc.json": "metadata of small.nc",
    "c_profiles/mooring/IMOS_ANMN-NSW_CDSTZ_20210429T015500Z_SYD140_FV01_SYD140-2104-SBE37SM-RS232-128_END-"
    "20210812T011500Z_C-20210827T074819Z.schema": "the schema of a table",
}
"""files that are no NetCDF, and what they are; ``test_real_other_grids`` tells what becomes of them"""

GSLA = "a_gridded/gsla/IMOS_OceanCurrent_HV_{}T000000Z_GSLA_FV02_NRT.nc"
NWA = "a_gridded/hfradar_nwa/IMOS_ACORN_V_20220312T0{}3000Z_NWA_FV01_1-hour-avg.nc"
TURQ = "a_gridded/hfradar_turq/IMOS_ACORN_V_20240101T0{}0000Z_TURQ_FV01_1-hour-avg.nc"
MONTH = "a_gridded/ereefs_gbr4_months/gbr4_simple_2018-{}.nc"
NEMO = "a_gridded/nemo/nemo_1m_2015{}_grid-T.nc"
EMS = "a_gridded/ems_curvilinear/cfgrid2d_2024-01-0{}.nc"
SEAWIFS = "a_gridded/chlorophyll/S20080012008031.L3m_MO_CHL_chlor_a_9km.nc"
RASTER = "a_gridded/ereefs_raster_export/ereefsDailyMeanWaterTemperature_10Dec2022_Depth1p5m.nc"
MOORING = "c_profiles/mooring/IMOS_ANMN-"
IMOS = {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
LONG = {"x": "longitude", "y": "latitude", "t": "time"}
NAV = {"x": "nav_lon", "y": "nav_lat", "t": "time_counter"}

Change = Callable[[xr.Dataset], xr.Dataset]


@dataclass(frozen=True)
class Row:
    """``files`` with the dataset.yaml of a curator; ``refused``: words of the reason, else they are published.

    ``change`` does to xarray's reading of a file what the steps ask for; ``times``: xarray's variable that has the
    times, or the times themselves; ``files_shown``: positions of the files whose values must be seen.
    """

    files: Sequence[str]
    coordinates: Mapping[str, str]
    steps: Mapping[str, Any] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)
    refused: Sequence[str] = ()
    change: Change = lambda source: source
    times: str | Sequence[str] | None = None
    files_shown: Sequence[int] | None = None
    steps_published: int | None = None


def _rectangle(source: xr.Dataset, west: float, south: float, east: float, north: float) -> xr.Dataset:
    inside = (source.longitude >= west) & (source.longitude <= east)
    inside &= (source.latitude >= south) & (source.latitude <= north)
    j, i = np.flatnonzero(inside.any("i")), np.flatnonzero(inside.any("j"))
    return source.isel(j=slice(j[0], j[-1] + 1), i=slice(i[0], i[-1] + 1))


def _clip_ostia(source: xr.Dataset) -> xr.Dataset:
    turned = source.assign_coords(
        longitude=xr.where(source.longitude > 180, source.longitude - 360, source.longitude)
    ).sortby("longitude")
    return turned.sel(longitude=slice(-20, 30), latitude=slice(-2, 2))


PUBLISHED = {
    "240 years of 360 days": Row(["a_gridded/calendars/A1B_north_america.nc"], LONG, steps_published=240),
    "a month of chlorophyll whose time stands in an attribute": Row(
        [SEAWIFS],
        {"x": "lon", "y": "lat", "t": "time"},
        {"set_time": {"attribute": "time_coverage_start"}, "clip": {"bbox": [142, -25, 155, -10]}},
        change=lambda s: s.sel(lat=slice(-10, -25), lon=slice(142, 155)),
        times=["2007-12-31T18:09:01"],
    ),
    "the same, its time in the name and its latitudes turned": Row(
        [SEAWIFS],
        {"x": "lon", "y": "lat", "t": "time"},
        {
            "set_time": {"name": "S%Y%j*.nc"},
            "orient": {"y": "ascending"},
            "clip": {"bbox": [142, -25, 155, -10]},
            "read_netcdf": {"drop": ["palette"]},
        },
        change=lambda s: s.sel(lat=slice(-10, -25), lon=slice(142, 155)).sortby("lat"),
        times=["2008-01-01"],
    ),
    "the climate of the sea surface": Row(
        ["a_gridded/coads/coads_sst.nc"], {"x": "COADSX", "y": "COADSY", "t": "TIME"}, steps_published=12
    ),
    "two days of a curvilinear model whose units of time differ": Row(
        [EMS.format(1), EMS.format(2)],
        {"x": "lon", "y": "lat", "t": "time"},
        layout={"cadence": "PT1H"},
        steps_published=48,
    ),
    "two hours of eReefs on a curvilinear grid with cells without place, in the zone +10": Row(
        ["a_gridded/ereefs_gbr4/small.nc"], {**LONG, "z": "zc"}, steps_published=2
    ),
    "the same, clipped to Heron Island's surroundings and its upper layer": Row(
        ["a_gridded/ereefs_gbr4/small.nc"],
        {**LONG, "z": "zc"},
        {"clip": {"bbox": [151.5, -24.0, 152.5, -23.0], "z": [-3700, -3600]}},
        change=lambda s: _rectangle(s, 151.5, -24.0, 152.5, -23.0).sel(k=s.zc > -3700),
    ),
    "three months of eReefs": Row(
        [MONTH.format(m) for m in ("10", "11", "12")],
        {"x": "lon", "y": "lat", "z": "zc", "t": "time"},
        steps_published=72,
    ),
    "a month of eReefs and its new edition under another name, which wins": Row(
        [MONTH.format("12"), MONTH.format("12_modified")],
        {"x": "lon", "y": "lat", "z": "zc", "t": "time"},
        {"unite": {"overlap": "newest_name"}},
        steps_published=24,
        files_shown=[1],
    ),
    "a day that R exported, without time and upside down": Row(
        [RASTER],
        {"x": "longitude", "y": "latitude"},
        {"orient": {"y": "ascending"}, "rename": {"layer": "temp"}},
        change=lambda s: s.rename(layer="temp").sortby("latitude"),
    ),
    "two days of sea level": Row(
        [GSLA.format("20110901"), GSLA.format("20110902")], IMOS, layout={"cadence": "P1D"}, steps_published=2
    ),
    "sea level of 2011 and 2024, whose axes differ in their last digits": Row(
        [GSLA.format(d) for d in ("20110901", "20110902", "20240101")],
        IMOS,
        {"unite": {"variables": "all", "coordinate_tolerance": 1e-4}},
        steps_published=3,
    ),
    "two hours of radar, descending, whose times are fractions of days": Row(
        [NWA.format(0), NWA.format(1)],
        IMOS,
        {"fix_time": {"round": "PT30M"}, "orient": {"y": "ascending"}, "unite": {"variables": "common"}},
        change=lambda s: s.sortby("LATITUDE"),
        times=["2022-03-12T00:30:00", "2022-03-12T01:30:00"],
    ),
    "two hours of radar on a curvilinear grid": Row(
        [TURQ.format(0), TURQ.format(1)],
        IMOS,
        {"fix_time": {"round": "PT1H"}, "unite": {"variables": "common"}},
        layout={"cadence": "PT1H"},
        times=["2024-01-01T00:00:00", "2024-01-01T01:00:00"],
    ),
    "two months of NEMO whose times stand in another variable": Row(
        [NEMO.format("0101-20150201"), NEMO.format("0201-20150301")],
        NAV,
        {"set_time": {"variable": "time_centered"}},
        change=lambda s: s.rename(time_centered_bounds="time_centered_bounds").drop_vars("time_counter"),
        times="time_centered",
    ),
    "a layer of ORCA2 in the year 1 of 360 days, whose time has no dimension": Row(
        ["a_gridded/nemo/orca2_votemper.nc"], NAV, {"set_time": {"variable": "time_counter"}}, times="time_counter"
    ),
    "the warmest weeks of a year, without time": Row(["a_gridded/noaa_crw/DHWmax_y2date.nc"], {"x": "lon", "y": "lat"}),
    "sea surface temperature in 0..360, cut out around the prime meridian": Row(
        ["a_gridded/ostia/ostia_monthly.nc"],
        LONG,
        {"clip": {"bbox": [-20, -2, 30, 2]}, "orient": {"longitude": "-180..180"}},
        change=_clip_ostia,
        steps_published=54,
    ),
    "60 days of MODIS with a day that lacks, and a dimension of one": Row(
        ["a_gridded/sst_erddap/MWsstd1day.nc"],
        {**LONG, "z": "altitude"},
        {"orient": {"longitude": "-180..180"}},
        {"cadence": "P1D"},
        change=lambda s: s.assign_coords(longitude=s.longitude - 360),
        steps_published=61,
    ),
    "the structure of delayed sea level": Row(
        ["a_gridded/structure_only/model_sea_level_anomaly_gridded_delayed.nc"], IMOS
    ),
    "the structure of an hour of radar": Row(
        ["a_gridded/structure_only/radar_CapricornBunkerGroup_velocity_hourly_averaged_realtime_nonqc.nc"], IMOS
    ),
    "the structure of degree heating days": Row(
        ["a_gridded/structure_only/satellite_austemp_dhd_14day.nc"], {"x": "lon", "y": "lat", "t": "time"}
    ),
}

A_TABLE = "rows of a table (format: parquet), not a grid"
REFUSED = {
    "sea level of 2011 and 2024 without a rule": Row(
        [GSLA.format("20110901"), GSLA.format("20240101")],
        IMOS,
        refused=["LATITUDE: ", "has type float32", "has type float64", "VCUR_MEAN: ", "unite: {variables"],
    ),
    "a month and its new edition": Row(
        [MONTH.format("12"), MONTH.format("12_modified")],
        {"x": "lon", "y": "lat", "t": "time"},
        refused=["gbr4_simple_2018-12.nc and gbr4_simple_2018-12_modified.nc both cover 2018-11-30T14:00:00Z"],
    ),
    "NEMO, whose axis has no units": Row(
        [NEMO.format("0101-20150201"), NEMO.format("0201-20150301")],
        NAV,
        refused=["coordinates.t: 'time_counter' has no units, so its times are unknown; set_time says where else"],
    ),
    "ORCA2, whose time has no dimension": Row(
        ["a_gridded/nemo/orca2_votemper.nc"],
        NAV,
        refused=["'time_counter' has no dimension; a time axis has exactly one", "set_time: {variable: time_counter}"],
    ),
    "a chlorophyll file as if it had a time": Row(
        [SEAWIFS], {"x": "lon", "y": "lat", "t": "time"}, refused=["coordinates.t: there is no variable 'time'"]
    ),
    "radar whose grids differ": Row([NWA.format(0), TURQ.format(0)], IMOS, refused=["dimension", "LATITUDE: ", "J: "]),
    "radar rounded to the full hour, which would move it by half an hour": Row(
        [NWA.format(0)], IMOS, {"fix_time": {"round": "PT1H"}}, refused=["farther than a tenth of PT1H from"]
    ),
    "MODIS off its cadence": Row(
        ["a_gridded/sst_erddap/MWsstd1day.nc"], LONG, layout={"cadence": "P7D"}, refused=["is off the cadence P7D"]
    ),
    "waves at a mooring": Row(
        ["a_gridded/structure_only/mooring_wave_timeseries_delayed_qc.nc"], IMOS, refused=["are one place", A_TABLE]
    ),
    "profiles of a float": Row(
        ["c_profiles/argo/2902093_prof.nc"],
        {"x": "LONGITUDE", "y": "LATITUDE", "t": "JULD"},
        refused=["both lie along 'N_PROF', a track or a list of places", A_TABLE, "N_HISTORY' has size 0"],
    ),
    "profiles of a biogeochemical float": Row(
        ["c_profiles/argo/MD5903593_001.nc"],
        {"x": "LONGITUDE", "y": "LATITUDE", "t": "JULD"},
        refused=["both lie along 'N_PROF'", A_TABLE],
    ),
    "temperatures from a fishing boat": Row(
        ["c_profiles/fishsoop/IMOS_SOOP-FishSOOP_TP_20250708T032737Z_FV01_1195.nc"],
        IMOS,
        refused=["both lie along 'TIME'", A_TABLE],
    ),
    "currents above a mooring": Row(
        [
            f"{MOORING}NRS_AETVZ_20181213T080000Z_NRSROT-ADCP_FV01_NRSROT-ADCP-1812-Sentinel-or-Monitor-Workhorse-"
            "ADCP-44_END-20181215T100000Z_C-20200430T000000Z.nc"
        ],
        IMOS,
        refused=["are one place", A_TABLE],
    ),
    "temperatures at a mooring": Row(
        [
            f"{MOORING}NRS_TZ_20181213T080000Z_NRSROT_FV01_NRSROT-1812-SBE39-23_END-20190306T160000Z_"
            "C-20190827T000000Z.nc"
        ],
        IMOS,
        refused=["are one place", A_TABLE],
    ),
    "temperatures of three instruments, one after the other": Row(
        [f"{MOORING}NRS_TZ_20181213_NRSROT_FV01_TEMP-aggregated-timeseries_END-20190523_C-20220607.nc"],
        IMOS,
        refused=["both lie along 'INSTRUMENT'", A_TABLE],
    ),
    "temperatures by depth at a mooring": Row(
        [f"{MOORING}NRS_TZ_20181213_NRSROT_FV02_TEMP-gridded-timeseries_END-20190523_C-20230110.nc"],
        IMOS,
        refused=["are one place", A_TABLE],
    ),
    "velocities of three instruments, one after the other": Row(
        [f"{MOORING}NRS_VZ_20180816_NRSROT_FV01_velocity-aggregated-timeseries_END-20191018_C-20200623.nc"],
        IMOS,
        refused=["both lie along 'INSTRUMENT'", A_TABLE],
    ),
    "salinity at a mooring": Row(
        [
            f"{MOORING}NSW_CDSTZ_20210429T015500Z_SYD140_FV01_SYD140-2104-SBE37SM-RS232-128_END-20210812T011500Z_"
            "C-20210827T074819Z.nc"
        ],
        IMOS,
        refused=["are one place", A_TABLE],
    ),
    "a ship's track without a time": Row(
        ["c_profiles/soop/IMOS_SOOP-SST_ST_20130612T000000Z_VMQ9273_FV01_C-20130613T005515Z.nc"],
        IMOS,
        refused=["coordinates.t: there is no variable 'TIME'", "both lie along 'TIME'", A_TABLE],
    ),
    "a buoy": Row(
        ["c_profiles/wave/BOM_20240301_CAPE-SORELL_RT_WAVE-PARAMETERS_monthly.nc"],
        IMOS,
        refused=["both lie along 'TIME'", A_TABLE],
    ),
}
