"""nginx over a folder: what a provider's plain web server does, with ETag, Last-Modified and ranges.

Here belongs its configuration and reading its access log. Not here: starting processes (``processes``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.stack.processes import LOOPBACK, Component, answers

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/log;
{user}
events {{ worker_connections 256; }}
http {{
  default_type application/octet-stream;
  types {{ text/html html; application/json json; text/csv csv; application/x-netcdf nc; }}
  log_format lines escape=json '{{"method":"$request_method","path":"$uri","query":"$args","status":$status,'
    '"bytes":$body_bytes_sent,"range":"$http_range","if_none_match":"$http_if_none_match"}}';
  access_log {folder}/requests.jsonl lines;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port};
    location / {{
      root {served};
      autoindex on; autoindex_format {autoindex};
      location = /.alive {{ access_log off; return 204; }}
    }}
  }}
}}
"""


def nginx_program() -> str | None:
    """Where nginx is installed; Debian puts it where the PATH of a user does not look."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Nginx(Component):
    """Serves ``served`` read-only; folders answer with a listing in the format ``autoindex``."""

    name = "nginx"

    def __init__(
        self,
        served: Path,
        folder: Path,
        *,
        autoindex: Literal["json", "html"] = "json",
        port: int | None = None,
    ) -> None:
        super().__init__(folder.resolve(), port=port, start_timeout_s=20)
        self.served = served.resolve()
        self.autoindex = autoindex

    def command(self) -> Sequence[str]:
        """See ``Component.command``. Raises: Unavailable when nginx is not installed."""
        program = nginx_program()
        if program is None:
            raise Unavailable("nginx is not installed", advice="install it: apt-get install nginx-light")
        # Started by root, nginx drops to nobody, who cannot read root's private folders.
        configuration = CONFIGURATION.format(
            folder=_quoted(self.folder),
            served=_quoted(self.served),
            host=LOOPBACK,
            port=self.port,
            autoindex=self.autoindex,
            user="user root root;" if os.geteuid() == 0 else "",
        )
        (self.folder / "nginx.conf").write_text(configuration)
        (self.folder / "requests.jsonl").write_text("")
        return [program, "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]

    def is_ready(self) -> bool:
        """See ``Component.is_ready``."""
        return answers(f"{self.url}/.alive")

    def requests(self) -> list[dict[str, Any]]:
        """Answered requests, oldest first: method, path, query, status, bytes (of the body), range,
        if_none_match.

        nginx writes a line when an answer is complete, which may be a moment after the client has it.
        """
        return [json.loads(line) for line in (self.folder / "requests.jsonl").read_text().splitlines()]


def _quoted(path: Path) -> str:
    """``path`` as it may stand in the configuration. Raises: Unavailable for what nginx cannot be told."""
    text = str(path)
    if any(letter in text for letter in " \t\n;{}\"'$\\#"):
        raise Unavailable(f"nginx cannot be given the folder {text!r}: choose one without special letters")
    return text
