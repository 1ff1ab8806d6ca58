"""A source whose files can be fetched several at once, as the folder that is one file of a grid.

Here belongs fetching. Not here: which files belong together (``domain/grid_together``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rimrep_assets.domain.grid_together import Together
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.protocol import Glance, Pick, Sighting, SourceFolder


class TogetherFolder:
    """``source`` with one more thing that it can fetch: ``Together``."""

    def __init__(self, source: SourceFolder) -> None:
        self.source = source

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``."""
        return self.source.look(known, pick)

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """See ``SourceFolder.glance``."""
        return self.source.glance(known)

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``; members of ``Together`` come to ``to / file.name / <variable> / <name>``."""
        if not isinstance(file, Together):
            return self.source.fetch(file, to)
        for variable, member in file.members:
            self.source.fetch(member, to / file.name / variable)
        return to / file.name
