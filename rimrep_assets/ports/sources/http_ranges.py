"""A source on a web server whose files are read in parts: known by the server's validators, fetched by byte ranges.

Here belong what makes a file known without its bytes, and asking for a range of exactly that version. Not here: whole
files (``http_folder``), retries and redirects (``http_client``), or which bytes are needed (``domain/partial_file``).

Source: https://www.rfc-editor.org/rfc/rfc9110 (8.8 validators, 13.1.5 If-Range, 14 ranges)
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError, Unavailable
from rimrep_assets.domain.grid_partial import NotInParts, bring_header
from rimrep_assets.domain.partial_file import LocalFile, PartialFile, silent
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.http_client import HttpClient, NotThere, innermost
from rimrep_assets.ports.sources.http_folder import CONNECTIONS, HttpFolder, is_web_page
from rimrep_assets.ports.sources.http_transfer import is_racy
from rimrep_assets.ports.sources.selection import is_one_file, refuse_unsafe

if TYPE_CHECKING:
    import requests

HEAD_BYTES = 256 * 1024
"""the first request of a file; most headers end before"""
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
UNSATISFIED = re.compile(r"bytes \*/(\d+)")
NOT_SO = "leave source.ranges out: then files are fetched whole, and known by their bytes."


class RangedFolder(HttpFolder):
    """As ``HttpFolder``, for files that ``open`` reads in parts.

    A file is believed to be the same while its server says so: name, length, and a strong ETag, or Last-Modified where
    there is none. The name counts, because servers make ETags of time and length, and give many files the same.
    """

    def _ask(self, name: str, known: SourceFile | None) -> SourceFile:
        """What lies at ``name`` now, by asking for its first byte."""
        address = self._address(name)
        if not is_one_file(name):
            raise DefinitionError(
                f"{self.url}: {name} is made of several files, of which no parts are read", advice=NOT_SO
            )
        for attempt in range(self.client.attempts):
            try:
                with self.client.get(address, {"Range": "bytes=0-0"}) as response:
                    file = self._file(name, address, response)
                    if not is_racy(file.last_modified, response.headers.get("Date")):
                        return file
            except NotThere as error:
                raise Unavailable(f"{address} was listed but is not there") from error
            # Written again within a second it could keep its validators; so much later it cannot.
            self.client.wait(attempt)
        raise Unavailable(f"{address} keeps being written")

    def _file(self, name: str, address: str, response: requests.Response) -> SourceFile:
        if is_web_page(response.headers.get("Content-Type", ""), name):
            raise Unavailable(f"{address} answers with a web page instead of the file")
        told = response.headers.get("Content-Range", "")
        size = CONTENT_RANGE.fullmatch(told) if response.status_code == 206 else UNSATISFIED.fullmatch(told)
        if size is None:
            words = f"the server of {self.url} does not tell ranges of its files (status {response.status_code})"
            raise DefinitionError(words, advice=NOT_SO)
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if _strong(etag) is None and modified is None:
            words = f"the server of {self.url} tells neither a strong ETag nor Last-Modified, by which to know a file"
            raise DefinitionError(words, advice=NOT_SO)
        self.client.refuse_too_large(address, int(size.groups()[-1]))
        file = SourceFile(
            name=name,
            digest="",
            size=int(size.groups()[-1]),
            url=address,
            etag=etag,
            last_modified=modified,
            known_by="validators",
        )
        return file.model_copy(update={"digest": _identity(file)})

    def open(self, file: SourceFile, to: Path, told: Callable[[str], None]) -> LocalFile:
        """``file`` in a folder of its own below ``to``, to be read in parts where that is possible; else whole, which
        is ``told``. Raises: as ``fetch``, also when parts are read later.
        """
        if file.known_by != "validators":
            return self.fetch(file, to)
        with self._begun(file, to, told) as partial:
            try:
                partial.bring([(0, HEAD_BYTES)])
                bring_header(partial, file.name)
            except NotInParts as why:
                return partial.whole(why.why)
        return partial

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``; of a file that is known by its validators the bytes that have these."""
        if file.known_by != "validators":
            return super().fetch(file, to)
        with self._begun(file, to) as partial:
            whole = partial.whole()
            (to / file.name).parent.mkdir(parents=True, exist_ok=True)
            return whole.replace(to / file.name)

    @contextmanager
    def _begun(self, file: SourceFile, to: Path, told: Callable[[str], None] = silent) -> Iterator[PartialFile]:
        """``file``, of which nothing is there yet, in a new folder, which goes where what is done with it fails.

        New each time: two that fill one file would each take the other's bytes away.
        """
        refuse_unsafe(file.name)
        version = Version(self.client, self._address(file.name), file.size, _strong(file.etag), file.last_modified)
        try:
            to.mkdir(parents=True, exist_ok=True)
            folder = Path(mkdtemp(prefix=".parts-", dir=to))
        except OSError as error:
            raise Unavailable(f"{file.name} cannot be kept on this machine ({error.strerror})") from error
        try:
            yield PartialFile.made(folder / file.name, file.size, version.bytes_of, self._threads, told)
        except RimrepError:
            shutil.rmtree(folder)
            raise

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="ranges")


