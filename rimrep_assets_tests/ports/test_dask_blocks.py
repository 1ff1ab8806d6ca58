"""Blocks written by dask's workers: real schedulers and workers as processes, one of which is killed half way."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from rimrep_assets.domain.dask_resources import Dask
from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.ports import dask_blocks
from rimrep_assets.ports.dask_cluster import Workers, open_workers
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.stack.dask_cluster import DaskScheduler, DaskWorker
from rimrep_assets_tests.grid_worlds import assert_equals_sources
from rimrep_assets_tests.worlds import GRID, GRID_YAML, World

DAYS = 40
LAT, LON = 40, 60


def write_days(folder: Path, days: int = DAYS) -> list[Path]:
    """Daily files of packed noise, with a thin series besides, whose chunk holds many days."""
    paths = []
    for day in range(days):
        paths.append(folder / f"heat_{day:03}.nc")
        with netCDF4.Dataset(paths[-1], "w") as file:
            for name, size in (("time", 1), ("lat", LAT), ("lon", LON), ("nv", 2)):
                file.createDimension(name, size)
            time = file.createVariable("time", "i4", ("time",))
            time.setncatts({"units": "days since 2024-01-01", "bounds": "time_bounds"})
            time[:] = [day]
            file.createVariable("time_bounds", "f8", ("time", "nv"))[:] = [[day, day + 1]]
            file.createVariable("lat", "f8", ("lat",))[:] = np.linspace(-10, -20, LAT)
            file.createVariable("lon", "f8", ("lon",))[:] = np.linspace(145, 155, LON)
            heat = file.createVariable("heat", "i2", ("time", "lat", "lon"), zlib=True, fill_value=-32768)
            heat.setncatts({"scale_factor": 0.01, "units": "degree_Celsius_weeks"})
            heat.set_auto_maskandscale(False)
            heat[:] = np.random.default_rng(day).integers(0, 3000, (1, LAT, LON))
    return paths


def described(root: Path, dask: dict, source: dict | None = None) -> World:
    world = World(root)
    layout = {"chunks": {"time": 1, "lat": LAT, "lon": LON}, "plain": False}
    asked = {**GRID_YAML, "layout": layout, "resources": {"dask": dask}}
    world.describe({**asked, "source": source or GRID_YAML["source"]}, None)
    return world


def staged(world: World, **more):
    """One staging, and what it said while it ran."""
    said: list[str] = []
    publication = world.attempt(GRID)
    bench = replace(publication.bench, progress=said.append, **more)
    return type(publication)(bench).stage()[1], said


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers, each a process of its own; a test that kills one starts another before."""
    root = tmp_path_factory.mktemp("cluster")
    with ExitStack() as running:
        scheduler = running.enter_context(DaskScheduler(root / "scheduler"))
        workers = [DaskWorker(scheduler.address, root / f"worker-{n}") for n in (1, 2)]
        yield scheduler, [running.enter_context(worker) for worker in workers]


