"""A folder over HTTP with range requests, which counts the bytes that it sends.

Here belongs the server that questions are counted at. Not here: the questions (``questions``), or serving people
(``rimrep_assets.stack.files_server``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Counted:
    """``url`` of the folder, and the ``sent`` bytes of bodies (headers are not counted) in ``requests`` answers."""

    url: str
    sent: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, sent: int) -> None:
        with self._lock:
            self.sent += sent
            self.requests += 1

    def reset(self) -> None:
        self.sent = self.requests = 0


@contextmanager
def counting_server(folder: Path) -> Iterator[Counted]:
    """Serve the files of ``folder`` on a free port of this machine while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder))
    counted = Counted(f"http://127.0.0.1:{server.server_address[1]}")
    server.counted = counted  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield counted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave in two writes: without this the second waits for the first's acknowledgement.
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = folder / Path(self.path.partition("?")[0]).name
            if not path.is_file():
                self.send_error(404)
                return
            size = path.stat().st_size
            asked = RANGE.fullmatch(self.headers.get("Range", ""))
            begin = int(asked[1]) if asked else 0
            stop = min(int(asked[2]) + 1, size) if asked and asked[2] else size
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - begin))
            if asked:
                self.send_header("Content-Range", f"bytes {begin}-{stop - 1}/{size}")
            self.end_headers()
            if with_body:
                with path.open("rb") as file:
                    file.seek(begin)
                    body = file.read(stop - begin)
                # Counted before it leaves, so that whoever has read it finds it counted; who goes away early pays all.
                self.server.counted.add(len(body))  # type: ignore[attr-defined]
                with suppress(ConnectionError):
                    self.wfile.write(body)

    return Handler
