"""Source files of a grid's other partitions: what is kept of their rows, and words where they are needed and are gone.

Here belongs what a run of some partitions asks of files that it did not look at. Not here: taking rows from what is
stored (``domain/grid_kept``), or which files a staging is made of (``grid_data``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.domain.grid_axis import block_slots, files_needed
from rimrep_assets.domain.grid_chunks import varying
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_kept import Carried, StoredRows, carried_from
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_together import Together
from rimrep_assets.domain.source_file import SourceFile, compare_ledgers
from rimrep_assets.domain.staging import Intent
from rimrep_assets.ports.workbench import Workbench


def keeps_rows(bench: Workbench) -> bool:
    """Whether rows that are stored already are not read from their files again.

    References are not: a release that refers to bytes that went is none.
    """
    dataset = bench.folder.dataset
    return dataset.partition is not None and not dataset.layout.virtual


def recorded_digests(receipt: Mapping[str, Any]) -> dict[int, BlockDigests]:
    """The digests in a release's receipt by block."""
    return {int(block): digests for block, digests in receipt.get("digests", {}).items()}


def files_opened(state: GridState, blocks: Sequence[int], at: GridState | None, stored: StoredRows | None) -> set[str]:
    """Names of the files that writing ``blocks`` on ``at`` opens, where ``stored`` holds rows of some."""
    if stored is None:
        return files_needed(state, blocks, at)
    slots = [slot for block in blocks for slot in block_slots(state.axis, block, state.chunk)]
    lacking = stored.lacks(state, slots, varying(state))
    return files_needed(state, (), at) | {state.by_digest[digest].name for digest in lacking}


def carried_on(bench: Workbench, before: GridState | None, receipt: Mapping[str, Any], state: GridState) -> Carried:
    """The proofs that ``state`` carries on from the release that it stands on."""
    if not keeps_rows(bench) or before is None:
        return Carried()
    return carried_from(before, recorded_digests(receipt), state)


def names_of_sources(files: Iterable[SourceFile]) -> list[str]:
    """The source files in ``files`` of the grid by name; most often they are the same."""
    return sorted(one.name for file in files for one in sources_in(file))


def sources_in(file: SourceFile) -> list[SourceFile]:
    """The source files that make up one file of the grid."""
    return [member for _, member in file.members] if isinstance(file, Together) else [file]


@contextmanager
def naming_partitions(bench: Workbench, intent: Intent, files: Iterable[SourceFile]) -> Iterator[None]:
    """Where one of ``files`` cannot be had because the source moved on since it was staged or released, say so.

    Raises: DataError that names the partitions to ask for. What ``intent`` looked at itself, and servers that do not
    answer, are told as ever.
    """
    try:
        yield
    except Unavailable as error:
        partition = bench.folder.dataset.partition
        if partition is None:
            raise
        sources = [one for file in files for one in sources_in(file)]
        others = [f for f in sources if intent.partitions is None or not partition.holds(intent.partitions, f.name)]
        names = {file.name for file in others}
        there = bench.source.look(known=others, pick=lambda every: names & set(every)) if names else others
        change = compare_ledgers(others, there)
        problems = [f"{name} was re-issued" for name in change.reissued]
        problems += [f"{name} was withdrawn or renamed" for name in change.withdrawn]
        if not problems:
            raise
        asked = {partition.key_of(name) for name in (*intent.staging, *change.reissued, *change.withdrawn)}
        keys = sorted({*(intent.partitions or ()), *asked} - {None}, key=str)
        told = f"{keys[0]}...{keys[-1]}" if len(keys) > 1 else str(keys[0])
        raise DataError(
            [f"{problem} since it was staged, and values that only it held are needed" for problem in problems],
            dataset=bench.id,
            advice=f"ask for its partition as well: `--partition {told}`. What is published stays as it is.",
        ) from error
