"""Curated metadata, facts and addresses from which the tests of the documents start."""

from __future__ import annotations

from typing import Any

from rimrep_assets.domain.addresses import Addresses
from rimrep_assets.domain.datapackage import Edition, complete
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import ColumnFacts, DimensionFacts, Facts, VariableFacts

CURATED: dict[str, Any] = {
    "name": "aims-temp-loggers",
    "title": "Water temperature from loggers",
    "description": "Water temperature at reefs of the Great Barrier Reef, measured every half hour by loggers.",
    "licenses": [{"name": "CC-BY-3.0-AU", "path": "https://creativecommons.org/licenses/by/3.0/au/"}],
    "contributors": [
        {"title": "AIMS", "roles": ["licensor", "producer"], "path": "https://www.aims.gov.au"},
        {"title": "Data Centre", "roles": ["contact"], "email": "adc@example.org"},
    ],
    "keywords": ["temperature", "reef"],
    "themes": [{"scheme": "GCMD", "concepts": [{"id": "46206e8c-8def-406f", "title": "WATER TEMPERATURE"}]}],
    "doi": "10.25845/5c09bf93f315d",
    "citation": "AIMS (2017) Temperature loggers. https://doi.org/10.25845/5c09bf93f315d",
    "sources": [
        {"title": "AIMS Data Platform", "path": "https://example.org/data", "kind": "data"},
        {"title": "GeoNetwork", "path": "https://example.org/metadata", "kind": "metadata"},
    ],
    "homepage": "https://example.org/ü",
}

TABLE_SCHEMA: dict[str, Any] = {
    "fields": [
        {"name": "fid", "type": "string"},
        {"name": "time", "type": "datetime", "description": "UTC"},
        {"name": "lon", "type": "number"},
        {"name": "lat", "type": "number"},
        {"name": "qc_val", "type": "number", "description": "temperature", "unit": "degC"},
        {"name": "geometry", "type": "any"},
    ],
    "primaryKey": ["fid"],
}

TABLE_FACTS = Facts(
    format="parquet",
    row_count=5,
    columns=(
        ColumnFacts(name="fid", type="string", nulls=0, min="a", max="e"),
        ColumnFacts(name="time", type="datetime", nulls=0, min="2020-01-01T00:00:00Z", max="2020-01-05T00:00:00Z"),
        ColumnFacts(name="qc_val", type="number", nulls=1, min=21.25, max=98765.5),
        ColumnFacts(name="geometry", type="geometry", nulls=0),
    ),
    bbox=(146.0, -19.5, 147.5, -18.0),
    start="2020-01-01T00:00:00Z",
    end="2020-01-05T00:00:00Z",
    crs="EPSG:4326",
)

GRID_SCHEMA: dict[str, Any] = {
    "dimensions": {"time": {"type": "temporal"}, "lat": {"description": "north"}, "lon": {}},
    "variables": {"dhw": {"description": "degree heating week", "standard_name": "heat"}},
}

GRID_FACTS = Facts(
    format="zarr",
    dimensions={
        "time": DimensionFacts(
            size=3, type="temporal", axis="t", extent=("2023-01-01T12:00:00Z", "2023-01-03T12:00:00Z"), step="P1D"
        ),
        "lat": DimensionFacts(size=2, type="spatial", axis="y", extent=(-10.0, -11.0), step=-1.0, unit="degrees_north"),
        "lon": DimensionFacts(size=4, type="spatial", axis="x", extent=(150.0, 153.0), step=1.0, unit="degrees_east"),
        "k": DimensionFacts(size=17, type="other"),
        "z": DimensionFacts(size=2, type="spatial", axis="z", extent=(0.0, 5.0), unit="m"),
    },
    variables={
        "dhw": VariableFacts(
            dimensions=("time", "lat", "lon"), data_type="int16", unit="degC weeks", min=0.5, max=31337.0
        )
    },
    bbox=(149.5, -11.5, 153.5, -9.5),
    start="2023-01-01T12:00:00Z",
    end="2023-01-03T12:00:00Z",
    missing_times=("2023-01-02T12:00:00Z",),
    crs="EPSG:4326",
)

EDITION = Edition(
    release=3,
    version="v3",
    data_version="v3",
    updated="2024-05-06T07:08:09Z",
    catalog_commit="c0ffee",
    environment="production",
    bytes=2653,
    sha256="ab" * 32,
)


def dataset(**changes: Any) -> Dataset:
    """The loggers' table; ``changes`` are keys of dataset.yaml."""
    raw: dict[str, Any] = {
        "id": "aims-temp-loggers",
        "collection": "aims-temp",
        "format": "parquet",
        "access": "public",
        "coordinates": {"x": "lon", "y": "lat", "t": "time"},
        "source": {"kind": "http", "url": "https://example.org/"},
        "convert": {"read_csv": {}},
    }
    return Dataset.model_validate({**raw, **changes})


def grid_dataset(**changes: Any) -> Dataset:
    raw = {"format": "zarr", "convert": {"read_netcdf": {}}}
    return dataset(**{**raw, **changes})


def addresses(root: str = "s3://bucket", *, grid: bool = False, plain: bool = True, version: str = "v3") -> Addresses:
    """Where release 3 lies below ``root``."""
    own = f"{root}/aims-temp-loggers"
    name = "gridschema.json" if grid else "tableschema.json"
    table = f"{own}/versions/{version}/data.parquet"
    stable = f"{own}/data.zarr" if grid else f"{own}/data.parquet"
    return Addresses(
        data=(stable if plain else f"{own}/data.icechunk") if grid else table,
        data_stable=stable if plain or not grid else None,
        icechunk=f"{own}/data.icechunk" if grid else None,
        snapshot="1CECHNKREP0F1RSTCMT0" if grid else None,
        tag="release-3" if grid else None,
        datapackage=f"{own}/versions/v3/datapackage.json",
        datapackage_stable=f"{own}/datapackage.json",
        schema_own=f"{own}/versions/v3/{name}",
        schema_stable=f"{own}/{name}",
        stac_item=f"{root}/stac/aims-temp/items/aims-temp-loggers.json",
        stac_collection=f"{root}/stac/aims-temp/collection.json",
        stac_root=f"{root}/stac/catalog.json",
        pygeoapi="https://pygeoapi.example/collections/aims-temp-loggers",
    )


def table_package(root: str = "s3://bucket", curated: dict[str, Any] = CURATED, **changes: Any) -> dict[str, Any]:
    return complete(
        curated, TABLE_FACTS, TABLE_SCHEMA, dataset=dataset(**changes), edition=EDITION, addresses=addresses(root)
    )


def grid_package(root: str = "s3://bucket", *, plain: bool = True, **changes: Any) -> dict[str, Any]:
    edition = EDITION.model_copy(update={"bytes": None, "sha256": None})
    return complete(
        CURATED,
        GRID_FACTS,
        GRID_SCHEMA,
        dataset=grid_dataset(layout={"plain": plain}, **changes),
        edition=edition,
        addresses=addresses(root, grid=True, plain=plain),
    )
