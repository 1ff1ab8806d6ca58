"""The example catalog and its sample sources, read by readers that are not ours."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest
from rimrep_examples.catalog_repository import catalog_files, make_catalog
from rimrep_examples.sources import write_sources

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.ports.sources.open_source import source_for

IDS = ["aims-temp-loggers", "gbrmpa-management-areas", "noaa-crw-chs-dhw"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "sources"
    write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def catalog() -> dict[str, bytes]:
    return dict(catalog_files())


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_sources_are_the_same_bytes_every_time(sources, tmp_path):
    write_sources(tmp_path)
    assert digests(tmp_path) == digests(sources)
    assert len(digests(sources)) == 6 + 60 + 1


def test_the_geopackage_does_not_say_when_it_was_written(sources):
    with sqlite3.connect(sources / "gbrmpa-management-areas/management_areas.gpkg") as database:
        assert database.execute("select last_change from gpkg_contents").fetchall() == [("2024-01-01T00:00:00.000Z",)]


def test_the_sources_are_small_and_quickly_written(sources, tmp_path):
    before = time.process_time()
    write_sources(tmp_path)
    assert time.process_time() - before < 5
    assert sum(p.stat().st_size for p in sources.rglob("*") if p.is_file()) < 10e6


def test_the_logger_tables_are_whole_and_plausible(sources):
    import pandas as pd

    files = sorted((sources / "aims-temp-loggers").iterdir())
    table = pd.concat(pd.read_csv(f, na_values=["no data"], parse_dates=["time"]) for f in files)
    assert len(table) == 19764
    assert table.fid.is_unique
    assert not table.duplicated(["subsite", "time"]).any()
    assert (table.time.min(), table.time.max()) == (
        pd.Timestamp("2023-10-01 00:00"),
        pd.Timestamp("2024-03-31 22:00"),
    )
    good = table[table.qc_flag == 1]
    assert good.qc_val.between(20, 33).all()
    assert good.groupby("site").qc_val.mean()["Lizard Island"] > good.groupby("site").qc_val.mean()["Heron Island"]
    assert 0 < table.cal_val.isna().sum() < table.qc_val.isna().sum() < 100


def test_the_grids_are_packed_daily_descending_and_smooth(sources):
    import netCDF4
    import numpy as np
    import xarray as xr

    files = sorted((sources / "noaa-crw-chs-dhw").iterdir())
    with netCDF4.Dataset(files[0]) as raw:
        stress = raw["degree_heating_week"]
        assert (stress.dtype, stress.scale_factor, stress._FillValue) == ("int16", 0.01, -32768)
        assert raw["mask"].dtype == "uint8"
    grids = [xr.open_dataset(f) for f in files]
    times = np.concatenate([g.time.values for g in grids])
    assert (np.diff(times) == np.timedelta64(1, "D")).all()
    assert (np.diff(grids[0].lat) < 0).all()
    last = grids[-1]
    stress = last.degree_heating_week.values[0]
    assert (np.isnan(stress) == (last.mask.values[0] == 1)).all()
    assert np.nanmin(stress) >= 0
    assert 8 < np.nanmax(stress) < 20
    assert np.nanmax(np.abs(np.diff(stress, axis=0))) < 0.5
    assert float(grids[0].degree_heating_week.max()) < 2


def test_the_management_areas_are_four_valid_neighbours(sources):
    import geopandas as gpd

    layer = gpd.read_file(sources / "gbrmpa-management-areas/management_areas.gpkg", layer="management_areas")
    assert layer.crs.to_epsg() == 4283
    assert list(layer.geom_type) == ["MultiPolygon"] * 4
    assert layer.is_valid.all()
    assert layer.union_all().geom_type == "Polygon"
    assert 25e6 < layer.AREA_HA.sum() < 45e6


def test_the_catalog_is_made_once_and_always_the_same(tmp_path, catalog):
    first, again = make_catalog(tmp_path / "a.git"), make_catalog(tmp_path / "a.git")
    assert first == again == make_catalog(tmp_path / "deep/b.git")
    git = ["git", "--git-dir", str(tmp_path / "a.git")]
    assert subprocess.check_output([*git, "rev-list", "--count", "main"]) == b"1\n"
    assert subprocess.check_output([*git, "symbolic-ref", "HEAD"]) == b"refs/heads/main\n"
    listed = subprocess.check_output([*git, "ls-tree", "-r", "--name-only", "-z", "main"]).decode()
    assert listed.strip("\0").split("\0") == sorted(catalog)
    for path, data in catalog.items():
        assert subprocess.check_output([*git, "show", f"main:{path}"]) == data
    subprocess.run([*git, "fsck", "--strict"], check=True, capture_output=True)


def test_a_catalog_with_a_history_of_its_own_keeps_it(tmp_path):
    make_catalog(tmp_path / "a.git")
    git = ["git", "--git-dir", str(tmp_path / "a.git"), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    made = subprocess.check_output([*git, "commit-tree", "main^{tree}", "-p", "main", "-m", "more"])
    commit = made.decode().strip()
    subprocess.run([*git, "update-ref", "refs/heads/main", commit], check=True)
    assert make_catalog(tmp_path / "a.git") == commit


@pytest.mark.parametrize("dataset_id", IDS)
def test_each_dataset_is_valid_short_and_finds_its_source(catalog, sources, tmp_path, dataset_id):
    text = catalog[f"datasets/{dataset_id}/dataset.yaml"].decode()
    assert len(text.splitlines()) <= 40
    dataset = dataset_from_yaml(text, folder=dataset_id)
    assert f"collections/{dataset.collection}/collection.jsonnet" in catalog
    found = source_for(dataset, sources.parent / "catalog.git", tmp_path).look()
    assert len(found) == len(list((sources / dataset_id).iterdir()))


@pytest.mark.parametrize("dataset_id", IDS)
def test_each_curated_description_fits_the_profile_and_the_vocabularies(catalog, dataset_id):
    import jsonschema

    curated = json.loads(catalog[f"datasets/{dataset_id}/datapackage.json"])
    profile = catalog.get("templates/gbr-dms-data-package.json")
    if profile is None:
        pytest.skip("the profile is not in the catalog yet")
    assert list(jsonschema.Draft202012Validator(json.loads(profile)).iter_errors(curated)) == []
    known = {}
    for path in (p for p in catalog if p.startswith("vocabularies/")):
        vocabulary = json.loads(catalog[path])
        known[vocabulary["scheme"]] = {c["id"]: c["title"] for c in vocabulary["concepts"]}
    for theme in curated["themes"]:
        for concept in theme["concepts"]:
            assert known[theme["scheme"]][concept["id"]] == concept["title"]


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("collection", ["aims-temp", "gbr-heat-stress"])
def test_each_collection_renders_with_the_addresses_of_its_environment(catalog, environment, collection):
    import _jsonnet

    files = {path: data.decode() for path, data in catalog.items()}
    files["endpoints.libsonnet"] = files[f"endpoints/{environment}.libsonnet"]

    def read(folder: str, name: str) -> tuple[str, bytes]:
        parts: list[str] = []
        for part in f"{folder}{name}".split("/"):
            parts = parts[:-1] if part == ".." else [*parts, part]
        return "/".join(parts), files["/".join(parts)].encode()

    main = f"collections/{collection}/collection.jsonnet"
    rendered = json.loads(_jsonnet.evaluate_snippet(main, files[main], import_callback=read))
    endpoints = json.loads(_jsonnet.evaluate_snippet("e", files["endpoints.libsonnet"]))
    assert set(endpoints) == {"environment", "store", "files_url", "pygeoapi", "stac_api", "stac_browser"}
    assert rendered["id"] == collection
    assert rendered["links"][0]["href"] == endpoints["pygeoapi"] + "/collections"


def test_the_issue_form_asks_for_every_required_field_of_the_profile(catalog):
    import yaml

    form = yaml.safe_load(catalog["templates/dataset-issue.yml"])
    asked = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(asked) == len(set(asked))
    assert {"name", "title", "description", "licence", "contributors", "keywords", "citation"} <= set(asked)
