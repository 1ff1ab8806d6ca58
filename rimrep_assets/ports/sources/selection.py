"""Which names of a source are its files: globs, sidecars, and names that must not be followed.

Here belongs what is decided on names alone, the same for every kind of source. Not here: listing a folder.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePosixPath

from rimrep_assets.domain.errors import DataError, DefinitionError

SIDECARS = (".cpg", ".dbf", ".prj", ".shx")
"""Parts of a shapefile besides the .shp;
https://www.esri.com/content/dam/esrisites/sitecore-archive/Files/Pdfs/library/whitepapers/pdfs/shapefile.pdf
"""
HIDDEN_METADATA = (".zgroup", ".zattrs", ".zarray", ".zmetadata")
"""Files of a Zarr store of format 2 that describe it; https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html"""

GEODATABASE = ".gdb"
"""The folder of an Esri File Geodatabase"""


@dataclass(frozen=True)
class Selection:
    """Globs on the path below a source's address.

    ``*`` and ``?`` stay within one folder, ``**`` spans folders (also none), ``[...]`` is a set; case
    matters. Names that begin with a dot are never files of a source: editors and rsync write their
    unfinished files so.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether ``name`` is included and not excluded."""
        if any(part.startswith(".") for part in name.split("/")):
            return False
        return any(_glob(p).fullmatch(name) for p in self.include) and not any(
            _glob(p).fullmatch(name) for p in self.exclude
        )

    def may_hold(self, folder: str) -> bool:
        """Whether a file below ``folder`` could be taken, so that walking into it is worth while."""
        store = store_of(f"{folder}/")
        if store is not None:
            return self.takes(store)
        parts = folder.split("/")
        return not parts[-1].startswith(".") and any(_reaches(p.split("/"), parts) for p in self.include)


@dataclass(frozen=True)
class Chosen:
    """A file of a source and the sidecars that belong to it; or a Zarr store or FileGDB, whose ``sidecars`` are all it
    has."""

    name: str
    sidecars: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """All names that its bytes lie under, the file itself first."""
        inside = is_store(self.name) and self.sidecars
        return self.sidecars if inside else (self.name, *self.sidecars)


def choose(names: Iterable[str], selection: Selection, *, address: str) -> list[Chosen]:
    """Pick the files of a source from all ``names`` below ``address``, sorted; a sidecar is no file of its
    own.

    Raises: DataError when there is nothing at all, DefinitionError when nothing is taken by the globs.
    """
    stores, names = _stores(names, selection)
    everything = sorted({*names, *(one.name for one in stores)})
    by_folded = {name.lower(): name for name in everything}
    companions: dict[str, tuple[str, ...]] = {}
    for name in everything:
        if is_shapefile(name):
            found = (by_folded.get(name[:-4].lower() + suffix) for suffix in SIDECARS)
            companions[name] = tuple(other for other in found if other is not None)
    belongs = {other for others in companions.values() for other in others}
    held = {one.name for one in stores}
    single = [
        Chosen(name, companions.get(name, ()))
        for name in everything
        if name not in belongs and name not in held and selection.takes(name)
    ]
    chosen = sorted([*stores, *single], key=lambda one: one.name)
    if not everything:
        raise DataError(f"the source {address} is empty")
    if not chosen:
        raise DefinitionError(
            f"no file of the source {address} is taken by include {_listed(selection.include)}"
            + (f" without exclude {_listed(selection.exclude)}" if selection.exclude else "")
            + f"; it has {len(everything)} files, e.g. {everything[0]!r}"
        )
    return chosen


def _stores(names: Iterable[str], selection: Selection) -> tuple[list[Chosen], list[str]]:
    """The stores that are taken, and the names that lie in no store."""
    inside: dict[str, list[str]] = {}
    others = []
    for name in names:
        store = store_of(name)
        if store is None:
            others.append(name)
        else:
            inside.setdefault(store, []).append(name)
    # Stores that are not taken are told where nothing is.
    others += [store for store in inside if not selection.takes(store)]
    taken = {store: members_of_store(store, own) for store, own in inside.items() if selection.takes(store)}
    return [Chosen(store, members) for store, members in taken.items() if members], others


def members_of_store(store: str, names: Iterable[str]) -> tuple[str, ...]:
    """The files of a store, sorted; of hidden ones only its metadata: others are unfinished, or a program's own, as the
    locks of a FileGDB are."""
    own = {name for name in names if name.startswith(f"{store}/")}
    inner = {name: name[len(store) + 1 :].split("/") for name in own}
    shown = {n for n, parts in inner.items() if not any(part.startswith(".") for part in parts)}
    if store.lower().endswith(GEODATABASE):
        shown = {n for n in shown if not n.lower().endswith(".lock")}
    metadata = {n for n, parts in inner.items() if parts[-1] in HIDDEN_METADATA}
    return tuple(sorted(shown | metadata))


def picked(chosen: Sequence[Chosen], pick: Callable[[Sequence[str]], Collection[str]] | None) -> list[Chosen]:
    """Those of ``chosen`` whose names ``pick`` wants; all without it."""
    if pick is None:
        return list(chosen)
    wanted = set(pick([one.name for one in chosen]))
    return [one for one in chosen if one.name in wanted]


def is_shapefile(name: str) -> bool:
    """Whether ``name`` is the main part of a shapefile."""
    return name.lower().endswith(".shp")


def is_store(name: str) -> bool:
    """Whether ``name`` is a folder that holds a Zarr store or a FileGDB; a zip of one is a file."""
    return name.lower().endswith((".zarr", GEODATABASE))


def store_of(name: str) -> str | None:
    """The outermost folder in the path ``name`` that is a store; None where the file lies in none."""
    parts = name.split("/")
    found = next((number for number, part in enumerate(parts[:-1], start=1) if is_store(part)), None)
    return None if found is None else "/".join(parts[:found])


def is_one_file(name: str) -> bool:
    """Whether a file of a source is one file there, with a digest and a validator of its own."""
    return not (is_shapefile(name) or is_store(name))


def digest_of_members(name: str, digests: Sequence[tuple[str, str]]) -> str:
    """The digest of a file of a source from ``(name, sha256)`` of its members.

    A store's covers the names below its folder too: the same bytes under another key are another chunk.
    """
    if is_store(name):
        lines = sorted(f"{member.removeprefix(name + '/')} {digest}\n" for member, digest in digests)
        return sha256("".join(lines).encode()).hexdigest()
    return joint_digest(digests) if is_shapefile(name) else digests[0][1]


def joint_digest(members: Iterable[tuple[str, str]]) -> str:
    """One digest for a shapefile from ``(name, sha256)`` of its parts; their order and folder do not
    matter.
    """
    lines = sorted(f"{PurePosixPath(name).suffix.lower()} {digest}\n" for name, digest in members)
    return sha256("".join(lines).encode()).hexdigest()


def refuse_unsafe(name: str) -> None:
    """Raise DataError for a name that could lead out of a folder: ``..``, absolute, a drive, control
    characters.
    """
    parts = name.split("/")
    if (
        not name
        or name.startswith("/")
        or any(part in {"", ".", ".."} for part in parts)
        or "\\" in name
        or re.match(r"[A-Za-z]:", name)
        or any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    ):
        raise DataError(f"{name!r} is not a name of a file below the source's address")


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(repr(p) for p in patterns)


@lru_cache(maxsize=512)
def _glob(pattern: str) -> re.Pattern[str]:
    """``fnmatch`` with folders; https://docs.python.org/3/library/fnmatch.html knows none."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif rest[0] == "*":
            out, rest = out + "[^/]*", rest[1:]
        elif rest[0] == "?":
            out, rest = out + "[^/]", rest[1:]
        elif rest[0] == "[" and (end := _end_of_set(rest)) > 0:
            one = fnmatch.translate(rest[: end + 1]).removesuffix(r"\Z").removesuffix(r"\z")
            out, rest = f"{out}(?!/){one}", rest[end + 1 :]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return re.compile(out, re.DOTALL)


def _end_of_set(text: str) -> int:
    """Where the set that ``text`` begins with ends, -1 when it does not; a bracket that comes first is a member."""
    start = 2 if text.startswith("[!") else 1
    return text.find("]", start + 1 if text.startswith("]", start) else start)


def _reaches(pattern: list[str], folder: list[str]) -> bool:
    for position, part in enumerate(folder):
        if position >= len(pattern) - 1:
            return "**" in pattern[-1] if position == len(pattern) - 1 else False
        if "**" in pattern[position]:
            return True
        if not _glob(pattern[position]).fullmatch(part):
            return False
    return True
