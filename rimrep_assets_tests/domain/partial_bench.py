"""Local files that play remote ones: in their holes stands noise, so that a hole which is read shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rimrep_assets.domain.byte_spans import ByteSpan
from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_partial import bring_header
from rimrep_assets.domain.partial_file import PartialFile
from rimrep_assets_tests.domain.grid_bench import Published


@dataclass
class Remote:
    """What lies elsewhere, and the spans of it that were asked for."""

    data: bytes
    asked: list[ByteSpan] = field(default_factory=list)
    is_gone: bool = False
    lasts: int = 1_000_000
    """so many requests are answered"""

    def fetch(self, start: int, stop: int) -> bytes:
        if self.is_gone or len(self.asked) == self.lasts:
            raise Unavailable("it was changed after it was looked at")
        self.asked.append((start, stop))
        return self.data[start:stop]


def partial_of(remote: Remote, path: Path) -> PartialFile:
    """The file at ``path``, of which nothing is there: all of it is noise."""
    found = PartialFile.made(path, len(remote.data), remote.fetch, ThreadPoolExecutor(2))
    path.write_bytes(np.random.default_rng(1).bytes(len(remote.data)))
    return found


def opened(remote: Remote, path: Path) -> PartialFile:
    """The same with its header."""
    found = partial_of(remote, path)
    bring_header(found, path.name)
    return found


@dataclass
class PublishedInParts(Published):
    """A grid in memory whose files are read in parts."""

    partial: dict[str, PartialFile] = field(default_factory=dict)

    def header_of(self, path: Path) -> GridHeader:
        self.partial[path.name] = opened(Remote(path.read_bytes()), path.with_suffix(".part"))
        return read_header(self.partial[path.name], path.name, path.name, self.dataset)

    def open_source(self, name: str) -> PartialFile:  # type: ignore[override]
        self.opened.append(name)
        return self.partial[name]
