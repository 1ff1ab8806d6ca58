"""Whether what was written is what the source holds: every changed value bit for bit, and a sample by other readers.

Here belongs the complete reading back. Not here: the reader that shares no code with ours (``grid_sample``), or what
is counted in the same pass (``grid_stats``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import Slot, block_slots
from rimrep_assets.domain.grid_chunks import batches
from rimrep_assets.domain.grid_encoding import decoded_fill
from rimrep_assets.domain.grid_facts import measure_grid
from rimrep_assets.domain.grid_findings import TOLD, Findings
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import FileGrid, GridHeader, Packing
from rimrep_assets.domain.grid_sample import sample_file
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_stats import BlockStats, VariableStats, count
from rimrep_assets.domain.grid_time import SECOND, decode_times, iso_time, parse_units, same_units
from rimrep_assets.domain.grid_values import (
    adds_fill,
    as_published,
    is_unpacked,
    read_raw,
    sha256_of,
    stored_fill,
)
from rimrep_assets.domain.grid_write import OpenSource, OpenSources, runs
from rimrep_assets.domain.proof import FileProof

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    import zarr

__all__ = ["WHOLE", "BlockStats", "measure_grid", "prove_grid"]

WHOLE = "(the grid as a whole)"
"""the name of the proof of what belongs to no file: times without one, axes, arrays that should not be there"""


def prove_grid(
    group: zarr.Group,
    state: GridState,
    blocks: Iterable[int],
    dataset: Dataset,
    open_source: OpenSource,
    seed: int,
    published: xr.Dataset,
) -> tuple[list[FileProof], dict[int, BlockStats]]:
    """Hold ``group`` against the source files of ``blocks``, and count the blocks' values.

    Complete: every value of the blocks, variables without time, axes, times, packing, units. Independent: of each file
    one chunk, chosen by ``seed``, decoded by another reader and compared with ``published`` (the same store through
    xarray, decoded) at the same time. The last proof, named ``WHOLE``, is about what belongs to no file.
    Differences are told, not raised. Raises: DataError when a source file cannot be read.
    """
    wanted = sorted(set(blocks))
    places: dict[str, list[int]] = {}
    for position in (p for block in wanted for p in _positions(state, block)):
        places.setdefault(state.axis[position].digest or "", []).append(position)
    calendar = state.united.time.calendar if state.united.time else ""
    findings = Findings([slot.time for slot in state.axis], calendar)
    proof = _Proof(group, state, dataset, open_source, findings, places)
    files = _files_of(state, wanted)
    proof.whole()
    for file in files:
        proof.describes(file)
    stats = {block: proof.block(block) for block in wanted}
    proofs = []
    for file in files:
        path, positions = open_source(file.name), places[file.digest]
        sampled, differences = sample_file(path, file, state, positions, dataset, published, seed)
        proofs.append(findings.of(file.name, file.digest, sampled, differences))
    proofs.append(findings.of(WHOLE, "", 0, []))
    return proofs, stats


def _positions(state: GridState, block: int) -> range:
    return range(block * state.chunk, min((block + 1) * state.chunk, len(state.axis)))


def _files_of(state: GridState, blocks: Sequence[int]) -> list[FileGrid]:
    digests = {s.digest for b in blocks for s in block_slots(state.axis, b, state.chunk)}
    return sorted((state.by_digest[d] for d in digests if d is not None), key=lambda f: f.name)


@dataclass
class _Proof:
    group: zarr.Group
    state: GridState
    dataset: Dataset
    open_source: OpenSource
    findings: Findings
    places: dict[str, list[int]]
    """positions of the blocks by the content that stands there"""
    fresh: dict[str, GridHeader] = field(default_factory=dict)
    times: tuple[int, ...] = ()
    """the published time axis, read back"""

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
            self._packing(WHOLE, name, array, variable.packing, variable.dtype)
            if not united.varies(name):
                self._static(name, array)
        if united.time and united.time.name in there:
            self._time_axis(self._array(united.time.name))

    def _array(self, name: str) -> Any:
        return self.group[name]

    def _static(self, name: str, array: Any) -> None:
        variable = self.state.united.variables[name]
        provider = self.state.layout_of(self.state.provider(name)).variables[name]
        if is_unpacked(provider, variable):
            return
        values = array[...]
        self.findings.count(WHOLE, values.size)
        if sha256_of(values) != variable.sha256:
            source = self.state.provider(name).name
            self.findings.tell(WHOLE, f"{name}: the published values are not those that were read from {source}")

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

    def _packing(self, name: str, variable: str, array: Any, expected: Packing, dtype: str) -> None:
        """Whether the published attributes unpack as the source's do."""
        attributes = dict(array.attrs)
        if array.dtype.name != dtype:
            self.findings.tell(name, f"{variable}: type {array.dtype.name}, source {dtype}")
            return
        fill = None if expected.fill is None else expected.fill.numpy()
        for key, source, there in (
            ("_FillValue", fill, decoded_fill(attributes.get("_FillValue"), dtype)),
            ("scale_factor", _plain(expected.scale), attributes.get("scale_factor")),
            ("add_offset", _plain(expected.offset), attributes.get("add_offset")),
            ("missing_value", _missing(expected), attributes.get("missing_value")),
            ("_Unsigned", "true" if expected.unsigned else None, attributes.get("_Unsigned")),
        ):
            both_nan = _is_nan(source) and _is_nan(there)
            if source != there and not both_nan:
                self.findings.tell(name, f"{variable}: {key} {_word(there)}, source {_word(source)}")

    def describes(self, file: FileGrid) -> None:
        """One file's own header, read anew, against the published attributes, axes and times."""
        header = read_header(self.open_source(file.name), file.name, file.digest, self.dataset)
        self.fresh[file.digest] = header
        if header.layout.digest != file.layout or header.file.times != file.times:
            self.findings.tell(file.name, "its header is not the one that was remembered of it")
        for name, of_file in header.layout.variables.items():
            variable = self.state.united.variables.get(name)
            if variable is None or name not in self.group:
                continue
            array = self._array(name)
            if variable.role != "coordinate" and not is_unpacked(of_file, variable):
                added = adds_fill(of_file.packing, variable.packing)
                expected = variable.packing if added else of_file.packing
                self._packing(file.name, name, array, expected, of_file.dtype)
            units = array.attrs.get("units")
            if of_file.units is not None and not same_units(of_file.units, units):
                self.findings.tell(file.name, f"{name}: unit {_word(units)}, source {of_file.units}")
        self._times_of(file, header)
        self._statics_of(file, header)

    def _times_of(self, file: FileGrid, header: GridHeader) -> None:
        time = self.state.united.time
        if time is None or not self.times:
            return
        # With a cadence the axis is in whole seconds.
        slack = SECOND // 2 if self.state.cadence else 0
        for i in (i for i in self.places[file.digest] if i < len(self.times)):
            slot = self.state.axis[i]
            exact = _time_at(header.file, slot.position)
            if exact is None or abs(exact - self.times[i]) > slack:
                words = [iso_time(t, time.calendar) if t is not None else "none" for t in (exact, self.times[i])]
                self.findings.tell(file.name, f"{time.name} [{i}]: source {words[0]}, published {words[1]}")

    def _statics_of(self, file: FileGrid, header: GridHeader) -> None:
        """A file's axes and constant variables against the published ones, as far as the rules tie them."""
        import numpy as np

        tolerance = self.dataset.convert.unite.coordinate_tolerance
        with OpenSources(self.state, self.open_source) as sources:
            for name, of_file in header.layout.variables.items():
                variable = self.state.united.variables.get(name)
                if variable is None or self.state.united.varies(name) or name not in self.group:
                    continue
                loose = variable.role == "coordinate" and tolerance > 0
                if not loose and self.state.provider(name).digest != file.digest:
                    continue
                raw = read_raw(sources.of(file.digest)[1], of_file)
                values = self._array(name)[...]
                self.findings.count(file.name, raw.size)
                if loose:
                    close = np.isclose(raw.astype("f8"), values.astype("f8"), rtol=0, atol=tolerance, equal_nan=True)
                    self.findings.cells(file.name, name, None, close, raw, values)
                else:
                    expected = as_published(raw, of_file, variable)
                    self.findings.equal(file.name, name, None, expected, values)

    def block(self, block: int) -> BlockStats:
        """Every value of one block against its files; returns what was counted."""
        if self.state.united.time is None:
            return self._static_stats()
        slots = block_slots(self.state.axis, block, self.state.chunk)
        start = block * self.state.chunk
        found: dict[str, VariableStats] = {}
        for names in batches(self.state):
            there = {n: self._array(n)[start : start + len(slots)] for n in names if n in self.group}
            with OpenSources(self.state, self.open_source) as sources:
                for first, stop, slot in runs(slots):
                    self._run(there, start, first, stop, slot, sources)
            for name, values in there.items():
                self._gaps(name, values, slots, start)
                variable = self.state.united.variables[name]
                if variable.role == "data":
                    found[name] = count(values, variable.packing)
        return BlockStats(variables=found)

    def _static_stats(self) -> BlockStats:
        return BlockStats(
            variables={
                name: count(self._array(name)[...], variable.packing)
                for name, variable in self.state.united.variables.items()
                if variable.role == "data" and name in self.group
            }
        )

    def _run(
        self, there: dict[str, np.ndarray], start: int, first: int, stop: int, slot: Slot, sources: OpenSources
    ) -> None:
        """Consecutive times of one file against the published ones."""
        assert slot.digest is not None and self.state.united.time is not None
        file = self.state.by_digest[slot.digest]
        _, opened = sources.of(slot.digest)
        times = slice(slot.position, slot.position + stop - first)
        variables = self.fresh[slot.digest].layout.variables
        for name, values in there.items():
            of_file = variables.get(name)
            if of_file is None:
                continue
            published = self.state.united.variables[name]
            raw = read_raw(opened, of_file, self.state.united.time.dim, times)
            self.findings.count(file.name, raw.size)
            expected = as_published(raw, of_file, published)
            self.findings.equal(file.name, name, start + first, expected, values[first:stop])
            if adds_fill(of_file.packing, published.packing) and published.packing.fill is not None:
                hidden = raw == published.packing.fill.numpy()
                if hidden.any():
                    self.findings.tell(
                        file.name,
                        f"{name}: {int(hidden.sum())} values are {published.packing.fill}, which marks times "
                        "without a file and would be read as missing",
                    )

    def _gaps(self, name: str, values: np.ndarray, slots: Sequence[Slot], start: int) -> None:
        """Fill is expected where no file stands, and where the file has no such variable."""
        import numpy as np

        fill = stored_fill(self.state.united.variables[name])
        for i, slot in enumerate(slots[: len(values)]):
            header = self.fresh[slot.digest] if slot.digest is not None else None
            if header is not None and name in header.layout.variables:
                continue
            owner = WHOLE if header is None else header.file.name
            self.findings.count(owner, values[i].size)
            self.findings.equal(owner, name, start + i, np.full_like(values[i : i + 1], fill), values[i : i + 1])


def _time_at(file: FileGrid, position: int) -> int | None:
    """The time at a position in the file; None where it has none there."""
    if file.positions:
        return next((t for t, p in zip(file.times, file.positions, strict=True) if p == position), None)
    return file.times[position] if position < len(file.times) else None


def _is_nan(value: Any) -> bool:
    return bool(value != value)


def _plain(number: Any) -> Any:
    return None if number is None else number.value


def _missing(packing: Packing) -> Any:
    held = [n.value for n in packing.missing if not n.is_nan]
    return None if not held else held[0] if len(held) == 1 else held


def _word(value: Any) -> str:
    return "none" if value is None else str(value)
