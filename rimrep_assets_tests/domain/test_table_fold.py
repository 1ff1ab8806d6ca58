from __future__ import annotations

import json
import zlib
from pathlib import Path

import duckdb
import geopandas
import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import table_order, table_part, table_rows
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_fold import fold_table
from rimrep_assets.domain.table_source import platform_columns
from rimrep_assets.domain.table_version import contents_of
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, fields, table, version_of


@pytest.fixture
def write(tmp_path):
    """Write texts as files; returns name to path."""

    def run(**texts):
        paths = {}
        for name, text in texts.items():
            paths[f"{name}.csv"] = tmp_path / f"{name}-{zlib.crc32(text.encode())}.csv"
            paths[f"{name}.csv"].write_text(text)
        return paths

    return run


def rows_of(version):
    return pq.read_table(version.data).to_pylist()


def bytes_of(version):
    return version.data.read_bytes(), version.rows.read_bytes()


def check_geoparquet(path: Path, schema: Path) -> dict:
    """Validate the ``geo`` key; PROJJSON's own schema lies elsewhere and is taken as any object."""
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    projjson = referencing.Resource.from_contents({"$schema": "http://json-schema.org/draft-07/schema#"})
    registry = referencing.Registry().with_resource("https://proj.org/schemas/v0.7/projjson.schema.json", projjson)
    jsonschema.Draft7Validator(json.loads(schema.read_text()), registry=registry).validate(geo)
    return geo


def test_reefs_become_geoparquet_that_geopandas_reads(shared, tmp_path):
    source = shared("data/b_tabular/ltmp/all.reefs_3Zone.csv")
    dataset = table(coordinates={"x": "Longitude", "y": "Latitude"}, layout={"sort_by": ["Latitude"]})
    version = version_of({"reefs.csv": source}, tmp_path / "v", dataset)
    expected = pd.read_csv(source)
    expected["row"] = range(len(expected))
    expected = expected.sort_values(["Latitude", "row"])
    frame = geopandas.read_parquet(version.data)
    assert frame.REEF_NAME.tolist() == expected.REEF_NAME.tolist()
    assert frame.geometry.x.tolist() == expected.Longitude.tolist()
    assert frame.fid.tolist() == [f"{zlib.crc32(b'reefs.csv'):08x}-{row}" for row in expected.row]
    geo = check_geoparquet(version.data, shared("schemas/geoparquet/v1.1.0.json"))
    assert geo["columns"]["geometry"]["geometry_types"] == ["Point"]
    assert geo["columns"]["geometry"]["bbox"] == [
        expected.Longitude.min(), expected.Latitude.min(), expected.Longitude.max(), expected.Latitude.max(),
    ]  # fmt: skip
    assert pq.read_schema(version.data).metadata[b"geo"], "arrow's readers look for it in the schema"
    provenance = pq.read_table(version.rows)
    assert provenance["row"].to_pylist() == expected.row.tolist()
    assert json.loads(pq.read_metadata(version.rows).metadata[b"files"]) == ["reefs.csv"]


@pytest.mark.parametrize(
    "path",
    [
        "gpkg/Test_domain.gpkg",
        "vector_misc/ne_110m_lakes.geojson",
        "vector_misc/items.geojson",
        "shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp",
        "shapefile/dylan_active_pts/dylan_active_pts.shp",
    ],
)
def test_a_layer_keeps_its_geometries_crs_and_bounds(shared, tmp_path, path):
    source = shared(f"data/b_tabular/{path}")
    version = version_of({path: source}, tmp_path / "v", table(**VECTOR))
    expected, frame = geopandas.read_file(source), geopandas.read_parquet(version.data)
    assert frame.geom.geom_equals_exact(expected.geometry, 0).all()
    assert frame.crs == expected.crs
    geo = check_geoparquet(version.data, shared("schemas/geoparquet/v1.1.0.json"))
    assert set(geo["columns"]["geom"]["geometry_types"]) == set(expected.geometry.geom_type)
    boxes = pd.DataFrame(pq.read_table(version.data)["bbox"].to_pylist())
    np.testing.assert_array_equal(boxes.to_numpy(), expected.bounds.to_numpy())
    inside = geopandas.read_parquet(version.data, bbox=tuple(expected.bounds.iloc[0]))
    assert 1 <= len(inside) <= len(expected), "readers can use the covering"


