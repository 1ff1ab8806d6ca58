"""Every check of the gate fails for its own reason, and then nothing that a reader can reach has changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal
from rimrep_assets.ports.descriptions import CHECKS
from rimrep_assets_tests.faulty_store import FaultyStore, Switch
from rimrep_assets_tests.worlds import (
    GRID,
    GRID_YAML,
    TABLE,
    TABLE_SCHEMA,
    TABLE_YAML,
    World,
    curated,
    write_day,
    write_table,
)

UNREAD = (f"{TABLE}/versions/", f"{TABLE}/staging/")


@pytest.fixture
def world(tmp_path) -> World:
    """A published table, and a new file in its source."""
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, TABLE_SCHEMA)
    world.attempt(TABLE).publish()
    write_table(world.source(TABLE), "b.csv", shift=1)
    return world


def reachable(world: World) -> dict[str, bytes]:
    return {p: b for p, b in world.files().items() if not p.removeprefix("public/").startswith(UNREAD)}


def refused(world: World, **attempt) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The message of the refusal, and the findings of the failed checks by name."""
    before = reachable(world)
    publication = world.attempt(TABLE, **attempt)
    candidate = publication.prepare(publication.stage()[1])
    with pytest.raises(GateRefusal) as told:
        publication.commit(candidate)
    assert reachable(world) == before
    return str(told.value), {c.name: c.findings for c in candidate.verdict.checks if not c.passed}


def test_no_check_is_without_a_word_about_what_it_asserts(world):
    publication = world.attempt(TABLE)
    candidate = publication.prepare(publication.stage()[1])
    assert [check.name for check in candidate.verdict.checks] == list(CHECKS)


def test_a_schema_that_differs_is_told_difference_by_difference(world):
    fields = [
        {"name": "station", "type": "string"},
        {"name": "lon", "type": "number"},
        {"name": "lat", "type": "number"},
        {"name": "time", "type": "datetime"},
        {"name": "temperature", "type": "integer"},
        {"name": "salinity", "type": "number"},
    ]
    world.write(f"datasets/{TABLE}/tableschema.json", {"fields": fields})
    world.write(f"datasets/{TABLE}/dataset.yaml", {**TABLE_YAML, "layout": {"sort_by": ["time"]}})
    world.commit("promise another schema")
    message, failed = refused(world)
    assert next(iter(failed)) == "schema_matches_catalog"
    for word in ("station", "site", "temperature", "salinity"):
        assert word in message
    assert "breaking" in message
    assert "additive" in message


def test_without_a_schema_the_proposed_one_lies_with_the_candidate(tmp_path):
    world = World(tmp_path)
    write_table(world.source(TABLE), "a.csv")
    world.describe(TABLE_YAML, None)
    publication = world.attempt(TABLE)
    candidate = publication.prepare(publication.stage()[1])
    with pytest.raises(GateRefusal, match=r"no tableschema\.json"):
        publication.commit(candidate)
    proposed = json.loads(world.store.read(f"{TABLE}/versions/{candidate.version}/tableschema.json"))
    assert {f["name"]: f["type"] for f in proposed["fields"] if f["name"] in ("site", "lon", "time")} == {
        "site": "string",
        "lon": "number",
        "time": "datetime",
    }


def test_a_datapackage_against_the_profile_is_told_key_by_key(world):
    package = curated(TABLE)
    del package["title"]
    package["licenses"] = []
    world.write(f"datasets/{TABLE}/datapackage.json", package)
    world.commit("forget things")
    message, failed = refused(world)
    assert "datapackage_valid" in failed
    assert "title is missing" in message
    assert "licenses" in message


def test_an_extent_that_makes_no_sense_is_found_in_the_datapackage(world):
    world.write(f"datasets/{TABLE}/dataset.yaml", {**TABLE_YAML, "coordinates": {"t": "time"}})
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, spatial={"bbox": [140, -10, 150, -20]}))
    world.commit("south above north")
    message, failed = refused(world)
    assert "datapackage_valid" in failed
    assert "south -10 is above north -20" in message


def test_an_item_with_a_bad_bbox_fails_before_anything_is_published(world, monkeypatch):
    from rimrep_assets.ports import descriptions

    real = descriptions.item_from
    monkeypatch.setattr(descriptions, "item_from", lambda *a: {**real(*a), "bbox": [150, -20, 140, -300]})
    _, failed = refused(world)
    assert next(iter(failed)) == "stac_item_valid"


def test_a_provider_that_cannot_open_the_data_fails_the_entry(world, monkeypatch):
    from rimrep_assets.ports import table_data

    monkeypatch.setattr(table_data, "write_sample", lambda data, sample: sample.write_bytes(b"not parquet"))
    _, failed = refused(world)
    assert "pygeoapi_entry_valid" in failed


def test_a_place_that_cannot_be_written_is_found_before_the_commit(world):
    class NoRightsToStac(FaultyStore):
        def write(self, path: str, data: bytes) -> None:
            if path.startswith("stac/"):
                raise DefinitionError(f"the store refuses access to {path!r}")
            self._real.write(path, data)

    _, failed = refused(world, store=lambda real: NoRightsToStac(real, Switch()))
    assert failed.keys() >= {"projection_possible"}


