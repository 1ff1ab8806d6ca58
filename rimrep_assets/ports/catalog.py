"""The catalog: the git repository in which people describe datasets, read at a commit.

Here belongs finding a commit and reading its files, and handing a dataset's folder over as values. Not here: what
may stand in ``dataset.yaml`` (``domain/dataset``), or what a description becomes (``domain/datapackage``, ``stac``).
A work tree is never read: what is not committed does not exist.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from rimrep_assets.domain.curated_columns import column_problems
from rimrep_assets.domain.curated_shapes import shape_problems
from rimrep_assets.domain.dataset import Dataset, dataset_from_yaml
from rimrep_assets.domain.errors import DefinitionError, Unavailable
from rimrep_assets.domain.table_column_metadata import with_column_metadata
from rimrep_assets.domain.table_schema_promises import broken_promises
from rimrep_assets.domain.table_steps_join import geometry_problems, with_geometries
from rimrep_assets.ports.git_repository import LARGEST_FILE, CommitTexts, git, list_blobs
from rimrep_assets.ports.jsonnet_evaluator import evaluate
from rimrep_assets.ports.jsonnet_imports import JsonnetFiles, closure, real_path

PROFILE = "templates/gbr-dms-data-package.json"
SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


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
        return tuple(sorted(self._folders))

    def dataset(self, dataset_id: str) -> Dataset:
        """``dataset.yaml``, and the file of geometries that it may name. Raises: DefinitionError."""
        path = f"datasets/{dataset_id}/dataset.yaml"
        if path not in self.texts:
            from rimrep_assets.domain.strict_model import nearest

            hint = nearest(dataset_id, self.dataset_ids)
            raise DefinitionError(f"the catalog has no {path} at {self.commit[:7]}{hint}", dataset=dataset_id)
        dataset = _parsed(self.texts[path], dataset_id)
        step = dataset.convert.join_geometry
        if step is None:
            return dataset
        return with_geometries(dataset, self._beside(dataset, "join_geometry", step.file))

    def _beside(self, dataset: Dataset, step: str, file: str) -> str:
        """The text of a file beside ``dataset.yaml``. Raises: DefinitionError."""
        path = f"datasets/{dataset.id}/{file}"
        if path in self.texts:
            return self.texts[path]
        what = f"is larger than {LARGEST_FILE:,} bytes" if path in self.blobs else "is not there"
        raise DefinitionError(f"{step} names {path}, which {what} at {self.commit[:7]}", dataset=dataset.id)

    def endpoints(self, environment: str) -> Mapping[str, Any]:
        """The evaluated ``endpoints/<environment>.libsonnet``. Raises: DefinitionError naming what there is."""
        path = f"endpoints/{environment}.libsonnet"
        if path not in self.texts:
            known = sorted(Path(p).stem for p in self.texts if p.startswith("endpoints/"))
            raise DefinitionError(
                f"the catalog has no {path}; it has endpoints for: {', '.join(known) or 'no environment'}",
                advice="name one of these with --environment or RIMREP_ENVIRONMENT, or add the file.",
            )
        return self._evaluated(path, environment)

    def collection(self, collection_id: str, environment: str) -> Mapping[str, Any]:
        """The rendered ``collection.jsonnet``. Raises: DefinitionError."""
        main = collection_path(collection_id)
        if main not in self.texts:
            raise DefinitionError(f"the catalog has no {main} for collection {collection_id!r}")
        return self._evaluated(main, environment)

    def folder(self, dataset_id: str, environment: str) -> DatasetFolder:
        """Everything about one dataset. Raises: DefinitionError with all that is wrong with its files."""
        problems: list[str] = []
        dataset: Dataset | None = None
        if dataset_id not in self._folders:
            # One thing is wrong; that the files in it are missing too is no news.
            self.dataset(dataset_id)
        try:
            dataset = self.dataset(dataset_id)
        except DefinitionError as error:
            problems += error.problems
        curated = self._json(f"datasets/{dataset_id}/datapackage.json", problems)
        profile = self._json(PROFILE, problems)
        schema: Mapping[str, Any] | None = None
        collection: Mapping[str, Any] | None = None
        endpoints: Mapping[str, Any] | None = None
        try:
            endpoints = self.endpoints(environment)
        except DefinitionError as error:
            problems += error.problems
        if dataset is not None:
            schema = self.schema(dataset, problems)
            problems += geometry_problems(dataset)
            try:
                collection = self.collection(dataset.collection, environment)
                problems += shape_problems("collection.jsonnet", collection)
                if collection.get("id") != dataset.collection:
                    main = collection_path(dataset.collection)
                    problems.append(f"{main}: id {collection.get('id')!r} is not {dataset.collection!r}")
            except DefinitionError as error:
                problems += error.problems
        if curated is not None and curated.get("name") != dataset_id:
            problems.append(f"datapackage.json: name {curated.get('name')!r} is not the dataset's id")
        if problems or dataset is None or curated is None or collection is None or endpoints is None:
            raise DefinitionError(problems, dataset=dataset_id)
        return DatasetFolder(
            dataset=dataset,
            curated=curated,
            schema=schema,
            collection=collection,
            endpoints=endpoints,
            profile=profile or {},
            commit=self.commit,
            commit_time=self.time,
            description_digest=self.description_digest(dataset, environment),
        )

    def schema(self, dataset: Dataset, problems: list[str]) -> Mapping[str, Any] | None:
        """The curated schema, None where there is none yet; what is wrong with it is added to ``problems``."""
        path = f"datasets/{dataset.id}/{schema_name(dataset)}"
        if path not in self.texts:
            if dataset.convert.column_metadata is not None:
                problems.append(f"column_metadata adds to tableschema.json, and there is no {path}")
            return None
        schema = self._json(path, problems)
        wrong = shape_problems(schema_name(dataset), schema) if schema is not None else []
        if schema is not None and not wrong and dataset.format == "parquet":
            wrong = column_problems(dataset, schema)
        problems += wrong
        if schema is not None and not wrong and dataset.format == "parquet":
            problems += broken_promises(schema, dataset)
        step = dataset.convert.column_metadata
        if step is None or schema is None or wrong:
            return schema
        try:
            text = self._beside(dataset, "column_metadata", step.file)
        except DefinitionError as error:
            problems += error.problems
            return schema
        return with_column_metadata(schema, step, text, problems)

    def description_digest(self, dataset: Dataset, environment: str) -> str:
        """Of all that describes ``dataset``: its folder, what its jsonnet imports, the endpoints and the profile.

        Nothing is evaluated, so that a thousand of them cost little.
        """
        own = self._folders.get(dataset.id, ())
        shared = (*self.reached_by_all(environment), *self.reached_by(dataset.collection, environment))
        return _digest([(p, self.blobs[p]) for p in sorted({*own, *shared})])

    def reached_by_all(self, environment: str) -> tuple[str, ...]:
        """The files that describe every dataset: the endpoints, what they import, and the profile."""
        found = closure(f"endpoints/{environment}.libsonnet", self._jsonnet(environment))
        profile = {PROFILE} & self.blobs.keys()
        return tuple(sorted({real_path(path, environment) for path in found} | profile))

    def reached_by(self, collection_id: str, environment: str) -> tuple[str, ...]:
        """The files that describe every dataset of a collection, besides ``reached_by_all``."""
        key = (collection_id, environment)
        if key not in self._reached:
            found = closure(collection_path(collection_id), self._jsonnet(environment))
            self._reached[key] = tuple(sorted({real_path(path, environment) for path in found}))
        return self._reached[key]

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        """dataset id -> every path in its folder"""
        found: dict[str, list[str]] = {}
        for path in self.blobs:
            if path.startswith("datasets/") and path.count("/") >= 2:
                found.setdefault(path.split("/")[1], []).append(path)
        return found

    @cached_property
    def _reached(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {}

    @cached_property
    def _documents(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {}

    def _evaluated(self, main: str, environment: str) -> Mapping[str, Any]:
        """``main`` rendered, once for each environment; every reader gets a document of its own."""
        if (main, environment) not in self._documents:
            files = self._jsonnet(environment)
            needed = {path: files[path] for path in closure(main, files)}
            self._documents[main, environment] = evaluate(main, needed).document
        return copy.deepcopy(self._documents[main, environment])

    def _jsonnet(self, environment: str) -> JsonnetFiles:
        return JsonnetFiles(self.texts, environment)

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


def collection_path(collection_id: str) -> str:
    """Where the catalog describes a collection."""
    return f"collections/{collection_id}/collection.jsonnet"


@lru_cache(maxsize=4096)
def _parsed(text: str, dataset_id: str) -> Dataset:
    """Most datasets stay as they are from commit to commit; a dataset is a value, so that one may serve all."""
    return dataset_from_yaml(text, folder=dataset_id)


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

    def has_ancestor(self, ancestor: str, commit: str) -> bool:
        """Whether ``commit`` came from ``ancestor`` (or is it); False also where the repository lacks one of them."""

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

    def has_ancestor(self, ancestor: str, commit: str) -> bool:
        order = list(self._commits)
        return ancestor in order and commit in order and order.index(ancestor) <= order.index(commit)


class GitCatalog:
    """A git repository on this machine (bare or with a work tree, which is not looked at)."""

    def __init__(self, repository: Path, location: str | None = None) -> None:
        self.repository = repository
        self.location = location or str(repository)
        self._is_local = location is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GitCatalog) and (self.repository, self.location) == (other.repository, other.location)

    def __hash__(self) -> int:
        return hash((self.repository, self.location))

    @property
    def place(self) -> Path | None:
        if not self._is_local:
            return None
        return self.repository.parent if self.repository.name == ".git" else self.repository

    def resolve(self, revision: str = "HEAD") -> str:
        if revision.startswith("-"):
            raise DefinitionError(f"{revision!r} is not a commit")
        asked = ("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        done = git("rev-parse", *asked, repository=self.repository)
        if done.returncode:
            raise DefinitionError(
                f"the catalog {self.location} has no commit {revision!r}",
                advice="commit the catalog's files first; a work tree is never read.",
            )
        return done.stdout.decode().strip()

    def at(self, commit: str) -> CatalogCommit:
        # A full sha that was read already names the same files for ever: git is not asked again.
        return _read_commit(self, commit if SHA.fullmatch(commit) else self.resolve(commit))

    def has_ancestor(self, ancestor: str, commit: str) -> bool:
        if not (SHA.fullmatch(ancestor) and SHA.fullmatch(commit)):
            return False
        return git("merge-base", "--is-ancestor", ancestor, commit, repository=self.repository).returncode == 0


@lru_cache(maxsize=8)
def _read_commit(catalog: GitCatalog, commit: str) -> CatalogCommit:
    commit = catalog.resolve(commit)
    blobs, readable = list_blobs(catalog.repository, catalog.location, commit)
    stamp = git("show", "-s", "--format=%ct", commit, repository=catalog.repository).stdout.decode().strip()
    texts = CommitTexts(catalog.repository, blobs, readable)
    return CatalogCommit(catalog.location, commit, datetime.fromtimestamp(int(stamp), UTC), blobs, texts)


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
