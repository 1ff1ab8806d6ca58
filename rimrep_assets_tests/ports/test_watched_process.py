"""Real processes whose memory is watched and of which nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rimrep_assets.ports import watched_process
from rimrep_assets.ports.watched_process import Ended, run_watched, tree_of

MIB = 2**20
PLENTY = 2000 * MIB


def watch(code: str, *arguments: object, memory_bytes: int = PLENTY, **more) -> Ended:
    """Watch a small program; it is given ``arguments``."""
    command = [sys.executable, "-c", "import os, signal, subprocess, sys, time\n" + code, *map(str, arguments)]
    return run_watched(command, os.environ, memory_bytes=memory_bytes, **more)


def poll(condition, seconds: float = 20.0):
    """Wait for ``condition`` and return what it gives."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
    return found


def read_number(path: Path) -> int | None:
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else None


def lives(pid: int) -> bool:
    """Whether a process is there, as another library sees it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


HOLD = "held = bytearray(os.urandom(1)) * int(sys.argv[1])\n"
WAIT = "time.sleep(60)\n"


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("sys.exit(7)", 7)])
def test_the_exit_code_is_told(code, status):
    ended = watch(code)
    assert (ended.code, ended.over_limit) == (status, False)


def test_the_signal_that_ended_it_is_told():
    assert watch("os.kill(os.getpid(), signal.SIGSEGV)").code == -signal.SIGSEGV


def test_what_holds_more_than_it_may_is_ended_and_its_peak_told():
    ended = watch(HOLD + WAIT, 300 * MIB, memory_bytes=150 * MIB)
    assert ended.over_limit
    assert ended.code == -signal.SIGKILL
    assert 150 * MIB < ended.peak_bytes < 400 * MIB


def test_what_holds_less_is_left_alone_and_its_peak_told(tmp_path):
    ticks = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) > 3:
            (tmp_path / "enough").touch()

    code = HOLD + "while not os.path.exists(sys.argv[2]): time.sleep(0.01)\n"
    ended = watch(code, 100 * MIB, tmp_path / "enough", memory_bytes=400 * MIB, each_tick=tick)
    assert (ended.code, ended.over_limit) == (0, False)
    assert 100 * MIB < ended.peak_bytes < 200 * MIB


def test_the_memory_of_what_it_starts_counts_also_in_a_session_of_its_own():
    child = "held = b'x' * (300 * 2**20); import time; time.sleep(60)"
    code = f"subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    assert watch(code, memory_bytes=200 * MIB).over_limit


def test_pages_that_forked_processes_share_count_once(tmp_path):
    """Three forks beside their parent seem to hold four times as much as they do."""
    ticks = []

    def tick() -> None:
        if (tmp_path / "forked").exists():
            ticks.append(1)
        if len(ticks) > 2:
            (tmp_path / "enough").touch()

    code = HOLD + (
        "pids = []\n"
        "for _ in range(3):\n"
        "    pid = os.fork()\n"
        "    if not pid: time.sleep(60)\n"
        "    pids.append(pid)\n"
        "open(sys.argv[2] + '/forked', 'w').close()\n"
        "while not os.path.exists(sys.argv[2] + '/enough'): time.sleep(0.01)\n"
        "for pid in pids: os.kill(pid, 9)\n"
    )
    ended = watch(code, 150 * MIB, tmp_path, memory_bytes=350 * MIB, each_tick=tick)
    assert (ended.code, ended.over_limit) == (0, False)
    assert ended.peak_bytes < 350 * MIB


def test_what_it_leaves_behind_is_ended(tmp_path):
    code = "child = subprocess.Popen(['sleep', '60'])\nopen(sys.argv[1], 'w').write(f'{child.pid}\\n')"
    assert watch(code, tmp_path / "pid").code == 0
    assert not lives(read_number(tmp_path / "pid"))


SAY_PID = "open(sys.argv[1] + '/pid', 'w').write(f'{os.getpid()}\\n')\n"


def interrupted(folder: Path, code: str) -> int:
    """Watch ``code`` and interrupt the watching when it has said its number; that number."""

    def tick() -> None:
        if read_number(folder / "pid"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(code, folder, each_tick=tick)
    return read_number(folder / "pid")


def test_an_interrupt_asks_the_tree_to_end_and_waits_for_it(tmp_path):
    tidy = "def leave(*_):\n    open(sys.argv[1] + '/tidied', 'w').close()\n    sys.exit()\nsignal.signal(15, leave)\n"
    pid = interrupted(tmp_path, tidy + SAY_PID + WAIT)
    assert not lives(pid)
    assert (tmp_path / "tidied").exists()


def test_what_does_not_end_when_asked_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(watched_process, "GRACE_S", 0.3)
    assert not lives(interrupted(tmp_path, "signal.signal(15, signal.SIG_IGN)\n" + SAY_PID + WAIT))


def test_its_output_goes_to_standard_error_because_ours_may_hold_a_document(capfd):
    watch("print('aloud')")
    assert capfd.readouterr() == ("", "aloud\n")


def test_it_does_not_outlive_a_starter_that_is_killed(tmp_path):
    child = (
        "from rimrep_assets.ports.watched_process import end_with_starter\nimport os, sys, time\nend_with_starter()\n"
        + SAY_PID
        + WAIT
    )
    starter = (
        "import os, sys\nfrom rimrep_assets.ports.watched_process import run_watched\n"
        f"run_watched([sys.executable, '-c', {child!r}, {str(tmp_path)!r}], os.environ, memory_bytes={PLENTY})"
    )
    with subprocess.Popen([sys.executable, "-c", starter]) as process:
        pid = poll(lambda: read_number(tmp_path / "pid"))
        assert lives(pid)
        process.kill()
    poll(lambda: not lives(pid))


def test_a_tree_is_what_another_library_sees():
    code = "import subprocess\nsubprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        root = psutil.Process(process.pid)
        children = poll(root.children)
        assert tree_of(process.pid) == sorted([process.pid, *(child.pid for child in children)])
        os.killpg(process.pid, signal.SIGKILL)
    assert tree_of(process.pid) == []
