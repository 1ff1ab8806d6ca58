"""Silent corruptions of grids from the field, each committed, and each stopped before publication.

``grid_drifts`` holds what providers send, ``grid_slips`` what decoder, writer and store can do wrong. A release is the
only thing that readers see, so stopped means: no new record, and not a byte changed at any address that is read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import zarr

from rimrep_assets.domain.errors import RimrepError
from rimrep_assets.domain.staging import Staged
from rimrep_assets.ports import grid_data
from rimrep_assets.ports.publication import Publication
from rimrep_assets_tests.grid_drifts import DOUBLE, DOUBLES, REFUSED, RULES, TAKEN, UNPACKED, Drift
from rimrep_assets_tests.grid_slips import SENT, SLIPS, Slip
from rimrep_assets_tests.grid_worlds import (
    GridFile,
    differences,
    grid_yaml,
    in_sources,
    seen_by_readers,
    stable,
)
from rimrep_assets_tests.homes import Home, take_proposed
from rimrep_assets_tests.worlds import GRID, World


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing takes longer than all else here, and proves nothing."""
    monkeypatch.setattr(grid_data, "draw_grid", lambda *anything: None)


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> Callable[[str], World]:
    """``homes(rules)`` is a world with days 0 to 4 published under these rules, as it was before any test."""
    made: dict[str, Home] = {}

    def world(rules: str) -> World:
        if rules not in made:
            made[rules] = published(tmp_path_factory.mktemp("home"), rules)
        return made[rules].world()

    return world


def published(root: Path, rules: str) -> Home:
    home = Home(root)
    home.root.mkdir()
    world = World(home.root)
    for day in range(5):
        GridFile((day,), **(DOUBLE if rules == DOUBLES else {})).write(world.source(GRID))
    world.describe(grid_yaml(**RULES[rules]), None)
    take_proposed(world, GRID)
    record = world.attempt(GRID).publish()
    assert record is not None and record.release == 1
    assert wrong_values(world, rules) == []
    home.keep()
    return home


def releases(world: World) -> list[int]:
    return world.projector(GRID).log.numbers()


def wrong_values(world: World, rules: str) -> list[str]:
    """In what the stable copy differs from the sources as xarray decodes both."""
    return differences(stable(world), in_sources(world.source(GRID).glob("*.nc")), exact=rules != UNPACKED)


def assert_told(refusal: RimrepError, patterns: Iterable[str]) -> None:
    missing = [pattern for pattern in patterns if not re.search(pattern, str(refusal))]
    assert missing == [], f"{missing} is not in: {refusal}"


def named(entries: Iterable[Drift | Slip]) -> list[object]:
    return [pytest.param(entry, id=entry.name.replace(" ", "-")) for entry in entries]


@pytest.mark.parametrize("drift", named(REFUSED))
def test_what_a_provider_changed_is_refused_by_file_and_variable(homes, drift):
    world = homes(drift.rules)
    before = seen_by_readers(world)
    drift.write(world.source(GRID))
    with pytest.raises(RimrepError) as refusal:
        world.attempt(GRID).publish()
    assert_told(refusal.value, drift.told)
    assert releases(world) == [1]
    assert seen_by_readers(world) == before


@pytest.mark.parametrize("drift", named(TAKEN))
def test_what_a_rule_covers_is_published_as_xarray_decodes_each_file(homes, drift):
    world = homes(drift.rules)
    drift.write(world.source(GRID))
    assert world.attempt(GRID).publish().release == 2
    assert wrong_values(world, drift.rules) == []


@pytest.mark.parametrize("slip", named(SLIPS))
def test_a_slip_of_our_own_is_seen_before_the_release_and_the_next_run_is_right(homes, slip, monkeypatch):
    world = homes(slip.rules)
    before = seen_by_readers(world)
    for file in slip.sent:
        file.write(world.source(GRID))
    attempt = world.attempt(GRID)
    with monkeypatch.context() as patched:
        err_while_writing(patched, slip, world.root / "bent")
        staged = attempt.stage()[1]
    staged = bent_in_store(attempt, staged, slip)
    with pytest.raises(RimrepError) as refusal:
        attempt.commit(attempt.prepare(staged))
    assert_told(refusal.value, slip.told)
    assert releases(world) == [1]
    assert seen_by_readers(world) == before
    assert world.attempt(GRID).publish().release == 2
    assert wrong_values(world, slip.rules) == []


