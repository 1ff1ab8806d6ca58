"""Digests of published values by block, source file and variable: taken while writing, compared after reading back.

Here belongs how values become a digest, so that writing and reading back cannot count differently. Not here: reading
values (``grid_block``, ``grid_proof``).

The digest is XXH3 of 128 bits (https://xxhash.com): it finds accidents at the speed of memory. It is no signature;
source files are known by sha256.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_axis import Slot

if TYPE_CHECKING:
    import numpy as np

BlockDigests = dict[str, dict[str, str]]
"""of one block: by the file's content, by variable, over the file's rows in the block in order of time"""


class RowDigests:
    """Digests of one variable's rows in a block: of each time its own, fed band after band."""

    def __init__(self, rows: int) -> None:
        import xxhash

        self.states: list[Any] = [xxhash.xxh3_128() for _ in range(rows)]

    def update(self, row: int, values: np.ndarray) -> None:
        """Feed what follows of a row: C order, native type, little endian as all machines that we know."""
        # The interface takes bytes alone, which any contiguous array can be looked at as.
        self.states[row].update(values.reshape(-1).view("u1").data)

    def of_rows(self, rows: Iterable[int]) -> str:
        """One digest over the digests of some rows."""
        import xxhash

        whole = xxhash.xxh3_128()
        for row in rows:
            whole.update(self.states[row].digest())
        return str(whole.hexdigest())


def rows_by_file(slots: Sequence[Slot]) -> Iterator[tuple[str | None, list[int]]]:
    """The rows of a block that each file covers, ascending; those that none covers under None."""
    rows: dict[str | None, list[int]] = {}
    for row, slot in enumerate(slots):
        rows.setdefault(slot.digest, []).append(row)
    yield from rows.items()
