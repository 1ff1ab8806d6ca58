"""Assets of an engineer's own code location, downstream of published data; imported anew by every process of a run.

Here belongs what such code looks like. Not here: any expectation (``test_io_managers``).
"""

import json
import os

import dagster as dg

from rimrep_assets.definitions import platform_of
from rimrep_assets.defs.io_managers import ReleasedData
from rimrep_assets.ports.workbench import Settings
from rimrep_assets_tests.worlds import GRID, TABLE


@dg.asset(
    ins={"grid": dg.AssetIn([GRID, "release"], input_manager_key="released")},
    io_manager_key="released",
)
def hottest(grid) -> dict:
    """The highest value, and the time at which it was."""
    heat = grid["heat"]
    return {"kind": type(grid).__module__, "loaded": heat._in_memory, "highest": float(heat.max()), "pid": os.getpid()}


@dg.asset(
    ins={
        "table": dg.AssetIn([TABLE, "release"], input_manager_key="released"),
        "package": dg.AssetIn([TABLE, "datapackage"], input_manager_key="released"),
        "hottest": dg.AssetIn("hottest", input_manager_key="released"),
    },
    io_manager_key="released",
)
def summary(table, package, hottest) -> dict:
    """The table's mean, with what the other asset found."""
    import pyarrow.compute as pc

    mean = pc.mean(table.to_table(columns=["temperature"])["temperature"]).as_py()
    return {
        "kind": type(table).__name__,
        "mean": mean,
        "title": package["title"],
        "hottest": hottest["highest"],
        "pids": [hottest["pid"], os.getpid()],
    }


def job_of_both() -> dg.JobDefinition:
    settings = Settings.from_environment(os.environ)
    platform = platform_of(settings, settings.open_catalog().resolve())
    theirs = [dg.AssetSpec(path) for path in ([GRID, "release"], [TABLE, "release"], [TABLE, "datapackage"])]
    definitions = dg.Definitions(
        assets=[hottest, summary, *theirs],
        resources={"released": ReleasedData(platform=platform)},
        jobs=[dg.define_asset_job("read", selection=[hottest, summary])],
        executor=dg.multiprocess_executor.configured({"max_concurrent": 1}),
    )
    return definitions.resolve_job_def("read")


def in_many_processes() -> None:
    """Run both assets with the multiprocess executor; print how it ended."""
    job = dg.reconstructable(job_of_both)
    with dg.DagsterInstance.get() as instance, dg.execute_job(job, instance=instance) as done:
        print(json.dumps({"success": done.success, "pid": os.getpid(), "summary": done.output_for_node("summary")}))
