"""pygeoapi's OpenAPI document from pieces: the same as pygeoapi makes of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.pygeoapi import default_header, merge
from rimrep_assets.ports.pygeoapi_openapi import fragment_for, header_openapi, merge_openapi
from rimrep_assets_tests.domain.test_pygeoapi import grid_entry, table_entry


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A table without rows, and a grid of which only metadata and coordinates are written."""
    import geopandas
    import pandas
    import xarray
    import zarr

    folder = tmp_path_factory.mktemp("samples")
    columns = {"fid": ["a"], "time": pandas.to_datetime(["2020-01-01"], utc=True), "lon": [1.0], "lat": [2.0]}
    table = geopandas.GeoDataFrame(
        {**columns, "qc_val": [1.5]}, geometry=geopandas.points_from_xy([1.0], [2.0]), crs=4326
    )
    table.iloc[:0].to_parquet(folder / "data.parquet", write_covering_bbox=True)
    grid = xarray.Dataset(
        coords={"time": pandas.date_range("2023-01-01", periods=3), "lat": [-10.0, -11.0], "lon": [150.0, 151, 152]}
    )
    grid.to_zarr(folder / "data.zarr", zarr_format=3, consolidated=False)
    group = zarr.open_group(folder / "data.zarr", mode="a")
    group.create_array("dhw", shape=(3, 2, 3), dtype="f4", chunks=(1, 2, 3), dimension_names=("time", "lat", "lon"))
    assert not list((folder / "data.zarr/dhw").rglob("c/*"))
    return {"table": folder / "data.parquet", "grid": folder / "data.zarr"}


def entry_at(entry: dict[str, Any], id_: str, sample: Path) -> dict[str, Any]:
    """The entry as it would be served if the sample were the release."""
    provider = dict(entry["providers"][0])
    provider["data"] = {"source": str(sample)} if provider["type"] == "feature" else str(sample)
    return {**entry, "title": f"Title of {id_}", "rimrep": {**entry["rimrep"], "dataset": id_}, "providers": [provider]}


def test_the_pieces_make_what_pygeoapi_makes_of_the_whole_configuration(samples):
    from pygeoapi.openapi import get_oas

    header = default_header("https://pygeoapi.example")
    entries = {
        "b-table": entry_at(table_entry(), "b-table", samples["table"]),
        "a-grid": entry_at(grid_entry(), "a-grid", samples["grid"]),
    }
    config, left_out = merge(header, entries)
    assert left_out == {}
    fragments = {id_: fragment_for(entries[id_], samples[id_[2:]]) for id_ in entries}
    made = merge_openapi(header_openapi(header), {id_: fragments[id_] for id_ in config["resources"]})
    whole = get_oas(config)
    assert made == whole
    assert "/collections/a-grid/coverage" in made["paths"]
    assert "/collections/b-table/items" in made["paths"]


def test_without_collections_the_document_is_the_headers(samples):
    from pygeoapi.openapi import get_oas

    header = default_header("https://pygeoapi.example")
    assert merge_openapi(header_openapi(header), {}) == get_oas({**header, "resources": {}})


def test_a_fragment_says_nothing_of_where_the_sample_lay(samples):
    fragment = fragment_for(table_entry(), samples["table"])
    assert str(samples["table"].parent) not in str(fragment)
    assert all(path.startswith("/collections/aims-temp-loggers") for path in fragment["paths"])


def test_a_provider_that_cannot_open_the_sample_is_a_fault_that_names_why(samples):
    entry = table_entry()
    entry["providers"][0]["time_field"] = "datum"
    with pytest.raises(DataError, match=r"pygeoapi cannot serve the data: .* has no column 'datum'"):
        fragment_for(entry, samples["table"])
    with pytest.raises(DataError, match=r"pygeoapi cannot serve the data: .* no coordinate 'easting'"):
        grid = grid_entry()
        grid["providers"][0]["x_field"] = "easting"
        fragment_for(grid, samples["grid"])
    with pytest.raises(DataError, match="cannot open"):
        fragment_for(grid_entry(), samples["grid"].with_name("nothing.zarr"))
    with pytest.raises(DataError, match="cannot open"):
        fragment_for(table_entry(), samples["table"].with_name("nothing.parquet"))


def test_an_entry_that_pygeoapi_would_refuse_is_a_fault_of_the_definition(samples):
    with pytest.raises(DefinitionError, match="'title' is a required property"):
        fragment_for({k: v for k, v in table_entry().items() if k != "title"}, samples["table"])
