"""NASA's Earthdata Login: the token that granules are fetched with, and to whom it is shown.

Here belongs where Earthdata is, who this platform is there, and renewing a token that is refused. Not here: asking for
anything but tokens (``http_client``), or which granules there are (``earthdata_granules``).
Source: https://urs.earthdata.nasa.gov/documentation/for_users/user_token.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError, Unavailable
from rimrep_assets.ports.sources.http_client import HttpClient, NotThere, is_loopback

CMR = "https://cmr.earthdata.nasa.gov"
LOGIN = "https://urs.earthdata.nasa.gov"
HOSTS = ("earthdata.nasa.gov",)
TOKEN = re.compile(r"[\x21-\x7e]+")
SET_THEM = "set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, in the environment of the platform"


@dataclass(frozen=True)
class EarthdataAccess:
    """Where Earthdata is, and who we are there; secrets never show in a ``repr``."""

    cmr: str = CMR
    """NASA's catalogue, the Common Metadata Repository"""
    login: str = LOGIN
    hosts: tuple[str, ...] = HOSTS
    """the token is sent to these hosts and those below them, and to no other"""
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EarthdataAccess:
        hosts = tuple(environment.get("RIMREP_EARTHDATA_HOSTS", "").lower().replace(",", " ").split())
        return cls(
            cmr=(environment.get("RIMREP_EARTHDATA_CMR") or CMR).rstrip("/"),
            login=(environment.get("RIMREP_EARTHDATA_LOGIN") or LOGIN).rstrip("/"),
            hosts=hosts or HOSTS,
            token=environment.get("EARTHDATA_TOKEN") or None,
            username=environment.get("EARTHDATA_USERNAME") or None,
            password=environment.get("EARTHDATA_PASSWORD") or None,
        )

    def to_environment(self) -> dict[str, str | None]:
        """The variables from which ``from_environment`` makes the same."""
        return {
            "RIMREP_EARTHDATA_CMR": self.cmr,
            "RIMREP_EARTHDATA_LOGIN": self.login,
            "RIMREP_EARTHDATA_HOSTS": ",".join(self.hosts),
            "EARTHDATA_TOKEN": self.token,
            "EARTHDATA_USERNAME": self.username,
            "EARTHDATA_PASSWORD": self.password,
        }

    def refuse_unsafe(self) -> None:
        """Raise DefinitionError for addresses to which a secret would travel unencrypted."""
        for name, address in (("RIMREP_EARTHDATA_CMR", self.cmr), ("RIMREP_EARTHDATA_LOGIN", self.login)):
            parts = urlsplit(address)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
                raise DefinitionError(
                    f"{name} does not start with https://", advice=f"set {name} to an https address, or leave it out."
                )

    @property
    def is_here(self) -> bool:
        """Whether this Earthdata is one on this machine."""
        return is_loopback(urlsplit(self.cmr).hostname)


