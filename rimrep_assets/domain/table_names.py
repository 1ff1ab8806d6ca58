"""Names of columns that the platform gives to a published table.

Here belongs what follows from the dataset's coordinates alone. Not here: the columns of files (``table_source``).
"""

from __future__ import annotations

from rimrep_assets.domain.dataset import Dataset

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
