"""Whether what was written is what the source holds: every changed value read back, and a sample by other readers.

While it was written, every file's values got digests; what is read back from the store must give the same. Where it
does not, or where no digest is known, the file is read again, by the slow way, and the cells that differ are told.

Here belongs the complete reading back. Not here: the reader that shares no code with ours (``grid_sample``), how
digests are made (``grid_digests``), or what is counted in the same pass (``grid_stats``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import block_slots
from rimrep_assets.domain.grid_block import BlockReader
from rimrep_assets.domain.grid_chunks import varying
from rimrep_assets.domain.grid_digests import BlockDigests
from rimrep_assets.domain.grid_encoding import decoded_fill
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_findings import TOLD, WHOLE, Findings
from rimrep_assets.domain.grid_kept import DAMAGED, Carried
from rimrep_assets.domain.grid_layout import FileGrid, GridLayout, Packing
from rimrep_assets.domain.grid_proof_block import VariableOfBlock
from rimrep_assets.domain.grid_reencoding import adds_fill, is_repacked
from rimrep_assets.domain.grid_sample import Pick, choose, compare
from rimrep_assets.domain.grid_sample_reading import OtherReader, RawReading, Unread
from rimrep_assets.domain.grid_sample_times import UNITS, published_instants
from rimrep_assets.domain.grid_source import OpenSource, Sources
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats, VariableStats, count
from rimrep_assets.domain.grid_time import SECOND, decode_times, iso_time, parse_units, same_units
from rimrep_assets.domain.grid_values import is_unpacked, sha256_of
from rimrep_assets.domain.grid_write import read_static
from rimrep_assets.domain.proof import FileProof

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    import zarr

__all__ = ["WHOLE", "BlockStats", "measure_grid", "prove_grid"]

NOTHING_CARRIED = Carried()


def prove_grid(
    group: zarr.Group,
    state: GridState,
    blocks: Iterable[int],
    dataset: Dataset,
    open_source: OpenSource,
    seed: int,
    published: xr.Dataset,
    digests: Mapping[int, BlockDigests] | None = None,
    threads: int = 2,
    carried: Carried = NOTHING_CARRIED,
) -> tuple[list[FileProof], dict[int, BlockStats]]:
    """Hold ``group`` against the source files of ``blocks``, and count the blocks' values.

    Complete: every value of the blocks by its digest in ``digests`` (those of ``write_grid``; of a block without them
    by reading its files again), variables without time, axes, times, packing, units. Independent: of each file one
    chunk, chosen by ``seed``, read by other libraries and compared with ``published``: the same store, opened by xarray
    with ``decode_times=False``, because what is no axis is compared as numbers, also where its unit is one of time. The
    last proof, named ``WHOLE``, is about what belongs to no file.
    Files of which an earlier proof is ``carried`` on are not opened: their values are held against its digests, and
    they have a proof here only where these differ.
    Differences are told, not raised. Raises: DataError when a source file cannot be read.
    """
    wanted = sorted(set(blocks))
    calendar = state.united.time.calendar if state.united.time else ""
    findings = Findings([slot.time for slot in state.axis], calendar)
    files = _files_of(state, wanted)
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as other:
        reader = BlockReader(group, state, pool)
        sources = Sources(state, open_source)
        proof = _Proof(group, state, dataset, sources, findings, published, digests or {}, carried, reader, pool)
        proof.whole()
        described = {digest: proof.described(state.layouts[digest]) for digest in {file.layout for file in files}}
        for file in files:
            for problem in described[file.layout]:
                findings.tell(file.name, problem)
            proof.times_of(file, wanted)
        picks = choose(state, wanted, seed, proof.cut_of, carried.contents)
        readings = _Readings(proof, picks, wanted, other)
        stats = {block: proof.block(block, readings.of(block)) for block in wanted}
    proofs = [
        findings.of(file.name, file.digest, proof.sampled.get(file.digest, 0), [])
        for file in files
        if file.digest not in carried.contents or file.name in findings.differences
    ]
    return [*proofs, findings.of(WHOLE, "", 0, [])], stats


def not_shown(state: GridState) -> list[FileProof]:
    """What is told of files of which nothing is published, because others give all their times by ``overlap``."""
    unused = state.unused()
    what = "times, which a file whose name sorts later gives"
    return [
        FileProof(name=file.name, digest=file.digest, compared=0, sampled=0, left_out={what: len(file.times)})
        for file in state.files
        if file.name in unused
    ]


def _files_of(state: GridState, blocks: Sequence[int]) -> list[FileGrid]:
    digests = {s.digest for b in blocks for s in block_slots(state.axis, b, state.chunk)}
    return sorted((state.by_digest[d] for d in digests if d is not None), key=lambda f: f.name)


class _Readings:
    """The other reader's work: done in a thread of its own, a block ahead of the comparison."""

    def __init__(
        self, proof: _Proof, picks: Mapping[int, Sequence[Pick]], blocks: Sequence[int], other: Executor
    ) -> None:
        self.proof, self.picks, self.other = proof, picks, other
        # Of no block at all there is none to follow either.
        self.following = dict(zip(blocks, [*blocks[1:], None], strict=False))
        self.begun: dict[int, list[tuple[Pick, Future[RawReading | Unread]]]] = {}
        if blocks:
            self._begin(blocks[0])

    def _begin(self, block: int) -> None:
        self.begun[block] = [
            (pick, self.other.submit(self.proof.independently, pick)) for pick in self.picks.get(block, ())
        ]

    def of(self, block: int) -> list[tuple[Pick, Future[RawReading | Unread]]]:
        """The readings of one block, which may still be under way; the next block's are begun."""
        following = self.following[block]
        if following is not None:
            self._begin(following)
        return self.begun.pop(block)


