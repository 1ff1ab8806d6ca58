"""Dagster's web server, daemon and code server in one: ``dagster dev`` on the definitions of this package.

Here belongs starting it on an instance folder and asking whether it loaded the code location. Not here: the graph
(``definitions``), or which other parts it is told of (``local_platform``).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack.processes import LOOPBACK, Component, answers

CONFIGURATION, WORKSPACE = "dagster.yaml", "workspace.yaml"
LOCATIONS = """{ workspaceOrError { __typename ... on PythonError { message } ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename ... on PythonError { message stack } } } } } }"""


class DagsterServer(Component):
    """``dagster dev`` with ``home`` as DAGSTER_HOME; ``told`` are variables for it, its code server and its runs."""

    name = "Dagster"

    def __init__(self, home: Path, folder: Path, told: Mapping[str, str], *, port: int | None = None) -> None:
        super().__init__(folder.resolve(), port=port, start_timeout_s=300)
        self.home = home.resolve()
        self._told = dict(told)

    def command(self) -> Sequence[str]:
        """See ``Component.command``; an instance that has no ``dagster.yaml`` gets ours."""
        self.home.mkdir(parents=True, exist_ok=True)
        own = files(__package__)
        if not (self.home / CONFIGURATION).exists():
            (self.home / CONFIGURATION).write_text(own.joinpath(CONFIGURATION).read_text())
        (self.folder / WORKSPACE).write_text(own.joinpath(WORKSPACE).read_text())
        return [
            *(sys.executable, "-m", "dagster", "dev", "--workspace", str(self.folder / WORKSPACE)),
            *("--host", LOOPBACK, "--port", str(self.port)),
        ]

    def environment(self) -> Mapping[str, str]:
        """See ``Component.environment``."""
        return {
            **self._told,
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            # Commands that the code runs must find this environment's programs.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }

    def is_ready(self) -> bool:
        """See ``Component.is_ready``: the web server answers and the code location is loaded, well or not."""
        return answers(f"{self.url}/server_info") and self._entry() is not None

    def load_error(self) -> str | None:
        """Why the code location could not be loaded; None when it is loaded. Raises: Unavailable."""
        entry = self._entry()
        if entry is None:
            raise Unavailable("Dagster has not loaded the code location yet")
        found = entry.get("locationOrLoadError") or {}
        return str(found.get("message")) if found.get("__typename") == "PythonError" else None

    def _entry(self) -> Mapping[str, Any] | None:
        """The code location, when it is not being loaded."""
        try:
            workspace = self.graphql(LOCATIONS)["workspaceOrError"]
        except Unavailable:
            return None
        entries = workspace.get("locationEntries") or []
        done = [e for e in entries if e["loadStatus"] == "LOADED" and e.get("locationOrLoadError")]
        return done[0] if done else None

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The ``data`` of an answer. Raises: Unavailable when there is none."""
        body = json.dumps({"query": query, "variables": dict(variables or {})}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
                found = json.load(answer)
        except HTTPError as error:
            raise Unavailable(f"Dagster refused a question: {error.read().decode(errors='replace')[:500]}") from error
        except (URLError, OSError, ValueError) as error:
            raise Unavailable(f"Dagster at {self.url} did not answer: {error}") from error
        if not found.get("data"):
            raise Unavailable(f"Dagster refused a question: {found.get('errors')}")
        data: dict[str, Any] = found["data"]
        return data
