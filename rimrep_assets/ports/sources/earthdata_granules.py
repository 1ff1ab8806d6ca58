"""The granules of a collection, as NASA's catalogue (CMR) tells them, and the files that they are made of.

Here belongs asking CMR for all of them and reading its answers. Not here: logging in (``earthdata_login``; the search
asks as anybody), or fetching files (``earthdata_folder``).
Source: https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html (granule search, search after);
https://git.earthdata.nasa.gov/projects/EMFD/repos/unified-metadata-model/browse/granule (UMM-G).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.ports.sources.http_client import HttpClient, is_loopback
from rimrep_assets.ports.sources.http_transfer import Stamp
from rimrep_assets.ports.sources.http_walk import MOST_FILES
from rimrep_assets.ports.sources.selection import refuse_unsafe

PAGE = 2000
"""granules that one answer may hold at most"""
ALGORITHMS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}
"""checksums of UMM-G that can be computed here, by their names without dashes; of others the mark alone is used"""
NO_NAME = "Not provided"
"""what CMR says where a description in an older format has no name"""
MOST_NAMED = 5


@dataclass(frozen=True)
class GranuleFile:
    """One file of a granule; ``checksum`` is ``(algorithm, hex digits)`` where it can be computed."""

    name: str
    url: str
    stamp: Stamp
    checksum: tuple[str, str] | None = None

    def is_in(self, path: Path) -> bool:
        """Whether the bytes at ``path`` have the checksum; they have where there is none."""
        if self.checksum is None:
            return True
        algorithm, digits = self.checksum
        with path.open("rb") as stream:
            return file_digest(stream, algorithm).hexdigest() == digits


def search_url(cmr: str, query: Mapping[str, str]) -> str:
    """The address of the search; https://cmr.earthdata.nasa.gov/search/granules.umm_json?... for people to open too."""
    return f"{cmr}/search/granules.umm_json?{urlencode(query, safe=',:')}"


def find_files(client: HttpClient, url: str) -> dict[str, GranuleFile]:
    """Name -> file of every granule that the search at ``url`` finds.

    Raises: NotThere, Unavailable as the client does, and when the search breaks off; DefinitionError when the catalogue
    does not understand it; DataError naming every granule without a file that can be fetched, every name that leads
    elsewhere, and every name that several granules share.
    """
    found: dict[str, tuple[str, GranuleFile]] = {}
    without, shared, problems = [], [], []
    for granule in sorted(_find_granules(client, url), key=lambda one: one.id):
        if not granule.files:
            without.append(granule.id)
        for file in granule.files:
            try:
                refuse_unsafe(file.name)
            except DataError as error:
                problems.append(f"granule {granule.id}: {error.problems[0]}")
                continue
            owner, other = found.setdefault(file.name, (granule.id, file))
            if other.url != file.url:
                shared.append(f"{file.name} is a file of {owner} and of {granule.id}")
    if without:
        problems.append(f"{_some(without)}: no link to data by https")
    if shared:
        problems.append(f"{_some(shared)}; provider, concept_id or temporal may tell them apart")
    if problems:
        raise DataError([f"{urlsplit(url).hostname}: {problem}" for problem in problems])
    return {name: file for name, (_, file) in found.items()}


def _some(words: Sequence[str]) -> str:
    told = ", ".join(words[:MOST_NAMED])
    return told if len(words) <= MOST_NAMED else f"{told} and {len(words) - MOST_NAMED} more"


@dataclass(frozen=True)
class _Granule:
    """What is kept of one: its description is a hundred times as large."""

    id: str
    revision: int
    files: list[GranuleFile]


