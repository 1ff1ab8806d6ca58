"""A table in several objects: where they end, what each of them says, and what readers that are not ours make of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from rimrep_assets.domain import table_version
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.quicklook import draw_table
from rimrep_assets.domain.table_facts import measure_table
from rimrep_assets.domain.table_fold import TableVersion
from rimrep_assets.domain.table_objects import METADATA, group_lengths, objects_of, parts_of
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.table_schema import schema_of
from rimrep_assets_tests.domain.table_examples import LONLAT, ledger, table, version_of
from rimrep_assets_tests.domain.test_table_fold import check_geoparquet


def sites(**layout):
    """Logger rows, by site and time, in row groups of a thousand rows at most."""
    kept = {"sort_by": ["site", "t"], "row_group_rows": 1000, **layout}
    return table(coordinates={**LONLAT, "t": "t"}, layout=kept)


def frame(sites: str, rows: int, seed: int = 0) -> pd.DataFrame:
    """``rows`` rows of each of ``sites``, in no order; a site lies at its own longitude."""
    made = np.random.default_rng(seed)
    count = rows * len(sites)
    site = np.repeat(list(sites), rows)
    found = pd.DataFrame(
        {
            "site": site,
            "lon": 140.0 + np.array([ord(s) - 97 for s in site]) + made.random(count).round(3) / 2,
            "lat": -made.random(count).round(3),
            "t": [f"2020-01-01T00:{n // 60 % 60:02d}:{n % 60:02d}Z" for n in range(count)],
            "n": made.integers(0, 10**6, count),
        }
    )
    return found.sample(frac=1, random_state=seed, ignore_index=True)


def written(folder: Path, **frames: pd.DataFrame) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in frames.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    return {f"{name}.csv": folder / f"{name}.csv" for name in frames}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four sites of 900 rows: as one object, and in parts of one row group each."""
    folder = tmp_path_factory.mktemp("objects")
    files = written(folder / "in", a=frame("abcd", 900))
    return files, version_of(files, folder / "one", sites()), version_of(files, folder / "v", sites(object_bytes=1))


def test_below_the_size_there_is_one_object_and_beyond_it_a_folder_of_parts(whole):
    _, one, parts = whole
    assert one.data.is_file()
    names = [f"part-0000{number}.parquet" for number in range(4)]
    assert sorted(path.name for path in parts.data.iterdir()) == [METADATA, *names]
    assert [path.name for path in objects_of(parts.data)] == [*names, METADATA]
    assert pq.read_table(parts.data).equals(pq.read_table(one.data))
    assert one.rows.read_bytes() == parts.rows.read_bytes()


def test_an_object_ends_with_the_row_group_that_reaches_the_size(whole, tmp_path):
    files, one, _ = whole
    footer = pq.read_metadata(one.data)
    groups = [sum(footer.row_group(g).column(c).total_compressed_size for c in range(footer.num_columns))
              for g in range(4)]  # fmt: skip
    limit = groups[0] + groups[1] // 2
    parts = parts_of(version_of(files, tmp_path / "v", sites(object_bytes=limit)).data)
    assert [pq.read_metadata(part).num_row_groups for part in parts] == [2, 2]
    exact = version_of(files, tmp_path / "w", sites(object_bytes=sum(groups) * 2))
    assert exact.data.is_file()


def test_a_folder_that_is_asked_for_has_one_part_at_least(whole, tmp_path):
    files, one, _ = whole
    version = version_of(files, tmp_path / "v", sites(folder=True))
    assert sorted(path.name for path in version.data.iterdir()) == [METADATA, "part-00000.parquet"]
    assert (version.data / "part-00000.parquet").read_bytes() == one.data.read_bytes()


def test_every_part_alone_and_the_whole_are_geoparquet_with_their_own_bounds(whole, shared):
    files, _, parts = whole
    expected = pd.read_csv(files["a.csv"])
    schema = shared("schemas/geoparquet/v1.1.0.json")
    for part in parts_of(parts.data):
        found = geopandas.read_parquet(part)
        geo = check_geoparquet(part, schema)
        assert geo["columns"]["geometry"]["bbox"] == found.total_bounds.tolist()
        assert json.loads(pq.read_schema(part).metadata[b"pandas"])["columns"]
    geo = check_geoparquet(parts.data / METADATA, schema)
    bounds = [expected.lon.min(), expected.lat.min(), expected.lon.max(), expected.lat.max()]
    assert geo["columns"]["geometry"]["bbox"] == bounds
    assert geo["columns"]["geometry"]["geometry_types"] == ["Point"]
    assert json.loads(pq.read_schema(parts.data / METADATA).metadata[b"pandas"])["columns"]


