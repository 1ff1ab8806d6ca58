"""Packing as attributes of Zarr arrays, in the way in which xarray writes and reads them.

Here belongs what JSON makes of fills and scales. Not here: NetCDF's own attributes (``grid_attributes``).
"""

from __future__ import annotations

import base64
import struct
from typing import Any

from rimrep_assets.domain.grid_layout import Packing


def encoded_packing(packing: Packing, dtype: str) -> dict[str, Any]:
    """Packing as Zarr attributes, in the way in which xarray writes and reads them (``FillValueCoder``)."""
    found: dict[str, Any] = {}
    if packing.scale is not None:
        found["scale_factor"] = packing.scale.value
    if packing.offset is not None:
        found["add_offset"] = packing.offset.value
    # JSON has no NaN, and a missing value of NaN hides nothing that is not hidden already.
    missing = [n.value for n in packing.missing if not n.is_nan]
    if missing:
        found["missing_value"] = missing[0] if len(missing) == 1 else missing
    if packing.unsigned:
        found["_Unsigned"] = "true"
    if packing.fill is not None:
        found["_FillValue"] = encoded_fill(packing.fill.numpy(), dtype)
    return found


def encoded_fill(fill: Any, dtype: str) -> Any:
    """``_FillValue`` of Zarr format 3 as xarray encodes it: whole numbers as they are, floats as base64 of 8 bytes."""
    import numpy as np

    if np.dtype(dtype).kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(fill))).decode()
    return int(fill)


def decoded_fill(value: Any, dtype: str) -> Any:
    """What ``_FillValue`` of a Zarr attribute stands for, as a number of ``dtype``; None when there is none."""
    import numpy as np

    if value is None:
        return None
    if np.dtype(dtype).kind == "f" and isinstance(value, str):
        value = struct.unpack("<d", base64.standard_b64decode(value))[0]
    return np.dtype(dtype).type(value)
