"""What the S3 server's process does with a request: number it, log it, hit it with a fault or hand it to
moto.

Here belongs the WSGI application. Not here: its process and its client side (``s3_server``).

moto decides If-None-Match and stores the object in two steps and serves requests in threads, so that of two
creators of one key both could be told that they won (moto 5.2, ``s3/responses.py``, ``put_object``); S3
promises that one wins. So moto sees one request at a time here. Bodies are read before, and a slow sender
keeps nobody waiting.
"""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REFUSED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>asked for</Message></Error>"
StartResponse = Callable[..., Any]


@dataclass
class FaultPlan:
    """Which requests are hit: ``times`` ones from the ``first`` on, counted among ``methods`` (all when
    empty).
    """

    fault: str
    first: int = 1
    times: int | None = None
    methods: Sequence[str] = ()
    counted: int = field(default=0, init=False)

    def next_fault(self, method: str) -> str | None:
        """The fault of this request, which is counted."""
        if self.methods and method not in self.methods:
            return None
        self.counted += 1
        past = self.counted - self.first
        return self.fault if past >= 0 and (self.times is None or past < self.times) else None


class S3Application:
    """``log`` gets a JSON line a request; addresses below ``/-/`` (no name of a bucket) steer."""

    def __init__(self, log: Path, buckets: Iterable[str], *, region: str) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.moto = DomainDispatcherApplication(create_backend_app)
        self.log = log
        self.buckets = tuple(buckets)
        self.region = region
        self._numbering = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._n = 0
        self._plan: FaultPlan | None = None
        self._reset()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Raises: ConnectionAbortedError, which werkzeug takes for a client that left."""
        path = environ.get("PATH_INFO", "")
        if path.startswith("/-/"):
            return self._steer(path[3:], environ, start_response)
        body = _read_body(environ)
        method = environ["REQUEST_METHOD"]
        with self._numbering:
            self._n += 1
            n = self._n
            fault = self._plan.next_fault(method) if self._plan else None
        record = {
            "n": n,
            "method": method,
            "path": path,
            "query": environ.get("QUERY_STRING", ""),
            "fault": fault,
            "range": environ.get("HTTP_RANGE"),
            "received": len(body),
        }
        if fault == "drop":
            self._write({**record, "status": None, "sent": 0})
            _break(environ)
        if fault == "refuse":
            status, headers, sent = "403 Forbidden", [("Content-Type", "application/xml")], REFUSED
        else:
            with self._one_at_a_time:
                status, headers, sent = _call(self.moto.get_application(environ), environ)
        if fault == "answer-lost":
            self._write({**record, "status": None, "sent": 0})
            _break(environ)
        sent = b"" if method == "HEAD" else sent
        self._write({**record, "status": int(status.split()[0]), "sent": len(sent)})
        if method != "HEAD":
            headers = [(k, v) for k, v in headers if k.lower() != "content-length"]
            headers.append(("Content-Length", str(len(sent))))
        start_response(status, headers)
        return [sent]

    def _steer(self, what: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        given = json.loads(_read_body(environ) or b"{}")
        with self._numbering:
            if what == "fail":
                self._plan = FaultPlan(**given)
            elif what == "heal":
                self._plan = None
            elif what == "forget":
                self._n = 0
                self.log.write_text("")
        if what == "reset":
            self._reset()
        known = what in {"fail", "heal", "forget", "reset", "alive"}
        start_response("204 No Content" if known else "404 Not Found", [("Content-Length", "0")])
        return []

    def _reset(self) -> None:
        from moto.s3.models import s3_backends

        with self._one_at_a_time, self._numbering:
            s3_backends.reset()
            self._plan, self._n = None, 0
            self.log.write_text("")
            for name in self.buckets:
                environ = {
                    "REQUEST_METHOD": "PUT",
                    "PATH_INFO": f"/{name}",
                    "QUERY_STRING": "",
                    "SERVER_NAME": "localhost",
                    "SERVER_PORT": "80",
                    "HTTP_HOST": "localhost",
                    "wsgi.url_scheme": "http",
                    "wsgi.version": (1, 0),
                    "wsgi.errors": io.StringIO(),
                    "wsgi.input": io.BytesIO(_location(self.region)),
                    "CONTENT_LENGTH": str(len(_location(self.region))),
                }
                _call(self.moto.get_application(environ), environ)

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record) + "\n"
        with self._numbering, self.log.open("a") as stream:
            stream.write(line)


def request_handler() -> type:
    """moto's handler of requests (it keeps the letters of metadata names), without a line a request on
    stderr.
    """
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    class Quiet(MotoRequestHandler):
        def log_request(self, *_: object) -> None:
            return

    return Quiet


def _read_body(environ: dict[str, Any]) -> bytes:
    from werkzeug.wsgi import get_input_stream

    body: bytes = get_input_stream(environ, safe_fallback=True).read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.input_terminated"] = True
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return body


def _call(application: Any, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    from werkzeug.test import run_wsgi_app

    chunks, status, headers = run_wsgi_app(application, environ, buffered=True)
    return status, list(headers.items()), b"".join(chunks)


def _break(environ: dict[str, Any]) -> None:
    """End the connection; the handler reads its end and reads no further request from it."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("a fault was asked for")


def _location(region: str) -> bytes:
    return (
        "<CreateBucketConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()
