"""The provider of grids for pygeoapi; see ``pygeoapi_providers``, under whose name entries know it.

Here belongs opening a Zarr or Icechunk store, selecting a part of it, and CoverageJSON. Only pygeoapi imports this.
"""

from __future__ import annotations

import io
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

from rimrep_assets.service.pygeoapi_axes import (
    along_x,
    axis_values,
    between,
    between_times,
    box_of,
    calendar_of,
    is_curvilinear,
    one_of,
    plain_values,
    positions,
    step,
    time_texts,
    window,
    with_times,
)

MOST_VALUES = 20_000_000
"""so many values fit into one answer; more would take the server's memory from everybody"""


class CoverageProvider(XarrayProvider):
    """Serves one grid; ``data`` is the address of a Zarr store, or of an Icechunk one with ``options.icechunk_tag``.

    A curvilinear grid (x and y of two dimensions) is served along its indexes, with x and y among the parameters: its
    axes are the dimensions of x, and a bbox gives the smallest window of indexes that holds all cells within.
    """

    def __init__(self, provider_def: dict[str, Any]) -> None:
        BaseProvider.__init__(self, provider_def)
        try:
            self._data = _open_grid(self.data, (self.options or {}).get("icechunk_tag"))
        except (OSError, ValueError, KeyError) as error:
            raise ProviderConnectionError(f"cannot open {self.data}: {error}") from error
        named = [name for name in (self.x_field, self.y_field, self.time_field, self.z_field) if name is not None]
        self._data = self._data.set_coords([name for name in named if name in self._data])
        for name in (self.x_field, self.y_field, self.time_field):
            if name is not None and name not in self._data.coords:
                raise ProviderConnectionError(f"{self.data} has no coordinate {name!r}")
        self.storage_crs = self._parse_storage_crs(provider_def)
        self._dims = self._dimensions()
        self._coverage_properties = self._get_coverage_properties()
        self.axes = self._coverage_properties["axes"]
        self.get_fields()

    def _dimensions(self) -> dict[str, str]:
        """Label of every axis that may be asked for -> the dimension that it lies along: x, y, then time."""
        x, y = (self._data.coords[name] for name in (self.x_field, self.y_field))
        self._curvilinear = is_curvilinear(x.values, y.values) and x.dims == y.dims
        if self._curvilinear:
            indexes = {dim: np.arange(self._data.sizes[dim]) for dim in x.dims if dim not in self._data.coords}
            self._data = self._data.assign_coords(indexes)
            found = {_index_label(str(dim)): str(dim) for dim in reversed(x.dims)}
        elif x.ndim == y.ndim == 1 and x.dims != y.dims:
            found = {self.x_field: str(x.dims[0]), self.y_field: str(y.dims[0])}
        else:
            raise ProviderConnectionError(
                f"{self.x_field} lies along {x.dims} and {self.y_field} along {y.dims}; a coverage has one axis each, "
                "or both along the same two"
            )
        if self.time_field is not None:
            found[self.time_field] = str(self._data.coords[self.time_field].dims[0])
        return found

    @property
    def _plane(self) -> tuple[str, str]:
        """The dimensions of x and y."""
        x, y = list(self._dims.values())[:2]
        return x, y

    def get_fields(self) -> dict[str, Any]:
        """Name -> type, title and unit of every variable that lies on x and y, and of x and y where they do."""
        if not self._fields:
            own = [self.x_field, self.y_field] if self._curvilinear else []
            for name in [*self._data.data_vars, *own]:
                variable = self._data[name]
                if set(self._plane) <= set(variable.dims):
                    self._fields[name] = {
                        "type": _data_type(variable.dtype),
                        "title": variable.attrs.get("long_name") or str(name),
                        "x-ogc-unit": variable.attrs.get("units", ""),
                    }
        return self._fields

    def _get_coverage_properties(self) -> dict[str, Any]:
        """What pygeoapi's collection page tells; axes of one step, and those of indexes, have no resolution."""
        x, y = (self._data.coords[name].values for name in (self.x_field, self.y_field))
        projected = self.storage_crs.is_projected
        code = self.storage_crs.to_epsg() if projected else None
        labels = list(self._dims)
        found: dict[str, Any] = {
            "bbox": box_of(x, y),
            "bbox_crs": f"http://www.opengis.net/def/crs/EPSG/0/{code}"
            if code
            else "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            "crs_type": "ProjectedCRS" if projected else "GeographicCRS",
            "x_axis_label": labels[0],
            "y_axis_label": labels[1],
            "time_axis_label": self.time_field,
            "width": int(self._data.sizes[self._plane[0]]),
            "height": int(self._data.sizes[self._plane[1]]),
            "bbox_units": "metres" if projected else "degrees",
            "resx": step(x),
            "resy": step(y),
            "axes": labels,
        }
        if self.time_field is not None:
            times = self._data.coords[self.time_field].values
            regular = times.dtype.kind == "M"
            found |= {
                "time": int(times.size),
                "time_range": time_texts(times[[0, -1]]) if times.size else [None, None],
                "restime": self.get_time_resolution() if regular else None,
                "time_duration": self.get_time_coverage_duration() if times.size and regular else None,
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
        names = list(properties) or list(self._fields)
        if self._curvilinear:
            # Without them nobody knows where the values are.
            names = list(dict.fromkeys([*names, self.x_field, self.y_field]))
        data = self._data[names]
        chosen = self._chosen(data, dict(subsets or {}), bbox, datetime_)
        data = data.isel(chosen)
        if not all(data.sizes.values()):
            raise ProviderNoDataError("the grid has nothing there")
        values = sum(data[name].size for name in names)
        if values > MOST_VALUES:
            raise ProviderInvalidQueryError(
                f"that would be {values} values, more than {MOST_VALUES}; ask for a smaller bbox, datetime or subset"
            )
        if format_ == "zarr":
            return _zipped(data)
        if format_ != "json":
            raise ProviderInvalidQueryError(f"format {format_!r} is not served; json and zarr are")
        return self._coverage_json(data.load(), names)

    def _chosen(
        self, data: Any, subsets: dict[str, Sequence[Any]], bbox: Sequence[float], datetime_: str | None
    ) -> dict[str, slice | np.ndarray]:
        """Positions along each dimension that the request names; ends are inclusive."""
        if bbox and set(list(self._dims)[:2]) & set(subsets):
            raise ProviderInvalidQueryError("bbox and subset by the same axis exclude each other")
        if datetime_ and self.time_field in subsets:
            raise ProviderInvalidQueryError("datetime and subset by time exclude each other")
        chosen = self._in_box(data, bbox) if bbox else {}
        for label, ends in subsets.items():
            dim = self._dims[label]
            name = dim if self._curvilinear and label != self.time_field else label
            chosen[dim] = one_of(data.coords[name].values, list(ends))
        if datetime_:
            if self.time_field is None:
                raise ProviderInvalidQueryError("the grid has no time; datetime cannot be asked for")
            times = data.coords[self.time_field].values
            chosen[self._dims[self.time_field]] = positions(between_times(times, datetime_))
        return chosen

    def _in_box(self, data: Any, bbox: Sequence[float]) -> dict[str, slice | np.ndarray]:
        half = len(bbox) // 2
        x, y = (data.coords[name].values for name in (self.x_field, self.y_field))
        in_x, in_y = along_x(x, bbox[0], bbox[half]), between(y, bbox[1], bbox[half + 1])
        if not self._curvilinear:
            return dict(zip(self._plane, (positions(in_x), positions(in_y)), strict=True))
        rows, columns = window(in_x & in_y)
        return dict(zip(self._plane, (columns, rows), strict=True))

    def _coverage_json(self, data: Any, names: Sequence[str]) -> dict[str, Any]:
        """Source: https://covjson.org/spec/; axes in the order of each array.

        A curvilinear grid has no domain type of CoverageJSON: its axes are indexes, and x and y stand in the ranges.
        """
        words = self._words(data)
        axes = {words[name]: _axis(data, name, words[name], self._coordinates()) for name in map(str, data.sizes)}
        about = self._coverage_properties
        referencing: list[dict[str, Any]] = []
        domain: dict[str, Any] = {"type": "Domain", "axes": axes, "referencing": referencing}
        if not self._curvilinear:
            domain["domainType"] = "Grid"
            system = {"type": about["crs_type"], "id": about["bbox_crs"]}
            referencing.append({"coordinates": ["x", "y"], "system": system})
        if "t" in axes:
            times = data.coords[self.time_field].values
            referencing.append({"coordinates": ["t"], "system": calendar_of(times)})
        parameters, ranges = {}, {}
        for name in names:
            variable, field = data[name], self._fields[name]
            parameters[name] = {
                "type": "Parameter",
                "description": {"en": field["title"]},
                "unit": {"symbol": field["x-ogc-unit"]},
                "observedProperty": {"id": name, "label": {"en": field["title"]}},
            }
            ranges[name] = {
                "type": "NdArray",
                "dataType": _data_type(variable.dtype),
                "axisNames": [words[str(dim)] for dim in variable.dims],
                "shape": list(variable.shape),
                "values": plain_values(variable.values),
            }
        return {"type": "Coverage", "domain": domain, "parameters": parameters, "ranges": ranges}

    def _words(self, data: Any) -> dict[str, str]:
        """Dimension -> the name of its axis in CoverageJSON."""
        words = {dim: label for label, dim in self._dims.items()}
        if not self._curvilinear:
            words |= dict(zip(self._plane, ("x", "y"), strict=True))
        for name, word in ((self.time_field, "t"), (self.z_field, "z")):
            if name is not None and name in self._data.coords and self._data.coords[name].ndim == 1:
                words[str(self._data.coords[name].dims[0])] = word
        return {str(dim): words.get(str(dim), str(dim)) for dim in data.sizes}

    def _coordinates(self) -> dict[str, str]:
        """By the name of an axis in CoverageJSON the coordinate with its values."""
        named = {"x": self.x_field, "y": self.y_field, "t": self.time_field, "z": self.z_field}
        return {word: name for word, name in named.items() if name is not None}


def _index_label(dim: str) -> str:
    """An axis of indexes; x, y, z and t mean coordinates in CoverageJSON."""
    return f"{dim}_index" if dim in ("x", "y", "z", "t") else dim


def _axis(data: Any, dim: str, word: str, coordinates: Mapping[str, str]) -> dict[str, Any]:
    name = coordinates.get(word, dim)
    if name not in data.coords or data.coords[name].ndim != 1:
        return {"start": 0, "stop": data.sizes[dim] - 1, "num": data.sizes[dim]}
    return axis_values(data.coords[name].values)


def _open_grid(address: str, icechunk_tag: str | None) -> Any:
    import xarray

    if icechunk_tag is None:
        return with_times(xarray.open_zarr(address, chunks=None, decode_times=False))
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
    return with_times(xarray.open_zarr(session.store, chunks=None, consolidated=False, decode_times=False))


def _data_type(dtype: Any) -> str:
    return {"f": "float", "i": "integer", "u": "integer", "b": "integer"}.get(dtype.kind, "string")


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
