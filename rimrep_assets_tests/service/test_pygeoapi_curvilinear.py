"""What pygeoapi answers about grids whose x and y have two dimensions, and about unusual times; expected by xarray."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from pygeoapi.provider.base import ProviderConnectionError, ProviderInvalidQueryError, ProviderNoDataError

from rimrep_assets.service.pygeoapi_axes import along_x, calendar_of, time_texts, window
from rimrep_assets_tests.service.test_pygeoapi_providers import coverages, served, values_of


def curved(rows: str = "j", columns: str = "i", x0: float = 150.0) -> xarray.Dataset:
    """2 times, 6 rows, 8 columns; the grid is turned, and one corner has no place."""
    j, i = np.mgrid[:6, :8]
    lon, lat = x0 + i + 0.3 * j, -20 + j - 0.2 * i
    lon[0, 0] = lat[0, 0] = np.nan
    plane = (rows, columns)
    return xarray.Dataset(
        {
            "u": (("time", *plane), np.arange(96, dtype="f4").reshape(2, 6, 8), {"units": "m s-1"}),
            "level": ("k", [1.0, 2.0]),
        },
        {
            "time": np.array(["2024-01-01", "2024-01-02"], "M8[ns]"),
            "lon": (plane, lon, {"units": "degrees_east", "long_name": "longitude"}),
            "lat": (plane, lat, {"units": "degrees_north"}),
        },
    )


def test_a_curvilinear_grid_lies_along_its_indexes_with_x_and_y_among_the_values(tmp_path):
    data = curved()
    answer = json.loads(json.dumps(coverages(data, tmp_path / "g.zarr").query(), allow_nan=False))
    assert answer["ranges"]["u"]["axisNames"] == ["t", "j", "i"]
    assert set(answer["ranges"]) == set(answer["parameters"]) == {"u", "lon", "lat"}
    assert answer["domain"]["axes"]["j"] == {"start": 0, "stop": 5, "num": 6}
    for name in ("u", "lon", "lat"):
        np.testing.assert_array_equal(values_of(answer, name), data[name].values)
    assert "domainType" not in answer["domain"]
    assert [r["coordinates"] for r in answer["domain"]["referencing"]] == [["t"]]


def test_a_box_gives_the_smallest_window_that_holds_all_cells_within(tmp_path):
    data = curved()
    box = [152.0, -18.5, 155.0, -16.0]
    answer = coverages(data, tmp_path / "g.zarr").query(properties=["u"], bbox=box)
    inside = (data.lon >= box[0]) & (data.lon <= box[2]) & (data.lat >= box[1]) & (data.lat <= box[3])
    expected = data.where(inside, drop=True)
    assert values_of(answer, "u").shape == expected["u"].shape
    np.testing.assert_array_equal(
        values_of(answer, "lon"), data["lon"].sel(j=expected_rows(inside), i=expected_columns(inside))
    )
    assert answer["domain"]["axes"]["j"]["start"] == expected_rows(inside).start


def expected_rows(inside: xarray.DataArray) -> slice:
    found = np.flatnonzero(inside.any("i"))
    return slice(int(found[0]), int(found[-1]) + 1)


def expected_columns(inside: xarray.DataArray) -> slice:
    found = np.flatnonzero(inside.any("j"))
    return slice(int(found[0]), int(found[-1]) + 1)


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ({"subsets": {"i": [2, 4]}}, (2, 6, 3)),
        ({"subsets": {"j": [3]}}, (2, 1, 8)),
        ({"subsets": {"time": ["2024-01-02"], "i": [0, 0]}}, (1, 6, 1)),
        ({"datetime_": "2024-01-02"}, (1, 6, 8)),
    ],
)
def test_parts_by_index_and_time(tmp_path, question, shape):
    assert values_of(coverages(curved(), tmp_path / "g.zarr").query(**question), "u").shape == shape


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ({"bbox": [0, 0, 1, 1]}, ProviderNoDataError),
        ({"bbox": [150, -20, 160, -10], "subsets": {"i": [0, 1]}}, ProviderInvalidQueryError),
        ({"subsets": {"i": ["west"]}}, ProviderInvalidQueryError),
        ({"subsets": {"i": [99, 100]}}, ProviderNoDataError),
    ],
)
def test_what_a_curvilinear_grid_has_not_or_cannot_answer_is_said(tmp_path, question, error):
    with pytest.raises(error):
        coverages(curved(), tmp_path / "g.zarr").query(**question)


def test_dimensions_called_x_and_y_are_not_taken_for_coordinates(tmp_path):
    """NEMO calls its indexes so; in CoverageJSON x and y are places."""
    answer = coverages(curved("y", "x"), tmp_path / "g.zarr").query(subsets={"x_index": [0, 1]})
    assert answer["ranges"]["u"]["axisNames"] == ["t", "y_index", "x_index"]
    assert answer["ranges"]["u"]["shape"] == [2, 6, 2]


def test_indexes_that_have_values_keep_them(tmp_path):
    data = curved().assign_coords(i=np.arange(10, 18), j=np.arange(100, 106))
    answer = coverages(data, tmp_path / "g.zarr").query(subsets={"i": [12, 13]})
    assert answer["domain"]["axes"]["i"] == {"start": 12.0, "stop": 13.0, "num": 2}


def test_longitudes_of_both_manners_and_the_antimeridian(tmp_path):
    data = curved(x0=177.0)
    provider = coverages(data, tmp_path / "g.zarr")
    east = provider.query(properties=["u"], bbox=[179, -30, -178, 0])
    inside = ((data.lon >= 179) & (data.lon <= 182)).values
    rows, columns = window(inside)
    np.testing.assert_array_equal(values_of(east, "lon"), data["lon"].values[rows, columns])


def test_the_collection_of_a_curvilinear_grid_has_sizes_and_no_resolution(tmp_path):
    about = coverages(curved(), tmp_path / "g.zarr")._coverage_properties
    assert (about["width"], about["height"], about["resx"], about["resy"]) == (8, 6, None, None)
    assert about["axes"] == ["i", "j", "time"]
    data = curved()
    assert about["bbox"] == [float(data.lon.min()), float(data.lat.min()), float(data.lon.max()), float(data.lat.max())]


def test_a_sample_without_places_can_be_opened(tmp_path):
    """The gate opens a store that has axes and metadata alone."""
    data = curved()
    data["lon"][:] = data["lat"][:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("ignore", message=".*onsolidated")
        assert coverages(data, tmp_path / "g.zarr")._coverage_properties["bbox"] == [-180.0, -90.0, 180.0, 90.0]


def test_a_zipped_part_of_a_curvilinear_grid_has_its_places(tmp_path):
    held = coverages(curved(), tmp_path / "g.zarr").query(properties=["u"], bbox=[152, -19, 155, -16], format_="zarr")
    zipfile.ZipFile(io.BytesIO(held)).extractall(tmp_path / "out")
    with xarray.open_zarr(tmp_path / "out/data.zarr") as opened:
        assert opened["lon"].dims == ("j", "i")
        assert opened["lon"].sizes["i"] < 8


def test_x_and_y_along_other_dimensions_cannot_be_a_coverage(tmp_path):
    data = curved()
    crossed = data.assign_coords(lat=(("i", "j"), data["lat"].values.T))
    with pytest.raises(ProviderConnectionError, match="both along the same two"):
        coverages(crossed, tmp_path / "g.zarr")
    track = xarray.Dataset(
        {"u": ("obs", [1.0, 2.0])}, {"lon": ("obs", [1.0, 2.0]), "lat": ("obs", [1.0, 2.0]), "time": ("obs", [0, 1])}
    )
    with pytest.raises(ProviderConnectionError, match="one axis each"):
        coverages(track, tmp_path / "t.zarr")


def test_an_axis_may_have_another_name_than_its_dimension(tmp_path):
    data = xarray.Dataset(
        {"u": (("time", "row", "column"), np.arange(24.0).reshape(2, 3, 4))},
        {
            "time": np.array(["2024-01-01", "2024-01-02"], "M8[ns]"),
            "lat": ("row", [-1.0, -2.0, -3.0]),
            "lon": ("column", [1.0, 2.0, 3.0, 4.0]),
        },
    )
    answer = coverages(data, tmp_path / "g.zarr").query(bbox=[2, -2, 3, -1])
    assert answer["ranges"]["u"]["axisNames"] == ["t", "y", "x"]
    np.testing.assert_array_equal(values_of(answer, "u"), data["u"].values[:, :2, 1:3])
    assert answer["domain"]["axes"]["x"] == {"start": 2.0, "stop": 3.0, "num": 2}


def thirty(path: Path) -> Any:
    times = xarray.date_range("2001-01-16", periods=4, freq="30D", calendar="360_day", use_cftime=True)
    data = xarray.Dataset(
        {"t": (("time", "lat", "lon"), np.arange(24.0).reshape(4, 2, 3))},
        {"time": times, "lat": [0.0, 1.0], "lon": [0.0, 1.0, 2.0]},
    )
    return coverages(data, path)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, ["2001-01-16", "2001-02-16", "2001-03-16", "2001-04-16"]),
        ({"datetime_": "2001-02"}, ["2001-02-16"]),
        ({"datetime_": "2001-02-16T00:00:00Z/2001-03-16T00:00:00Z"}, ["2001-02-16", "2001-03-16"]),
        ({"datetime_": "../2001-02-01"}, ["2001-01-16"]),
        ({"subsets": {"time": ["2001-04-01", "2001-12-30"]}}, ["2001-04-16"]),
    ],
)
def test_times_of_360_days_are_texts_and_can_be_asked_for(tmp_path, question, expected):
    answer = thirty(tmp_path / "g.zarr").query(**question)
    assert answer["domain"]["axes"]["t"]["values"] == [f"{day}T00:00:00Z" for day in expected]
    (system,) = [r["system"] for r in answer["domain"]["referencing"] if r["coordinates"] == ["t"]]
    assert system["cf:calendar"] == "360_day"


def test_the_30th_of_february_is_told_as_it_is():
    times = xarray.date_range("2001-02-30", periods=1, calendar="360_day", use_cftime=True).values
    assert time_texts(times) == ["2001-02-30T00:00:00Z"]
    assert calendar_of(np.array(["2001-01-01"], "M8[ns]"))["calendar"] == "Gregorian"


def test_a_variable_whose_times_cannot_be_decoded_stays_numbers(tmp_path):
    path = tmp_path / "g.zarr"
    data = curved().assign(seen=(("j", "i"), np.full((6, 8), 1e30), {"units": "days since 2000-01-01"}))
    answer = coverages(data, path).query(properties=["seen"])
    assert answer["ranges"]["seen"]["dataType"] == "float"


def test_no_cell_without_a_place_is_in_any_box():
    values = np.array([np.nan, 10.0, -170.0])
    assert along_x(values, -180, 0).tolist() == [False, False, True]
    assert window(np.zeros((3, 4), bool)) == (slice(0, 0), slice(0, 0))


def test_pygeoapi_serves_a_curvilinear_collection(tmp_path):
    import yaml

    from rimrep_assets.domain.pygeoapi import default_header, merge
    from rimrep_assets_tests.domain.test_pygeoapi import grid_entry

    curved().to_zarr(tmp_path / "g.zarr", zarr_format=3)
    cube = grid_entry()
    cube["providers"][0]["data"] = str(tmp_path / "g.zarr")
    merged, left_out = merge(default_header("https://p.example"), {"heat": cube})
    assert left_out == {}
    config = yaml.safe_load(yaml.safe_dump(merged))
    status, found = served(config, "coverage", "heat", {"bbox": "152,-19,155,-16", "f": "json"})
    assert (status, set(found["ranges"])) == (200, {"u", "lon", "lat"})
    status, found = served(config, "coverage", "heat", {"subset": "i(2:4)", "f": "json"})
    assert (status, found["ranges"]["u"]["shape"]) == (200, [2, 6, 3])
    status, found = served(config, "coverage", "heat", {"subset": "lon(150:152)", "f": "json"})
    assert status == 400
    status, found = served(config, "collection", "heat", {"f": "json"})
    assert [g["cellsCount"] for g in found["extent"]["spatial"]["grid"]] == [8, 6]
