"""Provider's files that a program which appends blindly would take, and what must become of each.

Here belongs the table. Days 0 to 4 are published before; each entry writes what the provider sends next. Not here: the
tests (``test_grid_corruptions``), or corruptions by our own hand (``grid_slips``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from rimrep_assets_tests.grid_worlds import LAT, LON, MEANINGS, GridFile

NEXT = "day_0005.00.nc"
AS_IS, UNPACKED, REGULAR, DOUBLES = "as is", "unpacked", "regular", "doubles"
RULES: dict[str, dict[str, Any]] = {AS_IS: {}, UNPACKED: {"unpack": {}}, REGULAR: {"cadence": "P1D"}, DOUBLES: {}}
"""rules of the dataset under which a grid is published, by name (arguments of ``grid_yaml``)"""
DOUBLE: dict[str, Any] = {"dtype": "f8", "scale": None, "offset": None, "fill": None, "fraction": 0.1}
"""files of doubles, which stand in the world of that name alone"""


@dataclass(frozen=True)
class Drift:
    """``told``: patterns that the refusal must hold all; empty where the files are taken, and taken rightly."""

    name: str
    sentence: str
    write: Callable[[Path], object]
    told: tuple[str, ...] = ()
    rules: str = AS_IS


def next_day(**bent: Any) -> Callable[[Path], object]:
    """Day 5, bent."""
    return GridFile(bent.pop("days", (5,)), **bent).write


def raw(path: Path, change: Callable[[netCDF4.Dataset], None]) -> None:
    """Change a file in place; its numbers are those that are stored."""
    with netCDF4.Dataset(str(path), "r+") as file:
        file.set_auto_maskandscale(False)
        change(file)


def next_day_changed(change: Callable[[netCDF4.Dataset], None], **bent: Any) -> Callable[[Path], object]:
    return lambda folder: raw(GridFile((5,), **bent).write(folder), change)


def cut(folder: Path, format: str, size: Callable[[int], int]) -> None:
    path = GridFile((5,), format=format).write(folder)
    data = path.read_bytes()
    path.write_bytes(data[: size(len(data))])


def damaged(folder: Path) -> None:
    """A byte in the middle of a compressed chunk is another one."""
    import h5py

    path = GridFile((5,)).write(folder)
    with h5py.File(path) as file:
        chunk = file["sst"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    for place in range(chunk.byte_offset + 2, chunk.byte_offset + chunk.size):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def renamed_copy(folder: Path) -> None:
    """Day 4 once more under another name, with other bytes."""
    raw(GridFile((4,)).write(folder, "day_0004.00_v2.nc"), lambda file: file.setncattr("history", "sent again"))


def with_meaning(**words: Any) -> dict[str, dict[str, Any]]:
    return {**MEANINGS, "sst": {**MEANINGS["sst"], **words}}


def times(*numbers: float) -> Callable[[netCDF4.Dataset], None]:
    def change(file: netCDF4.Dataset) -> None:
        file["time"][:] = np.array(numbers)

    return change


def multi(change: Callable[[netCDF4.Dataset], None]) -> Callable[[Path], object]:
    return lambda folder: raw(GridFile((5, 6, 7)).write(folder), change)


UNITS_10 = "days since 2020-01-01 00:00:00 +10:00"
UNITS_LATER = "days since 2020-01-06 00:00:00"
HOURS = "hours since 2019-12-31 00:00:00"

REFUSED = [
    Drift("scale drifts", "VirtualiZarr#1059: 3.7 K", next_day(scale=0.02), ("sst", "scale 0.02", NEXT)),
    Drift("offset drifts", "VirtualiZarr#1004", next_day(offset=273.15), ("sst", "offset 273.15", NEXT)),
    Drift("fill drifts", "the old fill becomes a value", next_day(fill=-32768), ("sst", "fill -32768", NEXT)),
    Drift("fill undeclared", "fill is taken for data", next_day(fill=None), ("sst", "fill none", NEXT)),
    Drift("packing given up", "decoded floats after packed numbers", next_day(dtype="f4", scale=None, offset=None),
          ("sst", "float32", NEXT)),
    Drift("wider numbers", "int32 cast to int16", next_day(dtype="i4", highest=70_000), ("sst", "int32", NEXT)),
    Drift("unsigned is new", "200 is read as -56", next_day(extra={"_Unsigned": "true"}), ("sst", "unsigned", NEXT)),
    Drift("kelvin to celsius", "no attribute of an array tells it", next_day(meanings=with_meaning(units="degree_C")),
          ("sst", "degree_C", NEXT)),
    Drift("unit gone", "nobody knows", next_day(meanings=with_meaning(units="")), ("sst", "unit", NEXT)),
    Drift("another quantity", "skin for bulk temperature",
          next_day(meanings=with_meaning(standard_name="sea_surface_skin_temperature")),
          ("sst", "sea_surface_skin_temperature", NEXT)),
    Drift("variables swapped", "the names changed places", next_day(meanings={
        "sst": MEANINGS["wind"], "wind": MEANINGS["sst"]}), ("sst", "wind_speed", NEXT)),
    Drift("calendar shifted", "noleap: a day off after February", next_day(calendar="noleap"),
          ("time", "noleap", NEXT)),
    Drift("sent twice", "xarray#4958: doubled append", renamed_copy, ("day_0004.00_v2.nc", "2020-01-05", "both")),
    Drift("overlap", "arco-era5#81: a window that begins too early", 
          lambda folder: GridFile((4, 5, 6), seed=3).write(folder, "later.nc"),
          ("day_0004.00.nc", "2020-01-05", "both")),
    Drift("a day twice in a file", "the second hides the first", multi(times(5.5, 6.5, 6.5)),
          ("time", "2020-01-07", NEXT)),
    Drift("no time at a step", "NaT became 1970", multi(times(5.5, np.nan, 7.5)), ("time", NEXT)),
    Drift("off the cadence", "noon rounded to a neighbour", next_day(days=(5.6,)),
          ("day_0005.60.nc", "2020-01-06T14:24:00Z", "P1D"), REGULAR),
    Drift("between two steps", "two days fall on one", next_day(days=(4.75, 5.25)),
          ("2020-01-05T18:00:00Z", "P1D"), REGULAR),
    Drift("latitude turned", "north and south change places", next_day(lat=LAT[::-1]), ("lat", NEXT)),
    Drift("longitude rolled", "0 to 360 after -180 to 180", next_day(lon=LON - 360), ("lon", NEXT)),
    Drift("another region", "xarray#11101: append relabels coordinates", next_day(lat=LAT + 20), ("lat", NEXT)),
    Drift("coarser coordinates", "float32 latitudes shift cells", next_day(lat=LAT.astype("f4")), ("lat", NEXT)),
    Drift("transposed", "square planes hide it", next_day(dims=("time", "lon", "lat")), ("sst", "dimensions", NEXT)),
    Drift("another size", "a grid of another size in the series", next_day(lon=np.append(LON, 147.0)),
          ("lon", "5", NEXT)),
    Drift("variable lost", "xarray#10501: silent loss on append", next_day(variables=("sst",)), ("wind", NEXT)),
    Drift("cut, NetCDF-4", "the header is valid", partial(cut, format="NETCDF4", size=lambda n: n - 300), (NEXT,)),
    Drift("cut, NetCDF-3", "the header is valid", partial(cut, format="NETCDF3_CLASSIC", size=lambda n: n - 20),
          (NEXT, "cut: 20 bytes")),
    Drift("nothing in it", "0 bytes", partial(cut, format="NETCDF4", size=lambda n: 0), (NEXT, "empty")),
    Drift("damaged chunk", "bytes changed on the way", damaged, (NEXT,)),
    Drift("an error page", "a server's HTML under a NetCDF name",
          lambda folder: (folder / NEXT).write_text("<html>503 Service Unavailable</html>"), (NEXT,)),
]  # fmt: skip

TAKEN = [
    Drift("scale drifts, unpacked", "each file's own scale", next_day(scale=0.02), rules=UNPACKED),
    Drift("offset drifts, unpacked", "each file's own offset", next_day(offset=273.15), rules=UNPACKED),
    Drift("fill drifts, unpacked", "each file's own fill", next_day(fill=-32768), rules=UNPACKED),
    Drift("unsigned, unpacked", "bytes above 127", rules=UNPACKED, write=next_day(
        dtype="i1", lowest=1, highest=250, fill=np.int8(-1), scale=0.1, extra={"_Unsigned": "true"})),
    Drift("floats, unpacked", "decoded floats with NaN", rules=UNPACKED, write=next_day(
        dtype="f4", scale=None, offset=None, fill=np.float32("nan"))),
    Drift("reference moved", "the numbers begin anew", multi(lambda file: (
        file["time"].setncattr("units", UNITS_LATER), times(0.5, 1.5, 2.5)(file)))),  # type: ignore[arg-type,func-returns-value]
    Drift("time zone", "+10 ignored is ten hours", next_day(units=UNITS_10)),
    Drift("other unit of time", "hours after days", next_day_changed(lambda file: (
        file["time"].setncattr("units", HOURS), times(6 * 24.0)(file)))),  # type: ignore[arg-type,func-returns-value]
    Drift("big endian", "bytes the other way round", next_day(dtype=">i2")),
    Drift("missing_value too", "two words for no value", next_day(extra={"missing_value": np.int16(7)}, lowest=6, highest=9),
          rules=UNPACKED),
    Drift("classic file", "NetCDF-3 after NetCDF-4", next_day(format="NETCDF3_CLASSIC")),
    Drift("a late day", "a file that comes after its successors", next_day(days=(-3,)), rules=REGULAR),
    Drift("a hole", "two days did not come", next_day(days=(7,)), rules=REGULAR),
    Drift("noon of floating days", "5.49999999 is noon", next_day_changed(times(5.5 - 1e-9)), rules=REGULAR),
]  # fmt: skip
