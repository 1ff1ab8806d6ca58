"""Which rows the representations of CF have, and which files have none."""

from __future__ import annotations

from datetime import UTC, datetime

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_profiles, table_profiles_rows
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_profiles_rows import slabs
from rimrep_assets_tests.domain.profile_files import COUNTS, DAYS, STATIONS, argo, letters, ragged, staged, write

XY = {"x": "lon", "y": "lat"}


@pytest.fixture(autouse=True, params=[65_536, 3], ids=["one block", "blocks of 3"])
def blocks(request, monkeypatch):
    """Every test with blocks that hold all, and with some so small that they cut profiles and instances."""
    monkeypatch.setattr(table_profiles, "BLOCK_ROWS", request.param)
    monkeypatch.setattr(table_profiles_rows, "PIECE", request.param)


def test_an_incomplete_array_has_a_row_for_each_sample_and_none_for_fill(tmp_path):
    part, told = staged(argo(tmp_path / "a.nc"), {"x": "LONGITUDE", "y": "LATITUDE", "t": "JULD"})
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=True) as source:
        frame = source[["PRES", "PSAL"]].to_dataframe().dropna(how="all")
    assert part["PRES"].to_pylist() == [5, 10, 20, 30, 5, 10, 5, 20, 30]
    assert [v is None for v in part["PSAL"].to_pylist()] == frame["PSAL"].isna().tolist()
    np.testing.assert_allclose([v or np.nan for v in part["PSAL"].to_pylist()], frame["PSAL"], rtol=1e-6)
    assert part["PRES_QC"].to_pylist() == [1, 1, 1, 4, 1, 1, 1, 1, 1]
    assert part["PLATFORM"].to_pylist() == ["5901"] * 4 + ["5902"] * 2 + [None] * 3
    assert part["JULD"][0].as_py() == datetime(2013, 2, 26, 6, tzinfo=UTC)
    assert part["JULD"][4].as_py() is None
    places = zip(part["LONGITUDE"].to_pylist(), part["LATITUDE"].to_pylist(), strict=True)
    assert [None in place for place in places] == [False] * 6 + [True] * 3
    assert told.left_out == {"rows that hold nothing but fill": 3}


def test_packed_numbers_are_decoded_in_double_precision(tmp_path):
    part, _ = staged(argo(tmp_path / "a.nc"))
    assert part["PSAL"].to_pylist()[:3] == [n * 0.01 + 0.5 for n in (3500, 3501, 3502)]


def test_rows_of_fill_are_kept_where_the_catalog_says_so(tmp_path):
    part, told = staged(argo(tmp_path / "a.nc"), keep_empty=True)
    assert len(part) == 12
    assert told.left_out == {}
    assert part["PRES_QC"].to_pylist()[6:8] == [9, 9]


def test_one_profile_alone_loses_its_fill_as_many_do(tmp_path):
    part, told = staged(argo(tmp_path / "a.nc", slice(1, 2)), {"x": "LONGITUDE", "y": "LATITUDE"})
    assert part["PRES"].to_pylist() == [5, 10]
    assert part["PLATFORM"].to_pylist() == ["5902"] * 2
    assert told.left_out == {"rows that hold nothing but fill": 2}


def test_a_contiguous_ragged_array_repeats_each_station_on_its_samples(tmp_path):
    part, _ = staged(ragged(tmp_path / "r.nc", contiguous=True), {**XY, "t": "time"})
    assert part["station_name"].to_pylist() == [s for s, n in zip(STATIONS, COUNTS, strict=True) for _ in range(n)]
    assert part["row_size"].to_pylist() == [n for n in COUNTS for _ in range(n)]
    assert part["temp"].to_pylist() == [20 + n / 8 for n in range(9)]
    assert part["time"][8].as_py() == datetime(2020, 1, 1, 1, 20, tzinfo=UTC)


