"""One contract for every object store: a local folder, memory, and S3 on a real server."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.ports.object_store import ObjectStore, S3Access, open_store, read_if_there


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path) -> ObjectStore:
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        return open_store(f"s3://contract/{tmp_path.name}", S3Access.from_environment(server.client_environment()))
    return open_store(str(tmp_path / "store") if request.param == "local" else "memory://")


def test_what_is_written_is_read_and_replaced_whole(store):
    store.write("a/b.json", b"old, and longer")
    store.write("a/b.json", b"new")
    assert store.read("a/b.json") == b"new"
    assert store.stat("a/b.json").size == 3


def test_what_is_not_there_is_said_to_be_absent_everywhere(store, tmp_path):
    for ask in (lambda: store.read("no"), lambda: store.download("no", tmp_path / "x"), lambda: store.copy("no", "y")):
        with pytest.raises(FileNotFoundError):
            ask()
    assert read_if_there(store, "no") is None
    assert store.stat("no") is None
    assert store.list("no") == []
    store.delete("no")


def test_an_object_is_created_once(store):
    assert store.create("releases/1.json", b"first")
    assert not store.create("releases/1.json", b"second")
    assert store.read("releases/1.json") == b"first"


def test_of_many_creators_one_wins_and_its_bytes_stand(store):
    won: list[int] = []

    def create(number: int) -> None:
        if store.create("once", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("once") == b"%d" % won[0]


def test_a_folder_does_not_match_a_longer_name(store):
    for path in ("a/1", "ab/2", "a/c/3"):
        store.write(path, b"x")
    assert [o.path for o in store.list("a")] == ["a/1", "a/c/3"]
    assert store.folders("") == ["a", "ab"]
    assert store.folders("a") == ["c"]


def test_more_than_a_page_of_keys_is_listed(store):
    for number in range(1100):
        store.write(f"many/{number:04}", b"")
    assert len(store.list("many")) == 1100


def test_a_copy_is_an_object_of_its_own(store, tmp_path):
    local = tmp_path / "file"
    local.write_bytes(b"release 1")
    store.upload(local, "versions/1/data")
    store.copy("versions/1/data", "data")
    store.write("data", b"overwritten")
    assert store.read("versions/1/data") == b"release 1"


def test_a_file_goes_up_and_comes_back_the_same(store, tmp_path):
    local = tmp_path / "file"
    local.write_bytes(bytes(range(256)) * 4096)
    store.upload(local, "big")
    assert store.download("big", tmp_path / "back").read_bytes() == local.read_bytes()


def test_an_object_takes_the_place_of_a_folder_whose_objects_are_gone_and_a_folder_that_of_an_object(store):
    store.write("new", b"one")
    store.write("data/part", b"a part")
    assert (store.stat("data"), len(store.list("data"))) == (None, 1)
    store.delete("data/part")
    store.copy("new", "data")
    assert (store.read("data"), store.list("data")) == (b"one", [])
    store.delete("data")
    store.copy("new", "data/part")
    assert [stored.path for stored in store.list("data")] == ["data/part"]


def test_a_local_folder_that_holds_objects_is_never_replaced_by_one(tmp_path):
    store = open_store(str(tmp_path))
    store.write("new", b"one")
    store.write("data/part", b"a part")
    with pytest.raises(Unavailable, match="data"):
        store.copy("new", "data")
    assert store.read("data/part") == b"a part"
    assert [stored.path for stored in store.list("")] == ["data/part", "new"]


def test_a_hard_linked_copy_would_share_its_inode_and_ours_does_not(tmp_path):
    store = open_store(str(tmp_path))
    store.write("a", b"x")
    store.copy("a", "b")
    assert (tmp_path / "a").stat().st_nlink == 1


def test_an_unfinished_file_of_a_local_store_is_not_listed(tmp_path):
    store = open_store(str(tmp_path))
    store.write("a", b"x")
    (tmp_path / "b#123").write_bytes(b"half")
    assert [o.path for o in store.list("")] == ["a"]


def test_an_open_reader_of_a_local_store_keeps_what_it_opened(tmp_path):
    store = open_store(str(tmp_path))
    store.write("data", b"old")
    with Path(store.url("data")).open("rb") as reader:
        store.write("data", b"new")
        assert reader.read() == b"old"


def test_a_server_that_is_not_there_is_unavailable_and_no_secret_is_told():
    access = S3Access("http://127.0.0.1:9", "AKIAEXAMPLE", "very-secret-word")
    store = open_store("s3://nowhere", access)
    from obstore.store import S3Store

    store._store = S3Store(
        "nowhere",
        endpoint="http://127.0.0.1:9",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="very-secret-word",
        region="x",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(Unavailable) as told:
        store.read("a")
    assert "very-secret-word" not in str(told.value) + repr(access)


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(DefinitionError, match="is not the address of a store"):
        open_store("ftp://somewhere")


def test_without_credentials_the_address_of_a_cloud_is_not_what_is_told():
    from obstore.exceptions import GenericError

    class Asking:
        def get(self, path: str) -> None:
            raise GenericError(
                "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1.1ms, after 10 "
                "retries - HTTP error: error sending request"
            )

    store = open_store("s3://nope/x")
    store._store = Asking()
    with pytest.raises(Unavailable) as told:
        store.read("a")
    assert "there are no AWS credentials for the store s3://nope/x" in str(told.value)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(told.value)
    assert "169.254" not in str(told.value)


def test_a_folder_that_cannot_be_made_is_named_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as told:
        open_store(str(tmp_path / "file/store"))
    assert str(tmp_path / "file/store") in str(told.value)
    assert "name a folder that can be made" in str(told.value)
