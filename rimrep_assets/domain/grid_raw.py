"""Parts of opened files that are not NetCDF, in the shape that netCDF4 gives its own.

Here belong variables held in memory and attributes. Not here: opening files (``grid_file``, ``grid_geotiff``,
``grid_zarr``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Attributed:
    """What has attributes; as with netCDF4 they are Python attributes too."""

    attributes: Mapping[str, Any]

    def ncattrs(self) -> list[str]:
        return list(self.attributes)

    def getncattr(self, name: str) -> Any:
        return self.attributes[name]

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is no attribute of the object itself; "attributes" may be absent while it is made.
        held = self.__dict__.get("attributes", {})
        if name in held:
            return held[name]
        raise AttributeError(name)


class HeldVariable(Attributed):
    """A small variable whose numbers are in memory; ``dimensions`` name its axes, outermost first."""

    def __init__(self, name: str, dimensions: tuple[str, ...], values: Any, attributes: Mapping[str, Any]) -> None:
        import numpy as np

        self.name = name
        self.dimensions = dimensions
        self.values = np.asarray(values)
        self.attributes = attributes

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def ndim(self) -> int:
        return self.values.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        found: np.ndarray = self.values[index]
        return found
