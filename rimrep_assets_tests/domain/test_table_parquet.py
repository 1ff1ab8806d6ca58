from __future__ import annotations

import datetime
import decimal
import json

import geopandas
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import proven, table, version_of

POINTS = shapely.points([[150.5, -20.25], [151.0, -21.0]])
NAMED = {"geometry": "geometry"}


@pytest.fixture
def published(tmp_path):
    def run(source, coordinates=None, drop=(), rename=None, **options):
        path = tmp_path / "in.parquet"
        if isinstance(source, pa.Table):
            pq.write_table(source, path)
        convert = {"read_parquet": options, "drop_columns": drop, "rename": rename or {}}
        return proven(path, tmp_path / "v", table(convert=convert, coordinates=coordinates or {}))

    return run


def test_types_stay_as_they_are(published):
    day, moment = datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
    source = pa.table(
        {
            "id": pa.array(["007", None]),
            "small": pa.array([1, None], pa.uint8()),
            "large": pa.array([2**53 + 1, 2], pa.int64()),
            "single": pa.array([0.1, None], pa.float32()),
            "yes": [True, None],
            "day": pa.array([day, None]),
            "time": pa.array([moment, None], pa.timestamp("ns", "Australia/Brisbane")),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "price": pa.array([decimal.Decimal("1.50"), None]),
            "nothing": pa.nulls(2),
            "clock": pa.array([datetime.time(10, 30), None]),
            "bag": [{"a": 1, "b": [1, 2]}, None],
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    first, second = published(source)
    assert first == {
        "id": "007", "small": 1, "large": 2**53 + 1, "single": source["single"][0].as_py(), "yes": True, "day": day,
        "time": moment, "kind": "a", "price": 1.5, "nothing": None, "clock": "10:30:00.000000",
        "bag": '{"a": 1, "b": [1, 2]}', "map": '{"k": 1}',
    }  # fmt: skip
    assert {key for key, cell in second.items() if cell is not None} == {"large", "kind"}


def test_geoparquet_keeps_its_crs_and_its_covering_is_made_anew(tmp_path):
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=POINTS, crs="EPSG:28355")
    frame.to_parquet(tmp_path / "in.parquet", write_covering_bbox=True)
    dataset = table(convert={"read_parquet": {}}, coordinates=NAMED)
    rows = proven(tmp_path / "in.parquet", tmp_path / "p", dataset)
    assert [shapely.from_wkb(row["geometry"]) for row in rows] == list(POINTS)
    version = version_of({"in.parquet": tmp_path / "in.parquet"}, tmp_path / "v", dataset)
    found = geopandas.read_parquet(version.data)
    assert found.crs == frame.crs
    assert found.geometry.tolist() == frame.geometry.tolist()


def test_the_geometry_may_be_renamed(published):
    source = geo_table({"encoding": "WKB", "geometry_types": ["Point"]})
    rows = published(source, {"geometry": "place"}, rename={"geometry": "place"})
    assert [shapely.from_wkb(row["place"]) for row in rows] == list(POINTS)


def test_points_are_made_of_longitudes_and_latitudes(published):
    rows = published(pa.table({"lon": [150.5], "lat": [-20.25]}), {"x": "lon", "y": "lat"})
    assert shapely.from_wkb(rows[0]["geometry"]) == POINTS[0]


def test_times_without_zone_take_the_declared_one(published):
    naive = pa.table({"t": pa.array([datetime.datetime(2020, 1, 2, 10), None]), "n": [1, 2]})
    rows = published(naive, timezone="Australia/Brisbane")
    assert [row["t"] for row in rows] == [datetime.datetime(2020, 1, 2, 0, tzinfo=datetime.UTC), None]
    with pytest.raises(DataError, match=r"the times of column 't' carry no zone: declare read_parquet\.timezone"):
        published(naive)


def geo_table(about, rows=2):
    cells = shapely.to_wkb(POINTS).tolist()[:rows]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    source = pa.table({"n": list(range(rows)), "geometry": pa.array(cells, pa.binary())})
    return source.replace_schema_metadata({"geo": json.dumps(geo)})


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"encoding": "WKB", "crs": None}, "has no CRS"),
        ({"encoding": "point"}, "is encoded as 'point'; only WKB is read"),
        ({"encoding": "WKB", "edges": "spherical"}, "has edges on the sphere"),
        ({"encoding": "WKB", "crs": {"type": "nonsense"}}, "CRS cannot be understood"),
    ],
)
def test_a_geometry_that_cannot_be_published_is_refused(published, about, words):
    with pytest.raises(DataError, match=words):
        published(geo_table(about), NAMED)


def test_bytes_without_metadata_are_refused(published):
    with pytest.raises(DataError, match="nothing says which CRS geometry 'geometry' has"):
        published(geo_table({}).replace_schema_metadata(None), NAMED)


@pytest.mark.parametrize("written", ["{", "[]", '{"columns": []}', '{"columns": {"geometry": 1}}', "[" * 100_000])
def test_broken_metadata_is_refused(published, written):
    source = geo_table({}).replace_schema_metadata({"geo": written})
    with pytest.raises(DataError, match="geo metadata is not that of GeoParquet"):
        published(source, NAMED)


def test_everything_that_cannot_be_shown_is_told_at_once(published):
    source = pa.table({
        "raw": pa.array([b"x"]), "span": pa.array([datetime.timedelta(1)]), "t": pa.array([datetime.datetime(2020, 1, 1)]),
    })  # fmt: skip
    with pytest.raises(DataError) as caught:
        published(source)
    told = str(caught.value)
    assert "column 'raw' holds bytes" in told
    assert "column 'span' holds duration[us], which no published type can show" in told
    assert "column 't' carry no zone" in told
    with pytest.raises(DataError) as caught:
        published(source, drop=["raw", "span"])
    assert "raw" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        pa.table({"n": pa.array([1, 2**63], pa.uint64())}),
        pa.table({"t": pa.array([1_600_000_000_000_000_001], pa.timestamp("ns", "UTC"))}),
    ],
)
def test_a_value_that_would_be_changed_is_refused_with_its_rows(published, source):
    with pytest.raises(DataError, match=r"column '.', rows 0 to \d, cannot be kept as it is"):
        published(source)


def test_files_that_are_no_parquet_are_refused_by_name(published, tmp_path):
    for content in (b"", b"PAR1", b"no parquet", b"PAR1" + b"\0" * 40 + b"PAR1"):
        (tmp_path / "in.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"in\.parquet"):
            published(None)
    with pytest.raises(DataError, match="has no rows"):
        published(pa.table({"n": pa.array([], pa.int64())}))


def test_a_damaged_page_is_refused_by_name(published, tmp_path):
    path = tmp_path / "in.parquet"
    pd.DataFrame({"text": [f"{n * 7919 % 10007}" for n in range(5000)]}).to_parquet(path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[200:260] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"in\.parquet"):
        published(None)


def test_row_groups_are_read_one_after_the_other(published, tmp_path):
    pq.write_table(pa.table({"n": range(50_000)}), tmp_path / "in.parquet", row_group_size=7_000)
    assert [row["n"] for row in published(None)] == list(range(50_000))


def test_geometries_in_a_native_encoding_are_refused_naming_it(published, tmp_path):
    """Structs of coordinates went on as JSON text, and ended as bytes that are no geometry."""
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=POINTS, crs="EPSG:4326")
    frame.to_parquet(tmp_path / "in.parquet", geometry_encoding="geoarrow")
    with pytest.raises(DataError, match=r"geometry 'geometry' is encoded as 'point'; only WKB is read"):
        published(None, NAMED)
