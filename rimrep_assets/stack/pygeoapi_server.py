"""The real pygeoapi, by gunicorn, on a configuration and an OpenAPI document that somebody else wrote.

Here belongs serving them at a loopback address and taking in changes. Not here: what stands in them
(``domain/pygeoapi``) or where they are kept (``ports/pygeoapi_config``).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from rimrep_assets.domain.errors import DataError
from rimrep_assets.stack.processes import LOOPBACK, Component, answers

# pygeoapi reads its configuration when a worker loads it, so which workers have loaded tells whether a change
# is served; gunicorn says so only by its hooks: https://docs.gunicorn.org/en/stable/settings.html#server-hooks
GUNICORN = """\
from pathlib import Path
WORKERS = Path({workers!r})
def post_worker_init(worker):
    (WORKERS / str(worker.pid)).touch()
def child_exit(server, worker):
    (WORKERS / str(worker.pid)).unlink(missing_ok=True)
"""
MAILTO = """href="mailto:{{ config['metadata']['contact']['email'] }}\""""
CONTACT = """href="{{ config['metadata']['contact']['url'] or config['server']['url'] }}\""""


class PygeoapiServer(Component):
    """Serves ``configuration`` and ``openapi`` (YAML or JSON files), with ``server.url`` set to the real
    address.

    The files themselves are never written: a copy with the address lies in ``folder``. ``environment``
    says e.g. where S3 is (``S3Server.client_environment``).
    """

    name = "pygeoapi"

    def __init__(
        self,
        configuration: Path,
        openapi: Path,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        workers: int = 1,
        port: int | None = None,
    ) -> None:
        super().__init__(folder.resolve(), port=port, start_timeout_s=120)
        self.configuration = configuration
        self.openapi = openapi
        self.workers = workers
        self._environment = dict(environment or {})

    def command(self) -> Sequence[str]:
        """See ``Component.command``. Raises: DataError when the files are not what pygeoapi can load."""
        self._take_in()
        self._loaded.mkdir(exist_ok=True)
        for left in self._loaded.iterdir():
            left.unlink()
        hooks = self.folder / "gunicorn.conf.py"
        hooks.write_text(GUNICORN.format(workers=str(self._loaded)))
        return [
            sys.executable,
            "-m",
            "gunicorn",
            f"--config={hooks}",
            f"--bind={LOOPBACK}:{self.port}",
            f"--workers={self.workers}",
            "--worker-class=gthread",
            "--threads=4",
            "--timeout=120",
            "--graceful-timeout=3",
            "--no-control-socket",
            "pygeoapi.flask_app:APP",
        ]

    def environment(self) -> Mapping[str, str]:
        """See ``Component.environment``."""
        return {
            **self._environment,
            "PYGEOAPI_CONFIG": str(self.folder / "config.yaml"),
            "PYGEOAPI_OPENAPI": str(self.folder / "openapi.yaml"),
        }

    def is_ready(self) -> bool:
        """See ``Component.is_ready``: every worker has loaded the configuration, and one answers."""
        return len(self._workers()) >= self.workers and answers(f"{self.url}/conformance?f=json")

    def reload(self, timeout_s: float = 120.0) -> None:
        """Take the files in again and wait until every worker serves them; requests under way are finished.

        Raises: DataError when the files cannot be loaded (then the old ones are served on), Unavailable when
        the new workers do not come up.
        """
        self._take_in()
        before = self._workers()
        os.kill(self.pid, signal.SIGHUP)

        def served_anew() -> bool:
            now = self._workers()
            return not now & before and len(now) >= self.workers and self.is_ready()

        self.wait_until(served_anew, "serve the new configuration", timeout_s)

    @property
    def _loaded(self) -> Path:
        return self.folder / "workers"

    def _workers(self) -> set[str]:
        return {path.name for path in self._loaded.iterdir()}

    def _take_in(self) -> None:
        """Write what is served: both files or, when one of them is wrong, none."""
        problems: list[str] = []
        configuration = _mapping(self.configuration, problems)
        openapi = _mapping(self.openapi, problems)
        for part in ("server", "metadata", "resources"):
            if configuration and not isinstance(configuration.get(part), dict):
                problems.append(f"{self.configuration.name} has no mapping {part!r}")
        if problems:
            raise DataError(problems)
        server = configuration["server"]
        configuration["server"] = {
            **server,
            "url": self.url,
            "bind": {"host": LOOPBACK, "port": self.port},
            # Its admin API rewrites the configuration and loses concurrent changes.
            "admin": False,
        }
        contact = configuration["metadata"].get("contact")
        if not (isinstance(contact, dict) and contact.get("email")):
            _without_mail(configuration, self.folder / "templates")
        openapi["servers"] = [{"url": self.url}]
        for name, document in (("config.yaml", configuration), ("openapi.yaml", openapi)):
            fresh = self.folder / f".{name}"
            fresh.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
            fresh.replace(self.folder / name)


def _without_mail(configuration: dict[str, Any], folder: Path) -> None:
    """Let pages point at the contact's address on the web; pygeoapi's own write a mail to nobody where none is told.

    Templates of another version, or of the people who wrote the header, are left as they are.
    """
    if "templates" in configuration["server"]:
        return
    spec = find_spec("pygeoapi")
    assert spec is not None and spec.origin is not None
    folder.mkdir(exist_ok=True)
    for name in ("_base.html", "landing_page.html"):
        text = (Path(spec.origin).parent / "templates" / name).read_text()
        (folder / name).write_text(text.replace(MAILTO, CONTACT))
    configuration["server"]["templates"] = {"path": str(folder)}


def _mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{path.name} is not a mapping")
        return {}
    return found
