"""A store that breaks on purpose, and readers that are not ours to look at what is left.

Here belong the breaking and the looking. Not here: what must hold (the tests).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xarray as xr

from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.object_store import ObjectStore

WRITES = frozenset({"write", "create", "upload", "copy", "delete", "stage_from", "commit", "promote"})
CALLS = WRITES | {"read", "download", "stat", "list", "folders"}


class Crash(BaseException):
    """The process is gone: nothing in the code under test may catch this and go on."""


@dataclass
class Switch:
    """Counts calls; from number ``at`` on every call crashes, before it does anything."""

    at: int | None = None
    only: frozenset[str] = WRITES
    calls: list[str] = field(default_factory=list)
    before: Callable[[int, str], None] = lambda number, call: None

    def tick(self, method: str, what: str) -> None:
        if method not in self.only:
            return
        self.calls.append(f"{method} {what}")
        self.before(len(self.calls), self.calls[-1])
        if self.at is not None and len(self.calls) >= self.at:
            raise Crash(f"call {len(self.calls)}: {self.calls[-1]}")


class FaultyStore:
    """Every method of the store behind a switch."""

    def __init__(self, real: ObjectStore, switch: Switch) -> None:
        self._real, self.switch, self.address = real, switch, real.address

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name in ("url", "document_url"):
            return method

        def called(*arguments: Any) -> Any:
            self.switch.tick(name, str(arguments[-1] if name in ("upload", "copy") else arguments[0]))
            return method(*arguments)

        return called


@contextmanager
def icechunk_behind(monkeypatch):
    """Let Icechunk's own writes count as well, where the store is a faulty one."""
    for name in ("stage_from", "commit", "promote"):
        real = getattr(GridRepository, name)

        def counted(self, *arguments, _real=real, _name=name):
            if isinstance(self.store, FaultyStore):
                self.store.switch.tick(_name, "icechunk")
            return _real(self, *arguments)

        monkeypatch.setattr(GridRepository, name, counted)
    yield


@dataclass(frozen=True)
class Gate:
    """Lets a thread wait at a call until another one says go."""

    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def wait_here(self) -> None:
        self.reached.set()
        if not self.go.wait(60):
            raise AssertionError("nobody opened the gate")


def stable_table(root: Path, dataset: str) -> list[tuple[Any, ...]] | None:
    """The rows at the stable address as pyarrow reads them, sorted; None where there is no file."""
    path = root / "public" / dataset / "data.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path, columns=["site", "lon", "lat", "time", "temperature"])
    return sorted(tuple(str(v) for v in row.values()) for row in table.to_pylist())


def stable_grid(root: Path, dataset: str) -> dict[str, np.ndarray] | None:
    """Times and values at the stable address as xarray reads them; None where it cannot be opened."""
    path = root / "public" / dataset / "data.zarr"
    try:
        with xr.open_zarr(path, consolidated=True) as grid:
            return {str(t.values)[:10]: grid["heat"].sel(time=t).values for t in grid["time"]}
    except (FileNotFoundError, KeyError, ValueError):
        return None


def document(root: Path, path: str) -> Any:
    """A JSON document, or None; half a document raises."""
    found = root / "public" / path
    return json.loads(found.read_text()) if found.exists() else None