@dataclass(frozen=True)
class Version:
    """One version of the file at ``address``: by its strong ETag, else (None) by the time of its last change."""

    client: HttpClient
    address: str
    size: int
    etag: str | None
    last_modified: str | None

    def bytes_of(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop`` (not included), over as many connections as it takes.

        Raises: Unavailable when the file is another by now, or is not answered; DataError when the answer does not
        say of which version it is.
        """
        data, stuck = bytearray(), 0
        while True:
            before = len(data)
            why = self._ask(start + before, stop, data)
            if len(data) == stop - start:
                return bytes(data)
            stuck = 0 if len(data) > before else stuck + 1
            if stuck >= self.client.attempts:
                raise Unavailable(f"{self.address}: {why}, {stuck} times")
            self.client.wait(stuck)

    def _ask(self, start: int, stop: int, data: bytearray) -> str:
        """Add to ``data`` what one connection gives; return why it may not be all."""
        import requests
        from urllib3.exceptions import HTTPError

        headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": self.etag or self.last_modified or ""}
        try:
            response = self.client.get(self.address, headers)
        except NotThere as error:
            raise Unavailable(f"{self.address} was withdrawn after it was looked at") from error
        with response:
            left = self._length_of(response, start, stop)
            try:
                while left and (block := response.raw.read(min(left, 1 << 20), decode_content=False)):
                    data += block
                    left -= len(block)
            except (HTTPError, requests.RequestException, ConnectionError, TimeoutError) as error:
                return f"the transfer of a range broke ({innermost(error)})"
        return "the connection ended within a range"

    def _length_of(self, response: requests.Response, start: int, stop: int) -> int:
        """How many bytes of this version the answer holds, the first of them at ``start``."""
        if response.status_code != 206:
            if response.status_code == 200 and self._is_this(response):
                raise Unavailable(f"{self.address}: the server answers the whole file to a question for a range")
            raise self._changed()
        told = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        encoding = response.headers.get("Content-Encoding", "identity")
        if told is None or int(told[1]) != start or not start <= int(told[2]) < stop or encoding != "identity":
            raise Unavailable(f"{self.address}: the server answers another range than it was asked for")
        if int(told[3]) != self.size or not self._is_this(response):
            raise self._changed()
        return int(told[2]) + 1 - start

    def _is_this(self, response: requests.Response) -> bool:
        """Whether an answer is of this version; that a server understood If-Range is not taken on trust."""
        name, expected = ("ETag", self.etag) if self.etag is not None else ("Last-Modified", self.last_modified)
        found = response.headers.get(name)
        if found is None:
            raise DataError(
                f"{self.address}: an answer does not tell {name}, so it may be of another version", advice=NOT_SO
            )
        return found == expected

    def _changed(self) -> Unavailable:
        return Unavailable(f"{self.address} was changed after it was looked at")


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag


def _identity(file: SourceFile) -> str:
    """What stands for the digest of bytes; the address is not in it, so that a server may move."""
    validator = f"etag {_strong(file.etag)}" if _strong(file.etag) is not None else f"modified {file.last_modified}"
    return sha256(f"rimrep validators 1\n{file.name}\n{validator}\n{file.size}\n".encode()).hexdigest()
