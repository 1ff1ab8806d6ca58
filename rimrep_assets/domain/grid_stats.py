"""What is counted on a block of a grid, so that the whole is known without reading it again.

Here belong counting one block and its shape as JSON. Not here: merging blocks into facts (``grid_facts``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

    def of_variables(self, cells: Mapping[str, int]) -> BlockStats:
        """The counts of these variables, given with their cells in the block: of one that is new here, no value."""
        return BlockStats(
            variables={n: self.variables.get(n, VariableStats(missing=size)) for n, size in cells.items()}
        )


def count(raw: np.ndarray, packing: Packing) -> VariableStats:
    """Count stored numbers of one variable; any shape.

    Extremes are found on the stored numbers and decoded afterwards, which the linear packing of CF allows.
    """
    hidden = [n.numpy().astype(raw.dtype) for n in (packing.fill, *packing.missing) if n is not None and not n.is_nan]
    if raw.dtype.kind == "f":
        total, ends = _of_floats(raw, hidden)
    else:
        total, ends = _of_whole_numbers(raw, hidden, packing.unsigned and raw.dtype.kind == "i")
    counted = VariableStats(valid=total, missing=raw.size - total)
    if ends is None:
        return counted
    if packing.scale is not None:
        ends = [end * float(packing.scale.numpy()) for end in ends]
    if packing.offset is not None:
        ends = [end + float(packing.offset.numpy()) for end in ends]
    return counted.model_copy(update={"min": min(ends), "max": max(ends)})


def _of_floats(raw: np.ndarray, hidden: Sequence[Any]) -> tuple[int, list[float] | None]:
    import numpy as np

    if not hidden and raw.size:
        # The sum is finite only where every number is: one pass in place of three.
        with np.errstate(over="ignore", invalid="ignore"):
            all_finite = bool(np.isfinite(raw.sum(dtype="f8")))
        if all_finite:
            return raw.size, [float(raw.min()), float(raw.max())]
    valid = ~np.isnan(raw)
    for number in hidden:
        valid &= raw != number
    total = int(np.count_nonzero(valid))
    held = raw[valid & np.isfinite(raw)]
    return total, [float(held.min()), float(held.max())] if held.size else None


def _of_whole_numbers(raw: np.ndarray, hidden: Sequence[Any], unsigned: bool) -> tuple[int, list[float] | None]:
    import numpy as np

    if not raw.size:
        return 0, None
    numbers = raw.view(f"u{raw.dtype.itemsize}") if unsigned else raw
    fills = sorted({int(n.view(numbers.dtype)) for n in hidden})
    low, high = int(numbers.min()), int(numbers.max())
    if not any(low <= fill <= high for fill in fills):
        return raw.size, [float(low), float(high)]
    if len(fills) == 1:
        missing = int(np.count_nonzero(numbers == fills[0]))
        if missing == raw.size:
            return 0, None
        if fills[0] == low:
            low = _next(numbers, low, 1)
        elif fills[0] == high:
            high = _next(numbers, high, -1)
        return raw.size - missing, [float(low), float(high)]
    held = numbers[~np.isin(numbers, np.array(fills, numbers.dtype))]
    return held.size, [float(held.min()), float(held.max())] if held.size else None


def _next(numbers: np.ndarray, end: int, way: int) -> int:
    """The number nearest to ``end``, the least (way 1) or the largest (-1) of them, that is not ``end`` itself.

    Counted from there, modulo the type, ``end`` becomes the largest unsigned number and all others stay in order.
    """
    import numpy as np

    unsigned = numbers.view(f"u{numbers.dtype.itemsize}")
    begin = np.array((end + way) % (1 << 8 * numbers.dtype.itemsize), unsigned.dtype)
    distance = int((unsigned - begin if way > 0 else begin - unsigned).min())
    return end + way + way * distance
