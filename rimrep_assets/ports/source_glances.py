"""One dataset's source from afar, beside its newest release.

Here belongs opening both. Not here: how a kind of source is glanced at (``sources``), or what follows
(``defs/source_sensor``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import RimrepError
from rimrep_assets.domain.release import Fingerprints
from rimrep_assets.ports.due_work import DueWork
from rimrep_assets.ports.workbench import Settings


@dataclass(frozen=True)
class Glimpse:
    """What a glance found: names that may have changed since ``release`` (0: none yet), and the source's state."""

    names: tuple[str, ...]
    state: str
    release: int
    fingerprints: Fingerprints


def glimpse(settings: Settings, work: DueWork, place: Path | None, dataset: Dataset) -> Glimpse | RimrepError:
    """Glance at the source of ``dataset``; what went wrong is returned, so that others can be looked at meanwhile.

    ``place``: the catalog repository's folder, from which local sources are counted.
    """
    try:
        record = work.log(dataset).newest()
        source = settings.source_of(dataset, place)
        seen = source.glance(record.sources if record else ())
        return Glimpse(seen.names, seen.state, record.release if record else 0, work.fingerprints(dataset))
    except RimrepError as error:
        return error
