"""Partitions of a grid against its chunks along time.

Here belongs whether parallel runs would write the same chunks. Not here: which file belongs to which partition
(``partition``), or sizes of chunks (``grid_chunks``).
"""

from __future__ import annotations

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_time import DAY, cadence_us

_DAYS = {"day": (1,), "month": (28, 29, 30, 31), "year": (365, 366)}


def valid_partition_size(chunk: int, wanted: int) -> int:
    """The least number of time steps that is a multiple of ``chunk`` and no fewer than ``wanted``.

    Raises: ValueError where either is below 1.
    """
    if chunk < 1 or wanted < 1:
        raise ValueError(f"a chunk of {chunk} and a partition of {wanted} steps; both have at least 1")
    return -(-wanted // chunk) * chunk


def partition_advice(dataset: Dataset) -> list[str]:
    """What is said where runs of partitions that stand beside each other write the same chunks; empty where none do.

    It is only known with ``layout.cadence`` and a declared chunk. The result is right all the same: the later run is
    told by the store, and writes again on what the earlier one wrote.
    """
    partition, cadence = dataset.partition, dataset.layout.cadence
    chunk = dataset.layout.chunks.get(str(dataset.coordinates.t))
    if partition is None or partition.backfill != "parallel" or cadence is None or chunk is None:
        return []
    steps = sorted({days * DAY // cadence_us(cadence) for days in _DAYS[partition.by]} - {0})
    clashing = [n for n in steps if n != valid_partition_size(chunk, n)]
    if not clashing:
        return []
    told = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    return [
        f"partition.by: a {partition.by} of {told} steps of {cadence} is no whole number of chunks of {chunk} "
        f"(the next is {valid_partition_size(chunk, clashing[0])}): parallel runs write some chunks again; "
        "choose layout.chunks that divide it, or backfill: single"
    ]