@dataclass
class _Proof:
    group: zarr.Group
    state: GridState
    dataset: Dataset
    sources: Sources
    findings: Findings
    published: xr.Dataset
    digests: Mapping[int, BlockDigests]
    carried: Carried
    reader: BlockReader
    pool: Executor
    times: tuple[int, ...] = ()
    """the published time axis, read back"""
    sampled: dict[str, int] = field(default_factory=dict)
    """values that the other reader decoded, by the file's content"""

    def whole(self) -> None:
        """Arrays, their dimensions and packing, the time axis, and the values of what does not vary with time."""
        united = self.state.united
        expected = {*united.variables, *([united.time.name] if united.time else [])}
        there = set(self.group)
        for name in sorted(there ^ expected):
            self.findings.tell(
                WHOLE, f"{name}: {'should not be in the store' if name in there else 'is not in the store'}"
            )
        for name in sorted(there & set(united.variables)):
            variable, array = united.variables[name], self._array(name)
            dims = tuple(array.metadata.dimension_names or ())
            if dims != variable.dims:
                self.findings.tell(WHOLE, f"{name}: dimensions {dims}, expected {variable.dims}")
            for problem in _packing_problems(name, array, variable.packing, variable.dtype):
                self.findings.tell(WHOLE, problem)
            if variable.time_bounds is not None and united.time:
                told, wanted = [array.attrs.get(n) for n in UNITS], [self.state.time_units, united.time.calendar]
                if told != wanted:
                    self.findings.tell(WHOLE, f"{name}: bounds in {told}, expected as their axis {wanted}")
            if not united.varies(name):
                self._static(name, array)
        if united.time and united.time.name in there:
            self._time_axis(self._array(united.time.name))

    def _array(self, name: str) -> Any:
        return self.group[name]

    def _static(self, name: str, array: Any) -> None:
        """What does not vary with time against the file that it was taken from, read anew; where its proof is carried
        on, against the digest that was taken of it.
        """
        provider = self.state.provider(name)
        of_file, published = self.state.layout_of(provider).variables[name], self.state.united.variables[name]
        as_digested = of_file.dtype == published.dtype and not (
            is_unpacked(of_file, published) or is_repacked(of_file, published)
        )
        if provider.digest in self.carried.contents and name in self.carried.variables and as_digested:
            if sha256_of(array[...]) != of_file.sha256:
                self.findings.tell(WHOLE, f"{name}, taken from {provider.name}: {DAMAGED}")
            return
        expected = read_static(self.state, name, self.sources.open_source)
        values = array[...]
        self.findings.count(provider.name, values.size)
        self.findings.equal(provider.name, name, None, expected, values)

    def _time_axis(self, array: Any) -> None:
        time = self.state.united.time
        assert time is not None
        attributes = dict(array.attrs)
        units = attributes.get("units")
        try:
            parsed = parse_units(str(units), attributes.get("calendar"))
            self.times = decode_times(array[...], parsed)
        except ValueError as error:
            self.findings.tell(WHOLE, f"{time.name}: cannot be decoded: {error}")
            return
        if parsed.calendar != time.calendar:
            self.findings.tell(WHOLE, f"{time.name}: calendar {parsed.calendar}, expected {time.calendar}")
        self.findings.count(WHOLE, len(self.times))
        expected = [slot.time for slot in self.state.axis]
        if len(self.times) != len(expected):
            self.findings.tell(WHOLE, f"{time.name}: {len(self.times)} times, expected {len(expected)}")
        wrong = [i for i, (a, b) in enumerate(zip(expected, self.times, strict=False)) if a != b]
        for i in wrong[:TOLD]:
            words = iso_time(expected[i], time.calendar), iso_time(self.times[i], time.calendar)
            self.findings.tell(WHOLE, f"{time.name} [{i}]: expected {words[0]}, published {words[1]}")
        if len(wrong) > TOLD:
            self.findings.tell(WHOLE, f"{time.name}: {len(wrong) - TOLD} more times differ")

    def described(self, layout: GridLayout) -> list[str]:
        """Where the published attributes are not those of files of one layout."""
        found: list[str] = []
        for name, of_file in layout.variables.items():
            variable = self.state.united.variables.get(name)
            if variable is None or name not in self.group:
                continue
            array = self._array(name)
            reencoded = is_unpacked(of_file, variable) or is_repacked(of_file, variable)
            reencoded = reencoded or variable.time_bounds is not None
            if variable.role != "coordinate" and not reencoded:
                added = adds_fill(of_file.packing, variable.packing)
                expected = variable.packing if added else of_file.packing
                found += _packing_problems(name, array, expected, of_file.dtype)
            units = array.attrs.get("units")
            if of_file.units is not None and not same_units(of_file.units, units):
                found.append(f"{name}: unit {_word(units)}, source {of_file.units}")
        return found

    def times_of(self, file: FileGrid, blocks: Sequence[int]) -> None:
        """The file's times against the published ones at its places in ``blocks``."""
        time = self.state.united.time
        if time is None or not self.times:
            return
        wanted = set(blocks)
        # With a cadence the axis is in whole seconds.
        slack = SECOND // 2 if self.state.cadence else 0
        for row in self.rows.get(file.digest, ()):
            if row >= len(self.times) or row // self.state.chunk not in wanted:
                continue
            exact = _time_at(file, self.state.axis[row].position)
            if exact is None or abs(exact - self.times[row]) > slack:
                words = [iso_time(t, time.calendar) if t is not None else "none" for t in (exact, self.times[row])]
                self.findings.tell(file.name, f"{time.name} [{row}]: source {words[0]}, published {words[1]}")

    @cached_property
    def rows(self) -> dict[str, list[int]]:
        """The places of every file on the axis, by its content."""
        found: dict[str, list[int]] = {}
        for row, slot in enumerate(self.state.axis):
            if slot.digest is not None:
                found.setdefault(slot.digest, []).append(row)
        return found

    @cached_property
    def other(self) -> OtherReader:
        """The reader that shares no code with ours."""
        return OtherReader(self.state, self.dataset, self.published)

    @cached_property
    def stamps(self) -> np.ndarray | None:
        """The published times as xarray reads them."""
        import xarray as xr

        time = self.state.united.time
        if time is None or time.name not in self.published.variables:
            return None
        found: np.ndarray = xr.coders.CFDatetimeCoder().decode(self.published.variables[time.name], time.name).values
        return found

    def cut_of(self, digest: str, name: str) -> dict[str, int]:
        """How a file cuts a variable into chunks, along the dimensions that are published as they stand in it."""
        source = self.sources.of(digest)
        variable = source.variables[name]
        index = source.indexes.get(variable.source)
        if index is None or len(index.chunks) != len(variable.source_dims):
            return {}
        lengths = zip(variable.source_dims, index.chunks, strict=True)
        return {dim: length for dim, length in lengths if not variable.spans.get(dim)}

    def independently(self, pick: Pick) -> RawReading | Unread:
        """One file as the other reader sees it."""
        source = self.sources.of(pick.file.digest)
        by_fast_way = source.variables[pick.name].source in source.indexes
        return self.other.read(pick, source.source, by_fast_way)

    def block(self, block: int, readings: Sequence[tuple[Pick, Future[RawReading | Unread]]]) -> BlockStats:
        """Every value of one block; returns what was counted."""
        if self.state.united.time is None:
            counted = self._static_stats()
        else:
            counted = {}
            for name in varying(self.state):
                if name in self.group:
                    stats = VariableOfBlock(self, block, name).proven()
                    if self.state.united.variables[name].role == "data":
                        counted[name] = stats
        self._sample(block, readings)
        return BlockStats(variables=counted)

    def _static_stats(self) -> dict[str, VariableStats]:
        return {
            name: count(self._array(name)[...], variable.packing)
            for name, variable in self.state.united.variables.items()
            if variable.role == "data" and name in self.group
        }

    def _sample(self, block: int, readings: Sequence[tuple[Pick, Future[RawReading | Unread]]]) -> None:
        """What the other reader made of the block's files, against the published chunk as xarray reads it."""
        chunks: dict[str, np.ndarray] = {}
        picks = [pick for pick, _ in readings]
        read = self.other.with_times([(pick, future.result()) for pick, future in readings])
        for pick, reading in zip(picks, read, strict=True):
            if isinstance(reading, str):
                self.findings.tell(pick.file.name, reading)
                continue
            if pick.name not in self.published.variables:
                self.findings.tell(pick.file.name, f"{pick.name}: is not in the published dataset")
                continue
            if pick.name not in chunks:
                chunks[pick.name] = self._published_chunk(pick)
            there, stamps = chunks[pick.name], None
            if self.state.united.varies(pick.name):
                there = there[[row - block * self.state.chunk for row in pick.rows]]
                stamps = self.stamps[list(pick.rows)] if self.stamps is not None else None
            compared, problems = compare(pick, reading, there, stamps, self.state)
            self.sampled[pick.file.digest] = self.sampled.get(pick.file.digest, 0) + compared
            for problem in problems:
                self.findings.tell(pick.file.name, problem)

    def _published_chunk(self, pick: Pick) -> np.ndarray:
        """The decoded values of all picks of one variable in one block: they share one chunk's extent."""
        window = dict(pick.windows)
        if self.state.united.varies(pick.name):
            assert self.state.united.time is not None
            start = pick.block * self.state.chunk
            window[self.state.united.time.dim] = slice(start, start + self.state.chunk)
        if self.state.united.variables[pick.name].time_bounds is not None:
            return published_instants(self._array(pick.name), window)
        values: np.ndarray = self.published.variables[pick.name].isel(window).values
        return values


