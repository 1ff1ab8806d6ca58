"""One picture of a version, for eyes: a map of a grid's newest step, a map of geometries, a series of measurements.

Here belongs what is drawn and how much of the data is read for it. Not here: where the picture is kept
(``ports/quicklooks``), or when it is shown (``defs/presenting``).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.facts import Facts
from rimrep_assets.domain.table_objects import batches_of
from rimrep_assets.domain.table_rows import BATCH_ROWS

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 7.4, 4.4, 90
"""inches and dots per inch: 666 × 396 pixels, what fits beside the names in Dagster"""
MOST_CELLS = 1000
"""of a grid, in each direction"""
MOST_SHAPES = 20_000
MOST_STEPS_TRIED = 3
BINS = 300
"""of a series"""
PANELS = 2
GREATEST_DRAWN = 1e100
"""beyond it sums of values, and the places of an axis's ticks, overflow"""
FAILURES = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError, NotImplementedError)
"""what drawing raises for data that it cannot draw"""


def draw_grid(grid: xr.Dataset, dataset: Dataset, title: str) -> bytes | None:
    """A PNG of the newest step that has values, of the first variable that lies on x and y; None without any.

    At most ``MOST_CELLS`` columns and rows of that step are kept, and only its chunks are read.
    """
    x, y, t = dataset.coordinates.x, dataset.coordinates.y, dataset.coordinates.t
    assert x and y
    for name in sorted(grid.data_vars, key=lambda n: (t not in grid[n].dims, list(grid.data_vars).index(n))):
        found = _newest_step(grid[name], grid[x], grid[y], t)
        if found is not None:
            return _map_of(found, x, y, t, title)
    return None


