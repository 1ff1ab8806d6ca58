"""Items, collections and the catalog: valid STAC, made from datapackage and schema alone."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.datapackage import json_bytes
from rimrep_assets.domain.extents import geometry_of, on_globe, union_of
from rimrep_assets.domain.stac import catalog_from, collection_from, item_from, validate_collection, validate_item
from rimrep_assets_tests.domain.documents import CURATED, GRID_SCHEMA, TABLE_SCHEMA, grid_package, table_package

DESCRIBED: dict[str, Any] = {
    "id": "aims-temp",
    "title": "Temperature",
    "description": "Temperature loggers of AIMS.",
    "license": "CC-BY-3.0-AU",
    "keywords": ["EARTH SCIENCE", "reef"],
    "providers": [{"name": "AIMS", "roles": ["producer"]}],
    "links": [
        {"rel": "license", "href": "https://creativecommons.org/licenses/by/3.0/au/"},
        {"rel": "items", "href": "http://stac.reefdata.io:8080/collections/aims-temp/items"},
        {"rel": "items", "href": "https://stac.reefdata.io/collections/aims-temp/items"},
        {"rel": "self", "href": "https://stac.reefdata.io/collections/aims-temp"},
        {"rel": "root", "href": "https://stac.reefdata.io"},
    ],
}


def table_item(**changes: Any) -> dict[str, Any]:
    return item_from(table_package(**changes), TABLE_SCHEMA)


def grid_item(**changes: Any) -> dict[str, Any]:
    return item_from(grid_package(**changes), GRID_SCHEMA)


def item_like(id_: str, bbox: list[float], start: str, end: str, keywords: list[str]) -> dict[str, Any]:
    return {
        "id": id_,
        "bbox": bbox,
        "keywords": keywords,
        "properties": {"title": id_, "start_datetime": start, "end_datetime": end, "proj:code": "EPSG:4326"},
        "links": [{"rel": "self", "href": f"https://example.org/{id_}.json"}],
    }


def collection(
    items: list[dict[str, Any]], described: dict[str, Any] = DESCRIBED, digest: str = "d1"
) -> dict[str, Any]:
    return collection_from(
        described, items, listing_digest=digest, self_href="https://s/c.json", root_href="https://s/catalog.json"
    )


@pytest.mark.parametrize("made", [table_item, grid_item], ids=["table", "grid"])
def test_an_item_is_valid_stac_with_every_extension_it_names(made, shared):
    """Against the schemas as their projects publish them, not against our copies."""
    from jsonschema import Draft7Validator
    from pystac import Item
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource

    item = made()
    known = get_local_schema_cache()
    known |= {
        f"https://proj.org/schemas/v{v}/projjson.schema.json": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
        }
        for v in ("0.4", "0.7")
    }
    registry = Registry().with_resources([(url, Resource.from_contents(s)) for url, s in known.items()])
    core = known["https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"]
    Draft7Validator(core, registry=registry).validate(item)
    assert item["stac_extensions"]
    for url in item["stac_extensions"]:
        name = url.removeprefix("https://stac-extensions.github.io/")
        schema = json.loads(shared(f"schemas/stac-extensions/{name}").read_text())
        Draft7Validator(schema, registry=registry).validate(item)
    assert Item.from_dict(deepcopy(item)).properties == item["properties"]
    assert validate_item(item) == []


def test_the_bundled_extension_schemas_are_those_that_their_projects_publish(shared):
    from importlib.resources import files

    bundled = [f for f in files("rimrep_assets.domain.stac_schemas").iterdir() if f.name.endswith(".json")]
    assert len(bundled) == 7
    for found in bundled:
        extension, _, version = found.name.removesuffix(".json").rpartition("-")
        published = shared(f"schemas/stac-extensions/{extension}/{version}/schema.json")
        assert json.loads(found.read_text()) == json.loads(published.read_text())


def test_a_tables_item_tells_what_pystac_reads_back():
    from pystac import Item
    from pystac.extensions.projection import ProjectionExtension
    from pystac.extensions.scientific import ScientificExtension
    from pystac.extensions.table import TableExtension

    item = Item.from_dict(table_item())
    assert (item.id, item.collection_id, item.datetime) == ("aims-temp-loggers", "aims-temp", None)
    assert item.common_metadata.start_datetime.isoformat() == "2020-01-01T00:00:00+00:00"
    assert item.bbox == [146.0, -19.5, 147.5, -18.0]
    assert item.properties["version"] == "3"
    assert TableExtension.ext(item).row_count == 5
    columns = {c.name: c.properties for c in TableExtension.ext(item).columns}
    assert columns["qc_val"]["min"] == 21.25
    assert columns["qc_val"]["max"] == 98765.5
    assert columns["time"]["coordinates"] == "t"
    assert columns["lon"] == {"name": "lon", "type": "number", "coordinates": "x"}
    assert columns["qc_val"]["description"] == "temperature"
    assert ScientificExtension.ext(item).doi == "10.25845/5c09bf93f315d"
    assert ProjectionExtension.ext(item).code == "EPSG:4326"
    assert item.properties["themes"] == CURATED["themes"]
    assert item.properties["providers"] == [
        {"name": "AIMS", "roles": ["licensor", "producer"], "url": "https://www.aims.gov.au"}
    ]


def test_a_grids_item_tells_its_cube():
    from pystac import Item
    from pystac.extensions.datacube import DatacubeExtension

    cube = DatacubeExtension.ext(Item.from_dict(grid_item()))
    dims = {name: d.to_dict() for name, d in cube.dimensions.items()}
    assert dims["time"]["extent"] == ["2023-01-01T12:00:00Z", "2023-01-03T12:00:00Z"]
    assert dims["time"]["step"] == "P1D"
    assert (dims["lat"]["extent"], dims["lat"]["step"]) == ([-11.0, -10.0], -1.0)
    assert dims["lon"]["reference_system"] == 4326
    assert dims["z"]["axis"] == "z"
    assert dims["k"]["extent"] == [0, 16]
    variable = cube.variables["dhw"].to_dict()
    assert variable["dimensions"] == ["time", "lat", "lon"]
    assert (variable["unit"], variable["extent"]) == ("degC weeks", [0.5, 31337.0])
    assert grid_item()["properties"]["rimrep:missing_times"] == ["2023-01-02T12:00:00Z"]


def test_links_lead_to_the_api_the_licence_the_citation_and_the_origin():
    found = {(link["rel"], link["href"]) for link in table_item()["links"]}
    assert {
        ("self", "s3://bucket/stac/aims-temp/items/aims-temp-loggers.json"),
        ("collection", "s3://bucket/stac/aims-temp/collection.json"),
        ("parent", "s3://bucket/stac/aims-temp/collection.json"),
        ("root", "s3://bucket/stac/catalog.json"),
        ("describedby", "https://pygeoapi.example/collections/aims-temp-loggers"),
        ("describedby", "https://pygeoapi.example/openapi?f=html#/aims-temp-loggers"),
        ("license", "https://creativecommons.org/licenses/by/3.0/au/"),
        ("cite-as", "https://doi.org/10.25845/5c09bf93f315d"),
        ("via", "https://example.org/data"),
        ("via", "https://example.org/metadata"),
    } == found


def test_assets_name_the_releases_own_address_first():
    assets = table_item()["assets"]
    assert list(assets) == ["data", "data-stable", "metadata", "schema"]
    assert assets["data"]["href"] == "s3://bucket/aims-temp-loggers/versions/v3/data.parquet"
    assert assets["data-stable"]["href"] == "s3://bucket/aims-temp-loggers/data.parquet"
    assert assets["data"]["type"] == "application/vnd.apache.parquet"
    assert assets["data"]["file:checksum"] == "1220" + "ab" * 32
    assert assets["data"]["file:size"] == 2653
    grid = grid_item()["assets"]
    assert list(grid) == ["data", "icechunk", "metadata", "schema"]
    assert grid["data"]["type"] == "application/vnd.zarr; version=3"
    assert grid["icechunk"]["icechunk:tag"] == "release-3"
    assert grid["icechunk"]["icechunk:snapshot_id"] == "1CECHNKREP0F1RSTCMT0"
    only_icechunk = grid_item(plain=False)["assets"]
    assert list(only_icechunk) == ["data", "metadata", "schema"]
    assert only_icechunk["data"]["icechunk:tag"] == "release-3"
    assert validate_item(grid_item(plain=False)) == []


def python_of(asset: dict[str, Any]) -> str:
    return re.search(r"```python\n(.*?)\n```", asset["description"], re.S).group(1)


def test_the_python_snippets_open_what_they_name(tmp_path):
    import geopandas
    import icechunk
    import xarray

    item = item_from(table_package(str(tmp_path)), TABLE_SCHEMA)
    path = item["assets"]["data"]["href"]
    points = geopandas.points_from_xy([1.0], [2.0])
    (tmp_path / "aims-temp-loggers/versions/v3").mkdir(parents=True)
    geopandas.GeoDataFrame({"a": [7]}, geometry=points, crs=4326).to_parquet(path)
    told: dict[str, Any] = {}
    exec(python_of(item["assets"]["data"]), told)
    assert told["table"]["a"].tolist() == [7]

    grid = item_from(grid_package(str(tmp_path)), GRID_SCHEMA)
    values = xarray.Dataset({"dhw": ("lat", [1.0, 2.0])}, {"lat": [0, 1]})
    values.to_zarr(grid["assets"]["data"]["href"], zarr_format=3)
    exec(python_of(grid["assets"]["data"]), told)
    assert told["grid"]["dhw"].values.tolist() == [1.0, 2.0]

    storage = icechunk.local_filesystem_storage(grid["assets"]["icechunk"]["href"])
    repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    values.to_zarr(session.store, consolidated=False)
    repository.create_tag("release-3", session.commit("x"))
    exec(python_of(grid["assets"]["icechunk"]), told)
    assert told["grid"]["dhw"].values.tolist() == [1.0, 2.0]


def test_snippets_for_a_bucket_ask_without_credentials_only_where_it_is_public():
    public, limited = table_item(), table_item(access="limited", data_sharing_agreement="DSA-1")
    assert '"anon": True' in public["assets"]["data"]["description"]
    assert "anonymous = TRUE" in public["assets"]["data"]["description"]
    assert "anon" not in limited["assets"]["data"]["description"]


def test_no_value_of_limited_data_is_in_its_item():
    """A canary in a private dataset's values must not reach the item, and its minimum is such a value."""
    limited = {"access": "limited", "data_sharing_agreement": "DSA-1"}
    for made, canaries in ((table_item, ("98765.5", "21.25")), (grid_item, ("31337", "0.5,", "0.5]"))):
        assert any(c in json.dumps(made()) for c in canaries)
        text = json.dumps(made(**limited))
        assert not [c for c in canaries if c in text]
        assert validate_item(made(**limited)) == []


