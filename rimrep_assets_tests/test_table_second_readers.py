"""What our readers get wrong in silence is found by the second reader of each format.

Here belongs breaking every reader on purpose, alike when it converts and when it proves. Not here: what readers read
(``domain``), or files as providers sent them (``test_real_tables``).
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from rimrep_assets.domain import table_source
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets_tests.domain.table_examples import ledger, version_of
from rimrep_assets_tests.real_table_rows import PAGES, PUBLISHED, RESULTS, Row
from rimrep_assets_tests.test_real_tables import dataset_of

Break = Callable[[pa.RecordBatch], pa.RecordBatch]
FORMATS = {
    "read_csv": "reefs of manta tows",
    "read_vector": "points of a geodatabase",
    "read_json": "daily temperature",
    "read_parquet": "Parquet without geometry",
    "read_rdata": "daily temperatures in rda, packed by bzip2",
    "read_dwca": "occurrences that GBIF sent",
}


def without_the_first_row(block: pa.RecordBatch) -> pa.RecordBatch:
    return block.slice(1)


def shifted_by_a_row(block: pa.RecordBatch) -> pa.RecordBatch:
    """The last column's cells stand one row below."""
    last = block.num_columns - 1
    cells = block.column(last).take(pa.array([len(block) - 1, *range(len(block) - 1)]))
    return block.set_column(last, block.schema.names[last], cells)


def without_missing(block: pa.RecordBatch) -> pa.RecordBatch:
    """A gap becomes a value: what happens to a fill that nobody knows."""
    column = next((n for n, cells in enumerate(block.columns) if cells.null_count and cells.type == pa.string()), None)
    if column is None:
        return shifted_by_a_row(block)
    return block.set_column(column, block.schema.names[column], block.column(column).fill_null("none"))


def differences(row: Row, paths: dict[str, Path], out: Path) -> list[str]:
    version = version_of(paths, out, dataset_of(row))
    proofs = prove_table(version, ledger(*paths), paths, {}, dataset_of(row), None, seed=1)
    return [difference for proof in proofs for difference in proof.differences]


def broken(monkeypatch: pytest.MonkeyPatch, reader: str, change: Break) -> None:
    opened = table_source._READERS[reader]

    def wrong(path, name, options, dataset):
        table = opened(path, name, options, dataset)
        blocks = table.blocks
        return dataclasses.replace(table, blocks=lambda kinds: map(change, blocks(kinds)), keep=None)

    monkeypatch.setitem(table_source._READERS, reader, wrong)


@pytest.mark.parametrize("change", [without_the_first_row, shifted_by_a_row, without_missing])
@pytest.mark.parametrize("reader", FORMATS)
def test_a_broken_reader_is_found_by_the_second(reader, change, shared, tmp_path, monkeypatch):
    row = PUBLISHED[FORMATS[reader]]
    paths = {file: shared(f"data/b_tabular/{file}") for file in row.files}
    assert differences(row, paths, tmp_path / "right") == []
    broken(monkeypatch, reader, change)
    found = differences(row, paths, tmp_path / "wrong")
    assert found
    assert all("second reader" in difference or "more" in difference for difference in found)


def test_members_in_another_order_are_found(shared, tmp_path, monkeypatch):
    path = tmp_path / "pages.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for page in PAGES[:2]:
            archive.write(shared(f"data/b_tabular/{page}"), page.rpartition("/")[2])
    row = Row(["pages.zip"], {"unzip": {"member": "*.json"}, **RESULTS})
    assert differences(row, {"pages.zip": path}, tmp_path / "right") == []
    joined = table_source.one_after_the_other
    monkeypatch.setattr(table_source, "one_after_the_other", lambda tables, file: joined(tables[::-1], file))
    assert any("second reader" in difference for difference in differences(row, {"pages.zip": path}, tmp_path / "v"))
