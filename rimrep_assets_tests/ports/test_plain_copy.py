"""The plain copy: what a reader meets while it is brought from one snapshot to the next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
import zarr

from rimrep_assets.domain.dataset import dataset_from_yaml
from rimrep_assets.domain.dataset_layout import Layout
from rimrep_assets.domain.grid_schema import curated_part
from rimrep_assets.ports.descriptions import plain_problems
from rimrep_assets_tests.faulty_store import WRITES, FaultyStore, Switch, stable_grid
from rimrep_assets_tests.ports.test_faults import Scene, expected_days, same_days
from rimrep_assets_tests.worlds import GRID, GRID_YAML, World, write_day

FORMATS = {"grid append": 3, "grid append v2": 2}
ROOTS = {3: "zarr.json", 2: ".zmetadata"}


@pytest.fixture(params=FORMATS)
def scene(tmp_path, request) -> Scene:
    """Six published days, three more in the source; the plain copy in Zarr 3 and in Zarr 2."""
    return Scene(tmp_path, request.param)


def chunk(scene: Scene, name: str, *index: int) -> str:
    """The key of a chunk in the scene's format."""
    return (
        f"{name}/c/" + "/".join(map(str, index)) if FORMATS[scene.kind] == 3 else f"{name}/" + ".".join(map(str, index))
    )


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
    written = {call.split("data.zarr/")[1] for call in switch.calls if "/data.zarr/" in call}
    chunks = {key for key in written if key[-1].isdigit()}
    assert chunks == {chunk(scene, "heat", 1, 0, 0), chunk(scene, "heat", 2, 0, 0), chunk(scene, "time", 0)}


def test_a_changed_layout_is_unreadable_for_the_while_and_never_misread(scene):
    world = scene.world
    for day in (6, 7, 8):
        (world.source(GRID) / f"heat_2024-01-{day + 1:02}.nc").unlink()
    layout = {**scene.yaml["layout"], "chunks": {"time": 2, "lat": 2, "lon": 2}}
    world.write(f"datasets/{GRID}/dataset.yaml", {**GRID_YAML, "layout": layout})
    world.commit("other chunks")
    seen = watched(scene)
    assert any(days is None for days in seen)
    assert all(days is None or same_days(days, scene.old) for days in seen)
    assert same_days(stable_grid(Path(world.store_url), GRID), scene.old)
    stored = {o.path for o in world.store.list(f"{GRID}/data.zarr/heat")}
    assert f"{GRID}/data.zarr/{chunk(scene, 'heat', 2, 1, 2)}" in stored


def test_days_put_in_before_the_others_are_never_read_under_the_wrong_date(scene):
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
    left = [o.path for o in world.store.list(f"{GRID}/data.zarr/heat") if o.path[-1].isdigit()]
    assert left == [f"{GRID}/data.zarr/{chunk(scene, 'heat', 0, 0, 0)}"]


def test_the_copy_says_which_release_it_is(scene):
    root = Path(scene.world.store_url) / "public" / GRID / "data.zarr"
    with xr.open_zarr(root) as grid:
        assert grid.attrs["rimrep"]["release"] == 1


def test_the_copy_holds_the_encoded_bytes_of_the_snapshot(scene):
    projector = scene.world.projector(GRID)
    record = projector.log.newest()
    assert projector.plain_copy.differs_from(record) == []
    key = chunk(scene, "heat", 0, 0, 0)
    scene.world.store.write(f"{GRID}/data.zarr/{key}", b"rubbish")
    assert projector.plain_copy.differs_from(record) == [f"data.zarr/{key} has other bytes than the release"]


def read_as(root: Path, format: int) -> dict | None:
    """Times and values as a reader that knows only one format sees them; None where it can open nothing."""
    try:
        with xr.open_zarr(root, zarr_format=format, consolidated=True) as grid:
            return {str(t.values)[:10]: grid["heat"].sel(time=t).values for t in grid["time"]}
    except (FileNotFoundError, KeyError, ValueError):
        return None


