"""The columns that the platform makes (key, point, bbox), held against the rows that they were made of.

Here belongs seeing that they are right, by the quickest way that is sure: numbers taken out of what is published, not
made anew and compared. Where that does not settle it the columns are made anew, and tell which cells differ. Not here:
making them for publication (``table_geometry``, ``table_fold``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import (
    EDGES,
    bbox_column,
    bounds_of,
    bounds_of_points,
    point_record,
    points_from,
)
from rimrep_assets.domain.table_source import geometry_column, makes_points

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

POWERS = [10**digits for digits in range(1, 19)]


class MadeColumns:
    """The columns ``made`` of rows that come from the files ``names``."""

    def __init__(self, made: Sequence[str], names: Sequence[str], dataset: Dataset) -> None:
        import pyarrow as pa

        self.made, self._dataset = made, dataset
        self._prefixes = [f"{zlib.crc32(name.encode()):08x}-" for name in names]
        self._stems = pa.array([prefix[:-1] for prefix in self._prefixes], pa.string())

    def wrong(self, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> Iterator[tuple[str, int, Any, Any]]:
        """Cells that are not what they should be: ``(column, row in the batch, expected, published)``.

        ``files`` (n,): the number of each row's file; ``rows`` (n,): its number in that file.
        """
        import numpy as np

        for name in self.made:
            published = columns.get(name)
            if published is None or self._is_right(name, published, columns, files, rows):
                continue
            expected = self._made_anew(name, columns, files, rows)
            if not published.equals(expected):
                for at in np.flatnonzero(differ(expected, published)).tolist():
                    yield name, at, expected[at].as_py(), published[at].as_py()

    def _is_right(self, name: str, published: pa.Array, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> bool:
        """Whether a column is surely right; False where that must be looked at closely."""
        if len(published) == 0 or published.null_count:
            return False
        if name == "fid":
            return self._are_keys(published, files, rows)
        if not makes_points(self._dataset):
            return False
        places = [columns[str(part)] for part in (self._dataset.coordinates.x, self._dataset.coordinates.y)]
        if any(str(place.type) != "double" or place.null_count for place in places):
            return False
        x, y = (place.to_numpy() for place in places)
        return _are_boxes(published, x, y) if name == "bbox" else _are_points(published, x, y)

    def _are_keys(self, published: pa.Array, files: Any, rows: Any) -> bool:
        """Whether every key is its file's prefix and its row's number, in as few digits as that has."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_string(published.type) or (files != files[0]).any():
            return False
        prefix = self._prefixes[files[0]]
        digits = np.searchsorted(POWERS, rows, side="right") + 1
        lengths = np.asarray(pc.binary_length(published))
        if not np.array_equal(lengths, digits + len(prefix)) or not pc.all(pc.starts_with(published, prefix)).as_py():
            return False
        try:
            # As bytes, because letters need not be counted; without an end pyarrow 26 refuses to cut them.
            cut = pc.binary_slice(published.cast(pa.binary()), len(prefix), len(prefix) + len(POWERS) + 1)
            numbers = cut.cast(pa.string()).cast(pa.int64())
        except pa.ArrowInvalid:
            return False
        return np.array_equal(np.asarray(numbers), rows)

    def _made_anew(self, name: str, columns: Mapping[str, pa.Array], files: Any, rows: Any) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if name == "fid":
            return pc.binary_join_element_wise(self._stems.take(pa.array(files)), pa.array(rows).cast("string"), "-")
        if not makes_points(self._dataset):
            return bbox_column(bounds_of(columns[str(geometry_column(self._dataset))])[0])
        x, y = (columns[str(part)] for part in (self._dataset.coordinates.x, self._dataset.coordinates.y))
        return bbox_column(bounds_of_points(x, y)) if name == "bbox" else points_from(x, y)


def _are_points(published: pa.Array, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> bool:
    """Whether every cell is the WKB point of its ``x`` and ``y``, bit for bit."""
    import numpy as np
    import pyarrow as pa

    record = point_record()
    if not pa.types.is_binary(published.type) or np.isnan(x).any() or np.isnan(y).any():
        return False
    _, offsets, data = published.buffers()
    begin = np.frombuffer(offsets, np.int32)[published.offset : published.offset + len(published) + 1]
    if not np.array_equal(np.diff(begin), np.full(len(published), record.itemsize)):
        return False
    points = np.frombuffer(data, record, len(published), int(begin[0]))
    return bool(
        (points["order"] == 1).all()
        and (points["type"] == 1).all()
        and np.array_equal(points["x"].view("<i8"), x.view("<i8"))
        and np.array_equal(points["y"].view("<i8"), y.view("<i8"))
    )


def _are_boxes(published: pa.Array, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> bool:
    """Whether every cell is the box of the point ``x``, ``y``, bit for bit."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_struct(published.type) or [field.name for field in published.type] != list(EDGES):
        return False
    if np.isnan(x).any() or np.isnan(y).any():
        return False
    for edge, expected in zip(published.flatten(), (x, y, x, y), strict=True):
        if str(edge.type) != "double" or edge.null_count:
            return False
        if not np.array_equal(edge.to_numpy().view("<i8"), expected.view("<i8")):
            return False
    return True


def differ(ours: pa.Array, theirs: pa.Array) -> Any:
    """Where two arrays of one type differ; null equals null, and not a number equals not a number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(ours.type):
        return np.array([one != other for one, other in zip(ours.to_pylist(), theirs.to_pylist(), strict=True)])
    found = np.array(pc.fill_null(pc.not_equal(ours, theirs), False))
    found |= np.asarray(ours.is_null()) != np.asarray(theirs.is_null())
    if pa.types.is_floating(ours.type):
        both = pc.and_(pc.is_nan(ours), pc.is_nan(theirs))
        found &= ~np.asarray(pc.fill_null(both, False))
    return found
