"""Every NetCDF file that providers sent, and what becomes of it: published with the values that xarray reads, or
refused with the reason in words.

Here belongs holding the table of ``real_grid_rows`` against the files. Not here: files that other readers take, or
single rules (``domain``). More whole publications stand in ``test_real_files``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.grid_bench import Published, grid_dataset
from rimrep_assets_tests.real_grid_rows import MONTH, NWA, OTHER_READERS, PUBLISHED, REFUSED, SEAWIFS, Row
from rimrep_assets_tests.test_real_files import data_of, put
from rimrep_assets_tests.test_real_files import published as whole


def test_the_table_names_every_real_file(shared):
    root = shared("data")
    there = set()
    for path in [p for folder in ("a_gridded", "c_profiles") for p in (root / folder).rglob("*") if p.is_file()]:
        store = next((p for p in path.parents if p.suffix == ".zarr"), path)
        there.add(str(store.relative_to(root)))
    named = {file for row in (*PUBLISHED.values(), *REFUSED.values()) for file in row.files}
    assert named | OTHER_READERS.keys() == there
    assert not named & OTHER_READERS.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_real_file_is_published_with_the_values_that_xarray_reads(name, shared):
    row = PUBLISHED[name]
    paths = [shared(f"data/{file}") for file in row.files]
    grid = published(row, paths)
    assert [d for proof in grid.prove() for d in proof.differences] == []
    seen = xr.open_zarr(
        grid.store, consolidated=False, chunks=None, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)
    )
    axis = row.coordinates.get("t")
    if row.steps_published is not None:
        assert seen.sizes[axis_dim(seen, axis)] == row.steps_published
    compared = 0
    for number, path in enumerate(paths):
        if row.files_shown is None or number in row.files_shown:
            compared += compare_file(seen, path, row, number)
    assert compared > 0


def published(row: Row, paths: Sequence[Path]) -> Published:
    dataset = grid_dataset(coordinates=dict(row.coordinates), steps=dict(row.steps), layout=dict(row.layout))
    return Published(dataset).to(*paths)


def axis_dim(seen: xr.Dataset, name: str | None) -> str:
    return str(seen[name].dims[0]) if name else ""


def compare_file(seen: xr.Dataset, path: Path, row: Row, number: int) -> int:
    """Every variable of the file that is published against xarray's reading of it; returns how many."""
    options: dict[str, Any] = {"decode_times": xr.coders.CFDatetimeCoder(use_cftime=True), "decode_timedelta": False}
    with xr.open_dataset(path, **options) as source:
        read = row.change(source.load())
    name = row.coordinates.get("t")
    dim = axis_dim(seen, name)
    places = where(seen, name, times_of(source, row, number)) if name else []
    compared = 0
    for variable in [str(n) for n in read.variables if n in seen.variables and n != name]:
        expected, found = read[variable], seen[variable]
        if dim in found.dims:
            found = found.isel({dim: places})
            expected = expected if dim in expected.dims else expected.expand_dims({dim: len(places)})
        compared += same(variable, expected, found)
    return compared


def same(name: str, expected: xr.DataArray, found: xr.DataArray) -> bool:
    """Equal values of equal type; times as times. False for what is no number."""
    if expected.dtype.kind not in "iufO":
        return False
    values = expected.transpose(*found.dims).values
    if expected.dtype.kind == "O":
        # Bounds of time are published in the axis' calendar, which xarray names otherwise than most files do.
        pairs = zip(np.atleast_1d(values).reshape(-1), np.atleast_1d(found.values).reshape(-1), strict=True)
        named_alike = [(a if a.calendar == b.calendar else a.change_calendar(b.calendar), b) for a, b in pairs]
        assert max(abs((a - b).total_seconds()) for a, b in named_alike) <= 1e-3, name
        return True
    assert values.shape == found.shape, name
    np.testing.assert_array_equal(found.values, values, err_msg=name)
    return True


def times_of(source: xr.Dataset, row: Row, number: int) -> list[Any]:
    if row.times is None or isinstance(row.times, str):
        return list(np.atleast_1d(source[row.times or row.coordinates["t"]].values))
    return [cftime.datetime.strptime(row.times[number].replace("T", " ")[:19].ljust(10), form(row.times[number]))]


def form(text: str) -> str:
    return "%Y-%m-%d %H:%M:%S" if "T" in text else "%Y-%m-%d"


def where(seen: xr.Dataset, name: str, times: Sequence[Any]) -> list[int]:
    """Positions of these times on the published axis, to the millisecond."""
    found = []
    for moment in times:
        same = cftime.datetime(*moment.timetuple()[:6], moment.microsecond, calendar=seen[name].values[0].calendar)
        apart = [abs((there - same).total_seconds()) for there in seen[name].values]
        assert min(apart) <= 1e-3, f"{moment} is not on the axis"
        found.append(int(np.argmin(apart)))
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_is_refused_with_the_reason_in_words(name, shared):
    row = REFUSED[name]
    with pytest.raises(DataError) as caught:
        published(row, [shared(f"data/{file}") for file in row.files])
    told = str(caught.value)
    assert [words for words in row.refused if words not in told] == []
    assert row.files[0].rpartition("/")[2] in told


# Whole publications


def yaml_of(dataset: str, row: Row) -> dict[str, Any]:
    """A dataset.yaml with the steps of a row."""
    steps = {"read_netcdf": {}, **row.steps}
    return {
        "id": dataset,
        "collection": "real",
        "format": "zarr",
        "access": "public",
        "coordinates": dict(row.coordinates),
        "source": {"kind": "local", "url": f"../sources/{dataset}", "include": "*.nc"},
        "convert": [{name: options} for name, options in steps.items()],
        "layout": dict(row.layout),
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("the same, its time in the name and its latitudes turned", SEAWIFS),
        ("two hours of radar, descending, whose times are fractions of days", NWA.format(0)),
    ],
)
def test_rules_hold_from_the_source_to_the_stable_address(name, file, shared, tmp_path):
    row, path = PUBLISHED[name], shared(f"data/{file}")
    world = whole(tmp_path, yaml_of("real", row), path)
    decoder = xr.coders.CFDatetimeCoder(use_cftime=True)
    for address in (data_of(world, "real"), f"{world.store.url('real')}/data.zarr"):
        with xr.open_zarr(address, decode_times=decoder) as seen:
            assert compare_file(seen.load(), path, row, 0) > 0


def test_a_new_edition_under_another_name_replaces_the_old_values(shared, tmp_path):
    first, again = (shared(f"data/{MONTH.format(m)}") for m in ("12", "12_modified"))
    row = PUBLISHED["a month of eReefs and its new edition under another name, which wins"]
    world = whole(tmp_path, yaml_of("month", row), first)
    put(world, "month", again)
    record = world.attempt("month").publish()
    assert record is not None
    decoder = xr.coders.CFDatetimeCoder(use_cftime=True)
    with xr.open_zarr(data_of(world, "month"), decode_times=decoder) as seen:
        assert seen.sizes["time"] == 24
        assert compare_file(seen.load(), again, row, 0) > 0
