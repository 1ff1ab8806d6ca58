"""What the tests of the rules of grids share: files bent in one place each, published in memory and proven."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.grid_bench import LAT, Published, Sample, grid_dataset

BASE = Sample(times=[0])
NEXT = replace(BASE, times=[1], base=40)
GLOBE = np.arange(0.0, 360.0, 30.0)


def published(tmp_path, steps: dict[str, Any], *samples: Sample, **keys: Any) -> Published:
    """A grid of these files, proven; the proof has no difference."""
    paths = [s.write(tmp_path / f"{n}.nc") for n, s in enumerate(samples)]
    grid = Published(grid_dataset(steps=steps, **keys)).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    return grid


def refusal(tmp_path, steps: dict[str, Any], *samples: Sample, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        published(tmp_path, steps, *samples, **keys)
    return str(caught.value)


def source(tmp_path, number: int = 0) -> xr.Dataset:
    with xr.open_dataset(tmp_path / f"{number}.nc") as found:
        return found.load()


def assert_same(grid: xr.Dataset, expected: xr.Dataset, *names: str) -> None:
    for name in names:
        np.testing.assert_array_equal(grid[name].values, expected[name].values, err_msg=name)


def curvilinear(path, shape=(6, 8)):
    j, i = np.mgrid[: shape[0], : shape[1]]
    lon, lat = 150 + i + 0.3 * j, -20 + j - 0.2 * i
    lon[0, 0] = lat[0, 0] = np.nan
    values = xr.Dataset(
        {"v": (("time", "j", "i"), np.arange(lon.size, dtype="f4").reshape(1, *shape))},
        {"lon": (("j", "i"), lon), "lat": (("j", "i"), lat), "time": [np.datetime64("2020-01-01", "ns")]},
    )
    values.to_netcdf(path, encoding={"time": {"units": "days since 2020-01-01"}})
    return values


def levels(path, **attributes):
    data = xr.Dataset(
        {"t": (("time", "z", "lat", "lon"), np.arange(60, dtype="f4").reshape(1, 5, 4, 3))},
        {"z": ("z", [-40.0, -20.0, -10.0, -5.0, 0.0], attributes), "lat": LAT, "lon": [1.0, 2.0, 3.0], "time": [0.0]},
    )
    data["time"].attrs["units"] = "days since 2020-01-01"
    data.to_netcdf(path)
    return data
