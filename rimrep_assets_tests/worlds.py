"""A small world for tests: a source folder, a catalog repository, a store, and attempts at publishing from it.

Here belong the descriptions of two tiny datasets and helpers that change their sources. Not here: any expectation.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from rimrep_assets.ports.catalog import GitCatalog
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.workbench import Settings, open_workbench

TABLE = "reef-sites"
GRID = "reef-heat"

TABLE_YAML: dict[str, Any] = {
    "id": TABLE,
    "collection": "reef",
    "format": "parquet",
    "access": "public",
    "coordinates": {"x": "lon", "y": "lat", "t": "time"},
    "source": {"kind": "local", "url": "../sources/reef-sites", "include": "*.csv"},
    "convert": [{"read_csv": {"na": ["no data"], "timezone": "Australia/Brisbane"}}, {"rename": {"long": "lon"}}],
    "layout": {"sort_by": ["site", "time"]},
}
TABLE_SCHEMA: dict[str, Any] = {
    "fields": [
        {"name": "site", "type": "string", "title": "Site"},
        {"name": "lon", "type": "number"},
        {"name": "lat", "type": "number"},
        {"name": "time", "type": "datetime"},
        {"name": "temperature", "type": "number", "unit": "degree_Celsius"},
    ]
}
GRID_YAML: dict[str, Any] = {
    "id": GRID,
    "collection": "reef",
    "format": "zarr",
    "access": "public",
    "coordinates": {"x": "lon", "y": "lat", "t": "time"},
    "source": {"kind": "local", "url": "../sources/reef-heat", "include": "*.nc"},
    "convert": [{"read_netcdf": {}}],
    "layout": {"chunks": {"time": 4, "lat": 3, "lon": 5}, "cadence": "P1D"},
}
COLLECTION = """local endpoints = import 'endpoints.libsonnet';
{
  type: 'Collection', id: 'reef', stac_version: '1.1.0', title: 'Reefs', description: 'Made for tests.',
  license: 'CC-BY-4.0', keywords: ['reef'],
  providers: [{name: 'AIMS', roles: ['producer'], url: 'https://www.aims.gov.au'}],
  links: [], summaries: { environment: [endpoints.environment] },
}
"""


def endpoints(environment: str) -> str:
    """The endpoints of an environment as libsonnet."""
    return json.dumps(
        {
            "environment": environment,
            "store": None,
            "files_url": None,
            "pygeoapi": f"https://pygeoapi.{environment}.example",
            "stac_api": None,
        }
    )


def curated(dataset: str, **more: Any) -> dict[str, Any]:
    """A datapackage as a curator would write it, as much as the profile asks for."""
    return {
        "name": dataset,
        "title": f"Title of {dataset}",
        "description": "Invented measurements on invented reefs, long enough to say what they are good for.",
        "version": "1.0",
        "keywords": ["reef", "temperature"],
        "licenses": [
            {"name": "CC-BY-4.0", "title": "Creative Commons", "path": "https://creativecommons.org/licenses/by/4.0/"}
        ],
        "contributors": [{"title": "AIMS", "roles": ["producer", "licensor"], "path": "https://www.aims.gov.au"}],
        "themes": [
            {"scheme": "https://example.org/topics", "concepts": [{"id": "oceans", "title": "Oceans"}]},
        ],
        "sources": [],
        "citation": "Nobody (2026) Nothing.",
        **more,
    }


PROFILE = Path(__file__).parents[1] / "examples/catalog/templates/gbr-dms-data-package.json"


@dataclass
class World:
    """Everything below one folder; the catalog is committed with real git."""

    root: Path
    store_url: str = ""
    s3_environment: Mapping[str, str] = field(default_factory=dict)
    environment: str = "development"

    def __post_init__(self) -> None:
        self.catalog_folder.mkdir(parents=True, exist_ok=True)
        (self.root / "sources").mkdir(exist_ok=True)
        if not (self.catalog_folder / ".git").exists():
            self._git("init", "--quiet", "--initial-branch=main")
        self.store_url = self.store_url or str(self.root / "store")

    @property
    def catalog_folder(self) -> Path:
        return self.root / "catalog"

    def source(self, dataset: str) -> Path:
        folder = self.root / "sources" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _git(self, *arguments: str) -> str:
        who = ["-c", "user.name=A Curator", "-c", "user.email=curator@example.org"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.catalog_folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, content: str | dict[str, Any]) -> None:
        """Put one file into the catalog's work tree; dictionaries become YAML or JSON."""
        target = self.catalog_folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = yaml.safe_dump(content) if path.endswith(".yaml") else json.dumps(content, indent=2)
        target.write_text(content)

    def commit(self, message: str = "a change") -> str:
        """Commit the whole work tree; the sha."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        return self._git("rev-parse", "HEAD")

    def describe(self, dataset: dict[str, Any], schema: dict[str, Any] | None, **more: Any) -> str:
        """Commit a dataset's folder and all that it needs beside it."""
        name = dataset["id"]
        self.write(f"datasets/{name}/dataset.yaml", dataset)
        self.write(f"datasets/{name}/datapackage.json", curated(name, **more))
        if schema is not None:
            kind = "tableschema" if dataset["format"] == "parquet" else "gridschema"
            self.write(f"datasets/{name}/{kind}.json", schema)
        self.write(
            f"collections/{dataset['collection']}/collection.jsonnet",
            COLLECTION.replace("'reef', stac", f"'{dataset['collection']}', stac"),
        )
        for environment in ("development", "production"):
            self.write(f"endpoints/{environment}.libsonnet", endpoints(environment))
        self.write("templates/gbr-dms-data-package.json", PROFILE.read_text())
        return self.commit(f"describe {name}")

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(
            {
                "RIMREP_CATALOG": str(self.catalog_folder),
                "RIMREP_STORE": self.store_url,
                "RIMREP_DATA": str(self.root / "data"),
                "RIMREP_ENVIRONMENT": self.environment,
                **self.s3_environment,
            }
        )

    @property
    def catalog(self) -> GitCatalog:
        return GitCatalog(self.catalog_folder / ".git")

    @property
    def store(self) -> ObjectStore:
        return self.settings.store_for("public")

    def store_of(self, dataset: str) -> ObjectStore:
        """The store of the dataset's access class."""
        return self.settings.store_for(self.catalog.at(self.catalog.resolve()).dataset(dataset).access)

    def projector(self, dataset: str) -> Projector:
        return Projector(self.store, dataset, self.settings.s3)

    def attempt(
        self,
        dataset: str,
        *,
        store: Callable[[ObjectStore], ObjectStore] = lambda real: real,
        commit: str | None = None,
    ) -> Publication:
        """An attempt of its own at publishing ``dataset``; ``store`` may wrap the store that it works on."""
        from dataclasses import replace

        scratch = self.root / "scratch" / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        bench = open_workbench(
            self.settings,
            self.catalog,
            commit or self.catalog.resolve(),
            dataset,
            attempt=uuid.uuid4().hex[:8],
            scratch=scratch,
        )
        return Publication(replace(bench, store=store(bench.store)))

    def files(self) -> dict[str, bytes]:
        """Every object of a local store by path, without locks."""
        root = Path(self.store_url)
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and ".locks" not in path.parts
        }


