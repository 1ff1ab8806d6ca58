"""The store against itself: what the newest records want, and what stands at the addresses that people use.

Here belongs finding drift over all datasets of a store by names, sizes and documents, and mending it by projecting
again. Not here: reading bulk bytes back (``verification``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rimrep_assets.domain.errors import Damaged
from rimrep_assets.domain.release import ReleaseRecord
from rimrep_assets.ports.mending import mend
from rimrep_assets.ports.object_store import ObjectStore, S3Access
from rimrep_assets.ports.projector import Projector, silent
from rimrep_assets.ports.pygeoapi_config import PygeoapiConfig
from rimrep_assets.ports.stac_catalog import StaticStac

NOT_DATASETS = frozenset({"stac", "pygeoapi", "commits", ".locks"})


@dataclass(frozen=True)
class Drift:
    """One thing that is not as the newest record wants it; ``dataset`` is '' for shared documents."""

    dataset: str
    finding: str


@dataclass(frozen=True)
class Reconciliation:
    """The datasets of one store. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore
    s3: S3Access = field(default_factory=S3Access)
    progress: Callable[[str], None] = silent

    def datasets(self) -> list[str]:
        """Those that have a release."""
        return [
            name
            for name in self.store.folders("")
            if name not in NOT_DATASETS and Projector(self.store, name, self.s3).log.numbers()
        ]

    def find(self) -> list[Drift]:
        """All drift; nothing is written."""
        drift: list[Drift] = []
        collections: set[str] = set()
        datasets = self.datasets()
        for dataset in datasets:
            self.progress(f"looking at {dataset}")
            projector = Projector(self.store, dataset, self.s3)
            record = projector.log.newest()
            assert record is not None
            collections.add(record.collection)
            drift += [Drift(dataset, finding) for finding in _of_dataset(projector, record)]
            marks = self.store.list(projector.places.marks)
            drift += [Drift(dataset, f"{o.path} marks a projection that has not ended") for o in marks]
        drift += [Drift("", f"{path} describes a dataset without a release") for path in self._orphans(datasets)]
        stac = StaticStac(self.store)
        for collection in sorted(collections | set(self._collections())):
            drift += [Drift("", finding) for finding in stac.differences(collection)]
        drift += [Drift("", finding) for finding in PygeoapiConfig(self.store).differences()]
        return list(dict.fromkeys(drift))

    def fix(self, drift: list[Drift]) -> list[Drift]:
        """Project the newest release of every dataset that drifted, remove orphans, bring shared documents in step.

        Returns what is left as it is, and why.
        """
        refused: list[Drift] = []
        for dataset in sorted({d.dataset for d in drift if d.dataset}):
            projector = Projector(self.store, dataset, self.s3, self.progress)
            record = projector.log.newest()
            if record is not None:
                self.progress(f"projecting release {record.release} of {dataset} again")
                refused += [Drift(dataset, finding) for finding in _mend(projector, record)]
        for path in self._orphans(self.datasets()):
            self.store.delete(path)
        if drift:
            stac = StaticStac(self.store)
            for collection in self._collections():
                stac.refresh(collection)
            PygeoapiConfig(self.store).refresh()
        return refused

    def _collections(self) -> list[str]:
        return [name for name in self.store.folders("stac") if self.store.folders(f"stac/{name}")]

    def _orphans(self, datasets: list[str]) -> list[str]:
        """Items and entries of datasets that have no release here."""
        described = [o.path for o in self.store.list("stac") if "/items/" in o.path]
        described += [o.path for o in self.store.list("pygeoapi/datasets")]
        return sorted(p for p in described if p.rpartition("/")[2].split(".")[0] not in datasets)


def _of_dataset(projector: Projector, record: ReleaseRecord) -> list[str]:
    """What of a dataset is not as its newest release wants it, data by names and sizes alone."""
    try:
        return [*projector.unprojected(record), *projector.misplaced(record).values()]
    except Damaged as error:
        return list(error.problems)


def _mend(projector: Projector, record: ReleaseRecord) -> list[str]:
    try:
        return mend(projector, record, projector.misplaced(record))
    except Damaged as error:
        return list(error.problems)
