"""Chosen rows of Parquet files, read with DuckDB, which has a reader of its own.

Here belongs the second reading of this format. Not here: Arrow, with which ``table_parquet`` reads.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import ReadParquet
from rimrep_assets.domain.table_second_row import Rows

ROW = "file_row_number"


def parquet_rows(path: Path, options: ReadParquet, rows: set[int]) -> Rows:
    """See ``table_second_reader.chosen_rows``. Raises: ValueError where DuckDB cannot read the file."""
    import duckdb

    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as connection:
        try:
            # Geometries as the bytes that the file holds: older GeoParquet is no GeoParquet to DuckDB.
            connection.execute("SET enable_geoparquet_conversion = false")
            connection.execute("SET TimeZone = 'UTC'")
            count = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()[0][0]
            found = connection.execute(
                f"SELECT * FROM read_parquet(?, {ROW} = true) "  # noqa: S608
                f"WHERE {ROW} IN (SELECT unnest(?::BIGINT[])) ORDER BY {ROW}",
                [str(path), sorted(rows)],
            )
            names = [about[0] for about in found.description]
            while cells := found.fetchone():
                values = dict(zip(names, cells, strict=True))
                yield int(values.pop(ROW)), {name: _plain(cell) for name, cell in values.items()}
        except duckdb.Error as error:
            raise ValueError(str(error)) from error
    return int(count)


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime.datetime) and cell.tzinfo is None:
        return cell.isoformat(sep=" ", timespec="microseconds")
    if isinstance(cell, dict | list):
        return json.loads(json.dumps(cell, default=str))
    return cell
