from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_proof, table_second_csv
from rimrep_assets.domain.dataset import ReadCsv
from rimrep_assets.domain.table_fold import TableVersion
from rimrep_assets.domain.table_proof import prove_table, same_value
from rimrep_assets.domain.table_second_csv import csv_rows
from rimrep_assets.domain.table_second_reader import chosen_rows
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, ledger, table, version_of

SQUARE = shapely.Polygon([(0, 0), (1, 0), (1, 1)])
BRISBANE = {"read_csv": {"na": ["no data"], "timezone": "Australia/Brisbane"}}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("ltmp/all.reefs_3Zone.csv", {"coordinates": {"x": "Longitude", "y": "Latitude"}}),
        ("ltmp/manual recovery indiv manta reefs_2022.csv", {"layout": {"sort_by": ["Reef_name"]}}),
        ("vector_misc/station_list.csv", {"coordinates": {"x": "longitude", "y": "latitude"}}),
        (
            "ereefs_csv/eReefsData.csv",
            {"convert": BRISBANE, "coordinates": {"t": "Aggregated Date/Time"}, "layout": {"sort_by": ["mean"]}},
        ),
        ("moorings/rottnest.csv", {"coordinates": {"t": "TIME"}, "layout": {"sort_by": ["TEMP"]}}),
        (
            "rls/results.csv",
            {"coordinates": {"geometry": "geometry"}, "convert": {"read_csv": {}, "rename": {"": "n"}}},
        ),
        ("gpkg/Test_domain.gpkg", VECTOR),
        ("vector_misc/ne_110m_lakes.geojson", VECTOR),
        ("vector_misc/items.geojson", VECTOR),
        ("rls/results.geojson", VECTOR),
        ("shapefile/dylan_active_pts/dylan_active_pts.shp", VECTOR),
        ("shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp", VECTOR),
        ("shapefile/gbr_w6m_dylan/gbr_w6m_dylan.shp", VECTOR),
        ("shapefile/marcia_nodes/marcia_nodes.shp", VECTOR),
    ],
)
def test_a_faithful_version_of_a_real_file_is_proven(shared, tmp_path, path, keys):
    source, dataset = shared(f"data/b_tabular/{path}"), table(**keys)
    version = version_of({path: source}, tmp_path / "v", dataset)
    (proof,) = prove_table(version, ledger(path), {path: source}, {}, dataset, None, seed=7)
    assert proof.differences == ()
    rows = pq.read_metadata(version.data).num_rows
    assert proof.compared == rows * len(pq.read_schema(version.data).names)
    assert proof.sampled >= min(rows, 1000)


@pytest.fixture
def reefs(tmp_path):
    """Two files of five rows, one version of both."""
    files = {}
    for name in ("a", "b"):
        files[f"{name}.csv"] = tmp_path / f"{name}.csv"
        rows = "".join(f"{name}{n},{n},{140 + n},{-n},2020-01-0{n}T00:00:00Z\n" for n in range(1, 6))
        files[f"{name}.csv"].write_text(f"site,n,lon,lat,t\n{rows}")
    dataset = table(coordinates={**LONLAT, "t": "t"}, layout={"sort_by": ["n"]})
    return files, dataset, version_of(files, tmp_path / "v", dataset)


def spoilt(version, out, change, file="data"):
    """The version with one of its tables changed; footer and provenance stay."""
    out.mkdir()
    changed = TableVersion(out / "data.parquet", out / "rows.parquet")
    shutil.copy(version.data, changed.data)
    shutil.copy(version.rows, changed.rows)
    path = getattr(changed, file)
    pq.write_table(change(pq.read_table(path)), path)
    return changed


def with_cell(column, row, value):
    def change(whole):
        cells = whole[column].to_pylist()
        cells[row] = value
        at = whole.schema.get_field_index(column)
        return whole.set_column(at, whole.schema.field(at), pa.array(cells, whole.schema.field(at).type))

    return change


