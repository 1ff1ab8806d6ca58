"""Every step is broken on purpose, in one of the two readings, and the proof tells."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from rimrep_assets.domain import (
    table_second_steps,
    table_steps_applied,
    table_steps_cast,
    table_steps_geometry,
    table_steps_join,
    table_steps_pivot,
)
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets_tests.domain.table_examples import LONLAT, fields, ledger, version_of
from rimrep_assets_tests.domain.table_steps_bench import published, steps

TEXT = "site,lon,lat,what,v\n" + "".join(
    f"{'abc'[n % 3]},{140 + n},-{n},{'xy'[n // 3 % 2]},{n if n != 4 else 'bad'}\n" for n in range(6)
)
CSV = {"read_csv": {}}
PLACE = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "properties": {"k": key}, "geometry": shapely.Point(n, n).__geo_interface__}
        for n, key in enumerate("abc")
    ],
}
JOIN = {"join_geometry": {"file": "k.geojson", "on": {"site": "k"}, "content": json.dumps(PLACE)}}


def everything(cells, values, *rest):
    return pa.array([True] * len(cells))


def other_box(bbox, *, geographic):
    return [(bbox[0], bbox[1], bbox[2] + 2, bbox[3])]


def other_text(pattern, name):
    return "other"


def nothing_bad(cells, kind):
    """Numbers that are none become zero instead of missing."""
    return pc.if_else(pc.match_substring_regex(cells, "bad"), "0", cells).cast(pa.int64()), []


def turned(cells, decimal):
    values, places = ordered(cells, decimal)
    return values, (places + 1) % len(values)


def same_key(value):
    return "a" if value is not None else None


ordered = table_steps_pivot._ordered
WHERE = steps(CSV, {"where": {"site": "a"}})
CLIP = steps(CSV, {"clip": {"bbox": [140, -10, 142, 0]}}, coordinates=LONLAT)
ADD = steps(CSV, {"add_columns": {"from": {"from_name": "{}.csv"}}})
CAST = steps(CSV, {"cast": {"misfits": "drop"}})
PIVOT = steps(CSV, {"pivot": {"index": ["site"], "columns": "what", "values": "v"}})
JOINED = steps(CSV, JOIN, coordinates={"geometry": "geom"})
RENAME = steps(CSV, {"rename": {"v": "value"}}, {"drop_columns": ["what"]})


@pytest.mark.parametrize(
    ("dataset", "where", "name", "broken"),
    [
        (WHERE, table_steps_applied, "matching", everything),
        (CLIP, table_steps_geometry, "boxes_of", other_box),
        (ADD, table_steps_applied, "taken_from", other_text),
        (CAST, table_steps_cast, "_without_misfits", nothing_bad),
        (PIVOT, table_steps_pivot, "_ordered", turned),
        (JOINED, table_steps_join, "key_text", same_key),
    ],
)
def test_a_step_that_goes_wrong_is_seen_by_the_second_reader(tmp_path, monkeypatch, dataset, where, name, broken):
    (tmp_path / "in.csv").write_text(TEXT)
    schema = fields(v="integer") if dataset is CAST else None
    right = published(tmp_path, dataset, {"in.csv": TEXT}, schema)
    assert len(right)
    monkeypatch.setattr(where, name, broken)
    paths = {"in.csv": tmp_path / "in.csv"}
    if dataset is JOINED:
        # Its keys are read with the feature file too, which is remembered.
        monkeypatch.setattr(table_steps_join, "_texts", lambda cells: ["a"] * len(cells))
    version = version_of(paths, tmp_path / "wrong", dataset, schema)
    (proof,) = prove_table(version, ledger("in.csv"), paths, {}, dataset, schema, seed=1)
    assert any("second reader" in difference for difference in proof.differences)


@pytest.mark.parametrize("dataset", [WHERE, CLIP, PIVOT, RENAME])
def test_windows_of_rows_give_what_all_rows_give(tmp_path, monkeypatch, dataset):
    monkeypatch.setattr(table_second_steps, "WINDOW", 2)
    assert len(published(tmp_path, dataset, {"in.csv": TEXT}))


def test_a_large_file_is_filtered_alike_by_both(tmp_path):
    rng = np.random.default_rng(4)
    rows = 120_000
    sites = rng.integers(0, 50, rows)
    text = "site,n,pad\n" + "".join(f"s{site},{n},{'x' * 30}\n" for n, site in enumerate(sites))
    assert len(text) > 4_000_000
    found = published(tmp_path, steps(CSV, {"where": {"site": ["s7", "s9"]}}), {"in.csv": text})
    assert found["n"].to_pylist() == np.flatnonzero((sites == 7) | (sites == 9)).tolist()
