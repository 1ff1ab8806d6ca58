"""Web servers as they misbehave: a small server that does what each test tells it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.http_index import read_listing
from rimrep_assets.ports.sources.http_transfer import is_racy
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.stack.nginx import Nginx, nginx_program

DATA = bytes(range(256)) * 4096
OLD = "Wed, 21 Oct 2015 07:28:00 GMT"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """bytes of the body after which the connection ends"""


class Server:
    """``on[path]`` decides on the headers of a request; ``asked`` remembers ``(path, headers)``."""

    def __init__(self) -> None:
        self.on: dict[str, Callable[[dict[str, str]], Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {k.lower(): v for k, v in self.headers.items()}
                outer.asked.append((self.path, headers))
                answer = outer.on.get(self.path, lambda _: Answer(404))(headers)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers and answer.status != 304:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_after])

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def says(self, path: str, *answers: Answer) -> None:
        """Give these answers in turn; the last one for ever."""
        left = list(answers)
        self.on[path] = lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def server():
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def source(server, waits, tmp_path):
    def make(path: str, *, selection: Selection | None = None, cache: str = "cache", **options) -> HttpFolder:
        client = HttpClient(sleep=waits.append, **options)
        return HttpFolder(server.url + path, selection, cache=DownloadCache(tmp_path / cache), client=client)

    return make


def ranged(data: bytes, *, etag: str | None, cut_at: int) -> Callable[[dict[str, str]], Answer]:
    """A file whose first transfers end after ``cut_at`` bytes; ranges are honoured while If-Range fits."""

    def answer(headers: dict[str, str]) -> Answer:
        validator = {"ETag": etag} if etag else {}
        if "range" in headers and headers.get("if-range", etag) == etag:
            start = int(headers["range"].removeprefix("bytes=").split("-")[0])
            if headers["range"] == "bytes=0-0":
                return Answer(206, data[:1], {**validator, "Content-Range": f"bytes 0-0/{len(data)}"})
            rest = data[start:]
            told = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}", **validator}
            return Answer(206, rest, told, cut_after=cut_at)
        return Answer(200, data, validator, cut_after=cut_at)

    return answer


def test_a_broken_transfer_is_resumed_where_it_ended(server, source, tmp_path):
    server.on["/a.nc"] = ranged(DATA, etag='"1"', cut_at=300_000)
    (file,) = source("/a.nc").look()
    assert (file.digest, file.size, file.etag) == (sha256(DATA).hexdigest(), len(DATA), '"1"')
    ranges = [headers.get("range") for path, headers in server.asked][1:]
    assert ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert {h.get("if-range") for _, h in server.asked[2:]} == {'"1"'}


def test_a_file_that_changes_between_two_parts_is_begun_again_and_never_mixed(server, source):
    new = DATA[::-1]
    versions = [ranged(DATA, etag='"1"', cut_at=300_000), ranged(new, etag='"2"', cut_at=len(new))]
    asked = []

    def answer(headers):
        asked.append(headers)
        return versions[0 if len(asked) <= 2 else 1](headers)

    server.on["/a.nc"] = answer
    (file,) = source("/a.nc").look()
    assert (file.digest, file.etag) == (sha256(new).hexdigest(), '"2"')


def test_without_a_validator_a_broken_transfer_is_begun_again(server, source):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=DATA, cut_after=1000), Answer(body=DATA))
    (file,) = source("/x/").look()
    assert file.digest == sha256(DATA).hexdigest()
    assert [h.get("range") for p, h in server.asked if p == "/x/a.nc"] == [None, None]


def test_a_transfer_that_gets_nowhere_is_given_up(server, source, waits):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=DATA, cut_after=0))
    with pytest.raises(Unavailable, match="5 times"):
        source("/x/").look()
    assert waits == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failing_server_is_asked_again_with_longer_waits(server, source, waits, status):
    server.says("/a.csv", Answer(status), Answer(status), Answer(status), Answer(body=b"1"))
    (file,) = source("/a.csv").look()
    assert (file.size, waits) == (1, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("retry_after", "waited"),
    [("7", 7.0), ("86400", 60.0), ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0), (OLD, 0.0), ("soon", 1.0)],
)
def test_the_wait_that_a_server_asks_for_is_honoured_up_to_a_minute(server, source, waits, retry_after, waited):
    # A date counts from the server's own clock, whatever this machine's says.
    answer = Answer(429, headers={"Retry-After": retry_after})
    server.http.RequestHandlerClass.date_time_string = lambda *_: OLD
    server.says("/a.csv", answer, Answer(body=b"1"))
    source("/a.csv").look()
    assert waits == [waited]


def test_a_server_that_stays_down_is_unavailable_and_not_asked_for_every_file(server, source):
    names = [f'{{"name":"{i:03}.nc","type":"file"}}' for i in range(200)]
    server.says("/x/", Answer(body=f"[{','.join(names)}]".encode()))
    for i in range(200):
        server.says(f"/x/{i:03}.nc", Answer(503))
    with pytest.raises(Unavailable, match="status 503 Service Unavailable, 2 times"):
        source("/x/", attempts=2).look()
    assert len(server.asked) < 60


def test_nobody_listening_is_unavailable(source, server, waits):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(Unavailable, match="refused"):
        source("/x/").look()
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_an_address_that_is_not_there_is_an_error_of_the_catalog(source):
    for path in ("/gone/", "/gone.csv"):
        with pytest.raises(DefinitionError, match=r"there is no source at .*404"):
            source(path).look()


def test_refused_access_asks_for_the_provider_and_is_not_tried_again(server, source):
    server.says("/x/", Answer(403))
    with pytest.raises(DataError, match="403 Forbidden") as refused:
        source("/x/").look()
    assert "ask the provider" in refused.value.advice
    assert len(server.asked) == 1


def test_a_listed_file_that_is_not_there_is_unavailable(server, source):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"},{"name":"b.nc","type":"file"}]'))
    with pytest.raises(Unavailable) as failed:
        source("/x/").look()
    assert [p.endswith("was listed but is not there") for p in failed.value.problems] == [True, True]


def test_an_unchanged_file_costs_a_question_and_no_bytes(server, source):
    def answer(headers):
        unchanged = headers.get("if-none-match") == '"1"'
        return Answer(304) if unchanged else Answer(body=b"1", headers={"ETag": '"1"', "Last-Modified": OLD})

    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.on["/x/a.nc"] = answer
    before = source("/x/").look()
    again = source("/x/", cache="another").look(before)
    assert again == before
    assert server.asked[-1][1]["if-modified-since"] == OLD


def test_looking_without_trust_reads_every_byte_again(server, source):
    """A re-issue under the old ETag and time is seen by no condition."""
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    told = {"ETag": '"1"', "Last-Modified": OLD}
    server.on["/x/a.nc"] = lambda h: Answer(304) if "if-none-match" in h else Answer(body=b"2", headers=told)
    known = [SourceFile(name="a.nc", digest="0", size=1, url="u", etag='"1"', last_modified=OLD)]
    wary = source("/x/")
    wary.trust_validators = False
    assert wary.look(known)[0].digest == sha256(b"2").hexdigest()
    assert source("/x/", cache="another").look(known)[0].digest == "0"


def test_a_server_without_validators_is_read_each_time(server, source):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=b"1"), Answer(body=b"2"))
    before = source("/x/").look()
    assert source("/x/").look(before)[0].digest == sha256(b"2").hexdigest()


def test_fetching_after_looking_asks_the_server_for_nothing(server, source, tmp_path):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=DATA))
    (file,) = source("/x/").look()
    asked = len(server.asked)
    assert source("/x/").fetch(file, tmp_path / "to").read_bytes() == DATA
    assert len(server.asked) == asked


def test_rotten_bytes_in_the_cache_are_noticed_and_thrown_away(server, source, tmp_path):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=b"good"))
    (file,) = source("/x/").look()
    (kept,) = (tmp_path / "cache/objects").glob("*/*")
    kept.write_bytes(b"evil")
    with pytest.raises(Unavailable):
        source("/x/").fetch(file, tmp_path / "to")
    assert source("/x/").fetch(file, tmp_path / "to").read_bytes() == b"good"


def test_a_single_shapefile_brings_the_sidecars_that_are_there(server, source, tmp_path):
    for suffix in ("shp", "dbf", "prj"):
        server.says(f"/z.{suffix}", Answer(body=suffix.encode()))
    (file,) = source("/z.shp").look()
    assert file.size == 9
    source("/z.shp", cache="another").fetch(file, tmp_path / "to")
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["z.dbf", "z.prj", "z.shp"]


def test_a_folder_s_address_may_lack_its_last_slash(server, source):
    server.says("/x", Answer(301, headers={"Location": "/x/"}))
    server.says("/x/", Answer(body=b'[{"name":"x","type":"file"}]'))
    server.says("/x/x", Answer(body=b"1"))
    (file,) = source("/x").look()
    assert file.url == server.url + "/x/x"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("file:///etc/passwd", "no web address"),
        ("ftp://example.org/a", "no web address"),
        ("http://127.0.0.1:1/a.csv", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
        ("http://[::1]/a.csv", "not a public address"),
    ],
)
def test_a_redirect_that_leads_inside_is_refused(server, source, target, why):
    server.says("/a.csv", Answer(302, headers={"Location": target}))
    with pytest.raises(DataError, match=why):
        source("/a.csv").look()


def test_redirects_in_a_circle_end(server, source):
    server.says("/a.csv", Answer(302, headers={"Location": "/a.csv"}))
    with pytest.raises(DataError, match="more than 5 redirects"):
        source("/a.csv").look()


def test_more_than_the_allowed_bytes_are_not_taken(server, source):
    server.says("/x/", Answer(body=b'[{"name":"a.nc","type":"file"}]'))
    server.says("/x/a.nc", Answer(body=b"12345"))
    with pytest.raises(DataError, match="larger than the 4 bytes"):
        source("/x/", max_bytes=4).look()


def test_a_web_page_in_place_of_a_file_is_not_taken_for_it(server, source):
    page = Answer(body=b"<html>log in</html>", headers={"Content-Type": "text/html; charset=utf-8"})
    server.says("/x/", Answer(body=b'[{"name":"a.csv","type":"file"}]'))
    server.says("/x/a.csv", page)
    server.says("/x", page)
    with pytest.raises(Unavailable, match="a web page instead of the file"):
        source("/x/").look()
    with pytest.raises(DefinitionError, match="ends in '/'"):
        source("/x").look()


def test_a_file_that_the_server_repacks_is_refused(server, source):
    server.says("/a.csv", Answer(body=b"1", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DataError, match="sends it as gzip although asked not to"):
        source("/a.csv").look()
    assert server.asked[0][1]["accept-encoding"] == "identity"


def test_a_truncated_listing_is_not_taken_for_withdrawn_files(server, source):
    listing = b'<a href="a.nc">a</a><a href="b.nc">b</a>'
    server.says("/x/", Answer(body=listing, cut_after=22))
    with pytest.raises(Unavailable, match="broke off"):
        source("/x/").look()


APACHE = """<html><head><title>Index of /daily</title></head><body><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/data/">Parent Directory</a></td></tr>
<tr><td><a href="2024/">2024/</a></td></tr>
<tr><td><a href="ct5km%20dhw.nc">ct5km dhw.nc</a></td></tr>
<tr><td><a href="./b.nc">b.nc</a></td></tr></table>
<address>Apache Server at <a href="mailto:x@example.org">x</a> <a href="https://httpd.apache.org/">Apache</a>
<a href="//other.example.org/c.nc">c</a> <a href="../up.nc">up</a> <a href="a/../../d.nc">d</a></address></body>"""


def test_a_listing_of_apache_is_read_and_what_leads_elsewhere_is_no_entry():
    listing = read_listing(APACHE, url="https://example.org/data/daily/")
    assert (listing.files, listing.folders) == (("b.nc", "ct5km dhw.nc"), ("2024",))


@pytest.mark.parametrize("name", ["..", "../a", "/etc/passwd", "a/b", "a\\\\b", "a\\u0000"])
def test_a_json_entry_that_leads_elsewhere_is_refused(name):
    with pytest.raises(DataError, match="not a name"):
        read_listing(f'[{{"name":"{name}","type":"file"}}]', url="u")


@pytest.mark.parametrize("href", ["%2e%2e%2fa", "..%2Fa", "%2Fetc%2Fpasswd", "a%5Cb", "a%00"])
def test_an_html_entry_that_hides_where_it_leads_is_refused(href):
    with pytest.raises(DataError, match="not a name"):
        read_listing(f'<a href="{href}">x</a>', url="u")


@pytest.mark.parametrize("text", ["", "hello", "[1]", '[{"name":"a"}]', "[", '{"name":"a"}'])
def test_what_is_no_listing_is_refused(text):
    with pytest.raises(DataError, match="listing"):
        read_listing(text, url="u")


def test_a_change_shortly_before_the_answer_is_racy():
    assert is_racy("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:01 GMT")
    assert not is_racy("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:02 GMT")
    assert not is_racy(None, OLD)
    assert not is_racy("yesterday", OLD)


def test_the_cache_gives_up_what_was_used_longest_ago(tmp_path):
    cache = DownloadCache(tmp_path)
    for age, digest in enumerate(("aa1", "bb2", "cc3")):
        with cache.temporary() as path:
            path.write_bytes(b"12345")
            os.utime(cache.keep(path, digest), (age, age))
    cache.object("aa1")
    assert cache.shrink(10) == 5
    assert [bool(cache.object(d)) for d in ("aa1", "bb2", "cc3")] == [True, False, True]


def test_nginx_answers_304_for_what_did_not_change(tmp_path):
    if nginx_program() is None:
        if os.environ.get("RIMREP_SHARED"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    served = tmp_path / "served"
    served.mkdir()
    for name in ("a.nc", "b.nc"):
        (served / name).write_bytes(DATA)
        os.utime(served / name, (1_400_000_000, 1_400_000_000))
    with Nginx(served, tmp_path / "nginx") as server:
        before = HttpFolder(f"{server.url}/", cache=DownloadCache(tmp_path / "one")).look()
        (served / "b.nc").write_bytes(DATA[::-1])
        after = HttpFolder(f"{server.url}/", cache=DownloadCache(tmp_path / "two")).look(before)
    # The log is complete once nginx has ended.
    asked = sorted((r["path"], r["status"]) for r in server.requests() if r["if_none_match"])
    assert asked == [("/a.nc", 304), ("/b.nc", 200)]
    assert [f.digest for f in after] == [sha256(DATA).hexdigest(), sha256(DATA[::-1]).hexdigest()]
