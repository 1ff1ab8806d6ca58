"""The asset graph: what is in it, how it runs in process, and that the gate holds however it is run."""

from __future__ import annotations

import dagster as dg
import pytest

from rimrep_assets.definitions import definitions_at
from rimrep_assets.defs.graph import datasets_of, selection_for
from rimrep_assets.defs.names import key
from rimrep_assets.defs.resources import COMMIT_TAG
from rimrep_assets.defs.run import HOST, PID, STARTED, report_dead_runs, run_assets
from rimrep_assets_tests.ports.test_gate import reachable
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, curated, write_table

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """A described table that is not published yet; Dagster keeps nothing beyond the test."""
    world = World(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    return world


def graph(world: World, commit: str | None = None) -> dg.Definitions:
    return definitions_at(world.settings, commit or world.catalog.resolve())


def run(world: World, *assets: str, commit: str | None = None, instance=None, tags=None):
    """One run of some assets of the table, as the UI would launch it."""
    keys = [key(TABLE, asset) for asset in assets]
    job = graph(world, commit).resolve_implicit_job_def_def_for_assets(keys)
    return job.execute_in_process(
        asset_selection=keys, raise_on_error=False, run_config=QUIET, instance=instance, tags=tags or {}
    )


def publish(world: World) -> list:
    commit = world.catalog.resolve()
    return run_assets(graph(world), datasets_of(world.catalog.at(commit)), commit)


def test_the_assets_of_a_dataset_and_what_each_depends_on(world):
    nodes = graph(world).resolve_asset_graph()
    assert {
        "/".join(node.path): sorted("/".join(parent.path) for parent in nodes.get(node).parent_keys)
        for node in nodes.get_all_asset_keys()
    } == {
        f"{TABLE}/source": [],
        f"{TABLE}/data": [f"{TABLE}/source"],
        f"{TABLE}/facts": [f"{TABLE}/data"],
        f"{TABLE}/datapackage": [f"{TABLE}/facts"],
        f"{TABLE}/release": [f"{TABLE}/datapackage"],
        f"{TABLE}/stac_item": [f"{TABLE}/release"],
        f"{TABLE}/pygeoapi_entry": [f"{TABLE}/release"],
        "collections/reef": [f"{TABLE}/stac_item"],
    }


def test_a_dataset_has_one_group_and_at_most_four_ops(world):
    built = graph(world)
    own = [a for a in built.assets if isinstance(a, dg.AssetsDefinition) and TABLE in {k.path[0] for k in a.keys}]
    assert len(own) <= 4
    nodes = built.resolve_asset_graph()
    groups = {nodes.get(k).group_name for k in nodes.get_all_asset_keys() if k.path[0] == TABLE}
    assert groups == {"reef_sites"}


def test_two_datasets_come_from_one_factory(world):
    world.describe({**TABLE_YAML, "id": "other-sites"}, TABLE_SCHEMA)
    nodes = graph(world).resolve_asset_graph().get_all_asset_keys()
    assert {k.path[1] for k in nodes if k.path[0] == TABLE} == {k.path[1] for k in nodes if k.path[0] == "other-sites"}


def test_a_broken_folder_does_not_keep_the_other_datasets_out(world):
    world.write("datasets/broken/dataset.yaml", "id: [")
    world.commit("break one")
    assert [d.id for d in datasets_of(world.catalog.at(world.catalog.resolve()))] == [TABLE]


def test_a_run_publishes_and_a_second_run_says_that_nothing_changed(world):
    assert [e.kind for e in publish(world)] == [None]
    before = world.files()
    assert [e.kind for e in publish(world)] == [None]
    assert world.files() == before
    assert world.projector(TABLE).log.numbers() == [1]


def test_a_run_tells_what_an_engineer_wants_to_see(world):
    done = run(world, "data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")
    assert done.success
    told = {
        e.asset_key.path[-1]: {n: m.value for n, m in e.step_materialization_data.materialization.metadata.items()}
        for e in done.get_asset_materialization_events()
    }
    assert told["data"]["converted"] == 1
    assert told["data"]["extents_from_data"] == {"spatial": True, "temporal": True}
    assert told["facts"]["rows"] == 6
    assert told["release"]["release"] == 1
    observed = [e.asset_key.path for e in done.get_asset_observation_events()]
    assert observed == [[TABLE, "source"]]
    assert {c.check_name for c in done.get_asset_check_evaluations()} >= {"values_match_source", "complete"}


def break_the_schema(world: World, **more: str) -> None:
    fields = [f if f["name"] != "site" else {**f, "name": "station"} for f in TABLE_SCHEMA["fields"]]
    world.describe({**TABLE_YAML, **more, "layout": {"sort_by": ["time"]}}, {"fields": fields})


def test_the_gate_stops_a_whole_run_and_a_run_of_release_alone(world):
    publish(world)
    write_table(world.source(TABLE), "b.csv", shift=1)
    break_the_schema(world)
    before = reachable(world)
    whole = run(world, "data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")
    assert not whole.success
    assert reachable(world) == before
    alone = run(world, "release")
    assert not alone.success
    failure = next(e for e in alone.all_events if e.is_step_failure).step_failure_data.user_failure_data
    assert failure.metadata["error_kind"].value == "GateRefusal"
    assert "station" in failure.description
    assert reachable(world) == before
    assert world.projector(TABLE).log.numbers() == [1]


def test_a_run_of_release_alone_takes_a_candidate_that_waits(world):
    assert run(world, "data", "facts", "datapackage").success
    assert world.projector(TABLE).log.numbers() == []
    assert run(world, "release").success
    assert world.projector(TABLE).log.numbers() == [1]


def test_steps_may_be_run_one_by_one(world):
    for asset in ("data", "datapackage", "release"):
        selected = ("facts", "datapackage") if asset == "datapackage" else (asset,)
        assert run(world, *selected).success
    assert world.projector(TABLE).log.numbers() == [1]


def test_a_projection_alone_mends_what_was_damaged(world):
    publish(world)
    world.store.delete(f"stac/reef/items/{TABLE}.json")
    assert run(world, "stac_item").success
    assert world.store.stat(f"stac/reef/items/{TABLE}.json") is not None


def test_one_failed_dataset_does_not_keep_the_others_out(world):
    write_table(world.source("other-sites"), "a.csv")
    other = {**TABLE_YAML, "id": "other-sites", "source": {**TABLE_YAML["source"], "url": "../sources/other-sites"}}
    world.describe(other, TABLE_SCHEMA)
    break_the_schema(world)
    endings = {e.dataset: e for e in publish(world)}
    assert endings[TABLE].kind == "GateRefusal"
    assert "station" in endings[TABLE].message
    assert endings["other-sites"].kind is None
    assert world.projector("other-sites").log.numbers() == [1]
    assert world.store.stat("stac/reef/collection.json") is not None


def test_a_run_is_configured_by_its_tagged_commit_although_head_moved_on(world):
    old = world.catalog.resolve()
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, title="Of a later commit"))
    world.commit("a new title")
    steps = ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")
    assert run(world, *steps, commit=old, tags={COMMIT_TAG: old}).success
    assert world.projector(TABLE).log.newest().datapackage["title"] == f"Title of {TABLE}"


