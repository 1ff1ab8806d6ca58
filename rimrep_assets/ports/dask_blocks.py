"""A grid's blocks written by dask's workers: each into a fork of the Icechunk session, all merged and committed once.

Here belongs what is handed to the workers, what they do, and gathering it. Not here: where the workers come from
(``dask_cluster``), or writing a block (``domain/grid_block``).

A worker that dies takes nothing with it: its blocks are written again by another, and what it had put into the store
is named by no commit.
"""

from __future__ import annotations

import contextlib
import pickle
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dask_resources import DEATHS
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.grid_chunks import chunks_of, varying
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_kept import StoredRows
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_write import prepare_grid, write_blocks
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.dask_cluster import Workers
from rimrep_assets.ports.sources.protocol import SourceFolder

if TYPE_CHECKING:
    import icechunk

TICK_S = 2.0
PATIENCE_S = 120.0
"""so long no worker may be there while there is work"""


@dataclass(frozen=True)
class SourcesToFetch:
    """What a worker needs in order to get source files: those that the stager has, where both share a disk; else the
    source itself.
    """

    source: SourceFolder
    files: Mapping[str, SourceFile]
    shared: Path
    """where the stager puts what it fetches, by the first 16 letters of the digest"""

    def opener(self, folder: Path) -> Callable[[str], Path]:
        """Gives the local path of a file by its name; what must be fetched goes into ``folder``."""

        def path_of(name: str) -> Path:
            file = self.files[name]
            there = self.shared / file.digest[:16] / name
            # A store or a mosaic is a folder; no name but the digest tells that it is the one.
            if there.is_dir() or (there.is_file() and there.stat().st_size == file.size):
                return there
            target = folder / file.digest[:16]
            fetched = target / name
            return fetched if fetched.exists() else self.source.fetch(file, target)

        return path_of


@dataclass(frozen=True)
class BlockJob:
    """What is the same for every block of a staging."""

    fork: icechunk.ForkSession
    """holds arrays, axes and attributes, none of them committed"""
    state: GridState
    names: tuple[str, ...]
    """variables whose chunks hold one block each, so that no two forks write the same chunk"""
    sources: SourcesToFetch
    code: str
    """version of the stager"""
    stored: StoredRows | None = None
    """rows that need no source file"""


def write_grid_on_dask(
    session: icechunk.Session,
    base: GridState | None,
    state: GridState,
    blocks: Sequence[int],
    dataset: Dataset,
    sources: SourcesToFetch,
    open_source: Callable[[str], Path],
    workers: Workers,
    threads: int,
    told: Callable[[str], None],
    stored: StoredRows | None = None,
) -> dict[int, BlockDigests]:
    """What ``write_grid`` does, in ``session``, with the blocks shared out; ``session`` must have no changes yet.

    Series as thin as an axis have chunks that hold many blocks; they are written here.
    Raises: DataError when a source file cannot be read; Unavailable when workers or sources go away; DefinitionError
    when a block ends its workers, or they run other code. ``session`` is unchanged then.
    """
    import zarr

    fork = session.fork()
    group = zarr.open_group(fork.store, mode="a")
    prepare_grid(group, base, state, dataset, open_source)
    own = tuple(name for name in varying(state) if chunks_of(state, name)[0] == state.chunk)
    rest = [name for name in varying(state) if name not in own]
    digests = write_blocks(group, state, blocks, open_source, threads, rest, stored) if rest else {}
    job = BlockJob(fork, state, own, sources, version("rimrep_assets"), stored)
    told(f"writing {len(blocks)} blocks with the workers of {workers.where}")
    forks = [fork]
    for block, (written, more) in run_tasks(workers, write_one_block, job, blocks, dataset.id, told).items():
        forks.append(written)
        for file, own_digests in more.items():
            digests.setdefault(block, {}).setdefault(file, {}).update(own_digests)
    session.merge(*forks)
    return {block: digests.get(block, {}) for block in blocks}


