"""From a dataset's ``source`` to the adapter that reads it.

Here belongs which kind is read by what. Not here: reading the environment; the caller hands over what it
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.dataset_source import Source
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_together import makes_together
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.earthdata_folder import EarthdataFolder
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.http_ranges import RangedFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.protocol import SourceFolder
from rimrep_assets.ports.sources.referred import ReferredHttp, ReferredLocal
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.ports.sources.together import TogetherFolder


def source_for(
    dataset: Dataset,
    catalog_location: Path | None,
    cache: Path,
    *,
    allowed_roots: Sequence[Path] = (),
    earthdata: EarthdataAccess | None = None,
) -> SourceFolder:
    """The source of ``dataset``.

    A relative local address counts from the catalog repository itself, as git counts the relative address
    of a submodule: ``../sources/x`` lies beside ``catalog.git``. Local sources must lie in the folder that
    holds the catalog repository, or in one of ``allowed_roots``. ``cache`` is a folder that may be deleted
    at any time.

    ``earthdata``: where NASA Earthdata is and who we are there; without it nobody, at NASA.

    Raises: DefinitionError for a relative address where the catalog is not on this machine (``None``), and for an
    Earthdata to which secrets would travel unencrypted.
    """
    if dataset.source.kind == "earthdata":
        folder: SourceFolder = _at_earthdata(dataset.source, cache, earthdata or EarthdataAccess())
    else:
        folder = _source_for(dataset, catalog_location, cache, allowed_roots)
    return TogetherFolder(folder) if makes_together(dataset) else folder


def _at_earthdata(source: Source, cache: Path, access: EarthdataAccess) -> SourceFolder:
    access.refuse_unsafe()
    selection = Selection(source.include, source.exclude)
    return EarthdataFolder(source.granule_query(), selection, access=access, cache=DownloadCache(cache / "downloads"))


def _source_for(
    dataset: Dataset, catalog_location: Path | None, cache: Path, allowed_roots: Sequence[Path]
) -> SourceFolder:
    source = dataset.source
    selection = Selection(source.include, source.exclude)
    url = source.url or ""
    if source.ranges:
        return RangedFolder(url, selection, cache=DownloadCache(cache / "downloads"))
    if source.kind == "http":
        web = ReferredHttp if dataset.layout.virtual else HttpFolder
        return web(url, selection, cache=DownloadCache(cache / "downloads"))
    address = Path(url)
    if not address.is_absolute():
        if catalog_location is None:
            raise DefinitionError(
                f"source.url {url!r} is relative, but the catalog does not lie on this machine",
                dataset=dataset.id,
            )
        address = (catalog_location / address).resolve()
    roots = [*allowed_roots, *([catalog_location.resolve().parent] if catalog_location else [])]
    memory = cache / "digests" / f"{sha256(str(address).encode()).hexdigest()[:32]}.json"
    local = ReferredLocal if dataset.layout.virtual else LocalFolder
    return local(address, selection, allowed_roots=roots, address=url, memory_file=memory)
