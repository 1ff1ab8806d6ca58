"""Settings from the environment, and the stores that they lead to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rimrep_assets.ports.workbench import Settings

ENDPOINTS = {
    "store": "s3://reef-{access}-development",
    "files_url": {"public": "https://files.example", "limited": None},
}


def settings(tmp_path: Path, **environment: str) -> Settings:
    return Settings.from_environment({"RIMREP_DATA": str(tmp_path), **environment})


def test_with_nothing_told_the_embedded_example_and_its_store_are_meant(tmp_path):
    there = settings(tmp_path)
    assert there.uses_example_catalog
    assert there.environment == "development"
    assert there.store_for("public", ENDPOINTS).address == str(tmp_path / "store" / "public")


@pytest.mark.parametrize(
    ("told", "public", "limited"),
    [
        ("{}/store", "{}/store/public", "{}/store/limited-access"),
        ("{}/store/", "{}/store/public", "{}/store/limited-access"),
        ("s3://bucket/prefix", "s3://bucket/prefix/public", "s3://bucket/prefix/limited-access"),
        ("s3://reef-{access}-dev", "s3://reef-public-dev", "s3://reef-limited-access-dev"),
    ],
)
def test_one_address_stands_for_two_stores(told, public, limited, tmp_path):
    told, public, limited = (text.replace("{}", str(tmp_path)) for text in (told, public, limited))
    there = settings(tmp_path, RIMREP_STORE=told)
    assert [there.store_for(access, ENDPOINTS).address for access in ("public", "limited")] == [public, limited]


def test_without_a_told_store_the_endpoints_say_where_it_is_and_where_browsers_read(tmp_path):
    there = settings(tmp_path, RIMREP_CATALOG=str(tmp_path / "other"))
    public, limited = (there.store_for(access, ENDPOINTS) for access in ("public", "limited"))
    assert public.url("a") == "s3://reef-public-development/a"
    assert public.document_url("a") == "https://files.example/a"
    assert limited.document_url("a") == "s3://reef-limited-access-development/a"


def test_credentials_do_not_show_when_settings_are_printed(tmp_path):
    there = settings(
        tmp_path, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="very-secret", AWS_SESSION_TOKEN="tok-en"
    )
    assert "very-secret" not in repr(there)
    assert "tok-en" not in repr(there)


def test_downloads_beyond_the_limit_are_removed_oldest_first(tmp_path):
    there = settings(tmp_path, RIMREP_CACHE_BYTES="25")
    folder = tmp_path / "cache" / "downloads" / "objects" / "aa"
    folder.mkdir(parents=True)
    for age, name in enumerate(("new", "middle", "old")):
        (folder / name).write_bytes(b"x" * 10)
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert there.shrink_cache() == 10
    assert sorted(p.name for p in folder.iterdir()) == ["middle", "new"]


def test_paths_that_were_told_from_the_current_folder_are_absolute_from_then_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = Settings.from_environment(
        {"RIMREP_DATA": "rel", "RIMREP_STORE": "out/{access}", "RIMREP_SOURCES": f"one{os.pathsep}/two"}
    )
    assert there.data_folder == tmp_path / "rel"
    assert there.catalog == str(tmp_path / "rel/catalog.git")
    assert there.uses_example_catalog
    assert there.store == str(tmp_path / "out/{access}")
    assert there.source_roots == (tmp_path / "one", Path("/two"))
    assert Settings.from_environment({"RIMREP_CATALOG": "catalog"}).catalog == str(tmp_path / "catalog")
    web = Settings.from_environment({"RIMREP_CATALOG": "https://example.org/a.git", "RIMREP_STORE": "s3://b/{access}"})
    assert (web.catalog, web.store) == ("https://example.org/a.git", "s3://b/{access}")
