"""What a grid's receipt says block by block and file by file: found now, or carried on from the receipt before.

Here belongs joining the two. Not here: proving (``grid_proof``), counting (``grid_stats``), or which rows may be kept
(``grid_kept``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rimrep_assets.domain.grid_chunks import blocks_in_chunk, cells_of_block
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats
from rimrep_assets.domain.source_file import SourceFile


def carried_proofs(
    earlier: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], sources: Sequence[SourceFile]
) -> list[dict[str, Any]]:
    """Proofs of the files that were not compared now: of the same bytes, whatever their name was then."""
    by_bytes = {proof["digest"]: proof for proof in (*earlier, *new)}
    names = {proof["name"] for proof in new}
    return [
        {**by_bytes[file.digest], "name": file.name}
        for file in sorted(sources, key=lambda f: f.name)
        if file.name not in names and file.digest in by_bytes
    ]


def stats_of_blocks(
    state: GridState, receipt: Mapping[str, Any], new: Mapping[int, BlockStats]
) -> dict[int, BlockStats]:
    """Statistics of every block of the axis: measured now, or carried from the base's receipt."""
    old = {int(number): BlockStats.model_validate(stats) for number, stats in receipt.get("blocks", {}).items()}
    known = {number: s for number, s in {**old, **new}.items() if number < -(-len(state.axis) // state.chunk)}
    return {number: stats.of_variables(cells_of_block(state, number)) for number, stats in known.items()}


def digests_of_blocks(
    state: GridState, receipt: Mapping[str, Any], blocks: Sequence[int], new: Mapping[int, BlockDigests]
) -> dict[str, BlockDigests]:
    """Digests of every block of the axis: of those that changed, or carried from the base's receipt."""
    kept = {int(number): d for number, d in receipt.get("digests", {}).items() if int(number) not in blocks}
    known = {**kept, **{number: new[number] for number in blocks if number in new}}
    return {str(number): d for number, d in sorted(known.items()) if number < -(-len(state.axis) // state.chunk)}


def is_planned(state: GridState, key: str, blocks: set[int]) -> bool:
    """Whether the chunk ``<array>/c/<index>/…`` may change with ``blocks``; arrays without time always may."""
    name, _, indexes = key.partition("/c/")
    if name not in state.united.variables or not state.united.varies(name):
        return True
    covered = blocks_in_chunk(state, name, int(indexes.split("/")[0]))
    return not covered or any(block in blocks for block in covered)
