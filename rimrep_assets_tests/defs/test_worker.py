"""The data step in a worker of its own: real subprocesses on a small world."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.definitions import definitions_at
from rimrep_assets.defs import failures, worker_launch
from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.graph import datasets_of
from rimrep_assets.defs.names import key
from rimrep_assets.defs.resources import Platform
from rimrep_assets.defs.run import RANGE_END, RANGE_START, run_assets
from rimrep_assets.defs.worker import MODULE, error_from_json, error_to_json
from rimrep_assets.defs.worker_launch import Messages, environment_of, run_in_worker
from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal, RimrepError, Unavailable
from rimrep_assets.ports.object_store import S3Access
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess
from rimrep_assets.ports.watched_process import Ended
from rimrep_assets.ports.workbench import Settings
from rimrep_assets_tests import months
from rimrep_assets_tests.homes import command_environment
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_table

ENOUGH = {"memory": "2Gi", "cpu": 1}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """A table in a CSV file that is not published yet; Dagster keeps nothing beyond the test."""
    world = World(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    write_table(world.source(TABLE), "a.csv")
    return world


def describe(world: World, resources: dict | None = ENOUGH, **more) -> None:
    told = {} if resources is None else {"resources": resources}
    world.describe({**TABLE_YAML, **told, **more}, TABLE_SCHEMA)


def publish(world: World):
    """How a run of the whole graph ended."""
    commit = world.catalog.resolve()
    datasets = datasets_of(world.catalog.at(commit))
    (ending,) = run_assets(definitions_at(world.settings, commit), datasets, commit)
    return ending


def stage_only(world: World, instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    """A run of the data step alone, as the UI would launch it."""
    keys = [key(TABLE, "data")]
    job = definitions_at(world.settings, world.catalog.resolve()).resolve_implicit_job_def_def_for_assets(keys)
    return job.execute_in_process(
        asset_selection=keys, raise_on_error=False, run_config=QUIET, instance=instance, tags=tags
    )


def launch_once(world: World, monkeypatch):
    """The failure data of a worker whose step is not tried again."""
    monkeypatch.setattr(failures, "TRIES_AGAIN", 0)
    dataset = world.catalog.at(world.catalog.resolve()).dataset(TABLE)

    @dg.asset
    def staged(context: dg.AssetExecutionContext, platform: Platform) -> None:
        with failures_for_dagster(context, dataset.id):
            run_in_worker(context, platform, dataset, None)

    platform = Platform(catalog=str(world.catalog_folder), store=world.store_url)
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [staged], resources={"platform": platform}, instance=instance, raise_on_error=False, run_config=QUIET
        )
    (failed,) = [event for event in done.all_events if event.is_step_failure]
    return failed.step_failure_data


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers below a process, as another library sees them."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if MODULE in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def poll(condition, seconds: float = 60.0):
    """Wait for ``condition`` and return what it gives."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
    return found


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_a_worker_stages_is_published_value_for_value(world):
    describe(world)
    with dg.DagsterInstance.ephemeral() as instance:
        staged = stage_only(world, instance)
        logged = [entry.user_message for entry in instance.all_logs(staged.run_id)]
    (event,) = staged.get_asset_materialization_events()
    metadata = {n: m.value for n, m in event.step_materialization_data.materialization.metadata.items()}
    assert (metadata["files"], metadata["converted"]) == (1, 1)
    assert f"{TABLE}: looking at the source" in logged
    assert publish(world).kind is None
    assert months.rows_published(world) == months.rows_in_source(world)
    assert list((world.root / "data").glob("rimrep-*")) == []


def test_a_worker_and_the_run_itself_tell_the_same_of_what_they_staged(world):
    told = []
    for resources in (None, ENOUGH):
        describe(world, resources)
        with dg.DagsterInstance.ephemeral() as instance:
            (event,) = stage_only(world, instance).get_asset_materialization_events()
        metadata = event.step_materialization_data.materialization.metadata
        told.append({name: value.value for name, value in metadata.items() if name != "attempt"})
    assert told[0] == told[1]


