"""The numbered commit records of a dataset: the one truth about what is published.

Here belongs reading the newest record and creating the next one exactly once, also when an answer is lost. Not
here: making a record (``publication``) or carrying it out (``projector``).
"""

from __future__ import annotations

from dataclasses import dataclass

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.release import Places, ReleaseRecord, release_number
from rimrep_assets.ports.object_store import ObjectStore, read_if_there


@dataclass(frozen=True)
class ReleaseLog:
    """The records of ``dataset`` in ``store``. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    dataset: str

    def numbers(self) -> list[int]:
        """The releases that there are, ascending."""
        found = (release_number(o.path) for o in self.store.list(Places(self.dataset).records))
        return sorted(n for n in found if n is not None)

    def read(self, release: int) -> ReleaseRecord:
        """The record of ``release``. Raises: FileNotFoundError."""
        return ReleaseRecord.from_bytes(self.store.read(Places(self.dataset).record(release)))

    def newest(self) -> ReleaseRecord | None:
        """The record in force, or None before the first release."""
        numbers = self.numbers()
        return self.read(numbers[-1]) if numbers else None

    def create(self, number: int, record: bytes) -> bool:
        """Make ``record`` release ``number``; False when another attempt did it first.

        A retried request may have won with its first try, and an error may hide that the write was done: so the
        record that stands there decides, not the answer.
        """
        path = Places(self.dataset).record(number)
        try:
            if self.store.create(path, record):
                return True
        except Unavailable:
            if read_if_there(self.store, path) != record:
                raise
            return True
        return self.store.read(path) == record
