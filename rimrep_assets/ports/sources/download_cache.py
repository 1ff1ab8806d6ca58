"""What was downloaded, kept by digest, so that looking and fetching do not download twice.

Here belongs the folder ``objects/<sha256>`` and what was last seen at each address. Not here: asking a
server. Everything in it may be deleted at any time; that costs time only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from rimrep_assets.domain.source_file import SourceFile


class DownloadCache:
    """A folder that several processes may use at once: files appear whole, by a rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def object(self, digest: str) -> Path | None:
        """The file with these bytes, or None; using it keeps it from ``shrink`` for a while."""
        path = self._object(digest)
        if not path.is_file():
            return None
        os.utime(path)
        return path

    def urls_and_places(self, files: Iterable[SourceFile]) -> list[tuple[str, str]]:
        """``(url, file uri in this cache)`` of every file, in their order; the place holds it once it was fetched."""
        return [(file.url, self._object(file.digest).absolute().as_uri()) for file in files]

    def keep(self, temporary: Path, digest: str) -> Path:
        """Take the file at ``temporary`` in under its digest."""
        path = self._object(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        return temporary.replace(path)

    def drop(self, digest: str) -> None:
        """Throw away bytes that turned out not to be what their name says."""
        self._object(digest).unlink(missing_ok=True)

    def seen(self, url: str) -> SourceFile | None:
        """What was last seen at ``url``."""
        try:
            return SourceFile.model_validate_json(self._seen(url).read_bytes())
        except (OSError, ValidationError):
            return None

    def remember(self, file: SourceFile) -> None:
        """Note ``file`` as what was last seen at its url."""
        path = self._seen(file.url)
        with self.temporary() as fresh:
            fresh.write_text(file.model_dump_json())
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.replace(path)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path to write to; what still lies there at the end is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, prefix="part-")
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def shrink(self, max_bytes: int) -> int:
        """Remove the objects that were used longest ago until ``max_bytes`` are left; return the bytes
        removed.
        """
        found = [(p.stat(), p) for p in (self.folder / "objects").glob("*/*")]
        total, removed = sum(state.st_size for state, _ in found), 0
        for state, path in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
            if total - removed <= max_bytes:
                break
            path.unlink(missing_ok=True)
            removed += state.st_size
        return removed

    def _object(self, digest: str) -> Path:
        return self.folder / "objects" / digest[:2] / digest

    def _seen(self, url: str) -> Path:
        return self.folder / "seen" / f"{sha256(url.encode()).hexdigest()}.json"
