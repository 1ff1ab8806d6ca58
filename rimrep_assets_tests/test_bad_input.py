"""Wrong input of every kind: one clear error that names all of it, and readers see what they saw before.

Here belong catalogs and files as people really break them, with an earlier release in place. Not here: what each
reader says in detail (``domain``), or servers that are down (``test_command_line``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

from rimrep_assets_tests.homes import Home, publish_both
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

Break = Callable[[World], None]
HEADER = "site,long,lat,time,temperature\n"
ROW = "Davies Reef,147.6,-18.8,2024-01-01 09:00:00,26.5\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    made = Home(tmp_path_factory.mktemp("bad"))
    publish_both(World(made.root))
    made.keep()
    return made


@pytest.fixture
def world(home) -> World:
    return home.world()


def seen_by_readers(world: World) -> dict[str, bytes]:
    """Every object outside ``staging/`` and of versions those that a release has; Icechunk by its references.

    Icechunk's snapshots, manifests and chunks are content that no reader reaches before a reference names it.
    """
    released = {world.projector(dataset).log.newest().version for dataset in (TABLE, GRID)}
    found = {f"{GRID}@{reference}": snapshot.encode() for reference, snapshot in icechunk_references(world).items()}
    for path, data in world.files().items():
        version = path.partition("/versions/")[2].partition("/")[0]
        if "/staging/" not in path and "/data.icechunk/" not in path and (not version or version in released):
            found[path] = data
    return found


def icechunk_references(world: World) -> dict[str, str]:
    """What readers may name: the branch ``main`` and all tags."""
    import icechunk

    storage = icechunk.local_filesystem_storage(f"{world.store_url}/public/{GRID}/data.icechunk")
    repository = icechunk.Repository.open(storage)
    tags = {tag: repository.lookup_tag(tag) for tag in repository.list_tags()}
    return {"main": repository.lookup_branch("main"), **tags}


def catalog(dataset: dict[str, Any], **changed: Any) -> Break:
    """The dataset's own description with other keys; None removes one."""

    def change(world: World) -> None:
        yaml_ = {k: v for k, v in {**dataset, **changed}.items() if v is not None}
        world.write(f"datasets/{dataset['id']}/dataset.yaml", yaml_)
        world.commit()

    return change


def texts(**files: str) -> Break:
    """The table's folder with these texts in place of its own."""

    def change(world: World) -> None:
        for name, text in files.items():
            (world.catalog_folder / "datasets" / TABLE / name).resolve().write_text(text)
        world.commit()

    return change


def file(dataset: str, name: str, content: bytes | str) -> Break:
    def change(world: World) -> None:
        data = content.encode() if isinstance(content, str) else content
        (world.source(dataset) / name).write_bytes(data)

    return change


def both(*changes: Break) -> Break:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


def no_files(dataset: str) -> Break:
    def change(world: World) -> None:
        for path in world.source(dataset).iterdir():
            path.unlink()

    return change


