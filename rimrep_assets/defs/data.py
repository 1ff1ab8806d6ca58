"""The step `data`: what the source has anew, converted and staged where only this run writes.

Here belongs the op and what it reports. Not here: staging itself (``ports/publication``).
"""

import dagster as dg

from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.names import key, spec, word
from rimrep_assets.defs.resources import Platform, open_publication
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import extents_come_from_data

UNCHANGED = "nothing changed since the newest release"


def data_asset(dataset: Dataset, *, pooled: bool) -> dg.AssetsDefinition:
    """The staged data of ``dataset``; materializing it when nothing is new writes nothing.

    ``pooled``: runs that the daemon launches take turns, which saves work. A run of this process must not wait in a
    pool: it would spin and could not be interrupted, and the conditional commit keeps it right without.
    """

    @dg.multi_asset(
        name=f"{word(dataset.id)}_data",
        specs=[spec(dataset, "data", "Staged data: converted source files that no reader sees yet.", ("source",))],
        pool=f"data-{dataset.id}" if pooled else None,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    )
    def data(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
        with (
            failures_for_dagster(context, dataset.id),
            open_publication(context, platform, dataset.id) as publication,
        ):
            look, staged = publication.stage()
            version = dg.DataVersion(look.ledger_digest)
            context.log_event(
                dg.AssetObservation(
                    key(dataset.id, "source"),
                    metadata={"files": len(look.sources), "bytes": sum(f.size for f in look.sources)},
                    tags={"dagster/data_version": version.value},
                )
            )
            if staged is None:
                return dg.MaterializeResult(metadata={"staged": UNCHANGED}, data_version=version)
            return dg.MaterializeResult(
                metadata={
                    "staged": staged.intent.changed,
                    "converted": len(staged.intent.staging),
                    "attempt": staged.intent.attempt,
                    "extents_from_data": extents_come_from_data(dataset.coordinates),
                },
                data_version=version,
            )

    return data
