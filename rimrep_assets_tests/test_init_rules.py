"""`rimrep init` of grids that only a declared rule makes readable: the rule is proposed, confirmed, and publishes.

Here belong whole walks over small files of netCDF4, held against xarray's reading of them. Not here: other proposals
(``test_init``), or the rules themselves (``domain/test_grid_rules``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.test_init import confirm, documents, proposed
from rimrep_assets_tests.worlds import World

UNITS = "days since 2024-03-01"
LON, LAT = (145.0, 145.5, 146.0, 146.5), (-10.0, -10.5, -11.0)


def write(
    path: Path,
    times: Sequence[float] | float | None,
    *,
    units: str | None = UNITS,
    lon: Sequence[float] = LON,
    lat: Sequence[float] = LAT,
    name: str = "time",
    about: dict[str, str] | None = None,
    dtype: str = "f4",
    fill: float | None = -999.0,
    shift: float = 0.0,
    **attributes: Any,
) -> Path:
    """One file of temperatures; ``times``: an axis, one value without a dimension, or None for no variable of time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        for axis, values, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            file.createDimension(axis, len(values))
            file.createVariable(axis, "f8", (axis,))[:] = values
            file[axis].units = unit
        if isinstance(times, Sequence):
            file.createDimension(name, len(times))
            file.createVariable(name, "f8", (name,))[:] = times
        elif times is not None:
            file.createVariable(name, "f8", ())[...] = times
        if times is not None:
            file[name].setncatts({**({"units": units} if units else {}), **(about or {})})
        dims = ((name,) if isinstance(times, Sequence) else ()) + ("lat", "lon")
        heat = file.createVariable("heat", dtype, dims, fill_value=fill)
        heat.units = "degree_Celsius"
        shape = tuple(len(file.dimensions[d]) for d in dims)
        heat[:] = (np.arange(np.prod(shape)).reshape(shape) + shift).astype(dtype)
        file.setncatts(attributes)
    return path


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "world")


def steps(document: dict[str, Any]) -> dict[str, Any]:
    """The proposed steps by name."""
    return {name: options for step in document["convert"] for name, options in step.items()}


def why_of(made: Any, key: str) -> str:
    return next(guess.why for guess in made.guesses if guess.key == key)


def published(world: World, made: Any) -> xr.Dataset:
    """What readers have once every guess was confirmed, and nothing else changed."""
    confirm(world, made)
    record = world.attempt(made.dataset).publish()
    assert record is not None
    with xr.open_zarr(record.datapackage["rimrep"]["addresses"]["data"]) as grid:
        return grid.load()


def days(*numbers: int) -> pd.DatetimeIndex:
    return pd.to_datetime("2024-03-01") + pd.to_timedelta(numbers, "D")


@pytest.mark.parametrize(
    ("times", "rule", "taken", "said"),
    [
        ([0, 2, 1, 3], {"sort": True}, [0, 2, 1, 3], "position 2 has 2024-03-02T00:00:00Z before the one in front"),
        ([0, 1, 1, 2], {"duplicates": "(guess) last"}, [0, 2, 3], "position 2 has 2024-03-02T00:00:00Z again"),
        ([0, 2, 1, 1], {"duplicates": "(guess) last", "sort": True}, [0, 3, 1], "position 2 has"),
    ],
    ids=["unsorted", "doubled", "unsorted and doubled"],
)
def test_times_in_no_order_or_twice_within_a_file_get_the_most_harmless_fix_and_publish(
    world, times, rule, taken, said
):
    path = write(world.root / "sources/heat.nc", times)
    made = proposed(world, path)
    document, _ = documents(world, made)
    assert steps(document)["fix_time"] == rule
    assert "heat.nc: time: " + said in why_of(made, "convert.fix_time")
    grid = published(world, made)
    with xr.open_dataset(path) as told:
        np.testing.assert_array_equal(grid["heat"], told["heat"].isel(time=taken))
        np.testing.assert_array_equal(grid["time"], told["time"].isel(time=taken))


