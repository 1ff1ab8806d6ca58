"""One variable's values in one block, held against its source files.

Here belongs comparing what was read back: digests, and cell by cell where these do not tell. Not here: attributes,
axes and the other reader (``grid_proof``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Protocol

from rimrep_assets.domain.grid_axis import Slot, block_slots
from rimrep_assets.domain.grid_block import BlockReader, run_all
from rimrep_assets.domain.grid_chunks import bands, runs, shape_of
from rimrep_assets.domain.grid_digests import BlockDigests, RowDigests, rows_by_file
from rimrep_assets.domain.grid_findings import WHOLE, Findings
from rimrep_assets.domain.grid_kept import DAMAGED, Carried, span_of
from rimrep_assets.domain.grid_reencoding import adds_fill
from rimrep_assets.domain.grid_source import Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import VariableStats, count
from rimrep_assets.domain.grid_values import Band, as_published, stored_fill

if TYPE_CHECKING:
    import numpy as np


class Proving(Protocol):
    """What the proof of a block needs of the proof of the grid."""

    state: GridState
    findings: Findings
    sources: Sources
    digests: Mapping[int, BlockDigests]
    carried: Carried
    reader: BlockReader
    pool: Executor


@dataclass
class VariableOfBlock:
    """One varying variable in one block."""

    proof: Proving
    block: int
    name: str

    def proven(self) -> VariableStats:
        """Compare all values with what was digested, gaps with fill; returns the counts."""
        state = self.proof.state
        slots = block_slots(state.axis, self.block, state.chunk)
        rows, hidden = RowDigests(len(slots)), [False] * len(slots)
        total = VariableStats()
        for band in bands(state, self.name):
            values = self.proof.reader.read(self.name, self.block, band)
            if values.shape[0] != len(slots):
                words = f"{self.name}: {values.shape[0]} times in block {self.block}, expected {len(slots)}"
                self.proof.findings.tell(WHOLE, words)
            counts = [VariableStats()] * len(values)
            look = partial(self._look, slots, values, rows, counts, hidden)
            run_all(self.proof.pool, [partial(look, row) for row in range(min(len(slots), len(values)))])
            for found in counts:
                total = total.and_then(found)
            self._gaps(slots, values, band)
        self._digests(slots, rows, hidden)
        return total

    def _look(
        self,
        slots: Sequence[Slot],
        values: np.ndarray,
        rows: RowDigests,
        counts: list[VariableStats],
        hidden: list[bool],
        row: int,
    ) -> None:
        """One row, while it is near the processor: its digest, its counts, and whether it holds a fill of ours."""
        packing = self.proof.state.united.variables[self.name].packing
        rows.update(row, values[row])
        counts[row] = count(values[row], packing)
        if counts[row].missing and packing.fill is not None and self._adds_fill(slots[row].digest):
            hidden[row] = True

    def _adds_fill(self, digest: str | None) -> bool:
        """Whether times without a file get a number that this file may hold as a value."""
        if digest is None:
            return False
        layout = self.proof.state.layout_of(self.proof.state.by_digest[digest])
        published = self.proof.state.united.variables[self.name]
        if published.time_bounds is not None:
            # They are numbers of their own: no time is the fill, so that no value of the file can be taken for it.
            return False
        return self.name in layout.variables and adds_fill(layout.variables[self.name].packing, published.packing)

    def _gaps(self, slots: Sequence[Slot], values: np.ndarray, band: Band) -> None:
        """Fill is expected where no file stands, and where the file has no such variable."""
        import numpy as np

        state, findings = self.proof.state, self.proof.findings
        fill = stored_fill(state.united.variables[self.name])
        for digest, rows in rows_by_file(slots):
            if digest is not None and self.name in state.layout_of(state.by_digest[digest]).variables:
                continue
            owner = WHOLE if digest is None else state.by_digest[digest].name
            for row in (row for row in rows if row < len(values)):
                findings.count(owner, values[row].size)
                there = values[row : row + 1]
                at = self.block * state.chunk + row
                findings.equal(owner, self.name, at, np.full_like(there, fill), there, band[1] if band else 0)

    def _digests(self, slots: Sequence[Slot], rows: RowDigests, hidden: Sequence[bool]) -> None:
        state, findings = self.proof.state, self.proof.findings
        known, carried = self.proof.digests.get(self.block, {}), self.proof.carried
        before = carried.digests.get(self.block, {})
        unproven = []
        for digest, own in rows_by_file(slots):
            if digest is None or self.name not in state.layout_of(state.by_digest[digest]).variables:
                continue
            findings.count(state.by_digest[digest].name, len(own) * prod(shape_of(state, self.name)[1:]))
            found = rows.of_rows(own)
            # Rows that moved on the axis have no digest of their own in the release; staging held them against it.
            recorded = before.get(digest, {}).get(self.name) or known.get(digest, {}).get(self.name)
            if digest in carried.contents and self.name in carried.variables and recorded is not None:
                if recorded != found:
                    at = span_of([slots[row] for row in own], findings.calendar)
                    findings.tell(state.by_digest[digest].name, f"{self.name} at {at}: {DAMAGED}")
                continue
            proven = known.get(digest, {}).get(self.name) == found
            if not proven or any(hidden[row] for row in own):
                unproven.append(digest)
        if unproven:
            self._compare(slots, unproven)

    def _compare(self, slots: Sequence[Slot], digests: Sequence[str]) -> None:
        """Cell by cell against the files read again, by the slow way."""
        proof, state = self.proof, self.proof.state
        assert state.united.time is not None
        published = state.published(self.name)
        slowly = Sources(state, proof.sources.open_source, fast=False)
        start = self.block * state.chunk
        for band in bands(state, self.name):
            values = self.proof.reader.read(self.name, self.block, band)
            for first, stop, slot in runs(slots):
                if slot.digest not in digests:
                    continue
                source = slowly.of(str(slot.digest))
                times = slice(slot.position, slot.position + stop - first)
                of_file = source.variables[self.name]
                raw = source.read(self.name, state.united.time.dim, times, band)
                expected = as_published(raw, of_file, published, source.file.name)
                at, line = start + first, band[1] if band else 0
                proof.findings.equal(source.file.name, self.name, at, expected, values[first:stop], line)
                if self._adds_fill(slot.digest) and published.packing.fill is not None:
                    hidden = int((raw == published.packing.fill.numpy()).sum())
                    if hidden:
                        proof.findings.tell(
                            source.file.name,
                            f"{self.name}: {hidden} values are {published.packing.fill}, by which layout.cadence and "
                            "unite.variables mark times without a value; they would be read as missing. Without "
                            "these two the numbers are published as they are",
                        )
