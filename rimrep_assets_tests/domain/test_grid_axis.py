"""Planning by time: pure values, and hypothesis for what must hold of every history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_axis import (
    Slot,
    assign_axis,
    block_slots,
    changed_blocks,
    files_needed,
    missing_times,
)
from rimrep_assets.domain.grid_chunks import blocks_in_chunk
from rimrep_assets.domain.grid_layout import FileGrid, GridLayout, GridTime, Packing, Variable
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import DAY

LAYOUT = GridLayout(
    dimensions={"y": 2},
    variables={
        "v": Variable(source="v", source_dims=("t", "y"), dims=("t", "y"), dtype="float32", role="data"),
        "y": Variable(source="y", source_dims=("y",), dims=("y",), dtype="float32", role="coordinate", sha256="s"),
        "w": Variable(source="w", source_dims=("t",), dims=("t",), dtype="float64", role="auxiliary"),
    },
    time=GridTime(name="t", dim="t", units="", calendar="proleptic_gregorian"),
)


def file(name: str, days: list[int], edition: int = 0) -> FileGrid:
    return FileGrid(name=name, digest=f"{name}-{edition}", layout=LAYOUT.digest, times=tuple(d * DAY for d in days))


def state(files: list[FileGrid], chunk: int = 3, cadence: str | None = None, layout=LAYOUT) -> GridState:
    return GridState(
        files=tuple(sorted(files, key=lambda f: f.name)),
        layouts={LAYOUT.digest: LAYOUT},
        united=layout,
        chunks={"t": chunk, "y": 2},
        cadence=cadence,
    )


# A history: day -> edition of the one-day file, or of a file of two days.
HISTORIES = st.dictionaries(st.integers(0, 30), st.integers(0, 2), min_size=1)


def files_of(history: dict[int, int]) -> list[FileGrid]:
    return [file(f"f{day:02d}", [2 * day, 2 * day + 1][: 1 + day % 2], edition) for day, edition in history.items()]


@given(old=HISTORIES, new=HISTORIES, chunk=st.integers(1, 7), cadence=st.sampled_from([None, "P1D"]))
def test_writing_the_changed_blocks_over_the_base_gives_what_a_clean_build_gives(old, new, chunk, cadence):
    base, wanted = (state(files_of(h), chunk, cadence) for h in (old, new))
    blocks = changed_blocks(base, wanted, chunk)
    content = list(base.axis[: len(wanted.axis)])
    content += [Slot(0, "never written", 0)] * (len(wanted.axis) - len(content))
    for block in blocks:
        content[block * chunk : (block + 1) * chunk] = block_slots(wanted.axis, block, chunk)
    assert tuple(content) == wanted.axis
    every = set(range(-(-len(wanted.axis) // chunk)))
    assert set(blocks) <= every
    for block in every - set(blocks):
        assert block_slots(base.axis, block, chunk) == block_slots(wanted.axis, block, chunk)


@given(history=HISTORIES, chunk=st.integers(1, 7))
def test_nothing_changes_between_equal_states_and_json_keeps_them_equal(history, chunk):
    one = state(files_of(history), chunk)
    again = GridState.from_json(one.to_json())
    assert again == one
    assert again.to_json() == one.to_json()
    assert changed_blocks(one, again, chunk) == []


@given(history=HISTORIES)
def test_a_cadence_leaves_no_step_out_and_names_the_missing(history):
    files = files_of(history)
    held = {t for f in files for t in f.times}
    made = state(files, 4, "P1D")
    assert [s.time for s in made.axis] == list(range(min(held), max(held) + DAY, DAY))
    assert set(missing_times(made)) == {s.time for s in made.axis} - held


def test_appending_touches_the_last_block_and_those_behind_it():
    days = [file(f"f{d}", [d]) for d in range(8)]
    assert changed_blocks(state(days[:7]), state(days), 3) == [2]
    assert files_needed(state(days), [2], state(days[:7])) == {"f6", "f7"}


def test_a_reissued_file_touches_its_block_alone():
    days = [file(f"f{d}", [d]) for d in range(9)]
    again = [*days[:4], file("f4", [4], edition=1), *days[5:]]
    assert changed_blocks(state(days), state(again), 3) == [1]


def test_a_withdrawn_middle_shifts_the_rest_without_a_cadence_and_is_a_gap_with_one():
    days = [file(f"f{d}", [d]) for d in range(9)]
    left = [f for f in days if f.name != "f4"]
    assert changed_blocks(state(days), state(left), 3) == [1, 2]
    with_cadence = changed_blocks(state(days, cadence="P1D"), state(left, cadence="P1D"), 3)
    assert with_cadence == [1]


def test_another_packing_rewrites_every_block():
    days = [file(f"f{d}", [d]) for d in range(9)]
    packed = LAYOUT.variables["v"].model_copy(update={"packing": Packing(unsigned=True)})
    other = LAYOUT.model_copy(update={"variables": {**LAYOUT.variables, "v": packed}})
    assert changed_blocks(state(days), state(days, layout=other), 3) == [0, 1, 2]
    assert changed_blocks(None, state(days), 3) == [0, 1, 2]


def test_two_files_with_the_same_time_are_named_with_the_time():
    with pytest.raises(DataError) as caught:
        assign_axis([file("a", [0, 1]), file("b", [1, 2])], None)
    assert caught.value.problems == ("a and b both cover 1970-01-02T00:00:00Z",)


def test_the_same_bytes_under_two_names_count_once():
    twin = file("a", [0, 1]).model_copy(update={"name": "b"})
    assert [s.digest for s in assign_axis([file("a", [0, 1]), twin], None)] == ["a-0", "a-0"]


def test_a_time_off_the_cadence_is_refused_with_file_and_time():
    odd = FileGrid(name="odd", digest="o", layout="l", times=(DAY + DAY // 2,))
    with pytest.raises(DataError, match="odd: 1970-01-02T12:00:00Z is off the cadence P1D"):
        assign_axis([file("a", [0]), odd], "P1D")


def test_a_rounding_of_microseconds_is_not_off_the_cadence():
    late = FileGrid(name="late", digest="l", layout="l", times=(DAY - 7,))
    assert [s.time for s in assign_axis([file("a", [0]), late], "P1D")] == [0, DAY]


def test_thin_series_share_a_chunk_of_many_blocks():
    days = state([file(f"f{d}", [d]) for d in range(9)])
    assert blocks_in_chunk(days, "v", 1) == range(1, 2)
    assert blocks_in_chunk(days, "w", 0) == range(3)
    assert blocks_in_chunk(days, "v", 7) == range(3, 3)
