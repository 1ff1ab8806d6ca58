"""What pygeoapi answers about our tables and grids; expected values from pandas, geopandas and xarray."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pytest
import shapely
import xarray
from pygeoapi.plugin import load_plugin
from pygeoapi.provider.base import (
    ProviderConnectionError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
    ProviderNoDataError,
)

from rimrep_assets.service.pygeoapi_providers import CoverageProvider, FeatureProvider

TIMES = pandas.date_range("2020-01-01", periods=6, freq="12h", tz="UTC")


def frame(tz: bool = True) -> geopandas.GeoDataFrame:
    """Six rows: points 0..4 on a diagonal, and a polygon around (10, 10)."""
    shapes = [shapely.Point(i, i) for i in range(5)] + [shapely.box(9, 9, 11, 11)]
    return geopandas.GeoDataFrame(
        {
            "fid": [f"f{i}" for i in range(6)],
            "number": pandas.array([0, 1, 2, 3, 4, None], dtype="Int64"),
            "value": [0.5, np.nan, 2.5, 3.5, 4.5, np.inf],
            "time": TIMES if tz else TIMES.tz_localize(None),
            "day": [t.date() for t in TIMES],
            "good": [True, False, True, False, True, False],
            "raw": [b"\x00\x01"] * 6,
        },
        geometry=shapes,
        crs=4326,
    )


def features(table: Any, path: Path, **entry: Any) -> FeatureProvider:
    if isinstance(table, geopandas.GeoDataFrame):
        table.to_parquet(path, write_covering_bbox=True, schema_version="1.1.0", row_group_size=2)
    else:
        table.to_parquet(path, row_group_size=2)
    definition = {
        "type": "feature",
        "name": "x",
        "data": {"source": str(path)},
        "id_field": "fid",
        "time_field": "time",
    }
    return FeatureProvider({**definition, **entry})


@pytest.fixture
def loggers(tmp_path: Path) -> FeatureProvider:
    return features(frame(), tmp_path / "data.parquet")


def ids(answer: dict[str, Any]) -> list[Any]:
    return [feature["id"] for feature in answer["features"]]


def test_a_feature_has_its_own_id_geometry_and_plain_properties(loggers):
    answer = loggers.query(limit=3)
    assert ids(answer) == ["f0", "f1", "f2"]
    assert (answer["numberMatched"], answer["numberReturned"]) == (6, 3)
    assert json.loads(json.dumps(answer["features"][1], allow_nan=False)) == {
        "type": "Feature",
        "id": "f1",
        "geometry": {"type": "Point", "coordinates": [1.0, 1.0]},
        "properties": {
            "fid": "f1",
            "number": 1,
            "value": None,
            "time": "2020-01-01T12:00:00Z",
            "day": "2020-01-01",
            "good": False,
        },
    }


def test_every_field_has_a_type_and_neither_covering_nor_geometry_is_one(loggers):
    assert {name: f["type"] for name, f in loggers.fields.items()} == {
        "fid": "string",
        "number": "integer",
        "value": "number",
        "time": "string",
        "day": "string",
        "good": "boolean",
    }
    assert loggers.fields["time"]["format"] == "date-time"


@pytest.mark.parametrize("page", [1, 2, 3, 4, 10])
def test_pages_together_are_the_whole_table_once(loggers, page):
    found = [id_ for offset in range(0, 6, page) for id_ in ids(loggers.query(offset=offset, limit=page))]
    assert found == frame()["fid"].tolist()


@pytest.mark.parametrize(
    "bbox",
    [
        [1, 1, 3, 3],
        [10.5, 10.5, 20, 20],
        [8, 8, 9, 9],
        [0, 0, 0, 0],
        [-5, -5, -1, -1],
        [0.5, 0, 1.5, 5],
        [1, 1, 0, 3, 3, 9],
    ],
)
def test_a_bbox_selects_what_intersects_it(loggers, bbox):
    """Vanilla takes only what lies strictly inside."""
    half = len(bbox) // 2
    asked = shapely.box(bbox[0], bbox[1], bbox[half], bbox[half + 1])
    expected = frame()[frame().intersects(asked)]["fid"].tolist()
    answer = loggers.query(bbox=bbox)
    assert ids(answer) == expected
    assert answer["numberMatched"] == len(expected)
    assert loggers.query(bbox=bbox, resulttype="hits") == {
        "type": "FeatureCollection",
        "features": [],
        "numberMatched": len(expected),
        "numberReturned": 0,
    }


def test_a_bbox_over_180_degrees_takes_both_sides(tmp_path):
    table = frame().set_geometry([shapely.Point(x, 0) for x in (179, -179, 0, 100, -100, 180)])
    assert ids(features(table, tmp_path / "t.parquet").query(bbox=[170, -1, -170, 1])) == ["f0", "f1", "f5"]


@pytest.mark.parametrize("unit", ["us", "ns", "s"])
@pytest.mark.parametrize("tz", [True, False], ids=["with timezone", "without"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("2020-01-01T12:00:00Z", ["f1"]),
        ("2020-01-01T22:00:00+10:00", ["f1"]),
        ("2020-01-01T12:00:00", ["f1"]),
        ("2020-01-02", ["f2", "f3"]),
        ("2020-01-01T12:00:00Z/2020-01-02T00:00:00Z", ["f1", "f2"]),
        ("2020-01-02/2020-01-02", ["f2", "f3"]),
        ("../2020-01-01", ["f0", "f1"]),
        ("2020-01-03/..", ["f4", "f5"]),
        ("2020-01", ["f0", "f1", "f2", "f3", "f4", "f5"]),
        ("2020", ["f0", "f1", "f2", "f3", "f4", "f5"]),
        ("2019", []),
        ("0001-01-01/9999-12-31", ["f0", "f1", "f2", "f3", "f4", "f5"]),
    ],
)
def test_a_datetime_selects_by_instants_whatever_the_columns_timezone(tmp_path, tz, unit, asked, expected):
    """Vanilla answers 500 to a datetime with Z on a column without timezone."""
    table = frame(tz)
    table["time"] = table["time"].dt.as_unit(unit)
    assert ids(features(table, tmp_path / "t.parquet").query(datetime_=asked)) == expected


def test_times_that_are_texts_or_dates_can_be_asked_for_too(tmp_path):
    texts = frame().assign(time=[t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in TIMES])
    assert ids(features(texts, tmp_path / "t.parquet").query(datetime_="2020-01-02/..")) == ["f2", "f3", "f4", "f5"]
    dates = features(frame(), tmp_path / "d.parquet", time_field="day")
    assert ids(dates.query(datetime_="2020-01-02")) == ["f2", "f3"]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ([("number", "3")], ["f3"]),
        ([("fid", "f4")], ["f4"]),
        ([("good", "true")], ["f0", "f2", "f4"]),
        ([("good", "true"), ("value", "2.5")], ["f2"]),
        ([("time", "2020-01-02T00:00:00Z")], ["f2"]),
        ([("day", "2020-01-03")], ["f4", "f5"]),
        ([("number", "99")], []),
    ],
)
def test_properties_are_compared_in_the_columns_own_type(loggers, properties, expected):
    assert ids(loggers.query(properties=properties)) == expected


@pytest.mark.parametrize(
    "question",
    [
        {"properties": [("number", "three")]},
        {"datetime_": "last year"},
        {"sortby": [{"property": "number", "order": "+"}]},
        {"q": "reef"},
        {"filterq": object()},
    ],
)
def test_what_cannot_be_answered_is_refused_and_not_ignored(loggers, question):
    with pytest.raises(ProviderInvalidQueryError) as refused:
        loggers.query(**question)
    assert refused.value.http_status_code == 400


def test_chosen_properties_and_skipped_geometry(loggers):
    answer = loggers.query(limit=1, select_properties=["number"], skip_geometry=True)
    assert answer["features"] == [{"type": "Feature", "id": "f0", "geometry": None, "properties": {"number": 0}}]


def test_a_feature_is_found_by_its_id_and_another_is_not(loggers):
    assert loggers.get("f5")["geometry"]["type"] == "Polygon"
    assert loggers.get("f5")["id"] == "f5"
    with pytest.raises(ProviderItemNotFoundError) as missing:
        loggers.get("f6")
    assert missing.value.http_status_code == 404


def test_an_id_that_is_a_number_is_found_by_its_text(tmp_path):
    table = frame().assign(fid=range(10, 16))
    provider = features(table, tmp_path / "t.parquet")
    assert provider.get("12")["id"] == 12
    with pytest.raises(ProviderItemNotFoundError):
        provider.get("twelve")


def test_the_geometry_column_may_have_any_name(tmp_path):
    provider = features(frame().rename_geometry("shape"), tmp_path / "t.parquet")
    assert shapely.geometry.shape(provider.query(limit=1)["features"][0]["geometry"]) == shapely.Point(0, 0)
    assert "shape" not in provider.fields


def test_a_table_with_coordinates_and_no_geometry_gives_points(tmp_path):
    table = pandas.DataFrame({"fid": ["a", "b", "c"], "lon": [1.0, 2.0, None], "lat": [5.0, 6.0, 7.0]})
    provider = features(table, tmp_path / "t.parquet", x_field="lon", y_field="lat", time_field=None)
    answer = provider.query()
    assert [f["geometry"] for f in answer["features"]] == [
        {"type": "Point", "coordinates": [1.0, 5.0]},
        {"type": "Point", "coordinates": [2.0, 6.0]},
        None,
    ]
    assert ids(provider.query(bbox=[2, 6, 3, 7])) == ["b"]
    assert provider.query(limit=1, select_properties=["fid"])["features"][0]["properties"] == {"fid": "a"}


def test_a_table_without_place_or_time_says_so(tmp_path):
    provider = features(pandas.DataFrame({"fid": ["a"]}), tmp_path / "t.parquet", time_field=None)
    assert provider.query()["features"][0]["geometry"] is None
    for question in ({"bbox": [0, 0, 1, 1]}, {"datetime_": "2020"}):
        with pytest.raises(ProviderInvalidQueryError):
            provider.query(**question)


def test_without_an_id_column_the_rows_number_is_the_id(tmp_path):
    provider = features(frame().drop(columns="fid"), tmp_path / "t.parquet", id_field=None)
    assert ids(provider.query()) == [0, 1, 2, 3, 4, 5]
    assert ids(provider.query(bbox=[2.5, 2.5, 20, 20])) == [3, 4, 5]
    assert ids(provider.query(offset=4, limit=1)) == [4]
    assert provider.get("3")["properties"]["number"] == 3
    with pytest.raises(ProviderItemNotFoundError):
        provider.get("6")


def test_projected_data_is_asked_for_and_answered_in_degrees(tmp_path):
    table = frame().set_geometry([shapely.Point(145 + i / 10, -18) for i in range(6)])
    provider = features(table.to_crs(28355), tmp_path / "t.parquet")
    answer = provider.query(bbox=[145.15, -18.5, 145.35, -17.5])
    assert ids(answer) == ["f2", "f3"]
    assert answer["features"][0]["geometry"]["coordinates"] == pytest.approx([145.2, -18.0], abs=1e-6)


def test_a_table_that_does_not_fit_its_entry_cannot_be_opened(tmp_path):
    with pytest.raises(ProviderConnectionError, match=r"no column 'when', the entry's time_field"):
        features(frame(), tmp_path / "t.parquet", time_field="when")
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(ProviderConnectionError, match="cannot open"):
        FeatureProvider({"type": "feature", "name": "x", "data": {"source": str(tmp_path / "bad.parquet")}})


def grid(*, descending: bool = True, x0: float = 150.0) -> xarray.Dataset:
    """4 times, 3 latitudes, 5 longitudes; one value is missing."""
    values = np.arange(60, dtype="f4").reshape(4, 3, 5)
    values[1, 1, 1] = np.nan
    lats = np.array([-10.0, -11.0, -12.0], dtype="f4")
    return xarray.Dataset(
        {
            "dhw": (("time", "lat", "lon"), values, {"long_name": "heat", "units": "degC-weeks"}),
            "mask": (("lat", "lon"), np.ones((3, 5), "i2")),
            "crs": ((), np.int16(0), {"epsg_code": "EPSG:32663"}),
        },
        {
            "time": pandas.date_range("2023-01-01T12:00", periods=4),
            "lat": lats if descending else lats[::-1],
            "lon": x0 + np.arange(5.0),
        },
    )


def coverages(data: xarray.Dataset, path: Path, **entry: Any) -> CoverageProvider:
    data.to_zarr(path, zarr_format=3, consolidated=True)
    definition = {"type": "coverage", "name": "x", "data": str(path), "x_field": "lon", "y_field": "lat"}
    storage = {"time_field": "time", "storage_crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
    return CoverageProvider(
        {**definition, **storage, "format": {"name": "zarr", "mimetype": "application/zip"}, **entry}
    )


def values_of(answer: dict[str, Any], name: str = "dhw") -> np.ndarray:
    held = answer["ranges"][name]
    return np.array([np.nan if v is None else v for v in held["values"]]).reshape(held["shape"])


def test_a_coverage_says_its_axes_in_the_arrays_order(tmp_path):
    """Vanilla says y, x, t of an array that lies t, y, x."""
    answer = json.loads(json.dumps(coverages(grid(), tmp_path / "g.zarr").query(), allow_nan=False))
    assert answer["ranges"]["dhw"]["axisNames"] == ["t", "y", "x"]
    assert answer["ranges"]["dhw"]["shape"] == [4, 3, 5]
    assert answer["ranges"]["dhw"]["dataType"] == "float"
    np.testing.assert_array_equal(values_of(answer), grid()["dhw"].values)
    assert answer["ranges"]["mask"]["axisNames"] == ["y", "x"]
    assert answer["ranges"]["mask"]["dataType"] == "integer"
    assert set(answer["ranges"]) == {"dhw", "mask"}
    axes = answer["domain"]["axes"]
    assert axes["y"] == {"start": -10.0, "stop": -12.0, "num": 3}
    assert axes["x"] == {"start": 150.0, "stop": 154.0, "num": 5}
    assert axes["t"]["values"][0] == "2023-01-01T12:00:00Z"
    assert answer["parameters"]["dhw"]["unit"] == {"symbol": "degC-weeks"}


def test_a_crs_that_the_file_inherited_from_somewhere_does_not_count(tmp_path):
    about = coverages(grid(), tmp_path / "g.zarr")._coverage_properties
    assert about["bbox_crs"] == "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    assert about["crs_type"] == "GeographicCRS"
    assert about["bbox"] == [150.0, -12.0, 154.0, -10.0]
    assert about["time_range"] == ["2023-01-01T12:00:00Z", "2023-01-04T12:00:00Z"]


@pytest.mark.parametrize("descending", [True, False], ids=["north first", "south first"])
def test_a_bbox_is_honoured_without_subset_in_both_directions(tmp_path, descending):
    """Vanilla returns the full grid."""
    data = grid(descending=descending)
    answer = coverages(data, tmp_path / "g.zarr").query(properties=["dhw"], bbox=[151, -11.5, 153, -10.5])
    expected = data["dhw"].where((data.lat <= -10.5) & (data.lat >= -11.5), drop=True).sel(lon=[151.0, 152.0, 153.0])
    np.testing.assert_array_equal(values_of(answer), expected.values)
    assert set(answer["ranges"]) == {"dhw"}


def test_longitudes_are_understood_in_both_manners_of_counting(tmp_path):
    provider = coverages(grid(x0=178.0), tmp_path / "g.zarr")
    assert provider.query(bbox=[179, -12, -179, -10])["domain"]["axes"]["x"]["num"] == 3
    assert provider.query(bbox=[-180, -12, -178, -10])["domain"]["axes"]["x"] == {
        "start": 180.0,
        "stop": 182.0,
        "num": 3,
    }


@pytest.mark.parametrize(
    ("question", "shape"),
    [
        ({"datetime_": "2023-01-02"}, (1, 3, 5)),
        ({"datetime_": "2023-01-02T12:00:00Z"}, (1, 3, 5)),
        ({"datetime_": "2023-01-02/2023-01-03"}, (2, 3, 5)),
        ({"datetime_": "../2023-01-01T12:00:00Z"}, (1, 3, 5)),
        ({"datetime_": "0001/9999"}, (4, 3, 5)),
        ({"subsets": {"lat": [-12.0, -11.0], "lon": [150.0, 150.5]}}, (4, 2, 1)),
        ({"subsets": {"lat": [-11.2]}}, (4, 1, 5)),
        ({"subsets": {"time": ["2023-01-03", "2023-01-04"]}}, (2, 3, 5)),
        ({"subsets": {"time": ["2023-01-03"]}, "bbox": [150, -11, 151, -10]}, (1, 2, 2)),
    ],
)
def test_parts_of_a_grid(tmp_path, question, shape):
    assert values_of(coverages(grid(), tmp_path / "g.zarr").query(**question)).shape == shape


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ({"bbox": [0, 0, 1, 1]}, ProviderNoDataError),
        ({"datetime_": "1999"}, ProviderNoDataError),
        ({"bbox": [150, -12, 151, -10], "subsets": {"lat": [-11.0, -10.0]}}, ProviderInvalidQueryError),
        ({"datetime_": "2023", "subsets": {"time": ["2023-01-03"]}}, ProviderInvalidQueryError),
        ({"datetime_": "soon"}, ProviderInvalidQueryError),
        ({"format_": "grib"}, ProviderInvalidQueryError),
    ],
)
def test_what_a_grid_has_not_or_cannot_answer_is_said(tmp_path, question, error):
    with pytest.raises(error):
        coverages(grid(), tmp_path / "g.zarr").query(**question)


def test_an_answer_that_would_fill_the_servers_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rimrep_assets.service.pygeoapi_coverages.MOST_VALUES", 30)
    provider = coverages(grid(), tmp_path / "g.zarr")
    with pytest.raises(ProviderInvalidQueryError, match="75 values, more than 30"):
        provider.query()
    provider.query(datetime_="2023-01-01")


def test_a_zipped_part_opens_in_xarray_and_the_working_folder_stays(tmp_path):
    """Vanilla changes the working folder of the whole process while it packs."""
    before = Path.cwd()
    held = coverages(grid(), tmp_path / "g.zarr").query(bbox=[151, -11, 152, -10], format_="zarr")
    assert Path.cwd() == before
    assert [path.name for path in tmp_path.iterdir()] == ["g.zarr"]
    zipfile.ZipFile(io.BytesIO(held)).extractall(tmp_path / "out")
    with xarray.open_zarr(tmp_path / "out/data.zarr") as opened:
        expected = grid()["dhw"].sel(lat=[-10.0, -11.0], lon=[151.0, 152.0])
        np.testing.assert_array_equal(opened["dhw"].values, expected.values)
        np.testing.assert_array_equal(opened["time"].values, expected["time"].values)


def test_a_grid_without_time_or_of_one_cell_is_served(tmp_path):
    data = grid().isel(time=0, drop=True).isel(lat=[0], lon=[0])
    provider = coverages(data, tmp_path / "g.zarr", time_field=None)
    answer = provider.query()
    assert answer["ranges"]["dhw"]["shape"] == [1, 1]
    assert "t" not in answer["domain"]["axes"]
    assert provider._coverage_properties["resx"] is None
    with pytest.raises(ProviderInvalidQueryError):
        provider.query(datetime_="2023")


def test_a_vertical_axis_and_an_axis_without_coordinate_keep_their_place(tmp_path):
    data = grid()[["dhw"]].expand_dims(depth=[0.0, 5.0], k=3).transpose("time", "k", "depth", "lat", "lon")
    answer = coverages(data, tmp_path / "g.zarr", z_field="depth").query()
    assert answer["ranges"]["dhw"]["axisNames"] == ["t", "k", "z", "y", "x"]
    assert answer["domain"]["axes"]["k"] == {"start": 0, "stop": 2, "num": 3}
    np.testing.assert_array_equal(values_of(answer), data["dhw"].values)


def test_an_icechunk_store_is_served_at_its_tag(tmp_path):
    import icechunk

    storage = icechunk.local_filesystem_storage(str(tmp_path / "data.icechunk"))
    repository = icechunk.Repository.create(storage)
    for release, part in ((1, grid().isel(time=[0])), (2, grid())):
        session = repository.writable_session("main")
        part.to_zarr(session.store, consolidated=False, mode="w")
        repository.create_tag(f"release-{release}", session.commit("x"))
    definition = {"type": "coverage", "name": "x", "data": str(tmp_path / "data.icechunk"), "x_field": "lon"}
    definition |= {"y_field": "lat", "time_field": "time", "storage_crs": "OGC:CRS84"}
    old = CoverageProvider({**definition, "options": {"icechunk_tag": "release-1"}})
    assert old.query()["ranges"]["dhw"]["shape"] == [1, 3, 5]
    with pytest.raises(ProviderConnectionError, match="release-9"):
        CoverageProvider({**definition, "options": {"icechunk_tag": "release-9"}})


def test_a_grid_that_does_not_fit_its_entry_cannot_be_opened(tmp_path):
    with pytest.raises(ProviderConnectionError, match="no coordinate 'longitude'"):
        coverages(grid(), tmp_path / "g.zarr", x_field="longitude")
    with pytest.raises(ProviderConnectionError, match="cannot open"):
        definition = {"type": "coverage", "name": "x", "data": str(tmp_path / "no.zarr")}
        CoverageProvider({**definition, "x_field": "lon", "y_field": "lat"})


def served(config: dict[str, Any], function: str, dataset: str, query: dict[str, str]) -> tuple[int, Any]:
    """One request through pygeoapi's own API, without a server; status and JSON."""
    from pygeoapi.api import API, APIRequest, coverages, describe_collections, itemtypes
    from werkzeug.test import create_environ
    from werkzeug.wrappers import Request

    api = API(config, {"info": {"title": "x"}, "paths": {}})
    request = APIRequest(Request(create_environ(query_string=query)), api.locales)
    functions = {
        "items": itemtypes.get_collection_items,
        "queryables": itemtypes.get_collection_queryables,
        "coverage": coverages.get_collection_coverage,
        "schema": None,
        "collection": describe_collections,
    }
    _, status, body = functions[function](api, request, dataset)
    return int(status), json.loads(body) if body else None


