"""From a catalog commit to the asset graph: one group a dataset, at most four ops each, one op a collection.

Here belongs which datasets are in the graph and what is shared between them. Not here: a step (the file of its name),
or which catalog is read (``definitions``).
"""

from __future__ import annotations

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence

import dagster as dg

from rimrep_assets.defs.collections import collection_asset
from rimrep_assets.defs.data import data_asset
from rimrep_assets.defs.datapackage import datapackage_assets
from rimrep_assets.defs.io_managers import ReleasedData
from rimrep_assets.defs.names import About, broken_dataset, collection_key, key
from rimrep_assets.defs.release import release_assets
from rimrep_assets.defs.resources import Platform
from rimrep_assets.defs.source import source_spec
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.catalog import CatalogCommit

LOG = logging.getLogger("rimrep")
STEPS = ("data", "facts", "datapackage", "release", "stac_item", "pygeoapi_entry")


def datasets_of(catalog: CatalogCommit) -> list[Dataset]:
    """The datasets whose ``dataset.yaml`` is valid; a broken one is told and does not keep the others out."""
    return [found for found in _found_in(catalog).values() if isinstance(found, Dataset)]


def _found_in(catalog: CatalogCommit) -> dict[str, Dataset | DefinitionError]:
    found: dict[str, Dataset | DefinitionError] = {}
    for dataset_id in catalog.dataset_ids:
        try:
            found[dataset_id] = catalog.dataset(dataset_id)
        except DefinitionError as error:
            LOG.error("%s", error)
            found[dataset_id] = error
    return found


def graph_of(
    catalog: CatalogCommit,
    platform: Platform,
    *,
    pooled: bool = True,
    sensors: Sequence[dg.SensorDefinition] = (),
) -> dg.Definitions:
    """The asset graph of ``catalog``; ``pooled`` where a daemon launches the runs.

    A dataset whose ``dataset.yaml`` is broken stands in it as one asset that says why.
    """
    # Backfill policies are what partitions need; that Dagster may change them is known, and its version is pinned.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    by_collection: dict[str, list[Dataset]] = defaultdict(list)
    for dataset_id, dataset in _found_in(catalog).items():
        if isinstance(dataset, DefinitionError):
            assets.append(broken_dataset(dataset_id, dataset.problems))
            continue
        about = About.from_curated(catalog.texts.get(f"datasets/{dataset.id}/datapackage.json"))
        assets += [
            source_spec(dataset, about=about),
            data_asset(dataset, pooled=pooled, about=about),
            datapackage_assets(dataset, about=about),
            release_assets(dataset, about=about),
        ]
        by_collection[dataset.collection].append(dataset)
    assets += [collection_asset(collection, members) for collection, members in sorted(by_collection.items())]
    return dg.Definitions(
        assets=assets,
        sensors=sensors,
        resources={"platform": platform, "released": ReleasedData(platform=platform)},
        executor=dg.in_process_executor,
    )


def selection_for(datasets: Iterable[Dataset]) -> list[dg.AssetKey]:
    """All that publishing ``datasets`` runs."""
    chosen = list(datasets)
    keys = [key(dataset.id, step) for dataset in chosen for step in STEPS]
    return keys + sorted({collection_key(dataset.collection) for dataset in chosen})
