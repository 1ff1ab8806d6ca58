"""Folders of this machine: what is remembered, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.ports.sources import digest_memory
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.open_source import source_for
from rimrep_assets.ports.sources.selection import Selection


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/a.csv").write_text("1")
    return tmp_path / "sources"


def a_source(folder: Path, **options) -> LocalFolder:
    return LocalFolder(folder, allowed_roots=[folder.parent], **options)


def test_a_file_that_was_just_written_is_not_remembered(folder, tmp_path):
    """Within one tick of the file system's clock a second version would look the same (git: racy)."""
    a_source(folder, memory_file=tmp_path / "memory.json").look()
    assert not (tmp_path / "memory.json").exists()


def test_a_remembered_file_is_not_read_again_and_a_touched_one_is(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(digest_memory, "RACY_NS", -(10**12))
    memory = tmp_path / "memory.json"
    (true,) = a_source(folder, memory_file=memory).look()
    (entry,) = json.loads(memory.read_text()).values()
    memory.write_text(json.dumps({str(folder / "a.csv"): ["remembered", *entry[1:]]}))
    assert a_source(folder, memory_file=memory).look()[0].digest == "remembered"
    os.utime(folder / "a.csv", ns=(entry[2], entry[2]))
    # mtime and size are as before; ctime tells.
    assert a_source(folder, memory_file=memory).look()[0].digest == true.digest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_memory_costs_time_only(folder, tmp_path, text):
    (tmp_path / "memory.json").write_text(text)
    assert [f.name for f in a_source(folder, memory_file=tmp_path / "memory.json").look()] == ["a.csv"]


def test_no_path_of_this_machine_stands_in_a_sighting(folder):
    (file,) = a_source(folder, address="../sources/x/").look()
    assert file.url == "../sources/x/a.csv"


def test_an_address_may_name_one_file(folder, tmp_path):
    (folder / "b.csv").write_text("2")
    source = LocalFolder(folder / "a.csv", allowed_roots=[tmp_path], address="../sources/a.csv")
    (file,) = source.look()
    assert (file.name, file.url) == ("a.csv", "../sources/a.csv")
    assert source.fetch(file, tmp_path / "to").read_text() == "1"


def test_a_folder_outside_the_allowed_roots_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    source = LocalFolder(folder, allowed_roots=[tmp_path / "elsewhere"])
    with pytest.raises(DefinitionError, match="does not lie in a folder that may be read") as refused:
        source.look()
    assert "RIMREP_SOURCES" in refused.value.advice


def test_the_name_of_an_allowed_root_allows_no_neighbour_of_the_same_beginning(tmp_path):
    (tmp_path / "data-secret").mkdir()
    (tmp_path / "data-secret/a.csv").write_text("1")
    with pytest.raises(DefinitionError, match="may be read"):
        LocalFolder(tmp_path / "data/../data-secret", allowed_roots=[tmp_path / "data"]).look()


def test_a_link_that_leaves_the_allowed_roots_is_refused_by_name(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("s")
    (folder / "key.csv").symlink_to(secret / "key")
    (folder / "all").symlink_to(secret)
    with pytest.raises(DataError) as refused:
        LocalFolder(folder, allowed_roots=[folder]).look()
    assert [problem.split()[0] for problem in refused.value.problems] == ["all", "key.csv"]


def test_a_link_that_replaces_a_file_after_looking_is_refused(folder, tmp_path):
    (tmp_path / "secret").write_text("s")
    source = LocalFolder(folder, allowed_roots=[folder])
    (file,) = source.look()
    (folder / "a.csv").unlink()
    (folder / "a.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(DefinitionError, match="may be read"):
        source.fetch(file, tmp_path / "to")


def test_a_link_inside_is_followed_and_a_circle_of_links_ends(folder):
    (folder / "sub").mkdir()
    (folder / "sub/up").symlink_to(folder)
    (folder / "b.csv").symlink_to(folder / "a.csv")
    found = a_source(folder, selection=Selection(("**",))).look()
    assert [f.name for f in found] == ["a.csv", "b.csv"]


def test_an_absent_folder_is_an_error_of_the_catalog(folder):
    with pytest.raises(DefinitionError, match=r"there is no source \.\./sources/y"):
        a_source(folder / "y", address="../sources/y").look()


def test_a_file_that_changes_while_it_is_read_is_unavailable(folder, monkeypatch):
    def growing(stream):
        with (folder / "a.csv").open("a") as more:
            more.write("x")
        return "digest"

    monkeypatch.setattr(digest_memory, "_sha256", growing)
    with pytest.raises(Unavailable, match=r"a\.csv is still being written"):
        a_source(folder).look()


def a_dataset(source: str):
    return dataset_from_yaml(
        f"id: x\ncollection: c\nformat: parquet\naccess: public\nsource: {source}\nconvert: [read_csv: {{}}]\n",
        folder="x",
    )


def test_a_relative_address_counts_from_the_catalog_repository(folder, tmp_path):
    dataset = a_dataset("{kind: local, url: ../sources, include: '*.csv'}")
    source = source_for(dataset, tmp_path / "catalog.git", tmp_path / "cache")
    (file,) = source.look()
    assert file.url == "../sources/a.csv"


def test_a_relative_address_that_climbs_out_of_the_catalog_s_folder_is_refused_unless_allowed(folder, tmp_path):
    dataset = a_dataset("{kind: local, url: ../../sources}")
    (tmp_path / "deep").mkdir()
    location = tmp_path / "deep/catalog.git"
    with pytest.raises(DefinitionError, match="may be read"):
        source_for(dataset, location, tmp_path / "cache").look()
    assert source_for(dataset, location, tmp_path / "cache", allowed_roots=[folder]).look()


def test_a_relative_address_needs_a_catalog_on_this_machine(tmp_path):
    dataset = a_dataset("{kind: local, url: ../sources}")
    with pytest.raises(DefinitionError, match="relative, but the catalog does not lie on this machine"):
        source_for(dataset, None, tmp_path)


def test_an_absolute_address_needs_an_allowed_root(folder, tmp_path):
    dataset = a_dataset(f"{{kind: local, url: {folder}}}")
    assert source_for(dataset, None, tmp_path / "cache", allowed_roots=[tmp_path]).look()
    with pytest.raises(DefinitionError, match="may be read"):
        source_for(dataset, None, tmp_path / "cache").look()


def test_an_http_source_is_read_over_http(tmp_path):
    dataset = a_dataset("{kind: http, url: 'https://example.org/x/', exclude: 'old/*'}")
    source = source_for(dataset, None, tmp_path)
    assert isinstance(source, HttpFolder)
    assert source.selection == Selection(("*",), ("old/*",))
