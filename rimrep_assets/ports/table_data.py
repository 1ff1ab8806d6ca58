"""Tables on the object store: staged part by part, folded into Parquet objects, read back and proven.

Here belongs moving parts between the store and this machine. Not here: converting, folding, comparing and measuring
(``domain/tabular``, ``table_fold``, ``table_proof``), or the protocol (``publication``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import Damaged, DataError
from rimrep_assets.domain.quicklook import draw_table
from rimrep_assets.domain.release import TABLE, Places, ReleaseRecord, StoredFile, table_objects
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.staging import Intent, Part, Staged
from rimrep_assets.domain.table_digests import FileDigests
from rimrep_assets.domain.table_duplicates import LEFT_OUT
from rimrep_assets.domain.table_facts import measure_table
from rimrep_assets.domain.table_fold import TableVersion, fold_table
from rimrep_assets.domain.table_nothing_left import nothing_left
from rimrep_assets.domain.table_objects import head_of, objects_of
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.table_schema import compare_schemas, schema_of
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets.ports.quicklooks import quicklook_of
from rimrep_assets.ports.receipts import receipt_of
from rimrep_assets.ports.staged_parts import staged_elsewhere
from rimrep_assets.ports.version import Version
from rimrep_assets.ports.workbench import Workbench

ROWS, SAMPLE = "rows.parquet", "sample.parquet"


@dataclass(frozen=True)
class TableData:
    """The data of one attempt at a table."""

    bench: Workbench

    @property
    def places(self) -> Places:
        return Places(self.bench.id)

    def stage(self, base: ReleaseRecord | None, intent: Intent) -> Staged:
        """One part a source file, at ``staging/<attempt>/``; a part that another attempt left is copied."""
        wanted = {file.name: file for file in intent.sources}
        # A rebuild takes nothing that was made before.
        known = {} if intent.rebuild else staged_elsewhere(self.bench.store, self.places, intent)
        parts: list[Part] = []
        problems: list[str] = []
        read = 0
        for number, name in enumerate(intent.staging, start=1):
            self.bench.progress(f"converting {name} ({number} of {len(intent.staging)})")
            part = self._copied(known.get((name, wanted[name].digest)))
            if part is None:
                try:
                    part = self._converted(wanted[name])
                except DataError as error:
                    problems += error.problems
                    continue
                read += wanted[name].size
            parts.append(part)
        if problems:
            raise DataError(problems, dataset=self.bench.id)
        return Staged(intent=intent, parts=tuple(parts), source_bytes=read)

    def gather(self, base: ReleaseRecord | None, intent: Intent, stagings: Sequence[Staged]) -> Staged:
        """The parts of ``stagings`` that ``intent`` wants, where they lie. Raises: DataError naming what is missing."""
        known = {(part.name, part.digest): part for staged in stagings for part in staged.parts}
        wanted = {file.name: file.digest for file in intent.sources}
        missing = {name for name in intent.staging if (name, wanted[name]) not in known}
        _require_all(missing)
        return Staged(
            intent=intent,
            parts=tuple(known[name, wanted[name]] for name in intent.staging),
            source_bytes=sum(staged.source_bytes for staged in stagings),
        )

    def _part_path(self, file_name: str, digest: str) -> str:
        key = hashlib.sha256(f"{file_name}\0{digest}".encode()).hexdigest()[:20]
        return self.places.staging(self.bench.attempt, f"{key}.parquet")

    def _converted(self, file: SourceFile) -> Part:
        path = self._part_path(file.name, file.digest)
        local = self.bench.scratch_folder("parts") / Path(path).name
        done = stage_table(
            self.bench.fetch(file), file.name, self.bench.folder.dataset, self.bench.folder.schema, local
        )
        self.bench.store.upload(local, path)
        stored = StoredFile(path=path, sha256=file_digest(local), bytes=local.stat().st_size)
        return Part(
            name=file.name,
            digest=file.digest,
            file=stored,
            rows=done.rows,
            crs=done.crs,
            misfits=done.misfits,
            left_out=done.left_out,
            digests=done.digests,
        )

    def _copied(self, part: Part | None) -> Part | None:
        if part is None:
            return None
        path = self._part_path(part.name, part.digest)
        try:
            self.bench.store.copy(part.file.path, path)
        except FileNotFoundError:
            return None
        return part.model_copy(update={"file": part.file.model_copy(update={"path": path})})

    def fold(self, base: ReleaseRecord | None, staged: Staged, version: str) -> Version:
        """``versions/<version>/data.parquet``, an object or a folder of parts, with its rows' origins beside it."""
        bench, dataset = self.bench, self.bench.folder.dataset
        if base is not None and (staged.intent.rebuild or base.fingerprints.data != staged.intent.fingerprint):
            base = None
        parts = {part.name: part for part in staged.parts}
        wanted = {file.name: file for file in staged.intent.sources}
        before = {file.name: file.digest for file in base.sources} if base else {}
        kept = {n for n, f in wanted.items() if n not in parts and before.get(n) == f.digest}
        _require_all(wanted.keys() - kept - parts.keys())
        carried = {str(p["name"]): p for p in self._receipt(base)["files"] if p["name"] in kept} if base else {}
        if before.keys() - kept:
            # What made a row of a kept file a duplicate may be gone: such files bring all their rows again.
            again = {name for name, receipt in carried.items() if receipt.get("duplicates")}
            parts |= {name: self._converted(wanted[name]) for name in sorted(again)}
            kept -= again
            carried = {name: receipt for name, receipt in carried.items() if name in kept}
        bench.progress(f"folding {len(parts)} staged and {len(kept)} released source files")
        out = bench.scratch_folder(f"fold-{version}")
        misfits: dict[str, list[str]] = {}
        for name, part in sorted(parts.items()):
            for column, cells in part.misfits.items():
                misfits.setdefault(column, []).append(f"{name}: {', '.join(cells)}")
        folded = fold_table(
            base=self._downloaded(base) if base and kept else None,
            without=sorted(before.keys() - kept),
            staged={name: self._local_part(part) for name, part in parts.items()},
            out=out,
            dataset=dataset,
            schema=bench.folder.schema,
            misfits=misfits,
        )
        if folded.rows == 0:
            left_out: Counter[str] = Counter()
            for part in parts.values():
                left_out.update(part.left_out)
            first = min(parts or wanted)
            raise DataError(nothing_left(bench.fetch(wanted[first]), first, dataset, left_out), dataset=bench.id)
        write_sample(head_of(out / TABLE), out / SAMPLE)
        files = [*objects_of(out / TABLE), out / ROWS, out / SAMPLE]
        objects = tuple(self._upload(file, version, file.relative_to(out).as_posix()) for file in files)
        duplicates = _all_duplicates(carried, folded.duplicates)
        bench.progress("reading the data back and comparing it with its source")
        back = self._download(version, objects)
        for local, stored in zip(objects_of(back.data), table_objects(objects).values(), strict=True):
            _require_same(local, stored)
        proofs = prove_table(
            back,
            wanted,
            {name: bench.fetch(wanted[name]) for name in parts},
            {n: base.source_rows[n] for n in kept} if base else {},
            dataset,
            bench.folder.schema,
            seed=int(objects[0].sha256[:8], 16),
            digests=_digests_of(parts.values(), carried.values()),
            duplicates=duplicates,
        )
        proofs = [proof.model_copy(update={"left_out": _left_out(parts.get(proof.name))}) for proof in proofs]
        receipts = [*carried.values(), *(proof.model_dump(mode="json") for proof in proofs)]
        receipts = [_with_duplicates(receipt, duplicates) for receipt in receipts]
        facts = measure_table(back.data, dataset).model_copy(update={"left_out": total_left_out(receipts)})
        schema = schema_of(back.data, facts, dataset, bench.folder.schema)
        return Version(
            data_version=version,
            facts=facts,
            schema=schema,
            differences=compare_schemas(schema, bench.folder.schema, dataset, misfits, facts.nulls),
            objects=objects,
            sources=tuple(wanted[name] for name in sorted(wanted)),
            proofs=proofs,
            receipt={"files": receipts},
            sample=out / SAMPLE,
            source_rows=back.rows_by_file(),
            source_bytes=staged.source_bytes + sum(wanted[n].size for n in parts.keys() - set(staged.intent.staging)),
            quicklook=quicklook_of(
                bench,
                version,
                lambda: draw_table(back.data, facts, dataset, str(bench.folder.curated.get("title", bench.id))),
            ),
        )

    def of_base(self, base: ReleaseRecord) -> Version:
        """The base's data; its structure is read from the sample that lies beside it."""
        dataset, curated = self.bench.folder.dataset, self.bench.folder.schema
        sample = self.bench.scratch_folder("sample") / SAMPLE
        self.bench.store.download(self.places.version(base.data_version, SAMPLE), sample)
        schema = schema_of(sample, base.facts, dataset, curated)
        data = tuple(table_objects(base.objects).values())
        return Version(
            data_version=base.data_version,
            facts=base.facts,
            schema=schema,
            differences=compare_schemas(schema, curated, dataset, nulls=base.facts.nulls),
            objects=tuple(o for o in base.objects if o in data or o.path.endswith((f"/{ROWS}", f"/{SAMPLE}"))),
            sources=base.sources,
            proofs=(),
            receipt=self._receipt(base),
            sample=sample,
            source_rows=base.source_rows,
            quicklook=base.quicklook,
        )

    def _receipt(self, base: ReleaseRecord) -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = receipt_of(self.bench.store, base)
        return found

    def _local_part(self, part: Part) -> Path:
        local = self.bench.scratch_folder("parts") / Path(part.file.path).name
        if not local.exists():
            self.bench.store.download(part.file.path, local)
        return local

    def _download(self, version: str, objects: Iterable[StoredFile]) -> TableVersion:
        folder = self.bench.scratch_folder(f"back-{version}")
        for name in (*(f"{TABLE}{inside}" for inside in table_objects(objects)), ROWS):
            local = folder / name
            local.parent.mkdir(exist_ok=True)
            self.bench.store.download(self.places.version(version, name), local)
        return TableVersion(folder / TABLE, folder / ROWS)

    def _downloaded(self, base: ReleaseRecord) -> TableVersion:
        """The data of ``base``. Raises: Damaged when it is not what that release put there."""
        own = [*table_objects(base.objects).values(), *(o for o in base.objects if o.path.endswith(f"/{ROWS}"))]
        gone = [f"{stored.path} is gone" for stored in own if self.bench.store.stat(stored.path) is None]
        if gone:
            raise Damaged(gone, dataset=self.bench.id)
        there = self._download(base.data_version, base.objects)
        files = zip((*objects_of(there.data), there.rows), own, strict=True)
        other = [stored.path for local, stored in files if file_digest(local) != stored.sha256]
        if other:
            raise Damaged(
                [f"{path} holds other bytes than the release put there" for path in other], dataset=self.bench.id
            )
        return there

    def _upload(self, local: Path, version: str, name: str) -> StoredFile:
        path = self.places.version(version, name)
        self.bench.store.upload(local, path)
        return StoredFile(path=path, sha256=file_digest(local), bytes=local.stat().st_size)


