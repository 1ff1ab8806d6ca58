"""The fast way into HDF5: the same bits as the library gives, for every filter, type, shape and window."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import grid_hdf5
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_hdf5 import UndecodableChunk, fletcher32, read_chunk
from rimrep_assets.domain.grid_hdf5_index import chunk_indexes
from rimrep_assets_tests.domain.grid_bench import Published, Sample, grid_dataset, told

TYPES = ("i1", "u1", "<i2", ">i2", "<u4", ">i8", "<f4", ">f4", "<f8")


def read(path: Path, name: str, window: tuple[slice, ...]) -> np.ndarray:
    index = chunk_indexes(path, [name])[name]
    out = np.empty([part.stop - part.start for part in window], index.dtype.newbyteorder("="))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for number in index.touching(window):
            read_chunk(descriptor, index, number, window, out)
    finally:
        os.close(descriptor)
    return out


@st.composite
def stored(draw):
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    low = [draw(st.integers(0, size - 1)) for size in shape]
    window = tuple(slice(a, draw(st.integers(a + 1, size))) for a, size in zip(low, shape, strict=True))
    return {
        "shape": shape,
        "chunks": draw(st.sampled_from([chunks, None])),
        "dtype": draw(st.sampled_from(TYPES)),
        "shuffle": draw(st.booleans()),
        "compression": draw(st.sampled_from([None, "gzip"])),
        "fletcher32": draw(st.booleans()),
        "written": draw(st.sampled_from(["all", "some", "none"])),
        "zeros": draw(st.booleans()),
    }, window


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(stored())
def test_every_window_holds_what_the_library_reads(tmp_path, drawn):
    told, window = drawn
    filters = {key: told[key] for key in ("shuffle", "compression", "fletcher32") if told["chunks"]}
    values = np.zeros(told["shape"]) if told["zeros"] else np.arange(np.prod(told["shape"])).reshape(told["shape"]) % 99
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "x", told["shape"], told["dtype"], chunks=told["chunks"], fillvalue=7, **(filters if told["chunks"] else {})
        )
        if told["written"] == "all":
            made[...] = values.astype(told["dtype"])
        elif told["written"] == "some":
            made[0] = values.astype(told["dtype"])[0]
    with h5py.File(path) as file:
        expected = file["x"][window]
    found = read(path, "x", window)
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


@given(st.binary(min_size=2, max_size=64))
def test_a_checksum_is_that_of_the_library(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("f") / "a.h5"
    values = np.frombuffer(data, "u1")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=(len(values),), fletcher32=True)
    with h5py.File(path) as file:
        info = file["x"].id.get_chunk_info(0)
    raw = path.read_bytes()[info.byte_offset : info.byte_offset + info.size]
    assert int.from_bytes(raw[-4:], "little") == fletcher32(raw[:-4])


def test_what_the_fast_way_does_not_know_is_left_to_the_library(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("lzf", data=np.arange(10), chunks=(5,), compression="lzf")
        file.create_dataset("scaled", data=np.arange(10), chunks=(5,), scaleoffset=0)
        file.create_dataset("text", data=[b"a", b"b"])
        file.create_dataset("scalar", data=1.0)
        file.create_dataset("known", data=np.arange(10), chunks=(5,), compression="gzip")
        file.create_group("group")
    assert list(chunk_indexes(path, ["lzf", "scaled", "text", "scalar", "group", "absent", "known"])) == ["known"]
    classic = Sample(times=[0], format="NETCDF3_CLASSIC").write(tmp_path / "a.nc")
    assert chunk_indexes(classic, ["sst"]) == {}


def test_an_index_that_points_beyond_the_file_is_not_believed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100_000), chunks=(50_000,), compression="gzip")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    try:
        assert chunk_indexes(path, ["x"]) == {}
    except OSError:
        # The library may refuse the file as a whole.
        return


@pytest.mark.parametrize("damage", ["deflate", "checksum"])
def test_a_damaged_chunk_is_never_taken_for_data(tmp_path, damage):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind = {"compression": "gzip"} if damage == "deflate" else {"fletcher32": True}
        file.create_dataset("x", data=np.arange(1000), chunks=(1000,), **kind)
    with h5py.File(path) as file:
        info = file["x"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[info.byte_offset + info.size // 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(UndecodableChunk):
        read(path, "x", (slice(0, 1000),))


def test_a_damaged_source_file_is_refused_in_words(tmp_path):
    path = Sample(times=[0], lat=np.linspace(-20, 0, 50), lon=np.linspace(140, 150, 40)).write(tmp_path / "0.nc")
    packed = tmp_path / "packed.nc"
    with netCDF4.Dataset(path) as old, netCDF4.Dataset(packed, "w") as new:
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension))
        for name, variable in old.variables.items():
            options = {"fill_value": -999, "zlib": True} if name == "sst" else {}
            copy = new.createVariable(name, variable.dtype, variable.dimensions, **options)
            copy.setncatts({k: variable.getncattr(k) for k in variable.ncattrs() if k != "_FillValue"})
            variable.set_auto_maskandscale(False)
            copy.set_auto_maskandscale(False)
            copy[:] = variable[:]
    index = chunk_indexes(packed, ["sst"])["sst"]
    place = next(iter(index.stored.values()))
    raw = bytearray(packed.read_bytes())
    raw[place.offset + 10 : place.offset + 40] = bytes(30)
    packed.write_bytes(raw)
    with pytest.raises(DataError, match=r"packed\.nc: cannot be read as NetCDF"):
        Published(grid_dataset()).to(packed)


def test_a_fast_decoder_that_is_wrong_does_not_pass_the_proof(tmp_path, monkeypatch):
    """The digests agree, for both are of wrong numbers; the reader that shares no code sees it."""
    paths = [Sample(times=[d], base=10 * d).write(tmp_path / f"{d}.nc") for d in (0, 1)]
    assert told(Published(grid_dataset()).to(*paths)) == {}
    right = grid_hdf5.read_chunk

    def wrong(*given):
        right(*given)
        given[-1][...] += 1

    monkeypatch.setattr("rimrep_assets.domain.grid_source.read_chunk", wrong)
    found = told(Published(grid_dataset()).to(*paths))
    assert all("independent reader" in found[name] for name in ("0.nc", "1.nc"))
