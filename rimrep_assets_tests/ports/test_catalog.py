"""One contract for the catalog in git and its twin in memory, and what a hostile or broken repository gets."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.ports.catalog import Catalog, GitCatalog, MemoryCatalog, open_catalog
from rimrep_assets_tests.worlds import COLLECTION, PROFILE, TABLE, TABLE_SCHEMA, TABLE_YAML, World, curated, endpoints


def texts(**more: str) -> dict[str, str]:
    """The files of a catalog with one table."""
    return {
        f"datasets/{TABLE}/dataset.yaml": yaml.safe_dump(TABLE_YAML),
        f"datasets/{TABLE}/datapackage.json": json.dumps(curated(TABLE)),
        f"datasets/{TABLE}/tableschema.json": json.dumps(TABLE_SCHEMA),
        "collections/reef/collection.jsonnet": COLLECTION,
        "endpoints/development.libsonnet": endpoints("development"),
        "endpoints/production.libsonnet": endpoints("production"),
        "templates/gbr-dms-data-package.json": PROFILE.read_text(),
        **more,
    }


class InMemory:
    """Commits by handing texts over."""

    def __init__(self, root: Path) -> None:
        self.catalog: Catalog = MemoryCatalog()

    def commit(self, files: dict[str, str]) -> str:
        return self.catalog.commit(files, datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[attr-defined]


class InGit:
    """Commits with real git, in a work tree that holds something else by the time it is read."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.catalog: Catalog = GitCatalog(root / "catalog" / ".git")

    def commit(self, files: dict[str, str]) -> str:
        for path in self.world.catalog_folder.iterdir():
            if path.name != ".git":
                subprocess.run(["rm", "-r", str(path)], check=True)
        for path, text in files.items():
            self.world.write(path, text)
        sha = self.world.commit()
        self.world.write(f"datasets/{TABLE}/dataset.yaml", "not: committed")
        return sha


@pytest.fixture(params=[InMemory, InGit])
def kept(request, tmp_path):
    return request.param(tmp_path)


def test_a_commit_is_read_as_it_was_although_head_moved_on(kept):
    old = kept.commit(texts())
    new = kept.commit(texts(**{f"datasets/{TABLE}/datapackage.json": json.dumps(curated(TABLE, title="Another"))}))
    assert kept.catalog.resolve() == new
    assert kept.catalog.at(old).folder(TABLE, "development").curated["title"] == f"Title of {TABLE}"
    assert kept.catalog.at(new).folder(TABLE, "development").curated["title"] == "Another"
    assert kept.catalog.resolve(old[:10]) == old


def test_a_commit_that_is_not_there_is_said_to_be_none(kept):
    kept.commit(texts())
    for revision in ("0" * 40, "no-such-branch", "--upload-pack=x"):
        with pytest.raises(DefinitionError):
            kept.catalog.resolve(revision)


def test_an_environment_decides_the_endpoints_and_nothing_else(kept):
    at = kept.catalog.at(kept.commit(texts()))
    development, production = (at.folder(TABLE, name) for name in ("development", "production"))
    assert development.endpoints["pygeoapi"] == "https://pygeoapi.development.example"
    assert production.endpoints["pygeoapi"] == "https://pygeoapi.production.example"
    assert production.collection["summaries"]["environment"] == ["production"]
    assert development.description_digest != production.description_digest
    with pytest.raises(DefinitionError, match="development, production"):
        at.folder(TABLE, "staging")


def test_the_description_of_a_dataset_changes_with_what_it_is_made_from_and_nothing_else(kept):
    def digest(files: dict[str, str]) -> str:
        return kept.catalog.at(kept.commit(files)).folder(TABLE, "development").description_digest

    base = digest(texts())
    with_import = COLLECTION.replace("local endpoints", "local words = import 'lib/words.libsonnet';\nlocal endpoints")
    with_import = with_import.replace("title: 'Reefs'", "title: 'Reefs %d' % words.a")
    imports = {"collections/reef/collection.jsonnet": with_import, "lib/words.libsonnet": "{a: 1}"}
    importing = digest(texts(**imports))
    assert importing != base
    assert digest(texts(**{**imports, "lib/words.libsonnet": "{a: 2}"})) != importing
    assert digest(texts(**{"lib/unused.libsonnet": "{a: 1}"})) == base
    assert digest(texts(**{"datasets/another/dataset.yaml": "id: another"})) == base
    assert digest(texts(**{"endpoints/production.libsonnet": "{}"})) == base
    assert digest(texts(**{"endpoints/development.libsonnet": endpoints("elsewhere")})) != base


def test_everything_wrong_with_a_folder_is_said_at_once(kept):
    broken = texts(
        **{
            f"datasets/{TABLE}/dataset.yaml": yaml.safe_dump({**TABLE_YAML, "acces": "public"}),
            f"datasets/{TABLE}/datapackage.json": "{",
        }
    )
    del broken["templates/gbr-dms-data-package.json"]
    at = kept.catalog.at(kept.commit(broken))
    with pytest.raises(DefinitionError) as told:
        at.folder(TABLE, "development")
    for sentence in ("unknown key 'acces'", "datapackage.json is not JSON", "gbr-dms-data-package.json is missing"):
        assert sentence in str(told.value)


