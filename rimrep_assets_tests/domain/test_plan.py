"""The plan against a brute-force rebuild: what would come out otherwise, and nothing else, runs again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.plan import STEPS, Released, Wanted, data_fingerprint, plan
from rimrep_assets.domain.release import Fingerprints
from rimrep_assets.domain.source_file import SourceFile, compare_ledgers
from rimrep_assets_tests.domain.test_dataset import changed, parsed
from rimrep_assets_tests.worlds import TABLE_SCHEMA, TABLE_YAML

words = st.sampled_from(["a", "b"])
ledgers = st.dictionaries(st.sampled_from(["1.csv", "2.csv", "3.csv"]), st.sampled_from(["x", "y"]), max_size=3)
states = st.tuples(words, words, ledgers)
worlds = st.dictionaries(st.sampled_from(["one", "two", "three"]), states, max_size=3)


def files(ledger: dict[str, str]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(name=n, digest=d, size=1, url=n) for n, d in ledger.items())


def rebuilt(state) -> dict[str, object]:
    """What each step would give, made from scratch: the data, the documents on it, the release of both."""
    data_print, documents_print, ledger = state
    data = ("data", data_print, tuple(sorted(ledger.items())))
    documents = ("documents", documents_print, data)
    return {"data": data, "datapackage": documents, "release": ("release", documents)}


@given(wanted=worlds, released=worlds)
def test_the_plan_is_exactly_what_a_rebuild_would_change(wanted, released):
    due = plan(
        {n: Wanted(Fingerprints(data=d, documents=o), files(f)) for n, (d, o, f) in wanted.items()},
        {n: Released(1, Fingerprints(data=d, documents=o), files(f)) for n, (d, o, f) in released.items()},
    )
    brute = {
        (name, step)
        for name, state in wanted.items()
        for step in STEPS
        if name not in released or rebuilt(state)[step] != rebuilt(released[name])[step]
    }
    assert {(d.dataset, d.step) for d in due} == brute
    assert all(d.reason for d in due)


@given(before=ledgers, after=ledgers)
def test_a_ledger_change_names_each_file_once_and_rightly(before, after):
    change = compare_ledgers(files(before), files(after))
    assert sorted((*change.new, *change.reissued, *change.withdrawn, *change.unchanged)) == sorted({*before, *after})
    assert set(change.new) == after.keys() - before.keys()
    assert set(change.withdrawn) == before.keys() - after.keys()
    assert all(before[n] != after[n] for n in change.reissued)
    assert change.is_empty == (before == after)


def test_without_a_look_at_the_source_only_fingerprints_count():
    same = Fingerprints(data="a", documents="a")
    released = {"one": Released(1, same, files({"1.csv": "x"}))}
    assert plan({"one": Wanted(same, None)}, released) == []


def test_what_changes_the_data_changes_its_fingerprint_and_nothing_else_does():
    base = data_fingerprint(parsed(TABLE_YAML), TABLE_SCHEMA)
    retyped = {"fields": [{**TABLE_SCHEMA["fields"][0], "type": "integer"}, *TABLE_SCHEMA["fields"][1:]]}
    titled = {"fields": [{**TABLE_SCHEMA["fields"][0], "title": "Another"}, *TABLE_SCHEMA["fields"][1:]]}
    assert data_fingerprint(parsed(TABLE_YAML), retyped) != base
    assert data_fingerprint(parsed(TABLE_YAML), titled) == base
    assert data_fingerprint(parsed(changed(TABLE_YAML, layout={"sort_by": ["time"]})), TABLE_SCHEMA) != base
    assert data_fingerprint(parsed(changed(TABLE_YAML, convert=[{"read_csv": {}}])), TABLE_SCHEMA) != base
    assert data_fingerprint(parsed(changed(TABLE_YAML, update={"expected": "daily"})), TABLE_SCHEMA) == base
    assert data_fingerprint(parsed(changed(TABLE_YAML, collection="other")), TABLE_SCHEMA) == base
