"""Quicklooks: what is drawn differs with the data, little is read for it, and the same data gives the same bytes."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.image import imread

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import ColumnFacts, Facts
from rimrep_assets.domain.quicklook import draw_grid, draw_table

GRID = Dataset.model_validate(
    {
        "id": "g", "collection": "c", "format": "zarr", "access": "public",
        "coordinates": {"x": "lon", "y": "lat", "t": "time"},
        "source": {"kind": "local", "url": "x"}, "convert": {"read_netcdf": {}},
    }
)  # fmt: skip
TABLE = Dataset.model_validate(
    {
        "id": "t", "collection": "c", "format": "parquet", "access": "public",
        "coordinates": {"x": "lon", "y": "lat", "t": "time"},
        "source": {"kind": "local", "url": "x"}, "convert": {"read_csv": {}},
    }
)  # fmt: skip


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG") and len(png) < 200_000
    return imread(io.BytesIO(png))


def grid(values: np.ndarray, lat: np.ndarray | None = None, lon: np.ndarray | None = None) -> xr.Dataset:
    """Steps of ``values`` (time, lat, lon) on a descending latitude."""
    lat = np.linspace(-10, -20, values.shape[1]) if lat is None else lat
    lon = np.linspace(142, 155, values.shape[2]) if lon is None else lon
    times = np.datetime64("2024-01-01", "ns") + np.arange(values.shape[0]) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"crs": ((), 0), "sst": (("time", "lat", "lon"), values, {"units": "K"})},
        coords={"time": times, "lat": lat, "lon": lon},
    )


def test_a_map_shows_the_newest_step_north_up():
    values = np.zeros((2, 40, 50))
    values[-1, :20] = 1.0
    drawn = pixels(draw_grid(grid(values), GRID, "t"))
    assert drawn.shape[:2] == (396, 666)
    inside = drawn[:, 220:400, :3].mean(axis=1)
    north, south = inside[110], inside[300]
    # The default colours run from dark violet to yellow.
    assert north[0] > 0.8 and south[0] < 0.4
    assert not np.array_equal(pixels(draw_grid(grid(values[:1]), GRID, "t")), drawn)


def test_a_step_without_values_gives_way_to_the_one_before_and_no_values_to_no_picture():
    values = np.full((2, 4, 5), np.nan)
    assert draw_grid(grid(values), GRID, "t") is None
    values[0] = 1.5
    assert draw_grid(grid(values), GRID, "t") is not None


def test_the_same_data_gives_the_same_bytes():
    values = np.arange(24.0).reshape(2, 3, 4)
    assert draw_grid(grid(values), GRID, "t") == draw_grid(grid(values), GRID, "t")


def test_only_the_chunks_of_one_step_are_read(tmp_path):
    from zarr.storage import LocalStore

    values = np.random.default_rng(1).normal(size=(6, 8, 9))
    grid(values).to_zarr(tmp_path / "g.zarr", encoding={"sst": {"chunks": (1, 8, 9)}}, consolidated=False)
    read: list[str] = []

    class Counting(LocalStore):
        async def get(self, key, *arguments, **options):
            read.append(key)
            return await super().get(key, *arguments, **options)

    store = Counting(tmp_path / "g.zarr", read_only=True)
    with xr.open_zarr(store, consolidated=False, chunks=None) as opened:
        read.clear()
        draw_grid(opened, GRID, "t")
    chunks = [key for key in read if key.startswith("sst/c/")]
    assert chunks == ["sst/c/5/0/0"]


def test_a_large_grid_is_thinned_before_it_is_loaded(monkeypatch):
    seen = []
    real = xr.DataArray.load
    monkeypatch.setattr(xr.DataArray, "load", lambda self, *a, **k: seen.append(self.shape) or real(self, *a, **k))
    draw_grid(grid(np.zeros((1, 2500, 3001)) + 1.0), GRID, "t")
    assert seen and max(seen[0]) <= 1000


def facts_of(frame: pd.DataFrame, types: dict[str, str]) -> Facts:
    columns = [
        ColumnFacts(
            name=name,
            type=kind,
            nulls=int(frame[name].isna().sum()),
            min=None if kind == "geometry" else str(frame[name].min()).replace(" ", "T"),
            max=None if kind == "geometry" else str(frame[name].max()).replace(" ", "T"),
        )
        for name, kind in types.items()
    ]
    times = types.get("time") == "datetime"
    return Facts(
        format="parquet",
        row_count=len(frame),
        columns=tuple(columns),
        start=str(frame["time"].min()) if times else None,
        end=str(frame["time"].max()) if times else None,
    )


def test_a_series_shows_the_measurements_and_not_the_coordinates(tmp_path):
    hours = pd.date_range("2024-01-01", periods=500, freq="h", tz="UTC")
    frame = pd.DataFrame({"lon": 147.0, "lat": -18.0, "time": hours, "temperature": np.arange(500) / 10})
    types = {"lon": "number", "lat": "number", "time": "datetime", "temperature": "number"}
    frame.to_parquet(tmp_path / "a.parquet")
    rising = pixels(draw_table(tmp_path / "a.parquet", facts_of(frame, types), TABLE, "t"))
    frame["temperature"] = frame["temperature"][::-1].to_numpy()
    frame.to_parquet(tmp_path / "b.parquet")
    falling = pixels(draw_table(tmp_path / "b.parquet", facts_of(frame, types), TABLE, "t"))

    def height_of_line(image: np.ndarray, left: bool) -> float:
        """Row of the blue line, from above, in the left or right third."""
        blue = (image[..., 2] > 0.55) & (image[..., 0] < 0.35)
        part = blue[:, 90:220] if left else blue[:, 440:620]
        return float(np.nonzero(part)[0].mean())

    assert height_of_line(rising, left=True) > height_of_line(rising, left=False)
    assert height_of_line(falling, left=True) < height_of_line(falling, left=False)


def test_places_without_times_are_a_map(tmp_path):
    import shapely

    frame = pd.DataFrame({"name": ["a", "b"], "geometry": shapely.to_wkb(shapely.points([[147, -18], [148, -19]]))})
    frame.to_parquet(tmp_path / "a.parquet")
    drawn = draw_table(tmp_path / "a.parquet", facts_of(frame, {"name": "string", "geometry": "geometry"}), TABLE, "t")
    assert pixels(drawn).shape[:2] == (396, 666)


@pytest.mark.parametrize("kind", ["polygon", "line", "collection", "empty"])
def test_every_kind_of_shape_is_drawn(kind, tmp_path):
    import shapely

    hole = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (1, 2), (2, 2), (2, 1)]])
    shapes = {
        "polygon": hole,
        "line": shapely.LineString([(0, 0), (3, 5)]),
        "collection": shapely.GeometryCollection([hole, shapely.Point(9, 9)]),
        "empty": shapely.Polygon(),
    }
    frame = pd.DataFrame({"geometry": [shapely.to_wkb(shapes[kind]), None]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert pixels(draw_table(tmp_path / "a.parquet", facts_of(frame, {"geometry": "geometry"}), TABLE, "t")).size


def test_a_table_with_neither_times_nor_places_has_no_picture(tmp_path):
    frame = pd.DataFrame({"name": ["a"]})
    frame.to_parquet(tmp_path / "a.parquet")
    assert draw_table(tmp_path / "a.parquet", facts_of(frame, {"name": "string"}), TABLE, "t") is None


def test_points_that_lie_nowhere_are_left_out_of_a_map(tmp_path):
    """POINT EMPTY stopped a release: asking for its x is an error that was not expected."""
    import shapely

    frame = pd.DataFrame({"geometry": shapely.to_wkb([shapely.Point(), shapely.Point(147, -18)])})
    frame.to_parquet(tmp_path / "a.parquet")
    assert pixels(draw_table(tmp_path / "a.parquet", facts_of(frame, {"geometry": "geometry"}), TABLE, "t")).size


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_too_great_for_an_axis_are_not_drawn(tmp_path):
    hours = pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC")
    frame = pd.DataFrame({"time": hours, "flow": [1.7e308, -1.7e308, 1.7e308, 1.7e308]})
    frame.to_parquet(tmp_path / "a.parquet")
    types = {"time": "datetime", "flow": "number"}
    assert draw_table(tmp_path / "a.parquet", facts_of(frame, types), TABLE, "t") is None
