"""A grid into a Zarr group: arrays are made or resized, and the blocks that changed are written.

Here belongs everything that Zarr is told. Not here: which blocks changed (``grid_axis``), or whether what was written
is right (``grid_proof``).

Every array has its time dimension first, whatever the source's order, and the other dimensions in the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import stale_static
from rimrep_assets.domain.grid_block import BlockWriter
from rimrep_assets.domain.grid_chunks import AXIS_CHUNK, chunks_of, shape_of
from rimrep_assets.domain.grid_described import completed, global_attributes
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_encoding import encoded_packing
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_layout import GLOBAL
from rimrep_assets.domain.grid_source import OpenSource, Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import encode_times
from rimrep_assets.domain.grid_values import as_published, read_raw, stored_fill

if TYPE_CHECKING:
    import numpy as np
    import zarr

    from rimrep_assets.domain.grid_kept import StoredRows

WriteBlocks = Callable[[Sequence[int]], dict[int, BlockDigests]]
"""writes the values of some blocks, whose arrays are there already"""

COMPRESSION: dict[str, Any] = {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "blocksize": 524_288}
"""of what was tried on the field's own grids as small as any, and the fastest to write and to read of the small; the
larger blocks make twice the speed of Blosc's own choice (docs/performance.md)"""


def write_grid(
    group: zarr.Group,
    base: GridState | None,
    state: GridState,
    blocks: Iterable[int],
    dataset: Dataset,
    open_source: OpenSource,
    threads: int = 2,
    stored: StoredRows | None = None,
) -> dict[int, BlockDigests]:
    """Bring ``group`` from ``base`` (None: whatever it holds is replaced) to ``state``.

    ``blocks`` are those of ``changed_blocks``; only they are written, and axes and descriptions that differ. Stored
    numbers are the source's bits, save where a step of ``convert`` changes them. Held in memory: one variable's block,
    or of a large one a band (``grid_block``). Returns the digests of what was written, by block.
    Rows that ``stored`` holds are taken from it, not from source files; it is another group than ``group``.
    Raises: DataError when a source file cannot be read; DamagedRows when ``stored`` does not hold what was recorded.
    """
    prepare_grid(group, base, state, dataset, open_source)
    return write_blocks(group, state, blocks, open_source, threads, stored=stored)


def prepare_grid(
    group: zarr.Group,
    base: GridState | None,
    state: GridState,
    dataset: Dataset,
    open_source: OpenSource,
    compressors: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """All but the blocks: arrays in their new shapes, axes, what does not vary with time, attributes.

    ``compressors``: zarr's codecs for arrays that are to have others than ours.
    """
    if base is None or not base.written_alike(state):
        base = None
    kept = {*state.united.variables, *([state.united.time.name] if state.united.time else [])} if base else set()
    for name in set(group) - kept:
        del group[name]
    own = compressors or {}
    arrays = {name: _array(group, state, name, own.get(name)) for name in state.united.variables}
    _write_time(group, base, state)
    for name in stale_static(base, state):
        arrays[name][...] = read_static(state, name, open_source)
    _describe(group, state, dataset)


def write_blocks(
    group: zarr.Group,
    state: GridState,
    blocks: Iterable[int],
    open_source: OpenSource,
    threads: int = 2,
    names: Collection[str] | None = None,
    stored: StoredRows | None = None,
) -> dict[int, BlockDigests]:
    """Write the values of ``blocks`` into arrays that are there; ``names``: of these alone. See ``write_grid``."""
    with ThreadPoolExecutor(threads) as pool:
        writer = BlockWriter(group, state, Sources(state, open_source), pool, stored)
        wanted = list(blocks)
        return {block: writer.write(block, names, following) for block, following in zip_longest(wanted, wanted[1:])}


def _array(group: zarr.Group, state: GridState, name: str, compressors: Sequence[Any] | None = None) -> zarr.Array[Any]:
    """The array of a variable in its new shape; made when absent."""
    shape = shape_of(state, name)
    if name in group:
        array: Any = group[name]
        if array.shape != shape:
            array.resize(shape)
        return array
    variable = state.united.variables[name]
    return _created(group, name, shape, chunks_of(state, name), variable.dims, stored_fill(variable), compressors)


def _created(
    group: zarr.Group,
    name: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    dims: Sequence[str],
    fill: Any,
    compressors: Sequence[Any] | None = None,
) -> zarr.Array[Any]:
    from zarr.codecs import BloscCodec

    if compressors is None:
        compressors = [BloscCodec(typesize=fill.dtype.itemsize, **COMPRESSION)]
    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=fill.dtype,
        chunks=tuple(chunks),
        compressors=list(compressors),
        fill_value=fill,
        dimension_names=tuple(dims),
    )


def _write_time(group: zarr.Group, base: GridState | None, state: GridState) -> None:
    time = state.united.time
    if time is None or state.time_units is None:
        return
    numbers = encode_times((slot.time for slot in state.axis), state.time_units, time.calendar)
    same_kind = (
        base is not None and base.time_units == state.time_units and group[time.name].dtype == numbers.dtype  # type: ignore[union-attr]
    )
    if not same_kind and time.name in group:
        del group[time.name]
    if time.name not in group:
        chunk = -(-AXIS_CHUNK // state.chunk) * state.chunk
        _created(group, time.name, numbers.shape, (chunk,), (time.dim,), numbers.dtype.type(0))
        start = 0
    else:
        assert base is not None
        start = _first_difference([s.time for s in base.axis], [s.time for s in state.axis])
    array: Any = group[time.name]
    if array.shape != numbers.shape:
        # What stays behind the end of the last chunk is what a new array would have there.
        array[len(numbers) :] = array.fill_value
        array.resize(numbers.shape)
    if start < len(numbers):
        array[start:] = numbers[start:]


def _first_difference(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def read_static(state: GridState, name: str, open_source: OpenSource) -> np.ndarray:
    """The values of a variable without time as they are published, from the newest file that has it."""
    file = state.provider(name)
    of_file = state.layout_of(file).variables[name]
    with open_raw(open_source(file.name), file.name) as opened:
        return as_published(read_raw(opened, of_file), of_file, state.published(name), file.name)


def _describe(group: zarr.Group, state: GridState, dataset: Dataset) -> None:
    """Attributes of the group and its arrays, where they differ from what is there."""
    wanted: dict[str, dict[str, Any]] = {GLOBAL: global_attributes(group, state, dataset)}
    for name, variable in state.united.variables.items():
        packing = encoded_packing(variable.packing, variable.dtype)
        wanted[name] = {**completed(state, name, dataset), **packing}
    time = state.united.time
    if time is not None:
        wanted[time.name] = completed(state, time.name, dataset)
    for name, attributes in wanted.items():
        holder: Any = group[name] if name else group
        if dict(holder.attrs) != attributes:
            holder.attrs.put(attributes)
