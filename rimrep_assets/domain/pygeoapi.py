"""pygeoapi's configuration: an entry a dataset, and the one file that the server reads.

Here belongs what an entry says, how entries join the header, and what pygeoapi would refuse. Not here: the files in
the store (``ports/pygeoapi_config``), its OpenAPI document (``ports/pygeoapi_openapi``), serving
(``service/pygeoapi_providers``).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from rimrep_assets.domain.datapackage import OWN
from rimrep_assets.domain.extents import bbox_problems, moment, on_globe
from rimrep_assets.domain.table_objects import METADATA

FEATURES = "rimrep_assets.service.pygeoapi_providers.FeatureProvider"
COVERAGES = "rimrep_assets.service.pygeoapi_providers.CoverageProvider"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
WHOLE_EARTH = [-180.0, -90.0, 180.0, 90.0]


def entry_from(package: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The resource of pygeoapi 0.21 that serves a release, from its complete datapackage and its schema alone.

    Times are ISO 8601 texts, so that the entry can lie in JSON; ``merge`` makes them what pygeoapi reads.
    A feature's id is the column ``fid``, or the primary key of one column, or else the row's number.
    """
    own = package[OWN]
    bbox = (package.get("spatial") or {}).get("bbox")
    temporal = package.get("temporal") or {}
    extents: dict[str, Any] = {"spatial": {"bbox": on_globe(bbox) if bbox else WHOLE_EARTH, "crs": CRS84}}
    if temporal.get("start_datetime"):
        extents["temporal"] = {"begin": temporal["start_datetime"], "end": temporal["end_datetime"]}
    table = package["resources"][0]["format"] == "parquet"
    entry = {
        "type": "collection",
        "title": package["title"],
        "description": package["description"],
        "keywords": list(package.get("keywords", [])),
        "links": _links(package),
        "extents": extents,
        "providers": [_features(package, schema) if table else _coverages(package)],
        # What this was made from, so that a mixture of releases can be recognised.
        "rimrep": {key: own[key] for key in ("dataset", "release", "data_version")},
    }
    made: dict[str, Any] = _without_variables(entry)
    return made


