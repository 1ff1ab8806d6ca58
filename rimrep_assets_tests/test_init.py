"""`rimrep init`: from a file to a folder that publishes once its guesses are confirmed.

Here belong whole walks: init, confirm, commit, publish. Not here: single guesses (``domain/test_proposal``).
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas
import netCDF4
import numpy as np
import pandas as pd
import pyproj
import pytest
import typer
import xarray as xr
import yaml
from shapely.geometry import Point

from rimrep_assets.cli_init import init
from rimrep_assets.domain.errors import DataError, DefinitionError, GateRefusal, RimrepError
from rimrep_assets.ports import proposal_catalog, proposal_source
from rimrep_assets.ports.proposing import Asked, Proposed, propose
from rimrep_assets_tests.worlds import World, write_day

Find = Callable[[str], Path]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
VISITS = """reef,long,lat,time,divers,temperature
Davies Reef,147.6686,-18.8226,2024-02-01 09:30:00,4,28.9
Heron Island,151.9150,-23.4420,2024-02-03 10:00:00,6,27.4
Lizard Island,145.4500,-14.6680,2024-02-05 08:15:00,3,n/a
"""


def proposed(world: World, address: Path | str, roots: tuple[Path, ...] = (), **options: Any) -> Proposed:
    scratch = world.root / "scratch-of-init"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    asked = Asked(str(address), str(world.catalog_folder), **options)
    return propose(asked, cache=world.root / "data/cache", source_roots=roots, scratch=scratch, now=NOW)


def confirm(world: World, made: Proposed) -> None:
    """Take the marks off, as a person does who agrees with every guess, and commit."""
    for path in (world.catalog_folder / "datasets" / made.dataset).iterdir():
        path.write_text(path.read_text().replace("(guess) ", ""))
    world.commit()


def documents(world: World, made: Proposed) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = world.catalog_folder / "datasets" / made.dataset
    return yaml.safe_load((folder / "dataset.yaml").read_text()), json.loads((folder / "datapackage.json").read_text())


def put(world: World, name: str, text: str | bytes) -> Path:
    path = world.root / "sources" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def visits(tmp_path) -> tuple[World, Path]:
    world = World(tmp_path / "world")
    return world, put(world, "visits.csv", VISITS)


def test_a_csv_publishes_when_its_guesses_are_confirmed(visits):
    world, path = visits
    made = proposed(world, path, timezone="Australia/Brisbane")
    document, package = documents(world, made)
    assert document["coordinates"] == {"x": "long", "y": "lat", "t": "time"}
    assert document["convert"] == [{"read_csv": {"na": ["n/a"], "timezone": "Australia/Brisbane"}}]
    assert document["source"] == {"kind": "local", "url": "../sources/visits.csv"}
    assert package["title"] == "(guess) Visits"
    confirm(world, made)
    record = world.attempt("visits").publish()
    assert record is not None
    back = geopandas.read_parquet(record.datapackage["rimrep"]["addresses"]["data"]).sort_values("reef")
    told = pd.read_csv(path, na_values=["n/a"])
    np.testing.assert_array_equal(back["temperature"], told["temperature"])
    utc = pd.to_datetime(told["time"]).dt.tz_localize("Australia/Brisbane").dt.tz_convert("UTC")
    assert list(back["time"]) == list(utc)


def test_what_is_not_confirmed_is_stopped_at_the_gate_and_told_by_check(visits, rimrep):
    world, path = visits
    proposed(world, path)
    world.commit()
    with pytest.raises(GateRefusal, match=r"title: '\(guess\) Visits' is still a guess of `rimrep init`"):
        world.attempt("visits").publish()
    ended = rimrep(world, "check", "visits")
    assert ended.code == 2
    for key in ("title", "description", "licenses.0.name", "contributors.0.title", "citation"):
        assert f"- {key}: '(guess)" in ended.out


REAL = [
    ("data/b_tabular/acoustic/A69-1105-135_107799906_130722039.csv", "detection_timestamp", ";"),
    ("data/b_tabular/rls/results.csv", None, ","),
    ("data/b_tabular/ereefs_csv/site_coordinates.csv", None, ","),
    ("data/b_tabular/ltmp/post2012.csv", None, ","),
    ("data/b_tabular/moorings/rottnest.csv", "TIME", ","),
    ("data/b_tabular/gpkg/gbrmpa_zone_type.csv", None, ","),
    ("data/b_tabular/vector_misc/station_list.csv", None, ","),
]


@pytest.mark.parametrize(("path", "time", "delimiter"), REAL, ids=lambda value: Path(str(value)).stem)
def test_a_real_table_publishes_after_confirming_alone(shared: Find, tmp_path, path, time, delimiter):
    world, source = World(tmp_path), shared(path)
    made = proposed(world, source)
    assert documents(world, made)[0].get("coordinates", {}).get("t") == time
    confirm(world, made)
    record = world.attempt(made.dataset).publish()
    assert record is not None
    assert record.facts.row_count == len(pd.read_csv(source, sep=delimiter))


@pytest.mark.parametrize(
    ("path", "coordinates", "rows"),
    [
        ("c_profiles/argo/MD5903593_001.nc", {"x": "LONGITUDE", "y": "LATITUDE", "z": "PRES", "t": "JULD"}, 557),
        (
            "c_profiles/wave/BOM_20240301_CAPE-SORELL_RT_WAVE-PARAMETERS_monthly.nc",
            {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"},
            541,
        ),
        (
            "c_profiles/mooring/IMOS_ANMN-NRS_VZ_20180816_NRSROT_FV01_velocity-aggregated-timeseries_END-20191018_"
            "C-20200623.nc",
            {"x": "LONGITUDE", "y": "LATITUDE", "z": "NOMINAL_DEPTH", "t": "TIME"},
            7144,
        ),
        (
            "a_gridded/structure_only/mooring_wave_timeseries_delayed_qc.nc",
            {"x": "LONGITUDE", "y": "LATITUDE", "z": "NOMINAL_DEPTH", "t": "TIME"},
            1284,
        ),
    ],
    ids=lambda value: Path(str(value)).parent.name,
)
def test_samples_in_netcdf_are_proposed_as_a_table_and_publish_after_confirming_alone(
    shared: Find, tmp_path, path, coordinates, rows
):
    world, source = World(tmp_path), shared(f"data/{path}")
    made = proposed(world, source)
    document, _ = documents(world, made)
    assert document["format"] == "parquet"
    assert document["coordinates"] == coordinates
    (schema,) = (world.catalog_folder / "datasets").rglob("tableschema.json")
    fields = {field["name"]: field for field in json.loads(schema.read_text())["fields"]}
    with netCDF4.Dataset(source) as file:
        for name in (n for n in fields if "units" in file[n].ncattrs() and "since" not in file[n].units):
            assert fields[name]["unit"] == file[name].units
    confirm(world, made)
    record = world.attempt(made.dataset).publish()
    assert record is not None
    assert record.facts.row_count == rows


def test_real_hours_of_radar_publish_after_confirming_alone(shared: Find, tmp_path):
    world, hour = World(tmp_path), "IMOS_ACORN_V_20220312T{}3000Z_NWA_FV01_1-hour-avg.nc"
    folder = shared("data/a_gridded/hfradar_nwa/" + hour.format("00")).parent
    made = proposed(world, folder)
    document, package = documents(world, made)
    assert document["coordinates"] == {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
    assert document["layout"]["cadence"] == "PT1H"
    assert document["partition"] == {
        "by": "day",
        "start": "2022-03-12",
        "file_time": "IMOS_ACORN_V_%Y%m%dT%H%M%SZ_NWA_FV01_1-hour-avg.nc",
    }
    assert document["update"] == {"expected": "hourly"}
    assert package["licenses"][0]["name"] == "CC-BY-4.0"
    with netCDF4.Dataset(folder / hour.format("00")) as file:
        assert package["title"] == "(guess) " + " ".join(file.title.split()), "it ends in the time of one file"
    confirm(world, made)
    record = world.attempt(made.dataset).publish()
    assert record is not None
    with xr.open_zarr(record.datapackage["rimrep"]["addresses"]["data"]) as grid:
        for number, at in enumerate(("00", "01")):
            with xr.open_dataset(folder / hour.format(at)) as told:
                np.testing.assert_array_equal(grid["UCUR"].values[number], told["UCUR"].values[0])


@pytest.mark.parametrize(("units", "kept"), [(None, True), ("1", False)], ids=["the axis' units", "no units of time"])
def test_days_with_bounds_and_units_of_their_own_publish_after_confirming_alone(tmp_path, units, kept):
    world, folder = World(tmp_path), tmp_path / "days"
    folder.mkdir()
    paths = [with_bounds(write_day(folder, day), day, units) for day in (0, 1, 2)]
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert document["coordinates"]["t"] == "time"
    assert [step["read_netcdf"] for step in document["convert"]] == [{} if kept else {"drop": ["time_bnds"]}]
    confirm(world, made)
    record = world.attempt(made.dataset).publish()
    assert record is not None
    with xr.open_zarr(record.datapackage["rimrep"]["addresses"]["data"]) as grid:
        assert ("time_bnds" in grid.variables) == kept
        for number, path in enumerate(paths):
            with xr.open_dataset(path) as told:
                for name in ("time", *(["time_bnds"] if kept else []), "heat"):
                    np.testing.assert_array_equal(grid[name].values[number], told[name].values[0])


def with_bounds(path: Path, day: int, units: str | None) -> Path:
    with netCDF4.Dataset(path, "a") as file:
        file["time"].setncatts({"units": f"hours since 2024-01-{1 + day:02d} 00:00:00 +10", "bounds": "time_bnds"})
        file["time"][:] = [22]
        file.createDimension("nv", 2)
        bounds = file.createVariable("time_bnds", "f8", ("time", "nv"))
        bounds[:] = [[10, 34]]
        if units is not None:
            bounds.units = units
    return path


def test_real_files_that_differ_get_the_rule_by_which_they_unite(shared: Find, tmp_path):
    world = World(tmp_path)
    first = "data/a_gridded/gsla/IMOS_OceanCurrent_HV_20110901T000000Z_GSLA_FV02_NRT.nc"
    document, _ = documents(world, proposed(world, shared(first).parent, dataset_id="gsla"))
    assert {"unite": {"variables": "common", "coordinate_tolerance": 0.0001}} in document["convert"]
    assert "cadence" not in document["layout"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/b_tabular/adria_csv/id_list_2023_03_30.csv", "begins with lines of comment"),
        ("data/b_tabular/encodings/IMOSPortalCollections.csv", "14 columns are called ''"),
        ("data/b_tabular/gpkg/reefmod_gbr.gpkg", "CRS"),
        ("data/b_tabular/rdata/sst_WA.rda", "these can: CSV"),
        ("data/b_tabular/aims_api/misc/data-0c7bee.json", "cannot be read as GeoJSON"),
        (
            "data/c_profiles/fishsoop/IMOS_SOOP-FishSOOP_TP_20250708T032737Z_FV01_1195.nc",
            "LONGITUDE: row 0: 180.247.*lies outside its own valid range.*read_profiles.outside_valid",
        ),
        ("data/a_gridded/nemo/orca2_votemper.nc/../../nemo", "2 families of files"),
    ],
    ids=lambda value: Path(value).name,
)
def test_a_real_file_that_cannot_be_a_dataset_is_refused_and_nothing_is_written(shared, tmp_path, path, message):
    world = World(tmp_path)
    first, dots, rest = path.partition("/../../")
    source = shared(first)
    with pytest.raises(RimrepError, match=message):
        proposed(world, source.parent.parent / rest if dots else source)
    assert [p.name for p in world.catalog_folder.iterdir()] == [".git"]


NOT_NETCDF = b"CDF\x01 is what it says, and no more"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", r"is empty(.|\n)*give a line of column names and at least one row"),
        ("a.csv", bytes(range(256)) * 20, "is no text"),
        ("a.csv", b"lonely\n1\n2\n", "one column"),
        ("a.csv", b"a,b,c\n1,2,3\n1,2\n", "row 0|row 1"),
        ("a.csv", b"a,b\n", r"no rows below the header(.|\n)*then run `rimrep init` again"),
        ("a.csv", b"a,a\n1,2\n", "called 'a'"),
        ("a.nc", b"", "is empty"),
        ("a.nc", NOT_NETCDF, "cannot be read as NetCDF"),
        ("a.nc", b"\x89HDF\r\n\x1a\n but cut", "cannot be read as NetCDF"),
        ("a.gpkg", b"no database", "cannot be read"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": []}', "no layer|no rows|no geometry"),
        ("a.shp", b"\x00\x00\x27\x0a", "cannot be read"),
        ("a.json", b'[{"a": 1}]', r"cannot be read as GeoJSON(.|\n)*read_json(.|\n)*proposes no JSON but GeoJSON"),
        ("a.xlsx", b"PK", "a .xlsx file cannot be read; these can: CSV"),
        ("a", b"x,y\n1,2\n", "without a suffix"),
    ],
)
def test_broken_input_ends_in_one_clear_error(tmp_path, name, data, message):
    world = World(tmp_path)
    with pytest.raises((DataError, DefinitionError)) as refused:
        proposed(world, put(world, name, data))
    assert re.search(message, str(refused.value))
    assert "change the catalog" not in str(refused.value)
    assert [p.name for p in world.catalog_folder.iterdir()] == [".git"]


def test_of_several_layers_one_is_proposed_and_the_others_are_named(tmp_path):
    world = World(tmp_path)
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[Point(147, -19)], crs="EPSG:4326")
    path = world.root / "sources" / "areas.gpkg"
    for layer in ("parks", "zones"):
        frame.to_file(path, layer=layer, driver="GPKG")
    made = proposed(world, path)
    assert documents(world, made)[0]["convert"] == [{"read_vector": {"layer": "parks"}}]
    assert "others are zones" in next(g.why for g in made.guesses if g.key == "convert.read_vector")


def test_columns_whose_names_stand_in_the_way_get_others(tmp_path):
    world = World(tmp_path)
    made = proposed(world, put(world, "odd.csv", ",bbox,a,A,lon,lat\n7,x,1,2,147,-19\n9,y,1,2,148,-18\n"))
    confirm(world, made)
    assert documents(world, made)[0]["convert"][1] == {"rename": {"": "column_1", "bbox": "bbox_", "A": "A_"}}
    assert world.attempt("odd").publish() is not None


def test_times_that_are_not_iso_are_declared_with_their_form(tmp_path):
    world = World(tmp_path)
    made = proposed(world, put(world, "days.csv", "date,value\n31/01/2024,1\n01/02/2024,2\n"))
    schema = json.loads((world.catalog_folder / "datasets/days/tableschema.json").read_text())
    assert schema["fields"][0] == {"name": "date", "type": "date", "coordinates": "t", "format": "%d/%m/%Y"}
    confirm(world, made)
    record = world.attempt("days").publish()
    assert (record.facts.start, record.facts.end) == ("2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z")


def test_dates_that_fit_both_orders_stop_until_they_are_confirmed(tmp_path, rimrep):
    world = World(tmp_path)
    made = proposed(world, put(world, "days.csv", "date,value\n01/02/2024,1.5\n02/02/2024,1\n"))
    assert ("tableschema.json", "date.description") in {(g.file.rpartition("/")[2], g.key) for g in made.guesses}
    for name in ("dataset.yaml", "datapackage.json"):
        path = world.catalog_folder / "datasets/days" / name
        path.write_text(path.read_text().replace("(guess) ", ""))
    world.commit()
    ended = rimrep(world, "check", "days")
    assert (ended.code, ended.out.count("  - ")) == (2, 1)
    assert "tableschema.json: date.description: '(guess) Read day before month" in ended.out
    with pytest.raises(GateRefusal, match=r"date\.description: '\(guess\) Read day before month"):
        world.attempt("days").publish()
    confirm(world, made)
    assert rimrep(world, "check", "days").code == 0
    assert world.attempt("days").publish().facts.end == "2024-02-02T00:00:00Z"


def test_whole_degrees_are_numbers_and_other_whole_numbers_are_told(tmp_path):
    world = World(tmp_path)
    path = put(world, "places.csv", "lon,lat,depth,count,t\n147,-19,5,1,1.5\n148,-18,10,2,2\n")
    made = proposed(world, path)
    schema = json.loads((world.catalog_folder / "datasets/places/tableschema.json").read_text())
    types = {field["name"]: field["type"] for field in schema["fields"]}
    assert types == {"lon": "number", "lat": "number", "depth": "number", "count": "integer", "t": "number"}
    (guess,) = (guess for guess in made.guesses if guess.key == "convert")
    assert guess.value == "integer: count"
    assert "write number in tableschema.json" in guess.why
    written = (world.catalog_folder / "datasets/places/dataset.yaml").read_text()
    assert "convert:  # guess: integer: count; only whole numbers were seen" in written
    confirm(world, made)
    assert world.attempt("places").publish().facts.row_count == 2
    path.write_text(path.read_text() + "148.25,-18.5,2.5,3,1\n")
    assert world.attempt("places").publish().facts.row_count == 3


def test_files_of_a_folder_with_the_same_columns_are_one_dataset(tmp_path):
    world = World(tmp_path)
    for name in ("davies", "heron", "lizard"):
        put(world, f"loggers/{name}.csv", "site,value\n" + f"{name},1.5\n")
    made = proposed(world, world.root / "sources/loggers", dataset_id="loggers")
    confirm(world, made)
    assert documents(world, made)[0]["source"]["include"] == "*.csv"
    assert world.attempt("loggers").publish().facts.row_count == 3


def test_nothing_that_is_there_is_overwritten(visits):
    world, path = visits
    proposed(world, path)
    before = {p: p.read_bytes() for p in world.catalog_folder.rglob("*") if p.is_file()}
    with pytest.raises(DefinitionError) as refused:
        proposed(world, path)
    assert "datasets/visits/dataset.yaml is there already" in str(refused.value)
    assert "datasets/visits/tableschema.json is there already" in str(refused.value)
    assert {p: p.read_bytes() for p in world.catalog_folder.rglob("*") if p.is_file()} == before


def test_a_second_dataset_joins_a_collection_that_is_there(visits):
    world, path = visits
    proposed(world, path, collection="reef")
    words = (world.catalog_folder / "collections/reef/collection.jsonnet").read_text()
    made = proposed(world, path, dataset_id="other", collection="reef")
    assert not any(name.startswith("collections/") for name in made.files)
    assert (world.catalog_folder / "collections/reef/collection.jsonnet").read_text() == words


def test_a_source_from_elsewhere_is_copied_beside_the_catalog(visits, tmp_path):
    world, path = visits
    away = tmp_path / "away"
    away.mkdir()
    shutil.move(path, away / "visits.csv")
    (away / "private.csv").write_text("a,b\n1,2\n")
    made = proposed(world, away / "visits.csv")
    assert made.copied == ("../sources/visits/visits.csv",)
    assert (world.root / "sources/visits/visits.csv").read_text() == VISITS
    assert not (world.root / "sources/visits/private.csv").exists()
    confirm(world, made)
    assert world.attempt("visits").publish() is not None


def test_a_source_below_an_allowed_root_stays_in_its_place(visits, tmp_path):
    world, _ = visits
    away = tmp_path / "away"
    away.mkdir()
    (away / "visits.csv").write_text(VISITS)
    made = proposed(world, away / "visits.csv", roots=(away,))
    assert (made.source, made.copied) == (str(away / "visits.csv"), ())


def test_a_large_source_is_not_copied_and_the_variable_that_allows_it_is_told(visits, tmp_path, monkeypatch):
    world, _ = visits
    away = tmp_path / "away"
    away.mkdir()
    (away / "visits.csv").write_text(VISITS)
    monkeypatch.setattr(proposal_catalog, "COPIED_BYTES", 10)
    made = proposed(world, away / "visits.csv")
    assert made.copied == ()
    assert made.variables == {"RIMREP_SOURCES": str(away)}


def test_of_a_large_table_the_beginning_is_read_and_that_is_said(visits, monkeypatch):
    world, path = visits
    monkeypatch.setattr(proposal_source, "SMALL_BYTES", 100)
    monkeypatch.setattr(proposal_source, "CUT_BYTES", 120)
    made = proposed(world, path)
    assert "types in tableschema.json come from the first 2 lines of 1 of 1 files" in next(
        guess.why for guess in made.guesses if guess.key == "convert.read_csv"
    )


def test_limited_data_needs_its_agreement_and_no_value_of_it_stands_in_the_catalog(visits, rimrep):
    world, path = visits
    proposed(world, path, access="limited")
    world.commit()
    ended = rimrep(world, "check", "visits")
    assert ended.code == 2
    assert "data_sharing_agreement" in ended.out
    written = "".join(p.read_text() for p in (world.catalog_folder / "datasets/visits").glob("*.json"))
    for value in ("28.9", "Davies"):
        assert value not in written


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder
        running.shutdown()
        thread.join()


def test_a_file_on_the_web_brings_those_that_differ_in_their_date_and_publishes(server, tmp_path):
    url, folder = server
    for month in ("01", "02", "03", "04"):
        (folder / f"visits_2024-{month}.csv").write_text(VISITS.replace("2024-02", f"2024-{month}"))
    (folder / "notes.txt").write_text("read me")
    world = World(tmp_path / "world")
    made = proposed(world, f"{url}/visits_2024-01.csv", timezone="UTC")
    document, package = documents(world, made)
    assert document["source"] == {"kind": "http", "url": f"{url}/", "include": "visits_????-??.csv"}
    assert document["partition"] == {"by": "month", "start": "2024-01", "file_time": "visits_%Y-%m.csv"}
    assert package["sources"][0]["path"] == f"{url}/visits_2024-01.csv"
    confirm(world, made)
    assert world.attempt("visits").publish().facts.row_count == 12


def test_an_address_where_nothing_is_and_one_with_a_password_are_refused(server, tmp_path):
    url, _ = server
    world = World(tmp_path / "world")
    with pytest.raises(DefinitionError, match="404"):
        proposed(world, f"{url}/gone.csv")
    with pytest.raises(DefinitionError, match="credentials never stand in the catalog"):
        proposed(world, url.replace("//", "//me:secret@") + "/a.csv")
    with pytest.raises(DefinitionError, match="neither a path nor a http"):
        proposed(world, "s3://bucket/a.csv")


def run(*arguments: str) -> int:
    """The command itself; its exit code, errors are raised."""
    app = typer.Typer()
    app.command()(init)
    return int(app([*arguments], standalone_mode=False) or 0)


def test_without_a_catalog_one_is_begun_and_the_next_commands_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIMREP_CATALOG", raising=False)
    monkeypatch.setenv("RIMREP_DATA", str(tmp_path / "data"))
    Path("visits.csv").write_text(VISITS)
    assert run("visits.csv") == 0
    told = capsys.readouterr().out
    assert "began a new catalog in catalog" in told
    steps = [line.split()[0:2] for line in told.partition("next, in this order")[2].splitlines()[1:]]
    assert "without it they mean the example in RIMREP_DATA" in told
    assert steps == [
        ["export", f"RIMREP_CATALOG={tmp_path}/catalog"],
        ["${EDITOR:-vi}", "catalog/datasets/visits/dataset.yaml"],
        ["git", "-C"],
        ["rimrep", "check"],
        ["rimrep", "publish"],
        ["rimrep", "up"],
    ]
    monkeypatch.setenv("RIMREP_CATALOG", "catalog")
    assert run("visits.csv", "--id", "told") == 0
    told = capsys.readouterr().out
    assert "RIMREP_CATALOG" not in told
    for needed in (".git", "templates/gbr-dms-data-package.json", "endpoints/development.libsonnet"):
        assert (tmp_path / "catalog" / needed).exists()
    assert run("visits.csv", "--id", "again", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["created_catalog"]) == ("again", False)
    assert {"file", "key", "value", "why"} == found["guesses"][0].keys()


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("https://example.org/catalog.git", "on another machine"),
        ("nowhere", "there is no catalog"),
        ("full", "no git repository"),
        ("bare", "bare repository"),
    ],
)
def test_a_catalog_that_cannot_be_written_into_is_refused(tmp_path, catalog, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    (tmp_path / "bare/objects").mkdir(parents=True)
    (tmp_path / "bare/HEAD").touch()
    (tmp_path / "visits.csv").write_text(VISITS)
    asked = Asked(str(tmp_path / "visits.csv"), catalog if "://" in catalog else str(tmp_path / catalog))
    with pytest.raises(DefinitionError, match=message):
        propose(asked, cache=tmp_path / "cache", source_roots=(), scratch=tmp_path, now=NOW)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset_id": "Reef Visits"}, "--id 'Reef Visits' is not an id like 'reef-visits'"),
        ({"access": "secret"}, "neither public nor limited"),
        ({"timezone": "Brisbane"}, "--timezone: 'Brisbane' is not an IANA time zone"),
    ],
)
def test_wrong_options_are_refused_in_words(visits, options, message):
    world, path = visits
    with pytest.raises(DefinitionError, match=message):
        proposed(world, path, **options)


@pytest.mark.parametrize(("asked", "zone"), [("Australia/Brisbane", "Australia/Brisbane"), (None, "UTC")])
def test_times_of_a_layer_without_a_zone_get_one_and_publish(tmp_path, asked, zone):
    world = World(tmp_path)
    path = put(world, "sightings.gpkg", b"")
    path.unlink()
    times = pd.to_datetime(["2024-01-01 09:30", "2024-07-01 23:00"])
    seen = geopandas.GeoDataFrame({"seen": times}, geometry=[Point(150, -20), Point(151, -21)], crs="EPSG:4326")
    seen.to_file(path)
    made = proposed(world, path, timezone=asked)
    document, _ = documents(world, made)
    assert document["convert"] == [{"read_vector": {"timezone": zone}}]
    assert document["coordinates"]["t"] == "seen"
    assert asked or any("UTC is assumed" in guess.why for guess in made.guesses)
    confirm(world, made)
    record = world.attempt("sightings").publish()
    assert record is not None
    back = geopandas.read_parquet(record.datapackage["rimrep"]["addresses"]["data"])
    assert sorted(back["seen"]) == list(times.tz_localize(zone).tz_convert("UTC"))


@pytest.mark.parametrize(("written", "proposal"), [("utf-8", "utf-8"), ("latin-1", "cp1252"), ("ascii", None)])
def test_the_encoding_of_a_shapefile_without_cpg_is_proposed(tmp_path, written, proposal):
    import shapefile

    world = World(tmp_path)
    path = put(world, "reefs.shp", b"")
    with shapefile.Writer(str(path), encoding=written) as out:
        out.field("reef", "C")
        for name in ("Orphée", "Davies") if written != "ascii" else ("Davies",):
            out.point(150.5, -20.25)
            out.record(name)
    path.with_suffix(".prj").write_text(pyproj.CRS("EPSG:4326").to_wkt("WKT1_ESRI"))
    document, _ = documents(world, proposed(world, path))
    assert document["convert"] == [{"read_vector": {"encoding": proposal} if proposal else {}}]


def test_decimal_commas_and_numbers_for_missing_are_told_and_publish(tmp_path):
    world = World(tmp_path)
    text = "lon;lat;depth\n147,5;-18,25;-999,9\n148,25;-19,5;12,5\n149,5;-19,5;10\n"
    made = proposed(world, put(world, "depths.csv", text))
    document, _ = documents(world, made)
    assert document["coordinates"] == {"x": "lon", "y": "lat", "z": "depth"}
    assert document["convert"] == [{"read_csv": {"delimiter": ";", "decimal": ","}}]
    (why,) = (guess.why for guess in made.guesses if guess.key == "convert.read_csv")
    assert "like 1,5" in why and "depth: -999,9 may mean missing; then add it to na" in why
    confirm(world, made)
    record = world.attempt("depths").publish()
    assert record is not None
    back = geopandas.read_parquet(record.datapackage["rimrep"]["addresses"]["data"])
    told = pd.read_csv(world.root / "sources/depths.csv", sep=";", decimal=",")
    assert sorted(back["depth"]) == sorted(told["depth"])


def test_identifiers_of_darwin_core_are_proposed_as_texts(tmp_path):
    world = World(tmp_path)
    text = "occurrenceID,taxonID,catalogNumber,individualCount,paid\n1,7,3,2,5\n2,8,4,1,5\n"
    made = proposed(world, put(world, "seen.csv", text))
    schema = json.loads((world.catalog_folder / "datasets" / made.dataset / "tableschema.json").read_text())
    types = {field["name"]: field["type"] for field in schema["fields"]}
    assert {name for name, kind in types.items() if kind == "string"} == {"occurrenceID", "taxonID", "catalogNumber"}
    assert types["individualCount"] == types["paid"] == "integer"
