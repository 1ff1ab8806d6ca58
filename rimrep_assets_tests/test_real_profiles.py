"""Every file of samples that providers sent, and what becomes of it: a table with the values that netCDF4 reads masked
and scaled, or refused with the reason in words.

Here belongs holding the table of ``real_profile_rows`` against the files. Not here: single rules (``domain``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cftime
import duckdb
import geopandas
import netCDF4
import numpy as np
import pandas as pd
import pytest

from rimrep_assets.domain import table_profiles_rows
from rimrep_assets.domain.errors import DataError, GateRefusal
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import ledger, table, version_of
from rimrep_assets_tests.domain.test_table_fold import check_geoparquet
from rimrep_assets_tests.homes import take_proposed
from rimrep_assets_tests.real_profile_rows import AGGREGATED, BGC, FLOAT, PUBLISHED, REFUSED, Row
from rimrep_assets_tests.test_real_files import data_of, published, put
from rimrep_assets_tests.worlds import World


def dataset_of(row: Row) -> Any:
    return table(convert={"read_profiles": dict(row.options)}, coordinates=dict(row.coordinates))


def test_the_table_names_every_real_file(shared):
    root = shared("data/c_profiles")
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert {row.file for row in (*PUBLISHED.values(), *REFUSED.values())} == there


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_is_refused_with_the_reason_in_words(name, shared, tmp_path):
    row = REFUSED[name]
    path = shared(f"data/c_profiles/{row.file}")
    with pytest.raises(DataError) as caught:
        stage_table(path, path.name, dataset_of(row), None, tmp_path / "part.parquet")
    told = str(caught.value)
    assert [words for words in row.refused if words not in told] == []
    assert path.name in told


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_file_becomes_rows_with_the_values_that_netcdf4_reads(name, shared, tmp_path):
    row = PUBLISHED[name]
    path = shared(f"data/c_profiles/{row.file}")
    dataset = dataset_of(row)
    version = version_of({path.name: path}, tmp_path / "v", dataset)
    (proof,) = prove_table(version, ledger(path.name), {path.name: path}, {}, dataset, None, seed=11)
    assert proof.differences == ()
    found = in_the_order_of_the_file(geopandas.read_parquet(version.data))
    assert len(found) == row.count
    compared = assert_same_rows(found, path, row)
    assert compared == len(found.columns) - len({"geometry", "fid"}) - len(row.constants)
    assert_opens_elsewhere(version.data, found, row)
    check_geoparquet(version.data, shared("schemas/geoparquet/v1.1.0.json"))


def test_what_is_not_published_of_a_file_is_counted(shared, tmp_path):
    for row in PUBLISHED.values():
        path = shared(f"data/c_profiles/{row.file}")
        if row.left or "mooring" in row.file:
            told = stage_table(path, path.name, dataset_of(row), None, tmp_path / "part.parquet")
            assert told.left_out == row.left


def in_the_order_of_the_file(found: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The key of a row ends in its number in the file."""
    rows = found["fid"].str.rpartition("-")[2].astype(int)
    return found.loc[rows.sort_values().index].reset_index(drop=True)


def assert_same_rows(found: pd.DataFrame, path: Path, row: Row) -> int:
    """Every variable as netCDF4 reads it, repeated along the rows; returns how many."""
    with netCDF4.Dataset(path) as source:
        columns = [c for c in found.columns if c in source.variables]
        expected = {c: expected_of(source[c], source, row) for c in columns}
    if row.measured:
        held = np.zeros(len(next(iter(expected.values()))), bool)
        for name in row.measured:
            held |= pd.notna(expected[name])
        expected = {name: values[held] for name, values in expected.items()}
    for name, values in expected.items():
        assert_same(name, found[name], values)
    for column, value in row.constants.items():
        assert found[column].unique().tolist() == [value]
    return len(columns)


