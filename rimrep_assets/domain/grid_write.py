"""A grid into a Zarr group: arrays are made or resized, and the blocks that changed are written.

Here belongs everything that Zarr is told. Not here: which blocks changed (``grid_axis``), or whether what was written
is right (``grid_proof``).

Every array has its time dimension first, whatever the source's order, and the other dimensions in the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import Slot, block_slots, stale_static
from rimrep_assets.domain.grid_chunks import AXIS_CHUNK, batches, chunks_of, shape_of
from rimrep_assets.domain.grid_encoding import encoded_packing
from rimrep_assets.domain.grid_file import RawFile, open_raw
from rimrep_assets.domain.grid_layout import GLOBAL, Variable
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import encode_times
from rimrep_assets.domain.grid_values import as_published, read_raw, stored_fill

if TYPE_CHECKING:
    import numpy as np
    import zarr

OpenSource = Callable[[str], Path]
"""the local path of a source file, by its name"""

OPEN_FILES = 128

_SPATIAL = {
    "x": {"standard_name": "longitude", "units": "degrees_east"},
    "y": {"standard_name": "latitude", "units": "degrees_north"},
}


def write_grid(
    group: zarr.Group,
    base: GridState | None,
    state: GridState,
    blocks: Iterable[int],
    dataset: Dataset,
    open_source: OpenSource,
) -> None:
    """Bring ``group`` from ``base`` (None: whatever it holds is replaced) to ``state``.

    ``blocks`` are those of ``changed_blocks``; only they are written, and axes and descriptions that differ. Stored
    numbers are the source's bits, save where ``unpack`` is declared. Held in memory: one block of some variables.
    Raises: DataError when a source file cannot be read.
    """
    if base is None or not base.written_alike(state):
        base = None
        for name in list(group):
            del group[name]
    arrays = {name: _array(group, state, name) for name in state.united.variables}
    _write_time(group, base, state)
    for name in stale_static(base, state):
        arrays[name][...] = read_static(state, name, open_source)
    for block in blocks:
        for names in batches(state):
            for name, values in assembled(state, block, names, open_source):
                start = block * state.chunk
                arrays[name][start : start + values.shape[0]] = values
    _describe(group, state, dataset)


def _array(group: zarr.Group, state: GridState, name: str) -> zarr.Array[Any]:
    """The array of a variable in its new shape; made when absent."""
    shape = shape_of(state, name)
    if name in group:
        array: Any = group[name]
        if array.shape != shape:
            array.resize(shape)
        return array
    variable = state.united.variables[name]
    return _created(group, name, shape, chunks_of(state, name), variable.dims, stored_fill(variable))


def _created(
    group: zarr.Group, name: str, shape: Sequence[int], chunks: Sequence[int], dims: Sequence[str], fill: Any
) -> zarr.Array[Any]:
    from zarr.codecs import ZstdCodec

    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=fill.dtype,
        chunks=tuple(chunks),
        compressors=[ZstdCodec(level=3)],
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
        return as_published(read_raw(opened, of_file), of_file, state.united.variables[name], file.name)


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


def assembled(
    state: GridState, block: int, names: Sequence[str], open_source: OpenSource
) -> list[tuple[str, np.ndarray]]:
    """The block's values of some variables as they are published; fill where no file, or none that has the variable.

    Shape of each: (times in the block, the other dimensions).
    """
    import numpy as np

    slots = block_slots(state.axis, block, state.chunk)
    found = []
    for name in names:
        fill = stored_fill(state.united.variables[name])
        found.append((name, np.full((len(slots), *shape_of(state, name)[1:]), fill, fill.dtype)))
    assert state.united.time is not None
    time_dim = state.united.time.dim
    with OpenSources(state, open_source) as sources:
        for start, stop, first in runs(slots):
            assert first.digest is not None
            layout, opened = sources.of(first.digest)
            times = slice(first.position, first.position + stop - start)
            for name, values in found:
                of_file = layout.get(name)
                if of_file is not None:
                    raw = read_raw(opened, of_file, time_dim, times)
                    values[start:stop] = as_published(
                        raw, of_file, state.united.variables[name], state.by_digest[first.digest].name
                    )
    return found


class OpenSources:
    """Source files that stay open while a block is worked on, at most ``OPEN_FILES`` of them."""

    def __init__(self, state: GridState, open_source: OpenSource) -> None:
        self.state = state
        self.open_source = open_source
        self.held: dict[str, tuple[ExitStack, RawFile]] = {}

    def __enter__(self) -> OpenSources:
        return self

    def __exit__(self, *error: object) -> None:
        with ExitStack() as all_of_them:
            for stack, _ in self.held.values():
                all_of_them.push(stack)

    def of(self, digest: str) -> tuple[dict[str, Variable], RawFile]:
        """The variables of the file with this content by published name, and the file itself, open."""
        file = self.state.by_digest[digest]
        if digest not in self.held:
            if len(self.held) >= OPEN_FILES:
                oldest = next(iter(self.held))
                self.held.pop(oldest)[0].close()
            stack = ExitStack()
            opened = stack.enter_context(open_raw(self.open_source(file.name), file.name))
            self.held[digest] = (stack, opened)
        return self.state.layout_of(file).variables, self.held[digest][1]


def _describe(group: zarr.Group, state: GridState, dataset: Dataset) -> None:
    """Attributes of the group and its arrays, where they differ from what is there."""
    wanted: dict[str, dict[str, Any]] = {GLOBAL: state.published_attributes(GLOBAL)}
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


def completed(state: GridState, name: str, dataset: Dataset) -> dict[str, Any]:
    """Published attributes of a variable; declared coordinates get what CF wants of them where they lack it."""
    found = state.published_attributes(name)
    part = next((p for p, n in dataset.coordinates.named().items() if n == name), None)
    time = state.united.time
    if time is not None and name == time.name:
        calendar = {"calendar": time.calendar}
        kept = {k: v for k, v in found.items() if k not in ("units", "calendar")}
        return {"standard_name": "time", **kept, **_axis("t", True), "units": state.time_units, **calendar}
    if part is None:
        return found
    one_dimension = len(state.united.variables[name].dims) == 1
    words = dict(_SPATIAL.get(part, {}))
    if part in ("x", "y") and not _in_degrees(found.get("units")):
        words = {"standard_name": f"projection_{part}_coordinate"} if found.get("units") else words
    return {**words, **_axis(part, one_dimension), **found}


def _axis(part: str, one_dimension: bool) -> dict[str, str]:
    # CF allows axis on one-dimensional coordinates alone.
    return {"axis": part.upper()} if one_dimension else {}


def _in_degrees(units: Any) -> bool:
    return isinstance(units, str) and units.lower().startswith("degree")
