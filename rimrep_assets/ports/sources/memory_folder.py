"""A source in memory: the twin that tests use instead of a provider.

Here belongs nothing that reaches a disk other than the fetched file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.glancing import glance_from
from rimrep_assets.ports.sources.protocol import Glance, Pick, Sighting
from rimrep_assets.ports.sources.selection import (
    Chosen,
    Selection,
    choose,
    digest_of_members,
    picked,
    refuse_unsafe,
)


class MemoryFolder:
    """``files`` (name -> bytes) may be changed at any time; ``is_down`` makes the source not answer."""

    def __init__(self, files: Mapping[str, bytes] | None = None, selection: Selection | None = None) -> None:
        self.files: dict[str, bytes] = dict(files or {})
        self.selection = selection or Selection()
        self.is_down = False

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``."""
        self._answer()
        for name in self.files:
            refuse_unsafe(name)
        chosen = picked(choose(self.files, self.selection, address="memory://source"), pick)
        return [self._sight(c) for c in chosen]

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """See ``SourceFolder.glance``; the digest stands for a validator."""
        marks = {file.name: file.digest for file in self.look()}
        return glance_from(marks, known, lambda name, file: marks[name] == file.digest)

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``."""
        self._answer()
        refuse_unsafe(file.name)
        now = {c.name: c for c in choose(self.files, self.selection, address="memory://source")}
        if file.name not in now or self._sight(now[file.name]).digest != file.digest:
            raise Unavailable(f"{file.name} was changed or withdrawn after it was looked at")
        for member in now[file.name].members:
            (to / member).parent.mkdir(parents=True, exist_ok=True)
            (to / member).write_bytes(self.files[member])
        return to / file.name

    def _answer(self) -> None:
        if self.is_down:
            raise Unavailable("memory://source does not answer")

    def _sight(self, chosen: Chosen) -> SourceFile:
        digests = [(m, sha256(self.files[m]).hexdigest()) for m in chosen.members]
        return SourceFile(
            name=chosen.name,
            digest=digest_of_members(chosen.name, digests),
            size=sum(len(self.files[m]) for m in chosen.members),
            url=f"memory://source/{chosen.name}",
        )
