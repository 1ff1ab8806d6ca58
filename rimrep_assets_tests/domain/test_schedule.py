"""When a schedule comes, where clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.schedule import next_time
from rimrep_assets_tests.domain.test_dataset import changed, parsed
from rimrep_assets_tests.worlds import TABLE_YAML


def times(start: str, end: str, line: str = "30 2 * * *") -> list[str]:
    """Every time in Sydney between two moments in UTC."""
    found, now = [], datetime.fromisoformat(start).replace(tzinfo=UTC)
    while (now := next_time(line, "Australia/Sydney", now)) <= datetime.fromisoformat(end).replace(tzinfo=UTC):
        found.append(f"{now:%Y-%m-%d %H:%M}")
    return found


def test_half_past_two_comes_once_on_the_night_on_which_it_happens_twice():
    # Clocks go back at 2026-04-05 03:00 +11:00 (2026-04-04 16:00 UTC); 02:30 is 15:30 UTC and again 16:30 UTC.
    assert times("2026-04-03 12:00", "2026-04-06 12:00") == ["2026-04-03 15:30", "2026-04-04 15:30", "2026-04-05 16:30"]


def test_half_past_two_comes_once_on_the_night_on_which_it_does_not_happen():
    # Clocks go forward at 2026-10-04 02:00 +10:00 (2026-10-03 16:00 UTC), the first moment after the gap.
    assert times("2026-10-02 12:00", "2026-10-05 12:00") == ["2026-10-02 16:30", "2026-10-03 16:00", "2026-10-04 15:30"]


@given(minutes=st.integers(0, 14 * 24 * 60), start=st.sampled_from(["2026-03-29", "2026-09-27"]))
def test_the_next_time_is_always_later_and_none_is_left_out_by_asking_in_between(minutes, start):
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    after = begin + timedelta(minutes=minutes)
    every = times(start, "2026-12-31")
    assert f"{next_time('30 2 * * *', 'Australia/Sydney', after):%Y-%m-%d %H:%M}" == next(
        t for t in every if datetime.fromisoformat(t).replace(tzinfo=UTC) > after
    )


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"schedule": "15 2 * *"}, "not a cron line of five fields"),
        ({"schedule": "61 2 * * *"}, "not a cron line that ever comes"),
        ({"schedule": "0 0 31 2 *"}, "not a cron line that ever comes"),
        ({"schedule": "15 2 * * *", "timezone": "Australia/Sidney"}, "not an IANA time zone"),
        ({"schedule": "15 2 * * *", "timezone": "../etc"}, "not an IANA time zone"),
        ({"overlap": "wait"}, "skip"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_told_by_check(update, told):
    with pytest.raises(DefinitionError, match=told):
        parsed(changed(TABLE_YAML, update=update))
