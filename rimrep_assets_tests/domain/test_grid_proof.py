"""The proof: it holds for what was written, and names what somebody broke in the published store on purpose."""

from __future__ import annotations

from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rimrep_assets.domain import grid_proof as grid_proof_module
from rimrep_assets.domain.grid_encoding import encoded_fill
from rimrep_assets.domain.grid_layout import Number, Packing
from rimrep_assets.domain.grid_proof import WHOLE
from rimrep_assets.domain.grid_sample import choose
from rimrep_assets.domain.grid_stats import BlockStats, VariableStats, count
from rimrep_assets.domain.gridded import unite
from rimrep_assets_tests.domain.grid_bench import LAT, Published, Sample, grid_dataset, header_of, told

GRIDDED = "data/a_gridded/"


@pytest.fixture
def published(tmp_path) -> Published:
    """Four days in blocks of two; the day between the third and the fourth file has none."""
    paths = [Sample(times=[d], base=100 * d).write(tmp_path / f"{d}.nc") for d in (0, 1, 2, 4)]
    dataset = grid_dataset(layout={"chunks": {"time": 2}, "cadence": "P1D"})
    return Published(dataset).to(*paths)


def test_what_was_written_holds_and_every_value_is_counted(published):
    proofs = published.prove()
    assert [p.name for p in proofs] == ["0.nc", "1.nc", "2.nc", "4.nc", WHOLE]
    assert all(p.holds for p in proofs)
    cells = 4 * 3
    statics = cells + 4 + 3
    assert [p.compared for p in proofs[:4]] == [2 * cells, 2 * cells, 2 * cells, 2 * cells + statics]
    assert proofs[4].compared == 5 + 2 * cells
    assert all(p.sampled > 0 for p in proofs[:4])


@pytest.mark.parametrize(
    ("path", "coordinates", "layout"),
    [
        ("gsla/IMOS_OceanCurrent_HV_20110901T000000Z_GSLA_FV02_NRT.nc", ("LONGITUDE", "LATITUDE", "TIME"), {}),
        ("gsla/IMOS_OceanCurrent_HV_20240101T000000Z_GSLA_FV02_NRT.nc", ("LONGITUDE", "LATITUDE", "TIME"), {}),
        ("hfradar_nwa/IMOS_ACORN_V_20220312T003000Z_NWA_FV01_1-hour-avg.nc", ("LONGITUDE", "LATITUDE", "TIME"), {}),
        (
            "hfradar_nwa/IMOS_ACORN_V_20220312T003000Z_NWA_FV01_1-hour-avg.nc",
            ("LONGITUDE", "LATITUDE", "TIME"),
            {"cadence": "PT1H"},
        ),
        ("ereefs_gbr4/small.nc", ("longitude", "latitude", "time"), {}),
        ("noaa_crw/DHWmax_y2date.nc", ("lon", "lat", None), {}),
        ("ostia/ostia_monthly.nc", ("longitude", "latitude", "time"), {}),
        ("calendars/A1B_north_america.nc", ("longitude", "latitude", "time"), {}),
    ],
)
def test_real_files_are_proven(shared, path, coordinates, layout):
    named = dict(zip("xyt", coordinates, strict=True))
    published = Published(grid_dataset(coordinates=named, layout=layout)).to(shared(GRIDDED + path))
    proofs = published.prove()
    assert [p.differences for p in proofs] == [()] * len(proofs)
    assert proofs[0].sampled > 0


def test_one_changed_value_is_named_with_time_place_and_both_values(published):
    right = int(published.group["sst"][2, 1, 2])
    published.group["sst"][2, 1, 2] = 7
    found = told(published)
    assert set(found) == {"2.nc"}
    assert f"sst at 2020-01-03T00:00:00Z [2, 1, 2]: source {right}, published 7" in found["2.nc"]


def test_a_changed_value_where_there_is_no_file_is_named(published):
    published.group["flag"][3, 0, 0] = 1
    assert "flag at 2020-01-04T00:00:00Z [3, 0, 0]" in told(published)[WHOLE]