def test_a_dataset_without_place_or_time_is_still_a_valid_item():
    curated = {**CURATED, "spatial": None, "temporal": None}
    item = item_from(table_package(curated=curated, coordinates={}), TABLE_SCHEMA)
    assert item["geometry"] is None
    assert "bbox" not in item
    assert item["properties"]["datetime"] == "2024-05-06T07:08:09Z"
    assert validate_item(item) == []


def test_the_same_input_gives_the_same_bytes():
    assert json_bytes(table_item()) == json_bytes(table_item())


def changed(place: str, value: Any) -> dict[str, Any]:
    item = deepcopy(table_item())
    *way, last = place.split(".")
    inner = item
    for key in way:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]
    inner[last] = value
    return item


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("bbox", [146.0, -18.0, 147.5, -19.5], "bbox: .* south -18.0 is above north -19.5"),
        ("bbox", [147.5, -19.5, 146.0, -18.0], "bbox: .* west 147.5 is beyond east 146.0"),
        ("bbox", [146.0, -95.0, 147.5, -18.0], "bbox: .* a latitude lies outside -90..90"),
        ("bbox", [146.0, -19.5, 190.0, -18.0], "bbox: .* a longitude lies outside -180..180"),
        ("bbox", [146.0, -19.5, 147.4, -18.0], "geometry: reaches over .* the bbox says"),
        ("bbox", [170.0, -19.5, -170.0, -18.0], "geometry: the bbox .* crosses 180°"),
        ("bbox", [146.0, -19.5], "bbox"),
        ("geometry.coordinates", [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0.5]]], "geometry: a ring ends at"),
        ("geometry", None, "is not valid under any|bbox|null"),
        ("properties.start_datetime", "2021-01-01T00:00:00Z", "start 2021-01-01T00:00:00Z is after end"),
        ("properties.end_datetime", "yesterday", "end_datetime 'yesterday' is not a UTC date and time"),
        ("assets.data.href", "data.parquet", "assets.data: href 'data.parquet' is not absolute"),
        ("assets", {}, "assets: there is no data"),
        ("links", [{"rel": "via", "href": "../x"}], r"links: via '../x' is not absolute"),
        ("links", [{"href": "https://x"}], "'rel' is a required property"),
        ("id", "", "id: "),
        ("stac_version", "0.9.0", "stac_version: '1.1.0' was expected"),
        ("properties.sci:doi", "https://doi.org/10.1/2", "extension scientific: properties.sci:doi"),
        ("properties.table:row_count", "five", "extension table: properties.table:row_count"),
        ("properties.themes", [], "extension themes: "),
    ],
)
def test_a_wrong_item_is_told_with_its_place(place, value, words):
    problems = validate_item(changed(place, value))
    assert any(re.search(words, problem) for problem in problems), problems