def expected_of(variable: Any, source: Any, row: Row) -> np.ndarray:
    """A plain value for every row, None where it is missing."""
    variable.set_auto_chartostring(False)
    if variable.name in row.keep:
        variable.set_auto_mask(False)
    masked = variable[...]
    dims = list(variable.dimensions)
    if variable.dtype == "S1":
        last = dims[-1] if dims else ""
        word = bool(dims) and last not in row.dims and not (row.index and last == row.index[0])
        filled = masked.filled(b" ") if np.ma.isMaskedArray(masked) else masked
        raw = filled if word else filled[..., None]
        dims = dims[:-1] if word else dims
        words = ["".join(c.decode() for c in cell).replace("\0", "").strip() for cell in raw.reshape(-1, raw.shape[-1])]
        plain = np.array([w or None for w in words], object).reshape(raw.shape[:-1])
    elif " since " in getattr(variable, "units", ""):
        plain = np.full(masked.shape, None, object)
        known = ~np.ma.getmaskarray(masked)
        plain[known] = cftime.num2pydate(np.ma.getdata(masked)[known], variable.units)
    else:
        plain = np.where(np.ma.getmaskarray(masked), None, np.ma.getdata(masked).astype(object))
    if row.index and row.index[0] in dims:
        instances = np.ma.getdata(source[row.index[1]][...])
        plain = plain[instances]
        dims = list(row.dims)
    shape = [len(source.dimensions[d]) for d in row.dims]
    kept = [d for d in dims if d in row.dims]
    plain = plain.reshape([len(source.dimensions[d]) for d in kept])
    places = [len(source.dimensions[d]) if d in kept else 1 for d in row.dims]
    return np.broadcast_to(
        plain.transpose(np.argsort([row.dims.index(d) for d in kept])).reshape(places), shape
    ).reshape(-1)


def assert_same(name: str, found: pd.Series, expected: np.ndarray) -> None:
    assert found.isna().tolist() == pd.isna(expected).tolist(), name
    ours, theirs = found.dropna(), expected[~pd.isna(expected)]
    if isinstance(found.dtype, pd.DatetimeTZDtype):
        apart = (ours.dt.tz_convert(None).to_numpy() - theirs.astype("datetime64[us]")).astype("timedelta64[us]")
        assert len(apart) == 0 or np.abs(apart).max() <= np.timedelta64(500, "us"), name
        return
    assert ours.tolist() == theirs.tolist(), name


def assert_opens_elsewhere(data: Path, found: geopandas.GeoDataFrame, row: Row) -> None:
    """The points are where the columns say, in degrees; DuckDB counts the same rows."""
    known = found.geometry.notna()
    x, y = (found.loc[known, row.coordinates[part]] for part in ("x", "y"))
    assert found.geometry[known].x.tolist() == x.tolist()
    assert found.geometry[known].y.tolist() == y.tolist()
    assert known.tolist() == (found[row.coordinates["x"]].notna() & found[row.coordinates["y"]].notna()).tolist()
    assert found.crs.to_string() == "OGC:CRS84"
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{data}')").fetchall() == [(row.count,)]


# Whole publications


def yaml_of(name: str, row: Row) -> dict[str, Any]:
    return {
        "id": name,
        "collection": "real",
        "format": "parquet",
        "access": "public",
        "coordinates": dict(row.coordinates),
        "source": {"kind": "local", "url": f"../sources/{name}", "include": "*.nc"},
        "convert": [{"read_profiles": dict(row.options)}],
    }


def test_profiles_are_published_and_those_of_another_float_are_appended(shared, tmp_path):
    row = PUBLISHED["where and when a float came up, without its levels"]
    first, second = (shared(f"data/c_profiles/{file}") for file in (FLOAT, BGC))
    world = published(tmp_path, yaml_of("floats", row), first)
    put(world, "floats", second)
    record = world.attempt("floats").publish()
    assert record is not None
    assert record.release == 2
    found = geopandas.read_parquet(data_of(world, "floats"))
    assert len(found) == 234 + 2
    assert set(found["PLATFORM_NUMBER"]) == {"2902093", "5903593"}
    assert assert_same_rows(in_the_order_of_the_file(found[found["PLATFORM_NUMBER"] == "2902093"]), first, row) == 5


def test_the_gate_stops_a_reader_that_shifts_the_instruments_of_a_ragged_array(shared, tmp_path, monkeypatch):
    row = PUBLISHED["temperatures of three instruments, an indexed ragged array"]
    real = table_profiles_rows.Samples._indexed
    world = World(tmp_path)
    put(world, "moorings", shared(f"data/c_profiles/{AGGREGATED}"))
    world.describe(yaml_of("moorings", row), None)
    take_proposed(world, "moorings")
    monkeypatch.setattr(table_profiles_rows.Samples, "_indexed", lambda self, link, n: (real(self, link, n) + 1) % 3)
    with pytest.raises(GateRefusal, match="values_match_source"):
        world.attempt("moorings").publish()
    assert world.projector("moorings").log.numbers() == []
