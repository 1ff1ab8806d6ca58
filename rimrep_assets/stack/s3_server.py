"""An S3 server in a process of its own: moto's, with a request log and a switch for faults.

Here belongs starting it and speaking to its control addresses. Not here: what the process does with a request
(``s3_application``). Objects live in memory and are gone when it stops. Any key is accepted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.request import ProxyHandler, Request, build_opener

from rimrep_assets.stack.processes import LOOPBACK, Component, answers

Fault = Literal["refuse", "drop", "answer-lost"]
"""``refuse``: status 403; ``drop``: the connection ends and nothing is done; ``answer-lost``: it is done,
and the connection ends before the answer"""

WRITES = ("PUT", "POST", "DELETE")
REGION = "ap-southeast-2"


class S3Server(Component):
    """S3 at ``url`` (path-style), with ``buckets`` from the start."""

    name = "the S3 server"

    def __init__(self, folder: Path, *, buckets: Iterable[str] = (), port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self.buckets = tuple(buckets)

    def command(self) -> Sequence[str]:
        """See ``Component.command``."""
        return [
            sys.executable,
            "-m",
            __name__,
            "--port",
            str(self.port),
            "--log",
            str(self._requests),
            *(f"--bucket={name}" for name in self.buckets),
        ]

    def environment(self) -> Mapping[str, str]:
        """See ``Component.environment``."""
        return {"MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS": "true"}

    def is_ready(self) -> bool:
        """See ``Component.is_ready``."""
        return answers(f"{self.url}/-/alive")

    def client_environment(self) -> dict[str, str]:
        """Variables with which boto3, s3fs, obstore and DuckDB's httpfs find this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "rimrep",
            "AWS_SECRET_ACCESS_KEY": "rimrep-secret",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
            "AWS_S3_ADDRESSING_STYLE": "path",
        }

    def requests(self) -> list[dict[str, Any]]:
        """Requests since the start or ``reset``, in order of arrival: n, method, path, query, status, fault,
        range, received and sent (bytes of the bodies); status is None where no answer was given."""
        lines = self._requests.read_text().splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda request: request["n"])

    def reset(self) -> None:
        """Empty all buckets but keep those of the start; forget the log and the fault."""
        self._control("reset", {})

    def forget_requests(self) -> None:
        """Empty the request log and count from 1 again; objects and fault stay."""
        self._control("forget", {})

    def fail(
        self,
        fault: Fault,
        *,
        first: int = 1,
        times: int | None = None,
        methods: Sequence[str] = (),
    ) -> None:
        """From the ``first`` request from now on (1 is the next), ``times`` requests (all when None) meet
        ``fault``.

        With ``methods`` (e.g. ``WRITES``) only requests of these are counted and hit.
        """
        self._control("fail", {"fault": fault, "first": first, "times": times, "methods": list(methods)})

    def heal(self) -> None:
        """Faults end; what is stored stays."""
        self._control("heal", {})

    @property
    def _requests(self) -> Path:
        return self.folder / "requests.jsonl"

    def _control(self, what: str, body: Mapping[str, Any]) -> None:
        request = Request(f"{self.url}/-/{what}", data=json.dumps(body).encode(), method="POST")  # noqa: S310
        with build_opener(ProxyHandler({})).open(request, timeout=10):
            return


def main(arguments: Sequence[str]) -> None:
    """Serve until ended by a signal."""
    from werkzeug.serving import ThreadedWSGIServer

    from rimrep_assets.stack.s3_application import S3Application, request_handler

    parser = argparse.ArgumentParser(prog=f"python -m {__name__}")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--bucket", action="append", default=[])
    given = parser.parse_args(arguments)
    application = S3Application(given.log, given.bucket, region=REGION)
    ThreadedWSGIServer(LOOPBACK, given.port, application, handler=request_handler()).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