def test_a_changed_fill_attribute_is_named(published):
    array = published.group["sst"]
    array.attrs.put({**array.attrs, "_FillValue": -998})
    found = told(published)
    assert "sst: _FillValue -998, source -999" in found["0.nc"]
    assert set(found) == {"0.nc", "1.nc", "2.nc", "4.nc", WHOLE}


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("scale_factor", 0.02, "sst: scale_factor 0.02, source 0.01"),
        ("add_offset", 0.0, "sst: add_offset 0.0, source 20.0"),
        ("missing_value", 3, "sst: missing_value 3, source none"),
        ("_Unsigned", "true", "sst: _Unsigned true, source none"),
        ("units", "K", "sst: unit K, source degree_Celsius"),
    ],
)
def test_another_packing_or_unit_is_named_for_every_file(published, attribute, value, words):
    array = published.group["sst"]
    array.attrs.put({**array.attrs, attribute: value})
    found = told(published)
    assert all(words in found[name] for name in ("0.nc", "1.nc", "2.nc", "4.nc"))


def test_the_independent_reader_alone_sees_a_wrong_scale(published, monkeypatch):
    """Even if our own comparison of attributes were blind, decoded values would differ."""
    array = published.group["sst"]
    array.attrs.put({**array.attrs, "scale_factor": 0.02})
    monkeypatch.setattr(grid_proof_module, "_packing_problems", lambda *_: [])
    found = [told(published, seed) for seed in range(5)]
    assert any("independent reader" in text for texts in found for text in texts.values())


def test_a_shifted_time_is_named_with_the_file_and_seen_by_both_readers(published):
    published.group["time"][1] = int(published.group["time"][1]) + 3600
    found = told(published)
    assert "time [1]: source 2020-01-02T00:00:00Z, published 2020-01-02T01:00:00Z" in found["1.nc"]
    assert "time: independent reader 2020-01-02T00:00:00" in found["1.nc"]
    assert "time [1]: expected 2020-01-02T00:00:00Z" in found[WHOLE]


def test_a_time_axis_in_other_units_is_named(published):
    array = published.group["time"]
    array.attrs.put({**array.attrs, "units": "seconds since 1970-01-02 00:00:00"})
    assert set(told(published)) == {"0.nc", "1.nc", "2.nc", "4.nc", WHOLE}


def test_swapped_blocks_are_named_for_every_file_in_them(published):
    array = published.group["sst"]
    first, second = array[0:2], array[2:4]
    array[0:2], array[2:4] = second, first
    found = told(published)
    assert {"0.nc", "1.nc", "2.nc", WHOLE} <= set(found)
    assert "sst at 2020-01-01T00:00:00Z [0, 0, 1]" in found["0.nc"]


def test_a_moved_axis_is_named(published):
    published.group["lat"][2] = 5.0
    assert "lat [2]: source -11.0, published 5.0" in told(published)["4.nc"]


def test_a_changed_variable_without_time_is_named(published):
    published.group["depth"][0, 0] = 99
    assert "depth [0, 0]: source 0.0, published 99.0" in told(published)["4.nc"]


def test_an_array_that_is_missing_or_too_many_is_named(published):
    published.group.create_array("old", shape=(1,), dtype="f4", dimension_names=("n",))
    del published.group["flag"]
    found = told(published)[WHOLE]
    assert "old: should not be in the store" in found
    assert "flag: is not in the store" in found


def test_an_array_of_another_type_or_length_is_named(published):
    group = published.group
    values, attributes = group["flag"][...], dict(group["flag"].attrs)
    del group["flag"]
    made = group.create_array(
        "flag", data=values[:4].astype("i2"), attributes=attributes, dimension_names=("time", "lat", "lon")
    )
    assert made.shape[0] == 4
    found = told_without_reading(published)
    assert "flag: type int16, source int8" in found[WHOLE]
    assert "flag: published int16" in found["0.nc"]


