"""The benchmarks run and say what they promise; how fast anything is, is not asserted here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEYS = {
    "grids.vs_xarray_packed",
    "grids.vs_xarray_default",
    "grids.memory_vs_xarray",
    "grids.memory_growth",
    "grids.vs_floor",
    "grids.plain_copy_share",
    "grids.proof_share",
    "grids.proof_share_pieces",
    "grids.append_growth",
    "tables.vs_geopandas",
    "tables.vs_duckdb_bare",
    "tables.peak_mb",
    "tables.memory_growth",
    "tables.site_query_bytes",
    "tables.site_query_vs_unsorted",
    "tables.bbox_query_bytes",
    "tables.proof_share",
    "definitions.import_cpu_s",
    "publication.slowest_dataset_s",
    "graph.load_1000_cpu_s",
    "graph.load_1000_mb",
    "plan.merge_1_of_1000_s",
    "sensor.tick_20_sources_cpu_s",
    "publication.metadata_only_s",
}


@pytest.mark.long
def test_a_smoke_run_writes_every_figure_as_a_positive_number(tmp_path):
    pytest.importorskip("dask")
    path = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())
    assert set(figures) == KEYS
    assert all(isinstance(value, float) and value > 0 for value in figures.values()), figures


def test_two_sides_with_other_values_end_the_run(tmp_path):
    """A ratio between two results that differ would say nothing."""
    from benchmarks import tables
    from benchmarks.inputs import SMOKE, generate
    from benchmarks.measuring import Clock, in_child

    generate(tmp_path / "inputs", tmp_path, SMOKE, Clock())
    for side in (tables.ours, tables.geopandas):
        (tmp_path / side.__name__).mkdir()
        side(tmp_path / "inputs", tmp_path / side.__name__, SMOKE, Clock())
    tables.same(tmp_path / "ours", tmp_path / "geopandas", SMOKE, Clock())
    import pandas as pd

    path = tmp_path / "geopandas/data.parquet"
    changed = pd.read_parquet(path)
    changed.loc[7, "depth"] += 1
    changed.to_parquet(path)
    with pytest.raises(RuntimeError, match="depth"):
        in_child("tables:same", tmp_path / "ours", tmp_path / "geopandas", smoke=True)
