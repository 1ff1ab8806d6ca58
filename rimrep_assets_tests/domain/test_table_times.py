"""Times written by a declared pattern: what is read is what Python reads, and days that there are not are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_times import by_pattern
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import table

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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024-01-01T10:00:00.123456789Z", "finer than a microsecond"),
        ("2024-01-01", "a date without a time of day"),
        ("2016-12-31T23:59:60Z", "that no clock shows"),
        ("2016-12-31T24:00:00Z", "that no clock shows"),
        ("20240201T100000Z", "basic form"),
    ],
)
def test_a_time_that_no_column_holds_is_told_why(tmp_path, text, words):
    (tmp_path / "in.csv").write_text(f"lon,lat,t\n1,1,2024-01-01T00:00:00Z\n1,1,{text}\n")
    dataset = table(coordinates={"x": "lon", "y": "lat", "t": "t"})
    with pytest.raises(DataError) as told:
        stage_table(tmp_path / "in.csv", "in.csv", dataset, None, tmp_path / "p.parquet")
    assert f"row 1: '{text}'" in str(told.value)
    assert words in str(told.value)
