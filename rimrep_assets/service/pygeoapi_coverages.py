"""The provider of grids for pygeoapi; see ``pygeoapi_providers``, under whose name entries know it.

Here belongs opening a Zarr or Icechunk store, selecting a part of it, and CoverageJSON. Only pygeoapi imports this.
"""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pygeoapi.provider.base import (
    BaseProvider,
    ProviderConnectionError,
    ProviderInvalidQueryError,
    ProviderNoDataError,
)
from pygeoapi.provider.xarray_ import XarrayProvider

from rimrep_assets.service.pygeoapi_values import interval

MOST_VALUES = 20_000_000
"""so many values fit into one answer; more would take the server's memory from everybody"""


class CoverageProvider(XarrayProvider):
    """Serves one grid; ``data`` is the address of a Zarr store, or of an Icechunk one with ``options.icechunk_tag``."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        BaseProvider.__init__(self, provider_def)
        try:
            self._data = _open_grid(self.data, (self.options or {}).get("icechunk_tag"))
        except (OSError, ValueError, KeyError) as error:
            raise ProviderConnectionError(f"cannot open {self.data}: {error}") from error
        for name in (self.x_field, self.y_field, self.time_field):
            if name is not None and name not in self._data.coords:
                raise ProviderConnectionError(f"{self.data} has no coordinate {name!r}")
        self.storage_crs = self._parse_storage_crs(provider_def)
        self._coverage_properties = self._get_coverage_properties()
        self.axes = self._coverage_properties["axes"]
        self.get_fields()

    def get_fields(self) -> dict[str, Any]:
        """Name -> type, title and unit of every variable that lies on x and y."""
        if not self._fields:
            for name, variable in self._data.data_vars.items():
                if self.x_field in variable.dims and self.y_field in variable.dims:
                    self._fields[name] = {
                        "type": _data_type(variable.dtype),
                        "title": variable.attrs.get("long_name") or str(name),
                        "x-ogc-unit": variable.attrs.get("units", ""),
                    }
        return self._fields

    def _get_coverage_properties(self) -> dict[str, Any]:
        """What pygeoapi's collection page tells; axes of one step have no resolution."""
        x, y = (self._data.coords[name].values for name in (self.x_field, self.y_field))
        if x.ndim != 1 or y.ndim != 1:
            raise ProviderConnectionError(
                f"{self.x_field} and {self.y_field} have {x.ndim} dimensions: a coverage has one axis each, so a "
                "curvilinear grid cannot be served"
            )
        projected = self.storage_crs.is_projected
        code = self.storage_crs.to_epsg() if projected else None
        found: dict[str, Any] = {
            "bbox": [float(n) for n in (x.min(), y.min(), x.max(), y.max())],
            "bbox_crs": f"http://www.opengis.net/def/crs/EPSG/0/{code}"
            if code
            else "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            "crs_type": "ProjectedCRS" if projected else "GeographicCRS",
            "x_axis_label": self.x_field,
            "y_axis_label": self.y_field,
            "time_axis_label": self.time_field,
            "width": int(x.size),
            "height": int(y.size),
            "bbox_units": "metres" if projected else "degrees",
            "resx": _step(x),
            "resy": _step(y),
            "axes": [self.x_field, self.y_field],
        }
        if self.time_field is not None:
            times = self._data.coords[self.time_field].values
            found |= {
                "time": int(times.size),
                "time_range": _texts(times[[0, -1]]) if times.size else [None, None],
                "restime": self.get_time_resolution(),
                "time_duration": self.get_time_coverage_duration() if times.size else None,
                "axes": [self.x_field, self.y_field, self.time_field],
            }
        return found

    def query(
        self,
        properties: Sequence[str] = (),
        subsets: Mapping[str, Sequence[Any]] | None = None,
        bbox: Sequence[float] = (),
        bbox_crs: Any = 4326,
        datetime_: str | None = None,
        format_: str = "json",
        **kwargs: Any,
    ) -> Any:
        """The chosen part as CoverageJSON (a dict), or as a zipped Zarr store (bytes) for ``zarr``.

        Raises: ProviderNoDataError where nothing is chosen; ProviderInvalidQueryError for what cannot be asked.
        """
        data = self._data[list(properties) or list(self._fields)]
        chosen = self._chosen(data, dict(subsets or {}), bbox, datetime_)
        data = data.isel(chosen)
        if not all(data.sizes.values()):
            raise ProviderNoDataError("the grid has nothing there")
        values = sum(variable.size for variable in data.data_vars.values())
        if values > MOST_VALUES:
            raise ProviderInvalidQueryError(
                f"that would be {values} values, more than {MOST_VALUES}; ask for a smaller bbox, datetime or subset"
            )
        if format_ == "zarr":
            return _zipped(data)
        if format_ != "json":
            raise ProviderInvalidQueryError(f"format {format_!r} is not served; json and zarr are")
        return self._coverage_json(data.load())

    def _chosen(
        self, data: Any, subsets: dict[str, Sequence[Any]], bbox: Sequence[float], datetime_: str | None
    ) -> dict[str, slice | np.ndarray]:
        """Positions along each axis that the request names; ends are inclusive."""
        chosen = {}
        if bbox and {self.x_field, self.y_field} & set(subsets):
            raise ProviderInvalidQueryError("bbox and subset by the same axis exclude each other")
        if datetime_ and self.time_field in subsets:
            raise ProviderInvalidQueryError("datetime and subset by time exclude each other")
        if bbox:
            half = len(bbox) // 2
            chosen[self.x_field] = _along_x(data.coords[self.x_field].values, bbox[0], bbox[half])
            chosen[self.y_field] = _between(data.coords[self.y_field].values, bbox[1], bbox[half + 1])
        for name, ends in subsets.items():
            values = data.coords[name].values
            if values.dtype.kind == "M":
                chosen[name] = _between_times(values, "/".join(map(str, ends)))
            elif len(ends) == 1:
                nearest = int(np.abs(values - float(ends[0])).argmin())
                chosen[name] = slice(nearest, nearest + 1)
            else:
                chosen[name] = _between(values, *sorted(float(end) for end in ends))
        if datetime_:
            if self.time_field is None:
                raise ProviderInvalidQueryError("the grid has no time; datetime cannot be asked for")
            chosen[self.time_field] = _between_times(data.coords[self.time_field].values, datetime_)
        return chosen

    def _coverage_json(self, data: Any) -> dict[str, Any]:
        """Source: https://covjson.org/spec/; axes in the order of each array."""
        words = {self.x_field: "x", self.y_field: "y", self.time_field: "t", self.z_field: "z"}
        axes = {words.get(name, str(name)): _axis(data, name) for name in data.sizes}
        about = self._coverage_properties
        referencing: list[dict[str, Any]] = [
            {"coordinates": ["x", "y"], "system": {"type": about["crs_type"], "id": about["bbox_crs"]}}
        ]
        if "t" in axes:
            system = {"type": "TemporalRS", "calendar": "Gregorian"}
            referencing.append({"coordinates": ["t"], "system": system})
        parameters, ranges = {}, {}
        for name, variable in data.data_vars.items():
            field = self._fields[name]
            parameters[name] = {
                "type": "Parameter",
                "description": {"en": field["title"]},
                "unit": {"symbol": field["x-ogc-unit"]},
                "observedProperty": {"id": name, "label": {"en": field["title"]}},
            }
            ranges[name] = {
                "type": "NdArray",
                "dataType": _data_type(variable.dtype),
                "axisNames": [words.get(dim, str(dim)) for dim in variable.dims],
                "shape": list(variable.shape),
                "values": _plain(variable.values),
            }
        return {
            "type": "Coverage",
            "domain": {"type": "Domain", "domainType": "Grid", "axes": axes, "referencing": referencing},
            "parameters": parameters,
            "ranges": ranges,
        }


