"""STAC of what is published: an item a dataset, a collection of items, and the root of a static catalog.

Here belongs what these documents say, as functions of datapackage and schema, or of each other. Not here: assets
and their snippets (``stac_assets``), validation (``stac_validation``), where files lie (``ports/stac_catalog``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rimrep_assets.domain.datapackage import OWN
from rimrep_assets.domain.extents import geometry_of, in_utc, moment, on_globe, union_of
from rimrep_assets.domain.stac_assets import assets_from
from rimrep_assets.domain.stac_cube import cube_from
from rimrep_assets.domain.stac_validation import validate_collection, validate_item

__all__ = ["catalog_from", "collection_from", "item_from", "validate_collection", "validate_item"]

STAC_VERSION = "1.1.0"
MOST_TIMES = 100
"""so many missing times are named in an item; the datapackage names all"""

_EXTENSIONS = {
    "proj:": "projection/v2.0.0",
    "table:": "table/v1.2.0",
    "cube:": "datacube/v2.2.0",
    "sci:": "scientific/v1.0.0",
    "themes": "themes/v1.0.0",
    "version": "version/v1.2.0",
    "file:": "file/v2.1.0",
}
_REMADE = frozenset({"self", "root", "parent", "item", "items", "child", "collection"})
_LICENCE = re.compile(r"[\w\-.+]+")
_PROVIDER_ROLES = {"author": "producer", "publisher": "host", "maintainer": "processor"}
_STAC_ROLES = ("licensor", "producer", "processor", "host")


def item_from(package: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The item of a release, from its complete datapackage and its schema alone; the same bytes for the same input.

    ``datetime`` is null beside start and end; data without time has ``updated`` as its datetime. A dataset without
    place has a null geometry and no bbox. Of limited data no value but the extents is told.
    Source: STAC 1.1.0 and the extensions that ``stac_extensions`` names; ``rimrep:`` is our own.
    """
    own = package[OWN]
    spatial = package.get("spatial") or {}
    bbox = on_globe(spatial["bbox"]) if spatial.get("bbox") else None
    properties = {
        "title": package["title"],
        "description": package["description"],
        **_time(package),
        "updated": package["updated"],
        "keywords": list(package.get("keywords", [])),
        "version": str(own["release"]),
        **_citing(package),
        "license": _licence(package),
        "providers": _providers(package),
        **({"themes": package["themes"]} if package.get("themes") else {}),
        **({"proj:code": package["crs"]} if re.fullmatch(r"[A-Z]+:\w+", package.get("crs", "")) else {}),
        **_contents(package, schema),
        "rimrep:release": own["release"],
        "rimrep:data_version": own["data_version"],
        "rimrep:catalog_commit": own["catalog_commit"],
        "rimrep:environment": own["environment"],
        "rimrep:access": own["access"],
        **_missing_times(own),
    }
    properties = {key: value for key, value in properties.items() if value not in ([], "") or key == "description"}
    assets = assets_from(package)
    item = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": _extensions(properties, *assets.values()),
        "id": package["name"],
        "collection": own["collection"],
        "geometry": geometry_of(bbox) if bbox else None,
        **({"bbox": bbox} if bbox else {}),
        "keywords": list(package.get("keywords", [])),
        "properties": properties,
        "links": _item_links(package),
        "assets": assets,
    }
    return item


def collection_from(
    described: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    *,
    listing_digest: str,
    self_href: str,
    root_href: str,
) -> dict[str, Any]:
    """The collection that ``items`` make of what the catalog ``described``; made anew each time, never added to.

    Extent, keywords and summaries are the items' union; links of navigation that ``described`` brings along (from
    an API that it was once fetched from) are dropped. Without items the described extent stands, or the whole.
    """
    items = sorted(items, key=lambda item: str(item["id"]))
    kept = [dict(link) for link in described.get("links", []) if link.get("rel") not in _REMADE]
    navigation = [
        _link("self", self_href, "application/json"),
        _link("root", root_href, "application/json"),
        _link("parent", root_href, "application/json"),
        *(_link("item", _self_of(item), "application/geo+json", item["properties"].get("title")) for item in items),
    ]
    summaries = {**described.get("summaries", {}), **_summaries(items)}
    extensions = {*described.get("stac_extensions", []), *_extensions(summaries)}
    fixed = ("type", "stac_version", "stac_extensions", "id", "keywords", "extent", "summaries", "links")
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": described["id"],
        **{"title": described["id"], "description": described["id"], "license": "other"},
        **{key: value for key, value in described.items() if key not in fixed},
        "keywords": _union([*described.get("keywords", [])], *(item.get("keywords", []) for item in items)),
        "extent": _extent(items) or described.get("extent") or _EVERYTHING,
        **({"summaries": summaries} if summaries else {}),
        "rimrep:listing": listing_digest,
        "links": _without_repeats([*navigation, *kept]),
    }


def catalog_from(
    collections: Sequence[Mapping[str, Any]],
    *,
    self_href: str,
    id_: str = "rimrep",
    title: str = "Reef data",
    description: str = "Analysis-ready data of the Great Barrier Reef and the seas around it.",
) -> dict[str, Any]:
    """The root of the static catalog: one child link a collection, sorted by id."""
    children = [
        _link("child", _self_of(collection), "application/json", collection.get("title"))
        for collection in sorted(collections, key=lambda c: str(c["id"]))
    ]
    own = [_link("self", self_href, "application/json"), _link("root", self_href, "application/json")]
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": id_,
        "title": title,
        "description": description,
        "links": _without_repeats([*own, *children]),
    }