def test_a_header_of_pygeoapi_that_people_broke_is_found_before_the_commit(world):
    world.store.write("pygeoapi/header.yaml", b"- not a mapping")
    message, failed = refused(world)
    assert "projection_possible" in failed
    assert "header.yaml is no YAML mapping" in message


def test_warnings_are_told_and_do_not_stop(world):
    publication = world.attempt(TABLE)
    candidate = publication.prepare(publication.stage()[1])
    warned = {c.name for c in candidate.verdict.checks if not c.passed}
    assert warned == {"definition_of_done"}
    assert publication.commit(candidate).release == 2


def test_a_missing_day_warns(tmp_path):
    from rimrep_assets_tests.ports.test_faults import Scene
    from rimrep_assets_tests.worlds import GRID

    scene = Scene(tmp_path, "grid append")
    (scene.world.source(GRID) / "heat_2024-01-08.nc").unlink()
    publication = scene.world.attempt(GRID)
    candidate = publication.prepare(publication.stage()[1])
    found = {c.name: c for c in candidate.verdict.checks}
    assert not found["complete"].passed
    assert any("2024-01-08" in finding for finding in found["complete"].findings)
    assert publication.commit(candidate).release == 2


def test_a_value_changed_in_the_store_between_writing_and_reading_stops_the_release(world):
    """The proof reads what the store gives back, not what was handed to it."""

    class Corrupts(FaultyStore):
        def download(self, path, local):
            self._real.download(path, local)
            if path.endswith("data.parquet") and "/2-" in path:
                import pyarrow.compute as pc
                import pyarrow.parquet as pq

                table = pq.read_table(local)
                index = table.schema.get_field_index("temperature")
                warmer = pc.add(table["temperature"], 0.001)
                pq.write_table(table.set_column(index, table.schema.field("temperature"), warmer), local)
            return local

    from rimrep_assets.domain.errors import DataError

    before = reachable(world)
    with pytest.raises(DataError, match="does not hold the bytes that were written"):
        world.attempt(TABLE, store=lambda real: Corrupts(real, Switch())).publish()
    assert reachable(world) == before


def test_our_own_reader_broken_is_found_by_the_one_that_shares_no_code(world, monkeypatch):
    """Both of our readings agree on the wrong value; pandas does not."""
    from rimrep_assets.domain import table_csv

    assert hasattr(table_csv, "__doc__")
    import pyarrow.csv as arrow_csv

    real = arrow_csv.open_csv

    def wrong(source, *arguments, **options):
        import io

        data = source.read() if hasattr(source, "read") else open(source, "rb").read()  # noqa: SIM115, PTH123
        return real(io.BytesIO(data.replace(b"26.75", b"26.57")), *arguments, **options)

    monkeypatch.setattr(arrow_csv, "open_csv", wrong)
    write_table(world.source(TABLE), "c.csv")
    message, failed = refused(world)
    assert next(iter(failed)) == "values_match_source"
    assert "26.75" in message


def test_cells_that_are_not_of_their_type_are_told_file_by_file(world):
    """Not those of the last file alone."""
    for name in ("c.csv", "d.csv"):
        path = world.source(TABLE) / name
        write_table(path.parent, name)
        header, *rows = path.read_text().splitlines()
        at = header.split(",").index("temperature")
        cells = [row.split(",") for row in rows]
        path.write_text("\n".join([header, *(",".join([*c[:at], f"warm {name}", *c[at + 1 :]]) for c in cells)]) + "\n")
    publication = world.attempt(TABLE)
    with pytest.raises(DataError, match="column 'temperature' has more than one type") as told:
        publication.prepare(publication.stage()[1])
    for name in ("a.csv", "b.csv"):
        (world.source(TABLE) / name).unlink()
    findings = refused(world)[1]["schema_matches_catalog"]
    (finding,) = [words for words in findings if "column 'temperature' is string in the data" in words]
    for words in (str(told.value), finding):
        for name in ("c.csv", "d.csv"):
            assert f"{name}: row 0: 'warm {name}', row 1: 'warm {name}'" in words
            assert f"row 4: 'warm {name}', and 1 more" in words


@pytest.mark.parametrize("kind", ["parquet", "zarr"])
def test_the_schema_that_the_data_has_can_be_copied_from_where_the_refusal_says_it_is(tmp_path, kind):
    world = World(tmp_path)
    if kind == "parquet":
        dataset, about = TABLE, TABLE_YAML
        write_table(world.source(TABLE), "a.csv")
    else:
        dataset, about = GRID, GRID_YAML
        write_day(world.source(GRID), 0)
    world.describe(about, None)
    with pytest.raises(GateRefusal) as told:
        world.attempt(dataset).publish()
    found = re.search(r"copy its schema from (\S+) to (\S+) in the catalog", str(told.value))
    world.write(found[2] + Path(found[1]).name, json.loads(Path(found[1]).read_text()))
    world.commit("take the schema that the data has")
    assert world.attempt(dataset).publish().release == 1
