"""What the next version of a partitioned dataset is made of: the newest release, united with all that is staged.

Here belongs which source file counts where a release and several stagings speak of it. Not here: reading stagings
(``ports/publication``), or making a version of it (``ports/table_data``, ``ports/grid_data``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rimrep_assets.domain.source_file import SourceFile


@dataclass(frozen=True)
class Sighted:
    """What one staging saw of the source: the files in its scope, and the files of the release that it stood on."""

    covers: Callable[[str], bool]
    """whether a file name lies in its scope"""
    sources: tuple[SourceFile, ...]
    before: tuple[SourceFile, ...]
    """of its base, in its scope or not; empty where the base was made by another fingerprint"""


def unite(released: Sequence[SourceFile], stagings: Iterable[Sighted]) -> tuple[SourceFile, ...]:
    """The source files of the next version, sorted by name; ``stagings`` in the order in which they were made.

    For each file, the release counts where it moved on since the staging's base; else what the later staging saw, which
    may be that the file is gone. A staging that was released, or that is older than a release of the same file,
    therefore changes nothing, and no file is lost that nobody saw withdrawn.
    """
    now = {file.name: file for file in released}
    found = dict(now)
    for staging in stagings:
        then = {file.name: file for file in staging.before}
        seen = {file.name: file for file in staging.sources}
        for name in {*then, *seen, *now, *found}:
            if not staging.covers(name) or _what(then.get(name)) != _what(now.get(name)):
                continue
            if name in seen:
                found[name] = seen[name]
            else:
                found.pop(name, None)
    return tuple(found[name] for name in sorted(found))


def _what(file: SourceFile | None) -> tuple[object, ...] | None:
    """What a release says of a file: its bytes, and where readers find them if they are sent there."""
    return None if file is None else (file.digest, file.place)
