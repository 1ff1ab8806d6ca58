"""Small tables of four kinds: how each is described, its source files by seed, and what readers that are not ours find.

Here belong CSV and GeoJSON as providers send them, and reading them by pandas, json and geopandas. Not here: what
happens to such files (``table_history``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from rimrep_assets_tests.worlds import TABLE_YAML

Rows = list[tuple[Any, ...]]
KEPT = "2024-06_kept"
"""stem of a file that is never taken out and has all columns: the catalog's schema promises them"""
ZONES = "reef-zones"
SITES = ("007", "08", "Davies Reef", "Zoë", "zoo")
COLUMNS = {"csv": ("site", "lon", "lat", "time", "temperature", "depth", "note"), "geojson": ("zone", "area", "note")}
BY_SITE: Callable[[tuple[Any, ...]], Any] = lambda row: (row[0], row[3])  # noqa: E731


@dataclass(frozen=True)
class Kind:
    """One kind of table; ``order`` is by what its rows are sorted, None where their order is not foretold here."""

    description: dict[str, Any]
    ending: str
    order: Callable[[tuple[Any, ...]], Any] | None

    def write(self, path: Path, stem: str, seed: int) -> None:
        (_write_csv if self.ending == "csv" else _write_geojson)(path, stem, seed)

    def ordered(self, rows: Rows) -> Rows:
        """As they are published, where that is foretold; else in an order of their own."""
        return sorted(rows, key=self.order or repr)

    def same(self, published: Rows, expected: Rows) -> bool:
        return published == expected


def _table(**more: Any) -> dict[str, Any]:
    include = {"source": {**TABLE_YAML["source"], "include": "*"}}
    return {**TABLE_YAML, **include, "layout": {"sort_by": ["site", "time"], "row_group_rows": 1000}, **more}


KINDS = {
    "sorted": Kind(_table(), "csv", BY_SITE),
    "hilbert": Kind(_table(layout={"sort_by": ["geometry"], "row_group_rows": 1000}), "csv", None),
    "polygons": Kind(
        {
            "id": ZONES,
            "collection": "reef",
            "format": "parquet",
            "access": "public",
            "coordinates": {"geometry": "geometry"},
            "source": {"kind": "local", "url": f"../sources/{ZONES}"},
            "convert": [{"read_vector": {}}],
        },
        "geojson",
        lambda row: 0,
    ),
    "months": Kind(
        _table(partition={"by": "month", "start": "2024-01", "end": "2024-12", "file_time": "sites_%Y-%m_*.csv"}),
        "csv",
        BY_SITE,
    ),
}
SCHEMA = {
    "fields": [
        {"name": "site", "type": "string"},
        *({"name": name, "type": "number"} for name in ("lon", "lat")),
        {"name": "time", "type": "datetime"},
        *({"name": name, "type": "number"} for name in ("temperature", "depth")),
        {"name": "note", "type": "string"},
    ]
}
"""of the tables of CSV; that of polygons is proposed from the data"""


def _write_csv(path: Path, stem: str, seed: int) -> None:
    """Local times, ids with zeros, gaps in places and values; ``depth`` is whole in some files, ``note`` empty or not
    there at all in others."""
    rng = np.random.default_rng(seed)
    rows = (5, 1, 40, 700, 12, 260)[seed % 6]
    place = rng.permutation(rows)
    frame = pd.DataFrame(
        {
            "site": [SITES[n] for n in rng.integers(0, len(SITES), rows)],
            "long": np.round(147 + rng.random(rows), 4),
            "lat": np.round(-19 + rng.random(rows), 4),
            "time": [f"{stem[:7]}-{1 + n % 28:02d} {n % 24:02d}:30:00" for n in place],
            "temperature": np.round(20 + 10 * rng.random(rows), 3).astype(object),
            "depth": rng.integers(0, 50, rows) if seed % 2 else np.round(50 * rng.random(rows), 1),
        }
    )
    frame.loc[place % 7 == 3, "temperature"] = "no data"
    frame["lat"] = frame["lat"].astype(object)
    frame.loc[place % 11 == 5, "lat"] = ""
    if stem == KEPT or seed % 3 == 2:
        frame["note"] = [f"seen, {n}" if n % 2 else "" for n in place]
    elif seed % 3 == 1:
        frame["note"] = ""
    frame.to_csv(path, index=False)


def _write_geojson(path: Path, stem: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = []
    for n in range((5, 1, 40, 150, 12, 60)[seed % 6]):
        west, south, size = 145 + 5 * rng.random(), -20 + 5 * rng.random(), 0.1 + rng.random()
        ring = [[west, south], [west + size, south], [west + size, south + size], [west, south]]
        shape = None if n % 13 == 12 else {"type": "Polygon", "coordinates": [ring]}
        about = {"zone": f"{n:03d}", "area": n if seed % 2 else round(size, 3)}
        if stem == KEPT or seed % 3 == 2:
            about["note"] = f"of {stem}" if n % 2 == 0 else None
        features.append({"type": "Feature", "properties": about, "geometry": shape})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def rows_in_file(path: Path, kind: Kind) -> Rows:
    """The rows of a source file, in its order: the columns of its kind, times in UTC, then the geometry as WKB."""
    if kind.ending == "geojson":
        return [_row_of_feature(feature) for feature in json.loads(path.read_text())["features"]]
    frame = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns={"long": "lon"})
    times = pd.to_datetime(frame["time"]).dt.tz_localize("Australia/Brisbane").dt.tz_convert("UTC")
    found: Rows = []
    notes = frame["note"] if "note" in frame else [""] * len(frame)
    numbers = [[_number(text) for text in frame[name]] for name in ("lon", "lat", "temperature", "depth")]
    for site, lon, lat, time, heat, depth, note in zip(
        frame["site"], *numbers[:2], times, *numbers[2:], notes, strict=True
    ):
        point = None if lon is None or lat is None else shapely.Point(lon, lat).wkb
        found.append((site, lon, lat, time.isoformat(), heat, depth, note or None, point))
    return found


def _number(text: str) -> float | None:
    return None if text in ("", "no data") else float(text)


def _row_of_feature(feature: dict[str, Any]) -> tuple[Any, ...]:
    about, shape = feature["properties"], feature["geometry"]
    geometry = None if shape is None else shapely.normalize(shapely.geometry.shape(shape)).wkb
    return (about["zone"], float(about["area"]), about.get("note"), geometry)


def rows_published(path: Path, kind: Kind) -> Rows:
    """What geopandas reads, in the shape of ``rows_in_file`` and in the order of the file, unless it is not foretold."""
    frame = geopandas.read_parquet(path)
    if "time" in frame:
        frame["time"] = [time.tz_convert("UTC").isoformat() for time in frame["time"]]
    columns = [[None if pd.isna(v) else v for v in frame[name]] for name in COLUMNS[kind.ending]]
    shapes = [
        None if g is None else (shapely.normalize(g) if kind.ending == "geojson" else g).wkb for g in frame.geometry
    ]
    rows = list(zip(*columns, shapes, strict=True))
    return rows if kind.order else kind.ordered(rows)
