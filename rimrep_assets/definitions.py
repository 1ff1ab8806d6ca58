"""The one place that wires things: what ``workspace.yaml`` names.

Here belongs choosing the catalog commit of this code server and pinning its run processes to it. Not here: the graph
(``defs/graph``), or anything heavy: every run process imports this module anew.
"""

from __future__ import annotations

import os

import dagster as dg

from rimrep_assets.defs.graph import datasets_of, graph_of
from rimrep_assets.defs.resources import COMMIT_VARIABLE, Platform
from rimrep_assets.ports.workbench import Settings


def provide_example(settings: Settings) -> None:
    """Make the example catalog and its sources, where the settings name the embedded default and it is not there."""
    if settings.uses_example_catalog and not (settings.data_folder / "catalog.git" / "HEAD").is_file():
        from rimrep_examples.catalog_repository import make_catalog
        from rimrep_examples.sources import write_sources

        write_sources(settings.data_folder / "sources")
        make_catalog(settings.data_folder / "catalog.git")


def definitions_at(settings: Settings, commit: str, *, pooled: bool = True) -> dg.Definitions:
    """The graph of the catalog at ``commit``, with ``settings`` as the ops' platform."""
    platform = Platform(catalog=settings.catalog, store=settings.store or "", environment=settings.environment)
    return graph_of(datasets_of(settings.open_catalog().at(commit)), platform, pooled=pooled)


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this code server."""
    settings = Settings.from_environment(os.environ)
    provide_example(settings)
    commit = settings.open_catalog().resolve(os.environ.get(COMMIT_VARIABLE) or "HEAD")
    # Run processes inherit the environment, so they load the graph that the server shows although HEAD moves on.
    os.environ.setdefault(COMMIT_VARIABLE, commit)
    return definitions_at(settings, commit)
