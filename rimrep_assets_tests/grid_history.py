"""The life of one small grid: its source changes, attempts publish or crash, and what must come of it is worked out here.

Here belong the source as a value, changing it, publishing from it, and the chunks that a change may touch, worked out
from days alone. Not here: which lives are tried (``test_grid_histories``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import zarr

from rimrep_assets.domain.release import Check, Cost, ReleaseRecord, StoredFile, Verdict, json_bytes, sha256
from rimrep_assets.ports import grid_data, publication
from rimrep_assets.ports.descriptions import CANDIDATE, RECEIPT, VALUES_MATCH_SOURCE, VERDICT, Candidate
from rimrep_assets.ports.object_store import open_store
from rimrep_assets.ports.projector import Projector
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.pygeoapi_config import PygeoapiConfig
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.selection import Selection
from rimrep_assets.ports.stac_catalog import StaticStac
from rimrep_assets.ports.workbench import Workbench
from rimrep_assets_tests.faulty_store import Crash, FaultyStore, Switch, icechunk_behind
from rimrep_assets_tests.grid_worlds import LAT, LON, GridFile, in_store
from rimrep_assets_tests.worlds import GRID

PLANE = {"lat": LAT[:3], "lon": LON}


@dataclass(frozen=True)
class Rules:
    """How the grid is described: regular axis or not, times of a chunk, and where variables come from.

    ``variables``: ``sst`` keeps that one alone, of files that hold both; ``both`` keeps both; ``all`` unites files of
    which some have both.
    """

    cadence: str | None
    chunk: int
    variables: str


class Benches(dict[Rules, Workbench]):
    """By rules; short in what hypothesis prints."""

    def __repr__(self) -> str:
        return "benches"


@dataclass
class Life:
    """One store and one source folder; ``benches`` are the workbenches by rules, on another store."""

    root: Path
    benches: Mapping[Rules, Workbench]
    rules: Rules
    held: dict[str, GridFile] = field(default_factory=dict)
    """what the source folder holds, by name"""
    known: dict[str, GridFile] = field(default_factory=dict)
    """every file that ever was, by sha256"""
    kept: set[str] = field(default_factory=set)
    """names that are never taken out"""
    attempts: int = 0
    tried: list[tuple[int, list[GridFile]]] = field(default_factory=list)
    """of each attempt how many releases there were before, and what the source held"""

    def __post_init__(self) -> None:
        self.source.mkdir(parents=True)
        self.store = open_store(str(self.root / "store"))

    @property
    def source(self) -> Path:
        return self.root / "source"

    def put(self, days: Sequence[float], seed: int, variables: Sequence[str] | None = None) -> None:
        """A file of these days, new or sent again."""
        has_both = self.rules.variables != "all" or variables == ("sst", "wind")
        file = GridFile(tuple(days), seed=seed, variables=("sst", "wind") if has_both else ("sst",), **PLANE)
        path = file.write(self.source)
        self.held[path.name] = file
        self.known[hashlib.sha256(path.read_bytes()).hexdigest()] = file

    def take_out(self, name: str) -> None:
        (self.source / name).unlink()
        del self.held[name]

    def attempt(self, store: Any = None, switch: Switch | None = None) -> Publication:
        self.attempts += 1
        name = f"a{self.attempts}"
        store = store or self.store
        bench = replace(
            self.benches[self.rules],
            attempt=name,
            scratch=self.root / "scratch" / name,
            store=FaultyStore(store, switch) if switch else store,
            source=LocalFolder(
                self.source, Selection(include=("*.nc",)), allowed_roots=[self.root], memory_file=self.root / "memory"
            ),
        )
        return Publication(bench)

    def publish(self, crash: int | None = None) -> Switch:
        """One attempt; it crashes before write number ``crash``."""
        switch = Switch(crash)
        self.tried.append((len(self.attempt().log.numbers()), list(self.held.values())))
        try:
            self.attempt(switch=switch).publish()
        except Crash:
            assert crash is not None
        return switch

    def records(self) -> list[ReleaseRecord]:
        log = self.attempt().log
        return [log.read(number) for number in log.numbers()]

    def rebuilt(self) -> Any:
        """The store of a snapshot that is staged from the same sources in an empty place."""
        attempt = self.attempt(store=open_store(str(self.root / "rebuilt")))
        staged = attempt.stage()[1]
        assert staged is not None and staged.snapshot is not None
        return attempt.projector.repository.read(staged.snapshot)

    def may_change(self, before: ReleaseRecord, after: ReleaseRecord) -> set[str]:
        """The chunks that may differ between two releases: attempts that crashed in between may have staged on each
        other."""
        between = [files for count, files in self.tried if count == before.release]
        states = [self._files_of(before), *between, self._files_of(after)]
        return set().union(*(must_change(a, b, self.rules) for i, a in enumerate(states) for b in states[i + 1 :]))

    def _files_of(self, record: ReleaseRecord) -> list[GridFile]:
        return [self.known[source.digest] for source in record.sources]


def content(store: Any) -> dict[str, Any]:
    """Everything that a reader gets of a store: structure, attributes and stored values of every array."""
    group = zarr.open_group(store, mode="r")
    found: dict[str, Any] = {"": {k: v for k, v in dict(group.attrs).items() if k != "rimrep"}}
    for name, array in group.arrays():
        values = np.asarray(array[...])
        shape = (array.dtype.str, array.shape, array.chunks, array.metadata.dimension_names, str(array.fill_value))
        found[name] = (shape, dict(array.attrs), values.tobytes())
    return found


def days_in(store: Any) -> dict[str, dict[str, list[list[float]]]]:
    """Time -> variable -> values as xarray decodes them; times at which nothing has a value are left out."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for time, variables in in_store(store).items():
        held = {n: np.nan_to_num(v, nan=-1.0).tolist() for n, v in variables.items() if not np.isnan(v).all()}
        if held:
            found[time] = held
    return found


