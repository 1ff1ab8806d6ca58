"""The example catalog from staged to projected, and what importing the definitions costs.

Here belong these two. Not here: conversion (``grids``, ``tables``).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.inputs import Size
from benchmarks.measuring import Clock


def slowest(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Fold, proof, descriptions, gate, commit and projection; the clock keeps the slowest dataset's seconds.

    The static STAC catalog and pygeoapi's two files are written within; a served pygeoapi is not waited for.
    """
    from rimrep_assets.definitions import provide_example
    from rimrep_assets.ports.publication import Publication
    from rimrep_assets.ports.workbench import Settings, open_workbench

    settings = Settings.from_environment({"RIMREP_DATA": str(out / "data")})
    provide_example(settings)
    catalog = settings.open_catalog()
    commit = catalog.resolve("HEAD")
    for number, dataset in enumerate(size.datasets):
        scratch = out / f"scratch-{number}"
        scratch.mkdir(parents=True)
        bench = open_workbench(settings, catalog, commit, dataset, attempt=f"a{number}", scratch=scratch)
        publication = Publication(bench)
        _, staged = publication.stage()
        begin = time.perf_counter()
        candidate = publication.prepare(staged)
        assert candidate is not None and candidate.verdict.passed, candidate
        publication.project(publication.commit(candidate))
        clock.seconds = max(clock.seconds, time.perf_counter() - begin)


def import_cpu(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """CPU seconds, in all threads, of importing what every run process imports first."""
    os.environ["RIMREP_DATA"] = str(out)
    begin = time.process_time()
    import rimrep_assets.definitions  # noqa: F401

    clock.seconds = time.process_time() - begin