@pytest.mark.parametrize(("kind", "new"), [("grid to v2", 2), ("grid to v3 from v2", 3)])
def test_a_change_of_format_is_seen_whole_in_one_or_both_formats_at_every_moment(tmp_path, kind, new):
    scene = Scene(tmp_path, kind)
    root = Path(scene.world.store_url) / "public" / GRID / "data.zarr"
    seen = []

    def look(number: int, call: str) -> None:
        if "/data.zarr/" in call:
            seen.append([read_as(root, format) for format in (2, 3)])

    scene.world.attempt(GRID, store=lambda real: FaultyStore(real, Switch(before=look))).publish()
    assert len(seen) > 10
    assert all(days is None or same_days(days, scene.old) for pair in seen for days in pair)
    assert all(any(days is not None for days in pair) for pair in seen)
    assert (root / ROOTS[new]).exists()
    assert not (root / ROOTS[5 - new]).exists()
    projector = scene.world.projector(GRID)
    assert projector.plain_copy.differs_from(projector.log.newest()) == []
    assert same_days(read_as(root, new), scene.new)
    assert read_as(root, 5 - new) is None


@pytest.mark.parametrize("kind", ["grid append", "grid append v2"])
def test_both_formats_give_xarray_the_same_dataset(tmp_path, kind):
    scene = Scene(tmp_path, kind)
    root = Path(scene.world.store_url) / "public" / GRID / "data.zarr"
    source = scene.world.source(GRID)
    with (
        xr.open_zarr(root) as grid,
        xr.open_mfdataset([source / f"heat_2024-01-0{d + 1}.nc" for d in range(6)]) as expected,
    ):
        assert grid["heat"].dims == ("time", "lat", "lon")
        assert set(grid.variables) == set(expected.variables)
        np.testing.assert_array_equal(grid["heat"].values, expected["heat"].values)
        np.testing.assert_array_equal(grid["time"].values, expected["time"].values)
        assert grid["heat"].attrs["units"] == "degree_Celsius_weeks"
        assert grid["heat"].encoding["_FillValue"] == -32768


def test_the_item_and_the_datapackage_say_the_format_of_the_copy(scene):
    format = FORMATS[scene.kind]
    record = scene.world.projector(GRID).log.newest()
    asset = record.stac_item["assets"]["data"]
    assert asset["zarr:zarr_format"] == format
    assert asset["type"] == f"application/vnd.zarr; version={format}"
    assert record.datapackage["resources"][0]["zarr_format"] == format


def test_a_change_of_format_rewrites_no_data(tmp_path):
    scene = Scene(tmp_path, "grid to v2")
    before = scene.world.projector(GRID).log.newest()
    after = scene.world.attempt(GRID).publish()
    assert (after.release, after.snapshot) == (before.release + 1, before.snapshot)


