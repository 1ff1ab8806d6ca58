"""The sample: of every file one chunk, chosen by a seed, held against what is published at its time and place.

Here belong choosing what is read and comparing it. Not here: the reading, by libraries that share no code with ours
(``grid_sample_reading``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_layout import FileGrid, GridLayout, Variable
from rimrep_assets.domain.grid_state import GridState

if TYPE_CHECKING:
    import numpy as np

    from rimrep_assets.domain.grid_sample_reading import OtherReading

TIME_SLACK_US = 1_000
"""readers round fractions of days differently, by microseconds"""
CADENCE_SLACK_US = 500_000
"""with a cadence the published axis is in whole seconds"""
_TOLD = 3


@dataclass(frozen=True)
class Pick:
    """What is sampled of one file: some rows of one variable in one block, within the extent of one chunk."""

    file: FileGrid
    block: int
    name: str
    rows: tuple[int, ...]
    """positions on the published time axis; (0,) of what does not vary with time"""
    windows: tuple[tuple[str, slice], ...]
    """published indexes of the other dimensions"""


CutOf = Callable[[str, str], Mapping[str, int]]
"""by a file's content and a variable: the source's chunk lengths along the dimensions that are published whole, as they
stand in the file"""


def choose(
    state: GridState, blocks: Sequence[int], seed: int, cut: CutOf, without: Collection[str] = ()
) -> dict[int, list[Pick]]:
    """For every file of ``blocks`` one pick, by block; the same seed picks the same. ``cut``: how files are cut.

    ``without``: contents of files that are left out.
    """
    rows_of: dict[str, dict[int, list[int]]] = {}
    for block in blocks:
        for row in range(block * state.chunk, min((block + 1) * state.chunk, len(state.axis))):
            digest = state.axis[row].digest
            if digest is not None and digest not in without:
                rows_of.setdefault(digest, {}).setdefault(block, []).append(row)
    found: dict[int, list[Pick]] = {}
    # Files of a block share the place, so that what is published there is read once.
    windows: dict[tuple[int, str], tuple[tuple[str, slice], ...]] = {}
    for digest in sorted(rows_of):
        file = state.by_digest[digest]
        layout = state.layout_of(file)
        dice = random.Random(f"{seed}:{digest}")  # noqa: S311 - a sample, not a secret
        names = sorted(n for n, v in layout.variables.items() if v.role == "data" and n in state.united.variables)
        names = [n for n in names if layout.varies(n)] or names
        if names:
            block, name = dice.choice(sorted(rows_of[digest])), dice.choice(names)
            if (block, name) not in windows:
                windows[block, name] = _windows(state, name, f"{seed}:{block}:{name}", cut(digest, name))
            rows = tuple(rows_of[digest][block])
            found.setdefault(block, []).append(Pick(file, block, name, rows, windows[block, name]))
            found[block] += [
                Pick(file, block, bounds, rows, _whole(state, bounds)) for bounds in _bounds(layout, state)
            ]
    return found


def _bounds(layout: GridLayout, state: GridState) -> list[str]:
    """Bounds of time are looked at beside what was chosen: they alone of all values were converted into other units."""
    return [n for n, v in sorted(layout.variables.items()) if v.time_bounds is not None and n in state.united.variables]


def _whole(state: GridState, name: str) -> tuple[tuple[str, slice], ...]:
    """All of the other dimensions."""
    sizes = state.united.dimensions
    return tuple((dim, slice(0, sizes[dim])) for dim in state.united.variables[name].dims if dim in sizes)


def _windows(state: GridState, name: str, seed: str, cut: Mapping[str, int]) -> tuple[tuple[str, slice], ...]:
    """The other dimensions' extent of one chunk: of the source's, and no longer than a published one."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    time = state.united.time
    windows = []
    for dim in state.united.variables[name].dims:
        if time is None or dim != time.dim:
            size = state.united.dimensions[dim]
            start, stop = _stretch(dice, 0, size, cut.get(dim, size))
            windows.append((dim, slice(*_stretch(dice, start, stop, state.chunks.get(dim, size)))))
    return tuple(windows)


