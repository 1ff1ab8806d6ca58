"""References that cannot be followed: what Icechunk says of them, told by the provider's file and in words.

Here belongs reading its messages. Not here: writing references (``grid_virtual``), Icechunk's other errors
(``grid_repository``), or what is done about them (``grid_data``, ``verification``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.grid_axis import block_slots
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.source_file import SourceFile

# Seen with icechunk 1.1; it has one class for all its errors, so that only their text tells them apart.
CHANGED = "the checksum of the object owning the virtual chunk has changed"
UNREAD = "error fetching virtual reference"
GONE = re.compile(r"Object at location .* not found")
CHUNK = re.compile(r'key="([^"/]+)/c/([0-9]+)')


@dataclass(frozen=True)
class LostReference:
    """A source file that cannot be read where a grid refers to it, and why not."""

    file: str
    url: str
    why: Literal["gone", "changed", "unread"]
    said: str
    """the innermost cause, in the library's words"""

    def finding(self, *, newest: bool) -> str:
        """What verifying a release says of a file that is gone or changed; ``newest``: whether none follows it yet."""
        what = (
            f"it is gone from {self.url}, where this release refers to it"
            if self.why == "gone"
            else f"its provider changed it at {self.url} after this release referred to it (another ETag or time)"
        )
        advice = (
            "publish again: what the source holds now is referred to anew"
            if newest
            else "an older release cannot be mended; read the newest"
        )
        return f"{self.file}: {what}; {advice}"

    def as_error(self) -> Unavailable:
        """What an attempt says whose own references, just written, cannot be followed; of an unread file, anybody."""
        if self.why == "unread":
            return Unavailable(f"{self.file} cannot be read at {self.url}: {self.said}")
        what = f"withdrawn from {self.url}" if self.why == "gone" else f"changed at {self.url}"
        return Unavailable(
            f"{self.file} was {what} after it was looked at",
            advice="publish again: the source is looked at anew; nothing was changed.",
        )


def lost_reference(error: Exception, state: GridState, sources: Iterable[SourceFile]) -> LostReference | None:
    """Of which file of ``state`` an error of Icechunk tells that it is not there as referred to; None for others."""
    text = str(error)
    if CHANGED not in text and UNREAD not in text:
        return None
    file = _file_at(text, state)
    if file is None:
        return None
    source = next((s for s in sources if s.name == file), None)
    url = (source.place.url if source.place else source.url) if source else "its place"
    lines = [line.lstrip(" |`->").rstrip() for line in text.splitlines()]
    said = next((line for line in reversed(lines) if line and not line.startswith("<")), "")
    return LostReference(file, url, "changed" if CHANGED in text else "gone" if GONE.search(text) else "unread", said)


def in_words_for(state: GridState, sources: Sequence[SourceFile]) -> Callable[[Exception], Unavailable | None]:
    """What is said of Icechunk's errors about references of one grid; None for its other errors."""

    def told(error: Exception) -> Unavailable | None:
        lost = lost_reference(error, state, sources)
        return lost.as_error() if lost else None

    return told


def _file_at(text: str, state: GridState) -> str | None:
    """The name of the file to which the chunk belongs that the message names."""
    found = CHUNK.search(text)
    if found is None:
        return None
    # One chunk of a grid of references is one block, and one block one file's.
    slots = block_slots(state.axis, int(found[2]), state.chunk)
    digest = next((slot.digest for slot in slots if slot.digest is not None), None)
    return state.by_digest[digest].name if digest is not None else None
