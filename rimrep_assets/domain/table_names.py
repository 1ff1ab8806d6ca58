"""Names of columns that the platform gives to a published table.

Here belongs what follows from the dataset's coordinates alone, and saying that a column is not there. Not here: the
columns of files (``table_source``).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.source_table import SourceTable

MADE_GEOMETRY = "geometry"


def geometry_column(dataset: Dataset) -> str | None:
    """The name of the geometry in the published table; None where the dataset has neither geometry nor x and y."""
    if dataset.coordinates.geometry:
        return dataset.coordinates.geometry
    return MADE_GEOMETRY if dataset.coordinates.x else None


def makes_points(dataset: Dataset) -> bool:
    """Whether the geometry is made from x and y."""
    return geometry_column(dataset) is not None and dataset.coordinates.geometry is None


def platform_columns(dataset: Dataset) -> tuple[str, ...]:
    """Names of the columns that the platform makes, in their published order; ``fid`` unless the data has its own."""
    made = (MADE_GEOMETRY,) if makes_points(dataset) else ()
    covering = ("bbox",) if geometry_column(dataset) else ()
    return (*made, *covering, "fid")


def is_layers(table: SourceTable, column: str) -> bool:
    """Whether a column is the geometry of a layer, which has a name only by its format."""
    return column == table.geometry and table.reader == "read_vector"


def absent(key: str, column: str, there: Sequence[str]) -> str:
    """That ``key`` of the catalog names a column that is not there, and those that are, nearest first."""

    def likeness(other: str) -> float:
        return difflib.SequenceMatcher(None, column.lower(), other.lower()).ratio()

    listed = ", ".join(repr(other) for other in sorted(there, key=likeness, reverse=True))
    return f"{key} names {column!r}, which is not in the data; its columns, nearest first: {listed or 'none'}"
