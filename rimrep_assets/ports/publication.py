"""One attempt at a release, step by step: stage, fold and prove, judge, commit, project.

Here belongs the protocol: what is read and written in which order, and what happens when another attempt was faster.
Not here: how tables and grids are staged and folded (``table_data``, ``grid_data``), what the documents say
(``descriptions``), or when a step runs (``defs``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal
from rimrep_assets.domain.partition import Partition
from rimrep_assets.domain.plan import data_fingerprint, documents_fingerprint
from rimrep_assets.domain.release import Fingerprints, Places, ReleaseRecord, Verdict, json_bytes, sha256
from rimrep_assets.domain.source_file import LedgerChange, SourceFile, compare_ledgers
from rimrep_assets.domain.staging import Intent, Staged
from rimrep_assets.ports.descriptions import CANDIDATE, VERDICT, Candidate, describe
from rimrep_assets.ports.grid_data import GridData
from rimrep_assets.ports.object_store import read_if_there
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.staged_partitions import Stagings
from rimrep_assets.ports.staged_parts import REJECTED, STAGED, complete_stagings
from rimrep_assets.ports.table_data import TableData
from rimrep_assets.ports.version import BaseMoved, DataKind, Unreadable
from rimrep_assets.ports.workbench import Workbench

TRIES = 5
"""so often is a candidate made again because another attempt released first"""


@dataclass(frozen=True)
class Look:
    """What the source holds now, beside what is released of it."""

    sources: tuple[SourceFile, ...]
    change: LedgerChange
    base: ReleaseRecord | None
    fingerprints: Fingerprints
    partitions: tuple[str, ...] | None = None
    """where only these were looked at; ``sources`` and ``change`` are about them alone"""

    @property
    def data_is_due(self) -> bool:
        return self.base is None or not self.change.is_empty or self.base.fingerprints.data != self.fingerprints.data

    @property
    def ledger_digest(self) -> str:
        """One digest of all names and contents, and of the places that references name."""
        told = [(f.name, f.digest, f.place.digest) if f.place else (f.name, f.digest) for f in self.sources]
        return sha256(json_bytes(told))


@dataclass
class Publication:
    """The steps of one attempt. Each raises RimrepError about the dataset, and leaves the published state whole."""

    bench: Workbench
    rebuild: bool = False
    """make everything again from the sources, whatever the newest release holds, and release it"""
    started: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    @cached_property
    def places(self) -> Places:
        return Places(self.bench.id)

    @cached_property
    def log(self) -> ReleaseLog:
        return ReleaseLog(self.bench.store, self.bench.id)

    @cached_property
    def projector(self) -> Projector:
        return Projector(self.bench.store, self.bench.id, self.bench.s3, self.bench.progress)

    @cached_property
    def data(self) -> DataKind:
        kinds: dict[str, type[TableData] | type[GridData]] = {"parquet": TableData, "zarr": GridData}
        return kinds[self.bench.folder.dataset.format](self.bench)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        folder = self.bench.folder
        return Fingerprints(
            data=data_fingerprint(folder.dataset, folder.schema),
            documents=documents_fingerprint(
                folder.description_digest, self.bench.environment, self.bench.store.address
            ),
        )

    @property
    def partition(self) -> Partition | None:
        """How the dataset is counted; None when it is one piece."""
        return self.bench.folder.dataset.partition

    def look(self, partitions: Sequence[str] | None = None) -> Look:
        """Compare the source, or these ``partitions`` of it, with the newest release; writes nothing."""
        base = self.log.newest()
        self.bench.progress("looking at the source")
        known = base.sources if base else ()
        pick = self.partition.picking(partitions) if self.partition else None
        seen = tuple(self.bench.source.look(known=known, pick=pick))
        told = tuple(partitions) if partitions is not None else None
        return Look(seen, compare_ledgers(self._within(told, known), seen), base, self.fingerprints, told)

    def _within(self, partitions: Sequence[str] | None, files: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
        """Those of ``files`` that belong to ``partitions``."""
        if self.partition is None or partitions is None:
            return tuple(files)
        return tuple(file for file in files if self.partition.holds(partitions, file.name))

    def stage(self, partitions: Sequence[str] | None = None) -> tuple[Look, Staged | None]:
        """Finish what a broken projection left, then stage what the source has anew; None when that is nothing.

        ``partitions``: keys of those that are wanted, of a dataset that has some; None stages all. Files of other
        partitions are not read. A rebuild does not finish a projection before: what it would carry out may be damaged.
        """
        if self.rebuild:
            if partitions is not None:
                raise DefinitionError(
                    "a rebuild makes all partitions again", dataset=self.bench.id, advice="name no partitions."
                )
            look = self.look()
            return look, self._stage(look)
        self.projector.finish()
        look = self.look(partitions)
        if self.partition is not None:
            return look, self._stage_partitions(look)
        return look, self._stage(look) if look.data_is_due else None

    def _stage_partitions(self, look: Look) -> Staged | None:
        """Stage what is neither released nor staged already; None when that is nothing."""
        stagings = self._stagings
        standing = stagings.united_with(look.base)
        change = compare_ledgers(self._within(look.partitions, standing), look.sources)
        stale = set(stagings.not_staged_anew(look.base))
        if look.partitions is not None:
            stale &= set(look.partitions)
        if change.is_empty and not stale:
            return None
        return self._staged(look, change.to_convert)

    def _stage(self, look: Look) -> Staged:
        base = look.base
        everything = self.rebuild or base is None or base.fingerprints.data != look.fingerprints.data
        staging = tuple(f.name for f in look.sources) if everything else look.change.to_convert
        return self._staged(look, staging)

    def _staged(self, look: Look, staging: Sequence[str]) -> Staged:
        base = look.base
        intent = Intent(
            dataset=self.bench.id,
            attempt=self.bench.attempt,
            fingerprint=look.fingerprints.data,
            base=base.release if base else None,
            sources=look.sources,
            staging=tuple(sorted(staging)),
            changed="everything again from the sources" if self.rebuild else str(look.change),
            partitions=look.partitions,
            rebuild=self.rebuild,
        )
        self.bench.store.write(self.places.staging(self.bench.attempt, "manifest.json"), intent.to_bytes())
        staged = self.data.stage(base, intent)
        self.bench.store.write(self.places.staging(self.bench.attempt, STAGED), staged.to_bytes())
        return staged

    @property
    def _stagings(self) -> Stagings:
        """What is staged of the partitions now."""
        assert self.partition is not None
        complete = complete_stagings(self.bench.store, self.places, self.fingerprints.data)
        return Stagings(complete, self.partition, self.fingerprints.data, self.log)

    def _united(self, base: ReleaseRecord | None) -> tuple[Staged | None, tuple[str, ...]]:
        """All that is staged for ``base``, as one staging, and the attempts that it is made of.

        None when it says nothing that is not released. Raises: DataError naming partitions that must be staged before.
        """
        stagings = self._stagings
        missing = stagings.not_staged_anew(base)
        if missing:
            raise DataError(
                f"how it is converted changed since release {base.release if base else 0}, and these partitions are "
                f"not made anew yet: {_some(missing)}",
                dataset=self.bench.id,
                advice="launch a backfill over them; what is staged waits.",
            )
        whole = stagings.united_with(base)
        rebuilds = stagings.rebuilds(base)
        alike = () if rebuilds else stagings.alike(base)
        change = compare_ledgers(alike, whole)
        if change.is_empty and (base is None or alike):
            return None, ()
        intent = Intent(
            dataset=self.bench.id,
            attempt=self.bench.attempt,
            fingerprint=self.fingerprints.data,
            base=base.release if base else None,
            sources=whole,
            staging=tuple(sorted(change.to_convert)),
            changed=str(change),
            rebuild=rebuilds,
        )
        if read_if_there(self.bench.store, self.places.staging(self.bench.attempt, "manifest.json")) is None:
            self.bench.store.write(self.places.staging(self.bench.attempt, "manifest.json"), intent.to_bytes())
        return self.data.gather(base, intent, list(stagings.complete.values())), tuple(stagings.complete)

    def staged_by(self, attempts: Iterable[str] | None) -> Staged | None:
        """The newest complete staging among ``attempts`` (None: of any attempt) for the wanted fingerprint."""
        found = [
            stored
            for stored in self.bench.store.list(self.places.staged)
            if stored.path.endswith(f"/{STAGED}") and (attempts is None or stored.path.split("/")[-2] in set(attempts))
        ]
        for stored in sorted(found, key=lambda o: (o.last_modified, o.path), reverse=True):
            attempt = stored.path.split("/")[-2]
            staged = Staged.from_bytes(self.bench.store.read(stored.path))
            rejected = read_if_there(self.bench.store, self.places.staging(attempt, REJECTED))
            if staged.intent.fingerprint == self.fingerprints.data and rejected is None:
                return staged
        return None

    def prepare(self, staged: Staged | None) -> Candidate | None:
        """Fold ``staged`` on the newest release, prove and describe it, and let the gate judge it.

        None when the newest release says all of it already. The candidate's documents and the verdict lie under
        ``versions/<version>/``; nothing that a reader can reach is written.
        """
        for _ in range(TRIES):
            base = self.log.newest()
            folded: tuple[str, ...] = ()
            if self.rebuild and not self._rebuilds(staged, base):
                staged = self._staged_again()
                continue
            if self.partition is not None:
                staged, folded = self._united(base)
            if staged is not None and base is not None and self._is_released(staged, base):
                staged = None
            if staged is None and base is None:
                raise DataError(
                    "nothing is staged and nothing is released yet",
                    dataset=self.bench.id,
                    advice="materialize the dataset's data first.",
                )
            if staged is None and base is not None:
                if base.fingerprints.data != self.fingerprints.data and self.partition is None:
                    staged = self._stage(self.look())
                elif base.fingerprints.documents == self.fingerprints.documents:
                    return None
            number = base.release + 1 if base else 1
            version = f"{number}-{self.bench.attempt}-{self._next_try()}"
            try:
                made = (
                    self.data.of_base(base) if staged is None and base else self.data.fold(base, _sure(staged), version)
                )
            except BaseMoved:
                self.bench.progress("another attempt released meanwhile; staging on its release")
                staged = self._staged_again()
                continue
            except Unreadable:
                self._reject_staged()
                raise
            except FileNotFoundError as error:
                # The attempt that released removes what it folded.
                if self._moved_on_from(base):
                    continue
                raise DataError(
                    f"{error} is gone, though it was staged",
                    dataset=self.bench.id,
                    advice="materialize the dataset's data again.",
                ) from error
            made = replace(made, folded=folded)
            candidate = describe(self.bench, base, made, version, self.fingerprints, self.started)
            if not candidate.proof_holds:
                self._reject_staged()
            return candidate
        raise DataError(
            f"other attempts released {TRIES} times while this one was made",
            dataset=self.bench.id,
            advice="let them end, then run again.",
        )

    def _staged_again(self) -> Staged | None:
        """What the source has anew beside a release that somebody else made; partitions are united anew instead.

        A rebuild is staged once more: what it was to replace is not the newest release any more.
        """
        if self.rebuild:
            return self.stage()[1]
        if self.partition is not None:
            return None
        look = self.look()
        return self._stage(look) if look.data_is_due else None

    def _moved_on_from(self, base: ReleaseRecord | None) -> bool:
        return self.log.numbers()[-1:] != ([base.release] if base else [])

    def _rebuilds(self, staged: Staged | None, base: ReleaseRecord | None) -> bool:
        """Whether ``staged`` is all that ``base`` was made of, made again."""
        return staged is not None and staged.intent.rebuild and staged.intent.base == (base.release if base else None)

    def _is_released(self, staged: Staged, base: ReleaseRecord) -> bool:
        return not self._rebuilds(staged, base) and (
            base.fingerprints.data == staged.intent.fingerprint
            and compare_ledgers(base.sources, staged.intent.sources).is_empty
        )

    @cached_property
    def _tries(self) -> list[int]:
        return []

    def _next_try(self) -> int:
        self._tries.append(1)
        return len(self._tries)

    def _reject_staged(self) -> None:
        """What failed its proof is not used again by any attempt."""
        for attempt in self.bench.store.folders(self.places.staged):
            data = read_if_there(self.bench.store, self.places.staging(attempt, STAGED))
            if data is not None and Staged.from_bytes(data).intent.fingerprint == self.fingerprints.data:
                self.bench.store.write(self.places.staging(attempt, REJECTED), json_bytes({"by": self.bench.attempt}))

    def candidate_of(self, attempt: str | None) -> Candidate | None:
        """The newest candidate of ``attempt`` (None: of any attempt) that is not released yet."""
        number = (self.log.numbers() or [0])[-1] + 1
        found = [
            stored
            for stored in self.bench.store.list(self.places.versions)
            if stored.path.endswith(f"/{VERDICT}")
            and stored.path.split("/")[-2].startswith(f"{number}-{attempt or ''}")
        ]
        if not found:
            return None
        newest = max(found, key=lambda o: (o.last_modified, o.path))
        version = newest.path.split("/")[-2]
        return Candidate(
            version=version,
            record=self.bench.store.read(self.places.version(version, CANDIDATE)),
            verdict=Verdict.model_validate_json(self.bench.store.read(newest.path)),
        )

    def commit(self, candidate: Candidate) -> ReleaseRecord:
        """Make ``candidate`` the next release, unless its verdict is of other digests or refuses it.

        When another attempt released first, the candidate is made and judged again on that release; when that
        release says all of it already, it is returned. Raises: GateRefusal.
        """
        for _ in range(TRIES):
            record = self._allowed(candidate)
            self.bench.progress(f"committing release {record.release}")
            if self.log.create(record.release, candidate.record):
                return record
            self.bench.progress("another attempt released first; folding again on its release")
            again = replace_attempt(self, len(self._tries))
            made = again.prepare(again._staged_again())
            if made is None:
                newest = self.log.newest()
                assert newest is not None
                return newest
            candidate = made
        raise DataError(
            f"other attempts released {TRIES} times while this one was made",
            dataset=self.bench.id,
            advice="let them end, then run again.",
        )

    def _allowed(self, candidate: Candidate) -> ReleaseRecord:
        verdict = candidate.verdict
        if verdict.dataset != self.bench.id or verdict.candidate != sha256(candidate.record):
            raise GateRefusal("the gate's verdict is about other documents than this candidate", dataset=self.bench.id)
        if not verdict.passed:
            raise GateRefusal(verdict.refusals(), dataset=self.bench.id)
        record = ReleaseRecord.from_bytes(candidate.record)
        if record.fingerprints != self.fingerprints:
            raise GateRefusal(
                f"the candidate was made from catalog commit {record.catalog_commit[:7]}, which describes the dataset "
                f"otherwise than {self.bench.folder.commit[:7]}",
                dataset=self.bench.id,
                advice="materialize the dataset's datapackage again.",
            )
        missing = [o.path for o in record.objects if self.bench.store.stat(o.path) is None]
        if missing:
            raise GateRefusal([f"{path} is gone" for path in missing], dataset=self.bench.id)
        return record

    def project(self, record: ReleaseRecord) -> None:
        """Carry the release out, then remove what this attempt staged for it."""
        self.projector.project(record)
        for attempt in {*self.attempts_of(self.bench.attempt), *record.folded}:
            for stored in self.bench.store.list(self.places.staging(attempt)):
                self.bench.store.delete(stored.path)

    def attempts_of(self, run: str) -> list[str]:
        """The attempts of one run that staged something: a retry and a second try have names of their own."""
        return [attempt for attempt in self.bench.store.folders(self.places.staged) if attempt.startswith(run)]

    def released(self) -> ReleaseRecord:
        """The newest release. Raises: DataError when there is none."""
        record = self.log.newest()
        if record is None:
            raise DataError(
                "nothing is released yet",
                dataset=self.bench.id,
                advice="materialize the dataset's release first.",
            )
        return record

    def released_with_verdict(self) -> tuple[ReleaseRecord, Verdict]:
        """The newest release and the verdict that allowed it."""
        record = self.released()
        data = self.bench.store.read(self.places.version(record.version, VERDICT))
        return record, Verdict.model_validate_json(data)

    def publish(self) -> ReleaseRecord | None:
        """All steps in order; None when nothing changed. Raises: GateRefusal and what the steps raise."""
        candidate = self.prepare(self.stage()[1])
        if candidate is None:
            return None
        record = self.commit(candidate)
        self.project(record)
        return record


def replace_attempt(publication: Publication, number: int) -> Publication:
    """The same publication as an attempt of its own, so that it writes no key that the first one wrote."""
    bench = replace(publication.bench, attempt=f"{publication.bench.attempt}r{number}")
    return Publication(bench, publication.rebuild, publication.started)


def _some(names: Sequence[str], most: int = 24) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _sure(staged: Staged | None) -> Staged:
    assert staged is not None
    return staged
