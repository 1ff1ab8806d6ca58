"""How a grid is cut into chunks, and which blocks share one.

Here belong the sizes of chunks, chosen or declared. Not here: writing them (``grid_write``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_layout import GridLayout, Variable
from rimrep_assets.domain.grid_values import Band

if TYPE_CHECKING:
    from rimrep_assets.domain.grid_axis import Slot
    from rimrep_assets.domain.grid_state import GridState

CHUNK_BYTES = 2_000_000
"""encoded raw, what a chunk is aimed at; readers in the field do best with 1 to 6 MB"""
BLOCK_BYTES = 256_000_000
"""one time chunk of one variable over the whole plane is not to be larger, for it is held in memory"""
LEAST_STEPS, MOST_STEPS = 16, 1024
"""time chunks by default: with fewer a pixel's history costs the whole grid, with more an append rewrites much"""
AXIS_CHUNK = 8192
"""least chunk of a time axis: one chunk for each step would cost one request each"""
HELD_BYTES = 256_000_000
"""so many bytes of a block are held at a time; a single row of chunks may be larger"""


def shape_of(state: GridState, name: str) -> tuple[int, ...]:
    """The published shape of a variable."""
    sizes = dict(state.united.dimensions)
    if state.united.time:
        sizes[state.united.time.dim] = len(state.axis)
    return tuple(sizes[d] for d in state.united.variables[name].dims)


def cells_of_block(state: GridState, block: int) -> dict[str, int]:
    """How many cells each data variable has in a block; of a grid without time those without time too."""
    rows = min((block + 1) * state.chunk, len(state.axis)) - block * state.chunk
    timed = state.united.time is not None
    found = {}
    for name, variable in state.united.variables.items():
        if variable.role == "data" and (state.united.varies(name) or not timed):
            found[name] = _product([*shape_of(state, name)[1:], rows] if timed else shape_of(state, name))
    return found


def chunks_of(state: GridState, name: str) -> tuple[int, ...]:
    """The chunk shape of a variable: axes whole, of long thin series at least ``AXIS_CHUNK`` times."""
    variable, time = state.united.variables[name], state.united.time
    if variable.role != "data":
        others = [max(1, state.united.dimensions[d]) for d in variable.dims if not time or d != time.dim]
        if not state.united.varies(name):
            return tuple(others)
        cells = 1
        for size in others:
            cells *= size
        if cells <= 16:
            return (-(-AXIS_CHUNK // state.chunk) * state.chunk, *others)
    return tuple(state.chunks[d] for d in variable.dims)


def blocks_in_chunk(state: GridState, name: str, chunk: int) -> range:
    """The blocks that share the chunk with this first index of a varying variable; empty beyond the axis.

    One block for data; series as thin as an axis have longer chunks, so that writing one block touches a chunk of many.
    """
    per_chunk = chunks_of(state, name)[0] // state.chunk
    blocks = -(-len(state.axis) // state.chunk)
    return range(min(chunk * per_chunk, blocks), min((chunk + 1) * per_chunk, blocks))


def bands(state: GridState, name: str) -> Iterator[Band]:
    """Pieces of a varying variable's block of at most about ``HELD_BYTES``, cut along its first other dimension.

    Each is a number of whole chunks, one at least; None stands for all of a block that is small enough.
    """
    import numpy as np

    shape, lengths = shape_of(state, name), chunks_of(state, name)
    if len(shape) == 1:
        yield None
        return
    line = state.chunk * np.dtype(state.united.variables[name].dtype).itemsize * _product(shape[2:])
    step = max(1, HELD_BYTES // (line * lengths[1])) * lengths[1]
    if step >= shape[1]:
        yield None
        return
    for start in range(0, shape[1], step):
        yield state.united.variables[name].dims[1], start, min(start + step, shape[1])


def runs(slots: Sequence[Slot]) -> Iterator[tuple[int, int, Slot]]:
    """Stretches of slots that lie in one file one after the other: ``(start, stop, first slot)``, gaps left out."""
    start = 0
    for stop in range(1, len(slots) + 1):
        first = slots[start]
        follows = (
            stop < len(slots)
            and slots[stop].digest == first.digest
            and slots[stop].position == first.position + stop - start
        )
        if not follows:
            if first.digest is not None:
                yield start, stop, first
            start = stop


def varying(state: GridState) -> list[str]:
    """The variables that have the time dimension; of a grid without time none."""
    return [name for name in state.united.variables if state.united.varies(name)]


def chunk_lengths(layout: GridLayout, declared: Mapping[str, int]) -> dict[str, int]:
    """The chunk length of every dimension, declared or chosen; it depends on sizes, never on the number of times.

    Chosen: at least ``LEAST_STEPS`` times, more for small planes, then the longest dimensions are halved until a chunk
    of the widest variable has about ``CHUNK_BYTES``.
    Raises: DataError for a declared dimension that the grid has not.
    """
    time = layout.time.dim if layout.time else None
    names = [*([time] if time else []), *layout.dimensions]
    unknown = [d for d in declared if d not in names]
    if unknown:
        raise DataError(
            [f"layout.chunks: there is no dimension {d!r} (dimensions: {', '.join(names)})" for d in unknown],
            advice="name dimensions as the published grid has them, after rename.",
        )
    sizes = layout.dimensions
    lengths = {d: min(declared.get(d, size), size) for d, size in sizes.items()}
    widest = _widest(layout)
    if widest is None:
        return {**lengths, **({time: declared.get(time, MOST_STEPS)} if time else {})}
    dims, cell = widest
    steps = 1
    if time:
        plane = cell * _product(sizes[d] for d in dims if d != time)
        chosen = max(LEAST_STEPS, min(MOST_STEPS, CHUNK_BYTES // plane))
        steps = declared.get(time, max(1, min(chosen, BLOCK_BYTES // plane)))
        lengths[time] = steps
    free = [d for d in dims if d != time and d not in declared]
    while free and cell * _product(lengths[d] for d in dims) > 1.5 * CHUNK_BYTES:
        longest = max(free, key=lambda d: lengths[d])
        if lengths[longest] == 1:
            break
        lengths[longest] = -(-lengths[longest] // 2)
    return {d: lengths[d] for d in names}


def _widest(layout: GridLayout) -> tuple[tuple[str, ...], int] | None:
    """Dimensions and bytes a cell of the data variable with the largest plane."""
    import numpy as np

    time = layout.time.dim if layout.time else None

    def plane(variable: Variable) -> int:
        cells = _product(layout.dimensions[d] for d in variable.dims if d != time)
        return cells * np.dtype(variable.dtype).itemsize

    data = [v for name, v in layout.variables.items() if v.role == "data" and (not time or layout.varies(name))]
    if not data:
        return None
    # The widest by plane, and by name where planes are equal, so that the order of files plays no part.
    found = max(data, key=lambda v: (plane(v), v.dims))
    return found.dims, np.dtype(found.dtype).itemsize


def _product(numbers: Iterable[Any]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total
