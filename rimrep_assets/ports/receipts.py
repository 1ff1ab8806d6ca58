"""The receipt of a release: what was proven when it was made.

Here belongs reading it, as long as it is the one that was written. Not here: what is in it (``table_data``,
``grid_data``), or holding a release against it (``release_proof``).
"""

from __future__ import annotations

import json
from typing import Any

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.release import ReleaseRecord, sha256
from rimrep_assets.ports.object_store import ObjectStore, read_if_there


def receipt_of(store: ObjectStore, record: ReleaseRecord) -> dict[str, Any]:
    """The receipt of ``record``. Raises: Damaged when it is gone, or is not what was written."""
    data = read_if_there(store, record.receipt.path)
    if data is None or sha256(data) != record.receipt.sha256:
        raise Damaged(f"{record.receipt.path} does not say any more what was proven", dataset=record.dataset)
    found: dict[str, Any] = json.loads(data)
    return found
