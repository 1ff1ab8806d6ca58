"""What is due: a commit of the catalog against the newest releases, as cheaply as it can be known.

Here belongs which datasets a merge touched and what the store holds of them. Not here: the decision (``domain/plan``),
what is asked for and when again (``domain/requests``), or the sensors (``defs``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.plan import Due, Released, Wanted, data_fingerprint, documents_fingerprint, plan
from rimrep_assets.domain.release import Fingerprints
from rimrep_assets.ports.catalog import CatalogCommit
from rimrep_assets.ports.object_store import ObjectStore
from rimrep_assets.ports.reconciliation import NOT_DATASETS
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.workbench import Settings

CONNECTIONS = 16
"""records are read side by side: a store far away answers slowly, but many at once"""


@dataclass(frozen=True)
class Compared:
    """One dataset: as the commit wants it, and what is due."""

    dataset: Dataset
    wanted: Fingerprints
    release: int
    """number of the newest release; 0 before the first"""
    due: tuple[Due, ...]


def changed_datasets(before: CatalogCommit, after: CatalogCommit, environment: str) -> frozenset[str]:
    """The datasets of ``after`` whose folder, or anything that describes them, is not what it was.

    The same as comparing every dataset's ``description_digest``, without parsing those that did not change.
    """
    differ = {p for p in before.blobs.keys() | after.blobs.keys() if before.blobs.get(p) != after.blobs.get(p)}
    if not differ:
        return frozenset()
    everyone = frozenset(after.dataset_ids)
    if _digests(before, before.reached_by_all(environment)) != _digests(after, after.reached_by_all(environment)):
        return everyone
    own = {p.split("/")[1] for p in differ if p.startswith("datasets/") and p.count("/") >= 2}
    collections = {p.split("/")[1] for c in (before, after) for p in c.blobs if p.startswith("collections/")}
    moved = {
        c
        for c in collections
        if _digests(before, before.reached_by(c, environment)) != _digests(after, after.reached_by(c, environment))
    }
    if moved:
        own |= {d for d in everyone - own if _collection_of(after, d) in moved}
    return everyone & own


def _digests(commit: CatalogCommit, paths: Sequence[str]) -> list[tuple[str, str]]:
    return [(path, commit.blobs[path]) for path in paths]


def _collection_of(commit: CatalogCommit, dataset_id: str) -> str | None:
    try:
        return commit.dataset(dataset_id).collection
    except DefinitionError:
        # A folder that was broken before and is the same now is told when it changes.
        return None


@dataclass(frozen=True)
class DueWork:
    """The catalog at ``commit`` against the stores of ``settings``.

    Raises: DefinitionError when the environment's endpoints are wrong; Unavailable as the store does.
    """

    settings: Settings
    commit: CatalogCommit
    stores: Mapping[str, ObjectStore] = field(init=False)

    def __post_init__(self) -> None:
        # Where the store is told, the endpoints need not be evaluated to know it.
        told = {} if self.settings.store else self.commit.endpoints(self.settings.environment)
        object.__setattr__(self, "stores", self.settings.stores(told))

    def fingerprints(self, dataset: Dataset) -> Fingerprints:
        """What a release of ``dataset`` would be made from. Raises: DefinitionError when its schema is wrong."""
        problems: list[str] = []
        schema = self.commit.schema(dataset, problems)
        if problems:
            raise DefinitionError(problems, dataset=dataset.id)
        environment, store = self.settings.environment, self.stores[dataset.access]
        digest = self.commit.description_digest(dataset, environment)
        return Fingerprints(
            data=data_fingerprint(dataset, schema), documents=documents_fingerprint(digest, environment, store.address)
        )

    def log(self, dataset: Dataset) -> ReleaseLog:
        return ReleaseLog(self.stores[dataset.access], dataset.id)

    def compare(self, names: Iterable[str]) -> tuple[dict[str, Compared], dict[str, DefinitionError]]:
        """``(compared, broken)`` by name; the source is not looked at.

        A dataset that is due is read whole, so that all that is wrong with its folder is known before it runs.
        """
        wanted: dict[str, tuple[Dataset, Fingerprints]] = {}
        broken: dict[str, DefinitionError] = {}
        for name in names:
            try:
                dataset = self.commit.dataset(name)
                wanted[name] = (dataset, self.fingerprints(dataset))
            except DefinitionError as error:
                broken[name] = error
        # Opening a store imports its library, which threads must not do at the same time.
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            records = dict(zip(wanted, pool.map(lambda d: self.log(d[0]).newest(), wanted.values()), strict=True))
        compared: dict[str, Compared] = {}
        for name, (dataset, fingerprints) in wanted.items():
            record = records[name]
            released = {name: Released(record.release, record.fingerprints, ())} if record else {}
            due = plan({name: Wanted(fingerprints, None)}, released)
            try:
                if due:
                    self.commit.folder(name, self.settings.environment)
            except DefinitionError as error:
                broken[name] = error
                continue
            compared[name] = Compared(dataset, fingerprints, record.release if record else 0, tuple(due))
        return compared, broken

    def left_behind(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Datasets with a release that the commit does not describe any more -> number of the newest one.

        ``names``: those that may be such; None: whatever the stores hold.
        """
        found: dict[str, int] = {}
        for store in self.stores.values():
            try:
                candidates = set(store.folders("") if names is None else names) - set(self.commit.dataset_ids)
                logs = {name: ReleaseLog(store, name).numbers() for name in sorted(candidates - NOT_DATASETS)}
            except DefinitionError:
                # A store that this process has no rights to: what lies there is not its to tell.
                continue
            found |= {name: numbers[-1] for name, numbers in logs.items() if numbers}
        return found


def plan_between(before: CatalogCommit, after: CatalogCommit, settings: Settings, names: Iterable[str]) -> list[Due]:
    """What of ``names`` a merge from ``before`` to ``after`` makes due, without looking at any release.

    Raises: DefinitionError with everything that is wrong with the datasets that it touched.
    """
    touched = sorted(changed_datasets(before, after, settings.environment) & set(names))
    if not touched:
        return []
    new, old = DueWork(settings, after), DueWork(settings, before)
    wanted: dict[str, Wanted] = {}
    released: dict[str, Released] = {}
    problems: list[str] = []
    for name in touched:
        try:
            folder = after.folder(name, settings.environment)
            wanted[name] = Wanted(new.fingerprints(folder.dataset), None)
        except DefinitionError as error:
            problems.append(str(error))
    for name in set(wanted) & set(before.dataset_ids):
        try:
            released[name] = Released(0, old.fingerprints(before.dataset(name)), ())
        except DefinitionError:
            # It was broken then: nothing can have been released from it.
            continue
    if problems:
        raise DefinitionError(problems, advice="")
    return plan(wanted, released)
