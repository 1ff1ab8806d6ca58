"""Rows with one key: which of them is published, as pandas says it, and what is said where none may be."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rimrep_assets.domain import table_order
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.table_fold import Folded, TableVersion, fold_table
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.table_examples import fields, ledger, table

SCHEMA = fields(site="string", day="integer", heat="number")


def keyed(rule: str, sort_by=("day",)):
    return table(layout={"key": ["site", "day"], "duplicates": rule, "sort_by": list(sort_by)})


def folded(
    folder: Path, frames: dict[str, pd.DataFrame], dataset, base: TableVersion | None = None
) -> tuple[TableVersion, Folded]:
    """The version of ``frames`` (file name to rows) on ``base``."""
    out = Path(tempfile.mkdtemp(dir=folder))
    parts = {}
    for name, frame in frames.items():
        frame.to_csv(out / name, index=False)
        parts[name] = out / f"{name}.parquet"
        stage_table(out / name, name, dataset, SCHEMA, parts[name])
    done = fold_table(base=base, without=(), staged=parts, out=out / "v", dataset=dataset)
    return TableVersion(out / "v/data.parquet", out / "v/rows.parquet"), done


def places(version: TableVersion) -> set[tuple[int, int]]:
    rows = pq.read_table(version.rows)
    return set(zip(rows["file"].to_pylist(), rows["row"].to_pylist(), strict=True))


def by_pandas(frames: dict[str, pd.DataFrame], rule: str) -> set[tuple[int, int]]:
    names = sorted(frames)
    whole = pd.concat([frames[n].assign(file=i, row=range(len(frames[n]))) for i, n in enumerate(names)])
    left = (
        whole.drop_duplicates(["site", "day"], keep="last")
        if rule == "last"
        else whole.drop_duplicates(["site", "day", "heat"], keep="first")
    )
    return set(zip(left["file"], left["row"], strict=True))


sites = st.sampled_from(["Davies", "Myrmidon", None])
days = st.integers(0, 4)
heats = st.sampled_from([1.5, -0.0, 0.0, None, 7.25])
tables = st.dictionaries(
    st.sampled_from(["a.csv", "b.csv", "c.csv"]), st.lists(st.tuples(sites, days, heats), min_size=1), min_size=1
)


def frames_of(rows) -> dict[str, pd.DataFrame]:
    return {name: pd.DataFrame(lines, columns=["site", "day", "heat"]) for name, lines in rows.items()}


@settings(deadline=None, max_examples=60)
@given(tables, st.sampled_from([(), ("day",)]), st.booleans())
def test_the_last_row_of_a_key_stands_as_pandas_has_it(tmp_path_factory, rows, order, in_two_steps):
    frames, dataset = frames_of(rows), keyed("last", order)
    folder = tmp_path_factory.mktemp("last")
    first = dict(list(frames.items())[:1]) if in_two_steps else {}
    base = folded(folder, first, dataset)[0] if first else None
    version, _ = (
        folded(folder, {n: f for n, f in frames.items() if n not in first}, dataset, base)
        if (len(first) < len(frames))
        else (base, None)
    )
    assert places(version) == by_pandas(frames, "last")
    clean, _ = folded(folder, frames, dataset)
    assert version.data.read_bytes() == clean.data.read_bytes()
    assert version.rows.read_bytes() == clean.rows.read_bytes()


@settings(deadline=None, max_examples=60)
@given(tables, st.sampled_from([(), ("day",)]))
def test_rows_that_are_the_same_in_all_columns_stand_once_as_pandas_has_it(tmp_path_factory, rows, order):
    frames, dataset = frames_of(rows), keyed("drop_same", order)
    whole = pd.concat(frames.values())
    clash = whole.drop_duplicates().duplicated(["site", "day"]).any()
    folder = tmp_path_factory.mktemp("same")
    if clash:
        with pytest.raises(DataError, match="differ in other columns"):
            folded(folder, frames, dataset)
        return
    version, done = folded(folder, frames, dataset)
    assert places(version) == by_pandas(frames, "drop_same")
    assert done.rows + sum(left.rows for left in done.duplicates.values()) == len(whole)


def test_keys_are_compared_across_runs_that_do_not_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(table_order, "RUN_BYTES", 4_000)
    monkeypatch.setattr(table_order, "MERGED_BYTES", 8_000)
    random = np.random.default_rng(0)
    frames = {
        name: pd.DataFrame(
            {
                "site": random.choice(["x", "y", "z"], 3000),
                "day": random.integers(0, 900, 3000),
                "heat": random.random(3000),
            }
        )
        for name in ("a.csv", "b.csv")
    }
    version, done = folded(tmp_path, frames, keyed("last"))
    assert places(version) == by_pandas(frames, "last")
    assert done.rows < 2700


def test_two_rows_with_one_key_are_refused_with_file_row_and_values(tmp_path):
    one = pd.DataFrame({"site": ["Davies"] * 9, "day": range(9), "heat": 1.0})
    with pytest.raises(DataError) as caught:
        folded(tmp_path, {"a.csv": one, "b.csv": one}, keyed("refuse"))
    assert len(caught.value.problems) == 6
    assert caught.value.problems[0] == "a.csv row 0 and b.csv row 0 have the same key: site = 'Davies', day = 0"
    assert caught.value.problems[-1] == "and 4 more pairs of rows with one key"
    assert "drop_same" in str(caught.value)


def test_rows_that_differ_are_never_dropped_as_the_same(tmp_path):
    one = pd.DataFrame({"site": ["Davies"], "day": [1], "heat": [1.0]})
    with pytest.raises(DataError, match=r"a\.csv row 0 and b\.csv row 0") as caught:
        folded(tmp_path, {"a.csv": one, "b.csv": one.assign(heat=1.0000001)}, keyed("drop_same"))
    assert "differ in other columns" in str(caught.value)


def test_a_key_that_the_data_lacks_is_refused_with_the_nearest_column(tmp_path):
    dataset = table(layout={"key": ["Site"]})
    with pytest.raises(DataError, match=r"layout.key names 'Site'.*nearest first: 'site'"):
        folded(tmp_path, {"a.csv": pd.DataFrame({"site": ["x"], "day": [1], "heat": [1]})}, dataset)


@pytest.mark.parametrize("layout", [{"duplicates": "last"}, {"key": ["a", "a"]}, {"key": ["a"], "duplicates": "some"}])
def test_a_rule_without_a_key_or_of_no_meaning_is_refused(layout):
    with pytest.raises(ValidationError, match=r"key|last"):
        table(layout=layout)


def proof_of(tmp_path, change):
    """Proofs of two files with four duplicates; ``change`` may spoil what the fold says of them."""
    one = pd.DataFrame({"site": ["Davies"] * 6, "day": range(6), "heat": np.arange(6) / 2})
    two = pd.concat([one[2:], one[2:].assign(day=9 + one["day"])])
    dataset = keyed("drop_same")
    frames = {"a.csv": one, "b.csv": two}
    paths, digests, parts = {}, {}, {}
    for name, frame in frames.items():
        paths[name], parts[name] = tmp_path / name, tmp_path / f"{name}.parquet"
        frame.to_csv(paths[name], index=False)
        digests[name] = stage_table(paths[name], name, dataset, SCHEMA, parts[name]).digests
    done = fold_table(base=None, without=(), staged=parts, out=tmp_path / "v", dataset=dataset)
    version = TableVersion(tmp_path / "v/data.parquet", tmp_path / "v/rows.parquet")
    told = change(done.duplicates)
    return prove_table(version, ledger(*frames), paths, {}, dataset, SCHEMA, 1, digests, told)


def test_a_file_without_its_duplicates_is_proven(tmp_path):
    proofs = proof_of(tmp_path, lambda left: left)
    assert [proof.differences for proof in proofs] == [(), ()]
    # Four rows of b.csv are published, and compared in all their columns besides fid.
    assert [proof.compared for proof in proofs] == [6 * 4, 4 * 4]
    assert all(proof.sampled for proof in proofs)


def test_rows_that_are_gone_without_being_told_stop_the_proof(tmp_path):
    proofs = proof_of(tmp_path, lambda left: {})
    assert proofs[0].differences == ()
    assert proofs[1].differences


def test_an_own_geometry_is_part_of_what_must_be_the_same(tmp_path):
    import geopandas
    import shapely

    dataset = table(
        coordinates={"geometry": "geom"},
        convert={"read_vector": {}},
        layout={"key": ["reef"], "duplicates": "drop_same", "sort_by": ["geom"]},
    )
    parts = {}
    for name, x in (("a.gpkg", 1.0), ("b.gpkg", 1.0), ("c.gpkg", 2.0)):
        shape = shapely.box(x, 0, x + 1, 1)
        geopandas.GeoDataFrame({"reef": ["r1"]}, geometry=[shape], crs=4326).to_file(tmp_path / name)
        parts[name] = tmp_path / f"{name}.parquet"
        stage_table(tmp_path / name, name, dataset, None, parts[name])
    two = {name: parts[name] for name in ("a.gpkg", "b.gpkg")}
    assert fold_table(base=None, without=(), staged=two, out=tmp_path / "two", dataset=dataset).rows == 1
    with pytest.raises(DataError, match=r"c\.gpkg row 0"):
        fold_table(base=None, without=(), staged=parts, out=tmp_path / "three", dataset=dataset)


def test_a_hash_of_rows_tells_columns_apart():
    from rimrep_assets.domain.table_digests import hashes_of_rows

    a, b = pa.array(["x", "y", "x"]), pa.array(["y", "x", "y"])
    hashes = hashes_of_rows([a, b])
    assert hashes[0] == hashes[2] != hashes[1]
    assert list(hashes) == list(hashes_of_rows([a.dictionary_encode(), b]))
