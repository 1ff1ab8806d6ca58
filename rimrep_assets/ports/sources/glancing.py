"""A glance as a value: what stands at each name now, beside what is known of it.

Here belongs comparing. Not here: finding out what stands there (``local_folder``, ``http_folder``, ``memory_folder``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rimrep_assets.domain.release import json_bytes, sha256
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.protocol import Glance


def glance_from(
    marks: Mapping[str, Any], known: Sequence[SourceFile], is_unchanged: Callable[[str, SourceFile], bool]
) -> Glance:
    """The names that differ, where ``marks`` (name -> what was seen of it, as JSON) are all files that are there.

    ``is_unchanged`` is asked about names that both know.
    """
    before = {file.name: file for file in known}
    changed = {name for name in marks.keys() & before.keys() if not is_unchanged(name, before[name])}
    names = sorted((marks.keys() ^ before.keys()) | changed)
    return Glance(tuple(names), sha256(json_bytes(sorted(marks.items()))))
