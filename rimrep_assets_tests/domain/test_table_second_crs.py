from __future__ import annotations

import zipfile

import geopandas
import pyproj
import pytest
import shapely

from rimrep_assets.domain import table_vector
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.table_second_crs import _told, same_crs
from rimrep_assets.domain.table_second_reader import interpreted
from rimrep_assets_tests.domain.table_examples import VECTOR, ledger, table, version_of

ALBERS = 3577
OWN = "+proj=aea +lat_0=0 +lon_0=132 +lat_1=-18 +lat_2={} +x_0=0 +y_0=0 +ellps=GRS80 +units=m"
"""a projection that has no code"""


def layer(folder, ending, crs):
    """One square of a degree, or of a hundred kilometres."""
    size = 1 if pyproj.CRS(crs).is_geographic else 1e5
    frame = geopandas.GeoDataFrame({"zone": ["a"]}, geometry=[shapely.box(0, -size, size, 0)], crs=crs)
    path = folder / f"zones.{ending}"
    frame.to_file(path)
    return path


def differences(path, out, dataset):
    version = version_of({path.name: path}, out, dataset)
    (proof,) = prove_table(version, ledger(path.name), {path.name: path}, {}, dataset, None, seed=1)
    return list(proof.differences)


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson"])
@pytest.mark.parametrize("crs", [4326, 7844, 4283, ALBERS, 32755])
def test_a_layer_that_our_reader_takes_for_one_in_another_crs_is_found(tmp_path, monkeypatch, ending, crs):
    path = layer(tmp_path, ending, crs)
    assert differences(path, tmp_path / "right", table(**VECTOR)) == []
    wrong = 3112 if pyproj.CRS(crs).is_projected else 4203
    monkeypatch.setattr(table_vector, "_projjson", lambda *told: pyproj.CRS.from_epsg(wrong).to_json_dict())
    (found,) = differences(path, tmp_path / "wrong", table(**VECTOR))
    assert found == (
        f"zones.{ending}: a second reader finds {shown(ending, crs)} in the source, the published CRS is EPSG:{wrong}"
    )


def shown(ending, crs):
    return "OGC:CRS84" if ending == "geojson" and crs == 4326 else f"EPSG:{crs}"


def test_the_crs_of_a_layer_in_a_zip_is_read_twice_too(tmp_path, monkeypatch):
    path = layer(tmp_path, "gpkg", ALBERS)
    packed = tmp_path / "zones.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, path.name)
    dataset = table(**{**VECTOR, "convert": {"unzip": {}, **VECTOR["convert"]}})
    assert differences(packed, tmp_path / "right", dataset) == []
    monkeypatch.setattr(table_vector, "_projjson", lambda *told: pyproj.CRS.from_epsg(3112).to_json_dict())
    assert "a second reader finds EPSG:3577" in differences(packed, tmp_path / "wrong", dataset)[0]


def test_a_projection_of_somebodys_own_is_the_published_one(tmp_path):
    for ending in ("gpkg", "shp"):
        assert differences(layer(tmp_path, ending, OWN.format(-36)), tmp_path / ending, table(**VECTOR)) == []


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("shapefile/marcia_nodes/marcia_nodes.shp", None),
        ("shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp", None),
        ("gpkg/Test_domain.gpkg", None),
        ("vector_misc/ne_110m_lakes.geojson", "OGC:CRS84"),
    ],
)
def test_the_crs_of_real_layers_is_told(shared, file, code):
    told = _told(shared(f"data/b_tabular/{file}"), table(**VECTOR))
    assert told is not None
    assert code is None or ":".join(told.to_authority()) == code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EPSG:4326", "OGC:CRS84", True),
        ("EPSG:4979", "EPSG:4326", True),
        ("EPSG:4283", "EPSG:7844", False),
        ("EPSG:3577", "EPSG:9473", False),
        ("EPSG:4326", "EPSG:3857", False),
        (OWN.format(-36), OWN.format(-36), True),
        (OWN.format(-36), OWN.format(-35), False),
        (OWN.format(-36), "EPSG:4326", False),
    ],
)
def test_two_descriptions_are_of_one_crs_or_not(one, other, same):
    assert same_crs(pyproj.CRS(one), pyproj.CRS(other)) is same
    assert same_crs(pyproj.CRS(other), pyproj.CRS(one)) is same


@pytest.mark.parametrize("text", ["2024-04-07 02:30:00", "2024-10-06 02:30:00"])
def test_the_second_reader_takes_no_side_where_a_clock_shows_an_hour_twice_or_never(text):
    with pytest.raises(ValueError, match="shows this time twice or never"):
        interpreted(text, "datetime", {}, "Australia/Sydney")
    assert interpreted(text, "datetime", {}, "Australia/Brisbane").hour == 16
    assert interpreted(f"{text}+10:00", "datetime", {}, "Australia/Sydney").hour == 16
