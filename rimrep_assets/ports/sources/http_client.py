"""GET over http(s) as providers need it: patient with their servers, deaf to where else they want to lead.

Here belongs retrying, redirects and downloading one address with resume. Not here: listings and what is kept
between lookings (``http_folder``, ``download_cache``).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.ports.sources.http_transfer import Downloaded, Stamp, Transfer, http_date

if TYPE_CHECKING:
    import requests

MOST_REDIRECTS = 5
WORTH_A_RETRY = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotThere(Exception):
    """The server answers 404 or 410; what that means depends on who asked."""


class Login(Protocol):
    """Who we are, where a provider asks for it."""

    def headers(self, url: str) -> dict[str, str]:
        """What a request to ``url`` carries besides; empty for hosts that it does not concern."""

    def refuses(self, url: str, status: int, content_type: str) -> bool:
        """Whether this last answer, at the end of all redirects, says that the login is not valid."""

    def renew(self, refused: Mapping[str, str]) -> None:
        """Have other headers than ``refused`` from now on. Raises: RimrepError when there are none."""

    def why_refused(self, url: str, by: str, status: int) -> DataError:
        """What to say when a valid login for ``url`` is refused, at the end of all redirects ``by`` another address."""


@dataclass
class HttpClient:
    """``attempts`` without progress before giving up; waits double from 1 s, at most ``longest_wait_s``
    each.
    """

    sleep: Callable[[float], None] = time.sleep
    attempts: int = 5
    longest_wait_s: float = 60.0
    timeout_s: tuple[float, float] = (10.0, 60.0)
    max_bytes: int | None = None
    login: Login | None = None
    may_lead_inside: bool = False
    """redirects may lead to this machine and its network, because the provider is there itself"""
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def __getstate__(self) -> dict[str, object]:
        # Connections stay here; in another process new ones are made.
        return {name: value for name, value in vars(self).items() if name != "_local"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _local=threading.local())

    def text(self, url: str, *, max_bytes: int = 64 << 20) -> tuple[str, str]:
        """``(text, final url)`` of a document. Raises: NotThere, DataError, Unavailable."""
        response = self.get(url)
        with response:
            body = self._read_all(response, max_bytes)
        return body.decode("utf-8", errors="replace"), str(response.url)

    def document(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", max_bytes: int = 256 << 20
    ) -> tuple[str, Mapping[str, str]]:
        """``(text, headers)`` of a document. Raises: NotThere, DataError, Unavailable."""
        response = self.get(url, headers, method)
        with response:
            body = self._read_all(response, max_bytes)
        return body.decode("utf-8", errors="replace"), response.headers

    def get(self, url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> requests.Response:
        """A response with status 200, 206, 304 or 416, its body not yet read; the caller closes it.

        Raises: NotThere for 404 and 410; DataError when access is refused or a redirect leads where none may;
        Unavailable when there is no good answer after all attempts.
        """
        import requests

        why = ""
        for attempt in range(self.attempts):
            asked = None
            try:
                response = self._logged_in(url, headers or {}, method)
            except (requests.ConnectionError, requests.Timeout) as error:
                why = f"{type(error).__name__} ({innermost(error)})"
            else:
                if response.status_code in (200, 206, 304, 416):
                    return response
                response.close()
                self._refuse(url, response.status_code)
                why, asked = _status(response.status_code), _retry_after(response)
            if attempt + 1 < self.attempts:
                self.wait(attempt, asked)
        raise Unavailable(f"{url}: {why}, {self.attempts} times")

    def download(self, url: str, to: Path, headers: Mapping[str, str] | None = None) -> Downloaded | None:
        """Write the bytes at ``url`` to ``to``; None when the server answers 304 to ``headers``.

        A broken transfer is resumed where the server's validator allows it, and begun again where not.
        Raises: like ``get``; besides DataError for more than ``max_bytes``; ``to`` holds no complete file
        then.
        """
        transfer = Transfer()
        stuck = 0
        with to.open("wb") as out:
            while True:
                response = self.get(url, transfer.headers(headers))
                before = transfer.size
                with response:
                    if response.status_code == 304:
                        return None
                    why = self._pour(response, transfer, out)
                    if not why:
                        return transfer.result(response)
                stuck = 0 if transfer.size > before else stuck + 1
                if stuck >= self.attempts:
                    raise Unavailable(f"{url}: {why}, {stuck} times")
                self.wait(stuck)

    def wait(self, attempt: int, asked: float | None = None) -> None:
        """Sleep before the next attempt: as long as the server asked, else doubling, never beyond the cap."""
        self.sleep(min(self.longest_wait_s, float(2**attempt) if asked is None else max(0.0, asked)))

    def _pour(self, response: requests.Response, transfer: Transfer, out: BinaryIO) -> str:
        """Take what this connection gives; return why it is not the whole, or nothing when it is."""
        import requests
        from urllib3.exceptions import HTTPError

        if not transfer.begin(response, out):
            return f"it answers status {response.status_code} to a range"
        announced = transfer.expected or 0
        try:
            self.refuse_too_large(without_query(str(response.url)), announced)
            while block := response.raw.read(1 << 20, decode_content=False):
                transfer.add(block)
                self.refuse_too_large(without_query(str(response.url)), transfer.size)
                out.write(block)
        except (HTTPError, requests.RequestException, ConnectionError, TimeoutError) as error:
            return f"the transfer broke after {transfer.size} bytes ({innermost(error)})"
        if transfer.is_whole:
            return ""
        return f"the connection ended after {transfer.size} of {transfer.expected} bytes"

    def refuse_too_large(self, url: str, size: int) -> None:
        """Raise DataError for more than ``max_bytes``."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise DataError(f"{url} is larger than the {self.max_bytes} bytes that are allowed")

    def _read_all(self, response: requests.Response, max_bytes: int) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        body, address = b"", without_query(str(response.url))
        try:
            while block := response.raw.read(1 << 16, decode_content=True):
                body += block
                if len(body) > max_bytes:
                    raise DataError(f"{address}: the listing is larger than {max_bytes} bytes")
        except (HTTPError, requests.RequestException, ConnectionError, TimeoutError) as error:
            raise Unavailable(f"{address}: the listing broke off ({innermost(error)})") from error
        told = response.headers.get("Content-Length")
        if told is not None and "Content-Encoding" not in response.headers and len(body) < int(told):
            raise Unavailable(f"{address}: the listing broke off after {len(body)} of {told} bytes")
        return body

    def stamp(self, url: str) -> Stamp:
        """Size and validators of what lies at ``url``, by HEAD, or by asking for one byte where that is refused.

        Raises: like ``get``.
        """
        try:
            with self.get(url, method="HEAD") as response:
                return Stamp.of(response.headers, response.headers.get("Content-Length"))
        except DataError:
            with self.get(url, {"Range": "bytes=0-0"}) as response:
                whole = response.headers.get("Content-Range", "").rpartition("/")[2]
                size = whole if response.status_code == 206 else response.headers.get("Content-Length")
                return Stamp.of(response.headers, size)

    def _logged_in(self, url: str, headers: Mapping[str, str], method: str) -> requests.Response:
        """``_follow``; where the login is refused, once more with another. Raises: as the login does."""
        response = self._follow(url, headers, method)
        if self.login is None:
            return response
        shown = _shown(response)
        if shown and self._is_refused(response):
            response.close()
            self.login.renew(shown)
            response = self._follow(url, headers, method)
        if response.status_code == 403 or self._is_refused(response):
            response.close()
            raise self.login.why_refused(url, str(response.url), response.status_code)
        return response

    def _is_refused(self, response: requests.Response) -> bool:
        told = response.headers.get("Content-Type", "")
        return self.login is not None and self.login.refuses(str(response.url), response.status_code, told)

    def _follow(self, url: str, headers: Mapping[str, str], method: str = "GET") -> requests.Response:
        address = url
        for _ in range(MOST_REDIRECTS + 1):
            response = self._session().request(
                method,
                address,
                # A file is published as its provider keeps it, so no server may repack it on the way.
                headers={"Accept-Encoding": "identity", **headers, **self._own(address)},
                stream=True,
                timeout=self.timeout_s,
                allow_redirects=False,
                # Else requests puts what ~/.netrc says of a host in the place of our own login.
                auth=None if self.login is None else _as_it_is,
            )
            if response.status_code not in (301, 302, 303, 307, 308):
                return response
            response.close()
            target = urljoin(address, response.headers.get("Location", ""))
            _refuse_redirect(urlsplit(address), urlsplit(target), url, self.may_lead_inside)
            address = target
        raise DataError(f"{url}: more than {MOST_REDIRECTS} redirects")

    def _own(self, address: str) -> dict[str, str]:
        """What the login says to this one address of all to which a question is led."""
        return {} if self.login is None else self.login.headers(address)

    def _session(self) -> requests.Session:
        """One a thread: requests does not promise that a session may be shared."""
        import requests

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = "rimrep-assets"
        return session

    @staticmethod
    def _refuse(url: str, status: int) -> None:
        if status in (404, 410):
            raise NotThere(url)
        if status not in WORTH_A_RETRY and not 500 <= status < 600:
            raise DataError(f"{url}: {_status(status)}", advice="ask the provider for access, or mend source.url.")


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait; a date is read against the server's own clock."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    until, now = http_date(asked), http_date(response.headers.get("Date"))
    return (until - now).total_seconds() if until and now else None