def test_a_rule_that_leaves_values_out_stops_check_and_publication_until_it_is_confirmed(world, rimrep):
    made = proposed(world, write(world.root / "sources/heat.nc", [0, 1, 1, 2]))
    folder = world.catalog_folder / "datasets" / made.dataset
    package = folder / "datapackage.json"
    package.write_text(package.read_text().replace("(guess) ", ""))
    world.commit()
    for command in ("check", "publish"):
        ended = rimrep(world, command, made.dataset)
        assert ended.code == 2
        assert "convert.fix_time.duplicates: '(guess) last' is still a guess of `rimrep init`" in ended.out + ended.err
    confirm(world, made)
    assert rimrep(world, "check", made.dataset).code == 0


def test_files_that_cover_the_same_times_get_the_newest_name_to_be_confirmed_and_publish(world):
    folder = world.root / "sources/days"
    for day in (1, 2, 3):
        write(folder / f"heat_2024030{day}.nc", [day - 1.0, day + 0.0], shift=100.0 * day)
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["unite"] == {"overlap": "(guess) newest_name"}
    assert "heat_20240301.nc and heat_20240302.nc both cover 2024-03-02T00:00:00Z" in why_of(made, "convert.unite")
    grid = published(world, made)
    np.testing.assert_array_equal(grid["time"], days(0, 1, 2, 3))
    for position, (day, at) in enumerate([(1, 0), (2, 0), (3, 0), (3, 1)]):
        with xr.open_dataset(folder / f"heat_2024030{day}.nc") as told:
            np.testing.assert_array_equal(grid["heat"][position], told["heat"][at])


def test_files_that_overlap_and_differ_in_variables_get_one_rule_for_both_and_are_told_what_is_not_taken(world, rimrep):
    folder = world.root / "sources/days"
    for day, number in ((1, 1), (2, 2), (3, 2)):
        with netCDF4.Dataset(write(folder / f"heat_2024030{day}.nc", [float(number)], shift=day), "a") as file:
            if day > 1:
                file.createVariable("other", "f4", ("time", "lat", "lon"))[:] = 1.0
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["unite"] == {"variables": "common", "overlap": "(guess) newest_name"}
    why = why_of(made, "convert.unite")
    assert "heat_20240302.nc and heat_20240303.nc both cover" in why
    assert "then nothing is taken of heat_20240302.nc" in why
    grid = published(world, made)
    np.testing.assert_array_equal(grid["time"], days(1, 2))
    with xr.open_dataset(folder / "heat_20240303.nc") as told:
        np.testing.assert_array_equal(grid["heat"][1], told["heat"][0])
    assert rimrep(world, "verify", made.dataset).code == 0


def one_a_day(world: World, make: Callable[[Path, int], Path], name: str = "heat_2024030{}.nc") -> Path:
    folder = world.root / "sources/days"
    for day in (1, 2, 3):
        make(folder / name.format(day), day)
    return folder


def holds_the_files(grid: xr.Dataset, folder: Path) -> None:
    """Every file's values, as xarray reads them, at the time that it stands for."""
    np.testing.assert_array_equal(grid["time"], days(0, 1, 2))
    for position, path in enumerate(sorted(folder.iterdir())):
        with xr.open_dataset(path, decode_times=False) as told:
            np.testing.assert_array_equal(grid["heat"][position], told["heat"].squeeze())


@pytest.mark.parametrize(
    ("name", "about", "value"),
    [
        ("time", {}, "time"),
        ("obs", {"standard_name": "time"}, "obs"),
        ("run", {}, "(guess) run"),
    ],
)
def test_a_time_without_dimension_is_taken_by_set_time_and_publishes(world, name, about, value):
    folder = one_a_day(world, lambda path, day: write(path, day - 1.0, name=name, about=about, shift=day))
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert document["coordinates"]["t"] == name
    assert steps(document)["set_time"] == {"variable": value}
    assert f"{name} tells the time of each file, but has no dimension" in why_of(made, "convert.set_time")
    holds_the_files(published(world, made).rename({name: "time"} if name != "time" else {}), folder)


