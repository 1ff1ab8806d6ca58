"""Reading a published release back against its record: `rimrep verify`.

Here belongs comparing bytes at the release's own and at the stable addresses. Not here: mending anything
(``projector``, ``reconciliation``).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.table_data import file_digest


def verify(projector: Projector, record: ReleaseRecord, *, stable: bool) -> list[str]:
    """Everything at which ``record`` is not what the store holds, in words; empty when all of it is right.

    Reads every byte of the release, with bounded memory; ``stable`` also of its copies at the stable addresses,
    which only the newest release has. Raises: Unavailable.
    """
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
    if record.snapshot is not None and not stable:
        found += _tag_problems(projector, record)
    if stable:
        found += projector.unprojected(record)
        found += projector.shared_differences(record)
        if record.format == "parquet":
            data = next(o for o in record.objects if o.path.endswith("/data.parquet"))
            found += list(filter(None, [_differs(projector.store, projector.places.table, data.sha256)]))
        elif record.plain:
            found += projector.plain_copy.differs_from(record)
    return found


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
