"""Several GeoTIFF files as one: tiles side by side, and variables in files of their own.

Here belongs laying tiles on one raster, and reading across them. Not here: which files belong together
(``grid_together``), or one file (``grid_geotiff``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_geotiff import GeotiffFile, Raster, axes_of, open_geotiff
from rimrep_assets.domain.grid_raw import Attributed
from rimrep_assets.domain.grid_together import NO_VARIABLE

if TYPE_CHECKING:
    import numpy as np

OFF_RASTER = 0.01
"""of a cell: tiles whose corners lie farther from a common raster are refused"""
COMPARED_ROWS = 256
"""so many rows of an overlap are held at a time"""
MOST_TILES = 500
"""all are open while one block is read, and processes may have a thousand files open"""


class Tile:
    """A file and where its first cell lies on the common raster."""

    def __init__(self, name: str, file: GeotiffFile, row: int, column: int) -> None:
        self.name, self.file, self.row, self.column = name, file, row, column

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, bottom, left, right on the common raster; bottom and right are not included."""
        raster = self.file.raster
        return self.row, self.row + raster.height, self.column, self.column + raster.width

    def read(self, band: str, box: tuple[int, int, int, int]) -> np.ndarray:
        """The numbers of a box of the common raster that lies within the tile."""
        top, bottom, left, right = box
        rows, columns = slice(top - self.row, bottom - self.row), slice(left - self.column, right - self.column)
        found: np.ndarray = self.file.variables[band][rows, columns]
        return found


class MosaicBand(Attributed):
    """One band of all tiles; cells without value in one tile are taken from another."""

    dimensions = ("y", "x")
    ndim = 2

    def __init__(self, name: str, band: str, tiles: Sequence[Tile], raster: Raster, has_gaps: bool) -> None:
        import numpy as np

        first = tiles[0].file.variables[band]
        self.name, self.band, self.tiles = name, band, tiles
        self.dtype, self.shape = first.dtype, (raster.height, raster.width)
        self.attributes = dict(first.attributes)
        if has_gaps and "_FillValue" not in self.attributes and self.dtype.kind == "f":
            self.attributes["_FillValue"] = np.float64("nan")

    def __getitem__(self, index: Any) -> np.ndarray:
        import numpy as np

        rows, columns = (slice(None), slice(None)) if index is ... else index
        (top, bottom, _), (left, right, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        fill = self.attributes.get("_FillValue")
        found = np.full((bottom - top, right - left), 0 if fill is None else fill, self.dtype)
        for tile in self.tiles:
            box = _common((top, bottom, left, right), tile.box)
            if box is not None:
                there = found[box[0] - top : box[1] - top, box[2] - left : box[3] - left]
                held = tile.read(self.band, box)
                there[...] = np.where(_is_empty(held, fill), there, held)
        return found


class MosaicFile(Attributed):
    """All the tiles, and all the variables, as one open file."""

    def __init__(self, by_variable: Mapping[str, Sequence[tuple[str, GeotiffFile]]]) -> None:
        everything = [named for tiles in by_variable.values() for named in tiles]
        problems = _unlike(everything)
        for variable, tiles in by_variable.items():
            problems += _unlike_bands(variable, tiles)
        if problems:
            raise DataError(problems)
        self.raster = _raster_of([file.raster for _, file in everything])
        self.tiles = {variable: [self._tile(*named) for named in tiles] for variable, tiles in by_variable.items()}
        self.attributes = _agreed([file.attributes for _, file in everything])
        self.bands = everything[0][1].bands if NO_VARIABLE in by_variable else {}
        self.gaps = {variable: _has_gaps(tiles, self.raster) for variable, tiles in self.tiles.items()}
        self.variables: dict[str, Any] = {**self._variables(), **axes_of(self.raster)}
        self.dimensions = {"y": range(self.raster.height), "x": range(self.raster.width)}

    def _tile(self, name: str, file: GeotiffFile) -> Tile:
        whole, own = self.raster, file.raster
        return Tile(name, file, round((own.y0 - whole.y0) / whole.dy), round((own.x0 - whole.x0) / whole.dx))

    def _variables(self) -> dict[str, MosaicBand]:
        return {
            (band if variable == NO_VARIABLE else variable): MosaicBand(
                band if variable == NO_VARIABLE else variable, band, tiles, self.raster, self.gaps[variable]
            )
            for variable, tiles in self.tiles.items()
            for band in tiles[0].file.bands.values()
        }

    def disagreements(self, *, tiled: bool) -> list[str]:
        """Overlaps in which tiles hold different values, and cells that no tile covers and no fill can stand for.

        Where files are no tiles (``tiled``), those that do not cover what the others do.
        """
        problems = []
        for tile in (t for tiles in self.tiles.values() for t in tiles if not tiled):
            if (tile.file.raster.width, tile.file.raster.height) != (self.raster.width, self.raster.height):
                problems.append(f"{tile.name}: does not cover what the files beside it cover; mosaic: {{}} allows that")
        for name, variable in ((n, v) for n, v in self.variables.items() if isinstance(v, MosaicBand)):
            for first, second in combinations(variable.tiles, 2):
                problems += _differing(name, variable, first, second)
            uncovered = self.gaps[NO_VARIABLE if NO_VARIABLE in self.gaps else name]
            if uncovered and "_FillValue" not in variable.attributes:
                problems.append(f"{name}: no tile covers some cells, and there is no nodata that could stand for them")
        return problems


@contextmanager
def open_mosaic(folder: Path, name: str) -> Iterator[MosaicFile]:
    """The files that were fetched to ``<folder>/<variable>/…`` as one. Raises: DataError as ``open_geotiff``."""
    with ExitStack() as opened:
        by_variable: dict[str, list[tuple[str, GeotiffFile]]] = {}
        problems: list[str] = []
        for variable in sorted(path for path in folder.iterdir() if path.is_dir()):
            for path in sorted(p for p in variable.rglob("*") if p.is_file()):
                own = path.relative_to(variable).as_posix()
                try:
                    file = opened.enter_context(open_geotiff(path, own))
                except DataError as error:
                    problems += error.problems
                else:
                    by_variable.setdefault(variable.name, []).append((own, file))
                if sum(map(len, by_variable.values())) > MOST_TILES:
                    raise DataError(f"{name}: is made of more than {MOST_TILES} files; merge some before")
        if problems or not by_variable:
            raise DataError(problems or [f"{name}: holds no files"])
        yield MosaicFile(by_variable)


def _unlike(files: Sequence[tuple[str, GeotiffFile]]) -> list[str]:
    """In what the rasters of files do not fit the first's."""
    first_name, first = files[0][0], files[0][1].raster
    problems = []
    for name, file in files[1:]:
        own = file.raster
        if own.crs_wkt != first.crs_wkt:
            problems.append(f"{name}: its CRS is not that of {first_name}")
        elif max(abs(own.dx / first.dx - 1) * own.width, abs(own.dy / first.dy - 1) * own.height) > OFF_RASTER:
            problems.append(f"{name}: cells of {own.dx:g} × {own.dy:g}, {first_name} has {first.dx:g} × {first.dy:g}")
        else:
            columns, rows = (own.x0 - first.x0) / first.dx, (own.y0 - first.y0) / first.dy
            off = max(abs(columns - round(columns)), abs(rows - round(rows)))
            if off > OFF_RASTER:
                problems.append(f"{name}: lies {off:.2f} of a cell off the raster of {first_name}")
    return problems


def _unlike_bands(variable: str, files: Sequence[tuple[str, GeotiffFile]]) -> list[str]:
    first_name, first = files[0]
    problems = []
    if variable != NO_VARIABLE and len(first.bands) != 1:
        problems.append(f"{first_name}: has {len(first.bands)} bands; a file with a variable in its name has one")
    for name, file in files[1:]:
        if list(file.bands.values()) != list(first.bands.values()):
            problems.append(f"{name}: bands {', '.join(file.bands.values())}; {first_name} has others")
            continue
        for band in first.bands.values():
            own, other = file.variables[band], first.variables[band]
            keys = ("_FillValue", "scale_factor", "add_offset", "units")
            differing = [k for k in keys if not _same(own.attributes.get(k), other.attributes.get(k))]
            if own.dtype != other.dtype:
                differing.append("type")
            if differing:
                problems.append(f"{name}: {band} has another {', '.join(differing)} than in {first_name}")
    return problems


def _same(a: Any, b: Any) -> bool:
    return bool(a == b or (a is not None and b is not None and a != a and b != b))


def _raster_of(rasters: Sequence[Raster]) -> Raster:
    """The smallest raster that holds all."""
    first = rasters[0]
    columns = [round((r.x0 - first.x0) / first.dx) for r in rasters]
    rows = [round((r.y0 - first.y0) / first.dy) for r in rasters]
    return replace(
        first,
        x0=min(zip(columns, rasters, strict=True), key=lambda at: at[0])[1].x0,
        y0=min(zip(rows, rasters, strict=True), key=lambda at: at[0])[1].y0,
        width=max(c + r.width for c, r in zip(columns, rasters, strict=True)) - min(columns),
        height=max(w + r.height for w, r in zip(rows, rasters, strict=True)) - min(rows),
    )


def _common(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    top, bottom, left, right = max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])
    return (top, bottom, left, right) if top < bottom and left < right else None


