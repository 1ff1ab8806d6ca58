"""Zarr stores in every kind of source: each is one file, whatever it is made of."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.domain.source_file import compare_ledgers
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.selection import Chosen, Selection
from rimrep_assets_tests.ports.test_source_contract import (  # noqa: F401 - fixtures
    FolderProvider,
    WebProvider,
    names,
    provider,
    web,
)

V2 = {
    ".zgroup": b"{}",
    ".zattrs": b"{1}",
    "sst/.zarray": b"[]",
    "sst/.zattrs": b"[1]",
    "sst/0.0": b"00",
    "sst/0.1": b"01",
    # An array whose name is a number, with chunks in folders.
    "2024/.zarray": b"[2]",
    "2024/0/0": b"2",
}
V3 = {"zarr.json": b"{}", "sst/zarr.json": b"[]", "sst/c/0/0": b"00", "sst/c/0/1": b"01"}
BOTH = pytest.mark.parametrize("members", [V2, V3], ids=["v2", "v3"])
ZARR = Selection(("*.zarr",))


def put(provider, store: str, members: dict[str, bytes]) -> None:  # noqa: F811
    for name, data in members.items():
        provider.put(f"{store}/{name}", data)


def digest(members: dict[str, bytes]) -> str:
    lines = sorted(f"{name} {sha256(data).hexdigest()}\n" for name, data in members.items())
    return sha256("".join(lines).encode()).hexdigest()


def held(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@BOTH
def test_a_store_is_one_file_with_the_digest_of_names_and_bytes(provider, members, tmp_path):  # noqa: F811
    put(provider, "a.zarr", members)
    provider.put("readme.txt", b"not taken")
    (file,) = provider.source(ZARR).look()
    assert (file.name, file.digest) == ("a.zarr", digest(members))
    assert file.size == sum(map(len, members.values()))
    assert file.url.endswith("/a.zarr")
    got = provider.source(ZARR).fetch(file, tmp_path / "to")
    assert got == tmp_path / "to" / "a.zarr"
    assert held(got) == members


@BOTH
def test_stores_lie_among_files_and_in_folders(provider, members):  # noqa: F811
    put(provider, "2024/b.zarr", members)
    put(provider, "a.zarr", members)
    provider.put("c.nc", b"1")
    assert names(provider.source(Selection(("*",))).look()) == ["a.zarr", "c.nc"]
    assert names(provider.source(Selection(("**/*.zarr",))).look()) == ["2024/b.zarr", "a.zarr"]
    assert names(provider.source(Selection(("**",), ("*.zarr",))).look()) == ["2024/b.zarr", "c.nc"]


def test_a_changed_moved_or_withdrawn_chunk_is_a_reissue(provider):  # noqa: F811
    put(provider, "a.zarr", V2)
    before = provider.source(ZARR).look()
    assert compare_ledgers(before, provider.source(ZARR).look(before)).is_empty
    for change in ({"sst/0.1": b"xx"}, {"sst/1.0": b"new"}, {"sst/.zattrs": b"[9]"}):
        put(provider, "a.zarr", {**V2, **change})
        assert compare_ledgers(before, provider.source(ZARR).look(before)).reissued == ("a.zarr",)
        assert provider.source(ZARR).glance(before).names == ("a.zarr",)
        for name in change:
            provider.withdraw(f"a.zarr/{name}") if name not in V2 else provider.put(f"a.zarr/{name}", V2[name])
    provider.put("a.zarr/sst/0.2", V2["sst/0.1"])
    provider.withdraw("a.zarr/sst/0.1")
    assert compare_ledgers(before, provider.source(ZARR).look(before)).reissued == ("a.zarr",)


def test_hidden_files_that_are_not_metadata_do_not_count(provider):  # noqa: F811
    put(provider, "a.zarr", V3)
    provider.put("a.zarr/.DS_Store", b"junk")
    provider.put("a.zarr/.cache/0", b"junk")
    (file,) = provider.source(ZARR).look()
    assert file.digest == digest(V3)


def test_a_geodatabase_is_one_file_without_the_locks_of_who_has_it_open(provider, tmp_path):  # noqa: F811
    members = {"a00000001.gdbtable": b"1", "a00000001.gdbtablx": b"2", "gdb": b"3", "timestamps": b"4"}
    put(provider, "reefs.gdb", members)
    provider.put("reefs.gdb/_gdb.HOST.1.2.sr.lock", b"locked")
    geodatabases = Selection(("*.gdb",))
    (file,) = provider.source(geodatabases).look()
    assert (file.name, file.digest) == ("reefs.gdb", digest(members))
    assert held(provider.source(geodatabases).fetch(file, tmp_path / "to")) == members
    provider.put("reefs.gdb/timestamps", b"5")
    assert compare_ledgers([file], provider.source(geodatabases).look()).reissued == ("reefs.gdb",)


def test_a_file_that_is_called_like_a_store_is_a_file():
    assert Chosen("reefs.gdb").members == ("reefs.gdb",)


def test_a_store_that_changed_after_it_was_seen_is_not_fetched(provider, tmp_path):  # noqa: F811
    put(provider, "a.zarr", V2)
    (file,) = provider.source(ZARR).look()
    provider.put("a.zarr/sst/0.1", b"other")
    source = provider.source(ZARR)
    if isinstance(source, HttpFolder):
        source.cache = DownloadCache(tmp_path / "another-cache")
    with pytest.raises(Unavailable, match=r"a\.zarr was changed"):
        source.fetch(file, tmp_path / "to")
    assert not (tmp_path / "to" / "a.zarr").exists()


def test_a_store_that_was_withdrawn_is_unavailable(provider, tmp_path):  # noqa: F811
    put(provider, "a.zarr", V3)
    put(provider, "b.zarr", V3)
    file, _ = provider.source(ZARR).look()
    for name in V3:
        provider.withdraw(f"a.zarr/{name}")
    with pytest.raises(Unavailable):
        provider.source(ZARR).fetch(file, tmp_path / "to")


@pytest.mark.parametrize("provider", ["local", "http json", "http html"], indirect=True)
@pytest.mark.parametrize("slash", ["", "/"])
@BOTH
def test_the_address_of_a_source_may_be_a_store(provider, members, tmp_path, slash):  # noqa: F811
    put(provider, "a.zarr", members)
    if isinstance(provider, WebProvider):
        source = HttpFolder(f"{provider.url}a.zarr{slash}", Selection(("*.nc",)), cache=DownloadCache(tmp_path / "c"))
    else:
        source = LocalFolder(provider.folder / "a.zarr", Selection(("*.nc",)), allowed_roots=[provider.folder])
    (file,) = source.look()
    assert (file.name, file.digest) == ("a.zarr", digest(members))
    assert source.glance([file]).names == () or isinstance(provider, FolderProvider)
    assert held(source.fetch(file, tmp_path / "to")) == members


def test_a_link_in_a_store_that_leads_elsewhere_is_refused(tmp_path):
    folder = FolderProvider(tmp_path / "sources")
    put(folder, "a.zarr", V3)
    (tmp_path / "secret").write_text("key")
    (tmp_path / "sources" / "a.zarr" / "sst" / "c" / "0" / "2").symlink_to(tmp_path / "secret")
    source = LocalFolder(tmp_path / "sources", ZARR, allowed_roots=[tmp_path / "sources"])
    with pytest.raises(DataError, match="leads out of the folders"):
        source.look()


def test_an_unchanged_store_is_not_downloaded_again(tmp_path, web):  # noqa: F811
    server = web("json")
    served = server.served / "unchanged"
    folder = WebProvider(served, f"{server.url}/unchanged/", tmp_path / "cache")
    folder.mtime = 1_700_000_000
    put(folder, "a.zarr", V3)
    before = folder.source(ZARR).look()
    asked = len(server.requests())
    assert folder.source(ZARR).glance(before).names == ()
    assert folder.source(ZARR).look(before) == before
    answers = [r["status"] for r in server.requests()[asked:] if not r["path"].endswith("/")]
    assert set(answers) == {304}