def test_an_untagged_run_is_stamped_with_its_commit(world, monkeypatch):
    monkeypatch.delenv("RIMREP_CATALOG_COMMIT", raising=False)
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(world, "data", instance=instance)
        assert instance.get_run_by_id(done.run_id).tags[COMMIT_TAG] == world.catalog.resolve()


def test_an_error_that_no_retry_mends_ends_the_runs_retries(world):
    (world.source(TABLE) / "a.csv").write_text("")
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(world, "data", instance=instance)
        assert not done.success
        tags = instance.get_run_by_id(done.run_id).tags
    assert tags["dagster/retry_on_asset_or_op_failure"] == "false"
    assert len([e for e in done.all_events if e.is_step_up_for_retry]) == 0


def test_a_run_whose_process_is_gone_is_reported_as_failed():
    import socket

    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.job(name="j")(lambda: None)
        tags = {HOST: socket.gethostname(), PID: "999999", STARTED: "1"}
        dead = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        elsewhere = instance.create_run_for_job(
            job, tags={**tags, HOST: "another-host"}, status=dg.DagsterRunStatus.STARTED
        )
        report_dead_runs(instance)
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(elsewhere.run_id).status == dg.DagsterRunStatus.STARTED


def test_the_selection_of_a_publication_is_everything_of_its_datasets(world):
    datasets = datasets_of(world.catalog.at(world.catalog.resolve()))
    assert {"/".join(k.path) for k in selection_for(datasets)} == {
        *(f"{TABLE}/{s}" for s in ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")),
        "collections/reef",
    }


CANARY = "CANARYVALUE"
LIMITED = {"access": "limited", "data_sharing_agreement": "DSA-7"}


def test_values_of_limited_data_stay_out_of_messages_events_and_the_public_store(world, caplog, capfd):
    world.describe({**TABLE_YAML, **LIMITED}, TABLE_SCHEMA)
    write_table(world.source(TABLE), "a.csv", site=CANARY)
    break_the_schema(world, **LIMITED)
    fields = [{**f, "type": "integer"} if f["name"] == "site" else f for f in TABLE_SCHEMA["fields"]]
    world.write(f"datasets/{TABLE}/tableschema.json", {"fields": fields})
    world.commit("promise numbers")
    commit = world.catalog.resolve()
    with dg.DagsterInstance.ephemeral() as instance:
        refused = run(world, "data", "facts", "datapackage", "release", instance=instance)
        (world.source(TABLE) / "b.csv").write_text(f"site,long,lat,time,temperature\n{CANARY},1,2\n")
        broken = run(world, "data", instance=instance)
        logs = [str(record) for done in (refused, broken) for record in instance.all_logs(done.run_id)]
    assert not refused.success
    assert not broken.success
    assert "they quote limited data" in "".join(logs)
    assert CANARY not in "".join(logs) + caplog.text + "".join(capfd.readouterr())
    endings = run_assets(graph(world), datasets_of(world.catalog.at(commit)), commit)
    assert endings[0].kind == "DataError"
    assert CANARY not in endings[0].message
    public = {p: b for p, b in world.files().items() if not p.startswith("limited-access/")}
    assert not [p for p, b in public.items() if CANARY.encode() in b]
    assert any(CANARY.encode() in b for p, b in world.files().items() if p.startswith("limited-access/"))


def test_a_dataset_that_became_limited_is_refused_while_its_public_releases_stand(world):
    publish(world)
    world.describe({**TABLE_YAML, **LIMITED}, TABLE_SCHEMA)
    ending = publish(world)[0]
    assert ending.kind == "DefinitionError"
    assert "the public store" in ending.message


def test_the_definitions_module_loads_nothing_heavy():
    import subprocess
    import sys

    heavy = ["numpy", "pandas", "pyarrow", "xarray", "zarr", "icechunk", "duckdb", "h5py", "netCDF4", "geopandas"]
    heavy += ["shapely", "pystac", "pygeoapi", "obstore", "requests", "matplotlib", "frictionless", "dagster_aws"]
    code = f"import sys, rimrep_assets.definitions; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dagster_finds_the_definitions_valid(world, monkeypatch, tmp_path):
    import os
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "RIMREP_CATALOG": str(world.catalog_folder),
        "DAGSTER_HOME": str(tmp_path),
        "PYTHONWARNINGS": "ignore",
    }
    (tmp_path / "dagster.yaml").write_text((root / "dagster.yaml").read_text())
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(root / "workspace.yaml")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr


def test_a_run_of_the_command_line_waits_in_no_pool_and_others_take_turns_at_the_data_alone(world):
    commit = world.catalog.resolve()
    launched = definitions_at(world.settings, commit).resolve_asset_graph()
    own = definitions_at(world.settings, commit, pooled=False).resolve_asset_graph()
    keys = [k for k in launched.get_all_asset_keys() if not launched.get(k).is_external]
    assert {k.path[-1] for k in keys if launched.get(k).pools} == {"data"}
    assert not any(own.get(k).pools for k in keys)
