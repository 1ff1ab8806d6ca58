"""What every command of `rimrep` shares: settings, what is chosen, progress, exit codes.

Here belongs what is the same whichever command runs. Not here: the commands and their options (``cli``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DefinitionError, GateRefusal, Unavailable

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Dataset
    from rimrep_assets.ports.catalog import CatalogCommit
    from rimrep_assets.ports.projector import Projector
    from rimrep_assets.ports.workbench import Settings

WRONG_INPUT, UNAVAILABLE, REFUSED, INTERRUPTED = 2, 3, 4, 130
"""exit codes"""


def exit_code(kind: str) -> int:
    """The exit code of an error's class by name."""
    codes = {
        Unavailable.__name__: UNAVAILABLE,
        GateRefusal.__name__: REFUSED,
        "Exception": 1,
        "Interrupted": INTERRUPTED,
    }
    return codes.get(kind, WRONG_INPUT)


def say(text: str) -> None:
    """One message on standard error."""
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """A document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def settings_from(catalog: str | None = None, store: str | None = None, environment: str | None = None) -> Settings:
    """The environment's settings with the command line's over them; the embedded example is made where it is meant."""
    from rimrep_assets.definitions import provide_example
    from rimrep_assets.ports.workbench import Settings

    settings = Settings.from_environment(os.environ)
    settings = replace(
        settings,
        catalog=catalog or settings.catalog,
        store=store or settings.store,
        environment=environment or settings.environment,
    )
    if settings.catalog and "://" not in settings.catalog and not settings.catalog.startswith("git@"):
        settings = replace(settings, catalog=str(Path(settings.catalog).expanduser().absolute()))
    provide_example(settings)
    return settings


class _Progress(logging.Handler):
    """Shows the newest message in one line of a terminal, or each on a line of its own elsewhere."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record.getMessage())


@contextmanager
def progress(quiet: bool) -> Iterator[None]:
    """Show what the steps say of themselves while they run, on standard error."""
    from rich.console import Console

    log, console = logging.getLogger("rimrep"), Console(stderr=True, highlight=False)
    log.setLevel(logging.INFO)
    log.propagate = False
    if quiet or not console.is_terminal:
        handler = _Progress(lambda message: None if quiet else say(message))
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
        return
    with console.status("starting") as status:
        handler = _Progress(lambda message: status.update(message.replace("[", r"\[")))
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)


def chosen(commit: CatalogCommit, names: list[str] | None, environment: str | None = None) -> list[Dataset]:
    """The datasets by name, or all; everything that is wrong with any of them is said at once.

    With ``environment`` all of a dataset's files are read, without it only ``dataset.yaml``.
    """
    found, problems = [], []
    for name in dict.fromkeys(names or commit.dataset_ids):
        try:
            found.append(commit.folder(name, environment).dataset if environment else commit.dataset(name))
        except DefinitionError as error:
            problems.append(str(error))
    if problems:
        raise DefinitionError(problems, advice="")
    return found


def projector_of(settings: Settings, commit: CatalogCommit, dataset: Dataset) -> Projector:
    """What carries the dataset's releases out, in the store of its access class."""
    from rimrep_assets.ports.projector import Projector

    store = settings.store_for(dataset.access, commit.endpoints(settings.environment))
    return Projector(store, dataset.id, settings.s3)


def ranges_of(datasets: Sequence[Dataset], told: str | None) -> dict[str, tuple[str, str]]:
    """First and last partition key of each dataset for ``A`` or ``A...B``, where ``2024`` stands for all that is in it.

    Raises: DefinitionError naming every dataset that has no partitions, or none in this range.
    """
    if told is None:
        return {}
    first, dots, last = told.partition("...")
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for dataset in datasets:
        if dataset.partition is None:
            problems.append(f"{dataset.id} is not partitioned: leave --partition out")
            continue
        keys = dataset.partition.keys(datetime.now(UTC))
        end = last if dots else first
        within = [key for key in keys if key[: len(first)] >= first and key[: len(end)] <= end]
        if not within or not first or not end:
            problems.append(f"{dataset.id} has no partition in {told!r}; its partitions are {keys[0]} to {keys[-1]}")
        else:
            found[dataset.id] = (within[0], within[-1])
    if problems:
        raise DefinitionError(problems, advice="write --partition 2024-03, or --partition 2024-01...2024-06.")
    return found