def prove(reefs, version, opened=("a.csv", "b.csv"), untouched=None, sources=("a.csv", "b.csv")):
    files, dataset, _ = reefs
    paths = {name: files[name] for name in opened}
    return {
        p.name: p.differences for p in prove_table(version, ledger(*sources), paths, untouched or {}, dataset, None, 1)
    }


def test_faithful_rows_are_proven(reefs):
    assert prove(reefs, reefs[2]) == {"a.csv": (), "b.csv": ()}


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("site", "x", "column 'site': 'a2' in the source, 'x' published"),
        ("n", 9, "column 'n': 2 in the source, 9 published"),
        ("n", None, "column 'n': 2 in the source, None published"),
        ("lon", 142, "column 'lon': 142 in the source, 142"),
        ("t", datetime(2020, 1, 2, 0, 0, 1, tzinfo=UTC), "column 't'"),
        ("geometry", shapely.to_wkb(shapely.Point(142, -2.0000001)), "column 'geometry': POINT (142 -2)"),
        ("fid", "x", "column 'fid'"),
        ("bbox", {"xmin": 142.0, "ymin": -2.0, "xmax": 142.0, "ymax": -1.0}, "column 'bbox': (142.0, -2.0"),
    ],
)
def test_one_changed_value_is_found_and_named(reefs, tmp_path, column, value, says):
    if column == "lon":
        value = np.nextafter(142.0, 143).item()
        reefs[0]["a.csv"].write_text(reefs[0]["a.csv"].read_text().replace(",142,", ",142.0,"))
        reefs = (reefs[0], reefs[1], version_of(reefs[0], tmp_path / "floats", reefs[1]))
        says = "column 'lon': 142.0 in the source, 142.0000000000000"
    # Rows are ordered a1 b1 a2 b2 ...: the third is row 1 of a.csv.
    found = prove(reefs, spoilt(reefs[2], tmp_path / "spoilt", with_cell(column, 2, value)))
    assert found["b.csv"] == ()
    assert any("a.csv: row 1, " in difference and says in difference for difference in found["a.csv"])


def test_a_made_column_is_checked_in_rows_of_untouched_files_too(reefs, tmp_path):
    broken = spoilt(reefs[2], tmp_path / "s", with_cell("fid", 3, "x"))
    found = prove(reefs, broken, opened=["a.csv"], untouched={"b.csv": 5})
    assert found["a.csv"] == ()
    assert "b.csv: row 1, column 'fid'" in found["b.csv"][0]


def test_both_readers_find_a_changed_value(reefs, tmp_path):
    found = prove(reefs, spoilt(reefs[2], tmp_path / "spoilt", with_cell("n", 2, 9)))["a.csv"]
    assert len(found) == 2
    assert "2 in the source (second reader), 9 published" in found[1]


def test_swapped_provenance_is_found(reefs, tmp_path):
    swapped = spoilt(reefs[2], tmp_path / "s", lambda t: t.take([1, 0, *range(2, 10)]), file="rows")
    found = prove(reefs, swapped)
    assert found["a.csv"]
    assert found["b.csv"]


def test_a_row_that_is_missing_and_one_that_stands_twice_are_named(reefs, tmp_path):
    def twice(whole):
        return whole.take([0, 1, 2, 3, 2, 5, 6, 7, 8, 9])

    found = prove(reefs, spoilt(reefs[2], tmp_path / "s", twice, file="rows"))["a.csv"]
    assert "a.csv: 1 rows are not published, such as 2" in found
    assert "a.csv: 1 rows are published more than once, such as 1" in found


def test_rows_that_the_file_does_not_have_are_found(reefs):
    path = reefs[0]["a.csv"]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    found = prove(reefs, reefs[2])["a.csv"]
    assert "a.csv: 5 rows are published, the file has 4" in found


