"""A document that many write is, in the end, a function of everything that is listed; without a lock."""

from __future__ import annotations

import json
import threading

import pytest

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.ports.object_store import ObjectStore, open_store
from rimrep_assets.ports.shared_document import keep_in_step, listing_digest, render_from

SHARED = "shared.json"


def look(store: ObjectStore):
    return lambda: store.list("items")


def render(contents):
    return {SHARED: json.dumps({"names": sorted(contents), "digest": listing_digest(contents)}).encode()}


def add(store: ObjectStore, name: str) -> bool:
    store.write(f"items/{name}", name.encode())
    return keep_in_step(store, look(store), render)


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_of_many_writers_at_once_none_is_left_out(kind, tmp_path):
    store = open_store(str(tmp_path) if kind == "local" else "memory://")
    threads = [threading.Thread(target=add, args=(store, f"{n:02}")) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(store.read(SHARED))["names"] == [f"items/{n:02}" for n in range(24)]
    assert render_from(store, look(store), render)[SHARED] == store.read(SHARED)


def test_a_writer_that_was_overtaken_writes_again():
    """The slow one listed before the fast one's item was there, and writes after it."""
    store = open_store("memory://")
    overtaken: list[bool] = []

    def overtaken_once(contents):
        made = render(contents)
        if not overtaken:
            overtaken.append(True)
            add(store, "fast")
        return made

    store.write("items/slow", b"slow")
    keep_in_step(store, look(store), overtaken_once)
    assert json.loads(store.read(SHARED))["names"] == ["items/fast", "items/slow"]


def test_what_is_right_already_is_not_written():
    store = open_store("memory://")
    assert add(store, "one")
    assert not keep_in_step(store, look(store), render)


def test_a_listing_that_never_rests_ends_in_an_error_and_not_in_a_loop():
    store = open_store("memory://")

    def restless(contents):
        store.write(f"items/{len(contents):04}", b"")
        return render(contents)

    with pytest.raises(Unavailable, match="changed in each of"):
        keep_in_step(store, look(store), restless)


def test_the_digest_tells_contents_and_names_apart():
    base = listing_digest({"a": b"1", "b": b"2"})
    assert listing_digest({"b": b"2", "a": b"1"}) == base
    assert listing_digest({"a": b"2", "b": b"1"}) != base
    assert listing_digest({"a": b"1", "c": b"2"}) != base
