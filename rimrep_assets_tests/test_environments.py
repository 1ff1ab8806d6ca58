"""Environments and access classes: whose addresses the documents name, and what must never reach the public store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import yaml

from rimrep_assets_tests.homes import publish_both, take_proposed
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_day, write_table

CANARY = "Xanthorrhoea-canary-4711"


def test_each_environment_names_its_own_addresses(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    for environment, other in (("development", "production"), ("production", "development")):
        store = tmp_path / environment
        done = rimrep(world, "publish", TABLE, "--environment", environment, "--store", str(store), "--json")
        assert done.code == 0, done.err
        served = f"https://pygeoapi.{environment}.example/collections/{TABLE}"
        assert done.json[0]["pygeoapi"] == served
        package = json.loads(Path(done.json[0]["datapackage"]).read_text())
        item = json.loads(Path(done.json[0]["stac_item"]).read_text())
        config = yaml.safe_load((store / "public/pygeoapi/config-pygeoapi.yaml").read_text())
        collection = json.loads((store / "public/stac/reef/collection.json").read_text())
        assert package["rimrep"]["addresses"]["pygeoapi"] == served
        assert served in [link["href"] for link in item["links"]] + [a["href"] for a in item["assets"].values()]
        assert collection["summaries"]["environment"] == [environment]
        assert config["server"]["url"] == f"https://pygeoapi.{environment}.example"
        provider = config["resources"][TABLE]["providers"][0]
        assert provider["data"]["source"] if isinstance(provider["data"], dict) else provider["data"]
        whole = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
        assert environment.encode() in whole
        assert f"pygeoapi.{other}.example".encode() not in whole


def test_another_environment_makes_a_release_on_the_same_data(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    first, second = (
        rimrep(world, "publish", TABLE, "--environment", environment, "--json").json[0]
        for environment in ("development", "production")
    )
    assert (first["release"], second["release"]) == (1, 2)
    assert first["data"] == second["data"]


def test_a_store_whose_address_holds_the_word_for_access(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    done = rimrep(world, "publish", TABLE, "--store", f"{tmp_path}/rimrep-{{access}}-dev", "--json")
    assert done.json[0]["data"].startswith(f"{tmp_path}/rimrep-public-dev/{TABLE}/")
    assert not (tmp_path / "rimrep-limited-access-dev").exists()


def test_nothing_of_limited_data_reaches_the_public_store(tmp_path, rimrep):
    """The canary stands in values, names of files, metadata and in the schema."""
    world = World(tmp_path)
    publish_both(world)
    secret_table, secret_grid = "secret-sites", "secret-heat"
    write_table(world.source(secret_table), f"{CANARY}.csv", site=CANARY)
    write_day(world.source(secret_grid), 0, name=f"{CANARY}.nc")
    limited = {"access": "limited", "data_sharing_agreement": "DSA-7"}
    source = {"kind": "local", "include": "*"}
    fields = [{**f, "title": CANARY} for f in TABLE_SCHEMA["fields"]]
    table = {**TABLE_YAML, "id": secret_table, **limited, "source": {**source, "url": f"../sources/{secret_table}"}}
    grid = {**GRID_YAML, "id": secret_grid, **limited, "source": {**source, "url": f"../sources/{secret_grid}"}}
    world.describe(table, {"fields": fields}, title=f"Secret {CANARY}", keywords=[CANARY])
    world.describe(grid, None, title=f"Secret {CANARY}", keywords=[CANARY])
    take_proposed(world, secret_grid)
    done = rimrep(world, "publish", secret_table, secret_grid, TABLE, "--json")
    assert done.code == 0, done.err
    rows = {row["dataset"]: row for row in done.json}
    for secret in (secret_table, secret_grid):
        assert rows[secret]["data"].startswith(f"{world.store_url}/limited-access/{secret}/")
        assert rows[secret]["stac_item"].startswith(f"{world.store_url}/limited-access/stac/")
    assert set(pd.read_parquet(rows[secret_table]["data"], columns=["site"])["site"]) == {CANARY}
    public = {path: data for path, data in world.files().items() if path.startswith("public/")}
    assert len(public) > 20
    for path, data in public.items():
        for word in (CANARY, secret_table, secret_grid):
            assert word not in path
            assert word.encode() not in data, path
    assert json.loads(Path(world.store_url, "limited-access/stac/catalog.json").read_text())["links"]
    assert rimrep(world, "reconcile").out == "no drift\n"
    assert rimrep(world, "verify", secret_table, secret_grid).code == 0


def test_publishing_public_data_does_not_touch_the_limited_store(tmp_path, rimrep):
    """The process may have no rights there."""
    world = World(tmp_path)
    publish_both(world)
    write_day(world.source(GRID), 5)
    assert rimrep(world, "publish", GRID, TABLE).code == 0
    limited = Path(world.store_url) / "limited-access"
    assert not limited.exists() or list(limited.rglob("*")) == []


def test_limited_data_without_an_agreement_is_refused(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe({**TABLE_YAML, "access": "limited"}, TABLE_SCHEMA)
    for arguments in (["publish", TABLE], ["check", TABLE]):
        done = rimrep(world, *arguments)
        assert done.code == 2
        assert "data_sharing_agreement" in done.err + done.out
    assert world.files() == {}


def test_sensitive_data_is_refused(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe({**TABLE_YAML, "access": "sensitive"}, TABLE_SCHEMA)
    done = rimrep(world, "publish", TABLE)
    assert done.code == 2
    assert "sensitive data is not supported" in done.err
    assert world.files() == {}
