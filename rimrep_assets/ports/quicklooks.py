"""A version's quicklook beside its data.

Here belongs storing it, and going on without one when the data cannot be drawn. Not here: drawing
(``domain/quicklook``).
"""

from __future__ import annotations

from collections.abc import Callable

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.quicklook import FAILURES
from rimrep_assets.domain.release import Places, StoredFile
from rimrep_assets.ports.workbench import Workbench

QUICKLOOK = "quicklook.png"


def quicklook_of(bench: Workbench, version: str, draw: Callable[[], bytes | None]) -> StoredFile | None:
    """What ``draw`` draws, stored beside ``version``; None, and why in the log, where it draws nothing.

    A picture is for the eyes: a release never waits for one, nor for a provider with whom what it shows stays.
    """
    from shapely.errors import ShapelyError

    try:
        picture = draw()
    except (*FAILURES, ShapelyError, Unavailable) as error:
        # The words of an error may quote values, and those of limited data stay out of logs.
        told = "" if bench.folder.dataset.access == "limited" else f": {error}"
        bench.progress(f"no quicklook, because {type(error).__name__}{told}")
        return None
    if picture is None:
        bench.progress("no quicklook, because there is nothing to draw")
        return None
    path = Places(bench.id).version(version, QUICKLOOK)
    bench.store.write(path, picture)
    return StoredFile.of(path, picture)
