"""The time axis of a grid: which file stands at which time, what changed, which files are needed.

Here belongs planning by time, as pure functions. Not here: whether files fit each other (``gridded``), or moving
values (``grid_write``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, total_ordering
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_layout import FileGrid
from rimrep_assets.domain.grid_time import SECOND, STANDARD, cadence_us, iso_time

if TYPE_CHECKING:
    from rimrep_assets.domain.grid_state import GridState


Overlap = Literal["refuse", "newest_name"]
"""what happens where several files cover one time"""
OVERLAP_ADVICE = (
    "declare which of several files gives a time (unite: {overlap: newest_name}, the one whose name sorts last), or "
    "exclude files"
)
CADENCE_ADVICE = (
    "bring times onto the cadence where they are off by errors of rounding (fix_time: {round: ...}), or take "
    "layout.cadence out"
)


class Slot(NamedTuple):
    """One position of the axis: time in microseconds since 1970, the file by content, the position in the file."""

    time: int
    digest: str | None
    position: int


def assign_axis(
    files: Iterable[FileGrid], cadence: str | None, calendar: str = STANDARD, overlap: Overlap = "refuse"
) -> tuple[Slot, ...]:
    """Every time of the axis with the file that covers it, in order of time.

    Without ``cadence`` the axis is the sorted union of the files' times. With it, every step from the first to the
    last time is there, and steps without a file have digest None; times are then rounded to the second, because
    providers store hours as fractions of days. Two names with the same bytes count once.
    Of files that cover one time the last in ``name_order`` gives it where ``overlap`` is ``newest_name``.
    Raises: DataError naming both files and the times that two different files cover, and every time off the cadence.
    """
    known = list(files)
    apart = _places_apart(known, cadence)
    taken, clashes = (apart, {}) if apart is not None else _places_shared(known, cadence, overlap)
    problems = [f"{a} and {b} both cover {_some(times, calendar)}" for (a, b), times in clashes.items()]
    slots = tuple(Slot(time, taken[time][0].digest, taken[time][1]) for time in sorted(taken))
    advice = [OVERLAP_ADVICE] if problems else []
    if cadence is not None and slots:
        off = _off_cadence(slots, taken, cadence, calendar)
        problems, advice = problems + off, advice + ([CADENCE_ADVICE] if off else [])
    if problems:
        raise DataError(problems, advice="; ".join(advice) + ".")
    return _regular(slots, cadence_us(cadence)) if cadence is not None and slots else slots


def extended_axis(
    axis: tuple[Slot, ...], files: Iterable[FileGrid], cadence: str | None, calendar: str, overlap: Overlap
) -> tuple[Slot, ...] | None:
    """``assign_axis`` of the files of ``axis`` and more; None where not all of these lie after it, or do not fit."""
    try:
        more = assign_axis(files, cadence, calendar, overlap)
    except DataError:
        # Whoever assigns the whole axis is told all that is wrong.
        return None
    if not axis or not more or more[0].time <= axis[-1].time:
        return None
    if cadence is None:
        return axis + more
    step = cadence_us(cadence)
    if (more[0].time - axis[-1].time) % step:
        return None
    return axis + tuple(Slot(time, None, -1) for time in range(axis[-1].time + step, more[0].time, step)) + more


_Taken = dict[int, tuple[FileGrid, int]]
"""by time the file that gives it, and where in the file"""


def _times_of(file: FileGrid, cadence: str | None) -> Iterator[tuple[int, int]]:
    """The file's times, as they are published, with their positions in it."""
    for index, exact in enumerate(file.times):
        time = exact if cadence is None else _to_second(exact)
        yield time, file.positions[index] if file.positions else index


def _places_apart(files: Sequence[FileGrid], cadence: str | None) -> _Taken | None:
    """Every time with its file, where none is covered twice; else None."""
    taken: _Taken = {}
    for file in files:
        taken |= {time: (file, position) for time, position in _times_of(file, cadence)}
    return taken if len(taken) == sum(len(file.times) for file in files) else None


def _places_shared(
    files: Sequence[FileGrid], cadence: str | None, overlap: Overlap
) -> tuple[_Taken, dict[tuple[str, str], list[int]]]:
    """Every time with the file that is to give it, and the times that two files cover against the rule."""
    taken: _Taken = {}
    clashes: dict[tuple[str, str], list[int]] = {}
    last_wins = overlap == "newest_name"
    for file in sorted(files, key=lambda f: name_order(f.name), reverse=last_wins):
        for time, position in _times_of(file, cadence):
            holder = taken.setdefault(time, (file, position))[0]
            if holder is file and taken[time][1] != position:
                clashes.setdefault((file.name, file.name), []).append(time)
            elif holder.digest != file.digest and not last_wins:
                clashes.setdefault((holder.name, file.name), []).append(time)
    return taken, clashes


@lru_cache(maxsize=100_000)
def name_order(name: str) -> tuple[Any, ...]:
    """What names are sorted by: as people count, so that ``v10`` follows ``v9``; equal only for equal names."""
    pieces = enumerate(re.split(r"([0-9]+)", name))
    parts = [(int(part), "") if index % 2 else (-1, part) for index, part in pieces]
    return tuple(parts), name


