"""A grid whose chunks stay where the provider keeps them: which source chunks are which chunks of the grid.

Here belongs deciding whether a source's chunks fit, and if not, why. Not here: writing references into a store
(``ports/grid_virtual``), or reading chunks (``grid_hdf5``).

What fits: HDF5 chunks of exactly the grid's chunk shape that begin where the grid's do, deflated and shuffled or not,
little endian, of numbers that are published as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_axis import Slot, block_slots
from rimrep_assets.domain.grid_block import BlockWriter
from rimrep_assets.domain.grid_chunks import chunks_of, shape_of, varying
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_hdf5_index import DEFLATE, SHUFFLE, ChunkIndex
from rimrep_assets.domain.grid_layout import Variable
from rimrep_assets.domain.grid_source import SourceFile, Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_values import Band, keeps_bits, stored_fill

if TYPE_CHECKING:
    import numpy as np

ADVICE = (
    "take layout.virtual out of dataset.yaml, so that the data is copied; or declare in layout.chunks the chunks that "
    "the files have."
)
TOLD_FILES = 3

Encoding = tuple[str, ...]
"""how chunks are encoded after the numbers are bytes, in order: of ``shuffle`` and ``deflate``"""


class Reference(NamedTuple):
    """One chunk of the grid: where its encoded bytes are."""

    number: tuple[int, ...]
    file: str
    offset: int
    size: int


@dataclass
class VirtualPlan:
    """What is to be referred to; ``absent`` are chunks of the blocks that no source wrote, so that all is fill."""

    encodings: dict[str, Encoding] = field(default_factory=dict)
    references: dict[str, list[Reference]] = field(default_factory=dict)
    absent: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)


def virtual_names(state: GridState) -> list[str]:
    """The variables whose chunks stay at the source: data along the time axis. All others are small, and copied."""
    return [name for name in varying(state) if state.united.variables[name].role == "data"]


def plan_virtual(
    state: GridState, blocks: Iterable[int], sources: Sources, known: Mapping[str, Encoding] | None = None
) -> VirtualPlan:
    """Refer every chunk of ``blocks`` to the source; ``known`` is how the arrays that are there are encoded.

    Raises: DefinitionError that says of every variable and file why it does not fit.
    """
    planning = _Planning(state, sources, dict(known or {}))
    for block in blocks:
        for name in virtual_names(state):
            planning.plan(name, block)
    planning.refuse()
    return planning.found


@dataclass
class VirtualBlockWriter(BlockWriter):
    """Decodes blocks for their digests as ever, and stores none of the values that stay at the source.

    ``held``: blocks whose other values are stored already, and are not touched.
    """

    held: Collection[int] = frozenset()

    def _store(self, block: int, name: str, values: np.ndarray, band: Band) -> None:
        if block not in self.held and name not in virtual_names(self.state):
            super()._store(block, name, values, band)

    def digests(self, blocks: Iterable[int]) -> dict[int, BlockDigests]:
        """The digests of ``blocks``; what does not stay at the source is written."""
        return {block: self.write(block) for block in blocks}


@dataclass
class _Planning:
    state: GridState
    sources: Sources
    encodings: dict[str, Encoding]
    """the first that was met of each variable; all files must have it"""
    found: VirtualPlan = field(default_factory=VirtualPlan)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """files by what is wrong with them"""
    judged: dict[tuple[str, str], bool] = field(default_factory=dict)

    def plan(self, name: str, block: int) -> None:
        """Refer to one block of a variable, or note why not."""
        slots = block_slots(self.state.axis, block, self.state.chunk)
        there = [slot for slot in slots if slot.digest is not None and name in self.sources.of(slot.digest).variables]
        self.found.references.setdefault(name, [])
        if not there:
            self.found.absent.setdefault(name, []).extend(self._numbers(name, block))
            return
        source = self.sources.of(str(there[0].digest))
        if not self._fits(name, source):
            return
        if not self._is_aligned(slots, there):
            files = {self.sources.of(str(slot.digest)).file.name for slot in there}
            for file in sorted(files):
                self._tell(file, f"its times do not fill whole chunks of {self.state.chunk} steps of the time axis")
            return
        self._refer(name, block, there[0].position, source)

    def _numbers(self, name: str, block: int) -> list[tuple[int, ...]]:
        """The numbers of all chunks of a block."""
        shape, lengths = shape_of(self.state, name), chunks_of(self.state, name)
        counts = [range(-(-size // length)) for size, length in zip(shape[1:], lengths[1:], strict=True)]
        return [(block, *rest) for rest in product(*counts)]

    def _is_aligned(self, slots: Sequence[Slot], there: Sequence[Slot]) -> bool:
        """Whether the block is one stretch of one file that begins where a chunk of the file does."""
        first = there[0]
        one_stretch = all(
            slot.digest == first.digest and slot.position == first.position + row for row, slot in enumerate(slots)
        )
        return one_stretch and first.position % self.state.chunk == 0

    def _fits(self, name: str, source: SourceFile) -> bool:
        key = (name, source.file.digest)
        if key not in self.judged:
            problem = self._problem(name, source)
            if problem:
                self._tell(source.file.name, f"{name}: {problem}")
            self.judged[key] = not problem
        return self.judged[key]

    def _problem(self, name: str, source: SourceFile) -> str:
        """Why a variable of a file cannot stay where it is; empty where it can."""
        variable, published = source.variables[name], self.state.united.variables[name]
        index = source.indexes.get(variable.source)
        if index is None:
            return "it is not stored in HDF5 with filters that are known (shuffle, deflate)"
        return _changed_on_the_way(variable, published) or self._other_storage(name, index, published)

    def _other_storage(self, name: str, index: ChunkIndex, published: Variable) -> str:
        import numpy as np

        wanted = chunks_of(self.state, name)
        if index.chunks != wanted:
            words = ", ".join(f"{dim}: {length}" for dim, length in zip(published.dims, index.chunks, strict=True))
            ours = ", ".join(f"{dim}: {length}" for dim, length in zip(published.dims, wanted, strict=True))
            return f"its chunks are {{{words}}}, those of the grid {{{ours}}}"
        if index.dtype.byteorder == ">" or index.dtype.newbyteorder("=") != np.dtype(published.dtype):
            return f"its numbers are stored as {index.dtype.str}, not as little-endian {published.dtype}"
        encoding = _encoding(index)
        if encoding is None:
            return "its filters are not shuffle, deflate, or one after the other"
        if any(stored.skipped for stored in index.stored.values()):
            return "some of its chunks were stored without a filter that the others have"
        if self.encodings.setdefault(name, encoding) != encoding:
            return f"it is stored with {_words(encoding)}, other files with {_words(self.encodings[name])}"
        return ""

    def _refer(self, name: str, block: int, position: int, source: SourceFile) -> None:
        variable = source.variables[name]
        index = source.indexes[variable.source]
        self.found.encodings[name] = self.encodings[name]
        chunk_in_file = position // self.state.chunk
        for number in self._numbers(name, block):
            stored = index.stored.get((chunk_in_file, *number[1:]))
            if stored is None:
                if not _same_number(index.fill, stored_fill(self.state.united.variables[name])):
                    words = f"{name}: chunks that were never written read as {index.fill}, which is not its fill value"
                    self._tell(source.file.name, words)
                self.found.absent.setdefault(name, []).append(number)
            else:
                self.found.references[name].append(Reference(number, source.file.name, stored.offset, stored.size))

    def _tell(self, file: str, problem: str) -> None:
        files = self.problems.setdefault(problem, [])
        if file not in files:
            files.append(file)

    def refuse(self) -> None:
        """Raises: DefinitionError where something does not fit."""
        if self.problems:
            raise DefinitionError(
                [f"layout.virtual: {_some(files)}: {problem}" for problem, files in self.problems.items()],
                advice=ADVICE,
            )


def _changed_on_the_way(variable: Variable, published: Variable) -> str:
    if any(variable.spans.values()):
        return "only a part of it is published, or it is turned"
    if variable.source_dims != variable.dims:
        return f"its dimensions are {', '.join(variable.source_dims)}, published are {', '.join(variable.dims)}"
    if not keeps_bits(variable, published):
        return "a step of convert changes its numbers"
    return ""


def _encoding(index: ChunkIndex) -> Encoding | None:
    words = {SHUFFLE: "shuffle", DEFLATE: "deflate"}
    # Shuffling single bytes changes nothing.
    kinds = [kind for kind in index.filters if kind != SHUFFLE or index.dtype.itemsize > 1]
    if not set(kinds) <= set(words) or kinds not in ([], [SHUFFLE], [DEFLATE], [SHUFFLE, DEFLATE]):
        return None
    return tuple(words[kind] for kind in kinds)


def _words(encoding: Encoding) -> str:
    return " and ".join(encoding) or "no filter"


def _same_number(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _some(files: Sequence[str]) -> str:
    more = len(files) - TOLD_FILES
    return ", ".join(files[:TOLD_FILES]) + (f" and {more} more" if more > 0 else "")
