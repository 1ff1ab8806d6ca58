"""Times written by a declared pattern: what is read is what Python reads, and days that there are not are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.table_times import by_pattern

PATTERNS = {
    "%d/%m/%Y": "{d:02}/{m:02}/{y:04}",
    "%Y-%m-%d %H:%M:%S": "{y:04}-{m:02}-{d:02} {h:02}:{mi:02}:{s:02}",
    "%d/%m/%y %H:%M": "{d}/{m}/{y2:02} {h}:{mi:02}",
    "%m/%d/%Y %I:%M %p": "{m}/{d}/{y:04} {i}:{mi:02} PM",
    "%F %T": "{y:04}-{m:02}-{d:02} {h:02}:{mi:02}:{s:02}",
    "%Y%m%d%H%M%S%z": "{y:04}{m:02}{d:02}{h:02}{mi:02}{s:02}+1000",
    "%Y %j": "{y:04} {j:03}",
}
PLAIN = {"%F %T": "%Y-%m-%d %H:%M:%S"}


@given(
    pattern=st.sampled_from(sorted(PATTERNS)),
    cells=st.lists(
        st.fixed_dictionaries(
            {
                "y": st.integers(1000, 2999) | st.sampled_from([1900, 2000, 2023, 2024]),
                "m": st.integers(1, 12) | st.sampled_from([2, 4]),
                "d": st.integers(1, 31) | st.sampled_from([28, 29, 30, 31]),
                "h": st.integers(0, 24),
                "mi": st.integers(0, 60),
                "s": st.integers(0, 61),
                "i": st.integers(1, 12),
                "j": st.integers(1, 366),
                "y2": st.integers(0, 99),
            }
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_what_a_pattern_reads_is_what_python_reads(pattern, cells):
    texts = [PATTERNS[pattern].format(**cell) for cell in cells]
    try:
        expected = [datetime.strptime(text, PLAIN.get(pattern, pattern)) for text in texts]
    except ValueError:
        assert by_pattern(pa.array([*texts, None]), pattern) is None
        return
    found = by_pattern(pa.array([*texts, None]), pattern)
    in_utc = [one.astimezone(UTC).replace(tzinfo=None) if one.tzinfo else one for one in expected]
    assert found.cast(pa.timestamp("us")).to_pylist() == [*in_utc, None]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("29/02/2023", "%d/%m/%Y"),
        ("31/04/2024", "%d/%m/%Y"),
        ("01/02/24", "%d/%m/%Y"),
        ("2024-01-01 10:00:60", "%Y-%m-%d %H:%M:%S"),
    ],
)
def test_one_cell_among_many_that_names_no_day_is_found(text, pattern):
    good = datetime(2024, 3, 5).strftime(pattern)
    assert by_pattern(pa.array([good] * 5000), pattern) is not None
    assert by_pattern(pa.array([good] * 3000 + [text] + [good] * 2000), pattern) is None
