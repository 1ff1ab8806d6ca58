"""Daily NetCDF files into one Zarr store: our staging, our proof, and xarray with dask.

Here belongs one function a side; each imports all that it needs before its clock starts. Not here: processes and
medians (``measuring``).
"""

from __future__ import annotations

import hashlib
import json
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


def _opener(inputs: Path) -> Callable[[str], Path]:
    return lambda name: inputs / "grids" / name


def ours(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """What the step ``data`` does: headers read and united, blocks written into Icechunk and committed."""
    load("filelock", "icechunk", "netCDF4", "pandas", "xarray")
    import zarr

    from rimrep_assets.domain.grid_axis import changed_blocks
    from rimrep_assets.domain.grid_header import read_header
    from rimrep_assets.domain.grid_write import write_grid
    from rimrep_assets.domain.gridded import unite

    dataset, repository = dataset_for(size), _repository(out)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in grid_files(inputs)}
    with clock:
        headers = [read_header(p, p.name, digests[p.name], dataset) for p in grid_files(inputs)]
        state = unite(headers, dataset)
        session = repository.stage_from(None, None)
        blocks = changed_blocks(None, state, state.chunk)
        write_grid(zarr.open_group(session.store, mode="a"), None, state, blocks, dataset, _opener(inputs))
        snapshot = repository.commit(session, "benchmark", {})
    (out / "staged.json").write_text(json.dumps({"snapshot": snapshot, "state": state.model_dump(mode="json")}))


def our_proof(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """What the step ``datapackage`` does with it first: all read back, compared, and sampled by a second reader."""
    load("dask.array", "h5netcdf", "icechunk", "netCDF4", "pandas", "zarr")
    import xarray as xr

    from rimrep_assets.domain.grid_axis import changed_blocks
    from rimrep_assets.domain.grid_proof import prove_grid
    from rimrep_assets.domain.grid_state import GridState

    dataset, repository = dataset_for(size), _repository(out)
    staged = json.loads((out / "staged.json").read_text())
    with clock:
        state = GridState.model_validate(staged["state"])
        group, store = repository.group(staged["snapshot"]), repository.read(staged["snapshot"])
        blocks = changed_blocks(None, state, state.chunk)
        with xr.open_zarr(store, consolidated=False, chunks=None) as published:
            proofs, _ = prove_grid(group, state, blocks, dataset, _opener(inputs), 1, published)
    assert not [difference for proof in proofs for difference in proof.differences]


def _xarray(inputs: Path, out: Path, size: Size, clock: Clock, decoded: bool) -> None:
    load("dask.array", "netCDF4", "pandas", "zarr")
    import xarray as xr

    with clock:
        options: dict[str, Any] = {} if decoded else {"mask_and_scale": False}
        with xr.open_mfdataset(grid_files(inputs), **options) as files:
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
