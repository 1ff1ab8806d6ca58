"""The complete datapackage of a release: what people wrote, and what was measured.

Here belongs joining curated and data-driven metadata, and validating the result. Not here: harvesting, issues
(``harvest``), schemas (``table_schema``, ``grid_schema``), or what is made from the datapackage (``stac``,
``pygeoapi``): these read nothing but it and the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from rimrep_assets.domain.addresses import Addresses
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.extents import bbox_problems, span_problems
from rimrep_assets.domain.facts import Facts, extents_come_from_data
from rimrep_assets.domain.proposal_marks import still_guesses, without_marks
from rimrep_assets.domain.release import json_bytes
from rimrep_assets.domain.strict_model import StrictModel

__all__ = ["OWN", "Edition", "complete", "curated_extents", "json_bytes", "stable_datapackage", "validate"]

OWN = "rimrep"
"""the one key of our own; all others are Frictionless' or the profile's"""

PARQUET = "application/vnd.apache.parquet"
ZARR = "application/vnd.zarr; version={format}"
ICECHUNK = "application/vnd.zarr+icechunk"

_MEASURED = ("row_count", "updated", "coordinates", "crs")


class Edition(StrictModel):
    """Which release the documents belong to; all of it given, nothing measured on the data.

    ``updated``: ISO 8601 in UTC, ending in Z. ``version`` names the folder of this release's documents,
    ``data_version`` that of its data (grids: any word, the snapshot says more). ``bytes`` are a table's, ``sha256``
    that of a table that is one object, ``parts`` the names of the objects of one that is a folder.
    """

    release: int
    version: str
    data_version: str
    updated: str
    catalog_commit: str
    environment: str
    bytes: int | None = None
    sha256: str | None = None
    parts: tuple[str, ...] = ()


def complete(
    curated: Mapping[str, Any],
    facts: Facts,
    schema: Mapping[str, Any],
    *,
    dataset: Dataset,
    edition: Edition,
    addresses: Addresses,
) -> dict[str, Any]:
    """The datapackage that lies beside the release: every curated key as it was, data-driven keys from ``facts``.

    Data-driven are ``spatial.bbox`` (degrees: west, south, east, north), ``temporal.start_datetime`` and
    ``end_datetime`` (UTC), ``row_count``, ``updated``, ``coordinates``, ``crs``, ``resources[0]`` and ``rimrep``.
    An extent that the data cannot give is taken from ``curated``, which must state it; ``"spatial": null`` or
    ``"temporal": null`` states that there is none.
    Raises: DefinitionError naming every extent that is neither measured nor curated, and a name that is not the
    dataset's id; DataError when declared coordinates hold no value at all.
    Source: https://specs.frictionlessdata.io/data-package/; ``rimrep`` is our own.
    """
    measured = extents_come_from_data(dataset.coordinates)
    _refuse_what_is_missing(curated, facts, dataset, measured)
    package = deepcopy(dict(curated))
    if measured["spatial"]:
        package["spatial"] = {**(curated.get("spatial") or {}), "bbox": list(facts.bbox or ())}
    if measured["temporal"]:
        span = {"start_datetime": facts.start, "end_datetime": facts.end}
        package["temporal"] = {**(curated.get("temporal") or {}), **span}
    values = (facts.row_count, edition.updated, dataset.coordinates.named() or None, facts.crs)
    for key, value in zip(_MEASURED, values, strict=True):
        package.pop(key, None)
        if value is not None:
            package[key] = value
    resources = list(curated.get("resources") or [{}])
    package["resources"] = [
        {**resources[0], **_resource(dataset, edition, addresses)},
        *deepcopy(resources[1:]),
    ]
    package[OWN] = {
        "dataset": dataset.id,
        "collection": dataset.collection,
        "release": edition.release,
        "version": edition.version,
        "data_version": edition.data_version,
        "catalog_commit": edition.catalog_commit,
        "environment": edition.environment,
        "access": dataset.access,
        "extents_from_data": measured,
        **({"bytes": edition.bytes} if edition.bytes is not None else {}),
        **({"parts": list(edition.parts)} if edition.parts else {}),
        **({"missing_times": list(facts.missing_times)} if facts.missing_times else {}),
        **({"left_out": dict(facts.left_out)} if facts.left_out else {}),
        "statistics": _statistics(facts),
        "addresses": addresses.model_dump(),
    }
    return package


def stable_datapackage(package: Mapping[str, Any]) -> dict[str, Any]:
    """The same datapackage for the dataset's own folder: paths lead into ``versions/``, or to the plain grid."""
    stable = deepcopy(dict(package))
    own = package[OWN]
    first = stable["resources"][0]
    if first["format"] == "parquet":
        first["path"] = f"versions/{own['data_version']}/data.parquet"
    else:
        first["path"] = _folder_of_grid(first["format"])
    return stable


def curated_extents(curated: Mapping[str, Any]) -> tuple[list[float] | None, list[str] | None]:
    """``(bbox, [start, end])`` as people wrote them; None where they wrote nothing, or null."""
    spatial, temporal = curated.get("spatial") or {}, curated.get("temporal") or {}
    bbox = spatial.get("bbox")
    span = [str(text) for key in ("start_datetime", "end_datetime") if (text := temporal.get(key))]
    return (list(bbox) if bbox else None), (span if len(span) == 2 else None)