def chunks_of(world: World) -> int:
    folder = Path(world.store_url) / "public" / GRID / "data.icechunk" / "chunks"
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def kill_when(world: World, worker: DaskWorker, chunks: int, seen: list[int]) -> threading.Thread:
    """SIGKILL ``worker`` as soon as so many chunks were written."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            if (count := chunks_of(world)) >= chunks:
                os.kill(worker.pid, signal.SIGKILL)
                seen.append(count)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.ended = ended
    thread.start()
    return thread


def test_a_scheduler_and_two_workers_write_what_the_sources_hold(tmp_path, cluster):
    world = described(tmp_path, {"scheduler": cluster[0].address})
    paths = write_days(world.source(GRID), 12)
    done, said = staged(world)
    assert_equals_sources(world, done.snapshot, paths, "heat", "time_bounds")
    assert f"writing 12 blocks with the workers of the dask scheduler {cluster[0].address}" in said
    alone = described(tmp_path / "alone", {"workers": 1})
    write_days(alone.source(GRID), 12)
    state = GridState.model_validate(done.state)
    publication = alone.attempt(GRID)
    in_threads = publication.bench.folder.dataset.model_copy(update={"resources": None})
    folder = replace(publication.bench.folder, dataset=in_threads)
    other = type(publication)(replace(publication.bench, folder=folder)).stage()[1]
    assert other.digests == done.digests
    assert GridState.model_validate(other.state) == state


def test_a_worker_killed_half_way_loses_and_doubles_nothing(tmp_path, cluster):
    scheduler = cluster[0]
    world = described(tmp_path, {"scheduler": scheduler.address})
    paths = write_days(world.source(GRID))
    killed_at: list[int] = []
    with DaskWorker(scheduler.address, tmp_path / "victim") as victim:
        killer = kill_when(world, victim, DAYS // 4, killed_at)
        done, _ = staged(world)
        killer.ended.set()
        killer.join()
        assert victim._process.wait(10) != 0
    assert killed_at
    assert killed_at[0] < DAYS
    assert_equals_sources(world, done.snapshot, paths, "heat", "time_bounds")
    grid = GridRepository(world.store, GRID, world.settings.s3)
    history = list(grid.open().ancestry(snapshot_id=done.snapshot))
    assert len(history) == 2, "the empty repository and one commit"


@pytest.mark.long
def test_all_workers_killed_commits_nothing_and_the_next_run_finishes(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(dask_blocks, "TICK_S", 0.2)
    monkeypatch.setattr(dask_blocks.run_tasks, "__defaults__", (1.0,))
    paths = write_days(World(tmp_path).source(GRID))
    with DaskScheduler(tmp_path / "scheduler") as scheduler:
        world = described(tmp_path, {"scheduler": scheduler.address})
        with DaskWorker(scheduler.address, tmp_path / "victim") as victim:
            killer = kill_when(world, victim, DAYS // 4, [])
            with pytest.raises(Unavailable, match="has had no worker for 1 s"):
                staged(world)
            killer.join()
    grid = GridRepository(world.store, GRID, world.settings.s3)
    assert [s.message for s in grid.open().ancestry(branch="next")] == ["Repository initialized"]
    assert 0 < chunks_of(world) < DAYS
    done, _ = staged(world, dask_scheduler=cluster[0].address)
    assert_equals_sources(world, done.snapshot, paths, "heat", "time_bounds")


def test_processes_of_this_machine_write_what_the_sources_hold_and_append_to_it(tmp_path):
    world = described(tmp_path, {"workers": 2, "memory": "500Mi"})
    paths = write_days(world.source(GRID), 5)
    done, said = staged(world)
    assert "writing 5 blocks with the workers of this machine" in said
    assert_equals_sources(world, done.snapshot, paths, "heat", "time_bounds")
    paths = write_days(world.source(GRID), 8)
    again, said = staged(world)
    assert "writing 3 blocks with the workers of this machine" in said
    assert_equals_sources(world, again.snapshot, paths, "heat", "time_bounds")


def test_one_block_needs_no_cluster(tmp_path):
    world = described(tmp_path, {"scheduler": "tcp://127.0.0.1:9"})
    paths = write_days(world.source(GRID), 1)
    assert_equals_sources(world, staged(world)[0].snapshot, paths, "heat", "time_bounds")


def test_the_environments_scheduler_takes_the_place_of_the_datasets(tmp_path, cluster):
    world = described(tmp_path, {"workers": 1})
    paths = write_days(world.source(GRID), 3)
    done, said = staged(world, dask_scheduler=cluster[0].address)
    assert f"writing 3 blocks with the workers of the dask scheduler {cluster[0].address}" in said
    assert_equals_sources(world, done.snapshot, paths, "heat", "time_bounds")


def test_a_worker_on_another_machine_fetches_the_files_itself(tmp_path, cluster):
    """The stager's folder is not there for a worker elsewhere: as if it were, the path leads nowhere."""
    world = described(tmp_path, {"scheduler": cluster[0].address})
    paths = write_days(world.source(GRID), 3)
    publication = world.attempt(GRID)
    files = {file.name: file for file in publication.bench.source.look()}
    sources = dask_blocks.SourcesToFetch(publication.bench.source, files, tmp_path / "nowhere")
    opened = pickle.loads(pickle.dumps(sources)).opener(tmp_path / "worker")
    for path in paths:
        assert opened(path.name).read_bytes() == path.read_bytes()
        assert opened(path.name) == tmp_path / "worker" / files[path.name].digest[:16] / path.name


