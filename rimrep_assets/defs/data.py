"""The step `data`: what the source has anew, converted and staged where only this run writes.

Here belongs the op and what it reports. Not here: staging itself (``ports/publication``).
"""

from typing import Any

import dagster as dg

from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.names import About, key, spec, word
from rimrep_assets.defs.partitions import backfill_policy_of, partitions_of
from rimrep_assets.defs.resources import Platform, open_publication
from rimrep_assets.defs.staging import StageReport, stage
from rimrep_assets.defs.worker_launch import run_in_worker
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import extents_come_from_data

UNCHANGED = "nothing changed since the newest release"


def data_asset(dataset: Dataset, *, pooled: bool, about: About | None = None) -> dg.AssetsDefinition:
    """The staged data of ``dataset``; materializing it when nothing is new writes nothing.

    ``pooled``: runs that the daemon launches take turns, which saves work. A run of this process must not wait in a
    pool: it would spin and could not be interrupted, and the conditional commit keeps it right without.
    """

    counted = dataset.partition
    # Parts of a table are objects of their own. Partitions of a grid share chunks and its axis grows: runs take turns.
    takes_turns = pooled and not (dataset.format == "parquet" and counted and counted.backfill == "parallel")

    @dg.multi_asset(
        name=f"{word(dataset.id)}_data",
        specs=[
            spec(
                dataset,
                "data",
                "Staged data: converted source files that no reader sees yet.",
                ("source",),
                about=about,
            )
        ],
        partitions_def=partitions_of(dataset),
        backfill_policy=backfill_policy_of(dataset),
        pool=f"data-{dataset.id}" if takes_turns else None,
    )
    def data(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
        wanted = asked_for(context, dataset)
        with failures_for_dagster(context, dataset.id):
            if dataset.resources and dataset.resources.memory:
                report = run_in_worker(context, platform, dataset, wanted)
            else:
                with open_publication(context, platform, dataset.id) as publication:
                    report = stage(publication, wanted)
        version = dg.DataVersion(report.ledger_digest)
        context.log_event(
            dg.AssetObservation(
                key(dataset.id, "source"),
                metadata={"files": report.files, "bytes": report.bytes},
                tags={"dagster/data_version": version.value},
            )
        )
        if counted is not None and wanted is None:
            # The run has no range, so that one that finds nothing is not counted as a thousand partitions.
            for partition in report.partitions if report.staged else ():
                context.log_event(dg.AssetMaterialization(key(dataset.id, "data"), partition=partition))
        return dg.MaterializeResult(metadata=_metadata(report, dataset), data_version=version)

    return data


def asked_for(context: dg.AssetExecutionContext, dataset: Dataset) -> list[str] | None:
    """The partitions that this run is about; None where it is about all, or the dataset has none."""
    if dataset.partition is None or not (context.has_partition_key or context.has_partition_key_range):
        return None
    return list(context.partition_keys)


def _metadata(report: StageReport, dataset: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {"files": report.files, "bytes": report.bytes}
    if report.partitions:
        ends = (report.partitions[0], report.partitions[-1])
        found["partitions with files"] = f"{len(report.partitions)}: {' to '.join(dict.fromkeys(ends))}"
    if report.staged is None:
        return {"staged": UNCHANGED, **found}
    return {
        "staged": report.staged,
        "converted": report.converted,
        "attempt": report.attempt,
        "extents_from_data": extents_come_from_data(dataset.coordinates),
        **found,
    }
