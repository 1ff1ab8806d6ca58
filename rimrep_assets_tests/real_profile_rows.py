"""The table of the files of samples that providers sent: what a curator writes, and what becomes of them.

Here belongs the table alone. Not here: what the tests do with it (``test_real_profiles``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOORING = "mooring/IMOS_ANMN-"
ADCP = (
    f"{MOORING}NRS_AETVZ_20181213T080000Z_NRSROT-ADCP_FV01_NRSROT-ADCP-1812-Sentinel-or-Monitor-Workhorse-ADCP-44_END-"
    "20181215T100000Z_C-20200430T000000Z.nc"
)
CTD = (
    f"{MOORING}NSW_CDSTZ_20210429T015500Z_SYD140_FV01_SYD140-2104-SBE37SM-RS232-128_END-20210812T011500Z_"
    "C-20210827T074819Z"
)
TEMPERATURE = (
    f"{MOORING}NRS_TZ_20181213T080000Z_NRSROT_FV01_NRSROT-1812-SBE39-23_END-20190306T160000Z_C-20190827T000000Z.nc"
)
AGGREGATED = f"{MOORING}NRS_TZ_20181213_NRSROT_FV01_TEMP-aggregated-timeseries_END-20190523_C-20220607.nc"
GRIDDED = f"{MOORING}NRS_TZ_20181213_NRSROT_FV02_TEMP-gridded-timeseries_END-20190523_C-20230110.nc"
VELOCITY = f"{MOORING}NRS_VZ_20180816_NRSROT_FV01_velocity-aggregated-timeseries_END-20191018_C-20200623.nc"
FISH = "fishsoop/IMOS_SOOP-FishSOOP_TP_20250708T032737Z_FV01_1195.nc"
SHIP = "soop/IMOS_SOOP-SST_ST_20130612T000000Z_VMQ9273_FV01_C-20130613T005515Z.nc"
BUOY = "wave/BOM_20240301_CAPE-SORELL_RT_WAVE-PARAMETERS_monthly.nc"
FLOAT = "argo/2902093_prof.nc"
BGC = "argo/MD5903593_001.nc"
IMOS = {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
ARGO = {**IMOS, "t": "JULD"}


@dataclass(frozen=True)
class Row:
    """``file`` with the options of ``read_profiles``; ``refused``: words of the reason, else it is published.

    ``dims``: the dimensions whose cells are the rows; ``index``: the variable that tells each row's instance along a
    dimension; ``measured``: where all of these are missing there is no row; ``count``: of rows. ``left``: what the file
    has and the table lacks, besides.
    """

    file: str
    coordinates: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: Sequence[str] = ()
    dims: Sequence[str] = ("TIME",)
    index: tuple[str, str] | None = None
    measured: Sequence[str] = ()
    count: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    keep: Sequence[str] = ()
    """variables whose values outside their valid range stay"""
    constants: Mapping[str, Any] = field(default_factory=dict)


PUBLISHED = {
    "profiles of a float": Row(
        FLOAT,
        ARGO,
        {"variables": ["PLATFORM_NUMBER", "CYCLE_NUMBER", "DIRECTION", "JULD*", "L*TUDE", "PRES*", "TEMP*", "PSAL*"]},
        dims=("N_PROF", "N_LEVELS"),
        measured=("PRES", "PRES_QC", "TEMP", "TEMP_QC", "PSAL", "PSAL_QC"),
        count=29_509,
        left={"rows that hold nothing but fill": 4187},
    ),
    "all that is told of a float's profiles but its calibration": Row(
        FLOAT,
        ARGO,
        {"dimension": ["N_PROF", "N_LEVELS"]},
        dims=("N_PROF", "N_LEVELS"),
        measured=("PRES", "PRES_QC", "TEMP", "TEMP_QC", "PSAL", "PSAL_QC"),
        count=29_509,
    ),
    "where and when a float came up, without its levels": Row(
        FLOAT,
        ARGO,
        {"dimension": "N_PROF", "variables": ["PLATFORM_NUMBER", "CYCLE_NUMBER", "JULD", "LATITUDE", "LONGITUDE"]},
        dims=("N_PROF",),
        count=234,
    ),
    "profiles of a biogeochemical float": Row(
        BGC,
        ARGO,
        dims=("N_PROF", "N_LEVELS"),
        measured=("PRES", "PRES_QC", "TEMP", "PSAL", "DOXY", "CHLA", "BBP700", "NITRATE"),
        count=557,
    ),
    "salinity at a mooring, with values that its own range rules out": Row(
        f"{CTD}.nc",
        IMOS,
        {"attributes": {"platform_code": "platform", "instrument_nominal_depth": "nominal"}},
        count=30_886,
        left={f"rows with a value outside the valid range of {v}": n for v, n in (("CNDC", 1), ("PSAL", 652))},
        constants={"platform": "SYD140", "nominal": 128.0},
    ),
    "the same, as the instrument told it": Row(
        f"{CTD}.nc", IMOS, {"outside_valid": {"CNDC": "keep", "PSAL": "keep"}}, count=30_886, keep=("CNDC", "PSAL")
    ),
    "temperatures at a mooring": Row(TEMPERATURE, IMOS, count=12_001),
    "temperatures of three instruments, an indexed ragged array": Row(
        AGGREGATED, IMOS, dims=("OBSERVATION",), index=("INSTRUMENT", "instrument_index"), count=32_150
    ),
    "velocities of three instruments, an indexed ragged array": Row(
        VELOCITY, IMOS, dims=("OBSERVATION",), index=("INSTRUMENT", "instrument_index"), count=7144
    ),
    "temperatures by time and depth, gaps and all": Row(GRIDDED, IMOS, dims=("TIME", "DEPTH"), count=3693 * 4),
    "currents above a mooring": Row(ADCP, IMOS, dims=("TIME", "HEIGHT_ABOVE_SENSOR"), count=51 * 6),
    "temperatures from a fishing boat east of the antimeridian": Row(
        FISH, IMOS, {"outside_valid": {"LONGITUDE": "keep"}}, count=368, keep=("LONGITUDE",)
    ),
    "a ship's track without times, its last place undeclared fill": Row(
        SHIP,
        {"x": "LONGITUDE", "y": "LATITUDE"},
        {"attributes": {"platform_code": "ship"}},
        count=1026,
        left={"variables that do not lie along the rows: history": 1},
        constants={"ship": "VMQ9273"},
    ),
    "waves at a buoy": Row(BUOY, IMOS, count=541),
}
REFUSED = {
    "longitudes beyond the range that the file itself declares": Row(
        FISH,
        IMOS,
        refused=["LONGITUDE: row 0: 180.247", "lies outside its own valid range -180.0..180.0", "and 363 more like it"],
    ),
    "a ship's track as if it had a time": Row(
        SHIP, IMOS, refused=["coordinates.t names 'TIME', which is not in the data", "nearest first"]
    ),
    "the calibration of a float, which lies along other dimensions": Row(
        FLOAT,
        ARGO,
        {"variables": ["PRES", "HISTORY_STOP_PRES", "SCIENTIFIC_CALIB_DATE"], "dimension": ["N_PROF", "N_LEVELS"]},
        refused=["HISTORY_STOP_PRES: lies along N_HISTORY x N_PROF", "SCIENTIFIC_CALIB_DATE: lies along N_PROF"],
    ),
    "the history of a float, which has none": Row(
        FLOAT, ARGO, {"dimension": "N_HISTORY"}, refused=["dimension 'N_HISTORY' has size 0"]
    ),
    "an instrument's attribute that is not there": Row(
        TEMPERATURE,
        IMOS,
        {"attributes": {"platform": "platform"}},
        refused=["attributes names 'platform', which it lacks; did you mean 'platform_code'?"],
    ),
    "the schema of a table": Row(f"{CTD}.schema", IMOS, refused=["cannot be read as NetCDF"]),
}