def write_table(
    folder: Path, name: str, rows: int = 6, *, shift: float = 0.0, site: str = "Davies Reef"
) -> pd.DataFrame:
    """One CSV as a provider would send it: local times, a foreign column name, words for missing values."""
    start = pd.Timestamp("2024-01-01 09:00") + pd.Timedelta(days=int(shift * 10))
    frame = pd.DataFrame(
        {
            "site": [site] * rows,
            "long": np.round(147.6 + 0.01 * np.arange(rows), 4),
            "lat": np.round(-18.8 - 0.01 * np.arange(rows), 4),
            "time": [(start + pd.Timedelta(hours=i)).strftime("%Y-%m-%d %H:%M:%S") for i in range(rows)],
            "temperature": np.round(26.5 + shift + 0.25 * np.arange(rows), 3),
        }
    )
    frame.to_csv(folder / name, index=False)
    return frame


def write_day(folder: Path, day: int, *, shift: float = 0.0, name: str | None = None) -> Path:
    """One daily NetCDF file of packed integers with a fill value and descending latitude."""
    when = np.datetime64("2024-01-01T12:00:00") + np.timedelta64(day, "D")
    lat, lon = np.array([-10.0, -10.5, -11.0]), np.array([145.0, 145.5, 146.0, 146.5, 147.0])
    heat = (day + shift + np.arange(15).reshape(1, 3, 5) * 0.1).astype("float64")
    heat[0, 0, 0] = np.nan
    grid = xr.Dataset(
        {"heat": (("time", "lat", "lon"), heat, {"units": "degree_Celsius_weeks", "long_name": "heating"})},
        coords={
            "time": ("time", [when], {"standard_name": "time"}),
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
        attrs={"title": "Invented heat", "Conventions": "CF-1.8"},
    )
    path = folder / (name or f"heat_{str(when)[:10]}.nc")
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 0.0, "_FillValue": np.int16(-32768), "zlib": True}
    grid.to_netcdf(
        path, encoding={"heat": packing, "time": {"units": "seconds since 1981-01-01 00:00:00", "dtype": "int32"}}
    )
    return path
