from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import geopandas
import pandas as pd
import pytest
import shapely

from rimrep_assets.domain import table_zip
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_source import open_source
from rimrep_assets_tests.domain.table_examples import LONLAT, proven, table

CSV = "lon,lat,n\n150.5,-20.25,1\n151,-21,2\n"


def zipped(path: Path, members: dict[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def unzipping(reader: str = "read_csv", options: dict | None = None, **keys):
    convert = {"unzip": keys.pop("unzip", {}), reader: options or {}}
    return table(convert=convert, **keys)


def refused(path: Path, dataset=None) -> str:
    with pytest.raises(DataError) as caught:
        open_source(path, path.name, dataset or unzipping())
    return str(caught.value)


def test_the_only_table_of_a_zip_is_published(tmp_path):
    path = zipped(tmp_path / "a.zip", {"readme.md": "hello", "data/a.csv": CSV, "__MACOSX/data/._a.csv": "junk"})
    rows = proven(path, tmp_path / "v", unzipping(coordinates=LONLAT))
    expected = pd.read_csv(io.StringIO(CSV)).to_dict("records")
    assert [{c: row[c] for c in ("lon", "lat", "n")} for row in rows] == expected
    assert shapely.from_wkb(rows[0]["geometry"]).coords[0] == (150.5, -20.25)


def test_several_members_are_one_table_in_the_order_of_their_names(tmp_path):
    members = {"b.csv": "k,v\n3,c\n", "a.csv": "k,v\n1,a\n2,b\n", "c/d.csv": "k,v\n4,d\n", "notes.txt": "x"}
    path = zipped(tmp_path / "a.zip", members)
    rows = proven(path, tmp_path / "v", unzipping(unzip={"member": "*.csv"}))
    assert rows == [{"k": n, "v": v} for n, v in enumerate("abcd", start=1)]


def test_members_are_chosen_by_their_path_too(tmp_path):
    path = zipped(tmp_path / "a.zip", {"2020/a.csv": "k\n1\n", "2021/a.csv": "k\n2\n"})
    assert proven(path, tmp_path / "v", unzipping(unzip={"member": "2021/*.csv"})) == [{"k": 2}]


def test_members_with_other_columns_are_refused_naming_both(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.csv": "k,v\n1,2\n", "b.csv": "k,w\n1,2\n", "c.csv": "v,k\n1,2\n"})
    told = refused(path, unzipping(unzip={"member": "*.csv"}))
    assert "a.zip/a.csv and a.zip/b.csv are one table, but their columns differ" in told
    assert "the first alone has 'v'; the second alone has 'w'" in told
    assert "a.zip/a.csv and a.zip/c.csv are one table, but their columns differ: their order" in told


def test_members_whose_types_differ_are_refused_naming_both(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.json": '[{"k": 1}]', "b.json": '[{"k": "x"}]'})
    with pytest.raises(DataError, match=r"column 'k' holds int64 in a\.zip/a\.json and string in a\.zip/b\.json"):
        proven(path, tmp_path / "v", unzipping("read_json", unzip={"member": "*.json"}))


def test_whole_numbers_in_one_member_and_numbers_in_another_are_numbers(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.json": '[{"k": 1.5}]', "b.json": '[{"k": 2}]', "c.json": '[{"k": null}]'})
    rows = proven(path, tmp_path / "v", unzipping("read_json", unzip={"member": "*.json"}))
    assert rows == [{"k": 1.5}, {"k": 2.0}, {"k": None}]


def test_dropped_columns_of_members_stay_away(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.csv": "k,v\n1,2\n", "b.csv": "k,v\n3,4\n"})
    dataset = table(convert={"unzip": {"member": "*.csv"}, "read_csv": {}, "drop_columns": ["v"]})
    assert proven(path, tmp_path / "v", dataset) == [{"k": 1}, {"k": 3}]


@pytest.mark.parametrize("folder", ["", "inner/"])
def test_a_shapefile_comes_with_its_neighbours(shared, tmp_path, folder):
    source = shared("data/b_tabular/shapefile/marcia_nodes/marcia_nodes.shp")
    members = {f"{folder}{p.name}": p.read_bytes() for p in source.parent.iterdir()}
    path = zipped(tmp_path / "a.zip", members)
    rows = proven(path, tmp_path / "v", unzipping("read_vector", coordinates={"geometry": "geometry"}))
    expected = geopandas.read_file(source)
    assert [row["hpa"] for row in rows] == expected["hpa"].tolist()
    assert shapely.from_wkb([row["geometry"] for row in rows]).tolist() == expected.geometry.tolist()


def test_a_geodatabase_in_a_zip_is_one_member(shared, tmp_path):
    source = shared("data/b_tabular/filegdb/multilayer.gdb")
    path = zipped(tmp_path / "a.zip", {f"x/multilayer.gdb/{p.name}": p.read_bytes() for p in source.iterdir()})
    dataset = unzipping("read_vector", {"layer": "lines"}, coordinates={"geometry": "geometry"})
    rows = proven(path, tmp_path / "v", dataset)
    assert [row["name"] for row in rows] == geopandas.read_file(source, layer="lines")["name"].tolist()


def test_what_was_unpacked_is_removed_when_the_table_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(table_zip.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = zipped(tmp_path / "a.zip", {"a.csv": CSV})
    source = open_source(path, "a.zip", unzipping())
    assert list((tmp_path / "scratch").iterdir())
    assert next(source.blocks({})).num_rows == 2
    del source
    assert not list((tmp_path / "scratch").iterdir())


def test_it_is_said_which_members_there_are_where_none_or_several_could_be_meant(tmp_path):
    two = zipped(tmp_path / "two.zip", {"a.csv": CSV, "b.csv": CSV})
    assert "2 members with .csv, .tsv, .txt: declare unzip.member; it holds 'a.csv', 'b.csv'" in refused(two)
    none = zipped(tmp_path / "none.zip", {"a.nc": b"x"})
    assert "no member with .csv, .tsv, .txt: declare unzip.member; it holds 'a.nc'" in refused(none)
    wrong = unzipping(unzip={"member": "*.cvs"})
    assert "no member is named by unzip.member ['*.cvs']; it holds 'a.csv', 'b.csv'" in refused(two, wrong)
    assert "the zip is empty" in refused(zipped(tmp_path / "nothing.zip", {}))


# Hostile archives


@pytest.mark.parametrize(
    "name",
    [
        "../a.csv",
        "x/../../a.csv",
        "/etc/a.csv",
        "C:/a.csv",
        "c:a.csv",
        "x\\..\\a.csv",
        "x//a.csv",
        "./a.csv",
        "a\n.csv",
    ],
)
def test_a_member_that_leads_out_of_the_zip_is_refused(tmp_path, name):
    path = zipped(tmp_path / "a.zip", {"good.csv": CSV, name: CSV})
    assert "has a path that could lead out of the zip" in refused(path, unzipping(unzip={"member": "good.csv"}))


def test_a_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "member 'a.csv' is a link" in refused(tmp_path / "a.zip")


def test_members_of_one_name_are_refused_in_whatever_case(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in ("a.csv", "a.csv", "b.csv", "B.csv"):
            archive.writestr(name, CSV)
    told = refused(tmp_path / "a.zip")
    assert "member 'a.csv' stands in it 2 times" in told
    assert "member 'b.csv' stands in it 2 times" in told


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.csv": CSV})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    path.write_bytes(data)
    assert "member 'a.csv' is encrypted" in refused(path)


def test_a_zip_within_a_zip_is_refused(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"a.csv": CSV}).read_bytes()
    path = zipped(tmp_path / "a.zip", {"inner.zip": inner})
    assert "a zip within a zip is not read" in refused(path, unzipping(unzip={"member": "*.zip"}))
    assert "it holds 'inner.zip'" in refused(path)


def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"a.csv": "k\n" + "1\n" * 400_000})
    monkeypatch.setattr(table_zip, "SMALL_BYTES", 100_000)
    assert "unpacks to more than 200 times its" in refused(path)


def test_more_bytes_than_the_catalog_allows_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.csv": CSV, "b.csv": CSV})
    told = refused(path, unzipping(unzip={"member": "*.csv", "most_bytes": 2 * len(CSV) - 1}))
    assert f"unpacks to {2 * len(CSV)} bytes; unzip.most_bytes allows {2 * len(CSV) - 1}" in told
    assert open_source(path, "a.zip", unzipping(unzip={"member": "*.csv", "most_bytes": 2 * len(CSV)})).names


def lying_about_its_size(path: Path, size: int) -> None:
    """The central directory says another size than the member has."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(mark)
        data[at + offset : at + offset + 4] = struct.pack("<I", size)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [3, 4_000_000_000])
def test_a_size_that_is_a_lie_is_found(tmp_path, size):
    path = zipped(tmp_path / "a.zip", {"a.csv": CSV})
    lying_about_its_size(path, size)
    assert "a.csv" in refused(path)


def test_bytes_are_counted_while_they_are_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"a.csv": "k\n" + "1\n" * 400_000})
    monkeypatch.setattr(table_zip, "refuse_unreadable", lambda *_: None)
    told = refused(path, unzipping(unzip={"most_bytes": 1000}))
    assert "unpacks to more than the 1000 bytes that unzip.most_bytes allows" in told
    monkeypatch.setattr(table_zip, "SMALL_BYTES", 100_000)
    assert "as bombs do" in refused(path)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-10], lambda d: b"", lambda d: b"no zip at all", lambda d: d[:40] + b"\xff" * 8 + d[48:]]
)
def test_a_broken_zip_is_refused_by_name(tmp_path, damage):
    path = zipped(tmp_path / "a.zip", {"a.csv": CSV * 50})
    path.write_bytes(damage(path.read_bytes()))
    assert "a.zip" in refused(path)


def test_a_darwin_core_archive_is_not_unzipped():
    with pytest.raises(ValueError, match="read_dwca opens the archive itself"):
        unzipping("read_dwca")
