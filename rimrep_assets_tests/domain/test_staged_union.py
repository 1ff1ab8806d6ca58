"""The union of a release and what is staged: nothing is lost, nothing old comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.source_file import Place, SourceFile
from rimrep_assets.domain.staged_union import Sighted, unite

NAMES = ("1a", "1b", "2a", "2b", "3a")
"""the first character is the partition"""


def file(name: str, digest: str) -> SourceFile:
    return SourceFile(name=name, digest=digest, size=1, url=name)


def files(contents: dict[str, str]) -> tuple[SourceFile, ...]:
    return tuple(file(name, digest) for name, digest in sorted(contents.items()))


def contents(found: tuple[SourceFile, ...]) -> dict[str, str]:
    return {f.name: f.digest for f in found}


def staged(scope: str, source: dict[str, str], before: dict[str, str]) -> Sighted:
    """A staging of the partitions in ``scope`` that saw ``source``."""
    seen = {name: digest for name, digest in source.items() if name[0] in scope}
    return Sighted(lambda name: name[0] in scope, files(seen), files(before))


SOURCES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("xyz"))
SCOPES = st.sets(st.sampled_from("123"), min_size=1).map(lambda parts: "".join(sorted(parts)))


@given(SOURCES)
def test_without_staging_the_release_stays(release):
    assert contents(unite(files(release), [])) == release


@given(release=SOURCES, source=SOURCES)
def test_a_staging_of_everything_is_what_the_source_holds(release, source):
    assert contents(unite(files(release), [staged("123", source, release)])) == source


@given(release=SOURCES, source=SOURCES, scopes=st.permutations(["1", "2", "3"]))
def test_partitions_staged_in_any_order_are_what_the_source_holds(release, source, scopes):
    assert contents(unite(files(release), [staged(s, source, release) for s in scopes])) == source


@given(release=SOURCES, looks=st.lists(st.tuples(SCOPES, SOURCES), max_size=5))
def test_the_last_look_at_a_partition_counts_and_other_partitions_stay(release, looks):
    expected = dict(release)
    for scope, source in looks:
        expected = {n: d for n, d in expected.items() if n[0] not in scope}
        expected |= {n: d for n, d in source.items() if n[0] in scope}
    assert contents(unite(files(release), [staged(scope, source, release) for scope, source in looks])) == expected


@given(release=SOURCES, looks=st.lists(st.tuples(SCOPES, SOURCES), max_size=5))
def test_what_was_released_is_not_released_again(release, looks):
    stagings = [staged(scope, source, release) for scope, source in looks]
    united = unite(files(release), stagings)
    assert unite(united, stagings) == united


@given(release=SOURCES, old=SOURCES, scope=SCOPES, newer=SOURCES)
def test_a_staging_never_undoes_a_release_that_moved_on(release, old, scope, newer):
    found = contents(unite(files(newer), [staged(scope, old, release)]))
    for name in NAMES:
        if release.get(name) != newer.get(name) or name[0] not in scope:
            assert found.get(name) == newer.get(name)
        else:
            assert found.get(name) == old.get(name)


def test_of_the_same_bytes_the_place_counts_that_was_seen_last_unless_the_release_moved_on():
    old, seen, newer = (file("a", "1").model_copy(update={"place": Place(url="a", etag=mark)}) for mark in "123")
    everything = Sighted(lambda _: True, (seen,), (old,))
    assert unite((old,), [everything]) == (seen,)
    assert unite((newer,), [everything]) == (newer,)