def test_a_web_source_travels_to_a_worker(tmp_path):
    folder = HttpFolder("http://127.0.0.1:9/x.nc", cache=DownloadCache(tmp_path), client=HttpClient(attempts=7))
    folder.client._session()
    again = pickle.loads(pickle.dumps(folder))
    assert (again.url, again.client.attempts) == (folder.url, 7)
    assert again.client._session() is not folder.client._session()


def test_a_damaged_file_is_named_by_the_worker_that_met_it(tmp_path, cluster):
    world = described(tmp_path, {"scheduler": cluster[0].address})
    paths = write_days(world.source(GRID), 3)
    write_noise_over(paths[1])
    with pytest.raises(DataError, match=r"heat_001\.nc"):
        staged(world)
    grid = GridRepository(world.store, GRID, world.settings.s3)
    assert [s.message for s in grid.open().ancestry(branch="next")] == ["Repository initialized"]


def write_noise_over(path: Path) -> None:
    """Damage the stored numbers of ``heat``; the header stays whole."""
    import h5py

    with h5py.File(path) as file:
        info = file["heat"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(info.byte_offset)
        file.write(b"\xff" * info.size)


def end_the_worker(job: str, item: int) -> int:
    os._exit(1)


def refuse(job: str, item: int) -> int:
    raise DataError([f"{job} {item}", "and more"], dataset="d", advice="ask")


@pytest.mark.long
def test_a_task_that_ends_three_workers_ends_in_a_clear_error(tmp_path):
    with open_workers(Dask(workers=1), None, "d", tmp_path) as workers:
        with pytest.raises(DefinitionError, match="block 7 ended every worker of this machine") as told:
            dask_blocks.run_tasks(workers, end_the_worker, "job", [7], "d", print)
        assert "more memory" in str(told.value)


def test_an_error_of_ours_arrives_whole_from_a_worker(tmp_path, cluster):
    with (
        open_workers(Dask(scheduler=cluster[0].address), None, "d", tmp_path) as workers,
        pytest.raises(DataError) as refused,
    ):
        dask_blocks.run_tasks(workers, refuse, "job", [3], "d", print)
    assert (refused.value.problems, refused.value.dataset, refused.value.advice) == (("job 3", "and more"), "d", "ask")


def test_a_scheduler_that_does_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("rimrep_assets.ports.dask_cluster.ANSWER_S", 1.0)
    with (
        pytest.raises(Unavailable, match=r"the dask scheduler tcp://127\.0\.0\.1:9 does not answer"),
        open_workers(Dask(scheduler="tcp://127.0.0.1:9"), None, "d", tmp_path),
    ):
        pass


def test_a_scheduler_without_workers_is_told(tmp_path):
    with (
        DaskScheduler(tmp_path / "scheduler") as scheduler,
        pytest.raises(Unavailable, match=r"has no worker, also after 0\.5 s"),
        open_workers(Dask(scheduler=scheduler.address), None, "d", tmp_path, first_worker_s=0.5),
    ):
        pass


def test_without_the_kubernetes_package_it_is_said_what_to_install(tmp_path):
    asked = Dask.model_validate({"operator": {"image": "rimrep:1"}})
    with (
        pytest.raises(DefinitionError, match="needs the package dask-kubernetes, which is not installed here"),
        open_workers(asked, None, "d", tmp_path),
    ):
        pass


def test_workers_of_another_version_are_refused(tmp_path):
    job = dask_blocks.BlockJob(None, None, (), None, "0.0.0")
    with pytest.raises(DefinitionError, match=r"a dask worker has rimrep_assets .*, who stages has 0\.0\.0"):
        dask_blocks.write_one_block(job, 0)
    assert Workers(None, "here").where == "here"
