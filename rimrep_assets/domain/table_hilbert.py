"""Places along a Hilbert curve, so that what is near on the ground is near in the file.

Here belongs the curve. Not here: sorting by it (``table_order``), or bounds of geometries (``table_geometry``).
Source: J. Skilling, Programming the Hilbert curve, AIP Conference Proceedings 707 (2004), https://doi.org/10.1063/1.1751381
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BITS = 26
"""of a coordinate along the curve: 3 m on the globe, 1 m of a projected CRS"""
DEGREES = (-180.0, -180.0, 540.0)
"""least x, least y and width of the square that the curve fills: longitudes may go on to 360"""
METRES = (-(2.0**25), -(2.0**25), 2.0**26)


def hilbert_positions(bounds: np.ndarray[Any, Any], *, is_geographic: bool) -> np.ndarray[Any, Any]:
    """How far along the curve the middles of ``bounds`` lie. Shape: (n, 4) as xmin, ymin, xmax, ymax in the unit of
    their CRS -> (n,) int64 from 0 on; -1 where a bound is not a number.

    The square is the same for all data of a kind of CRS, so that a place keeps its position whatever else is there;
    what lies outside of it counts as on its edge.
    """
    import numpy as np

    west, south, width = DEGREES if is_geographic else METRES
    known = ~np.isnan(bounds).any(axis=1)
    whole = np.where(known[:, None], bounds, 0.0)
    most = 2**BITS - 1
    x, y = (
        np.clip(((whole[:, low] + whole[:, low + 2]) / 2 - edge) / width * 2**BITS, 0, most).astype(np.int64)
        for low, edge in ((0, west), (1, south))
    )
    return np.where(known, _along(x, y), -1)


def _along(x: Any, y: Any) -> Any:
    """Skilling's transform for two axes: undo the excess, then Gray-code, then interleave."""
    import numpy as np

    x, y = x.copy(), y.copy()
    for bit in reversed(range(1, BITS)):
        low = (1 << bit) - 1
        # Where the bit of an axis is set the first axis is inverted below it, else the two are exchanged there.
        x ^= np.where(x & (1 << bit), low, 0)
        flip = (y & (1 << bit)) != 0
        exchanged = np.where(flip, 0, (x ^ y) & low)
        x ^= np.where(flip, low, exchanged)
        y ^= exchanged
    y ^= x
    toggled = np.zeros_like(x)
    for bit in reversed(range(1, BITS)):
        toggled ^= np.where(y & (1 << bit), (1 << bit) - 1, 0)
    x ^= toggled
    y ^= toggled
    found = np.zeros_like(x)
    for bit in range(BITS):
        found |= ((x >> bit) & 1) << (2 * bit + 1)
        found |= ((y >> bit) & 1) << (2 * bit)
    return found
