"""The steps `release`, `stac_item` and `pygeoapi_entry`: the commit, and its projection.

Here belongs the op and what it reports. Not here: the gate (``datapackage``), committing or projecting
(``ports/publication``, ``ports/projector``).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from rimrep_assets.defs.data import UNCHANGED
from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.names import About, key, spec, word
from rimrep_assets.defs.presenting import link, pygeoapi_page, release_metadata
from rimrep_assets.defs.resources import Platform, attempt_of, open_publication
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.publication import Publication

STEPS = {
    "release": "The numbered commit record: one published state of data and descriptions.",
    "stac_item": "The dataset's STAC item, made from its datapackage and nothing else.",
    "pygeoapi_entry": "The dataset in pygeoapi's configuration.",
}


def release_assets(dataset: Dataset, *, about: About | None = None) -> dg.AssetsDefinition:
    """The release of ``dataset`` and its projections; refuses what the gate did not pass."""

    @dg.multi_asset(
        name=f"{word(dataset.id)}_release",
        specs=[
            spec(
                dataset,
                step,
                meaning,
                ("datapackage",) if step == "release" else ("release",),
                skippable=True,
                about=about,
            )
            for step, meaning in STEPS.items()
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def release(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
        selected = [step for step in STEPS if key(dataset.id, step) in context.selected_asset_keys]
        with (
            failures_for_dagster(context, dataset.id),
            open_publication(context, platform, dataset.id) as publication,
        ):
            if "release" in selected:
                record, note = _release(context, publication, dataset)
            else:
                record, note = publication.released(), "projected again"
                publication.project(record)
            shown: dict[str, dict[str, Any]] = {
                "release": release_metadata(record, publication, platform.settings()),
                "stac_item": _links(record, "stac_item", "stac_collection"),
                "pygeoapi_entry": {"page": link(pygeoapi_page(record, platform.settings()))},
            }
        for step in selected:
            yield dg.MaterializeResult(
                asset_key=key(dataset.id, step),
                metadata={"state": note, "release": record.release, **shown[step]},
                data_version=dg.DataVersion(str(record.release)),
            )

    return release


def _release(
    context: dg.AssetExecutionContext, publication: Publication, dataset: Dataset
) -> tuple[ReleaseRecord, str]:
    """Commit and project this run's candidate, or, when the run has none of its own, the newest one that waits.

    Without any, nothing is written unless a broken projection left something to finish.
    """
    selected = context.run.asset_selection
    prepared_here = selected is None or key(dataset.id, "datapackage") in selected
    candidate = publication.candidate_of(attempt_of(context.run_id) if prepared_here else None)
    if candidate is not None:
        record = publication.commit(candidate)
        publication.project(record)
        return record, f"release {record.release}"
    newest = publication.log.newest()
    if newest is None:
        raise DataError(
            "there is no candidate to release",
            dataset=dataset.id,
            advice="materialize data, facts and datapackage first.",
        )
    publication.projector.finish()
    return newest, f"{UNCHANGED}, number {newest.release}"


def _links(record: ReleaseRecord, *names: str) -> dict[str, dg.MetadataValue]:
    addresses = record.datapackage["rimrep"]["addresses"]
    return {name: link(addresses[name]) for name in names}
