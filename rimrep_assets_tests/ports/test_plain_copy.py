"""The plain copy: what a reader meets while it is brought from one snapshot to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rimrep_assets_tests.faulty_store import FaultyStore, Switch, stable_grid
from rimrep_assets_tests.ports.test_faults import Scene, expected_days, same_days
from rimrep_assets_tests.worlds import GRID, GRID_YAML, write_day


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Six published days, three more in the source."""
    return Scene(tmp_path, "grid append")


def watched(scene: Scene) -> list:
    """What xarray reads from the plain copy before every write to it, while the source is published."""
    seen = []
    root = Path(scene.world.store_url)

    def look(number: int, call: str) -> None:
        if "/data.zarr/" in call:
            seen.append(stable_grid(root, GRID))

    scene.world.attempt(GRID, store=lambda real: FaultyStore(real, Switch(before=look))).publish()
    return seen


def test_an_append_is_seen_old_or_new_at_every_moment(scene):
    seen = watched(scene)
    assert len(seen) > 3
    assert all(same_days(days, scene.old) or same_days(days, scene.new) for days in seen)
    assert same_days(stable_grid(Path(scene.world.store_url), GRID), scene.new)


def test_an_append_copies_only_the_chunks_that_changed(scene):
    switch = Switch()
    scene.world.attempt(GRID, store=lambda real: FaultyStore(real, switch)).publish()
    chunks = {call.split("data.zarr/")[1] for call in switch.calls if "/data.zarr/" in call and "/c/" in call}
    assert chunks == {"heat/c/1/0/0", "heat/c/2/0/0", "time/c/0"}


def test_a_changed_layout_is_unreadable_for_the_while_and_never_misread(scene):
    world = scene.world
    for day in (6, 7, 8):
        (world.source(GRID) / f"heat_2024-01-{day + 1:02}.nc").unlink()
    layout = {**GRID_YAML["layout"], "chunks": {"time": 2, "lat": 2, "lon": 2}}
    world.write(f"datasets/{GRID}/dataset.yaml", {**GRID_YAML, "layout": layout})
    world.commit("other chunks")
    seen = watched(scene)
    assert any(days is None for days in seen)
    assert all(days is None or same_days(days, scene.old) for days in seen)
    assert same_days(stable_grid(Path(world.store_url), GRID), scene.old)
    stored = {o.path for o in world.store.list(f"{GRID}/data.zarr/heat")}
    assert f"{GRID}/data.zarr/heat/c/2/1/2" in stored


def test_days_put_in_before_the_others_are_never_read_under_the_wrong_date(tmp_path):
    scene = Scene(tmp_path, "grid append")
    world, source = scene.world, scene.world.source(GRID)
    earlier = write_day(source, -2)
    write_day(source, -1)
    expected = {**expected_days(earlier, source / "heat_2023-12-31.nc"), **scene.new}
    seen = watched(scene)
    assert all(days is None or same_days(days, scene.old) or same_days(days, expected) for days in seen)
    assert same_days(stable_grid(Path(world.store_url), GRID), expected)


def test_a_withdrawn_last_day_shrinks_the_axis_and_leaves_no_chunk_behind(scene):
    world = scene.world
    world.attempt(GRID).publish()
    for day in (4, 5, 6, 7, 8):
        (world.source(GRID) / f"heat_2024-01-{day + 1:02}.nc").unlink()
    record = world.attempt(GRID).publish()
    assert record.shrinks
    days = stable_grid(Path(world.store_url), GRID)
    assert sorted(days) == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
    assert all(np.array_equal(days[d], scene.new[d], equal_nan=True) for d in days)
    left = [o.path for o in world.store.list(f"{GRID}/data.zarr/heat/c")]
    assert left == [f"{GRID}/data.zarr/heat/c/0/0/0"]


def test_the_copy_says_which_release_it_is(scene):
    root = Path(scene.world.store_url) / "public" / GRID / "data.zarr"
    with xr.open_zarr(root) as grid:
        assert grid.attrs["rimrep"]["release"] == 1


def test_the_copy_holds_the_encoded_bytes_of_the_snapshot(scene):
    projector = scene.world.projector(GRID)
    record = projector.log.newest()
    assert projector.plain_copy.differs_from(record) == []
    scene.world.store.write(f"{GRID}/data.zarr/heat/c/0/0/0", b"rubbish")
    assert projector.plain_copy.differs_from(record) == ["data.zarr/heat/c/0/0/0 has other bytes than the release"]
