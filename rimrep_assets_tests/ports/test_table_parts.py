"""Tables in parts in the store: growing, shrinking, the stable address, and everything that names or opens them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest

from rimrep_assets.domain.release import StoredFile, table_objects
from rimrep_assets.ports.opening import Opener
from rimrep_assets.ports.reconciliation import Reconciliation
from rimrep_assets.ports.verification import verify
from rimrep_assets.service.pygeoapi_providers import FeatureProvider
from rimrep_assets_tests.faulty_store import FaultyStore, Switch, stable_table
from rimrep_assets_tests.ports.test_faults import PARTS_YAML, expected_rows
from rimrep_assets_tests.worlds import TABLE, TABLE_SCHEMA, World, write_table

ONE = ["data.parquet"]


def in_parts(number: int) -> list[str]:
    return ["data.parquet/_metadata", *(f"data.parquet/part-{n:05d}.parquet" for n in range(number))]


@pytest.fixture
def world(tmp_path) -> World:
    """A described table of one small file; objects end with their first row group."""
    made = World(tmp_path)
    write_table(made.source(TABLE), "a.csv")
    made.describe(PARTS_YAML, TABLE_SCHEMA)
    return made


@pytest.fixture
def three(world) -> World:
    """A published table in three parts, of one site each."""
    for number, site in enumerate("bc"):
        write_table(world.source(TABLE), f"{site}.csv", rows=800, shift=10 * (number + 1), site=site)
    write_table(world.source(TABLE), "a.csv", rows=800, site="a")
    publish(world)
    return world


def publish(world: World):
    record = world.attempt(TABLE).publish()
    assert record is not None
    return record


def stable(world: World) -> list[str]:
    """What lies at the stable address."""
    folder = public(world)
    found = [folder / "data.parquet", *(folder / "data.parquet").rglob("*")]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def public(world: World) -> Path:
    return Path(world.store_url) / "public" / TABLE


def test_a_table_goes_from_one_object_to_parts_grows_shrinks_and_comes_back(world):
    source = world.source(TABLE)
    frames = {"a.csv": write_table(source, "a.csv")}
    steps = [
        ({"b.csv": 2500}, in_parts(3)),
        ({"c.csv": 1500}, in_parts(5)),
        ({"b.csv": 10}, in_parts(2)),
        ({"c.csv": 10}, ONE),
        ({"b.csv": 900, "c.csv": 900}, in_parts(2)),
    ]
    publish(world)
    assert stable(world) == ONE
    for number, (files, expected) in enumerate(steps, start=1):
        for name, rows in files.items():
            frames[name] = write_table(source, name, rows=rows, shift=number, site=name)
        record = publish(world)
        assert stable(world) == expected
        assert stable_table(Path(world.store_url), TABLE) == expected_rows(*frames.values())
        names = [stored.path.removeprefix(f"{TABLE}/") for stored in table_objects(record.objects).values()]
        own = f"versions/{record.version}/"
        assert sorted(names) == sorted(own + name for name in expected)
        for stored in table_objects(record.objects).values():
            assert StoredFile.of(stored.path, world.store.read(stored.path)) == stored
        assert Reconciliation(world.store).find() == []
        assert verify(world.projector(TABLE), record, stable=True).differences == []
        assert world.attempt(TABLE).publish() is None


def test_the_incremental_parts_are_those_of_a_clean_rebuild(three, tmp_path):
    write_table(three.source(TABLE), "d.csv", rows=30, shift=50, site="b")
    (three.source(TABLE) / "c.csv").unlink()
    publish(three)
    clean = World(tmp_path / "clean")
    for path in three.source(TABLE).iterdir():
        (clean.source(TABLE) / path.name).write_bytes(path.read_bytes())
    clean.describe(PARTS_YAML, TABLE_SCHEMA)
    publish(clean)
    assert stable(three) == in_parts(2)
    for name in stable(three):
        assert (public(three) / name).read_bytes() == (public(clean) / name).read_bytes()


def test_a_metadata_change_touches_no_part(three):
    three.describe(PARTS_YAML, TABLE_SCHEMA, title="A better title")
    before = {o.path: o.sha256 for o in three.projector(TABLE).log.newest().objects if "data.parquet" in o.path}
    switch = Switch()
    record = three.attempt(TABLE, store=lambda real: FaultyStore(real, switch)).publish()
    assert [call for call in switch.calls if "data.parquet" in call] == []
    assert {o.path: o.sha256 for o in record.objects if "data.parquet" in o.path} == before
    assert record.datapackage["rimrep"]["parts"] == [n.rpartition("/")[2] for n in [*in_parts(3)[1:], in_parts(3)[0]]]


DAMAGE = {
    "a missing part": lambda folder: (folder / "part-00001.parquet").unlink(),
    "missing footers": lambda folder: (folder / "_metadata").unlink(),
    "a cut part": lambda folder: (folder / "part-00001.parquet").write_bytes(b"PAR1"),
    "a foreign part": lambda folder: (folder / "part-00003.parquet").write_bytes(b"PAR1"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_missing_or_foreign_at_the_stable_address_is_named_and_mended(three, kind):
    good = three.files()
    DAMAGE[kind](public(three) / "data.parquet")
    reconciliation = Reconciliation(three.store)
    (found,) = reconciliation.find()
    name = {"missing footers": "_metadata", "a foreign part": "part-00003.parquet"}.get(kind, "part-00001.parquet")
    assert f"{TABLE}/data.parquet/{name}" in found.finding
    record = three.projector(TABLE).log.newest()
    assert any(name in problem for problem in verify(three.projector(TABLE), record, stable=True).differences)
    reconciliation.fix(reconciliation.find())
    assert three.files() == good


@pytest.mark.parametrize("where", ["stable", "own"])
@pytest.mark.parametrize("name", ["_metadata", "part-00002.parquet"])
def test_one_changed_byte_of_a_part_is_found(three, where, name):
    record = three.projector(TABLE).log.newest()
    own = public(three) / "versions" / record.version
    path = (public(three) if where == "stable" else own) / "data.parquet" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    (problem,) = verify(three.projector(TABLE), record, stable=True).differences
    assert problem.startswith(path.relative_to(Path(three.store_url) / "public").as_posix())


def test_who_reads_through_the_footers_never_meets_parts_of_another_release(three):
    """At every write of a publication: the footers are absent, or all rows of one release are read through them."""
    seen = []

    def look(number: int, call: str) -> None:
        folder = public(three) / "data.parquet"
        if (folder / "_metadata").exists():
            seen.append(tuple(sorted(pads.parquet_dataset(folder / "_metadata").to_table()["fid"].to_pylist())))

    before = tuple(sorted(geopandas.read_parquet(public(three) / "data.parquet").fid))
    write_table(three.source(TABLE), "b.csv", rows=700, shift=60, site="bb")
    (three.source(TABLE) / "c.csv").unlink()
    three.attempt(TABLE, store=lambda real: FaultyStore(real, Switch(before=look))).publish()
    after = tuple(sorted(geopandas.read_parquet(public(three) / "data.parquet").fid))
    assert set(seen) == {before, after}
    assert (len(before), len(after)) == (2400, 1500)


def test_the_documents_name_the_folder_and_its_parts(three):
    record = three.projector(TABLE).log.newest()
    own = f"{three.store_url}/public/{TABLE}/versions/{record.version}/data.parquet"
    asset = record.stac_item["assets"]["data"]
    assert asset["href"] == own
    assert asset["type"] == "application/vnd.apache.parquet"
    assert asset["file:size"] == sum(path.stat().st_size for path in Path(own).iterdir())
    assert "file:checksum" not in asset
    assert f'open_dataset("{own}")' in asset["description"]
    told: dict = {}
    exec(asset["description"].split("```python\n")[1].split("\n```")[0], told)
    assert len(told["table"]) == 2400
    assert record.pygeoapi_entry["providers"][0]["data"] == {"source": f"{own}/_metadata"}
    assert record.datapackage["resources"][0]["path"] == "data.parquet"
    assert "hash" not in record.datapackage["resources"][0]


@pytest.mark.long
def test_frictionless_reads_all_parts_of_the_package_beside_the_release_and_at_the_stable_address(three):
    from frictionless import Package

    record = three.projector(TABLE).log.newest()
    for folder in (public(three), public(three) / "versions" / record.version):
        command = [sys.executable, "-m", "frictionless", "validate", "datapackage.json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert len(Package(str(folder / "datapackage.json")).resources[0].read_rows()) == 2400


def test_the_io_managers_dataset_reads_only_the_parts_that_it_needs(three):
    record = three.projector(TABLE).log.newest()
    dataset = three.catalog.at(three.catalog.resolve()).dataset(TABLE)
    data = Opener(three.store, dataset, three.settings.s3).data_of(record)
    assert data.count_rows() == 2400
    folder = public(three) / "versions" / record.version / "data.parquet"
    for number in (0, 2):
        (folder / f"part-{number:05d}.parquet").unlink()
    assert data.to_table(filter=pc.field("site") == "b").num_rows == 800


def provider_of(world: World, **changes) -> FeatureProvider:
    (definition,) = world.projector(TABLE).log.newest().pygeoapi_entry["providers"]
    return FeatureProvider({**definition, **changes})


def test_pygeoapi_serves_all_parts_as_one_collection_in_their_order(three):
    record = three.projector(TABLE).log.newest()
    frame = geopandas.read_parquet(record.datapackage["rimrep"]["addresses"]["data"])
    provider = provider_of(three)
    assert provider.query(resulttype="hits")["numberMatched"] == 2400
    page = provider.query(offset=790, limit=20)
    assert [feature["id"] for feature in page["features"]] == frame.fid[790:810].tolist()
    box = (147.6, -18.9, 147.7, -18.8)
    inside = frame.cx[box[0] : box[2], box[1] : box[3]]
    assert provider.query(bbox=box, limit=1)["numberMatched"] == len(inside) > 0
    when = "2024-04-01T00:00:00Z/2024-04-20T00:00:00Z"
    among = frame[(frame.time >= when.split("/")[0]) & (frame.time <= when.split("/")[1])]
    assert provider.query(datetime_=when)["numberMatched"] == len(among) > 0
    last = frame.iloc[-1]
    assert provider.get(last.fid)["properties"]["temperature"] == last.temperature
    numbered = provider_of(three, id_field=None)
    assert [f["id"] for f in numbered.query(offset=1599, limit=2)["features"]] == [1599, 1600]
    assert numbered.get("1600")["properties"]["fid"] == frame.fid[1600]


def test_pygeoapi_opens_no_part_that_cannot_hold_the_answer(three):
    folder = Path(three.projector(TABLE).log.newest().datapackage["rimrep"]["addresses"]["data"])
    frame = geopandas.read_parquet(folder / "part-00001.parquet")
    provider = provider_of(three)
    for number in (0, 2):
        (folder / f"part-{number:05d}.parquet").write_bytes(b"not to be read")
    assert provider.query(properties=[("site", "b")], limit=1)["numberMatched"] == 800
    when = f"{frame.time.min().isoformat()}/{frame.time.max().isoformat()}".replace("+00:00", "Z")
    assert len(provider.query(datetime_=when, limit=1000)["features"]) == 800


def test_limited_data_in_parts_lies_in_its_own_bucket_alone(tmp_path):
    world = World(tmp_path)
    for site in ("a", "b"):
        write_table(world.source(TABLE), f"{site}.csv", rows=800, site=site)
    world.describe({**PARTS_YAML, "access": "limited", "data_sharing_agreement": "DSA-1"}, TABLE_SCHEMA)
    publish(world)
    files = [path for path in world.files() if "data.parquet" in path]
    assert len(files) == 6
    assert {path.split("/")[0] for path in files} == {"limited-access"}


def test_the_objects_of_a_table_are_known_by_their_paths():
    paths = ["x/versions/1-a-1/data.parquet/part-00000.parquet", "x/versions/1-a-1/data.parquet/_metadata"]
    others = ["x/versions/1-a-1/rows.parquet", "x/versions/1-a-1/data.parquet.txt", "x/versions/1-a-1/datapackage.json"]
    stored = [StoredFile.of(path, b"") for path in [*paths, *others]]
    assert {name: o.path for name, o in table_objects(stored).items()} == {
        "/part-00000.parquet": paths[0],
        "/_metadata": paths[1],
    }
    single = StoredFile.of("x/versions/1-a-1/data.parquet", b"")
    assert table_objects([single]) == {"": single}


def test_the_size_of_objects_decides_over_the_data_of_tables_alone(three):
    """Another size makes the table again, and the grids of the catalog stay as they are."""
    from rimrep_assets.domain.plan import data_fingerprint

    dataset = three.catalog.at(three.catalog.resolve()).dataset(TABLE)
    larger = dataset.model_copy(update={"layout": dataset.layout.model_copy(update={"object_bytes": 10**9})})
    assert data_fingerprint(dataset, None) != data_fingerprint(larger, None)
    three.describe({**PARTS_YAML, "layout": {**PARTS_YAML["layout"], "object_bytes": 10**9}}, TABLE_SCHEMA)
    publish(three)
    assert stable(three) == ONE
    assert len(pd.read_parquet(public(three) / "data.parquet")) == 2400
    assert json.loads((public(three) / "datapackage.json").read_text())["rimrep"].get("parts") is None
