"""A source: the place in which a provider keeps files.

Here belongs what every kind of source can do. Not here: how one of them does it (``local_folder``,
``http_folder``, ``memory_folder``), or how two sightings differ (``domain/source_file``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from rimrep_assets.domain.source_file import SourceFile

Sighting: TypeAlias = list[SourceFile]
"""What lies in a source now, sorted by name."""

Pick: TypeAlias = Callable[[Sequence[str]], Collection[str]]
"""chooses, out of all names that a source's globs take, those that are wanted; may raise DataError"""


@dataclass(frozen=True)
class Glance:
    """What a look from afar tells, without reading a byte of data."""

    names: tuple[str, ...]
    """files that may be new, re-issued or withdrawn, sorted; a look decides. Empty: nothing changed"""
    state: str
    """digest of all that was seen; while it stays, a look would find the same as the last one"""


class SourceFolder(Protocol):
    """Files below one address, chosen by globs and known by the sha256 of their bytes.

    A shapefile is one file: its ``.dbf .shx .prj .cpg`` belong to the ``.shp``; ``digest`` covers,
    ``size`` sums and ``fetch`` brings all of them.
    """

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """Say what lies there now; ``known`` are earlier sightings, which may save reading bytes again.
        Of files that ``pick`` leaves out nothing but the name is read.

        Raises: DefinitionError when the address or the globs are wrong, DataError when the source is empty,
        refuses access or names files that lead elsewhere, Unavailable when it does not answer as it should.
        """

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """Compare ``known`` with names, sizes and the server's validators alone.

        A change that these do not show stays unseen; a file of which they tell too little is named.
        Raises: as ``look``.
        """

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """Bring exactly the bytes of ``file.digest`` to ``to / file.name`` (``to`` is a folder) and return
        that path.

        Raises: Unavailable when the source holds other bytes by now; nothing is left at the path then.
        """