def test_a_worker_stages_the_partitions_that_its_run_is_about(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    months.describe_table(world, resources=ENOUGH)
    with dg.DagsterInstance.ephemeral() as instance:
        done = stage_only(world, instance, **{RANGE_START: "2024-03", RANGE_END: "2024-04"})
    told = [event.step_materialization_data.materialization for event in done.get_asset_materialization_events()]
    assert [one.partition for one in told] == ["2024-03", "2024-04"]
    assert {one.metadata["files"].value for one in told} == {2}


def test_a_worker_that_needs_too_much_memory_is_ended_and_the_message_says_what_to_do(world):
    describe(world, {"memory": "100Mi"})
    ending = publish(world)
    assert ending.kind == "DefinitionError"
    assert ending.message.startswith(f"{TABLE}: its worker was ended because it held ")
    assert "more than resources.memory 100Mi" in ending.message
    assert "What to do: raise resources.memory in dataset.yaml, or let it need less" in ending.message
    assert world.projector(TABLE).log.numbers() == []


def test_a_worker_over_its_limit_is_not_tried_again(world):
    describe(world, {"memory": "100Mi"})
    with dg.DagsterInstance.ephemeral() as instance:
        done = stage_only(world, instance)
    kinds = [event.event_type for event in done.all_events]
    assert dg.DagsterEventType.STEP_FAILURE in kinds
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds


@pytest.mark.parametrize("more", [{}, {"access": "limited", "data_sharing_agreement": "DSA-1"}])
def test_what_is_wrong_with_the_data_arrives_as_the_same_error_as_without_a_worker(world, more):
    path = world.source(TABLE) / "a.csv"
    path.write_text(path.read_text() + "Davies Reef,147.7,-18.9,2024-01-02 09:00:00,26.5,one cell too many\n")
    endings = []
    for resources in (None, ENOUGH):
        describe(world, resources, **more)
        endings.append(publish(world))
    assert endings[0].kind == endings[1].kind == "DataError"
    # Where withheld words lie is named by the attempt.
    alone, worked = (re.sub("/staging/[^/]+/", "/staging/attempt/", ending.message) for ending in endings)
    assert alone == worked
    assert ("a.csv" in worked) == (not more)
    assert ("they quote limited data" in worked) == bool(more)


def test_a_worker_that_somebody_killed_is_told_and_may_be_tried_again(world, monkeypatch):
    describe(world)
    killer = threading.Thread(target=lambda: poll(lambda: workers_of(os.getpid()))[0].kill())
    killer.start()
    failure = launch_once(world, monkeypatch)
    killer.join()
    told = failure.user_failure_data
    assert told.metadata["error_kind"].value == "Unavailable"
    assert told.description.startswith(f"{TABLE}: its worker was ended from outside by SIGKILL")
    assert "2Gi" in told.description


def test_a_worker_that_breaks_off_says_with_what_code(world, monkeypatch):
    describe(world)
    monkeypatch.setattr(worker_launch, "MODULE", "rimrep_assets.defs.no_such_module")
    failure = launch_once(world, monkeypatch)
    assert failure.user_failure_data is None
    assert f"{TABLE}: its worker ended with exit code 1 and reported nothing" in failure.error.to_string()


@pytest.mark.parametrize(
    "number", [*(pytest.param(n, marks=pytest.mark.long) for n in (signal.SIGINT, signal.SIGTERM)), signal.SIGKILL]
)
def test_the_worker_ends_with_its_run_however_that_is_ended(world, number):
    describe(world)
    command = [sys.executable, "-m", "rimrep_assets.cli", "publish", TABLE]
    started = []

    def worker() -> psutil.Process | None:
        started.extend(workers_of(run.pid))
        return started[0] if started else None

    # A run that is killed leaves its temporary folders.
    environment = {**os.environ, **command_environment(world), "TMPDIR": str(world.root)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        first = poll(worker)
        run.send_signal(number)
        poll(lambda: gone(first))
        told = run.communicate()[1]
    assert run.returncode != 0
    assert world.projector(TABLE).log.numbers() == []
    assert ("the run was interrupted" in told) == (number != signal.SIGKILL)
    assert number == signal.SIGKILL or run.returncode == 130


def test_a_worker_by_hand_says_that_it_is_not_for_that():
    done = subprocess.run([sys.executable, "-m", MODULE], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is started by a data step whose dataset has resources" in done.stderr


def test_cores_are_kept_to_by_the_kernel():
    code = "import os; from rimrep_assets.defs.worker import keep_to\n"
    for wanted, kept in ((1, 1), (None, len(os.sched_getaffinity(0))), (10_000, len(os.sched_getaffinity(0)))):
        told = subprocess.check_output(
            [sys.executable, "-c", f"{code}keep_to({wanted}); print(os.cpu_count(), len(os.sched_getaffinity(0)))"]
        )
        assert int(told.split()[1]) == kept


def test_credentials_travel_in_the_environment_alone(world, monkeypatch):
    describe(world)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "5ecret-0f-test")
    seen = {}

    def look(command, environment, **more):
        from dagster_pipes import decode_param

        context = json.loads(Path(decode_param(environment["DAGSTER_PIPES_CONTEXT"])["path"]).read_text())
        seen.update(command=command, environment=environment, context=context)
        return Ended(1, 0, False)

    monkeypatch.setattr(worker_launch, "run_watched", look)
    launch_once(world, monkeypatch)
    assert seen["environment"]["AWS_SECRET_ACCESS_KEY"] == "5ecret-0f-test"
    assert seen["context"]["extras"]["dataset"] == TABLE
    assert "5ecret" not in json.dumps(seen["context"]) + " ".join(seen["command"])


words = st.text("abc/:.", min_size=1, max_size=8)
maybe = st.none() | words
absolute = words.map(lambda word: os.path.normpath("/" + word))


@given(
    settings=st.builds(
        Settings,
        # Settings are absolute once they are read.
        catalog=absolute,
        store=st.none() | absolute,
        environment=words,
        data_folder=absolute.map(Path),
        s3=st.builds(
            S3Access,
            endpoint_url=maybe,
            access_key_id=maybe,
            secret_access_key=maybe,
            session_token=maybe,
            region=words,
        ),
        cache_bytes=st.integers(1, 10**12),
        files_url=maybe,
        pygeoapi_url=maybe,
        dask_scheduler=maybe,
        earthdata=st.builds(EarthdataAccess, token=maybe, username=maybe, password=maybe),
    )
)
def test_a_worker_reads_the_settings_that_its_run_has(settings):
    read = Settings.from_environment(environment_of(settings))
    assert read == settings
    assert (read.s3.secret_access_key, read.s3.session_token) == (
        settings.s3.secret_access_key,
        settings.s3.session_token,
    )


@pytest.mark.parametrize("kind", [DefinitionError, DataError, GateRefusal, Unavailable, RimrepError])
def test_an_error_arrives_as_it_was_sent(kind):
    error = kind(["one", "two"], dataset=TABLE, advice="wait.")
    arrived = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(arrived) is kind
    assert str(arrived) == str(error)


class Heard:
    def __init__(self) -> None:
        self.messages = []

    def handle_message(self, message) -> None:
        self.messages.append(message)


def test_a_message_that_is_half_written_waits_for_its_other_half_and_is_dropped_at_the_end():
    heard, said = Heard(), []
    reader = Messages(lambda level, message: said.append((level, message)))
    line = json.dumps({"method": "log", "params": {"level": "INFO", "message": "half way"}}) + "\n"
    with reader.read_messages(heard) as params, Path(params["path"]).open("a") as file:
        for part in (line[:20], line[20:] + line[:7]):
            file.write(part)
            file.flush()
            reader.read()
    assert heard.messages == [json.loads(line)]
    assert said == [("INFO", "half way")]
    assert not Path(params["path"]).exists()
