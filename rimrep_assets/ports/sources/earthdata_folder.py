"""A source at NASA Earthdata: the files of a collection's granules.

Here belongs what a sighting asks of the catalogue and what of the archive. Not here: searching
(``earthdata_granules``), logging in (``earthdata_login``), or transferring, keeping and delivering files, which is the
same as for every web server (``http_folder``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.earthdata_granules import GranuleFile, find_files, search_url
from rimrep_assets.ports.sources.earthdata_login import EarthdataAccess, EarthdataLogin
from rimrep_assets.ports.sources.http_client import HttpClient
from rimrep_assets.ports.sources.http_folder import EVERYTHING, HttpFolder
from rimrep_assets.ports.sources.http_transfer import Downloaded, Stamp
from rimrep_assets.ports.sources.selection import Selection, choose, is_one_file, is_store, members_of_store

PAGE_BEGINS = (b"<!doctype html", b"<html")
PAGE_ADVICE = (
    "try again later; if it stays so, open the address in a browser as the platform's user of Earthdata: the page says "
    "what is missing, a login, a licence or an approval."
)


class EarthdataFolder(HttpFolder):
    """A folder whose listing is the catalogue's answer to ``query``, and whose files are handed out after a login.

    A file whose size and checksum (or, without one, whose granule's revision) the catalogue tells as before is not
    asked for. ``access.refuse_unsafe`` has been called. ``trust_validators=False`` downloads everything.
    """

    def __init__(
        self,
        query: Mapping[str, str],
        selection: Selection | None = None,
        *,
        access: EarthdataAccess,
        cache: DownloadCache,
        client: HttpClient | None = None,
        trust_validators: bool = True,
    ) -> None:
        client = replace(client or HttpClient(), may_lead_inside=access.is_here)
        super().__init__(
            search_url(access.cmr, query),
            selection,
            cache=cache,
            client=replace(client, login=EarthdataLogin(access, client)),
            trust_validators=trust_validators,
        )
        self.query = dict(query)
        self.access = access
        # The catalogue answers everybody; a token that expired would make it refuse what it tells without one.
        self._as_anybody = client
        self._files: dict[str, GranuleFile] | None = None
        self._urls: dict[str, str] = {}

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``; the catalogue is not asked for a file whose address is known."""
        if is_one_file(file.name):
            self._urls.setdefault(file.name, file.url)
        return super().fetch(file, to)

    def _with(self, client: HttpClient) -> HttpFolder:
        plain = replace(client, login=None)
        return EarthdataFolder(self.query, self.selection, access=self.access, cache=self.cache, client=plain)

    def _base(self) -> str:
        return self.url

    def _names(self, base: str) -> list[str]:
        self._files = find_files(self._as_anybody, base)
        self._urls = {name: file.url for name, file in self._files.items()}
        if not self._files:
            raise DataError(
                f"the source {self.url} is empty",
                advice="compare short_name, version, provider, bbox and temporal with what people who are not logged "
                "in see at https://search.earthdata.nasa.gov; collections that not everybody may see are not found.",
            )
        return list(self._files)

    def _listed_files(self) -> dict[str, GranuleFile]:
        if self._files is None:
            self._names(self.url)
        return self._files or {}

    def _stamp(self, name: str) -> Stamp:
        return self._listed_files()[name].stamp

    def _address(self, name: str) -> str:
        if name not in self._urls and name not in self._listed_files():
            raise Unavailable(f"{name} was withdrawn after it was looked at")
        return self._urls[name]

    def _members(self, name: str) -> tuple[str, ...]:
        if is_one_file(name):
            return (name,)
        names = list(self._listed_files())
        if is_store(name):
            return members_of_store(name, names)
        return next((c.members for c in choose(names, EVERYTHING, address=self.url) if c.name == name), (name,))

    def _ask(self, name: str, known: SourceFile | None) -> SourceFile:
        listed = self._listed_files()[name]
        sightings = [file for file in (self.cache.seen(listed.url), known) if file and self.trust_validators]
        for file in sightings:
            if listed.stamp.fits(file):
                return file.model_copy(update={"name": name, "url": listed.url})
        # Where the catalogue tells a checksum, an archive's cache that still has the old bytes is not believed.
        found = self._ask_server(name, [] if listed.checksum else sightings)
        if found.revision != listed.stamp.revision and listed.stamp.size in (None, found.size):
            found = found.model_copy(update={"revision": listed.stamp.revision})
            self.cache.remember(found)
        return found

    def _take_in(self, name: str, address: str, got: Downloaded, temporary: Path) -> SourceFile:
        if not name.lower().endswith((".html", ".htm")):
            with temporary.open("rb") as stream:
                begin = stream.read(256).lstrip().lower()
            if begin.startswith(PAGE_BEGINS):
                raise Unavailable(f"{address} answers with a web page instead of the file", advice=PAGE_ADVICE)
        listed = (self._files or {}).get(name)
        if listed is not None and not listed.is_in(temporary):
            raise Unavailable(
                f"{address} is not the file whose {(listed.stamp.revision or '').partition(':')[0]} checksum the "
                "catalogue tells: one of them is older, or it was damaged on the way"
            )
        return super()._take_in(name, address, got, temporary)
