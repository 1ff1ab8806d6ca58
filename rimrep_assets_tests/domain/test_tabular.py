from __future__ import annotations

import csv
import json
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, fields, table, version_of


@pytest.fixture
def stage(tmp_path):
    """Stage text (or bytes) as ``in.csv``; returns the part's table and what stage_table told."""

    def run(content, dataset=None, schema=None, name="in.csv"):
        source = tmp_path / name
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        told = stage_table(source, name, dataset or table(), schema, tmp_path / "part.parquet")
        return pq.read_table(tmp_path / "part.parquet"), told

    return run


def csv_with(**options):
    return table(convert={"read_csv": options})


def test_reefs_come_out_as_pandas_reads_them_with_a_point_each(shared, tmp_path):
    source = shared("data/b_tabular/ltmp/all.reefs_3Zone.csv")
    dataset = table(coordinates={"x": "Longitude", "y": "Latitude"})
    told = stage_table(source, "reefs.csv", dataset, None, tmp_path / "part.parquet")
    part, expected = pq.read_table(tmp_path / "part.parquet"), pd.read_csv(source)
    assert told.rows == len(expected) == 492
    for column in expected:
        assert part[column].to_pylist() == expected[column].tolist()
    published = pq.read_table(version_of({"reefs.csv": source}, tmp_path / "v", dataset).data)
    points = shapely.from_wkb(published["geometry"].to_pylist())
    assert [(p.x, p.y) for p in points] == list(zip(expected.Longitude, expected.Latitude, strict=True))
    assert told.crs["id"] == {"authority": "OGC", "code": "CRS84"}


def test_inferred_types_keep_identifiers_as_text(stage):
    part, _ = stage(
        "id,long_id,n,x,yes,day,word\n007,12345678901234567890,1,1.5,true,2020-01-02,a\n010,2,-2,2,false,,b\n"
    )
    assert part.to_pylist()[0] == {
        "id": "007", "long_id": "12345678901234567890", "n": 1, "x": 1.5, "yes": True,
        "day": date(2020, 1, 2), "word": "a",
    }  # fmt: skip
    assert part["day"].null_count == 1


def test_a_leading_zero_far_down_the_file_still_makes_the_column_text(stage):
    rows = [str(n) for n in range(1, 200_000)] + ["007"]
    part, _ = stage("id,pad\n" + "".join(f"{row},{'x' * 60}\n" for row in rows))
    assert part["id"].to_pylist() == rows


def test_missing_words_apply_to_all_columns(stage):
    part, _ = stage("a,b\nno data,x\n1,no data\n", csv_with(na=["no data"]))
    assert part.to_pylist() == [{"a": None, "b": "x"}, {"a": 1, "b": None}]


def test_a_column_of_another_clean_type_is_staged_as_that_type_and_shows_cells(stage):
    part, told = stage("a,b\n1,1\n2.5,x\n", None, fields(a="integer", b="integer"))
    assert part.to_pylist() == [{"a": 1.0, "b": "1"}, {"a": 2.5, "b": "x"}]
    assert told.misfits == {"a": ("row 1: '2.5'",), "b": ("row 1: 'x'",)}


@pytest.mark.parametrize(
    ("bad", "more"), [(5, []), (10, ["and 5 more"]), (999, ["and 994 more"]), (1500, ["and 995 more at least"])]
)
def test_five_misfits_are_shown_with_their_rows_and_the_others_counted(stage, bad, more):
    _, told = stage("a\n" + "".join(f"{n}\nbad{n}\n" for n in range(bad)), None, fields(a="number"))
    assert list(told.misfits["a"]) == [f"row {2 * n + 1}: 'bad{n}'" for n in range(5)] + more


def test_a_column_that_is_almost_numbers_shows_the_words_in_it(shared, tmp_path):
    source = shared("data/b_tabular/ereefs_csv/eReefsData.csv")
    told = stage_table(source, "e.csv", table(), None, tmp_path / "part.parquet")
    with source.open() as text:
        rows = [number for number, row in enumerate(csv.DictReader(text)) if row["mean"] == "no data"]
    assert told.misfits["mean"] == tuple(f"row {row}: 'no data'" for row in rows[:5])


def test_an_all_null_column_keeps_its_declared_type(stage):
    part, _ = stage("a,b\n,1\n,2\n", None, fields(a="number", b="integer"))
    assert str(part.schema.field("a").type) == "double"


def test_declared_formats_and_words_are_honoured(stage):
    schema = {
        "fields": [
            {"name": "d", "type": "date", "format": "%d/%m/%Y"},
            {"name": "b", "type": "boolean", "trueValues": ["y"], "falseValues": ["n"]},
        ]
    }
    part, _ = stage("d,b\n03/02/2020,y\n04/02/2020,n\n", None, schema)
    assert part.to_pylist() == [{"d": date(2020, 2, 3), "b": True}, {"d": date(2020, 2, 4), "b": False}]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20))
