"""Every tabular and vector file that providers sent, and what becomes of it: published with the values and geometries
that pandas, pyogrio and pyreadr read, or refused with the reason in words.

Here belongs holding the table of ``real_table_rows`` against the files. Not here: profiles, or single rules
(``domain``). More whole publications stand in ``test_real_files``.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.table_version import TableVersion
from rimrep_assets_tests.domain.table_examples import ledger, table, version_of
from rimrep_assets_tests.domain.test_table_fold import check_geoparquet
from rimrep_assets_tests.real_table_rows import PUBLISHED, READ_AS_ONE, REFUSED, Row, csv
from rimrep_assets_tests.test_real_files import data_of
from rimrep_assets_tests.test_real_files import published as whole
from rimrep_assets_tests.worlds import World

Find = Callable[[str], Path]


def test_the_table_names_every_real_file(shared: Find) -> None:
    root = shared("data/b_tabular")
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    parts = (".shx", ".dbf", ".prj", ".sbn", ".sbx", ".shp.xml", ".cpg")
    there = {READ_AS_ONE if name.startswith(READ_AS_ONE) else name for name in there if not name.endswith(parts)}
    assert {file for row in (*PUBLISHED.values(), *REFUSED.values()) for file in row.files} == there


def dataset_of(row: Row) -> Dataset:
    return table(convert=dict(row.steps), coordinates=dict(row.coordinates))


def versioned(row: Row, shared: Find, out: Path) -> tuple[TableVersion, dict[str, Path]]:
    paths = {file: shared(f"data/b_tabular/{file}") for file in row.files}
    return version_of(paths, out, dataset_of(row)), paths


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_file_is_published_with_the_values_that_others_read(name: str, shared: Find, tmp_path: Path) -> None:
    row = PUBLISHED[name]
    version, paths = versioned(row, shared, tmp_path)
    proofs = prove_table(version, ledger(*paths), paths, {}, dataset_of(row), None, seed=5)
    assert [difference for proof in proofs for difference in proof.differences] == []
    assert all(proof.sampled for proof in proofs)
    expected = pd.concat([(row.read or csv())(path) for _, path in sorted(paths.items())], ignore_index=True)
    same_values(version, expected, row)
    if "geometry" in pq.read_schema(version.data).names:
        opens_everywhere(version.data, len(expected), crs_of(row, expected), shared)


def same_values(version: TableVersion, expected: pd.DataFrame, row: Row) -> None:
    """Every cell of every column, in the order of files and rows."""
    found = pq.read_table(version.data)
    order = pq.read_table(version.rows).to_pandas().sort_values(["file", "row"], kind="stable").index
    found = found.take(order.to_numpy())
    made = {"bbox", "fid", "geometry"} - set(expected.columns)
    assert set(found.column_names) - made == set(expected.columns)
    assert len(found) == len(expected) > 0
    for column in expected.columns:
        cells, told = found[column].to_pylist(), expected[column].tolist()
        assert [plain(cell, row.zone) for cell in cells] == [
            as_published(cell, seen, row.zone) for cell, seen in zip(told, cells, strict=True)
        ], column
    if "x" in row.coordinates:
        x, y = (expected[row.coordinates[part]].astype(float) for part in "xy")
        points = shapely.from_wkb(found["geometry"].to_pylist())
        places = [(p.x, p.y) if p is not None else None for p in points]
        assert places == [(a, b) if a == a and b == b else None for a, b in zip(x, y, strict=True)]


def plain(cell: Any, zone: str) -> Any:
    return shapely.normalize(shapely.from_wkb(cell)) if isinstance(cell, bytes) else cell


def as_published(cell: Any, seen: Any, zone: str) -> Any:
    """What another library read, in the type that was published."""
    if cell is None or cell is pd.NaT or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(seen, bytes):
        return shapely.normalize(shapely.from_wkt(cell) if isinstance(cell, str) else cell)
    if isinstance(seen, datetime.datetime):
        when = pd.Timestamp(cell)
        return (when if when.tz else when.tz_localize(zone)).to_pydatetime()
    if isinstance(seen, datetime.date):
        return pd.Timestamp(cell).date()
    if isinstance(cell, str) and isinstance(seen, int | float):
        return type(seen)(cell)
    return cell


def crs_of(row: Row, expected: pd.DataFrame) -> pyproj.CRS:
    return pyproj.CRS(expected.crs if row.crs == "file" else row.crs)


def opens_everywhere(data: Path, rows: int, crs: pyproj.CRS, shared: Find) -> None:
    """geopandas, GDAL and DuckDB read the rows and the CRS, and the ``geo`` key is that of GeoParquet."""
    geo = check_geoparquet(data, shared("schemas/geoparquet/v1.1.0.json"))
    column = geo["primary_column"]
    assert pyproj.CRS.from_json_dict(geo["columns"][column]["crs"]) == crs
    frame = geopandas.read_parquet(data)
    assert (len(frame), frame.crs) == (rows, crs)
    if "Parquet" in pyogrio.list_drivers():
        about = pyogrio.read_info(data)
        assert about["features"] == rows
        assert pyproj.CRS(about["crs"]).equals(crs, ignore_axis_order=True)
    with duckdb.connect() as connection:
        # Its spatial functions come from the network; that it takes the column for a geometry does not.
        found = connection.execute(f"SELECT count(*), any_value(typeof({column})) FROM read_parquet(?)", [str(data)])
        count, kind = found.fetchall()[0]
    assert count == rows
    assert kind.startswith("GEOMETRY")


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_is_refused_with_the_reason_in_words(name: str, shared: Find, tmp_path: Path) -> None:
    row = REFUSED[name]
    with pytest.raises(DataError) as caught:
        versioned(row, shared, tmp_path)
    told = str(caught.value)
    assert [words for words in row.refused if words not in told] == []
    assert row.files[0].rpartition("/")[2] in told


@pytest.mark.parametrize(
    "name",
    [
        "polygons of a geodatabase",
        "eight pages of loggers",
        "occurrences that GBIF sent",
        "the same of another place, chosen by name",
    ],
)
def test_rules_hold_from_the_source_to_the_stable_address(name: str, shared: Find, tmp_path: Path) -> None:
    row = PUBLISHED[name]
    world = published(row, shared, tmp_path)
    rows = sum(len((row.read or csv())(shared(f"data/b_tabular/{file}"))) for file in row.files)
    assert pq.read_metadata(data_of(world, "real").removeprefix("file://")).num_rows == rows


def published(row: Row, shared: Find, root: Path) -> World:
    include = "*.gdb" if row.files[0] == READ_AS_ONE else "*"
    yaml_ = {
        "id": "real",
        "collection": "real",
        "format": "parquet",
        "access": "public",
        "coordinates": dict(row.coordinates),
        "source": {"kind": "local", "url": "../sources/real", "include": include},
        "convert": [{name: options} for name, options in row.steps.items()],
    }
    paths = [shared(f"data/b_tabular/{file}") for file in row.files]
    if include == "*.gdb":
        # The folder is one file of the source.
        World(root)
        shutil.copytree(paths[0], World(root).source("real") / paths[0].name)
        paths = []
    curated = {} if "t" in row.coordinates else {"temporal": None}
    curated |= {} if {"x", "geometry"} & row.coordinates.keys() else {"spatial": None}
    return whole(root, yaml_, *paths, **curated)
