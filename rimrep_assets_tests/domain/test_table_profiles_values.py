"""What the stored numbers and letters of samples mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_profiles, table_profiles_rows
from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.profile_files import DAYS, LON, staged, write


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
