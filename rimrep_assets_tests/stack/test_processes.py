"""Components as processes: they become ready, say why not, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack.processes import LOOPBACK, Component, answers, free_port, stop_recorded

SERVE = """
import subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("inner", "w").write(str(inner.pid))
from http.server import HTTPServer, SimpleHTTPRequestHandler
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


class Script(Component):
    name = "the script"

    def __init__(self, folder: Path, script: str = SERVE, **options) -> None:
        super().__init__(folder, **options)
        self.script = script

    def command(self) -> Sequence[str]:
        prelude = f"import os; os.chdir({str(self.folder)!r})\n"
        return [sys.executable, "-c", prelude + self.script, str(self.port)]


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        # It may go between the opening and the reading.
        return False


def eventually(done: Callable[[], bool], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
    return True


def test_a_component_answers_while_it_runs_and_ends_with_what_it_started(tmp_path):
    with Script(tmp_path) as component:
        assert answers(component.url)
        pids = [component.pid, int((tmp_path / "inner").read_text())]
        assert all(is_running(pid) for pid in pids)
    assert eventually(lambda: not any(is_running(pid) for pid in pids))
    assert not (tmp_path / "pid").exists()
    with pytest.raises(Unavailable, match="the script does not run"):
        _ = component.pid


def test_what_ignores_its_end_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("rimrep_assets.stack.processes.STOP_S", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVE
    with Script(tmp_path, stubborn) as component:
        pid = component.pid
    assert eventually(lambda: not is_running(pid))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_component_ends_when_its_starter_is_killed(tmp_path, how):
    starter = (
        "import sys, time; from pathlib import Path\n"
        f"from {__name__} import Script\n"
        "Script(Path(sys.argv[1])).start(); print('ready', flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", starter, str(tmp_path)], stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            pids = [int((tmp_path / "pid").read_text().split()[0]), int((tmp_path / "inner").read_text())]
        finally:
            os.kill(process.pid, how)
    assert eventually(lambda: not any(is_running(pid) for pid in pids))


def test_a_component_is_not_ready_before_it_is_written_down_who_it_is(tmp_path, monkeypatch):
    """On a busy machine it can answer first."""
    answered = []
    monkeypatch.setattr(Script, "is_ready", lambda self: answered.append(self.pid) is None)
    with Script(tmp_path) as component:
        assert answered == [component.pid]


def test_a_component_outlives_the_thread_that_started_it(tmp_path):
    """PR_SET_PDEATHSIG would have ended it."""
    import threading

    component = Script(tmp_path)
    thread = threading.Thread(target=component.start)
    thread.start()
    thread.join()
    try:
        assert answers(component.url)
    finally:
        component.stop()


def test_another_process_can_stop_it_by_its_folder(tmp_path):
    component = Script(tmp_path).start()
    pid = component.pid
    assert stop_recorded(tmp_path)
    assert eventually(lambda: not is_running(pid))
    assert not stop_recorded(tmp_path)
    component.stop()


def test_a_recorded_process_that_is_somebody_else_now_is_left_alone(tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()} {os.getpid()} 1\n")
    assert not stop_recorded(tmp_path)


def test_a_component_that_ends_at_once_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(Unavailable, match=r"(?s)the script did not become ready: its process ended.*no such flag"):
        Script(tmp_path, "raise SystemExit('no such flag')").start()


def test_a_component_that_never_answers_is_ended(tmp_path):
    component = Script(tmp_path, "import time; time.sleep(600)", start_timeout_s=0.5)
    with pytest.raises(Unavailable, match=r"did not become ready within 0\.5 s"):
        component.start()
    assert not (tmp_path / "pid").exists()


def test_somebody_else_s_server_on_the_port_does_not_pass_for_ours(tmp_path):
    with Script(tmp_path / "one") as other, pytest.raises(Unavailable, match="the script"):
        Script(tmp_path / "two", port=other.port).start()


def test_a_program_that_is_not_there_is_named(tmp_path):
    class Absent(Component):
        def command(self) -> Sequence[str]:
            return ["/no/such/program"]

    with pytest.raises(Unavailable, match="/no/such/program"):
        Absent(tmp_path).start()


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind((LOOPBACK, free_port()))
