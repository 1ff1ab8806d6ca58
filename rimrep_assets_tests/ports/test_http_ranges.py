"""Files known by their server's validators and read by ranges, of servers that keep their word and of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import netCDF4
import numpy as np
import pytest

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.domain.partial_file import PartialFile
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.http_ranges import RangedFolder, Version
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets_tests.ports.test_source_http import Answer, Server

OLD = "Wed, 21 Oct 2015 07:28:00 GMT"
LATER = "Wed, 21 Oct 2015 08:28:00 GMT"
DATA = bytes(range(256)) * 4096
CONDITIONS = {"ETag": '"1"', "Last-Modified": OLD}


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
    def make(path: str = "/a.nc", kind: type[HttpFolder] = RangedFolder) -> HttpFolder:
        return kind(server.url + path, cache=DownloadCache(tmp_path / "cache"), client=HttpClient(sleep=waits.append))

    return make


def ranged(data: bytes, told: dict[str, str] = CONDITIONS, cut_after: int | None = None) -> Callable[..., Answer]:
    """A server that keeps its word; If-Range that does not fit is answered with the whole file."""

    def answer(headers: dict[str, str]) -> Answer:
        if headers.get("if-none-match") == told.get("ETag", ""):
            return Answer(304, headers=told)
        if ("if-range" in headers and headers["if-range"] not in told.values()) or "range" not in headers:
            return Answer(200, data, told)
        start, stop = (int(part) for part in headers["range"].removeprefix("bytes=").split("-"))
        part = data[start : stop + 1]
        place = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}
        return Answer(206, part, {**told, **place}, cut_after=cut_after)

    return answer


def version(server: Server, waits: list[float], **other: object) -> Version:
    made = Version(HttpClient(sleep=waits.append), f"{server.url}/a.nc", len(DATA), '"1"', OLD)
    return replace(made, **other)  # type: ignore[arg-type]


def test_a_file_is_known_without_its_bytes_by_name_length_and_etag(server, source):
    server.on["/a.nc"] = ranged(DATA)
    (file,) = source().look()
    assert (file.size, file.etag, file.last_modified, file.known_by) == (len(DATA), '"1"', OLD, "validators")
    assert {headers.get("range") for _, headers in server.asked} == {"bytes=0-0"}
    others = {
        "/a.nc": [ranged(DATA[1:]), ranged(DATA, {"ETag": '"2"'}), ranged(DATA, {"Last-Modified": OLD})],
        "/b.nc": [ranged(DATA)],
    }
    digests = [file.digest]
    for path, answers in others.items():
        for answer in answers:
            server.on[path] = answer
            digests.append(source(path).look()[0].digest)
    assert len(set(digests)) == 5


def test_a_server_may_move_and_touch_its_files(server, source, tmp_path):
    server.on["/a.nc"] = ranged(DATA)
    server.on["/elsewhere/a.nc"] = ranged(DATA, {**CONDITIONS, "Last-Modified": LATER})
    assert source().look()[0].digest == source("/elsewhere/a.nc").look()[0].digest


def test_a_weak_etag_is_not_believed_and_last_modified_is(server, source):
    server.on["/a.nc"] = ranged(DATA, {"ETag": 'W/"1"', "Last-Modified": OLD})
    (first,) = source().look()
    server.on["/a.nc"] = ranged(DATA, {"ETag": 'W/"2"', "Last-Modified": OLD})
    assert source().look()[0].digest == first.digest
    server.on["/a.nc"] = ranged(DATA, {"ETag": 'W/"2"', "Last-Modified": LATER})
    assert source().look()[0].digest != first.digest


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda _: Answer(200, DATA, CONDITIONS), r"does not tell ranges of its files \(status 200\)"),
        (lambda _: Answer(206, DATA[:1], {**CONDITIONS, "Content-Range": "bytes 0-0/*"}), "does not tell ranges"),
        (ranged(DATA, {}), "tells neither a strong ETag nor Last-Modified"),
        (ranged(DATA, {"ETag": 'W/"1"'}), "tells neither a strong ETag nor Last-Modified"),
    ],
)
def test_a_server_that_cannot_do_it_is_refused_with_what_to_do(server, source, answer, sentence):
    server.on["/a.nc"] = answer
    with pytest.raises(DefinitionError, match=sentence) as told:
        source().look()
    assert "leave source.ranges out" in str(told.value)


def test_a_refusal_that_concerns_every_file_is_said_once(server, source):
    server.says("/", Answer(body=b'<a href="a.nc">a</a><a href="b.nc">b</a>', headers={"Content-Type": "text/html"}))
    for name in ("a", "b"):
        server.says(f"/{name}.nc", Answer(200, DATA, CONDITIONS))
    with pytest.raises(DefinitionError) as told:
        source("/").look()
    assert len(told.value.problems) == 1


def test_a_file_that_was_just_written_is_asked_for_again_until_its_validators_hold(server, source, waits, monkeypatch):
    # The first question is whether the address is a folder.
    seconds = iter(["00", "01", "01", "04"])
    monkeypatch.setattr(
        server.http.RequestHandlerClass, "date_time_string", lambda *_: f"{OLD[:-6]}{next(seconds)} GMT", raising=True
    )
    server.on["/a.nc"] = ranged(DATA)
    source("/a.nc").look()
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (ranged(DATA[::-1], {"ETag": '"2"', "Last-Modified": LATER}), "was changed after"),
        (ranged(DATA + b"x"), "was changed after"),
        (lambda _: Answer(416, b"", {"Content-Range": "bytes */3"}), "was changed after"),
        (lambda _: Answer(404), "was withdrawn after"),
        # If-Range means nothing to these.
        (lambda h: ranged(DATA[::-1], {"ETag": '"2"'})({"range": h["range"]}), "was changed after"),
        (lambda h: ranged(DATA, CONDITIONS)({}), "answers the whole file to a question for a range"),
        (lambda h: ranged(DATA)({"range": "bytes=0-9"}), "another range than it was asked for"),
        (lambda h: replace(a := ranged(DATA)(h), headers={**a.headers, "Content-Encoding": "gzip"}), "another range"),
    ],
)
def test_bytes_of_another_version_are_never_taken(server, waits, answer, sentence):
    server.on["/a.nc"] = answer
    with pytest.raises(Unavailable, match=sentence):
        version(server, waits).bytes_of(100, 200)
    assert waits == []


def test_bytes_that_do_not_say_of_which_version_they_are_are_refused(server, waits):
    server.on["/a.nc"] = lambda h: ranged(DATA, {})({"range": h["range"]})
    with pytest.raises(DataError, match="does not tell ETag, so it may be of another version"):
        version(server, waits).bytes_of(100, 200)
    with pytest.raises(DataError, match="does not tell Last-Modified, so it may be of another version"):
        version(server, waits, etag=None).bytes_of(100, 200)


def test_a_range_that_breaks_off_is_asked_for_again_from_there(server, waits):
    server.on["/a.nc"] = ranged(DATA, cut_after=400)
    assert version(server, waits).bytes_of(100, 1000) == DATA[100:1000]
    assert [h["range"] for _, h in server.asked] == ["bytes=100-999", "bytes=500-999", "bytes=900-999"]
    assert {h["if-range"] for _, h in server.asked} == {'"1"'}


def test_without_progress_it_gives_up(server, waits):
    server.on["/a.nc"] = ranged(DATA, cut_after=0)
    with pytest.raises(Unavailable, match="5 times"):
        version(server, waits).bytes_of(100, 1000)


def test_what_is_no_netcdf_4_comes_whole_and_that_is_said(server, source, tmp_path):
    path = tmp_path / "classic.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("n", 100_000)
        file.createVariable("x", "f8", ("n",))[:] = np.arange(100_000)
    server.on["/a.nc"] = ranged(path.read_bytes())
    folder, said = source(), list[str]()
    (file,) = folder.look()
    got = folder.open(file, tmp_path / "to", said.append)
    assert (got.name, got.read_bytes()) == ("a.nc", path.read_bytes())
    assert said == [f"a.nc: fetching all {file.size} bytes, because it is no NetCDF-4 file"]
    for _ in range(2):
        assert folder.fetch(file, tmp_path / "again") == tmp_path / "again/a.nc"
        assert (tmp_path / "again/a.nc").read_bytes() == path.read_bytes()


def test_a_file_that_is_opened_twice_is_two_files_which_know_nothing_of_each_other(server, source, tmp_path):
    path = tmp_path / "x.nc"
    with netCDF4.Dataset(path, "w") as made:
        made.createDimension("n", 100_000)
        made.createVariable("x", "f8", ("n",))[:] = np.arange(100_000)
    server.on["/a.nc"] = ranged(path.read_bytes())
    folder = source()
    (file,) = folder.look()
    one = folder.open(file, tmp_path / "to", print)
    assert isinstance(one, PartialFile)
    one.bring([(400_000, 500_000)])
    assert isinstance(folder.open(file, tmp_path / "to", print), PartialFile)
    assert one.path.read_bytes()[400_000:500_000] == path.read_bytes()[400_000:500_000]


def test_an_empty_file_is_left_to_whoever_reads_it(server, source, tmp_path):
    server.says("/a.nc", Answer(416, b"", {**CONDITIONS, "Content-Range": "bytes */0"}))
    (file,) = source().look()
    assert source().open(file, tmp_path / "to", print).read_bytes() == b""


def test_nothing_is_left_of_a_file_that_changed_before_it_was_opened(server, source, tmp_path):
    server.on["/a.nc"] = ranged(DATA)
    (file,) = source().look()
    server.on["/a.nc"] = ranged(DATA, {"ETag": '"2"'})
    for get in (lambda to: source().open(file, to, print), lambda to: source().fetch(file, to)):
        with pytest.raises(Unavailable, match="was changed after it was looked at"):
            get(tmp_path / "to")
        assert list((tmp_path / "to").iterdir()) == []


def test_ranges_may_be_left_out_again_and_taken_up(server, source, tmp_path):
    server.on["/a.nc"] = ranged(DATA)
    (by_validators,) = source().look()
    whole = source(kind=HttpFolder)
    (by_bytes,) = whole.look([by_validators])
    assert (by_bytes.digest, by_bytes.known_by) == (sha256(DATA).hexdigest(), "bytes")
    assert source().open(by_bytes, tmp_path / "to", print).read_bytes() == DATA
    assert source().look([by_bytes]) == [by_validators]


def test_a_ledger_tells_what_its_digests_are_of(server, source):
    server.on["/a.nc"] = ranged(DATA)
    (file,) = source().look()
    assert SourceFile.model_validate_json(file.model_dump_json()) == file
    (plain,) = source(kind=HttpFolder).look()
    assert "known_by" not in plain.model_dump()


def test_nginx_gives_files_of_one_time_and_length_one_etag_and_they_are_two_files(tmp_path):
    if nginx_program() is None:
        pytest.skip("nginx is not installed")
    served = tmp_path / "served"
    served.mkdir()
    for day in range(2):
        with netCDF4.Dataset(served / f"{day}.nc", "w") as file:
            file.createDimension("n", 1_000_000)
            file.createVariable("x", "f8", ("n",))[:] = np.arange(1_000_000) + day
        os.utime(served / f"{day}.nc", (1_400_000_000, 1_400_000_000))
    with Nginx(served, tmp_path / "nginx") as server:
        folder = RangedFolder(f"{server.url}/", cache=DownloadCache(tmp_path / "cache"))
        one, other = seen = folder.look()
        assert one.etag == other.etag
        assert one.digest != other.digest
        assert folder.glance(seen).names == ()
        assert folder.look(seen) == seen
        part = folder.open(other, tmp_path / "to", print)
        assert isinstance(part, PartialFile)
        part.bring([(500_000, 500_010)])
        assert sum(r["bytes"] for r in server.requests()) < 1_000_000
        with (served / "1.nc").open("r+b") as file:
            file.write(b"\x89HDX")
        with pytest.raises(Unavailable, match=r"1\.nc was changed after it was looked at"):
            part.bring([(2_000_000, 2_000_010)])
        assert folder.glance(seen).names == ("1.nc",)
