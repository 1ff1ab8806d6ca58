"""What is known of one file of a source, and how two sightings of a source differ.

Here belongs the ledger as a value: files known by content, and what is new, re-issued, withdrawn, re-marked or
unchanged. Not here: looking at a source or fetching from it (``ports/sources``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Place(BaseModel):
    """Where readers find a file whose bytes stay at its provider, and the mark by which a change of it is noticed.

    Two sightings of one place are equal only where a reader who was sent there by the first is still served.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    etag: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """a strong one, as the server writes it; of a file on this machine as object stores make one up"""
    last_modified: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """an HTTP date, where there is no such ETag"""

    @property
    def digest(self) -> str:
        """Short, for all who only ask whether it is the same place."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]


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
    place: Place | None = Field(default=None, exclude_if=lambda value: value is None)
    """told only where references are published in place of copies, so that it is part of what is published"""


@dataclass(frozen=True)
class LedgerChange:
    """How a source differs from what was released of it; names, each list sorted."""

    new: tuple[str, ...] = ()
    reissued: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    remarked: tuple[str, ...] = ()
    """the same bytes at another place, or under another mark, where references name both"""
    unchanged: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.reissued or self.withdrawn or self.remarked)

    @property
    def to_convert(self) -> tuple[str, ...]:
        """The files of which something must be written."""
        return (*self.new, *self.reissued, *self.remarked)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {word}"
            for word, names in (
                ("new", self.new),
                ("re-issued", self.reissued),
                ("withdrawn", self.withdrawn),
                ("re-marked", self.remarked),
            )
            if names
        ]
        return ", ".join(parts) + " source files" if parts else "no source file changed"


def compare_ledgers(released: Iterable[SourceFile], seen: Iterable[SourceFile]) -> LedgerChange:
    """Sort the names of both sightings into new, re-issued (same name, other bytes), withdrawn, re-marked (same name
    and bytes, another ``place``), unchanged.
    """
    before: Mapping[str, SourceFile] = {f.name: f for f in released}
    after: Mapping[str, SourceFile] = {f.name: f for f in seen}
    both = before.keys() & after.keys()
    same = {n for n in both if before[n].digest == after[n].digest}
    remarked = {n for n in same if before[n].place != after[n].place}
    return LedgerChange(
        new=tuple(sorted(after.keys() - before.keys())),
        reissued=tuple(sorted(both - same)),
        withdrawn=tuple(sorted(before.keys() - after.keys())),
        remarked=tuple(sorted(remarked)),
        unchanged=tuple(sorted(same - remarked)),
    )
