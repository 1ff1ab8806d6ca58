"""Slips of our own hand: a decoder that errs, a writer that errs, a store that loses; the gate must see each.

Here belongs the table. Days 0 to 4 are published, ``SENT`` wait in the source; each entry bends what is staged of them.
Not here: the tests (``test_grid_corruptions``), or what providers send (``grid_drifts``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import zarr

from rimrep_assets.domain.grid_state import GridState
from rimrep_assets_tests.grid_drifts import AS_IS, DOUBLE, DOUBLES, UNPACKED, raw
from rimrep_assets_tests.grid_worlds import GridFile

SENT = (5, 6, 7)
FIRST_NEW, LAST = 5, 8
"""positions of the new days on the axis"""
ONE_FILE = GridFile(SENT)
EACH_A_FILE = tuple(GridFile((day,)) for day in SENT)


@dataclass(frozen=True)
class Slip:
    """One of ``store``, ``file`` and ``state`` bends; ``told`` are patterns that the refusal must hold all.

    ``store``: changes the staged group before it is read back. ``file``: changes a copy of a source file, which the
    writer gets for the true one, as if its decoder erred so. ``state``: changes what the writer believes of the files.
    """

    name: str
    sentence: str
    told: tuple[str, ...]
    store: Callable[[zarr.Group], object] | None = None
    file: Callable[[Path], object] | None = None
    state: Callable[[GridState], GridState] | None = None
    sent: tuple[GridFile, ...] = EACH_A_FILE
    rules: str = AS_IS


def put(name: str, where: Any, values: Any) -> Callable[[zarr.Group], None]:
    """Other stored numbers at a place; ``values`` may be made of those that are there."""

    def change(group: zarr.Group) -> None:
        array: Any = group[name]
        array[where] = values(array[where]) if callable(values) else values

    return change


def fill(name: str, where: Any) -> Callable[[zarr.Group], None]:
    """As if the chunk had never been written."""
    return lambda group: put(name, where, group[name].fill_value)(group)  # type: ignore[union-attr]


def attribute(name: str, key: str, value: Any = None) -> Callable[[zarr.Group], None]:
    """Another attribute, or none."""

    def change(group: zarr.Group) -> None:
        attributes = {k: v for k, v in dict(group[name].attrs).items() if k != key}
        group[name].attrs.put(attributes if value is None else {**attributes, key: value})

    return change


def all_of(*changes: Callable[[zarr.Group], object]) -> Callable[[zarr.Group], None]:
    return lambda group: [change(group) for change in changes] and None


def swap_chunks(group: zarr.Group) -> None:
    sst: Any = group["sst"]
    one, other = sst[6:8, 0:2, 0:2], sst[6:8, 2:4, 2:4]
    sst[6:8, 0:2, 0:2], sst[6:8, 2:4, 2:4] = other, one


def swap_variables(group: zarr.Group) -> None:
    sst, wind = (np.asarray(group[name][FIRST_NEW:LAST]) for name in ("sst", "wind"))  # type: ignore[index]
    put("sst", slice(FIRST_NEW, LAST), wind)(group)
    put("wind", slice(FIRST_NEW, LAST), sst)(group)


def append_again(group: zarr.Group) -> None:
    """All arrays longer by the last days once more."""
    for name in ("sst", "wind", "time"):
        array: Any = group[name]
        again = array[FIRST_NEW:LAST]
        array.resize((LAST + len(SENT), *array.shape[1:]))
        array[LAST:] = again


def made_anew(name: str, **other: Any) -> Callable[[zarr.Group], None]:
    """The array once more with another type or other names of dimensions, the same values in it."""

    def change(group: zarr.Group) -> None:
        old: Any = group[name]
        values, attributes = old[...], dict(old.attrs)
        names = other.get("dimension_names", old.metadata.dimension_names)
        values = values.astype(other.get("dtype", values.dtype))
        del group[name]
        group.create_array(name, data=values, chunks=old.chunks, dimension_names=names, attributes=attributes)

    return change


def spoil(name: str, chunk: str, spoiled: Callable[[bytes], bytes]) -> Callable[[zarr.Group], None]:
    """Other encoded bytes under a chunk's key."""

    def change(group: zarr.Group) -> None:
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        key, prototype = f"{name}/c/{chunk}", default_buffer_prototype()
        stored = sync(group.store.get(key, prototype))
        assert stored is not None
        sync(group.store.set(key, prototype.buffer.from_bytes(spoiled(stored.to_bytes()))))

    return change


