"""A process of ours whose whole tree is watched: how much memory it holds, and that nothing of it stays behind.

Here belongs what the kernel knows of processes. Not here: what the process does, or what its end means
(``defs/worker``, ``defs/worker_launch``).

A limit on address space would misfire: arrow and duckdb reserve gigabytes that they never touch. Resident memory is
what a pod is held to as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK_S = 0.2
GRACE_S = 5.0
KILL_S = 10.0
PAGE = os.sysconf("SC_PAGE_SIZE")
STANDARD_ERROR = 2


@dataclass(frozen=True)
class Ended:
    """How a watched process ended."""

    code: int
    """exit status; -9 after signal 9"""
    peak_bytes: int
    """most memory that was seen in its tree; a peak shorter than a fifth of a second may be missed"""
    over_limit: bool
    """it was ended because it held more than it may"""


def silent() -> None:
    """Do nothing."""


def run_watched(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    memory_bytes: int,
    each_tick: Callable[[], None] = silent,
) -> Ended:
    """Run ``command`` in a session of its own until it ends, and end its tree when it holds over ``memory_bytes``.

    ``each_tick`` is called five times a second. Standard output goes to our standard error, since ours may hold a
    document. Whatever ends this function, also an interrupt, ends the tree; SIGTERM first, after 5 s SIGKILL. Its
    standard input is a pipe that nobody writes: ``end_with_starter`` makes of it that the process does not outlive
    ours, however that one ends.
    """
    process = subprocess.Popen(
        [*command], env=dict(environment), stdin=subprocess.PIPE, stdout=STANDARD_ERROR, start_new_session=True
    )
    peak, over, grace = 0, False, GRACE_S
    descriptor = os.pidfd_open(process.pid)
    try:
        while not (over or _ends_within(descriptor, TICK_S)):
            held = resident_bytes(tree_of(process.pid), memory_bytes)
            peak, over = max(peak, held), held > memory_bytes
            each_tick()
        grace = 0.0
    finally:
        # The process is reaped last: until then nobody else can get its number.
        end_tree(process.pid, grace)
        os.close(descriptor)
        if process.stdin is not None:
            process.stdin.close()
        code = process.wait()
    return Ended(code, peak, over)


def _ends_within(descriptor: int, seconds: float) -> bool:
    """Whether the process behind a pidfd has ended, after waiting for it."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def tree_of(root: int) -> list[int]:
    """``root``, what it started at any remove, and what is left of its session; only those that have not ended."""
    parents: dict[int, int] = {}
    members: set[int] = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            # The command in brackets may hold spaces and brackets, so fields are counted from the last bracket.
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
            pid, state, parent, session = int(entry.name), fields[0], int(fields[1]), int(fields[3])
            if state not in "ZX":
                parents[pid] = parent
                if pid == root or session == root:
                    members.add(pid)
    found = members
    while found:
        # A child may be in a session of its own.
        found = {pid for pid, parent in parents.items() if parent in found} - members
        members |= found
    return sorted(members)


def resident_bytes(processes: Iterable[int], limit: int) -> int:
    """Memory that ``processes`` hold together.

    Pages that several share are counted once where that decides whether the sum is over ``limit``; below it the cheap
    sum is given, because counting them once walks all page tables.
    """
    known = list(processes)
    cheap = sum(_from_statm(pid) for pid in known)
    return cheap if cheap <= limit else sum(_proportional(pid) for pid in known)


def _from_statm(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Resident bytes with each shared page divided by its users (``man 5 proc``, smaps_rollup)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return _from_statm(pid)


def end_tree(root: int, grace_s: float) -> None:
    """End the tree of ``root``: ask it, and after ``grace_s`` do not ask."""
    if grace_s:
        _signal(tree_of(root), signal.SIGTERM)
        _wait_until_gone(root, grace_s)
    until = time.monotonic() + KILL_S
    while (left := tree_of(root)) and time.monotonic() < until:
        # Again and again, since one of them may just have started another.
        _signal(left, signal.SIGKILL)
        _wait_until_gone(root, TICK_S)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _wait_until_gone(root: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while tree_of(root) and time.monotonic() < until:
        time.sleep(0.02)


def end_with_starter() -> None:
    """Let this process and its group end when whoever started it by ``run_watched`` is gone.

    The kernel closes the pipe at standard input however the starter ends, also by SIGKILL.
    """
    leash = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait_for_the_end() -> None:
        while os.read(leash, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait_for_the_end, name="leash", daemon=True).start()
