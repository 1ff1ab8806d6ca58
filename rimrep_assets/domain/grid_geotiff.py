"""GeoTIFF files in the shape of a grid's source file: bands as variables, x and y as the centres of cells.

Here belongs what a TIFF says of itself. Not here: which bands are published under what names (``grid_header``), several
files that are one (``grid_mosaic``), or the independent reading (``grid_other_reader``).

GDAL reads; of the folder around the file nothing is looked at, for what lies there is not in the ledger.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_attributes import PACKING, REFERENCES
from rimrep_assets.domain.grid_raw import Attributed, HeldVariable
from rimrep_assets.domain.grid_steps import is_name

if TYPE_CHECKING:
    import numpy as np

MAPPING = "spatial_ref"
"""the variable whose attributes tell the CRS; the name is GDAL's and rioxarray's"""
GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
# What GDAL counted once, and what it tells better elsewhere.
_NOT_KEPT = (*PACKING, *REFERENCES, "AREA_OR_POINT", "grid_mapping")


@dataclass(frozen=True)
class Raster:
    """Where cells lie: ``width`` × ``height`` of them, ``dx`` × ``dy`` in size (negative where the axis descends), the
    corner of the first at ``x0``, ``y0``; all in units of ``crs_wkt``.
    """

    width: int
    height: int
    x0: float
    y0: float
    dx: float
    dy: float
    crs_wkt: str

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the centres of cells: float64 of shapes (width,) and (height,)."""
        import numpy as np

        return self.x0 + (np.arange(self.width) + 0.5) * self.dx, self.y0 + (np.arange(self.height) + 0.5) * self.dy


