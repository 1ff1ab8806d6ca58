"""A source on a web server: one file, or a folder that answers with a listing of itself.

Here belongs what a sighting asks of the server. Not here: retries and resuming (``http_client``), walking through
folders (``http_walk``), keeping what was downloaded (``download_cache``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError, Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.delivery import deliver
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.glancing import glance_from
from rimrep_assets.ports.sources.http_client import HttpClient, NotThere
from rimrep_assets.ports.sources.http_transfer import Downloaded, Stamp
from rimrep_assets.ports.sources.http_walk import HttpWalk
from rimrep_assets.ports.sources.protocol import Glance, Pick, Sighting
from rimrep_assets.ports.sources.selection import (
    SIDECARS,
    Chosen,
    Selection,
    choose,
    digest_of_members,
    is_one_file,
    is_shapefile,
    is_store,
    members_of_store,
    picked,
    refuse_unsafe,
)

GLANCE_S = (5.0, 15.0)
"""to connect and to answer: who glances comes again, and has others to look at"""
CONNECTIONS = 4
EVERYTHING = Selection(("**",))
_UNKNOWN = "not asked yet"


class HttpFolder:
    """``url`` names a file, or a folder when it ends (or is redirected to end) in ``/``.

    A file that has a validator is asked for on condition (304: unchanged); one that has none, or that was
    changed within two seconds of the last answer, is downloaded and digested each time.
    ``trust_validators=False`` downloads everything: it finds what a server re-issued under its old ETag
    and time.
    """

    def __init__(
        self,
        url: str,
        selection: Selection | None = None,
        *,
        cache: DownloadCache,
        client: HttpClient | None = None,
        trust_validators: bool = True,
    ) -> None:
        self.url = url
        self.selection = selection or Selection()
        self.cache = cache
        self.client = client or HttpClient()
        self.trust_validators = trust_validators
        self._known_base: str | None = _UNKNOWN
        self._listed: dict[str, tuple[int, str]] = {}

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``; a url that does not exist is a DefinitionError."""
        earlier = {file.name: file for file in known}
        try:
            base = self._base()
            names = self._names(base) if base else []
        except NotThere as error:
            raise DefinitionError(f"there is no source at {self.url} (status 404)") from error
        if base is None:
            name = self._own_name()
            only = picked([Chosen(name)], pick)
            return self._sight_all([Chosen(c.name, self._sidecars(c.name)) for c in only], earlier)
        return self._sight_all(picked(choose(names, self._selected(), address=self.url), pick), earlier)

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """See ``SourceFolder.glance``; a listing that tells sizes and seconds saves asking for every file."""
        return self._with(replace(self.client, attempts=2, timeout_s=GLANCE_S))._glance(known)

    def _with(self, client: HttpClient) -> HttpFolder:
        """The same source, not looked at yet, over another client."""
        return HttpFolder(self.url, self.selection, cache=self.cache, client=client)

    def _glance(self, known: Sequence[SourceFile]) -> Glance:
        try:
            base = self._base()
            chosen = choose(self._names(base), self._selected(), address=self.url) if base else []
        except NotThere as error:
            raise DefinitionError(f"there is no source at {self.url} (status 404)") from error
        if base is None:
            chosen = [Chosen(name := self._own_name(), self._sidecars(name))]
        members = sorted({name for one in chosen for name in one.members})
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            stamps = dict(zip(members, pool.map(self._stamp, members), strict=True))
        by_name = {one.name: one for one in chosen}
        marks = {name: [asdict(stamps[member]) for member in one.members] for name, one in by_name.items()}
        return glance_from(marks, known, lambda name, file: self._fits(by_name[name], file, stamps))

    def _stamp(self, name: str) -> Stamp:
        listed = self._listed.get(name)
        if listed is not None:
            return Stamp(listed[0], None, listed[1])
        return self._asked_stamp(name)

    def _asked_stamp(self, name: str) -> Stamp:
        try:
            return self.client.stamp(self._address(name))
        except NotThere as error:
            raise Unavailable(f"{error} was listed but is not there") from error

    def _fits(self, chosen: Chosen, file: SourceFile, stamps: Mapping[str, Stamp]) -> bool:
        if is_one_file(chosen.name):
            return stamps[chosen.name].fits(file)
        # Several parts have no validator together; that of each is remembered where it was downloaded.
        parts = {name: self.cache.seen(self._address(name)) for name in chosen.members}
        seen = [(name, part.digest) for name, part in parts.items() if part is not None and stamps[name].fits(part)]
        return len(seen) == len(parts) and digest_of_members(chosen.name, seen) == file.digest

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``; bytes that looking downloaded are not asked for again."""
        refuse_unsafe(file.name)
        try:
            found = [self._part(file, name) for name in self._members(file.name)]
        except NotThere as error:
            raise Unavailable(f"{error} was withdrawn after it was looked at") from error
        try:
            return deliver(file, [(name, path) for name, path, _ in found], to)
        except Unavailable:
            for _, _, digest in found:
                self.cache.drop(digest)
            raise

    def _base(self) -> str | None:
        """The address that the names count from, ending in ``/``; None when ``url`` names a file."""
        if self._known_base is _UNKNOWN:
            self._known_base = self.url
            if not urlsplit(self.url).path.endswith("/"):
                with self.client.get(self.url, {"Range": "bytes=0-0"}) as response:
                    final, kind = str(response.url), response.headers.get("Content-Type", "")
                self._known_base = final if urlsplit(final).path.endswith("/") else None
                if self._known_base is None and self._is_one_store:
                    self._known_base = f"{final}/"
                if self._known_base is None and is_web_page(kind, self._own_name()):
                    raise DefinitionError(f"{self.url} answers with a web page; the address of a folder ends in '/'")
            if self._known_base is not None and self._is_one_store:
                # Names count from the folder in which the store lies, as for every other store.
                self._known_base = urljoin(self._known_base, "..")
        return self._known_base

    def _selected(self) -> Selection:
        return EVERYTHING if self._is_one_store else self.selection

    @property
    def _is_one_store(self) -> bool:
        """Whether the address names a Zarr store itself."""
        return is_store(unquote(urlsplit(self.url).path.rstrip("/")))

    def _own_name(self) -> str:
        name = unquote(urlsplit(self.url).path.rstrip("/").rsplit("/", 1)[-1])
        refuse_unsafe(name)
        return name

    def _names(self, base: str) -> list[str]:
        """All files below ``base``, also in folders that the globs reach."""
        walk = self._walk(base)
        begin = f"{self._own_name()}/" if self._is_one_store else ""
        names = walk.names(begin, self._selected().may_hold)
        self._listed |= walk.stamps
        return names

    def _walk(self, base: str) -> HttpWalk:
        return HttpWalk(self.client, base, self.url)

    def _sight_all(self, chosen: Sequence[Chosen], known: Mapping[str, SourceFile]) -> Sighting:
        sighting: Sighting = []
        failed: list[RimrepError] = []
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            waiting = [(one, [pool.submit(self._ask, m, known.get(m)) for m in one.members]) for one in chosen]
            for one, futures in waiting:
                try:
                    sighting.append(_joined(one, [future.result() for future in futures]))
                except RimrepError as error:
                    failed.append(error)
                    # Of a server that is down, or refuses every file alike, nothing is learned by asking for all.
                    is_down = sum(isinstance(e, Unavailable) for e in failed) >= 3
                    if is_down or sum(e.problems == failed[-1].problems for e in failed) >= 3:
                        pool.shutdown(wait=True, cancel_futures=True)
                        break
        for kind in (DefinitionError, DataError, Unavailable):
            found = [error for error in failed if isinstance(error, kind)]
            # What concerns every file, as a login does, is said once.
            problems = list(dict.fromkeys(problem for error in found for problem in error.problems))
            advices = {error.advice for error in found}
            if problems:
                raise kind(problems, advice=advices.pop() if len(advices) == 1 else None)
        return sighting

    def _ask(self, name: str, known: SourceFile | None) -> SourceFile:
        """What lies at ``name`` now; asks on condition where an earlier sighting has a validator."""
        return self._ask_server(name, (self.cache.seen(self._address(name)), known) if self.trust_validators else ())

    def _ask_server(self, name: str, sightings: Sequence[SourceFile | None]) -> SourceFile:
        address = self._address(name)
        # A sighting without bytes has no digest of them to hand on.
        known = [file for file in sightings if file is not None and file.known_by == "bytes"]
        earlier = next((file for file in known if file.etag or file.last_modified), None)
        headers = _conditions(earlier) if earlier else {}
        try:
            with self.cache.temporary() as temporary:
                got = self.client.download(address, temporary, headers)
                if got is None and earlier is not None:
                    return earlier.model_copy(update={"name": name, "url": address, "place": None})
                return self._take_in(name, address, _whole(got, address), temporary)
        except NotThere as error:
            raise Unavailable(f"{address} was listed but is not there") from error

    def _take_in(self, name: str, address: str, got: Downloaded, temporary: Path) -> SourceFile:
        if is_web_page(got.content_type, name):
            raise Unavailable(f"{address} answers with a web page instead of the file")
        file = SourceFile(
            name=name,
            digest=got.digest,
            size=got.size,
            url=address,
            etag=got.etag,
            last_modified=got.last_modified,
        )
        self.cache.keep(temporary, got.digest)
        self.cache.remember(file)
        return file

    def _part(self, file: SourceFile, name: str) -> tuple[str, Path, str]:
        """``(name, path, digest)`` of one of the files that make up ``file``. Raises: NotThere."""
        address = self._address(name)
        if not is_one_file(file.name):
            seen = self.cache.seen(address)
            digest = seen.digest if seen else ""
        else:
            digest = file.digest
        path = self.cache.object(digest) if digest else None
        if path is not None:
            return name, path, digest
        with self.cache.temporary() as temporary:
            got = _whole(self.client.download(address, temporary), address)
            digest = self._take_in(name, address, got, temporary).digest
        path = self.cache.object(digest)
        if path is None:
            raise Unavailable(f"{address}: the download cache lost it; is its disk full?")
        return name, path, digest

    def _members(self, name: str) -> tuple[str, ...]:
        """All that belongs to ``name``. Raises: NotThere where a store has nothing any more."""
        base = self._base()
        if base is None or not is_store(name):
            return (name, *self._sidecars(name))
        members = members_of_store(name, self._walk(base).names(f"{name}/", lambda _: True))
        if not members:
            raise NotThere(self._address(name))
        return members

    def _sidecars(self, name: str) -> tuple[str, ...]:
        """The parts of a shapefile besides ``name``, from the listing or, without one, by asking for each."""
        if not is_shapefile(name):
            return ()
        base = self._base()
        if base is not None:
            folder = name[: name.rfind("/") + 1]
            beside = [folder + other for other in self._walk(base).listing(folder).files]
            return next((c.sidecars for c in choose(beside, EVERYTHING, address=self.url) if c.name == name), ())
        others = [name[:-4] + (suffix.upper() if name.endswith(".SHP") else suffix) for suffix in SIDECARS]
        return tuple(other for other in others if self._is_there(other))

    def _is_there(self, name: str) -> bool:
        try:
            self.client.get(self._address(name), {"Range": "bytes=0-0"}).close()
        except NotThere:
            return False
        return True

    def _address(self, name: str) -> str:
        base = self._base()
        if base is not None:
            return base + quote(name)
        return self.url if name == self._own_name() else urljoin(self.url, quote(name))


def _joined(chosen: Chosen, parts: Sequence[SourceFile]) -> SourceFile:
    """A file of a source from the sightings of its members."""
    if is_one_file(chosen.name):
        return parts[0]
    first = parts[0].url
    return SourceFile(
        name=chosen.name,
        digest=digest_of_members(chosen.name, [(part.name, part.digest) for part in parts]),
        size=sum(part.size for part in parts),
        url=first[: first.rindex(quote(chosen.name)) + len(quote(chosen.name))] if is_store(chosen.name) else first,
    )


def _whole(got: Downloaded | None, address: str) -> Downloaded:
    if got is None:
        raise Unavailable(f"{address}: status 304 to a question without a condition")
    return got


def _conditions(earlier: SourceFile) -> dict[str, str]:
    headers = {"If-None-Match": earlier.etag, "If-Modified-Since": earlier.last_modified}
    return {name: value for name, value in headers.items() if value is not None}


def is_web_page(content_type: str, name: str) -> bool:
    return content_type.split(";")[0].strip().lower() == "text/html" and not name.lower().endswith((".html", ".htm"))
