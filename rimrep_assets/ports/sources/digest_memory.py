"""Digests of local files, remembered so that unchanged bytes are not read again.

Here belongs when a remembered digest may be believed. Not here: which files are looked at (``local_folder``).
"""

from __future__ import annotations

import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path

from rimrep_assets.domain.errors import Unavailable

# A file written twice within one tick of its clock keeps its times; git calls such an entry racy and reads it
# again (https://git-scm.com/docs/racy-git). FAT has the coarsest tick, two seconds.
RACY_NS = 2_000_000_000


class DigestMemory:
    """sha256 by path and file state, kept in one small JSON file; losing it costs time only."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._remembered: dict[str, list[int | str]] = _read(file)
        self._current: dict[str, list[int | str]] = {}

    def digest_of(self, path: Path) -> tuple[str, int]:
        """``(sha256, bytes)`` of ``path``.

        Raises: Unavailable when the file keeps changing while it is read, or cannot be read.
        """
        try:
            return self._digest_of(path)
        except OSError as error:
            raise Unavailable(f"{path.name} cannot be read: {error.strerror}") from error

    def _digest_of(self, path: Path) -> tuple[str, int]:
        for _ in range(3):
            before = _state(path)
            known = self._remembered.get(str(path))
            if known is not None and known[1:] == before:
                self._current[str(path)] = known
                return str(known[0]), path.stat().st_size
            looked_at = self._file_clock()
            with path.open("rb") as stream:
                digest = _sha256(stream)
            if _state(path) != before:
                continue
            # Both times: a writer can set mtime to what it likes, ctime it cannot.
            if max(before[1], before[2]) + RACY_NS < looked_at:
                self._current[str(path)] = [digest, *before]
            return digest, before[0]
        raise Unavailable(f"{path.name} is still being written")

    def remembered(self, path: Path) -> str | None:
        """The digest of ``path`` without reading it; None unless it is in the state in which it was read."""
        known = self._remembered.get(str(path))
        return str(known[0]) if known is not None and known[1:] == _state(path) else None

    @staticmethod
    def state_of(path: Path) -> list[int]:
        """Size, times and inode: what tells that a file may have been written."""
        return _state(path)

    def save(self, *, forget: bool = True) -> None:
        """Keep what this looking found, and nothing of files that are gone.

        ``forget=False``: only some files were looked at, and what is remembered of the others stays.
        """
        if not forget:
            self._current = {**self._remembered, **self._current}
        if self.file is None or self._current == self._remembered:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.file.parent, prefix=".digests-")
        with os.fdopen(handle, "w") as stream:
            json.dump(self._current, stream)
        Path(temporary).replace(self.file)

    def _file_clock(self) -> int:
        """Now, as the file system of the memory tells it; 0 (believe nothing later) without one."""
        if self.file is None:
            return 0
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.file.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime_ns


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _sha256(stream: object) -> str:
    from hashlib import file_digest

    return file_digest(stream, sha256).hexdigest()  # type: ignore[arg-type]


def _read(file: Path | None) -> dict[str, list[int | str]]:
    if file is None or not file.exists():
        return {}
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    ok = isinstance(found, dict) and all(isinstance(v, list) and len(v) == 5 for v in found.values())
    return found if ok else {}
