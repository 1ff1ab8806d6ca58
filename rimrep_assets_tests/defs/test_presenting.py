"""What a run shows in the UI: pictures by address, tables, receipt, changes, links; and nothing of limited data."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from rimrep_assets.definitions import definitions_at
from rimrep_assets.defs.graph import selection_for
from rimrep_assets_tests.homes import take_proposed
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

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FILES = "http://127.0.0.1:8091"


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RIMREP_FILES_URL", FILES)
    monkeypatch.setenv("RIMREP_PYGEOAPI_URL", "http://127.0.0.1:5051")
    return World(tmp_path)


def shown(world: World, dataset: str) -> dict[str, dict[str, dg.MetadataValue]]:
    """Asset -> metadata of one run of everything of ``dataset``; checks under their name."""
    commit = world.catalog.resolve()
    keys = selection_for([world.catalog.at(commit).dataset(dataset)])
    job = definitions_at(world.settings, commit).resolve_implicit_job_def_def_for_assets(keys)
    done = job.execute_in_process(asset_selection=keys, raise_on_error=False, run_config=QUIET)
    found = {
        e.asset_key.path[-1]: dict(e.step_materialization_data.materialization.metadata)
        for e in done.get_asset_materialization_events()
    }
    for check in done.get_asset_check_evaluations():
        found[check.check_name] = {**check.metadata, "description": dg.MetadataValue.text(check.description)}
    return found


def table(world: World, **more) -> None:
    write_table(world.source(TABLE), "a.csv")
    world.describe({**TABLE_YAML, **more}, TABLE_SCHEMA)


def test_a_release_shows_its_picture_by_address_and_every_link(world):
    table(world)
    told = shown(world, TABLE)["release"]
    record = world.projector(TABLE).log.newest()
    picture = f"{FILES}/public/{TABLE}/versions/{record.version}/quicklook.png"
    assert told["quicklook"].value == f"![quicklook]({picture})"
    assert (Path(world.store_url) / "public" / record.quicklook.path).read_bytes().startswith(b"\x89PNG")
    assert told["pygeoapi page"].value == f"http://127.0.0.1:5051/collections/{TABLE}"
    assert isinstance(told["pygeoapi page"], dg.UrlMetadataValue)
    assert told["datapackage"].value == f"{FILES}/public/{TABLE}/datapackage.json"
    assert told["changed"].value == "- first release, of 1 source file"


def test_without_a_web_address_the_path_is_shown_and_no_broken_picture(world, monkeypatch):
    monkeypatch.delenv("RIMREP_FILES_URL")
    table(world)
    told = shown(world, TABLE)["release"]["quicklook"]
    assert "![" not in told.value and Path(told.value).is_file()


def test_facts_are_columns_counts_and_extents(world):
    table(world)
    told = shown(world, TABLE)["facts"]
    columns = {c.name: c for c in told["dagster/column_schema"].value.columns}
    assert columns["temperature"].type == "number"
    assert "26.5 to 27.75" in columns["temperature"].description
    assert "degree_Celsius" in columns["temperature"].description
    assert told["dagster/row_count"].value == 6
    assert told["bbox"].value == [147.6, -18.85, 147.65, -18.8]


def test_facts_of_a_grid_are_tables_of_dimensions_and_variables(world):
    for day in range(3):
        write_day(world.source(GRID), day)
    world.describe(GRID_YAML, None)
    take_proposed(world, GRID)
    told = shown(world, GRID)
    dimensions, variables = told["facts"]["dimensions"].value, told["facts"]["variables"].value
    assert "| time | 3 | 2024-01-01T12:00:00Z | 2024-01-03T12:00:00Z | P1D |" in dimensions
    assert "| heat | time × lat × lon | int16 | degree_Celsius_weeks | 0.1 | 3.4 | 42 | 3 | 4 × 3 × 5 |" in variables
    assert told["release"]["quicklook"].value.startswith("![quicklook](")


def test_the_receipt_is_told_in_words(world):
    table(world)
    told = shown(world, TABLE)["datapackage"]
    assert told["receipt"].value.startswith("1 source files: ")
    assert told["receipt"].value.endswith("none differs")
    assert "| values_match_source | ✓ |" in told["gate"].value


def test_a_second_release_says_what_changed(world):
    table(world)
    shown(world, TABLE)
    write_table(world.source(TABLE), "b.csv", rows=4, shift=1)
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, title="Another title"))
    world.commit("another title")
    told = shown(world, TABLE)["release"]["changed"].value
    assert "1 new source files" in told
    assert "+4 rows" in told
    assert "description changed: title" in told
    assert "end was 2024-01-01T04:00:00Z, is 2024-01-11T02:00:00Z" in told


def test_a_release_of_words_alone_shows_the_picture_of_the_data_that_it_describes(world):
    table(world)
    shown(world, TABLE)
    first = world.projector(TABLE).log.newest()
    world.write(f"datasets/{TABLE}/datapackage.json", curated(TABLE, title="Another title"))
    world.commit("another title")
    shown(world, TABLE)
    second = world.projector(TABLE).log.newest()
    assert second.release == 2
    assert second.quicklook == first.quicklook
    assert second.quicklook in second.objects


def test_a_failed_check_says_what_does_not_hold_and_what_to_do(world):
    fields = [f if f["name"] != "site" else {**f, "name": "station"} for f in TABLE_SCHEMA["fields"]]
    write_table(world.source(TABLE), "a.csv")
    world.describe({**TABLE_YAML, "layout": {"sort_by": ["time"]}}, {"fields": fields})
    told = shown(world, TABLE)["schema_matches_catalog"]
    assert told["description"].value.startswith("It does not hold that the data has the columns")
    assert "station" in told["description"].value
    assert "ask the provider" in told["what to do"].value


def test_data_that_cannot_be_drawn_is_released_without_a_picture(world, monkeypatch):
    from rimrep_assets.domain import quicklook

    def broken(*_):
        raise ValueError("cannot be drawn")

    monkeypatch.setattr(quicklook, "_series", broken)
    table(world)
    assert shown(world, TABLE)["release"]["quicklook"].value == "none: the data could not be drawn"
    assert world.projector(TABLE).log.newest().quicklook is None


def test_of_limited_data_no_picture_and_no_value_is_shown_and_none_lies_in_public(world):
    table(world, access="limited", data_sharing_agreement="DSA-7")
    told = shown(world, TABLE)
    text = json.dumps({asset: {name: str(value) for name, value in many.items()} for asset, many in told.items()})
    assert "![" not in text
    assert "26.5" not in text and "27.75" not in text and "Davies Reef" not in text
    assert told["release"]["quicklook"].value.startswith(f"{world.store_url}/limited-access/{TABLE}/")
    assert FILES not in text
    public = Path(world.store_url) / "public"
    assert list(public.rglob("*.png")) == []
