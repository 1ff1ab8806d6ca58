"""Reading a published release back against its record: `rimrep verify`.

Here belongs comparing bytes at the release's own and at the stable addresses. Not here: mending anything
(``projector``, ``reconciliation``).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_verify import chosen_files, differing_values
from rimrep_assets.domain.release import ReleaseRecord, table_objects
from rimrep_assets.ports.grid_references import in_words_for, lost_reference
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.table_data import file_digest


def verify(
    projector: Projector, record: ReleaseRecord, *, stable: bool, file: str | None = None, time: str | None = None
) -> list[str]:
    """Everything at which ``record`` is not what the store holds, in words; empty when all of it is right.

    Reads every byte of the release, with bounded memory; ``stable`` also of its copies at the stable addresses,
    which only the newest release has. With ``file`` or ``time`` only a grid's values of that source file, or of those
    that cover that time. A provider's file that is not there as the release refers to it is a difference.
    Raises: Unavailable, also when a provider does not answer; DefinitionError when there is no such file or time.
    """
    if file is not None or time is not None:
        return _values_of(projector, record, file, time, newest=stable)
    found = []
    for stored in record.objects:
        problem = _differs(projector.store, stored.path, stored.sha256)
        if problem:
            found.append(problem)
    receipt = json.loads(projector.store.read(record.receipt.path)) if not found else {"files": []}
    found += [f"{p['name']}: {d}" for p in receipt["files"] for d in p["differences"]]
    proven = {(p["name"], p["digest"]) for p in receipt["files"]}
    if receipt["files"]:
        found += [
            f"{f.name}: the receipt does not say that it was compared"
            for f in record.sources
            if (f.name, f.digest) not in proven
        ]
    if record.snapshot is not None and receipt["files"]:
        found += _differing(projector, record, receipt, None, newest=stable)
    if record.snapshot is not None and not stable:
        found += _tag_problems(projector, record)
    if stable:
        found += projector.unprojected(record)
        found += projector.shared_differences(record)
        if record.format == "parquet":
            for name, data in table_objects(record.objects).items():
                found += filter(None, [_differs(projector.store, f"{projector.places.table}{name}", data.sha256)])
        elif record.plain:
            found += projector.plain_copy.differs_from(record)
    return found


def _values_of(
    projector: Projector, record: ReleaseRecord, file: str | None, time: str | None, *, newest: bool
) -> list[str]:
    if record.snapshot is None:
        raise DefinitionError(
            "only a grid's values can be verified by source file or time",
            dataset=record.dataset,
            advice="leave --file and --time out.",
        )
    receipt = json.loads(projector.store.read(record.receipt.path))
    chosen = chosen_files(GridState.model_validate(record.state), file, time)
    return _differing(projector, record, receipt, chosen, newest=newest)


def _differing(
    projector: Projector, record: ReleaseRecord, receipt: Mapping[str, Any], files: set[str] | None, *, newest: bool
) -> list[str]:
    """The grid's values in Icechunk against the digests in its receipt."""
    import icechunk

    assert record.snapshot is not None
    digests = {int(block): found for block, found in receipt.get("digests", {}).items()}
    state = GridState.model_validate(record.state)

    def explained(error: Exception) -> str | None:
        lost = lost_reference(error, state, record.sources)
        # A provider who does not answer is asked again later; every further chunk would wait as long as this one.
        return lost.finding(newest=newest) if lost and lost.why != "unread" else None

    threads = os.cpu_count() or 2
    with projector.repository.errors_in_words(in_words_for(state, record.sources)):
        group = projector.repository.group(record.snapshot)
        return list(differing_values(group, state, digests, files, threads, (icechunk.IcechunkError,), explained))


def _tag_problems(projector: Projector, record: ReleaseRecord) -> list[str]:
    repository = projector.repository.open()
    tags = repository.list_tags() if repository is not None else set()
    if repository is None or record.tag not in tags or repository.lookup_tag(record.tag) != record.snapshot:
        return [f"the Icechunk tag {record.tag} does not name snapshot {record.snapshot}"]
    return []


def _differs(store: ObjectStore, path: str, digest: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            local = store.download(path, Path(folder) / "object")
        except FileNotFoundError:
            return f"{path} is gone"
        if file_digest(local) != digest:
            return f"{path} holds other bytes than the release put there"
    return None
