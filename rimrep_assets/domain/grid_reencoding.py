"""Numbers that are published other than they are stored: longitudes brought into a range, one packing into another.

Here belong the value-by-value rules and whether they lose anything. Not here: which variables they are applied to
(``grid_header``, ``gridded``), or decoding into floats (``grid_values``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from rimrep_assets.domain.grid_layout import Number, Packing, Variable, Wrap

if TYPE_CHECKING:
    import numpy as np

SLACK = 1e-4
"""degrees (about 10 m) by which a longitude may lie outside a range and still stay where it is"""


class DoesNotFit(ValueError):
    """Some numbers have no equal in the published packing; the message counts them, the caller says of which file."""


def hidden_cells(raw: np.ndarray, packing: Packing) -> np.ndarray:
    """Where stored numbers stand for no value: fill and missing, compared as stored; NaN is not among them."""
    import numpy as np

    hidden = np.zeros(raw.shape, bool)
    for number in (packing.fill, *packing.missing):
        if number is not None and not number.is_nan:
            hidden |= raw == number.numpy().astype(raw.dtype)
    return hidden


def into_range(longitudes: np.ndarray, wrap: Wrap) -> np.ndarray:
    """Longitudes (float64) plus or minus whole turns, so that they lie in the range; those that do stay. NaN stays."""
    import numpy as np

    low, high = wrap.low - SLACK, wrap.high + SLACK
    up = np.where(longitudes < low, np.ceil((low - longitudes) / 360.0), 0.0)
    down = np.where(longitudes > high, np.ceil((longitudes - high) / 360.0), 0.0)
    moved: np.ndarray = longitudes + 360.0 * (up - down)
    return moved


def wrapped(raw: np.ndarray, variable: Variable) -> np.ndarray:
    """Longitudes as ``variable.wrap`` says; the type stays, and so do cells without value.

    Corners of cells (last dimension) are brought next to their cell's centre, so that no cell spans the globe.
    """
    import numpy as np

    assert variable.wrap is not None
    values = raw.astype("float64")
    values[hidden_cells(raw, variable.packing)] = np.nan
    if variable.wrap.cells:
        apart = (values - values[..., :1] + 180.0) % 360.0 - 180.0
        middle = apart.mean(axis=-1, keepdims=True)
        wanted = into_range(values[..., :1] + middle, variable.wrap) + apart - middle
        moved = values + 360.0 * np.round((wanted - values) / 360.0)
    else:
        moved = into_range(values, variable.wrap)
    unmoved = np.isnan(moved) | (moved == values)
    found: np.ndarray = np.where(unmoved, raw, np.where(unmoved, 0.0, moved).astype(raw.dtype))
    return found


def affine(source: Variable, target: Variable) -> tuple[int, int] | None:
    """``(factor, shift)``, both whole, by which stored numbers of ``source`` become equal ones of ``target``.

    Equal as decimal numbers: scale and offset are taken as the shortest decimals that name them. None where whole
    numbers cannot do it for every value, or types forbid it.
    """
    import numpy as np

    kinds = np.dtype(source.dtype).kind + np.dtype(target.dtype).kind
    if "f" in kinds:
        same = (source.packing.scale, source.packing.offset) == (target.packing.scale, target.packing.offset)
        widens = kinds == "ff" and np.dtype(source.dtype).itemsize <= np.dtype(target.dtype).itemsize
        return (1, 0) if same and widens else None
    scales = [_decimal(v.packing.scale, 1) for v in (source, target)]
    offsets = [_decimal(v.packing.offset, 0) for v in (source, target)]
    if None in (*scales, *offsets) or not scales[1]:
        return None
    factor = scales[0] / scales[1]  # type: ignore[operator]
    shift = (offsets[0] - offsets[1]) / scales[1]  # type: ignore[operator]
    if factor.denominator != 1 or shift.denominator != 1 or not factor:
        return None
    plain = factor == 1 and shift == 0
    if not plain and (_wide(source) or _wide(target) or abs(factor) > 2**20 or abs(shift) > 2**40):
        return None
    return int(factor), int(shift)


def _wide(variable: Variable) -> bool:
    import numpy as np

    return np.dtype(variable.dtype).itemsize > 4


def _decimal(number: Number | None, default: int) -> Fraction | None:
    """The shortest decimal that names the number in its own type; None when it is not finite."""
    if number is None:
        return Fraction(default)
    try:
        return Fraction(str(number.numpy()))
    except ValueError:
        return None


def is_repacked(of_file: Variable, published: Variable) -> bool:
    """Whether a file's numbers are re-encoded into another packing (``repack``); fills of no value may differ too."""
    if published.role == "coordinate" or published.time_bounds is not None or is_decoded(published):
        return False
    if of_file.dtype == published.dtype and of_file.packing == published.packing:
        return False
    return not adds_fill(of_file.packing, published.packing) or of_file.dtype != published.dtype


def is_decoded(published: Variable) -> bool:
    """Whether a variable is published as floats with NaN for no value, as ``unpack`` does."""
    fill = published.packing.fill
    return fill is not None and fill.is_nan and published.packing == Packing(fill=fill)


def adds_fill(of_file: Packing, published: Packing) -> bool:
    """Whether the packings differ in nothing but a fill that the file has not."""
    return of_file.fill is None and of_file == published.model_copy(update={"fill": None})


def repacked(raw: np.ndarray, of_file: Variable, published: Variable) -> np.ndarray:
    """Stored numbers of a file as equal ones of the published packing, no value as its fill. Shape as given.

    Raises: DoesNotFit with the count of numbers that lie outside the published type, would be read as no value, or
    stand for no value where the published packing has no fill.
    """
    import numpy as np

    steps = affine(of_file, published)
    hidden = hidden_cells(raw, of_file.packing)
    if of_file.packing.fill is not None and of_file.packing.fill.is_nan:
        hidden |= np.isnan(raw)
    fill = published.packing.fill
    if steps is None:
        raise DoesNotFit(f"{raw.size} values: {of_file.packing} cannot become {published.packing} without loss")
    target = np.dtype(published.dtype)
    if target.kind == "f":
        new = raw.astype(target)
        bad = np.zeros(raw.shape, bool)
    else:
        stored = raw.view(f"u{raw.dtype.itemsize}") if of_file.packing.unsigned and raw.dtype.kind == "i" else raw
        kind = np.dtype(f"u{target.itemsize}") if published.packing.unsigned and target.kind == "i" else target
        wide = stored if steps == (1, 0) else stored.astype("int64") * steps[0] + steps[1]
        limits = np.iinfo(kind)
        bad = (wide < limits.min) | (wide > limits.max)
        new = np.where(bad, 0, wide).astype(kind).view(target)
    bad |= hidden_cells(new, published.packing)
    bad &= ~hidden
    if fill is None:
        bad |= hidden
    if bad.any():
        raise DoesNotFit(f"{int(bad.sum())} of {bad.size} values do not fit into {published.packing}")
    if fill is not None:
        new[hidden] = fill.numpy().astype(target)
    return new
