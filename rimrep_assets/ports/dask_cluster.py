"""A dask client for one staging: on processes of this machine, on a scheduler that runs, or on Kubernetes.

Here belongs opening and closing, and saying what is missing. Not here: what a curator may ask for
(``domain/dask_resources``), or the work (``dask_blocks``). Whoever reaches a scheduler can run code on its workers, so
it belongs into a network of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.amounts import bytes_of
from rimrep_assets.domain.dask_resources import DEATHS, Dask, DaskOperator, cluster_spec
from rimrep_assets.domain.errors import DefinitionError, Unavailable

if TYPE_CHECKING:
    import distributed

ANSWER_S = 30.0
"""a scheduler answers within it"""
FIRST_WORKER_S = 300.0
"""until then a worker has joined: a pod may have to fetch its image first"""


@dataclass(frozen=True)
class Workers:
    """A client whose scheduler has at least one worker."""

    client: distributed.Client
    where: str
    """in words, for messages"""


@contextmanager
def open_workers(
    dask: Dask, scheduler: str | None, dataset: str, scratch: Path, first_worker_s: float = FIRST_WORKER_S
) -> Iterator[Workers]:
    """Workers for ``dataset`` for as long as the block lasts.

    ``scheduler`` is the environment's own, which takes the place of what the dataset asks for.
    Raises: DefinitionError when a package is missing; Unavailable when there is no scheduler or no worker.
    """
    _refuse_without("distributed", dataset)
    import distributed

    with ExitStack() as opened:
        address = scheduler or dask.scheduler
        if address is not None:
            target, where = address, f"the dask scheduler {address}"
        elif dask.operator is not None:
            target, where = opened.enter_context(_on_kubernetes(dask.operator, dataset)), "Kubernetes"
        else:
            target, where = opened.enter_context(_on_this_machine(dask, scratch)), "this machine"
        try:
            client = opened.enter_context(distributed.Client(target, timeout=ANSWER_S, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"{where} does not answer: {error}", dataset=dataset) from error
        try:
            client.wait_for_workers(1, timeout=first_worker_s)
        except TimeoutError as error:
            raise Unavailable(
                f"{where} has no worker, also after {first_worker_s:g} s",
                dataset=dataset,
                advice="start workers (`dask worker ADDRESS`), then run it again; nothing was changed.",
            ) from error
        yield Workers(client, where)


def _refuse_without(package: str, dataset: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise DefinitionError(
            f"resources.dask needs the package {package.replace('_', '-')}, which is not installed here",
            dataset=dataset,
            advice=f"install {package.replace('_', '-')}, or take resources.dask out of dataset.yaml.",
        )


@contextmanager
def _on_this_machine(dask: Dask, scratch: Path) -> Iterator[Any]:
    """Processes with one thread each, which end with the block; a dead one is started anew."""
    import distributed
    from dask import config

    folder = scratch / "dask"
    folder.mkdir(parents=True, exist_ok=True)
    # The scheduler counts the deaths that it forgives.
    with (
        config.set({"distributed.scheduler.allowed-failures": DEATHS - 1}),
        distributed.LocalCluster(
            n_workers=dask.workers,
            threads_per_worker=1,
            processes=True,
            # The scheduler's web server comes up in any case; without this at a port that others want too.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0 if dask.memory is None else bytes_of(dask.memory),
            local_directory=str(folder),
            host="127.0.0.1",
        ) as cluster,
    ):
        yield cluster


@contextmanager
def _on_kubernetes(operator: DaskOperator, dataset: str) -> Iterator[Any]:
    _refuse_without("dask_kubernetes", dataset)
    from dask_kubernetes.operator import KubeCluster

    name = f"rimrep-{dataset[:40].rstrip('-')}-{uuid.uuid4().hex[:8]}"
    try:
        cluster = KubeCluster(
            custom_cluster_spec=cluster_spec(operator, name), namespace=operator.namespace, shutdown_on_close=True
        )
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise Unavailable(f"Kubernetes gave no dask cluster: {error}", dataset=dataset) from error
    with cluster:
        yield cluster
