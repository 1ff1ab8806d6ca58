"""Errors that readers of profiles make in silence, each committed by our reader while it converts and while it is
asked again: the second reader sees them all."""

from __future__ import annotations

import zipfile

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rimrep_assets.domain import table_profiles, table_profiles_attributes, table_profiles_rows
from rimrep_assets.domain import table_profiles_values as values
from rimrep_assets.domain.table_proof import prove_table
from rimrep_assets.domain.table_second_profiles import profile_rows
from rimrep_assets.domain.tabular import stage_table
from rimrep_assets_tests.domain.profile_files import argo, dataset, ragged
from rimrep_assets_tests.domain.table_examples import ledger, table, version_of

ARGO = {"x": "LONGITUDE", "y": "LATITUDE", "t": "JULD"}
RAGGED = {"x": "lon", "y": "lat", "t": "time"}
AGGREGATED = "mooring/IMOS_ANMN-NRS_TZ_20181213_NRSROT_FV01_TEMP-aggregated-timeseries_END-20190523_C-20220607.nc"


def differences(path, coordinates, tmp_path, **options):
    about = dataset(coordinates, **options)
    version = version_of({path.name: path}, tmp_path / "v", about)
    (proof,) = prove_table(version, ledger(path.name), {path.name: path}, {}, about, None, seed=3)
    return proof.differences


@pytest.fixture(params=["argo", "contiguous", "indexed"])
def small(request, tmp_path):
    """A file of each kind, and its coordinates."""
    if request.param == "argo":
        return argo(tmp_path / "argo.nc"), ARGO
    return ragged(tmp_path / "r.nc", contiguous=request.param == "contiguous"), RAGGED


def test_faithful_rows_are_proven(small, tmp_path):
    assert differences(*small, tmp_path) == ()