def test_local_times_are_the_instants_of_zoneinfo(tmp_path_factory, moments):
    sydney = ZoneInfo("Australia/Sydney")
    clear = [m for m in moments if m.replace(tzinfo=sydney).utcoffset() == m.replace(tzinfo=sydney, fold=1).utcoffset()]
    folder = tmp_path_factory.mktemp("times")
    (folder / "t.csv").write_text("t\n" + "".join(f"{m.isoformat(' ')}\n" for m in clear or [datetime(2020, 1, 1)]))
    stage_table(folder / "t.csv", "t.csv", csv_with(timezone="Australia/Sydney"), None, folder / "part.parquet")
    if clear:
        stored = pq.read_table(folder / "part.parquet")["t"].to_pylist()
        assert stored == [m.replace(tzinfo=sydney).astimezone(UTC) for m in clear]


def test_times_with_their_own_zone_beside_times_without(stage):
    part, _ = stage(
        "t\n2020-01-01T00:00:00Z\n2020-01-01 00:00\n2020-01-01T00:00+02:00\n", csv_with(timezone="Australia/Brisbane")
    )
    hours = [value.astimezone(UTC).isoformat()[:13] for value in part["t"].to_pylist()]
    assert hours == ["2020-01-01T00", "2019-12-31T14", "2019-12-31T22"]


@pytest.mark.parametrize("text", ["2020-04-05 02:30:00", "2020-10-04 02:30:00"])
def test_a_local_time_that_the_clock_shows_twice_or_never_is_refused_by_row(stage, text):
    with pytest.raises(DataError, match=r"row 1: '2020.*"):
        stage(f"t\n2020-01-01 00:00:00\n{text}\n", csv_with(timezone="Australia/Sydney"), fields(t="datetime"))


def test_a_declared_datetime_without_zone_asks_for_the_timezone(stage):
    with pytest.raises(DataError, match=r"read_csv\.timezone"):
        stage("t\n2020-01-01 00:00:00\n", None, fields(t="datetime"))
    with pytest.raises(DataError, match=r"read_csv\.timezone"):
        stage("t\n2020-01-01 00:00:00\n", table(coordinates={"t": "t"}))


def test_undeclared_times_without_zone_stay_text(stage):
    part, _ = stage("t\n2020-01-01 00:00:00\n")
    assert part["t"].to_pylist() == ["2020-01-01 00:00:00"]


def test_rename_then_drop(stage):
    dataset = table(
        convert={"read_csv": {}, "rename": {"long": "lon", "": "n"}, "drop_columns": ["n"]}, coordinates=LONLAT
    )
    part, _ = stage("\ufefflat,long,\n-15.25,145.46,9\n", dataset)
    assert part.column_names == ["lat", "lon"]
    assert part.to_pylist() == [{"lat": -15.25, "lon": 145.46}]


