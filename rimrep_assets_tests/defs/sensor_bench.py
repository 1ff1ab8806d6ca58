"""A world with a sensor and an instance: ticks, and runs that end as a test says.

Here belongs what the tests of both sensors share. Not here: any expectation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import dagster as dg

from rimrep_assets.definitions import definitions_at
from rimrep_assets.defs.failures import as_failure
from rimrep_assets.defs.resources import Platform
from rimrep_assets.defs.run_endings import RUN_KEY_TAG
from rimrep_assets.domain.errors import RimrepError
from rimrep_assets_tests.worlds import World


@dataclass
class Ticks:
    """Ticks of one sensor, the cursor carried from one to the next as Dagster does."""

    world: World
    sensor: dg.SensorDefinition
    instance: dg.DagsterInstance
    cursor: str | None = None
    seen: set[str] = field(default_factory=set)

    def tick(self) -> list[dg.RunRequest]:
        """One tick; what it told is in ``told``. A run key that was seen before starts nothing, as in Dagster."""
        settings = self.world.settings
        repository = definitions_at(settings, self.world.catalog.resolve()).get_repository_def()
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=repository,
            resources={
                "platform": Platform(
                    catalog=settings.catalog, store=settings.store or "", environment=settings.environment
                )
            },
        )
        done = self.sensor.evaluate_tick(context)
        self.cursor = done.cursor
        self.told = done.skip_message or ""
        requests = list(done.run_requests or ())
        names = [r.tags["rimrep/dataset"] for r in requests]
        assert len(names) == len(set(names)), "two requests for one dataset in one tick"
        started = [r for r in requests if r.run_key not in self.seen]
        self.seen |= {str(r.run_key) for r in requests}
        for request in started:
            self.instance.create_run_for_job(
                _nothing.to_job(name="nothing"),
                tags={**request.tags, RUN_KEY_TAG: str(request.run_key)},
                status=dg.DagsterRunStatus.STARTED,
            )
        return started

    def runs(self, dataset: str) -> list[dg.DagsterRun]:
        """Runs of a dataset, newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={"rimrep/dataset": dataset})))

    def end(self, dataset: str, error: RimrepError | None = None, *, success: bool = False) -> None:
        """The dataset's newest run ends: it succeeds, fails with ``error``, or is killed."""
        run = self.runs(dataset)[0]
        if success:
            self._become(run, dg.DagsterEventType.PIPELINE_SUCCESS)
            return
        if error is not None:
            self._fail_step(run, error)
        self.instance.report_run_failed(run, "told by the test")

    def _become(self, run: dg.DagsterRun, kind: dg.DagsterEventType) -> None:
        from dagster._core.events import DagsterEvent

        event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=run.run_id)

    def _fail_step(self, run: dg.DagsterRun, error: RimrepError) -> None:
        from dagster._core.events import DagsterEvent
        from dagster._core.execution.plan.objects import StepFailureData

        failure = as_failure(error)
        from dagster._core.execution.plan.objects import UserFailureData

        told = UserFailureData(label="failure", description=failure.description, metadata=failure.metadata)
        event = DagsterEvent(
            event_type_value=dg.DagsterEventType.STEP_FAILURE.value,
            job_name=run.job_name,
            step_key="a_step",
            event_specific_data=StepFailureData(error=None, user_failure_data=told),
        )
        self.instance.report_dagster_event(event, run_id=run.run_id)


@dg.op
def _op() -> None:
    return


@dg.graph
def _nothing() -> None:
    _op()