def test_zeros_that_are_data_stay_data_in_format_2_also_when_days_are_appended(tmp_path):
    """Icechunk leaves chunks of zeros out; in format 2 an absent chunk and a fill of 0 would both read as missing."""
    world = World(tmp_path)
    source = world.source(GRID)

    def add_flagged_days(*days: int) -> None:
        for day in days:
            path = write_day(source, day)
            with xr.open_dataset(path, decode_cf=False) as held:
                flagged = held.load().assign(flag=(("time", "lat", "lon"), np.full((1, 3, 5), day == 9, "int8")))
            flagged.to_netcdf(path)

    add_flagged_days(0, 1, 2, 3)
    layout = {"chunks": {"time": 2, "lat": 3, "lon": 5}, "plain_format": 2}
    world.describe({**GRID_YAML, "layout": layout}, None)
    attempt = world.attempt(GRID)
    candidate = attempt.prepare(attempt.stage()[1])
    schema = curated_part(json.loads(candidate.record)["table_or_grid_schema"])
    world.describe({**GRID_YAML, "layout": layout}, schema)
    world.attempt(GRID).publish()
    add_flagged_days(4, 5, 6, 9)
    world.attempt(GRID).publish()
    root = Path(world.store_url) / "public" / GRID / "data.zarr"
    with xr.open_zarr(root) as grid:
        assert grid["flag"].dtype == "int8"
        assert grid["flag"].values[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert sorted(p.name for p in (root / "flag").iterdir() if p.name[0].isdigit()) == [f"{n}.0.0" for n in range(4)]
    projector = world.projector(GRID)
    assert projector.plain_copy.differs_from(projector.log.newest()) == []


@pytest.mark.parametrize("plain_format", [2, 3])
def test_bounds_of_time_are_times_in_the_plain_copy_and_none_where_a_day_lacks(tmp_path, plain_format):
    world = World(tmp_path)
    source = world.source(GRID)

    def add_days(*days: int) -> list[Path]:
        for day in days:
            path = write_day(source, day)
            with xr.open_dataset(path, decode_cf=False) as held:
                bounded = held.load().assign(time_bnds=(("time", "nv"), np.array([[-0.5, 0.5]])))
            # The first bound of the first day is the second 0 of the published axis.
            start = np.datetime64("1970-01-01T12:00:00") + np.timedelta64(day, "D")
            bounded["time"] = ("time", [0.0], {"units": f"days since {start}", "bounds": "time_bnds"})
            bounded.to_netcdf(path)
        return [source / path.name for path in sorted(source.iterdir())]

    add_days(0, 1)
    layout = {"chunks": {"time": 2, "lat": 3, "lon": 5}, "plain_format": plain_format, "cadence": "P1D"}
    world.describe({**GRID_YAML, "layout": layout}, None)
    attempt = world.attempt(GRID)
    candidate = attempt.prepare(attempt.stage()[1])
    world.describe({**GRID_YAML, "layout": layout}, curated_part(json.loads(candidate.record)["table_or_grid_schema"]))
    world.attempt(GRID).publish()
    paths = add_days(3)
    world.attempt(GRID).publish()
    with xr.open_zarr(Path(world.store_url) / "public" / GRID / "data.zarr") as grid:
        found = grid["time_bnds"].values
    assert np.isnat(found[2]).all()
    for row, path in zip((0, 1, 3), paths, strict=True):
        with xr.open_dataset(path) as told:
            np.testing.assert_array_equal(found[row], told["time_bnds"].values[0])


def test_remains_of_a_change_of_format_that_broke_off_are_taken_away(tmp_path):
    scene = Scene(tmp_path, "grid to v2")
    world, root = scene.world, Path(scene.world.store_url) / "public" / GRID / "data.zarr"
    switch = Switch()
    world.attempt(GRID, store=lambda real: FaultyStore(real, switch)).publish()
    gone = next(n for n, call in enumerate(switch.calls, start=1) if call == f"delete {GRID}/data.zarr/zarr.json")
    scene.restore()
    scene.broken_at(gone + 2, WRITES)
    assert not (root / "zarr.json").exists()
    assert (root / "heat/c/0/0/0").exists()
    projector = world.projector(GRID)
    assert projector.finish()
    assert projector.plain_copy.differs_from(projector.log.newest()) == []
    assert not (root / "heat/c").exists() or not any(p.is_file() for p in (root / "heat/c").rglob("*"))


def test_what_format_2_cannot_say_is_told_by_the_gate_before_anything_is_published(tmp_path):
    group = zarr.open_group(tmp_path / "sample", mode="w", zarr_format=3)
    group.create_array("heat", shape=(2,), chunks=(2,), dtype="int16", compressors=[zarr.codecs.GzipCodec()])
    dataset = dataset_from_yaml(yaml.safe_dump({**GRID_YAML, "layout": {"plain_format": 2}}), folder=GRID)
    (problem,) = plain_problems(dataset, tmp_path / "sample")
    assert problem == "heat: a plain copy in Zarr format 2 cannot have the codec 'gzip' at place 2"
    assert plain_problems(dataset.model_copy(update={"layout": Layout()}), tmp_path / "sample") == []
