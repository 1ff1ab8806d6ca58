"""The example catalog as a git repository.

Here belongs turning the packaged files into a commit. Not here: reading a catalog
(``rimrep_assets.ports.catalog``).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

BRANCH = "main"
NOT_OF_THE_CATALOG = ("__pycache__", "__init__.py")
WHO = {
    "GIT_AUTHOR_NAME": "RIMReP curators",
    "GIT_AUTHOR_EMAIL": "curators@example.org",
    "GIT_AUTHOR_DATE": "2024-04-02T00:00:00+10:00",
    "GIT_COMMITTER_NAME": "RIMReP curators",
    "GIT_COMMITTER_EMAIL": "curators@example.org",
    "GIT_COMMITTER_DATE": "2024-04-02T00:00:00+10:00",
}


def make_catalog(folder: Path) -> str:
    """Write the example catalog to the bare repository ``folder`` and return the sha of its commit.

    The same files give the same sha. A repository that is there already keeps its history: when its branch
    ``main`` exists, nothing is done and the sha of that is returned.
    Raises: subprocess.CalledProcessError when git cannot write there.
    """
    if not (folder / "HEAD").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _git(folder, "init", "--bare", "--quiet", f"--initial-branch={BRANCH}", ".")
    head = _git(folder, "for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}")
    if head:
        return head
    tree = _write_tree(folder, dict(catalog_files()))
    commit = _git(folder, "commit-tree", tree, "-m", "The example catalog", environment=WHO)
    _git(folder, "update-ref", f"refs/heads/{BRANCH}", commit)
    return commit


def catalog_files() -> Iterator[tuple[str, bytes]]:
    """``(path, content)`` of every file of the catalog, read from the package, sorted by path."""
    yield from sorted(_walk(files("rimrep_examples") / "catalog", ""))


def _walk(folder: Traversable, below: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name in NOT_OF_THE_CATALOG:
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{below}{entry.name}/")
        else:
            yield f"{below}{entry.name}", entry.read_bytes()


def _write_tree(repository: Path, content: dict[str, bytes]) -> str:
    """Store files and folders, innermost first; return the sha of the tree."""
    lines: list[str] = []
    inner: dict[str, dict[str, bytes]] = {}
    for path, data in content.items():
        name, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(name, {})[rest] = data
        else:
            blob = _git(repository, "hash-object", "-w", "--stdin", data=data)
            lines.append(f"100644 blob {blob}\t{name}")
    lines += [f"040000 tree {_write_tree(repository, below)}\t{name}" for name, below in inner.items()]
    return _git(repository, "mktree", data=("\n".join(lines) + "\n").encode())


def _git(repository: Path, *arguments: str, data: bytes = b"", environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        # Settings of the user must not change what is written.
        ["git", "-c", "core.autocrlf=false", "-c", "commit.gpgsign=false", "--git-dir=.", *arguments],
        cwd=repository,
        input=data,
        capture_output=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return done.stdout.decode().strip()
