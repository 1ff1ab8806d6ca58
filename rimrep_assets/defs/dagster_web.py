"""Dagster's web server, as the sensors use it: reload a code location, end a run.

Here belongs its GraphQL. Not here: when to reload or to end anything (``catalog_sensor``, ``source_sensor``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rimrep_assets.domain.errors import Unavailable

URL_VARIABLE = "RIMREP_DAGSTER_URL"
TIMEOUT_S = (5.0, 45.0)
"""to connect and to answer: a reload answers when the new code server is up; a tick may take 60 s"""
RELOAD = """mutation Reload($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
    ... on RepositoryLocationNotFound { message }
    ... on ReloadNotSupported { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}"""
TERMINATE = """mutation Terminate($run: String!) {
  terminateRun(runId: $run) {
    __typename
    ... on TerminateRunFailure { message }
    ... on RunNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}"""


@dataclass(frozen=True)
class DagsterWeb:
    """The web server at ``url``, e.g. ``http://127.0.0.1:3000``; empty where none is known."""

    url: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> DagsterWeb:
        return cls(environment.get(URL_VARIABLE, "").rstrip("/"))

    @property
    def is_known(self) -> bool:
        return bool(self.url)

    def reload(self, location: str) -> None:
        """Load the code location anew; also for a sensor of that very location, whose tick may end in peace.

        Raises: Unavailable when it does not answer in time, does not know the location, or cannot load it.
        """
        answer = self._ask(RELOAD, {"location": location}, "reloadRepositoryLocation")
        if answer["__typename"] != "WorkspaceLocationEntry":
            raise Unavailable(f"Dagster did not reload {location}: {answer.get('message') or answer['__typename']}")
        loaded = answer.get("locationOrLoadError") or {}
        if loaded.get("__typename") == "PythonError":
            raise Unavailable(f"{location} was reloaded and does not load: {loaded.get('message')}")

    def terminate(self, run_id: str) -> None:
        """Ask the run to end; it has not ended yet when this returns. Raises: Unavailable."""
        answer = self._ask(TERMINATE, {"run": run_id}, "terminateRun")
        if answer["__typename"] != "TerminateRunSuccess":
            raise Unavailable(f"run {run_id} was not ended: {answer.get('message') or answer['__typename']}")

    def _ask(self, query: str, variables: Mapping[str, str], field: str) -> Mapping[str, Any]:
        import requests

        if not self.is_known:
            raise Unavailable(f"the address of Dagster's web server is not known; set {URL_VARIABLE}")
        try:
            response = requests.post(
                f"{self.url}/graphql", json={"query": query, "variables": dict(variables)}, timeout=TIMEOUT_S
            )
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(f"Dagster's web server at {self.url} did not answer: {type(error).__name__}") from error
        data = answer.get("data") if isinstance(answer, dict) else None
        if not data or not isinstance(data.get(field), dict):
            errors = answer.get("errors") if isinstance(answer, dict) else None
            told = errors[0].get("message") if errors else f"status {response.status_code}"
            raise Unavailable(f"Dagster's web server at {self.url} refused: {told}")
        return data[field]
