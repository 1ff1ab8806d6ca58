"""Keeping values of limited data out of logs, messages and the UI.

Here belongs putting what quotes limited data beside that data, and saying where it lies. Not here: which documents of
a limited dataset are written where (``workbench`` chooses its store once, for everything).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.release import Places, json_bytes
from rimrep_assets.ports.workbench import Workbench


@contextmanager
def withholding(bench: Workbench) -> Iterator[None]:
    """Errors about limited data quote cells; let them tell their number and the place of their words instead.

    Nothing is chained to the error that is raised, because whoever logs it would log the cause as well.
    """
    if bench.folder.dataset.access != "limited":
        yield
        return
    try:
        yield
    except DataError as error:
        path = Places(bench.id).staging(bench.attempt, "problems.json")
        bench.store.write(path, json_bytes(list(error.problems)))
        told = withheld(error.problems, bench.store.url(path))
        raise type(error)(told, dataset=bench.id, advice=error.advice) from None


def withheld(findings: Sequence[str], address: str) -> str:
    """How many findings there are, and where they can be read by those who may read the data."""
    return f"{len(findings)} problems; they quote limited data, so they stand in {address}"
