"""References to chunks that stay in a provider's files, in Icechunk.

Here belongs where a source file lies for readers, by what a change of it is noticed, and writing references. Not here:
which chunks fit (``domain/grid_virtual``), or the repository (``grid_repository``).

Icechunk refuses to read a chunk whose file has another ETag or time than when it was referred to.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_source import OpenSource, Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_virtual import Encoding, VirtualBlockWriter, VirtualPlan, plan_virtual, virtual_names
from rimrep_assets.domain.grid_write import prepare_grid
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.http_transfer import http_date
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.protocol import SourceFolder

if TYPE_CHECKING:
    import icechunk
    import zarr

PLAIN_LETTERS = re.compile(r"[A-Za-z0-9._~/=,+-]*")
"""letters that no library writes in another way; a reference is found by comparing addresses"""
DEFLATE_LEVEL = 4
"""said to readers, who do not need it: it decides how fast was deflated, not how it is inflated"""
ADVICE = "take layout.virtual out of dataset.yaml, so that the data is copied."


@dataclass(frozen=True)
class Located:
    """Where readers find a source file, and the mark by which a change is noticed: an ETag, or the time of it."""

    url: str
    mark: str | datetime


def locate(source: SourceFolder, file: SourceFile) -> Located:
    """Where ``file`` lies for readers. Raises: DefinitionError where it cannot be referred to; Unavailable when it was
    changed after it was looked at.
    """
    url = address_of(source, file)
    if isinstance(source, LocalFolder):
        return Located(url, _mark_here(source, file))
    if file.etag and not file.etag.startswith("W/"):
        return Located(url, file.etag)
    changed = http_date(file.last_modified)
    if changed is None:
        # The source drops both where a file was changed so lately that a second change could bear the same mark.
        raise _refused(file, "its server tells neither an ETag nor a time by which a later change could be noticed")
    return Located(url, changed)


def address_of(source: SourceFolder, file: SourceFile) -> str:
    """The address of ``file`` for readers. Raises: DefinitionError where it cannot be referred to."""
    if isinstance(source, LocalFolder):
        path = source.path_of(file.name).resolve()
        if not PLAIN_LETTERS.fullmatch(path.as_posix()):
            raise _refused(file, "its path has letters that may be written in several ways")
        return path.as_uri()
    address = urlsplit(file.url)
    problem = ""
    if address.scheme not in ("http", "https"):
        problem = "it does not lie on a web server or in a folder"
    elif address.query:
        problem = "its address has a query"
    elif address.port is not None:
        problem = f"its address names port {address.port}, which Icechunk leaves out"
    elif not PLAIN_LETTERS.fullmatch(address.path):
        problem = "its address has letters that may be written in several ways"
    if problem:
        raise _refused(file, problem)
    return file.url


def _refused(file: SourceFile, problem: str) -> DefinitionError:
    return DefinitionError(f"layout.virtual: {file.name}: {problem}", advice=ADVICE)


def _mark_here(source: LocalFolder, file: SourceFile) -> str:
    from obstore.store import LocalStore

    path = source.path_of(file.name).resolve()
    store = LocalStore(path.parent)
    try:
        before = store.head(path.name)["e_tag"]
        same = source.digest_now(file.name) == file.digest and store.head(path.name)["e_tag"] == before
    except OSError as error:
        raise Unavailable(f"{file.name} was withdrawn after it was looked at") from error
    if not same:
        raise Unavailable(f"{file.name} was changed after it was looked at")
    # Icechunk's own store of local files tells it without quotes.
    return str(before).strip('"')


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
    located: Callable[[str], Located],
    threads: int,
) -> dict[int, BlockDigests]:
    """What ``write_grid`` does, with references in place of the data's chunks; digests are of what they decode to.

    ``located`` by the name of a source file. Raises: DefinitionError, before anything is written, that says why chunks
    do not fit; DataError when a source file cannot be read.
    """
    import zarr

    group = zarr.open_group(session.store, mode="a")
    kept = base is not None and base.written_alike(state)
    known = {name: encoding_of(group, name) for name in virtual_names(state) if kept and name in group}
    sources = Sources(state, open_source)
    plan = plan_virtual(state, blocks, sources, known)
    with warnings.catch_warnings():
        # zarr warns that its Shuffle and Zlib stand in no specification; HDF5's files leave no choice.
        warnings.simplefilter("ignore")
        prepare_grid(group, base, state, dataset, open_source, _compressors(state, plan))
        with ThreadPoolExecutor(threads) as pool:
            digests = VirtualBlockWriter(group, state, sources, pool).digests(blocks)
    _refer(session, plan, located)
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


def _refer(session: icechunk.Session, plan: VirtualPlan, located: Callable[[str], Located]) -> None:
    import icechunk
    from zarr.core.sync import sync

    places: dict[str, Located] = {}
    for name, references in plan.references.items():
        for index in plan.absent.get(name, ()):
            sync(session.store.delete("/".join([name, "c", *map(str, index)])))
        specs = []
        for reference in references:
            if reference.file not in places:
                places[reference.file] = located(reference.file)
            place = places[reference.file]
            specs.append(
                icechunk.VirtualChunkSpec(
                    list(reference.number), place.url, reference.offset, reference.size, **_checksum(place.mark)
                )
            )
        refused = session.store.set_virtual_refs(f"/{name}", specs, validate_containers=True) if specs else None
        if refused:
            raise Unavailable(f"{name}: Icechunk does not take references to {place.url}")


def _checksum(mark: str | datetime) -> Mapping[str, Any]:
    return {"etag_checksum": mark} if isinstance(mark, str) else {"last_updated_at_checksum": mark}
