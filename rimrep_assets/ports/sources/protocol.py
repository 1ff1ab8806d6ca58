"""A source: the place in which a provider keeps files.

Here belongs what every kind of source can do. Not here: how one of them does it (``local_folder``,
``http_folder``, ``memory_folder``), or how two sightings differ (``domain/source_file``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from rimrep_assets.domain.source_file import SourceFile

Sighting: TypeAlias = list[SourceFile]
"""What lies in a source now, sorted by name."""


class SourceFolder(Protocol):
    """Files below one address, chosen by globs and known by the sha256 of their bytes.

    A shapefile is one file: its ``.dbf .shx .prj .cpg`` belong to the ``.shp``; ``digest`` covers,
    ``size`` sums and ``fetch`` brings all of them.
    """

    def look(self, known: Sequence[SourceFile] = ()) -> Sighting:
        """Say what lies there now; ``known`` are earlier sightings, which may save reading bytes again.

        Raises: DefinitionError when the address or the globs are wrong, DataError when the source is empty,
        refuses access or names files that lead elsewhere, Unavailable when it does not answer as it should.
        """

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """Bring exactly the bytes of ``file.digest`` to ``to / file.name`` (``to`` is a folder) and return
        that path.

        Raises: Unavailable when the source holds other bytes by now; nothing is left at the path then.
        """
