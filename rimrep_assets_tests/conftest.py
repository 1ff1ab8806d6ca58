"""Fixtures of every room: the shared real files, and what a skip means."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest


def pytest_configure() -> None:
    """A shell that starts the tests in the background lets them ignore interrupts, Dagster then lets SIGTERM be ignored
    too, and so do all processes that tests start and mean to end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """``shared("data/a_gridded/...")`` is the path of a shared real file or schema.

    Absent: skipped with a reason; but where ``RIMREP_SHARED`` is set, absence is a failure.
    """
    told = os.environ.get("RIMREP_SHARED")
    root = Path(told or Path(__file__).parents[1] / ".." / "shared").resolve()

    def find(path: str) -> Path:
        found = root / path
        if not found.exists():
            if told:
                pytest.fail(f"RIMREP_SHARED is set, and {path} is not there")
            pytest.skip(f"no shared file {path}; set RIMREP_SHARED to the folder that holds it")
        return found

    return find


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """A real S3 server with a request log, started once a worker, with a bucket for every kind of test."""
    from rimrep_assets.stack.s3_server import S3Server

    with S3Server(tmp_path_factory.mktemp("s3"), buckets=["contract", "platform"]) as server:
        yield server


@pytest.fixture
def rimrep(monkeypatch, capfd):
    """``rimrep(world, "publish", ...)`` runs the command in this process: parsing, steps, printing and exit code."""
    import sys

    from rimrep_assets import cli
    from rimrep_assets_tests.homes import Ended, command_environment
    from rimrep_assets_tests.worlds import World

    def run(world: World, *arguments: str) -> Ended:
        for name in [n for n in os.environ if n.startswith("RIMREP_") and n != "RIMREP_SHARED"] + ["DAGSTER_HOME"]:
            monkeypatch.delenv(name, raising=False)
        for name, value in command_environment(world).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["rimrep", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return run


# How long an example takes says how busy the machine is, not whether it holds.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

SHARING = (
    "platform.py",
    "test_demo.py",
    "test_published_on_s3.py",
    "test_served_by_pygeoapi.py",
    "test_served_curvilinear.py",
    "test_served_tables.py",
)
"""ends of the names of these files"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Tests that share what takes long to start or to publish: a file of them stays with one worker, in its order.

    ``--dist loadgroup`` would do it by marks, but does not keep marked tests together with pytest 9.
    """
    from xdist.scheduler import LoadScopeScheduling

    class FilesOfPlatforms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.endswith(SHARING) else nodeid

    return FilesOfPlatforms(config, log)