@pytest.mark.parametrize(
    ("form", "how"),
    [
        ("2024-03-0{}T00:00:00Z", {}),
        ("2024/03/0{}", {"format": "%Y/%m/%d"}),
        (20240300, {"format": "%Y%m%d"}),
    ],
)
def test_a_time_that_stands_only_in_an_attribute_is_taken_by_set_time_and_publishes(world, form, how):
    def start(day: int) -> str | np.int32:
        return form.format(day) if isinstance(form, str) else np.int32(form + day)

    def make(path: Path, day: int) -> Path:
        made_on = f"2025-01-0{day}T00:00:00Z"
        return write(path, None, shift=day, time_coverage_start=start(day), date_created=made_on)

    folder = one_a_day(world, make)
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert document["coordinates"]["t"] == "time"
    assert steps(document)["set_time"] == {"attribute": "(guess) time_coverage_start", **how}
    assert f"{start(1)} in heat_20240301.nc" in why_of(made, "convert.set_time")
    holds_the_files(published(world, made), folder)


def test_a_time_that_stands_only_in_names_is_taken_by_set_time_and_publishes(world):
    def make(path: Path, day: int) -> Path:
        return write(path, None, shift=day, date_created=f"2025-01-0{day}T00:00:00Z")

    folder = one_a_day(world, make)
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["set_time"] == {"name": "(guess) heat_%Y%m%d.nc"}
    holds_the_files(published(world, made), folder)


def test_a_time_without_dimension_that_is_the_same_in_all_files_is_not_taken_for_theirs(world):
    folder = one_a_day(world, lambda path, day: write(path, 0.0, name="run", shift=day))
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["set_time"] == {"name": "(guess) heat_%Y%m%d.nc"}
    holds_the_files(published(world, made), folder)


@pytest.mark.parametrize("lacking", [1, 2, 3])
def test_where_some_files_have_their_time_without_dimension_one_rule_takes_both(world, lacking):
    folder = one_a_day(world, lambda path, day: write(path, day - 1.0 if day == lacking else [day - 1.0], shift=day))
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["set_time"] == {"variable": "time"}
    holds_the_files(published(world, made), folder)


def test_an_axis_without_numbers_is_replaced_by_the_date_in_names_and_the_reason_says_so(world):
    folder = one_a_day(world, lambda path, day: write(path, [np.nan], shift=day))
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["set_time"] == {"name": "(guess) heat_%Y%m%d.nc"}
    assert "heat_20240301.nc: time: no number at position 0" in why_of(made, "convert.set_time")
    holds_the_files(published(world, made), folder)


def test_the_day_of_the_year_is_not_read_as_month_and_day(world):
    folder = one_a_day(world, lambda path, day: write(path, None, date=f"202406{day}"), name="heat_{}.nc")
    with pytest.raises(DataError, match="none says its time on an axis"):
        proposed(world, folder)


def test_files_that_tell_no_time_anywhere_are_refused_with_the_rule_that_there_is(world):
    folder = one_a_day(world, lambda path, day: write(path, None, shift=day), name="heat_{}.nc")
    with pytest.raises(DataError, match="3 files, and none says its time on an axis") as refused:
        proposed(world, folder)
    assert "set_time takes the time from elsewhere" in str(refused.value)
    assert "docs/grids.md" in str(refused.value)
    assert "mend the file" not in str(refused.value)
    assert [p.name for p in world.catalog_folder.iterdir()] == [".git"]


