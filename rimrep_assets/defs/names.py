"""How a dataset's id becomes names in Dagster: keys and pools take hyphens, ops and groups do not.

Here belong keys, groups and tags of a dataset. Not here: the assets.
"""

from __future__ import annotations

import dagster as dg

from rimrep_assets.domain.dataset import Dataset


def word(dataset_id: str) -> str:
    """The id as an op or group name: ``aims-temp-loggers`` is ``aims_temp_loggers``."""
    return dataset_id.replace("-", "_")


def key(dataset_id: str, asset: str) -> dg.AssetKey:
    return dg.AssetKey([dataset_id, asset])


def collection_key(collection: str) -> dg.AssetKey:
    return dg.AssetKey(["collections", collection])


def spec(
    dataset: Dataset, asset: str, description: str, deps: tuple[str, ...] = (), skippable: bool = False
) -> dg.AssetSpec:
    """One asset of ``dataset`` that depends on assets of the same dataset."""
    known: dict[str, str] = {"data": dataset.format, "source": dataset.source.kind}
    return dg.AssetSpec(
        key(dataset.id, asset),
        deps=[key(dataset.id, dep) for dep in deps],
        group_name=word(dataset.id),
        description=description,
        kinds={known.get(asset, "json")},
        tags={"rimrep/collection": dataset.collection, "rimrep/access": dataset.access},
        skippable=skippable,
    )
