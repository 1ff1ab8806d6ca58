"""What Icechunk says when something goes wrong: its one kind of error, sorted by what a person does next.

Here belongs reading its messages. Not here: raising errors of ours (``grid_repository``, ``told_store``).
"""

from __future__ import annotations

import re

CAUSE, OBJECT = "`->", re.compile(r'\bkey="([^"]+)" range=')
DAMAGE = (
    "not found",
    "NoSuchKey",
    "incomplete frame",
    "range was invalid",
    "InvalidRange",
    "416 Range",
    "I/O error",
    "eserializ",
    "cannot serialize",
    "invalid flatbuffer",
    "corrupt",
    "hecksum",
)
"""what its messages hold where an object is gone, cut short or changed; all else is a storage that does not answer"""


def reason_of(error: Exception) -> str:
    """What happened, its first cause, and which object it is about; the other lines say where in the library."""
    lines = [line.strip(" x|") for line in str(error).splitlines() if line.strip(" x|")]
    if not lines:
        return "no message"
    causes = [line.removeprefix(CAUSE).strip() for line in lines if line.startswith(CAUSE)]
    told = [lines[0], *(cause for cause in causes[-1:] if cause not in lines[0])]
    objects = [found[1] for line in lines[1:] if (found := OBJECT.search(line))]
    about = [f"(object {path})" for path in objects[:1] if path not in lines[0]]
    return " ".join([": ".join(told), *about])


def is_damage(reason: str) -> bool:
    """Whether what is stored is to blame, so that trying again does not help."""
    return any(word in reason for word in DAMAGE)