@total_ordering
class NameOrder:
    """A name that compares by ``name_order``, which is looked at only where what stands before it is equal."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameOrder) and self.name == other.name

    def __lt__(self, other: NameOrder) -> bool:
        return name_order(self.name) < name_order(other.name)

    def __hash__(self) -> int:
        return hash(self.name)


def _to_second(time: int) -> int:
    return (time + SECOND // 2) // SECOND * SECOND


def _some(times: Sequence[int], calendar: str) -> str:
    words = ", ".join(iso_time(t, calendar) for t in times[:5])
    return f"{words} and {len(times) - 5} more times" if len(times) > 5 else words


def _off_cadence(slots: Sequence[Slot], taken: _Taken, cadence: str, calendar: str) -> list[str]:
    step, first = cadence_us(cadence), slots[0].time
    off: dict[str, list[int]] = {}
    for slot in slots:
        if (slot.time - first) % step:
            off.setdefault(taken[slot.time][0].name, []).append(slot.time)
    start = iso_time(first, calendar)
    return [f"{n}: {_some(t, calendar)} is off the cadence {cadence} from {start}" for n, t in off.items()]


def _regular(slots: Sequence[Slot], step: int) -> tuple[Slot, ...]:
    held = {slot.time: slot for slot in slots}
    return tuple(held.get(time, Slot(time, None, -1)) for time in range(slots[0].time, slots[-1].time + step, step))


def block_slots(axis: Sequence[Slot], block: int, chunk: int) -> Sequence[Slot]:
    """The slots of one block; the last block may be short."""
    return axis[block * chunk : (block + 1) * chunk]


def changed_blocks(base: GridState | None, state: GridState, chunk: int) -> list[int]:
    """Blocks of ``state`` that must be written, ascending: those whose slots differ from ``base``'s.

    Those too of which a file has a variable that ``base`` has not; elsewhere a new variable is fill, and that is not
    stored. All blocks when there is no base, or when a chunk of it has another place, shape, type or packing.
    Description, axes' values and the unit of the time axis are written whenever they differ and change no block, save
    that bounds of time are counted in that unit: with it all blocks of their grid are written.
    Of a grid of references also ``moved_blocks``.
    """
    return sorted({*_blocks_with_other_values(base, state, chunk), *_blocks_elsewhere(base, state, chunk)})


def moved_blocks(base: GridState | None, state: GridState, chunk: int) -> list[int]:
    """Of ``changed_blocks`` those whose values ``base`` holds, with references to where their file is no more.

    There are none where values are copied.
    """
    elsewhere = _blocks_elsewhere(base, state, chunk)
    return sorted(elsewhere.difference(_blocks_with_other_values(base, state, chunk))) if elsewhere else []


def _blocks_elsewhere(base: GridState | None, state: GridState, chunk: int) -> set[int]:
    """Blocks of a file for which ``base`` names another place."""
    before = base.by_digest if base else {}
    moved = {d for d, file in state.by_digest.items() if d in before and before[d].place != file.place}
    return {row // chunk for row, slot in enumerate(state.axis) if slot.digest in moved} if moved else set()


def _blocks_with_other_values(base: GridState | None, state: GridState, chunk: int) -> list[int]:
    blocks = range(-(-len(state.axis) // chunk))
    if base is None or not base.written_alike(state):
        return list(blocks)
    new = {name for name in state.united.variables if state.united.varies(name)} - base.united.variables.keys()
    having = {f.digest for f in state.files if new & state.layout_of(f).variables.keys()} if new else set()
    return [
        b
        for b in blocks
        if (slots := block_slots(state.axis, b, chunk)) != block_slots(base.axis, b, chunk)
        or any(slot.digest in having for slot in slots)
    ]


def files_needed(state: GridState, blocks: Iterable[int], base: GridState | None = None) -> set[str]:
    """Names of the source files that writing and proving ``blocks`` opens.

    These are the files of the blocks, and where variables without time (or axes) are taken from, unless ``base`` holds
    the same values of them already; without ``base`` and without blocks nothing is needed.
    """
    wanted = list(blocks)
    digests = {slot.digest for b in wanted for slot in block_slots(state.axis, b, state.chunk)}
    names = {state.by_digest[digest].name for digest in digests if digest is not None}
    if wanted or base is not None:
        names |= {state.provider(name).name for name in stale_static(base, state)}
    return names


def stale_static(base: GridState | None, state: GridState) -> list[str]:
    """Variables without time, axes among them, whose values ``base`` does not hold."""
    fixed = {n: v.sha256 for n, v in state.united.variables.items() if not state.united.varies(n)}
    if base is None or not base.written_alike(state):
        return list(fixed)
    return [
        name
        for name, digest in fixed.items()
        if name not in base.united.variables
        or digest != base.united.variables[name].sha256
        or _source_of(base, name) != _source_of(state, name)
    ]


def _source_of(state: GridState, name: str) -> object:
    """What else decides the published values of a variable without time: how its file packs it."""
    variable = state.layout_of(state.provider(name)).variables[name]
    return variable.dtype, variable.packing


def missing_times(state: GridState) -> list[int]:
    """Times of the axis that no file covers."""
    return [slot.time for slot in state.axis if slot.digest is None]
