"""Putting a source file where it was asked for: whole and with the right bytes, or not at all.

Here belongs copying and comparing. Not here: where the bytes come from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rimrep_assets.domain.errors import Unavailable
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.sources.selection import digest_of_members


def deliver(file: SourceFile, members: Sequence[tuple[str, Path]], to: Path) -> Path:
    """Copy ``members`` (name below the source, where it lies) below the folder ``to``; return ``to /
    file.name``.

    Raises: Unavailable when they cannot be read, or are not the bytes of ``file.digest``; ``to`` is as
    before then.
    """
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to, prefix=".fetch-") as staging:
        try:
            digests = [(name, _copy(path, Path(staging) / str(i))) for i, (name, path) in enumerate(members)]
        except OSError as error:
            raise Unavailable(f"{file.name} cannot be read: {error.strerror}") from error
        if not digests or digest_of_members(file.name, digests) != file.digest:
            raise Unavailable(f"{file.name} was changed after it was looked at")
        # Sidecars first: who sees the file itself finds them beside it.
        for i, (name, _) in reversed(list(enumerate(members))):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(staging) / str(i)).replace(to / name)
    return to / file.name


def _copy(path: Path, target: Path) -> str:
    digest = sha256()
    with path.open("rb") as stream, target.open("wb") as out:
        while block := stream.read(1 << 20):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()
