"""Running the graph in this process: what `rimrep publish` and `rimrep demo` do, with no orchestration of their own.

Here belongs executing the implicit asset job and saying, dataset by dataset, how it ended. Not here: what is printed
(``cli``), or the assets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from rimrep_assets.defs.failures import KIND
from rimrep_assets.defs.graph import selection_for
from rimrep_assets.defs.names import word
from rimrep_assets.defs.resources import COMMIT_TAG, REBUILD_TAG
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.ports.process_identity import process_start

HOST, PID, STARTED = "rimrep/host", "rimrep/pid", "rimrep/process_start"
INTERRUPTED = "Interrupted"
INTERRUPTS = (dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__)
DATASET_TAG = "rimrep/dataset"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Ending:
    """How a dataset's part of a run ended; ``kind`` is the error's class, 'GateRefusal' for a failed check,
    'Interrupted' when somebody ended the run before it was through with the dataset.
    """

    dataset: str
    kind: str | None = None
    message: str = ""


def run_assets(
    definitions: dg.Definitions,
    datasets: Sequence[Dataset],
    commit: str,
    ranges: Mapping[str, tuple[str, str]] | None = None,
    *,
    rebuild: bool = False,
) -> list[Ending]:
    """Execute everything that publishing ``datasets`` needs, on the instance of ``DAGSTER_HOME`` when there is one.

    ``ranges``: first and last partition key of the datasets of which only a part is wanted; datasets with the same
    range share a run, because a run has one. ``rebuild``: all is made again from the sources. One dataset that fails
    does not keep the others from ending.
    """
    runs: dict[tuple[str, str] | None, list[Dataset]] = {}
    for dataset in datasets:
        runs.setdefault((ranges or {}).get(dataset.id), []).append(dataset)
    instance = dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral()
    endings: dict[str, Ending] = {}
    with instance:
        report_dead_runs(instance)
        for span, together in runs.items():
            for ending in _run(definitions, together, commit, span, rebuild, instance):
                endings[ending.dataset] = ending
    return [endings[dataset.id] for dataset in datasets]


def _run(
    definitions: dg.Definitions,
    datasets: Sequence[Dataset],
    commit: str,
    span: tuple[str, str] | None,
    rebuild: bool,
    instance: dg.DagsterInstance,
) -> list[Ending]:
    keys = selection_for(datasets)
    job = definitions.resolve_implicit_job_def_def_for_assets(keys)
    assert job is not None
    tags = {
        COMMIT_TAG: commit,
        HOST: socket.gethostname(),
        PID: str(os.getpid()),
        STARTED: process_start(os.getpid()),
    }
    if len(datasets) == 1:
        tags[DATASET_TAG] = datasets[0].id
    if rebuild:
        tags[REBUILD_TAG] = "true"
    if span is not None:
        tags |= {RANGE_START: span[0], RANGE_END: span[1]}
    result = job.execute_in_process(
        instance=instance,
        asset_selection=keys,
        raise_on_error=False,
        tags=tags,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return [_ending(dataset, result) for dataset in datasets]


def _ending(dataset: Dataset, result: dg.ExecuteInProcessResult) -> Ending:
    mine = f"{word(dataset.id)}_"
    ops = {f"{mine}{step}" for step in ("data", "datapackage", "release")}
    refusals = [
        f"{check.check_name}: {line.removeprefix('- ')}"
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[0] == dataset.id and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
        for line in str(check.metadata["findings"].value).split("\n- ")
    ]
    if refusals:
        return Ending(dataset.id, "GateRefusal", "\n".join(refusals))
    if _was_interrupted(result) and not any(
        e.is_step_success and e.step_key == f"{mine}release" for e in result.all_events
    ):
        message = f"{dataset.id}: the run was interrupted. Nothing is torn, and what is staged is kept: run it again."
        return Ending(dataset.id, INTERRUPTED, message)
    for event in result.all_events:
        if event.is_step_failure and event.step_key in ops:
            failure = event.step_failure_data
            told = failure.user_failure_data
            if told is not None and KIND in told.metadata:
                return Ending(dataset.id, str(told.metadata[KIND].value), told.description or "")
            cause = failure.error.cause or failure.error if failure.error else None
            return Ending(dataset.id, "Exception", cause.to_string() if cause else "no message")
    return Ending(dataset.id)


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error is not None and error.cls_name in INTERRUPTS for error in failures)


def report_dead_runs(instance: dg.DagsterInstance) -> None:
    """Report command-line runs of this host whose process is gone as failed, so that they free what they hold.

    Run monitoring never notices them: they have no worker that it could ask.
    """
    going = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING],
        tags={HOST: socket.gethostname()},
    )
    for run in instance.get_runs(going):
        if process_start(int(run.tags.get(PID, "0"))) != run.tags.get(STARTED):
            instance.report_run_failed(run, "the process of this command-line run is gone")
