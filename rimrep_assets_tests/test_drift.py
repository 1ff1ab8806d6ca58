"""`rimrep verify` and `rimrep reconcile`: every damage that can happen to a store is found, named and mended.

Here belongs damage, one place at a time. Not here: interrupted publications (``ports/test_faults``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rimrep_assets_tests.homes import Home, publish_both
from rimrep_assets_tests.worlds import GRID, TABLE, World, write_table


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """A table of two releases, a grid of one."""
    made = Home(tmp_path_factory.mktemp("drift"))
    world = World(made.root)
    publish_both(world)
    write_table(world.source(TABLE), "c.csv", shift=2)
    assert world.attempt(TABLE).publish().release == 2
    made.keep()
    return made


@pytest.fixture
def world(home) -> World:
    return home.world()


def public(world: World, path: str) -> Path:
    return Path(world.store_url) / "public" / path


def change_one_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def own_version(world: World, dataset: str, release: int) -> str:
    return str(json.loads(public(world, f"{dataset}/releases/{release}.json").read_text())["version"])


def test_an_untouched_release_holds(world, rimrep):
    done = rimrep(world, "verify", TABLE, GRID)
    assert done.code == 0
    assert done.out.splitlines() == [f"{TABLE}: release 2 holds", f"{GRID}: release 1 holds"]
    assert rimrep(world, "verify", TABLE, "--release", "1").code == 0


def test_verifying_a_release_that_there_is_not_says_which_there_are(world, rimrep):
    done = rimrep(world, "verify", TABLE, "--release", "7")
    assert done.code == 2
    assert "[1, 2]" in done.err


DAMAGED = {
    "the stable table": lambda w: public(w, f"{TABLE}/data.parquet"),
    "the release's own table": lambda w: public(w, f"{TABLE}/versions/{own_version(w, TABLE, 2)}/data.parquet"),
    "the rows' origins": lambda w: public(w, f"{TABLE}/versions/{own_version(w, TABLE, 2)}/rows.parquet"),
    "the own datapackage": lambda w: public(w, f"{TABLE}/versions/{own_version(w, TABLE, 2)}/datapackage.json"),
    "the stable datapackage": lambda w: public(w, f"{TABLE}/datapackage.json"),
    "the receipt": lambda w: public(w, f"{GRID}/versions/{own_version(w, GRID, 1)}/receipt.json"),
    "a chunk of the plain copy": lambda w: public(w, f"{GRID}/data.zarr/heat/c/0/0/0"),
    "metadata of the plain copy": lambda w: public(w, f"{GRID}/data.zarr/heat/zarr.json"),
    "the plain copy's root": lambda w: public(w, f"{GRID}/data.zarr/zarr.json"),
    "the STAC item": lambda w: public(w, f"stac/reef/items/{GRID}.json"),
}


@pytest.mark.parametrize("place", DAMAGED)
def test_one_changed_byte_is_found_and_named(world, rimrep, place):
    path = DAMAGED[place](world)
    dataset = GRID if GRID in str(path) else TABLE
    change_one_byte(path)
    done = rimrep(world, "verify", TABLE, GRID)
    assert done.code == 4
    assert f"{dataset}: release {2 if dataset == TABLE else 1} DIFFERS" in done.out
    within = str(path.relative_to(public(world, ""))).removeprefix(f"{GRID}/")
    assert within in done.out
    report = rimrep(world, "verify", dataset, "--json").json
    assert len(report[dataset]["differences"]) >= 1


def test_values_of_a_grid_that_changed_under_the_store_are_found_by_file_and_by_time(world, rimrep):
    """Another value at a place, as a slip of somebody with a key to the store would leave it."""
    import icechunk
    import zarr

    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(public(world, f"{GRID}/data.icechunk")))
    )
    record_path = public(world, f"{GRID}/releases/1.json")
    record = json.loads(record_path.read_text())
    repository.create_branch("slip", record["snapshot"])
    session = repository.writable_session("slip")
    heat = zarr.open_group(session.store)["heat"]
    heat[1, 1, 1] = heat[1, 1, 1] + 1
    record["snapshot"] = session.commit("slip")
    record_path.write_text(json.dumps(record))
    name, time = record["sources"][1]["name"], "2024-01-02"
    done = rimrep(world, "verify", GRID)
    assert done.code == 4 and f"{name}: heat at {time}" in done.out
    assert rimrep(world, "verify", GRID, "--file", name).code == 4
    assert rimrep(world, "verify", GRID, "--time", time).code == 4
    assert rimrep(world, "verify", GRID, "--file", record["sources"][0]["name"]).code == 0
    assert rimrep(world, "verify", GRID, "--time", "2024-01-01").code == 0


def test_a_file_or_time_that_a_release_has_not_is_told(world, rimrep):
    done = rimrep(world, "verify", GRID, "--file", "other.nc")
    assert done.code == 2 and "no source file 'other.nc'" in done.err
    done = rimrep(world, "verify", GRID, "--time", "1999-01-01")
    assert done.code == 2 and "no source file of the release covers '1999-01-01'" in done.err
    done = rimrep(world, "verify", TABLE, "--file", "a.csv")
    assert done.code == 2 and "only a grid's values" in done.err


def test_an_older_release_whose_table_is_gone_is_named(world, rimrep):
    gone = f"{TABLE}/versions/{own_version(world, TABLE, 1)}/data.parquet"
    public(world, gone).unlink()
    done = rimrep(world, "verify", TABLE, "--release", "1")
    assert done.code == 4
    assert f"{gone} is gone" in done.out
    assert rimrep(world, "verify", TABLE).code == 0


def test_without_drift_nothing_is_said_and_nothing_written(world, rimrep):
    before = world.files()
    for arguments in (["reconcile"], ["reconcile", "--fix"]):
        done = rimrep(world, *arguments)
        assert (done.code, done.out) == (0, "no drift\n")
    assert rimrep(world, "reconcile", "--json").json == []
    assert world.files() == before


def edit(path: str, change: Callable[[str], str]) -> Callable[[World], str]:
    """Damage that rewrites the document at ``path``; gives back what the finding must name."""

    def damage(world: World) -> str:
        target = public(world, path)
        changed = change(target.read_text())
        assert changed != target.read_text()
        target.write_text(changed)
        return path.removeprefix(f"{GRID}/")

    return damage


def remove(path: str) -> Callable[[World], str]:
    def damage(world: World) -> str:
        public(world, path).unlink()
        return path.rpartition("/")[2]

    return damage


def add(path: str, like: str) -> Callable[[World], str]:
    def damage(world: World) -> str:
        public(world, path).write_bytes(public(world, like).read_bytes())
        return path

    return damage


DRIFT = {
    "a changed STAC item": edit(f"stac/reef/items/{TABLE}.json", lambda t: t.replace("Title of", "Another title of")),
    "half a STAC item": edit(f"stac/reef/items/{TABLE}.json", lambda t: t[: len(t) // 2]),
    "a changed collection": edit("stac/reef/collection.json", lambda t: t.replace("Reefs", "Wrecks")),
    "half a collection": edit("stac/reef/collection.json", lambda t: t[: len(t) // 2]),
    "a changed STAC root": edit("stac/catalog.json", lambda t: t.replace("reef/collection", "reef/collections")),
    "half a datapackage": edit(f"{TABLE}/datapackage.json", lambda t: t[: len(t) // 2]),
    "half a pygeoapi entry": edit(f"pygeoapi/datasets/{GRID}.yaml", lambda t: t[: len(t) // 2]),
    "half an OpenAPI fragment": edit(f"pygeoapi/datasets/{GRID}.openapi.json", lambda t: t[: len(t) // 2]),
    "a changed pygeoapi entry": edit(f"pygeoapi/datasets/{GRID}.yaml", lambda t: t.replace("Title", "Name")),
    "a changed pygeoapi configuration": edit("pygeoapi/config-pygeoapi.yaml", lambda t: t.replace(TABLE, "x")),
    "a changed OpenAPI document": edit("pygeoapi/config-openapi.yaml", lambda t: t.replace(TABLE, "x")),
    "a changed datapackage": edit(f"{TABLE}/datapackage.json", lambda t: t.replace('"reef"', '"wreck"')),
    "a changed gridschema": edit(f"{GRID}/gridschema.json", lambda t: t.replace("heating", "cooling")),
    "changed metadata of an array": edit(f"{GRID}/data.zarr/heat/zarr.json", lambda t: t.replace("0.01", "0.02")),
    "a changed root of a grid": edit(f"{GRID}/data.zarr/zarr.json", lambda t: t.replace("0.01", "0.02")),
    "half a root of a grid": edit(f"{GRID}/data.zarr/zarr.json", lambda t: t[: len(t) // 2]),
    "a removed root of a grid": remove(f"{GRID}/data.zarr/zarr.json"),
    "a cut tableschema": edit(f"{TABLE}/tableschema.json", lambda t: t[:-1]),
    "a removed stable table": remove(f"{TABLE}/data.parquet"),
    "a removed collection": remove("stac/reef/collection.json"),
    "a removed configuration": remove("pygeoapi/config-pygeoapi.yaml"),
    "an orphaned STAC item": add("stac/reef/items/nobodys.json", f"stac/reef/items/{TABLE}.json"),
    "an orphaned pygeoapi entry": add("pygeoapi/datasets/nobodys.yaml", f"pygeoapi/datasets/{TABLE}.yaml"),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_found_named_and_mended(world, rimrep, kind):
    good = world.files()
    named = DRIFT[kind](world)
    damaged = world.files()
    found = rimrep(world, "reconcile")
    assert found.code == 4
    assert named in found.out
    assert world.files() == damaged
    mended = rimrep(world, "reconcile", "--fix")
    assert mended.code == 0, mended.out + mended.err
    assert "(mended)" in mended.out
    assert rimrep(world, "reconcile").out == "no drift\n"
    assert world.files() == good


def test_a_table_cut_short_at_its_stable_address_is_mended(world, rimrep):
    good = world.files()
    stable = public(world, f"{TABLE}/data.parquet")
    stable.write_bytes(stable.read_bytes()[:-100])
    assert rimrep(world, "reconcile", "--json").code == 4
    rows = rimrep(world, "reconcile", "--fix", "--json").json
    assert [(row["dataset"], row["fixed"]) for row in rows] == [(TABLE, True)]
    assert world.files() == good


def test_a_header_of_pygeoapi_that_is_no_yaml_is_named(world, rimrep):
    """The header is written by people; a publication finds it before its commit."""
    public(world, "pygeoapi/header.yaml").write_text("server: [")
    for arguments, code in ((["reconcile"], 2), (["publish", TABLE], 4)):
        write_table(world.source(TABLE), "d.csv", shift=4)
        done = rimrep(world, *arguments)
        assert done.code == code
        assert "pygeoapi/header.yaml" in done.err
        assert "Traceback" not in done.err
