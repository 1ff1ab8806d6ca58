"""Raw values of a grid: read from NetCDF bit for bit, hashed, packed for JSON, decoded.

Here belongs everything that touches numbers of a source file. Not here: what the file says of itself
(``grid_header``), or where its numbers go (``grid_write``).
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_file import RawFile
from rimrep_assets.domain.grid_layout import Packing, Span, Variable
from rimrep_assets.domain.grid_reencoding import (
    DoesNotFit,
    adds_fill,
    hidden_cells,
    is_decoded,
    is_repacked,
    repacked,
    wrapped,
)

if TYPE_CHECKING:
    import numpy as np


REPACK_ADVICE = "use unpack instead of repack, or leave the file out by source.exclude."


def native(values: Any) -> np.ndarray:
    """The array in C order and this machine's byte order; a character becomes its byte."""
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind == "S" and array.dtype.itemsize == 1:
        array = array.view("uint8")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(array.shape)


def read_raw(file: RawFile, variable: Variable, time_dim: str | None = None, times: slice | None = None) -> np.ndarray:
    """Stored values of ``variable`` as they are published: its ``spans`` alone, in the order of its ``dims``.

    Of ``time_dim`` those in ``times``, positions in the file.
    """
    import numpy as np

    index: list[slice] = []
    arranged: list[slice | np.ndarray] = []
    for dim in variable.source_dims:
        spans = variable.spans.get(dim, ())
        if dim == time_dim and times is not None:
            index.append(times)
            arranged.append(slice(None))
        else:
            low, high = bounds(spans)
            index.append(slice(low, high) if spans else slice(None))
            arranged.append(places(spans, low))
    array = native(file.variables[variable.source][tuple(index) if index else ...])
    for axis, there in enumerate(arranged):
        if not isinstance(there, slice):
            array = array.take(there, axis=axis)
        elif there != slice(None):
            array = array[(slice(None),) * axis + (there,)]
    array = in_published_order(array, variable)
    return np.ascontiguousarray(array).reshape(array.shape)


def in_published_order(values: np.ndarray, variable: Variable) -> np.ndarray:
    """Numbers in the order of ``variable.dims``; a time dimension that the file has not is added, of size 1."""
    import numpy as np

    held = [d for d in variable.dims if d in variable.source_dims]
    if list(variable.source_dims) != held:
        values = values.transpose([variable.source_dims.index(d) for d in held])
    lacking = tuple(i for i, d in enumerate(variable.dims) if d not in variable.source_dims)
    return np.expand_dims(values, lacking) if lacking else values


def bounds(spans: Sequence[Span]) -> tuple[int, int]:
    """First index, and the one after the last, of the shortest stretch that holds all spans."""
    return min((span.low for span in spans), default=0), max((span.high for span in spans), default=0)


def places(spans: Sequence[Span], low: int) -> slice | np.ndarray:
    """Where the published order stands in the stretch that begins at ``low``: a slice where one is enough."""
    import numpy as np

    if not spans:
        return slice(None)
    if len(spans) > 1:
        return np.concatenate([np.arange(span.low, span.high)[:: -1 if span.backward else 1] - low for span in spans])
    return slice(None, None, -1) if spans[0].backward else slice(None)


def sha256_of(values: np.ndarray) -> str:
    """Digest of raw values: C order, little endian."""
    import numpy as np

    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return hashlib.sha256(little.tobytes()).hexdigest()


def to_text(values: np.ndarray) -> str:
    """Values as a text that JSON can carry: type, compressed bytes in base64."""
    return f"{values.dtype.name}:{base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()}"


def from_text(text: str) -> np.ndarray:
    """What ``to_text`` was given, flat."""
    import numpy as np

    dtype, _, packed = text.partition(":")
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype)


def decode(raw: np.ndarray, packing: Packing) -> np.ndarray:
    """Stored numbers as float64 values, NaN where there is none; the shape stays.

    Source: https://cfconventions.org/cf-conventions/cf-conventions.html#packed-data, and ``_Unsigned`` of NUG.
    """
    import numpy as np

    bits = f"u{raw.dtype.itemsize}"
    stored = raw.view(bits) if packing.unsigned and raw.dtype.kind == "i" else raw
    values = stored.astype("float64")
    # Compared as stored: a fill of -3.4e38 in float32 is another number in float64.
    hidden = hidden_cells(raw, packing)
    if packing.scale is not None:
        values *= float(packing.scale.numpy())
    if packing.offset is not None:
        values += float(packing.offset.numpy())
    values[hidden] = np.nan
    return values


def stored_fill(variable: Variable) -> Any:
    """The stored number for 'no value': the variable's fill, else NaN for floats and 0 for whole numbers."""
    import numpy as np

    dtype = np.dtype(variable.dtype)
    if variable.packing.fill is not None:
        return variable.packing.fill.numpy().astype(dtype)
    return dtype.type("nan" if dtype.kind == "f" else 0)


def as_published(raw: np.ndarray, of_file: Variable, published: Variable, file: str = "the file") -> np.ndarray:
    """A file's stored values as they are published: the same bits, save where a step of ``convert`` changes them.

    Raises: DataError naming ``file`` where numbers cannot be re-encoded without loss (``repack``).
    """
    if of_file.wrap is not None:
        raw = wrapped(raw, of_file)
    if is_unpacked(of_file, published):
        return decode(raw, of_file.packing).astype(published.dtype)
    if is_repacked(of_file, published):
        try:
            return repacked(raw, of_file, published)
        except DoesNotFit as error:
            raise DataError(f"{file}: {of_file.source}: {error}", advice=REPACK_ADVICE) from error
    return raw.astype(published.dtype, copy=False)


def is_unpacked(of_file: Variable, published: Variable) -> bool:
    """Whether the published variable holds decoded values of this file's."""
    if published.role == "coordinate" or not is_decoded(published):
        return False
    if of_file.dtype != published.dtype or of_file.packing.scales:
        return True
    # A fill that only the published variable has was added for times without a file; the bits are the same.
    return of_file.packing != published.packing and not adds_fill(of_file.packing, published.packing)


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays of one type hold the same bits; any two NaN are the same. Shape as given."""
    import numpy as np

    if a.dtype.kind not in "fc":
        equal: np.ndarray = a == b
        return equal
    bits = f"u{a.dtype.itemsize}"
    same: np.ndarray = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    return same | (np.isnan(a) & np.isnan(b))
