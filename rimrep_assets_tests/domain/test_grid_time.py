"""Units of time, held against cftime and pandas."""

from __future__ import annotations

import cftime
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.grid_time import (
    DAY,
    HOUR,
    cadence_us,
    decode_times,
    encode_times,
    iso_duration,
    iso_time,
    parse_units,
    published_units,
    same_units,
)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("days since 1990-01-01 00:00:00 +10", "1989-12-31T14:00:00Z"),
        ("days since 1985-01-01 00:00:00 UTC", "1985-01-01T00:00:00Z"),
        ("days since 1985-01-01 00:00:00+00:00", "1985-01-01T00:00:00Z"),
        ("seconds since 1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("hours since 1990-1-1", "1990-01-01T00:00:00Z"),
        ("minutes since 2000-01-01 06:30 -3:30", "2000-01-01T10:00:00Z"),
        ("days since 2000-01-01 00:00:00 +0930", "1999-12-31T14:30:00Z"),
        ("seconds since 1981-01-01 00:00:00.5", "1981-01-01T00:00:00.5Z"),
    ],
)
def test_the_zone_of_a_reference_time_is_honoured(units, expected):
    assert iso_time(decode_times([0], parse_units(units, "gregorian"))[0]) == expected


@given(days=st.integers(-700_000, 100_000))
def test_days_since_the_year_one_agree_with_cftime_in_the_mixed_calendar(days):
    units = "days since 0001-01-01 00:00:00"
    moment = cftime.num2date(days + 735_000, units, calendar="standard")
    ours = decode_times([days + 735_000], parse_units(units, "standard"))[0]
    epoch = cftime.datetime(1970, 1, 1, calendar="standard")
    assert ours == (moment - epoch).days * DAY


@given(st.lists(st.datetimes(pd.Timestamp("1800-01-01"), pd.Timestamp("2200-01-01")), min_size=1))
def test_whole_microseconds_survive_the_way_to_the_store_and_back(moments):
    times = [int(np.datetime64(m, "us").astype("i8")) for m in moments]
    units = published_units(times, "", "proleptic_gregorian")
    numbers = encode_times(times, units, "proleptic_gregorian")
    assert numbers.dtype == "int64"
    assert list(decode_times(numbers, parse_units(units, None))) == times
    assert pd.Timestamp(iso_time(times[0])).tz_localize(None) == pd.Timestamp(moments[0])


def test_fractions_of_days_are_rounded_to_the_microsecond():
    assert iso_time(decode_times([26368.0208333333], parse_units("days since 1950-01-01", None))[0]) == (
        "2022-03-12T00:29:59.999997Z"
    )


def test_a_calendar_of_360_days_keeps_its_numbers_and_units():
    parsed = parse_units("hours since 1970-01-01 00:00:00", "360_day")
    times = decode_times([-946_800.0, 12.0], parsed)
    assert encode_times(times, parsed.words, "360_day").tolist() == [-946_800, 12]
    assert iso_time(decode_times([24 * 59], parsed)[0], "360_day") == "1970-02-28T00:00:00Z"


@pytest.mark.parametrize(
    ("units", "calendar", "words"),
    [
        ("months since 2000-01-01", "standard", "no step of fixed length"),
        ("furlongs since 2000-01-01", None, "no step of fixed length"),
        ("days", None, "are not like"),
        ("days since 2000-13-01", None, "days since 2000-13-01"),
        ("days since 2000-01-01", "lunar", "is not one of CF's"),
    ],
)
def test_units_that_cannot_be_decoded_are_refused_in_words(units, calendar, words):
    with pytest.raises(ValueError, match=words):
        parse_units(units, calendar)


def test_nan_on_an_axis_is_named_by_position():
    with pytest.raises(ValueError, match="position 1"):
        decode_times([0.0, np.nan], parse_units("days since 2000-01-01", None))


def test_units_of_time_that_look_different_may_be_the_same():
    assert same_units("days since 1985-01-01 00:00:00+00:00", "days since 1985-01-01T00:00:00 UTC")
    assert not same_units("days since 1985-01-01", "days since 1985-01-02")
    assert not same_units("m s-1", "ms-1")
    assert not same_units("m", None)


@pytest.mark.parametrize("cadence", ["P1D", "PT1H", "PT30M", "P8D"])
def test_a_cadence_is_told_as_it_was_declared(cadence):
    assert iso_duration(cadence_us(cadence)) == cadence
    assert pd.Timedelta(cadence).value == cadence_us(cadence) * 1000


def test_odd_durations_have_seconds():
    assert iso_duration(HOUR + 500_000) == "PT3600.5S"
