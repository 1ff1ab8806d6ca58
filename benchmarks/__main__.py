"""``python -m benchmarks [--json PATH] [--smoke]``: us beside what people use today, in one run on one machine.

Here belongs what is compared, the ratios and the printed table. Not here: the sides (``grids``, ``tables``,
``questions``, ``publication``, ``graph``, ``platform``) or how one is measured (``measuring``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measuring import Measure, in_child, in_turns

CALLS = (
    "grids:ours",
    "grids:our_proof",
    "grids:pieces_ours",
    "grids:pieces_our_proof",
    "grids:plain_copy",
    "grids:floor",
    "grids:append_to_short",
    "grids:append_to_long",
    "grids:xarray_packed",
    "grids:xarray_default",
    "tables:ours",
    "tables:our_proof",
    "tables:geopandas",
    "tables:duckdb_bare",
    "questions:site",
    "questions:site_in_order_of_arrival",
    "questions:bbox",
    "publication:slowest",
    "publication:import_cpu",
    "graph:load",
    "graph:merge",
    "graph:tick",
    "graph:metadata_only",
)
LONG = ("grids:ours_long", "tables:ours_long")
"""once, for its memory"""
ONCE = ("platform:commit_to_run",)
"""takes minutes and its own median: not in rounds, and not in a smoke run"""
BUDGETS = {
    "grids.vs_xarray_packed": ("times faster than xarray + dask, packing kept", ">= 3.5"),
    "grids.vs_xarray_default": ("times faster than xarray + dask, default", ">= 5"),
    "grids.memory_vs_xarray": ("peak memory, as a share of xarray's (packed)", "<= 0.30"),
    "grids.memory_growth": ("peak memory of four times the files", "<= 1.2"),
    "grids.vs_floor": ("times inflating and encoding the same bytes alone", "<= 2.0"),
    "grids.plain_copy_share": ("the plain copy, on top of converting", "<= 0.25"),
    "grids.proof_share": ("proving the values, on top of converting", "<= 0.25"),
    "grids.proof_share_pieces": ("the same where a source's plane is cut into 22 chunks", "<= 0.25"),
    "grids.append_growth": ("one step more on 10 000 steps, against on 10", "<= 1.1"),
    "tables.vs_geopandas": ("times faster than geopandas", ">= 3"),
    "tables.vs_duckdb_bare": ("times the seconds of DuckDB's bare CSV to Parquet", "<= 2.0"),
    "tables.peak_mb": ("peak memory, MB", "<= 1000"),
    "tables.memory_growth": ("peak memory of four times the rows", "<= 1.3"),
    "tables.site_query_bytes": ("bytes read for three sites of 200, as a share of the table", "<= 0.03"),
    "tables.site_query_vs_unsorted": ("times faster than from the same rows in order of arrival", ">= 10"),
    "tables.bbox_query_bytes": ("bytes read for a box of 1 % of the area, as a share of the polygons", "<= 0.05"),
    "tables.proof_share": ("proving the values, on top of converting", "<= 0.25"),
    "definitions.import_cpu_s": ("CPU seconds of importing the definitions", "<= 3"),
    "publication.slowest_dataset_s": ("seconds from staged to projected, slowest dataset", "<= 10"),
    "graph.load_1000_cpu_s": ("CPU seconds of loading 1000 datasets, with imports", "<= 15"),
    "graph.load_1000_mb": ("peak memory of that, MB", "<= 250"),
    "plan.merge_1_of_1000_s": ("seconds of planning a merge that touches 1 of 1000 datasets", "<= 0.5"),
    "sensor.tick_20_sources_cpu_s": ("CPU seconds of a tick in which 20 sources are due", "<= 1"),
    "plan.commit_to_run_s": ("seconds from a commit to the start of its run, sensors and reload within", "<= 45"),
    "publication.metadata_only_s": ("seconds of a run for a new title, slowest dataset, no data touched", "<= 5"),
}
"""key -> what it is, and the budget that the platform set itself"""


def figures(found: dict[str, Measure]) -> dict[str, float]:
    """The keys of ``BUDGETS``, from medians; those that a smoke run leaves out are absent."""
    grid, table = found["grids:ours"], found["tables:ours"]
    packed = found["grids:xarray_packed"]
    once = {"plan.commit_to_run_s": found[ONCE[0]].seconds} if ONCE[0] in found else {}
    return once | {
        "grids.vs_xarray_packed": packed.seconds / grid.seconds,
        "grids.vs_xarray_default": found["grids:xarray_default"].seconds / grid.seconds,
        "grids.memory_vs_xarray": grid.peak_mb / packed.peak_mb,
        "grids.memory_growth": found[LONG[0]].peak_mb / grid.peak_mb,
        "grids.vs_floor": grid.seconds / found["grids:floor"].seconds,
        "grids.plain_copy_share": found["grids:plain_copy"].seconds / grid.seconds,
        "grids.append_growth": found["grids:append_to_long"].seconds / found["grids:append_to_short"].seconds,
        "grids.proof_share": found["grids:our_proof"].seconds / grid.seconds,
        "grids.proof_share_pieces": found["grids:pieces_our_proof"].seconds / found["grids:pieces_ours"].seconds,
        "tables.vs_geopandas": found["tables:geopandas"].seconds / table.seconds,
        "tables.vs_duckdb_bare": table.seconds / found["tables:duckdb_bare"].seconds,
        "tables.peak_mb": table.peak_mb,
        "tables.memory_growth": found[LONG[1]].peak_mb / table.peak_mb,
        "tables.site_query_bytes": found["questions:site"].share,
        "tables.site_query_vs_unsorted": (
            found["questions:site_in_order_of_arrival"].seconds / found["questions:site"].seconds
        ),
        "tables.bbox_query_bytes": found["questions:bbox"].share,
        "tables.proof_share": found["tables:our_proof"].seconds / table.seconds,
        "definitions.import_cpu_s": found["publication:import_cpu"].seconds,
        "publication.slowest_dataset_s": found["publication:slowest"].seconds,
        "graph.load_1000_cpu_s": found["graph:load"].seconds,
        "graph.load_1000_mb": found["graph:load"].peak_mb,
        "plan.merge_1_of_1000_s": found["graph:merge"].seconds,
        "sensor.tick_20_sources_cpu_s": found["graph:tick"].seconds,
        "publication.metadata_only_s": found["graph:metadata_only"].seconds,
    }


def holds(value: float, budget: str) -> bool:
    """Whether ``value`` is within a budget such as ``>= 3.5``."""
    sign, _, limit = budget.partition(" ")
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def show(found: dict[str, Measure], keys: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    sides = Table("side", "seconds", "peak MB", "share read", title="medians")
    for call, measure in found.items():
        share = f"{measure.share:.3f}" if measure.share else ""
        sides.add_row(call, f"{measure.seconds:.2f}", f"{measure.peak_mb:.0f}", share)
    ratios = Table("key", "is", "measured", "budget", "", title="figures")
    for key, value in keys.items():
        meaning, budget = BUDGETS[key]
        ratios.add_row(key, meaning, f"{value:.3g}", budget, "met" if holds(value, budget) else "not met")
    console = Console()
    console.print(sides)
    console.print(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs, one round: only shows that it runs")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rimrep-bench-") as folder:
        inputs, scratch = Path(folder) / "inputs", Path(folder) / "out"
        in_child("inputs:generate", inputs, scratch / "none", told.smoke)
        found = in_turns(CALLS, inputs, scratch, 1 if told.smoke else 3, told.smoke)
        found |= in_turns(LONG, inputs, scratch, 1, told.smoke)
        if not told.smoke:
            found |= in_turns(ONCE, inputs, scratch, 1, told.smoke)
        for module, theirs in (("grids", "xarray_packed"), ("tables", "geopandas")):
            in_child(f"{module}:same", scratch / f"{module}-ours-0", scratch / f"{module}-{theirs}-0", told.smoke)
    keys = figures(found)
    show(found, keys)
    if told.json:
        told.json.write_text(json.dumps(keys, indent=2) + "\n")


if __name__ == "__main__":
    main()
