"""A process that kills itself, as a power cut would, at a numbered chunk.

Here belongs what runs in that process; it imports little, because every killed process imports it. Not here: what must
hold afterwards (``test_grid_killed``).
"""

from __future__ import annotations

import itertools
import os
import signal


def killed_at(call: str, number: int) -> None:
    """Let this process be killed as soon as so many chunks were stored, read back, or copied to the stable address."""
    import icechunk

    from rimrep_assets.ports.object_store import ObstoreObjects

    owner, method = {
        "stored": (icechunk.IcechunkStore, "set"),
        "read back": (icechunk.IcechunkStore, "get"),
        "copied": (ObstoreObjects, "write"),
    }[call]
    real, calls = getattr(owner, method), itertools.count(1)

    def counted(self, key, *arguments, **options):
        if "/c/" in key and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, key, *arguments, **options)

    setattr(owner, method, counted)