@pytest.mark.parametrize(
    ("name", "about", "by"),
    [
        ("time", {}, "its name"),
        ("obs", {"standard_name": "time"}, "standard_name time"),
        ("obs", {"axis": "T"}, "axis T"),
    ],
)
@pytest.mark.parametrize("units", ["day as %Y%m%d.%f", "months since 2000-01-01", None])
def test_a_time_axis_whose_units_cannot_be_decoded_stops_init_and_its_units_are_named(world, name, about, by, units):
    path = write(world.root / "sources/heat.nc", [20240301.0, 20240302.0], name=name, about=about, units=units)
    said = f"its units '{units}'" if units else "it has no units"
    with pytest.raises(DataError) as refused:
        proposed(world, path)
    told = str(refused.value)
    assert f"heat.nc: '{name}' is the time axis by {by}, but {said}" in told
    assert "2 times are unknown" in told
    assert "set_time takes the time from elsewhere" in told
    assert "docs/grids.md" in told
    assert [p.name for p in world.catalog_folder.iterdir()] == [".git"]


def test_a_time_as_text_stops_init(world):
    path = write(world.root / "sources/heat.nc", [1.0, 2.0], name="step")
    with netCDF4.Dataset(path, "a") as file:
        file["step"].delncattr("units")
        file.createDimension("letters", 10)
        file.createVariable("time", "S1", ("step", "letters"))
    with pytest.raises(DataError, match="'time' is the time axis by its name, but it holds text"):
        proposed(world, path)


def test_a_time_axis_that_cannot_be_decoded_is_replaced_by_the_date_in_names_where_each_file_holds_one_time(world):
    def make(path: Path, day: int) -> Path:
        return write(path, [20240300.0 + day], units="day as %Y%m%d.%f", shift=day)

    folder = one_a_day(world, make)
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["set_time"] == {"name": "(guess) heat_%Y%m%d.nc"}
    assert "'day as %Y%m%d.%f'" in why_of(made, "convert.set_time")
    holds_the_files(published(world, made), folder)


def test_another_axis_that_can_be_decoded_is_the_time_where_the_one_called_time_cannot(world):
    path = write(world.root / "sources/heat.nc", [20240301.0, 20240302.0], units="day as %Y%m%d.%f")
    with netCDF4.Dataset(path, "a") as file:
        file.createVariable("elapsed", "f8", ("time",))[:] = [0, 1]
        file["elapsed"].setncatts({"units": UNITS, "standard_name": "time"})
    made = proposed(world, path)
    document, _ = documents(world, made)
    assert document["coordinates"]["t"] == "elapsed"
    np.testing.assert_array_equal(published(world, made)["elapsed"], days(0, 1))


@pytest.mark.parametrize(
    ("lon", "ranged", "ascending"),
    [
        ((358.0, 359.0, 0.0, 1.0, 2.0), "-180..180", [-2, -1, 0, 1, 2]),
        ((178.0, 179.0, -180.0, -179.0), "0..360", [178, 179, 180, 181]),
        ((20.0, 100.0, 180.0, 260.0, 340.0, 10.0), "0..360", [10, 20, 100, 180, 260, 340]),
    ],
    ids=["across 0", "across 180", "rolled"],
)
def test_longitudes_that_cross_the_end_of_their_range_get_the_range_in_which_they_ascend(world, lon, ranged, ascending):
    path = write(world.root / "sources/heat.nc", [0.0, 1.0], lon=lon)
    made = proposed(world, path)
    document, _ = documents(world, made)
    assert steps(document)["orient"] == {"longitude": ranged}
    assert "heat.nc: lon is in no order: " in why_of(made, "convert.orient")
    grid = published(world, made)
    np.testing.assert_array_equal(grid["lon"], ascending)
    with xr.open_dataset(path) as told:
        turn = told.assign_coords(lon=[dict(zip(np.mod(ascending, 360), ascending, strict=True))[v % 360] for v in lon])
        np.testing.assert_array_equal(grid["heat"], turn["heat"].sortby("lon"))


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        ({"lat": LAT[::-1]}, {"y": "descending"}),
        ({"lon": LON[::-1]}, {"x": "ascending"}),
        ({"lon": [v - 360.0 for v in LON]}, {"longitude": "0..360"}),
    ],
    ids=["latitudes", "longitudes", "ranges"],
)
def test_axes_that_one_file_has_in_another_way_are_turned_as_most_files_have_them(world, other, rule):
    start = {"lon": [v + 100.0 for v in LON]} if "longitude" in rule else {}
    if start:
        other = {"lon": [v - 360.0 for v in start["lon"]]}
    folder = one_a_day(world, lambda path, day: write(path, [day - 1.0], shift=day, **(other if day == 2 else start)))
    made = proposed(world, folder)
    document, _ = documents(world, made)
    assert steps(document)["orient"] == rule
    assert "heat_20240302.nc" in why_of(made, "convert.orient")
    grid = published(world, made)
    for position, path in enumerate(sorted(folder.iterdir())):
        with xr.open_dataset(path) as told:
            turned = told["heat"][0].assign_coords(lon=told["lon"] % 360).sortby("lon").sortby("lat", ascending=False)
            np.testing.assert_array_equal(grid["heat"][position], turned)


