"""A grid that grows at its end: whatever is made without looking at all files is what looking at all of them gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_growth import grown
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import DAY, HOUR
from rimrep_assets.domain.gridded import unite
from rimrep_assets_tests.domain.grid_bench import Sample, grid_dataset, header_of


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> list[GridHeader]:
    """Headers of two layouts, the second with another variable."""
    folder = tmp_path_factory.mktemp("kinds")
    samples = [Sample(times=[0]), Sample(times=[0], extra=("other",))]
    return [header_of(s.write(folder / f"{n}.nc"), rules()) for n, s in enumerate(samples)]


def rules(cadence: str | None = None, overlap: str = "refuse", chunk: int = 3) -> Any:
    layout = {"chunks": {"time": chunk}} | ({"cadence": cadence} if cadence else {})
    return grid_dataset(steps={"unite": {"variables": "common", "overlap": overlap}}, layout=layout)


def header(kind: GridHeader, name: str, hours: list[int], said: str = "all", content: str = "") -> GridHeader:
    attributes = dict(kind.file.attributes) | {"": {"title": said, "history": f"made for {name}"}}
    told = {
        "name": name,
        "digest": content or f"digest of {name}",
        "times": tuple(h * HOUR for h in sorted(hours)),
        "attributes": attributes,
    }
    return GridHeader(file=kind.file.model_copy(update=told), layout=kind.layout)


FILES = st.tuples(
    st.integers(0, 5).map(lambda n: 1 if n == 5 else 0),
    st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True),
    st.sampled_from(["all", "all", "all", "other"]),
)


@given(
    first=st.lists(FILES, min_size=1, max_size=4),
    more=st.lists(FILES, min_size=1, max_size=2),
    step=st.sampled_from([24, 12]),
    later=st.integers(-1, 3),
    cadence=st.sampled_from([None, "P1D", "PT12H"]),
    overlap=st.sampled_from(["refuse", "newest_name"]),
    chunks=st.sampled_from([(3, 3), (3, 3), (3, 4)]),
    names=st.sampled_from(["f{:03}.nc", "f{:03}.nc", "{}.nc"]),
)
def test_what_grew_is_what_uniting_all_files_gives(kinds, first, more, step, later, cadence, overlap, chunks, names):
    def headers(files, number: int, start: int) -> list[GridHeader]:
        made = []
        for at, (kind, steps, said) in enumerate(files):
            hours = [(start + 2 * at) * 24 + s * step for s in steps]
            made.append(header(kinds[kind], names.format(number + at), hours, said))
        return made

    old = headers(first, 8, 0)
    new = headers(more, 8 + len(old), 2 * len(first) + later)
    before, now = rules(cadence, overlap, chunks[0]), rules(cadence, overlap, chunks[1])
    try:
        base = unite(old, before)
    except DataError:
        event("the base is refused")
        return
    remembered = GridState.from_json(base.to_json())
    found = grown(remembered, new, now)
    event("asks for all files" if found is None else "grew")
    if found is not None:
        expected = unite([*remembered.headers(), *new], now)
        assert found.to_json() == expected.to_json()
        assert (found.axis, found.time_units) == (expected.axis, expected.time_units)
        assert found.newest_first == expected.newest_first


@pytest.mark.parametrize("cadence", [None, "P1D"])
def test_a_day_more_and_a_day_after_a_gap_need_no_other_file(kinds, cadence):
    base = unite([header(kinds[0], f"{n}.nc", [24 * n]) for n in range(5)], rules(cadence))
    for day in (5, 9):
        found = grown(base, [header(kinds[0], f"{day}.nc", [24 * day])], rules(cadence))
        assert found is not None
        assert found.axis[-1].time == day * DAY
        assert len(found.axis) == (day + 1 if cadence else 6)


def test_whatever_may_change_more_than_the_end_asks_for_all_files(kinds):
    base = unite([header(kinds[0], f"{n}.nc", [24 * n]) for n in range(5)], rules())
    new = {
        "a late file": header(kinds[0], "late.nc", [12]),
        "the same time again": header(kinds[0], "again.nc", [96]),
        "the same bytes again": header(kinds[0], "copy.nc", [96], content="digest of 4.nc"),
        "a name that is there": header(kinds[0], "4.nc", [120]),
        "another layout": header(kinds[1], "5.nc", [120]),
        "an attribute that was agreed upon": header(kinds[0], "5.nc", [120], "other"),
    }
    assert [why for why, one in new.items() if grown(base, [one], rules()) is not None] == []
    fits = header(kinds[0], "5.nc", [120])
    assert grown(base, [fits], rules(chunk=4)) is None
    assert grown(base, [fits], rules("PT7H")) is None
    assert grown(base, [], rules()) is None
    assert grown(base, [fits], rules()) is not None
