"""Writing again what is wrong at the stable addresses, from the release's own objects, as long as those can be trusted.

Here belongs deciding what may be copied. Not here: finding what is wrong (``verification``, ``reconciliation``), the
order of the writes (``projector``, ``plain_copy``, ``table_copy``), or making a release again (``publication``).
"""

from __future__ import annotations

from collections.abc import Mapping

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.release_proof import ReleaseProof


def mend(projector: Projector, record: ReleaseRecord, misplaced: Mapping[str, str], damaged: bool = False) -> list[str]:
    """Project ``record``, the newest release, again, and make right what ``misplaced`` names.

    Names are those of ``Projector.misplaced``. Returns what is left as it is, in words, and why.

    What is copied of ``misplaced`` is read before and held against what was proven when the release was made: what is
    not that is not copied. ``damaged``: the release's own data is known to be damaged somewhere, so that nothing is
    done where all of it would be copied. Raises: Unavailable, DefinitionError as the store does.
    """
    if damaged and projector.copies_all(record):
        return [
            f"the data of {record.dataset} is not copied whole from release {record.release}, which is damaged itself"
        ]
    try:
        own_keys = _own_keys(projector, record, misplaced)
        unproven = ReleaseProof(projector, record).unproven(own_keys.values())
        refused = {name: unproven[key] for name, key in own_keys.items() if key in unproven}
        projector.project(record, frozenset(misplaced.keys() - refused.keys()))
    except Damaged as error:
        return list(error.problems)
    return [f"{misplaced[name]}, and is not copied from a damaged release: {why}" for name, why in refused.items()]


def _own_keys(projector: Projector, record: ReleaseRecord, names: Mapping[str, str]) -> dict[str, str]:
    """What the release itself calls those of ``names`` that it holds."""
    if record.snapshot is None or not names:
        return {name: name for name in names}
    held = projector.plain_copy.drift(record).wanted.chunks
    return {name: held[name] for name in names if name in held}