def test_pygeoapi_serves_both_kinds_from_our_entries(tmp_path):
    import yaml

    from rimrep_assets.domain.pygeoapi import default_header, merge
    from rimrep_assets_tests.domain.test_pygeoapi import grid_entry, table_entry

    table, cube = table_entry(), grid_entry()
    frame().assign(lon=1.0, lat=2.0).to_parquet(tmp_path / "t.parquet", write_covering_bbox=True)
    grid().to_zarr(tmp_path / "g.zarr", zarr_format=3)
    table["providers"][0]["data"] = {"source": str(tmp_path / "t.parquet")}
    cube["providers"][0]["data"] = str(tmp_path / "g.zarr")
    merged, left_out = merge(default_header("https://p.example"), {"loggers": table, "heat": cube})
    assert left_out == {}
    config = yaml.safe_load(yaml.safe_dump(merged))

    status, found = served(config, "items", "loggers", {"datetime": "2020-01-02/2020-01-03", "limit": "2", "f": "json"})
    assert (status, ids(found), found["numberMatched"]) == (200, ["f2", "f3"], 4)
    assert any(link["rel"] == "next" for link in found["links"])
    status, found = served(config, "items", "loggers", {"bbox": "0.5,0.5,2.5,2.5", "f": "json"})
    assert (status, ids(found)) == (200, ["f1", "f2"])
    status, found = served(config, "items", "loggers", {"datetime": "1950-01-01T00:00:00Z", "f": "json"})
    assert status == 400
    status, found = served(config, "queryables", "loggers", {"f": "json"})
    assert found["properties"]["number"]["type"] == "integer"

    status, found = served(
        config, "coverage", "heat", {"bbox": "151,-11,153,-10", "datetime": "2023-01-02", "f": "json"}
    )
    assert (status, found["ranges"]["dhw"]["shape"]) == (200, [1, 2, 3])
    status, found = served(config, "coverage", "heat", {"subset": "lat(-11:-10),lon(150:151)", "f": "json"})
    assert (status, found["ranges"]["dhw"]["shape"]) == (200, [4, 2, 2])
    status, found = served(config, "collection", "heat", {"f": "json"})
    assert found["extent"]["temporal"]["interval"] == [["2023-01-01T12:00:00Z", "2023-01-04T12:00:00Z"]]
    status, found = served(config, "collection", "loggers", {"f": "json"})
    assert found["extent"]["temporal"]["interval"] == [["2020-01-01T00:00:00+00:00", "2020-01-05T00:00:00+00:00"]]


