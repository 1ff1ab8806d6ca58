"""Grids in Icechunk: staged block by block on the branch ``next``, read back from its snapshot and proven.

Here belongs choosing where a staging begins and what must be fetched. Not here: reading, planning, writing and
comparing grids (``domain/gridded``, ``grid_axis``, ``grid_write``, ``grid_proof``), or Icechunk itself
(``grid_repository``).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_axis import changed_blocks, files_needed
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_kept import DamagedRows, StoredRows
from rimrep_assets.domain.grid_proof import not_shown, prove_grid
from rimrep_assets.domain.grid_receipt import carried_proofs, digests_of_blocks, is_planned, stats_of_blocks
from rimrep_assets.domain.grid_schema import compare_schemas, schema_of
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_together import grid_files, proofs_of_sources
from rimrep_assets.domain.grid_verify import whole_arrays, whole_digest
from rimrep_assets.domain.grid_write import write_grid
from rimrep_assets.domain.quicklook import draw_grid
from rimrep_assets.domain.release import Places, ReleaseRecord, StoredFile, json_bytes
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.staging import Intent, Staged, Tipped
from rimrep_assets.ports.dask_blocks import SourcesToFetch, write_grid_on_dask
from rimrep_assets.ports.dask_cluster import open_workers
from rimrep_assets.ports.grid_headers import Headers
from rimrep_assets.ports.grid_neighbours import (
    carried_on,
    files_opened,
    keeps_rows,
    names_of_sources,
    naming_partitions,
    recorded_digests,
    sources_in,
)
from rimrep_assets.ports.grid_references import in_words_for
from rimrep_assets.ports.grid_repository import GridRepository, StagingConflict, Tip, encoded, keys
from rimrep_assets.ports.grid_virtual import containers, folders_of, write_virtual_grid
from rimrep_assets.ports.object_store import read_if_there
from rimrep_assets.ports.quicklooks import quicklook_of
from rimrep_assets.ports.receipts import receipt_of
from rimrep_assets.ports.sources.referred import locate
from rimrep_assets.ports.staged_parts import REJECTED
from rimrep_assets.ports.version import BaseMoved, Version
from rimrep_assets.ports.workbench import Workbench

TRIES = 20
"""so often is a staging done again on a tip that others moved; each time somebody else got further"""


@dataclass(frozen=True)
class GridData:
    """The data of one attempt at a grid."""

    bench: Workbench

    @property
    def places(self) -> Places:
        return Places(self.bench.id)

    @cached_property
    def repository(self) -> GridRepository:
        return GridRepository(self.bench.store, self.bench.id, self.bench.s3)

    def stage(self, base: ReleaseRecord | None, intent: Intent) -> Staged:
        """Write the blocks that differ from the base; blocks that an earlier attempt left right are kept."""
        before = self._state_of(base, intent)
        headers = Headers(self.bench)
        for number in range(TRIES):
            begin, at, tip, told = self._where_to_begin(base, before, intent)
            whole = self._whole(intent, told.sources if told else ())
            with self._naming_partitions(intent, whole, set(intent.staging)):
                state = headers.united(whole, [state for state in (at, before) if state is not None])
            state = state.placed({file.name: file.place.digest for file in whole if file.place is not None})
            blocks = changed_blocks(at, state, state.chunk)
            digests = {n: d for n, d in (told.digests if told else {}).items() if n not in blocks}
            if at is not None and begin is not None and not blocks and at == state:
                return self._staged(intent, begin, state, digests, headers.bytes_read)
            try:
                if self.bench.folder.dataset.layout.virtual:
                    self.repository.contain(containers(folders_of(self.bench.source, whole)))
                session = self.repository.stage_from(begin, tip)
                self.bench.progress(f"writing {len(blocks)} blocks of {self.bench.id}")
                stored = self._stored_rows(base if before else None, begin, at, state, told)
                naming = self._naming_partitions(intent, whole, files_opened(state, blocks, at, stored))
                with self.repository.errors_in_words(), naming:
                    digests |= self._write(session, at, state, blocks, whole, stored)
                if begin is not None and not session.has_uncommitted_changes:
                    # Only names of files changed: what is stored says their bytes already.
                    return self._staged(intent, begin, state, digests, headers.bytes_read)
                # Told before the commit: whoever sees this tip can stage on it at once.
                place = self.places.staging(self.bench.attempt, f"tip-{number}.json")
                described = Tipped(sources=whole, state=state.model_dump(mode="json"), digests=digests)
                self.bench.store.write(place, described.to_bytes())
                said = {
                    "attempt": self.bench.attempt,
                    "fingerprint": intent.fingerprint,
                    "base": intent.base,
                    "told": place,
                    # Whoever stages on a rebuild has none of the base's chunks either.
                    "rebuild": intent.rebuild or (begin is not None and tip is not None and _rebuilds(tip, begin)),
                }
                snapshot = self.repository.commit(session, f"attempt {self.bench.attempt}", said)
                return self._staged(intent, snapshot, state, digests, headers.bytes_read)
            except DamagedRows as error:
                raise self._without_the_tip(error, base, begin, tip) from error
            except StagingConflict:
                self.bench.progress("another attempt changed the same chunks; writing again on its tip")
        raise DataError(
            f"other attempts changed the same chunks {TRIES} times in a row",
            dataset=self.bench.id,
            advice="let them end, then run again.",
        )

    def _write(
        self,
        session: Any,
        at: GridState | None,
        state: GridState,
        blocks: Sequence[int],
        whole: Sequence[SourceFile],
        stored: StoredRows | None,
    ) -> dict[int, BlockDigests]:
        """Write ``state`` into the session: in threads, with the workers that the dataset asks for, or references.

        What ``stored`` holds is not fetched.
        One block goes in threads always: a cluster would take longer to start.
        """
        import zarr

        bench, dataset = self.bench, self.bench.folder.dataset
        if dataset.layout.virtual:
            files = {file.name: file for file in whole}
            return write_virtual_grid(
                session,
                at,
                state,
                blocks,
                dataset,
                self._opener(whole),
                lambda name: locate(bench.source, files[name]),
                self._threads,
            )
        dask = dataset.resources.dask if dataset.resources else None
        if dask is None or len(blocks) < 2 or state.united.time is None:
            group = zarr.open_group(session.store, mode="a")
            return write_grid(group, at, state, blocks, dataset, self._opener(whole), self._threads, stored)
        sources = SourcesToFetch(bench.source, {file.name: file for file in whole}, bench.fetched)
        with open_workers(dask, bench.dask_scheduler, bench.id, bench.scratch) as workers:
            return write_grid_on_dask(
                session,
                at,
                state,
                blocks,
                dataset,
                sources,
                self._opener(whole),
                workers,
                self._threads,
                bench.progress,
                stored,
            )

    def _stored_rows(
        self,
        base: ReleaseRecord | None,
        begin: str | None,
        at: GridState | None,
        state: GridState,
        told: Tipped | None,
    ) -> StoredRows | None:
        """The rows that ``state`` may keep of the snapshot that it is staged on; None where it keeps none."""
        if not keeps_rows(self.bench) or begin is None or at is None or told is None or not at.written_alike(state):
            return None
        # A tip tells of the blocks that were written since the base.
        released = recorded_digests(self._receipt(base)) if base else {}
        return StoredRows(self.repository.group(begin), at, {**released, **told.digests})

    def _naming_partitions(
        self, intent: Intent, whole: Sequence[SourceFile], names: Collection[str]
    ) -> AbstractContextManager[None]:
        """Words for what went of the files ``names``, of the grid or of its source, while this is under way."""
        files = grid_files(whole, self.bench.folder.dataset)
        wanted = [file for file in files if file.name in names or any(one.name in names for one in sources_in(file))]
        return naming_partitions(self.bench, intent, wanted)

    def _without_the_tip(
        self, error: DamagedRows, base: ReleaseRecord | None, begin: str | None, tip: Tip | None
    ) -> DamagedRows:
        """What is said of damage; of rows that no release has the staging is rejected, so that it stops nobody else."""
        if tip is None or begin != tip.snapshot or (base is not None and base.snapshot == begin):
            return error
        rejected = self.places.staging(str(tip.said.get("attempt")), REJECTED)
        self.bench.store.write(rejected, json_bytes({"by": self.bench.attempt}))
        advice = "run again: what was staged is thrown away, and made anew where its partitions are asked for."
        return DamagedRows(error.problems, dataset=self.bench.id, advice=advice)

    @property
    def _threads(self) -> int:
        """As many as the dataset's worker may use processors, else as this machine has."""
        resources = self.bench.folder.dataset.resources
        return (resources.cpu if resources else None) or os.cpu_count() or 2

    def _staged(
        self, intent: Intent, snapshot: str, state: GridState, digests: Mapping[int, BlockDigests], read: int
    ) -> Staged:
        document = state.model_dump(mode="json")
        return Staged(intent=intent, snapshot=snapshot, state=document, digests=dict(digests), source_bytes=read)

    def _state_of(self, base: ReleaseRecord | None, intent: Intent) -> GridState | None:
        """The base's state, unless all must be made again: it was made by another fingerprint, or it is rebuilt."""
        if base is None or base.state is None or base.fingerprints.data != intent.fingerprint or intent.rebuild:
            return None
        return GridState.model_validate(base.state)

    def gather(self, base: ReleaseRecord | None, intent: Intent, stagings: Sequence[Staged]) -> Staged:
        """The tip of ``next`` where it is what ``intent`` wants already; else what is missing is staged onto it."""
        staged = self.stage(base, intent)
        return staged.model_copy(update={"source_bytes": sum(one.source_bytes for one in stagings)})

    def _whole(self, intent: Intent, outside: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
        """All files of the grid that is staged: of its partitions as ``intent`` says, of the others ``outside``."""
        partition = self.bench.folder.dataset.partition
        if intent.partitions is None or partition is None:
            return intent.sources
        kept = [file for file in outside if not partition.holds(intent.partitions, file.name)]
        return tuple(sorted((*intent.sources, *kept), key=lambda file: file.name))

    def _where_to_begin(
        self, base: ReleaseRecord | None, before: GridState | None, intent: Intent
    ) -> tuple[str | None, GridState | None, Tip | None, Tipped | None]:
        """The snapshot to stage on, its state, where ``next`` stands, and what is told of the snapshot.

        It is the tip of ``next`` if that was staged for the same fingerprint and base and not rejected, else the base.
        A rebuild goes on from the tip of a rebuild, and begins at nothing otherwise.
        """
        tip = self.repository.tip()
        same = tip is not None and (tip.said.get("fingerprint"), tip.said.get("base")) == (
            intent.fingerprint,
            intent.base,
        )
        if tip is not None and same and (not intent.rebuild or tip.said.get("rebuild")):
            rejected = read_if_there(self.bench.store, self.places.staging(str(tip.said.get("attempt")), REJECTED))
            told = read_if_there(self.bench.store, str(tip.said.get("told")))
            if told is not None and rejected is None:
                tipped = Tipped.from_bytes(told)
                return tip.snapshot, GridState.model_validate(tipped.state), tip, tipped
        if base is not None and before is not None and base.state is not None:
            return base.snapshot, before, tip, Tipped(sources=base.sources, state=base.state)
        return None, None, tip, None

    def _opener(self, sources: Sequence[SourceFile]) -> Any:
        files = {file.name: file for file in grid_files(sources, self.bench.folder.dataset)}
        return lambda name: self.bench.open(files[name])

    def fold(self, base: ReleaseRecord | None, staged: Staged, version: str) -> Version:
        """The snapshot that was staged; it must stand on ``base``. ``version`` names its documents, not its data."""
        bench, dataset, read_before = self.bench, self.bench.folder.dataset, self.bench.bytes_in_parts
        if staged.intent.base != (base.release if base else None):
            raise BaseMoved
        assert staged.snapshot is not None
        before, state = self._state_of(base, staged.intent), GridState.model_validate(staged.state)
        # An earlier attempt may have written a block for a file that went again before anything was released.
        written = {block for block in staged.digests if block * state.chunk < len(state.axis)}
        blocks = sorted({*changed_blocks(before, state, state.chunk), *written})
        receipt = self._receipt(base) if base is not None and before is not None else {}
        carried = carried_on(bench, before, receipt, state)
        kept = {file.name for file in state.files if file.digest in carried.contents}
        needed = files_needed(state, blocks, before)
        told = f"; {len(needed & kept)} more were proven before" if needed & kept else ""
        bench.progress(
            f"reading {len(blocks)} blocks back and comparing them with {len(needed - kept)} source files{told}"
        )
        import xarray as xr

        store = self.repository.read(staged.snapshot)
        in_words = in_words_for(state, staged.intent.sources)
        fixed = {state.provider(name).name for name in state.united.variables if not state.united.varies(name)}
        with (
            self.repository.reading_back(in_words),
            xr.open_zarr(store, consolidated=False, chunks=None, decode_times=False) as published,
            self._naming_partitions(staged.intent, staged.intent.sources, (needed - kept) | fixed),
        ):
            read_back = self.repository.group(staged.snapshot)
            proofs, new_stats = prove_grid(
                read_back,
                state,
                blocks,
                dataset,
                self._opener(staged.intent.sources),
                int(staged.intent.fingerprint[:8], 16),
                published,
                staged.digests,
                self._threads,
                carried,
            )
            proofs = proofs_of_sources([*not_shown(state), *proofs], grid_files(staged.intent.sources, dataset))
            whole = {name: whole_digest(read_back, name) for name in whole_arrays(state) if name in read_back}
            title = str(bench.folder.curated.get("title", bench.id))

            def draw() -> bytes | None:
                # What is drawn may be of a partition that nobody looked at now.
                with self.repository.errors_in_words(in_words):
                    return draw_grid(xr.decode_cf(published), dataset, title)

            quicklook = quicklook_of(bench, version, draw)
        stats = stats_of_blocks(state, receipt, new_stats)
        facts = measure_grid(state, stats, read_back, dataset)
        new_proofs = [proof.model_dump(mode="json") for proof in proofs]
        return self._version(
            facts_and_state=(facts, state),
            snapshot=staged.snapshot,
            sources=tuple(sorted(staged.intent.sources, key=lambda f: f.name)),
            proofs=proofs,
            receipt={
                "files": [*carried_proofs(receipt.get("files", []), new_proofs, staged.intent.sources), *new_proofs],
                "blocks": {str(number): s.model_dump(mode="json") for number, s in sorted(stats.items())},
                "digests": digests_of_blocks(state, receipt, blocks, staged.digests),
                "carried": names_of_sources(
                    f for f in grid_files(staged.intent.sources, dataset) if f.name in needed & kept
                ),
                "whole": whole,
                "untouched": self._touched_beyond(base if before else None, staged.snapshot, state, blocks),
            },
            source_bytes=staged.source_bytes + bench.bytes_in_parts - read_before,
            quicklook=quicklook,
        )

    def of_base(self, base: ReleaseRecord) -> Version:
        """The base's snapshot; its structure is read from Icechunk's metadata."""
        assert base.snapshot is not None
        return self._version(
            facts_and_state=(base.facts, GridState.model_validate(base.state)),
            snapshot=base.snapshot,
            sources=base.sources,
            proofs=(),
            receipt=self._receipt(base),
            source_bytes=0,
            quicklook=base.quicklook,
        )

    def _version(
        self,
        *,
        facts_and_state: tuple[Any, GridState],
        snapshot: str,
        sources: tuple[SourceFile, ...],
        proofs: Any,
        receipt: Mapping[str, Any],
        source_bytes: int,
        quicklook: StoredFile | None,
    ) -> Version:
        facts, state = facts_and_state
        dataset, curated = self.bench.folder.dataset, self.bench.folder.schema
        schema = schema_of(state, facts, dataset, curated)
        return Version(
            data_version=snapshot,
            facts=facts,
            schema=schema,
            differences=compare_schemas(schema, curated, dataset),
            objects=(),
            sources=sources,
            proofs=proofs,
            receipt=receipt,
            sample=self._sample(snapshot, state, sources),
            snapshot=snapshot,
            state=state.model_dump(mode="json"),
            source_bytes=source_bytes,
            quicklook=quicklook,
        )

    def _receipt(self, base: ReleaseRecord) -> dict[str, Any]:
        return receipt_of(self.bench.store, base)

    def _touched_beyond(
        self, base: ReleaseRecord | None, snapshot: str, state: GridState, blocks: list[int]
    ) -> list[str]:
        """Chunks of time-dependent arrays that changed although their block was not planned: there must be none."""
        if base is None or base.snapshot is None:
            return []
        difference = self.repository.difference(base.snapshot, snapshot)
        if difference is None:
            return []
        return sorted(key for key in difference.chunks if not is_planned(state, key, set(blocks)))

    def _sample(self, snapshot: str, state: GridState, sources: Sequence[SourceFile]) -> Path:
        """Metadata and one-dimensional arrays of the snapshot as a plain store on this machine."""
        with self.repository.errors_in_words(in_words_for(state, sources)):
            return self._sampled(snapshot)

    def _sampled(self, snapshot: str) -> Path:
        store = self.repository.read(snapshot)
        folder = self.bench.scratch_folder(f"sample-{snapshot}.zarr") / "data.zarr"
        import zarr

        group = zarr.open_group(store, mode="r")
        wanted = ["zarr.json", *(f"{name}/zarr.json" for name in group.array_keys())]
        for name, array in group.arrays():
            if array.ndim <= 1:
                wanted += [key for key in keys(store, name) if not key.endswith("zarr.json")]
        for key in wanted:
            data = encoded(store, key)
            if data is not None:
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_bytes(data)
        with warnings.catch_warnings():
            # Consolidation in Zarr 3 is an agreement between readers, and the plain copy makes use of it too.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(folder))
        return folder


def _rebuilds(tip: Tip, begin: str) -> bool:
    """Whether ``begin`` is a tip that somebody's rebuild left."""
    return tip.snapshot == begin and bool(tip.said.get("rebuild"))
