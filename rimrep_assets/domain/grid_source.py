"""Source files while a grid is written: the fast way where a file allows it, else netCDF4; the same bits either way.

Here belong choosing the way, and cutting the work into tasks for threads. Not here: how a chunk is decoded
(``grid_hdf5``), or what becomes of the numbers (``grid_block``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rimrep_assets.domain.byte_spans import ByteSpan
from rimrep_assets.domain.grid_axis import Slot
from rimrep_assets.domain.grid_chunks import runs
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_hdf5 import UndecodableChunk, read_chunk
from rimrep_assets.domain.grid_hdf5_index import ChunkIndex, Window, chunk_indexes
from rimrep_assets.domain.grid_layout import FileGrid, Variable
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_values import Band, arranged, as_published, keeps_bits, read_raw, source_window
from rimrep_assets.domain.partial_file import LocalFile, PartialFile

if TYPE_CHECKING:
    import numpy as np

OpenSource = Callable[[str], LocalFile]
"""a source file on this machine, by its name"""
Task = Callable[[], None]
"""a piece of work for a thread, done when it returns"""

REMEMBERED_FILES = 256
TASK_BYTES = 1_000_000
"""a task decodes about so much; smaller ones cost more in handing over than they save"""


@dataclass
class Sources:
    """The files of a grid. Indexes of their chunks are remembered, of ``REMEMBERED_FILES`` at a time."""

    state: GridState
    open_source: OpenSource
    fast: bool = True
    """whether the fast way may be taken at all"""
    held: dict[str, SourceFile] = field(default_factory=dict)

    def of(self, digest: str) -> SourceFile:
        """The file with this content."""
        if digest not in self.held:
            if len(self.held) >= REMEMBERED_FILES:
                self.held.pop(next(iter(self.held)))
            file = self.state.by_digest[digest]
            variables = self.state.variables_of(file)
            self.held[digest] = SourceFile(file, self.open_source(file.name), variables, self.fast)
        return self.held[digest]


@dataclass
class SourceFile:
    """One file; it is opened for a moment whenever something is read."""

    file: FileGrid
    source: LocalFile
    variables: dict[str, Variable]
    fast: bool

    @property
    def path(self) -> Path:
        return self.source.path if isinstance(self.source, PartialFile) else self.source

    @cached_property
    def indexes(self) -> dict[str, ChunkIndex]:
        """Chunks of the variables that the fast way can read, by their name in the file."""
        if not self.fast or not self.path.is_file():
            return {}
        return chunk_indexes(self.source, [v.source for v in self.variables.values() if v.sha256 is None])

    def begin(self, slots: Sequence[Slot], names: Collection[str], time_dim: str) -> None:
        """Ask for what the fast way needs of these variables at the file's own of ``slots``; nobody waits for it.

        Several requests go out at once so. It is no promise: whoever reads brings what he needs, whatever was begun.
        """
        if not isinstance(self.source, PartialFile):
            return
        spans: list[ByteSpan] = []
        for start, stop, first in runs([slot for slot in slots if slot.digest == self.file.digest]):
            times = slice(first.position, first.position + stop - start)
            for variable in (self.variables[name] for name in names if name in self.variables):
                index = self.indexes.get(variable.source)
                if index is not None and len(index.shape) == len(variable.source_dims):
                    spans += index.spans(source_window(variable, index.shape, time_dim, times, None))
        self.source.begin(spans)

    def read(self, name: str, time_dim: str | None, times: slice | None, band: Band) -> np.ndarray:
        """Stored values in published order, by the slow way. Raises: DataError when the file is cut or damaged."""
        with open_raw(self.source, self.file.name) as raw:
            return read_raw(raw, self.variables[name], time_dim, times, band)

    def tasks(
        self, name: str, published: Variable, time_dim: str | None, times: slice, band: Band, out: np.ndarray
    ) -> Iterator[Task]:
        """The work of filling ``out`` with the values of ``times`` (positions in the file) as they are published.

        ``out``: (times, the other published dimensions), ``band`` of them. Tasks may run in any order and together.
        Raises (the tasks): DataError when the file is cut or damaged.
        """
        variable = self.variables[name]

        def slowly() -> None:
            out[...] = as_published(self.read(name, time_dim, times, band), variable, published, self.file.name)

        index = self.indexes.get(variable.source)
        if index is None or len(index.shape) != len(variable.source_dims):
            yield slowly
            return
        fast = _FastTasks(self.file.name, self.source, index, variable, published, str(time_dim), times, band, out)
        for task in fast.tasks():
            yield partial(_or_slowly, task, slowly)


def _or_slowly(task: Task, slowly: Task) -> None:
    try:
        task()
    except UndecodableChunk:
        # The library knows best what is wrong with the file, and whether anything is.
        slowly()


@dataclass
class _FastTasks:
    name: str
    source: LocalFile
    index: ChunkIndex
    variable: Variable
    published: Variable
    time_dim: str
    times: slice
    band: Band
    out: np.ndarray

    def tasks(self) -> Iterator[Task]:
        if self._is_straight:
            yield from self._chunk_tasks()
        else:
            yield from self._piece_tasks()

    @property
    def _is_straight(self) -> bool:
        """Whether the numbers can be put where they belong as they are decoded."""
        spans = [self.variable.spans.get(dim, ()) for dim in self.variable.source_dims]
        in_order = all(len(s) <= 1 and not any(one.backward for one in s) for s in spans)
        held = tuple(dim for dim in self.variable.dims if dim in self.variable.source_dims)
        if not in_order or self.variable.source_dims != held:
            return False
        same_type = self.index.dtype.newbyteorder("=") == self.out.dtype
        return same_type and keeps_bits(self.variable, self.published)

    def _chunk_tasks(self) -> Iterator[Task]:
        window = source_window(self.variable, self.index.shape, self.time_dim, self.times, self.band)
        numbers = list(self.index.touching(window))
        each = max(1, TASK_BYTES // max(1, self.index.chunk_bytes))
        # A file without a time dimension holds the one time that it was given.
        out = self.out if self.time_dim in self.variable.source_dims else self.out[0]

        def decode(some: list[tuple[int, ...]]) -> None:
            with _opened(self.source, self.index, window) as descriptor:
                for number in some:
                    read_chunk(descriptor, self.index, number, window, out)

        for start in range(0, len(numbers), each):
            yield partial(decode, numbers[start : start + each])

    def _piece_tasks(self) -> Iterator[Task]:
        """Some times at once: decoded whole, then brought into order."""
        import numpy as np

        dims = self.variable.source_dims
        step = self.index.chunks[dims.index(self.time_dim)] if self.time_dim in dims else 1

        def piece(times: slice) -> None:
            window = source_window(self.variable, self.index.shape, self.time_dim, times, self.band)
            shape = tuple(part.stop - part.start for part in window)
            values = np.empty(shape, self.index.dtype.newbyteorder("="))
            with _opened(self.source, self.index, window) as descriptor:
                for number in self.index.touching(window):
                    read_chunk(descriptor, self.index, number, window, values)
            rows = slice(times.start - self.times.start, times.stop - self.times.start)
            ordered = arranged(values, self.variable, self.time_dim, self.band)
            self.out[rows] = as_published(ordered, self.variable, self.published, self.name)

        start = self.times.start
        while start < self.times.stop:
            # Pieces end where chunks end, so that none is decoded twice.
            stop = min((start // step + 1) * step, self.times.stop)
            yield partial(piece, slice(start, stop))
            start = stop


class _opened:
    """A file descriptor for reading a window of one variable; of a partial file that is brought before."""

    def __init__(self, source: LocalFile, index: ChunkIndex, window: Window) -> None:
        if isinstance(source, PartialFile):
            source.bring(index.spans(window))
        self.path = source.path if isinstance(source, PartialFile) else source

    def __enter__(self) -> int:
        self.descriptor = os.open(self.path, os.O_RDONLY)
        return self.descriptor

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)
