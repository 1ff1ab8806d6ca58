"""`rimrep publish`, `check`, `plan` and `releases` as people use them: what is printed, and the exit codes.

Here belongs what a person or a script sees of the command. Not here: `verify` and `reconcile`
(``test_drift``), environments and access classes (``test_environments``), wrong input (``test_bad_input``).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rimrep_assets_tests.homes import Home, publish_both, rimrep_process
from rimrep_assets_tests.months import table_yaml, write_month
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_day, write_table

SHAPE = ["dataset", "release", "data", "datapackage", "stac_item", "pygeoapi"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    made = Home(tmp_path_factory.mktemp("command"))
    publish_both(World(made.root))
    made.keep()
    return made


@pytest.fixture
def world(home) -> World:
    """A table and a grid, both at release 1."""
    return home.world()


def release_of(world: World, dataset: str) -> int:
    return max(int(p.stem) for p in (Path(world.store_url) / "public" / dataset / "releases").iterdir())


def test_a_process_publishes_and_prints_release_and_addresses_that_open(tmp_path):
    import geopandas

    world = World(tmp_path)
    frame = write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    done = rimrep_process(world, "publish", TABLE, "--json")
    assert done.code == 0, done.err
    (row,) = done.json
    assert [key for key in row if key in SHAPE] == SHAPE
    assert (row["dataset"], row["release"]) == (TABLE, 1)
    assert len(geopandas.read_parquet(row["data"])) == len(frame)
    assert json.loads(Path(row["datapackage"]).read_text())["name"] == TABLE
    assert json.loads(Path(row["stac_item"]).read_text())["id"] == TABLE
    assert row["pygeoapi"] == f"https://pygeoapi.development.example/collections/{TABLE}"


def test_publishing_says_the_release_and_every_address(world, rimrep):
    write_table(world.source(TABLE), "c.csv", shift=2)
    done = rimrep(world, "publish", TABLE)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == f"{TABLE}: published release 2"
    assert [line.split()[0] for line in lines[1:]] == ["data", "datapackage", "stac_item", "pygeoapi"]
    assert all(Path(line.split()[1]).exists() for line in lines[1:4])


@pytest.mark.parametrize("datasets", [[TABLE, GRID], [GRID]])
def test_publishing_again_says_that_nothing_changed_and_writes_nothing(world, rimrep, datasets):
    before, times = world.files(), mtimes(world)
    done = rimrep(world, "publish", *datasets)
    assert done.code == 0
    for dataset in datasets:
        assert f"{dataset}: nothing changed, still release 1" in done.out
    assert world.files() == before
    assert mtimes(world) == times


def mtimes(world: World) -> dict[Path, int]:
    root = Path(world.store_url)
    return {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file() and ".locks" not in p.parts}


@pytest.mark.parametrize(("dataset", "name"), [(GRID, "heat_2024-01-01.nc"), (TABLE, "a.csv")])
def test_a_source_file_that_got_another_name_is_published_under_it(world, rimrep, dataset, name):
    """A grid's stored bytes are the same then, and Icechunk refuses to commit nothing."""
    old = world.projector(dataset).log.newest()
    (world.source(dataset) / name).rename(world.source(dataset) / f"renamed {name}")
    done = rimrep(world, "publish", dataset, "--json")
    assert done.code == 0, done.err
    new = world.projector(dataset).log.newest()
    assert (new.release, new.facts.bbox, new.snapshot) == (2, old.facts.bbox, old.snapshot)
    assert f"renamed {name}" in {file.name for file in new.sources}
    assert rimrep(world, "verify", dataset).code == 0
    assert rimrep(world, "reconcile").out == "no drift\n"
    assert "nothing changed" in rimrep(world, "publish", dataset).out


def test_a_file_that_stands_twice_under_two_names_counts_once_in_a_grid(world, rimrep):
    import xarray as xr

    write_day(world.source(GRID), 0, name="again.nc")
    done = rimrep(world, "publish", GRID, "--json")
    assert done.code == 0, done.err
    with xr.open_zarr(done.json[0]["data"]) as grid:
        assert grid.sizes["time"] == 2


