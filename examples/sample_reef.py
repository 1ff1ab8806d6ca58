"""A small model of the Great Barrier Reef: where its coast runs, and how warm its water is.

Here belong the numbers that the sample sources share. Not here: writing files (``sources``).
The values are computed and smooth; they look like the real ones and are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

COAST = (
    (-10.68, 142.53),
    (-12.0, 143.25),
    (-13.5, 143.55),
    (-14.3, 144.0),
    (-15.0, 145.25),
    (-16.0, 145.45),
    (-17.0, 146.05),
    (-18.2, 146.05),
    (-19.2, 146.85),
    (-20.0, 148.3),
    (-21.2, 149.2),
    (-22.4, 150.2),
    (-23.2, 150.8),
    (-24.0, 151.7),
    (-24.5, 152.1),
)
"""latitude, longitude of Queensland's coast, from north to south"""

OUTER_BOUNDARY = (
    (-10.68, 145.0),
    (-13.0, 145.0),
    (-15.0, 146.0),
    (-17.5, 147.0),
    (-20.0, 151.4),
    (-21.5, 152.9),
    (-24.5, 154.0),
)
"""latitude, longitude of the Marine Park's outer boundary"""


def longitude_along(line: tuple[tuple[float, float], ...], latitude: np.ndarray) -> np.ndarray:
    """Degrees east of ``line`` at each latitude, same shape."""
    import numpy as np

    north_up = np.array(line)[::-1]
    return np.interp(latitude, north_up[:, 0], north_up[:, 1])


def temperature_c(latitude: np.ndarray, day: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Degrees Celsius by season and latitude; ``day`` counts from 1 January in UTC, with hours as fractions.

    The warmest time is mid February; the day's warmest hour is 15:00 local time and fades with depth.
    """
    import numpy as np

    mean = 26.9 + 0.24 * (latitude + 18.0)
    season = (2.6 - 0.09 * (latitude + 18.0)) * np.cos(2 * np.pi * (day - 46.0) / 365.25)
    local_hour = (day * 24.0 + 10.0) % 24.0
    daily = 0.5 * np.exp(-depth_m / 6.0) * np.cos(2 * np.pi * (local_hour - 15.0) / 24.0)
    return mean + season + daily - 0.03 * depth_m


def heating_weeks(latitude: np.ndarray, longitude: np.ndarray, day: int) -> np.ndarray:
    """Degree Celsius weeks on a grid, (lat, lon), ``day`` days after 15 January 2024.

    Heat builds up through the summer, first in the far north, at last and worst in the south, as in 2024.
    """
    import numpy as np

    lat, lon = latitude[:, None], longitude[None, :]
    south = np.exp(-(((lat + 23.0) / 2.6) ** 2) - ((lon - 151.5) / 3.5) ** 2)
    north = np.exp(-(((lat + 13.0) / 3.0) ** 2) - ((lon - 144.5) / 3.0) ** 2)
    ripple = 0.35 * np.sin(lat * 1.7 + day / 9.0) * np.cos(lon * 1.3 - day / 13.0)
    late = 1.0 / (1.0 + np.exp(-(day - 35.0) / 7.0))
    early = 1.0 / (1.0 + np.exp(-(day - 15.0) / 8.0))
    return np.clip(13.5 * south * late + 6.0 * north * early + ripple * (south + north), 0.0, None)
