from __future__ import annotations

from datetime import UTC, datetime, timedelta

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_profiles, table_profiles_rows
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_profiles_rows import slabs
from rimrep_assets_tests.domain.profile_files import COUNTS, DAYS, LON, STATIONS, argo, letters, ragged, staged, write

XY = {"x": "lon", "y": "lat"}


@pytest.fixture(autouse=True, params=[65_536, 3], ids=["one block", "blocks of 3"])
def blocks(request, monkeypatch):
    """Every test with blocks that hold all, and with some so small that they cut profiles and instances."""
    monkeypatch.setattr(table_profiles, "BLOCK_ROWS", request.param)
    monkeypatch.setattr(table_profiles_rows, "PIECE", request.param)


def one(path, kind, values, about, *more, **options):
    """The column of a file with one variable."""
    write(path, {"obs": len(values)}, {"v": (kind, "obs", values, about)}, **options)
    part, told = staged(path, None, **(more[0] if more else {}))
    return part["v"].to_pylist(), told


# Representations


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
    assert [g is None for g in part["geometry"].to_pylist()] == [False] * 6 + [True] * 3
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


# Values


@pytest.mark.parametrize(
    ("kind", "values", "about", "expected"),
    [
        ("f4", [1, -9, np.nan], {"_FillValue": np.float32(-9)}, [1, None, None]),
        ("f4", [0.1, 1], {"missing_value": 0.1}, [None, 1]),
        ("f8", [1, -8, -7], {"missing_value": np.array([-8.0, -7.0])}, [1, None, None]),
        ("f8", [1, 9.969209968386869e36], {}, [1, None]),
        ("i2", [1, -32767], {}, [1, None]),
        ("i1", [1, -127], {}, [1, -127]),
        ("i1", [1, 99], {"_FillValue": np.int8(99)}, [1, None]),
        ("f4", [1, 5, -5], {"valid_min": np.float32(0), "valid_max": np.float32(4)}, [1, None, None]),
        ("f4", [0.1, 0.2], {"valid_max": 0.1}, [pytest.approx(0.1), None]),
        ("i2", [1, 5], {"valid_range": np.array([0, 4], "i2"), "scale_factor": 10.0}, [10, None]),
        ("i2", [1, 5], {"valid_range": np.array([0.0, 40.0]), "scale_factor": 10.0}, [10, None]),
        ("i1", [-1, 1, -2], {"_Unsigned": "true", "_FillValue": np.int8(-2)}, [255, 1, None]),
        ("u8", [2**63 - 1], {}, [2**63 - 1]),
        ("i8", [2**62 + 1], {}, [2**62 + 1]),
        ("f8", [1, 2], {"valid_min": "1.5"}, [None, 2]),
        ("f8", [1, 2], {"valid_min": "a little"}, [1, 2]),
        ("S1", [b"1", b" ", b"\0"], {"_FillValue": b" "}, ["1", None, None]),
        (str, np.array(["a", "", " b\0"], object), {}, ["a", None, "b"]),
    ],
)
def test_missing_values_and_packing(tmp_path, kind, values, about, expected):
    path = write(
        tmp_path / "v.nc", {"obs": len(values)}, {"v": (kind, "obs", values, about), "n": ("i4", "obs", 7, {})}
    )
    assert staged(path)[0]["v"].to_pylist() == expected


@pytest.mark.parametrize(
    ("kind", "values", "units", "expected"),
    [
        ("f8", [0.25], "days since 1950-01-01 00:00:00 UTC", ["1950-01-01T06:00:00"]),
        ("i4", [90], "minutes since 2020-01-01 00:00:00 +10:00", ["2019-12-31T15:30:00"]),
        ("f8", [27581.96670139], "days since 1950-01-01", ["2025-07-07T23:12:03.000096"]),
        ("f8", [738_000 + 3.25 / 24], "days since 0001-01-01", ["2021-07-28T03:15:00"]),
        ("f4", [1.5], "hours since 2000-01-01T00:00:00Z", ["2000-01-01T01:30:00"]),
        ("i8", [1_600_000_000_000_123], "microseconds since 1970-01-01", ["2020-09-13T12:26:40.000123"]),
    ],
)
def test_times_are_instants_as_exact_as_their_numbers(tmp_path, kind, values, units, expected):
    found, _ = one(tmp_path / "t.nc", kind, values, {"units": units})
    assert [t.replace(tzinfo=None).isoformat() for t in found] == expected


def test_a_declared_resolution_takes_the_noise_off_times(tmp_path):
    noisy = 23067.13541667
    found, _ = one(tmp_path / "a.nc", "f8", [noisy], DAYS)
    assert found[0].microsecond != 0
    found, _ = one(tmp_path / "b.nc", "f8", [noisy], {**DAYS, "resolution": 1e-8})
    assert found == [datetime(2013, 2, 26, 3, 15, tzinfo=UTC)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.datetimes(datetime(1960, 1, 1), datetime(2039, 1, 1)), min_size=1, max_size=10))
