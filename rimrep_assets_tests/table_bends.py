"""Places of our code in which tables can go wrong, each bent on purpose: reader, part, fold and writer.

Here belong the ways of bending. Not here: which bend is tried and what must stop it (``table_slips``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rimrep_assets.domain import table_fold, table_source, table_times, table_version, tabular
from rimrep_assets.domain.table_part import PartWriter
from rimrep_assets.domain.table_version import FILE

Patch = Callable[[pytest.MonkeyPatch], object]
Columns = dict[str, pa.Array]
Change = Callable[[Columns], Columns | None]


def read(change: Change | None = None, *, as_text: bool = False, **other: Any) -> Patch:
    """The reader hands out other cells, or reads with other options than are declared."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for reader in ("read_csv", "read_vector"):
            monkeypatch.setitem(table_source._READERS, reader, _wrong(table_source._READERS[reader]))

    def _wrong(opened: Any) -> Any:
        def wrong(path: Path, name: str, options: Any, dataset: Any) -> Any:
            table = opened(path, name, options.model_copy(update=other), dataset)
            if change is None:
                return table
            return dataclasses.replace(
                table,
                blocks=lambda kinds: (changed(block, change) for block in table.blocks({} if as_text else kinds)),
                keep=None,
            )

        return wrong

    return patch


def typed(change: Change) -> Patch:
    """Cells become other values where they get their type, each time that the file is read."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = tabular._converted

        def wrong(*arguments: Any) -> Any:
            columns, problems = real(*arguments)
            bent = dict(columns)
            return change(bent) or bent, problems

        monkeypatch.setattr(tabular, "_converted", wrong)

    return patch


def stored(change: Change) -> Patch:
    """The part holds other values than those whose digests were taken."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = PartWriter._write_run

        def wrong(self: Any, run: pa.Table) -> None:
            (block,) = run.unify_dictionaries().combine_chunks().to_batches()
            bent = pa.Table.from_batches([changed(block, change)])
            real(self, bent.replace_schema_metadata(run.schema.metadata))

        monkeypatch.setattr(PartWriter, "_write_run", wrong)

    return patch


def folded(change: Callable[[pa.Table], pa.Table]) -> Patch:
    """Other rows come out of the merge; they carry the number of their file and their row in it."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = table_fold._Rows.in_order

        def wrong(self: Any, spill: str) -> Iterator[pa.RecordBatch]:
            rows = pa.Table.from_batches(list(real(self, spill)), schema=self._schema)
            return iter(change(rows.unify_dictionaries().combine_chunks()).to_batches())

        monkeypatch.setattr(table_fold._Rows, "in_order", wrong)

    return patch


def written(change: Change) -> Patch:
    """The published columns are others than those that were folded."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = table_version.TableWriter._completed

        def wrong(self: Any, group: pa.Table) -> tuple[pa.Table, pa.Table, Any]:
            data, origin, cover = real(self, group)
            (block,) = data.combine_chunks().to_batches()
            return pa.Table.from_batches([changed(block, change)]).cast(data.schema), origin, cover

        monkeypatch.setattr(table_version.TableWriter, "_completed", wrong)

    return patch


