"""nginx, the real one, over a folder."""

from __future__ import annotations

import os

import pytest
import requests

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack import nginx
from rimrep_assets.stack.nginx import Nginx, nginx_program


@pytest.fixture
def served(tmp_path):
    if nginx_program() is None:
        if os.environ.get("RIMREP_SHARED"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    (tmp_path / "served/2024").mkdir(parents=True)
    (tmp_path / "served/a.csv").write_bytes(b"0123456789")
    return tmp_path / "served"


def test_files_are_served_with_validators_conditions_and_ranges(served, tmp_path):
    with Nginx(served, tmp_path / "nginx") as server:
        whole = requests.get(f"{server.url}/a.csv", timeout=5)
        unchanged = {"If-None-Match": whole.headers["ETag"]}
        assert (whole.content, whole.headers["Content-Type"]) == (b"0123456789", "text/csv")
        assert "Last-Modified" in whole.headers
        assert requests.get(f"{server.url}/a.csv", headers=unchanged, timeout=5).status_code == 304
        part = requests.get(f"{server.url}/a.csv", headers={"Range": "bytes=2-4"}, timeout=5)
        assert (part.status_code, part.content) == (206, b"234")
        (served / "b.csv").write_bytes(b"1")
        listing = requests.get(f"{server.url}/", timeout=5).json()
        assert [(e["name"], e["type"]) for e in listing] == [
            ("2024", "directory"),
            ("a.csv", "file"),
            ("b.csv", "file"),
        ]
    log = server.requests()
    assert [(r["path"], r["status"], r["bytes"]) for r in log][:3] == [
        ("/a.csv", 200, 10),
        ("/a.csv", 304, 0),
        ("/a.csv", 206, 3),
    ]
    assert (log[1]["if_none_match"], log[2]["range"]) == (whole.headers["ETag"], "bytes=2-4")


def test_a_listing_can_be_html(served, tmp_path):
    with Nginx(served, tmp_path / "nginx", autoindex="html") as server:
        assert '<a href="a.csv">' in requests.get(f"{server.url}/", timeout=5).text


def test_everything_that_it_writes_lies_in_its_folder(served, tmp_path):
    before = {p for p in tmp_path.rglob("*") if "nginx" not in p.parts}
    with Nginx(served, tmp_path / "nginx") as server:
        requests.get(server.url, timeout=5)
        assert {p.name for p in (tmp_path / "nginx").iterdir()} >= {"nginx.conf", "log", "pid", "requests.jsonl"}
    assert {p for p in tmp_path.rglob("*") if "nginx" not in p.parts} == before


def test_a_folder_that_would_break_the_configuration_is_refused(served, tmp_path):
    with pytest.raises(Unavailable, match="special letters"):
        Nginx(served, tmp_path / "a; root ").start()


def test_without_nginx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(nginx, "nginx_program", lambda: None)
    with pytest.raises(Unavailable, match="nginx is not installed") as failed:
        Nginx(tmp_path, tmp_path / "n").start()
    assert "apt-get install" in failed.value.advice
