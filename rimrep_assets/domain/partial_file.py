"""A source file of which parts are on this machine: as long as the whole, with holes that are filled before reading.

A hole of such a file reads as zeros, which no reader could tell from data. So it is no ``Path``: whoever reads it must
say which bytes, and they are there when ``bring`` returns.

Here belongs knowing which bytes are there, and filling holes by a function that is handed over. Not here: asking a
server (``ports/sources/http_ranges``), or which bytes a variable has (``grid_hdf5_index``).
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rimrep_assets.domain.byte_spans import ByteSpan, joined, lacking, overlap, pieces
from rimrep_assets.domain.errors import RimrepError, Unavailable

if TYPE_CHECKING:
    from rimrep_assets.domain.grid_hdf5_index import ChunkIndex

GAP_BYTES = 64 * 1024
"""spans so near to each other are asked for at once: a request costs more than the bytes between"""
PIECE_BYTES = 8 * 1024 * 1024
"""longer spans are asked for in pieces, several at once"""
BLOCK_BYTES = 64 * 1024
"""what a library reads through ``stream`` is brought in blocks of so much: headers lie together"""

Fetch = Callable[[int, int], bytes]
"""the bytes of a span, all of one version of the file; raises Unavailable when they cannot be had"""


def silent(_: str) -> None:
    """Tell nobody."""


@dataclass(eq=False)
class PartialFile:
    """The sparse file at ``path``; any number of threads may use it. ``threads`` are those in which ``fetch`` runs."""

    path: Path
    size: int
    fetch: Fetch
    threads: Executor
    told: Callable[[str], None] = silent
    """told where more is fetched than who declared it may expect"""
    bytes_read: int = 0
    """that came by ``fetch``"""
    indexes: dict[str, ChunkIndex | None] = field(default_factory=dict)
    """where the values of variables lie, as far as it was looked up"""
    _there: list[ByteSpan] = field(default_factory=list)
    _coming: dict[ByteSpan, Future[None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def made(
        cls, path: Path, size: int, fetch: Fetch, threads: Executor, told: Callable[[str], None] = silent
    ) -> PartialFile:
        """A new one at ``path``, of which nothing is there yet. Raises: Unavailable where the disk does not take it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never over another: what that one knows to be there would be gone.
            with path.open("xb") as file:
                file.truncate(size)
        except (OSError, OverflowError) as error:
            raise Unavailable(f"{path.name}: there is no place for its {size} bytes ({error})") from error
        return cls(path, size, fetch, threads, told)

    def bring(self, spans: Iterable[ByteSpan]) -> None:
        """Have all bytes of ``spans`` in the file at ``path``. Raises: Unavailable; DataError."""
        self.begin(spans)()

    def begin(self, spans: Iterable[ByteSpan]) -> Callable[[], None]:
        """Ask for what lacks of ``spans``; what is returned waits until all of it is there. Raises: as ``bring``."""
        wanted = joined(((max(0, start), min(stop, self.size)) for start, stop in spans), GAP_BYTES)
        with self._lock:
            missing = lacking(wanted, joined([*self._there, *self._coming]))
            for piece in pieces(missing, PIECE_BYTES):
                self._coming[piece] = self.threads.submit(self._take, piece)
            waiting = [coming for span, coming in self._coming.items() if overlap(span, wanted)]

        def wait() -> None:
            for one in waiting:
                one.result()
            with self._lock:
                if lacking(wanted, self._there):
                    raise Unavailable(f"{self.path.name}: bytes that were fetched are not there")

        return wait

    def whole(self, why: str | None = None) -> Path:
        """The file without holes; ``why`` is told where it was not asked for, in words that follow 'because'."""
        with self._lock:
            holes = lacking([(0, self.size)], self._there)
        if why is not None and holes:
            self.told(f"{self.path.name}: fetching all {self.size} bytes, because {why}")
        self.bring([(0, self.size)])
        return self.path

    def stream(self) -> PartialStream:
        """The file for a library that reads from Python objects: whatever it reads is brought."""
        return PartialStream(self)

    def _take(self, span: ByteSpan) -> None:
        start, stop = span
        try:
            if not self.path.exists():
                # An attempt that ended took its scratch away; what it asked for beforehand is wanted by nobody.
                raise Unavailable(f"{self.path.name} is not read any more")
            data = self.fetch(start, stop)
            if len(data) != stop - start:
                raise Unavailable(f"{self.path.name}: {len(data)} bytes came, {stop - start} were asked for")
            self._write(start, data)
            with self._lock:
                self._there = joined([*self._there, span])
                self.bytes_read += len(data)
        finally:
            with self._lock:
                del self._coming[span]

    def _write(self, start: int, data: bytes) -> None:
        try:
            with self.path.open("r+b") as file:
                file.seek(start)
                file.write(data)
        except OSError as error:
            # Whoever opens the file catches OSError, and would say that the provider's file is damaged.
            raise Unavailable(f"{self.path.name} cannot be kept on this machine ({error.strerror})") from error


LocalFile: TypeAlias = Path | PartialFile
"""a source file as the platform reads it"""


class PartialStream(io.RawIOBase):
    """A partial file, read from front to end; for one thread at a time."""

    mode = "rb"

    def __init__(self, file: PartialFile) -> None:
        self.file = file
        self.failed: RimrepError | None = None
        """why bytes could not be had"""
        self._at = 0

    def tell_failure(self) -> None:
        """Raise why bytes could not be had: libraries make something else of it on the way, or nothing at all."""
        if self.failed is not None:
            raise self.failed from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.file.size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        start, stop = self._at, min(self._at + len(view), self.file.size)
        if start >= stop:
            return 0
        try:
            self.file.bring([(start // BLOCK_BYTES * BLOCK_BYTES, -(-stop // BLOCK_BYTES) * BLOCK_BYTES)])
        except RimrepError as error:
            self.failed = error
            raise
        with self.file.path.open("rb") as file:
            file.seek(start)
            taken: int = file.readinto(view[: stop - start])
        self._at += taken
        return taken
