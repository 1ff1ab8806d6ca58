"""pygeoapi's formatter of CSV, with a defect mended: rows without a geometry are rows too.

Here belongs what ``f=csv`` answers. Not here: what is asked of a table (``pygeoapi_providers``).
Mended against pygeoapi 0.21, which reads the type of every feature's geometry.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from pygeoapi.formatter.csv_ import CSVFormatter
from pygeoapi.plugin import PLUGINS


class CsvFormatter(CSVFormatter):
    """The properties, and before them ``x`` and ``y`` where all geometries of the page are points; both are empty for
    a feature without geometry."""

    def write(self, options: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> bytes:
        """The features of ``data`` in UTF-8; nothing where there is none."""
        features = (data or {}).get("features", [])
        if not features:
            return b""
        shapes = [feature["geometry"] for feature in features]
        kinds = {shape["type"] for shape in shapes if shape is not None}
        places = ("x", "y") if self.geom and kinds == {"Point"} else ()
        out = io.StringIO()
        writer = csv.DictWriter(out, [*places, *features[0]["properties"]])
        writer.writeheader()
        for feature, shape in zip(features, shapes, strict=True):
            # An empty point has no coordinates either.
            at = dict(zip(places, shape["coordinates"] if shape else (), strict=False))
            writer.writerow({**at, **feature["properties"]})
        return out.getvalue().encode()


def register() -> None:
    """Let pygeoapi write CSV by this class: a configuration can name a provider, and no formatter."""
    PLUGINS["formatter"]["CSV"] = f"{CsvFormatter.__module__}.{CsvFormatter.__name__}"