def test_pandas_geopandas_and_duckdb_read_the_folder(whole):
    files, _, parts = whole
    expected = pd.read_csv(files["a.csv"])
    found = geopandas.read_parquet(parts.data)
    assert found.crs == "OGC:CRS84" and len(found) == len(expected)
    assert sorted(found.geometry.x) == sorted(expected.lon)
    inside = geopandas.read_parquet(parts.data, bbox=(142.0, -1, 142.6, 0))
    assert set(inside.site) == {"c"} and len(inside) == 900
    assert pd.read_parquet(parts.data, columns=["n"])["n"].sum() == expected.n.sum()
    counted = duckdb.sql(f"SELECT count(*), sum(n) FROM '{parts.data}/*.parquet'").fetchall()
    assert counted == [(len(expected), expected.n.sum())]


def test_pyarrow_prunes_by_the_metadata_alone_and_never_opens_the_other_parts(whole, tmp_path):
    files, _, parts = whole
    expected = pd.read_csv(files["a.csv"])
    copy = tmp_path / "data.parquet"
    shutil.copytree(parts.data, copy)
    found = pads.parquet_dataset(copy / METADATA)
    assert found.count_rows() == len(expected)
    assert [Path(fragment.path).name for fragment in found.get_fragments()] == [p.name for p in parts_of(copy)]
    for part in parts_of(copy)[:1] + parts_of(copy)[2:]:
        part.write_bytes(b"not to be read")
    assert found.to_table(filter=pc.field("site") == "b").num_rows == 900
    inside = (pc.field("bbox", "xmax") >= 141.0) & (pc.field("bbox", "xmin") <= 141.9)
    assert found.count_rows(filter=inside) == 900
    statistics = pq.read_metadata(copy / METADATA).row_group(3).column(0).statistics
    assert (statistics.min, statistics.max) == ("d", "d")


def test_what_is_measured_and_described_is_that_of_one_object(whole):
    _, one, parts = whole
    facts = measure_table(parts.data, sites())
    assert facts == measure_table(one.data, sites())
    assert facts.row_count == 3600
    assert schema_of(parts.data, facts, sites(), None) == schema_of(one.data, facts, sites(), None)
    assert draw_table(parts.data, facts, sites(), "t") == draw_table(one.data, facts, sites(), "t")


def bytes_of(version: TableVersion) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*objects_of(version.data), version.rows]}


@pytest.mark.parametrize("layout", [{"object_bytes": 1}, {"object_bytes": 40_000}, {"folder": True}])
def test_a_fold_onto_a_base_in_parts_is_a_clean_rebuild_byte_for_byte(tmp_path, layout):
    dataset = sites(**layout)
    files = written(tmp_path / "in", a=frame("ac", 700), b=frame("bd", 900, seed=1), c=frame("a", 40, seed=2))
    first = {name: files[name] for name in ("a.csv", "b.csv")}
    base = version_of(first, tmp_path / "base", dataset)
    grown = version_of({"c.csv": files["c.csv"]}, tmp_path / "grown", dataset, base=base)
    assert bytes_of(grown) == bytes_of(version_of(files, tmp_path / "clean", dataset))
    again = version_of({}, tmp_path / "again", dataset, base=grown, without=("b.csv",))
    left = {name: files[name] for name in ("a.csv", "c.csv")}
    assert bytes_of(again) == bytes_of(version_of(left, tmp_path / "left", dataset))


def test_a_table_grows_from_one_object_to_parts_and_shrinks_back(tmp_path):
    dataset = sites(object_bytes=1)
    files = written(tmp_path / "in", a=frame("a", 300), b=frame("bcd", 900, seed=1))
    one = version_of({"a.csv": files["a.csv"]}, tmp_path / "one", dataset)
    assert one.data.is_file()
    grown = version_of({"b.csv": files["b.csv"]}, tmp_path / "grown", dataset, base=one)
    assert len(parts_of(grown.data)) == 3
    back = version_of({}, tmp_path / "back", dataset, base=grown, without=("b.csv",))
    assert bytes_of(back) == bytes_of(one)


def proof_of(version: TableVersion, files: dict[str, Path]):
    (proof,) = prove_table(version, ledger("a.csv"), files, {}, sites(), None, seed=5)
    return proof


