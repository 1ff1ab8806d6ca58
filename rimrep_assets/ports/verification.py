"""Reading a published release back against its record: `rimrep verify`.

Here belongs what is compared, and telling what is wrong with the release itself from what is wrong with its copies.
Not here: a release's own objects and values (``release_proof``), or mending anything (``mending``, ``reconciliation``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rimrep_assets.domain.errors import Damaged, DefinitionError
from rimrep_assets.domain.grid_verify import chosen_files
from rimrep_assets.domain.release import ReleaseRecord, table_objects
from rimrep_assets.ports.mending import mend
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.release_proof import ReleaseProof, object_problem


@dataclass(frozen=True)
class Verification:
    """Everything at which a release is not what the store holds, in words."""

    own: tuple[str, ...] = ()
    """of the release's own objects and values, which come again from the sources alone"""
    referred: tuple[str, ...] = ()
    """of files that a release refers to and that are not at their providers as it says; each says what helps"""
    stable: tuple[str, ...] = ()
    """of its copies at the stable addresses and of the shared documents"""
    copies: Mapping[str, str] = field(default_factory=dict)
    """those of ``stable`` that are about the data, by what ``Projector.misplaced`` calls them"""
    refused: tuple[str, ...] = ()
    """what was not mended, and why"""

    @property
    def differences(self) -> list[str]:
        return list(dict.fromkeys((*self.own, *self.referred, *self.stable, *self.refused)))

    def advice(self, dataset: str) -> list[str]:
        """What to do about it, one sentence for each command that helps."""
        told = []
        if self.own:
            told.append(
                f"`rimrep publish {dataset} --rebuild` makes the release's own data again from the sources, as a new "
                "release."
            )
        if self.stable and not self.refused:
            told.append(f"`rimrep verify {dataset} --fix` writes what is wrong at the stable addresses again.")
        return told


def verify(
    projector: Projector, record: ReleaseRecord, *, stable: bool, file: str | None = None, time: str | None = None
) -> Verification:
    """Hold ``record`` against the store.

    Reads every byte of the release, with bounded memory; ``stable`` also of its copies at the stable addresses,
    which only the newest release has. With ``file`` or ``time`` only a grid's values of that source file, or of those
    that cover that time. A provider's file that is not there as the release refers to it is a difference.
    Raises: Unavailable, also when a provider does not answer; DefinitionError when there is no such file or time.
    """
    proof = ReleaseProof(projector, record, newest=stable)
    if file is not None or time is not None:
        return _of_release(proof, _values_of(proof, file, time))
    own = _of_release(proof, proof.problems())
    return _joined(own, _of_stable(projector, record) if stable else Verification(own=_tag_problems(projector, record)))


def verify_and_mend(projector: Projector, record: ReleaseRecord) -> tuple[Verification, list[str]]:
    """Verify the newest release, mend what is wrong at the stable addresses, and verify these again.

    Returns what is wrong then, and the findings that were mended. Raises: as ``verify``.
    """
    before = verify(projector, record, stable=True)
    if not before.stable:
        return before, []
    refused = mend(projector, record, before.copies, damaged=bool(before.own))
    after = replace(_joined(before, _of_stable(projector, record)), refused=tuple(refused))
    return after, [finding for finding in before.stable if finding not in after.stable]


def _of_release(proof: ReleaseProof, found: list[str]) -> Verification:
    own = tuple(finding for finding in found if finding not in proof.lost)
    return Verification(own=own, referred=tuple(finding for finding in found if finding in proof.lost))


def _joined(own: Verification, copies: Verification) -> Verification:
    """What is wrong with the release, whoever came upon it, and what ``copies`` says of the stable addresses."""
    return replace(copies, own=tuple(dict.fromkeys((*own.own, *copies.own))), referred=own.referred)


def _of_stable(projector: Projector, record: ReleaseRecord) -> Verification:
    try:
        misplaced = projector.misplaced(record)
        copies = {**misplaced, **_other_bytes(projector, record, misplaced)}
        found = [*projector.unprojected(record), *copies.values(), *projector.shared_differences(record)]
    except Damaged as error:
        # What the copies are held against is the release itself.
        return Verification(own=error.problems)
    return Verification(stable=tuple(dict.fromkeys(found)), copies=copies)


def _other_bytes(projector: Projector, record: ReleaseRecord, misplaced: Collection[str]) -> dict[str, str]:
    """What is there of the data at the stable address with other bytes than the release's; reads all of it but what is
    ``misplaced`` anyway.
    """
    if record.format == "zarr":
        return projector.plain_copy.drift(record).of_bytes() if record.plain else {}
    address = projector.places.table
    problems = {
        name: object_problem(projector.store, f"{address}{name}", data.sha256)
        for name, data in table_objects(record.objects).items()
        if name not in misplaced
    }
    return {name: problem for name, problem in problems.items() if problem}


def _values_of(proof: ReleaseProof, file: str | None, time: str | None) -> list[str]:
    if proof.record.snapshot is None:
        raise DefinitionError(
            "only a grid's values can be verified by source file or time",
            dataset=proof.record.dataset,
            advice="leave --file and --time out.",
        )
    files = chosen_files(proof.state, file, time)
    if proof.receipt is None:
        return [f"{proof.record.receipt.path} does not say any more what was proven"]
    return proof.grid_problems(files)


def _tag_problems(projector: Projector, record: ReleaseRecord) -> tuple[str, ...]:
    if record.snapshot is None:
        return ()
    repository = projector.repository.open()
    tags = repository.list_tags() if repository is not None else set()
    if repository is None or record.tag not in tags or repository.lookup_tag(record.tag) != record.snapshot:
        return (f"the Icechunk tag {record.tag} does not name snapshot {record.snapshot}",)
    return ()
