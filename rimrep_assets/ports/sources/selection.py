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
        parts = folder.split("/")
        return not parts[-1].startswith(".") and any(_reaches(p.split("/"), parts) for p in self.include)


@dataclass(frozen=True)
class Chosen:
    """A file of a source and the sidecars that belong to it."""

    name: str
    sidecars: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """All names that its bytes lie under, the file itself first."""
        return (self.name, *self.sidecars)


def choose(names: Iterable[str], selection: Selection, *, address: str) -> list[Chosen]:
    """Pick the files of a source from all ``names`` below ``address``, sorted; a sidecar is no file of its
    own.

    Raises: DataError when there is nothing at all, DefinitionError when nothing is taken by the globs.
    """
    everything = sorted(set(names))
    by_folded = {name.lower(): name for name in everything}
    companions: dict[str, tuple[str, ...]] = {}
    for name in everything:
        if is_shapefile(name):
            found = (by_folded.get(name[:-4].lower() + suffix) for suffix in SIDECARS)
            companions[name] = tuple(other for other in found if other is not None)
    belongs = {other for others in companions.values() for other in others}
    chosen = [
        Chosen(name, companions.get(name, ())) for name in everything if name not in belongs and selection.takes(name)
    ]
    if not everything:
        raise DataError(f"the source {address} is empty")
    if not chosen:
        raise DefinitionError(
            f"no file of the source {address} is taken by include {_listed(selection.include)}"
            + (f" without exclude {_listed(selection.exclude)}" if selection.exclude else "")
            + f"; it has {len(everything)} files, e.g. {everything[0]!r}"
        )
    return chosen


def picked(chosen: Sequence[Chosen], pick: Callable[[Sequence[str]], Collection[str]] | None) -> list[Chosen]:
    """Those of ``chosen`` whose names ``pick`` wants; all without it."""
    if pick is None:
        return list(chosen)
    wanted = set(pick([one.name for one in chosen]))
    return [one for one in chosen if one.name in wanted]


def is_shapefile(name: str) -> bool:
    """Whether ``name`` is the main part of a shapefile."""
    return name.lower().endswith(".shp")


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
