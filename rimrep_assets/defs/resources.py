"""What the ops are given: the platform's settings, and an open publication for one dataset in one run.

Here belongs reading the environment for Dagster and pinning a run to a catalog commit. Not here: what a publication
does (``ports/publication``).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg

from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.withholding import withholding
from rimrep_assets.ports.workbench import Settings, open_workbench

COMMIT_TAG = "rimrep/catalog_commit"
COMMIT_VARIABLE = "RIMREP_CATALOG_COMMIT"
REBUILD_TAG = "rimrep/rebuild"
"""a run with this tag makes everything again from the sources; its value is ``true``"""
LOG = logging.getLogger("rimrep")


class Platform(dg.ConfigurableResource):
    """Where catalog, store and scratch space are; an empty field is read from the environment (``RIMREP_…``)."""

    catalog: str = ""
    store: str = ""
    environment: str = ""

    def settings(self) -> Settings:
        """The settings of this process. Credentials stay in the environment, so that no run config holds them."""
        there = Settings.from_environment(os.environ)
        return replace(
            there,
            catalog=self.catalog or there.catalog,
            store=self.store or there.store,
            environment=self.environment or there.environment,
        )


def attempt_of(run_id: str) -> str:
    """The word by which everything that a run stages can be told: the first part of its id."""
    return run_id.split("-")[0]


def catalog_commit(context: dg.AssetExecutionContext, platform: Platform) -> str:
    """The commit that configures this run: its tag, else what the code server pinned, else HEAD; stamped on the run."""
    tagged = context.run.tags.get(COMMIT_TAG)
    if tagged:
        return tagged
    told = os.environ.get(COMMIT_VARIABLE) or "HEAD"
    commit = platform.settings().open_catalog().resolve(told)
    context.instance.add_run_tags(context.run_id, {COMMIT_TAG: commit})
    return commit


def asks_for_rebuild(context: dg.AssetExecutionContext) -> bool:
    """Whether this run makes everything again from the sources."""
    return context.run.tags.get(REBUILD_TAG) == "true"


@contextmanager
def open_publication(context: dg.AssetExecutionContext, platform: Platform, dataset: str) -> Iterator[Publication]:
    """A publication whose attempt is this run's, with scratch space that goes with it."""
    settings = platform.settings()
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rimrep-", dir=os.environ.get("RIMREP_SCRATCH")) as scratch:
        bench = open_workbench(
            settings,
            settings.open_catalog(),
            catalog_commit(context, platform),
            dataset,
            attempt=f"{attempt_of(context.run_id)}{context.retry_number or ''}",
            scratch=Path(scratch),
            progress=lambda message: LOG.info("%s: %s", dataset, message),
        )
        try:
            with withholding(bench):
                yield Publication(bench, asks_for_rebuild(context))
        finally:
            settings.shrink_cache()
