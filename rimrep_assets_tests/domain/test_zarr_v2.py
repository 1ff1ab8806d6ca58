"""Zarr 3 metadata said in Zarr 2: what zarr and xarray read of the same encoded bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.zarr_v2 import array_v2, chunk_key_v2

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def translated(folder: Path) -> Path:
    """A v3 store, written by zarr, copied chunk by chunk under the names and documents of format 2."""
    target = folder.with_name(f"{folder.name}-v2")
    target.mkdir()
    (target / ".zgroup").write_text('{"zarr_format": 2}')
    for document in folder.glob("*/zarr.json"):
        name = document.parent.name
        array = array_v2(name, json.loads(document.read_text()))
        (target / name).mkdir()
        (target / name / ".zarray").write_text(json.dumps(array.zarray))
        (target / name / ".zattrs").write_text(json.dumps(array.zattrs))
        for chunk in (p for p in document.parent.rglob("*") if p.is_file() and p != document):
            (target / chunk_key_v2(str(chunk.relative_to(folder)))).write_bytes(chunk.read_bytes())
    return target


@pytest.mark.parametrize(
    "compressor",
    [
        None,
        ZstdCodec(level=3),
        ZstdCodec(level=1, checksum=True),
        *(BloscCodec(cname="zstd", clevel=3, shuffle=s, typesize=4) for s in ("noshuffle", "shuffle", "bitshuffle")),
        BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=4),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "float32", "float64"])
def test_the_same_bytes_are_the_same_numbers_in_both_formats(tmp_path, compressor, dtype):
    group = zarr.open_group(tmp_path / "g", mode="w", zarr_format=3)
    values = np.arange(35).reshape(5, 7).astype(dtype)
    compressors = [compressor] if compressor else None
    array = group.create_array(
        "a", shape=values.shape, chunks=(2, 3), dtype=dtype, compressors=compressors, dimension_names=("y", "x")
    )
    array[...] = values
    other = zarr.open_group(translated(tmp_path / "g"), mode="r", zarr_format=2)["a"]
    assert other.metadata.zarr_format == 2
    np.testing.assert_array_equal(other[...], values)
    assert other.dtype == values.dtype


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("int16", -32768),
        ("uint8", 255),
        ("float32", np.float32(-3.4e38)),
        ("float64", np.nan),
        ("float32", np.inf),
        ("int64", -(2**63)),
    ],
)
def test_missing_values_are_missing_in_both_formats(tmp_path, dtype, fill):
    values = np.arange(24).reshape(4, 6).astype("f8")
    values[1, :3] = np.nan
    grid = xr.Dataset({"heat": (("y", "x"), values)})
    encoding = {"dtype": dtype, "_FillValue": np.dtype(dtype).type(fill), "chunks": (2, 3)}
    grid.to_zarr(tmp_path / "g", zarr_format=3, encoding={"heat": encoding}, consolidated=False)
    # zarr's own fill is the missing value too, as the platform writes it.
    document = tmp_path / "g/heat/zarr.json"
    told = json.loads(document.read_text())
    word = "NaN" if fill != fill else "Infinity" if np.isinf(fill) else np.dtype(dtype).type(fill).item()
    document.write_text(json.dumps({**told, "fill_value": word}))
    with (
        xr.open_zarr(tmp_path / "g", zarr_format=3, consolidated=False) as old,
        xr.open_zarr(translated(tmp_path / "g"), zarr_format=2, consolidated=False) as new,
    ):
        np.testing.assert_array_equal(new["heat"].values, values)
        xr.testing.assert_identical(old.load(), new.load())
        assert old["heat"].dtype == new["heat"].dtype


def test_zeros_without_a_missing_value_are_data_and_their_absent_chunks_can_be_written(tmp_path):
    group = zarr.open_group(tmp_path / "g", mode="w", zarr_format=3)
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=2)
    array = group.create_array(
        "a", shape=(4,), chunks=(2,), dtype="int16", fill_value=0, compressors=[codec], dimension_names=("x",)
    )
    array[...] = [0, 0, 0, 5]
    assert not (tmp_path / "g/a/c/0").exists()
    translation = array_v2("a", json.loads((tmp_path / "g/a/zarr.json").read_text()))
    assert translation.zarray["fill_value"] is None
    other = translated(tmp_path / "g")
    (other / "a/0").write_bytes(translation.absent_chunk())
    with xr.open_zarr(other, zarr_format=2, consolidated=False) as seen:
        assert seen["a"].dtype == "int16"
        assert seen["a"].values.tolist() == [0, 0, 0, 5]
    assert translation.is_absent_chunk(translation.absent_chunk())
    assert not translation.is_absent_chunk((other / "a/1").read_bytes())
    assert not translation.is_absent_chunk(b"rubbish")


def test_a_fill_that_is_not_the_missing_value_is_written_out():
    document = {
        "shape": [2],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "fill_value": 7,
        "attributes": {"_FillValue": -1},
        "dimension_names": ["x"],
    }
    array = array_v2("a", document)
    assert (array.zarray["fill_value"], array.absent) == (-1, 7)
    assert np.frombuffer(array.absent_chunk(), "<i2").tolist() == [7, 7]
    assert array.zattrs == {"_ARRAY_DIMENSIONS": ["x"]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"compressors": [GzipCodec()]}, "the codec 'gzip' at place 2"),
        ({"dtype": "complex64", "fill_value": 0}, "the type complex64"),
        ({"shards": (4, 4)}, "the codec 'sharding_indexed' first"),
        ({"serializer": zarr.codecs.BytesCodec(endian="big")}, "the most significant byte first"),
        ({"compressors": [BloscCodec(typesize=2), ZstdCodec()]}, "the codec 'zstd' at place 3"),
    ],
)
def test_what_format_2_cannot_say_with_the_same_bytes_is_refused(tmp_path, change, sentence):
    group = zarr.open_group(tmp_path / "g", mode="w", zarr_format=3)
    group.create_array("a", **{"shape": (4, 4), "chunks": (2, 2), "dtype": "int16", **change})
    with pytest.raises(DefinitionError, match="format 2 cannot have") as told:
        array_v2("a", json.loads((tmp_path / "g/a/zarr.json").read_text()))
    assert sentence in str(told.value)


def test_the_one_chunk_of_a_scalar_has_a_name():
    assert chunk_key_v2("crs/c") == "crs/0"


@given(NAMES, st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_keys_are_those_that_zarr_gives(name, index):
    from zarr.core.chunk_key_encodings import DefaultChunkKeyEncoding, V2ChunkKeyEncoding

    own = f"{name}/{DefaultChunkKeyEncoding('/').encode_chunk_key(tuple(index))}"
    assert chunk_key_v2(own) == f"{name}/{V2ChunkKeyEncoding('.').encode_chunk_key(tuple(index))}"
