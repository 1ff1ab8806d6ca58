"""The whole platform on one machine: files server, pygeoapi, and Dagster, as one thing that starts and ends.

Here belongs which parts there are, at which ports, and that they live and die together. Not here: one part
(``files_server``, ``pygeoapi_server``, ``dagster_server``), or what is printed (``cli_platform``).
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.ports.process_identity import process_start
from rimrep_assets.ports.pygeoapi_config import CONFIG, OPENAPI, PygeoapiConfig
from rimrep_assets.ports.workbench import Settings
from rimrep_assets.stack.dagster_server import DagsterServer
from rimrep_assets.stack.files_server import FilesServer
from rimrep_assets.stack.processes import LOOPBACK, Component, free_port, stop_recorded
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer

PARTS = ("files", "pygeoapi", "dagster")
POLL_S = 1.0
STOP_S = 40.0


@dataclass(frozen=True)
class Running:
    """What is remembered of a platform: its process, and the addresses of its parts."""

    pid: int
    started: str
    addresses: dict[str, str]

    @property
    def is_alive(self) -> bool:
        return process_start(self.pid) == self.started


def folder_of(settings: Settings) -> Path:
    """Where a platform keeps its record and its parts' logs."""
    return settings.data_folder / "up"


def running(settings: Settings) -> Running | None:
    """The platform that runs on these settings' data folder; the record of one that is dead does not count."""
    try:
        found = Running(**json.loads((folder_of(settings) / "running.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.is_alive else None


def end(settings: Settings) -> Running | None:
    """End the platform that runs, by process id, and wait for it; what it was, None when there was none.

    Raises: Unavailable when it does not end.
    """
    import signal

    found = running(settings)
    if found is not None:
        os.kill(found.pid, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while found.is_alive:
            if time.monotonic() > until:
                raise Unavailable(f"the platform (process {found.pid}) did not end within {STOP_S:g} s")
            time.sleep(0.1)
    # Parts end with their starter; this finds those of a starter that was stopped in the middle.
    for part in PARTS:
        stop_recorded(folder_of(settings) / part)
    return found


@dataclass
class LocalPlatform:
    """Used as a context manager. ``ports`` are those that were asked for; ``sensors`` whether they begin to work."""

    settings: Settings
    ports: Mapping[str, int] = field(default_factory=dict)
    sensors: bool = True
    announce: Callable[[str], None] = print
    parts: dict[str, Component] = field(default_factory=dict, init=False)
    _seen: dict[str, str | None] = field(default_factory=dict, init=False)
    _lock: FileLock | None = field(default=None, init=False)

    @property
    def folder(self) -> Path:
        return folder_of(self.settings)

    @property
    def addresses(self) -> dict[str, str]:
        """Part -> address."""
        return {name: part.url for name, part in self.parts.items()}

    @property
    def dagster(self) -> DagsterServer:
        part = self.parts["dagster"]
        assert isinstance(part, DagsterServer)
        return part

    def __enter__(self) -> Self:
        """Start all parts. Raises: DefinitionError when one runs already, Unavailable naming what cannot start."""
        self._be_the_only_one()
        try:
            # Parts of a platform that was killed may still be there.
            for part in PARTS:
                stop_recorded(self.folder / part)
            # Known from now on, so that it can be ended while it starts.
            self._remember()
            self._begin()
            self._start()
            self._remember()
        except BaseException:
            self._stop()
            raise
        return self

    def _be_the_only_one(self) -> None:
        """Hold the folder's lock, which ends with this process whatever happens to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            other = running(self.settings)
            addresses = other.addresses if other else {}
            at = ", ".join(f"{name} {url}" for name, url in addresses.items()) or "it is starting"
            process = f", process {other.pid}" if other else ""
            raise DefinitionError(
                f"a platform runs already on {self.settings.data_folder}{process}: {at}",
                advice="use it, end it with `rimrep down`, or name another folder with --folder.",
            ) from None

    def _start(self) -> None:
        """Start all parts at once; when one cannot, or somebody interrupts, the others need not be waited for."""
        pool = ThreadPoolExecutor(len(self.parts))
        try:
            for started in [pool.submit(part.start) for part in self.parts.values()]:
                started.result()
        except BaseException:
            # Ends what they wait for, so that their threads end.
            self._stop_parts()
            raise
        finally:
            pool.shutdown()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stop_parts()
        (self.folder / "running.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def _stop_parts(self) -> None:
        with ThreadPoolExecutor(len(PARTS)) as pool:
            list(pool.map(lambda part: part.stop(), self.parts.values()))

    def _begin(self) -> None:
        """Make the parts, not yet started; ports are tried first, so that nothing starts in vain."""
        catalog = self.settings.open_catalog()
        endpoints = catalog.at(catalog.resolve()).endpoints(self.settings.environment)
        store = self.settings.store_for("public", endpoints)
        served = None if "://" in store.address else Path(store.address)
        wanted = str(endpoints.get("pygeoapi") or "")
        PygeoapiConfig(store).begin(wanted or f"http://{LOOPBACK}")
        ports = self._ports(wanted, [name for name in PARTS if name != "files" or served])
        if served:
            self.parts["files"] = FilesServer(served, self.folder / "files", port=ports["files"])
        self._store = store
        self._take_configuration()
        self.parts["pygeoapi"] = PygeoapiServer(
            self.folder / "config.yaml", self.folder / "openapi.yaml", self.folder / "pygeoapi", port=ports["pygeoapi"]
        )
        home = self.settings.data_folder / "dagster"
        self.parts["dagster"] = DagsterServer(home, self.folder / "dagster", self._told(ports), port=ports["dagster"])

    def _told(self, ports: Mapping[str, int]) -> dict[str, str]:
        """What Dagster, its code server and its runs are told of the other parts."""
        told = {
            "RIMREP_DATA": str(self.settings.data_folder),
            "RIMREP_CATALOG": self.settings.catalog,
            "RIMREP_ENVIRONMENT": self.settings.environment,
            "RIMREP_DAGSTER_URL": f"http://{LOOPBACK}:{ports['dagster']}",
            "RIMREP_PYGEOAPI_URL": f"http://{LOOPBACK}:{ports['pygeoapi']}",
            "RIMREP_SENSORS": "running" if self.sensors else "stopped",
        }
        if self.settings.store:
            told["RIMREP_STORE"] = self.settings.store
        if "files" in ports:
            told["RIMREP_FILES_URL"] = f"http://{LOOPBACK}:{ports['files']}"
        return told

    def _ports(self, pygeoapi: str, names: list[str]) -> dict[str, int]:
        """A free port for each part: as asked, as last time, as the catalog says of pygeoapi, or any."""
        problems = [
            f"port {port} for {name} is taken" for name, port in self.ports.items() if name in names and _taken(port)
        ]
        asked = [port for name, port in self.ports.items() if name in names]
        problems += [
            f"port {port} is asked for more than one part" for port in {p for p in asked if asked.count(p) > 1}
        ]
        if problems:
            raise Unavailable(problems, advice="end what listens there, or leave the port to rimrep.")
        memory = self.folder / "ports.json"
        remembered = json.loads(memory.read_text()) if memory.exists() else {}
        told = urlsplit(pygeoapi)
        loopback = told.port if told.hostname in (LOOPBACK, "localhost") else None
        found: dict[str, int] = {}
        for name in names:
            likely = [self.ports.get(name), loopback if name == "pygeoapi" else None, remembered.get(name)]
            usable = [port for port in likely if port and port not in found.values() and not _taken(port)]
            found[name] = usable[0] if usable else free_port()
        memory.write_text(json.dumps(found))
        return found

    def _remember(self) -> None:
        about: dict[str, Any] = {"pid": os.getpid(), "started": process_start(os.getpid()), "addresses": self.addresses}
        fresh = self.folder / ".running.json"
        fresh.write_text(json.dumps(about))
        fresh.replace(self.folder / "running.json")

    def _take_configuration(self) -> bool:
        """Copy what pygeoapi serves out of the store; whether it differs from the last time."""
        seen: dict[str, str | None] = {}
        for path in (CONFIG, OPENAPI):
            there = self._store.stat(path)
            seen[path] = f"{there.etag} {there.last_modified}" if there else None
        if seen == self._seen or None in seen.values():
            return False
        for path, name in ((CONFIG, "config.yaml"), (OPENAPI, "openapi.yaml")):
            self._store.download(path, self.folder / name)
        if "files" in self.parts:
            self._link_to_files_server(self.folder / "config.yaml")
        self._seen = seen
        return True

    def _link_to_files_server(self, configuration: Path) -> None:
        """Links to files of this machine lead nowhere in a browser; the files server has them too."""
        folder = re.escape(self._store.address.rstrip("/"))
        text = configuration.read_text()
        links = re.sub(rf"(\bhref: *['\"]?){folder}/", rf"\g<1>{self.parts['files'].url}/public/", text)
        configuration.write_text(links)

    def keep(self, until: Callable[[], bool]) -> None:
        """Let pygeoapi serve what is published, until ``until`` says so. Raises: Unavailable when a part dies."""
        server = self.parts["pygeoapi"]
        assert isinstance(server, PygeoapiServer)
        while not until():
            dead = [f"{part.name} ended by itself\n{part.log_tail()}" for part in self.parts.values() if not part.runs]
            if dead:
                raise Unavailable(dead, advice="its whole log is in the folder `up` of the data folder.")
            try:
                if self._take_configuration():
                    server.reload()
            except (DataError, Unavailable, FileNotFoundError) as error:
                self.announce(f"pygeoapi goes on with what it served before: {error}")
            time.sleep(POLL_S)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
