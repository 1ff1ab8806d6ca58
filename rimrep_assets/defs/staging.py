"""Staging as the `data` op does it, in whatever process: what was found at the source and what was converted.

Here belongs the report that crosses from a worker to its run. Not here: staging itself (``ports/publication``), or the
worker (``worker``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rimrep_assets.ports.publication import Publication


@dataclass(frozen=True)
class StageReport:
    """What one staging came to; plain values, so that it can be sent."""

    files: int
    """at the source, in the partitions that were looked at"""
    bytes: int
    ledger_digest: str
    staged: str | None = None
    """new, re-issued and withdrawn files in words; None when nothing was staged"""
    converted: int = 0
    attempt: str | None = None
    partitions: tuple[str, ...] = ()
    """keys that have files in this staging"""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> StageReport:
        return cls(**{**told, "partitions": tuple(told["partitions"])})


def stage(publication: Publication, partitions: Sequence[str] | None) -> StageReport:
    """Stage ``partitions`` (None: everything) and say what came of it. Raises: what ``Publication.stage`` raises."""
    look, staged = publication.stage(partitions)
    counted = publication.partition
    return StageReport(
        files=len(look.sources),
        bytes=sum(file.size for file in look.sources),
        ledger_digest=look.ledger_digest,
        staged=staged.intent.changed if staged else None,
        converted=len(staged.intent.staging) if staged else 0,
        attempt=staged.intent.attempt if staged else None,
        partitions=tuple(sorted(set(counted.keys_of(file.name for file in look.sources).values()))) if counted else (),
    )
