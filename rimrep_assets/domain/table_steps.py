"""The steps of ``convert`` that change a table's rows and columns: what a curator may write, and why not.

Here belong the options of the steps and which of them contradict each other. Not here: doing what they say
(``table_steps_applied`` and its neighbours), the readers (``table_readers``), or the rest of ``dataset.yaml``.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.strict_model import StrictModel

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Convert, Coordinates

IN_ORDER = ("rename", "drop_columns", "where", "clip", "add_columns", "pivot", "join_geometry")
"""steps that are applied in the order in which they stand, each on the columns that the one before left"""
WITHOUT_ORDER = ("cast", "column_metadata", "concat")
"""steps of tables that say something about the finished columns, wherever they stand"""
Scalar = bool | int | float | str | datetime.date | None
Values = Scalar | tuple[Scalar, ...]
PLACE = "{}"


class FromName(StrictModel):
    """A column whose value is taken from the file's name.

    ``from_name``: a pattern with one ``{}`` and any number of ``*``, such as ``loggers_{}_*.csv``. Each stands for as
    little text as fits, without ``/``, and ``{}`` for one letter at least. Without a ``/`` in the pattern it is held
    against the last part of the name, else against the whole path below the source.
    """

    from_name: str

    @field_validator("from_name")
    @classmethod
    def _has_one_place(cls, value: str) -> str:
        if value.count(PLACE) != 1:
            raise ValueError(f"{value!r} needs {{}} once, like 'loggers_{{}}_*.csv'")
        if "*{}" in value or "{}*" in value:
            raise ValueError(f"{value!r}: nothing tells where {{}} ends and * begins; put a letter between them")
        return value


class Pivot(StrictModel):
    """One row for each set of values of ``index``, one column for each value of ``columns``, sorted; cells are
    ``values``, missing where no row had any. What is not named is left out. As ``pandas.DataFrame.pivot``."""

    index: tuple[str, ...] = Field(min_length=1)
    columns: str
    values: str

    @field_validator("index", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _are_different(self) -> Pivot:
        named = Counter((*self.index, self.columns, self.values))
        twice = [repr(name) for name, count in named.items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice among index, columns and values")
        return self


class JoinGeometry(StrictModel):
    """Geometries from a GeoJSON file beside ``dataset.yaml``, by equal values.

    ``on``: column of the table to property of the file's features; no two features have the same values.
    ``unmatched``: rows without a feature get no geometry and are counted (``"null"``), or are refused.
    """

    file: str
    on: dict[str, str] = Field(min_length=1)
    unmatched: Literal["null", "refuse"] = "null"
    content: str | None = None
    """what the file holds at the catalog's commit; handed over with the description, never written by people"""

    @field_validator("file")
    @classmethod
    def _is_beside(cls, value: str) -> str:
        return _beside(value, (".geojson",))


class Cast(StrictModel):
    """What becomes of a value that is not of its column's declared type: an ``error``, or ``drop``: it becomes
    missing, and is counted. For all columns, or by column. A time without a zone stays an error."""

    misfits: Literal["error", "drop"] | dict[str, Literal["error", "drop"]] = "error"

    def drops(self, column: str) -> bool:
        """Whether misfits of this column become missing values."""
        rule = self.misfits if isinstance(self.misfits, str) else self.misfits.get(column, "error")
        return rule == "drop"


class ColumnMetadata(StrictModel):
    """More about the columns from a CSV file beside ``dataset.yaml``, one row a column.

    ``name``: the CSV's column that holds the names of the table's columns; its other columns are keys of the fields
    of ``tableschema.json``, such as ``unit``, ``description`` and ``standard_name``.
    """

    file: str
    name: str = "name"

    @field_validator("file")
    @classmethod
    def _is_beside(cls, value: str) -> str:
        return _beside(value, (".csv",))


class Concat(StrictModel):
    """How the files of a dataset make one table. ``columns``: ``unite``: a column that a file lacks is missing in its
    rows; ``same``: files whose columns differ are refused."""

    columns: Literal["unite", "same"] = "unite"


def _beside(value: str, suffixes: Sequence[str]) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) or not value.endswith(tuple(suffixes)):
        raise ValueError(f"{value!r} is not the name of a file {' or '.join(suffixes)} beside dataset.yaml")
    return value


def order_of(steps: Iterable[str]) -> tuple[str, ...]:
    """Those of ``steps`` whose order counts."""
    return tuple(step for step in steps if step in IN_ORDER)


def wanted_values(values: Values) -> tuple[Scalar, ...]:
    """One value, or several, as several."""
    return values if isinstance(values, tuple) else (values,)


def table_step_problems(convert: Convert, coordinates: Coordinates) -> list[str]:
    """What contradicts itself in the steps of a table."""
    problems = [f"where.{c}: no value is named" for c, values in convert.where.items() if values == ()]
    if convert.clip is not None:
        problems += _clip_problems(convert, coordinates)
    if convert.join_geometry is not None:
        problems += _join_problems(convert, coordinates)
    if convert.pivot is not None and convert.pivot.columns in convert.where:
        value = convert.where[convert.pivot.columns]
        if convert.order.index("where") < convert.order.index("pivot") and len(wanted_values(value)) == 1:
            problems.append(f"pivot.columns {convert.pivot.columns!r} has one value only, by where")
    return problems


def _clip_problems(convert: Convert, coordinates: Coordinates) -> list[str]:
    assert convert.clip is not None
    problems = []
    if convert.clip.z is not None or convert.clip.bbox is None:
        problems.append("clip.z belongs to grids (format: zarr); a table is clipped by bbox")
    if not (coordinates.geometry or coordinates.x):
        problems.append("clip needs coordinates x and y, or geometry")
    if convert.clip.cut and not coordinates.geometry:
        problems.append("clip.cut cuts geometries; points made from x and y are within or not")
    if convert.join_geometry and convert.order.index("clip") < convert.order.index("join_geometry"):
        problems.append("clip stands before join_geometry, which gives the geometry")
    return problems


def _join_problems(convert: Convert, coordinates: Coordinates) -> list[str]:
    if coordinates.geometry is None:
        return ["join_geometry gives a geometry: name it in coordinates.geometry"]
    after = convert.order[convert.order.index("join_geometry") + 1 :]
    problems = [f"{step} stands behind join_geometry; put it before" for step in after if step == "pivot"]
    if "rename" in after and coordinates.geometry in convert.rename:
        problems.append("rename names the geometry, which coordinates.geometry names already")
    return problems


def name_before(column: str, later: Sequence[str], rename: Mapping[str, str]) -> str:
    """What ``column`` of the finished table is called where the steps ``later`` are still to come."""
    if "rename" not in later:
        return column
    return {new: old for old, new in rename.items()}.get(column, column)
