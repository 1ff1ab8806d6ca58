"""The step `collections/<id>`: the STAC collection as the union of its items, in an op that datasets share.

Here belongs the op. Not here: what a collection says (``domain/stac``), or keeping it in step
(``ports/stac_catalog``), which every projection does as well.
"""

from collections.abc import Iterable

import dagster as dg

from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.names import collection_key, key, word
from rimrep_assets.defs.resources import Platform, catalog_commit
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.ports.stac_catalog import StaticStac


def collection_asset(collection: str, datasets: Iterable[Dataset]) -> dg.AssetsDefinition:
    """The collection document of ``datasets``, brought in step with the items that are listed."""

    members = tuple(datasets)

    @dg.asset(
        key=collection_key(collection),
        deps=[key(dataset.id, "stac_item") for dataset in members],
        group_name="collections",
        kinds={"json", "stac"},
        owners=[f"team:{word(collection)}"],
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="The STAC collection: extents, keywords and links from its items.",
    )
    def refresh(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
        with failures_for_dagster(context):
            settings = platform.settings()
            at = settings.open_catalog().at(catalog_commit(context, platform))
            endpoints = at.endpoints(settings.environment)
            # A store that holds none of them may be one that this process has no rights to.
            wrote = [
                access
                for access in sorted({dataset.access for dataset in members})
                if StaticStac(settings.store_for(access, endpoints)).refresh(collection)
            ]
        return dg.MaterializeResult(metadata={"changed_in": wrote or "nothing changed"})

    return refresh
