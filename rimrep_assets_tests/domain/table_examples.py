"""Small tables and the steps from files to a version, for the tests of tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.domain.table_fold import TableVersion, fold_table
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.tabular import stage_table

VECTOR: dict[str, Any] = {"coordinates": {"geometry": "geom"}, "convert": {"read_vector": {}}}
LONLAT = {"x": "lon", "y": "lat"}


def table(**keys: Any) -> Dataset:
    """A table's dataset; CSV unless told otherwise."""
    return Dataset.model_validate(
        {
            "id": "reefs",
            "collection": "reefs",
            "format": "parquet",
            "access": "public",
            "source": {"kind": "local", "url": "in"},
            "convert": {"read_csv": {}},
            **keys,
        }
    )


def fields(**types: str) -> dict[str, Any]:
    """A Table Schema from column names and types."""
    return {"fields": [{"name": name, "type": kind} for name, kind in types.items()]}


def version_of(
    sources: Mapping[str, Path],
    out: Path,
    dataset: Dataset,
    schema: Mapping[str, Any] | None = None,
    base: TableVersion | None = None,
    without: tuple[str, ...] = (),
) -> TableVersion:
    """Stage ``sources`` in the order given and fold them onto ``base``."""
    out.mkdir(parents=True, exist_ok=True)
    staged = {}
    for number, (name, path) in enumerate(sources.items()):
        staged[name] = out / f"part-{number}.parquet"
        stage_table(path, name, dataset, schema, staged[name])
    fold_table(base=base, without=without, staged=staged, out=out, dataset=dataset)
    return TableVersion(out / "data.parquet", out / "rows.parquet")


def proven(
    path: Path, out: Path, dataset: Dataset, schema: Mapping[str, Any] | None = None, name: str | None = None
) -> list[dict[str, Any]]:
    """The published rows of one file in its order, without the columns that the platform makes; proven too."""
    name = name or path.name
    version = version_of({name: path}, out, dataset, schema)
    (proof,) = prove_table(version, ledger(name), {name: path}, {}, dataset, schema, seed=3)
    assert proof.differences == ()
    found = pq.read_table(version.data)
    assert proof.sampled >= min(len(found), 1)
    rows = zip(pq.read_table(version.rows)["row"].to_pylist(), found.to_pylist(), strict=True)
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    return [{column: cell for column, cell in row.items() if column not in ("bbox", "fid")} for row in ordered]


def ledger(*names: str) -> dict[str, SourceFile]:
    return {name: SourceFile(name=name, digest="d", size=1, url=f"file:///{name}") for name in names}