def test_one_dataset_that_fails_does_not_keep_the_others_from_being_published(world, rimrep):
    write_day(world.source(GRID), 2)
    (world.source(TABLE) / "bad.csv").write_text("site,long\nx,1\n")
    done = rimrep(world, "publish", TABLE, GRID, "--json")
    assert done.code == 2
    assert [(row["dataset"], row["release"]) for row in done.json] == [(GRID, 2)]
    assert "bad.csv" in done.err
    assert release_of(world, TABLE) == 1


def test_an_unknown_dataset_is_told_with_the_nearest_name(world, rimrep):
    done = rimrep(world, "publish", "reef-sits")
    assert done.code == 2
    assert "did you mean 'reef-sites'?" in done.err
    assert "Traceback" not in done.err


def test_all_unknown_datasets_are_told_at_once(world, rimrep):
    done = rimrep(world, "publish", "reef-sits", "reef-haet")
    assert done.code == 2
    assert "reef-sits" in done.err
    assert "reef-haet" in done.err


def test_an_unknown_option_is_exit_code_2(world, rimrep):
    assert rimrep(world, "publish", TABLE, "--catalogue", "x").code == 2
    assert rimrep(world, "pulish", TABLE).code == 2


@pytest.mark.parametrize("what", ["a folder without git", "nothing"])
def test_a_catalog_that_is_no_git_repository_is_named(world, rimrep, tmp_path, what):
    place = tmp_path / "elsewhere"
    if what == "a folder without git":
        place.mkdir()
    done = rimrep(world, "publish", TABLE, "--catalog", str(place))
    assert done.code == 2
    assert str(place) in done.err
    assert "Traceback" not in done.err


def test_a_commit_that_does_not_exist_is_named(world, rimrep):
    done = rimrep(world, "publish", TABLE, "--at", "0123456")
    assert done.code == 2
    assert "0123456" in done.err


def test_an_environment_without_endpoints_is_told_with_those_that_there_are(world, rimrep):
    done = rimrep(world, "publish", TABLE, "--environment", "staging")
    assert done.code == 2
    assert "development, production" in done.err


def test_an_older_commit_can_be_published(world, rimrep):
    old = world.catalog.resolve()
    world.describe({**TABLE_YAML, "source": {**TABLE_YAML["source"], "include": "a.csv"}}, TABLE_SCHEMA)
    assert "nothing changed" in rimrep(world, "publish", TABLE, "--at", old).out
    assert rimrep(world, "publish", TABLE, "--json").json[0]["release"] == 2


def test_a_schema_that_differs_stops_with_every_difference_and_nothing_is_changed(world, rimrep):
    before = reachable(world)
    fields = TABLE_SCHEMA["fields"][1:]
    ordered = {**TABLE_YAML, "layout": {"sort_by": ["time"]}}
    world.describe(ordered, {"fields": [*fields, {"name": "depth", "type": "number"}]})
    done = rimrep(world, "publish", TABLE)
    assert done.code == 4
    told = done.err
    assert "schema_matches_catalog" in told
    assert "site" in told
    assert "depth" in told
    assert "nothing was published" in told
    assert reachable(world) == before


def reachable(world: World) -> dict[str, bytes]:
    """All that a reader can reach: everything but staging and versions, and all versions that a record names."""
    return {
        path: data
        for path, data in world.files().items()
        if "/staging/" not in path and "/versions/" not in path and "data.icechunk" not in path
    }


def test_check_says_that_a_good_catalog_is_valid(world, rimrep):
    done = rimrep(world, "check")
    assert done.code == 0
    assert f"{TABLE}: valid" in done.out
    assert f"{GRID}: valid" in done.out