@pytest.mark.parametrize("rules", RULES)
def test_without_a_slip_the_same_days_are_released(homes, rules):
    world = homes(rules)
    for day in SENT:
        GridFile((day,), **(DOUBLE if rules == DOUBLES else {})).write(world.source(GRID))
    attempt = world.attempt(GRID)
    staged = bent_in_store(attempt, attempt.stage()[1], Slip("none", "", (), store=lambda group: None))
    attempt.project(attempt.commit(attempt.prepare(staged)))
    assert releases(world) == [1, 2]
    assert wrong_values(world, rules) == []


def err_while_writing(monkeypatch: pytest.MonkeyPatch, slip: Slip, folder: Path) -> None:
    """Let the writer read bent copies of the new files, or believe something else of their packing."""
    if slip.file is None and slip.state is None:
        return
    real = grid_data.write_grid
    names = {file.name for file in slip.sent}
    folder.mkdir()

    def bent(open_source: Callable[[str], Path]) -> Callable[[str], Path]:
        def open_bent(name: str) -> Path:
            if slip.file is None or name not in names:
                return open_source(name)
            if not (folder / name).exists():
                shutil.copyfile(open_source(name), folder / name)
                slip.file(folder / name)
            return folder / name

        return open_bent

    def write(group, base, state, blocks, dataset, open_source, *more, **options):
        believed = slip.state(state) if slip.state else state
        return real(group, base, believed, blocks, dataset, bent(open_source), *more, **options)

    monkeypatch.setattr(grid_data, "write_grid", write)


def bent_in_store(attempt: Publication, staged: Staged, slip: Slip) -> Staged:
    """The staging with one more commit on ``next``, which bends what is stored."""
    if slip.store is None:
        return staged
    repository = attempt.data.repository.open()
    said = dict(repository.lookup_snapshot(staged.snapshot).metadata)
    session = repository.writable_session("next")
    assert session.snapshot_id == staged.snapshot
    slip.store(zarr.open_group(session.store, mode="a"))
    if not session.has_uncommitted_changes:
        return staged
    return staged.model_copy(update={"snapshot": session.commit("bent", metadata=said)})


def test_a_block_that_is_sent_again_and_kept_as_it_was_is_seen(homes):
    """The stale chunk of the release before: the axis is right, every attribute too."""
    world = homes("as is")
    before = seen_by_readers(world)
    attempt = world.attempt(GRID)
    old = attempt.data.repository.group(attempt.log.newest().snapshot)["sst"][0:3]
    again = GridFile((1,), seed=7)
    again.write(world.source(GRID))
    stale = Slip("stale", "", (), store=lambda group: group["sst"].__setitem__(slice(0, 3), old))
    staged = bent_in_store(attempt, attempt.stage()[1], stale)
    with pytest.raises(RimrepError) as refusal:
        attempt.commit(attempt.prepare(staged))
    assert_told(refusal.value, ("sst", "2020-01-02", again.name))
    assert seen_by_readers(world) == before


def test_a_file_that_is_sent_again_between_staging_and_proof_is_not_mixed_up(homes):
    world = homes("as is")
    path = GridFile((5,)).write(world.source(GRID))
    staged = world.attempt(GRID).stage()[1]
    GridFile((5,), seed=9).write(path.parent)
    later = world.attempt(GRID)
    try:
        later.project(later.commit(later.prepare(staged)))
    except RimrepError as refusal:
        assert_told(refusal, (path.name,))
        assert releases(world) == [1]
    world.attempt(GRID).publish()
    assert wrong_values(world, "as is") == []


def test_the_tables_hold_at_least_25_corruptions_under_names_of_their_own():
    stopped = [*REFUSED, *SLIPS]
    assert len(stopped) >= 25
    assert all(entry.told for entry in stopped)
    names = [entry.name for entry in (*stopped, *TAKEN)]
    assert len(set(names)) == len(names)
