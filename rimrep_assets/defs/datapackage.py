"""The steps `facts` and `datapackage`, and the gate: the version that may be released, measured, described, judged.

Here belongs the op, its checks by name, and what they report. Not here: judging (``ports/descriptions``).
"""

from collections.abc import Iterator

import dagster as dg

from rimrep_assets.defs.data import UNCHANGED
from rimrep_assets.defs.failures import failures_for_dagster
from rimrep_assets.defs.names import About, key, spec, word
from rimrep_assets.defs.presenting import check_result, datapackage_metadata, facts_metadata, place_of_findings
from rimrep_assets.defs.resources import Platform, attempt_of, open_publication
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.descriptions import CHECKS, WARNINGS
from rimrep_assets.ports.publication import Publication


def datapackage_assets(dataset: Dataset, *, about: About | None = None) -> dg.AssetsDefinition:
    """Facts and datapackage of what may be released next; the gate's checks hang on the datapackage."""
    datapackage = key(dataset.id, "datapackage")

    @dg.multi_asset(
        name=f"{word(dataset.id)}_datapackage",
        specs=[
            spec(dataset, "facts", "What was measured on the version that may be released.", ("data",), about=about),
            spec(
                dataset,
                "datapackage",
                "The complete datapackage and schema, judged by the gate.",
                ("facts",),
                about=about,
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(name, asset=datapackage, description=meaning, blocking=name not in WARNINGS)
            for name, meaning in CHECKS.items()
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def prepare(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
        with (
            failures_for_dagster(context, dataset.id),
            open_publication(context, platform, dataset.id) as publication,
        ):
            candidate = publication.prepare(publication.staged_by(_attempts(context, publication, dataset)))
            if candidate is None:
                record, verdict = publication.released_with_verdict()
                note = f"{UNCHANGED}, number {record.release}"
            else:
                record, verdict = ReleaseRecord.from_bytes(candidate.record), candidate.verdict
                note = f"candidate for release {record.release}"
            yield dg.MaterializeResult(
                asset_key=key(dataset.id, "facts"),
                metadata={"state": note, **facts_metadata(record)},
                data_version=dg.DataVersion(record.data_version),
            )
            yield dg.MaterializeResult(
                asset_key=datapackage,
                metadata={"state": note, **datapackage_metadata(record, verdict, publication)},
                data_version=dg.DataVersion(record.version),
                check_results=[check_result(check, place_of_findings(publication, record)) for check in verdict.checks],
            )

    return prepare


def _attempts(context: dg.AssetExecutionContext, publication: Publication, dataset: Dataset) -> list[str] | None:
    """Whose staging is folded: this run's own when it ran the data step, else whoever staged last."""
    selected = context.run.asset_selection
    if selected is not None and key(dataset.id, "data") not in selected:
        return None
    return publication.attempts_of(attempt_of(context.run_id))
