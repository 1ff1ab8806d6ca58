"""What every command of `rimrep` shares: settings, what is chosen, progress, exit codes.

Here belongs what is the same whichever command runs. Not here: the commands and their options (``cli``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DefinitionError, GateRefusal, Unavailable

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Dataset
    from rimrep_assets.ports.catalog import CatalogCommit
    from rimrep_assets.ports.projector import Projector
    from rimrep_assets.ports.workbench import Settings

WRONG_INPUT, UNAVAILABLE, REFUSED, INTERRUPTED = 2, 3, 4, 130
"""exit codes"""
MOST_NAMED = 5
"""partitions that one message names"""


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
    from rimrep_assets.ports.workbench import Settings, absolute

    settings = Settings.from_environment(os.environ)
    settings = replace(
        settings,
        catalog=absolute(catalog) if catalog else settings.catalog,
        store=absolute(store) if store else settings.store,
        environment=environment or settings.environment,
    )
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


def records_of(settings: Settings, commit: CatalogCommit, name: str) -> Projector:
    """What reads the releases of ``name``, also of a dataset that the catalog does not describe any more, or wrongly.

    Raises: DefinitionError as the catalog does, where no store has a release of it.
    """
    from rimrep_assets.domain.dataset import ID
    from rimrep_assets.ports.projector import Projector
    from rimrep_assets.ports.reconciliation import NOT_DATASETS

    try:
        return projector_of(settings, commit, commit.dataset(name))
    except DefinitionError as error:
        if ID.fullmatch(name) and name not in NOT_DATASETS:
            for store in settings.stores(commit.endpoints(settings.environment)).values():
                found = Projector(store, name, settings.s3)
                if found.log.numbers():
                    say(f"note: {'; '.join(error.problems)}; its releases are in {store.address}")
                    return found
        raise


def ranges_of(datasets: Sequence[Dataset], told: str | None) -> dict[str, tuple[str, str]]:
    """First and last partition key of each dataset for ``A`` or ``A...B``, where ``2024`` stands for all that is in it.

    Raises: DefinitionError naming every dataset that has no partitions, or none in this range, and why.
    """
    if told is None:
        return {}
    now = datetime.now(UTC)
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for dataset in datasets:
        if dataset.partition is None:
            problems.append(f"{dataset.id} is not partitioned: leave --partition out")
            continue
        try:
            found[dataset.id] = dataset.partition.range_of(told, now)
        except DefinitionError as error:
            problems += [f"{dataset.id}: {problem}" for problem in error.problems]
    if problems:
        raise DefinitionError(problems, advice="")
    return found


def without_files(dataset: Dataset, told: tuple[str, str], names: Iterable[str]) -> str | None:
    """Which partitions of the range ``told`` none of the source files ``names`` belongs to, in words; None: each has
    some."""
    assert dataset.partition is not None
    there = {dataset.partition.key_of(name) for name in names}
    keys = [key for key in dataset.partition.keys(datetime.now(UTC)) if told[0] <= key <= told[1]]
    lacking = [key for key in keys if key not in there]
    if not lacking:
        return None
    if len(lacking) == len(keys) > 1:
        return f"no source file for {keys[0]} to {keys[-1]}"
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    return f"no source file for {', '.join(lacking[:MOST_NAMED])}{more}"
