"""Silent corruptions of tables from the field, each committed by our own code, and each stopped before publication.

``table_slips`` holds them. A release is the only thing that readers see, so stopped means: no new record, and not a byte
changed at any address that is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pytest
import shapely

from rimrep_assets.domain.errors import RimrepError
from rimrep_assets_tests.homes import Home, take_proposed
from rimrep_assets_tests.table_history import no_pictures
from rimrep_assets_tests.table_slips import COMMA, DIGESTS, MADE, POINTS, POLYGONS, SCHEMA, SECOND, SLIPS, SYDNEY
from rimrep_assets_tests.worlds import TABLE, TABLE_YAML, World

NUMBERS = ("lon", "lat", "temperature", "depth")
TABLES: dict[str, dict[str, Any]] = {
    POINTS: {
        **TABLE_YAML,
        "convert": [{"read_csv": {"na": ["no data", "-999"], "timezone": "Australia/Brisbane"}}],
        "layout": {"sort_by": ["site", "time"]},
    },
    COMMA: {
        **TABLE_YAML,
        "convert": [{"read_csv": {"delimiter": ";", "decimal": ",", "timezone": "Australia/Brisbane"}}],
        "layout": {"sort_by": ["geometry"]},
    },
    SYDNEY: {
        **TABLE_YAML,
        "convert": [{"read_csv": {"na": ["no data", "-999"], "timezone": "Australia/Sydney"}}],
    },
    POLYGONS: {
        **TABLE_YAML,
        "source": {**TABLE_YAML["source"], "include": "*.gpkg"},
        "coordinates": {"geometry": "geometry"},
        "convert": [{"read_vector": {}}],
        "layout": {},
    },
}
SCHEMA_OF_POINTS = {
    "fields": [
        {"name": "site", "type": "string"},
        *({"name": name, "type": "number"} for name in ("lon", "lat")),
        {"name": "time", "type": "datetime"},
        *({"name": name, "type": "number"} for name in ("temperature", "depth")),
        {"name": "note", "type": "string"},
    ]
}


def write(world: World, table: str, name: str, shift: int) -> None:
    """Twelve rows with what goes wrong in the field: ids with zeros, an empty column, gaps, long texts, umlauts."""
    numbers = range(12)
    if table == POLYGONS:
        boxes = [shapely.box(145 + n, -20 + shift, 145.5 + n, -19.25 + shift) for n in numbers]
        frame = geopandas.GeoDataFrame({"zone": [f"{n:03d}" for n in numbers]}, geometry=boxes, crs=7844)
        frame.to_file(world.source(TABLE) / f"{name}.gpkg", layer="zones")
        return
    frame = pd.DataFrame(
        {
            "site": [("007", "Zoë", "012")[n % 3] for n in numbers],
            "lon": [145.1 + n for n in numbers],
            "lat": [-20.1 + n + shift / 10 for n in numbers],
            "time": [f"2024-04-{6 + shift:02d} {n:02d}:30:00" for n in numbers],
            "temperature": [12.3 + n + shift for n in numbers],
            "depth": "",
            "note": ["a long way to tell " * 20 + str(n) for n in numbers],
        }
    )
    if table != COMMA:
        frame["temperature"] = frame["temperature"].astype(object)
        frame.loc[3, "temperature"] = -999
        frame.loc[5, "temperature"] = "no data"
        frame.to_csv(world.source(TABLE) / f"{name}.csv", index=False)
    else:
        frame.to_csv(world.source(TABLE) / f"{name}.csv", index=False, sep=";", decimal=",")


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> Callable[[str], World]:
    """``homes(table)`` is a world with one file published, as it was before any test."""
    made: dict[str, Home] = {}

    def world(table: str) -> World:
        if table not in made:
            made[table] = published(tmp_path_factory.mktemp("home"), table)
        return made[table].world()

    with no_pictures():
        yield world


def published(root: Path, table: str) -> Home:
    home = Home(root)
    home.root.mkdir()
    world = World(home.root)
    write(world, table, "first", shift=0)
    world.describe(TABLES[table], None if table == POLYGONS else SCHEMA_OF_POINTS, temporal=None)
    if table == POLYGONS:
        take_proposed(world, TABLE)
    record = world.attempt(TABLE).publish()
    assert record is not None and record.release == 1
    home.keep()
    return home


def seen_by_readers(world: World) -> dict[str, bytes]:
    """Everything at addresses that are read: not the candidates and stagings of attempts."""
    return {n: data for n, data in world.files().items() if "/versions/" not in n and "/staging/" not in n}


def stopped_by(findings: list[str], table: str) -> set[str]:
    """What has seen something wrong, by its words."""
    made = "bbox|fid" if table == POLYGONS else "geometry|bbox|fid"
    found = set()
    for finding in (f for f in findings if "more differences" not in f):
        if finding.startswith("schema_matches_catalog"):
            found.add(SCHEMA)
        elif "second reader" in finding:
            found.add(SECOND)
        elif re.search(rf"column '({made})'|the published CRS", finding):
            found.add(MADE)
        elif finding.startswith("values_match_source"):
            found.add(DIGESTS)
    return found


@pytest.mark.parametrize("slip", [pytest.param(slip, id=slip.name.replace(" ", "-")) for slip in SLIPS])
def test_a_slip_of_our_own_is_stopped_before_publication_and_the_next_run_is_right(homes, slip, monkeypatch):
    world = homes(slip.table)
    before = seen_by_readers(world)
    write(world, slip.table, "second", shift=1)
    with monkeypatch.context() as patched, pytest.raises(RimrepError) as refusal:
        slip.patch(patched)
        world.attempt(TABLE).publish()
    missing = [pattern for pattern in slip.told if not re.search(pattern, str(refusal.value))]
    assert missing == [], f"{missing} is not in: {refusal.value}"
    assert slip.by in stopped_by(list(refusal.value.problems), slip.table), str(refusal.value)
    assert world.projector(TABLE).log.numbers() == [1]
    assert seen_by_readers(world) == before
    if slip.table == SYDNEY:
        with pytest.raises(RimrepError, match="shows this time twice or never"):
            world.attempt(TABLE).publish()
        return
    assert world.attempt(TABLE).publish().release == 2
    assert len(geopandas.read_parquet(Path(world.store_url) / "public" / TABLE / "data.parquet")) == 24


def test_the_table_holds_at_least_30_corruptions_under_names_of_their_own():
    assert len({slip.name for slip in SLIPS}) == len(SLIPS) >= 30
    assert {slip.by for slip in SLIPS} == {DIGESTS, SECOND, MADE, SCHEMA}
    assert all(slip.told for slip in SLIPS)
