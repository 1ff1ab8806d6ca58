"""What other attempts left staged: parts that were made for the same fingerprint need not be made again.

Here belongs finding them. Not here: making a part (``table_data``), or removing what nobody wants any more.
"""

from __future__ import annotations

from rimrep_assets.domain.release import Places
from rimrep_assets.domain.staging import Intent, Part, Staged
from rimrep_assets.ports.object_store import ObjectStore, read_if_there

STAGED = "staged.json"
REJECTED = "rejected.json"


def complete_stagings(store: ObjectStore, places: Places, fingerprint: str) -> dict[str, Staged]:
    """Attempt -> what it staged, of complete attempts for ``fingerprint``, not rejected; in the order of their end."""
    ends = {
        stored.path.split("/")[-2]: (stored.last_modified, stored.path)
        for stored in store.list(places.staged)
        if stored.path.endswith(f"/{STAGED}")
    }
    found: dict[str, Staged] = {}
    for attempt in sorted(ends, key=lambda name: ends[name]):
        data = read_if_there(store, places.staging(attempt, STAGED))
        if data is None or read_if_there(store, places.staging(attempt, REJECTED)) is not None:
            continue
        staged = Staged.from_bytes(data)
        if staged.intent.fingerprint == fingerprint:
            found[attempt] = staged
    return found


def staged_elsewhere(store: ObjectStore, places: Places, intent: Intent) -> dict[tuple[str, str], Part]:
    """``(source file, digest)`` -> part, of complete attempts with the same fingerprint, not rejected."""
    return {
        (part.name, part.digest): part
        for attempt, staged in complete_stagings(store, places, intent.fingerprint).items()
        for part in staged.parts
        if attempt != intent.attempt
    }
