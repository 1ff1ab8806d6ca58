"""From a dataset's ``source`` to the adapter that reads it.

Here belongs which kind is read by what. Not here: reading the environment; the caller hands over what it
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_together import makes_together
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.protocol import SourceFolder
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.ports.sources.together import TogetherFolder


def source_for(
    dataset: Dataset,
    catalog_location: Path | None,
    cache: Path,
    *,
    allowed_roots: Sequence[Path] = (),
) -> SourceFolder:
    """The source of ``dataset``.

    A relative local address counts from the catalog repository itself, as git counts the relative address
    of a submodule: ``../sources/x`` lies beside ``catalog.git``. Local sources must lie in the folder that
    holds the catalog repository, or in one of ``allowed_roots``. ``cache`` is a folder that may be deleted
    at any time.

    Raises: DefinitionError for a relative address where the catalog is not on this machine (``None``).
    """
    folder = _source_for(dataset, catalog_location, cache, allowed_roots)
    return TogetherFolder(folder) if makes_together(dataset) else folder


def _source_for(
    dataset: Dataset, catalog_location: Path | None, cache: Path, allowed_roots: Sequence[Path]
) -> SourceFolder:
    source = dataset.source
    selection = Selection(source.include, source.exclude)
    if source.kind == "http":
        return HttpFolder(source.url, selection, cache=DownloadCache(cache / "downloads"))
    address = Path(source.url)
    if not address.is_absolute():
        if catalog_location is None:
            raise DefinitionError(
                f"source.url {source.url!r} is relative, but the catalog does not lie on this machine",
                dataset=dataset.id,
            )
        address = (catalog_location / address).resolve()
    roots = [*allowed_roots, *([catalog_location.resolve().parent] if catalog_location else [])]
    memory = cache / "digests" / f"{sha256(str(address).encode()).hexdigest()[:32]}.json"
    return LocalFolder(address, selection, allowed_roots=roots, address=source.url, memory_file=memory)