def test_an_indexed_ragged_array_may_hold_its_samples_in_any_order(tmp_path):
    order = [8, 0, 4, 3, 7, 1, 2, 6, 5]
    part, _ = staged(ragged(tmp_path / "r.nc", contiguous=False, order=order), {**XY, "t": "time"})
    belongs = [int(np.repeat(np.arange(4), COUNTS)[n]) for n in order]
    assert part["station_index"].to_pylist() == belongs
    assert part["station_name"].to_pylist() == [STATIONS[n] for n in belongs]
    assert part["lat"].to_pylist() == [(-18.8, -18.3, -23.4, -14.7)[n] for n in belongs]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(sum), st.integers(1, 7))
def test_any_counts_give_every_sample_its_own_profile(tmp_path_factory, counts, rows):
    path = tmp_path_factory.mktemp("ragged") / "r.nc"
    write(
        path,
        {"obs": sum(counts), "profile": len(counts)},
        {
            "n": ("i4", "profile", counts, {"sample_dimension": "obs"}),
            "profile": ("i4", "profile", np.arange(len(counts)) * 10, {}),
            "value": ("i4", "obs", np.arange(sum(counts)), {}),
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_profiles, "BLOCK_ROWS", rows)
        patch.setattr(table_profiles_rows, "PIECE", rows)
        part, _ = staged(path, dimension="obs")
    assert part["value"].to_pylist() == list(range(sum(counts)))
    assert part["profile"].to_pylist() == [10 * n for n, many in enumerate(counts) for _ in range(many)]


def test_profiles_of_stations_are_followed_over_both_links(tmp_path):
    write(
        tmp_path / "p.nc",
        {"obs": 6, "profile": 3, "station": 2},
        {
            "row_size": ("i4", "profile", [1, 3, 2], {"sample_dimension": "obs"}),
            "station_index": ("i4", "profile", [1, 0, 1], {"instance_dimension": "station"}),
            "station": ("i4", "station", [100, 200], {}),
            "time": ("f8", "profile", [1.0, 2.0, 3.0], DAYS),
            "z": ("f4", "obs", np.arange(6), {}),
        },
    )
    part, _ = staged(tmp_path / "p.nc", {"t": "time"})
    assert part["station"].to_pylist() == [200, 100, 100, 100, 200, 200]
    assert [t.day for t in part["time"].to_pylist()] == [2, 3, 3, 3, 4, 4]


def test_an_orthogonal_array_keeps_rows_without_value_and_repeats_both_axes(tmp_path):
    values = np.arange(6, dtype="f4").reshape(3, 2)
    values[1, 1] = -1
    write(
        tmp_path / "o.nc",
        {"time": 3, "depth": 2},
        {
            "time": ("f8", "time", [0.0, 0.5, 1.0], DAYS),
            "depth": ("f4", "depth", [5, 10], {}),
            "temp": ("f4", "time depth", values, {"_FillValue": np.float32(-1)}),
            "turned": ("f4", "depth time", values.T, {}),
            "lat": ("f8", "", -18.0, {}),
        },
    )
    part, told = staged(tmp_path / "o.nc", {"t": "time"})
    assert part["temp"].to_pylist() == [0, 1, 2, None, 4, 5]
    assert part["turned"].to_pylist() == [0, 1, 2, -1, 4, 5]
    assert part["depth"].to_pylist() == [5, 10] * 3
    assert [t.hour for t in part["time"].to_pylist()] == [0, 0, 12, 12, 0, 0]
    assert part["lat"].to_pylist() == [-18.0] * 6
    assert told.left_out == {}


def test_three_dimensions_are_rows_too(tmp_path):
    write(
        tmp_path / "s.nc",
        {"a": 2, "b": 3, "c": 4},
        {
            "v": ("i4", "a b c", np.arange(24).reshape(2, 3, 4), {}),
            "ab": ("i4", "a b", np.arange(6).reshape(2, 3), {}),
            **{d: ("i4", d, np.arange(n), {}) for d, n in (("a", 2), ("b", 3), ("c", 4))},
        },
    )
    part, _ = staged(tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as source:
        frame = source.to_dataframe(dim_order=["a", "b", "c"]).reset_index()
    for column in ("v", "ab", "a", "b", "c"):
        assert part[column].to_pylist() == frame[column].tolist()


@given(st.lists(st.integers(1, 6), max_size=4), st.integers(1, 40))
def test_slabs_cut_an_array_into_its_cells_in_order(shape, most):
    cells = np.arange(int(np.prod(shape))).reshape(shape)
    found = [(start, cells[slab].reshape(-1)) for start, slab in slabs(shape, most)]
    assert np.concatenate([part for _, part in found]).tolist() == list(range(cells.size))
    assert all(part[0] == start and len(part) <= most for start, part in found)


def test_a_chosen_dimension_takes_what_lies_along_it_alone(tmp_path):
    path = write(
        tmp_path / "t.nc",
        {"time": 3, "wave": 2},
        {
            "time": ("f8", "time", [0, 1, 2], DAYS),
            "height": ("f4", "time", [1, 2, 3], {}),
            "energy": ("f4", "wave", [7, 8], {}),
        },
    )
    with pytest.raises(DataError) as caught:
        staged(path)
    told = str(caught.value)
    assert "several sets of samples" in told
    assert "time (3): time, height" in told
    assert "wave (2): energy" in told
    assert "read_profiles.dimension" in told
    part, said = staged(path, {"t": "time"}, dimension="time")
    assert part.column_names == ["time", "height"]
    assert said.left_out == {"variables that do not lie along the rows: energy": 1}
    assert staged(path, variables=["time", "hei*"])[0].column_names == ["time", "height"]


def test_attributes_of_the_file_become_columns(tmp_path):
    path = ragged(tmp_path / "r.nc", contiguous=True, platform_code="NRS ", site=np.int32(4), depth=2.5)
    part, _ = staged(path, attributes={"platform_code": "platform", "site": "number", "depth": "nominal"})
    assert part.slice(8).select(["platform", "number", "nominal"]).to_pylist() == [
        {"platform": "NRS", "number": 4, "nominal": 2.5}
    ]


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF4_CLASSIC"])
def test_older_formats_hold_the_same_rows(tmp_path, kind):
    part, _ = staged(ragged(tmp_path / "a.nc", contiguous=True))
    assert staged(ragged(tmp_path / "b.nc", contiguous=True, format=kind))[0].equals(part)


# Files that cannot be rows


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"row_size": [3, 0, 2, 3]}, "row_size: counts 8 samples in all, 'obs' has 9"),
        ({"row_size": [3, -1, 3, 4]}, "row_size: holds numbers that count no samples of 'obs': -1 at station 1"),
        ({"station_index": [0, 1, 2, 3, 4, 0, -1, 0, 0]}, "row 4: 4 is no instance; 'station' has 4, numbered from 0"),
        ({"station_index": [0, 1, 2, 3, 4, 0, -1, 0, 0]}, "row 6: -1 is no instance"),
    ],
)
def test_links_that_lead_nowhere_are_refused(tmp_path, change, says, request):
    (name,) = change
    path = ragged(tmp_path / "r.nc", contiguous=name == "row_size")
    with netCDF4.Dataset(path, "a") as file:
        file[name][:] = change[name]
    if "row 6" in says and "blocks of 3" in request.node.name:
        return
    with pytest.raises(DataError) as caught:
        staged(path)
    assert says in str(caught.value)
    assert "r.nc: " in str(caught.value)


