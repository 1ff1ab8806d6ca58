"""The files server: pieces of files, pages of every origin, and nothing but what lies in its folder."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack.dagster_server import DagsterServer
from rimrep_assets.stack.files_server import FilesServer


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    (root / "public" / "d").mkdir(parents=True)
    (root / "public" / "d" / "data.bin").write_bytes(bytes(range(100)))
    (root / "secret.txt").write_text("secret")
    (root / "public" / "way-out").symlink_to(root)
    with FilesServer(root / "public", root / "server") as server:
        yield server


def ask(url: str, **headers: str):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(urllib.request.Request(url, headers=headers))


def test_a_piece_of_a_file_is_served_as_a_piece(served):
    answer = ask(f"{served.url}/public/d/data.bin", Range="bytes=10-19")
    assert answer.status == 206
    assert answer.read() == bytes(range(10, 20))
    assert answer.headers["Content-Range"] == "bytes 10-19/100"


def test_pages_of_any_origin_may_read_and_see_the_etag(served):
    answer = ask(f"{served.url}/public/d/data.bin", Origin="https://maps.example.org")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "path", ["secret.txt", "public/../secret.txt", "public/%2e%2e/secret.txt", "public/way-out/secret.txt", "public/d/"]
)
def test_nothing_else_is_served(served, path):
    with pytest.raises(urllib.error.HTTPError) as told:
        ask(f"{served.url}/{path}")
    assert told.value.code == 404


def test_writing_is_refused(served):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as told:
        opener.open(urllib.request.Request(f"{served.url}/public/d/data.bin", b"x", method="PUT"))
    assert told.value.code == 405
    assert ask(f"{served.url}/public/d/data.bin").read() == bytes(range(100))


def test_a_dagster_that_does_not_run_is_unavailable_and_not_ready(tmp_path):
    server = DagsterServer(tmp_path / "home", tmp_path / "server", {})
    assert not server.is_ready()
    with pytest.raises(Unavailable, match="did not answer"):
        server.graphql("{ version }")
    with pytest.raises(Unavailable, match="has not loaded the code location"):
        server.load_error()
