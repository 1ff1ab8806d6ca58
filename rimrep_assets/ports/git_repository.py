"""Running git, and the files of one commit: which there are, and their texts when somebody asks for them.

Here belongs reading objects of a repository on this machine. Not here: what the files mean (``catalog``), or where the
repository comes from (``catalog.open_catalog``).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rimrep_assets.domain.errors import DefinitionError, RimrepError, Unavailable

READ = (".yaml", ".yml", ".json", ".jsonnet", ".libsonnet", ".geojson", ".csv", ".py", ".md")
LARGEST_FILE = 10_000_000
"""bytes; a description is text that people wrote, and a hostile blob must not fill the memory"""


def git(
    *arguments: str, repository: Path | None = None, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git without the user's configuration, hooks, prompts or exotic transports."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/nonexistent"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        "LC_ALL": "C",
    }
    where = ["--git-dir", str(repository)] if repository else []
    # A catalog on a shared disk may belong to another user; it is only read.
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", *where, *arguments]
    try:
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=300, env=environment)
    except FileNotFoundError as error:
        raise RimrepError("git is not installed", advice="install git.") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {arguments[0]} did not end within 300 s") from error


def list_blobs(repository: Path, location: str, commit: str) -> tuple[dict[str, str], frozenset[str]]:
    """``(path -> blob, paths that are read)`` of ``commit``; links and submodules are left out.

    Raises: DefinitionError when the commit cannot be read.
    """
    listing = git("ls-tree", "-r", "-z", "--long", commit, repository=repository)
    if listing.returncode:
        raise DefinitionError(f"the catalog {location} cannot be read at {commit[:7]}: {listing.stderr.decode()}")
    blobs: dict[str, str] = {}
    readable = set()
    for line in filter(None, listing.stdout.decode(errors="surrogateescape").split("\0")):
        head, name = line.split("\t", 1)
        mode, kind, blob, size = head.split()
        # Links and submodules lead out of the commit.
        if kind != "blob" or mode == "120000":
            continue
        blobs[name] = blob
        if name.endswith(READ) and int(size) <= LARGEST_FILE:
            readable.add(name)
    return blobs, frozenset(readable)


def read_blobs(repository: Path, blobs: Sequence[str]) -> list[str]:
    """The texts of ``blobs``, in one call of git. Raises: DefinitionError when the repository lacks one."""
    if not blobs:
        return []
    batch = git("cat-file", "--batch", repository=repository, stdin="".join(f"{b}\n" for b in blobs).encode())
    texts: list[str] = []
    data, position = batch.stdout, 0
    for blob in blobs:
        end = data.find(b"\n", position)
        head = data[position:end].split() if end >= 0 else []
        if len(head) != 3:
            raise DefinitionError(f"the catalog's repository lacks the object {blob}", advice="run `git fsck` there.")
        length = int(head[2])
        texts.append(data[end + 1 : end + 1 + length].decode("utf-8", errors="replace"))
        position = end + 1 + length + 1
    return texts


class CommitTexts(Mapping[str, str]):
    """path -> text of one commit; nothing is read before it is asked for, and then what is read together."""

    def __init__(self, repository: Path, blobs: Mapping[str, str], readable: frozenset[str]) -> None:
        self._repository, self._blobs, self._readable = repository, blobs, readable
        self._texts: dict[str, str] = {}

    def __contains__(self, path: object) -> bool:
        return path in self._readable

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._readable))

    def __len__(self) -> int:
        return len(self._readable)

    def __getitem__(self, path: str) -> str:
        if path not in self._texts:
            if path not in self._readable:
                raise KeyError(path)
            kind = _kind(path)
            missing = [p for p in self._readable if _kind(p) == kind and p not in self._texts]
            self._texts |= zip(missing, read_blobs(self._repository, [self._blobs[p] for p in missing]), strict=True)
        return self._texts[path]


def _kind(path: str) -> str:
    """Files of one kind are read by one call of git: every ``dataset.yaml``, the rest of one folder, what is shared."""
    parts = path.split("/")
    if parts[0] != "datasets" or len(parts) < 3:
        return ""
    return parts[2] if parts[2:] == ["dataset.yaml"] else parts[1] + "/"
