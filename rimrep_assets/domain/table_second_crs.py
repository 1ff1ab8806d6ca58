"""The CRS that is published, held against the one that files tell, read without the code that converts them.

Here belongs reading a layer's CRS by sqlite3, json and pyproj, and saying whether two are one. Not here: the rows
(``table_second_vector``), or a format whose CRS one library alone reads: FileGDB and GeoParquet have no second reading.
Source of the GeoPackage's tables: https://www.geopackage.org/spec/#spatial_ref_sys
"""

from __future__ import annotations

import json
import mmap
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.table_geometry import crs_code
from rimrep_assets.domain.table_names import makes_points
from rimrep_assets.domain.table_objects import head_of
from rimrep_assets.domain.table_part import FileContents
from rimrep_assets.domain.table_second_files import files_of
from rimrep_assets.domain.table_version import TableVersion

if TYPE_CHECKING:
    import pyproj

SURE = 70
"""percent: so sure must pyproj be of the code of a CRS that is told in words alone"""


def crs_differences(
    version: TableVersion, contents: Mapping[str, FileContents], opened: Mapping[str, Path], dataset: Dataset
) -> Iterator[tuple[str, str]]:
    """``(file, sentence)`` for every file of ``contents`` whose CRS is not the published one, and for every file of
    ``opened`` that tells another one to the second reader. Never raises for a file that it cannot read: its rows tell.
    """
    import pyproj

    published = _published(head_of(version.data))
    if published is None:
        return
    code = crs_code(published)
    for name, about in contents.items():
        if crs_code(about.crs) != code:
            yield name, f"{name}: {about.crs_name} was read from the source, the published CRS is {code}"
    shown = pyproj.CRS.from_json_dict(published)
    for name, path in opened.items():
        if name in contents and (told := _told(path, dataset)) is not None and not same_crs(told, shown):
            yield name, f"{name}: a second reader finds {_named(told)} in the source, the published CRS is {code}"


def _published(data: Path) -> dict[str, Any] | None:
    import pyarrow.parquet as pq

    geo = json.loads((pq.read_metadata(data).metadata or {}).get(b"geo", b"null"))
    found: dict[str, Any] | None = geo["columns"][geo["primary_column"]].get("crs") if geo else None
    return found


def _told(path: Path, dataset: Dataset) -> pyproj.CRS | None:
    """The CRS of the first layer of a file; None where it tells none, or not to us."""
    import pyproj

    if dataset.convert.read_vector is None or makes_points(dataset):
        return None
    readers = {".gpkg": _of_geopackage, ".geojson": _of_geojson, ".json": _of_geojson, ".shp": _of_shapefile}
    try:
        with files_of(path, dataset) as files:
            first = next(iter(files), None)
            read = readers.get(first.suffix.lower()) if first else None
            return read(first, dataset.convert.read_vector.layer) if first and read else None
    except (OSError, ValueError, KeyError, TypeError, sqlite3.Error, pyproj.exceptions.CRSError):
        return None


def _of_geopackage(path: Path, layer: str | None) -> pyproj.CRS | None:
    import pyproj

    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        wanted = (
            "SELECT organization, organization_coordsys_id, definition FROM gpkg_geometry_columns "
            "JOIN gpkg_spatial_ref_sys USING (srs_id) WHERE ?1 IS NULL OR table_name = ?1"
        )
        found = connection.execute(wanted, (layer,)).fetchall()
    finally:
        connection.close()
    if len(found) != 1:
        return None
    organization, number, definition = found[0]
    if str(organization).upper() == "EPSG":
        return pyproj.CRS.from_epsg(int(number))
    return None if str(organization).upper() == "NONE" else pyproj.CRS.from_user_input(definition)


def _of_geojson(path: Path, layer: str | None) -> pyproj.CRS | None:
    """Longitude and latitude on WGS 84 by RFC 7946, unless the file names another one as was usual before."""
    import pyproj

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        named = whole.find(b'"crs"') >= 0
    crs = json.loads(path.read_text(encoding="utf-8-sig")).get("crs") if named else None
    return pyproj.CRS.from_user_input(crs["properties"]["name"] if crs else "OGC:CRS84")


def _of_shapefile(path: Path, layer: str | None) -> pyproj.CRS | None:
    import pyproj

    told = next((p for suffix in (".prj", ".PRJ") if (p := path.with_suffix(suffix)).exists()), None)
    return pyproj.CRS.from_wkt(told.read_text(encoding="utf-8-sig", errors="replace")) if told else None


def same_crs(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Whether two descriptions are of one CRS, whichever order of axes they tell: files have x first."""
    if one.equals(other, ignore_axis_order=True) or one.to_2d().equals(other.to_2d(), ignore_axis_order=True):
        return True
    codes = {crs.to_2d().to_authority(min_confidence=SURE) for crs in (one, other)}
    if None not in codes:
        return len(codes) == 1
    # A projection of somebody's own has no code: then what it does to a place decides.
    return _same_places(one, other)


def _same_places(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    import numpy as np
    import pyproj

    if one.is_geographic != other.is_geographic or str(one.ellipsoid) != str(other.ellipsoid):
        return False
    if one.is_geographic:
        return True
    # Metres about the origin of most projections, and far from it.
    x, y = np.array([0.0, 5e5, 1e6]), np.array([0.0, 3e6, -2e6])
    found = [pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y) for crs in (one, other)]
    return bool(np.allclose(found[0], found[1], rtol=0, atol=1e-9, equal_nan=True))


def _named(crs: pyproj.CRS) -> str:
    authority = crs.to_authority(min_confidence=SURE)
    return ":".join(authority) if authority else str(crs.name)