def test_check_says_everything_that_is_wrong_at_once(world, rimrep):
    world.write(f"datasets/{TABLE}/dataset.yaml", {**TABLE_YAML, "accces": "public", "format": "parket"})
    package = json.loads((world.catalog_folder / f"datasets/{GRID}/datapackage.json").read_text())
    del package["title"], package["licenses"]
    world.write(f"datasets/{GRID}/datapackage.json", package)
    world.commit()
    done = rimrep(world, "check")
    assert done.code == 2
    for wrong in ("accces", "'access'", "parket", "title", "licenses"):
        assert wrong in done.out
    problems = rimrep(world, "check", "--json").json["problems"]
    assert len(problems[TABLE]) >= 2
    assert len(problems[GRID]) >= 2


def test_check_names_a_schema_that_is_not_written_yet(world, rimrep):
    (world.catalog_folder / f"datasets/{GRID}/gridschema.json").unlink()
    world.commit()
    done = rimrep(world, "check", GRID)
    assert done.code == 2
    assert "gridschema.json is missing" in done.out


def due(done) -> list[tuple[str, str]]:
    return [(step["dataset"], step["step"]) for step in done.json]


def test_plan_says_what_was_never_released_and_writes_nothing(tmp_path, rimrep):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    done = rimrep(world, "plan", "--json")
    assert due(done) == [(TABLE, "data"), (TABLE, "datapackage"), (TABLE, "release")]
    assert "never released" in done.json[0]["reason"]
    assert world.files() == {}


def test_plan_says_that_nothing_is_due(world, rimrep):
    done = rimrep(world, "plan")
    assert (done.code, done.out) == (0, "nothing is due\n")


def test_plan_says_what_a_changed_source_makes_due(world, rimrep):
    write_table(world.source(TABLE), "a.csv", shift=7)
    done = rimrep(world, "plan", "--json")
    assert due(done) == [(TABLE, "data"), (TABLE, "datapackage"), (TABLE, "release")]
    assert "1 " in done.json[0]["reason"]
    rimrep(world, "publish", TABLE)
    assert due(rimrep(world, "plan", "--json")) == []


def test_plan_says_that_new_metadata_touches_no_data(world, rimrep):
    first = world.catalog.resolve()
    second = world.describe(TABLE_YAML, TABLE_SCHEMA, title="A better title")
    wanted = [(TABLE, "datapackage"), (TABLE, "release")]
    assert due(rimrep(world, "plan", "--json")) == wanted
    assert due(rimrep(world, "plan", "--json", "--from", first, "--to", second)) == wanted
    assert due(rimrep(world, "plan", "--json", "--from", second, "--to", second)) == []
    assert due(rimrep(world, "plan", "--json", "--to", first)) == []


def test_plan_between_commits_says_what_another_layout_makes_due(world, rimrep):
    first = world.catalog.resolve()
    world.describe({**GRID_YAML, "layout": {**GRID_YAML["layout"], "chunks": {"time": 1}}}, None)
    done = rimrep(world, "plan", "--json", "--from", first)
    assert due(done) == [(GRID, "data"), (GRID, "datapackage"), (GRID, "release")]
    assert "laid out" in done.json[0]["reason"]


def test_releases_are_listed_newest_first(world, rimrep):
    write_table(world.source(TABLE), "c.csv", shift=2)
    rimrep(world, "publish", TABLE)
    done = rimrep(world, "releases", TABLE)
    assert [line.split()[:2] for line in done.out.splitlines()] == [["release", "2"], ["release", "1"]]
    listed = rimrep(world, "releases", TABLE, "--json").json
    assert [(r["release"], r["source_files"]) for r in listed] == [(2, 3), (1, 2)]
    assert all(json.loads(Path(r["datapackage"]).read_text())["rimrep"]["release"] == r["release"] for r in listed)


def test_a_dataset_without_releases_says_so(world, rimrep):
    world.describe({**TABLE_YAML, "id": "reef-new"}, TABLE_SCHEMA)
    assert rimrep(world, "releases", "reef-new").out == "reef-new has no release\n"
    assert rimrep(world, "releases", "reef-nwe").code == 2


