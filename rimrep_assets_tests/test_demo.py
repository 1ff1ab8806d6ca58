"""`rimrep demo` as a new user runs it, and everything that it prints opened with other people's tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import frictionless
import geopandas
import pystac
import pytest
import xarray as xr


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> list[dict]:
    """What `rimrep demo --json` prints, from an empty folder."""
    folder = tmp_path_factory.mktemp("a new user") / "demo"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RIMREP_", "DAGSTER_"))}
    command = [sys.executable, "-m", "rimrep_assets.cli", "demo", "--folder", str(folder), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Standard error tells what was read back, by pygeoapi too.
    assert done.stderr.count("pygeoapi serves") == 3
    return json.loads(done.stdout)


def test_it_prints_the_addresses_of_every_dataset(printed):
    assert [row["dataset"] for row in printed] == ["aims-temp-loggers", "gbrmpa-management-areas", "noaa-crw-chs-dhw"]
    for row in printed:
        assert row["release"] == 1
        assert all(row[name] for name in ("data", "datapackage", "stac_item", "pygeoapi"))
        assert row["pygeoapi"].endswith(f"/collections/{row['dataset']}")


def test_the_data_opens(printed):
    loggers, areas, heat = (row["data"] for row in printed)
    assert len(geopandas.read_parquet(loggers)) == 19764
    assert geopandas.read_parquet(areas).crs.to_epsg() == 4283
    with xr.open_zarr(heat) as grid:
        assert dict(grid.sizes) == {"time": 60, "lat": 300, "lon": 260}
        assert float(grid["degree_heating_week"].max()) > 1


def test_the_descriptions_open_and_validate(printed):
    for row in printed:
        item = pystac.Item.from_file(row["stac_item"])
        assert item.id == row["dataset"]
        assert item.get_collection().get_item(item.id).id == item.id
        package = frictionless.Package(row["datapackage"])
        assert package.name == row["dataset"]
    for row in printed[:2]:
        report = frictionless.validate(row["datapackage"])
        assert report.valid, report.flatten(["type", "note"])
