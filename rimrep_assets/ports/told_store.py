"""A Zarr store of an Icechunk snapshot that says in our terms what it cannot give.

Here belongs the translation where Zarr reads, for Zarr lets a store's own errors through. Not here: opening a snapshot
(``grid_repository``). The module is imported when something is read, since Zarr takes long to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import icechunk
from zarr.storage import WrapperStore

from rimrep_assets.domain.errors import Damaged, Unavailable
from rimrep_assets.ports.icechunk_errors import is_damage, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class ToldStore(WrapperStore[icechunk.IcechunkStore]):
    """Reading and listing raise Damaged, which names the key, for an object that is gone or cut short, and Unavailable
    for a storage that does not answer.
    """

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """See ``zarr.abc.store.Store.get``."""
        try:
            return await super().get(key, prototype, byte_range)
        except icechunk.IcechunkError as error:
            raise _ours(error, key) from error

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """See ``zarr.abc.store.Store.list_prefix``."""
        try:
            async for key in super().list_prefix(prefix):
                yield key
        except icechunk.IcechunkError as error:
            raise _ours(error, f"the list of {prefix or 'all keys'}") from error


def _ours(error: icechunk.IcechunkError, what: str) -> Damaged | Unavailable:
    reason = reason_of(error)
    if is_damage(reason):
        return Damaged(f"{what} cannot be read: {reason}")
    return Unavailable(f"Icechunk cannot read {what}: {reason}")
