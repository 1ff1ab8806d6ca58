"""dask's scheduler and a worker of it on loopback, as processes of their own: what a cluster is elsewhere.

Here belong their commands. Not here: starting processes (``processes``), or what is sent to them
(``ports/dask_blocks``).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rimrep_assets.domain.dask_resources import DEATHS, FORGIVEN
from rimrep_assets.stack.processes import LOOPBACK, Component


class DaskScheduler(Component):
    """The scheduler; ``address`` is what clients and workers are told. ``forgiven`` deaths of workers a task may cause,
    before it is given up at the next.
    """

    name = "the dask scheduler"

    def __init__(self, folder: Path, *, forgiven: int = DEATHS - 1, port: int | None = None) -> None:
        super().__init__(folder.resolve(), port=port)
        self.forgiven = forgiven

    @property
    def address(self) -> str:
        return f"tcp://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        """See ``Component.command``."""
        return [*_dask("scheduler"), "--host", LOOPBACK, "--port", str(self.port), "--no-dashboard"]

    def environment(self) -> Mapping[str, str]:
        """See ``Component.environment``."""
        return {FORGIVEN: str(self.forgiven)}

    def is_ready(self) -> bool:
        """See ``Component.is_ready``."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((LOOPBACK, self.port)) == 0


class DaskWorker(Component):
    """One worker of one thread; without a nanny, so that ``pid`` is the worker and nobody starts it anew."""

    name = "a dask worker"

    def __init__(self, scheduler: str, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder.resolve(), port=port)
        self.scheduler = scheduler

    def command(self) -> Sequence[str]:
        """See ``Component.command``."""
        return [
            *_dask("worker"),
            *(self.scheduler, "--host", LOOPBACK, "--worker-port", str(self.port)),
            *("--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard"),
            *("--local-directory", str(self.folder / "space")),
        ]

    def is_ready(self) -> bool:
        """See ``Component.is_ready``; it is when the scheduler has taken it in."""
        return "Registered to" in self.log_tail(1000)


def _dask(what: str) -> list[str]:
    return [sys.executable, "-m", "dask", what]
