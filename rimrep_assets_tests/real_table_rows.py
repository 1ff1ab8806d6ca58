"""The table of the tabular and vector files that providers sent: what a curator writes, and what becomes of them.

Here belongs the table alone. Not here: what the tests do with it (``test_real_tables``), or profiles.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyogrio
import pyreadr

READ_AS_ONE = "filegdb/multilayer.gdb"
"""a folder that is one file of a source"""
LONLAT = {"x": "lon", "y": "lat"}
GEOMETRY = {"geometry": "geometry"}
AIMS = "aims_api/misc/{}.json"
PAGES = [
    f"aims_api/temp_logger_size300/page{number:02}_{mark}.json"
    for number, mark in enumerate(["2778ab", "53ddac", "b59407", "344833", "a4bb7a", "ad4d2e", "fdb4be", "5ec9dc"])
]
RESULTS = {"read_json": {"records": "results"}}

Read = Callable[[Path], pd.DataFrame]


@dataclass(frozen=True)
class Row:
    """``files`` with the steps of a curator; ``refused``: words of the reason, else they are published with the values
    that ``read``, which is not ours, finds. ``zone``: the one of times that carry none; ``crs``: the published one."""

    files: Sequence[str]
    steps: Mapping[str, Any]
    coordinates: Mapping[str, str] = field(default_factory=dict)
    read: Read | None = None
    """pandas' reading of a CSV by default"""
    zone: str = "UTC"
    crs: str = "OGC:CRS84"
    refused: Sequence[str] = ()


def csv(**options: Any) -> Read:
    """The file as pandas reads it, without pandas' own words for missing values."""
    words = {"keep_default_na": False, "na_values": [""], "float_precision": "round_trip"}
    return lambda path: pd.read_csv(path, **{**words, **options})


def layer(name: str | None = None) -> Read:
    """The layer as pyogrio reads it, feature by feature."""
    return lambda path: pyogrio.read_dataframe(path, layer=name)


def records(path: Path) -> pd.DataFrame:
    read = json.loads(path.read_text())
    return pd.DataFrame(read if isinstance(read, list) else read["results"], dtype=object)


def r_object(path: Path) -> pd.DataFrame:
    return next(iter(pyreadr.read_r(str(path)).values()))


def archived(member: str, skip: int, names: Sequence[str]) -> Read:
    """A file of tabulators within an archive."""

    def read(path: Path) -> pd.DataFrame:
        with zipfile.ZipFile(path) as archive:
            text = io.BytesIO(archive.read(member))
        return pd.read_csv(
            text,
            sep="\t",
            header=None,
            names=list(names),
            skiprows=skip,
            quoting=3,
            keep_default_na=False,
            na_values=[""],
            dtype=str,
        )

    return read


def without_geometry(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).reset_index().drop(columns=["geometry", "geom"], errors="ignore")


REEF_ID = ["reef_id", "area_km2", "sand", "shelf"]
PORTAL = [f"column_{number}" for number in range(28)]
TAXON = ["id", "order", "class", "kingdom", "phylum", "genus", "family"]

