"""Months of a grid that share chunks with months whose files went: released one by one, with the values of the sources.

January has 31 days, February 29, March 31; a chunk holds 40. What a month is to hold is read from its files by xarray
when they are written, because later they are not there any more.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import netCDF4
import numcodecs
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rimrep_assets.domain import grid_chunks
from rimrep_assets.domain.errors import DataError, GateRefusal, Unavailable
from rimrep_assets.domain.grid_kept import DAMAGED, DamagedRows
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.publication import Publication
from rimrep_assets.ports.verification import verify
from rimrep_assets_tests.grid_changes import QUICK
from rimrep_assets_tests.grid_history import content, data_alone
from rimrep_assets_tests.grid_worlds import Found, GridFile, differences, found_in, grid_yaml, snapshot, stable
from rimrep_assets_tests.homes import Home, take_proposed
from rimrep_assets_tests.worlds import GRID, World

JANUARY, FEBRUARY, MARCH = MONTHS = ["2020-01", "2020-02", "2020-03"]
LAT, LON = np.linspace(-10, -12, 5), np.linspace(140, 142, 6)
PARTITION = {"by": "month", "start": "2020-01", "end": "2020-03", "file_time": "*_%Y%m.nc"}
NEVER = "after it was looked at"
"""what is said of files that change while a run works"""


def days_of(month: str) -> tuple[int, ...]:
    begin = np.datetime64("2020-01-01")
    first, after = (int((day - begin).astype(int)) for day in (np.datetime64(month, "D"), (np.datetime64(month) + 1)))
    return tuple(range(first, after))


def send(world: World, month: str, seed: int, name: str = "a", lat: np.ndarray = LAT) -> Found:
    """The provider's file of a month, with other values for other seeds; what xarray reads of it."""
    file = GridFile(days_of(month), seed=seed, variables=("sst",), lat=lat, lon=LON)
    path = file.write(world.source(GRID), f"{name}_{month.replace('-', '')}.nc")
    with netCDF4.Dataset(str(path), "a") as more:
        # A series as thin as an axis, whose chunks hold many blocks.
        more.createVariable("passes", "i4", ("time",))[:] = [100 * day + seed for day in file.days]
    with xr.open_dataset(path) as grid:
        return found_in(grid.load())


def take_out(world: World, month: str, name: str = "a") -> None:
    (world.source(GRID) / f"{name}_{month.replace('-', '')}.nc").unlink()


