"""The complete stagings of a partitioned dataset, held against its releases.

Here belongs what they amount to together. Not here: which file counts where several speak of it
(``domain/staged_union``), or staging and folding (``publication``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from rimrep_assets.domain.partition import Partition
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.staged_union import Sighted, unite
from rimrep_assets.domain.staging import Staged
from rimrep_assets.ports.release_log import ReleaseLog


@dataclass(frozen=True)
class Stagings:
    """``complete``: attempt -> what it staged for ``fingerprint``, in the order of their end."""

    complete: Mapping[str, Staged]
    partition: Partition
    fingerprint: str
    log: ReleaseLog

    def united_with(self, base: ReleaseRecord | None) -> tuple[SourceFile, ...]:
        """The files of the next version after ``base``."""
        return unite(self.alike(base), self._sighted)

    @cached_property
    def _sighted(self) -> list[Sighted]:
        records: dict[int, ReleaseRecord] = {}
        found = []
        for staged in self.complete.values():
            number = staged.intent.base
            if number is not None and number not in records:
                records[number] = self.log.read(number)
            before = self.alike(records[number] if number is not None else None)
            found.append(Sighted(self._covering(staged.intent.partitions), staged.intent.sources, before))
        return found

    def _covering(self, partitions: tuple[str, ...] | None) -> Callable[[str], bool]:
        return lambda name: self.partition.holds(partitions, name)

    def alike(self, record: ReleaseRecord | None) -> tuple[SourceFile, ...]:
        """The files of a release that was made as it would be made now; data that was made otherwise is not kept."""
        return record.sources if record is not None and record.fingerprints.data == self.fingerprint else ()

    def rebuilds(self, base: ReleaseRecord | None) -> bool:
        """Whether something is staged that makes ``base`` again from its sources, all of it."""
        return base is not None and any(
            s.intent.rebuild and s.intent.base == base.release for s in self.complete.values()
        )

    def not_staged_anew(self, base: ReleaseRecord | None) -> list[str]:
        """Partitions that ``base`` has files in and that must be made otherwise now, but are not staged yet; sorted."""
        if base is None or self.alike(base):
            return []
        left = {file.name for file in base.sources if not any(seen.covers(file.name) for seen in self._sighted)}
        return sorted({self.partition.key_of(name) or name for name in left})
