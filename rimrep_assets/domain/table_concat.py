"""Whether the files of a table have the same columns.

Here belongs ``concat``. Not here: uniting the columns of files (``table_fold``), or members of one zip.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

MOST_TOLD = 10


def differing_columns(columns: Mapping[str, Collection[str]]) -> list[str]:
    """By source file its columns, in whatever order: the files that have not those of most files, and how."""
    kinds: dict[frozenset[str], list[str]] = {}
    for file, names in columns.items():
        kinds.setdefault(frozenset(names), []).append(file)
    if len(kinds) < 2:
        return []
    usual = max(kinds, key=lambda kind: len(kinds[kind]))
    told = []
    for kind, files in kinds.items():
        for file in files if kind != usual else []:
            lacks = f"lacks {_listed(usual - kind)}" if usual - kind else ""
            has = f"has {_listed(kind - usual)} besides" if kind - usual else ""
            told.append(f"{file} {' and '.join(filter(None, (lacks, has)))}, unlike {kinds[usual][0]}")
    more = len(told) - MOST_TOLD
    return told[:MOST_TOLD] + ([f"and {more} more files with other columns"] if more > 0 else [])


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
