"""NASA Earthdata on loopback: the catalogue, the login, an archive, and the network that hands out its files.

Here belongs answering as those do, also when they misbehave. Not here: any expectation. The catalogue, the login and
the archive are at ``127.0.0.1``, which the token may be shown to; files are handed out at ``localhost``, which must never
see it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

USER, PASSWORD = "reef", "Correct-Horse-7"
SHORT_NAME, VERSION, PROVIDER = "MUR-INVENTED", "4.1", "POCLOUD"
COLLECTION = "C1996881146-POCLOUD"
QUERY = {"short_name": SHORT_NAME, "version": VERSION}
SIGNATURE = "Signature=VerySecretSignature&Expires=1"
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head></html>"


@dataclass
class Reply:
    """What the file host says instead of a whole file."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """None: the file itself"""
    cut_after: int | None = None
    """bytes of the body after which the connection ends"""


@dataclass
class Granule:
    """One granule and its file; ``data`` is what the archive has, ``told`` what the catalogue says of it."""

    number: int
    name: str
    data: bytes
    told: bytes
    revision: int = 1
    more_links: tuple[dict[str, str], ...] = ()
    has_link: bool = True

    @property
    def id(self) -> str:
        return f"G{self.number}-{PROVIDER}"


@dataclass(frozen=True)
class Request:
    method: str
    host: str
    path: str
    query: str
    headers: dict[str, str]


class FakeEarthdata:
    """``granules`` may be changed at any time; ``asked`` remembers every request."""

    def __init__(self) -> None:
        self.granules: dict[str, Granule] = {}
        self.asked: list[Request] = []
        self.tells_checksum = True
        self.tells_size = True
        self.page = 2000
        self.loses_page: int | None = None
        """the page (from 0) after which the search says that it has ended"""
        self.accepts_directly = True
        """the archive takes a token itself; else it leads to the login and back, with a cookie"""
        self.shows_login_page = False
        """a void token is answered with a page to log in, not with 401"""
        self.sticky = False
        """the login gives a void token again, as it does when it did not notice"""
        self.needs_licence = False
        self.replies: list[Reply] = []
        """what the file host answers next, in turn, before it is well"""
        self.catalogue_replies: list[Reply] = []
        self.valid: set[str] = set()
        self.given: list[str] = []
        self._numbers = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._answer(self)

            do_POST = do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who breaks off in the middle is no error here."""

        self.http = Server(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.files_url = f"http://localhost:{self.port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that lead the platform here."""
        return {
            "RIMREP_EARTHDATA_CMR": self.url,
            "RIMREP_EARTHDATA_LOGIN": self.url,
            "RIMREP_EARTHDATA_HOSTS": "127.0.0.1",
            **more,
        }

    @property
    def with_password(self) -> dict[str, str]:
        return self.environment(EARTHDATA_USERNAME=USER, EARTHDATA_PASSWORD=PASSWORD)

    def with_token(self) -> dict[str, str]:
        return self.environment(EARTHDATA_TOKEN=self.give_token())

    def put(self, name: str, data: bytes) -> Granule:
        """Ingest a granule, or re-issue it: its number stays, its revision goes up."""
        before = self.granules.get(name)
        if before is None:
            self._numbers += 1
            granule = Granule(self._numbers, name, data, data)
        else:
            granule = Granule(before.number, name, data, data, before.revision + 1)
        self.granules[name] = granule
        return granule

    def give_token(self) -> str:
        token = f"eyJ0.secret-token-{len(self.given) + 1}.sig"
        self.given.append(token)
        self.valid.add(token)
        return token

    def expire(self) -> None:
        """All tokens are void."""
        self.valid.clear()

    def of(self, *paths: str) -> list[Request]:
        """Requests to paths that begin so."""
        return [request for request in self.asked if request.path.startswith(paths)]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, headers["host"].partition(":")[0], unquote(parts.path), parts.query, headers)
        routes: dict[str, Callable[[Request], Reply]] = {
            "/search/granules.umm_json": self._search,
            "/api/users/": self._tokens,
            "/oauth/authorize": self._authorize,
            "/protected/": self._archive,
            "/login": self._logged_in,
            "/cdn/": self._files,
        }
        with self._lock:
            self.asked.append(request)
            route = next((route for path, route in routes.items() if request.path.startswith(path)), None)
            reply = route(request) if route else Reply(404)
        body = reply.body or b""
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.status != 304 and "Content-Length" not in reply.headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[: reply.cut_after])
        if reply.cut_after is not None:
            handler.close_connection = True

    def _search(self, request: Request) -> Reply:
        if self.catalogue_replies:
            return self.catalogue_replies.pop(0)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        after = request.headers.get("cmr-search-after")
        if "page_num" in query or int(query.get("page_size", "10")) > 2000:
            return Reply(400, body=b'{"errors": ["page_num or page_size"]}')
        by_name = (query.get("short_name"), query.get("version")) == (SHORT_NAME, VERSION)
        is_ours = by_name or query.get("collection_concept_id") == COLLECTION
        if query.get("provider", PROVIDER) != PROVIDER:
            is_ours = False
        granules = sorted(self.granules.values(), key=lambda g: g.number) if is_ours else []
        begin = 0 if after is None else json.loads(after)[1]
        size = min(self.page, int(query.get("page_size", "10")))
        some = [g for g in granules if g.number > begin][:size]
        told = {"hits": len(granules), "took": 3, "items": [self._item(g) for g in some]}
        headers = {"Content-Type": "application/vnd.nasa.cmr.umm_results+json", "CMR-Hits": str(len(granules))}
        is_lost = self.loses_page is not None and len(self.of("/search/")) > self.loses_page
        if some and not is_lost:
            headers["CMR-Search-After"] = json.dumps(["pocloud", some[-1].number, 7])
        return Reply(200, headers, json.dumps(told).encode())

    def _item(self, granule: Granule) -> dict[str, object]:
        described: dict[str, object] = {"Name": granule.name, "Format": "Not provided"}
        if self.tells_size:
            described["SizeInBytes"] = len(granule.told)
        if self.tells_checksum:
            described["Checksum"] = {"Algorithm": "MD5", "Value": hashlib.md5(granule.told).hexdigest()}
        path = quote(granule.name)
        own = {"URL": f"{self.url}/protected/{path}", "Type": "GET DATA"}
        links = [
            {"URL": f"s3://podaac-protected/{path}", "Type": "GET DATA"},
            *([own] if granule.has_link else []),
            {"URL": f"{self.url}/s3credentials", "Type": "VIEW RELATED INFORMATION"},
            {"URL": f"{self.url}/opendap/{path}", "Type": "USE SERVICE API", "Subtype": "OPENDAP DATA"},
            *granule.more_links,
        ]
        return {
            "meta": {
                "concept-type": "granule",
                "concept-id": granule.id,
                "revision-id": granule.revision,
                "native-id": granule.name,
                "provider-id": PROVIDER,
                "revision-date": f"2024-01-01T00:00:{granule.revision:02}.000Z",
            },
            "umm": {
                "GranuleUR": granule.name,
                "RelatedUrls": links,
                "DataGranule": {"ArchiveAndDistributionInformation": [described]},
            },
        }

    def _tokens(self, request: Request) -> Reply:
        kind, _, pair = request.headers.get("authorization", "").partition(" ")
        if kind != "Basic" or b64decode(pair).decode() != f"{USER}:{PASSWORD}":
            return Reply(401, body=b'{"error": "invalid_credentials"}')
        if (request.method, request.path) == ("POST", "/api/users/find_or_create_token"):
            sticks = self.sticky and self.given
            usable = [token for token in self.given if token in self.valid or sticks]
            return Reply(body=json.dumps(_as_told(usable[0] if usable else self.give_token())).encode())
        if (request.method, request.path) == ("GET", "/api/users/tokens"):
            return Reply(body=json.dumps([_as_told(token) for token in self.given]).encode())
        return Reply(404)

    def _is_known(self, request: Request) -> bool:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind == "Bearer" and token in self.valid

    def _authorize(self, request: Request) -> Reply:
        if not self._is_known(request):
            if self.shows_login_page:
                return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, LOGIN_PAGE)
            return Reply(401)
        state = parse_qs(request.query)["state"][0]
        return Reply(302, {"Location": f"{self.url}/login?code=SecretCode&state={quote(state)}"})

    def _logged_in(self, request: Request) -> Reply:
        state = parse_qs(request.query)["state"][0]
        return Reply(302, {"Location": quote(state), "Set-Cookie": "archive=yes; Path=/protected"})

    def _archive(self, request: Request) -> Reply:
        if self.needs_licence:
            return Reply(403, body=b'{"error_description": "EULA Acceptance Failure"}')
        if self.accepts_directly and not self.shows_login_page and not self._is_known(request):
            return Reply(401)
        has_cookie = "archive=yes" in request.headers.get("cookie", "")
        if not has_cookie and not (self.accepts_directly and self._is_known(request)):
            where = f"{self.url}/oauth/authorize?client_id=x&response_type=code&state={quote(request.path)}"
            return Reply(302, {"Location": where})
        name = request.path.removeprefix("/protected/")
        if name not in self.granules:
            return Reply(404)
        return Reply(303, {"Location": f"{self.files_url}/cdn/{quote(name)}?A-userid={USER}&{SIGNATURE}"})

    def _files(self, request: Request) -> Reply:
        if SIGNATURE not in request.query:
            return Reply(403)
        name = request.path.removeprefix("/cdn/")
        if name not in self.granules:
            return Reply(403)
        data = self.granules[name].data
        validators = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": CHANGED}
        if self.replies:
            reply = self.replies.pop(0)
            return Reply(
                reply.status,
                {**validators, **reply.headers},
                data if reply.body is None else reply.body,
                reply.cut_after,
            )
        if request.headers.get("if-none-match") == validators["ETag"]:
            return Reply(304, validators)
        told = request.headers.get("range")
        if told is not None and request.headers.get("if-range", validators["ETag"]) == validators["ETag"]:
            start = int(told.removeprefix("bytes=").split("-")[0])
            span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            return Reply(206, {**validators, **span}, data[start:])
        return Reply(200, {**validators, "Content-Type": "application/x-netcdf"}, data)


def _as_told(token: str) -> dict[str, str]:
    return {"access_token": token, "token_type": "Bearer", "expiration_date": "12/15/2026"}
