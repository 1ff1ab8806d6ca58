"""The worker of a data step: ``python -m rimrep_assets.defs.worker``, started by ``worker_launch`` with Dagster Pipes.

Here belongs what runs in the worker, and the words in which it answers. Not here: starting and watching it
(``worker_launch``), or staging (``staging``). Nothing of Dagster but Pipes is imported, because its memory counts.

What the work is comes in the extras; where catalog and store are, and all credentials, come by the environment, as for
every command.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from dagster_pipes import PipesContext, PipesEnvVarParamsLoader, open_dagster_pipes

from rimrep_assets.defs.staging import StageReport, stage
from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal, RimrepError, Unavailable
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.watched_process import end_with_starter
from rimrep_assets.ports.withholding import withholding
from rimrep_assets.ports.workbench import Settings, open_workbench

LOG = logging.getLogger("rimrep")
MODULE = "rimrep_assets.defs.worker"
"""what is started; ``__name__`` is another word in the worker itself"""
REPORT, ERROR = "report", "error"
KINDS = {kind.__name__: kind for kind in (DefinitionError, DataError, GateRefusal, Unavailable)}


@dataclass(frozen=True)
class Work:
    """What a worker is told; plain values without credentials, since Dagster keeps extras in a file."""

    dataset: str
    commit: str
    attempt: str
    partitions: list[str] | None
    rebuild: bool
    scratch: str
    """a folder that is there, and that whoever started the worker removes"""
    cpu: int | None


def do(work: Work, settings: Settings) -> StageReport:
    """Stage what ``work`` names. Raises: RimrepError; about limited data it quotes nothing."""
    bench = open_workbench(
        settings,
        settings.open_catalog(),
        work.commit,
        work.dataset,
        attempt=work.attempt,
        scratch=Path(work.scratch),
        progress=lambda message: LOG.info("%s: %s", work.dataset, message),
    )
    with withholding(bench):
        return stage(Publication(bench, work.rebuild), work.partitions)


def keep_to(cores: int | None) -> None:
    """Use so many of the cores that this process may use, chosen by chance so that workers spread.

    Libraries ask the kernel how many there are when they start their threads, so this comes before them.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if cores is not None and cores < len(allowed):
        os.sched_setaffinity(0, random.sample(allowed, cores))


def error_to_json(error: RimrepError) -> dict[str, Any]:
    """An error of ours as it is sent; ``error_from_json`` makes the same of it."""
    return {
        "kind": type(error).__name__,
        "problems": list(error.problems),
        "dataset": error.dataset,
        "advice": error.advice,
    }


def error_from_json(told: dict[str, Any]) -> RimrepError:
    """The error that a worker sent, as the same kind."""
    kind = KINDS.get(told["kind"], RimrepError)
    return kind(told["problems"], dataset=told["dataset"], advice=told["advice"])


def main() -> int:
    """Do the work that Pipes hands over, and report by Pipes; 0 when it was done, 2 when an error of ours was told."""
    if not PipesEnvVarParamsLoader().is_dagster_pipes_process():
        print(f"{MODULE} is started by a data step whose dataset has resources, not by hand", file=sys.stderr)
        return 2
    end_with_starter()
    # Folders and locks are given back when the run is cancelled.
    signal.signal(signal.SIGTERM, _leave)
    with open_dagster_pipes() as pipes:
        work = Work(**pipes.extras)
        keep_to(work.cpu)
        _log_to(pipes)
        try:
            report = do(work, Settings.from_environment(os.environ))
        except RimrepError as error:
            pipes.report_custom_message({ERROR: error_to_json(error.about(work.dataset))})
            return 2
        pipes.report_custom_message({REPORT: report.to_json()})
    return 0


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _log_to(pipes: PipesContext) -> None:
    """What the steps say of themselves goes to the run's log."""
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    for handler in pipes.log.handlers:
        LOG.addHandler(handler)


if __name__ == "__main__":
    sys.exit(main())
