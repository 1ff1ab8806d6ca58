"""Whether STAC documents are what they claim to be, without the internet.

Here belong the schemas of STAC and of the extensions that we write, and what no schema can say. Not here: making
the documents (``stac``). The extensions' schemas lie in ``stac_schemas``, as published by their projects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from rimrep_assets.domain.addresses import is_absolute
from rimrep_assets.domain.extents import bbox_problems, moment, span_problems

_EXTENSION = "https://stac-extensions.github.io/"
_GEOMETRY_DEPTH = {"Polygon": 1, "MultiPolygon": 2}


def validate_item(item: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with an item, in words; empty when nothing is.

    Besides the schemas: a bbox that is in order and on the globe, a geometry that is closed and fills it, times in
    order, and hrefs that can be opened from anywhere.
    """
    problems = _schema_problems(item, "item")
    properties = item.get("properties") or {}
    bbox, geometry = item.get("bbox"), item.get("geometry")
    if geometry is not None and bbox is not None:
        problems += [f"bbox: {p}" for p in _globe_problems(bbox)] or _geometry_problems(geometry, bbox)
    if properties.get("start_datetime") or properties.get("end_datetime"):
        problems += [f"properties: {p}" for p in span_problems(properties)]
    elif moment(properties.get("datetime")) is None:
        problems.append(f"properties: datetime {properties.get('datetime')!r} is not a UTC date and time")
    problems += _href_problems(item.get("links", []))
    for name, asset in (item.get("assets") or {}).items():
        if not is_absolute(str(asset.get("href", ""))):
            problems.append(f"assets.{name}: href {asset.get('href')!r} is not absolute")
    if item.get("assets") is not None and "data" not in item["assets"]:
        problems.append("assets: there is no data")
    return problems


def validate_collection(collection: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a collection, in words; empty when nothing is. No link may stand twice."""
    problems = _schema_problems(collection, "collection")
    extent = collection.get("extent") or {}
    for bbox in (extent.get("spatial") or {}).get("bbox", []):
        problems += [f"extent.spatial.bbox: {p}" for p in _globe_problems(bbox)]
    for interval in (extent.get("temporal") or {}).get("interval", []):
        moments = [moment(text) for text in interval if text is not None]
        if None in moments:
            problems.append(f"extent.temporal.interval: {interval} holds something that is no UTC date and time")
        elif len(moments) == 2 and moments[0] > moments[1]:  # type: ignore[operator]
            problems.append(f"extent.temporal.interval: start {interval[0]} is after end {interval[1]}")
    links = collection.get("links", [])
    problems += _href_problems(links)
    told = [(link.get("rel"), link.get("href")) for link in links]
    problems += [f"links: {rel} {href} stands {told.count((rel, href))} times" for rel, href in _repeated(told)]
    return problems


def _schema_problems(document: Mapping[str, Any], kind: str) -> list[str]:
    problems = [_in_words(error) for error in _core(kind).iter_errors(document)]
    for url in document.get("stac_extensions", []):
        name = url.removeprefix(_EXTENSION).removesuffix("/schema.json")
        validator = _extension(name)
        if validator is not None:
            short = name.partition("/")[0]
            problems += [f"extension {short}: {_in_words(error)}" for error in validator.iter_errors(document)]
    return problems


def _globe_problems(bbox: Sequence[float]) -> list[str]:
    problems = bbox_problems(bbox)
    if not problems and not all(-180 <= bbox[i] <= 180 for i in (0, 2)):
        problems.append(f"{list(bbox)}: a longitude lies outside -180..180")
    return problems


def _geometry_problems(geometry: Mapping[str, Any], bbox: Sequence[float]) -> list[str]:
    """The rings must be closed, and together reach exactly to the bbox."""
    kind = geometry.get("type")
    if kind not in _GEOMETRY_DEPTH:
        return [f"geometry: {kind} is not a Polygon or MultiPolygon"]
    crosses = bbox[0] > bbox[2]
    if crosses != (kind == "MultiPolygon"):
        how = "crosses" if crosses else "does not cross"
        return [f"geometry: the bbox {list(bbox)} {how} 180°, a {kind} does not fit it"]
    polygons = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    rings = [ring for polygon in polygons for ring in polygon]
    problems = [f"geometry: a ring ends at {r[-1]}, not where it starts, {r[0]}" for r in rings if r[0] != r[-1]]
    points = [point for ring in rings for point in ring]
    lats = [point[1] for point in points]
    if crosses:
        reached = [
            min(p[0] for p in points if p[0] >= 0),
            min(lats),
            max(p[0] for p in points if p[0] < 0),
            max(lats),
        ]
    else:
        lons = [point[0] for point in points]
        reached = [min(lons), min(lats), max(lons), max(lats)]
    if reached != list(bbox):
        problems.append(f"geometry: reaches over {reached}, the bbox says {list(bbox)}")
    return problems


def _href_problems(links: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"links: {link.get('rel')} {link.get('href')!r} is not absolute"
        for link in links
        if not is_absolute(str(link.get("href", "")))
    ]


def _repeated(told: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return sorted({pair for pair in told if told.count(pair) > 1}, key=str)


def _in_words(error: Any) -> str:
    """The deepest cause of a failed alternative, with its place."""
    from jsonschema.exceptions import best_match

    best = best_match([error])
    place = ".".join(str(part) for part in best.absolute_path)
    text = best.message if len(best.message) < 300 else best.message[:300] + "…"
    return f"{place}: {text}" if place else text


@cache
def _registry() -> Any:
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT7

    known = [(url, Resource.from_contents(schema)) for url, schema in get_local_schema_cache().items()]
    # Named by two extensions for fields that we never write, yet looked up whenever an alternative is tried.
    unused = [(f"https://proj.org/schemas/v{v}/projjson.schema.json", {"type": "object"}) for v in ("0.4", "0.7")]
    known += [(url, DRAFT7.create_resource(schema)) for url, schema in unused]
    return Registry().with_resources(known)


@cache
def _core(kind: str) -> Any:
    from pystac.validation.local_validator import VERSION, get_local_schema_cache

    url = f"https://schemas.stacspec.org/v{VERSION}/{kind}-spec/json-schema/{kind}.json"
    return _validator(get_local_schema_cache()[url])


@cache
def _extension(name: str) -> Any:
    """The validator of ``projection/v2.0.0``; None for an extension that we do not write ourselves."""
    for found in _bundled():
        if found.name == name.replace("/", "-") + ".json":
            return _validator(json.loads(found.read_text(encoding="utf-8")))
    return None


def _bundled() -> Iterator[Any]:
    return files("rimrep_assets.domain.stac_schemas").iterdir()


def _validator(schema: Mapping[str, Any]) -> Any:
    from jsonschema import Draft7Validator, FormatChecker

    return Draft7Validator(schema, registry=_registry(), format_checker=FormatChecker(formats=["date-time"]))