def flipped(data: bytes) -> bytes:
    """One bit in the middle: the last rows of a short block are not looked at by anybody."""
    middle = len(data) * 2 // 3
    return data[:middle] + bytes([data[middle] ^ 0b100]) + data[middle + 1 :]


def in_file(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """The decoder gives these numbers for the file's. It errs in all variables: of one chunk a file every value is
    decoded by another reader, and an error that is nowhere but in one chunk may be in one that was not chosen."""

    def apply(file: netCDF4.Dataset) -> None:
        for name in ("sst", "wind"):
            file[name][:] = change(np.asarray(file[name][:]))

    return lambda path: raw(path, apply)


def packing_of_files(**wrong: Any) -> Callable[[GridState], GridState]:
    """The writer unpacks all files so."""

    def change(state: GridState) -> GridState:
        layouts = {}
        for digest, layout in state.layouts.items():
            bent = dict(layout.variables)
            for name in ("sst", "wind"):
                packing = bent[name].packing
                packing = packing.model_copy(update={key: other(packing) for key, other in wrong.items()})
                bent[name] = bent[name].model_copy(update={"packing": packing})
            layouts[digest] = layout.model_copy(update={"variables": bent})
        return state.model_copy(update={"layouts": layouts})

    return change


def other_file(path: Path) -> None:
    """The rows of another file."""
    GridFile((SENT[0] + 1,)).write(path.parent, path.name)


NEW = slice(FIRST_NEW, LAST)
DAY = r"2020-01-0[678]"
NAN_TO_ZERO = put("sst", NEW, lambda values: np.nan_to_num(values))
MOSTLY_FILL = tuple(GridFile((day,), missing=0.9) for day in SENT)
UNSIGNED = (GridFile((5,), dtype="i1", lowest=130, highest=250, fill=np.int8(-1), scale=0.1,
                     extra={"_Unsigned": "true"}),)  # fmt: skip
OTHER_SCALE = (GridFile((5,), scale=0.02, offset=273.15),)
OF_DOUBLES = (GridFile((5,), **DOUBLE),)

SLIPS = [
    Slip("one value", "off by one in the last digit", ("sst", DAY), store=put("sst", (6, 1, 2), lambda v: v + 1)),
    Slip("one value becomes fill", "a value is lost", ("sst", DAY), store=fill("sst", (6, 3, 3))),
    Slip("chunk zeroed", "xarray#8371: chunks of zeros after an append", ("sst", DAY),
         store=put("sst", (slice(6, 8), slice(0, 2), slice(0, 2)), 0)),
    Slip("chunk lost", "zarr-python#3682: a chunk was never written", ("sst", DAY),
         store=fill("sst", (slice(6, 8), slice(0, 2), slice(2, 4)))),
    Slip("chunks swapped", "each under the other's key", ("sst", DAY), store=swap_chunks),
    Slip("last block lost", "a partial write", ("sst", DAY), store=all_of(
        fill("sst", slice(6, 8)), fill("wind", slice(6, 8)))),
    Slip("append lost", "xarray#10501: the axis grew, the values did not", ("sst", DAY), store=all_of(
        fill("sst", NEW), fill("wind", NEW))),
    Slip("appended twice", "xarray#10766: a retried append", ("time", "11 times, expected 8"), store=append_again),
    Slip("append one step late", "an index off by one", ("sst", DAY),
         store=put("sst", NEW, lambda values: np.roll(values, 1, axis=0))),
    Slip("times shifted", "every new day is the next one", ("time", DAY), store=put("time", NEW, lambda t: t + 86400)),
    Slip("a time twice", "two steps under one date", ("time", DAY), store=put("time", 6, lambda t: t - 86400)),
    Slip("times of another reference", "numbers copied under other units", ("time", "2020-01-01"),
         store=attribute("time", "units", "seconds since 1981-01-01 00:00:00")),
    Slip("calendar relabelled", "the same numbers in a year without leap days", ("time", "noleap"),
         store=attribute("time", "calendar", "noleap")),
    Slip("scale lost", "hydromt#931: 928 mm a day", ("sst", "scale_factor"), store=attribute("sst", "scale_factor")),
    Slip("offset lost", "values colder by 290 K", ("sst", "add_offset"), store=attribute("sst", "add_offset")),
    Slip("fill lost", "-999 * 0.01 + 290 is a value", ("sst", "_FillValue"), store=attribute("sst", "_FillValue")),
    Slip("scale rounded", "0.01 as float32", ("sst", "scale_factor"),
         store=attribute("sst", "scale_factor", float(np.float32(0.01)))),
    Slip("unit changed", "celsius over kelvin's numbers", ("sst", "unit"), store=attribute("sst", "units", "degree_C")),
    Slip("missing becomes zero", "arco-era5#144", ("sst", DAY), store=NAN_TO_ZERO, rules=UNPACKED),
    Slip("decoded, attributes kept", "scaled twice by every reader", ("sst", DAY),
         store=put("sst", NEW, lambda values: (values * 0.01).astype("i2"))),
    Slip("other type", "int16 kept as float32", ("cannot be read back", "fill_value"), store=made_anew("sst", dtype="float32")),
    Slip("dimensions relabelled", "a square plane hides it", ("sst", "dimensions"),
         store=made_anew("sst", dimension_names=("time", "lon", "lat"))),
    Slip("latitudes rounded", "coordinates through float32", ("lat",),
         store=put("lat", ..., lambda values: values.astype("f4").astype("f8"))),
    Slip("latitudes turned", "xarray#8427: coordinates relabelled", ("lat",), store=put("lat", ..., lambda v: v[::-1])),
    Slip("longitudes rolled", "0 to 360 written over -180 to 180", ("lon",), store=put("lon", ..., lambda v: v - 360)),
    Slip("stale variable", "left from the release before", ("old", "should not be"),
         store=lambda group: group.create_array("old", shape=(4,), dtype="i2", dimension_names=("lat",))),
    Slip("variable gone", "deleted with its chunks", ("wind", "is not in the store"),
         store=lambda group: group.__delitem__("wind")),
    Slip("variables under each other's name", "wind under the name of temperature", ("sst", "wind", DAY), store=swap_variables),
    Slip("untouched block", "a chunk that nobody asked for", ("sst/c/0", "no source file asks"),
         store=put("sst", (0, 1, 1), 77)),
    Slip("bit flipped in a chunk", "bytes rot", ("sst",), store=spoil("sst", "2/0/0", flipped)),
    Slip("chunk cut", "half a chunk", ("sst",), store=spoil("sst", "2/0/0", lambda data: data[: len(data) // 2])),
    Slip("rubbish for a chunk", "a page of an error, or of another object", ("cannot be read back",),
         store=spoil("sst", "2/0/0", lambda data: b"<html>503</html>" * 4)),
    Slip("rows of another file", "two files in one block changed places", ("sst|wind", "day_0005"), file=other_file),
    Slip("window off by one", "an index into the file", ("sst|wind", DAY), sent=(ONE_FILE,),
         file=in_file(lambda values: np.roll(values, 1, axis=0))),
    Slip("bytes swapped", "big endian taken for little", ("sst|wind", DAY), file=in_file(lambda v: v.byteswap())),
    Slip("plane transposed", "rows for columns", ("sst|wind", DAY), file=in_file(lambda v: v.swapaxes(1, 2))),
    Slip("latitude turned in the decoder", "the axis was not", ("sst|wind", DAY), file=in_file(lambda v: v[:, ::-1])),
    Slip("longitude rolled in the decoder", "by half the globe", ("sst|wind", DAY),
         file=in_file(lambda v: np.roll(v, 2, axis=2))),
    Slip("doubles through floats", "float64 rounded to float32", ("sst|wind", DAY), sent=OF_DOUBLES, rules=DOUBLES,
         file=in_file(lambda v: v.astype("f4").astype("f8"))),
    Slip("fill taken for data", "-999 is unpacked", ("sst|wind", DAY), rules=UNPACKED, sent=MOSTLY_FILL,
         state=packing_of_files(fill=lambda packing: None)),
    Slip("unsigned as signed", "200 is read as -56", ("sst|wind", DAY), rules=UNPACKED, sent=UNSIGNED,
         state=packing_of_files(unsigned=lambda packing: False)),
    Slip("another file's scale", "VirtualiZarr#1059", ("sst|wind", DAY), rules=UNPACKED, sent=OTHER_SCALE,
         state=packing_of_files(scale=lambda packing: packing.scale.model_copy(update={"value": 0.01}))),
    Slip("another file's offset", "VirtualiZarr#1004", ("sst|wind", DAY), rules=UNPACKED, sent=OTHER_SCALE,
         state=packing_of_files(offset=lambda packing: packing.offset.model_copy(update={"value": 290.0}))),
]  # fmt: skip