def _newest_step(variable: xr.DataArray, x: xr.DataArray, y: xr.DataArray, t: str | None) -> xr.DataArray | None:
    import numpy as np

    lying = {*x.dims, *y.dims}
    if not lying <= set(variable.dims) or not lying:
        return None
    thin = {dim: slice(None, None, -(-variable.sizes[dim] // MOST_CELLS)) for dim in lying}
    others = {dim: 0 for dim in variable.dims if dim not in lying and dim != t}
    steps = [-1 - n for n in range(min(MOST_STEPS_TRIED, variable.sizes[t]))] if t in variable.dims else [None]
    for step in steps:
        at: dict[Any, Any] = {**thin, **others}
        if step is not None:
            at[t] = step
        drawn = variable.isel(at).load()
        if np.issubdtype(drawn.dtype, np.number) and np.isfinite(drawn.values.astype("float64")).any():
            return drawn
    return None


def _map_of(step: xr.DataArray, x: str, y: str, t: str | None, title: str) -> bytes:
    import numpy as np

    figure, axes = _figure(1)
    values = np.ma.masked_invalid(step.transpose(*step[y].dims, *(d for d in step[x].dims if d not in step[y].dims)))
    low, high = np.nanpercentile(values.compressed().astype("float64"), [1, 99])
    mesh = axes[0].pcolormesh(step[x], step[y], values, shading="nearest", vmin=low, vmax=high, rasterized=True)
    unit = step.attrs.get("units", "")
    label = str(step.attrs.get("long_name", step.name))
    figure.colorbar(mesh, ax=axes[0], label=f"{label} ({unit})" if unit and unit != "1" else label)
    when = str(np.datetime_as_string(step[t].values, unit="m")) + "Z" if _is_time(step, t) else ""
    _name_axes(axes[0], x, y)
    return _png(figure, title, when)


def _is_time(step: xr.DataArray, t: str | None) -> bool:
    return t is not None and t in step.coords and step[t].ndim == 0 and step[t].dtype.kind == "M"


def draw_table(path: Path, facts: Facts, dataset: Dataset, title: str) -> bytes | None:
    """A PNG of the GeoParquet (a file, or a folder of parts): series of its measurements where rows have times, else
    a map; None without both.

    Read in batches, only the columns that are drawn. A series is the mean of all rows in ``BINS`` spans of time, with
    the range from the lowest to the highest; of shapes every n-th is drawn, at most ``MOST_SHAPES``.
    """
    named = set(dataset.coordinates.named().values())
    numbers = [c for c in facts.columns if c.type == "number" and c.name not in named and c.min != c.max]
    measured = [c.name for c in numbers if max(abs(float(c.min or 0)), abs(float(c.max or 0))) <= GREATEST_DRAWN]
    t = dataset.coordinates.t
    kinds = {column.name: column.type for column in facts.columns}
    if t and kinds.get(t) in ("datetime", "date") and measured and facts.start != facts.end:
        return _series(path, t, measured[:PANELS], facts, title)
    if "geometry" in kinds.values():
        return _shapes(path, next(name for name, kind in kinds.items() if kind == "geometry"), facts, title)
    return None


def _batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    return batches_of(path, columns, BATCH_ROWS)


def _series(path: Path, t: str, columns: Sequence[str], facts: Facts, title: str) -> bytes:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = next(column for column in facts.columns if column.name == t)
    ends = np.array([str(known.min)[:19], str(known.max)[:19]], dtype="datetime64[us]").astype("int64")
    spans = {name: _Spans.empty() for name in columns}
    for batch in _batches(path, [t, *columns]):
        times = pc.cast(pc.cast(batch.column(0), pa.timestamp("us")), pa.int64())
        for position, name in enumerate(columns, start=1):
            both = pc.and_(pc.is_valid(times), pc.is_valid(batch.column(position)))
            values = batch.column(position).filter(both).to_numpy(zero_copy_only=False).astype("float64")
            since = times.filter(both).to_numpy(zero_copy_only=False) - ends[0]
            where = since * BINS // max(ends[1] - ends[0] + 1, 1)
            spans[name].add(np.clip(where, 0, BINS - 1), values)
    figure, axes = _figure(len(columns))
    middles = (ends[0] + (np.arange(BINS) + 0.5) * (ends[1] - ends[0]) / BINS).astype("datetime64[us]")
    for panel, name in zip(axes, columns, strict=True):
        panel.fill_between(middles, spans[name].low, spans[name].high, step="mid", alpha=0.25, linewidth=0)
        filled = ~np.isnan(spans[name].low)
        panel.plot(middles[filled], spans[name].mean[filled], linewidth=1, marker="." if filled.sum() < 40 else "")
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    return _png(figure, title, "mean, lowest and highest of all rows")


class _Spans:
    """Sums and extremes of values by span of time."""

    def __init__(self, sums: np.ndarray, counts: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.sums, self.counts, self.low, self.high = sums, counts, low, high

    @classmethod
    def empty(cls) -> _Spans:
        import numpy as np

        return cls(np.zeros(BINS), np.zeros(BINS), np.full(BINS, np.nan), np.full(BINS, np.nan))

    def add(self, where: np.ndarray, values: np.ndarray) -> None:
        import numpy as np

        self.sums += np.bincount(where, values, BINS)
        self.counts += np.bincount(where, minlength=BINS)
        np.fmin.at(self.low, where, values)
        np.fmax.at(self.high, where, values)

    @property
    def mean(self) -> np.ndarray:
        import numpy as np

        with np.errstate(invalid="ignore"):
            return self.sums / self.counts


def _shapes(path: Path, geometry: str, facts: Facts, title: str) -> bytes:
    import numpy as np
    import shapely

    stride, seen, kept = max(1, -(-(facts.row_count or 1) // MOST_SHAPES)), 0, []
    for batch in _batches(path, [geometry]):
        wkb = batch.column(0)
        kept.append(shapely.from_wkb(wkb.take(np.arange(-seen % stride, len(wkb), stride)).to_numpy(False)))
        seen += len(wkb)
    shapes = shapely.get_parts(np.concatenate(kept))
    # An empty point lies nowhere, and asking for its x is an error.
    shapes = shapes[~shapely.is_empty(shapes)]
    figure, axes = _figure(1)
    points = shapes[shapely.get_type_id(shapes) == 0]
    if len(points):
        axes[0].scatter(shapely.get_x(points), shapely.get_y(points), s=max(1, min(20, 20_000 / len(points))))
    _draw_lines(axes[0], shapes)
    axes[0].set_aspect("equal", adjustable="datalim")
    _name_axes(axes[0], "x", "y")
    more = f", every {stride}th" if stride > 1 else ""
    return _png(figure, title, f"{facts.row_count} shapes{more}, {facts.crs or 'CRS unknown'}")


def _draw_lines(axes: Any, shapes: np.ndarray) -> None:
    """Lines, and polygons with their holes filled even-odd."""
    import shapely
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.path import Path as Outline

    kinds = shapely.get_type_id(shapes)
    lines = [shapely.get_coordinates(shape) for shape in shapes[(kinds == 1) | (kinds == 2)]]
    areas = [
        Outline.make_compound_path(
            *(Outline(shapely.get_coordinates(ring), closed=True) for ring in shapely.get_rings(shape))
        )
        for shape in shapes[kinds == 3]
    ]
    if lines:
        axes.add_collection(LineCollection(lines, linewidths=0.6))
    if areas:
        colours = [f"C{number % 10}" for number in range(len(areas))]
        axes.add_collection(PathCollection(areas, facecolors=colours, alpha=0.45, edgecolors="black", linewidths=0.4))
    axes.autoscale_view()


def _figure(panels: int) -> tuple[Figure, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    made = figure.subplots(panels, 1, sharex=True, squeeze=False)
    return figure, [row[0] for row in made]


def _name_axes(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _png(figure: Figure, title: str, detail: str) -> bytes:
    # A dollar sign would begin a formula.
    figure.suptitle(title.replace("$", r"\$")[:110], fontsize=12)
    figure.axes[0].set_title(detail.replace("$", r"\$"), fontsize=9, loc="left")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
