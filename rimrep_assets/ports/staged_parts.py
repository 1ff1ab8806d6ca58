"""What other attempts left staged: parts that were made for the same fingerprint need not be made again.

Here belongs finding them. Not here: making a part (``table_data``), or removing what nobody wants any more.
"""

from __future__ import annotations

from rimrep_assets.domain.release import Places
from rimrep_assets.domain.staging import Intent, Part, Staged
from rimrep_assets.ports.object_store import ObjectStore, read_if_there

STAGED = "staged.json"
REJECTED = "rejected.json"


def staged_elsewhere(store: ObjectStore, places: Places, intent: Intent) -> dict[tuple[str, str], Part]:
    """``(source file, digest)`` -> part, of complete attempts with the same fingerprint, not rejected."""
    found: dict[tuple[str, str], Part] = {}
    for attempt in store.folders(places.staged):
        if attempt == intent.attempt or read_if_there(store, places.staging(attempt, REJECTED)) is not None:
            continue
        data = read_if_there(store, places.staging(attempt, STAGED))
        staged = None if data is None else Staged.from_bytes(data)
        if staged is not None and staged.intent.fingerprint == intent.fingerprint:
            found |= {(part.name, part.digest): part for part in staged.parts}
    return found
