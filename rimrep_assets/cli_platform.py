"""`rimrep up` and `rimrep down`: the whole platform on this machine.

Here belong their options and what they print. Not here: the parts (``stack/local_platform``).
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from rimrep_assets.console import INTERRUPTED, print_json, progress, say, settings_from

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Where everything is kept; a folder of this user by default.")
]


def up(
    folder: FolderOption = None,
    catalog: Annotated[
        str | None, typer.Option("--catalog", help="Path or address of the catalog.", metavar="PATH_OR_URL")
    ] = None,
    store: Annotated[str | None, typer.Option("--store", help="Folder or s3://bucket/prefix.", metavar="URL")] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Which endpoints are used.", metavar="NAME")
    ] = None,
    sensors: Annotated[
        bool, typer.Option("--sensors/--no-sensors", help="Whether new commits and sources run by themselves.")
    ] = True,
    dagster_port: Annotated[
        int | None, typer.Option("--dagster-port", help="Port of Dagster's UI.", min=1, max=65_535)
    ] = None,
    pygeoapi_port: Annotated[
        int | None, typer.Option("--pygeoapi-port", help="Port of pygeoapi.", min=1, max=65_535)
    ] = None,
    files_port: Annotated[
        int | None, typer.Option("--files-port", help="Port of the files server.", min=1, max=65_535)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Start store, pygeoapi, Dagster's UI and daemon on loopback; print their addresses, and wait for Ctrl-C."""
    from rimrep_assets.stack.local_platform import LocalPlatform

    if folder is not None:
        os.environ["RIMREP_DATA"] = str(folder.absolute())
    settings = settings_from(catalog, store, environment)
    asked = {"dagster": dagster_port, "pygeoapi": pygeoapi_port, "files": files_port}
    ports = {name: port for name, port in asked.items() if port is not None}
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not stopped:
            say("ending the platform; its parts are given some seconds")
        stopped.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    announce = logging.getLogger("rimrep").warning
    started = False
    try:
        with progress(quiet=as_json):
            logging.getLogger("rimrep").info("starting the platform; it takes half a minute")
            with LocalPlatform(settings, ports, sensors, announce=announce) as platform:
                started = True
                _tell(platform.addresses, as_json)
                error = platform.dagster.load_error()
                if error:
                    say(f"Dagster runs, but could not load the assets:\n{error}")
                platform.keep(until=lambda: bool(stopped))
    except KeyboardInterrupt:
        say("the platform has ended")
        if not started:
            raise typer.Exit(INTERRUPTED) from None


def _tell(addresses: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(addresses)
        return
    words = {
        "dagster": "Dagster: the asset graph, runs, sensors",
        "pygeoapi": "pygeoapi: what is published",
        "files": "published files, below /public",
    }
    for name in ("dagster", "pygeoapi", "files"):
        if name in addresses:
            print(f"{addresses[name]}  {words[name]}", flush=True)
    print("The platform runs until Ctrl-C or `rimrep down`.", flush=True)


def down(folder: FolderOption = None) -> None:
    """End the platform that `rimrep up` started, from wherever it was started."""
    from rimrep_assets.ports.workbench import Settings
    from rimrep_assets.stack.local_platform import end

    if folder is not None:
        os.environ["RIMREP_DATA"] = str(folder.absolute())
    ended = end(Settings.from_environment(os.environ))
    print(f"ended the platform, process {ended.pid}" if ended else "no platform runs here")
