"""What every kind of source does: the twin in memory, a folder, a web server (nginx), Earthdata pass the same tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import pytest

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.domain.source_file import compare_ledgers
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.earthdata_folder import EarthdataFolder
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.memory_folder import MemoryFolder
from rimrep_assets.ports.sources.protocol import SourceFolder
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.stack.nginx import Nginx, nginx_program
from rimrep_assets_tests.fake_earthdata import QUERY, FakeEarthdata


class Provider(Protocol):
    def put(self, name: str, data: bytes) -> None: ...

    def withdraw(self, name: str) -> None: ...

    def source(self, selection: Selection = Selection()) -> SourceFolder: ...  # noqa: B008


class MemoryProvider:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        self.files[name] = data

    def withdraw(self, name: str) -> None:
        del self.files[name]

    def source(self, selection: Selection = Selection()) -> SourceFolder:  # noqa: B008
        return MemoryFolder(self.files, selection)


class FolderProvider:
    """Every file gets one and the same mtime, so that nothing but bytes tells versions apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # As by a provider's clock that runs ahead: the tests do not depend on how fast they run.
        self.mtime = int(time.time()) + 30

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (self.mtime, self.mtime))

    def withdraw(self, name: str) -> None:
        (self.folder / name).unlink()

    def source(self, selection: Selection = Selection()) -> SourceFolder:  # noqa: B008
        memory = self.folder.parent / "memory.json"
        return LocalFolder(
            self.folder, selection, allowed_roots=[self.folder.parent], address="../sources/x", memory_file=memory
        )


class WebProvider(FolderProvider):
    def __init__(self, folder: Path, url: str, cache: Path) -> None:
        super().__init__(folder)
        self.url = url
        self.cache = cache

    def source(self, selection: Selection = Selection()) -> SourceFolder:  # noqa: B008
        client = HttpClient(sleep=lambda _: None)
        return HttpFolder(self.url, selection, cache=DownloadCache(self.cache), client=client)


