"""The work tree of a catalog in which `rimrep init` writes, and the place that its source gets.

Here belongs finding or beginning a work tree, and writing files that are not there yet. Not here: what the files say
(``domain/proposal_*``), or reading a catalog, which happens at a commit (``catalog``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files as packaged
from importlib.resources.abc import Traversable
from pathlib import Path

from rimrep_assets.domain.errors import DefinitionError, RimrepError
from rimrep_assets.ports.git_repository import git
from rimrep_assets.ports.proposal_source import Seen, members_of

NEW = "catalog"
"""the folder, below the current one, in which a catalog is begun where none is named"""
COPIED_BYTES = 500_000_000
"""sources up to this size are copied beside the catalog where it may not read them in their place"""
SHARED = ("templates", "vocabularies")
LAPTOP = """// Where this machine keeps and serves things; other environments get files beside this one.
{
  environment: 'development',
  store: null,  // a folder of this user; or 's3://bucket-{access}/prefix'
  files_url: { public: null, limited: null },
  pygeoapi: 'http://127.0.0.1:5050',
  stac_api: null,
}
"""
README = """# A catalog

One folder a dataset below `datasets/`, one a collection below `collections/`. It is read at a commit: commit what
should count. `rimrep check` says what is wrong, `rimrep publish DATASET` publishes.
"""


@dataclass(frozen=True)
class Placing:
    """Where the source stands for the catalog; ``copies``: file to copy -> path beside the catalog."""

    url: str
    include: str | None
    copies: Mapping[Path, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkTree:
    """A git work tree; ``is_new`` where it is yet to be made."""

    folder: Path
    is_new: bool

    @classmethod
    def of(cls, told: str | None) -> WorkTree:
        """The work tree at ``told``; without it ``./catalog``, which is begun when it is not there.

        Raises: DefinitionError for an address, a bare repository, and a folder that is no repository.
        """
        clone = "clone it (`git clone ADDRESS catalog`) and give the clone: --catalog catalog."
        if told and ("://" in told or told.startswith("git@")):
            raise DefinitionError(f"the catalog {told} is on another machine, and files are written", advice=clone)
        folder = Path(told or NEW).expanduser().absolute()
        if (folder / ".git").exists():
            return cls(folder, is_new=False)
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            raise DefinitionError(f"the catalog {folder} is a bare repository: it has no files to write", advice=clone)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DefinitionError(
                f"{folder} is there, and is no git repository", advice="name the work tree of a catalog with --catalog."
            )
        if told and not folder.exists():
            raise DefinitionError(
                f"there is no catalog {folder}",
                advice="clone one there; or leave --catalog out, and a new one is begun in ./catalog.",
            )
        return cls(folder, is_new=True)

    def has(self, path: str) -> bool:
        return os.path.lexists(self.folder / path)

    def placing(self, seen: Seen, dataset_id: str, source_roots: tuple[Path, ...]) -> Placing:
        """Where the catalog finds the source: on the web, in its place, or as a copy in ``../sources/<id>``."""
        include = None if seen.is_file else seen.family.include
        if seen.is_http:
            return Placing(seen.url, include)
        assert seen.folder is not None
        place = seen.folder / seen.family.names[0] if seen.is_file else seen.folder
        beside = self.folder.resolve().parent
        if place.is_relative_to(beside):
            return Placing(Path(os.path.relpath(place, self.folder.resolve())).as_posix(), include)
        if any(place.is_relative_to(root.resolve()) for root in source_roots):
            return Placing(place.as_posix(), include)
        if seen.total > COPIED_BYTES:
            roots = os.pathsep.join(str(root) for root in (*source_roots, seen.folder))
            note = (
                f"{place} does not lie beside the catalog and is too large to be copied ({seen.total / 1e6:.0f} MB): "
                "it is read in its place, which RIMREP_SOURCES must allow"
            )
            return Placing(place.as_posix(), include, notes=(note,), variables={"RIMREP_SOURCES": roots})
        target = beside / "sources" / dataset_id
        copies = {m: target / m.relative_to(seen.folder) for name in seen.family.names for m in members_of(seen, name)}
        note = f"{place} does not lie beside the catalog, so that it was copied to {target}; new files belong there"
        return Placing(f"../sources/{dataset_id}", seen.family.include, copies, notes=(note,))

    def write(self, files: Mapping[str, bytes], placing: Placing) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Write ``files`` and what a new catalog needs, and copy the source; paths written, paths copied.

        Raises: DefinitionError naming every file that is there already; then nothing is written.
        """
        wanted = {**self._lacking(), **files}
        there = [path for path in wanted if self.has(path)]
        other = [str(to) for source, to in placing.copies.items() if to.exists() and not _same_bytes(source, to)]
        if there or other:
            raise DefinitionError(
                [f"{path} is there already, and is not overwritten" for path in (*there, *other)],
                advice="give the dataset another --id, or remove these files.",
            )
        if self.is_new:
            done = git("init", "--quiet", "--initial-branch=main", str(self.folder))
            if done.returncode:
                raise RimrepError(f"git could not begin {self.folder}: {done.stderr.decode(errors='replace').strip()}")
        for path, data in wanted.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            # Exclusive: what somebody else wrote meanwhile stays.
            with (self.folder / path).open("xb") as file:
                file.write(data)
        for source, to in placing.copies.items():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)
        copied = tuple(os.path.relpath(to, self.folder) for to in placing.copies.values())
        return tuple(wanted), copied

    def _lacking(self) -> dict[str, bytes]:
        """What every catalog needs and this one has not."""
        found: dict[str, bytes] = {}
        if self.is_new:
            found = {"README.md": README.encode()}
            for folder in SHARED:
                found |= dict(_walk(packaged("rimrep_examples") / "catalog" / folder, f"{folder}/"))
        else:
            profile = "templates/gbr-dms-data-package.json"
            if not self.has(profile):
                found[profile] = (packaged("rimrep_examples") / "catalog" / profile).read_bytes()
        if not any((self.folder / "endpoints").glob("*.libsonnet")):
            found["endpoints/development.libsonnet"] = LAPTOP.encode()
        return found


def _walk(folder: Traversable, below: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{below}{entry.name}/")
        else:
            found.append((f"{below}{entry.name}", entry.read_bytes()))
    return found


def _same_bytes(one: Path, other: Path) -> bool:
    import filecmp

    return filecmp.cmp(one, other, shallow=False)