def _time_at(file: FileGrid, position: int) -> int | None:
    """The time at a position in the file; None where it has none there."""
    if file.positions:
        return next((t for t, p in zip(file.times, file.positions, strict=True) if p == position), None)
    return file.times[position] if position < len(file.times) else None


def _packing_problems(variable: str, array: Any, expected: Packing, dtype: str) -> list[str]:
    """Where the published attributes do not unpack as expected."""
    attributes = dict(array.attrs)
    if array.dtype.name != dtype:
        return [f"{variable}: type {array.dtype.name}, source {dtype}"]
    fill = None if expected.fill is None else expected.fill.numpy()
    found = []
    for key, source, there in (
        ("_FillValue", fill, decoded_fill(attributes.get("_FillValue"), dtype)),
        ("scale_factor", _plain(expected.scale), attributes.get("scale_factor")),
        ("add_offset", _plain(expected.offset), attributes.get("add_offset")),
        ("missing_value", _missing(expected), attributes.get("missing_value")),
        ("_Unsigned", "true" if expected.unsigned else None, attributes.get("_Unsigned")),
    ):
        both_nan = _is_nan(source) and _is_nan(there)
        if source != there and not both_nan:
            found.append(f"{variable}: {key} {_word(there)}, source {_word(source)}")
    return found


def _is_nan(value: Any) -> bool:
    return bool(value != value)


def _plain(number: Any) -> Any:
    return None if number is None else number.value


def _missing(packing: Packing) -> Any:
    held = [n.value for n in packing.missing if not n.is_nan]
    return None if not held else held[0] if len(held) == 1 else held


def _word(value: Any) -> str:
    return "none" if value is None else str(value)
