"""One CSV file of logger rows into sorted GeoParquet: our staging and fold, our proof, and geopandas.

Here belongs one function a side; each imports all that it needs before its clock starts. Not here: processes and
medians (``measuring``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.inputs import Size, table_file
from benchmarks.measuring import Clock, load

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Dataset

OUR_LIBRARIES = ("pandas", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pyproj", "pytz", "shapely", "xxhash")
ZONE = "Australia/Brisbane"
ROW_GROUP_ROWS = 20_000
"""a site's rows, so that a question for a site reads one group"""
TYPES = {
    "deployment_id": "integer",
    "site": "string",
    "site_id": "integer",
    "subsite": "string",
    "depth": "number",
    "parameter": "string",
    "serial_num": "string",
    "lat": "number",
    "lon": "number",
    "gbrmpa_reef_id": "string",
    "time": "datetime",
    "cal_val": "number",
    "qc_val": "number",
    "qc_flag": "integer",
}
SCHEMA = {"fields": [{"name": name, "type": kind} for name, kind in TYPES.items()]}


def dataset_for() -> Dataset:
    """The table's ``dataset.yaml``."""
    from rimrep_assets.domain.dataset import Dataset

    return Dataset.model_validate(
        {
            "id": "table",
            "collection": "benchmarks",
            "format": "parquet",
            "access": "public",
            "coordinates": {"x": "lon", "y": "lat", "t": "time"},
            "source": {"kind": "local", "url": "tables"},
            "convert": {"read_csv": {"na": ["no data"], "timezone": ZONE}, "rename": {"long": "lon"}},
            "layout": {"sort_by": ["site", "time"], "row_group_rows": ROW_GROUP_ROWS},
        }
    )


def ours(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """What the steps ``data`` and ``facts`` do: the file converted into a part, parts folded into one version."""
    _convert(table_file(inputs), out, size.rows, clock)


def ours_long(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """The same for four times the rows, for its memory."""
    _convert(table_file(inputs, long=True), out, size.long_rows, clock)


def _convert(source: Path, out: Path, expected: int, clock: Clock) -> None:
    load(*OUR_LIBRARIES)

    from rimrep_assets.domain.table_fold import fold_table
    from rimrep_assets.domain.tabular import stage_table

    dataset = dataset_for()
    with clock:
        staged = stage_table(source, source.name, dataset, SCHEMA, out / "part.parquet")
        done = fold_table(base=None, without=(), staged={source.name: out / "part.parquet"}, out=out, dataset=dataset)
    assert done.rows == expected
    (out / "digests.json").write_text(staged.digests.model_dump_json())


def our_proof(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Every published value held against the digests taken while reading, and a sample by a second reader."""
    load(*OUR_LIBRARIES)

    from rimrep_assets.domain.source_file import SourceFile
    from rimrep_assets.domain.table_digests import FileDigests
    from rimrep_assets.domain.table_proof import prove_table
    from rimrep_assets.domain.table_version import TableVersion

    dataset, source = dataset_for(), table_file(inputs)
    sources = {source.name: SourceFile(name=source.name, digest="0", size=source.stat().st_size, url=source.name)}
    digests = {source.name: FileDigests.model_validate_json((out / "digests.json").read_text())}
    version = TableVersion(out / "data.parquet", out / "rows.parquet")
    with clock:
        proofs = prove_table(version, sources, {source.name: source}, {}, dataset, SCHEMA, 1, digests)
    assert [proof.compared for proof in proofs] == [size.rows * (len(TYPES) + 3)]
    assert not [difference for proof in proofs for difference in proof.differences]


def duckdb_bare(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """DuckDB alone: CSV to Parquet in the order of arrival, without geometry, order or proof."""
    load("duckdb")
    import duckdb

    kinds = {"integer": "BIGINT", "number": "DOUBLE", "string": "VARCHAR", "datetime": "TIMESTAMP"}
    names = {"lon": "long"}
    types = ", ".join(f"'{names.get(name, name)}': '{kinds[kind]}'" for name, kind in TYPES.items())
    read = f"read_csv('{table_file(inputs)}', header = true, nullstr = ['', 'no data'], columns = {{{types}}})"
    with clock:
        duckdb.sql(f"COPY (SELECT * FROM {read}) TO '{out / 'data.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    assert duckdb.sql(f"SELECT count(*) FROM '{out / 'data.parquet'}'").fetchall() == [(size.rows,)]


def geopandas(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Read, times to UTC, points, sort, write with the bbox covering: the same result with geopandas."""
    load("pyarrow.parquet", "pyproj", "geopandas.io._geoarrow", "geopandas.io.arrow")
    import geopandas as gpd
    import pandas as pd

    with clock:
        table = pd.read_csv(table_file(inputs), na_values=["no data"], dtype={"gbrmpa_reef_id": str})
        table = table.rename(columns={"long": "lon"})
        times = pd.to_datetime(table["time"], format="%Y-%m-%d %H:%M:%S")
        table["time"] = times.dt.tz_localize(ZONE).dt.tz_convert("UTC")
        points = gpd.points_from_xy(table["lon"], table["lat"], crs="OGC:CRS84")
        frame = gpd.GeoDataFrame(table, geometry=points).sort_values(["site", "time"])
        frame.to_parquet(
            out / "data.parquet",
            index=False,
            compression="zstd",
            write_covering_bbox=True,
            row_group_size=ROW_GROUP_ROWS,
        )


def same(ours_out: Path, theirs_out: Path, _size: Size, _clock: Clock) -> None:
    """Assert that both files hold the same values in the columns that the source has."""
    import pandas as pd

    order = ["site", "time", "deployment_id"]
    mine, theirs = (
        pd.read_parquet(folder / "data.parquet", columns=list(TYPES)).sort_values(order, ignore_index=True)
        for folder in (ours_out, theirs_out)
    )
    for name in TYPES:
        pd.testing.assert_series_equal(mine[name], theirs[name], check_dtype=False, obj=name)
