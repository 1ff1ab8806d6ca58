"""Walking through the folders of a web server: names of files and what listings tell of them.

Here belongs which folders are asked for. Not here: reading one listing (``http_index``), or what becomes of the files
(``http_folder``).
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.ports.sources.http_client import HttpClient, NotThere
from rimrep_assets.ports.sources.http_index import Listing, read_listing
from rimrep_assets.ports.sources.selection import HIDDEN_METADATA, store_of

DEEPEST = 16
MOST_FILES = 200_000


class HttpWalk:
    """One walk below ``base`` (ends in ``/``); ``address`` is the source's, for messages.

    ``stamps``: file -> (bytes, HTTP date of its last change), where listings tell both.
    """

    def __init__(self, client: HttpClient, base: str, address: str) -> None:
        self.client = client
        self.base = base
        self.address = address
        self.stamps: dict[str, tuple[int, str]] = {}
        self._arrays: set[str] = set()
        self._show_all: set[str] = set()

    def names(self, begin: str, may_hold: Callable[[str], bool]) -> list[str]:
        """All files below the folder ``begin`` (empty, or ends in ``/``), also in folders that ``may_hold`` any."""
        names: list[str] = []
        todo = [begin]
        while todo:
            below = todo.pop()
            listing = self.listing(below)
            names += [f"{below}{name}" for name in listing.files]
            self.stamps |= {f"{below}{name}": stamp for name, stamp in listing.stamps.items()}
            names += [f"{below}{name}" for name in self._unlisted_metadata(below, listing)]
            inner = [f"{below}{name}" for name in listing.folders]
            todo += [f"{name}/" for name in inner if may_hold(name)]
            if below.count("/") > DEEPEST or len(names) > MOST_FILES:
                raise DataError(f"{self.address}: more than {DEEPEST} folders deep or {MOST_FILES} files")
        return names

    def listing(self, below: str) -> Listing:
        """What lies in one folder. Raises: NotThere for the first, Unavailable for one that was listed."""
        address = self.base + quote(below)
        try:
            text, final = self.client.text(address)
        except NotThere:
            if not below:
                raise
            raise Unavailable(f"{address} was listed but is not there") from None
        return read_listing(text, url=final)

    def _unlisted_metadata(self, below: str, listing: Listing) -> list[str]:
        """Metadata of a store of format 2 that its folder's listing does not show: nginx hides names with a dot."""
        store = store_of(below)
        if store is None:
            return []
        if "zarr.json" in listing.files or any(name.startswith(".") for name in listing.files):
            self._show_all.add(store)
        in_array = any(below.startswith(array) for array in self._arrays)
        if store in self._show_all or in_array:
            return []
        found = [name for name in HIDDEN_METADATA if self._is_there(f"{below}{name}")]
        if ".zarray" in found:
            self._arrays.add(below)
        return found

    def _is_there(self, name: str) -> bool:
        try:
            self.client.get(self.base + quote(name), {"Range": "bytes=0-0"}).close()
        except NotThere:
            return False
        return True
