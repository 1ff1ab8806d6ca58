"""Worlds of one grid whose chunks stay in the provider's files, and a web server whose marks can be bent.

Here belong source files, the description, releases and what is written for them, and the server. Not here: any expectation.
"""

from __future__ import annotations

import json
import threading
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import icechunk
import netCDF4
import numpy as np

from rimrep_assets.domain.grid_schema import curated_part
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.due_work import DueWork
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.source_glances import glimpse
from rimrep_assets_tests.worlds import GRID, GRID_YAML, World

LAT, LON = 20, 30
LAYOUT = {"chunks": {"time": 1, "lat": 10, "lon": 30}, "plain": False, "virtual": True}


def write_day(folder: Path, day: int, steps: int = 1, **storage) -> Path:
    """One file of ``steps`` times from ``day`` on, as a provider stores it; ``storage`` changes how."""
    how = {"zlib": True, "shuffle": True, "chunksizes": (1, 10, 30), "fill_value": -32768, **storage}
    path = folder / f"heat_{day:03}.nc"
    dims = how.pop("dims", ("time", "lat", "lon"))
    shape = {"time": steps, "lat": LAT, "lon": LON}
    with netCDF4.Dataset(path, "w") as file:
        for name, size in shape.items():
            file.createDimension(name, size)
        time = file.createVariable("time", "i4", ("time",))
        time.units = "days since 2024-01-01"
        time[:] = np.arange(day, day + steps)
        file.createVariable("lat", "f8", ("lat",))[:] = np.linspace(-20, -10, LAT)
        file.createVariable("lon", "f8", ("lon",))[:] = np.linspace(145, 155, LON)
        heat = file.createVariable("heat", how.pop("dtype", "i2"), dims, **how)
        heat.setncatts({"scale_factor": how.get("scale", 0.01), "units": "degree_Celsius_weeks"})
        heat.set_auto_maskandscale(False)
        noise = np.random.default_rng(day).integers(0, 3000, tuple(shape[d] for d in dims))
        noise.reshape(-1)[::7] = -32768
        heat[:] = noise
    return path


def world_of(root: Path, *, layout: dict | None = None, steps: list | None = None, source: dict | None = None) -> World:
    world = World(root)
    convert = [{"read_netcdf": {}}, *(steps or [])]
    told = {**GRID_YAML, "layout": {**LAYOUT, **(layout or {})}, "convert": convert}
    world.describe({**told, "source": source or GRID_YAML["source"]}, None)
    return world


def stage(world: World) -> Any:
    return world.attempt(GRID).stage()[1]


def published(world: World) -> ReleaseRecord:
    """The first release, with the schema that a first attempt proposes."""
    attempt = world.attempt(GRID)
    candidate = attempt.prepare(attempt.stage()[1])
    folder = f"datasets/{GRID}/gridschema.json"
    world.write(folder, curated_part(json.loads(candidate.record)["table_or_grid_schema"]))
    world.commit("the proposed schema")
    record = world.attempt(GRID).publish()
    assert record is not None
    return record


def kinds_of(world: World, snapshot: str) -> dict[str, icechunk.ChunkType]:
    repository = GridRepository(world.store, GRID, world.settings.s3).open()
    session = repository.readonly_session(snapshot_id=snapshot)
    return {name: session.chunk_type(f"/{name}", [0] * n) for name, n in (("heat", 3), ("lat", 1), ("time", 1))}


def next_release(world: World) -> ReleaseRecord:
    record = world.attempt(GRID).publish()
    assert record is not None
    return record


def written(world: World, base: ReleaseRecord, record: ReleaseRecord) -> set[str]:
    """The chunks that differ between two releases, by Icechunk's own account."""
    repository = GridRepository(world.store, GRID, world.settings.s3)
    found = repository.difference(str(base.snapshot), str(record.snapshot))
    assert found is not None
    return set(found.chunks)


def chunks(*rows: int) -> set[str]:
    """The two chunks of each of these times."""
    return {f"heat/c/{row}/{part}/0" for row in rows for part in (0, 1)}


def glanced(world: World) -> tuple[str, ...]:
    at = world.catalog.at(world.catalog.resolve())
    seen = glimpse(world.settings, DueWork(world.settings, at), world.catalog.place, at.dataset(GRID))
    return seen.names


class MarkedServer:
    """Serves ``folder`` as nginx does, with the ETags of ``etags``, and the times of ``times`` in place of the files'.

    It takes the questions of a client that believes it to be a proxy, so that it can be known by a name alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etags: dict[str, str] = {}
        self.times: dict[str, float] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = outer.answer(urlsplit(self.path).path, dict(self.headers.items()))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET" and status != 304:
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> MarkedServer:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def _changed(self, path: Path) -> str:
        return formatdate(self.times.get(path.name, int(path.stat().st_mtime)), usegmt=True)

    def answer(self, address: str, asked: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a question."""
        told = {name.lower(): value for name, value in asked.items()}
        if address == "/":
            rows: list[dict[str, Any]] = [
                {"name": p.name, "type": "file", "mtime": self._changed(p), "size": p.stat().st_size}
                for p in sorted(self.folder.iterdir())
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(rows).encode()
        path = self.folder / address.lstrip("/")
        if not path.is_file():
            return 404, {}, b"not found"
        data, changed, etag = path.read_bytes(), self._changed(path), self.etags.get(path.name)
        headers = {"Last-Modified": changed, "Content-Type": "application/x-netcdf", **({"ETag": etag} if etag else {})}
        if self._is_refused(told, changed, etag):
            return 412, headers, b""
        if "if-none-match" in told:
            unchanged = told["if-none-match"] == etag
        else:
            unchanged = told.get("if-modified-since") == changed
        if unchanged:
            return 304, headers, b""
        if "range" in told:
            first, _, last = told["range"].removeprefix("bytes=").partition("-")
            end = min(int(last or len(data) - 1), len(data) - 1)
            part = data[int(first) : end + 1]
            return 206, {**headers, "Content-Range": f"bytes {first}-{end}/{len(data)}"}, part
        return 200, headers, data

    def _is_refused(self, told: dict[str, str], changed: str, etag: str | None) -> bool:
        """Whether a condition of the reader fails: its ETag is not ours, or the file is younger than its time."""
        if "if-match" in told:
            return told["if-match"] != etag
        since = told.get("if-unmodified-since")
        return since is not None and parsedate_to_datetime(changed) > parsedate_to_datetime(since)
