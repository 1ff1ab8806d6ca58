"""Slips of our own hand at tables: a reader, a part, a fold or a writer that errs in silence; each must be stopped.

Here belongs the table. One file is published, a second one waits in the source; each entry bends one place of our code
while that is published. Not here: how to bend (``table_bends``), or the tests (``test_table_corruptions``).
"""

from __future__ import annotations

from dataclasses import dataclass

from rimrep_assets.domain import table_fold, table_geometry, table_made, table_times, table_version
from rimrep_assets.domain.table_part import ROW
from rimrep_assets.domain.table_version import FILE
from rimrep_assets.ports import table_data
from rimrep_assets_tests.table_bends import (
    Patch,
    as_thousands,
    depth_as_text,
    doubled_hour,
    exchanged,
    first_letters,
    floats32,
    folded,
    gone,
    hours_later,
    instead,
    latitude_first,
    neighbour,
    old_values_changed,
    on,
    one_fid_twice,
    other_numbers,
    read,
    rows,
    second_number_first,
    stored,
    twice_appended,
    typed,
    without_the_sent,
    written,
    wrong_crs_written,
    zeros_lost,
    zones_forgotten,
)

DIGESTS, SECOND, MADE, SCHEMA = "digests", "second reader", "made columns", "schema"
"""what stops a slip: values that were read are not those that are published; another reader reads other ones; a column
that is made anew is another one; the catalog declares another schema"""
POINTS, COMMA, SYDNEY, POLYGONS = "points", "comma", "Sydney", "polygons"


@dataclass(frozen=True)
class Slip:
    """``told``: patterns that the refusal must hold all; ``by``: what must have stopped it."""

    name: str
    by: str
    patch: Patch
    told: tuple[str, ...]
    table: str = POINTS


SLIPS = [
    Slip("ids lose their zeros in our reader", SECOND, read(on("site", zeros_lost)), ("site.*'007'.*'7'",)),
    Slip("ids lose their zeros in a part", DIGESTS, stored(on("site", zeros_lost)), ("site.*'007'.*'7'",)),
    Slip(
        "an empty column becomes text",
        SCHEMA,
        instead((table_fold, "_united"), of=depth_as_text),
        ("'depth' is string in the data, number in the catalog",),
    ),
    Slip(
        "the writer tells another CRS of points",
        MADE,
        instead((table_version, "geo_metadata"), of=wrong_crs_written),
        ("CRS", "EPSG:3577"),
    ),
    Slip(
        "the writer tells another CRS of polygons",
        MADE,
        instead((table_version, "geo_metadata"), of=wrong_crs_written),
        ("CRS", "EPSG:3577"),
        POLYGONS,
    ),
    Slip(
        "latitude first in our writer",
        MADE,
        instead((table_version, "points_from"), of=latitude_first),
        ("column 'geometry': POINT",),
    ),
    Slip(
        "latitude first wherever we make points",
        SECOND,
        instead((table_geometry, "point_record"), (table_made, "point_record"), of=second_number_first),
        ("column 'geometry': <?POINT",),
    ),
    Slip("rows doubled after an append", DIGESTS, folded(twice_appended), ("rows were read|more than once",)),
    Slip("the last row lost by our reader", SECOND, read(rows(lambda n: range(n - 1))), ("second reader finds more",)),
    Slip(
        "the header taken for no row, and the first row for it", SECOND, read(rows(lambda n: range(1, n))), ("second",)
    ),
    Slip(
        "the last row lost in the fold",
        DIGESTS,
        folded(lambda t: t.slice(0, len(t) - 1)),
        ("1 rows are not published",),
    ),
    Slip("a row under the name of another file", DIGESTS, folded(other_numbers(FILE)), ("rows",)),
    Slip("a row under the number of another", DIGESTS, folded(other_numbers(ROW)), ("does not hold the values",)),
    Slip("two columns exchanged by our reader", SECOND, read(exchanged("lat", "temperature")), ("lat", "temperature")),
    Slip("two columns exchanged in the fold", DIGESTS, stored(exchanged("temperature", "lat")), ("lat", "temperature")),
    Slip("a text cut at 255 by our reader", SECOND, read(on("note", first_letters)), ("column 'note'",)),
    Slip("a text cut at 255 by the writer", DIGESTS, written(on("note", first_letters)), ("column 'note'",)),
    Slip("times an hour off in our reader", SECOND, typed(on("time", hours_later(1))), ("column 'time'",)),
    Slip("times shifted by a zone", SECOND, instead((table_times, "_local"), of=zones_forgotten), ("column 'time'",)),
    Slip("the doubled hour taken for the later one", SECOND, doubled_hour("latest"), ("twice or never",), SYDNEY),
    Slip("the doubled hour taken for the earlier one", SECOND, doubled_hour("earliest"), ("twice or never",), SYDNEY),
    Slip(
        "a decimal comma read as thousands",
        SECOND,
        read(as_thousands, as_text=True, decimal="."),
        ("temperature.*13.3.*133",),
        COMMA,
    ),
    Slip("a sentinel taken for data", SECOND, read(na=("no data",)), ("temperature.*None.*-999",)),
    Slip("numbers rounded to 32 bits by our reader", SECOND, typed(on("temperature", floats32)), ("temperature",)),
    Slip("numbers rounded to 32 bits by the writer", DIGESTS, written(on("temperature", floats32)), ("temperature",)),
    Slip("a gap filled with zero in a part", DIGESTS, stored(on("temperature", gone)), ("temperature.*None.*0.0",)),
    Slip("the geometry of the neighbour", DIGESTS, written(on("geometry", neighbour)), ("'geometry'",), POLYGONS),
    Slip("the point of the neighbour", MADE, written(on("geometry", neighbour)), ("'geometry'",)),
    Slip("the covering of the neighbour's point", MADE, written(on("bbox", neighbour)), ("'bbox'",)),
    Slip("the covering of the neighbour's polygon", MADE, written(on("bbox", neighbour)), ("'bbox'",), POLYGONS),
    Slip("a key for two rows", MADE, instead((table_version.TableWriter, "_keys"), of=one_fid_twice), ("'fid'",)),
    Slip("UTF-8 read as Latin-1", SECOND, read(encoding="latin-1"), ("'Zoë'.*'ZoÃ«'",)),
    Slip(
        "a whole file missing",
        DIGESTS,
        instead((table_data, "fold_table"), of=without_the_sent),
        ("none of its rows|0 are",),
    ),
    Slip("rows of the release before changed", DIGESTS, folded(old_values_changed), ("first.csv.*'temperature'",)),
]
