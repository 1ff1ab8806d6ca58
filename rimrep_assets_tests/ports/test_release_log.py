"""Records are created once; an answer that is lost does not make two of one, or none."""

from __future__ import annotations

import pytest

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.ports.object_store import ObstoreObjects, open_store
from rimrep_assets.ports.release_log import ReleaseLog


class LosesAnswers(ObstoreObjects):
    """Does what it is told, and then fails to say so; ``how`` as obstore was seen to do it."""

    def __init__(self, how: str) -> None:
        inner = open_store("memory://")
        super().__init__(inner._store, inner.address, "memory")
        self.how = how

    def create(self, path: str, data: bytes) -> bool:
        if self.how != "error before":
            super().create(path, data)
        if self.how == "refused by own retry":
            return False
        raise Unavailable("the connection broke")


@pytest.mark.parametrize("how", ["refused by own retry", "error after"])
def test_a_create_that_was_done_counts_although_its_answer_was_lost(how):
    log = ReleaseLog(LosesAnswers(how), "d")
    assert log.create(1, b"mine")
    assert log.store.read("d/releases/1.json") == b"mine"


def test_a_create_that_was_not_done_is_an_error():
    with pytest.raises(Unavailable):
        ReleaseLog(LosesAnswers("error before"), "d").create(1, b"mine")


def test_another_attempts_record_is_never_taken_for_ones_own():
    store = open_store("memory://")
    assert ReleaseLog(store, "d").create(1, b"theirs")
    assert not ReleaseLog(store, "d").create(1, b"mine")
    assert store.read("d/releases/1.json") == b"theirs"


def test_records_are_counted_by_number_and_strangers_are_passed_over():
    store = open_store("memory://")
    for name in ("2.json", "10.json", "1.json", "x.json", "03.json"):
        store.write(f"d/releases/{name}", b"{}")
    assert ReleaseLog(store, "d").numbers() == [1, 2, 10]