def write_one_block(job: BlockJob, block: int) -> tuple[icechunk.ForkSession, BlockDigests]:
    """On a worker: write one block into a fork of its own, and give that back."""
    import zarr

    here = version("rimrep_assets")
    if here != job.code:
        raise DefinitionError(
            f"a dask worker has rimrep_assets {here}, who stages has {job.code}",
            advice="let the workers run the same version; they would write other bytes.",
        )
    with tempfile.TemporaryDirectory(prefix="rimrep-", dir=_folder_of_worker()) as folder:
        group = zarr.open_group(job.fork.store, mode="a")
        # One thread: dask runs as many of these at a time as its worker has threads.
        found = write_blocks(group, job.state, [block], job.sources.opener(Path(folder)), 1, job.names, job.stored)
    return job.fork, found[block]


def _folder_of_worker() -> str | None:
    import distributed

    try:
        return str(distributed.get_worker().local_directory)
    except ValueError:
        return None


def run_tasks(
    workers: Workers,
    function: Callable[[Any, int], Any],
    job: Any,
    items: Iterable[int],
    dataset: str,
    told: Callable[[str], None],
    patience_s: float = PATIENCE_S,
) -> dict[int, Any]:
    """``function(job, item)`` for every item; each task has a copy of ``job`` of its own.

    A task whose worker dies is run again by another, until ``DEATHS`` of them died of it (where the scheduler is not
    ours, it says how many). Raises: what ``function`` raises; DefinitionError for a task that ends its workers;
    Unavailable when the scheduler or the workers go away. Tasks that did not begin are taken back then.
    """
    client = workers.client
    prefix = f"rimrep-{dataset}-{uuid.uuid4().hex[:8]}"
    # As a task and not as data: what is lost with a worker can be made again.
    shared = client.submit(bytes, pickle.dumps(job), key=f"{prefix}-job", pure=False)
    open_ones = {
        item: client.submit(_run, shared, function, item, key=f"{prefix}-{item}", pure=False) for item in items
    }
    results: dict[int, Any] = {}
    every = len(open_ones)
    lonely_s = 0.0
    try:
        while open_ones:
            done = _done_of(open_ones, workers, dataset)
            # Taken away at once, so that a worker that dies later does not take it with it.
            new = _results_of(done, workers, dataset)
            results |= new
            for item in new:
                del open_ones[item]
            if new:
                told(f"{len(results)} of {every} blocks are written")
            lonely_s = 0.0 if new or client.scheduler_info(n_workers=-1)["workers"] else lonely_s + TICK_S
            if lonely_s >= patience_s:
                raise Unavailable(f"{workers.where} has had no worker for {patience_s:g} s", dataset=dataset)
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.cancel([shared, *open_ones.values()], force=True)
    return results


def _run(job: bytes, function: Callable[[Any, int], Any], item: int) -> bytes:
    """On a worker. Bytes go there and back, so that every task unpacks a session of its own."""
    return pickle.dumps(function(pickle.loads(job), item))  # noqa: S301 - who hands over the job can run any code


def _done_of(futures: Mapping[int, Any], workers: Workers, dataset: str) -> dict[int, Any]:
    """Those that came to an end, well or not, by the time that all did or ``TICK_S`` went by."""
    import distributed

    try:
        with workers.client.as_current():
            distributed.wait(list(futures.values()), timeout=TICK_S)
    except TimeoutError:
        pass
    except (distributed.CancelledError, OSError) as error:
        raise Unavailable(f"{workers.where} went away: {error}", dataset=dataset) from error
    return {item: future for item, future in futures.items() if future.done()}


def _results_of(done: Mapping[int, Any], workers: Workers, dataset: str) -> dict[int, Any]:
    """What can be had of them; a worker that died meanwhile takes its results with it, and they are made again."""
    import distributed
    from distributed.scheduler import KilledWorker

    found = {}
    for item, future in done.items():
        try:
            found[item] = pickle.loads(future.result(timeout=TICK_S))  # noqa: S301
        except TimeoutError:
            break
        except KilledWorker as error:
            raise DefinitionError(
                f"block {item} ended every worker of {workers.where} that wrote it, {DEATHS} of them or as many as "
                "the scheduler allows",
                dataset=dataset,
                advice="give workers more memory (resources.dask), or let a block need less: smaller chunks "
                "(layout.chunks). Where memory is not short, read the workers' logs.",
            ) from error
        except (distributed.CancelledError, OSError) as error:
            raise Unavailable(f"{workers.where} went away: {error}", dataset=dataset) from error
    return found
