"""A year in a table and a year in a grid, counted in months: the sources of every test of partitions.

Here belong writing and describing them, and what an independent reader finds in the sources. Not here: any expectation
about a publication.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_SCHEMA, TABLE_YAML, World, write_day

MONTHS = [f"2024-{month:02d}" for month in range(1, 13)]
DAYS = (3, 11, 27)
"""of each month have a file of the grid"""


def counted(backfill: str, file_time: str) -> dict:
    return {"by": "month", "start": "2024-01", "end": "2024-12", "backfill": backfill, "file_time": file_time}


def table_yaml(backfill: str = "single", **more) -> dict:
    return {**TABLE_YAML, "partition": counted(backfill, "sites_%Y-%m.csv"), **more}


def grid_yaml(backfill: str = "single", **more) -> dict:
    layout = {"chunks": {"time": 4, "lat": 3, "lon": 5}}
    return {**GRID_YAML, "layout": layout, "partition": counted(backfill, "heat_%Y-%m-%d.nc"), **more}


def write_month(world: World, month: str, *, shift: float = 0.0, dataset: str = TABLE) -> Path:
    """The table's file of one month: five rows in local time."""
    start = pd.Timestamp(f"{month}-02 09:00")
    frame = pd.DataFrame(
        {
            "site": [f"Reef {i % 3}" for i in range(5)],
            "long": np.round(147.6 + 0.01 * np.arange(5), 4),
            "lat": np.round(-18.8 - 0.01 * np.arange(5), 4),
            "time": [(start + pd.Timedelta(days=5 * i)).strftime("%Y-%m-%d %H:%M:%S") for i in range(5)],
            "temperature": np.round(20 + int(month[-2:]) + shift + 0.25 * np.arange(5), 3),
        }
    )
    path = world.source(dataset) / f"sites_{month}.csv"
    frame.to_csv(path, index=False)
    return path


def write_days(world: World, month: str, *, shift: float = 0.0, dataset: str = GRID) -> list[Path]:
    """The grid's files of one month."""
    first = pd.Timestamp("2024-01-01")
    days = [(pd.Timestamp(f"{month}-{day:02d}") - first).days for day in DAYS]
    return [write_day(world.source(dataset), day, shift=shift) for day in days]


def describe_table(world: World, backfill: str = "single", dataset: str = TABLE, **more) -> None:
    for month in MONTHS:
        write_month(world, month, dataset=dataset)
    world.describe(named(table_yaml(backfill, **more), dataset), TABLE_SCHEMA)


def named(description: dict, dataset: str) -> dict:
    """The same dataset under another id, with a source folder of its own."""
    return {**description, "id": dataset, "source": {**description["source"], "url": f"../sources/{dataset}"}}


def describe_grid(world: World, backfill: str = "single", dataset: str = GRID, **more) -> None:
    """With the schema that the data has; the source holds all twelve months."""
    for month in MONTHS:
        write_days(world, month, dataset=dataset)
    aside = World(world.root / f"aside-{dataset}")
    for month in MONTHS:
        write_days(aside, month)
    aside.describe({k: v for k, v in grid_yaml(**more).items() if k != "partition"}, None)
    take_proposed(aside, GRID)
    import json

    schema = json.loads((aside.catalog_folder / f"datasets/{GRID}/gridschema.json").read_text())
    world.describe(named(grid_yaml(backfill, **more), dataset), schema)


def rows_in_source(world: World, dataset: str = TABLE) -> list[tuple]:
    """All rows of the CSV files as pandas reads them, times in UTC, sorted."""
    frames = [pd.read_csv(path) for path in sorted(world.source(dataset).glob("*.csv"))]
    frame = pd.concat(frames)
    times = pd.to_datetime(frame["time"]).dt.tz_localize("Australia/Brisbane").dt.tz_convert("UTC")
    return sorted(zip(frame["site"], frame["long"], frame["lat"], times, frame["temperature"], strict=True))


def rows_published(world: World, dataset: str = TABLE) -> list[tuple]:
    """All rows of the stable table as pandas reads them."""
    frame = pd.read_parquet(Path(world.store_url) / "public" / dataset / "data.parquet")
    times = (
        frame["time"].dt.tz_convert("UTC") if frame["time"].dt.tz is not None else frame["time"].dt.tz_localize("UTC")
    )
    return sorted(zip(frame["site"], frame["lon"], frame["lat"], times, frame["temperature"], strict=True))


def steps_in_source(world: World, dataset: str = GRID) -> dict[str, np.ndarray]:
    """Day -> values of the NetCDF files as xarray decodes them."""
    found = {}
    for path in sorted(world.source(dataset).glob("*.nc")):
        with xr.open_dataset(path) as day:
            found[str(day["time"].values[0])[:10]] = day["heat"].values[0]
    return found


def steps_published(world: World, dataset: str = GRID) -> dict[str, np.ndarray]:
    """Day -> values of the stable store as xarray decodes them; the axis must ascend."""
    with xr.open_zarr(Path(world.store_url) / "public" / dataset / "data.zarr") as grid:
        assert (np.diff(grid["time"].values) > np.timedelta64(0)).all()
        return {str(t)[:10]: values for t, values in zip(grid["time"].values, grid["heat"].values, strict=True)}


def same_steps(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[d], other[d], equal_nan=True) for d in one)
