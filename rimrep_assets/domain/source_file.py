"""What is known of one file of a source, and how two sightings of a source differ.

Here belongs the ledger as a value: files known by content, and what is new, re-issued, withdrawn or unchanged.
Not here: looking at a source or fetching from it (``ports/sources``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SourceFile(BaseModel):
    """One file of a source, known by a digest, as a rule of its bytes; ``name`` is its path below the source's address.

    ``size`` is in bytes; ``etag`` and ``last_modified`` are the server's words, and ``revision`` its catalogue's, kept
    to save a second fetch; they never decide on their own that a file with other bytes is the same, save where the
    dataset says so (``source.ranges``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    """sha256 of the bytes, in hex; of what ``known_by`` says"""
    size: int
    url: str
    etag: str | None = None
    last_modified: str | None = None
    revision: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """what the provider's catalogue called this version, where it has one: a checksum, or a number and time"""
    known_by: Literal["bytes", "validators"] = Field(default="bytes", exclude_if=lambda value: value == "bytes")
    """what ``digest`` is of: the bytes, or, of a file that is read by ranges, what its server says of them"""


@dataclass(frozen=True)
class LedgerChange:
    """How a source differs from what was released of it; names, each list sorted."""

    new: tuple[str, ...] = ()
    reissued: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.reissued or self.withdrawn)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {word}"
            for word, names in (
                ("new", self.new),
                ("re-issued", self.reissued),
                ("withdrawn", self.withdrawn),
            )
            if names
        ]
        return ", ".join(parts) + " source files" if parts else "no source file changed"


def compare_ledgers(released: Iterable[SourceFile], seen: Iterable[SourceFile]) -> LedgerChange:
    """Sort the names of both sightings into new, re-issued (same name, other bytes), withdrawn, unchanged."""
    before: Mapping[str, str] = {f.name: f.digest for f in released}
    after: Mapping[str, str] = {f.name: f.digest for f in seen}
    both = before.keys() & after.keys()
    return LedgerChange(
        new=tuple(sorted(after.keys() - before.keys())),
        reissued=tuple(sorted(n for n in both if before[n] != after[n])),
        withdrawn=tuple(sorted(before.keys() - after.keys())),
        unchanged=tuple(sorted(n for n in both if before[n] == after[n])),
    )
