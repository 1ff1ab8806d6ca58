"""A request for the run of one dataset: its assets, its tags, its partitions as one range.

Here belongs what both sensors ask Dagster for. Not here: when (``catalog_sensor``, ``source_sensor``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import dagster as dg

from rimrep_assets.defs.graph import selection_for
from rimrep_assets.defs.names import key
from rimrep_assets.defs.resources import COMMIT_TAG
from rimrep_assets.defs.run import DATASET_TAG, RANGE_END, RANGE_START
from rimrep_assets.domain.dataset import Dataset


def run_request(
    dataset: Dataset, run_key: str, commit: str, steps: Sequence[str], now: datetime, files: Iterable[str] | None = None
) -> dg.RunRequest:
    """The run that does ``steps`` of ``dataset`` at ``commit``; without data among them nothing is read or staged.

    ``files``: names of source files; only partitions that they belong to are run, as one range. None: all partitions;
    the run itself says which had files, so that a dataset with thousands is not thousands of events.
    """
    keys = selection_for([dataset])
    tags = {COMMIT_TAG: commit, DATASET_TAG: dataset.id}
    if "data" in steps:
        tags |= _range(dataset, now, files)
    else:
        keys.remove(key(dataset.id, "data"))
    return dg.RunRequest(run_key=run_key, asset_selection=keys, tags=tags)


def _range(dataset: Dataset, now: datetime, files: Iterable[str] | None) -> dict[str, str]:
    if dataset.partition is None or files is None:
        return {}
    everything = dataset.partition.keys(now)
    if not everything:
        return {}
    named = [dataset.partition.key_of(name) for name in files]
    # A name that tells no partition may belong to any.
    wanted = everything if not named or None in named else [k for k in everything if k in set(named)]
    span = wanted or everything
    return {RANGE_START: span[0], RANGE_END: span[-1]}


def missing_assets(context: dg.SensorEvaluationContext, request: dg.RunRequest) -> list[str]:
    """Assets of ``request`` that the loaded graph does not have."""
    if context.repository_def is None:
        return []
    loaded = context.repository_def.asset_graph
    return sorted(k.to_user_string() for k in request.asset_selection or () if not loaded.has(k))


def default_status(environment_value: str | None) -> dg.DefaultSensorStatus:
    """Running, unless ``RIMREP_SENSORS=stopped``."""
    return dg.DefaultSensorStatus.STOPPED if environment_value == "stopped" else dg.DefaultSensorStatus.RUNNING
