"""Whether a classic NetCDF file is as long as its own header says.

Here belongs just enough of the classic format to know a file's length. Not here: reading values: the NetCDF library
does that, but it fills what is missing at the end of a cut file with zeros and says nothing.
Source: https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


class _Reader:
    def __init__(self, file: BinaryIO, version: int) -> None:
        self.file = file
        self.count_format = ">q" if version == 5 else ">i"
        self.offset_format = ">i" if version == 1 else ">q"

    def take(self, form: str) -> int:
        data = self.file.read(struct.calcsize(form))
        value: int = struct.unpack(form, data)[0]
        return value

    def count(self) -> int:
        return self.take(self.count_format)

    def skip(self, size: int) -> None:
        self.file.seek(size + (-size % 4), 1)

    def name(self) -> None:
        self.skip(self.count())

    def attributes(self) -> None:
        self.take(">i")
        for _ in range(self.count()):
            self.name()
            size = _TYPE_BYTES[self.take(">i")]
            self.skip(self.count() * size)


def missing_bytes(path: Path) -> int:
    """By how many bytes a classic file is shorter than its header says; 0 for a whole one and for HDF5.

    Raises: ValueError when the header itself is cut or broken.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic[:3] != b"CDF" or magic[3] not in (1, 2, 5):
            return 0
        try:
            end = _end(_Reader(file, magic[3]))
        except (struct.error, KeyError, IndexError, MemoryError, OSError) as error:
            raise ValueError("its header is cut or broken") from error
    return max(0, end - path.stat().st_size)


def _end(read: _Reader) -> int:
    records = read.count()
    read.take(">i")
    lengths = []
    for _ in range(read.count()):
        read.name()
        lengths.append(read.count())
    read.attributes()
    read.take(">i")
    fixed_end, record_starts, record_bytes = 0, [], []
    for _ in range(read.count()):
        read.name()
        dims = [lengths[read.count()] for _ in range(read.count())]
        read.attributes()
        cell = _TYPE_BYTES[read.take(">i")]
        read.count()
        begin = read.take(read.offset_format)
        size = cell
        for length in dims[1:] if dims and dims[0] == 0 else dims:
            size *= length
        if dims and dims[0] == 0:
            record_starts.append(begin)
            record_bytes.append(size)
        else:
            fixed_end = max(fixed_end, begin + size)
    if records <= 0 or not record_starts:
        return fixed_end
    # One record variable alone is packed without padding.
    stride = record_bytes[0] if len(record_bytes) == 1 else sum(b + (-b % 4) for b in record_bytes)
    ends = (start + (records - 1) * stride + size for start, size in zip(record_starts, record_bytes, strict=True))
    return max(fixed_end, *ends)