def test_the_order_is_by_the_declared_columns_nulls_last_then_file_and_row(write, tmp_path):
    files = write(b="k,n\n2,x\n,y\n1,z\n", a="k,n\n,p\n2,q\n")
    version = version_of(files, tmp_path / "v", table(layout={"sort_by": ["k"]}))
    assert [row["n"] for row in rows_of(version)] == ["z", "q", "x", "p", "y"]


values = st.one_of(st.none(), st.integers(-3, 3))
texts = st.lists(st.tuples(values, values), min_size=1, max_size=6)
layouts = st.sampled_from([(), ("k",), ("n", "k")])


def as_csv(rows):
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "k,n\n" + "\n".join(line if line != "," else ",7" for line in lines) + "\n"


@settings(max_examples=20, deadline=None)
@given(
    first=st.dictionaries(st.sampled_from("abcd"), texts, min_size=1),
    second=st.dictionaries(st.sampled_from("abcd"), texts),
    gone=st.sets(st.sampled_from("abcd"), max_size=2),
    sort_by=layouts,
    data=st.data(),
)
def test_a_fold_onto_a_base_is_a_clean_rebuild_byte_for_byte(tmp_path_factory, first, second, gone, sort_by, data):
    folder = tmp_path_factory.mktemp("fold")
    dataset = table(layout={"sort_by": sort_by}, coordinates={"x": "n", "y": "k"})
    schema = fields(k="integer", n="integer")

    def written(contents, where):
        (folder / where).mkdir()
        paths = {}
        for name, rows in contents.items():
            paths[name] = folder / where / f"{name}.csv"
            paths[name].write_text(as_csv(rows))
        return paths

    now = {name: rows for name, rows in {**first, **second}.items() if name not in gone}
    if not now:
        return
    shuffled = dict(data.draw(st.permutations(list(now.items()))))
    base = version_of(written(first, "one"), folder / "base", dataset, schema)
    staged = written({n: rows for n, rows in second.items() if n not in gone}, "two")
    folded = version_of(staged, folder / "folded", dataset, schema, base=base, without=tuple(gone))
    rebuilt = version_of(written(shuffled, "three"), folder / "rebuilt", dataset, schema)
    assert rows_of(folded) == rows_of(rebuilt)
    assert bytes_of(folded) == bytes_of(rebuilt)
    # And the rows are those of the files, as Python reads them.
    expected = sorted(
        (name, row, k, n)
        for name, rows in now.items()
        for row, (k, n) in enumerate((None, 7) if pair == (None, None) else pair for pair in rows)
    )
    provenance = pq.read_table(folded.rows).to_pylist()
    names = list(contents_of(folded))
    found = [(names[p["file"]], p["row"], r["k"], r["n"]) for p, r in zip(provenance, rows_of(folded), strict=True)]
    assert sorted(found, key=lambda f: f[:2]) == expected


def test_columns_come_and_go_with_their_files_as_in_a_rebuild(write, tmp_path):
    dataset = table()
    files = write(a="k\n1\n", b="extra,k\nx,1.5\n")
    base = version_of(files, tmp_path / "base", dataset)
    assert [f"{f.name}: {f.type}" for f in pq.read_schema(base.data)] == ["k: double", "extra: string", "fid: string"]
    folded = version_of({}, tmp_path / "folded", dataset, base=base, without=("b.csv",))
    rebuilt = version_of({"a.csv": files["a.csv"]}, tmp_path / "rebuilt", dataset)
    assert str(pq.read_schema(folded.data).field("k").type) == "int64"
    assert bytes_of(folded) == bytes_of(rebuilt)


def test_a_column_order_does_not_depend_on_which_file_came_first(write, tmp_path):
    files = write(a="k\n1\n", b="extra,k\nx,2\n")
    base = version_of({"b.csv": files["b.csv"]}, tmp_path / "base", table())
    folded = version_of({"a.csv": files["a.csv"]}, tmp_path / "folded", table(), base=base)
    rebuilt = version_of(files, tmp_path / "rebuilt", table())
    assert bytes_of(folded) == bytes_of(rebuilt)


def test_nulls_of_one_file_take_the_type_of_another(write, tmp_path):
    version = version_of(write(a="k,n\n1,\n", b="k,n\n2,3\n"), tmp_path / "v", table())
    assert [row["n"] for row in rows_of(version)] == [None, 3]


