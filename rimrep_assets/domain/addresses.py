"""Where the parts of one release can be opened, as the documents name them.

Here belong the addresses as values. Not here: how they are composed from a store and the environment's endpoints
(``ports``), or the documents that carry them (``datapackage``, ``stac``, ``pygeoapi``).
"""

from __future__ import annotations

from rimrep_assets.domain.strict_model import StrictModel


class Addresses(StrictModel):
    """Absolute: a url with its scheme (``https://``, ``s3://``) or the absolute path of a local file or folder."""

    data: str
    """what an ordinary reader opens: the release's own table; the plain grid; the Icechunk store where none is plain"""
    data_stable: str | None
    """the address that people use and that every release overwrites; None for a grid without a plain copy"""
    icechunk: str | None = None
    """grids: the Icechunk repository, with ``snapshot`` and ``tag`` of this release"""
    snapshot: str | None = None
    tag: str | None = None
    virtual: tuple[str, ...] = ()
    """grids whose chunks stay at the source: the folders there, which a reader of Icechunk must authorize"""
    datapackage: str
    datapackage_stable: str
    schema_own: str
    schema_stable: str
    stac_item: str
    stac_collection: str
    stac_root: str
    pygeoapi: str
    """the collection's url, ``…/collections/<dataset-id>``"""
    stac_api: str | None = None
    """the STAC API's landing page, where there is one"""


def is_absolute(address: str) -> bool:
    """Whether ``address`` can be opened without knowing which document it stands in."""
    scheme, mark, rest = address.partition("://")
    return address.startswith("/") or bool(mark and rest and scheme.replace("+", "").isalnum())
