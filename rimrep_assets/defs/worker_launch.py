"""Giving a data step a worker of its own: started with Dagster Pipes, watched, and its report or its end told.

Here belongs what the run does about its worker. Not here: what the worker does (``worker``), or how memory is measured
(``ports/watched_process``). A cluster would start a pod here instead, with the same work.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import dagster as dg

from rimrep_assets.defs.resources import Platform, asks_for_rebuild, attempt_of, catalog_commit
from rimrep_assets.defs.staging import StageReport
from rimrep_assets.defs.worker import ERROR, MODULE, REPORT, Work, error_from_json
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.worker_resources import Resources, amount_in_words
from rimrep_assets.ports.watched_process import Ended, run_watched
from rimrep_assets.ports.workbench import Settings

LOG = logging.getLogger("rimrep")
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""signals that a process gets from others, not by its own fault"""


class WorkerFault(RuntimeError):
    """The worker broke off without a word of ours: a fault of the program or of a library, as in any other step."""


def run_in_worker(
    context: dg.AssetExecutionContext, platform: Platform, dataset: Dataset, partitions: Sequence[str] | None
) -> StageReport:
    """Stage ``partitions`` of ``dataset`` (None: everything) in a process with the dataset's ``resources``.

    Raises: what the worker raised, as the same kind; DefinitionError when it needed more memory than it may;
    Unavailable when somebody ended it; WorkerFault when it broke off.
    """
    resources = dataset.resources
    assert resources is not None
    settings = platform.settings()
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    messages = Messages(_sayer(context))
    try:
        # The folder is ours, so that it goes also when the worker is killed.
        with tempfile.TemporaryDirectory(prefix="rimrep-", dir=os.environ.get("RIMREP_SCRATCH")) as scratch:
            work = Work(
                dataset=dataset.id,
                commit=catalog_commit(context, platform),
                attempt=f"{attempt_of(context.run_id)}{context.retry_number or ''}",
                partitions=None if partitions is None else list(partitions),
                rebuild=asks_for_rebuild(context),
                scratch=scratch,
                cpu=resources.cpu,
            )
            with dg.open_pipes_session(context, dg.PipesTempFileContextInjector(), messages, asdict(work)) as session:
                ended = run_watched(
                    [sys.executable, "-m", MODULE],
                    {**environment_of(settings), **session.get_bootstrap_env_vars()},
                    memory_bytes=resources.memory_bytes,
                    each_tick=messages.read,
                )
            told: dict[str, Any] = {k: v for message in session.get_custom_messages() for k, v in message.items()}
    finally:
        settings.shrink_cache()
    return _outcome(dataset.id, resources, ended, told)


def _outcome(dataset: str, resources: Resources, ended: Ended, told: dict[str, Any]) -> StageReport:
    """The worker's report, or the error that its end amounts to."""
    peak = amount_in_words(ended.peak_bytes)
    if ended.over_limit:
        raise DefinitionError(
            f"its worker was ended because it held {peak} of memory, more than resources.memory {resources.memory}",
            dataset=dataset,
            advice="raise resources.memory in dataset.yaml, or let it need less: smaller partitions, smaller chunks "
            "(layout.chunks) or row groups (layout.row_group_rows), smaller source files.",
        )
    if ERROR in told:
        raise error_from_json(told[ERROR])
    if REPORT in told:
        # Its work is complete and in the store; how the interpreter shut down changes nothing.
        LOG.info("%s: the worker held at most %s of %s", dataset, peak, resources.memory)
        return StageReport.from_json(told[REPORT])
    if -ended.code in FROM_OUTSIDE:
        raise Unavailable(
            f"its worker was ended from outside by {signal.Signals(-ended.code).name}, when it had held at most {peak} "
            f"of resources.memory {resources.memory}",
            dataset=dataset,
            advice="run it again; nothing was changed. Where nobody ended it, the machine itself was short of memory: "
            "let fewer runs go at a time.",
        )
    how = f"by {signal.Signals(-ended.code).name}" if ended.code < 0 else f"with exit code {ended.code}"
    raise WorkerFault(
        f"{dataset}: its worker ended {how} and reported nothing (it held at most {peak} of {resources.memory})\n"
        "What to do: read what it said last, in the run's log and in the step's stderr."
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment with ``settings`` in it, so that ``Settings.from_environment`` gives the same.

    It is the one way that credentials take: not the command line, extras or a file.
    """
    s3 = settings.s3
    told = {
        "RIMREP_CATALOG": settings.catalog,
        "RIMREP_STORE": settings.store,
        "RIMREP_ENVIRONMENT": settings.environment,
        "RIMREP_DATA": str(settings.data_folder),
        "RIMREP_SOURCES": os.pathsep.join(map(str, settings.source_roots)),
        "RIMREP_CACHE_BYTES": str(settings.cache_bytes),
        "RIMREP_FILES_URL": settings.files_url,
        "RIMREP_PYGEOAPI_URL": settings.pygeoapi_url,
        "RIMREP_DASK_SCHEDULER": settings.dask_scheduler,
        "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
        "AWS_SESSION_TOKEN": s3.session_token,
        "AWS_REGION": s3.region,
        **settings.earthdata.to_environment(),
        # What this process can import, the worker can too, from wherever it was started.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    inherited = {name: value for name, value in os.environ.items() if name not in told}
    return inherited | {name: value for name, value in told.items() if value}


def _sayer(context: dg.AssetExecutionContext) -> Callable[[str, str], None]:
    """Passes the worker's words on to whoever listens to ours, unless that is the run's log, which has them already."""
    if LOG.name in context.instance.managed_python_loggers:
        return lambda level, message: None
    return lambda level, message: LOG.log(logging.getLevelNamesMapping().get(level.upper(), logging.INFO), message)


class Messages(dg.PipesMessageReader):
    """The worker's messages in a temporary file, handed on whenever ``read`` is called.

    Dagster's own reader takes a line that is half written for a broken one and reads no further; a worker that is
    killed leaves such lines. Besides, this one needs no thread.
    """

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._file: TextIO | None = None
        self._begun = ""
        self._handler: Any = None

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        """Tell the worker where to write; what is left is read at the end."""
        with tempfile.TemporaryDirectory(prefix="rimrep-messages-") as folder:
            path = Path(folder) / "messages"
            path.touch()
            with path.open(encoding="utf-8") as self._file:
                self._handler = handler
                try:
                    yield {"path": str(path)}
                finally:
                    self.read()

    def read(self) -> None:
        """Hand on every message that is complete."""
        assert self._file is not None
        *lines, self._begun = (self._begun + self._file.read()).split("\n")
        for line in lines:
            message = json.loads(line)
            self._handler.handle_message(message)
            if message["method"] == "log":
                self._say(message["params"]["level"], message["params"]["message"])

    @property
    def expected_writer_count(self) -> int:
        """The worker alone. Dagster's own answer is the same, with a warning that it is a preview."""
        return 1

    def no_messages_debug_text(self) -> str:
        """For the warning about a worker that never spoke."""
        return "Attempted to read messages from a temporary file."
