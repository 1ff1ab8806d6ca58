"""A catalog of a thousand datasets: loading its graph, planning a merge, a tick of the sensors, a change of words.

Here belong the generated catalog and these measurements. Not here: conversion (``grids``, ``tables``).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.inputs import Size
from benchmarks.measuring import ROOT, Clock
from benchmarks.measuring import load as preload

DATA = re.compile(r"data\.parquet|/parts?[/-]|data\.zarr/.+/c(/|$)|data\.icechunk/chunks/")
"""objects that hold data, not descriptions of it"""
LARGEST_COORDINATE = 2048
"""bytes; pygeoapi is told a grid's coordinates, which are chunks of their own, the smallest that there are"""
DUE = 20
"""sources that are due in the measured tick"""
FILES = 30
"""files in each of them"""
COLLECTION = """local endpoints = import 'endpoints.libsonnet';
local words = import 'lib/words.libsonnet';
{ type: 'Collection', stac_version: '1.0.0', id: '%s', title: words.title, description: 'Generated.',
  license: 'CC-BY-4.0', links: [{ rel: 'describedby', href: endpoints.pygeoapi }] }
"""


def _dataset(name: str, collection: str, partitioned: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": name,
        "collection": collection,
        "format": "parquet",
        "access": "public",
        "coordinates": {"x": "lon", "y": "lat", "t": "time"},
        "source": {"kind": "local", "url": f"../sources/{name}", "include": "*.csv"},
        "convert": [{"read_csv": {"timezone": "Australia/Brisbane"}}],
        "layout": {"sort_by": ["site", "time"]},
        "update": {"schedule": "15 2 * * *", "timezone": "Australia/Sydney", "expected": "daily"},
    }
    if partitioned:
        told["partition"] = {"by": "month", "start": "2015-01", "file_time": "*_%Y%m%d.csv"}
    return told


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A Curator", "-c", "user.email=curator@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_catalog(folder: Path, datasets: int) -> tuple[str, str]:
    """Commit ``datasets`` datasets in collections of twenty, half of them partitioned, then a merge that touches one.

    Returns the two commits.
    """
    import yaml

    schema = {"fields": [{"name": "site", "type": "string"}, {"name": "time", "type": "datetime"}]}
    texts: dict[str, str] = {
        "lib/words.libsonnet": "{ title: 'Generated' }",
        "templates/gbr-dms-data-package.json": (
            files("rimrep_examples") / "catalog/templates/gbr-dms-data-package.json"
        ).read_text(),
        "endpoints/development.libsonnet": json.dumps({"pygeoapi": "http://127.0.0.1:5050", "store": None}),
    }
    for number in range(datasets):
        name, collection = f"set-{number:04d}", f"group-{number // 20:03d}"
        texts[f"collections/{collection}/collection.jsonnet"] = COLLECTION % collection
        texts[f"datasets/{name}/dataset.yaml"] = yaml.safe_dump(_dataset(name, collection, bool(number % 2)))
        texts[f"datasets/{name}/tableschema.json"] = json.dumps(schema)
        texts[f"datasets/{name}/datapackage.json"] = json.dumps({"name": name, "title": f"Set {number}"})
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "a thousand datasets")
    before = _git(folder, "rev-parse", "HEAD")
    (folder / "datasets/set-0000/datapackage.json").write_text(json.dumps({"name": "set-0000", "title": "Another"}))
    _git(folder, "commit", "--quiet", "--all", "--message", "a merge that touches one")
    # As a catalog that was cloned or fetched is kept.
    _git(folder, "gc", "--quiet")
    return before, _git(folder, "rev-parse", "HEAD")


def _environment(out: Path, catalog: Path) -> None:
    told = {"RIMREP_CATALOG": catalog, "RIMREP_STORE": out / "store", "RIMREP_DATA": out / "data"}
    os.environ.update({name: str(value) for name, value in told.items()})
    for name in ("DAGSTER_HOME", "RIMREP_CATALOG_COMMIT", "RIMREP_ENVIRONMENT"):
        os.environ.pop(name, None)