def _find_granules(client: HttpClient, url: str) -> list[_Granule]:
    """All granules, over all pages."""
    found: dict[str, _Granule] = {}
    page, after = f"{url}&page_size={PAGE}", None
    while True:
        try:
            text, headers = client.document(page, {"CMR-Search-After": after} if after else {})
        except DataError as error:
            advice = "open this address in a browser, where it says why, and mend the dataset's source."
            raise DefinitionError(f"the search is refused: {error.problems[0]}", advice=advice) from error
        granules, hits = _page(text, url)
        for granule in granules:
            # Between two pages a granule may be revised, and then stands on both.
            found[granule.id] = max(found.get(granule.id, granule), granule, key=lambda one: one.revision)
        if headers.get("CMR-Timed-Out", "").lower() == "true":
            raise Unavailable(f"{url}: the search took CMR too long and is not complete")
        if len(found) > MOST_FILES:
            raise DataError(f"{url}: more than {MOST_FILES} granules; temporal or bbox would take fewer")
        after = headers.get("CMR-Search-After")
        if not (granules and after):
            break
    if len(found) < hits:
        # A page that is missing is not taken for granules that were withdrawn.
        raise Unavailable(f"{url}: the search broke off after {len(found)} of {hits} granules")
    return list(found.values())


def _page(text: str, url: str) -> tuple[list[_Granule], int]:
    also_http = is_loopback(urlsplit(url).hostname)
    try:
        told = json.loads(text)
        granules = [
            _Granule(item["meta"]["concept-id"], int(item["meta"]["revision-id"]), files_of(item, also_http=also_http))
            for item in told["items"]
        ]
        return granules, int(told["hits"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"{url} does not answer with granules: {error!r}") from error


def files_of(item: Mapping[str, Any], *, also_http: bool = False) -> list[GranuleFile]:
    """The files of one granule: its own links to data, by https, to no service and with no query."""
    umm = item["umm"]
    told = (umm.get("DataGranule") or {}).get("ArchiveAndDistributionInformation") or []
    described = {one["Name"]: one for one in told if one.get("Name", NO_NAME) != NO_NAME}
    links = [one["URL"] for one in umm.get("RelatedUrls") or [] if _is_data(one)]
    links = [url for url in dict.fromkeys(links) if _is_plain(url, also_http)]
    # What is told of the only file is told of the only link; granules from older descriptions have no names.
    nameless = told[0] if len(told) == len(links) == 1 and not described else {}
    files: dict[str, GranuleFile] = {}
    for url in links:
        path = unquote(urlsplit(url).path)
        # An archive may name its files with folders; what it does not name is called as the link ends.
        own = [name for name in described if path.endswith(f"/{name}")]
        name = max(own, key=len, default=path.rpartition("/")[2])
        if name and name not in files:
            # Of a file in two places the first is taken.
            files[name] = _file(name, url, described.get(name, nameless), item["meta"])
    return list(files.values())


def _is_data(link: Mapping[str, Any]) -> bool:
    # granules.json says the same by the rel .../fedsearch/1.1/data#, but tells neither checksum nor revision.
    return link["Type"] == "GET DATA" and "OPENDAP" not in link.get("Subtype", "")


def _is_plain(url: str, also_http: bool) -> bool:
    parts = urlsplit(url)
    scheme_fits = parts.scheme == "https" or (also_http and parts.scheme == "http")
    host = parts.hostname or ""
    return scheme_fits and bool(host) and "@" not in parts.netloc and not parts.query and "opendap" not in host


def _file(name: str, url: str, told: Mapping[str, Any], meta: Mapping[str, Any]) -> GranuleFile:
    size = told.get("SizeInBytes")
    checksum = told.get("Checksum") or {}
    value, algorithm = str(checksum.get("Value", "")).lower(), str(checksum.get("Algorithm", "")).lower()
    computed = ALGORITHMS.get(algorithm.replace("-", ""))
    if value:
        # What is told of a granule changes oftener than its bytes; the checksum is of these.
        revision = f"{algorithm}:{value}"
    else:
        revision = f"{meta.get('concept-id')} revision {meta.get('revision-id')} of {meta.get('revision-date')}"
    return GranuleFile(
        name=name,
        url=_encoded(url),
        stamp=Stamp(size if isinstance(size, int) else None, None, None, revision),
        checksum=(computed, value) if computed and re.fullmatch(r"[0-9a-f]+", value) else None,
    )


def _encoded(url: str) -> str:
    """``url`` with letters that an address cannot hold written as it can."""
    return quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")
