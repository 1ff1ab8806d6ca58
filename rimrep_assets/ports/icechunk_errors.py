"""What Icechunk says when something goes wrong: its one kind of error, sorted by what a person does next.

Here belongs reading its messages. Not here: raising errors of ours (``grid_repository``, ``told_store``).
"""

from __future__ import annotations

DAMAGE = (
    "not found",
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
    """The first line of the message, which says what happened; the others say where in the library."""
    return next((line.strip(" x|") for line in str(error).splitlines() if line.strip(" x|")), "no message")


def is_damage(reason: str) -> bool:
    """Whether what is stored is to blame, so that trying again does not help."""
    return any(word in reason for word in DAMAGE)
