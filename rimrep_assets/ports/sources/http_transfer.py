"""The bytes of one address, over as many connections as it takes.

Here belongs what may be resumed and which of a server's validators may be relied on. Not here: asking the
server (``http_client``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_file import SourceFile

if TYPE_CHECKING:
    import requests

# A server whose validators come from times in whole seconds gives two versions written within one second the
# same ones (nginx: ETag is mtime and size); https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
RACY_S = 2.0


@dataclass(frozen=True)
class Downloaded:
    """What came; ``etag`` and ``last_modified`` are None where the server's words cannot be relied on."""

    digest: str
    size: int
    url: str
    etag: str | None
    last_modified: str | None
    content_type: str = ""


@dataclass(frozen=True)
class Stamp:
    """What a server says of a file without its bytes; ``size`` in bytes. None is what it does not say."""

    size: int | None
    etag: str | None
    last_modified: str | None
    revision: str | None = None
    """what the provider's catalogue calls this version; where there is one, it alone decides"""

    @classmethod
    def of(cls, headers: Mapping[str, str], size: str | None) -> Stamp:
        return cls(
            int(size) if size is not None and size.isdigit() else None,
            headers.get("ETag"),
            headers.get("Last-Modified"),
        )

    def fits(self, earlier: SourceFile) -> bool:
        """Whether it names what ``earlier`` was; False where size or validators tell too little to say so."""
        if self.revision is not None:
            return self.revision == earlier.revision and self.size in (None, earlier.size)
        if self.size != earlier.size:
            return False
        if self.etag and earlier.etag:
            return self.etag == earlier.etag
        return self.last_modified is not None and self.last_modified == earlier.last_modified


class Transfer:
    """What has come so far of one address, and how to ask for the rest."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything that came."""
        self.size = 0
        self.expected: int | None = None
        self._digest = sha256()
        self._validator: str | None = None
        self._etag: str | None = None
        self._last_modified: str | None = None

    def headers(self, first: Mapping[str, str] | None) -> dict[str, str]:
        """What to ask with: ``first`` for the first time, then for the rest if nothing changed meanwhile."""
        if not self.size:
            return dict(first or {})
        if self._validator is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator}

    def begin(self, response: requests.Response, out: BinaryIO) -> bool:
        """Go on where the answer goes on, else from the start; False when the answer is of no use.

        Raises: DataError when the server repacks the file on the way.
        """
        told = response.headers.get("Content-Length")
        if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {self.size}-"):
            self.expected = self.size + int(told) if told else self.expected
            return True
        self.restart()
        out.seek(0)
        out.truncate()
        if response.status_code in (206, 416):
            return False
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity" and not urlsplit(str(response.url)).path.endswith((".gz", ".Z", ".bz2")):
            address = urlsplit(str(response.url))._replace(query="").geturl()
            raise DataError(f"{address}: the server sends it as {encoding} although asked not to")
        self.expected = int(told) if told else None
        modified = response.headers.get("Last-Modified")
        if not is_racy(modified, response.headers.get("Date")):
            self._etag, self._last_modified = response.headers.get("ETag"), modified
        strong = self._etag is not None and not self._etag.startswith("W/")
        self._validator = self._etag if strong else self._last_modified
        return True

    def add(self, block: bytes) -> None:
        """Count and digest what came next."""
        self.size += len(block)
        self._digest.update(block)

    @property
    def is_whole(self) -> bool:
        """Whether all came that the server announced; without an announcement the end of the connection
        counts.
        """
        return self.expected is None or self.size == self.expected

    def result(self, response: requests.Response) -> Downloaded:
        """What is known once it is whole."""
        return Downloaded(
            digest=self._digest.hexdigest(),
            size=self.size,
            url=str(response.url),
            etag=self._etag,
            last_modified=self._last_modified,
            content_type=response.headers.get("Content-Type", ""),
        )


def is_racy(last_modified: str | None, date: str | None) -> bool:
    """Whether the file was changed so shortly before the answer that it could change again unnoticed."""
    changed, answered = http_date(last_modified), http_date(date)
    if changed is None or answered is None:
        return False
    return (answered - changed).total_seconds() < RACY_S


def http_date(text: str | None) -> datetime | None:
    """A header's date in UTC; None where it is absent or no date."""
    try:
        found = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
