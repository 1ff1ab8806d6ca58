"""How runs stand and how they ended: what the sensors must know before they ask for another one.

Here belongs reading runs and their failures from the instance. Not here: what follows from it (``domain/requests``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from rimrep_assets.defs.failures import KIND
from rimrep_assets.defs.run import DATASET_TAG
from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.requests import Ending

RUN_KEY_TAG = "dagster/run_key"
WILL_RETRY_TAG, RETRIED_BY_TAG = "dagster/will_retry", "dagster/auto_retry_run_id"
UNDER_WAY = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
AT_ONCE = 200
"""run keys in one question to the run storage"""


def endings_of(instance: dg.DagsterInstance, run_keys: Iterable[str]) -> dict[str, Ending]:
    """How the newest run of each key stands; a key that no run has is absent."""
    keys = sorted({key for key in run_keys if key})
    newest: dict[str, dg.DagsterRun] = {}
    for start in range(0, len(keys), AT_ONCE):
        # Newest first; a retry of a run carries its key on.
        for run in instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: keys[start : start + AT_ONCE]})):
            newest.setdefault(run.tags[RUN_KEY_TAG], run)
    return {key: _ending(instance, newest[key]) if key in newest else "absent" for key in keys}


def under_way(instance: dg.DagsterInstance) -> dict[str, list[dg.DagsterRun]]:
    """dataset id -> its runs that have not ended, of those that were started for one dataset."""
    found: dict[str, list[dg.DagsterRun]] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY))):
        if DATASET_TAG in run.tags:
            found.setdefault(run.tags[DATASET_TAG], []).append(run)
    return found


def _ending(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Ending:
    if run.status in UNDER_WAY:
        return "going"
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "succeeded"
    if run.status == dg.DagsterRunStatus.CANCELED:
        return "canceled"
    if run.tags.get(WILL_RETRY_TAG) == "true" and RETRIED_BY_TAG not in run.tags:
        return "going"
    kinds = _failures(instance, run.run_id)
    # No step failed: the process was killed, or it never came to its first step.
    return "may pass" if all(kind == Unavailable.__name__ for kind in kinds) else "stays"


def _failures(instance: dg.DagsterInstance, run_id: str) -> Sequence[str]:
    """The kind of each failed step; a failed check of the gate and a fault of the program are `Exception`."""
    kinds = []
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        told = event.step_failure_data.user_failure_data if event is not None else None
        kinds.append(str(told.metadata[KIND].value) if told is not None and KIND in told.metadata else "Exception")
    return kinds
