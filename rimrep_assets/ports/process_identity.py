"""Telling a process of this host from another one that got the same number later.

Here belongs what the kernel says of a process. Not here: what follows from its end (``projector``, ``defs/run``).
"""

from __future__ import annotations

from pathlib import Path


def process_start(pid: int) -> str:
    """The kernel's start tick of process ``pid``; '' when there is none, or it has ended and nobody asked how."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
