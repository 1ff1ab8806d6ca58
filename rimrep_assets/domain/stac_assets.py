"""The assets of a STAC item: where each part of a release lies, and how to open it from Python and R.

Here belong hrefs, media types and the snippets. Not here: the item around them (``stac``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rimrep_assets.domain.datapackage import ICECHUNK, OWN, PARQUET, ZARR


def assets_from(package: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``data`` first; then ``data-stable``, ``icechunk``, ``metadata`` and ``schema``, as far as they exist."""
    own = package[OWN]
    at = own["addresses"]
    public = own["access"] == "public"
    resource = package["resources"][0]
    kind = resource["format"]
    assets = {"data": _data(package, at["data"], kind, public)}
    if kind == "parquet" and "hash" in resource:
        # A multihash: 12 = sha2-256, 20 = 32 bytes long.
        assets["data"]["file:checksum"] = "1220" + resource["hash"].removeprefix("sha256:")
    if "bytes" in own:
        assets["data"]["file:size"] = own["bytes"]
    if at["data_stable"] and at["data_stable"] != at["data"]:
        assets["data-stable"] = {
            **_data(package, at["data_stable"], "zarr" if kind == "icechunk" else kind, public),
            "title": "Data, newest release",
            "roles": ["data", "latest"],
        }
    if at["icechunk"] and kind != "icechunk":
        assets["icechunk"] = _icechunk(at, public)
    assets["metadata"] = {
        "href": at["datapackage"],
        "type": "application/json",
        "title": "Data package",
        "description": "Frictionless data package of this release.",
        "roles": ["metadata"],
    }
    assets["schema"] = {
        "href": at["schema_own"],
        "type": "application/json",
        "title": "Table schema" if kind == "parquet" else "Grid schema",
        "description": "Names, types, units and descriptions of what the data holds.",
        "roles": ["metadata"],
    }
    return assets


def _data(package: Mapping[str, Any], href: str, kind: str, public: bool) -> dict[str, Any]:
    if kind == "icechunk":
        return _icechunk(package[OWN]["addresses"], public)
    if kind == "zarr":
        format = package["resources"][0].get("zarr_format", 3)
        told = {"zarr:zarr_format": format, "zarr:consolidated": True}
        head = {"href": href, "type": ZARR.format(format=format), "title": "Data", **told}
        snippets = _snippets(_python_zarr(href, public), _r_zarr(href))
        return {**head, "description": snippets, "roles": ["data", "zarr"]}
    parts = bool(package[OWN].get("parts"))
    snippets = _snippets(_python_table(package, href, public), _r_table(href, public, parts))
    return {"href": href, "type": PARQUET, "title": "Data", "description": snippets, "roles": ["data"]}


def _icechunk(at: Mapping[str, Any], public: bool) -> dict[str, Any]:
    return {
        "href": at["icechunk"],
        "type": ICECHUNK,
        "title": "Data, this release, in Icechunk",
        "description": _about_icechunk(at) + _snippets(_python_icechunk(at, public), None),
        "roles": ["data", "zarr"],
        "icechunk:snapshot_id": at["snapshot"],
        "icechunk:tag": at["tag"],
        "zarr:zarr_format": 3,
        "zarr:consolidated": False,
    }


def _about_icechunk(at: Mapping[str, Any]) -> str:
    about = "The release whole and immutable, with every earlier one beside it.\n\n"
    if not at.get("virtual"):
        return about
    return (
        f"Its data stays in the provider's files below {', '.join(at['virtual'])}: they must be reachable, a reader "
        "authorizes them, and what the provider changed is refused.\n\n"
    )


def _snippets(python: str, r: str | None) -> str:
    parts = [f"Python:\n\n```python\n{python}\n```"]
    if r:
        parts.append(f"R:\n\n```r\n{r}\n```")
    return "\n\n".join(parts)


def _options(href: str, public: bool) -> str:
    """Without it, s3fs looks for credentials that an ordinary reader of a public bucket does not have."""
    return ', storage_options={"anon": True}' if public and href.startswith("s3://") else ""


def _python_table(package: Mapping[str, Any], href: str, public: bool) -> str:
    coordinates = package.get("coordinates", {})
    if "geometry" in coordinates or "x" in coordinates:
        return f'import geopandas\n\ntable = geopandas.read_parquet("{href}"{_options(href, public)})'
    return f'import pandas\n\ntable = pandas.read_parquet("{href}"{_options(href, public)})'


def _r_table(href: str, public: bool, parts: bool) -> str:
    if href.startswith("s3://"):
        bucket, _, path = href.removeprefix("s3://").partition("/")
        anonymous = ", anonymous = TRUE" if public else ""
        return (
            "library(arrow)\nlibrary(dplyr)\n\n"
            f'bucket <- s3_bucket("{bucket}"{anonymous})\n'
            f'table <- open_dataset(bucket$path("{path}")) |> collect()'
        )
    if parts:
        return f'library(arrow)\nlibrary(dplyr)\n\ntable <- open_dataset("{href}") |> collect()'
    return f'library(arrow)\n\ntable <- read_parquet("{href}")'


def _python_zarr(href: str, public: bool) -> str:
    return f'import xarray\n\ngrid = xarray.open_zarr("{href}"{_options(href, public)})'


def _r_zarr(href: str) -> str:
    """GDAL names a remote store by its virtual file system."""
    path = href
    if href.startswith("s3://"):
        path = "/vsis3/" + href.removeprefix("s3://")
    elif href.startswith(("http://", "https://")):
        path = "/vsicurl/" + href
    return f"library(stars)\n\ngrid <- read_mdim('ZARR:\"{path}\"')"


def _python_icechunk(at: Mapping[str, Any], public: bool) -> str:
    href = at["icechunk"]
    if href.startswith("s3://"):
        bucket, _, prefix = href.removeprefix("s3://").partition("/")
        access = "anonymous=True" if public else "from_env=True"
        storage = f'icechunk.s3_storage(bucket="{bucket}", prefix="{prefix}", {access})'
    else:
        storage = f'icechunk.local_filesystem_storage("{href}")'
    if at.get("virtual"):
        allowed = ", ".join(f'"{folder}": None' for folder in at["virtual"])
        storage = f"\n    {storage},\n    authorize_virtual_chunk_access={{{allowed}}},\n"
    return (
        "import icechunk\nimport xarray\n\n"
        f"repository = icechunk.Repository.open({storage})\n"
        f'session = repository.readonly_session(tag="{at["tag"]}")\n'
        "grid = xarray.open_zarr(session.store, consolidated=False)"
    )
