"""What a release holds of its own against what was proven when it was made: objects by digest, values by receipt.

Here belongs everything at a release's own addresses. Not here: its copies at the stable addresses (``verification``),
or mending those (``mending``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import Damaged, Unavailable
from rimrep_assets.domain.grid_axis import block_slots
from rimrep_assets.domain.grid_chunks import blocks_in_chunk
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_verify import BlockDifference, differing_values, differing_whole, whole_arrays
from rimrep_assets.domain.release import ReleaseRecord, StoredFile, table_objects
from rimrep_assets.ports.grid_references import in_words_for, lost_reference
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.receipts import receipt_of
from rimrep_assets.ports.table_data import file_digest


def object_problem(store: ObjectStore, path: str, digest: str) -> str | None:
    """What is wrong with the object at ``path``, which has the sha256 ``digest``; None when nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            local = store.download(path, Path(folder) / "object")
        except FileNotFoundError:
            return f"{path} is gone"
        if file_digest(local) != digest:
            return f"{path} holds other bytes than the release put there"
    return None


def object_problems(store: ObjectStore, objects: Iterable[StoredFile]) -> list[str]:
    """What is wrong with any of ``objects``; reads them whole."""
    return [problem for stored in objects if (problem := object_problem(store, stored.path, stored.sha256))]


@dataclass(frozen=True)
class ReleaseProof:
    """The release ``record`` as the store holds it now. Raises: Unavailable, DefinitionError as the store does."""

    projector: Projector
    record: ReleaseRecord
    newest: bool = True
    """whether no release follows it yet, so that publishing again can mend its references"""
    lost: set[str] = field(default_factory=set)
    """findings that are about files at their providers, gathered while values are read"""

    @cached_property
    def receipt(self) -> Mapping[str, Any] | None:
        """What was proven; None where the receipt is gone or damaged itself, so that nobody knows."""
        try:
            return receipt_of(self.projector.store, self.record)
        except Damaged:
            return None

    @cached_property
    def state(self) -> GridState:
        return GridState.model_validate(self.record.state)

    @cached_property
    def _digests(self) -> dict[int, BlockDigests]:
        return {int(block): found for block, found in (self.receipt or {}).get("digests", {}).items()}

    def problems(self) -> list[str]:
        """Everything that is not what the release put there; reads every byte of it, with bounded memory."""
        found = object_problems(self.projector.store, self.record.objects)
        if self.receipt is None:
            return found
        found += [f"{p['name']}: {d}" for p in self.receipt["files"] for d in p["differences"]]
        proven = {(p["name"], p["digest"]) for p in self.receipt["files"]}
        found += [
            f"{f.name}: the receipt does not say that it was compared"
            for f in self.record.sources
            if (f.name, f.digest) not in proven
        ]
        if self.record.snapshot is not None:
            found += self.grid_problems(None)
        return found

    def grid_problems(self, files: set[str] | None) -> list[str]:
        """Where a grid's values in Icechunk are not those that were proven; ``files`` (contents): in theirs."""
        assert self.record.snapshot is not None
        known = (self.receipt or {}).get("whole", {}) if files is None else {}
        try:
            group = self.projector.repository.group(self.record.snapshot)
            found = [finding for _, finding in differing_whole(group, known)]
            threads = os.cpu_count() or 2
            differing = differing_values(
                group, self.state, self._digests, files, threads=threads, explained=self._lost_reference
            )
            # Providers who do not answer are told by their files too.
            with self.projector.repository.errors_in_words(in_words_for(self.state, self.record.sources)):
                return list(dict.fromkeys([*found, *(d.finding for d in differing)]))
        except Damaged as error:
            return list(error.problems)

    def _lost_reference(self, error: Damaged | Unavailable) -> str | None:
        """What is said of a provider's file that is gone or changed; None of all other damage."""
        if not isinstance(error.__cause__, Exception):
            return None
        lost = lost_reference(error.__cause__, self.state, self.record.sources)
        if lost is None or lost.why == "unread":
            return None
        finding = lost.finding(newest=self.newest)
        self.lost.add(finding)
        return finding

    def unproven(self, names: Iterable[str]) -> dict[str, str]:
        """Those of ``names`` whose data is not, or not known to be, what was proven, with the reason.

        Names are a table's objects by what follows ``data.parquet``, or a snapshot's own keys of chunks. Reads the
        objects, and the blocks that the chunks belong to.
        """
        if self.record.snapshot is None:
            own = table_objects(self.record.objects)
            problems = {n: object_problem(self.projector.store, own[n].path, own[n].sha256) for n in names if n in own}
            return {name: problem for name, problem in problems.items() if problem}
        return self._unproven_chunks(set(names))

    def _unproven_chunks(self, chunks: set[str]) -> dict[str, str]:
        assert self.record.snapshot is not None
        if not chunks:
            return {}
        if self.receipt is None:
            return dict.fromkeys(chunks, f"{self.record.receipt.path} does not say any more what was proven")
        arrays = {chunk: chunk.partition("/")[0] for chunk in chunks}
        blocks = {chunk: self._blocks(chunk) for chunk, name in arrays.items() if name not in whole_arrays(self.state)}
        pairs = {(arrays[chunk], block) for chunk, held in blocks.items() for block in held}
        fixed = {name: digest for name, digest in self.receipt.get("whole", {}).items() if name in arrays.values()}
        try:
            group = self.projector.repository.group(self.record.snapshot)
            wrong = dict(differing_whole(group, fixed))
            differing = differing_values(group, self.state, self._digests, where=lambda *pair: pair in pairs)
            by_block = {(d.variable, d.block): d for d in differing}
        except Damaged as error:
            return dict.fromkeys(chunks, "; ".join(error.problems))
        found = {c: reason for c, n in arrays.items() if c not in blocks and (reason := _of_array(n, fixed, wrong))}
        for chunk, held in blocks.items():
            reasons = [self._of_block(arrays[chunk], block, by_block) for block in held]
            if any(reasons):
                found[chunk] = "; ".join(filter(None, reasons))
        return found

    def _blocks(self, chunk: str) -> list[int]:
        """The blocks that share a chunk; none for one that lies in no variable of the grid."""
        name, _, index = chunk.partition("/c/")
        if name not in self.state.united.variables or not index.split("/")[0].isdigit():
            return []
        return list(blocks_in_chunk(self.state, name, int(index.split("/")[0])))

    def _of_block(self, name: str, block: int, differing: Mapping[tuple[str, int], BlockDifference]) -> str | None:
        if (name, block) in differing:
            return differing[name, block].finding
        files = {slot.digest for slot in block_slots(self.state.axis, block, self.state.chunk)} - {None}
        holding = {f for f in files if name in self.state.layout_of(self.state.by_digest[str(f)]).variables}
        unknown = {f for f in holding if name not in self._digests.get(block, {}).get(str(f), {})}
        return f"{name}: the receipt does not say what was proven of block {block}" if unknown else None


def _of_array(name: str, known: Mapping[str, str], wrong: Mapping[str, str]) -> str | None:
    if name in wrong:
        return wrong[name]
    return None if name in known else f"{name}: the receipt does not say what was proven of it"
