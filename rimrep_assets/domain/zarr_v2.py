"""Zarr format 3 said in format 2: the same encoded chunks, described for readers that know only the older format.

Here belongs translating metadata and keys, as pure functions. Not here: the order in which a copy is written
(``ports/plain_copy``). Chunks are never decoded, so only codecs that are the same in both formats are known.

Sources: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html; how xarray marks dimensions and missing values:
https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_encoding import decoded_fill

if TYPE_CHECKING:
    import numpy as np

SEPARATOR = "."
"""between the indexes of a chunk's key; the one that every reader of format 2 knows"""
GROUP: dict[str, Any] = {"zarr_format": 2}
DIMENSIONS = "_ARRAY_DIMENSIONS"
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


@dataclass(frozen=True)
class ArrayV2:
    """An array's two documents, and what its absent chunks hold where format 2 cannot say it."""

    zarray: dict[str, Any]
    zattrs: dict[str, Any]
    absent: Any = None
    """the number of which chunks consist that format 3 leaves out, but format 2 must write: in format 2 the fill is
    what readers take for missing, so numbers that are data cannot be it; None where absent chunks stay absent"""

    def absent_values(self) -> np.ndarray:
        """The values of an absent chunk, in the type and order in which they are encoded."""
        import numpy as np

        return np.full(tuple(self.zarray["chunks"]), self.absent, np.dtype(self.zarray["dtype"]))

    def absent_chunk(self) -> bytes:
        """The encoded bytes of a chunk that format 3 leaves out."""
        codec = self._codec()
        raw = self.absent_values()
        return raw.tobytes() if codec is None else bytes(codec.encode(raw))

    def is_absent_chunk(self, data: bytes) -> bool:
        """Whether ``data`` decodes to an absent chunk; another version of the compressor may give other bytes."""
        codec = self._codec()
        try:
            decoded = data if codec is None else bytes(codec.decode(data))
        except (RuntimeError, ValueError):
            return False
        return decoded == self.absent_values().tobytes()

    def _codec(self) -> Any:
        import numcodecs  # type: ignore[import-untyped]

        return None if self.zarray["compressor"] is None else numcodecs.get_codec(dict(self.zarray["compressor"]))


def array_v2(name: str, document: Mapping[str, Any]) -> ArrayV2:
    """The array ``zarr.json`` in format 2.

    Raises: DefinitionError for a type, codec or chunk grid that format 2 cannot say with the same bytes.
    """
    problems: list[str] = []
    dtype = _dtype(document, problems)
    compressor = _compressor(document.get("codecs", []), problems)
    grid = document.get("chunk_grid", {})
    if grid.get("name") != "regular":
        problems.append(f"chunks of unequal size ({grid.get('name')})")
    if document.get("storage_transformers"):
        problems.append("storage transformers")
    if problems:
        raise DefinitionError(
            [f"{name}: a plain copy in Zarr format 2 cannot have {problem}" for problem in problems],
            advice="set layout: {plain_format: 3}, or plain: false.",
        )
    attributes = dict(document.get("attributes", {}))
    fill, absent = _fill(attributes.pop("_FillValue", None), document.get("fill_value"), dtype)
    zarray = {
        "zarr_format": 2,
        "shape": list(document["shape"]),
        "chunks": list(grid["configuration"]["chunk_shape"]),
        "dtype": dtype,
        "compressor": compressor,
        "fill_value": fill,
        "filters": None,
        "order": "C",
        "dimension_separator": SEPARATOR,
    }
    zattrs = {**attributes, DIMENSIONS: list(document.get("dimension_names") or ())}
    return ArrayV2(zarray, zattrs, absent)


def chunk_key_v2(key: str) -> str:
    """``heat/c/3/0/0`` as format 2 names it: ``heat/3.0.0``; the one chunk of a scalar, ``crs/c``, is ``crs/0``."""
    name, _, place = key.partition("/")
    indexes = place.split("/")[1:] or ["0"]
    return f"{name}/{SEPARATOR.join(indexes)}"


def _dtype(document: Mapping[str, Any], problems: list[str]) -> str:
    import numpy as np

    told = document.get("data_type")
    try:
        dtype = np.dtype(str(told))
    except TypeError:
        problems.append(f"the type {told}")
        return "|u1"
    if dtype.kind not in "biuf":
        problems.append(f"the type {told}")
    return dtype.newbyteorder("<").str


def _compressor(codecs: list[Mapping[str, Any]], problems: list[str]) -> dict[str, Any] | None:
    """The one compressor as numcodecs writes it; None where chunks are bare bytes."""
    found: dict[str, Any] | None = None
    for place, codec in enumerate(codecs):
        kind, settings = codec.get("name"), codec.get("configuration") or {}
        if place == 0 and kind == "bytes":
            if settings.get("endian", "little") != "little":
                problems.append("numbers with the most significant byte first")
        elif place == 1 and kind == "zstd":
            found = {"id": "zstd", "level": settings.get("level", 0)}
            if settings.get("checksum"):
                found["checksum"] = True
        elif place == 1 and kind == "blosc" and settings.get("shuffle") in _SHUFFLES:
            found = {
                "id": "blosc",
                "cname": settings["cname"],
                "clevel": settings["clevel"],
                "shuffle": _SHUFFLES[settings["shuffle"]],
                "blocksize": settings.get("blocksize", 0),
            }
        else:
            problems.append(f"the codec {kind!r} {'first' if place == 0 else f'at place {place + 1}'}")
    if not codecs:
        problems.append("no codecs")
    return found


def _fill(attribute: Any, fill: Any, dtype: str) -> tuple[Any, Any]:
    """``fill_value`` of format 2, and what must be written of chunks that format 3 leaves out (None: nothing).

    Readers of format 2 take its fill for missing (xarray makes ``_FillValue`` of it): so it is the attribute, or none.
    """
    import numpy as np

    kind = np.dtype(dtype)
    stored = _number(fill, kind)
    missing = decoded_fill(attribute, kind.name)
    both_nan = kind.kind == "f" and np.isnan(stored) and (missing is None or np.isnan(missing))
    if both_nan:
        return "NaN", None
    if missing is None:
        return None, stored
    return _json_number(missing), None if missing == stored else stored


def _number(fill: Any, kind: np.dtype[Any]) -> Any:
    """``fill_value`` of format 3 as a number; floats may stand as words or as their bits in hex."""
    import numpy as np

    if isinstance(fill, str) and fill.startswith("0x"):
        return np.array(int(fill, 16), f"<u{kind.itemsize}").view(kind)[()]
    return kind.type(fill)


def _json_number(value: Any) -> Any:
    import numpy as np

    if value.dtype.kind != "f":
        return value.item()
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)