def described(
    root: Path, backfill: str = "single", cadence: str | None = "P1D", **more
) -> tuple[World, dict[str, Found]]:
    """Three months, described with the schema that they have, and by month what they hold; nothing is published."""
    aside = World(root / "aside")
    send(aside, JANUARY, 0)
    keys = {name: more.pop(name) for name in ("resources",) if name in more}
    yaml = grid_yaml(chunk=40, lat=more.pop("lat", 5), lon=6, cadence=cadence, **more)
    aside.describe(yaml, None)
    take_proposed(aside, GRID)
    schema = json.loads((aside.catalog_folder / f"datasets/{GRID}/gridschema.json").read_text())
    world = World(root / "world")
    sent = {month: send(world, month, 0) for month in MONTHS}
    world.describe({**yaml, **keys, "partition": {**PARTITION, "backfill": backfill}}, schema)
    return world, sent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Three months in release 1."""
    made = Home(tmp_path_factory.mktemp("neighbours"))
    world, _ = described(tmp_path_factory.mktemp("described"))
    shutil.move(world.root, made.root)
    assert World(made.root).attempt(GRID).publish().release == 1
    made.keep()
    return made


@pytest.fixture(scope="module")
def described_once(tmp_path_factory):
    """A world in a new folder, by cadence."""
    made = {cadence: described(tmp_path_factory.mktemp("once"), cadence=cadence)[0].root for cadence in ("P1D", None)}

    def fresh(cadence: str | None, root: Path) -> World:
        shutil.copytree(made[cadence], root / "world", symlinks=True)
        return World(root / "world")

    return fresh


@pytest.fixture
def world(home) -> World:
    return home.world()


@pytest.fixture
def sent(world) -> dict[str, Found]:
    """By month what release 1 holds."""
    found = {}
    for month in MONTHS:
        with xr.open_dataset(world.source(GRID) / f"a_{month.replace('-', '')}.nc") as grid:
            found[month] = found_in(grid.load())
    return found


def release(world: World, *months: str):
    """A run of these months, each step on its own; the files that it fetched, and the record."""
    attempt = world.attempt(GRID)
    fetched: list[str] = []
    real = attempt.bench.source.fetch
    attempt.bench.source.fetch = lambda file, to: fetched.append(file.name) or real(file, to)
    record = released(attempt, *months)
    return record, sorted(set(fetched))


def released(attempt: Publication, *months: str) -> ReleaseRecord | None:
    attempt.stage(list(months))
    candidate = attempt.prepare(None)
    if candidate is None:
        return None
    record = attempt.commit(candidate)
    attempt.project(record)
    return record


def holds(world: World, *months: Found) -> bool:
    """Whether the stable address holds these values and no others, and the release is what its receipt says."""
    expected = {time: values for month in months for time, values in month.items()}
    assert differences(stable(world), expected) == []
    projector = world.projector(GRID)
    assert verify(projector, projector.log.newest(), stable=True).differences == []
    return True


def receipt(world: World) -> dict:
    record = world.projector(GRID).log.newest()
    return json.loads(world.store.read(record.receipt.path))


def is_a_clean_rebuild(world: World) -> bool:
    clean = World(world.root.parent / "clean", store_url=str(world.root.parent / "clean-store"))
    for part in ("catalog", "sources"):
        shutil.rmtree(clean.root / part, ignore_errors=True)
        shutil.copytree(world.root / part, clean.root / part)
    shutil.rmtree(clean.store_url, ignore_errors=True)
    rebuilt = clean.attempt(GRID).stage()[1].snapshot
    return content(snapshot(world, world.projector(GRID).log.newest().snapshot)) == content(snapshot(clean, rebuilt))


KINDS = ("send", "send", "take out", "stage", "release", "release", "release")
CHANGES = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(MONTHS), st.integers(0, 9)), max_size=8)


@pytest.mark.parametrize("cadence", ["P1D", pytest.param(None, marks=pytest.mark.long)])
@settings(QUICK, max_examples=6, derandomize=True)
@given(changes=CHANGES)
def test_whatever_months_are_sent_and_released_in_which_order_the_end_is_a_clean_rebuild(
    tmp_path_factory, described_once, cadence, changes
):
    world = described_once(cadence, tmp_path_factory.mktemp("life"))
    with data_alone():
        released(world.attempt(GRID), *MONTHS)
        held = {month: send(world, month, 0) for month in MONTHS}
        for kind, month, seed in [*changes, ("release", MONTHS, 0)]:
            if kind == "send":
                held[month] = send(world, month, seed)
            elif kind == "take out" and month in held and len(held) > 1:
                take_out(world, month)
                del held[month]
            elif kind in ("stage", "release"):
                attempt = world.attempt(GRID)
                asked = [month] if isinstance(month, str) else month
                try:
                    attempt.stage(asked) if kind == "stage" else released(attempt, *asked)
                except DataError as error:
                    assert "since it was staged" in str(error)
        assert differences(stable(world), {t: v for found in held.values() for t, v in found.items()}) == []
        assert is_a_clean_rebuild(world)


BOTH_ORDERS = pytest.mark.parametrize("months", [[JANUARY, FEBRUARY], [FEBRUARY, JANUARY]], ids="-".join)


@BOTH_ORDERS
def test_neighbours_that_were_both_sent_again_are_released_one_after_the_other(world, sent, months):
    new = {month: send(world, month, 1) for month in months}
    for number, month in enumerate(months, start=2):
        sent[month] = new[month]
        record, fetched = release(world, month)
        assert (record.release, fetched) == (number, [f"a_{month.replace('-', '')}.nc"])
        assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


@pytest.mark.parametrize(
    ("backfill", "months"),
    [
        ("single", [FEBRUARY, JANUARY]),
        pytest.param("parallel", [JANUARY, FEBRUARY], marks=pytest.mark.long),
        pytest.param("single", [JANUARY, FEBRUARY], marks=pytest.mark.long),
        pytest.param("parallel", [FEBRUARY, JANUARY], marks=pytest.mark.long),
    ],
)
def test_the_command_releases_neighbours_that_were_both_sent_again(tmp_path, rimrep, backfill, months):
    world, sent = described(tmp_path, backfill)
    assert rimrep(world, "publish", GRID).code == 0
    new = {month: send(world, month, 1) for month in months}
    for month in months:
        sent[month] = new[month]
        ended = rimrep(world, "publish", GRID, "--partition", month)
        assert ended.code == 0 and NEVER not in ended.err, ended.err
        assert holds(world, *sent.values())
    ended = rimrep(world, "publish", GRID, "--partition", f"{JANUARY}...{MARCH}")
    assert "nothing changed, still release 3" in ended.out
    assert is_a_clean_rebuild(world)


def test_the_receipt_says_which_proofs_were_carried_on_and_keeps_them_whole(world, sent):
    first = {file["name"]: file for file in receipt(world)["files"]}
    assert receipt(world)["carried"] == []
    send(world, JANUARY, 1), send(world, FEBRUARY, 1)
    release(world, FEBRUARY)
    told = receipt(world)
    files = {file["name"]: file for file in told["files"]}
    # February lies in the chunks of both of its neighbours.
    assert told["carried"] == ["a_202001.nc", "a_202003.nc"]
    assert [files[name] for name in told["carried"]] == [first[name] for name in told["carried"]]
    assert files["a_202002.nc"]["sampled"] > 0
    assert files["a_202002.nc"]["digest"] != first["a_202002.nc"]["digest"]


def test_a_month_is_released_beside_neighbours_that_were_withdrawn(world, sent):
    take_out(world, JANUARY), take_out(world, MARCH)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    assert release(world, FEBRUARY)[1] == ["a_202002.nc"]
    assert holds(world, *sent.values())


def test_a_neighbour_that_is_withdrawn_moves_what_follows_which_needs_no_file(world, sent):
    """Without January the axis begins in February: every chunk is another, of rows whose files went."""
    take_out(world, JANUARY)
    send(world, FEBRUARY, 1), send(world, MARCH, 1)
    assert release(world, JANUARY)[1] == []
    assert holds(world, sent[FEBRUARY], sent[MARCH])
    assert receipt(world)["carried"] == ["a_202002.nc", "a_202003.nc"]
    release(world, MARCH), release(world, FEBRUARY)
    assert is_a_clean_rebuild(world)


def test_a_month_is_released_beside_a_neighbour_that_was_renamed_and_the_neighbour_after_it(world, sent):
    take_out(world, JANUARY)
    assert send(world, JANUARY, 0, name="b").keys() == sent[JANUARY].keys()
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    release(world, FEBRUARY)
    assert holds(world, *sent.values())
    before = {file.digest for file in world.projector(GRID).log.newest().sources}
    record, _ = release(world, JANUARY)
    assert {file.digest for file in record.sources} == before
    assert {file.name for file in record.sources} == {"b_202001.nc", "a_202002.nc", "a_202003.nc"}
    assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


def test_rows_that_are_too_large_to_be_held_at_once_are_kept_band_by_band(tmp_path, monkeypatch):
    monkeypatch.setattr(grid_chunks, "HELD_BYTES", 1)
    world, sent = described(tmp_path, lat=2)
    world.attempt(GRID).publish()
    send(world, JANUARY, 1), take_out(world, MARCH)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    assert release(world, FEBRUARY)[1] == ["a_202002.nc"]
    assert holds(world, *sent.values())


def test_without_a_cadence_a_late_month_moves_the_rows_of_files_that_went(tmp_path):
    world, sent = described(tmp_path, cadence=None)
    take_out(world, FEBRUARY)
    world.attempt(GRID).publish()
    sent[FEBRUARY] = send(world, FEBRUARY, 0)
    send(world, JANUARY, 1), take_out(world, MARCH)
    assert release(world, FEBRUARY)[1] == ["a_202002.nc"]
    assert holds(world, *sent.values())


def test_months_that_wait_staged_and_unreleased_are_built_on_each_other_without_their_files(tmp_path):
    world, sent = described(tmp_path)
    world.attempt(GRID).stage([JANUARY])
    held = world.source(GRID) / "a_202001.nc"
    aside = held.read_bytes()
    held.write_bytes(b"not there now")
    world.attempt(GRID).stage([FEBRUARY])
    world.attempt(GRID).stage([MARCH])
    held.write_bytes(aside)
    release(world)
    assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


@pytest.mark.long
def test_dasks_workers_take_the_rows_of_neighbours_from_what_is_stored(tmp_path):
    world, sent = described(tmp_path, resources={"dask": {"workers": 1, "memory": "1Gi"}})
    world.attempt(GRID).publish()
    send(world, JANUARY, 1), send(world, MARCH, 1)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    assert released(world.attempt(GRID), FEBRUARY).release == 2
    assert holds(world, *sent.values())


def chunks(world: World) -> set[Path]:
    return set((Path(world.store_url) / "public" / GRID / "data.icechunk" / "chunks").iterdir())


def chunk_from_january(among: set[Path], seed: int = 0) -> tuple[Path, np.ndarray]:
    """The object in which Icechunk keeps the block that begins with January, and the numbers in it."""
    file = GridFile(days_of(JANUARY)[:1], seed=seed, variables=("sst",), lat=LAT, lon=LON)
    for path in among:
        numbers = np.frombuffer(numcodecs.Blosc().decode(path.read_bytes()), "i2")
        if numbers.size == 40 * 30 and np.array_equal(numbers[:30], file.stored("sst", (1, 5, 6)).reshape(-1)):
            return path, numbers.reshape(40, 5, 6).copy()
    raise AssertionError("there is no such chunk")


def damage_a_row(among: set[Path], seed: int = 0) -> None:
    """The second of January becomes the first; who decodes the chunk is told nothing of it."""
    path, numbers = chunk_from_january(among, seed)
    numbers[1] = numbers[0]
    data = numcodecs.Blosc(cname="zstd", clevel=9).encode(numbers.reshape(-1))
    size = path.stat().st_size
    assert len(data) <= size
    path.write_bytes(data + bytes(size - len(data)))


def damage_bytes(among: set[Path]) -> None:
    path, _ = chunk_from_january(among)
    data = path.read_bytes()
    path.write_bytes(data[:16] + bytes(len(data) - 16))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_a_row, f"a_202001.nc: sst at 2020-01-01T12:00:00Z to 2020-01-31T12:00:00Z: {DAMAGED}"),
        (damage_bytes, f"sst in block 0: {DAMAGED}"),
    ],
)
def test_rows_that_were_damaged_in_the_store_stop_the_release(world, damage, said):
    damage(chunks(world))
    before = world.projector(GRID).log.newest()
    send(world, JANUARY, 1), send(world, FEBRUARY, 1)
    for _ in range(2):
        with pytest.raises(DamagedRows) as told:
            release(world, FEBRUARY)
        assert said in str(told.value) and "`rimrep publish DATASET --rebuild`" in str(told.value)
    assert world.projector(GRID).log.newest() == before


def test_a_lost_chunk_of_neighbours_stops_the_release_in_words(world):
    chunk_from_january(chunks(world))[0].unlink()
    send(world, JANUARY, 1), send(world, FEBRUARY, 1)
    with pytest.raises(DamagedRows, match=rf"sst in block 0: {DAMAGED} .*not found"):
        release(world, FEBRUARY)


def test_kept_rows_that_are_damaged_after_staging_are_refused_by_the_gate_and_made_anew(world, sent):
    known = chunks(world)
    send(world, JANUARY, 1)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    attempt = world.attempt(GRID)
    attempt.stage([FEBRUARY])
    damage_a_row(chunks(world) - known)
    with pytest.raises(GateRefusal, match=f"a_202001.nc: sst at .*: {DAMAGED}"):
        attempt.commit(attempt.prepare(None))
    release(world, FEBRUARY)
    assert holds(world, *sent.values())


def test_rows_that_were_staged_and_damaged_stop_one_run_and_not_the_next(world, sent):
    known = chunks(world)
    sent[JANUARY] = send(world, JANUARY, 1)
    world.attempt(GRID).stage([JANUARY])
    damage_a_row(chunks(world) - known, seed=1)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    with pytest.raises(DamagedRows, match=DAMAGED) as told:
        release(world, FEBRUARY)
    assert "what was staged is thrown away" in str(told.value)
    release(world, JANUARY, FEBRUARY)
    assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


@pytest.mark.parametrize("then", [[JANUARY, FEBRUARY], [JANUARY]], ids="-".join)
@pytest.mark.parametrize("went", ["re-issued", "withdrawn or renamed"])
def test_what_was_staged_but_never_proven_names_its_partition_when_its_file_went(world, sent, went, then):
    send(world, JANUARY, 1)
    world.attempt(GRID).stage([JANUARY])
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    if went == "re-issued":
        sent[JANUARY] = send(world, JANUARY, 2)
    else:
        take_out(world, JANUARY)
        del sent[JANUARY]
    with pytest.raises(DataError) as told:
        release(world, FEBRUARY)
    assert f"a_202001.nc was {went} since it was staged" in str(told.value)
    assert "`--partition 2020-01...2020-02`" in str(told.value) and NEVER not in str(told.value)
    release(world, *then)
    assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


def test_what_waited_through_a_release_of_others_names_its_partition_when_its_file_went(world, sent):
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    slow = world.attempt(GRID)
    slow.stage([FEBRUARY])
    candidate = slow.prepare(None)
    send(world, JANUARY, 1)
    world.attempt(GRID).stage([JANUARY])
    slow.project(slow.commit(candidate))
    sent[JANUARY] = send(world, JANUARY, 2)
    with pytest.raises(DataError, match=r"a_202001\.nc was re-issued since it was staged") as told:
        release(world, MARCH)
    assert "`--partition 2020-01`" in str(told.value)
    release(world, JANUARY)
    assert holds(world, *sent.values())
    assert is_a_clean_rebuild(world)


def test_values_that_were_never_stored_name_the_partition_whose_file_went(tmp_path):
    """Axes are those of the newest file; when that is withdrawn, the next one's must be read."""
    world, sent = described(tmp_path, unite={"coordinate_tolerance": 0.01})
    send(world, MARCH, 0, lat=LAT + 0.001)
    world.attempt(GRID).publish()
    take_out(world, MARCH)
    sent[FEBRUARY] = send(world, FEBRUARY, 1)
    with pytest.raises(DataError) as told:
        release(world, MARCH)
    assert "a_202002.nc was re-issued since it was staged" in str(told.value)
    assert "`--partition 2020-02...2020-03`" in str(told.value) and NEVER not in str(told.value)
    release(world, FEBRUARY, MARCH)
    assert holds(world, sent[JANUARY], sent[FEBRUARY])
    assert is_a_clean_rebuild(world)


def test_a_source_that_does_not_answer_is_told_as_ever(world, monkeypatch):
    send(world, FEBRUARY, 1)
    attempt = world.attempt(GRID)

    def away(*anything):
        raise Unavailable("the provider's server does not answer")

    monkeypatch.setattr(attempt.bench.source, "fetch", away)
    with pytest.raises(Unavailable, match="the provider's server does not answer"):
        attempt.stage([FEBRUARY])
