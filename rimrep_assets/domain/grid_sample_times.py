"""Times as xarray reads them, of source files and of what is published alike.

Here belongs decoding by xarray alone. Not here: what is read (``grid_sample_reading``), or any of our own decoding
(``grid_time``, ``grid_time_bounds``), on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

UNITS = ("units", "calendar")
"""what CF lets bounds take from their axis"""


def moments(raw: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Numbers of a time axis as xarray reads them with these attributes."""
    import xarray as xr

    plain = xr.conventions.decode_cf_variable("time", xr.Variable(("t",), raw, attributes), decode_times=False)
    found: np.ndarray = xr.coders.CFDatetimeCoder().decode(plain, name="time").values
    return found


def instants(raw: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Numbers of any shape as xarray reads them as times; NaT, or None in other calendars, where there is none.

    Numbers without a time are kept from cftime, which takes NaN for the reference date.
    """
    import numpy as np
    import xarray as xr

    numbers = xr.conventions.decode_cf_variable(
        "t", xr.Variable(("t",), raw.reshape(-1), attributes), decode_times=False
    )
    held = ~np.isnan(numbers.values)
    times = moments(numbers.values[held], numbers.attrs) if held.any() else np.empty(0, "M8[ns]")
    found = np.full(held.shape, None if times.dtype.kind == "O" else np.datetime64("NaT"), times.dtype)
    found[held] = times
    return found.reshape(raw.shape)


def published_instants(array: Any, window: Mapping[str, slice]) -> np.ndarray:
    """A window of a published array of times, in xarray's words: undecoded, for all of a store is opened in one way."""
    import numpy as np

    index = tuple(window.get(dim, slice(None)) for dim in array.metadata.dimension_names)
    return instants(np.asarray(array[index]), dict(array.attrs))