def test_times_written_as_days_come_back_to_the_microsecond(tmp_path_factory, moments):
    numbers = [(m - datetime(1950, 1, 1)) / timedelta(days=1) for m in moments]
    found, _ = one(tmp_path_factory.mktemp("t") / "t.nc", "f8", numbers, DAYS)
    apart = [abs(a.replace(tzinfo=None) - b) for a, b in zip(found, moments, strict=True)]
    assert max(apart) <= timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("about", "value", "says"),
    [
        (DAYS, 1_502_500.0, "v: row 1: 1502500.0 is in the year 6063; times lie in the years 1 to 2999"),
        (DAYS, -2_200_000.0, "is in the year -4074"),
        (DAYS, 1e300, "v: row 1: 1e+300 is no time"),
        ({**DAYS, "valid_max": 90000.0}, 90001.0, "row 1: 90001.0 lies outside its own valid range"),
        ({**DAYS, "calendar": "360_day"}, 1.0, "calendar '360_day': the times of a table are instants"),
        ({"units": "months since 2000-01-01"}, 1.0, "a 'months' is no step of fixed length"),
        ({"units": "days since -4713-01-01"}, 1.0, "before the year 1"),
        ({"units": "days since yesterday"}, 1.0, "'days since yesterday' are not like"),
        ({"scale_factor": 0.0}, 1.0, "scale_factor is 0"),
        ({"scale_factor": "big"}, 1.0, "scale_factor 'big' is no number"),
        (
            {**LON, "valid_max": 180.0},
            180.2,
            "v: row 1: 180.2 lies outside its own valid range ..180.0; read_profiles.outside_valid says",
        ),
    ],
)
def test_times_places_and_scales_that_make_no_sense_are_refused_with_the_row(tmp_path, about, value, says):
    with pytest.raises(DataError) as caught:
        one(tmp_path / "bad.nc", "f8", [0.0, value], about)
    assert says in str(caught.value)
    assert "bad.nc: v: " in str(caught.value)


def test_a_longitude_outside_its_own_range_is_published_where_the_catalog_says_so(tmp_path):
    about = {**LON, "valid_max": 180.0}
    found, told = one(tmp_path / "a.nc", "f8", [0.0, 180.2], about, {"outside_valid": {"v": "keep"}})
    assert found == [0.0, 180.2]
    assert told.left_out == {}
    found, told = one(tmp_path / "b.nc", "f8", [0.0, 180.2], about, {"outside_valid": {"v": "null"}})
    assert found == [0.0, None]
    assert told.left_out == {"rows with a value outside the valid range of v": 1}


def test_values_outside_their_range_are_counted_by_row(tmp_path):
    path = tmp_path / "o.nc"
    write(
        path,
        {"time": 4, "depth": 2},
        {
            "time": ("f8", "time", [0, 1, 2, 3], DAYS),
            "depth": ("f4", "depth", [5, -10], {"valid_min": np.float32(0)}),
            "temp": ("f4", "time depth", np.full((4, 2), 50), {"valid_max": np.float32(40)}),
        },
    )
    _, told = staged(path)
    assert told.left_out == {
        f"rows with a value outside the valid range of {v}": n for v, n in (("depth", 4), ("temp", 8))
    }


def test_all_wrong_values_are_told_together_and_capped(tmp_path):
    path = write(
        tmp_path / "w.nc",
        {"obs": 8},
        {
            "time": ("f8", "obs", np.full(8, 9e6), DAYS),
            "lon": ("f8", "obs", np.full(8, 400.0), {**LON, "valid_max": 360.0}),
        },
    )
    with pytest.raises(DataError) as caught:
        staged(path, {"t": "time"})
    told = "\n".join(caught.value.problems)
    assert "w.nc: time: row 0: " in told
    assert "w.nc: lon: row 2: " in told
    if table_profiles.BLOCK_ROWS > 8:
        assert "time: and 3 more like it nearby" in told


@pytest.mark.parametrize(
    ("bytes_", "says"),
    [(b"R\xe9union", "is not utf-8; declare read_profiles.encoding"), (b"a\0b", "holds NUL between letters")],
)
def test_letters_that_make_no_word_are_refused_with_the_row(tmp_path, bytes_, says):
    raw = np.array([list(word.ljust(8, b"\0")) for word in (b"Heron", bytes_)], "u1").view("S1")
    path = write(tmp_path / "w.nc", {"obs": 2, "l": 8}, {"w": ("S1", "obs l", raw, {}), "n": ("i4", "obs", 1, {})})
    with pytest.raises(DataError, match=f"w.nc: w: row 1: .*{says}"):
        staged(path)
    if b"\xe9" in bytes_:
        assert staged(path, encoding="latin-1")[0]["w"].to_pylist() == ["Heron", "Réunion"]


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
    (tmp_path / "half.nc").write_bytes((tmp_path / "new.nc").read_bytes()[:3000])
    for name, says in (
        ("empty", "is empty"),
        ("text", "cannot be read as NetCDF"),
        ("cut", "bytes fewer than its header says"),
        ("five", r"CDF-5|header is cut"),
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