class EarthdataProvider:
    def __init__(self, server: FakeEarthdata, cache: Path) -> None:
        self.server = server
        self.cache = cache
        self.environment = server.with_token()

    def put(self, name: str, data: bytes) -> None:
        self.server.put(name, data)

    def withdraw(self, name: str) -> None:
        del self.server.granules[name]

    def source(self, selection: Selection = Selection()) -> SourceFolder:  # noqa: B008
        return EarthdataFolder(
            QUERY,
            selection,
            access=EarthdataAccess.from_environment(self.environment),
            cache=DownloadCache(self.cache),
            client=HttpClient(sleep=lambda _: None),
        )


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """``web(format)`` is an nginx whose folders answer with listings of that format."""
    if nginx_program() is None:
        if os.environ.get("RIMREP_SHARED"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    with ExitStack() as running:
        root = tmp_path_factory.mktemp("web")
        servers = {
            autoindex: running.enter_context(Nginx(root, tmp_path_factory.mktemp("nginx"), autoindex=autoindex))
            for autoindex in ("json", "html")
        }
        yield servers.__getitem__


@pytest.fixture(params=["memory", "local", "http json", "http html", "earthdata checksums", "earthdata revisions"])
def provider(request, tmp_path) -> Iterator[Provider]:
    if request.param.startswith("earthdata"):
        server = FakeEarthdata()
        server.tells_checksum = request.param.endswith("checksums")
        yield EarthdataProvider(server, tmp_path / "cache")
        server.close()
    else:
        yield _provider(request, tmp_path)


def _provider(request, tmp_path) -> Provider:
    if request.param == "memory":
        return MemoryProvider()
    if request.param == "local":
        folder = tmp_path / "sources"
        folder.mkdir()
        return FolderProvider(folder)
    server = request.getfixturevalue("web")(request.param.removeprefix("http "))
    folder = server.served / sha256(str(tmp_path).encode()).hexdigest()[:8]
    folder.mkdir()
    return WebProvider(folder, f"{server.url}/{folder.name}/", tmp_path / "cache")


def names(sighting) -> list[str]:
    return [file.name for file in sighting]


def test_a_sighting_names_files_in_order_with_digest_and_size(provider):
    provider.put("b.csv", b"2")
    provider.put("a.csv", b"111")
    first, second = provider.source().look()
    assert (first.name, first.digest, first.size) == ("a.csv", sha256(b"111").hexdigest(), 3)
    assert (second.name, second.digest, second.size) == ("b.csv", sha256(b"2").hexdigest(), 1)


def test_new_unchanged_reissued_and_withdrawn_files_are_told_apart(provider):
    for name in ("kept.csv", "again.csv", "gone.csv"):
        provider.put(name, b"version 1")
    before = provider.source().look()
    provider.put("again.csv", b"version 2")
    provider.withdraw("gone.csv")
    provider.put("fresh.csv", b"version 1")
    change = compare_ledgers(before, provider.source().look(before))
    assert (change.new, change.reissued) == (("fresh.csv",), ("again.csv",))
    assert (change.withdrawn, change.unchanged) == (("gone.csv",), ("kept.csv",))


def test_looking_twice_at_an_unchanged_source_finds_the_same_digests(provider):
    provider.put("a.csv", b"1")
    before = provider.source().look()
    assert compare_ledgers(before, provider.source().look(before)).is_empty


def test_fetching_brings_the_bytes_into_the_folder_under_the_file_s_name(provider, tmp_path):
    provider.put("2024/a b é.csv", b"1,2\n")
    (file,) = provider.source(Selection(("**/*.csv",))).look()
    got = provider.source(Selection(("**/*.csv",))).fetch(file, tmp_path / "to")
    assert got == tmp_path / "to/2024/a b é.csv"
    assert got.read_bytes() == b"1,2\n"
    assert [p.name for p in (tmp_path / "to").iterdir()] == ["2024"]


def test_a_fetch_from_another_process_brings_exactly_the_bytes_that_were_seen_or_none(provider, tmp_path):
    provider.put("a.csv", b"old")
    (file,) = provider.source().look()
    provider.put("a.csv", b"new")
    source = provider.source()
    if isinstance(source, HttpFolder):
        source.cache = DownloadCache(tmp_path / "another-cache")
    with pytest.raises(Unavailable, match=r"a\.csv was changed"):
        source.fetch(file, tmp_path / "to")
    assert list((tmp_path / "to").glob("*")) == []


def test_a_file_that_was_withdrawn_after_looking_is_unavailable(provider, tmp_path):
    provider.put("a.csv", b"old")
    provider.put("b.csv", b"old")
    file = provider.source().look()[0]
    provider.withdraw("a.csv")
    source = provider.source()
    if isinstance(source, HttpFolder):
        source.cache = DownloadCache(tmp_path / "another-cache")
    with pytest.raises(Unavailable, match="withdrawn"):
        source.fetch(file, tmp_path / "to")


def test_globs_choose_below_the_address(provider):
    for name in ("a.csv", "a.txt", "2024/b.csv", "2024/old/c.csv", "2023/d.csv"):
        provider.put(name, b"1")
    assert names(provider.source(Selection(("*.csv",))).look()) == ["a.csv"]
    assert names(provider.source(Selection(("**/*.csv",), ("2024/**",))).look()) == ["2023/d.csv", "a.csv"]
    assert names(provider.source(Selection(("*/*.csv",))).look()) == ["2023/d.csv", "2024/b.csv"]


def test_an_empty_source_is_an_error_that_says_so(provider):
    with pytest.raises(DataError, match="is empty"):
        provider.source().look()


def test_a_source_without_a_matching_file_says_what_it_has(provider):
    provider.put("a.txt", b"1")
    with pytest.raises(DefinitionError, match=r"no file .*'\*\.csv'.* 1 files, e\.g\. 'a\.txt'"):
        provider.source(Selection(("*.csv",))).look()


def test_a_shapefile_is_one_file_with_its_sidecars(provider, tmp_path):
    for suffix in ("shp", "dbf", "shx", "prj", "cpg"):
        provider.put(f"zones.{suffix}", suffix.encode())
    provider.put("readme.dbf", b"another table")
    before = provider.source().look()
    assert names(before) == ["readme.dbf", "zones.shp"]
    assert before[1].size == 15
    provider.source().fetch(before[1], tmp_path / "to")
    assert {p.name for p in (tmp_path / "to").iterdir()} == {f"zones.{s}" for s in ("shp", "dbf", "shx", "prj", "cpg")}
    provider.put("zones.dbf", b"DBF")
    after = provider.source().look(before)
    assert compare_ledgers(before, after).reissued == ("zones.shp",)


@pytest.mark.parametrize("name", ["../a.csv", "/etc/passwd", "a/../../b", "C:\\x", "a\x00b"])
def test_a_name_that_leads_elsewhere_is_never_fetched(provider, name, tmp_path):
    provider.put("a.csv", b"1")
    (file,) = provider.source().look()
    with pytest.raises(DataError, match="not a name of a file below"):
        provider.source().fetch(file.model_copy(update={"name": name}), tmp_path / "to")


def rested(provider) -> None:
    """Of what was written just now no clock tells whether it was written again; so it was written long ago.

    The time at which an inode changed cannot be set, so that a folder's memory is told to believe it.
    """
    if isinstance(provider, FolderProvider):
        provider.mtime -= 100_000


@pytest.fixture
def believed(monkeypatch):
    """What was read is remembered although it was written just now."""
    from rimrep_assets.ports.sources import digest_memory

    monkeypatch.setattr(digest_memory, "RACY_NS", -(10**18))


def test_a_glance_at_an_unchanged_source_names_nothing(provider, believed):
    rested(provider)
    provider.put("a.csv", b"1")
    provider.put("b.csv", b"2")
    for suffix in ("shp", "dbf", "shx"):
        provider.put(f"zones.{suffix}", suffix.encode())
    known = provider.source().look()
    assert provider.source().glance(known).names == ()
    assert provider.source().glance(known).state == provider.source().glance(known).state


def test_a_glance_names_what_is_new_re_issued_and_withdrawn_and_its_state_moves(provider, believed):
    rested(provider)
    for name in ("kept.csv", "again.csv", "gone.csv"):
        provider.put(name, b"version 1")
    known = provider.source().look()
    before = provider.source().glance(known).state
    provider.put("again.csv", b"version 22")
    provider.withdraw("gone.csv")
    provider.put("fresh.csv", b"version 1")
    seen = provider.source().glance(known)
    assert seen.names == ("again.csv", "fresh.csv", "gone.csv")
    assert seen.state != before
    assert provider.source().glance(()).names == ("again.csv", "fresh.csv", "kept.csv")


def test_a_glance_names_a_shapefile_whose_sidecar_changed(provider, believed):
    rested(provider)
    for suffix in ("shp", "dbf", "shx"):
        provider.put(f"zones.{suffix}", suffix.encode())
    known = provider.source().look()
    provider.put("zones.dbf", b"another")
    assert provider.source().glance(known).names == ("zones.shp",)


def test_a_file_of_which_too_little_is_known_is_named(provider):
    """Written within the last two seconds: another version could have the same size and time."""
    provider.put("a.csv", b"1")
    known = provider.source().look()
    # Memory knows every digest, and Earthdata counts revisions.
    knows = isinstance(provider, MemoryProvider | EarthdataProvider)
    assert provider.source().glance(known).names == (() if knows else ("a.csv",))


def test_a_look_at_some_files_does_not_make_the_others_look_changed(provider, believed):
    """A run of one partition looks at its own files only."""
    rested(provider)
    for name in ("a.csv", "b.csv"):
        provider.put(name, b"1")
    known = provider.source().look()
    provider.source().look(known, pick=lambda names: {n for n in names if n == "a.csv"})
    assert provider.source().glance(known).names == ()


def test_a_glance_at_an_empty_source_says_so(provider):
    with pytest.raises(DataError, match="is empty"):
        provider.source().glance()


def test_a_glance_over_http_brings_no_data(tmp_path, web, monkeypatch):
    """Files are megabytes, and twenty sources may be due at once."""
    asked: list[tuple[str, str]] = []
    real = HttpClient._follow

    def follow(self, url, headers, method="GET"):
        asked.append((method, url))
        return real(self, url, headers, method)

    for autoindex in ("json", "html"):
        server = web(autoindex)
        folder = server.served / f"large-{autoindex}"
        folder.mkdir()
        provider = WebProvider(folder, f"{server.url}/{folder.name}/", tmp_path / autoindex)
        rested(provider)
        provider.put("a.csv", b"x" * 3_000_000)
        known = provider.source().look()
        with monkeypatch.context() as watched:
            watched.setattr(HttpClient, "_follow", follow)
            assert provider.source().glance(known).names == ()
            provider.put("b.csv", b"y" * 3_000_000)
            assert provider.source().glance(known).names == ("b.csv",)
    of_files = [(method, url) for method, url in asked if not url.endswith("/")]
    assert {method for method, _ in of_files} == {"HEAD"}
    assert not [url for _, url in of_files if "large-json" in url], "the listing tells size and second"
