"""What describes the data, judged by the tools of its users: pystac, frictionless and the published JSON schemas.

Here belongs that every published document is valid and leads on to the next. Not here: what the documents say
(``domain``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pystac
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from rimrep_assets_tests.homes import publish_both
from rimrep_assets_tests.worlds import GRID, TABLE, World

EXTENSIONS = "https://stac-extensions.github.io/"
PROJJSON_URLS = [f"https://proj.org/schemas/v{v}/projjson.schema.json" for v in ("0.4", "0.5", "0.7")]
PROJJSON = DRAFT7.create_resource({"type": "object"})
"""no extension that we write holds one inline; its own schema is on another server"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """A table and a grid, both at release 1; no test changes it."""
    made = World(tmp_path_factory.mktemp("described"))
    publish_both(made)
    return made


def addresses(world: World, dataset: str) -> dict[str, str]:
    record = world.projector(dataset).log.newest()
    assert record is not None
    return record.datapackage["rimrep"]["addresses"]


def document(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text())


@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_pystac_reads_the_item_and_all_its_assets_and_links_resolve(world, dataset):
    item = pystac.Item.from_file(addresses(world, dataset)["stac_item"])
    assert item.id == dataset
    assert item.get_parent().id == "reef"
    assert item.get_root().get_self_href() == addresses(world, dataset)["stac_root"]
    for name, asset in item.assets.items():
        assert Path(asset.href).exists(), name
    for link in item.links:
        assert "://" in str(link.get_absolute_href()) or Path(str(link.get_absolute_href())).exists(), link


def test_pystac_walks_from_the_catalog_to_every_item(world):
    catalog = pystac.Catalog.from_file(addresses(world, TABLE)["stac_root"])
    walked = [(root.id, sorted(item.id for item in items)) for root, _, items in catalog.walk()]
    assert walked[1:] == [("reef", sorted([TABLE, GRID]))]
    assert [c.id for c in catalog.get_children()] == ["reef"]


def test_the_collection_covers_its_items(world):
    collection = pystac.Collection.from_file(addresses(world, TABLE)["stac_collection"])
    items = list(collection.get_items())
    boxes = [item.bbox for item in items]
    whole = [*(min(b[i] for b in boxes) for i in (0, 1)), *(max(b[i] for b in boxes) for i in (2, 3))]
    assert collection.extent.spatial.bboxes[0] == whole
    begin, end = collection.extent.temporal.intervals[0]
    assert begin == min(item.common_metadata.start_datetime for item in items)
    assert end == max(item.common_metadata.end_datetime for item in items)


def published_documents(world: World) -> dict[str, dict[str, Any]]:
    """All STAC documents that name extensions."""
    item, grid = (document(addresses(world, dataset)["stac_item"]) for dataset in (TABLE, GRID))
    return {"table": item, "grid": grid, "collection": document(addresses(world, TABLE)["stac_collection"])}


@pytest.mark.parametrize("kind", ["table", "grid", "collection"])
def test_the_schema_of_every_extension_accepts_the_document(world, shared: Callable[[str], Path], kind):
    from pystac.validation.local_validator import get_local_schema_cache

    found = published_documents(world)[kind]
    known = [(url, Resource.from_contents(schema)) for url, schema in get_local_schema_cache().items()]
    known += [(url, PROJJSON) for url in PROJJSON_URLS]
    assert len(found["stac_extensions"]) >= 1
    for url in found["stac_extensions"]:
        schema = json.loads(shared(f"schemas/stac-extensions/{url.removeprefix(EXTENSIONS)}").read_text())
        validator = jsonschema.Draft7Validator(schema, registry=Registry().with_resources(known))
        assert [error.message for error in validator.iter_errors(found)] == [], url


@pytest.mark.parametrize("kind", ["table", "grid", "collection"])
def test_the_core_schema_accepts_the_document(world, kind):
    found = published_documents(world)[kind]
    bare = {**found, "stac_extensions": []}
    assert pystac.validation.validate_dict(bare)


def test_a_broken_item_would_be_refused_by_these_schemas(world, shared: Callable[[str], Path]):
    item = published_documents(world)["grid"]
    url = next(url for url in item["stac_extensions"] if "datacube" in url)
    schema = json.loads(shared(f"schemas/stac-extensions/{url.removeprefix(EXTENSIONS)}").read_text())
    broken = {**item, "properties": {**item["properties"], "cube:dimensions": {"time": {"type": 7}}}}
    assert list(jsonschema.Draft7Validator(schema).iter_errors(broken))
    with pytest.raises(pystac.errors.STACValidationError):
        pystac.validation.validate_dict({**item, "bbox": "here", "stac_extensions": []})


def test_frictionless_reads_the_tables_package_with_all_rows(world):
    import frictionless

    path = addresses(world, TABLE)["datapackage_stable"]
    lines = sum(len(csv.read_text().splitlines()) - 1 for csv in world.source(TABLE).glob("*.csv"))
    report = frictionless.validate(path)
    assert report.valid, report.flatten(["type", "message"])
    assert report.tasks[0].stats["rows"] == lines
    rows = frictionless.Package(path).resources[0].read_rows()
    assert len(rows) == lines
    assert {row["site"] for row in rows} == {"Davies Reef"}


@pytest.mark.parametrize("name", ["datapackage", "datapackage_stable"])
@pytest.mark.parametrize("dataset", [TABLE, GRID])
def test_frictionless_accepts_the_packages_metadata(world, dataset, name):
    import frictionless

    # A release's own package leads out of its folder, which frictionless follows when it is told to trust.
    with frictionless.system.use_context(trusted=True):
        report = frictionless.validate(addresses(world, dataset)[name])
    assert report.valid, report.flatten(["type", "message"])


def test_the_profile_of_the_catalog_accepts_both_packages(world):
    profile = json.loads((world.catalog_folder / "templates/gbr-dms-data-package.json").read_text())
    for dataset in (TABLE, GRID):
        package = document(addresses(world, dataset)["datapackage_stable"])
        assert list(jsonschema.Draft202012Validator(profile).iter_errors(package)) == []


def test_the_gridschema_is_one_and_names_what_xarray_finds(world):
    import xarray as xr

    from rimrep_assets.domain.grid_schema import GRID_SCHEMA

    schema = document(addresses(world, GRID)["schema_stable"])
    assert list(jsonschema.Draft202012Validator(GRID_SCHEMA).iter_errors(schema)) == []
    with xr.open_zarr(addresses(world, GRID)["data"]) as grid:
        assert set(schema["dimensions"]) == set(grid.sizes)
        assert {name: d["size"] for name, d in schema["dimensions"].items()} == dict(grid.sizes)
        assert set(schema["variables"]) == set(grid.data_vars)
        assert schema["variables"]["heat"]["unit"] == grid["heat"].attrs["units"]


def test_the_tableschema_is_one_and_names_what_pyarrow_finds(world):
    import frictionless
    import pyarrow.parquet as pq

    schema = document(addresses(world, TABLE)["schema_stable"])
    names = frictionless.Schema.from_descriptor(schema).field_names
    assert names == pq.read_schema(addresses(world, TABLE)["data"]).names


def test_the_table_is_geoparquet(world, shared: Callable[[str], Path]):
    import pyarrow.parquet as pq

    schema = json.loads(shared("schemas/geoparquet/v1.1.0.json").read_text())
    told = json.loads(pq.read_schema(addresses(world, TABLE)["data"]).metadata[b"geo"])
    registry = Registry().with_resources([(url, PROJJSON) for url in PROJJSON_URLS])
    assert list(jsonschema.Draft7Validator(schema, registry=registry).iter_errors(told)) == []
    assert told["version"] == "1.1.0"
    assert told["columns"]["geometry"]["encoding"] == "WKB"
