"""What a grid keeps of an earlier version of itself, so that the files it came from need not be there any more.

Here belong taking rows out of what is stored, holding them against their recorded digests, and which proofs may be
carried on. Not here: writing a block (``grid_block``), proving one (``grid_proof_block``), or where the earlier version
is stored (``ports/grid_data``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from rimrep_assets.domain.errors import Damaged, DataError
from rimrep_assets.domain.grid_axis import Slot, block_slots, stale_static
from rimrep_assets.domain.grid_block import BlockReader, run_all
from rimrep_assets.domain.grid_digests import BlockDigests, RowDigests
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import iso_time
from rimrep_assets.domain.grid_values import Band

if TYPE_CHECKING:
    import numpy as np
    import zarr

DAMAGED = "what is stored is not what was recorded when it was written: the store is damaged"


class DamagedRows(DataError):
    """Stored rows that a new version was to keep are not those that were written."""

    advice_by_default = (
        "nothing was changed; `rimrep verify` tells what else is damaged, and `rimrep publish DATASET --rebuild` makes "
        "all of it again from its sources."
    )


@dataclass(frozen=True)
class StoredRows:
    """An earlier version whose rows may be kept; chunks of ``state`` are those of the version that is written.

    ``digests`` are those that were recorded when it was written, by its blocks; rows without one are not kept.
    """

    group: zarr.Group
    state: GridState
    digests: Mapping[int, BlockDigests]

    @cached_property
    def _rows(self) -> dict[tuple[str, int], int]:
        return {(s.digest, s.position): row for row, s in enumerate(self.state.axis) if s.digest is not None}

    def row_of(self, slot: Slot, name: str) -> int | None:
        """Where the values of a slot stand on the stored axis; None where they do not, or nothing is recorded."""
        if slot.digest is None:
            return None
        row = self._rows.get((slot.digest, slot.position))
        if row is None or name not in self.digests.get(row // self.state.chunk, {}).get(slot.digest, {}):
            return None
        return row

    def lacks(self, state: GridState, slots: Sequence[Slot], names: Collection[str]) -> set[str]:
        """The contents of files that must be opened for ``slots`` of ``state``: some of ``names`` is not here."""
        found: set[str] = set()
        for slot in slots:
            if slot.digest is not None and slot.digest not in found:
                held = state.layout_of(state.by_digest[slot.digest]).variables
                if any(name in held and self.row_of(slot, name) is None for name in names):
                    found.add(slot.digest)
        return found


@dataclass
class KeptRows:
    """Those rows of one variable in one block, ``slots``, that are taken from ``stored``, which ``reader`` reads."""

    stored: StoredRows
    reader: BlockReader
    name: str
    slots: Sequence[Slot]
    _checked: dict[int, RowDigests] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[int, int]:
        """Row of the block -> row of the stored axis."""
        found = {row: self.stored.row_of(slot, self.name) for row, slot in enumerate(self.slots)}
        return {row: there for row, there in found.items() if there is not None}

    def others(self) -> list[Slot]:
        """The slots that must be read from source files; those that are kept stand as gaps."""
        return [Slot(s.time, None, -1) if row in self.rows else s for row, s in enumerate(self.slots)]

    def fill(self, values: np.ndarray, band: Band) -> None:
        """Put the kept rows of a band into ``values``. Raises: DamagedRows when they cannot be decoded."""
        chunk = self.stored.state.chunk
        for block, files in self._files.items():
            try:
                there = self.reader.read(self.name, block, band)
            except (Damaged, RuntimeError, ValueError) as error:
                # What a decoder raises for bytes that it did not make.
                raise DamagedRows(f"{self.name} in block {block}: {DAMAGED} ({error})") from error
            digests = self._checked.setdefault(block, RowDigests(len(there)))
            every = [row for rows in files.values() for row in rows]
            run_all(self.reader.threads, [partial(digests.update, row, there[row]) for row in every])
            for row, at in self.rows.items():
                if at // chunk == block:
                    values[row] = there[at - block * chunk]

    def check(self) -> None:
        """Raises: DamagedRows when what was taken, all bands of it, is not what was recorded."""
        state, problems = self.stored.state, []
        calendar = state.united.time.calendar if state.united.time else ""
        for block, files in self._files.items():
            slots = block_slots(state.axis, block, state.chunk)
            for digest, rows in files.items():
                if self._checked[block].of_rows(rows) != self.stored.digests[block][digest][self.name]:
                    at = span_of([slots[row] for row in rows], calendar)
                    problems.append(f"{state.by_digest[digest].name}: {self.name} at {at}: {DAMAGED}")
        if problems:
            raise DamagedRows(problems)

    @cached_property
    def _files(self) -> dict[int, dict[str, list[int]]]:
        """By stored block and content all rows that a file has in it: digests are recorded of these together."""
        state, found = self.stored.state, {}
        wanted: dict[int, set[str]] = {}
        for row, there in self.rows.items():
            wanted.setdefault(there // state.chunk, set()).add(str(self.slots[row].digest))
        for block, contents in sorted(wanted.items()):
            files: dict[str, list[int]] = {}
            for row, slot in enumerate(block_slots(state.axis, block, state.chunk)):
                if slot.digest in contents:
                    files.setdefault(str(slot.digest), []).append(row)
            found[block] = files
        return found


@dataclass(frozen=True)
class Carried:
    """What was proven of an earlier release and is not held against its source files again."""

    contents: frozenset[str] = frozenset()
    """of files that were proven and whose rows were all there: they are held against digests, and not sampled again"""
    digests: Mapping[int, BlockDigests] = field(default_factory=dict)
    """those of the earlier release, of rows that stand in the same block still"""
    variables: frozenset[str] = frozenset()
    """that the earlier release has too; of those without time the ones whose values stay"""


def carried_from(before: GridState, recorded: Mapping[int, BlockDigests], state: GridState) -> Carried:
    """What ``state`` carries on from ``before``, a release with the digests ``recorded``."""
    if not before.written_alike(state):
        return Carried()
    variables = (before.united.variables.keys() & state.united.variables.keys()) - set(stale_static(before, state))
    digests: dict[int, BlockDigests] = {}
    for block, files in recorded.items():
        then, now = (_by_content(s, block) for s in (before, state))
        digests[block] = {d: own for d, own in files.items() if d in then and then[d] == now.get(d)}
    # Where several files cover a time, rows of a file may have been hidden by another's, and be seen now.
    there = {(slot.digest, slot.position) for slot in before.axis}
    unseen = {slot.digest for slot in state.axis if (slot.digest, slot.position) not in there}
    contents = frozenset((before.by_digest.keys() & state.by_digest.keys()) - unseen)
    return Carried(contents, digests, frozenset(variables))


def span_of(slots: Sequence[Slot], calendar: str) -> str:
    """The first and the last time of some slots."""
    return " to ".join(dict.fromkeys(iso_time(slot.time, calendar) for slot in (slots[0], slots[-1])))


def _by_content(state: GridState, block: int) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {}
    for slot in block_slots(state.axis, block, state.chunk):
        if slot.digest is not None:
            found.setdefault(slot.digest, []).append(slot)
    return found
