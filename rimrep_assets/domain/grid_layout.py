"""What a grid's files and the published grid look like, as values that survive JSON.

Here belong the shapes of headers: numbers that keep their type, packing, variables, layouts, files. Not here: reading
them from a file (``grid_header``), or making one grid of many (``gridded``).
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rimrep_assets.domain.strict_model import StrictModel

if TYPE_CHECKING:
    import numpy as np

Role = Literal["data", "coordinate", "auxiliary"]
Attributes = dict[str, dict[str, Any]]
"""attributes by variable; the file's own stand under the empty name"""

GLOBAL = ""


class Number(StrictModel):
    """A scalar with its numpy type, so that nothing is lost in JSON; NaN and infinity are words."""

    dtype: str
    value: int | float | str

    @classmethod
    def of(cls, value: Any, dtype: str | None = None) -> Number:
        import numpy as np

        scalar = np.asarray(value).reshape(-1)[0]
        if dtype is not None:
            scalar = np.asarray(scalar).astype(dtype)[()]
        return cls(dtype=scalar.dtype.name, value=json_value(scalar))

    def numpy(self) -> np.generic:
        import numpy as np

        scalar: np.generic = np.dtype(self.dtype).type(self.value)
        return scalar

    @property
    def is_nan(self) -> bool:
        return self.value == "NaN"

    def __str__(self) -> str:
        return f"{self.value}"


class Packing(StrictModel):
    """How stored numbers become values: ``stored * scale + offset``; ``fill`` and ``missing`` stand for no value."""

    fill: Number | None = None
    missing: tuple[Number, ...] = ()
    scale: Number | None = None
    offset: Number | None = None
    unsigned: bool = False

    @property
    def scales(self) -> bool:
        return self.scale is not None or self.offset is not None

    def __str__(self) -> str:
        parts = {"scale": self.scale, "offset": self.offset, "fill": self.fill}
        words = [f"{name} {'none' if value is None else value}" for name, value in parts.items()]
        if self.missing:
            words.append("missing " + "/".join(map(str, self.missing)))
        return ", ".join(words + (["unsigned"] if self.unsigned else []))


class Span(StrictModel):
    """Source indexes ``low`` to ``high`` (not included) of one dimension, backward where the axis is turned."""

    low: int
    high: int
    backward: bool = False


class Wrap(StrictModel):
    """The range into which whole turns bring longitudes; ``cells``: the last dimension are corners of cells."""

    low: float
    high: float
    cells: bool = False


class TimeBounds(StrictModel):
    """Of bounds of the time axis: how their numbers tell times, and what these are like.

    In a layout the units are empty, for each file has units of its own (``FileGrid.time_bounds``), and those that are
    published follow from the axis (``GridState.published``).
    """

    units: str = ""
    calendar: str = ""
    whole: bool = True
    """whether all are whole seconds; not asked of a calendar that keeps its own units"""
    lacking: bool = False
    """whether some are no time at all"""


class Variable(StrictModel):
    """A variable, under its published name; the time dimension comes first in ``dims``."""

    source: str
    """its name in the file"""
    source_dims: tuple[str, ...]
    """published names of its dimensions, in the file's order; the time dimension may lack (``set_time``)"""
    dims: tuple[str, ...]
    dtype: str
    role: Role
    spans: dict[str, tuple[Span, ...]] = {}
    """of a dimension (published name) the source indexes that are published, in that order; all where it is absent"""
    wrap: Wrap | None = None
    """of longitudes the range in which they are published"""
    time_bounds: TimeBounds | None = None
    """of bounds (or a climatology) of the time axis: they are published in its units"""
    packing: Packing = Packing()
    meaning: dict[str, Any] = {}
    """attributes that say what the numbers are: units, standard_name, flags, positive"""
    sha256: str | None = None
    """of the values as they are published (C order, little endian); None where it varies with time"""

    @property
    def units(self) -> str | None:
        value = self.meaning.get("units")
        return None if value is None else str(value)


class GridTime(StrictModel):
    """The time axis; ``units`` are the published ones (a standard calendar's are chosen from all times)."""

    name: str
    dim: str
    units: str
    calendar: str


class GridLayout(StrictModel):
    """The shape of one or many files: everything but times, values and mere description."""

    dimensions: dict[str, int]
    """sizes; the time dimension is not among them"""
    variables: dict[str, Variable]
    """without the time coordinate itself"""
    time: GridTime | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(stable_json(self.model_dump(mode="json"))).hexdigest()[:16]

    def varies(self, name: str) -> bool:
        """Whether the variable has the time dimension."""
        return self.time is not None and self.time.dim in self.variables[name].dims

    def coordinates(self) -> dict[str, Variable]:
        return {name: v for name, v in self.variables.items() if v.role == "coordinate"}


class FileGrid(StrictModel):
    """One source file: its layout by digest, its times (microseconds since 1970), what only it says of itself."""

    name: str
    digest: str
    layout: str
    times: tuple[int, ...]
    """ascending"""
    positions: tuple[int, ...] = ()
    """where in the file each time stands; empty where the file has exactly these times in this order"""
    time_bounds: dict[str, tuple[str, str]] = {}
    """by bounds of its time axis (published names) the units and the calendar of their numbers in this file"""
    attributes: Attributes = {}
    place: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """digest of the place (``source_file``) that references to it name; None where its values are copied"""


class GridHeader(StrictModel):
    """Everything that is remembered of one file; ``values`` are axes' values by sha256 (see ``grid_values``)."""

    file: FileGrid
    layout: GridLayout
    values: dict[str, str] = {}


def stable_json(document: Any) -> bytes:
    """The same bytes for the same value: keys sorted, no spaces."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_value(value: Any) -> Any:
    """An attribute as JSON: arrays as lists, NaN and infinity as the words ``NaN``, ``Infinity``, ``-Infinity``."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return [json_value(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