def test_files_that_are_no_netcdf_or_cut_are_refused(tmp_path):
    (tmp_path / "empty.nc").write_bytes(b"")
    (tmp_path / "text.nc").write_text("time,temp\n1,2\n")
    whole = argo(tmp_path / "whole.nc", format="NETCDF3_CLASSIC").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[:-50])
    (tmp_path / "five.nc").write_bytes(b"CDF\x05" + whole[4:])
    argo(tmp_path / "new.nc")
    (tmp_path / "names.nc").write_bytes(whole.replace(b"PRES_QC", b"PRES\xffQC"))
    (tmp_path / "half.nc").write_bytes((tmp_path / "new.nc").read_bytes()[:3000])
    for name, says in (
        ("empty", "is empty"),
        ("text", "cannot be read as NetCDF"),
        ("cut", "bytes fewer than its header says"),
        ("five", r"CDF-5|header is cut"),
        ("names", "cannot be read as NetCDF"),
        ("half", "cannot be read as NetCDF"),
    ):
        with pytest.raises(DataError, match=rf"{name}\.nc: .*{says}"):
            staged(tmp_path / f"{name}.nc")


def test_a_file_without_samples_is_refused(tmp_path):
    path = write(
        tmp_path / "none.nc",
        {"time": None, "depth": 2},
        {"time": ("f8", "time", None, DAYS), "t": ("f4", "time depth", None, {}), "depth": ("f4", "depth", [1, 2], {})},
    )
    with pytest.raises(DataError, match=r"none\.nc: dimension 'time' is of size 0: there are no rows"):
        staged(path)