def instead(*places: tuple[Any, str], of: Callable[[Any], Any]) -> Patch:
    """Another function at each place, made of the true one."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for module, name in places:
            monkeypatch.setattr(module, name, of(getattr(module, name)))

    return patch


def changed(block: pa.RecordBatch, change: Change) -> pa.RecordBatch:
    columns: Columns = dict(zip(block.schema.names, block.columns, strict=True))
    columns = change(columns) or columns
    return pa.record_batch(list(columns.values()), names=list(columns))


def on(name: str, change: Callable[[pa.Array], pa.Array]) -> Change:
    """One column changed, where it is there."""

    def patch(columns: Columns) -> None:
        if name in columns:
            cells = columns[name]
            texts = cells.cast(pa.string()) if pa.types.is_dictionary(cells.type) else cells
            found = change(texts)
            columns[name] = found.dictionary_encode() if pa.types.is_dictionary(cells.type) else found

    return patch


def exchanged(one: str, other: str) -> Change:
    def patch(columns: Columns) -> None:
        if one in columns:
            columns[one], columns[other] = columns[other], columns[one]

    return patch


def rows(choose: Callable[[int], Iterable[int]]) -> Change:
    """Other rows of a block, by their number."""

    def patch(columns: Columns) -> Columns:
        chosen = pa.array(list(choose(len(next(iter(columns.values()))))))
        return {name: cells.take(chosen) for name, cells in columns.items()}

    return patch


def neighbour(cells: pa.Array) -> pa.Array:
    """Each row has what belongs to the next one."""
    return cells.take(pa.array([*range(1, len(cells)), 0]))


def other_numbers(name: str) -> Callable[[pa.Table], pa.Table]:
    """A row of one file under the number of the other."""

    def patch(table: pa.Table) -> pa.Table:
        cells = table.column(name).to_pylist()
        cells[0] = 1 - cells[0]
        at = table.schema.get_field_index(name)
        return table.set_column(at, table.schema.field(at), pa.array(cells, table.schema.field(at).type))

    return patch


def without_the_sent(real: Any) -> Any:
    """The fold forgets the files that were staged, beside a base."""

    def wrong(**told: Any) -> Any:
        return real(**{**told, "staged": {} if told["base"] else told["staged"]})

    return wrong


def old_rows(table: pa.Table) -> Any:
    return pc.equal(table.column(FILE), pc.min(table.column(FILE)))


def old_values_changed(table: pa.Table) -> pa.Table:
    """What the release before held changes while it is carried over."""
    at = table.schema.get_field_index("temperature")
    cells = pc.if_else(old_rows(table), pc.add(table.column("temperature"), 1), table.column("temperature"))
    return table.set_column(at, table.schema.field(at), cells)


def twice_appended(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.filter(pc.invert(old_rows(table)))]).combine_chunks()


def floats32(cells: pa.Array) -> pa.Array:
    return cells.cast(pa.float32()).cast(pa.float64()) if pa.types.is_floating(cells.type) else cells


def as_thousands(columns: Columns) -> None:
    """12,5 is read as 125."""
    for name in ("temperature", "lon", "lat"):
        on(name, lambda cells: pc.replace_substring(cells, ",", ""))(columns)
    for name in ("lon", "lat"):
        on(name, lambda cells: pc.binary_join_element_wise(pc.utf8_slice_codeunits(cells, 0, 2), "5", "."))(columns)


def hours_later(hours: int) -> Callable[[pa.Array], pa.Array]:
    return lambda cells: pc.add(cells, pa.scalar(timedelta(hours=hours))).cast(cells.type)


def doubled_hour(side: str) -> Patch:
    """The hour that a clock shows twice is taken for one of the two, without a word."""

    def of(real: Any) -> Any:
        def wrong(naive: pa.Array, timezone: str | None) -> pa.Array:
            return pc.assume_timezone(naive, timezone, ambiguous=side).cast(pa.timestamp("us", "UTC"))

        return wrong

    return instead((table_times, "_local"), of=of)


def in_another_crs(code: int) -> Callable[[Any], Any]:
    """The same coordinates, said to be in another system."""
    import pyproj

    return lambda real: lambda *told, **more: pyproj.CRS.from_epsg(code).to_json_dict()


def wrong_crs_written(real: Any) -> Any:
    return lambda column, crs, types, bbox: real(column, in_another_crs(3577)(None)(), types, bbox)


def latitude_first(real: Any) -> Any:
    return lambda x, y: real(y, x)


def second_number_first(real: Any) -> Any:
    def wrong() -> np.dtype:
        return np.dtype([("order", "<u1"), ("type", "<u4"), ("y", "<f8"), ("x", "<f8")])

    assert wrong().itemsize == real().itemsize
    return wrong


def one_fid_twice(real: Any) -> Any:
    def wrong(self: Any, files: pa.ChunkedArray, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
        return real(self, files, pc.multiply(pc.divide(numbers, 2), 2))

    return wrong


def zones_forgotten(real: Any) -> Any:
    return lambda naive, timezone: real(naive, "UTC")


def depth_as_text(real: Any) -> Any:
    """A column without any value loses the type that is declared."""
    return lambda files, dataset, misfits: {**real(files, dataset, misfits), "depth": "string"}


def first_letters(cells: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(cells, 0, 255)


def zeros_lost(cells: pa.Array) -> pa.Array:
    return pc.utf8_ltrim(cells, "0") if pa.types.is_string(cells.type) else cells


def gone(cells: pa.Array) -> pa.Array:
    return pc.fill_null(cells, 0.0)
