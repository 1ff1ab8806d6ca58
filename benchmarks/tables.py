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

OUR_LIBRARIES = ("duckdb", "pandas", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pyproj", "pytz", "shapely")
ZONE = "Australia/Brisbane"
ROW_GROUP_ROWS = 250_000
TYPES = {
    "deployment_id": "integer",
    "site": "string",
    "depth": "number",
    "serial_num": "string",
    "lat": "number",
    "lon": "number",
    "time": "datetime",
    "cal_val": "number",
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
    load(*OUR_LIBRARIES)

    from rimrep_assets.domain.table_fold import fold_table
    from rimrep_assets.domain.tabular import stage_table

    dataset, source = dataset_for(), table_file(inputs)
    with clock:
        stage_table(source, source.name, dataset, SCHEMA, out / "part.parquet")
        rows = fold_table(base=None, without=(), staged={source.name: out / "part.parquet"}, out=out, dataset=dataset)
    assert rows == size.rows


def our_proof(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Every value read again and compared, and a sample by a second reader."""
    load(*OUR_LIBRARIES)

    from rimrep_assets.domain.source_file import SourceFile
    from rimrep_assets.domain.table_proof import prove_table
    from rimrep_assets.domain.table_version import TableVersion

    dataset, source = dataset_for(), table_file(inputs)
    sources = {source.name: SourceFile(name=source.name, digest="0", size=source.stat().st_size, url=source.name)}
    version = TableVersion(out / "data.parquet", out / "rows.parquet")
    with clock:
        proofs = prove_table(version, sources, {source.name: source}, {}, dataset, SCHEMA, 1)
    assert not [difference for proof in proofs for difference in proof.differences]


def geopandas(inputs: Path, out: Path, size: Size, clock: Clock) -> None:
    """Read, times to UTC, points, sort, write with the bbox covering: the same result with geopandas."""
    load("pyarrow.parquet", "pyproj", "geopandas.io._geoarrow", "geopandas.io.arrow")
    import geopandas as gpd
    import pandas as pd

    with clock:
        table = pd.read_csv(table_file(inputs), na_values=["no data"]).rename(columns={"long": "lon"})
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
