"""A component as a process: start it, wait until it answers, stop it with everything that it started.

Here belongs what is the same for every component. Not here: what nginx, the S3 server or pygeoapi are told
(``nginx``, ``s3_server``, ``pygeoapi_server``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack import leash

LOOPBACK = "127.0.0.1"
STOP_S = leash.GRACE_S + 3.0


def free_port() -> int:
    """A port of the loopback address that nobody listens on now; somebody else may take it before you do."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether ``url`` answers with any status below 500, within a second; never by way of a proxy."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=1):
            return True
    except HTTPError as error:
        return error.code < 500
    except (URLError, OSError):
        return False


class Component:
    """A process on loopback whose configuration, log (``log``) and process ids (``pid``) lie in ``folder``.

    Used as a context manager, or by ``start`` and ``stop``. It ends with the process that started it, however
    that one ends.
    """

    name = "component"

    def __init__(self, folder: Path, *, port: int | None = None, start_timeout_s: float = 60.0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: int | None = None
        self._stopping = threading.Lock()

    def command(self) -> Sequence[str]:
        """What to run, in the foreground; called after ``folder`` exists, so it may write configuration
        there.
        """
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables set on top of those of the starter."""
        return {}

    def is_ready(self) -> bool:
        """Whether the component does its work."""
        return answers(self.url)

    @property
    def log(self) -> Path:
        """Where the component's output goes."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """The process id of the component itself. Raises: Unavailable when it does not run."""
        recorded = _recorded(self.folder)
        if recorded is None:
            raise Unavailable(f"{self.name} does not run")
        return recorded[0]

    def start(self) -> Self:
        """Start and wait until it is ready. Raises: Unavailable with the end of its log."""
        self._refuse_taken_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "pid").unlink(missing_ok=True)
        command = [str(part) for part in self.command()]
        read_end, self._leash = os.pipe()
        runner = [sys.executable, "-m", leash.__name__, str(read_end), str(self.folder / "pid"), *command]
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    runner,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.environment()},
                    pass_fds=[read_end],
                    start_new_session=True,
                )
        finally:
            os.close(read_end)
        try:
            # It may answer before the leash has written down who it is.
            self.wait_until(lambda: _recorded(self.folder) is not None and self.is_ready(), "become ready")
        except BaseException:
            self.stop()
            raise
        return self

    def _refuse_taken_port(self) -> None:
        """Somebody else's server on the same port must not pass for ours."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, self.port))
            except OSError as error:
                raise Unavailable(f"{self.name} cannot listen at port {self.port}: {error.strerror}") from error

    def wait_until(self, done: Callable[[], bool], what: str, timeout_s: float | None = None) -> None:
        """Wait for ``done``. Raises: Unavailable when the process ends or the time is over before."""
        limit = self.start_timeout_s if timeout_s is None else timeout_s
        until = time.monotonic() + limit
        while not done():
            if self._process is None or self._process.poll() is not None:
                raise Unavailable(f"{self.name} did not {what}: its process ended\n{self.log_tail()}")
            if time.monotonic() > until:
                raise Unavailable(f"{self.name} did not {what} within {limit:g} s\n{self.log_tail()}")
            time.sleep(0.03)
        if self._process is None or self._process.poll() is not None:
            raise Unavailable(f"{self.name} does not run, though something answers\n{self.log_tail()}")

    @property
    def runs(self) -> bool:
        """Whether the process that was started is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the process and all that it started; nothing when it does not run."""
        # The thread that starts it and the one that ends everything may both come here.
        with self._stopping:
            if self._leash is not None:
                os.close(self._leash)
                self._leash = None
            if self._process is None:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            _kill_group(self._process.pid)
            self._process.wait()
            self._process = None
            (self.folder / "pid").unlink(missing_ok=True)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the log, for error messages."""
        if not self.log.exists():
            return "(no log)"
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(["the end of its log:", *text[-lines:]])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def stop_recorded(folder: Path) -> bool:
    """Stop the component whose process ids ``folder`` records, whoever started it; False when none runs."""
    recorded = _recorded(folder)
    if recorded is None:
        return False
    _, group = recorded
    os.killpg(group, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while _recorded(folder) is not None and time.monotonic() < until:
        time.sleep(0.03)
    _kill_group(group)
    (folder / "pid").unlink(missing_ok=True)
    return True


def _recorded(folder: Path) -> tuple[int, int] | None:
    """``(component, process group)`` from ``folder / "pid"``; None when they are not those that were
    recorded.
    """
    try:
        component, group, ticks = (int(word) for word in (folder / "pid").read_text().split())
        return (component, group) if leash.started(group) == ticks and not _is_zombie(group) else None
    except (OSError, ValueError, IndexError):
        return None


def _is_zombie(pid: int) -> bool:
    """Whether ``pid`` has ended and its starter did not ask how yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
