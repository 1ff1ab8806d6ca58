"""A proposed ``datapackage.json`` and collection: words that the files carry, and marked guesses for the others.

Here belongs what people will read about the dataset. Not here: the form of the data (``proposal_table``,
``proposal_grid``), or whether a datapackage is valid (``datapackage``).

What a file says of itself is taken as it is, without control characters and cut to length; nothing of it is trusted
to be an address, an email or a licence until it has the form of one.
Source: https://wiki.esipfed.org/Attribute_Convention_for_Data_Discovery_1-3 (names of global attributes)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rimrep_assets.domain.proposal import Guess, in_one_line
from rimrep_assets.domain.proposal_marks import GUESS, guesses_in

LONGEST = {"title": 200, "description": 5_000, "citation": 1_000, "name": 200, "keyword": 80}
MOST_KEYWORDS = 20
NOBODY = re.compile(r"(your|insert|enter)\b.*|n/?a|none|null|unknown|tb[cd]|todo|-+|\?+", re.IGNORECASE)
"""what people leave in forms"""
_EMAIL = re.compile(r"[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+")
_URL = re.compile(r"https?://[^\s<>\"']+")
_DOI = re.compile(r"\b10\.[0-9]{4,}/[^\s\"<>]+")
_CC_URL = re.compile(r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)(?:/([a-z]{2})\b)?", re.IGNORECASE)
_CC_NAME = re.compile(r"\bCC[ -](BY(?:-(?:NC|SA|ND))*)[ -]v?(\d\.\d)\b", re.IGNORECASE)
_ONE_FILE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:T\d{2}|\b)|\b\d{8}T\d{4,6}|\b(?:19|20)\d{2}[01]\d[0-3]\d\b")
"""a day or a moment, which a file has and its dataset has not"""
_ONE_MOMENT = re.compile(r"\b\d{4}-?\d{2}-?\d{2}[T ]\d{2}:?\d{2}")
_PLACEHOLDER = re.compile(r"\[[^\[\]]*[A-Za-z]{3}[^\[\]]*\]")
"""what the reader of a template is to fill in, e.g. ``[year-of-data-download]``"""
_WHY = {
    "title": "made from the file's name",
    "description": "nothing in the files says it",
    "licenses": "no licence that is known stands in the files",
    "contributors": "the files name nobody",
    "keywords": "made from the file's name",
    "themes": "a marine dataset is assumed; ids stand in vocabularies/",
    "citation": "made from title and contributor",
    "sources": "the address that was given",
}


@dataclass
class Words:
    """``package``: datapackage.json; ``taken``: key -> attribute of the file whose words it holds."""

    package: dict[str, Any]
    taken: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    """key -> why the words of the file are marked as a guess"""

    def guesses(self, file: str) -> list[Guess]:
        """Every marked value with its reason."""
        return [
            Guess(file, place, text.removeprefix(GUESS), self._why(place.partition(".")[0]))
            for place, text in guesses_in(self.package)
        ]

    def _why(self, key: str) -> str:
        return self.doubts.get(key) or _WHY.get(key, "not known")


def words_from(
    dataset_id: str, title: str, keywords: Sequence[str], attributes: Mapping[str, Any], *, year: int, url: str | None
) -> Words:
    """What can be said of a dataset from its files' global ``attributes`` (any values) and its name.

    ``url``: where the data comes from, when it is an address that others can open; ``year`` stands in the citation.
    """
    told = _Told(attributes)
    words = Words({"profile": "data-package", "name": dataset_id})
    package = words.package
    package["title"] = told.text(words, "title", ("title",), 3) or GUESS + title
    package["description"] = told.text(words, "description", ("summary", "abstract", "description", "comment"), 20) or (
        f"{GUESS}Nobody has described this data yet: what was measured, where, when, how and by whom."
    )
    package["licenses"] = [_licence(words, told)]
    package["contributors"] = _contributors(words, told)
    package["keywords"] = (
        _keywords(words, told) or [GUESS + word for word in dict.fromkeys(keywords)] or [GUESS + title]
    )
    package["themes"] = [
        {"scheme": "Topic Category Keywords", "concepts": [{"id": f"{GUESS}oceans", "title": "Oceans"}]}
    ]
    doi = _DOI.search(" ".join(told.raw(name) for name in ("doi", "id", "references", "citation")))
    if doi:
        package["doi"] = doi[0].rstrip(".,;)")
        words.taken["doi"] = "doi, references or citation"
    package["citation"] = told.text(words, "citation", ("citation", "references"), 10) or _citation(package, year)
    sources = _sources(words, told, url)
    if sources:
        package["sources"] = sources
    return words


@dataclass
class _Told:
    attributes: Mapping[str, Any]

    def raw(self, name: str) -> str:
        """The attribute's text on one line; empty where it is absent, no text, or what people leave in forms."""
        value = next((v for k, v in self.attributes.items() if k.lower() == name), None)
        text = in_one_line(value, 20_000) if isinstance(value, str) else ""
        return "" if NOBODY.fullmatch(text) else text

    def text(self, words: Words, key: str, names: Sequence[str], least: int) -> str:
        """The first of the attributes that has at least ``least`` characters; its origin is noted.

        What speaks of one file, or waits to be filled in, is marked.
        """
        for name in names:
            text = in_one_line(self.raw(name), LONGEST[key])
            if len(text) < least:
                continue
            doubt = _doubt(key, text)
            if doubt:
                words.doubts[key] = f"the file's {name}; {doubt}"
                return GUESS + text.removeprefix(GUESS)
            words.taken[key] = name
            return text
        return ""


