"""References to chunks that stay in a provider's files, in Icechunk.

Here belongs writing references, and which folders readers must authorize. Not here: which chunks fit
(``domain/grid_virtual``), where a source file lies for readers (``sources/referred``), or the repository
(``grid_repository``).

Icechunk refuses to read a chunk whose file has another ETag or time than when it was referred to.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.grid_axis import moved_blocks
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_source import OpenSource, Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_virtual import Encoding, VirtualBlockWriter, VirtualPlan, plan_virtual, virtual_names
from rimrep_assets.domain.grid_write import prepare_grid
from rimrep_assets.domain.source_file import Place, SourceFile
from rimrep_assets.ports.sources.http_transfer import http_date
from rimrep_assets.ports.sources.protocol import SourceFolder
from rimrep_assets.ports.sources.referred import address_of

if TYPE_CHECKING:
    import icechunk
    import zarr

DEFLATE_LEVEL = 4
"""said to readers, who do not need it: it decides how fast was deflated, not how it is inflated"""


def folders_of(source: SourceFolder, files: Iterable[SourceFile]) -> tuple[str, ...]:
    """The folders that readers must authorize, sorted; none that lies in another. Raises: as ``address_of``."""
    every = sorted({address_of(source, file).rpartition("/")[0] + "/" for file in files})
    return tuple(folder for folder in every if not any(folder != o and folder.startswith(o) for o in every))


def containers(folders: Iterable[str]) -> list[icechunk.VirtualChunkContainer]:
    """What a repository is told of ``folders``, so that references into them can be read."""
    import icechunk

    found = []
    for folder in folders:
        if folder.startswith("file://"):
            store: Any = icechunk.local_filesystem_store(folder.removeprefix("file://"))
        else:
            store = icechunk.http_store({"allow_http": "true"} if folder.startswith("http://") else {})
        found.append(icechunk.VirtualChunkContainer(folder, store))
    return found


def write_virtual_grid(
    session: icechunk.Session,
    base: GridState | None,
    state: GridState,
    blocks: Sequence[int],
    dataset: Dataset,
    open_source: OpenSource,
    located: Callable[[str], Place],
    threads: int,
) -> dict[int, BlockDigests]:
    """What ``write_grid`` does, with references in place of the data's chunks; digests are of what they decode to.

    ``located`` by the name of a source file. Of ``moved_blocks`` nothing but the references is written. Raises:
    DefinitionError, before anything is written, that says why chunks do not fit; DataError when a source file cannot
    be read.
    """
    import zarr

    group = zarr.open_group(session.store, mode="a")
    kept = base is not None and base.written_alike(state)
    held = frozenset(moved_blocks(base, state, state.chunk))
    known = {name: encoding_of(group, name) for name in virtual_names(state) if kept and name in group}
    sources = Sources(state, open_source)
    plan = plan_virtual(state, blocks, sources, known)
    with warnings.catch_warnings():
        # zarr warns that its Shuffle and Zlib stand in no specification; HDF5's files leave no choice.
        warnings.simplefilter("ignore")
        prepare_grid(group, base, state, dataset, open_source, _compressors(state, plan))
        with ThreadPoolExecutor(threads) as pool:
            digests = VirtualBlockWriter(group, state, sources, pool, held=held).digests(blocks)
    _refer(session, plan, located, held)
    return digests


def encoding_of(group: zarr.Group, name: str) -> Encoding:
    """How an array's chunks are encoded, in the words of the plan."""
    words = {"numcodecs.shuffle": "shuffle", "numcodecs.zlib": "deflate"}
    array: Any = group[name]
    names = [codec.to_dict()["name"] for codec in array.metadata.codecs]
    return tuple(words.get(word, word) for word in names if word != "bytes")


def _compressors(state: GridState, plan: VirtualPlan) -> dict[str, list[Any]]:
    import numpy as np
    from zarr.codecs.numcodecs import Shuffle, Zlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: [
                Shuffle(elementsize=np.dtype(state.united.variables[name].dtype).itemsize)
                if word == "shuffle"
                else Zlib(level=DEFLATE_LEVEL)
                for word in plan.encodings.get(name, ())
            ]
            for name in virtual_names(state)
        }


def _refer(
    session: icechunk.Session, plan: VirtualPlan, located: Callable[[str], Place], held: Collection[int]
) -> None:
    import icechunk
    from zarr.core.sync import sync

    places: dict[str, Place] = {}
    for name, references in plan.references.items():
        for index in (number for number in plan.absent.get(name, ()) if number[0] not in held):
            sync(session.store.delete("/".join([name, "c", *map(str, index)])))
        specs = []
        for reference in references:
            if reference.file not in places:
                places[reference.file] = located(reference.file)
            place = places[reference.file]
            specs.append(
                icechunk.VirtualChunkSpec(
                    list(reference.number), place.url, reference.offset, reference.size, **_checksum(place)
                )
            )
        refused = session.store.set_virtual_refs(f"/{name}", specs, validate_containers=True) if specs else None
        if refused:
            raise Unavailable(f"{name}: Icechunk does not take references to {place.url}")


def _checksum(place: Place) -> Mapping[str, Any]:
    if place.etag is not None:
        return {"etag_checksum": place.etag}
    return {"last_updated_at_checksum": http_date(place.last_modified)}
