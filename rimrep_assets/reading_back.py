"""Opening what was published with the tools that its users have: the last act of `rimrep demo`.

Here belongs reading addresses with xarray, geopandas, pystac and a running pygeoapi. Not here: comparing values with
the source, which the gate did before anything was published.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from rimrep_assets.domain.errors import DataError
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.pygeoapi_config import CONFIG, OPENAPI
from rimrep_assets.ports.workbench import Settings
from rimrep_assets.stack.pygeoapi_server import PygeoapiServer


@contextmanager
def serving(settings: Settings, wanted: str, announce: Callable[[str], None]) -> Iterator[PygeoapiServer]:
    """The real pygeoapi on what the public store holds, at the address ``wanted`` where that is free on loopback."""
    with tempfile.TemporaryDirectory(prefix="rimrep-pygeoapi-") as scratch:
        folder = Path(scratch)
        server = served_from(settings.store_for("public"), folder, port_if_free(wanted))
        announce("starting pygeoapi on the published configuration")
        with server:
            yield server


def served_from(store: ObjectStore, folder: Path, port: int | None = None) -> PygeoapiServer:
    """A server, not yet started, of what ``store`` says; its files are copied into ``folder``."""
    configuration, openapi = (store.download(path, folder / Path(path).name) for path in (CONFIG, OPENAPI))
    return PygeoapiServer(configuration, openapi, folder / "server", port=port)


def port_if_free(url: str) -> int | None:
    """The port of a loopback address at which nothing listens, so that published links lead to it; else None."""
    told = urlsplit(url)
    if told.hostname not in ("127.0.0.1", "localhost") or told.port is None:
        return None
    with socket.socket() as probe:
        return told.port if probe.connect_ex(("127.0.0.1", told.port)) else None


def read_back(rows: Sequence[dict[str, Any]], pygeoapi: str) -> list[str]:
    """Open everything that ``rows`` name; one line for each. Raises: DataError naming what does not open or agree."""
    lines, problems = [], []
    for row in rows:
        try:
            lines.append(
                f"{row['dataset']}: {_read_data(row['data'])}; {_read_descriptions(row)}; {_read_served(row, pygeoapi)}"
            )
        except (OSError, ValueError, KeyError) as error:
            problems.append(f"{row['dataset']}: {type(error).__name__}: {error}")
    if problems:
        raise DataError(problems, advice="run `rimrep verify` on these datasets.")
    return lines


def _read_data(address: str) -> str:
    if address.endswith(".zarr"):
        import xarray as xr

        with xr.open_zarr(address) as grid:
            return "xarray reads " + " × ".join(f"{size} {name}" for name, size in grid.sizes.items())
    import geopandas

    return f"geopandas reads {len(geopandas.read_parquet(address))} rows"


def _read_descriptions(row: dict[str, Any]) -> str:
    import pystac

    item = pystac.Item.from_file(row["stac_item"])
    package = json.loads(Path(row["datapackage"]).read_text())
    said = {item.properties.get("version"), str(package["rimrep"]["release"]), str(row["release"])}
    if len(said) != 1:
        raise ValueError(f"STAC item, datapackage and record name different releases: {sorted(map(str, said))}")
    return f"pystac reads item {item.id}"


def _read_served(row: dict[str, Any], pygeoapi: str) -> str:
    base = f"{pygeoapi}/collections/{row['dataset']}"
    collection = _get(f"{base}?f=json")
    if row["data"].endswith(".zarr"):
        west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
        middle, centre = (south + north) / 2, (west + east) / 2
        box = f"{centre - 1},{middle - 1},{centre + 1},{middle + 1}"
        begin = collection["extent"]["temporal"]["interval"][0][0]
        coverage = _get(f"{base}/coverage?f=json&bbox={box}&datetime={begin}")
        return f"pygeoapi serves a coverage of {', '.join(coverage['ranges'])}"
    items = _get(f"{base}/items?f=json&limit=1")
    identifier = items["features"][0]["id"]
    if _get(f"{base}/items/{identifier}?f=json")["id"] != identifier:
        raise ValueError(f"pygeoapi gives another feature for {identifier}")
    return f"pygeoapi serves {items['numberMatched']} features"


def _get(url: str) -> Any:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback, an address that we made
        return json.load(answer)