def told_without_reading(published: Published) -> dict[str, str]:
    """xarray refuses a store whose arrays have unequal lengths; the complete proof must not need it."""
    whole = Published(published.dataset).to(*published.paths.values())
    every = range(3)
    proofs, _ = grid_proof_module.prove_grid(
        published.group,
        published.state,
        every,
        published.dataset,
        published.open_source,
        1,
        whole.xarray(decode_times=False),
    )
    return {p.name: "\n".join(p.differences) for p in proofs if not p.holds}


def test_a_source_that_changed_under_our_hands_is_named(published):
    Sample(times=[1], base=100, scale=0.5).write(published.paths["1.nc"])
    found = told(published)
    assert "independent reader" in found["1.nc"]
    assert set(found) == {"1.nc"}


def test_a_value_that_equals_the_fill_we_added_is_named(tmp_path):
    paths = [Sample(times=[d], fill=None, base=-32_770 if d else 0).write(tmp_path / f"{d}.nc") for d in (0, 2)]
    published = Published(grid_dataset(layout={"cadence": "P1D"})).to(*paths)
    assert (
        "values are -32767, by which layout.cadence and unite.variables mark times without a value"
        in told(published)["2.nc"]
    )


def test_unpacked_values_are_proven_and_one_wrong_value_is_named(tmp_path):
    paths = [Sample(times=[d], scale=0.1 * (d + 1)).write(tmp_path / f"{d}.nc") for d in (0, 1)]
    published = Published(grid_dataset(steps={"unpack": {"data_type": "float32"}})).to(*paths)
    assert told(published) == {}
    published.group["sst"][1, 0, 1] = 3.5
    assert "sst at 2020-01-02T00:00:00Z [1, 0, 1]" in told(published)["1.nc"]


def test_a_tolerated_axis_is_held_to_the_tolerance(tmp_path):
    rules = {"unite": {"coordinate_tolerance": 1e-3}}
    paths = [
        Sample(times=[0], lat=LAT + 1e-4).write(tmp_path / "0.nc"),
        Sample(times=[1], lat=LAT.astype("f4")).write(tmp_path / "1.nc"),
    ]
    published = Published(grid_dataset(steps=rules)).to(*paths)
    assert told(published) == {}
    published.group["lat"][0] = -10.01
    assert "lat [0]" in told(published)["1.nc"]


@given(
    seed=st.integers(0, 99),
    published=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    source=st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 3))),
)
def test_of_a_file_no_more_than_one_of_its_chunks_is_decoded(tmp_path_factory, seed, published, source):
    folder = tmp_path_factory.mktemp("cut")
    dataset = grid_dataset(layout={"chunks": dict(zip(("lat", "lon"), published, strict=True))})
    state = unite([header_of(Sample(times=[0]).write(folder / "a.nc"), dataset)], dataset)
    cut = {} if source is None else dict(zip(("lat", "lon"), source, strict=True))
    (pick,) = choose(state, [0], seed, lambda digest, name: cut)[0]
    for (dim, window), size, length in zip(pick.windows, (4, 3), published, strict=True):
        assert 0 <= window.start < window.stop <= size
        assert window.stop - window.start <= length
        assert window.start // cut.get(dim, size) == (window.stop - 1) // cut.get(dim, size)


def test_the_sample_depends_on_the_seed_and_the_file(tmp_path):
    sample = Sample(times=[0], lat=np.linspace(-20, 0, 9), extra=("a", "b", "c"))
    published = Published(grid_dataset(layout={"chunks": {"lat": 2, "lon": 1}})).to(sample.write(tmp_path / "a.nc"))
    for name in ("sst", "a", "b"):
        published.group[name][...] = 1
    hits = ["independent reader" in told(published, seed)["a.nc"] for seed in range(16)]
    assert 0 < sum(hits) < 16
    assert hits[:5] == ["independent reader" in told(published, seed)["a.nc"] for seed in range(5)]


