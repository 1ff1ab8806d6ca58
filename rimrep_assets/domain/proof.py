"""What was compared between a source file and the published data, and what came out.

Here belongs the receipt of a proof as a value. Not here: the comparing itself (``table_proof``, ``grid_proof``).
"""

from __future__ import annotations

from rimrep_assets.domain.strict_model import StrictModel
from rimrep_assets.domain.table_digests import FileDigests

MOST_DIFFERENCES = 20
"""so many differences are told a file; the rest is counted"""


class FileProof(StrictModel):
    """One source file held against what was read back from the store.

    ``compared``: values (cells or table fields) compared by the complete reading; ``sampled``: values that the
    independent reader decoded besides; ``differences``: sentences that name row or index, column or variable,
    source value and published value, at most ``MOST_DIFFERENCES`` and then one line that counts the rest.
    """

    name: str
    digest: str
    compared: int
    sampled: int
    differences: tuple[str, ...] = ()
    left_out: dict[str, int] = {}
    """what of the file is not published by a declared rule, in words, and how much of it"""
    digests: FileDigests | None = None
    """tables: of the values that were read from the source, which later versions that keep the file are held against"""
    duplicates: FileDigests | None = None
    """tables: of those of its rows that are not published because ``layout.duplicates`` left them out"""

    @property
    def holds(self) -> bool:
        return not self.differences


def capped(differences: list[str]) -> tuple[str, ...]:
    """At most ``MOST_DIFFERENCES`` of ``differences``, and a line that counts what was left out."""
    if len(differences) <= MOST_DIFFERENCES:
        return tuple(differences)
    return (*differences[:MOST_DIFFERENCES], f"and {len(differences) - MOST_DIFFERENCES} more differences")
