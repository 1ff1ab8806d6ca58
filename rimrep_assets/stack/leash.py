"""Runs one command that does not outlive whoever started it: ``python -m rimrep_assets.stack.leash FD
PIDFILE CMD…``.

Here belongs ending a process group when its starter is gone. Not here: starting components (``processes``).
Imports the standard library's small modules alone, since it runs once a component.

The starter holds the other end of the pipe ``FD`` and never writes; the kernel closes it however the
starter ends, also by SIGKILL. PR_SET_PDEATHSIG would do for one process, but it fires when the *thread*
that started the command ends (``man 2 prctl``), and does not reach the workers of nginx or gunicorn.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

GRACE_S = 5.0


def main(arguments: list[str]) -> int:
    """Run the command in this process group; return its exit status."""
    descriptor, pid_file, command = int(arguments[0]), Path(arguments[1]), arguments[2:]
    # What ends the group must reach the component, and this process only after it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(command, preexec_fn=_default_signals)
    pid_file.write_text(f"{child.pid} {os.getpid()} {started(os.getpid())}\n")
    while child.poll() is None:
        ready, _, _ = select.select([descriptor, read_end], [], [], 60)
        if descriptor in ready:
            _end(child)
        elif read_end in ready:
            os.read(read_end, 4096)
    return child.returncode


def started(pid: int) -> int:
    """Clock ticks from boot to the start of ``pid``: with the pid it names one process for ever (``man 5
    proc``).
    """
    # The command in brackets may hold spaces and brackets, so fields are counted from the last bracket.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _end(child: subprocess.Popen[bytes]) -> None:
    os.killpg(os.getpgrp(), signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _default_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
