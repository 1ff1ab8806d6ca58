"""pygeoapi's OpenAPI document, made from pieces that pygeoapi's own generator made once.

Here belongs running that generator on one entry, which proves that pygeoapi can serve it, and joining the pieces.
Not here: what an entry says (``domain/pygeoapi``), or where pieces lie (``pygeoapi_config``). pygeoapi is imported
inside functions, for that takes more than a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.pygeoapi import default_header, merge

_NOWHERE = "http://localhost:5000"
_OF_LIBRARIES = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""what data of an unforeseen shape makes the libraries below a provider raise"""


def fragment_for(entry: Mapping[str, Any], sample: Path) -> dict[str, Any]:
    """``{"paths": …, "tags": …, "components": …}``: what a collection adds to pygeoapi's document.

    ``sample`` has the release's columns or coordinates and need not have its rows or chunks: a Parquet file, or a
    Zarr store. It is really opened; the entry's own address is not touched. The page size that the document tells
    is that of ``default_header``.
    Raises: DefinitionError for an entry that pygeoapi's schema refuses; DataError where the provider cannot open
    the sample with it.
    """
    from pygeoapi.openapi import get_oas
    from pygeoapi.provider.base import ProviderGenericError

    dataset = str(entry["rimrep"]["dataset"])
    config, left_out = merge(default_header(_NOWHERE), {dataset: _on_sample(entry, sample)})
    if left_out:
        raise DefinitionError([f"pygeoapi entry: {left_out[dataset]}"], dataset=dataset)
    try:
        document = _plain(get_oas(config))
    except (ProviderGenericError, *_OF_LIBRARIES) as error:
        raise DataError(f"pygeoapi cannot serve the data: {_reason(error)}", dataset=dataset) from error
    own = f"/collections/{dataset}"
    paths = {path: told for path, told in document["paths"].items() if path == own or path.startswith(f"{own}/")}
    if len(paths) < 2:
        raise DataError("pygeoapi has nothing to serve for the collection", dataset=dataset)
    bare = _bare_components()
    return {
        "paths": paths,
        "tags": [tag for tag in document["tags"] if tag["name"] == dataset],
        "components": {
            kind: {name: told for name, told in group.items() if name not in bare[kind]}
            for kind, group in document["components"].items()
        },
    }


def header_openapi(header: Mapping[str, Any]) -> dict[str, Any]:
    """What pygeoapi's document says when there is no collection; ``merge_openapi`` adds the collections."""
    from pygeoapi.openapi import get_oas

    document: dict[str, Any] = _plain(get_oas({**deepcopy(dict(header)), "resources": {}}))
    return document


def merge_openapi(header: Mapping[str, Any], fragments: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document that pygeoapi generates for the whole configuration; ids in the order of its resources.

    It differs only where the served header has other ``server.limits`` or ``ogc_schemas_location`` than
    ``default_header``: the page sizes and references of a fragment are those of the latter.
    """
    document = deepcopy(dict(header))
    tags = []
    for dataset in fragments:
        fragment = deepcopy(dict(fragments[dataset]))
        document["paths"] |= fragment["paths"]
        tags += fragment["tags"]
        for kind, group in fragment.get("components", {}).items():
            document["components"].setdefault(kind, {}).update(group)
    # pygeoapi names the collections between the server and its kinds of API.
    document["tags"][1:1] = tags
    if fragments:
        document["components"]["parameters"]["resourceId"]["schema"]["default"] = next(iter(fragments))
    return document


@cache
def _bare_components() -> dict[str, Any]:
    components: dict[str, Any] = header_openapi(default_header(_NOWHERE))["components"]
    return components


def _reason(error: Any) -> str:
    # pygeoapi keeps the words for its users apart from those for its log.
    return str(error.args[0]) if error.args else str(getattr(error, "message", error))


def _on_sample(entry: Mapping[str, Any], sample: Path) -> dict[str, Any]:
    made = deepcopy(dict(entry))
    for provider in made.get("providers", []):
        if isinstance(provider.get("data"), dict):
            provider["data"] = {**provider["data"], "source": str(sample)}
        else:
            provider["data"] = str(sample)
            provider.pop("options", None)
    return made


def _plain(value: Any) -> Any:
    """Values that JSON and YAML have; pygeoapi shares lists between paths, and some of its texts are not str."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