def _open_grid(address: str, icechunk_tag: str | None) -> Any:
    import xarray

    if icechunk_tag is None:
        return xarray.open_zarr(address, chunks=None)
    import icechunk

    from rimrep_assets.ports.grid_repository import authorized

    if address.startswith("s3://"):
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        storage = icechunk.s3_storage(bucket=bucket, prefix=prefix, from_env=True)
    else:
        storage = icechunk.local_filesystem_storage(address)
    try:
        session = authorized(icechunk.Repository.open(storage)).readonly_session(tag=icechunk_tag)
    except icechunk.IcechunkError as error:
        raise ValueError(f"tag {icechunk_tag}: {error}") from error
    return xarray.open_zarr(session.store, chunks=None, consolidated=False)


def _data_type(dtype: Any) -> str:
    return {"f": "float", "i": "integer", "u": "integer", "b": "integer"}.get(dtype.kind, "string")


def _step(values: np.ndarray) -> float | None:
    return float(abs(values[1] - values[0])) if values.size > 1 else None


def _texts(times: np.ndarray) -> list[str]:
    """ISO 8601 in UTC, to the second where nothing is finer."""
    if times.dtype.kind != "M":
        return [str(t) for t in times]
    whole = bool((times == times.astype("M8[s]")).all())
    return [f"{text}Z" for text in np.datetime_as_string(times, unit="s" if whole else "ms")]