def _is_empty(values: np.ndarray, fill: Any) -> Any:
    import numpy as np

    if fill is None:
        return np.zeros(values.shape, bool)
    with np.errstate(all="ignore"):
        return np.isnan(values) if fill != fill else values == np.asarray(fill).astype(values.dtype)


def _has_gaps(tiles: Sequence[Tile], whole: Raster) -> bool:
    """Whether some cell of the raster lies in no tile; by the edges of tiles, not by cells."""
    import numpy as np

    rows = sorted({0, whole.height, *(edge for tile in tiles for edge in tile.box[:2])})
    columns = sorted({0, whole.width, *(edge for tile in tiles for edge in tile.box[2:])})
    covered = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for top, bottom, left, right in (tile.box for tile in tiles):
        covered[rows.index(top) : rows.index(bottom), columns.index(left) : columns.index(right)] = True
    return not covered.all()


def _differing(name: str, variable: MosaicBand, first: Tile, second: Tile) -> list[str]:
    import numpy as np

    box = _common(first.box, second.box)
    if box is None:
        return []
    fill, cells, example = variable.attributes.get("_FillValue"), 0, ""
    for top in range(box[0], box[1], COMPARED_ROWS):
        part = (top, min(top + COMPARED_ROWS, box[1]), box[2], box[3])
        a, b = first.read(variable.band, part), second.read(variable.band, part)
        empty = _is_empty(a, fill) | _is_empty(b, fill)
        same = (a == b) | ((a != a) & (b != b))
        wrong = np.argwhere(~(same | empty))
        if len(wrong) and not cells:
            row, column = wrong[0].tolist()
            example = f", e.g. {a[row, column]} and {b[row, column]} at row {top + row}, column {box[2] + column}"
        cells += len(wrong)
    told = f"{first.name} and {second.name}: {name} differs in {cells} cells that both cover{example}"
    return [told] if cells else []


def _agreed(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, others = attributes[0], attributes[1:]
    return {n: v for n, v in first.items() if all(n in other and other[n] == v for other in others)}
