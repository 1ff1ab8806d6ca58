"""The catalog: the git repository in which people describe datasets, read at a commit.

Here belongs finding a commit and reading its files, and handing a dataset's folder over as values. Not here: what
may stand in ``dataset.yaml`` (``domain/dataset``), or what a description becomes (``domain/datapackage``, ``stac``).
A work tree is never read: what is not committed does not exist.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from rimrep_assets.domain.curated_shapes import shape_problems
from rimrep_assets.domain.dataset import Dataset, dataset_from_yaml
from rimrep_assets.domain.errors import DefinitionError, RimrepError, Unavailable
from rimrep_assets.ports.jsonnet_evaluator import evaluate

PROFILE = "templates/gbr-dms-data-package.json"


@dataclass(frozen=True)
class DatasetFolder:
    """All that a commit says of one dataset."""

    dataset: Dataset
    curated: Mapping[str, Any]
    """datapackage.json as people wrote it"""
    schema: Mapping[str, Any] | None
    """tableschema.json or gridschema.json; None where the dataset is new and has none yet"""
    collection: Mapping[str, Any]
    """collection.jsonnet, rendered with the environment's endpoints"""
    endpoints: Mapping[str, Any]
    profile: Mapping[str, Any]
    commit: str
    commit_time: datetime
    description_digest: str
    """of the folder, of what its jsonnet imports, of the endpoints and of the profile"""


