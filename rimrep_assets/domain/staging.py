"""What an attempt staged, as a value: the document that opens a staging folder and the one that closes it.

Here belongs what is remembered between staging and the fold. Not here: staging (``ports/table_data``,
``ports/grid_data``).
"""

from __future__ import annotations

from typing import Any

from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.release import StoredFile, json_bytes
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.strict_model import StrictModel
from rimrep_assets.domain.table_digests import FileDigests


class Intent(StrictModel):
    """``staging/<attempt>/manifest.json``, written before the first object of the attempt."""

    dataset: str
    attempt: str
    fingerprint: str
    """of the data step, for which this was planned"""
    base: int | None
    sources: tuple[SourceFile, ...]
    """every file that the source has now, in ``partitions`` where these are told"""
    staging: tuple[str, ...]
    """the names of those that this attempt converts"""
    changed: str
    """new, re-issued and withdrawn files in words"""
    partitions: tuple[str, ...] | None = None
    """the partitions that were looked at; None: all, or a dataset that has none"""
    rebuild: bool = False
    """everything is made again from the sources, and nothing is taken from the base"""

    def to_bytes(self) -> bytes:
        return json_bytes(self.model_dump(mode="json"))


class Part(StrictModel):
    """A table's part made from one source file."""

    name: str
    digest: str
    file: StoredFile
    rows: int
    crs: dict[str, Any] | None = None
    misfits: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, int] = {}
    digests: FileDigests | None = None


class Staged(StrictModel):
    """``staging/<attempt>/staged.json``, written when all that was intended is there."""

    intent: Intent
    parts: tuple[Part, ...] = ()
    snapshot: str | None = None
    """grids: the commit on ``next``"""
    state: dict[str, Any] | None = None
    digests: dict[int, BlockDigests] = {}
    """grids: of the blocks that differ from the base, taken while they were written"""
    source_bytes: int = 0

    def to_bytes(self) -> bytes:
        return json_bytes(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Staged:
        return cls.model_validate_json(data)


class Tipped(StrictModel):
    """What a commit on ``next`` holds, written before it: all files of the grid as it was staged, and its state."""

    sources: tuple[SourceFile, ...]
    state: dict[str, Any]
    digests: dict[int, BlockDigests] = {}
    """of the blocks that were written since the base"""

    def to_bytes(self) -> bytes:
        return json_bytes(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Tipped:
        return cls.model_validate_json(data)
