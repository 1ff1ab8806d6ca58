"""Sources whose files stay where they are and are referred to: a sighting tells where readers find each, and its mark.

Here belongs what a place is on this machine and on a web server, which files have none, and noticing another mark
over the same bytes. Not here: writing references (``grid_virtual``), or looking at sources whose files are copied
(``local_folder``, ``http_folder``), to which neither place nor mark matters.

Readers are refused as soon as the mark of a file is another than that of the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.source_file import Place, SourceFile
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.http_transfer import Stamp, http_date
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.protocol import Glance, Pick, Sighting, SourceFolder
from rimrep_assets.ports.sources.selection import Chosen, is_one_file

PLAIN_LETTERS = re.compile(r"[A-Za-z0-9._~/=,+-]*")
"""letters that no library writes in another way; a reference is found by comparing addresses"""
ADVICE = "take layout.virtual out of dataset.yaml, so that the data is copied."


def address_of(source: SourceFolder, file: SourceFile) -> str:
    """The address of ``file`` for readers. Raises: DefinitionError where it cannot be referred to."""
    if isinstance(source, LocalFolder):
        path = source.path_of(file.name).resolve()
        if not PLAIN_LETTERS.fullmatch(path.as_posix()):
            raise _refused(file, "its path has letters that may be written in several ways")
        return path.as_uri()
    address = urlsplit(file.url)
    problem = ""
    if address.scheme not in ("http", "https"):
        problem = "it does not lie on a web server or in a folder"
    elif address.query:
        problem = "its address has a query"
    elif address.port is not None:
        problem = f"its address names port {address.port}, which Icechunk leaves out"
    elif not PLAIN_LETTERS.fullmatch(address.path):
        problem = "its address has letters that may be written in several ways"
    if problem:
        raise _refused(file, problem)
    return file.url


def place_of(source: SourceFolder, file: SourceFile) -> Place:
    """Where readers find ``file``, and its mark: of a local file as it is now, else as the sighting tells it.

    Raises: DefinitionError where it cannot be referred to; Unavailable when a local file is gone.
    """
    url = address_of(source, file)
    if isinstance(source, LocalFolder):
        return Place(url=url, etag=_etag_here(source, file))
    if _is_strong(file.etag):
        return Place(url=url, etag=file.etag)
    if http_date(file.last_modified) is None:
        # The source drops both where a file was changed so lately that a second change could bear the same mark.
        raise _refused(file, "its server tells neither an ETag nor a time by which a later change could be noticed")
    return Place(url=url, last_modified=file.last_modified)


def locate(source: SourceFolder, file: SourceFile) -> Place:
    """``place_of`` a file that is about to be referred to: its bytes and its mark must be those that were looked at.

    Raises: DefinitionError where it cannot be referred to; Unavailable when it was changed after it was looked at.
    """
    place = place_of(source, file)
    same = file.place in (None, place)
    if same and isinstance(source, LocalFolder):
        try:
            # The mark on both sides of the bytes: it is theirs then.
            same = source.digest_now(file.name) == file.digest and place_of(source, file) == place
        except OSError as error:
            raise _withdrawn(file) from error
    if not same:
        raise Unavailable(f"{file.name} was changed after it was looked at")
    return place


class ReferredLocal(LocalFolder):
    """A folder on this machine that readers see under the same path."""

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``; files know their ``place``, save those that cannot be referred to."""
        return _with_places(self, super().look(known, pick))

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """See ``SourceFolder.glance``; a file with another mark is named too."""
        seen = super().glance(known)
        there = [file for file in known if file.name not in seen.names]
        remarked = {
            old.name for old, new in zip(there, _with_places(self, there), strict=True) if old.place != new.place
        }
        return Glance(tuple(sorted({*seen.names, *remarked})), seen.state)


class ReferredHttp(HttpFolder):
    """A web server to which readers are sent: it is asked for the mark of every file, which no listing tells whole."""

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``; files know their ``place``, save those that cannot be referred to."""
        return _with_places(self, super().look(known, pick))

    def _with(self, client: HttpClient) -> HttpFolder:
        return ReferredHttp(self.url, self.selection, cache=self.cache, client=client)

    def _stamp(self, name: str) -> Stamp:
        return self._asked_stamp(name)

    def _fits(self, chosen: Chosen, file: SourceFile, stamps: Mapping[str, Stamp]) -> bool:
        if not super()._fits(chosen, file, stamps) or not is_one_file(chosen.name):
            return False
        stamp = stamps[chosen.name]
        now = file.model_copy(update={"etag": stamp.etag, "last_modified": stamp.last_modified})
        return _with_places(self, [now])[0].place == file.place

    def _ask_server(self, name: str, sightings: Sequence[SourceFile | None]) -> SourceFile:
        # A weak ETag may stay the same while the time, which is the mark then, becomes another: it is left out of the
        # condition, so that an unchanged file is one with an unchanged time.
        asked = [s and s.model_copy(update={} if _is_strong(s.etag) else {"etag": None}) for s in sightings]
        return super()._ask_server(name, asked)


def _with_places(source: SourceFolder, files: Iterable[SourceFile]) -> Sighting:
    return [file.model_copy(update={"place": _place_or_none(source, file)}) for file in files]


def _place_or_none(source: SourceFolder, file: SourceFile) -> Place | None:
    if not is_one_file(file.name):
        return None
    try:
        return place_of(source, file)
    except DefinitionError:
        # Looking must not stop here: staging says of all files together why they cannot be referred to.
        return None


def _etag_here(source: LocalFolder, file: SourceFile) -> str:
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore

    path = source.path_of(file.name).resolve()
    try:
        told = LocalStore(path.parent).head(path.name)["e_tag"]
    except (OSError, BaseError) as error:
        raise _withdrawn(file) from error
    # Icechunk's own store of local files tells it without quotes.
    return str(told).strip('"')


def _is_strong(etag: str | None) -> bool:
    return etag is not None and not etag.startswith("W/")


def _withdrawn(file: SourceFile) -> Unavailable:
    return Unavailable(f"{file.name} was withdrawn after it was looked at")


def _refused(file: SourceFile, problem: str) -> DefinitionError:
    return DefinitionError(f"layout.virtual: {file.name}: {problem}", advice=ADVICE)
