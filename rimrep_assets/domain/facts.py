"""What is measured on staged data, as values that every description is made from.

Here belong the shapes of the measurements and the decision whether extents come from the data. Not here:
measuring (``tabular``, ``gridded``) or writing them into documents (``datapackage``, ``stac``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from rimrep_assets.domain.dataset import Coordinates

Scalar = bool | int | float | str | None


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnFacts(_Value):
    """A column as read back: ``min``/``max`` are JSON values (times as ISO 8601 in UTC), None when all is null."""

    name: str
    type: str
    """a Table Schema type: integer number string boolean date datetime geometry"""
    nulls: int
    min: Scalar = None
    max: Scalar = None


class DimensionFacts(_Value):
    """A dimension; ``extent`` in the coordinate's unit (ISO 8601 for time), None where it has no coordinate."""

    size: int
    type: Literal["spatial", "temporal", "other"]
    axis: Literal["x", "y", "z", "t"] | None = None
    extent: tuple[float, float] | tuple[str, str] | None = None
    step: float | str | None = None
    """the regular step (ISO 8601 duration for time), None where the axis is irregular"""
    unit: str | None = None


class VariableFacts(_Value):
    """A data variable; ``min``/``max`` over decoded valid values; counts are cells."""

    dimensions: tuple[str, ...]
    data_type: str
    """as stored, a numpy name: int16, float32"""
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    valid: int = 0
    missing: int = 0


class Facts(_Value):
    """Everything measured on one version of a dataset's data."""

    format: Literal["parquet", "zarr"]
    row_count: int | None = None
    columns: tuple[ColumnFacts, ...] = ()
    dimensions: dict[str, DimensionFacts] = {}
    variables: dict[str, VariableFacts] = {}
    bbox: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees (WGS 84), whatever the data's own CRS is"""
    start: str | None = None
    end: str | None = None
    """ISO 8601, UTC, ending in Z"""
    missing_times: tuple[str, ...] = ()
    """with a declared cadence: times of the axis that no source file covers"""
    left_out: dict[str, int] = {}
    """tables: what of the source files is not published by a declared rule, in words, and how much of it"""
    crs: str | None = None
    """an authority code such as EPSG:4283, or the CRS's name where it has none"""

    @property
    def nulls(self) -> dict[str, int]:
        """Missing cells by column."""
        return {column.name: column.nulls for column in self.columns}


def extents_come_from_data(coordinates: Coordinates) -> dict[str, bool]:
    """Decide which extents the data can give: ``{"spatial": ..., "temporal": ...}`` from the declared coordinates."""
    return {
        "spatial": bool(coordinates.geometry or (coordinates.x and coordinates.y)),
        "temporal": bool(coordinates.t),
    }
