"""The sensor `catalog`: a merged commit runs exactly the datasets that it changed, pinned to that commit.

Here belongs a tick: what is compared, what is asked for and what is told. Not here: what is due (``ports/due_work``),
when a failed run is repeated (``domain/requests``), or new source files (``source_sensor``).
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from pydantic import ValidationError

from rimrep_assets.defs.dagster_web import URL_VARIABLE, DagsterWeb
from rimrep_assets.defs.resources import COMMIT_VARIABLE, Platform
from rimrep_assets.defs.run import report_dead_runs
from rimrep_assets.defs.run_endings import endings_of, under_way
from rimrep_assets.defs.run_requests import default_status, missing_assets, run_request
from rimrep_assets.domain.errors import RimrepError, Unavailable
from rimrep_assets.domain.requests import Asked, Ending, Pending, ask, state_of
from rimrep_assets.domain.strict_model import StrictModel
from rimrep_assets.ports.catalog import Catalog
from rimrep_assets.ports.due_work import DueWork, changed_datasets
from rimrep_assets.ports.workbench import Settings

INTERVAL_S = 10
BUDGET_S = 25.0
"""seconds of comparing in one tick; what is left is compared in the next"""
BATCH = 32
MOST_REQUESTS = 100
"""runs asked for in one tick; Dagster launches them before it ticks again"""
LOCATION = "rimrep_assets"
"""the code location, where Dagster does not say its name"""


class CatalogCursor(StrictModel):
    """What the sensor remembers: the commit that was compared, and the datasets that are not settled since."""

    scope: str
    """digest of catalog, store and environment: another one makes the cursor foreign"""
    commit: str
    pending: dict[str, Pending] = {}
    notes: dict[str, str] = {}
    """what every tick tells besides: datasets that are broken"""
    gone: dict[str, str] = {}
    """what is told once: datasets that the last commit took away"""


def read_cursor(text: str | None, scope: str) -> CatalogCursor | None:
    """The cursor of ``scope``; None where there is none, or a foreign one."""
    try:
        cursor = CatalogCursor.model_validate_json(text or "")
    except ValidationError:
        return None
    return cursor if cursor.scope == scope else None


def catalog_sensor() -> dg.SensorDefinition:
    """The one sensor of the catalog; its settings come from the resource ``platform``."""

    @dg.sensor(
        name="catalog",
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=INTERVAL_S,
        default_status=default_status(os.environ.get("RIMREP_SENSORS")),
        description="Runs the datasets that a merged commit of the catalog changed, and those never released.",
    )
    def catalog(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        report_dead_runs(context.instance)
        try:
            settings = platform.settings()
            catalog = settings.open_catalog()
            head = catalog.resolve()
            loaded = os.environ.get(COMMIT_VARIABLE) or head
            if loaded != head:
                return _skip(context, [_ask_for_reload(context, loaded, head)])
            return _tick(context, settings, catalog, head)
        except RimrepError as error:
            return _skip(context, [str(error)])

    return catalog


def _skip(context: dg.SensorEvaluationContext, messages: list[str]) -> dg.SensorResult:
    """Nothing is asked for; the cursor stays where it is, so that the next tick does the same work."""
    return dg.SensorResult(skip_reason=dg.SkipReason("\n".join(messages)), cursor=context.cursor)


def _ask_for_reload(context: dg.SensorEvaluationContext, loaded: str, head: str) -> str:
    origin = context.code_location_origin
    location = origin.location_name if origin is not None else LOCATION
    moved = f"the catalog moved from {loaded[:7]} to {head[:7]}"
    web = DagsterWeb.from_environment(os.environ)
    if not web.is_known:
        return f"{moved}: reload the code location {location} on Dagster's page 'Deployment', or set {URL_VARIABLE}"
    try:
        web.reload(location)
    except Unavailable as error:
        return f"{moved}: {'; '.join(error.problems)}; asked again in {INTERVAL_S} s"
    return f"{moved}: the code location {location} was reloaded; the next tick goes on from there"


def _tick(context: dg.SensorEvaluationContext, settings: Settings, catalog: Catalog, head: str) -> dg.SensorResult:
    scope = state_of(catalog.location, settings.environment, settings.store or "")
    cursor = read_cursor(context.cursor, scope)
    if cursor is not None and cursor.commit == head and not cursor.pending and not cursor.gone:
        return _skip(context, [f"nothing is due at {head[:7]}", *cursor.notes.values()])
    remembered = cursor or CatalogCursor(scope=scope, commit=head)
    tick = _Tick(context, DueWork(settings, catalog.at(head)), dict(remembered.pending), dict(remembered.notes))
    tick.gone = dict(remembered.gone)
    tick.notice(catalog, cursor)
    tick.work()
    for message in tick.messages:
        context.log.info(message)
    moved = CatalogCursor(scope=scope, commit=head, pending=tick.pending, notes=tick.notes)
    if tick.requests:
        # Dagster shows no message beside requests: what is told once waits for a tick that shows it.
        moved = moved.model_copy(update={"gone": tick.gone})
        return dg.SensorResult(run_requests=tick.requests, cursor=moved.model_dump_json(exclude_defaults=True))
    waiting = f"nothing to start at {head[:7]}; {len(tick.pending)} datasets are not settled"
    messages = [*tick.messages, *(note for note in tick.gone.values() if note not in tick.messages)]
    told = [*(messages or [waiting]), *(note for note in tick.notes.values() if note not in messages)]
    return dg.SensorResult(
        skip_reason=dg.SkipReason("\n".join(told)), cursor=moved.model_dump_json(exclude_defaults=True)
    )


@dataclass
class _Tick:
    """One evaluation at the loaded commit."""

    context: dg.SensorEvaluationContext
    due_work: DueWork
    pending: dict[str, Pending]
    notes: dict[str, str]
    gone: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    requests: list[dg.RunRequest] = field(default_factory=list)

    def notice(self, catalog: Catalog, cursor: CatalogCursor | None) -> None:
        """Mark what must be compared again because the catalog moved; tell what is no longer in it."""
        at = self.due_work.commit
        if cursor is not None and cursor.commit == at.commit:
            return
        if cursor is not None and catalog.has_ancestor(cursor.commit, at.commit):
            before = catalog.at(cursor.commit)
            fresh: Iterable[str] = changed_datasets(before, at, self.due_work.settings.environment)
            gone = self.due_work.left_behind(set(before.dataset_ids) - set(at.dataset_ids))
        else:
            fresh, gone = at.dataset_ids, self.due_work.left_behind()
        for name in fresh:
            self.pending[name] = self.pending.get(name, Pending()).model_copy(update={"stale": True})
        for name in self.pending.keys() - set(at.dataset_ids):
            del self.pending[name]
        self.notes = {name: note for name, note in self.notes.items() if name in at.dataset_ids}
        self.gone = {name: note for name, note in self.gone.items() if name not in at.dataset_ids}
        for name, number in gone.items():
            self.gone[name] = f"{name} is no longer in the catalog; its release {number} stays published"
            self.messages.append(self.gone[name])

    def work(self) -> None:
        """Compare what could have changed, a batch after the other, as long as the tick may take."""
        instance, now = self.context.instance, time.time()
        endings = endings_of(instance, (p.key for p in self.pending.values()))
        busy = under_way(instance).keys()
        todo = sorted(n for n, p in self.pending.items() if p.needs_a_look(endings.get(p.key, "absent"), now))
        end = time.monotonic() + BUDGET_S
        for start in range(0, len(todo), BATCH):
            if start and (time.monotonic() > end or len(self.requests) >= MOST_REQUESTS):
                break
            self._compare(todo[start : start + BATCH], endings, busy, now)

    def _compare(self, names: list[str], endings: dict[str, Ending], busy: Iterable[str], now: float) -> None:
        compared, broken = self.due_work.compare(names)
        for name, error in broken.items():
            # What mends it changes its folder, and then it is compared again.
            del self.pending[name]
            self.notes[name] = f"{error}\nIts published release stays as it is; the other datasets go on."
            self.messages.append(self.notes[name])
        for name, found in compared.items():
            self.notes.pop(name, None)
            asked = ask(
                name,
                self.pending[name],
                due=[due.step for due in found.due],
                state=state_of(found.wanted.data, found.wanted.documents, found.release),
                commit=self.due_work.commit.commit,
                release=found.release,
                ending=endings.get(self.pending[name].key, "absent"),
                is_busy=name in busy,
                now=now,
            )
            request = None
            if asked.run_key:
                steps = [due.step for due in found.due]
                moment = datetime.fromtimestamp(now, UTC)
                request = run_request(found.dataset, asked.run_key, self.due_work.commit.commit, steps, moment)
            self._take(name, asked, request)

    def _take(self, name: str, asked: Asked, request: dg.RunRequest | None) -> None:
        missing = missing_assets(self.context, request) if request else []
        if missing:
            # Nothing was asked for, so the next tick tries again.
            told = f"{name}: the loaded graph lacks {', '.join(missing)}; reload the code location"
            asked, request = Asked(Pending(), message=told), None
        if asked.pending is None:
            del self.pending[name]
        else:
            self.pending[name] = asked.pending
        if asked.message:
            self.messages.append(asked.message)
        if request:
            self.requests.append(request)