def validate(package: Mapping[str, Any], profile: Mapping[str, Any], *, dataset: str | None = None) -> list[str]:
    """Everything that is wrong with a curated or complete datapackage, in words; empty when nothing is.

    ``profile``: a JSON schema. Besides: the name is the ``dataset``'s id, west and east, south and north and start
    and end are in order, degrees are degrees. A west above the east means that 180° is crossed. What `rimrep init`
    guessed must be confirmed.
    """
    from jsonschema import Draft202012Validator

    # What was measured holds the data's own words, which nobody guessed.
    problems = still_guesses({key: value for key, value in package.items() if key != OWN})
    for error in Draft202012Validator(profile).iter_errors(without_marks(package) if problems else package):
        place = ".".join(str(part) for part in error.absolute_path)
        problems.append(f"{place or 'datapackage.json'}: {_in_words(error)}")
    id_ = dataset or (package.get(OWN) or {}).get("dataset")
    if id_ and package.get("name") != id_:
        problems.append(f"name: {package.get('name')!r} is not the dataset's id {id_!r}")
    spatial, temporal = package.get("spatial"), package.get("temporal")
    if isinstance(spatial, Mapping):
        problems += [f"spatial.bbox: {p}" for p in bbox_problems(spatial.get("bbox"))]
    if isinstance(temporal, Mapping):
        problems += [f"temporal: {p}" for p in span_problems(temporal)]
    return problems


def refuse_other_types(curated: Mapping[str, Any], profile: Mapping[str, Any], *, dataset: str) -> None:
    """Stop where a curated value is of another JSON type than the profile's, so that nothing can be made of it.

    Raises: DefinitionError naming all of them. What is merely missing or wrong is left to the gate.
    """
    from jsonschema import Draft202012Validator

    told = [
        f"datapackage.json: {'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
        for error in Draft202012Validator(profile).iter_errors(curated)
        if error.validator == "type"
    ]
    if told:
        raise DefinitionError(told, dataset=dataset)


def untold(curated: Mapping[str, Any], dataset: Dataset) -> list[str]:
    """The extents that neither declared coordinates nor the curated document give, in words; data is not needed."""
    measured = extents_come_from_data(dataset.coordinates)
    bbox, span = curated_extents(curated)
    keys = {"spatial": "spatial.bbox", "temporal": "temporal.start_datetime and temporal.end_datetime"}
    written = {"spatial": bbox, "temporal": span}
    return [
        f"datapackage.json: {keys[extent]} is missing: the dataset declares no coordinates that give its {extent} "
        f'extent; write it, or "{extent}": null where there is none'
        for extent in keys
        if not measured[extent] and written[extent] is None and not (extent in curated and curated[extent] is None)
    ]


def _refuse_what_is_missing(
    curated: Mapping[str, Any], facts: Facts, dataset: Dataset, measured: Mapping[str, bool]
) -> None:
    told = untold(curated, dataset)
    if curated.get("name") != dataset.id:
        told.insert(0, f"datapackage.json: name {curated.get('name')!r} is not the dataset's id {dataset.id!r}")
    if told:
        raise DefinitionError(told, dataset=dataset.id)
    given = {"spatial": facts.bbox, "temporal": facts.start and facts.end}
    silent = [
        f"the declared coordinates hold no value, so the data has no {extent} extent"
        for extent, value in given.items()
        if measured[extent] and not value
    ]
    if silent:
        raise DataError(silent, dataset=dataset.id)


def _resource(dataset: Dataset, edition: Edition, addresses: Addresses) -> dict[str, Any]:
    if dataset.format == "parquet":
        beside = edition.data_version == edition.version
        hashed = {"hash": f"sha256:{edition.sha256}"} if edition.sha256 else {}
        # A folder is named and not its parts: of a list of paths frictionless reads the first file alone.
        # No `bytes` here: frictionless cannot count a Parquet file's and would call every package invalid.
        return {
            "name": "data",
            "path": "data.parquet" if beside else _reach(addresses.data, f"../{edition.data_version}/data.parquet"),
            "format": "parquet",
            "mediatype": PARQUET,
            "schema": "tableschema.json",
            **hashed,
        }
    kind = "zarr" if dataset.layout.plain else "icechunk"
    return {
        "name": "data",
        "path": _reach(addresses.data, f"../../{_folder_of_grid(kind)}"),
        "format": kind,
        "mediatype": ZARR.format(format=dataset.layout.plain_format) if kind == "zarr" else ICECHUNK,
        **({"zarr_format": dataset.layout.plain_format} if kind == "zarr" else {}),
        # A store is a folder: this keeps frictionless from opening it as a file.
        "scheme": "buffer",
        "gridschema": "gridschema.json",
    }


def _folder_of_grid(kind: str) -> str:
    return "data.zarr" if kind == "zarr" else "data.icechunk"


def _reach(address: str, relative: str) -> str:
    """A url where there is one; else the way through the folders, which frictionless follows with ``--trusted``."""
    return address if "://" in address and not address.startswith("file://") else relative


def _statistics(facts: Facts) -> dict[str, Any]:
    if facts.format == "parquet":
        return {"columns": {c.name: c.model_dump(mode="json", exclude={"name"}) for c in facts.columns}}
    return {
        "dimensions": {name: d.model_dump(mode="json") for name, d in facts.dimensions.items()},
        "variables": {name: v.model_dump(mode="json") for name, v in facts.variables.items()},
    }


def _in_words(error: Any) -> str:
    """A JSON schema error as a sentence; the library's words where they are plain already."""
    if error.validator == "required":
        missing = error.message.split("'")[1]
        about = error.schema.get("properties", {}).get(missing, {}).get("description")
        return f"{missing} is missing" + (f" ({about})" if about else "")
    if error.validator == "minLength":
        return f"{error.instance!r} is shorter than {error.validator_value} characters"
    if error.validator == "minItems":
        return f"needs at least {error.validator_value}"
    if error.validator == "pattern":
        about = error.schema.get("description")
        return f"{error.instance!r} is not as expected" + (f": {about}" if about else "")
    if error.validator == "enum":
        return f"{error.instance!r} is none of {', '.join(map(str, error.validator_value))}"
    return str(error.message)