def _features(package: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    coordinates, own = package.get("coordinates", {}), package[OWN]
    # The footers of all parts: what the provider would otherwise read from each of them.
    inside = f"/{METADATA}" if own.get("parts") else ""
    return {
        "type": "feature",
        "name": FEATURES,
        "data": {"source": f"{own['addresses']['data']}{inside}"},
        **_id_field(schema),
        **_fields(coordinates),
        # The table may be in another CRS: our provider takes and gives degrees, whatever the file holds.
        "storage_crs": CRS84,
    }


def _coverages(package: Mapping[str, Any]) -> dict[str, Any]:
    at = package[OWN]["addresses"]
    icechunk = package["resources"][0]["format"] == "icechunk"
    return {
        "type": "coverage",
        "name": COVERAGES,
        "data": at["data"],
        **({"options": {"icechunk_tag": at["tag"]}} if icechunk else {}),
        **_fields(package.get("coordinates", {})),
        **({"z_field": package["coordinates"]["z"]} if "z" in package.get("coordinates", {}) else {}),
        "storage_crs": _storage_crs(package.get("crs")),
        "format": {"name": "zarr", "mimetype": "application/zip"},
    }


def _storage_crs(crs: str | None) -> str:
    """CRS84 for every grid in degrees, for pygeoapi would take the axes of EPSG:4326 as latitude, longitude."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    authority, _, code = (crs or "").partition(":")
    try:
        projected = bool(crs) and CRS.from_user_input(crs).is_projected
    except CRSError:
        projected = False
    return f"http://www.opengis.net/def/crs/{authority}/0/{code}" if projected and code else CRS84


def _fields(coordinates: Mapping[str, str]) -> dict[str, str]:
    names = {"x": "x_field", "y": "y_field", "t": "time_field"}
    return {field: coordinates[part] for part, field in names.items() if part in coordinates}


def _id_field(schema: Mapping[str, Any]) -> dict[str, str]:
    names = [field["name"] for field in schema.get("fields", [])]
    key = schema.get("primaryKey")
    single = key if isinstance(key, str) else key[0] if isinstance(key, list) and len(key) == 1 else None
    return next(({"id_field": str(name)} for name in ("fid", single) if name in names), {})


def _links(package: Mapping[str, Any]) -> list[dict[str, str]]:
    at = package[OWN]["addresses"]
    links = [
        {"type": "application/geo+json", "rel": "canonical", "title": "STAC item", "href": at["stac_item"]},
        {
            "type": "application/json",
            "rel": "describedby",
            "title": "Data package",
            "href": at["datapackage_stable"],
        },
    ]
    for licence in package.get("licenses", []):
        if licence.get("path"):
            title = f"License: {licence['name']}"
            links.append({"type": "text/html", "rel": "license", "title": title, "href": licence["path"]})
    return links


def _without_variables(value: Any) -> Any:
    """pygeoapi puts environment variables into ``${…}``; what people wrote must not read the server's secrets."""
    if isinstance(value, str):
        return value.replace("${", "$ {")
    if isinstance(value, Mapping):
        return {key: _without_variables(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_variables(inner) for inner in value]
    return value


def validate_entry(entry: Any) -> list[str]:
    """Everything for which pygeoapi would refuse an entry, or serve it wrongly; empty when nothing is.

    By pygeoapi's own configuration schema, and besides: what the schema lets pass but the server fails on.
    """
    if not isinstance(entry, Mapping):
        return ["the entry is not a mapping of keys"]
    problems = []
    for error in _entry_validator().iter_errors(_as_json(entry)):
        place = ".".join(str(part) for part in error.absolute_path)
        problems.append(f"{place}: {error.message}" if place else error.message)
    if entry.get("type") != "collection":
        problems.append(f"type: {entry.get('type')!r} is not 'collection'")
    spatial = (_mapping(entry.get("extents")).get("spatial")) or {}
    problems += [f"extents.spatial.bbox: {p}" for p in bbox_problems(_mapping(spatial).get("bbox"))]
    temporal = _mapping(_mapping(entry.get("extents")).get("temporal"))
    for key in ("begin", "end"):
        if temporal.get(key) is not None and moment(temporal[key]) is None:
            problems.append(f"extents.temporal.{key}: {temporal[key]!r} is not a UTC date and time")
    if not entry.get("providers"):
        problems.append("providers: there is none")
    problems += [f"{place}: '${{' would be read as an environment variable" for place in _variables(entry)]
    return list(dict.fromkeys(problems))


def merge(header: Mapping[str, Any], entries: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """``(configuration, left out)``: the header with every sound entry, sorted by id, and why others are not in it.

    Resources that the header brings along stay, unless an entry has their id. Times become datetimes, for pygeoapi
    compares them as such. A broken header is not mended here.
    """
    config = deepcopy(dict(header))
    resources = dict(config.get("resources") or {})
    left_out = {}
    for id_ in sorted(entries):
        problems = validate_entry(entries[id_])
        if problems:
            left_out[id_] = "; ".join(problems)
        else:
            resources[id_] = _with_datetimes(entries[id_])
    config["resources"] = resources
    return config, left_out


def default_header(
    url: str,
    title: str = "Reef data",
    description: str = "Analysis-ready data of the Great Barrier Reef and the seas around it, as OGC API.",
) -> dict[str, Any]:
    """A complete header for stores that have none; ``url`` is the server's address as its clients see it."""
    port = url.rpartition(":")[2].partition("/")[0]
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": int(port) if port.isdigit() else 5000},
            "url": url.rstrip("/"),
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "gzip": False,
            "languages": ["en-AU"],
            "cors": True,
            "pretty_print": False,
            "limits": {"default_items": 100, "max_items": 10000},
            "map": {
                "url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
                "attribution": "&copy; OpenStreetMap contributors",
            },
            "admin": False,
        },
        "logging": {"level": "WARNING"},
        "metadata": {
            "identification": {
                "title": title,
                "description": description,
                "keywords": ["Great Barrier Reef", "ocean", "OGC API"],
                "keywords_type": "theme",
                "terms_of_service": "https://creativecommons.org/licenses/by/4.0/",
                "url": url.rstrip("/"),
            },
            "license": {
                "name": "see each collection",
                "url": "https://creativecommons.org/licenses/by/4.0/",
            },
            "provider": {"name": title, "url": url.rstrip("/")},
            "contact": {"name": title, "url": url.rstrip("/")},
        },
        "resources": {},
    }


def _with_datetimes(entry: Mapping[str, Any]) -> dict[str, Any]:
    made = deepcopy(dict(entry))
    temporal = made["extents"].get("temporal")
    for key in ("begin", "end"):
        if temporal and isinstance(temporal.get(key), str):
            temporal[key] = moment(temporal[key])
    return made


def _as_json(value: Any) -> Any:
    """YAML's dates as the texts that the schema knows."""
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_json(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _variables(value: Any, place: str = "") -> list[str]:
    if isinstance(value, str):
        return [place] if "${" in value else []
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, v in inner for p in _variables(v, f"{place}.{key}" if place else str(key))]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@cache
def _entry_validator() -> Any:
    """The part of pygeoapi's schema for a collection, so that errors name its keys and not the alternatives."""
    from importlib.util import find_spec
    from pathlib import Path

    import yaml
    from jsonschema import Draft202012Validator

    # Found, not imported: importing pygeoapi loads its whole server.
    spec = find_spec("pygeoapi")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "schemas" / "config" / "pygeoapi-config-0.x.yml"
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    collection = whole["properties"]["resources"]["patternProperties"]["^.*$"]["anyOf"][0]
    return Draft202012Validator({**collection, "definitions": whole["definitions"]})
