"""The public folder of a local store over HTTP, read only: what a bucket's web address is elsewhere.

Here belongs serving it to browsers and readers of this machine. Not here: anything limited, which has no web address,
and writing, which goes to the folder itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rimrep_assets.stack.processes import LOOPBACK, Component, answers

VARIABLE = "RIMREP_SERVED_FOLDER"
HEALTH = "/health"


class FilesServer(Component):
    """Serves the files below ``served`` at ``<url>/public/…``, with ranges and for pages of every origin."""

    name = "the files server"

    def __init__(self, served: Path, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder.resolve(), port=port)
        self.served = served

    def command(self) -> Sequence[str]:
        """See ``Component.command``."""
        self.served.mkdir(parents=True, exist_ok=True)
        return [
            *(sys.executable, "-m", "uvicorn", f"{__name__}:application", "--factory"),
            *("--host", LOOPBACK, "--port", str(self.port), "--log-level", "warning"),
        ]

    def environment(self) -> Mapping[str, str]:
        """See ``Component.environment``."""
        return {VARIABLE: str(self.served)}

    def is_ready(self) -> bool:
        """See ``Component.is_ready``."""
        return answers(f"{self.url}{HEALTH}")


def application() -> Any:
    """What uvicorn runs. Links that lead out of the folder are not followed; folders are not listed."""
    import os

    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    return Starlette(
        routes=[
            Route(HEALTH, lambda request: PlainTextResponse("serving")),
            Mount("/public", StaticFiles(directory=os.environ[VARIABLE], check_dir=False)),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD"],
                allow_headers=["Range"],
                expose_headers=["Content-Range", "ETag"],
            )
        ],
    )
