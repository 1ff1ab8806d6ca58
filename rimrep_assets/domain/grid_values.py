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
from rimrep_assets.domain.grid_time_bounds import in_units_of_axis

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


Band = tuple[str, int, int] | None
"""of one published dimension the first index that is wanted and the one after the last; None for all of all"""


def read_raw(
    file: RawFile,
    variable: Variable,
    time_dim: str | None = None,
    times: slice | None = None,
    band: Band = None,
) -> np.ndarray:
    """Stored values of ``variable`` as they are published: its ``spans`` alone, in the order of its ``dims``.

    Of ``time_dim`` those in ``times``, positions in the file; of the band's dimension those in the band.
    """
    held = file.variables[variable.source]
    window = source_window(variable, held.shape, time_dim, times, band)
    return arranged(native(held[window if window else ...]), variable, time_dim, band)


def source_window(
    variable: Variable, shape: Sequence[int], time_dim: str | None, times: slice | None, band: Band
) -> tuple[slice, ...]:
    """The shortest stretch of each source dimension that holds what is wanted; ``shape`` is that of the source."""
    window = []
    for dim, size in zip(variable.source_dims, shape, strict=True):
        if dim == time_dim and times is not None:
            window.append(slice(times.start, times.stop))
        else:
            spans = wanted_spans(variable, dim, size, band)
            window.append(slice(min(span.low for span in spans), max(span.high for span in spans)))
    return tuple(window)


def wanted_spans(variable: Variable, dim: str, size: int, band: Band) -> tuple[Span, ...]:
    """The spans of a dimension of ``size`` that are published, or the part of them that lies in the band."""
    spans = variable.spans.get(dim) or (Span(low=0, high=size),)
    if band is None or band[0] != dim:
        return spans
    found, passed = [], 0
    for span in spans:
        length = span.high - span.low
        first, last = max(0, band[1] - passed), min(length, band[2] - passed)
        if first < last:
            low, high = (span.high - last, span.high - first) if span.backward else (span.low + first, span.low + last)
            found.append(Span(low=low, high=high, backward=span.backward))
        passed += length
    return tuple(found)


def arranged(values: np.ndarray, variable: Variable, time_dim: str | None, band: Band = None) -> np.ndarray:
    """Numbers of ``source_window`` in published order, contiguous: spans applied, dimensions in place."""
    import numpy as np

    for axis, dim in enumerate(variable.source_dims):
        if dim == time_dim or dim not in variable.spans:
            continue
        spans = wanted_spans(variable, dim, 0, band)
        there = places(spans, min(span.low for span in spans))
        values = values[(slice(None),) * axis + (there,)] if isinstance(there, slice) else values.take(there, axis)
    values = in_published_order(values, variable)
    return np.ascontiguousarray(values).reshape(values.shape)


def in_published_order(values: np.ndarray, variable: Variable) -> np.ndarray:
    """Numbers in the order of ``variable.dims``; a time dimension that the file has not is added, of size 1."""
    import numpy as np

    held = [d for d in variable.dims if d in variable.source_dims]
    if list(variable.source_dims) != held:
        values = values.transpose([variable.source_dims.index(d) for d in held])
    lacking = tuple(i for i, d in enumerate(variable.dims) if d not in variable.source_dims)
    return np.expand_dims(values, lacking) if lacking else values


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
    if of_file.time_bounds is not None and published.time_bounds is not None:
        return _in_units_of_axis(raw, of_file, published, file)
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


def _in_units_of_axis(raw: np.ndarray, of_file: Variable, published: Variable, file: str) -> np.ndarray:
    assert of_file.time_bounds is not None
    numbers, hidden = numbers_and_gaps(raw, of_file.packing)
    try:
        return in_units_of_axis(numbers, hidden, of_file.time_bounds, published, stored_fill(published))
    except ValueError as error:
        raise DataError(f"{file}: {of_file.source}: {error}") from error


def numbers_and_gaps(raw: np.ndarray, packing: Packing) -> tuple[np.ndarray, np.ndarray]:
    """Stored numbers unpacked, but whole numbers as they are where nothing packs them, and where there is no value.

    A float64 does not hold every int64, and microseconds of time need them all.
    """
    import numpy as np

    bits = f"u{raw.dtype.itemsize}"
    stored = raw.view(bits) if packing.unsigned and raw.dtype.kind == "i" else raw
    numbers = decode(raw, packing) if packing.scales else stored
    return numbers, hidden_cells(raw, packing) | np.isnan(numbers)


def keeps_bits(of_file: Variable, published: Variable) -> bool:
    """Whether a file's numbers are published as they are stored."""
    changed = of_file.wrap is not None or is_unpacked(of_file, published) or is_repacked(of_file, published)
    changed = changed or published.time_bounds is not None
    return of_file.dtype == published.dtype and not changed


def is_unpacked(of_file: Variable, published: Variable) -> bool:
    """Whether the published variable holds decoded values of this file's."""
    if published.role == "coordinate" or published.time_bounds is not None or not is_decoded(published):
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
