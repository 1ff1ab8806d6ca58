"""Files that cover one time, and packing that drifts; values held against xarray."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_layout import Number, Packing, Variable
from rimrep_assets.domain.grid_reencoding import DoesNotFit, affine, repacked
from rimrep_assets.domain.grid_values import decode
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset
from rimrep_assets_tests.domain.grid_rules_bench import BASE, NEXT, published, refusal, source

# Overlap


def test_of_files_that_cover_one_time_the_newest_name_wins_where_that_is_declared(tmp_path):
    first, again = replace(BASE, times=[0, 1, 2]), replace(BASE, times=[1, 2, 3], base=500)
    dataset = grid_dataset(steps={"unite": {"overlap": "newest_name"}})
    paths = [first.write(tmp_path / "v9.nc"), again.write(tmp_path / "v10.nc")]
    grid = Published(dataset).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    with xr.open_dataset(paths[0]) as one, xr.open_dataset(paths[1]) as two:
        expected = np.concatenate([one["sst"].values[:1], two["sst"].values])
    np.testing.assert_array_equal(grid.xarray()["sst"].values, expected)
    with pytest.raises(DataError, match=r"v9.nc and v10.nc both cover 2020-01-02T00:00:00Z, 2020-01-03T00:00:00Z"):
        Published(grid_dataset()).to(*paths)


def test_a_file_that_wins_later_rewrites_only_its_blocks_and_equals_a_rebuild(tmp_path):
    dataset = grid_dataset(steps={"unite": {"overlap": "newest_name"}}, layout={"chunks": {"time": 2}})
    paths = [replace(BASE, times=[2 * n, 2 * n + 1], base=n).write(tmp_path / f"a{n}.nc") for n in range(3)]
    again = replace(BASE, times=[2, 3], base=900).write(tmp_path / "b.nc")
    grid = Published(dataset).to(*paths).to(*paths, again)
    assert grid.blocks == [1]
    assert grid.content() == Published(dataset).to(*paths, again).content()


# Packing


def test_packing_that_drifts_by_whole_steps_is_packed_anew(tmp_path):
    drift = replace(NEXT, offset=15.0, fill=-32768)
    assert "sst: 0.nc has scale 0.01, offset 20.0, fill -999; 1.nc has scale 0.01" in refusal(tmp_path, {}, BASE, drift)
    grid = published(tmp_path, {"repack": {}}, BASE, drift)
    raw: Any = grid.group["sst"]
    assert raw.dtype == "int16"
    assert raw.attrs["add_offset"] == 15.0
    for number in (0, 1):
        expected = source(tmp_path, number)["sst"].values[0]
        found = grid.xarray()["sst"].values[number]
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_compressed_chunks_are_packed_anew_too(tmp_path):
    """The fast way may not put the numbers where they belong as they are decoded."""
    paths = []
    for name, sample in (("a.nc", BASE), ("b.nc", replace(NEXT, offset=15.0))):
        with xr.open_dataset(sample.write(tmp_path / f"plain_{name}"), mask_and_scale=False) as plain:
            form = {"chunksizes": (1, 2, 3), "zlib": True}
            plain.load().to_netcdf(tmp_path / name, encoding={"sst": form})
        paths.append(tmp_path / name)
    grid = Published(grid_dataset(steps={"repack": {}})).to(*paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    for number, path in enumerate(paths):
        with xr.open_dataset(path) as expected:
            np.testing.assert_allclose(grid.xarray()["sst"].values[number], expected["sst"].values[0], atol=1e-9)


def test_packing_that_would_lose_something_is_refused_for_every_file_at_once(tmp_path):
    files = [replace(BASE, scale=0.015), replace(NEXT, offset=20.005), replace(BASE, times=[2])]
    words = refusal(tmp_path, {"repack": {}}, *files)
    assert "sst: 0.nc has int16 with scale 0.015, offset 20.0, fill -999, which does not become int16" in words
    assert "sst: 1.nc has int16 with scale 0.01, offset 20.005" in words


def test_numbers_that_do_not_fit_are_counted_and_stop_the_file(tmp_path):
    far = replace(BASE, offset=340.0, base=32756)
    words = refusal(tmp_path, {"repack": {}}, far, NEXT)
    assert "0.nc: sst: " in words
    assert "values do not fit into scale 0.01, offset 20.0, fill -999" in words


def packed(dtype: str, **parts: Any) -> Variable:
    made = {k: Number.of(v, dtype if k == "fill" else None) for k, v in parts.items()}
    return Variable(source="v", source_dims=("x",), dims=("x",), dtype=dtype, role="data", packing=Packing(**made))


@given(
    values=st.lists(st.integers(-20_000, 20_000), min_size=1),
    factor=st.sampled_from([1, 2, 5, 10]),
    steps=st.integers(-5_000, 5_000),
)
def test_what_is_packed_anew_decodes_to_the_same_decimals(values, factor, steps):
    here = packed("int16", scale=round(0.01 * factor, 4), offset=20.0, fill=-32768)
    there = packed("int32", scale=0.01, offset=round(20.0 + 0.01 * steps, 4), fill=-9)
    raw = np.array([*values, -32768], "i2")
    assert affine(here, there) == (factor, -steps)
    new_is_fill = (raw[:-1].astype("i8") * factor - steps == -9).any()
    if new_is_fill:
        with pytest.raises(DoesNotFit, match="do not fit"):
            repacked(raw, here, there)
        return
    found = decode(repacked(raw, here, there), there.packing)
    np.testing.assert_allclose(found, decode(raw, here.packing), rtol=0, atol=1e-9)


def test_a_fill_where_the_newest_file_has_none_does_not_fit():
    with pytest.raises(DoesNotFit, match="1 of 2 values do not fit"):
        repacked(np.array([1, -9], "i2"), packed("int16", fill=-9), packed("int16"))