def test_what_the_catalog_names_and_the_file_lacks_is_told(tmp_path):
    path = argo(tmp_path / "a.nc")
    with pytest.raises(DataError) as caught:
        staged(path, variables=["PRES", "TEMP"], outside_valid={"PRESS": "keep"})
    told = str(caught.value)
    assert "read_profiles.variables names 'TEMP', which is not in the file" in told
    assert "read_profiles.outside_valid names 'PRESS', which is not in the file; did you mean 'PRES'?" in told
    with pytest.raises(DataError, match=r"names 'PROF'.*dimensions: N_PROF \(3\), N_LEVELS \(4\)"):
        staged(path, dimension="PROF")
    with pytest.raises(DataError, match="attributes names 'site', which it lacks"):
        staged(path, attributes={"site": "site"})
    with pytest.raises(DataError, match="a variable is called 'PRES' too"):
        staged(argo(path, site="x"), attributes={"site": "PRES"})
    with pytest.raises(DataError, match="PRES: lies along N_PROF x N_LEVELS, the rows along N_PROF"):
        staged(path, dimension="N_PROF", variables=["PRES", "JULD"])


def test_groups_with_variables_are_refused_unless_variables_are_chosen(tmp_path):
    path = ragged(tmp_path / "g.nc", contiguous=True)
    with netCDF4.Dataset(path, "a") as file:
        inner = file.createGroup("deep").createGroup("deeper")
        inner.createVariable("x", "f4", ("obs",))
    with pytest.raises(DataError, match="its groups /deep/deeper hold variables"):
        staged(path)
    assert staged(path, variables="temp")[0].column_names == ["temp"]


def test_variables_of_types_that_no_column_has_are_refused_by_name(tmp_path):
    path = write(tmp_path / "c.nc", {"obs": 2}, {"v": ("i4", "obs", [1, 2], {})})
    with netCDF4.Dataset(path, "a") as file:
        file.createVariable("lists", file.createVLType("f4", "floats"), ("obs",))
    with pytest.raises(DataError, match=r"c\.nc: lists: no type of a table"):
        staged(path)
    assert staged(path, variables="v")[0]["v"].to_pylist() == [1, 2]


def test_words_of_instances_do_not_fill_the_memory(tmp_path, monkeypatch):
    """Samples that belong to the first and the last of many instances read no more than those."""
    read = []
    real = table_profiles_rows.Samples._stored
    many = 10 * table_profiles_rows.PIECE if table_profiles_rows.PIECE < 10 else 100_000
    path = write(
        tmp_path / "m.nc",
        {"obs": 2, "station": many, "l": 4},
        {
            "name": ("S1", "station l", letters(["abcd"] * many, 4), {}),
            "i": ("i4", "obs", [0, many - 1], {"instance_dimension": "station"}),
        },
    )

    def stored(self, name, parts):
        found = real(self, name, parts)
        if name == "name" and not any(isinstance(part, np.ndarray) for part in parts):
            read.append(found.shape[0])
        return found

    monkeypatch.setattr(table_profiles_rows.Samples, "_stored", stored)
    assert staged(path)[0]["name"].to_pylist() == ["abcd", "abcd"]
    assert set(read) == {1}
