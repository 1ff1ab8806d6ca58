"""The version of a dataset's data that may be released: what was measured on it and what was proven of it.

Here belongs the value that fold and proof hand to the descriptions. Not here: how a table or a grid makes it
(``table_data``, ``grid_data``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.facts import Facts
from rimrep_assets.domain.proof import FileProof
from rimrep_assets.domain.release import ReleaseRecord, StoredFile
from rimrep_assets.domain.schema_difference import Difference
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.staging import Intent, Staged


@dataclass(frozen=True)
class Version:
    """Data under an address of its own, read back, measured and compared."""

    data_version: str
    facts: Facts
    schema: Mapping[str, Any]
    differences: Sequence[Difference]
    """between what the data is and what the catalog's schema says"""
    objects: tuple[StoredFile, ...]
    sources: tuple[SourceFile, ...]
    proofs: Sequence[FileProof]
    receipt: Mapping[str, Any]
    sample: Path
    """local file or folder with the data's structure and no bulk, for pygeoapi's generator"""
    snapshot: str | None = None
    state: Mapping[str, Any] | None = None
    source_rows: Mapping[str, int] = field(default_factory=dict)
    source_bytes: int = 0
    quicklook: StoredFile | None = None
    folded: tuple[str, ...] = ()
    """attempts whose staging it is made of, where a union of several was folded"""


class BaseMoved(Exception):
    """Another attempt released meanwhile; what was staged stands on a base that is no longer the newest."""


class Unreadable(DataError):
    """What was staged cannot be read back from the store; no attempt may use it again."""

    advice_by_default = "run again: all of it is staged anew. If it happens again, the store damages what it keeps."


class DataKind(Protocol):
    """What tables and grids do differently."""

    def stage(self, base: ReleaseRecord | None, intent: Intent) -> Staged:
        """Convert what ``intent`` names and put it where only this attempt writes."""

    def gather(self, base: ReleaseRecord | None, intent: Intent, stagings: Sequence[Staged]) -> Staged:
        """What ``intent`` wants, out of ``base`` and ``stagings``, to be folded as one."""

    def fold(self, base: ReleaseRecord | None, staged: Staged, version: str) -> Version:
        """Base minus withdrawn and re-issued plus staged, read back from the store, measured and proven.

        Raises: BaseMoved when staged data cannot stand on ``base``, Unreadable when it is damaged.
        """

    def of_base(self, base: ReleaseRecord) -> Version:
        """The base's data as it is, for a release in which descriptions alone change; no bulk data is read."""
