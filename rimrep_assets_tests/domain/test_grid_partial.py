"""Grids of files that are partly here: the same store as of whole files, and never a hole read as data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest

from rimrep_assets.domain import grid_source
from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_hdf5_index import chunk_places
from rimrep_assets.domain.grid_other_reader import open_otherwise
from rimrep_assets.domain.grid_partial import HDF5_MAGIC, NotInParts, bring_header
from rimrep_assets.domain.partial_file import BLOCK_BYTES, GAP_BYTES, PartialFile
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset
from rimrep_assets_tests.domain.partial_bench import PublishedInParts, Remote, opened, partial_of

SIZE = {"lat": 300, "lon": 720}
PLAIN: dict[str, Any] = {"contiguous": True}
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": PLAIN,
    "contiguous, big endian": {**PLAIN, "endian": "big"},
    "chunks without filter": {"chunksizes": (1, 50, 90)},
    "one chunk": {"chunksizes": (3, 300, 720)},
    "deflate": {"zlib": True, "chunksizes": (1, 50, 90)},
    "shuffle and deflate": {"zlib": True, "shuffle": True, "chunksizes": (2, 50, 90)},
    "checksums": {"zlib": True, "fletcher32": True, "chunksizes": (1, 50, 90)},
    "zstd, which the fast way does not know": {"compression": "zstd", "chunksizes": (1, 50, 90)},
}
BOX = {"clip": {"bbox": [142, -29, 157, -7]}}


def write(path: Path, first: int = 0, times: int = 3, lon: np.ndarray | None = None, **storage: Any) -> Path:
    """Three times of a globe with latitude descending; the longitude counts from 0 to 360 unless told otherwise."""
    lon = np.arange(0.25, 360, 0.5) if lon is None else lon
    with netCDF4.Dataset(path, "w") as file:
        for name, size in {"time": times, **SIZE}.items():
            file.createDimension(name, size)
        # More of them than an object header holds, so that they lie elsewhere in the file.
        file.setncatts({f"note_{number}": "x" * 300 for number in range(40)})
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 2020-01-01"
        time[:] = np.arange(first, first + times)
        file.createVariable("lat", "f4", ("lat",))[:] = np.linspace(89.7, -89.7, SIZE["lat"])
        file.createVariable("lon", "f4", ("lon",))[:] = lon
        for axis, unit in (("lat", "degrees_north"), ("lon", "degrees_east")):
            file[axis].units = unit
        for name in ("sst", "error", "wind"):
            variable = file.createVariable(name, "i2", ("time", "lat", "lon"), fill_value=-999, **storage)
            variable.setncatts({"scale_factor": 0.01, "units": "K", **{f"word_{n}": "y" * 200 for n in range(20)}})
            variable.set_auto_maskandscale(False)
            shape = (times, *SIZE.values())
            variable[:] = np.random.default_rng([first, len(name)]).integers(-999, 3000, shape)
    return path


def both(tmp_path: Path, steps: dict[str, Any], **storage: Any) -> tuple[PublishedInParts, Published]:
    """Two files, published and proven in parts and whole."""
    paths = [write(tmp_path / f"{first}.nc", first, **storage) for first in (0, 3)]
    dataset = grid_dataset(steps=steps, layout={"chunks": {"time": 2, "lat": 20, "lon": 15}})
    parts, whole = PublishedInParts(dataset), Published(dataset)
    for grid in (parts, whole):
        grid.to(*paths)
        assert [d for proof in grid.prove() for d in proof.differences] == []
    return parts, whole


def fetched(parts: PublishedInParts) -> float:
    """The share of the files' bytes that was asked for."""
    return sum(file.bytes_read for file in parts.partial.values()) / sum(file.size for file in parts.partial.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_of_files_in_parts_is_the_clip_of_whole_files_for_fewer_bytes(tmp_path, layout):
    parts, whole = both(tmp_path, {"read_netcdf": {"variables": ["sst"]}, **BOX}, **LAYOUTS[layout])
    assert parts.content() == whole.content()
    with netCDF4.Dataset(tmp_path / "0.nc") as file:
        there = file["sst"]
        there.set_auto_maskandscale(False)
        lat, lon = file["lat"][:].data, file["lon"][:].data
        cells = there[:][:, (lat >= -29) & (lat <= -7)][:, :, (lon >= 142) & (lon <= 157)]
    np.testing.assert_array_equal(parts.group["sst"][:3], cells)
    # Files of this size are mostly headers and blocks; one chunk over the whole plane must come whole.
    assert fetched(parts) < (0.75 if layout == "one chunk" else 0.6)


@pytest.mark.parametrize(
    "steps",
    [
        {"clip": {"bbox": [-20, -30, 20, 30]}},
        {"clip": {"bbox": [170, -30, -170, 30]}, "orient": {"longitude": "-180..180", "y": "ascending"}},
        pytest.param(
            {"orient": {"longitude": "-180..180", "y": "ascending", "x": "descending"}}, marks=pytest.mark.long
        ),
        {"unpack": {"data_type": "float32"}, **BOX},
        pytest.param({}, marks=pytest.mark.long),
    ],
)
def test_boxes_across_the_seam_and_turned_axes_are_the_same_in_parts(tmp_path, steps):
    parts, whole = both(tmp_path, steps, zlib=True, chunksizes=(1, 50, 90))
    assert parts.content() == whole.content()


@pytest.mark.parametrize("layout", ["contiguous", "chunks without filter", "shuffle and deflate"])
def test_what_is_not_begun_beforehand_is_brought_when_it_is_read(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(grid_source.SourceFile, "begin", lambda *_: None)
    parts, whole = both(tmp_path, BOX, **LAYOUTS[layout])
    assert parts.content() == whole.content()


@pytest.mark.parametrize("layout", ["contiguous", "chunks without filter", "shuffle and deflate"])
def test_the_slow_way_brings_what_it_reads(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(grid_source, "chunk_indexes", lambda *_: {})
    parts, whole = both(tmp_path, BOX, **LAYOUTS[layout])
    assert parts.content() == whole.content()


@pytest.mark.parametrize("layout", ["contiguous", "chunks without filter"])
def test_without_the_guard_the_tests_above_would_see_holes(tmp_path, monkeypatch, layout):
    """The noise in the holes is read where nobody brings what is read: plain values have nothing that would tell."""
    path = write(tmp_path / "0.nc", **LAYOUTS[layout])
    remote = Remote(path.read_bytes())
    window = (slice(0, 3), slice(100, 140), slice(10, 40))
    with open_raw(path, "0.nc") as file:
        expected = file.variables["sst"][window]
    part = opened(remote, tmp_path / "0.part")
    with open_raw(part, "0.nc") as file:
        chunk_places(part, ["sst"])
        with monkeypatch.context() as unguarded:
            unguarded.setattr(PartialFile, "bring", lambda *_: None)
            assert (file.variables["sst"][window] != expected).any()
    with open_raw(part, "0.nc") as file:
        np.testing.assert_array_equal(file.variables["sst"][window], expected)


def test_what_hdf5_reads_ahead_of_one_reading_is_no_hole_for_the_next(tmp_path):
    path = write(tmp_path / "0.nc", **PLAIN)
    part = opened(Remote(path.read_bytes()), tmp_path / "0.part")
    with open_raw(part, "0.nc") as file, open_raw(path, "0.nc") as whole:
        for rows in (slice(100, 101), slice(101, 102), slice(102, 140), slice(140, 150)):
            window = (slice(2, 3), rows, slice(10, 40))
            np.testing.assert_array_equal(file.variables["sst"][window], whole.variables["sst"][window])


def test_texts_of_attributes_come_with_the_header_wherever_they_lie(tmp_path):
    path = write(tmp_path / "0.nc", **PLAIN)
    with netCDF4.Dataset(path, "a") as file:
        file.setncattr_string("chapters", ["long text " * 2000 for _ in range(30)])
    part = opened(Remote(path.read_bytes()), tmp_path / "0.part")
    with open_raw(part, "0.nc") as file:
        assert file.getncattr("chapters") == ["long text " * 2000 for _ in range(30)]
    assert part.bytes_read < part.size


def test_times_that_a_variable_was_never_written_for_are_fill_in_parts_too(tmp_path):
    path = tmp_path / "0.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", None)
        file.createDimension("n", 3)
        for name, times in (("full", 5), ("late", 2)):
            variable = file.createVariable(name, "i2", ("time", "n"), fill_value=-9, chunksizes=(1, 3))
            variable[:] = np.arange(3 * times).reshape(times, 3)
    part = opened(Remote(path.read_bytes()), tmp_path / "0.part")
    with open_raw(part, "0.nc") as file:
        assert file.variables["late"][1:4, 0:3].tolist() == [[3, 4, 5], [-9] * 3, [-9] * 3]


def test_headers_of_real_files_are_the_same_in_parts(shared, tmp_path):
    """Everything that the library says of the field's own files, with noise in all that was not brought."""
    files = [path for path in sorted(shared("data").rglob("*.nc")) if path.read_bytes()[:8] == HDF5_MAGIC]
    assert len(files) > 20
    for path in files:
        (tmp_path / "part").unlink(missing_ok=True)
        part = opened(Remote(path.read_bytes()), tmp_path / "part")
        with open_raw(path, path.name) as whole, open_raw(part, path.name) as file:
            assert {n: len(d) for n, d in file.dimensions.items()} == {n: len(d) for n, d in whole.dimensions.items()}
            for name, there in {"": whole, **whole.variables}.items():
                ours = file.variables[name] if name else file
                told = {a: there.getncattr(a) for a in there.ncattrs()}
                assert str({a: ours.getncattr(a) for a in ours.ncattrs()}) == str(told), (path, name)
                if name:
                    window = tuple(slice(size // 3, size // 3 + max(1, size // 5)) for size in there.shape) or ...
                    assert str(ours[window]) == str(there[window]), (path, name)
                    assert np.asarray(ours[window]).dtype == np.asarray(there[window]).dtype


def test_the_other_reader_brings_what_it_reads(tmp_path):
    path = write(tmp_path / "0.nc", **PLAIN)
    remote = Remote(path.read_bytes())
    part = opened(remote, tmp_path / "0.part")
    with open_otherwise(part) as other, open_otherwise(path) as expected:
        np.testing.assert_array_equal(other.variables["wind"][0, 30:40], expected.variables["wind"][0, 30:40])
        assert part.bytes_read < part.size / 2
        remote.is_gone = True
        with pytest.raises(Unavailable, match="was changed"), open_otherwise(part) as once_more:
            np.asarray(once_more.variables["error"][:])


def test_texts_of_any_length_and_scalars_come_as_they_are(tmp_path):
    path = tmp_path / "0.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("n", 3)
        file.createDimension("m", 50_000)
        file.createVariable("bulk", "f8", ("m",), contiguous=True)[:] = np.arange(50_000)
        file.createVariable("words", str, ("n",))[:] = np.array(["one", "two", "three"], object)
        file.createVariable("scalar", "i4", ())[...] = 7
        file.createVariable("letters", "S1", ("n",))[:] = np.array([b"a", b"b", b"c"])
    part = opened(Remote(path.read_bytes()), tmp_path / "0.part")
    said: list[str] = []
    part.told = said.append
    with open_raw(part, "0.nc") as file:
        assert file.variables["scalar"][...] == 7
        assert list(file.variables["letters"][:]) == [b"a", b"b", b"c"]
        part.told("texts:")
        assert list(file.variables["words"][:]) == ["one", "two", "three"]
    words = f"0.part: fetching all {part.size} bytes, because it is not known where in it the values of words lie"
    assert said == ["texts:", words]


def test_a_file_that_changes_while_its_parts_are_read_is_told_by_every_way(tmp_path):
    path = write(tmp_path / "0.nc", **PLAIN)
    remote = Remote(path.read_bytes())
    part = opened(remote, tmp_path / "0.part")
    remote.is_gone = True
    with pytest.raises(Unavailable, match="was changed"), open_raw(part, "0.nc") as file:
        file.variables["sst"][:]
    with pytest.raises(Unavailable, match="was changed"):
        chunk_places(partial_of(remote, tmp_path / "1.part"), ["sst"])
    with pytest.raises(Unavailable, match="was changed"):
        bring_header(partial_of(remote, tmp_path / "2.part"), "2.nc")
    with pytest.raises(Unavailable, match="was changed"):
        part.whole()


def test_a_file_that_changes_in_the_middle_of_what_a_library_does_is_told_in_our_words(tmp_path):
    path = write(tmp_path / "0.nc", zlib=True, chunksizes=(1, 50, 90))

    def looked_through(remote: Remote) -> None:
        (tmp_path / "0.part").unlink(missing_ok=True)
        chunk_places(opened(remote, tmp_path / "0.part"), ["sst", "error", "wind"])

    looked_through(remote := Remote(path.read_bytes()))
    assert len(remote.asked) > 4
    for requests in range(len(remote.asked)):
        with pytest.raises(Unavailable, match="was changed"):
            looked_through(Remote(remote.data, lasts=requests))


@pytest.mark.parametrize("kind", ["classic", "cut", "linked", "external", "virtual", "text"])
def test_what_cannot_be_walked_through_is_told_for_fetching_it_whole(tmp_path, kind):
    path = tmp_path / "0.nc"
    if kind == "classic":
        netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC").close()
    elif kind == "text":
        path.write_text("not found")
    else:
        write(path, **PLAIN)
    if kind == "linked":
        with h5py.File(path, "a") as file:
            file["elsewhere"] = h5py.ExternalLink("other.nc", "/x")
    if kind == "external":
        with h5py.File(path, "a") as file:
            file.create_dataset("elsewhere", (10,), "i2", external=[(tmp_path / "values", 0, 20)])
    if kind == "virtual":
        with h5py.File(path, "a") as file:
            layout = h5py.VirtualLayout((3, *SIZE.values()), "i2")
            layout[...] = h5py.VirtualSource(path, "sst", (3, *SIZE.values()))
            file.create_virtual_dataset("elsewhere", layout)
    data = path.read_bytes()[: 3000 if kind == "cut" else None]
    with pytest.raises(NotInParts):
        bring_header(partial_of(Remote(data), tmp_path / "0.part"), "0.nc")


def test_bytes_are_asked_for_once_however_many_want_them(tmp_path):
    remote = Remote(bytes(range(256)) * 8192)
    part = partial_of(remote, tmp_path / "0.part")
    wanted = [(start, start + 100_000) for start in range(0, 2_000_000, 50_000)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda span: part.bring([span]), wanted))
    assert part.bytes_read == sum(stop - start for start, stop in remote.asked) == 2_050_000
    assert part.path.read_bytes()[:2_050_000] == remote.data[:2_050_000]


def test_neighbours_are_asked_for_at_once_and_distant_spans_are_not(tmp_path):
    remote = Remote(bytes(10 * GAP_BYTES))
    partial_of(remote, tmp_path / "0.part").bring(
        [(0, 10), (GAP_BYTES, GAP_BYTES + 10), (3 * GAP_BYTES, 3 * GAP_BYTES + 1)]
    )
    assert sorted(remote.asked) == [(0, GAP_BYTES + 10), (3 * GAP_BYTES, 3 * GAP_BYTES + 1)]


def test_a_fetch_that_brings_too_little_is_no_success(tmp_path):
    part = PartialFile.made(tmp_path / "0.part", 100, lambda start, stop: b"x", ThreadPoolExecutor(1))
    with pytest.raises(Unavailable, match="1 bytes came, 50 were asked for"):
        part.bring([(0, 50)])
    assert part.bytes_read == 0


def test_nothing_is_fetched_for_an_attempt_that_ended(tmp_path):
    remote = Remote(b"x" * 100)
    part = partial_of(remote, tmp_path / "0.part")
    part.path.unlink()
    with pytest.raises(Unavailable, match="not read any more"):
        part.bring([(0, 50)])
    assert remote.asked == []


def test_one_is_never_made_over_another(tmp_path):
    partial_of(Remote(b"x" * 100), tmp_path / "0.part").bring([(0, 100)])
    with pytest.raises(Unavailable, match="no place for"):
        partial_of(Remote(b"y" * 100), tmp_path / "0.part")
    assert (tmp_path / "0.part").read_bytes() == b"x" * 100


def test_a_file_that_no_disk_could_hold_is_told(tmp_path):
    with pytest.raises(Unavailable, match="no place for its 9223372036854775808 bytes"):
        PartialFile.made(tmp_path / "0.part", 2**63, lambda start, stop: b"", ThreadPoolExecutor(1))


def test_a_stream_reads_as_a_file_does(tmp_path):
    remote = Remote(bytes(range(256)) * 1024)
    stream = partial_of(remote, tmp_path / "0.part").stream()
    assert stream.read(4) == remote.data[:4]
    stream.seek(-6, 2)
    assert (stream.read(10), stream.read(1)) == (remote.data[-6:], b"")
    assert remote.asked == [(0, BLOCK_BYTES), (len(remote.data) - BLOCK_BYTES, len(remote.data))]