@given(
    raw=hnp.arrays("i2", hnp.array_shapes(max_dims=3), elements=st.integers(-40, 40)),
    scale=st.sampled_from([None, 0.5, -2.0]),
    fill=st.sampled_from([None, -3]),
)
def test_counts_agree_with_numpy_on_decoded_values(raw, scale, fill):
    packing = Packing(
        fill=None if fill is None else Number.of(np.int16(fill)), scale=None if scale is None else Number.of(scale)
    )
    decoded = raw.astype("f8") * (scale or 1.0)
    decoded = decoded[raw != fill] if fill is not None else decoded.reshape(-1)
    expected = VariableStats(
        min=decoded.min() if decoded.size else None,
        max=decoded.max() if decoded.size else None,
        valid=decoded.size,
        missing=raw.size - decoded.size,
    )
    assert count(raw, packing) == expected


@given(st.lists(hnp.arrays("f4", 4, elements=st.floats(width=32)), min_size=1, max_size=4))
def test_blocks_counted_one_by_one_are_the_whole(parts):
    merged = VariableStats()
    for part in parts:
        merged = merged.and_then(count(part, Packing()))
    assert merged == count(np.concatenate(parts), Packing())
    BlockStats(variables={"v": merged}).model_dump_json()


def test_fills_are_encoded_as_xarray_does():
    from xarray.backends.zarr import FillValueCoder

    for fill in (np.float32(-3.4e38), np.float64(np.nan), np.int16(-999), np.uint8(255)):
        assert encoded_fill(fill, fill.dtype.name) == FillValueCoder.encode(fill, fill.dtype)


def test_a_proof_of_files_with_one_variable_less_expects_fill(tmp_path):
    rules = {"unite": {"variables": "all"}}
    paths = [
        Sample(times=[0], without=("flag",)).write(tmp_path / "0.nc"),
        replace(Sample(times=[1])).write(tmp_path / "1.nc"),
    ]
    published = Published(grid_dataset(steps=rules)).to(*paths)
    assert told(published) == {}
    published.group["flag"][0, 0, 0] = 1
    assert "flag at 2020-01-01T00:00:00Z [0, 0, 0]" in told(published)["0.nc"]
    assert isinstance(published.group, zarr.Group)


def test_a_scale_of_float32_is_proven_although_json_makes_it_float64(tmp_path):
    single = {"scale_factor": np.float32(0.01), "add_offset": np.float32(273.15)}
    published = Published(grid_dataset()).to(Sample(times=[0, 1], sst_attributes=single).write(tmp_path / "a.nc"))
    assert told(published) == {}
    published.group["sst"][...] = published.group["sst"][...] + np.int16(1)
    assert "independent reader" in "\n".join(told(published, seed)["a.nc"] for seed in range(6))


@pytest.mark.parametrize("units", ["seconds since 1981-01-01 00:00:00", "days"])
def test_data_in_units_of_time_is_proven_as_numbers_whatever_is_sampled(tmp_path, units):
    dataset = grid_dataset(layout={"chunks": {"time": 2}})
    files = [
        Sample(times=[d], base=9 * d, extra=("observed",), without=("flag",)).write(tmp_path / f"{d}.nc")
        for d in range(5)
    ]
    for path in files:
        with netCDF4.Dataset(str(path), "a") as file:
            file.variables["observed"].units = units
            file.variables["observed"].delncattr("standard_name")
    grid = Published(dataset).to(*files)
    for seed in range(6):
        assert {p.name for p in grid.prove(seed) if not p.holds} == set()
    grid.group["observed"][3] = np.asarray(grid.group["observed"][3]) + 1
    assert "3.nc" in told(grid)


def test_a_missing_value_of_another_width_hides_the_number_that_is_nearest_to_it(tmp_path):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(str(Sample(times=[0], without=("flag", "depth")).write(path)), "a") as file:
        bent = file.createVariable("wide", "f4", ("time", "lat", "lon"), fill_value=np.float32(1e20))
        bent.missing_value = np.float64(-9999.9)
        bent.set_auto_mask(False)
        bent[:] = np.where(np.arange(12) % 5, np.arange(12), -9999.9).reshape(1, 4, 3)
        expected = np.ma.masked_equal(bent[:], np.float32(-9999.9)).mask
    grid = Published(grid_dataset(steps={"read_netcdf": {"drop": ["sst"]}})).to(path)
    assert told(grid) == {}
    np.testing.assert_array_equal(np.isnan(grid.xarray()["wide"].values), expected)