PUBLISHED = {
    "extracts of eReefs with a word and a number for missing values": Row(
        ["ereefs_csv/eReefsData.csv"],
        {
            "read_csv": {"na": {"*": ["no data"], "Depth": ["99999.9"]}, "timezone": "Australia/Brisbane"},
            "rename": {"Aggregated Date/Time": "time"},
        },
        {"x": "Longitude", "y": "Latitude", "t": "time"},
        lambda path: csv(na_values={"Depth": ["99999.9"], **{c: ["no data"] for c in STATISTICS}})(path).rename(
            columns={"Aggregated Date/Time": "time"}
        ),
        zone="Australia/Brisbane",
    ),
    "a place with a byte order mark": Row(
        ["ereefs_csv/site_coordinates.csv"], {"read_csv": {}}, {"x": "long", "y": "lat"}
    ),
    "depths of layers": Row(
        ["ereefs_csv/eReefs_model_depths_by_index_k.csv"], {"read_csv": {"na": ["NA"]}}, read=csv(na_values=["", "NA"])
    ),
    "reefs of manta tows": Row(["ltmp/all.reefs_3Zone.csv"], {"read_csv": {}}, {"x": "Longitude", "y": "Latitude"}),
    "recovery of reefs, in a file with blanks in its name": Row(
        ["ltmp/manual recovery indiv manta reefs_2022.csv"], {"read_csv": {}}
    ),
    "change of reefs": Row(["ltmp/post2012.csv"], {"read_csv": {}}),
    "points of a cyclone in World Mercator": Row(
        ["shapefile/dylan_active_pts/dylan_active_pts.shp"], {"read_vector": {}}, GEOMETRY, layer(), crs="file"
    ),
    "nodes of a cyclone": Row(
        ["shapefile/marcia_nodes/marcia_nodes.shp"], {"read_vector": {}}, GEOMETRY, layer(), crs="EPSG:4326"
    ),
    "the track of a cyclone": Row(
        ["shapefile/marcia_line/marcia_line.shp"], {"read_vector": {}}, GEOMETRY, layer(), crs="EPSG:4326"
    ),
    "waves of Oswald, polygons of one part and of many": Row(
        ["shapefile/gbr_w4m_oswald/gbr_w4m_oswald.shp"], {"read_vector": {}}, GEOMETRY, layer(), crs="file"
    ),
    "waves of Dylan": Row(
        ["shapefile/gbr_w6m_dylan/gbr_w6m_dylan.shp"], {"read_vector": {}}, GEOMETRY, layer(), crs="file"
    ),
    "daily temperatures in rda, packed by bzip2": Row(["rdata/sst_WA.rda"], {"read_rdata": {}}, {"t": "t"}, r_object),
    "the same of another place, chosen by name": Row(
        ["rdata/sst_Med.rda"], {"read_rdata": {"object": "sst_Med"}}, {"t": "t"}, r_object
    ),
    "the same in RData, packed by gzip": Row(["rdata/sst_WA.RData"], {"read_rdata": {}}, {"t": "t"}, r_object),
    "acoustic detections between semicolons": Row(
        ["acoustic/A69-1105-135_107799906_130722039.csv"],
        {"read_csv": {"delimiter": ";", "timezone": "UTC"}},
        {"x": "longitude", "y": "latitude", "t": "detection_timestamp"},
        csv(sep=";"),
    ),
    "a spreadsheet of the portal, with columns named in the catalog": Row(
        ["encodings/IMOSPortalCollections.csv"],
        {"read_csv": {"encoding": "cp1252", "header": False, "skip_rows": 1, "names": PORTAL}},
        read=csv(encoding="cp1252", header=None, names=PORTAL, skiprows=1),
    ),
    "a mooring's CTD": Row(
        ["moorings/rottnest.csv"], {"read_csv": {}}, {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
    ),
    "reef polygons": Row(
        ["gpkg/Test_domain.gpkg"], {"read_vector": {"layer": "data"}}, GEOMETRY, layer("data"), crs="EPSG:4326"
    ),
    "zones of reefs": Row(["gpkg/gbrmpa_zone_type.csv"], {"read_csv": {}}),
    "projections with a column a year": Row(["adria_csv/EC_Earth3_Veg_SSP245_test_domain.csv"], {"read_csv": {}}),
    "ids below lines of remarks, which are skipped": Row(
        ["adria_csv/id_list_2023_03_30.csv"],
        {"read_csv": {"comment": "#", "header": False, "names": REEF_ID}},
        read=csv(comment="#", header=None, names=REEF_ID),
    ),
    "lakes": Row(["vector_misc/ne_110m_lakes.geojson"], {"read_vector": {}}, GEOMETRY, layer(), crs="EPSG:4326"),
    "features of all types of geometry": Row(
        ["vector_misc/items.geojson"], {"read_vector": {}}, GEOMETRY, layer(), crs="EPSG:4326"
    ),
    "stations": Row(["vector_misc/station_list.csv"], {"read_csv": {}}, {"x": "longitude", "y": "latitude"}),
    "points of a geodatabase": Row(
        [READ_AS_ONE], {"read_vector": {"layer": "points"}}, GEOMETRY, layer("points"), crs="EPSG:4326"
    ),
    "lines of a geodatabase": Row(
        [READ_AS_ONE], {"read_vector": {"layer": "lines"}}, GEOMETRY, layer("lines"), crs="EPSG:4326"
    ),
    "polygons of a geodatabase": Row(
        [READ_AS_ONE], {"read_vector": {"layer": "polygons"}}, GEOMETRY, layer("polygons"), crs="EPSG:4326"
    ),
    "Parquet without geometry": Row(
        ["parquet/random_nogeom.parquet"], {"read_parquet": {}}, {**LONLAT, "t": "time"}, without_geometry
    ),
    "Parquet whose geometry of unknown CRS is dropped, its longitudes and latitudes taken": Row(
        ["parquet/random.parquet"],
        {"read_parquet": {}, "drop_columns": ["geometry"]},
        {**LONLAT, "t": "time"},
        without_geometry,
    ),
    "the same with a geometry that its metadata does not name": Row(
        ["parquet/random_nocrs.parquet"],
        {"read_parquet": {}, "drop_columns": ["geom"]},
        {**LONLAT, "t": "time"},
        without_geometry,
    ),
    "an archive of occurrences": Row(
        ["dwca/dwca-simple-test-archive.zip"],
        {"read_dwca": {}},
        read=archived("occurrence.txt", 1, ["id", "basisOfRecord", "locality", "family", "scientificName"]),
    ),
    "the core of an archive with extensions": Row(
        ["dwca/dwca-2extensions.zip"], {"read_dwca": {"core": True}}, read=archived("taxon.txt", 1, TAXON)
    ),
    "an extension of it": Row(
        ["dwca/dwca-2extensions.zip"],
        {"read_dwca": {"extension": "VernacularName"}},
        read=archived("vernacularname.txt", 1, ["coreid", "countryCode", "language", "vernacularName"]),
    ),
    "occurrences that GBIF sent": Row(
        ["dwca/gbif-results.zip"],
        {"read_dwca": {}},
        {"x": "decimalLongitude", "y": "decimalLatitude"},
        lambda path: archived("occurrence.txt", 0, gbif_terms(path))(path),
    ),
    "series of temperature, a list at the top": Row(
        [AIMS.format("summary-by-series")], {"read_json": {}}, LONLAT, records
    ),
    "daily temperature": Row([AIMS.format("daily-ea7477")], RESULTS, {**LONLAT, "t": "time"}, records),
    "two pages of a weather station": Row(
        [AIMS.format("data-0c7bee"), AIMS.format("data-14dcfd")], RESULTS, {**LONLAT, "t": "time"}, records
    ),
    "eight pages of loggers": Row(PAGES, RESULTS, {**LONLAT, "t": "time"}, records),
    "fish whose places are written as text": Row(
        ["rls/results.csv"],
        {"read_csv": {}, "rename": {"": "number"}},
        GEOMETRY,
        lambda path: csv()(path).rename(columns={"Unnamed: 0": "number"}),
    ),
    "the same fish in GeoJSON": Row(["rls/results.geojson"], {"read_vector": {}}, GEOMETRY, layer(), crs="EPSG:4326"),
}
STATISTICS = ("mean", "median", "p5", "p95", "lowest", "highest")


def gbif_terms(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        meta = archive.read("meta.xml").decode()
    return [term.rpartition("/")[2] for term in re.findall(r'<field index="\d+" term="([^"]+)"', meta)]


REFUSED = {
    "an sf object": Row(
        ["rdata_unreadable/gbr_bounds.rda"], {"read_rdata": {}}, refused=["class sf", "GeoPackage or CSV"]
    ),
    "an sp object": Row(
        ["rdata_unreadable/whagbr.n.RData"], {"read_rdata": {}}, refused=["no data frame", "SpatialPolygons"]
    ),
    "polygons in a place that nobody defined": Row(
        ["gpkg/reefmod_gbr.gpkg"], {"read_vector": {}}, GEOMETRY, refused=["Undefined geographic SRS"]
    ),
    "a spreadsheet that is not UTF-8": Row(
        ["encodings/IMOSPortalCollections.csv"],
        {"read_csv": {"header": False, "skip_rows": 1, "names": PORTAL}},
        refused=["is not utf-8", "byte offset", "read_csv.encoding"],
    ),
    "a spreadsheet whose columns have no names": Row(
        ["encodings/IMOSPortalCollections.csv"],
        {"read_csv": {"encoding": "cp1252"}},
        refused=["14 columns are called ''"],
    ),
    "ids below lines of remarks": Row(
        ["adria_csv/id_list_2023_03_30.csv"], {"read_csv": {}}, refused=["row 0 (line 3) has 1 cells, the header has 4"]
    ),
    "attributes of a file, which are no records": Row(
        ["moorings/rottnest.json"], {"read_json": {}}, refused=["keys '_dimensions', '_variables'", "read_json.records"]
    ),
    "a page of loggers without the path to its records": Row(
        [PAGES[0]], {"read_json": {}}, LONLAT, refused=["'links', 'cursor', 'results'", "declare read_json.records"]
    ),
    "an empty page": Row([AIMS.format("data-de5e86")], RESULTS, refused=["holds no records"]),
    "an empty page after wrong filters": Row([AIMS.format("data-3f57c4")], RESULTS, refused=["holds no records"]),
    "an archive with extensions of which nothing is said": Row(
        ["dwca/dwca-2extensions.zip"],
        {"read_dwca": {}},
        refused=["'Description'", "'VernacularName'", "read_dwca.core"],
    ),
    "GeoParquet that says its CRS is null": Row(
        ["parquet/random.parquet"], {"read_parquet": {}}, GEOMETRY, refused=["geometry 'geometry' has no CRS"]
    ),
    "GeoParquet whose metadata names another column": Row(
        ["parquet/random_nocrs.parquet"],
        {"read_parquet": {}},
        {"geometry": "geom"},
        refused=["no geo metadata names it"],
    ),
    "layers of which none is chosen": Row(
        [READ_AS_ONE], {"read_vector": {}}, GEOMETRY, refused=["one of 'points', 'lines', 'polygons'"]
    ),
    "fish whose first column has no name": Row(
        ["rls/results.csv"], {"read_csv": {}}, GEOMETRY, refused=["a column has no name"]
    ),
    "detections whose clock is not known": Row(
        ["acoustic/A69-1105-135_107799906_130722039.csv"],
        {"read_csv": {"delimiter": ";"}},
        {"t": "detection_timestamp"},
        refused=["carry no zone", "read_csv.timezone"],
    ),
}