def test_a_table_in_parts_is_proven_and_a_changed_cell_of_the_last_part_is_told(whole, tmp_path):
    files, _, parts = whole
    assert proof_of(parts, files).differences == ()
    assert proof_of(parts, files).sampled >= 1000
    changed = TableVersion(tmp_path / "data.parquet", parts.rows)
    shutil.copytree(parts.data, changed.data)
    last = parts_of(changed.data)[-1]
    rows = pq.read_table(last)
    at = rows.schema.get_field_index("n")
    spoilt = rows.set_column(at, rows.schema.field(at), [pc.add(rows["n"], 1)])
    pq.write_table(spoilt, last, store_schema=False)
    with pytest.raises(DataError, match=r"data\.parquet/_metadata is not about the parts"):
        proof_of(changed, files)
    as_one = TableVersion(tmp_path / "one.parquet", parts.rows)
    groups = [pq.read_table(part) for part in parts_of(changed.data)]
    with pq.ParquetWriter(as_one.data, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group.cast(groups[0].schema))
    assert any("column 'n'" in difference for difference in proof_of(as_one, files).differences)


@pytest.mark.parametrize("damage", ["a part is gone", "a part is another's", "a part is too much"])
def test_metadata_that_is_not_about_the_parts_is_refused(whole, tmp_path, damage):
    _, _, parts = whole
    copy = tmp_path / "data.parquet"
    shutil.copytree(parts.data, copy)
    first, second = parts_of(copy)[:2]
    if damage == "a part is gone":
        first.unlink()
    elif damage == "a part is another's":
        shutil.copy(first, second)
    else:
        shutil.copy(first, copy / "part-00004.parquet")
    with pytest.raises(DataError, match="_metadata is not about the parts"):
        group_lengths(copy)
    assert group_lengths(parts.data) == [900] * 4


def test_rows_of_another_version_are_refused_for_parts_too(whole, tmp_path):
    _, _, parts = whole
    other = version_of(written(tmp_path / "in", a=frame("abcd", 800)), tmp_path / "v", sites(object_bytes=1))
    with pytest.raises(DataError, match=r"rows.parquet is not of this data: it has 3200 rows in 4 groups"):
        list(TableVersion(parts.data, other.rows).batches())


def test_parts_are_in_the_order_of_their_numbers_beyond_five_digits(tmp_path):
    for number in (100000, 99999, 2):
        (tmp_path / f"part-{number:05d}.parquet").touch()
    assert [p.name for p in parts_of(tmp_path)] == ["part-00002.parquet", "part-99999.parquet", "part-100000.parquet"]


def test_a_fold_that_fails_leaves_no_objects(whole, tmp_path, monkeypatch):
    files, _, _ = whole
    real, calls = table_version.TableWriter._completed, []

    def failing(self, group):
        calls.append(group)
        if len(calls) == 3:
            raise OSError("the disk is full")
        return real(self, group)

    monkeypatch.setattr(table_version.TableWriter, "_completed", failing)
    with pytest.raises(OSError, match="disk is full"):
        version_of(files, tmp_path / "v", sites(object_bytes=1))
    assert [path.name for path in (tmp_path / "v").iterdir() if path.name.startswith("data.parquet")] == []


def test_own_keys_are_checked_over_all_parts(tmp_path):
    rows = frame("abcd", 900)
    rows["fid"] = range(len(rows))
    files = written(tmp_path / "in", a=rows)
    assert len(parts_of(version_of(files, tmp_path / "v", sites(object_bytes=1)).data)) == 4
    rows.loc[rows.index[rows.site == "d"][0], "fid"] = rows.loc[rows.index[rows.site == "a"][0], "fid"]
    files = written(tmp_path / "in", a=rows)
    with pytest.raises(DataError, match="stands in more than one row"):
        version_of(files, tmp_path / "w", sites(object_bytes=1))


def test_a_table_without_geometry_lies_in_parts_as_well(tmp_path):
    files = written(tmp_path / "in", a=frame("abcd", 900)[["site", "t", "n"]])
    dataset = table(coordinates={"t": "t"}, layout={"sort_by": ["site"], "row_group_rows": 1000, "object_bytes": 1})
    version = version_of(files, tmp_path / "v", dataset)
    assert b"geo" not in pq.read_metadata(version.data / METADATA).metadata
    assert pads.parquet_dataset(version.data / METADATA).count_rows() == 3600
    assert measure_table(version.data, dataset).row_count == 3600


@pytest.mark.parametrize(("layout", "words"), [
    ({"object_bytes": 5}, "layout.object_bytes belongs to tables"),
    ({"folder": True, "object_bytes": 7}, "layout.object_bytes and layout.folder belong to tables"),
])  # fmt: skip
def test_grids_have_no_such_objects(layout, words):
    grid = {"format": "zarr", "convert": {"read_netcdf": {}}, "coordinates": {"x": "lon", "y": "lat"}}
    with pytest.raises(ValueError, match=words):
        table(**grid, layout=layout)


def test_an_object_of_no_bytes_is_refused():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        table(layout={"object_bytes": 0})
