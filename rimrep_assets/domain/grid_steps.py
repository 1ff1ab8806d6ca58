"""The steps of ``convert`` that grids take: what a curator may write, and the sentences that say why not.

Here belong the options of the steps and which of them contradict each other. Not here: doing what they say
(``grid_header``, ``grid_file_time``, ``grid_spans``, ``gridded``), or the rest of ``dataset.yaml`` (``dataset``).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.file_time import code_problems
from rimrep_assets.domain.strict_model import StrictModel

GRID_READERS = ("read_netcdf", "read_geotiff", "read_zarr")
"""a grid has exactly one of these steps"""
Longitudes = Literal["-180..180", "0..360"]
Box = tuple[float, float, float, float]
RULES_OF_FILES = ("orient", "set_time", "fix_time", "unite")
"""steps that `rimrep init` may propose such that a person has to confirm them"""
COMPUTED = re.compile(
    r"time_coverage_(start|end|resolution)|geospatial_(lat|lon|vertical)_(min|max)|geospatial_bounds.*", re.IGNORECASE
)
"""global attributes that are computed from the axes of the grid"""
_ROUND = re.compile(r"P(?:\d+D|T\d+H|T\d+M|T\d+S)")


class ReadNetcdf(StrictModel):
    """NetCDF files along one time axis; ``variables`` are those to keep (all by default)."""

    variables: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()


class ReadZarr(StrictModel):
    """Zarr stores of format 2 or 3, each a folder named ``*.zarr`` or a zip of one; ``variables`` are those to keep."""

    variables: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()


class ReadGeotiff(StrictModel):
    """GeoTIFF files; x and y are the centres of cells, named ``x`` and ``y``.

    ``names``: band number (from 1) to variable; then only these bands are read. By default all are, each named by its
    description where that is a name, else ``band_1`` and so on.
    ``variable``: a pattern with ``{variable}`` and ``*`` for files of one band that stand beside each other. Files
    whose names differ in that part alone make one file of the grid together, and the part names the variable.
    """

    names: dict[int, str] = {}
    variable: str | None = None

    @model_validator(mode="after")
    def _names_are_names(self) -> ReadGeotiff:
        problems = [f"names: band {band} does not exist; the first is 1" for band in self.names if band < 1]
        problems += [f"names: {name!r} is no name of a variable" for name in self.names.values() if not is_name(name)]
        problems += [f"names: {name!r} stands twice" for name, n in Counter(self.names.values()).items() if n > 1]
        if self.variable is not None:
            if self.variable.count("{variable}") != 1:
                problems.append("variable: the pattern needs {variable} once, like '*-{variable}.tif'")
            if self.names:
                problems.append("names and variable exclude each other: a file named by its variable has one band")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Mosaic(StrictModel):
    """Tiles side by side are one grid: all files of one time (by ``set_time.name``), or all of a grid without time.

    Tiles must have one CRS, cell size, type, fill and scale, and lie on one raster. Where they overlap their cells must
    be equal; a cell without value gives way to one with. Cells that no tile covers have no value.
    """


class Clip(StrictModel):
    """Publish only the cells whose centres lie within; nothing else is read into memory.

    ``bbox``: west, south, east, north in the units of x and y, inclusive. Longitudes may be written in -180..180 or
    0..360, whichever the files have; west > east crosses the antimeridian. On a curvilinear grid the smallest rectangle
    of indexes is published that holds all cells within; its cells outside the box stay. ``z``: least and largest value
    of the vertical axis, inclusive.

    Of a table the rows are published whose place or geometry meets the box. ``cut``: geometries are cut to it.
    """

    bbox: Box | None = None
    z: tuple[float, float] | None = None
    cut: bool = False

    @model_validator(mode="after")
    def _holds_something(self) -> Clip:
        if self.bbox is None and self.z is None:
            raise ValueError("clip needs bbox: [west, south, east, north] or z: [min, max]")
        if not all(math.isfinite(number) for number in (*(self.bbox or ()), *(self.z or ()))):
            raise ValueError("clip has a bound that is not a finite number")
        if self.bbox is not None and self.bbox[1] > self.bbox[3]:
            raise ValueError(f"clip.bbox: south {self.bbox[1]:g} lies north of north {self.bbox[3]:g}")
        if self.z is not None and self.z[0] > self.z[1]:
            raise ValueError(f"clip.z: min {self.z[0]:g} is larger than max {self.z[1]:g}")
        return self


class Orient(StrictModel):
    """Turn axes so that all files have them the same way; bounds turn with their axis.

    ``longitude`` brings x values into a range by adding or taking away 360, and rolls the grid so that they stay in
    order. ``x`` and ``y`` need one-dimensional axes; with ``longitude`` two-dimensional ones do, and their cells stay.
    """

    x: Literal["ascending", "descending"] | None = None
    y: Literal["ascending", "descending"] | None = None
    longitude: Longitudes | None = None

    @model_validator(mode="after")
    def _turns_something(self) -> Orient:
        if not (self.x or self.y or self.longitude):
            raise ValueError("orient needs x, y or longitude")
        return self


class SetTime(StrictModel):
    """Take a file's time from elsewhere than the variable that ``coordinates.t`` names; exactly one of:

    ``variable``: another variable of the file (published name), with its own units and calendar. ``attribute``: a
    global attribute with a text, in ISO 8601 or as ``format`` (strptime) says; without a zone it is UTC. ``name``: the
    file's name, a pattern of strptime codes and ``*`` like ``partition.file_time``; UTC.

    Variables of a file that has no time dimension get one of size 1: all data variables, or ``only`` those named.
    """

    variable: str | None = None
    attribute: str | None = None
    format: str | None = None
    name: str | None = None
    only: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> SetTime:
        problems = []
        if sum(value is not None for value in (self.variable, self.attribute, self.name)) != 1:
            problems.append("set_time needs exactly one of variable, attribute, name")
        if self.format is not None and self.attribute is None:
            problems.append("set_time.format belongs to set_time.attribute")
        if self.name is not None:
            problems += code_problems(self.name, "set_time.name")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class FixTime(StrictModel):
    """Put right the times within a file.

    ``round``: to the nearest multiple of this step (P1D, PT1H, PT30M, PT1S) since 1970-01-01 00:00 UTC; a time that is
    farther away than a tenth of the step is refused, for that is no error of rounding. ``duplicates``: of equal times
    the first or the last in the file is taken. ``sort``: steps may stand in any order.
    """

    round: str | None = None
    duplicates: Literal["first", "last", "refuse"] = "refuse"
    sort: bool = False

    @field_validator("round")
    @classmethod
    def _is_step(cls, value: str | None) -> str | None:
        if value is not None and (not _ROUND.fullmatch(value) or not int(re.sub(r"\D", "", value))):
            raise ValueError(f"{value!r} is not a step like P1D, PT1H, PT30M or PT1S")
        return value

    @model_validator(mode="after")
    def _fixes_something(self) -> FixTime:
        if self == FixTime.model_construct():
            raise ValueError("fix_time needs round, duplicates or sort")
        return self


class Unite(StrictModel):
    """By what rule files of unequal shape become one grid; without it they are refused.

    ``variables``: ``common`` keeps those that every file has, ``all`` fills where a file lacks one.
    ``coordinate_tolerance``: largest absolute difference (coordinate's unit) at which two axes are the same.
    ``overlap``: of files that cover one time the one whose name sorts last gives it (numbers in names count as
    numbers, so that v10 follows v9); by default they are refused.
    """

    variables: Literal["common", "all"] | None = None
    coordinate_tolerance: float = Field(default=0.0, ge=0)
    overlap: Literal["refuse", "newest_name"] = "refuse"


class Unpack(StrictModel):
    """Store decoded numbers where files pack differently (scale, offset or fill drift)."""

    data_type: Literal["float32", "float64"] = "float32"


class Repack(StrictModel):
    """Store all files' numbers in the newest file's packing; every number must fit without loss, else it is refused.

    Without loss: as decimal numbers, ``stored * scale + offset`` is the same before and after.
    """


class AttributesStep(StrictModel):
    """What is published about the grid: ``set`` global attributes, ``drop`` global ones, and ``as_text`` attributes
    of the grid and its variables whose values become texts (lists joined by commas; ``"*"`` for all)."""

    set: dict[str, str | int | float] = {}
    drop: tuple[str, ...] = ()
    as_text: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_done(self) -> AttributesStep:
        problems = [
            f"attributes.drop: {name} is computed from the axes" for name in self.drop if COMPUTED.fullmatch(name)
        ]
        problems += [f"attributes: {name} is both set and dropped" for name in self.drop if name in self.set]
        if not (self.set or self.drop or self.as_text):
            problems.append("attributes needs set, drop or as_text")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def is_name(name: str) -> bool:
    """Whether ``name`` can be the name of an array in a store and of a variable in most programs."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) is not None


def step_problems(convert: Any, coordinates: Any) -> list[str]:
    """What contradicts itself among the steps of a grid; ``convert`` and ``coordinates`` are the dataset's."""
    readers = [name for name in GRID_READERS if getattr(convert, name) is not None]
    problems = []
    if len(readers) != 1:
        problems.append(f"convert of a grid needs one of {', '.join(GRID_READERS)}")
    problems += _geotiff_problems(convert, coordinates)
    for name in ("set_time", "fix_time"):
        if getattr(convert, name) is not None and not coordinates.t:
            problems.append(f"{name} needs coordinates.t: the name of the published time axis")
    if convert.unite.overlap != "refuse" and not coordinates.t:
        problems.append("unite.overlap needs coordinates.t")
    if convert.clip is not None and convert.clip.z is not None and not coordinates.z:
        problems.append("clip.z needs coordinates.z")
    if convert.unpack is not None and convert.repack is not None:
        problems.append("unpack and repack exclude each other: numbers are stored decoded or packed")
    return problems


def _geotiff_problems(convert: Any, coordinates: Any) -> list[str]:
    problems, step = [], convert.set_time
    if convert.read_geotiff is not None and coordinates.t and (step is None or step.variable is not None):
        problems.append(
            "read_geotiff with coordinates.t needs set_time (name or attribute): a GeoTIFF has no time axis"
        )
    if convert.mosaic is not None:
        if convert.read_geotiff is None:
            problems.append("mosaic needs read_geotiff")
        if coordinates.t and step is not None and step.name is None:
            problems.append("mosaic needs set_time.name: tiles of one time are told by their names")
    return problems