def test_a_row_without_place_has_a_null_geometry(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("lon,lat\n1,2\n,3\n4,\nnan,5\n6,7\n")
    version = version_of({"in.csv": source}, tmp_path / "v", table(coordinates=LONLAT))
    wkb = pq.read_table(version.data)["geometry"].to_pylist()
    shapes = [value and shapely.from_wkb(value).coords[0] for value in wkb]
    assert shapes == [(1, 2), None, None, None, (6, 7)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty lines"),
        (b"a,b\n", "no rows"),
        (b"a,a\n1,2\n", "2 columns are called 'a'"),
        (b"a,A\n1,2\n", "'A', 'a' differ in case alone"),
        (b"a,\n1,2\n", "has no name"),
        (b"a,b\n1,2\n3,4,5\n6\n", r"row 1 \(line 3\) has 3 cells, the header has 2"),
        ("a,b\n1,2\n3,é\n".encode("latin-1"), r"line 3, byte offset 10: byte 0xe9 is not utf-8"),
        ("é\n1\n".encode("latin-1"), "line 1, byte offset 0"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(stage, content, says):
    with pytest.raises(DataError, match=says):
        stage(content)


def test_both_ragged_rows_are_told(stage):
    with pytest.raises(DataError, match=r"row 2 \(line 4\) has 1 cells"):
        stage(b"a,b\n1,2\n3,4,5\n6\n")


def test_an_unknown_encoding_is_the_catalogs_fault(stage):
    with pytest.raises(DefinitionError, match="utf-9"):
        stage("a\n1\n", csv_with(encoding="utf-9"))


def test_a_real_latin_1_file_needs_its_encoding_declared(shared, tmp_path):
    text = shared("data/b_tabular/encodings/IMOSPortalCollections.csv").read_bytes()
    header, _, rest = text.partition(b"\n")
    named = b",".join(b"c%d" % n for n in range(28)) + b"\n"
    (tmp_path / "in.csv").write_bytes(named + rest)
    with pytest.raises(DataError, match=r"is not utf-8; declare read_csv\.encoding"):
        stage_table(tmp_path / "in.csv", "in.csv", table(), None, tmp_path / "part.parquet")
    told = stage_table(tmp_path / "in.csv", "in.csv", csv_with(encoding="latin-1"), None, tmp_path / "p.parquet")
    expected = pd.read_csv(tmp_path / "in.csv", encoding="latin-1", dtype=str, skip_blank_lines=True)
    assert told.rows == len(expected)
    assert header.count(b",") == 27


def test_every_column_that_the_catalog_names_and_the_data_lacks_is_told_at_once(stage):
    dataset = table(
        coordinates={"x": "lon", "y": "lat"},
        layout={"sort_by": ["site"]},
        convert={"read_csv": {}, "rename": {"q": "r"}, "drop_columns": ["z"]},
    )
    with pytest.raises(DataError) as caught:
        stage("long,lat,sites\n1,2,a\n", dataset)
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "coordinates.x names 'lon', which is not in the data; its columns, nearest first: 'long'" in said
    assert "nearest first: 'sites'" in said


@pytest.mark.parametrize(("lon", "lat"), [("361", "0"), ("-181", "0"), ("0", "91"), ("-17", "-145")])
def test_a_place_outside_the_globe_is_refused_by_row(stage, lon, lat):
    with pytest.raises(DataError, match="row 1: lon, lat"):
        stage(f"lon,lat\n1,2\n{lon},{lat}\n", table(coordinates=LONLAT))


def test_a_coordinate_that_is_text_shows_its_cells(stage):
    with pytest.raises(DataError, match=r"coordinates\.x, column 'lon', holds string.*row 1: 'east'.*read_csv\.na"):
        stage("lon,lat\n1,2\neast,3\n", table(coordinates=LONLAT))


def test_a_column_in_the_way_of_the_made_geometry_is_refused(stage):
    with pytest.raises(DataError, match="'geometry' has a name that the platform gives"):
        stage("lon,lat,geometry\n1,2,x\n", table(coordinates=LONLAT))


def test_text_geometries_become_wkb(shared, tmp_path):
    source = shared("data/b_tabular/rls/results.csv")
    dataset = table(coordinates={"geometry": "geometry"}, convert={"read_csv": {}, "rename": {"": "n"}})
    stage_table(source, "r.csv", dataset, None, tmp_path / "part.parquet")
    shapes = shapely.from_wkb(pq.read_table(tmp_path / "part.parquet")["geometry"].to_pylist())
    assert [s.coords[0] for s in shapes] == [
        tuple(float(c) for c in text[7:-1].split()) for text in pd.read_csv(source)["geometry"]
    ]


def test_a_geopackage_comes_out_as_sqlite_holds_it(shared, tmp_path):
    source = shared("data/b_tabular/gpkg/Test_domain.gpkg")
    told = stage_table(source, "t.gpkg", table(**VECTOR), None, tmp_path / "part.parquet")
    part = pq.read_table(tmp_path / "part.parquet").drop_columns("geom")
    with sqlite3.connect(source.resolve().as_uri() + "?immutable=1", uri=True) as database:
        expected = database.execute(f"SELECT {', '.join(part.column_names)} FROM data ORDER BY fid").fetchall()
    assert [tuple(row.values()) for row in part.to_pylist()] == expected
    assert told.crs["id"] == {"authority": "EPSG", "code": 4326}


def test_text_of_a_layer_stays_text(shared, tmp_path):
    source = shared("data/b_tabular/rls/results.geojson")
    stage_table(source, "r.geojson", table(**VECTOR), None, tmp_path / "part.parquet")
    features = json.loads(source.read_text())["features"]
    assert pq.read_table(tmp_path / "part.parquet")["id"].to_pylist() == [f["id"] for f in features]


def test_a_layer_with_an_undefined_crs_is_refused(shared, tmp_path):
    source = shared("data/b_tabular/gpkg/reefmod_gbr.gpkg")
    with pytest.raises(DataError, match="'Undefined geographic SRS'"):
        stage_table(source, "r.gpkg", table(**VECTOR), None, tmp_path / "part.parquet")


def test_a_shapefile_without_prj_is_refused(shared, tmp_path):
    folder = shared("data/b_tabular/shapefile/marcia_line")
    for suffix in ("shp", "shx", "dbf"):
        (tmp_path / f"m.{suffix}").write_bytes((folder / f"marcia_line.{suffix}").read_bytes())
    with pytest.raises(DataError, match="has no CRS"):
        stage_table(tmp_path / "m.shp", "m.shp", table(**VECTOR), None, tmp_path / "part.parquet")


def test_a_missing_layer_is_told_with_those_there_are(shared, tmp_path):
    source = shared("data/b_tabular/gpkg/Test_domain.gpkg")
    dataset = table(coordinates={"geometry": "geom"}, convert={"read_vector": {"layer": "reefs"}})
    with pytest.raises(DataError, match=r"no layer 'reefs'.*its layers: 'data'"):
        stage_table(source, "t.gpkg", dataset, None, tmp_path / "part.parquet")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not a layer", "cannot be read"),
        (b'{"type": "FeatureCollection", "features": []}', "has no rows"),
    ],
)
def test_an_unreadable_or_empty_layer_is_refused(stage, content, says):
    with pytest.raises(DataError, match=says):
        stage(content, table(**VECTOR), name="in.geojson")


def test_a_file_that_no_second_reader_can_read_is_refused(stage):
    with pytest.raises(DataError, match=r"read_vector reads \.gpkg"):
        stage(b"<kml/>", table(**VECTOR), name="in.kml")


def test_times_of_a_layer_need_a_zone_in_the_file(stage):
    def layer(time):
        point = {"type": "Point", "coordinates": [150, -20]}
        features = [{"type": "Feature", "properties": {"t": t}, "geometry": point} for t in (time, None)]
        return json.dumps({"type": "FeatureCollection", "features": features})

    part, _ = stage(layer("2020-01-01T00:00:00+10:00"), table(**VECTOR), name="in.geojson")
    assert part["t"].to_pylist() == [datetime(2019, 12, 31, 14, tzinfo=UTC), None]
    part, _ = stage(layer("2020-01-01T00:00:00"), table(**VECTOR), name="in.geojson")
    assert part["t"].to_pylist() == ["2020-01-01T00:00:00", None]
    with pytest.raises(DataError, match="carries no time zone"):
        stage(layer("2020-01-01T00:00:00"), table(**VECTOR), fields(t="datetime"), name="in.geojson")


def test_nothing_is_left_of_a_refused_file(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n" + "1,2\n" * 2_000_000 + "1\n")
    with pytest.raises(DataError):
        stage_table(tmp_path / "in.csv", "in.csv", table(), fields(a="integer", b="integer"), tmp_path / "p.parquet")
    assert not Path(tmp_path / "p.parquet").exists()


@pytest.mark.parametrize(("kind", "far"), [("datetime", "6063-01-01T00:00:00Z"), ("date", "3000-01-01")])
def test_times_of_observations_lie_before_the_year_3000(tmp_path, kind, far):
    """Other columns may hold a word such as 9999-12-31 for what has no end."""
    near = far.replace("6063", "2024").replace("3000", "2024")
    (tmp_path / "in.csv").write_text(f"lon,lat,t,until\n1,1,{near},{far}\n1,1,{far},{far}\n")
    dataset = table(coordinates={"x": "lon", "y": "lat", "t": "t"})
    types = fields(lon="number", lat="number", t=kind, until=kind)
    with pytest.raises(DataError) as told:
        stage_table(tmp_path / "in.csv", "in.csv", dataset, types, tmp_path / "p.parquet")
    (problem,) = told.value.problems
    assert problem.startswith("in.csv: row 1: t is ")
    assert problem.endswith("times lie in the years 1 to 2999")


@pytest.mark.parametrize("schema", [None, fields(id="integer", shape="geojson")])
def test_texts_that_are_no_geometry_are_told_by_row(tmp_path, schema):
    path = tmp_path / "in.csv"
    path.write_text('id,shape\n1,POINT (150 -20)\n2,"POLYGON ((150"\n3,\n4,nowhere\n')
    dataset = table(coordinates={"geometry": "shape"})
    with pytest.raises(
        DataError, match=r"holds string, not geometry: row 1: 'POLYGON \(\(150', row 3: 'nowhere'; texts"
    ):
        stage_table(path, "in.csv", dataset, schema, tmp_path / "part.parquet")


def test_a_time_that_its_zone_moves_before_the_year_1_is_refused(tmp_path):
    (tmp_path / "in.csv").write_text("lon,lat,t\n1,1,0001-01-01T00:00:00\n1,1,0001-01-02T00:00:00\n")
    reading = {"convert": {"read_csv": {"timezone": "Australia/Sydney"}}}
    dataset = table(coordinates={"x": "lon", "y": "lat", "t": "t"}, **reading)
    with pytest.raises(DataError, match=r"in\.csv: row 0: t is .*times lie in the years 1 to 2999"):
        stage_table(tmp_path / "in.csv", "in.csv", dataset, None, tmp_path / "p.parquet")
