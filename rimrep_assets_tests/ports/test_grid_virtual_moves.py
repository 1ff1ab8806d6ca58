"""Provider's files that are renamed, touched or marked anew under references: the references follow, and nothing else.

Here belong folders on this machine. Not here: web servers (``test_grid_virtual_marks``), or what fits
(``test_grid_virtual``).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.grid_axis import changed_blocks, moved_blocks
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.source_file import SourceFile, compare_ledgers
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.sources import digest_memory
from rimrep_assets_tests.grid_worlds import assert_equals_sources
from rimrep_assets_tests.virtual_worlds import (
    chunks,
    glanced,
    next_release,
    published,
    world_of,
    write_day,
    written,
)
from rimrep_assets_tests.worlds import GRID, World


@pytest.fixture
def world(tmp_path) -> World:
    return world_of(tmp_path)


def days(world: World, *numbers: int) -> list[Path]:
    return [write_day(world.source(GRID), number) for number in numbers]


def touch(path: Path) -> None:
    state = path.stat()
    os.utime(path, (state.st_atime + 60, state.st_mtime + 60))


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def change_a_value(path: Path) -> None:
    with netCDF4.Dataset(path, "a") as file:
        file["heat"].set_auto_maskandscale(False)
        file["heat"][0, 3, 3] = 1234


def test_a_renamed_file_is_read_where_it_lies_now_and_only_its_references_are_written(world):
    paths = days(world, 0, 1, 2, 3)
    first = published(world)
    paths[1] = rename(paths[1], "b1.nc")
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) == chunks(1)
    assert world.attempt(GRID).publish() is None


def test_a_renamed_file_beside_an_appended_one(world):
    """The incident: references went on naming the old path, so that nobody could read the release with the append."""
    paths = days(world, 0, 1, 2)
    first = published(world)
    paths[2] = rename(paths[2], "b2.nc")
    paths += days(world, 3)
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) - {"time/c/0"} == chunks(2, 3)


def test_a_touched_file_is_referred_to_by_its_new_mark_and_nothing_else_is_written(world):
    """The incident: publishing said that nothing changed, while every reader was refused for good."""
    paths = days(world, 0, 1, 2)
    first = published(world)
    touch(paths[1])
    look = world.attempt(GRID).look()
    assert (str(look.change), look.data_is_due) == ("1 re-marked source files", True)
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) == chunks(1)
    assert [f.digest for f in first.sources] == [f.digest for f in second.sources]
    assert world.attempt(GRID).publish() is None


def test_a_touched_file_beside_an_appended_one(world):
    paths = days(world, 0, 1, 2)
    first = published(world)
    touch(paths[0])
    paths += days(world, 3)
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) - {"time/c/0"} == chunks(0, 3)


def test_a_file_that_is_reissued_and_then_renamed(world):
    paths = days(world, 0, 1, 2)
    published(world)
    change_a_value(paths[1])
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    paths[1] = rename(paths[1], "b1.nc")
    third = next_release(world)
    assert_equals_sources(world, third.snapshot, paths, "heat")
    assert written(world, second, third) == chunks(1)


def test_two_files_that_change_their_names(world):
    """Each name stays and has other bytes, which are those of the other file."""
    paths = days(world, 0, 1)
    published(world)
    rename(paths[0], "aside")
    rename(paths[1], paths[0].name)
    rename(paths[0].with_name("aside"), paths[1].name)
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths[::-1], "heat")


@pytest.mark.parametrize("gone", ["a1.nc", "heat_001.nc"])
def test_of_two_names_with_the_same_bytes_one_that_is_there_is_referred_to(world, gone):
    paths = days(world, 0, 1, 2)
    published(world)
    shutil.copy(paths[1], paths[1].with_name("a1.nc"))
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    paths[1].with_name(gone).unlink()
    third = next_release(world)
    paths[1] = next(p for p in (paths[1], paths[1].with_name("a1.nc")) if p.exists())
    assert_equals_sources(world, third.snapshot, paths, "heat")


def test_what_does_not_stay_at_the_source_is_not_written_again(world):
    """Bounds of the time axis are copied, one row for each time."""
    paths = days(world, 0, 1, 2)
    for path in paths:
        with netCDF4.Dataset(path, "a") as file:
            file.createDimension("nv", 2)
            file["time"].bounds = "time_bnds"
            file.createVariable("time_bnds", "f8", ("time", "nv"))[:] = file["time"][0] + np.array([[0.0, 1.0]])
    first = published(world)
    touch(paths[1])
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat", "time_bnds")
    assert written(world, first, second) == chunks(1)


def test_a_file_of_several_blocks_is_referred_to_anew_in_all_of_them(tmp_path):
    world = world_of(tmp_path)
    paths = [write_day(world.source(GRID), 0, 3), write_day(world.source(GRID), 3, 2)]
    first = published(world)
    paths[1] = rename(paths[1], "b3.nc")
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) == chunks(3, 4)


def test_what_is_referred_to_anew_is_proven_by_being_read(world):
    paths = days(world, 0, 1, 2)
    published(world)
    touch(paths[1])
    second = next_release(world)
    receipt = json.loads(world.store.read(second.receipt.path))
    proven = {proof["name"]: proof for proof in receipt["files"]}
    # All of it, where a release on the same references would read nothing.
    assert proven["heat_001.nc"]["compared"] >= 20 * 30
    assert second.cost.values_proven >= 20 * 30


def test_a_file_that_is_touched_between_staging_and_proof_is_named_and_the_next_attempt_succeeds(world):
    paths = days(world, 0, 1)
    published(world)
    paths += days(world, 2)
    attempt = world.attempt(GRID)
    staged = attempt.stage()[1]
    touch(paths[2])
    with pytest.raises(Unavailable) as told:
        attempt.prepare(staged)
    url = paths[2].resolve().as_uri()
    assert str(told.value).splitlines()[0] == f"{GRID}: heat_002.nc was changed at {url} after it was looked at"
    assert "publish again" in str(told.value)
    assert_equals_sources(world, next_release(world).snapshot, paths, "heat")


def test_a_file_that_is_withdrawn_between_staging_and_proof_is_named(world):
    paths = days(world, 0, 1)
    attempt = world.attempt(GRID)
    staged = attempt.stage()[1]
    fetched = attempt.bench.fetch(staged.intent.sources[1])
    paths[1].unlink()
    assert fetched.exists()
    with pytest.raises(Unavailable, match=r"heat_001\.nc was withdrawn from file://.*heat_001\.nc after it was"):
        attempt.prepare(staged)


def test_the_plan_names_a_touched_file_and_the_next_run_has_another_data_version(world, rimrep):
    paths = days(world, 0, 1)
    published(world)
    before = world.attempt(GRID).look().ledger_digest
    assert rimrep(world, "plan", GRID).out == "nothing is due\n"
    touch(paths[1])
    assert f"{GRID}: data, because 1 re-marked source files" in rimrep(world, "plan", GRID).out
    assert world.attempt(GRID).look().ledger_digest != before


@pytest.fixture
def trusting(monkeypatch):
    """Files are remembered as soon as they are written; a tick of the clock would have to pass otherwise."""
    monkeypatch.setattr(digest_memory, "RACY_NS", -(10**18))


def test_a_glance_names_a_touched_file_also_after_somebody_looked(world, trusting):
    """A look remembers the bytes of the touched file: they are the released ones."""
    paths = days(world, 0, 1)
    published(world)
    assert glanced(world) == ()
    touch(paths[1])
    assert glanced(world) == ("heat_001.nc",)
    world.attempt(GRID).look()
    assert glanced(world) == ("heat_001.nc",)
    next_release(world)
    assert glanced(world) == ()


def test_of_partitions_only_those_that_are_looked_at_are_referred_to_anew(world):
    paths = [rename(path, f"heat_2024-0{1 + n // 2}_{n}.nc") for n, path in enumerate(days(world, 0, 1, 31, 32))]
    told = world.catalog_folder / f"datasets/{GRID}/dataset.yaml"
    told.write_text(told.read_text() + "partition: {by: month, start: 2024-01, file_time: 'heat_%Y-%m_*.nc'}\n")
    world.commit("partitions")
    first = published(world)
    touch(paths[1])
    touch(paths[2])
    attempt = world.attempt(GRID)
    look, staged = attempt.stage(["2024-02"])
    assert look.change.remarked == (paths[2].name,)
    candidate = attempt.prepare(staged)
    second = attempt.commit(candidate)
    attempt.project(second)
    assert written(world, first, second) == chunks(2)
    third = next_release(world)
    assert written(world, second, third) == chunks(1)
    assert_equals_sources(world, third.snapshot, paths, "heat")
    assert world.attempt(GRID).publish() is None


def test_a_release_does_not_wait_for_the_picture_of_a_partition_that_nobody_looked_at(world):
    """The picture shows the last time, whose file is touched."""
    paths = [rename(path, f"heat_2024-0{n + 1}_{n}.nc") for n, path in enumerate(days(world, 0, 31))]
    told = world.catalog_folder / f"datasets/{GRID}/dataset.yaml"
    told.write_text(told.read_text() + "partition: {by: month, start: 2024-01, file_time: 'heat_%Y-%m_*.nc'}\n")
    world.commit("partitions")
    published(world)
    for path in paths:
        touch(path)
    attempt = world.attempt(GRID)
    candidate = attempt.prepare(attempt.stage(["2024-01"])[1])
    assert candidate.verdict.passed
    assert attempt.commit(candidate).quicklook is None


def test_a_release_that_does_not_tell_its_places_is_referred_to_anew_once(world):
    """Records from before places were told load, and what their references name is not known."""
    paths = days(world, 0, 1)
    first = published(world)
    old = json.loads(world.store.read(f"{GRID}/releases/1.json"))
    for file in (*old["sources"], *old["state"]["files"]):
        del file["place"]
    (Path(world.store_url) / "public" / GRID / "releases/1.json").write_text(json.dumps(old))
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert written(world, first, second) == chunks(0, 1)
    assert world.attempt(GRID).publish() is None


@pytest.mark.parametrize("command", [("verify", GRID), ("verify", GRID, "--file", "heat_001.nc")])
def test_verify_names_a_file_that_is_gone_and_one_that_changed_and_says_what_helps(world, rimrep, command):
    """The incident: a traceback."""
    paths = days(world, 0, 1, 2)
    published(world)
    assert rimrep(world, *command).code == 0
    gone = paths[1].resolve().as_uri()
    paths[1] = rename(paths[1], "b1.nc")
    touch(paths[2])
    done = rimrep(world, *command)
    assert (done.code, done.err) == (4, "")
    anew = "publish again: what the source holds now is referred to anew"
    moved = f"  - heat_001.nc: it is gone from {gone}, where this release refers to it; {anew}"
    changed = (
        f"  - heat_002.nc: its provider changed it at {paths[2].resolve().as_uri()} after this release referred to it "
        f"(another ETag or time); {anew}"
    )
    both = [moved] if "--file" in command else [moved, changed]
    assert done.out.splitlines() == [f"{GRID}: release 1 DIFFERS", *both]
    next_release(world)
    assert rimrep(world, "verify", GRID).out == f"{GRID}: release 2 holds\n"
    old = rimrep(world, "verify", GRID, "--release", "1")
    assert old.code == 4
    assert "an older release cannot be mended; read the newest" in old.out


def test_verifying_a_file_that_is_there_does_not_ask_for_one_that_is_gone(world, rimrep):
    paths = days(world, 0, 1, 2)
    published(world)
    paths[1].unlink()
    assert rimrep(world, "verify", GRID, "--file", "heat_002.nc").code == 0


def test_copies_do_not_follow_a_touched_or_renamed_file(tmp_path, rimrep, trusting):
    """Where values are copied neither place nor mark is part of what is published: records do not name them."""
    world = world_of(tmp_path, layout={"virtual": False})
    paths = days(world, 0, 1, 2)
    first = published(world)
    record = json.loads(world.store.read(f"{GRID}/releases/1.json"))
    assert not any("place" in file for file in (*record["sources"], *record["state"]["files"]))
    touch(paths[1])
    assert rimrep(world, "plan", GRID).out == "nothing is due\n"
    assert glanced(world) == ()
    assert world.attempt(GRID).publish() is None
    paths[1] = rename(paths[1], "b1.nc")
    second = next_release(world)
    assert second.snapshot == first.snapshot
    assert_equals_sources(world, second.snapshot, paths, "heat")


def test_a_grid_whose_values_are_copied_after_all_forgets_its_places(world):
    paths = days(world, 0, 1)
    published(world)
    told = world.catalog_folder / f"datasets/{GRID}/dataset.yaml"
    told.write_text(told.read_text().replace("virtual: true", "virtual: false"))
    world.commit("copies")
    second = next_release(world)
    assert_equals_sources(world, second.snapshot, paths, "heat")
    assert not any(file.place for file in second.sources)
    assert not any("place" in file for file in second.state["files"])
    paths[1].unlink()
    with xr.open_zarr(GridRepository(world.store, GRID).read(second.snapshot), consolidated=False) as seen:
        assert seen["heat"].shape == (2, 20, 30)
        assert np.isfinite(seen["heat"].values).any()


def test_a_sighting_is_remarked_where_its_place_alone_differs():
    plain = SourceFile(name="a.nc", digest="0" * 64, size=1, url="a.nc")
    here, there = ({"url": f"http://a.example/{name}", "etag": '"1"'} for name in ("a", "b"))
    placed = [SourceFile.model_validate({**plain.model_dump(), "place": place}) for place in (here, there)]
    assert compare_ledgers([plain], [plain]).unchanged == ("a.nc",)
    assert compare_ledgers(placed[:1], placed[:1]).is_empty
    assert compare_ledgers(placed[:1], placed[1:]).remarked == ("a.nc",)
    assert compare_ledgers([plain], placed[:1]).remarked == ("a.nc",)
    assert placed[0].model_validate_json(placed[0].model_dump_json()) == placed[0]
    assert "place" not in plain.model_dump_json()


def test_blocks_move_only_where_their_values_stay(world):
    days(world, 0, 1, 2)
    before = GridState.model_validate(published(world).state)
    names = [file.name for file in before.files]
    after = before.placed(dict.fromkeys(names[:2], "here") | {names[2]: str(before.files[2].place)})
    assert moved_blocks(before, after, 1) == changed_blocks(before, after, 1) == [0, 1]
    assert changed_blocks(None, after, 1) == [0, 1, 2]
    assert moved_blocks(None, after, 1) == moved_blocks(before, before, 1) == []