class EarthdataLogin:
    """Shows the token to Earthdata's own hosts; of a refused one gets another, once for all who were refused.

    After the login itself failed it fails for everybody at once: trying again for each of a thousand files locks the
    account.
    """

    def __init__(self, access: EarthdataAccess, client: HttpClient) -> None:
        self.access = access
        self._client = client
        self._token = access.token
        self._failed: RimrepError | None = None
        self._renewing = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        # In another process there is another lock.
        return {name: value for name, value in vars(self).items() if name != "_renewing"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _renewing=threading.Lock())

    def knows(self, url: str) -> bool:
        """Whether the host of ``url`` may see the token."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        is_safe = parts.scheme == "https" or is_loopback(host)
        return is_safe and any(host == known or host.endswith(f".{known}") for known in self.access.hosts)

    def headers(self, url: str) -> dict[str, str]:
        """See ``Login.headers``."""
        return {"Authorization": f"Bearer {self._current()}"} if self.knows(url) else {}

    def refuses(self, url: str, status: int, content_type: str) -> bool:
        """See ``Login.refuses``; a token that expired may also be answered with the page on which people log in."""
        parts, own = urlsplit(url), urlsplit(self.access.login)
        is_page = content_type.split(";")[0].strip().lower() == "text/html"
        return status == 401 or (status == 200 and is_page and parts.netloc == own.netloc)

    def renew(self, refused: Mapping[str, str]) -> None:
        """See ``Login.renew``."""
        with self._renewing:
            if self._failed is not None:
                raise self._failed
            old = refused.get("Authorization", "").removeprefix("Bearer ")
            if old != self._token:
                # Somebody else was refused the same one, and has another by now.
                return
            try:
                self._token = self._another(old)
            except (DataError, DefinitionError) as error:
                self._failed = error
                raise

    def why_refused(self, url: str, by: str, status: int) -> DataError:
        """See ``Login.why_refused``; no name of a file in it, so that a thousand files say one thing."""
        host, refusing = urlsplit(url).hostname, urlsplit(by).hostname
        if not self.knows(by):
            return DataError(
                f"{refusing} refuses to hand out files (status {status}), and is no host that may see the token",
                advice=f"ask the provider; or, if {refusing} belongs to NASA, add it to RIMREP_EARTHDATA_HOSTS "
                f"(now {','.join(self.access.hosts)}).",
            )
        return DataError(
            f"{host} hands out no files to this platform's user of Earthdata (status {status}), whose token is valid"
            + (", but a page to log in" if status == 200 else ""),
            advice=f"log in at {self.access.login} as this user, approve the application of {host}, and accept the "
            "licence (EULA) of the collection, where it has one.",
        )

    def _current(self) -> str:
        with self._renewing:
            if self._failed is not None:
                raise self._failed
            try:
                if self._token is None:
                    self._token = self._another("")
                elif not TOKEN.fullmatch(self._token):
                    # What the HTTP library says of such a header would hold the token.
                    raise DefinitionError("EARTHDATA_TOKEN holds spaces or line ends", advice=f"{SET_THEM} again.")
            except (DataError, DefinitionError) as error:
                self._failed = error
                raise
            return self._token

    def _another(self, refused: str) -> str:
        """A token that is not ``refused``. Raises: DefinitionError, DataError, Unavailable, without a secret in it."""
        if not (self.access.username and self.access.password):
            if refused:
                raise DataError(
                    "Earthdata refuses the token in EARTHDATA_TOKEN: it is expired, revoked or mistyped",
                    advice=f"make a new one at {self.access.login} (Generate Token) and set EARTHDATA_TOKEN; with "
                    "EARTHDATA_USERNAME and EARTHDATA_PASSWORD the platform renews it by itself.",
                )
            raise DefinitionError("there is no login for NASA Earthdata", advice=f"{SET_THEM}.")
        found = self._ask("find_or_create_token", "POST")
        # Of a token that it did not notice to be void Earthdata gives the same again; a user may have two.
        others = found if found and found[0] != refused else self._ask("tokens", "GET")
        token = next((one for one in others if one != refused), None)
        if token is None:
            raise DataError(
                "Earthdata Login gives the very token that Earthdata refuses",
                advice=f"revoke the user's tokens at {self.access.login} (Generate Token) and run it again.",
            )
        return token

    def _ask(self, what: str, method: str) -> list[str]:
        """The tokens of this user, as the login server tells them."""
        url = f"{self.access.login}/api/users/{what}"
        login = _ByPassword(url, self.access.username or "", self.access.password or "")
        try:
            text, _ = replace(self._client, login=login).document(url, method=method, max_bytes=1 << 20)
            told = json.loads(text)
            tokens = [str(one["access_token"]) for one in (told if isinstance(told, list) else [told])]
        except NotThere as error:
            raise DefinitionError(
                f"there is no Earthdata Login at {self.access.login}", advice="set RIMREP_EARTHDATA_LOGIN right."
            ) from error
        except (ValueError, KeyError, TypeError):
            # Not from the cause: it may quote the answer, and that may hold a token.
            raise Unavailable(f"{url} does not answer with tokens") from None
        if not all(TOKEN.fullmatch(token) for token in tokens):
            raise Unavailable(f"{url} does not answer with tokens")
        return tokens


@dataclass(frozen=True)
class _ByPassword:
    """User and password, for one address and no other."""

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    def headers(self, url: str) -> dict[str, str]:
        """See ``Login.headers``."""
        pair = b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"} if url == self.url else {}

    def refuses(self, url: str, status: int, content_type: str) -> bool:
        """See ``Login.refuses``."""
        return status == 401

    def renew(self, refused: Mapping[str, str]) -> None:
        """See ``Login.renew``: there is no other password."""
        raise self.why_refused(self.url, self.url, 401)

    def why_refused(self, url: str, by: str, status: int) -> DataError:
        """See ``Login.why_refused``."""
        return DataError(
            f"Earthdata Login refuses EARTHDATA_USERNAME and EARTHDATA_PASSWORD (status {status})",
            advice="set them right in the environment of the platform; many wrong tries lock the account.",
        )