def _left_out(part: Part | None) -> dict[str, int]:
    return part.left_out if part is not None else {}


def _all_duplicates(
    carried: Mapping[str, Mapping[str, Any]], found: Mapping[str, FileDigests]
) -> dict[str, FileDigests]:
    """By source file: of the rows that the base left out already, and of those that were ``found`` now."""
    known = {name: receipt["duplicates"] for name, receipt in carried.items() if receipt.get("duplicates")}
    every = {name: FileDigests.model_validate(digests) for name, digests in known.items()}
    return every | {name: every[name].plus(more) if name in every else more for name, more in found.items()}


def _with_duplicates(receipt: Mapping[str, Any], duplicates: Mapping[str, FileDigests]) -> dict[str, Any]:
    """``receipt`` of a source file with what of it is left out as duplicates now."""
    name = str(receipt["name"])
    if name not in duplicates:
        return dict(receipt)
    left_out = {**receipt.get("left_out", {}), LEFT_OUT: duplicates[name].rows}
    return {**receipt, "left_out": left_out, "duplicates": duplicates[name].model_dump(mode="json")}


def total_left_out(receipts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What was left out of all source files by declared rules, summed over the receipts of all of them."""
    total: Counter[str] = Counter()
    for receipt in receipts:
        total.update(receipt.get("left_out", {}))
    return dict(sorted(total.items()))


def _digests_of(parts: Iterable[Part], receipts: Iterable[Mapping[str, object]]) -> dict[str, FileDigests]:
    """Of the values that were read from each source file: now, or when an earlier release read it."""
    earlier = {
        str(receipt["name"]): FileDigests.model_validate(receipt["digests"])
        for receipt in receipts
        if receipt.get("digests")
    }
    return earlier | {part.name: part.digests for part in parts if part.digests}


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sample(data: Path, sample: Path) -> None:
    """A Parquet file without rows but with the schema and metadata of ``data``."""
    import pyarrow.parquet as pq

    pq.write_table(pq.read_schema(data).empty_table(), sample)


def _require_all(missing: set[str]) -> None:
    if missing:
        raise DataError(
            [f"{name} is neither staged nor in the base release" for name in sorted(missing)],
            advice="materialize the dataset's data again.",
        )


def _require_same(back: Path, stored: StoredFile) -> None:
    if file_digest(back) != stored.sha256:
        raise DataError(f"{stored.path} does not hold the bytes that were written to it", advice="check the store.")
