"""Zarr stores (format 2 or 3; a folder, or a zip of one) in the shape of a grid's source file: stored numbers.

Here belongs what a store says of itself, under xarray's rules. Not here: how stores are found and fetched
(``ports/sources``), or writing the published store (``grid_write``).

A store is hostile until proven: links were followed when it was fetched; codecs are those that only compute.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_raw import Attributed

if TYPE_CHECKING:
    import numpy as np
    import zarr

DIMENSIONS = "_ARRAY_DIMENSIONS"
"""where xarray writes the names of dimensions in format 2"""
METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
MOST_CHUNK_BYTES = 2_000_000_000
MOST_METADATA_BYTES = 10_000_000
CODECS = frozenset(
    {
        *("bytes", "endian", "transpose", "sharding_indexed"),
        *("blosc", "zstd", "zlib", "gzip", "lz4", "lzma", "bz2", "shuffle", "delta", "fixedscaleoffset", "quantize"),
        *("bitround", "astype", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "pcodec"),
    }
)
"""what only computes; ``pickle`` would run what a stranger wrote"""


class ZarrVariable(Attributed):
    """An array; numbers come as they are stored, truth values as int8."""

    def __init__(self, array: zarr.Array[Any], name: str) -> None:
        import numpy as np

        self.array = array
        self.name = name
        self.attributes, self.dimensions = _described(array)
        self.shape: tuple[int, ...] = array.shape
        self.ndim = len(self.shape)
        self.dtype = np.dtype("int8") if array.dtype.kind == "b" else array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        import numpy as np

        if self.dtype.kind not in "iuf":
            raise DataError(f"{self.name}: holds {self.array.dtype}, not numbers")
        return np.asarray(self.array[index]).astype(self.dtype, copy=False)


class ZarrFile(Attributed):
    """An open store: the arrays of its root."""

    def __init__(self, group: zarr.Group) -> None:
        self.attributes = dict(group.attrs)
        arrays = dict(sorted(group.arrays()))
        problems = [problem for name, array in arrays.items() for problem in _problems(name, array)]
        if not arrays:
            inner = sorted(group.group_keys())
            problems.append(f"holds no arrays{'; those in groups are not read: ' + ', '.join(inner) if inner else ''}")
        if problems:
            raise DataError(problems)
        self.variables: Mapping[str, ZarrVariable] = {n: ZarrVariable(array, n) for n, array in arrays.items()}
        sizes: dict[str, int] = {}
        for name, variable in self.variables.items():
            for dim, size in zip(variable.dimensions, variable.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    problems.append(f"{name}: {size} along {dim!r}, where others have {sizes[dim]}")
        if problems:
            raise DataError(problems)
        self.dimensions = {dim: range(size) for dim, size in sizes.items()}


@contextmanager
def open_zarr(path: Path, name: str) -> Iterator[ZarrFile]:
    """A store in a folder, or in a zip, which is not unpacked. Raises: DataError, also while it is read."""
    import zarr

    told = (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        RuntimeError,
        zipfile.BadZipFile,
        MemoryError,
        NotImplementedError,
    )
    try:
        with ExitStack() as opened:
            store, root = opened.enter_context(opened_store(path))
            group = zarr.open_group(store, path=root, mode="r", use_consolidated=False)
            yield ZarrFile(group)
    except DataError as error:
        problems = [p if p.startswith(name) else f"{name}: {p}" for p in error.problems]
        raise DataError(problems, advice=error.advice) from error
    except told as error:
        words = str(error).replace(str(path), path.name) or type(error).__name__
        raise DataError(f"{name}: cannot be read as Zarr ({words})") from error


@contextmanager
def opened_store(path: Path) -> Iterator[tuple[Any, str]]:
    """The store at ``path`` for zarr, and where in it the root group lies. Raises: DataError, OSError."""
    from zarr.storage import LocalStore, ZipStore

    if path.is_dir():
        if not any((path / name).is_file() for name in METADATA):
            raise DataError(f"has none of {', '.join(METADATA[:2])}, so it is no Zarr store")
        yield LocalStore(path, read_only=True), ""
        return
    root = _root_in_zip(path)
    with ZipStore(path, mode="r", read_only=True) as store:
        yield store, root


def _root_in_zip(path: Path) -> str:
    """The folder in the zip that holds the store. Raises: DataError for what would not fit into memory."""
    with zipfile.ZipFile(path) as zipped:
        entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
    large = [
        f"{entry.filename!r} holds {entry.file_size} bytes when unpacked"
        for entry in entries
        if entry.file_size > (MOST_METADATA_BYTES if _last(entry.filename) in METADATA else MOST_CHUNK_BYTES)
    ]
    # Nothing is unpacked, but a name that leads elsewhere has no place in a store.
    large += [f"{e.filename!r} leads out of the zip" for e in entries if {"..", "."} & set(_parts(e.filename))]
    if large:
        raise DataError(large)
    roots = [e.filename.rpartition("/")[0] for e in entries if _last(e.filename) in METADATA[:2]]
    depth = min((root.count("/") + bool(root) for root in roots), default=None)
    least = sorted({root for root in roots if root.count("/") + bool(root) == depth})
    if len(least) != 1:
        raise DataError(f"is a zip with {len(least) or 'no'} Zarr stores; it may hold one")
    return least[0]


def _parts(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _problems(name: str, array: Any) -> list[str]:
    problems = [f"{name}: codec {codec!r} is not read" for codec in sorted(_codecs(array) - CODECS)]
    bytes_ = prod(array.chunks) * array.dtype.itemsize
    if bytes_ > MOST_CHUNK_BYTES:
        problems.append(f"{name}: a chunk would be {bytes_} bytes in memory, more than {MOST_CHUNK_BYTES}")
    dims = _dimensions(array)
    if dims is None or len(dims) != array.ndim or not all(isinstance(dim, str) for dim in dims):
        where = DIMENSIONS if array.metadata.zarr_format == 2 else "dimension_names"
        problems.append(f"{name}: does not name its {array.ndim} dimensions ({where})")
    return problems


def _codecs(array: Any) -> set[str]:
    """Names of all codecs, also of those within shards; without the prefix of numcodecs."""
    meta = array.metadata
    if meta.zarr_format == 2:
        held = [*(meta.filters or ()), *([meta.compressor] if meta.compressor else [])]
        return {str(codec.codec_id) for codec in held}
    found: set[str] = set()
    todo = [codec.to_dict() for codec in meta.codecs]
    while todo:
        codec = todo.pop()
        found.add(str(codec["name"]).removeprefix("numcodecs."))
        inner = codec.get("configuration") or {}
        todo += [*inner.get("codecs", ()), *inner.get("index_codecs", ())]
    return found


def _dimensions(array: Any) -> tuple[str, ...] | None:
    told = array.attrs.get(DIMENSIONS) if array.metadata.zarr_format == 2 else array.metadata.dimension_names
    if told is None:
        return () if array.ndim == 0 else None
    return tuple(told)


def _described(array: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Attributes with ``_FillValue`` where xarray would see one, and the names of dimensions.

    In format 2 xarray takes the array's fill for 'no value'; in format 3 the attribute alone, in base64 for floats.
    Source: https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html
    """
    attributes = {n: v for n, v in array.attrs.asdict().items() if n != DIMENSIONS}
    if array.dtype.kind == "b":
        attributes.setdefault("dtype", "bool")
    if array.metadata.zarr_format == 2:
        if array.fill_value is not None and array.dtype.kind in "iuf":
            attributes["_FillValue"] = array.fill_value
    elif isinstance(attributes.get("_FillValue"), str):
        attributes["_FillValue"] = _decoded_fill(attributes["_FillValue"])
    return attributes, _dimensions(array) or ()


def _decoded_fill(text: str) -> float:
    import base64
    import struct

    try:
        value: float = struct.unpack("<d", base64.standard_b64decode(text))[0]
    except (ValueError, struct.error):
        return float(text)
    return value
