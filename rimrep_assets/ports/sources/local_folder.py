"""A source on this machine: a folder or one file.

Here belongs walking it, and refusing what leads out of the folders that the platform may read. Not here:
which names count (``selection``), when bytes need not be read again (``digest_memory``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path

from rimrep_assets.domain.errors import DataError, DefinitionError, Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.delivery import deliver
from rimrep_assets.ports.sources.digest_memory import DigestMemory
from rimrep_assets.ports.sources.glancing import glance_from
from rimrep_assets.ports.sources.protocol import Glance, Pick, Sighting
from rimrep_assets.ports.sources.selection import (
    SIDECARS,
    Chosen,
    Selection,
    choose,
    digest_of_members,
    is_shapefile,
    is_store,
    members_of_store,
    picked,
    refuse_unsafe,
    store_of,
)


class LocalFolder:
    """``root`` must lie under one of ``allowed_roots``, and so must every file after its links are followed.

    ``address`` is how the catalog names the source; it stands in the urls of its files, so that no path of
    this machine is published. ``memory_file`` remembers digests between lookings.
    """

    def __init__(
        self,
        root: Path,
        selection: Selection | None = None,
        *,
        allowed_roots: Sequence[Path],
        address: str | None = None,
        memory_file: Path | None = None,
    ) -> None:
        self.root = root
        self.selection = selection or Selection()
        self.allowed = tuple(folder.resolve() for folder in allowed_roots)
        self.address = (address or root.as_posix()).rstrip("/")
        self.memory_file = memory_file

    def look(self, known: Sequence[SourceFile] = (), pick: Pick | None = None) -> Sighting:
        """See ``SourceFolder.look``. ``known`` is not needed: digests are remembered by the state of the
        file.
        """
        chosen = picked(self._chosen(), pick)
        memory = DigestMemory(self.memory_file)
        sighting: Sighting = []
        problems: list[str] = []
        for one in chosen:
            try:
                sighting.append(self._sight(one, memory))
            except Unavailable as error:
                problems += error.problems
        memory.save(forget=pick is None)
        if problems:
            raise Unavailable(problems)
        return sighting

    def glance(self, known: Sequence[SourceFile] = ()) -> Glance:
        """See ``SourceFolder.glance``: a file is unchanged when its digest is remembered for its state."""
        chosen = {one.name: one for one in self._chosen()}
        memory = DigestMemory(self.memory_file)
        try:
            marks = {
                name: [DigestMemory.state_of(self._path(member)) for member in one.members]
                for name, one in chosen.items()
            }
        except OSError as error:
            raise Unavailable(f"{self.address} cannot be read: {error.strerror}") from error
        return glance_from(marks, known, lambda name, file: self._remembered(chosen[name], memory) == file.digest)

    def _remembered(self, chosen: Chosen, memory: DigestMemory) -> str | None:
        """The digest of a file as the memory has it; None when a member was changed, or was never read."""
        digests = [(name, memory.remembered(self._path(name))) for name in chosen.members]
        known = [(name, digest) for name, digest in digests if digest is not None]
        if len(known) < len(digests):
            return None
        return digest_of_members(chosen.name, known)

    def fetch(self, file: SourceFile, to: Path) -> Path:
        """See ``SourceFolder.fetch``."""
        refuse_unsafe(file.name)
        self._refuse_outside(self.root)
        members = self._members_of(file.name)
        for _, path in members:
            self._refuse_outside(path)
        return deliver(file, members, to)

    def path_of(self, name: str) -> Path:
        """Where a file lies on this machine. Raises: DefinitionError when that is no folder that may be read."""
        refuse_unsafe(name)
        path = self._path(name)
        self._refuse_outside(path)
        return path

    def digest_now(self, name: str) -> str:
        """The sha256 of a file's bytes as they are now. Raises: as ``path_of``; OSError when it is gone."""
        with self.path_of(name).open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()

    def _chosen(self) -> list[Chosen]:
        self._refuse_outside(self.root)
        if not self.root.exists():
            raise DefinitionError(f"there is no source {self.address} (looked at {self.root})")
        if self.root.is_file():
            beside = [p.name for p in self.root.parent.iterdir() if p.is_file()]
            only = choose(beside, Selection(("**",)), address=self.address)
            return [c for c in only if c.name == self.root.name] or [Chosen(self.root.name)]
        problems: list[str] = []
        below = f"{self.root.name}/" if self._is_one else ""
        names = list(self._walk(self.root, below, (), problems))
        if problems:
            raise DataError(problems)
        return choose(names, Selection(("**",)) if below else self.selection, address=self.address)

    def _walk(self, folder: Path, below: str, above: tuple[Path, ...], problems: list[str]) -> Iterator[str]:
        """Names of all files; a link that leaves the allowed roots is a problem, one that runs in a
        circle ends.
        """
        here = folder.resolve()
        if here in above:
            return
        for path in sorted(folder.iterdir()):
            name = f"{below}{path.name}"
            if path.is_symlink() and not self._is_allowed(path):
                problems.append(f"{name} is a link that leads out of the folders that may be read")
            elif path.is_dir():
                if self._is_one or self.selection.may_hold(name):
                    yield from self._walk(path, f"{name}/", (*above, here), problems)
            elif path.is_file() and (not path.name.startswith(".") or store_of(name) is not None):
                yield name

    def _sight(self, chosen: Chosen, memory: DigestMemory) -> SourceFile:
        for name in chosen.members:
            self._refuse_outside(self._path(name))
        found = [(name, *memory.digest_of(self._path(name))) for name in chosen.members]
        return SourceFile(
            name=chosen.name,
            digest=digest_of_members(chosen.name, [(n, d) for n, d, _ in found]),
            size=sum(size for _, _, size in found),
            url=self.address if self._is_one else f"{self.address}/{chosen.name}",
        )

    def _members_of(self, name: str) -> list[tuple[str, Path]]:
        path = self._path(name)
        if is_store(name) and path.is_dir():
            problems: list[str] = []
            names = list(self._walk(path, f"{name}/", (), problems))
            if problems:
                raise DataError(problems)
            return [(own, self._path(own)) for own in members_of_store(name, names)]
        if not path.is_file():
            raise Unavailable(f"{name} was withdrawn after it was looked at")
        members = [(name, path)]
        if is_shapefile(name):
            base = name[: -len(path.name)]
            members += [
                (base + p.name, p)
                for p in sorted(path.parent.iterdir())
                if p.stem.lower() == path.stem.lower() and p.suffix.lower() in SIDECARS
            ]
        return members

    def _path(self, name: str) -> Path:
        return self.root.parent / name if self._is_one else self.root / name

    @property
    def _is_one(self) -> bool:
        """Whether the address names one file, or one Zarr store."""
        return self.root.is_file() or is_store(self.root.name)

    def _is_allowed(self, path: Path) -> bool:
        real = path.resolve()
        return any(real == folder or folder in real.parents for folder in self.allowed)

    def _refuse_outside(self, path: Path) -> None:
        if not self._is_allowed(path):
            raise DefinitionError(
                f"the source {self.address} does not lie in a folder that may be read",
                advice="move it beside the catalog, or name its folder in RIMREP_SOURCES.",
            )