def test_a_source_whose_server_is_down_is_exit_code_3_and_changes_nothing(world, rimrep, monkeypatch):
    from rimrep_assets.defs import failures
    from rimrep_assets.ports.sources.http_client import HttpClient
    from rimrep_assets.stack.processes import free_port

    monkeypatch.setattr(HttpClient, "wait", lambda *_: None)
    monkeypatch.setattr(failures, "FIRST_WAIT_S", 0)
    before = world.files()
    url = f"http://127.0.0.1:{free_port()}/"
    world.describe({**TABLE_YAML, "source": {"kind": "http", "url": url, "include": "*.csv"}}, TABLE_SCHEMA)
    done = rimrep(world, "publish", TABLE)
    assert done.code == 3
    assert url in done.err
    assert "try again later" in done.err
    assert world.files() == before


def test_h_is_help(world, rimrep):
    for words in ([], ["publish"]):
        short, long = rimrep(world, *words, "-h"), rimrep(world, *words, "--help")
        assert (short.code, short.out) == (0, long.out)


def test_the_releases_of_a_dataset_that_the_catalog_lost_are_listed_and_verified(world, rimrep):
    shutil.rmtree(world.catalog_folder / f"datasets/{TABLE}")
    world.commit()
    listed = rimrep(world, "releases", TABLE, "--json")
    assert (listed.code, [row["release"] for row in listed.json]) == (0, [1])
    assert f"note: the catalog has no datasets/{TABLE}/dataset.yaml" in listed.err
    assert f"its releases are in {world.store_url}" in listed.err
    verified = rimrep(world, "verify", TABLE, GRID)
    assert verified.code == 0, verified.out
    assert f"{TABLE}: release 1 holds" in verified.out
    for name in ("reef-sits", "stac", "../public"):
        assert rimrep(world, "releases", name).code == 2


def test_check_of_a_folder_that_is_not_there_says_only_that(world, rimrep):
    done = rimrep(world, "check", "reef-sits", "--json")
    assert done.code == 2
    (problem,) = done.json["problems"]["reef-sits"]
    assert "the catalog has no datasets/reef-sits/dataset.yaml" in problem
    assert "did you mean 'reef-sites'?" in problem


def test_partitions_of_a_dataset_that_has_none_are_refused_with_one_advice(world, rimrep):
    done = rimrep(world, "publish", TABLE, "--partition", "2024-03")
    assert (done.code, done.err.strip()) == (2, f"{TABLE} is not partitioned: leave --partition out")


def test_a_partition_without_a_source_file_is_told(tmp_path, rimrep):
    world = World(tmp_path)
    for month in ("2024-01", "2024-03"):
        write_month(world, month)
    world.describe(table_yaml(), TABLE_SCHEMA)
    for wrong, why in (("2024-3", "'2024-3' is not a month like 2024-01"), ("2024-03..2024-04", "three dots")):
        done = rimrep(world, "publish", TABLE, "--partition", wrong)
        assert done.code == 2
        assert why in done.err and "its partitions are 2024-01 to 2024-12" in done.err
    done = rimrep(world, "publish", TABLE, "--partition", "2024-01...2024-03")
    assert done.code == 0, done.err
    assert f"{TABLE}: no source file for 2024-02\n" in done.err
    done = rimrep(world, "publish", TABLE, "--partition", "2024-02")
    assert (done.code, done.out.splitlines()[0]) == (0, f"{TABLE}: nothing changed, still release 1")
    assert f"{TABLE}: no source file for 2024-02\n" in done.err
    assert "no source file" not in rimrep(world, "publish", TABLE, "--partition", "2024-03").err
    assert (
        "no source file for 2024-04 to 2024-12" in rimrep(world, "publish", TABLE, "--partition", "2024-04...2024").err
    )