def test_types_that_do_not_agree_are_told_with_their_files(write, tmp_path):
    with pytest.raises(DataError) as caught:
        version_of(write(a="k,n\n1,x\n", b="k,n\ny,2\n"), tmp_path / "v", table())
    assert caught.value.problems == (
        "column 'k' has more than one type: integer in a.csv; string in b.csv",
        "column 'n' has more than one type: integer in b.csv; string in a.csv",
    )


def test_a_whole_number_that_no_float_holds_is_not_rounded(write, tmp_path):
    with pytest.raises(DataError, match="'k' is not the same number"):
        version_of(write(a=f"k\n{2**53 + 1}\n", b="k\n1.5\n"), tmp_path / "v", table())


def test_parts_of_two_crs_are_refused(tmp_path):
    files = {}
    for code in (4326, 4283):
        frame = geopandas.GeoDataFrame({"a": [1]}, geometry=geopandas.points_from_xy([150], [-20]), crs=code)
        files[f"{code}.gpkg"] = tmp_path / f"{code}.gpkg"
        frame.to_file(files[f"{code}.gpkg"])
    with pytest.raises(DataError, match=r"more than one CRS: EPSG:4283 in 4283\.gpkg; EPSG:4326 in 4326\.gpkg"):
        version_of(files, tmp_path / "v", table(**VECTOR))


def test_an_own_fid_is_kept_and_must_be_a_key(write, tmp_path):
    version = version_of(write(a="fid,n\nb,1\na,2\n"), tmp_path / "v", table())
    assert pq.read_table(version.data).to_pylist() == [{"fid": "b", "n": 1}, {"fid": "a", "n": 2}]
    with pytest.raises(DataError) as caught:
        version_of(write(a="fid,n\nb,1\na,2\n", b="fid,n\nb,1\n,2\n"), tmp_path / "w", table())
    assert caught.value.problems == (
        "the data's own fid 'b' stands in more than one row",
        "the data's own fid is null in some rows",
    )


def test_file_names_with_one_crc_are_refused(write, tmp_path):
    # The classic pair.
    assert zlib.crc32(b"plumless") == zlib.crc32(b"buckeroo")
    part = next(iter(write(a="k\n1\n").values()))
    with pytest.raises(DataError, match="have the same CRC-32"):
        version_of({"plumless": part, "buckeroo": part}, tmp_path / "v", table())


def test_no_file_left_is_refused(write, tmp_path):
    base = version_of(write(a="k\n1\n"), tmp_path / "base", table())
    with pytest.raises(DataError, match="no source file is left"):
        fold_table(base=base, without=["a.csv"], staged={}, out=tmp_path / "v", dataset=table())


def test_row_groups_have_the_declared_length(write, tmp_path):
    files = write(a="k\n" + "".join(f"{n}\n" for n in range(2500)))
    version = version_of(files, tmp_path / "v", table(layout={"row_group_rows": 1000}))
    metadata = pq.read_metadata(version.data)
    assert [metadata.row_group(g).num_rows for g in range(3)] == [1000, 1000, 500]


def test_heavy_geometries_make_shorter_row_groups_wherever_batches_end(monkeypatch):
    monkeypatch.setattr(table_rows, "MOST_BYTES", 25)
    whole = pa.table({"g": pa.array([b"x" * 10] * 8 + [b"y" * 60, None, b"z"], pa.binary())})

    def cut(rows):
        return [t.num_rows for t in table_rows.row_groups(iter(whole.to_batches(rows)), 5, "g")]

    assert cut(100) == cut(1) == cut(3) == [3, 3, 3, 2]


def test_pandas_reads_whole_numbers_with_nulls_as_whole_numbers(write, tmp_path):
    version = version_of(write(a=f"k,n\n{2**60 + 1},\n,1\n"), tmp_path / "v", table())
    frame = pd.read_parquet(version.data)
    assert str(frame.k.dtype) == "Int64"
    assert frame.k[0] == 2**60 + 1