def as_csv(answer: dict[str, Any]) -> pandas.DataFrame:
    """What pygeoapi answers to ``f=csv``, by its own way to the formatter."""
    written = load_plugin("formatter", {"name": "CSV", "geom": True}).write(data=answer, options={})
    return pandas.read_csv(io.BytesIO(written))


@pytest.mark.parametrize("missing", [[0], [2], [0, 1, 2, 3, 4]])
def test_rows_without_a_geometry_are_rows_of_csv_too(tmp_path, missing):
    """pygeoapi asked them for their type, and answered with an error of the server."""
    table = frame()[:5].drop(columns="raw")
    table.loc[missing, "geometry"] = None
    told = as_csv(features(table, tmp_path / "data.parquet").query(limit=10))
    assert told["fid"].tolist() == table["fid"].tolist()
    if len(missing) == 5:
        assert "x" not in told
    else:
        for end, expected in (("x", table.geometry.x), ("y", table.geometry.y)):
            np.testing.assert_array_equal(told[end], expected)


def test_shapes_that_are_no_points_have_no_place_in_csv(loggers):
    told = as_csv(loggers.query(limit=10))
    assert told["fid"].tolist() == [f"f{i}" for i in range(6)]
    assert "x" not in told
    assert as_csv(loggers.query(limit=3))["x"].tolist() == [0, 1, 2]
