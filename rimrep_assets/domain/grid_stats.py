"""What is counted on a block of a grid, so that the whole is known without reading it again.

Here belong counting one block and its shape as JSON. Not here: merging blocks into facts (``grid_facts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimrep_assets.domain.grid_layout import Packing
from rimrep_assets.domain.strict_model import StrictModel

if TYPE_CHECKING:
    import numpy as np


class VariableStats(StrictModel):
    """Decoded extremes over valid finite cells (None without any); ``valid`` and ``missing`` count cells."""

    min: float | None = None
    max: float | None = None
    valid: int = 0
    missing: int = 0

    def and_then(self, other: VariableStats) -> VariableStats:
        """Both together; in any order and grouping the same."""
        lows = [s.min for s in (self, other) if s.min is not None]
        highs = [s.max for s in (self, other) if s.max is not None]
        return VariableStats(
            min=min(lows, default=None),
            max=max(highs, default=None),
            valid=self.valid + other.valid,
            missing=self.missing + other.missing,
        )


class BlockStats(StrictModel):
    """One block's counts by data variable."""

    variables: dict[str, VariableStats] = {}


def count(raw: np.ndarray, packing: Packing) -> VariableStats:
    """Count stored numbers of one variable; any shape.

    Extremes are found on the stored numbers and decoded afterwards, which the linear packing of CF allows.
    """
    import numpy as np

    valid = ~np.isnan(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
    for number in (packing.fill, *packing.missing):
        if number is not None and not number.is_nan:
            valid &= raw != number.numpy().astype(raw.dtype)
    total = int(valid.sum())
    counted = VariableStats(valid=total, missing=raw.size - total)
    if raw.dtype.kind == "f":
        valid &= np.isfinite(raw)
    numbers = raw.view(f"u{raw.dtype.itemsize}") if packing.unsigned and raw.dtype.kind == "i" else raw
    held = numbers[valid]
    if not held.size:
        return counted
    ends = [float(held.min()), float(held.max())]
    if packing.scale is not None:
        ends = [end * float(packing.scale.numpy()) for end in ends]
    if packing.offset is not None:
        ends = [end + float(packing.offset.numpy()) for end in ends]
    return counted.model_copy(update={"min": min(ends), "max": max(ends)})
