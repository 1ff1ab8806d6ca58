"""The step ``clip``: rows within a box, and geometries cut to it.

Here belongs what it means to lie in a box. Not here: the options (``table_steps``), joining geometries
(``table_steps_join``), or the form of geometries (``table_geometry``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import SourceTable
from rimrep_assets.domain.table_geometry import crs_code, is_geographic
from rimrep_assets.domain.table_names import absent
from rimrep_assets.domain.table_steps import name_before
from rimrep_assets.domain.table_types import MOST_MISFITS, ColumnType, as_type, misfit_cells

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Box = tuple[float, float, float, float]
Choice = Callable[["pa.RecordBatch", int], "pa.RecordBatch"]


def boxes_of(bbox: Box, *, geographic: bool) -> list[Box]:
    """The boxes that ``bbox`` (west, south, east, north) means: of degrees the same one full turn to the west and
    to the east, for longitudes may be written in -180..180 or 0..360; west > east crosses the antimeridian."""
    west, south, east, north = bbox
    if not geographic:
        return [bbox]
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return [(w + turn, south, e + turn, north) for w, e in parts for turn in (-360.0, 0.0, 360.0)]


def clipped(table: SourceTable, dataset: Dataset, later: Sequence[str], problems: list[str]) -> Choice | None:
    """What chooses the rows of a block for ``clip``, told the number of its first row; None where that cannot be said.

    A row without a place is in no box. With ``cut`` a geometry keeps what lies within and is of its own dimension; a
    row of which nothing is left goes.
    """
    clip = dataset.convert.clip
    assert clip is not None and clip.bbox is not None
    geographic = is_geographic(table.crs)
    west, south, east, north = clip.bbox
    if geographic and not (south >= -90 and north <= 90 and all(-360 <= edge <= 360 for edge in (west, east))):
        problems.append(f"clip.bbox {list(clip.bbox)} is not west, south, east, north in degrees")
        return None
    if not geographic and max(map(abs, (west, east))) <= 360 and max(map(abs, (south, north))) <= 90:
        # What is in metres lies thousands of them from its origin.
        problems.append(
            f"clip.bbox {list(clip.bbox)} is in degrees, and the layer in {crs_code(table.crs)}: write the box in the "
            "units of that CRS"
        )
        return None
    if not geographic and west > east:
        problems.append("clip.bbox: west lies east of east, which only longitudes can")
        return None
    boxes = boxes_of(clip.bbox, geographic=geographic)
    rename = dataset.convert.rename
    if dataset.coordinates.geometry is None:
        ends = [name_before(str(c), later, rename) for c in (dataset.coordinates.x, dataset.coordinates.y)]
        missing = [absent("clip, by coordinates,", c, table.names) for c in ends if c not in table.names]
        problems += missing
        return None if missing else lambda block, row: _points_within(block, row, ends, boxes, table)
    column = table.geometry or name_before(dataset.coordinates.geometry, later, rename)
    if column not in table.names:
        problems.append(absent("clip, by coordinates.geometry,", column, table.names))
        return None
    return lambda block, row: _shapes_within(block, row, column, boxes, table, cut=clip.cut)


def _points_within(
    block: pa.RecordBatch, row: int, ends: Sequence[str], boxes: Sequence[Box], table: SourceTable
) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    x, y = (_numbers(block.column(column), column, row, table) for column in ends)
    with np.errstate(invalid="ignore"):
        masks = [(x >= w) & (x <= e) & (y >= s) & (y <= n) for w, s, e, n in boxes]
    return block.filter(pa.array(np.logical_or.reduce(masks)))


def _numbers(cells: pa.Array, column: str, row: int, table: SourceTable) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    kind = ColumnType("number", decimal=table.decimal)
    read = as_type(cells, kind)
    if read is None:
        shown = ", ".join(f"row {row + at}: {cells[at].as_py()!r}" for at in misfit_cells(cells, kind))
        advice = f"declare words for a missing value in {table.reader}.na"
        raise DataError(f"{table.file}: clip needs numbers in {column!r}: {shown}; {advice}")
    values: np.ndarray[Any, Any] = read.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _shapes_within(
    block: pa.RecordBatch, row: int, column: str, boxes: Sequence[Box], table: SourceTable, *, cut: bool
) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa
    import shapely

    cells = block.column(column)
    shapes = _shapes(cells, column, row, table)
    area = shapely.union_all([shapely.box(*box) for box in boxes])
    shapely.prepare(area)
    mask = shapely.intersects(area, shapes) & ~shapely.is_missing(shapes)
    if not cut:
        return block.filter(pa.array(mask))
    whole = shapely.covers(area, shapes)
    edged = np.flatnonzero(mask & ~whole)
    _refuse_invalid(shapes, edged, row, table)
    pieces = shapes.copy()
    pieces[edged] = [_of_dimension(piece, shape) for piece, shape in _cut(shapes[edged], area)]
    mask &= ~(shapely.is_missing(pieces) | shapely.is_empty(pieces))
    stored = [cell.as_py() for cell in cells]
    for at in edged:
        stored[at] = _written(pieces[at], cells.type)
    at = block.schema.get_field_index(column)
    return block.set_column(at, block.schema.field(at), pa.array(stored, cells.type)).filter(pa.array(mask))


def _cut(shapes: Any, area: Any) -> Iterator[tuple[Any, Any]]:
    import shapely

    return zip(shapely.intersection(shapes, area), shapes, strict=True)


def _shapes(cells: pa.Array, column: str, row: int, table: SourceTable) -> Any:
    import pyarrow as pa
    import shapely

    read = shapely.from_wkt if pa.types.is_string(cells.type) else shapely.from_wkb
    shapes = read(cells.to_numpy(zero_copy_only=False), on_invalid="ignore")
    bad = [at for at in range(len(cells)) if shapes[at] is None and cells[at].is_valid]
    if bad:
        shown = ", ".join(f"row {row + at}" for at in bad[:MOST_MISFITS])
        more = f" and {len(bad) - MOST_MISFITS} more nearby" if len(bad) > MOST_MISFITS else ""
        raise DataError(f"{table.file}: clip needs geometries in {column!r}; {shown}{more} hold none")
    return shapes


def _refuse_invalid(shapes: Any, edged: Any, row: int, table: SourceTable) -> None:
    import shapely

    bad = [int(at) for at in edged if not shapely.is_valid(shapes[at])]
    if bad:
        shown = "; ".join(f"row {row + at}: {shapely.is_valid_reason(shapes[at])}" for at in bad[:MOST_MISFITS])
        raise DataError(
            f"{table.file}: clip.cut cannot cut {len(bad)} geometries that are not valid, such as {shown}",
            advice="leave clip.cut out, or ask the provider for valid geometries.",
        )


def _of_dimension(piece: Any, shape: Any) -> Any:
    """What of ``piece`` has the dimension of ``shape``: where a polygon only touches the box, a line would be left."""
    import shapely

    wanted = shapely.get_dimensions(shape)
    if piece.is_empty or shapely.get_type_id(piece) != shapely.GeometryType.GEOMETRYCOLLECTION:
        return piece if shapely.get_dimensions(piece) == wanted else None
    parts = [part for part in shapely.get_parts(piece) if shapely.get_dimensions(part) == wanted]
    return shapely.union_all(parts) if parts else None


def _written(shape: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa
    import shapely

    if shape is None:
        return None
    if pa.types.is_string(kind):
        return shapely.to_wkt(shape, rounding_precision=-1)
    return shapely.to_wkb(shape, flavor="iso")