def read_by_netcdf4(life: Life) -> dict[str, dict[str, list[list[float]]]]:
    """What netCDF4, masking and scaling, reads of the source, placed by time; in the shape of ``days_in``."""
    wanted = {"sst"} if life.rules.variables == "sst" else {"sst", "wind"}
    found: dict[str, dict[str, list[list[float]]]] = {}
    for path in life.source.glob("*.nc"):
        with netCDF4.Dataset(str(path)) as file:
            times = netCDF4.num2date(file["time"][:], file["time"].units, file["time"].calendar)
            for name in wanted & file.variables.keys():
                values = np.ma.filled(file[name][:].astype("f8"), -1.0).tolist()
                for time, plane in zip(times, values, strict=True):
                    found.setdefault(time.isoformat(), {})[name] = plane
    return found


def axis_of(files: Sequence[GridFile], cadence: str | None) -> list[tuple[float, Any]]:
    """Every day of the axis with what stands there: the file, as a value, or None."""
    at = {day: (file.days, file.seed, file.variables) for file in files for day in file.days}
    days = sorted(at)
    if cadence is None:
        return [(day, at[day]) for day in days]
    steps = range(int(days[0]), int(days[-1]) + 1)
    return [(float(day), at.get(day)) for day in steps]


def must_change(old: Sequence[GridFile], new: Sequence[GridFile], rules: Rules) -> set[str]:
    """The chunks that the way from ``old`` to ``new`` may touch, by block of times."""
    before, after = axis_of(old, rules.cadence), axis_of(new, rules.cadence)
    blocks = range(max(-(-len(axis) // rules.chunk) for axis in (before, after)))

    def block(axis: list[tuple[float, Any]], number: int) -> list[tuple[float, Any]]:
        return [(float(day), file) for day, file in axis[number * rules.chunk : (number + 1) * rules.chunk]]

    changed = {number for number in blocks if block(before, number) != block(after, number)}
    names, had = variables_of(new, rules), variables_of(old, rules)
    # A variable that is new is written where a file has it; the others are not touched for its sake.
    has_new = {n for n in blocks for _, file in block(after, n) if file and set(file[2]) & (names - had)}
    found = {(name, n) for name in names & had for n in changed}
    found |= {(name, n) for name in names - had for n in changed | has_new}
    chunks = {f"{name}/c/{n}/0/{lon}" for name, n in found for lon in (0, 1)}
    return chunks | ({"time/c/0"} if [d for d, _ in before] != [d for d, _ in after] else set())


def variables_of(files: Sequence[GridFile], rules: Rules) -> set[str]:
    return {"sst"} if rules.variables == "sst" else {name for file in files for name in file.variables}


@contextmanager
def data_alone() -> Iterator[None]:
    """Publication without its descriptions, which take longer than the data of a small grid and have tests of their
    own: staging, folding, proof, the commit and the projection of the data are the real ones."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(grid_data, "draw_grid", lambda *anything: None)
        patch.setattr(publication, "describe", _candidate)
        patch.setattr(Projector, "_project_descriptions", lambda self, record: None)
        for kind in (Projector, StaticStac, PygeoapiConfig):
            own = "_own_documents" if kind is Projector else "own_documents"
            patch.setattr(kind, own, lambda self, record: {})
        stack.enter_context(icechunk_behind(patch))
        yield


def _candidate(bench: Workbench, base: Any, made: Any, version: str, fingerprints: Any, started: Any) -> Candidate:
    """A record without descriptions, and the verdict on values alone."""
    wrong = [f"{p.name}: {d}" for p in made.proofs for d in p.differences] + list(made.receipt["untouched"])
    number = base.release + 1 if base else 1
    receipt = json_bytes(made.receipt)
    place = f"{GRID}/versions/{version}"
    nothing: dict[str, Any] = {}
    record = ReleaseRecord(
        dataset=GRID, release=number, base=base.release if base else None, attempt=bench.attempt, created="",
        format="zarr", access="public", collection="reef", environment="", catalog="", catalog_commit=version,
        catalog_time="", code_version="", fingerprints=fingerprints, version=version, data_version=made.data_version,
        snapshot=made.snapshot, state=dict(made.state), sources=made.sources, objects=(),
        table_or_grid_schema=dict(made.schema), facts=made.facts, stac_item=nothing, stac_collection=nothing,
        datapackage={"coordinates": {"t": "time"}}, pygeoapi_entry=nothing, openapi_fragment=nothing,
        receipt=StoredFile.of(f"{place}/{RECEIPT}", receipt), cost=Cost(), kept=(), dropped=(),
        shrinks=publication_shrinks(base, made),
    ).to_bytes()  # fmt: skip
    verdict = Verdict(
        dataset=GRID,
        candidate=sha256(record),
        checks=(Check(name=VALUES_MATCH_SOURCE, passed=not wrong, findings=tuple(wrong)),),
    )
    for name, data in {
        RECEIPT: receipt,
        CANDIDATE: record,
        VERDICT: json_bytes(verdict.model_dump(mode="json")),
    }.items():
        bench.store.write(f"{place}/{name}", data)
    return Candidate(version, record, verdict)


def publication_shrinks(base: ReleaseRecord | None, made: Any) -> bool:
    from rimrep_assets.domain.release import shrinks

    return shrinks(base.facts if base else None, made.facts)