def _refuse_redirect(here: SplitResult, there: SplitResult, asked: str, may_lead_inside: bool = False) -> None:
    """Raise DataError for a redirect to no web address, to less safety, or into a private network."""
    target = without_query(there.geturl())
    if there.scheme not in {"http", "https"} or not there.hostname:
        raise DataError(f"{asked}: a redirect leads to {target!r}, which is no web address")
    if (here.scheme, there.scheme) == ("https", "http"):
        raise DataError(f"{asked}: a redirect leads from https to http ({target})")
    if here.netloc != there.netloc and not may_lead_inside and not _is_public(there.hostname):
        raise DataError(f"{asked}: a redirect leads to {there.hostname}, which is not a public address")


def without_query(url: str) -> str:
    """``url`` for messages: what stands in its query may be a signature, by which anybody could read the file."""
    return url.partition("?")[0]


def is_loopback(host: str | None) -> bool:
    """Whether ``host`` is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _shown(response: requests.Response) -> dict[str, str]:
    """The login that was sent to whom it was refused by."""
    told = response.request.headers.get("Authorization")
    return {} if told is None else {"Authorization": str(told)}


def _is_public(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise Unavailable(f"the name {host} is not known") from error
    return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_global for entry in found)


def _status(status: int) -> str:
    try:
        return f"status {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def innermost(error: BaseException) -> str:
    """The last cause, which names what happened and not the pool it happened in."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
