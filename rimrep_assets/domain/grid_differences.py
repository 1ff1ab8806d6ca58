"""In what two files of one grid differ, and which differences a declared rule covers.

Here belongs the comparison of layouts. Not here: what is made of files that fit (``gridded``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rimrep_assets.domain.dataset import Convert
from rimrep_assets.domain.grid_layout import GridLayout, Variable
from rimrep_assets.domain.grid_steps import Unite
from rimrep_assets.domain.grid_time import same_units
from rimrep_assets.domain.grid_values import from_text

Kind = Literal["shape", "absent", "unit", "meaning", "type", "packing", "axis", "constant"]


@dataclass(frozen=True)
class LayoutDifference:
    """``subject`` is a variable or dimension; ``first`` and ``second`` say what either file has of it."""

    kind: Kind
    subject: str
    first: str
    second: str
    role: str = "data"


def fits_rules(difference: LayoutDifference, convert: Convert) -> bool:
    """Whether a declared rule says how to unite files that differ so."""
    kind, declared = difference.kind, convert.unite.variables is not None
    if kind in ("absent", "meaning", "constant"):
        return declared
    if kind in ("type", "packing"):
        if difference.role == "coordinate":
            return convert.unite.coordinate_tolerance > 0
        return convert.unpack is not None or convert.repack is not None
    return False


def layout_differences(a: GridLayout, b: GridLayout, rules: Unite) -> list[LayoutDifference]:
    """Every difference of two layouts, save the values of axes where ``rules`` has a tolerance: that is counted from
    the axis that is published (``axes_apart``)."""
    found = list(_time_differences(a, b))
    for dim in sorted(a.dimensions.keys() & b.dimensions.keys()):
        if a.dimensions[dim] != b.dimensions[dim]:
            found.append(LayoutDifference("shape", f"dimension {dim}", str(a.dimensions[dim]), str(b.dimensions[dim])))
    for name in sorted(a.variables.keys() | b.variables.keys()):
        one, two = a.variables.get(name), b.variables.get(name)
        if one is None or two is None:
            found.append(LayoutDifference("absent", name, _summary(one), _summary(two)))
        else:
            found += _variable_differences(name, one, two, rules.coordinate_tolerance)
    return found


def _summary(variable: Variable | None) -> str:
    return "no such variable" if variable is None else f"{variable.dtype} ({', '.join(variable.dims)})"


def _time_differences(a: GridLayout, b: GridLayout) -> Iterator[LayoutDifference]:
    if a.time == b.time or a.time is None or b.time is None:
        return
    for what in ("dim", "calendar", "units"):
        one, two = getattr(a.time, what), getattr(b.time, what)
        if one != two and (what != "units" or (one and two)):
            word = {"dim": "dimension", "calendar": "calendar", "units": "units"}[what]
            yield LayoutDifference("shape", a.time.name, f"{word} {one}", f"{word} {two}")


def _variable_differences(name: str, a: Variable, b: Variable, tolerance: float) -> Iterator[LayoutDifference]:
    if a.dims != b.dims:
        yield LayoutDifference("shape", name, f"dimensions {a.dims}", f"dimensions {b.dims}")
    if (a.time_bounds is None) != (b.time_bounds is None):
        words = ["bounds of something else" if v.time_bounds is None else "bounds of the time axis" for v in (a, b)]
        yield LayoutDifference("shape", name, *words)
    elif a.time_bounds is not None:
        # However they are stored and counted, they become times in the units of the axis.
        b = b.model_copy(update={"dtype": a.dtype, "packing": a.packing})
    if a.dtype != b.dtype:
        yield LayoutDifference("type", name, f"type {a.dtype}", f"type {b.dtype}", a.role)
    # In a coordinate of another type the fill has that type too; it is no difference of its own.
    if a.packing != b.packing and (a.role != "coordinate" or a.dtype == b.dtype):
        yield LayoutDifference("packing", name, str(a.packing), str(b.packing), a.role)
    if not same_units(a.units, b.units):
        yield LayoutDifference("unit", name, f"unit {a.units or 'none'}", f"unit {b.units or 'none'}")
    for key in sorted((a.meaning.keys() | b.meaning.keys()) - {"units"}):
        one, two = a.meaning.get(key), b.meaning.get(key)
        if one != two:
            yield LayoutDifference("meaning", name, f"{key} {_word(one)}", f"{key} {_word(two)}")
    if a.sha256 != b.sha256 and a.dims == b.dims:
        if a.role != "coordinate":
            yield LayoutDifference("constant", name, "certain values", "other values")
        elif not tolerance:
            yield LayoutDifference("axis", name, "certain values", "other values (coordinate_tolerance is 0)")


def _word(value: object) -> str:
    return "none" if value is None else str(value)


def axes_apart(
    name: str, a: Variable, b: Variable, values: Mapping[str, str], tolerance: float
) -> Iterator[LayoutDifference]:
    """How two axes differ beyond the tolerance; ``values`` are axes' values by sha256."""
    if a.sha256 == b.sha256 or a.dims != b.dims:
        return
    if a.sha256 is None or b.sha256 is None or not {a.sha256, b.sha256} <= values.keys():
        yield LayoutDifference(
            "axis", name, "certain values", "other values, not remembered: read the headers of all files again"
        )
    else:
        largest = _largest_difference(values[a.sha256], values[b.sha256])
        if largest is None:
            yield LayoutDifference("axis", name, "some cells without value", "other cells without value")
        elif largest > tolerance:
            yield LayoutDifference(
                "axis",
                name,
                "certain values",
                f"values that differ by up to {largest:.6g} (coordinate_tolerance is {tolerance:g})",
            )


def _largest_difference(a: str, b: str) -> float | None:
    """The largest absolute difference; None when they are not numbers in the same cells."""
    import numpy as np

    one, two = from_text(a).astype("float64"), from_text(b).astype("float64")
    if one.shape != two.shape or not np.array_equal(np.isnan(one), np.isnan(two)):
        return None
    return float(np.nanmax(np.abs(one - two), initial=0.0))
