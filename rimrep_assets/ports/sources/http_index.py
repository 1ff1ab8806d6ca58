"""What a web server's listing of a folder says lies in it.

Here belongs reading nginx's JSON listing and the HTML listings of nginx and Apache. Not here: fetching them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from rimrep_assets.domain.errors import DataError, RimrepError
from rimrep_assets.ports.sources.selection import refuse_unsafe


@dataclass(frozen=True)
class Listing:
    """Names in one folder, decoded, without their folder."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    stamps: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """file -> (bytes, HTTP date of its last change), where the listing tells both to the byte and the second"""


def read_listing(text: str, *, url: str) -> Listing:
    """Read the listing at ``url``, JSON or HTML.

    Source: https://nginx.org/en/docs/http/ngx_http_autoindex_module.html (autoindex_format).
    Raises: DataError naming every entry that would lead elsewhere, or when it is no listing.
    """
    stripped = text.lstrip()
    if stripped.startswith("["):
        entries = _json_entries(stripped, url)
    elif stripped.startswith("<"):
        entries = _html_entries(stripped)
    else:
        raise DataError(f"{url} is neither a JSON nor an HTML listing of a folder")
    problems = []
    for name, _ in entries:
        try:
            refuse_unsafe(name)
            if "/" in name:
                raise DataError(f"{name!r} is not a name in one folder")
        except RimrepError as error:
            problems += [f"{url}: {problem}" for problem in error.problems]
    if problems:
        raise DataError(problems)
    return Listing(
        files=tuple(sorted({name for name, is_folder in entries if not is_folder})),
        folders=tuple(sorted({name for name, is_folder in entries if is_folder})),
        stamps=_stamps(stripped) if stripped.startswith("[") else {},
    )


def _json_entries(text: str, url: str) -> list[tuple[str, bool]]:
    try:
        found = json.loads(text)
        return [(str(entry["name"]), entry["type"] == "directory") for entry in found]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{url} is not a JSON listing with name and type: {error!r}") from error


def _stamps(text: str) -> dict[str, tuple[int, str]]:
    return {
        str(entry["name"]): (entry["size"], entry["mtime"])
        for entry in json.loads(text)
        if isinstance(entry.get("size"), int) and isinstance(entry.get("mtime"), str)
    }


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _html_entries(text: str) -> list[tuple[str, bool]]:
    """Links that name something in this folder; sorting links, the parent and other places are not
    entries.
    """
    links = _Links()
    links.feed(text)
    entries = []
    for href in links.found:
        split = urlsplit(href)
        path = split.path.removeprefix("./")
        if split.scheme or split.netloc or not path or path.startswith("/"):
            continue
        segments = path.rstrip("/").split("/")
        # A link in plain letters to another folder is navigation; one that hides it by %2F is refused above.
        if len(segments) > 1 or segments[0] in {"", ".", ".."}:
            continue
        entries.append((unquote(segments[0]), path.endswith("/")))
    return entries