def test_a_collection_is_the_union_of_its_items():
    one = item_like("b", [146, -20, 147, -19], "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", ["reef", "new"])
    two = item_like("a", [140, -25, 141, -10], "1990-01-01T00:00:00+10:00", "2020-06-01T00:00:00Z", ["old"])
    made = collection([one, two])
    assert made["extent"]["spatial"]["bbox"] == [[140, -25, 147, -10]]
    assert made["extent"]["temporal"]["interval"] == [["1989-12-31T14:00:00Z", "2021-01-01T00:00:00Z"]]
    assert made["keywords"] == ["EARTH SCIENCE", "reef", "old", "new"]
    assert made["summaries"] == {"proj:code": ["EPSG:4326"]}
    assert [link["href"] for link in made["links"] if link["rel"] == "item"] == [
        "https://example.org/a.json",
        "https://example.org/b.json",
    ]
    assert made["rimrep:listing"] == "d1"
    assert validate_collection(made) == []
    shrunk = collection([one])
    assert shrunk["extent"]["spatial"]["bbox"] == [[146, -20, 147, -19]]
    assert shrunk["keywords"] == ["EARTH SCIENCE", "reef", "new"]


def test_real_items_make_a_collection_that_pystac_accepts():
    from pystac import Collection

    made = collection([table_item(), grid_item() | {"id": "other"}])
    assert validate_collection(made) == []
    assert Collection.from_dict(made).extent.spatial.bboxes == [[146.0, -19.5, 153.5, -9.5]]