def test_an_unknown_dataset_is_told_with_the_nearest_one(kept):
    at = kept.catalog.at(kept.commit(texts()))
    with pytest.raises(DefinitionError, match="did you mean 'reef-sites'"):
        at.dataset("reef-site")


@pytest.mark.parametrize("imported", ["/etc/hostname", "../../../etc/hostname", "lib/absent.libsonnet"])
def test_jsonnet_reaches_nothing_outside_the_commit(kept, imported):
    main = COLLECTION.replace("local endpoints", f"local x = importstr '{imported}';\nlocal endpoints")
    at = kept.catalog.at(kept.commit(texts(**{"collections/reef/collection.jsonnet": main + "+ {x: x}"})))
    with pytest.raises(DefinitionError):
        at.folder(TABLE, "development")


def test_links_in_a_repository_lead_nowhere(tmp_path):
    world = World(tmp_path)
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    secret = tmp_path / "secret.json"
    secret.write_text('{"name": "reef-sites", "title": "stolen"}')
    link = world.catalog_folder / f"datasets/{TABLE}/datapackage.json"
    link.unlink()
    link.symlink_to(secret)
    world.commit("a link out of the catalog")
    with pytest.raises(DefinitionError, match=r"datapackage\.json is missing"):
        world.catalog.at(world.catalog.resolve()).folder(TABLE, "development")


def test_a_folder_without_git_is_told_to_be_committed_first(tmp_path):
    (tmp_path / "plain").mkdir()
    with pytest.raises(DefinitionError, match="is not a git repository"):
        open_catalog(str(tmp_path / "plain"), tmp_path / "cache")


def test_a_catalog_at_an_address_is_copied_once_and_fetched_anew(tmp_path):
    world = World(tmp_path / "far")
    first = world.describe(TABLE_YAML, TABLE_SCHEMA)
    address = f"file://{world.catalog_folder}"
    assert open_catalog(address, tmp_path / "cache").resolve() == first
    second = world.describe(TABLE_YAML, TABLE_SCHEMA, title="Moved on")
    near = open_catalog(address, tmp_path / "cache")
    assert near.resolve() == second
    assert near.place is None


@pytest.mark.parametrize("address", ["https://user:hunter2@127.0.0.1:9/catalog.git", "ext::sh -c 'touch /tmp/x'://x"])
def test_a_catalog_that_does_not_answer_is_unavailable_and_tells_no_password(address, tmp_path):
    with pytest.raises((Unavailable, DefinitionError)) as told:
        open_catalog(address, tmp_path / "cache")
    assert "hunter2" not in str(told.value)


def refused(**changed: dict) -> list[str]:
    """What is said of a folder whose ``schema`` or ``description`` is another."""
    schema = {**TABLE_SCHEMA, **changed.get("schema", {})}
    files = texts()
    files[f"datasets/{TABLE}/tableschema.json"] = json.dumps(schema)
    files[f"datasets/{TABLE}/dataset.yaml"] = yaml.safe_dump({**TABLE_YAML, **changed.get("description", {})})
    catalog = InMemory(Path()).catalog
    catalog.commit(files, datetime(2026, 1, 1, tzinfo=UTC))
    try:
        catalog.at("HEAD").folder(TABLE, "development")
    except DefinitionError as error:
        return error.problems
    return []


def of_type(kind: str) -> dict:
    return {"fields": [*TABLE_SCHEMA["fields"], {"name": "seen", "type": kind}]}


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("intger", "did you mean 'integer'?"),
        ("Number", "did you mean 'number'?"),
        ("time", "declare string"),
        ("year", "declare string"),
        ("array", "declare string"),
    ],
)
def test_a_type_that_no_column_can_have_is_refused_before_any_work(kind, hint):
    (problem,) = refused(schema=of_type(kind))
    assert problem.startswith(f"tableschema.json: column 'seen' has the type {kind!r}") and hint in problem
    assert "string, integer, number, boolean, date, datetime" in problem


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean", "date", "datetime", "any", "null"])
def test_the_types_that_columns_have_are_taken(kind):
    assert refused(schema=of_type(kind)) == []


def test_a_schema_as_it_is_published_is_taken():
    made = [{"name": "geometry", "type": "any"}, {"name": "bbox", "type": "object"}, {"name": "fid", "type": "integer"}]
    assert refused(schema={"fields": [*TABLE_SCHEMA["fields"], *made]}) == []


def test_columns_of_order_and_key_that_the_schema_does_not_list_are_refused_with_the_nearest():
    problems = refused(description={"layout": {"sort_by": ["sight", "geometry"], "key": ["zz", "time"]}})
    assert problems[0] == "layout.sort_by names 'sight', which is no column of tableschema.json; did you mean 'site'?"
    assert problems[1].startswith("layout.key names 'zz', which is no column of tableschema.json; known: ")
    assert len(problems) == 2


def test_columns_that_steps_add_may_order_rows():
    steps = [*TABLE_YAML["convert"], {"add_columns": {"cruise": "A1"}}]
    assert refused(description={"layout": {"sort_by": ["cruise", "time"]}, "convert": steps}) == []
