"""Small NetCDF files of samples in each of CF's representations, for the tests of profiles.

Here belongs writing them, by netCDF4. Not here: any expectation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.tabular import StagedTable, stage_table
from rimrep_assets_tests.domain.table_examples import table

DAYS = {"units": "days since 1950-01-01 00:00:00 UTC", "standard_name": "time", "calendar": "gregorian"}
LAT = {"units": "degrees_north", "standard_name": "latitude"}
LON = {"units": "degrees_east", "standard_name": "longitude"}
Var = tuple[str, str, Any, Mapping[str, Any]]
"""type, dimensions parted by blanks, values as stored, attributes (``_FillValue`` among them)"""


def write(path: Path, sizes: Mapping[str, int], variables: Mapping[str, Var], **options: Any) -> Path:
    """``options``: ``format`` of netCDF4 (NETCDF4 by default), and global attributes."""
    with netCDF4.Dataset(path, "w", format=options.pop("format", "NETCDF4")) as file:
        for name, size in sizes.items():
            file.createDimension(name, size)
        for name, (kind, dims, values, about) in variables.items():
            told = dict(about)
            fill = told.pop("_FillValue", None)
            made = file.createVariable(name, kind, tuple(dims.split()), fill_value=fill)
            made.set_auto_maskandscale(False)
            made.set_auto_chartostring(False)
            made.setncatts(told)
            if values is not None:
                made[...] = values
        file.setncatts(options)
    return path


def letters(words: Sequence[str], length: int) -> np.ndarray[Any, Any]:
    """Words as an array of characters, filled up with NUL."""
    return np.array([list(word.encode().ljust(length, b"\0")) for word in words], "u1").view("S1")


def argo(path: Path, profiles: slice = slice(None), **options: Any) -> Path:
    """Three profiles of up to four levels, the second of two, with a place missing and packed salinity."""
    whole: dict[str, Var] = {
        "PLATFORM": ("S1", "N_PROF STRING8", letters(["5901", "5902   ", ""], 8), {"_FillValue": b" "}),
        "JULD": ("f8", "N_PROF", [23067.25, 999999.0, 23069.5], {**DAYS, "_FillValue": 999999.0}),
        "LATITUDE": ("f8", "N_PROF", [-18.5, -19.5, -20.5], LAT),
        "LONGITUDE": ("f8", "N_PROF", [147.0, 148.0, 99999.0], {**LON, "_FillValue": 99999.0}),
        "PRES": (
            "f4",
            "N_PROF N_LEVELS",
            [[5, 10, 20, 30], [5, 10, 99999, 99999], [5, 99999, 20, 30]],
            {"_FillValue": np.float32(99999), "units": "decibar"},
        ),
        "PSAL": (
            "i2",
            "N_PROF N_LEVELS",
            [[3500, 3501, 3502, -1], [3510, 3511, -1, -1], [3520, -1, 3522, 3523]],
            {"_FillValue": np.int16(-1), "scale_factor": 0.01, "add_offset": 0.5},
        ),
        "PRES_QC": (
            "i1",
            "N_PROF N_LEVELS",
            [[1, 1, 1, 4], [1, 1, 9, 9], [1, 9, 1, 1]],
            {"flag_values": np.arange(10, dtype="i1")},
        ),
    }
    chosen = {
        name: (kind, dims, np.array(values)[profiles], about) for name, (kind, dims, values, about) in whole.items()
    }
    count = len(range(3)[profiles])
    return write(path, {"N_PROF": count, "N_LEVELS": 4, "STRING8": 8}, chosen, **options)


COUNTS = (3, 0, 2, 4)
STATIONS = ("Davies", "Myrmidon", "Heron", "Lizard")


def ragged(path: Path, *, contiguous: bool, order: Sequence[int] = (), **options: Any) -> Path:
    """Nine samples of four stations, one of them without any; ``order`` are the samples of an indexed array."""
    samples = sum(COUNTS)
    belongs = np.repeat(np.arange(4), COUNTS)[list(order) or slice(None)]
    link: dict[str, Var] = {"row_size": ("i4", "station", list(COUNTS), {"sample_dimension": "obs"})}
    if not contiguous:
        link = {"station_index": ("i4", "obs", belongs, {"instance_dimension": "station"})}
    return write(
        path,
        {"obs": samples, "station": 4, "letters": 10},
        {
            "station_name": ("S1", "station letters", letters(STATIONS, 10), {"cf_role": "timeseries_id"}),
            "lat": ("f8", "station", [-18.8, -18.3, -23.4, -14.7], LAT),
            "lon": ("f8", "station", [147.6, 147.4, 151.9, 145.4], LON),
            **link,
            "time": ("i4", "obs", np.arange(samples) * 600, {"units": "seconds since 2020-01-01", "axis": "T"}),
            "temp": ("f4", "obs", 20 + np.arange(samples) / 8, {"_FillValue": np.float32(-9)}),
        },
        **options,
    )


def dataset(coordinates: Mapping[str, str] | None = None, **options: Any) -> Dataset:
    return table(convert={"read_profiles": options}, coordinates=dict(coordinates or {}))


def staged(path: Path, coordinates: Mapping[str, str] | None = None, **options: Any) -> tuple[pa.Table, StagedTable]:
    """The rows of a file and what staging tells of them."""
    out = path.with_suffix(".parquet")
    told = stage_table(path, path.name, dataset(coordinates, **options), None, out)
    return pq.read_table(out), told
