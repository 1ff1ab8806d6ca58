"""The sensor `sources`: looks at sources when their schedule says so, and runs what has new files.

Here belongs a tick: whose turn it is, what is asked for and what is told. Not here: glancing at a source
(``ports/sources``), when a cron line comes (``domain/schedule``), or merged commits (``catalog_sensor``).
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from pydantic import ValidationError

from rimrep_assets.defs.dagster_web import DagsterWeb
from rimrep_assets.defs.resources import COMMIT_VARIABLE, Platform
from rimrep_assets.defs.run_endings import endings_of, under_way
from rimrep_assets.defs.run_requests import default_status, missing_assets, run_request
from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DefinitionError, RimrepError, Unavailable
from rimrep_assets.domain.requests import ATTEMPTS, BACK_OFF_S, Ending, Pending, ask, state_of
from rimrep_assets.domain.schedule import next_time
from rimrep_assets.domain.strict_model import StrictModel
from rimrep_assets.ports.catalog import CatalogCommit
from rimrep_assets.ports.due_work import DueWork
from rimrep_assets.ports.source_glances import Glimpse, glimpse

INTERVAL_S = 30
BUDGET_S = 20.0
"""seconds of glancing in one tick; who has waited longest comes first in the next"""
BATCH = 8
DATA_RUN = ("data", "datapackage", "release")


class Watched(StrictModel):
    """What the sensor remembers of one dataset; all times in seconds since 1970."""

    line: str
    """its schedule and zone; another one begins anew"""
    next: float
    """when the schedule comes next"""
    since: float | None = None
    """it is due since then and was not glanced at yet"""
    not_before: float = 0.0
    """its source did not answer; it is asked again then"""
    failures: int = 0
    pending: Pending | None = None


class SourceCursor(StrictModel):
    watched: dict[str, Watched] = {}


def source_sensor() -> dg.SensorDefinition:
    """The one sensor of all sources; its settings come from the resource ``platform``."""

    @dg.sensor(
        name="sources",
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=INTERVAL_S,
        default_status=default_status(os.environ.get("RIMREP_SENSORS")),
        description="Looks at each source when its dataset's update.schedule says so, and runs those with new files.",
    )
    def sources(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        try:
            settings = platform.settings()
            catalog = settings.open_catalog()
            at = catalog.at(os.environ.get(COMMIT_VARIABLE) or catalog.resolve())
            turns = _Turns(context, at, _read(context.cursor), datetime.fromtimestamp(time.time(), UTC))
            due = turns.due()
            if due:
                work = DueWork(settings, at)
                turns.take(due, lambda d: glimpse(settings, work, catalog.place, d))
        except RimrepError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(str(error)), cursor=context.cursor)
        for message in turns.messages:
            context.log.info(message)
        cursor = SourceCursor(watched=turns.watched).model_dump_json(exclude_defaults=True)
        if turns.requests:
            return dg.SensorResult(run_requests=turns.requests, cursor=cursor)
        told = "\n".join(turns.messages) or f"no new files; {turns.coming()}"
        return dg.SensorResult(skip_reason=dg.SkipReason(told), cursor=cursor)

    return sources


def _read(cursor: str | None) -> dict[str, Watched]:
    try:
        return SourceCursor.model_validate_json(cursor or "").watched
    except ValidationError:
        return {}


@dataclass
class _Turns:
    """One evaluation at the loaded commit, at ``now``."""

    context: dg.SensorEvaluationContext
    commit: CatalogCommit
    before: Mapping[str, Watched]
    now: datetime
    watched: dict[str, Watched] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)

    def due(self) -> list[Dataset]:
        """The datasets whose turn it is, longest waiting first; a new one waits for its schedule."""
        found: dict[str, Dataset] = {}
        for name in self.commit.dataset_ids:
            try:
                dataset = self.commit.dataset(name)
            except DefinitionError:
                # The catalog's sensor tells it.
                continue
            if dataset.update.schedule:
                found[name] = dataset
                self.watched[name] = self._on_time(dataset, dataset.update.schedule)
        keys = [w.pending.key for w in self.watched.values() if w.pending]
        self.endings = endings_of(self.context.instance, keys)
        now = self.now.timestamp()
        turns = []
        for name, watched in self.watched.items():
            if watched.pending is not None:
                watched = self.watched[name] = self._after_run(name, watched, self.endings[watched.pending.key])
            if watched.since is not None and watched.not_before <= now:
                turns.append((watched.since, name))
        return [found[name] for _, name in sorted(turns)]

    def _on_time(self, dataset: Dataset, schedule: str) -> Watched:
        zone, now = dataset.update.timezone, self.now.timestamp()
        line = f"{schedule} {zone}"
        known = self.before.get(dataset.id)
        if known is not None and known.line == line and now < known.next:
            return known
        coming = next_time(schedule, zone, self.now).timestamp()
        if known is None:
            return Watched(line=line, next=coming)
        if known.line != line:
            return known.model_copy(update={"line": line, "next": coming})
        # However often it came since the last tick, it is one turn; a new turn forgets that a source was down.
        turn = {"since": known.since if known.since is not None else known.next, "not_before": 0.0, "failures": 0}
        return known.model_copy(update={"next": coming, **turn})

    def _after_run(self, name: str, watched: Watched, ending: Ending) -> Watched:
        """Forget a run that succeeded; of one that failed remember when its source is looked at again."""
        pending, now = watched.pending, self.now.timestamp()
        assert pending is not None
        if ending == "succeeded":
            return watched.model_copy(update={"pending": None})
        if ending in ("going", "absent") or pending.told:
            return watched
        if pending.retry_at is not None:
            turn = watched.since if watched.since is not None or now < pending.retry_at else pending.retry_at
            return watched.model_copy(update={"since": turn})
        asked = ask(
            name,
            pending,
            due=DATA_RUN,
            state=pending.state,
            commit=self.commit.commit,
            release=0,
            ending=ending,
            is_busy=False,
            now=now,
        )
        self.messages += [asked.message] if asked.message else []
        return watched.model_copy(update={"pending": asked.pending})

    def take(self, due: list[Dataset], look: Callable[[Dataset], Glimpse | RimrepError]) -> None:
        """Glance at what is due, a batch after the other, as long as the tick may take."""
        busy = under_way(self.context.instance)
        waiting = [d for d in due if d.id in busy and d.update.overlap == "skip"]
        self.messages += [f"{d.id}: its source is due, and waits until the run under way has ended" for d in waiting]
        todo = [d for d in due if d not in waiting]
        end = time.monotonic() + BUDGET_S
        with ThreadPoolExecutor(BATCH) as pool:
            for start in range(0, len(todo), BATCH):
                if start and time.monotonic() > end:
                    break
                batch = todo[start : start + BATCH]
                for dataset, seen in zip(batch, pool.map(look, batch), strict=True):
                    self._settle(dataset, seen, busy.get(dataset.id, []))

    def _settle(self, dataset: Dataset, seen: Glimpse | RimrepError, runs: list[dg.DagsterRun]) -> None:
        watched = self.watched[dataset.id]
        if isinstance(seen, RimrepError):
            self.watched[dataset.id] = self._failed(dataset.id, watched, seen)
            return
        done = watched.model_copy(update={"since": None, "not_before": 0.0, "failures": 0})
        if not seen.names:
            self.watched[dataset.id] = done.model_copy(update={"pending": None})
            return
        asked = ask(
            dataset.id,
            watched.pending,
            due=DATA_RUN,
            state=state_of(seen.state, seen.fingerprints.data, seen.fingerprints.documents, seen.release),
            commit=self.commit.commit,
            release=seen.release,
            ending=self.endings.get(watched.pending.key, "absent") if watched.pending else "absent",
            is_busy=False,
            now=self.now.timestamp(),
        )
        if asked.run_key:
            request = run_request(dataset, asked.run_key, self.commit.commit, DATA_RUN, self.now, seen.names)
            if not self._make_way(dataset, request, runs):
                return
            self.requests.append(request)
        self.messages += [asked.message] if asked.message else []
        self.watched[dataset.id] = done.model_copy(update={"pending": asked.pending})

    def _make_way(self, dataset: Dataset, request: dg.RunRequest, runs: list[dg.DagsterRun]) -> bool:
        """End the runs that the new one replaces; False, and told, where that cannot be done or nothing could run."""
        missing = missing_assets(self.context, request)
        if missing:
            self.messages.append(f"{dataset.id}: the loaded graph lacks {', '.join(missing)}; reload the code location")
            return False
        web = DagsterWeb.from_environment(os.environ)
        try:
            for run in runs:
                web.terminate(run.run_id)
                self.messages.append(f"{dataset.id}: run {run.run_id} is ended, because its source has changed again")
        except Unavailable as error:
            self.messages.append(f"{dataset.id}: its run under way cannot be replaced: {'; '.join(error.problems)}")
            return False
        return True

    def _failed(self, name: str, watched: Watched, error: RimrepError) -> Watched:
        """A source that did not answer is asked again, less and less often; what is wrong otherwise waits its turn."""
        failures = watched.failures + 1
        if not isinstance(error, Unavailable) or failures >= ATTEMPTS:
            self.messages.append(f"{error.about(name)}\nIts source is looked at again when its schedule comes next.")
            return watched.model_copy(update={"since": None, "failures": 0, "not_before": 0.0})
        wait = BACK_OFF_S[failures - 1]
        self.messages.append(f"{error.about(name)}\nIts source is asked again in {wait // 60} min.")
        return watched.model_copy(update={"failures": failures, "not_before": self.now.timestamp() + wait})

    def coming(self) -> str:
        """When the next schedule comes, in words."""
        if not self.watched:
            return "no dataset has update.schedule"
        name = min(self.watched, key=lambda n: self.watched[n].next)
        moment = datetime.fromtimestamp(self.watched[name].next, UTC)
        return f"{name} is next, at {moment:%Y-%m-%d %H:%M} UTC"