def load(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """CPU seconds, imports included, and peak memory of loading the definitions and resolving the asset graph."""
    folder = out / "catalog"
    folder.mkdir()
    _environment(out, folder)
    make_catalog(folder, size.catalog)
    # The generator is not the graph's.
    begin = time.process_time()
    import dagster as dg

    from rimrep_assets import definitions

    repository = definitions.defs().get_repository_def()
    repository.load_all_definitions()
    keys = repository.asset_graph.get_all_asset_keys()
    assert len(keys) >= size.catalog * 7, len(keys)
    assert isinstance(repository, dg.RepositoryDefinition)
    clock.seconds = time.process_time() - begin


def merge(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Seconds from two commits to what the merge between them makes due; what is imported is not timed."""
    from rimrep_assets.domain.plan import STEPS
    from rimrep_assets.ports.due_work import plan_between
    from rimrep_assets.ports.workbench import Settings

    folder = out / "catalog"
    folder.mkdir()
    _environment(out, folder)
    before, after = make_catalog(folder, size.catalog)
    settings = Settings.from_environment(os.environ)
    settings.stores({})
    preload("jsonschema")
    with clock:
        catalog = settings.open_catalog()
        old, new = catalog.at(before), catalog.at(after)
        due = plan_between(old, new, settings, new.dataset_ids)
    assert {d.dataset for d in due} == {"set-0000"}, due
    assert {d.step for d in due} == set(STEPS) - {"data"}, due


def tick(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """CPU seconds of a tick of the source sensor: the sources of 20 released datasets are due, 5 have a new file."""
    import dagster as dg

    from rimrep_assets.definitions import defs
    from rimrep_assets.defs.resources import Platform
    from rimrep_assets.defs.source_sensor import SourceCursor, Watched, source_sensor

    folder = out / "catalog"
    folder.mkdir()
    _environment(out, folder)
    make_catalog(folder, size.catalog)
    names = [f"set-{number:04d}" for number in range(DUE)]
    _release(out, names)
    for name in names[:5]:
        (out / "sources" / name / "x_20300101.csv").write_text("new")
    line = "15 2 * * * Australia/Sydney"
    coming = time.time() + 3600
    known = {f"set-{n:04d}": Watched(line=line, next=0 if n < DUE else coming) for n in range(size.catalog)}
    cursor = SourceCursor(watched=known).model_dump_json()
    sensor, repository = source_sensor(), defs().get_repository_def()
    # A code server did so when it was loaded.
    repository.load_all_definitions()
    with dg.DagsterInstance.local_temp(str(out)) as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"platform": Platform()}, repository_def=repository
        )
        begin = time.process_time()
        result = sensor.evaluate_tick(context)
        clock.seconds = time.process_time() - begin
    assert len(result.run_requests or ()) == 5, (result.skip_message, result.run_requests)


def _release(out: Path, names: list[str]) -> None:
    """Let each dataset have a release that was made from the files of its source, which are looked at once."""
    from rimrep_assets.domain.facts import Facts
    from rimrep_assets.domain.release import Cost, Fingerprints, ReleaseRecord, StoredFile
    from rimrep_assets.ports.release_log import ReleaseLog
    from rimrep_assets.ports.sources.open_source import source_for
    from rimrep_assets.ports.workbench import Settings

    settings = Settings.from_environment(os.environ)
    catalog = settings.open_catalog()
    at = catalog.at(catalog.resolve())
    for name in names:
        source = out / "sources" / name
        source.mkdir(parents=True)
        for number in range(FILES):
            path = source / f"x_2024{number // 28 + 1:02d}{number % 28 + 1:02d}.csv"
            path.write_text(f"site,time\n{name},2024-01-01\n")
            # Of a file that was written just now a digest is not believed later.
            os.utime(path, (1_700_000_000, 1_700_000_000))
    # The times of the inodes cannot be set.
    time.sleep(2.1)
    for name in names:
        dataset = at.dataset(name)
        seen = source_for(dataset, catalog.place, settings.cache, allowed_roots=(out / "sources",)).look()
        nothing: dict[str, Any] = {}
        record = ReleaseRecord(
            **{"dataset": name, "release": 1, "base": None, "attempt": "a", "created": "2026-01-01T00:00:00Z"},
            **{"format": "parquet", "access": "public", "collection": dataset.collection, "environment": "development"},
            **{"catalog": "", "catalog_commit": at.commit, "catalog_time": "", "code_version": "1", "version": "1-a-1"},
            fingerprints=Fingerprints(data="d", documents="d"),
            data_version="1-a-1",
            sources=tuple(seen),
            objects=(),
            table_or_grid_schema=nothing,
            facts=Facts(format="parquet"),
            datapackage=nothing,
            stac_item=nothing,
            stac_collection=nothing,
            pygeoapi_entry=nothing,
            openapi_fragment=nothing,
            receipt=StoredFile(path="receipt.json", sha256="", bytes=0),
            cost=Cost(),
            kept=(1,),
            dropped=(),
        )
        assert ReleaseLog(settings.store_for("public"), name).create(1, record.to_bytes())


def metadata_only(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Seconds of the run that a new title asks for, on S3; the clock keeps the slowest dataset's.

    Raises: AssertionError when an object of data was read or written.
    """
    from rimrep_assets.stack.s3_server import S3Server

    folder = out / "s3"
    folder.mkdir()
    with S3Server(folder, buckets=["platform"]) as server:
        catalog = out / "data/catalog.git"
        _environment(out, catalog)
        os.environ.update({"RIMREP_STORE": "s3://platform/bench", **server.client_environment()})
        # In another process, so that the measured run imports what it needs, as a run process does.
        command = [sys.executable, "-m", "rimrep_assets.cli", "publish", *size.datasets]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        work = out / "work"
        _git(out, "clone", "--quiet", str(catalog), str(work))
        for name in size.datasets:
            path = work / f"datasets/{name}/datapackage.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "title": "Another title"}))
        _git(work, "commit", "--quiet", "--all", "--message", "other titles")
        _git(work, "push", "--quiet", "origin", "HEAD")
        server.forget_requests()
        for name in size.datasets:
            clock.seconds = max(clock.seconds, _run_documents(name))
        requests = [r for r in server.requests() if r["method"] != "HEAD" and DATA.search(r["path"])]
        touched = [r for r in requests if r["method"] != "GET" or r["sent"] > LARGEST_COORDINATE]
        assert server.requests() and not touched, touched


def _run_documents(name: str) -> float:
    """Wall seconds of the steps after the data, run as the graph runs them."""
    from rimrep_assets.definitions import definitions_at
    from rimrep_assets.defs.graph import selection_for
    from rimrep_assets.defs.names import key
    from rimrep_assets.defs.resources import COMMIT_TAG
    from rimrep_assets.ports.workbench import Settings

    settings = Settings.from_environment(os.environ)
    catalog = settings.open_catalog()
    commit = catalog.resolve()
    keys = selection_for([catalog.at(commit).dataset(name)])
    keys.remove(key(name, "data"))
    job = definitions_at(settings, commit, pooled=False).resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    begin = time.perf_counter()
    done = job.execute_in_process(asset_selection=keys, tags={COMMIT_TAG: commit}, run_config=quiet)
    assert done.success
    assert "release 2" in str([e.step_materialization_data for e in done.get_asset_materialization_events()])
    return time.perf_counter() - begin