def _stretch(dice: random.Random, start: int, stop: int, length: int) -> tuple[int, int]:
    """One of the stretches of ``length`` into which ``start`` to ``stop`` is cut; the last may be shorter."""
    begin = start + dice.randrange(-(-(stop - start) // length)) * length
    return begin, min(begin + length, stop)


def compare(
    pick: Pick, other: OtherReading, there: np.ndarray, published_times: np.ndarray | None, state: GridState
) -> tuple[int, list[str]]:
    """Number of values compared, and the differences in words.

    ``there``: the published values of the pick, decoded; ``published_times``: those of its rows.
    """
    problems = []
    slack = max(CADENCE_SLACK_US if state.cadence is not None else TIME_SLACK_US, other.moved_us)
    if published_times is not None:
        name = state.united.time.name if state.united.time else ""
        for stamp, ours in zip(other.times, published_times, strict=True):
            if not _same_time(stamp, ours, slack):
                problems.append(f"{name}: independent reader {stamp}, published {ours}")
    return there.size, problems[:_TOLD] + _unequal(pick, other.values, there, other.times, state)


def _same_time(stamp: Any, ours: Any, slack: int) -> bool:
    import numpy as np

    if isinstance(stamp, np.datetime64) != isinstance(ours, np.datetime64):
        # Datetimes or cftime's: that depends on whether all that was decoded together lies after 1678.
        named = ours if isinstance(stamp, np.datetime64) else stamp
        if named.calendar not in ("standard", "proleptic_gregorian"):
            return False
        stamp, ours = (np.datetime64(t if t is not named else t.isoformat(), "us") for t in (stamp, ours))
    if not isinstance(stamp, np.datetime64) and {stamp.calendar, ours.calendar} == {"standard", "proleptic_gregorian"}:
        # The same days, which xarray names by two calendars where a series reaches beyond 1678.
        stamp, ours = (one.change_calendar("proleptic_gregorian") for one in (stamp, ours))
    apart = stamp - ours
    microseconds = apart / np.timedelta64(1, "us") if isinstance(apart, np.timedelta64) else apart.total_seconds() * 1e6
    return bool(abs(microseconds) <= slack)


def _same_times(expected: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Where both have the same time, or none; bounds are never rounded, whatever is done to their axis."""
    import numpy as np

    def same(one: Any, other: Any) -> bool:
        lacks = [value is None or value != value for value in (one, other)]
        return all(lacks) if any(lacks) else _same_time(one, other, TIME_SLACK_US)

    # Of datetimes an element each, and not the whole numbers that tolist() makes of nanoseconds.
    pairs = zip(expected.reshape(-1), there.reshape(-1), strict=True)
    return np.array([same(one, other) for one, other in pairs], bool).reshape(expected.shape)


def _decodes_exactly(of_file: Variable, published: Variable) -> bool:
    """Whether both sides do the same arithmetic.

    Scale factors of float32 become float64 in JSON, and values unpacked or packed anew were rounded once more.
    """
    scaling = [n.dtype for n in (of_file.packing.scale, of_file.packing.offset) if n is not None]
    same = (of_file.packing.scale, of_file.packing.offset) == (published.packing.scale, published.packing.offset)
    return not scaling or (same and "float32" not in scaling)


def _unequal(pick: Pick, expected: np.ndarray, there: np.ndarray, times: Sequence[Any], state: GridState) -> list[str]:
    import numpy as np

    name = pick.name
    if expected.shape != there.shape:
        return [f"{name}: shape {there.shape}, independent reader {expected.shape}"]
    variable, published = state.layout_of(pick.file).variables[name], state.united.variables[name]
    if published.time_bounds is not None:
        same = _same_times(expected, there)
    elif expected.dtype.kind not in "fiu" or there.dtype.kind not in "fiu":
        same = expected == there
    elif expected.dtype == there.dtype and _decodes_exactly(variable, published):
        same = (expected == there) | (np.isnan(expected) & np.isnan(there))
    else:
        a, b = expected.astype("f8"), there.astype("f8")
        largest = float(np.nanmax(np.abs(a), initial=0.0, where=np.isfinite(a)))
        offset = published.packing.offset or variable.packing.offset
        slack = 1e-6 * max(largest, abs(float(offset.numpy())) if offset else 0.0)
        same = np.isclose(a, b, rtol=1e-6, atol=slack, equal_nan=True)
    if same.all():
        return []
    wrong = np.argwhere(~np.atleast_1d(same))
    starts = [part.start for _, part in pick.windows]
    told = []
    for cell in wrong[:_TOLD].tolist():
        index = tuple(cell)[: same.ndim]
        at = f" at {times[index[0]]}" if times else ""
        place = [i + s for i, s in zip(index[1:] if times else index, starts, strict=False)]
        told.append(f"{name}{at} {place}: independent reader {expected[index]}, published {there[index]}")
    if len(wrong) > _TOLD:
        told.append(f"{name}: {len(wrong) - _TOLD} more cells differ from the independent reader")
    return told
