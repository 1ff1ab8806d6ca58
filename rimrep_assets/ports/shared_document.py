"""Documents that many datasets share, kept equal to what is listed, without a lock.

Here belongs the loop that makes a shared document a function of its listing. Not here: what such a document says
(``domain/stac``, ``domain/pygeoapi``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.ports.object_store import ObjectStore, StoredObject, read_if_there

ROUNDS = 100
READERS = 8


def listing_digest(contents: Mapping[str, bytes]) -> str:
    """One digest of paths and contents, in the order of the paths."""
    whole = hashlib.sha256()
    for path in sorted(contents):
        whole.update(path.encode() + b"\0" + hashlib.sha256(contents[path]).digest())
    return whole.hexdigest()


def json_object(data: bytes | None) -> dict[str, Any] | None:
    """The object that ``data`` holds; None for what is damaged, so that it can be told and mended like what is gone."""
    try:
        found = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def json_objects(contents: Mapping[str, bytes], within: str) -> list[dict[str, Any]]:
    """The whole objects at the paths that hold ``within``, in the order of the paths."""
    found = (json_object(contents[path]) for path in sorted(contents) if within in path)
    return [document for document in found if document is not None and _can_be_listed(document)]


def _can_be_listed(document: Mapping[str, Any]) -> bool:
    """Whether a STAC document says what its parent takes from it; one that does not is left out until it is mended."""
    return isinstance(document.get("id"), str) and (
        document.get("type") != "Feature" or isinstance(document.get("properties"), dict)
    )


def read_all(store: ObjectStore, listing: Sequence[StoredObject]) -> dict[str, bytes]:
    """The contents of what was listed; what went meanwhile is left out."""
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda stored: (stored.path, read_if_there(store, stored.path)), listing)
        return {path: data for path, data in found if data is not None}


def render_from(
    store: ObjectStore,
    look: Callable[[], Sequence[StoredObject]],
    render: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
) -> dict[str, bytes]:
    """What the shared documents should be now; nothing is written."""
    return dict(render(read_all(store, look())))


def keep_in_step(
    store: ObjectStore,
    look: Callable[[], Sequence[StoredObject]],
    render: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
) -> bool:
    """Write what ``render`` makes of the listed contents, and list again, until both agree; True when it wrote.

    Of two writers the later one lists last, so whoever writes last has seen everything. Nothing is written where the
    documents are right already. Raises: Unavailable after ``ROUNDS`` rounds in which others were always faster.
    """
    wrote = False
    for _ in range(ROUNDS):
        seen = [(stored.path, stored.etag, stored.size) for stored in look()]
        for path, data in render_from(store, look, render).items():
            if read_if_there(store, path) != data:
                store.write(path, data)
                wrote = True
        if [(stored.path, stored.etag, stored.size) for stored in look()] == seen:
            return wrote
    raise Unavailable(f"the shared documents of {store.address} changed in each of {ROUNDS} rounds")