def test_links_stay_the_same_over_five_runs_each_fed_with_the_last():
    """The live system's collection collected an `items` link a run: stac-fastapi#505."""
    items = [item_like("a", [1, 2, 3, 4], "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", [])]
    made = collection(items)
    for _ in range(5):
        again = collection(items, described=made)
        assert again == made
        made = again
    assert not [link for link in made["links"] if link["rel"] == "items"]
    assert [link["rel"] for link in made["links"]] == ["self", "root", "parent", "item", "license"]


def test_an_empty_collection_is_legal():
    made = collection([])
    assert validate_collection(made) == []
    told = {"spatial": {"bbox": [[142, -25, 155, -9]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}}
    assert collection([], described={**DESCRIBED, "extent": told})["extent"] == told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"license": ""}, "license"),
        ({"extent": {"spatial": {"bbox": [[10, 5, 20, -5]]}, "temporal": {"interval": [[None, None]]}}}, "south 5"),
        (
            {
                "extent": {
                    "spatial": {"bbox": [[1, 2, 3, 4]]},
                    "temporal": {"interval": [["2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]]},
                }
            },
            "is after end",
        ),
        ({"links": [{"rel": "item", "href": "https://x/a"}] * 2}, "stands 2 times"),
        ({"links": [{"rel": "item", "href": "a.json"}]}, "is not absolute"),
        ({"providers": [{"roles": ["host"]}]}, "'name' is a required property"),
    ],
)
def test_a_wrong_collection_is_told(change, words):
    problems = validate_collection({**collection([]), **change})
    assert any(words in problem for problem in problems), problems


def test_the_catalog_has_one_child_a_collection():
    from pystac import Catalog

    made = catalog_from([collection([])], self_href="https://s/catalog.json")
    Catalog.from_dict(made)
    assert [link for link in made["links"] if link["rel"] == "child"] == [
        {"rel": "child", "href": "https://s/c.json", "type": "application/json", "title": "Temperature"}
    ]


latitudes = st.tuples(st.integers(-90, 90), st.integers(-90, 90)).map(sorted)
boxes = st.tuples(st.integers(-180, 359), st.integers(0, 360), latitudes).map(
    lambda b: [b[0], b[2][0], min(b[0] + b[1], 360), b[2][1]]
)


@given(box=boxes)
def test_a_box_keeps_its_width_on_the_globe(box):
    west, south, east, north = on_globe(box)
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert (south, north) == (box[1], box[3])
    width = east - west if east >= west else east + 360 - west
    assert width == min(box[2] - box[0], 360)


@given(box=boxes.filter(lambda b: b[0] < b[2] and b[1] < b[3]))
def test_a_geometry_covers_as_much_as_its_box(box):
    import shapely

    shape = shapely.geometry.shape(geometry_of(on_globe(box)))
    assert shape.is_valid
    assert shape.area == min(box[2] - box[0], 360) * (box[3] - box[1])


@given(found=st.lists(boxes.map(on_globe), min_size=1, max_size=4))
def test_a_union_holds_every_box(found):
    west, south, east, north = union_of(found)
    longitudes = range(-180, 181)

    def inside(lon: int, w: float, e: float) -> bool:
        return w <= lon <= e if w <= e else lon >= w or lon <= e

    for w, s, e, n in found:
        assert south <= s <= n <= north
        assert all(inside(lon, west, east) for lon in longitudes if inside(lon, w, e))
