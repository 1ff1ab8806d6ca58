"""A table made with steps, proven and read back, for the tests of steps.

Here belongs the way from source files to values. Not here: any expectation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets_tests.domain.table_examples import ledger, table, version_of


def steps(*convert: dict[str, Any], **keys: Any) -> Any:
    """A dataset whose ``convert`` has these steps in this order."""
    return table(convert={name: options for step in convert for name, options in step.items()}, **keys)


def published(tmp_path: Path, dataset: Any, sources: Mapping[str, str | Path], schema: Any = None) -> pa.Table:
    """The rows in the order of file and row, without what the platform makes; both readers agreed on all of them."""
    paths = {}
    for name, content in sources.items():
        paths[name] = content if isinstance(content, Path) else tmp_path / name.replace("/", "-")
        if isinstance(content, str):
            paths[name].write_text(content)
    version = version_of(paths, tmp_path / "version", dataset, schema)
    proofs = prove_table(version, ledger(*paths), paths, {}, dataset, schema, seed=3)
    assert [difference for proof in proofs for difference in proof.differences] == []
    found = pq.read_table(version.data)
    assert sum(proof.sampled for proof in proofs) > 0 or not len(found)
    order = pq.read_table(version.rows).to_pandas().sort_values(["file", "row"], kind="stable").index
    return found.take(order.to_numpy()).drop_columns([c for c in ("fid", "bbox") if c in found.column_names])