def test_a_file_that_cannot_be_read_again_is_a_difference(reefs):
    reefs[0]["a.csv"].write_text("site,n\nx,1\n")
    assert "cannot be read again" in prove(reefs, reefs[2])["a.csv"][0]
    reefs[0]["a.csv"].write_text(reefs[0]["b.csv"].read_text().replace("b3,3", "b3,three"))
    assert "cannot be read again" in " ".join(prove(reefs, reefs[2])["a.csv"])


def test_a_column_that_was_not_published_is_a_difference(reefs, tmp_path):
    less = spoilt(reefs[2], tmp_path / "s", lambda whole: whole.drop_columns("site"))
    assert "a.csv: column 'site' is not published" in prove(reefs, less)["a.csv"]


def test_files_that_were_not_opened_are_counted(reefs):
    assert prove(reefs, reefs[2], opened=["a.csv"], untouched={"b.csv": 5}) == {"a.csv": ()}
    found = prove(reefs, reefs[2], opened=["a.csv"], untouched={"b.csv": 6})
    assert found["b.csv"] == ("b.csv: 5 rows are published, 6 were before, and it did not change",)
    found = prove(reefs, reefs[2], opened=["a.csv"])
    assert "nothing says how many rows it has" in found["b.csv"][0]


def test_rows_of_a_file_that_the_source_does_not_have_are_a_difference(reefs):
    found = prove(reefs, reefs[2], opened=["a.csv"], untouched={"b.csv": 5}, sources=["a.csv"])
    assert found["b.csv"] == ("b.csv: 5 rows of a file that is not in the source",)


def test_an_opened_file_without_published_rows_is_a_difference(reefs, tmp_path):
    files, dataset, _ = reefs
    only_b = version_of({"b.csv": files["b.csv"]}, tmp_path / "b", dataset)
    assert "a.csv: none of its rows is published" in prove(reefs, only_b)["a.csv"]


def test_differences_are_capped_and_counted(reefs, tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("n\n" + "".join(f"{n}\n" for n in range(100)))
    version = version_of({"many.csv": path}, tmp_path / "many", table())
    ones = spoilt(version, tmp_path / "ones", lambda t: t.set_column(0, "n", pa.array([-1] * 100)))
    (proof,) = prove_table(ones, ledger("many.csv"), {"many.csv": path}, {}, table(), None, 1)
    assert len(proof.differences) == 21
    assert proof.differences[-1] == "and 180 more differences"


def test_at_least_a_thousand_rows_are_decoded_twice_and_the_seed_chooses_them(tmp_path, monkeypatch):
    path = tmp_path / "long.csv"
    path.write_text("n,t\n" + "".join(f'{n},"x\ny{n}"\n' for n in range(9000)))
    version = version_of({"long.csv": path}, tmp_path / "v", table())
    chosen = []

    def listen(path, dataset, schema, kinds, rows, name):
        chosen.append(set(rows))
        return chosen_rows(path, dataset, schema, kinds, rows, name)

    monkeypatch.setattr(table_proof, "chosen_rows", listen)
    for seed in (1, 1, 2):
        (proof,) = prove_table(version, ledger("long.csv"), {"long.csv": path}, {}, table(), None, seed)
        assert proof.holds
        assert proof.sampled >= 2 * 1000
    assert chosen[0] == chosen[1] != chosen[2]
    assert max(chosen[0]) > 8000


@pytest.mark.parametrize("options", [{}, {"delimiter": ";"}, {"encoding": "latin-1"}])
def test_the_second_reader_reads_csv_as_it_is_written(tmp_path, options):
    mark = options.get("delimiter", ",")
    text = f"ä{mark}b\n1{mark}x\n\n2{mark}\n3{mark}z\n"
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(options.get("encoding", "utf-8")))
    dataset = table(convert={"read_csv": options, "rename": {"ä": "n"}})
    found = list(chosen_rows(path, dataset, None, {"n": "integer", "b": "string"}, {0, 1}))
    assert found == [(0, {"n": 1, "b": "x"}), (1, {"n": 2, "b": None})]


