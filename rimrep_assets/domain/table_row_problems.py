"""What is wrong with rows whose cells are all of their types: where they are, when, and which are alike.

Here belong findings in words, with rows counted from 0. Not here: cells that are of another type (``table_types``), or
what a schema promises (``table_schema``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import bounds_of, bounds_of_points, outside_the_globe
from rimrep_assets.domain.table_part import ROW
from rimrep_assets.domain.table_source import makes_points
from rimrep_assets.domain.table_times import FIRST_YEAR, LAST_YEAR
from rimrep_assets.domain.table_types import MOST_MISFITS

if TYPE_CHECKING:
    import pyarrow as pa


def misplaced(columns: Mapping[str, pa.Array], file: str, dataset: Dataset, row: int, *, geographic: bool) -> list[str]:
    """Places that are none: outside the globe, or infinitely far; ``columns`` are of rows from ``row`` on."""
    import numpy as np

    try:
        bounds = _bounds(columns, dataset)
    except ValueError as error:
        last = row + len(next(iter(columns.values()))) - 1
        return [f"{file}: rows {row} to {last} hold {error}"]
    if not geographic:
        infinite = np.flatnonzero(np.isinf(bounds).any(axis=1))
        return [f"{file}: row {row + p}: the geometry has infinite coordinates" for p in infinite[:MOST_MISFITS]]
    outside = outside_the_globe(bounds)
    where = f"{dataset.coordinates.x}, {dataset.coordinates.y}" if makes_points(dataset) else "the geometry"
    problems = [
        f"{file}: row {row + p}: {where} spans x {bounds[p, 0]:g} to {bounds[p, 2]:g}, "
        f"y {bounds[p, 1]:g} to {bounds[p, 3]:g} (degrees); expected x in -180..360 and y in -90..90"
        for p in outside[:MOST_MISFITS]
    ]
    if len(outside) > MOST_MISFITS:
        problems.append(f"{file}: and {len(outside) - MOST_MISFITS} more rows nearby outside the globe")
    return problems


def _bounds(columns: Mapping[str, pa.Array], dataset: Dataset) -> Any:
    if makes_points(dataset):
        return bounds_of_points(columns[str(dataset.coordinates.x)], columns[str(dataset.coordinates.y)])
    return bounds_of(columns[str(dataset.coordinates.geometry)])[0]


def mistimed(columns: Mapping[str, pa.Array], file: str, dataset: Dataset, row: int) -> list[str]:
    """Times of observations that nobody has made: they would be the end of all published extents."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    times = columns.get(str(dataset.coordinates.t))
    if times is None or not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
        return []
    ends = [pc.year(end(times)).as_py() for end in (pc.min, pc.max)]
    if ends[0] is None or (ends[0] >= FIRST_YEAR and ends[1] <= LAST_YEAR):
        return []
    years = pc.year(times)
    beyond = pc.or_(pc.less(years, FIRST_YEAR), pc.greater(years, LAST_YEAR))
    late = np.flatnonzero(np.asarray(pc.fill_null(beyond, False))).tolist()
    texts = times.cast(pa.string())
    problems = [
        f"{file}: row {row + p}: {dataset.coordinates.t} is {texts[p].as_py()}; times lie in the years "
        f"{FIRST_YEAR} to {LAST_YEAR}"
        for p in late[:MOST_MISFITS]
    ]
    return problems + ([f"{file}: and {len(late) - MOST_MISFITS} more rows nearby"] if len(late) > MOST_MISFITS else [])


def alike(keys: Sequence[pa.RecordBatch], file: str) -> list[str]:
    """Pairs of rows that a step told apart by how their values are written, and that are alike in their types."""
    import numpy as np
    import pyarrow as pa

    if not keys:
        return []
    whole = pa.Table.from_batches(keys)
    names = whole.column_names
    numbered = whole.append_column(ROW, pa.array(np.arange(len(whole))))
    groups = numbered.group_by(names).aggregate([(ROW, "min"), (ROW, "max")]).to_pylist()
    pairs = sorted((g[f"{ROW}_min"], g[f"{ROW}_max"], g) for g in groups if g[f"{ROW}_min"] < g[f"{ROW}_max"])
    told = [
        f"{file}: rows {one} and {other} of the pivoted table are alike in "
        + ", ".join(f"{name} {str(group[name])!r}" for name in names)
        for one, other, group in pairs[:MOST_MISFITS]
    ]
    return told + ([f"{file}: and {len(pairs) - MOST_MISFITS} more such pairs"] if len(pairs) > MOST_MISFITS else [])