@dataclass(frozen=True)
class CatalogCommit:
    """The files of one commit: path -> digest of the blob, and their texts."""

    location: str
    commit: str
    time: datetime
    blobs: Mapping[str, str]
    texts: Mapping[str, str]

    @cached_property
    def dataset_ids(self) -> tuple[str, ...]:
        """Names of the folders below ``datasets/``, sorted."""
        return tuple(sorted({p.split("/")[1] for p in self.blobs if p.startswith("datasets/") and p.count("/") >= 2}))

    def dataset(self, dataset_id: str) -> Dataset:
        """``dataset.yaml`` alone. Raises: DefinitionError."""
        path = f"datasets/{dataset_id}/dataset.yaml"
        if path not in self.texts:
            from rimrep_assets.domain.strict_model import nearest

            hint = nearest(dataset_id, self.dataset_ids)
            raise DefinitionError(f"the catalog has no {path} at {self.commit[:7]}{hint}", dataset=dataset_id)
        return dataset_from_yaml(self.texts[path], folder=dataset_id)

    def endpoints(self, environment: str) -> Mapping[str, Any]:
        """The evaluated ``endpoints/<environment>.libsonnet``. Raises: DefinitionError naming what there is."""
        return self._endpoints_with_imports(environment)[0]

    def _endpoints_with_imports(self, environment: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        path = f"endpoints/{environment}.libsonnet"
        if path not in self.texts:
            known = sorted(Path(p).stem for p in self.texts if p.startswith("endpoints/"))
            raise DefinitionError(
                f"the catalog has no {path}; it has endpoints for: {', '.join(known) or 'no environment'}",
                advice="name one of these with --environment or RIMREP_ENVIRONMENT, or add the file.",
            )
        done = evaluate(path, self._jsonnet_files(environment))
        return done.document, (path, *done.imports)

    def folder(self, dataset_id: str, environment: str) -> DatasetFolder:
        """Everything about one dataset. Raises: DefinitionError with all that is wrong with its files."""
        problems: list[str] = []
        dataset: Dataset | None = None
        try:
            dataset = self.dataset(dataset_id)
        except DefinitionError as error:
            problems += error.problems
        curated = self._json(f"datasets/{dataset_id}/datapackage.json", problems)
        profile = self._json(PROFILE, problems)
        schema: Mapping[str, Any] | None = None
        collection: Mapping[str, Any] | None = None
        endpoints: Mapping[str, Any] | None = None
        imports: tuple[str, ...] = ()
        try:
            endpoints, imports = self._endpoints_with_imports(environment)
        except DefinitionError as error:
            problems += error.problems
        if dataset is not None:
            schema_path = f"datasets/{dataset_id}/{schema_name(dataset)}"
            if schema_path in self.texts:
                schema = self._json(schema_path, problems)
                problems += shape_problems(schema_name(dataset), schema) if schema is not None else []
            main = f"collections/{dataset.collection}/collection.jsonnet"
            try:
                if main not in self.texts:
                    raise DefinitionError(f"the catalog has no {main} for collection {dataset.collection!r}")
                rendered = evaluate(main, self._jsonnet_files(environment))
                collection, imports = rendered.document, (*imports, main, *rendered.imports)
                problems += shape_problems("collection.jsonnet", collection)
                if collection.get("id") != dataset.collection:
                    problems.append(f"{main}: id {collection.get('id')!r} is not {dataset.collection!r}")
            except DefinitionError as error:
                problems += error.problems
        if curated is not None and curated.get("name") != dataset_id:
            problems.append(f"datapackage.json: name {curated.get('name')!r} is not the dataset's id")
        if problems or dataset is None or curated is None or collection is None or endpoints is None:
            raise DefinitionError(problems, dataset=dataset_id)
        own = [p for p in self.blobs if p.startswith(f"datasets/{dataset_id}/")]
        alias = {"endpoints.libsonnet": f"endpoints/{environment}.libsonnet"}
        described_by = sorted({alias.get(p, p) for p in (*own, *imports, PROFILE)})
        return DatasetFolder(
            dataset=dataset,
            curated=curated,
            schema=schema,
            collection=collection,
            endpoints=endpoints,
            profile=profile or {},
            commit=self.commit,
            commit_time=self.time,
            description_digest=_digest([(p, self.blobs[p]) for p in described_by]),
        )

    def _jsonnet_files(self, environment: str) -> dict[str, str]:
        files = {p: t for p, t in self.texts.items() if p.endswith((".jsonnet", ".libsonnet", ".json"))}
        endpoints = f"endpoints/{environment}.libsonnet"
        if endpoints in files:
            files["endpoints.libsonnet"] = files[endpoints]
        return files

    def _json(self, path: str, problems: list[str]) -> Any:
        if path not in self.texts:
            problems.append(f"{path} is missing")
            return None
        try:
            value = json.loads(self.texts[path])
        except json.JSONDecodeError as error:
            problems.append(f"{path} is not JSON: {error}")
            return None
        if not isinstance(value, dict):
            problems.append(f"{path} is not a JSON object")
            return None
        return value


def schema_name(dataset: Dataset) -> str:
    """``tableschema.json`` or ``gridschema.json``."""
    return "tableschema.json" if dataset.format == "parquet" else "gridschema.json"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Catalog(Protocol):
    """Where the catalog is kept."""

    location: str

    def resolve(self, revision: str = "HEAD") -> str:
        """The full sha of ``revision``. Raises: DefinitionError when there is none such."""

    def at(self, commit: str) -> CatalogCommit:
        """The files of ``commit``. Raises: DefinitionError."""

    @property
    def place(self) -> Path | None:
        """The repository's folder, from which local sources are counted; None for one on another machine."""


class MemoryCatalog:
    """The twin: commits are dictionaries of texts, the newest is HEAD."""

    def __init__(self, place: Path | None = None) -> None:
        self.location = "memory://catalog"
        self._commits: dict[str, CatalogCommit] = {}
        self._place = place

    def commit(self, texts: Mapping[str, str], time: datetime) -> str:
        """Add a commit with exactly these files; return its sha."""
        blobs = {p: hashlib.sha1(t.encode(), usedforsecurity=False).hexdigest() for p, t in texts.items()}
        sha = hashlib.sha1(
            json.dumps([blobs, len(self._commits)], sort_keys=True).encode(), usedforsecurity=False
        ).hexdigest()
        self._commits[sha] = CatalogCommit(self.location, sha, time, blobs, dict(texts))
        return sha

    @property
    def place(self) -> Path | None:
        return self._place

    def resolve(self, revision: str = "HEAD") -> str:
        if revision == "HEAD" and self._commits:
            return list(self._commits)[-1]
        found = [sha for sha in self._commits if len(revision) >= 4 and sha.startswith(revision)]
        if len(found) != 1:
            raise DefinitionError(f"the catalog {self.location} has no commit {revision!r}")
        return found[0]

    def at(self, commit: str) -> CatalogCommit:
        return self._commits[self.resolve(commit)]


class GitCatalog:
    """A git repository on this machine (bare or with a work tree, which is not looked at)."""

    def __init__(self, repository: Path, location: str | None = None) -> None:
        self.repository = repository
        self.location = location or str(repository)
        self._is_local = location is None

    @property
    def place(self) -> Path | None:
        if not self._is_local:
            return None
        return self.repository.parent if self.repository.name == ".git" else self.repository

    def resolve(self, revision: str = "HEAD") -> str:
        if revision.startswith("-"):
            raise DefinitionError(f"{revision!r} is not a commit")
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if done.returncode:
            raise DefinitionError(
                f"the catalog {self.location} has no commit {revision!r}",
                advice="commit the catalog's files first; a work tree is never read.",
            )
        return done.stdout.decode().strip()

    def at(self, commit: str) -> CatalogCommit:
        return _read_commit(self, self.resolve(commit))

    def _git(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return git(*arguments, repository=self.repository, stdin=stdin)


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


READ = (".yaml", ".yml", ".json", ".jsonnet", ".libsonnet", ".py", ".md")
LARGEST_FILE = 5_000_000
"""bytes; a description is text that people wrote, and a hostile blob must not fill the memory"""


@lru_cache(maxsize=16)
def _read_commit_cached(repository: str, location: str, commit: str) -> CatalogCommit:
    path = Path(repository)
    listing = git("ls-tree", "-r", "-z", "--long", commit, repository=path)
    if listing.returncode:
        raise DefinitionError(f"the catalog {location} cannot be read at {commit[:7]}: {listing.stderr.decode()}")
    blobs: dict[str, str] = {}
    wanted: list[tuple[str, str]] = []
    for line in filter(None, listing.stdout.decode(errors="surrogateescape").split("\0")):
        head, name = line.split("\t", 1)
        mode, kind, blob, size = head.split()
        # Links and submodules lead out of the commit.
        if kind != "blob" or mode == "120000":
            continue
        blobs[name] = blob
        if name.endswith(READ) and int(size) <= LARGEST_FILE:
            wanted.append((name, blob))
    batch = git("cat-file", "--batch", repository=path, stdin="".join(f"{b}\n" for _, b in wanted).encode())
    texts: dict[str, str] = {}
    data, position = batch.stdout, 0
    for name, _ in wanted:
        end = data.index(b"\n", position)
        length = int(data[position:end].split()[2])
        texts[name] = data[end + 1 : end + 1 + length].decode("utf-8", errors="replace")
        position = end + 1 + length + 1
    stamp = git("show", "-s", "--format=%ct", commit, repository=path).stdout.decode().strip()
    return CatalogCommit(location, commit, datetime.fromtimestamp(int(stamp), UTC), blobs, texts)


def _read_commit(catalog: GitCatalog, commit: str) -> CatalogCommit:
    return _read_commit_cached(str(catalog.repository), catalog.location, commit)


def open_catalog(location: str, cache: Path) -> GitCatalog:
    """The catalog at a path, or at an http(s), ssh or file address, of which ``cache`` keeps a bare copy, fetched anew.

    Raises: DefinitionError when it is no git repository; Unavailable when its server does not answer.
    """
    if "://" not in location and not location.startswith("git@"):
        path = Path(location).expanduser().absolute()
        for repository in (path / ".git", path):
            if (repository / "HEAD").is_file() and (repository / "objects").is_dir():
                return GitCatalog(repository)
        raise DefinitionError(
            f"{location} is not a git repository",
            advice=f"run `git init && git add . && git commit` in {path}: the catalog is read at a commit.",
        )
    if location.startswith("-"):
        raise DefinitionError(f"{location!r} is not an address")
    copy = cache / hashlib.sha256(location.encode()).hexdigest()[:16]
    if not (copy / "HEAD").is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        done = git("clone", "--bare", "--quiet", "--", location, str(copy))
    else:
        heads = "+refs/heads/*:refs/heads/*"
        done = git("fetch", "--quiet", "--force", "--prune", "origin", heads, repository=copy)
    if done.returncode:
        raise Unavailable(f"the catalog {_without_password(location)} did not answer: {_last_line(done.stderr)}")
    return GitCatalog(copy, _without_password(location))


def _without_password(location: str) -> str:
    scheme, mark, rest = location.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if mark else location


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return _without_password(lines[-1]) if lines else "no message"