def _doubt(key: str, text: str) -> str:
    """Why words of one file may not be those of the dataset; empty where nothing speaks against them."""
    hole = _PLACEHOLDER.search(text)
    if hole:
        return f"{in_one_line(hole[0], 40)} is to be filled in"
    # A description may well tell from which day the data is.
    time = (_ONE_MOMENT if key == "description" else _ONE_FILE).search(text)
    return f"{time[0]} looks like the time of one file" if time else ""


def _licence(words: Words, told: _Told) -> dict[str, str]:
    text = told.raw("license") or told.raw("licence") or told.raw("rights")
    by_url, by_name = _CC_URL.search(text), _CC_NAME.search(text)
    if "creativecommons.org/publicdomain/zero" in text:
        words.taken["licenses"] = "license"
        return {"name": "CC0-1.0", "path": "https://creativecommons.org/publicdomain/zero/1.0/"}
    if by_url:
        kind, version, country = by_url[1], by_url[2], by_url[3]
        place = f"{country.lower()}/" if country else ""
        words.taken["licenses"] = "license"
        return {
            "name": f"CC-{kind.upper()}-{version}{f'-{country.upper()}' if country else ''}",
            "path": f"https://creativecommons.org/licenses/{kind.lower()}/{version}/{place}",
        }
    if by_name:
        words.taken["licenses"] = "license"
        path = f"https://creativecommons.org/licenses/{by_name[1].lower()}/{by_name[2]}/"
        return {"name": f"CC-{by_name[1].upper()}-{by_name[2]}", "path": path}
    said = in_one_line(text, LONGEST["title"])
    address = _URL.search(text)
    return {
        "name": f"{GUESS}other",
        "title": said or f"{GUESS}Unknown: ask who made the data under which licence it may be used",
        **({"path": address[0].rstrip(".,;)")} if address else {}),
    }


def _contributors(words: Words, told: _Told) -> list[dict[str, Any]]:
    names = [in_one_line(told.raw(name), LONGEST["name"]) for name in ("institution", "creator_name", "publisher_name")]
    found: list[dict[str, Any]] = [
        {"title": name, "roles": ["licensor", "producer"] if not number else ["author"]}
        for number, name in enumerate(dict.fromkeys(filter(None, names)))
    ]
    if not found:
        return [{"title": f"{GUESS}Unknown: the organisation that made the data", "roles": ["producer"]}]
    words.taken["contributors"] = "institution, creator_name, publisher_name"
    email = _EMAIL.fullmatch(told.raw("creator_email") or told.raw("contact") or told.raw("publisher_email"))
    if email:
        found[-1]["email"] = email[0]
        found[-1]["roles"] = [*found[-1]["roles"], "contact"]
    address = _URL.fullmatch(told.raw("creator_url") or told.raw("publisher_url"))
    if address:
        found[0]["path"] = address[0]
    return found


def _keywords(words: Words, told: _Told) -> list[str]:
    parts = re.split(r"[,;]|\s>\s", told.raw("keywords"))
    found = list(dict.fromkeys(in_one_line(part, LONGEST["keyword"]) for part in parts if part.strip()))
    if found:
        words.taken["keywords"] = "keywords"
    return found[:MOST_KEYWORDS]


def _citation(package: Mapping[str, Any], year: int) -> str:
    who = str(package["contributors"][0]["title"]).removeprefix(GUESS).partition(":")[0]
    return f"{GUESS}{who} ({year}). {str(package['title']).removeprefix(GUESS)}."


def _sources(words: Words, told: _Told, url: str | None) -> list[dict[str, str]]:
    found = [{"title": f"{GUESS}Where the data comes from", "path": url, "kind": "data"}] if url else []
    record = _URL.fullmatch(told.raw("metadata_link") or told.raw("infourl"))
    if record:
        words.taken["sources"] = "metadata_link or infoUrl"
        found.append({"title": "Metadata of the provider", "path": record[0], "kind": "metadata"})
    return found


def collection_text(collection_id: str, dataset_id: str) -> str:
    """``collection.jsonnet`` of a new collection: it says what its first dataset says, so nothing is guessed twice."""
    first = json.dumps(f"../../datasets/{dataset_id}/datapackage.json")
    return _COLLECTION.replace("@FIRST@", first).replace("@ID@", json.dumps(collection_id))


_COLLECTION = """// A collection that speaks with the words of its first dataset until it gets words of its own:
// write title, description, license, keywords and providers here when a second dataset joins.
local first = import @FIRST@;
local roles = ['licensor', 'producer', 'processor', 'host'];

{
  type: 'Collection',
  stac_version: '1.1.0',
  id: @ID@,
  title: first.title,
  description: first.description,
  license: first.licenses[0].name,
  keywords: first.keywords,
  providers: [
    {
      name: person.title,
      roles: [role for role in person.roles if std.member(roles, role)],
      [if std.objectHas(person, 'path') then 'url']: person.path,
    }
    for person in first.contributors
  ],
  links: [],
}
"""