def truncated(name: str) -> Break:
    def change(world: World) -> None:
        path = write_day(world.source(GRID), 5, name=name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


def other_units(world: World) -> None:
    """A day in Kelvin, and another one on a grid of another size."""
    day = write_day(world.source(GRID), 3)
    with xr.open_dataset(day, decode_cf=False) as opened:
        changed = opened.load()
    changed["heat"].attrs["units"] = "kelvin_weeks"
    changed.to_netcdf(day)
    day = write_day(world.source(GRID), 4)
    with xr.open_dataset(day, decode_cf=False) as opened:
        smaller = opened.isel(lon=slice(0, 3)).load()
    smaller.to_netcdf(day)


def schema(**types: str) -> Break:
    def change(world: World) -> None:
        fields = [{**f, "type": types.get(f["name"], f["type"])} for f in TABLE_SCHEMA["fields"]]
        world.write(f"datasets/{TABLE}/tableschema.json", {"fields": fields})
        world.commit()

    return change


CASES: dict[str, tuple[str, Break, int, list[str]]] = {
    "two misspelt keys": (
        TABLE,
        catalog(TABLE_YAML, acess="public", access=None, layuot={}),
        2,
        ["'acess'", "did you mean 'access'?", "'layuot'", "did you mean 'layout'?", "access is missing"],
    ),
    "a misspelt step and option": (
        TABLE,
        catalog(
            TABLE_YAML, convert=[{"read_csvv": {}}, {"rename": {"long": "lon"}}], source={"kind": "locl", "url": "x"}
        ),
        2,
        ["read_csvv", "did you mean 'read_csv'?", "locl"],
    ),
    "dataset.yaml that is no YAML, datapackage.json that is no JSON": (
        TABLE,
        texts(**{"dataset.yaml": "id: [reef", "datapackage.json": "{"}),
        2,
        ["dataset.yaml is not YAML", "datapackage.json is not JSON"],
    ),
    "two coordinates that are not in the table": (
        TABLE,
        catalog(TABLE_YAML, coordinates={"x": "easting", "y": "northing", "t": "time"}),
        2,
        ["easting", "northing", "a.csv", "lon"],
    ),
    "two coordinates that are not in the grid": (
        GRID,
        catalog(GRID_YAML, coordinates={"x": "easting", "y": "northing", "t": "time"}),
        2,
        ["easting", "northing"],
    ),
    "two columns that contradict the schema": (
        TABLE,
        schema(site="integer", temperature="boolean"),
        4,
        ["site", "integer", "Davies Reef", "temperature", "boolean"],
    ),
    "two renamed columns that are not there": (
        TABLE,
        catalog(TABLE_YAML, convert=[{"read_csv": {}}, {"rename": {"longg": "lon", "tepm": "temperature"}}]),
        2,
        ["longg", "tepm"],
    ),
    "a table's source without files": (TABLE, no_files(TABLE), 2, ["../sources/reef-sites is empty"]),
    "a grid's source without files": (GRID, no_files(GRID), 2, ["../sources/reef-heat is empty"]),
    "a source in which nothing is included": (
        TABLE,
        catalog(TABLE_YAML, source={**TABLE_YAML["source"], "include": "*.txt"}),
        2,
        ["*.txt", "a.csv"],
    ),
    "a source folder that is not there": (
        TABLE,
        catalog(TABLE_YAML, source={"kind": "local", "url": "../sources/nowhere", "include": "*.csv"}),
        2,
        ["nowhere"],
    ),
    "an empty and a headless CSV": (
        TABLE,
        both(file(TABLE, "zero.csv", b""), file(TABLE, "header.csv", HEADER)),
        2,
        ["zero.csv", "header.csv"],
    ),
    "two empty NetCDF files": (
        GRID,
        both(file(GRID, "zero.nc", b""), file(GRID, "text.nc", "this is no NetCDF\n")),
        2,
        ["zero.nc", "text.nc"],
    ),
    "two truncated NetCDF files": (
        GRID,
        both(truncated("half.nc"), truncated("half too.nc")),
        2,
        ["half.nc", "half too.nc"],
    ),
    "a bad byte and a short row": (
        TABLE,
        both(
            file(TABLE, "byte.csv", (HEADER + ROW + ROW).encode().replace(b"Davies Reef", b"Davies\xff Reef", 1)),
            file(TABLE, "short.csv", HEADER + ROW + "Davies Reef,147.6\n"),
        ),
        2,
        ["byte.csv", "short.csv"],
    ),
    "places outside the globe and words for numbers": (
        TABLE,
        both(
            file(TABLE, "far.csv", HEADER + ROW.replace("147.6", "1476")),
            file(TABLE, "words.csv", HEADER + ROW.replace("-18.8", "south")),
        ),
        2,
        ["far.csv", "1476", "words.csv", "south"],
    ),
    "a time that is none": (
        TABLE,
        file(TABLE, "time.csv", HEADER + ROW + ROW.replace("2024-01-01", "2024-02-31")),
        2,
        ["time.csv", "2024-02-31"],
    ),
    "two grids of another kind": (GRID, other_units, 2, ["kelvin_weeks", "degree_Celsius_weeks", "heat_2024-01-05.nc"]),
    "two files for one time": (
        GRID,
        lambda world: write_day(world.source(GRID), 0, shift=1, name="again.nc") and None,
        2,
        ["again.nc", "heat_2024-01-01.nc", "2024-01-01"],
    ),
    "an empty file, a cut one, a strange one and two for one time": (
        GRID,
        both(
            file(GRID, "empty.nc", b""),
            truncated("cut.nc"),
            other_units,
            lambda world: write_day(world.source(GRID), 0, shift=1, name="again.nc") and None,
        ),
        2,
        ["empty.nc", "cut.nc", "kelvin_weeks", "again.nc and heat_2024-01-01.nc both cover 2024-01-01T12"],
    ),
    "a collection and a name that are wrong": (
        TABLE,
        texts(**{"datapackage.json": '{"name": "other"}', "../../collections/reef/collection.jsonnet": "{ id: 'r', "}),
        2,
        ["collection.jsonnet", "'other'"],
    ),
    "values of other types in the datapackage": (
        TABLE,
        texts(**{"datapackage.json": json.dumps({**curated(TABLE, licenses="free", themes={}), "version": 1})}),
        2,
        ["licenses: 'free'", "themes", "version: 1"],
    ),
    "values in the datapackage that do not fit the profile": (
        TABLE,
        texts(**{"datapackage.json": json.dumps(curated(TABLE, title="", licenses=[], description="short"))}),
        4,
        ["datapackage_valid", "title", "licenses", "description"],
    ),
    "a tableschema of another shape": (
        TABLE,
        texts(**{"tableschema.json": '{"fields": ["site", 7]}'}),
        2,
        ["'site'", "7"],
    ),
    "a gridschema of another shape": (
        GRID,
        texts(**{f"../{GRID}/gridschema.json": '{"dimensions": [], "variables": {"heat": 3}}'}),
        2,
        ["dimensions", "heat"],
    ),
    "a collection of another shape": (
        TABLE,
        texts(**{"../../collections/reef/collection.jsonnet": "{ id: 'reef', links: 'none', extent: 7 }"}),
        2,
        ["links", "extent"],
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_wrong_input_is_named_and_changes_nothing_that_readers_see(world, rimrep, kind):
    dataset, break_it, code, named = CASES[kind]
    before = seen_by_readers(world)
    break_it(world)
    done = rimrep(world, "publish", dataset, "--json")
    assert done.code == code, done.err
    for word in named:
        assert word in done.err
    assert "Traceback" not in done.err
    assert done.err.count("What to do:") == 1
    assert done.out.strip() in ("", "[]")
    assert seen_by_readers(world) == before
    assert world.projector(dataset).log.numbers() == [1]


def test_after_wrong_input_is_mended_the_next_publication_goes_on(world, rimrep):
    (world.source(TABLE) / "c.csv").write_text("")
    assert rimrep(world, "publish", TABLE).code == 2
    write_table(world.source(TABLE), "c.csv", shift=2)
    assert rimrep(world, "publish", TABLE, "--json").json[0]["release"] == 2
    assert rimrep(world, "reconcile").out == "no drift\n"