def _positions(mask: np.ndarray) -> slice | np.ndarray:
    """As a slice where they are one stretch, which reads no chunk twice."""
    found = np.flatnonzero(mask)
    if found.size and found[-1] - found[0] + 1 == found.size:
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


def _between(values: np.ndarray, low: float, high: float) -> slice | np.ndarray:
    return _positions((values >= low) & (values <= high))


def _along_x(values: np.ndarray, west: float, east: float) -> slice | np.ndarray:
    """Longitudes in both manners of counting, -180..180 and 0..360; a west above the east crosses 180°."""
    if values.size and values.max() > 180 and values.min() >= 0:
        west, east = (w + 360 if w < 0 else w for w in (west, east))
    if west > east:
        return _positions((values >= west) | (values <= east))
    return _between(values, west, east)


def _between_times(values: np.ndarray, text: str) -> slice | np.ndarray:
    if values.dtype.kind != "M":
        raise ProviderInvalidQueryError("the grid's times are of an unusual calendar; datetime cannot be asked for")
    begin, end = interval(text)
    # In nanoseconds a bound such as 9999-12-31 would overflow.
    values = values.astype("M8[us]")
    mask = np.ones(values.shape, dtype=bool)
    if begin is not None:
        mask &= values >= np.datetime64(begin.replace(tzinfo=None), "us")
    if end is not None:
        mask &= values <= np.datetime64(end.replace(tzinfo=None), "us")
    return _positions(mask)


def _axis(data: Any, name: str) -> dict[str, Any]:
    """Start, stop and number of an even axis, in the array's direction; every value of another."""
    if name not in data.coords:
        return {"start": 0, "stop": data.sizes[name] - 1, "num": data.sizes[name]}
    values = data.coords[name].values
    if values.dtype.kind == "M":
        return {"values": _texts(values)}
    if values.dtype.kind not in "fiu":
        return {"values": [str(v) for v in values]}
    steps = np.diff(values.astype("f8"))
    if steps.size and np.allclose(steps, steps[0], rtol=1e-3):
        return {"start": float(values[0]), "stop": float(values[-1]), "num": int(values.size)}
    return {"values": [float(v) for v in values]}


def _plain(values: np.ndarray) -> list[Any]:
    """Row-major; missing values are null."""
    flat = values.ravel()
    if flat.dtype.kind == "f":
        as_float = flat.astype("f8")
        return [v if math.isfinite(v) else None for v in as_float.tolist()]
    if flat.dtype.kind in "iub":
        return flat.astype("i8").tolist()
    return _texts(flat) if flat.dtype.kind == "M" else [str(v) for v in flat]


def _zipped(data: Any) -> bytes:
    """A Zarr store in a zip; what the encoding said of the whole grid's chunks need not fit a part of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data.zarr"
        data.drop_encoding().to_zarr(root, mode="w", zarr_format=3, consolidated=True)
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as zipped:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                zipped.write(path, path.relative_to(folder))
        return held.getvalue()
