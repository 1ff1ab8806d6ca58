"""The one place that wires things: what ``workspace.yaml`` names.

Here belongs choosing the catalog commit of this code server and pinning its run processes to it. Not here: the graph
(``defs/graph``), or anything heavy: every run process imports this module anew.
"""

from __future__ import annotations

import logging
import os

import dagster as dg

from rimrep_assets.defs.catalog_sensor import catalog_sensor
from rimrep_assets.defs.graph import graph_of
from rimrep_assets.defs.resources import COMMIT_VARIABLE, Platform
from rimrep_assets.defs.source_sensor import source_sensor
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.ports.workbench import Settings

LOG = logging.getLogger("rimrep")


def provide_example(settings: Settings) -> None:
    """Make the example catalog and its sources, where the settings name the embedded default and it is not there."""
    if settings.uses_example_catalog and not (settings.data_folder / "catalog.git" / "HEAD").is_file():
        from rimrep_examples.catalog_repository import make_catalog
        from rimrep_examples.sources import write_sources

        write_sources(settings.data_folder / "sources")
        make_catalog(settings.data_folder / "catalog.git")


def platform_of(settings: Settings, commit: str) -> Platform:
    """The ops' platform. Where the stores are on S3, it takes its access from dagster-aws' ``S3Resource``."""
    told = {"catalog": settings.catalog, "store": settings.store or "", "environment": settings.environment}
    store = settings.store
    if store is None and not settings.uses_example_catalog:
        try:
            store = str(settings.open_catalog().at(commit).endpoints(settings.environment).get("store") or "")
        except DefinitionError as error:
            # Every op tells it again; the graph must load, or nobody sees what is wrong.
            LOG.error("%s", error)
    if (store or "").startswith("s3://"):
        from rimrep_assets.defs.s3_platform import PlatformOnS3, s3_resource_from

        return PlatformOnS3(**told, s3=s3_resource_from(os.environ))
    return Platform(**told)


def definitions_at(settings: Settings, commit: str, *, pooled: bool = True) -> dg.Definitions:
    """The graph of the catalog at ``commit``, with ``settings`` as the ops' platform."""
    platform = platform_of(settings, commit)
    sensors = [catalog_sensor(), source_sensor()] if pooled else []
    return graph_of(settings.open_catalog().at(commit), platform, pooled=pooled, sensors=sensors)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this code server."""
    settings = Settings.from_environment(os.environ)
    provide_example(settings)
    commit = settings.open_catalog().resolve(os.environ.get(COMMIT_VARIABLE) or "HEAD")
    # Run processes inherit the environment, so they load the graph that the server shows although HEAD moves on.
    os.environ.setdefault(COMMIT_VARIABLE, commit)
    return definitions_at(settings, commit)