CELLS = st.text("ab ,;é.1", max_size=6).filter(lambda text: "," not in text)


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS).filter(lambda pair: pair != ("", "")), min_size=1, max_size=30),
    skip=st.integers(0, 2),
    has_end=st.booleans(),
    header=st.booleans(),
    data=st.data(),
)
def test_rows_of_a_large_file_are_found_at_their_places(tmp_path_factory, rows, skip, has_end, header, data):
    path = tmp_path_factory.mktemp("large") / "in.csv"
    lines = ["skipped"] * skip + ["x,y"] * header + [",".join(row) for row in rows]
    path.write_text("\n".join(lines) + "\n" * has_end)
    chosen = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    options = ReadCsv(skip_rows=skip, header=header, names=() if header else ("x", "y"), na=("a",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_second_csv, "SEEKING_PAYS", 0)
        patch.setattr(table_second_csv, "PIECE", 16)
        found = rows_of(csv_rows(path, options, chosen))
    expected = [
        (n, {k: None if c in ("", "a") else c for k, c in zip("xy", rows[n], strict=True)}) for n in sorted(chosen)
    ]
    assert found == (expected, len(rows))


def rows_of(reading):
    rows = []
    while True:
        try:
            rows.append(next(reading))
        except StopIteration as end:
            return rows, end.value


@pytest.mark.parametrize("text", ['a\n"x\ny"\n', "a\n\nx\n", "a\r\nx\r\n", "\na\nx\n"])
def test_a_large_file_in_which_a_line_is_no_row_is_read_whole(tmp_path, monkeypatch, text):
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode())
    whole = rows_of(csv_rows(path, ReadCsv(), {0}))
    monkeypatch.setattr(table_second_csv, "SEEKING_PAYS", 0)
    assert rows_of(csv_rows(path, ReadCsv(), {0})) == whole


def test_the_two_readers_agree_on_dates_times_and_flags_of_a_geopackage(tmp_path):
    path = tmp_path / "in.gpkg"
    frame = geopandas.GeoDataFrame(
        {
            "t": [datetime(2020, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC), None],
            "flag": [True, False],
            "d": ["2020-01-01", None],
        },
        geometry=[shapely.Point(150, -20, 3), None],
        crs=4326,
    )
    frame.to_file(path)
    version = version_of({"in.gpkg": path}, tmp_path / "v", table(**VECTOR))
    assert pq.read_table(version.data)["t"].to_pylist()[0] == frame.t[0]
    (proof,) = prove_table(version, ledger("in.gpkg"), {"in.gpkg": path}, {}, table(**VECTOR), None, 1)
    assert proof.differences == ()


def test_the_two_readers_agree_on_lists_objects_dates_and_times_of_geojson(tmp_path):
    path = tmp_path / "in.geojson"
    values = {
        "l": [1, 2], "o": {"a": 1}, "d": "2020-01-02", "h": "10:00:00", "u": "2020-01-01T00:00:00+10:00", "b": True,
    }  # fmt: skip
    point = {"type": "Point", "coordinates": [150, -20, 3]}
    features = [{"type": "Feature", "properties": p, "geometry": g} for p, g in ((values, point), ({}, None))]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    version = version_of({"in.geojson": path}, tmp_path / "v", table(**VECTOR))
    (proof,) = prove_table(version, ledger("in.geojson"), {"in.geojson": path}, {}, table(**VECTOR), None, 1)
    assert proof.differences == ()


@pytest.mark.parametrize(
    ("one", "other", "kind", "same"),
    [
        (float("nan"), float("nan"), "number", True),
        (0.1 + 0.2, 0.3, "number", False),
        (None, 0.0, "number", False),
        ("a", "a ", "string", False),
        (SQUARE, shapely.MultiPolygon([shapely.Polygon([(1, 0), (1, 1), (0, 0)])]).wkb, "geometry", True),
        (shapely.Point(1, 2), shapely.Point(1, 2.0000000000000004).wkb, "geometry", False),
    ],
)  # fmt: skip
def test_values_are_the_same_exactly(one, other, kind, same):
    assert same_value(one, other, kind) is same
