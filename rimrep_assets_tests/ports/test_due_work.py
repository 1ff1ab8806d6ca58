"""What a merge makes due, against a comparison of everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.catalog import GitCatalog, MemoryCatalog
from rimrep_assets.ports.due_work import DueWork, changed_datasets, plan_between
from rimrep_assets_tests.worlds import (
    COLLECTION,
    TABLE,
    TABLE_SCHEMA,
    TABLE_YAML,
    World,
    curated,
    endpoints,
    write_table,
)

IMPORTING = COLLECTION.replace("local endpoints", "local words = import 'lib/words.libsonnet';\nlocal endpoints")


def texts(choice: dict[str, str]) -> dict[str, str]:
    """Three datasets in two collections, of which one imports a library; ``choice`` adds files, or replaces them."""
    found = {
        "collections/reef/collection.jsonnet": IMPORTING,
        "collections/sea/collection.jsonnet": COLLECTION.replace("id: 'reef'", "id: 'sea'"),
        "lib/words.libsonnet": "{a: 1}",
        "lib/unused.libsonnet": "{}",
        "endpoints/development.libsonnet": endpoints("development"),
        "endpoints/production.libsonnet": endpoints("production"),
        "templates/gbr-dms-data-package.json": "{}",
    }
    for name, collection in (("one", "reef"), ("two", "sea"), ("three", "reef")):
        found[f"datasets/{name}/dataset.yaml"] = yaml.safe_dump({**TABLE_YAML, "id": name, "collection": collection})
        found[f"datasets/{name}/datapackage.json"] = json.dumps(curated(name))
    found |= choice
    return {path: text for path, text in found.items() if text}


CHOICES = st.dictionaries(
    st.sampled_from(
        [
            "datasets/one/datapackage.json",
            "datasets/two/datapackage.json",
            "datasets/three/notes.md",
            "datasets/one/dataset.yaml",
            "lib/words.libsonnet",
            "lib/unused.libsonnet",
            "collections/sea/collection.jsonnet",
            "collections/reef/lib/words.libsonnet",
            "endpoints/development.libsonnet",
            "endpoints/production.libsonnet",
            "templates/gbr-dms-data-package.json",
        ]
    ),
    st.sampled_from(["", "{b: 2}", "id: [", yaml.safe_dump({**TABLE_YAML, "id": "one", "collection": "sea"})]),
    max_size=3,
)


@settings(deadline=None)
@given(before=CHOICES, after=CHOICES)
def test_the_datasets_that_a_merge_touched_are_those_whose_description_differs(before, after):
    catalog = MemoryCatalog()
    old, new = (catalog.at(catalog.commit(texts(c), datetime(2026, 1, 1, tzinfo=UTC))) for c in (before, after))
    touched = changed_datasets(old, new, "development")

    def digest(commit, name):
        return commit.description_digest(commit.dataset(name), "development")

    for name in new.dataset_ids:
        try:
            now = digest(new, name)
        except DefinitionError:
            own = [{p: b for p, b in c.blobs.items() if p.startswith(f"datasets/{name}/")} for c in (old, new)]
            assert name in touched or own[0] == own[1]
            continue
        try:
            same = name in old.dataset_ids and digest(old, name) == now
        except DefinitionError:
            same = False
        assert (name in touched) == (not same), name


def test_the_cheap_digest_is_that_of_the_folder(tmp_path):
    world = World(tmp_path)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    at = world.catalog.at(world.catalog.resolve())
    folder = at.folder(TABLE, "development")
    assert folder.description_digest == at.description_digest(at.dataset(TABLE), "development")
    assert at.description_digest(at.dataset(TABLE), "production") != folder.description_digest


def test_nothing_is_read_that_nobody_asked_for(tmp_path, monkeypatch):
    """A commit of a thousand datasets used to be read whole."""
    from rimrep_assets.ports import git_repository

    world = World(tmp_path)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.describe({**TABLE_YAML, "id": "other-sites"}, TABLE_SCHEMA)
    read: list[str] = []
    real = git_repository.read_blobs
    monkeypatch.setattr(git_repository, "read_blobs", lambda repo, blobs: read.extend(blobs) or real(repo, blobs))
    at = GitCatalog(world.catalog_folder / ".git", "another name").at(world.catalog.resolve())
    assert at.dataset_ids and read == []
    at.dataset(TABLE)
    names = {at.blobs[f"datasets/{n}/dataset.yaml"] for n in at.dataset_ids}
    assert set(read) == names
    at.description_digest(at.dataset(TABLE), "development")
    assert not set(read) & {b for p, b in at.blobs.items() if p.startswith("datasets/") and "dataset.yaml" not in p}


@pytest.fixture
def world(tmp_path) -> World:
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    return world


def due(world: World) -> dict[str, set[str]]:
    at = world.catalog.at(world.catalog.resolve())
    compared, _ = DueWork(world.settings, at).compare(at.dataset_ids)
    return {name: {step.step for step in found.due} for name, found in compared.items()}


def test_what_is_due_follows_from_the_newest_release_alone(world):
    assert due(world) == {TABLE: {"data", "datapackage", "release"}}
    world.attempt(TABLE).publish()
    assert due(world) == {TABLE: set()}
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, title="Another"))
    world.commit()
    assert due(world) == {TABLE: {"datapackage", "release"}}
    world.attempt(TABLE).publish()
    assert due(world) == {TABLE: set()}


def test_a_broken_dataset_is_told_with_everything_and_keeps_nobody_out(world):
    world.write("datasets/broken/dataset.yaml", {**TABLE_YAML, "id": "broken", "acces": "public"})
    world.write("datasets/half/dataset.yaml", {**TABLE_YAML, "id": "half"})
    at = world.catalog.at(world.commit())
    compared, broken = DueWork(world.settings, at).compare(at.dataset_ids)
    assert set(compared) == {TABLE}
    assert "unknown key 'acces'" in str(broken["broken"])
    assert "datapackage.json is missing" in str(broken["half"])


def test_a_dataset_that_left_the_catalog_is_known_by_its_release(world):
    world.attempt(TABLE).publish()
    world.describe({**TABLE_YAML, "id": "other-sites"}, TABLE_SCHEMA)
    (world.catalog_folder / f"datasets/{TABLE}/dataset.yaml").rename(world.root / "gone.yaml")
    for path in (world.catalog_folder / f"datasets/{TABLE}").iterdir():
        path.unlink()
    work = DueWork(world.settings, world.catalog.at(world.commit()))
    assert work.left_behind() == {TABLE: 1}
    assert work.left_behind([TABLE, "never-there"]) == {TABLE: 1}
    assert work.left_behind([]) == {}


def test_a_plan_between_two_commits_names_what_the_merge_touched(world):
    before = world.describe({**TABLE_YAML, "id": "other-sites"}, TABLE_SCHEMA)
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, title="Another"))
    world.write(
        "datasets/other-sites/dataset.yaml", {**TABLE_YAML, "id": "other-sites", "layout": {"sort_by": ["time"]}}
    )
    after = world.commit()
    commits = [world.catalog.at(sha) for sha in (before, after)]
    found = plan_between(*commits, world.settings, commits[1].dataset_ids)
    assert {(d.dataset, d.step) for d in found} == {
        *((TABLE, step) for step in ("datapackage", "release")),
        *(("other-sites", step) for step in ("data", "datapackage", "release")),
    }
    assert plan_between(commits[1], commits[1], world.settings, commits[1].dataset_ids) == []
    assert {d.dataset for d in plan_between(*commits, world.settings, [TABLE])} == {TABLE}


def test_ancestors_are_told_from_rewritten_history(world):
    first = world.catalog.resolve()
    second = world.commit()
    world._git("checkout", "--quiet", "--orphan", "fresh")
    rewritten = world.commit()
    catalog = world.catalog
    assert catalog.has_ancestor(first, second) and catalog.has_ancestor(second, second)
    assert not catalog.has_ancestor(second, first)
    assert not catalog.has_ancestor(second, rewritten)
    assert not catalog.has_ancestor("0" * 40, second)
    assert not catalog.has_ancestor("--help", second)
