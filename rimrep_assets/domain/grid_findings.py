"""What a proof has found so far: counts and differences by file, in words that name time, place and both values.

Here belongs saying where two arrays differ. Not here: which arrays are compared (``grid_proof``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rimrep_assets.domain.grid_time import iso_time
from rimrep_assets.domain.grid_values import same_bits
from rimrep_assets.domain.proof import FileProof, capped

if TYPE_CHECKING:
    import numpy as np

WHOLE = "(the grid as a whole)"
"""the name of the proof of what belongs to no file: times without one, axes, arrays that should not be there"""
TOLD = 3
"""so many cells are told of one array in one block"""


@dataclass
class Findings:
    """Differences and numbers of compared values by file; ``times`` is the axis that was planned."""

    times: Sequence[int]
    calendar: str
    differences: dict[str, list[str]] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    def of(self, name: str, digest: str, sampled: int, more: list[str]) -> FileProof:
        """The receipt of one file; ``more`` are the independent reader's differences."""
        return FileProof(
            name=name,
            digest=digest,
            compared=self.compared.get(name, 0),
            sampled=sampled,
            differences=capped([*self.differences.get(name, []), *more]),
        )

    def tell(self, owner: str, difference: str) -> None:
        self.differences.setdefault(owner, []).append(difference)

    def count(self, owner: str, cells: int) -> None:
        self.compared[owner] = self.compared.get(owner, 0) + cells

    def equal(
        self, owner: str, name: str, position: int | None, expected: np.ndarray, values: np.ndarray, line: int = 0
    ) -> None:
        """Tell where the same bits are not there.

        ``position`` is the first row's on the time axis, None without; ``line`` the first index of the next dimension.
        """
        if expected.dtype != values.dtype or expected.shape != values.shape:
            there, here = f"{values.dtype.name} {values.shape}", f"{expected.dtype.name} {expected.shape}"
            self.tell(owner, f"{name}: published {there}, source {here}")
            return
        self.cells(owner, name, position, same_bits(expected, values), expected, values, line)

    def cells(
        self,
        owner: str,
        name: str,
        position: int | None,
        same: np.ndarray,
        expected: np.ndarray,
        values: np.ndarray,
        line: int = 0,
    ) -> None:
        """Tell the first cells that are not ``same``, and how many more there are."""
        import numpy as np

        if same.all():
            return
        wrong = np.argwhere(~np.atleast_1d(same))
        for cell in wrong[:TOLD].tolist():
            index = tuple(cell)[: same.ndim]
            at, place = "", list(index)
            if position is not None:
                place[0] += position
                if len(place) > 1:
                    place[1] += line
                at = f" at {iso_time(self.times[place[0]], self.calendar)}"
            self.tell(owner, f"{name}{at} {place}: source {expected[index]}, published {values[index]}")
        if len(wrong) > TOLD:
            where = "" if position is None else f" in positions {position}..{position + len(values) - 1}"
            self.tell(owner, f"{name}: {len(wrong) - TOLD} more cells differ{where}")
