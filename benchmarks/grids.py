"""Daily NetCDF files into one Zarr store: our staging, proof and plain copy, their floor, and xarray with dask.

Here belongs one function a side; each imports all that it needs before its clock starts. Not here: processes and
medians (``measuring``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import VARIABLES, Size, grid_files
from benchmarks.measuring import Clock, load

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Dataset


def dataset_for(size: Size) -> Dataset:
    """The grid's ``dataset.yaml``."""
    from rimrep_assets.domain.dataset import Dataset

    return Dataset.model_validate(
        {
            "id": "grid",
            "collection": "benchmarks",
            "format": "zarr",
            "access": "public",
            "coordinates": {"x": "lon", "y": "lat", "t": "time"},
            "source": {"kind": "local", "url": "grids"},
            "convert": {"read_netcdf": {}},
            "layout": {"chunks": size.chunks},
        }
    )


def _repository(out: Path) -> Any:
    from rimrep_assets.ports.grid_repository import GridRepository
    from rimrep_assets.ports.object_store import open_store

    return GridRepository(open_store(str(out)), "grid")


def _opener(inputs: Path, kind: str = "grids") -> Callable[[str], Path]:
    return lambda name: inputs / kind / name


def ours(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """What the step ``data`` does: headers read and united, blocks written into Icechunk and committed."""
    _convert(inputs, out, size, clock, size.days)


def ours_long(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """The same with a series that is four times as long."""
    _convert(inputs, out, size, clock, size.long_days)


def pieces_ours(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """``ours`` with sources whose planes are cut into chunks."""
    _convert(inputs, out, size, clock, size.days, "pieces")


def pieces_our_proof(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """``our_proof`` of that: the other reader inflates a twentieth."""
    _prove(inputs, out, size, clock, "pieces")


def _convert(inputs: Path, out: Path, size: Size, clock: Clock, days: int, kind: str = "grids") -> None:
    load("deflate", "filelock", "h5py", "icechunk", "netCDF4", "numcodecs", "pandas", "xxhash")
    import zarr

    from rimrep_assets.domain.grid_axis import changed_blocks
    from rimrep_assets.domain.grid_header import read_header
    from rimrep_assets.domain.grid_write import write_grid
    from rimrep_assets.domain.gridded import unite

    dataset, repository = dataset_for(size), _repository(out)
    files = grid_files(inputs, days, kind)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    with clock:
        headers = [read_header(p, p.name, digests[p.name], dataset) for p in files]
        state = unite(headers, dataset)
        session = repository.stage_from(None, None)
        blocks = changed_blocks(None, state, state.chunk)
        group = zarr.open_group(session.store, mode="a")
        written = write_grid(group, None, state, blocks, dataset, _opener(inputs, kind), os.cpu_count() or 2)
        snapshot = repository.commit(session, "benchmark", {})
    told = {"snapshot": snapshot, "state": state.model_dump(mode="json"), "digests": written}
    (out / "staged.json").write_text(json.dumps(told))


def our_proof(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """What the step ``datapackage`` does with it first: all read back, digests compared, a sample of every file."""
    _prove(inputs, out, size, clock, "grids")


def _prove(inputs: Path, out: Path, size: Size, clock: Clock, kind: str) -> None:
    load("dask.array", "deflate", "h5netcdf", "icechunk", "netCDF4", "pandas", "xxhash", "zarr")
    import xarray as xr

    from rimrep_assets.domain.grid_axis import changed_blocks
    from rimrep_assets.domain.grid_proof import prove_grid
    from rimrep_assets.domain.grid_state import GridState

    dataset, repository = dataset_for(size), _repository(out)
    staged = json.loads((out / "staged.json").read_text())
    digests = {int(block): found for block, found in staged["digests"].items()}
    with clock:
        state = GridState.model_validate(staged["state"])
        group, store = repository.group(staged["snapshot"]), repository.read(staged["snapshot"])
        blocks = changed_blocks(None, state, state.chunk)
        with xr.open_zarr(store, consolidated=False, chunks=None, decode_times=False) as published:
            threads = os.cpu_count() or 2
            proofs, _ = prove_grid(group, state, blocks, dataset, _opener(inputs, kind), 1, published, digests, threads)
    assert not [difference for proof in proofs for difference in proof.differences]
    assert all(proof.sampled for proof in proofs[:-1])


def plain_copy(_inputs: Path, out: Path, _size: Size, clock: Clock) -> None:
    """The copy at the stable address, made anew from what ``ours`` wrote."""
    load("icechunk", "zarr")
    from types import SimpleNamespace
    from typing import cast

    from rimrep_assets.domain.release import ReleaseRecord
    from rimrep_assets.ports.plain_copy import PlainCopy

    repository = _repository(out)
    staged = json.loads((out / "staged.json").read_text())
    told = {"dataset": "grid", "release": 1, "data_version": "1", "snapshot": staged["snapshot"]}
    told |= {"datapackage": {}, "plain_format": 3}
    with clock:
        PlainCopy(repository.store, repository).project(cast(ReleaseRecord, SimpleNamespace(**told)))


def floor(inputs: Path, _out: Path, size: Size, clock: Clock) -> None:
    """Inflating and encoding the same bytes with the same libraries in as many threads, and nothing else."""
    load("deflate", "h5py", "netCDF4", "numcodecs")
    from concurrent.futures import ThreadPoolExecutor

    import deflate
    import netCDF4
    import numcodecs
    import numpy as np

    from rimrep_assets.domain.grid_hdf5_index import chunk_indexes

    encode = numcodecs.Blosc("zstd", 1, numcodecs.Blosc.SHUFFLE, blocksize=524_288, typesize=2).encode
    files = grid_files(inputs, size.days)
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for start in range(0, len(files), size.chunk_days):
            some = files[start : start + size.chunk_days]
            for name in VARIABLES:
                packed, planes = [], []
                for path in some:
                    with path.open("rb") as raw:
                        for stored in chunk_indexes(path, [name])[name].stored.values():
                            raw.seek(stored.offset)
                            packed.append(raw.read(stored.size))
                    with netCDF4.Dataset(path) as file:
                        file.set_auto_maskandscale(False)
                        planes.append(file[name][0])
                whole = np.stack(planes)
                chunks = [
                    np.ascontiguousarray(whole[:, i : i + size.chunk_lat, j : j + size.chunk_lon])
                    for i in range(0, size.lat, size.chunk_lat)
                    for j in range(0, size.lon, size.chunk_lon)
                ]
                with clock:
                    for done in [pool.submit(deflate.zlib_decompress, p, size.lat * size.lon * 2) for p in packed]:
                        done.result()
                    for encoded in [pool.submit(encode, chunk) for chunk in chunks]:
                        encoded.result()


def append_to_short(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """One step more on a store of 10 steps."""
    _append(inputs, out, size, clock, size.appended_to[0])


def append_to_long(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """One step more on a store of 10 000 steps, each of a file of its own."""
    _append(inputs, out, size, clock, size.appended_to[1])


def _append(inputs: Path, out: Path, size: Size, clock: Clock, steps: int) -> None:
    """What one more file costs; the files before are headers alone, and only the block that grows holds values."""
    load("deflate", "filelock", "h5py", "icechunk", "netCDF4", "numcodecs", "pandas", "xxhash")
    import zarr

    from rimrep_assets.domain.grid_axis import changed_blocks
    from rimrep_assets.domain.grid_growth import grown
    from rimrep_assets.domain.grid_header import read_header
    from rimrep_assets.domain.grid_time import DAY
    from rimrep_assets.domain.grid_write import write_grid
    from rimrep_assets.domain.gridded import unite

    dataset, repository = dataset_for(size), _repository(out)
    path = grid_files(inputs, 1)[0]
    one = read_header(path, path.name, "0", dataset)

    def of_day(number: int) -> Any:
        told = {"name": f"{number:06}.nc", "digest": f"{number:x}", "times": (one.file.times[0] + number * DAY,)}
        return one.model_copy(update={"file": one.file.model_copy(update=told)})

    base = unite([of_day(n) for n in range(steps)], dataset)
    session = repository.stage_from(None, None)
    last = changed_blocks(None, base, base.chunk)[-1:]
    write_grid(zarr.open_group(session.store, mode="a"), None, base, last, dataset, lambda _: path)
    repository.commit(session, "benchmark", {})
    with clock:
        state = grown(base, [of_day(steps)], dataset)
        assert state is not None
        session = repository.stage_from(repository.tip().snapshot, repository.tip())  # type: ignore[union-attr]
        blocks = changed_blocks(base, state, state.chunk)
        write_grid(zarr.open_group(session.store, mode="a"), base, state, blocks, dataset, lambda _: path)
        repository.commit(session, "benchmark", {})


def _xarray(inputs: Path, out: Path, size: Size, clock: Clock, decoded: bool) -> None:
    load("dask.array", "netCDF4", "pandas", "zarr")
    import xarray as xr

    with clock:
        options: dict[str, Any] = {} if decoded else {"mask_and_scale": False}
        with xr.open_mfdataset(grid_files(inputs, size.days), **options) as files:
            files.chunk(size.chunks).to_zarr(out / "data.zarr")


def xarray_packed(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """``open_mfdataset(mask_and_scale=False)``: the packed numbers as they are."""
    _xarray(inputs, out, size, clock, decoded=False)


def xarray_default(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """``open_mfdataset()`` as people call it: values decoded, and packed again on writing."""
    _xarray(inputs, out, size, clock, decoded=True)


def same(ours_out: Path, theirs_out: Path, _size: Size, _clock: Clock) -> None:
    """Assert that our store and xarray's packed one hold the same numbers."""
    import numpy as np
    import zarr

    snapshot = json.loads((ours_out / "staged.json").read_text())["snapshot"]
    mine = _repository(ours_out).group(snapshot)
    theirs = zarr.open_group(theirs_out / "data.zarr", mode="r")
    for name in VARIABLES:
        one, other = mine[name], theirs[name]
        assert isinstance(one, zarr.Array) and isinstance(other, zarr.Array)
        assert one.chunks == other.chunks and one.dtype == other.dtype, name
        np.testing.assert_array_equal(np.asarray(one[...]), np.asarray(other[...]), err_msg=name)