@pytest.mark.parametrize("profiles", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_few_profiles_are_proven_as_many_are(profiles, tmp_path):
    assert differences(argo(tmp_path / "a.nc", profiles), ARGO, tmp_path) == ()


def test_rows_of_fill_that_are_kept_are_proven(tmp_path):
    assert differences(argo(tmp_path / "a.nc"), ARGO, tmp_path, keep_empty=True) == ()


def test_both_readers_agree_about_times_to_the_last_bit(tmp_path):
    """Days as float64 and float32, with and without a resolution, at random."""
    rng = np.random.default_rng(5)
    with netCDF4.Dataset(tmp_path / "t.nc", "w") as file:
        file.createDimension("obs", 900)
        for name, kind, units, more in (
            ("a", "f8", "days since 1950-01-01", {}),
            ("b", "f8", "hours since 1900-01-01 00:00:00 +10:30", {"resolution": 1e-5}),
            ("c", "f4", "days since 2000-01-01", {}),
            ("d", "f8", "days since 0001-01-01", {"calendar": "standard"}),
            ("e", "f8", "seconds since 1581-01-01", {"calendar": "gregorian"}),
            ("f", "i4", "minutes since 1990-06-01T12:00:00Z", {}),
        ):
            variable = file.createVariable(name, kind, ("obs",))
            variable.setncatts({"units": units, **more})
            top = 730_000 if "0001" in units or "1581" in units else 9_000
            variable[:] = rng.uniform(0, top, 900)
    assert differences(tmp_path / "t.nc", {}, tmp_path) == ()


def fills_are_data(patch):
    patch.setattr(table_profiles_attributes, "_fills", lambda *_: ())


def packed_integers_stay(patch):
    patch.setattr(values.Meaning, "_unpacked", lambda self, flat: flat.astype("f8"))


def single_precision(patch):
    real = values.Meaning._unpacked
    patch.setattr(values.Meaning, "_unpacked", lambda self, flat: real(self, flat).astype("f4"))


def the_valid_range_is_ignored(patch):
    patch.setattr(values.Meaning, "_outside", lambda self, flat: np.zeros(flat.shape, bool))


def words_are_cut(patch):
    real = values.Meaning._word
    patch.setattr(values.Meaning, "_word", lambda self, stored: real(self, stored[:3]))


def an_index_is_shifted(patch):
    real = table_profiles_rows.Samples._indexed
    patch.setattr(table_profiles_rows.Samples, "_indexed", lambda self, link, n: (real(self, link, n) + 1) % 4)


def counts_are_shifted(patch):
    real = table_profiles_rows.Samples._ends_of

    def ends(self, child, link):
        found = real(self, child, link)
        return np.append(found[:-1] - 1, found[-1])

    patch.setattr(table_profiles_rows.Samples, "_ends_of", ends)


def levels_of_another_profile(patch):
    real = table_profiles_rows.Samples._stored

    def stored(self, name, parts):
        found = real(self, name, parts)
        return np.roll(found, 1, axis=0) if name == "PRES" else found

    patch.setattr(table_profiles_rows.Samples, "_stored", stored)


def the_last_row_is_dropped(patch):
    real = table_profiles.Samples.read
    patch.setattr(table_profiles.Samples, "read", lambda self, *a: real(self, *a)[:-1])


def a_row_is_doubled(patch):
    real = table_profiles.Samples.read

    def read(self, *where):
        block = real(self, *where)
        return block.take(pa.array([*range(len(block)), len(block) - 1]))

    patch.setattr(table_profiles.Samples, "read", read)


def times_are_an_hour_late(patch):
    real = values.Meaning._instants
    late = pa.scalar(3_600_000_000, pa.duration("us"))
    patch.setattr(values.Meaning, "_instants", lambda self, *a: pc.add(real(self, *a), late))


def rows_of_fill_stay(patch):
    patch.setattr(table_profiles.Samples, "is_measured", lambda self, block: None)


def a_sample_counts_as_fill(patch):
    real = table_profiles.Samples.is_measured
    patch.setattr(
        table_profiles.Samples,
        "is_measured",
        lambda self, block: pc.and_(real(self, block), block.column("PSAL").is_valid()),
    )


def with_a_range(path):
    with netCDF4.Dataset(path, "a") as file:
        file["temp"].valid_max = np.float32(20.5)
    return path


@pytest.mark.parametrize(
    ("commit", "kind", "shown"),
    [
        (fills_are_data, "argo", "'PRES'"),
        (packed_integers_stay, "argo", "'PSAL'"),
        (single_precision, "argo", "'PSAL'"),
        (words_are_cut, "argo", "'PLATFORM'"),
        (words_are_cut, "contiguous", "'station_name'"),
        (an_index_is_shifted, "indexed", "'lat'"),
        (counts_are_shifted, "contiguous", "'station_name'"),
        (levels_of_another_profile, "argo", "'PRES'"),
        (times_are_an_hour_late, "argo", "'JULD'"),
        (the_last_row_is_dropped, "contiguous", "8 rows are published, a second reader finds more"),
        (a_row_is_doubled, "contiguous", "a second reader does not find rows such as 9"),
        (rows_of_fill_stay, "argo", "None in the source (second reader), '5902' published"),
        (a_sample_counts_as_fill, "argo", "a second reader finds more"),
        (the_valid_range_is_ignored, "ranged", "'temp'"),
    ],
)
def test_the_gate_would_stop_a_reader_that(commit, kind, shown, tmp_path, monkeypatch):
    path, coordinates = tmp_path / "f.nc", RAGGED
    if kind == "argo":
        argo(path)
        coordinates = {"x": "LONGITUDE", "y": "LATITUDE"} if commit is fills_are_data else ARGO
    else:
        ragged(path, contiguous=kind != "indexed")
    if kind == "ranged":
        with_a_range(path)
    if commit is fills_are_data:
        with netCDF4.Dataset(path, "a") as file:
            for name in ("JULD", "LONGITUDE"):
                file[name].set_auto_mask(False)
                file[name][:] = np.clip(file[name][:], 0, 20_000 if name == "JULD" else 180)
    assert differences(path, coordinates, tmp_path / "before") == ()
    with monkeypatch.context() as patch:
        commit(patch)
        found = differences(path, coordinates, tmp_path / "after")
    assert any(shown in difference for difference in found), found


@pytest.mark.parametrize(
    ("commit", "shown"),
    [(an_index_is_shifted, "instrument_id"), (fills_are_data, "PRES"), (words_are_cut, "source_file")],
)
def test_the_gate_would_stop_it_at_a_real_file(commit, shown, shared, tmp_path, monkeypatch):
    if commit is an_index_is_shifted:
        real = table_profiles_rows.Samples._indexed
        monkeypatch.setattr(
            table_profiles_rows.Samples, "_indexed", lambda self, link, n: (real(self, link, n) + 1) % 3
        )
    else:
        commit(monkeypatch)
    where = {"x": "LONGITUDE", "y": "LATITUDE", "t": "TIME"}
    found = differences(shared(f"data/c_profiles/{AGGREGATED}"), where, tmp_path, outside_valid={"PRES": "keep"})
    assert any(f"'{shown}'" in difference and "second reader" in difference for difference in found), found


def test_files_in_a_zip_are_one_table_and_are_proven(tmp_path):
    argo(tmp_path / "a.nc", slice(0, 2))
    argo(tmp_path / "b.nc", slice(1, 3))
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for name in ("b.nc", "a.nc"):
            archive.write(tmp_path / name, name)
    about = table(convert={"unzip": {"member": "*.nc"}, "read_profiles": {}}, coordinates=ARGO)
    version = version_of({"both.zip": tmp_path / "both.zip"}, tmp_path / "v", about)
    assert pq.read_table(version.data)["PRES"].to_pylist() == [5, 10, 20, 30, 5, 10, 5, 10, 5, 20, 30]
    (proof,) = prove_table(version, ledger("both.zip"), {"both.zip": tmp_path / "both.zip"}, {}, about, None, seed=3)
    assert proof.differences == ()
    told = stage_table(tmp_path / "both.zip", "both.zip", about, None, tmp_path / "part.parquet")
    assert told.left_out == {"rows that hold nothing but fill": 2 + 3}


def test_the_second_reader_finds_no_row_that_is_not_there(tmp_path):
    path, options = argo(tmp_path / "a.nc"), dataset(ARGO).convert.read_profiles
    assert [row for row, _ in profile_rows(path, options, [8, 9, 10])] == [8]
