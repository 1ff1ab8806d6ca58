from __future__ import annotations

import geopandas
import pandas as pd
import pytest

from rimrep_assets.domain.facts import ColumnFacts
from rimrep_assets.domain.table_facts import measure_table
from rimrep_assets_tests.domain.table_examples import LONLAT, VECTOR, table, version_of


def facts_of(text, tmp_path, **keys):
    dataset = table(**keys)
    (tmp_path / "in.csv").write_text(text)
    return measure_table(version_of({"in.csv": tmp_path / "in.csv"}, tmp_path / "v", dataset).data, dataset)


def test_a_mooring_is_measured_as_pandas_reads_it(shared, tmp_path):
    source = shared("data/b_tabular/moorings/rottnest.csv")
    dataset = table(coordinates={"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}, layout={"sort_by": ["TEMP"]})
    facts = measure_table(version_of({"r.csv": source}, tmp_path / "v", dataset).data, dataset)
    frame = pd.read_csv(source)
    assert facts.row_count == len(frame)
    assert (facts.start, facts.end) == (frame.TIME.min(), frame.TIME.max())
    assert facts.bbox == (frame.LONGITUDE.min(), frame.LATITUDE.min(), frame.LONGITUDE.max(), frame.LATITUDE.max())
    assert facts.crs == "OGC:CRS84"
    measured = {c.name: c for c in facts.columns}
    assert list(measured) == [*frame.columns, "geometry", "fid"]
    for column in frame.select_dtypes("number"):
        assert (measured[column].min, measured[column].max) == (frame[column].min(), frame[column].max())
        assert measured[column].nulls == frame[column].isna().sum()


def test_every_type_is_measured(tmp_path):
    facts = facts_of(
        "i,n,w,b,d,t,e\n2,1.5,b,true,2020-01-02,2020-01-01T00:00:00.5Z,\n,nan,a,,2019-01-02,2020-01-01T00:00:00Z,\n",
        tmp_path,
    )
    assert facts.columns[:7] == (
        ColumnFacts(name="i", type="integer", nulls=1, min=2, max=2),
        ColumnFacts(name="n", type="number", nulls=0, min=1.5, max=1.5),
        ColumnFacts(name="w", type="string", nulls=0, min="a", max="b"),
        ColumnFacts(name="b", type="boolean", nulls=1, min=True, max=True),
        ColumnFacts(name="d", type="date", nulls=0, min="2019-01-02", max="2020-01-02"),
        ColumnFacts(name="t", type="datetime", nulls=0, min="2020-01-01T00:00:00Z", max="2020-01-01T00:00:00.500000Z"),
        ColumnFacts(name="e", type="string", nulls=2),
    )
    assert (facts.bbox, facts.crs, facts.start) == (None, None, None)


def test_dates_give_extents_at_midnight(tmp_path):
    facts = facts_of("d\n2020-01-02\n2020-01-01\n", tmp_path, coordinates={"t": "d"})
    assert (facts.start, facts.end) == ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("lons", "west_east"),
    [((170, 190), (170, -170)), ((0, 359), (0, -1)), ((181, 190), (-179, -170)), ((0, 360), (-180, 180))],
)
def test_longitudes_above_180_are_told_in_degrees_west(tmp_path, lons, west_east):
    facts = facts_of(f"lon,lat\n{lons[0]},1\n{lons[1]},2\n", tmp_path, coordinates=LONLAT)
    assert facts.bbox == (west_east[0], 1, west_east[1], 2)


@pytest.mark.parametrize(
    ("path", "crs"),
    [
        ("shapefile/dylan_active_pts/dylan_active_pts.shp", "WGS_1984_Mercator"),
        ("shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp", "WGS_1984_Mercator"),
        ("shapefile/marcia_nodes/marcia_nodes.shp", "EPSG:4326"),
    ],
)
def test_extents_are_degrees_whatever_the_crs(shared, tmp_path, path, crs):
    source = shared(f"data/b_tabular/{path}")
    facts = measure_table(version_of({path: source}, tmp_path / "v", table(**VECTOR)).data, table(**VECTOR))
    expected = geopandas.read_file(source).to_crs("OGC:CRS84").total_bounds
    assert facts.bbox == pytest.approx(tuple(expected), abs=1e-9)
    assert facts.crs == crs


def test_a_table_whose_places_are_all_null_has_no_extent(tmp_path):
    facts = facts_of("lon,lat\n1,\n,2\n", tmp_path, coordinates=LONLAT)
    assert facts.bbox is None
    assert next(c for c in facts.columns if c.name == "geometry").nulls == 2