_EVERYTHING = {"spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]}, "temporal": {"interval": [[None, None]]}}


def _time(package: Mapping[str, Any]) -> dict[str, Any]:
    temporal = package.get("temporal") or {}
    if not temporal.get("start_datetime"):
        return {"datetime": package["updated"]}
    return {
        "datetime": None,
        "start_datetime": _utc_or_as_is(temporal["start_datetime"]),
        "end_datetime": _utc_or_as_is(temporal["end_datetime"]),
    }


def _utc_or_as_is(text: str) -> str:
    """What is no instant stays, for the validation to tell about it."""
    return in_utc(text) if moment(text) else text


def _citing(package: Mapping[str, Any]) -> dict[str, Any]:
    return {f"sci:{key}": package[key] for key in ("doi", "citation") if package.get(key)}


def _licence(package: Mapping[str, Any]) -> str:
    names = [licence.get("name", "") for licence in package.get("licenses", [])]
    return names[0] if len(names) == 1 and _LICENCE.fullmatch(names[0]) else "other"


def _providers(package: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for person in package.get("contributors", []):
        told = [*person.get("roles", []), *([person["role"]] if "role" in person else [])]
        roles = [role for role in _union([_PROVIDER_ROLES.get(r, r) for r in told]) if role in _STAC_ROLES]
        if roles:
            found.append(
                {
                    "name": person["title"],
                    "roles": roles,
                    **({"url": person["path"]} if "path" in person else {}),
                }
            )
    return found


def _contents(package: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What the data holds: columns of a table, or dimensions and variables of a grid."""
    if package["resources"][0]["format"] != "parquet":
        return cube_from(package, schema)
    roles = {name: part for part, name in package.get("coordinates", {}).items()}
    measured = package[OWN]["statistics"].get("columns", {})
    told = package[OWN]["access"] == "public"
    columns = []
    for field in schema.get("fields", []):
        name = field["name"]
        column = {"name": name, "type": str(field.get("type", "any"))}
        for key in ("title", "description", "unit"):
            if field.get(key):
                column[key] = field[key]
        facts = measured.get(name, {})
        if told:
            column |= {key: facts[key] for key in ("min", "max") if facts.get(key) is not None}
        if name in roles:
            column["coordinates"] = roles[name]
        columns.append(column)
    geometry = package.get("coordinates", {}).get("geometry")
    return {
        **({"table:row_count": package["row_count"]} if "row_count" in package else {}),
        "table:columns": columns,
        **({"table:primary_geometry": geometry} if geometry else {}),
    }


def _missing_times(own: Mapping[str, Any]) -> dict[str, Any]:
    times = own.get("missing_times", [])
    if not times:
        return {}
    return {"rimrep:missing_time_count": len(times), "rimrep:missing_times": times[:MOST_TIMES]}


def _item_links(package: Mapping[str, Any]) -> list[dict[str, Any]]:
    at = package[OWN]["addresses"]
    links = [
        _link("self", at["stac_item"], "application/geo+json", package["title"]),
        _link("collection", at["stac_collection"], "application/json"),
        _link("parent", at["stac_collection"], "application/json"),
        _link("root", at["stac_root"], "application/json"),
        _link("describedby", at["pygeoapi"], "application/json", "Link to Data API"),
        _link("describedby", _documentation(at["pygeoapi"]), "text/html", "Link to Data API Documentation"),
    ]
    for licence in package.get("licenses", []):
        if licence.get("path"):
            links.append(_link("license", licence["path"], None, f"License: {licence['name']}"))
    if package.get("doi"):
        links.append(_link("cite-as", f"https://doi.org/{package['doi']}"))
    words = {"data": "Link to the Original Data", "metadata": "Link to Original Metadata"}
    for source in package.get("sources", []):
        kind = source.get("kind", "data")
        if source.get("path"):
            rel = "via" if kind in words else "describedby"
            links.append(
                _link(rel, source["path"], None, f"{words.get(kind, 'How to Acknowledge')}: {source['title']}")
            )
    return _without_repeats(links)


def _documentation(collection_url: str) -> str:
    base, _, id_ = collection_url.rpartition("/collections/")
    return f"{base}/openapi?f=html#/{id_}"


def _link(rel: str, href: str, type_: str | None = None, title: str | None = None) -> dict[str, Any]:
    told = {"rel": rel, "href": href, "type": type_, "title": title}
    return {key: value for key, value in told.items() if value is not None}


def _self_of(document: Mapping[str, Any]) -> str:
    return next(str(link["href"]) for link in document["links"] if link["rel"] == "self")


def _extensions(*parts: Mapping[str, Any]) -> list[str]:
    used = {path for part in parts for key in part for word, path in _EXTENSIONS.items() if key.startswith(word)}
    return [f"https://stac-extensions.github.io/{path}/schema.json" for path in sorted(used)]


def _extent(items: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    items = list(items)
    if not items:
        return None
    box = union_of(item["bbox"] for item in items if "bbox" in item)
    spans = [span for item in items if (span := _span(item["properties"]))]
    begin = min((in_utc(a) for a, _ in spans), key=datetime.fromisoformat, default=None)
    end = max((in_utc(b) for _, b in spans), key=datetime.fromisoformat, default=None)
    return {
        "spatial": {"bbox": [box or [-180.0, -90.0, 180.0, 90.0]]},
        "temporal": {"interval": [[begin, end]]},
    }


def _span(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """Start and end; None for data without time, whose datetime tells when it was published."""
    if properties.get("start_datetime"):
        return properties["start_datetime"], properties["end_datetime"]
    return None


def _summaries(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    codes = sorted({i["properties"]["proj:code"] for i in items if "proj:code" in i["properties"]})
    return {"proj:code": codes} if codes else {}


def _union(*lists: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for words in lists for word in words))


def _without_repeats(links: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for link in links:
        seen.setdefault((link["rel"], link["href"]), link)
    return list(seen.values())