def test_what_no_rule_cures_is_refused_with_the_rules_that_there_are(world):
    write(world.root / "sources/days/heat_20240301.nc", [0.0])
    write(world.root / "sources/days/heat_20240302.nc", [1.0], lon=LON[:3])
    with pytest.raises(DataError, match="dimension lon: ") as refused:
        proposed(world, world.root / "sources/days")
    for word in ("set_time", "fix_time", "orient", "unite", "docs/grids.md", "nothing was written"):
        assert word in refused.value.advice
    assert "mend the file" not in str(refused.value)


def test_a_regular_series_of_integers_without_fill_gets_no_cadence_and_a_remark(world):
    path = write(world.root / "sources/heat.nc", [0.0, 1.0, 2.0], dtype="i2", fill=None)
    made = proposed(world, path)
    document, _ = documents(world, made)
    assert "cadence" not in document["layout"]
    (note,) = (note for note in made.notes if "layout.cadence" in note)
    for word in ("P1D", "_FillValue", "heat (int16, -32767)"):
        assert word in note
    grid = published(world, made)
    assert "_FillValue" not in grid["heat"].attrs | grid["heat"].encoding or grid["heat"].encoding["_FillValue"] is None
    assert grid["heat"].dtype == np.int16
    with xr.open_dataset(path) as told:
        np.testing.assert_array_equal(grid["heat"], told["heat"])


def test_months_and_years_are_no_cadence(world):
    folder = world.root / "sources/years"
    for number in (2021, 2022, 2023):
        write(folder / f"heat_{number}.nc", None, shift=number)
    document, _ = documents(world, proposed(world, folder))
    assert steps(document)["set_time"] == {"name": "(guess) heat_%Y.nc"}
    assert "cadence" not in document["layout"]


@pytest.mark.parametrize(("dtype", "fill"), [("i2", -1), ("f4", None)])
def test_a_regular_series_whose_missing_times_have_a_mark_gets_its_cadence(world, dtype, fill):
    made = proposed(world, write(world.root / "sources/heat.nc", [0.0, 1.0, 2.0], dtype=dtype, fill=fill))
    document, _ = documents(world, made)
    assert document["layout"]["cadence"] == "P1D"
    assert not [note for note in made.notes if "layout.cadence" in note]


def test_integer_bounds_of_time_cost_no_cadence(world):
    path = write(world.root / "sources/heat.nc", [0.0, 1.0, 2.0], about={"bounds": "time_bnds"})
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("nv", 2)
        file.createVariable("time_bnds", "i4", ("time", "nv"))[:] = [[0, 1], [1, 2], [2, 3]]
    document, _ = documents(world, proposed(world, path))
    assert document["layout"]["cadence"] == "P1D"
