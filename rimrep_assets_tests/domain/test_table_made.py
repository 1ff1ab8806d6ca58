"""Columns that the platform makes: whatever is looked at quickly is told exactly as making it anew tells it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_made import MadeColumns

NAMES = ["a.csv", "b.csv"]
MADE = ("fid", "geometry", "bbox")
PLACES = st.one_of(st.sampled_from([0.0, -0.0, 1.5, float("nan")]), st.floats(-180, 180), st.none())


def points() -> Dataset:
    return Dataset.model_validate(
        {
            "id": "d",
            "collection": "c",
            "format": "parquet",
            "access": "public",
            "coordinates": {"x": "lon", "y": "lat"},
            "source": {"kind": "local", "url": "files"},
            "convert": {"read_csv": {}},
        }
    )


def columns_of(x: list[Any], y: list[Any], files: list[int], rows: list[int]) -> dict[str, pa.Array]:
    """What should be published, by shapely and plain Python."""
    known = [a is not None and b is not None and a == a and b == b for a, b in zip(x, y, strict=True)]
    pairs = list(zip(x, y, known, strict=True))
    boxes = [{"xmin": a, "ymin": b, "xmax": a, "ymax": b} if there else None for a, b, there in pairs]
    edges = pa.struct([(edge, pa.float64()) for edge in ("xmin", "ymin", "xmax", "ymax")])
    prefixes = [f"{zlib.crc32(name.encode()):08x}" for name in NAMES]
    return {
        "lon": pa.array(x, pa.float64()),
        "lat": pa.array(y, pa.float64()),
        "geometry": pa.array([shapely.Point(a, b).wkb if there else None for a, b, there in pairs], pa.binary()),
        "bbox": pa.array(boxes, edges),
        "fid": pa.array([f"{prefixes[f]}-{r}" for f, r in zip(files, rows, strict=True)]),
    }


def wrong(columns: dict[str, pa.Array], files: list[int], rows: list[int]) -> list[tuple[str, int]]:
    found = MadeColumns(MADE, NAMES, points()).wrong(columns, np.array(files, np.int32), np.array(rows, np.int64))
    return [(name, at) for name, at, _, _ in found]


ROWS = st.lists(st.tuples(PLACES, PLACES, st.integers(0, 1), st.integers(0, 10**12)), min_size=1, max_size=8)
WITHOUT_GAPS = st.lists(st.tuples(*[st.floats(-180, 180)] * 2, st.just(0), st.integers(0, 200)), min_size=1, max_size=8)
"""what is looked at quickly: one file, no missing place"""


@given(ROWS | WITHOUT_GAPS)
def test_what_is_right_is_right(table):
    x, y, files, rows = map(list, zip(*table, strict=True))
    columns = columns_of(x, y, files, rows)
    assert wrong(columns, files, rows) == []
    behind = {name: pa.concat_arrays([cells, cells]).slice(len(rows)) for name, cells in columns.items()}
    assert wrong(behind, files, rows) == []


BENT: dict[str, list[Any]] = {
    "fid": [
        lambda cell: None,
        lambda cell: cell + "0",
        lambda cell: cell[:9] + "0" + cell[9:],
        lambda cell: cell[:9] + "+" + cell[10:],
        lambda cell: cell[:9] + " " + cell[10:],
        lambda cell: cell[:-1] + ":",
        lambda cell: cell[:-1] + str((int(cell[-1]) + 1) % 10),
        lambda cell: cell[:9] + "9" * 30,
        lambda cell: cell.upper() if cell.upper() != cell else cell.replace("-", "_"),
        lambda cell: "",
    ],
    "geometry": [
        lambda cell: None,
        lambda cell: shapely.Point(200, 1).wkb,
        lambda cell: shapely.LineString([(0, 0), (1, 1)]).wkb,
        lambda cell: cell[:1] + b"\2" + cell[2:],
        lambda cell: shapely.to_wkb(shapely.from_wkb(cell), byte_order=0),
        lambda cell: cell[:5] + bytes(x ^ 1 for x in cell[5:6]) + cell[6:],
        lambda cell: cell[:-1] + bytes([cell[-1] ^ 128]),
        lambda cell: b"",
    ],
    "bbox": [
        lambda cell: None,
        *[lambda cell, edge=edge: {**cell, edge: cell[edge] + 1000} for edge in ("xmin", "ymin", "xmax", "ymax")],
        lambda cell: {**cell, "ymax": None},
    ],
}


@given(table=WITHOUT_GAPS, data=st.data())
def test_a_cell_that_is_not_what_it_was_made_of_is_told(table, data):
    x, y, files, rows = map(list, zip(*table, strict=True))
    columns = columns_of(x, y, files, rows)
    name = data.draw(st.sampled_from(MADE))
    bend, at = data.draw(st.sampled_from(BENT[name])), data.draw(st.integers(0, len(rows) - 1))
    cells = columns[name].to_pylist()
    cells[at] = bend(cells[at])
    columns[name] = pa.array(cells, columns[name].type)
    assert wrong(columns, files, rows) == [(name, at)]


def test_of_another_type_or_with_other_edges_a_column_is_made_anew():
    columns = columns_of([1.0, 2.0], [3.0, 4.0], [0, 0], [0, 1])
    edges = columns["bbox"].flatten()
    renamed = pa.StructArray.from_arrays(edges, names=["xmin", "xmax", "ymin", "ymax"])
    assert wrong({**columns, "bbox": renamed}, [0, 0], [0, 1]) == [("bbox", 0), ("bbox", 1)]
    whole = {**columns, "lon": pa.array([1, 2]), "lat": pa.array([3, 4])}
    assert wrong(whole, [0, 0], [0, 1]) == []
    assert wrong({**whole, "lon": pa.array([1, 3])}, [0, 0], [0, 1]) == [("geometry", 1), ("bbox", 1)]
