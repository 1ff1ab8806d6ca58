"""A dataset's partitions as Dagster counts them.

Here belongs the translation. Not here: which file belongs to which partition (``domain/partition``).
"""

from __future__ import annotations

import dagster as dg

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.partition import FORMS

EVERY = {"day": "0 0 * * *", "month": "0 0 1 * *", "year": "0 0 1 1 *"}


def partitions_of(dataset: Dataset) -> dg.PartitionsDefinition | None:
    """Time windows in UTC with the keys of ``Partition.keys``, the one under way included; None without partitions."""
    partition = dataset.partition
    if partition is None:
        return None
    end = None if partition.end is None else partition.first_day_after(partition.end)
    return dg.TimeWindowPartitionsDefinition(
        start=partition.first_day(partition.start).strftime(FORMS[partition.by]),
        end=None if end is None else end.strftime(FORMS[partition.by]),
        fmt=FORMS[partition.by],
        cron_schedule=EVERY[partition.by],
        end_offset=0 if end is not None else 1,
        timezone="UTC",
    )


def backfill_policy_of(dataset: Dataset) -> dg.BackfillPolicy | None:
    """One run for a whole range, or one for each partition, as ``partition.backfill`` says."""
    if dataset.partition is None or dataset.partition.backfill == "single":
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