def test_duckdb_reads_the_published_file(shared, tmp_path):
    source = shared("data/b_tabular/moorings/rottnest.csv")
    dataset = table(coordinates={"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}, layout={"sort_by": ["TEMP"]})
    version = version_of({"r.csv": source}, tmp_path / "v", dataset)
    found = duckdb.sql(f"SELECT list(TEMP) FROM '{version.data}'").fetchall()[0][0]
    assert found == sorted(pd.read_csv(source).TEMP)


def test_the_platforms_columns_follow_from_the_dataset():
    assert platform_columns(table()) == ("fid",)
    assert platform_columns(table(coordinates=LONLAT)) == ("geometry", "bbox", "fid")
    assert platform_columns(table(**VECTOR)) == ("bbox", "fid")


def test_a_sort_larger_than_its_memory_goes_through_files(write, tmp_path, monkeypatch):
    monkeypatch.setattr(table_order, "RUN_BYTES", 2_000_000)
    monkeypatch.setattr(table_part, "RUN_BYTES", 1_000_000)
    rng = np.random.default_rng(1)
    keys = rng.permutation(400_000)
    text = "k,pad\n" + "".join(f"{k},{k:064d}x\n" for k in keys)
    version = version_of(write(a=text), tmp_path / "v", table(layout={"sort_by": ["k"]}))
    assert pq.read_table(version.data)["k"].to_numpy().tolist() == list(range(400_000))
    np.testing.assert_array_equal(pq.read_table(version.rows)["row"].to_numpy(), np.argsort(keys))


def test_row_groups_end_where_the_first_key_changes_wherever_batches_end():
    sites = ["a"] * 3 + ["b"] * 4 + ["c"] * 9 + [None] * 2 + ["d"]
    whole = pa.table({"site": pa.array(sites).dictionary_encode(), "n": range(len(sites))})

    def cut(rows):
        groups = list(table_rows.row_groups(iter(whole.to_batches(rows)), 5, None, "site"))
        assert pa.concat_tables(groups).column("n").to_pylist() == list(range(len(sites)))
        return [t.num_rows for t in groups]

    # aaa | bbbb | ccccc | cccc | .. and d: never above five rows, never below three but at the end.
    assert cut(100) == cut(1) == cut(3) == [3, 4, 5, 4, 3]


def test_many_parts_and_many_runs_are_one_order(write, tmp_path, monkeypatch):
    """Few large runs are merged from the parts, many small ones are sorted anew: the file is the same, byte for byte."""
    rng = np.random.default_rng(2)
    texts = {f"f{n}": "k,s\n" + "".join(f"{k},{k % 7}x\n" for k in rng.integers(0, 1000, 200)) for n in range(12)}
    dataset = table(layout={"sort_by": ["s", "k"]})
    monkeypatch.setattr(table_part, "RUN_BYTES", 1000)
    runs = version_of(write(**texts), tmp_path / "runs", dataset)
    monkeypatch.undo()
    monkeypatch.setattr("rimrep_assets.domain.table_fold.MOST_RUNS", 4)
    pooled = version_of(write(**texts), tmp_path / "pooled", dataset)
    monkeypatch.undo()
    plain = version_of(write(**texts), tmp_path / "plain", dataset)
    assert runs.data.read_bytes() == pooled.data.read_bytes() == plain.data.read_bytes()
    frame = pd.concat([pd.read_csv(path).assign(file=name) for name, path in write(**texts).items()])
    expected = frame.sort_values(["s", "k", "file"], kind="stable")
    assert pd.read_parquet(plain.data)[["k", "s"]].to_numpy().tolist() == expected[["k", "s"]].to_numpy().tolist()


def test_geometries_are_ordered_along_the_curve_and_a_growing_table_keeps_their_order(write, tmp_path):
    rng = np.random.default_rng(5)

    def places():
        rows = zip(rng.uniform(142, 155, 300), rng.uniform(-25, -10, 300), strict=True)
        return "lon,lat\n" + "".join(f"{x:.4f},{y:.4f}\n" for x, y in rows)

    files = write(a=places(), c=places(), b=places())
    dataset = table(coordinates=LONLAT, layout={"sort_by": ["geometry"]})
    first = version_of({name: files[name] for name in ("a.csv", "c.csv")}, tmp_path / "1", dataset)
    grown = version_of({"b.csv": files["b.csv"]}, tmp_path / "2", dataset, base=first, without=("a.csv",))
    clean = version_of({name: files[name] for name in ("b.csv", "c.csv")}, tmp_path / "3", dataset)
    assert grown.data.read_bytes() == clean.data.read_bytes()
    found = pd.read_parquet(clean.data)
    steps = np.hypot(np.diff(found.lon), np.diff(found.lat))
    assert np.median(steps) < 0.15 * np.median(np.hypot(np.diff(rng.permutation(found.lon)), np.diff(found.lat)))
