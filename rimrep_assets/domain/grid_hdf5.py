"""The fast way into NetCDF-4: chunks of an HDF5 file read, inflated and unshuffled in threads.

Here belongs what is known of HDF5's filters. Not here: finding the chunks (``grid_hdf5_index``), or choosing between
this way and the slow one (``grid_source``).

Filters: https://support.hdfgroup.org/documentation/hdf5/latest/group___h5_z.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.grid_hdf5_index import DEFLATE, FLETCHER32, ChunkIndex, Stored, Window

if TYPE_CHECKING:
    import numpy as np

CHECKSUM_BYTES = 4


class UndecodableChunk(Exception):
    """A chunk that is not what the index and the filters promise; the slow way is to say what is wrong."""


def read_chunk(file: int, index: ChunkIndex, number: tuple[int, ...], window: Window, out: np.ndarray) -> None:
    """Put the part of one chunk that lies in ``window`` into ``out``, which has the window's shape, native order.

    ``file`` is a file descriptor; any number of threads may share it.
    Raises: UndecodableChunk.
    """
    starts = [n * length for n, length in zip(number, index.chunks, strict=True)]
    low = [max(s, w.start) for s, w in zip(starts, window, strict=True)]
    high = [min(s + c, w.stop) for s, c, w in zip(starts, index.chunks, window, strict=True)]
    there = out[tuple(slice(a - w.start, b - w.start) for a, b, w in zip(low, high, window, strict=True))]
    stored = index.stored.get(number)
    if stored is None:
        there[...] = index.fill
        return
    inner = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, starts, strict=True))
    whole = there.shape == index.chunks
    if not index.filters and not whole and _rows_of(file, index, stored, inner, there):
        return
    data, shuffled = _bytes_of(file, index, stored)
    if whole and shuffled and there.flags.c_contiguous and there.dtype == index.dtype:
        _unshuffle(data, there)
        return
    if shuffled:
        scratch = _empty(index)
        _unshuffle(data, scratch)
        values = scratch
    else:
        import numpy as np

        values = np.frombuffer(data, index.dtype).reshape(index.chunks)
    there[...] = values[inner]


def _empty(index: ChunkIndex) -> np.ndarray:
    import numpy as np

    return np.empty(index.chunks, index.dtype)


def _rows_of(file: int, index: ChunkIndex, stored: Stored, inner: Window, there: np.ndarray) -> bool:
    """Of unfiltered data read no more than the rows that are wanted; False where that is not worth it."""
    import numpy as np

    row = index.dtype.itemsize
    for length in index.chunks[1:]:
        row *= length
    begin = inner[0].start * row
    length = (inner[0].stop - inner[0].start) * row
    data = os.pread(file, length, stored.offset + begin)
    if len(data) != length:
        raise UndecodableChunk("the file ends within it")
    values = np.frombuffer(data, index.dtype).reshape(-1, *index.chunks[1:])
    there[...] = values[(slice(None), *inner[1:])]
    return True


def _bytes_of(file: int, index: ChunkIndex, stored: Stored) -> tuple[Any, bool]:
    """The chunk's bytes with every filter but shuffle undone, and whether they are still shuffled."""
    import deflate

    data: Any = os.pread(file, stored.size, stored.offset)
    if len(data) != stored.size:
        raise UndecodableChunk("the file ends within it")
    shuffled = False
    for place in reversed(range(len(index.filters))):
        if stored.skipped >> place & 1:
            continue
        kind = index.filters[place]
        if kind == FLETCHER32:
            data = _checked(data)
        elif kind == DEFLATE:
            if shuffled:
                raise UndecodableChunk("shuffled after it was deflated")
            data = _inflated(deflate, data, index.chunk_bytes)
        else:
            shuffled = index.dtype.itemsize > 1
    if len(data) != index.chunk_bytes:
        raise UndecodableChunk(f"{len(data)} bytes, expected {index.chunk_bytes}")
    return data, shuffled


def _inflated(deflate: Any, data: Any, size: int) -> Any:
    # With a checksum behind it the chunk is a little larger once inflated.
    for room in (size, size + CHECKSUM_BYTES):
        try:
            return deflate.zlib_decompress(data, room)
        except deflate.DeflateError as error:
            problem = error
    raise UndecodableChunk(str(problem))


def _checked(data: Any) -> Any:
    """The data without its Fletcher-32 checksum, as HDF5 counts it. Raises: UndecodableChunk when it differs."""
    body, end = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    told = int.from_bytes(end, "little")
    if told != fletcher32(body):
        raise UndecodableChunk("its checksum differs")
    return body


def fletcher32(data: Any) -> int:
    """HDF5's Fletcher-32: sums of big-endian 16-bit words modulo 65535, a last odd byte in the upper half."""
    import numpy as np

    words = np.frombuffer(bytes(data) + b"\0" * (len(data) % 2), ">u2").astype("u8")
    low = high = 0
    # In pieces in which the weighted sum cannot overflow 64 bits.
    for start in range(0, len(words), 1 << 20):
        piece = words[start : start + (1 << 20)]
        weights = np.arange(len(piece), 0, -1, dtype="u8")
        high = (high + low * len(piece) + int((piece * weights).sum())) % 65535
        low = (low + int(piece.sum())) % 65535
    # HDF5 folds by carries and so never reaches 0 from a sum that is not 0.
    low, high = (_folded(low, words), _folded(high, words))
    return high << 16 | low


def _folded(total: int, words: np.ndarray) -> int:
    return 65535 if total == 0 and words.any() else total


def _unshuffle(data: Any, out: np.ndarray) -> None:
    """Undo shuffle: bytes of equal rank stand together in ``data``; ``out`` is contiguous, of the stored type."""
    import numpy as np

    size = out.dtype.itemsize
    planes = np.frombuffer(data, "u1").reshape(size, -1)
    if size == 2:
        # Packed numbers are nearly always these; in words it takes a third of the time. The byte order that they
        # have in memory is put together here, whatever ``out`` makes of it.
        words = out.reshape(-1).view("<u2")
        np.left_shift(planes[1], 8, out=words, dtype="u2")
        np.bitwise_or(words, planes[0], out=words)
        return
    places = out.reshape(-1).view("u1").reshape(-1, size)
    for rank in range(size):
        places[:, rank] = planes[rank]