class Band(Attributed):
    """One band; rows (``y``) first."""

    dimensions = ("y", "x")
    ndim = 2

    def __init__(self, source: Any, number: int, name: str) -> None:
        self.source = source
        self.number = number
        self.name = name
        self.attributes = _band_attributes(source, number, name)

    @property
    def dtype(self) -> Any:
        import numpy as np

        return np.dtype(self.source.dtypes[self.number - 1])

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.height, self.source.width

    def __getitem__(self, index: Any) -> np.ndarray:
        from rasterio.windows import Window

        rows, columns = (slice(None), slice(None)) if index is ... else index
        (top, bottom, _), (left, right, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        found: np.ndarray = self.source.read(self.number, window=Window(left, top, right - left, bottom - top))
        return found


class GeotiffFile(Attributed):
    """An open GeoTIFF; ``bands`` are the names of its variables by number, from 1."""

    def __init__(self, source: Any, raster: Raster) -> None:
        self.raster = raster
        self.bands = _band_names(source)
        self.attributes = {n: v for n, v in source.tags().items() if n not in _NOT_KEPT}
        bands = {name: Band(source, number, name) for number, name in self.bands.items()}
        self.variables: Mapping[str, Any] = {**bands, **axes_of(raster)}
        self.dimensions = {"y": range(raster.height), "x": range(raster.width)}


@contextmanager
def open_geotiff(path: Path, name: str) -> Iterator[GeotiffFile]:
    """Raises: DataError, also while it is read, that lists all for which the file cannot be a grid."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings(), rasterio.Env(**GDAL_OPTIONS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver="GTiff") as source:
                problems = _problems(source, path)
                if problems:
                    raise DataError([f"{name}: {problem}" for problem in problems])
                yield GeotiffFile(source, _raster(source))
    except (RasterioError, OSError) as error:
        raise DataError(f"{name}: cannot be read as GeoTIFF ({_without(path, error)})") from error


def _without(path: Path, error: Exception) -> str:
    return str(error).replace(str(path), path.name)


def _problems(source: Any, path: Path) -> list[str]:
    problems = []
    if len(source.subdatasets) > 1:
        problems.append(f"holds {len(source.subdatasets)} images; a file holds one")
    if source.gcps[0] or source.rpcs:
        problems.append("is placed by control points and not by a raster; warp it first (gdalwarp)")
    elif source.transform.is_identity:
        problems.append("says nothing of its place (no geotransform)")
    elif source.transform.b or source.transform.d:
        problems.append("its raster is rotated against x and y; warp it first (gdalwarp)")
    if source.crs is None:
        problems.append("names no CRS, so that its x and y could be degrees or metres (gdal_edit.py -a_srs)")
    elif not (source.crs.is_geographic or source.crs.is_projected):
        problems.append(f"its CRS {source.crs.to_string()[:80]} has no x and y on the earth")
    if any(flag.name == "per_dataset" for flags in source.mask_flag_enums for flag in flags):
        problems.append("hides cells by a mask or an alpha band beside its numbers; write them as nodata instead")
    return problems or _cut(source, path)


def _cut(source: Any, path: Path) -> list[str]:
    """Whether blocks lie beyond the end of the file; GDAL would tell when it comes to them."""
    size, last = path.stat().st_size, 0
    apart = source.interleaving is not None and source.interleaving.name == "band"
    for number in source.indexes if apart else (1,):
        rows, columns = source.block_shapes[number - 1]
        for y in range(-(-source.height // rows)):
            for x in range(-(-source.width // columns)):
                offset, length = (
                    source.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=number) for what in ("OFFSET", "SIZE")
                )
                last = max(last, int(offset or 0) + int(length or 0))
    return [f"is cut: {last - size} bytes fewer than its header says"] if last > size else []


def _raster(source: Any) -> Raster:
    at = source.transform
    return Raster(source.width, source.height, at.c, at.f, at.a, at.e, source.crs.to_wkt())


def _band_names(source: Any) -> dict[int, str]:
    """Descriptions where they are names and tell bands apart, else ``band_1`` and so on."""
    told = [text if text and is_name(text) else None for text in source.descriptions]
    taken = ("x", "y", MAPPING)
    return {
        number: text if text and told.count(text) == 1 and text not in taken else f"band_{number}"
        for number, text in enumerate(told, start=1)
    }


def _band_attributes(source: Any, number: int, name: str) -> dict[str, Any]:
    import numpy as np

    tags = source.tags(number).items()
    found: dict[str, Any] = {n: v for n, v in tags if n not in _NOT_KEPT and not n.startswith("STATISTICS_")}
    description, unit = source.descriptions[number - 1], source.units[number - 1]
    if description and description != name:
        found.setdefault("long_name", description)
    if unit:
        found["units"] = unit
    scale, offset, nodata = (held[number - 1] for held in (source.scales, source.offsets, source.nodatavals))
    if (scale, offset) != (1.0, 0.0):
        found |= {"scale_factor": np.float64(scale), "add_offset": np.float64(offset)}
    if nodata is not None:
        found["_FillValue"] = np.float64(nodata)
    return {**found, "grid_mapping": MAPPING}


def axes_of(raster: Raster) -> dict[str, HeldVariable]:
    """The variables ``x``, ``y`` and the grid mapping of a raster."""
    import numpy as np
    import pyproj

    crs = pyproj.CRS.from_wkt(raster.crs_wkt)
    if crs.is_geographic:
        words: tuple[dict[str, str], dict[str, str]] = (
            {"standard_name": "longitude", "units": "degrees_east"},
            {"standard_name": "latitude", "units": "degrees_north"},
        )
    else:
        unit = crs.axis_info[0].unit_name if crs.axis_info else "metre"
        unit = "m" if unit == "metre" else unit
        words = (
            {"standard_name": "projection_x_coordinate", "units": unit},
            {"standard_name": "projection_y_coordinate", "units": unit},
        )
    x, y = raster.centres()
    return {
        "x": HeldVariable("x", ("x",), x, words[0]),
        "y": HeldVariable("y", ("y",), y, words[1]),
        MAPPING: HeldVariable(MAPPING, (), np.int32(0), crs.to_cf()),
    }
