"""What users ask of a published table over HTTP: three sites of many, and a box of the map.

Here belongs one function a question, the bytes that it reads, counted at the server, and its time. Not here: making
the tables (``tables``, ``inputs``), or the server (``counting_server``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.counting_server import Counted, counting_server
from benchmarks.inputs import POLYGONS_WITHIN, Size, polygon_file
from benchmarks.measuring import Clock, load
from benchmarks.tables import OUR_LIBRARIES, ROW_GROUP_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from rimrep_assets.domain.dataset import Dataset

SITES = [f"Reef No {number} (18-{number:03d})" for number in (17, 90, 151)]
OTHER_SITE = ["Reef No 3 (18-003)"]
BOX_SHARE = 0.01
"""of the area of all polygons"""
BOXES = 10
POLYGON_GROUP_ROWS = 100
"""a quarter of those that lie in a box of the map"""


def site(_inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Three of 200 sites, all columns, out of what ``tables:ours`` wrote."""
    _ask_for_sites(out, "data.parquet", size, clock)


def site_in_order_of_arrival(_inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """The same question where the same rows stand as they came, in row groups of the same size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    came = pq.read_table(out / "rows.parquet", columns=["row"]).column(0)
    order = pa.compute.sort_indices(came)
    table = pq.read_table(out / "data.parquet").take(order)
    pq.write_table(table, out / "arrived.parquet", compression="zstd", row_group_size=ROW_GROUP_ROWS)
    _ask_for_sites(out, "arrived.parquet", size, clock)


def _ask_for_sites(folder: Path, name: str, size: Size, clock: Clock) -> None:
    load("fsspec.implementations.http", "pandas", "pyarrow.parquet", "pyarrow.dataset")
    with counting_server(folder) as server:
        # The first request of a process starts threads and an event loop; it is not what is measured.
        _rows_of(server, name, OTHER_SITE)
        server.reset()
        with clock:
            found = _rows_of(server, name, SITES)
        clock.share = server.sent / (folder / name).stat().st_size
    assert set(found["site"]) == set(SITES)
    assert abs(len(found) - size.rows * len(SITES) / 200) <= 2 * len(SITES)


def _rows_of(server: Counted, name: str, sites: list[str]) -> pd.DataFrame:
    import fsspec
    import pandas as pd

    # No read-ahead: Parquet says itself which bytes it wants.
    with fsspec.filesystem("http").open(f"{server.url}/{name}", cache_type="none") as file:
        return pd.read_parquet(file, filters=[("site", "in", sites)])


def bbox(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Boxes of 1 % of the area, one after the other, out of polygons in order of the Hilbert curve: the mean share of
    a box, which reads the footer again. Converting is not timed."""
    load(*OUR_LIBRARIES, "fsspec.implementations.http", "geopandas.io.arrow")
    import fsspec
    import geopandas

    _convert_polygons(polygon_file(inputs), out)
    boxes, found = list(_boxes()), []
    with counting_server(out) as server:
        for box in boxes:
            with clock, fsspec.filesystem("http").open(f"{server.url}/data.parquet", cache_type="none") as file:
                found.append(geopandas.read_parquet(file, bbox=box))
        clock.share = server.sent / len(boxes) / (out / "data.parquet").stat().st_size
    all_of_them = geopandas.read_file(polygon_file(inputs))
    assert len(all_of_them) == size.polygons
    for box, read in zip(boxes, found, strict=True):
        assert set(read["reef_id"]) == set(all_of_them[_touching(all_of_them, box)]["reef_id"])


def _boxes() -> Iterator[tuple[float, float, float, float]]:
    """West, south, east, north of ``BOXES`` boxes with the area's proportions, anywhere within it."""
    import numpy as np

    west, south, east, north = POLYGONS_WITHIN
    width, height = (east - west) * BOX_SHARE**0.5, (north - south) * BOX_SHARE**0.5
    for right, up in np.random.default_rng(3).random((BOXES, 2)):
        begin_x, begin_y = west + right * (east - west - width), south + up * (north - south - height)
        yield begin_x, begin_y, begin_x + width, begin_y + height


def _touching(frame: pd.DataFrame, box: tuple[float, float, float, float]) -> pd.Series:
    """The rows whose own box touches ``box``."""
    edges = frame.geometry.bounds
    return (edges.minx <= box[2]) & (edges.maxx >= box[0]) & (edges.miny <= box[3]) & (edges.maxy >= box[1])


def _convert_polygons(source: Path, out: Path) -> None:
    from rimrep_assets.domain.table_fold import fold_table
    from rimrep_assets.domain.tabular import stage_table

    dataset = _polygon_dataset()
    stage_table(source, source.name, dataset, None, out / "part.parquet")
    fold_table(base=None, without=(), staged={source.name: out / "part.parquet"}, out=out, dataset=dataset)


def _polygon_dataset() -> Dataset:
    from rimrep_assets.domain.dataset import Dataset

    return Dataset.model_validate(
        {
            "id": "reefs",
            "collection": "benchmarks",
            "format": "parquet",
            "access": "public",
            "coordinates": {"geometry": "geometry"},
            "source": {"kind": "local", "url": "tables"},
            "convert": {"read_vector": {}},
            "layout": {"sort_by": ["geometry"], "row_group_rows": POLYGON_GROUP_ROWS},
        }
    )
