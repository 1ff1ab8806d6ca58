"""Source files that come as a zip: the members that are wanted, unpacked where the readers can open them.

Here belongs choosing members and refusing hostile archives. Not here: reading the members (``table_csv`` and its
neighbours), or Darwin Core archives, which are read from the zip itself but checked here.
Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import functools
import re
import shutil
import stat
import tempfile
import weakref
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.source_table import Blocks, SourceTable
from rimrep_assets.domain.table_readers import Unzip

if TYPE_CHECKING:
    import pyarrow as pa

MOST_RATIO = 200
SMALL_BYTES = 100_000_000
"""a member that unpacks to more than this may be ``MOST_RATIO`` times as large as it is packed: text is packed 20
times, a bomb 1000 times"""
MOST_MEMBERS = 100_000
MOST_TOLD = 10
BESIDE_SHAPEFILES = (".dbf", ".shx", ".prj", ".cpg")
_BLOCK = 1 << 20


class Unzipped:
    """Members of a zip in a folder of their own: ``paths`` by their name in the zip, in the order of the names.

    The folder is removed when nothing holds on to this any more.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rimrep-unzip-"))
        self.paths: dict[str, Path] = {}
        self._removed = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def remove(self) -> None:
        self._removed()

    def held_by(self, blocks: Blocks) -> Blocks:
        """``blocks``, which keep the folder as long as they are kept."""

        def held(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
            assert self.folder
            yield from blocks(kinds)

        return held

    def held_by_table(
        self, keep: Callable[[Sequence[str]], SourceTable] | None
    ) -> Callable[[Sequence[str]], SourceTable] | None:
        """``keep`` of a table, of whose result the same holds."""
        if keep is None:
            return None

        def held(names: Sequence[str]) -> SourceTable:
            from dataclasses import replace

            table = keep(names)
            return replace(table, blocks=self.held_by(table.blocks), keep=None)

        return held


def unzipped(path: Path, name: str, options: Unzip, suffixes: Sequence[str]) -> Unzipped:
    """Unpack the members of the zip ``name`` that ``options`` want, or the only one with one of ``suffixes``.

    What belongs to a shapefile or FileGDB comes with it. Raises: DataError for a file that is no zip or is broken,
    for everything in it that could harm (names that lead elsewhere, links, members twice, encrypted, or larger than
    may be), and where it is not clear which members are meant.
    """
    with opened_zip(path, name) as archive:
        members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        chosen = _chosen(list(members), name, options, suffixes)
        wanted = [members[n] for one in chosen for n in _with_neighbours(one, members)]
        refuse_unreadable(wanted, name, options.most_bytes)
        result = Unzipped()
        try:
            _unpack(archive, wanted, result.folder, name, options.most_bytes)
        except BaseException:
            result.remove()
            raise
    result.paths.update({one: result.folder / one for one in chosen})
    return result


def opened_zip(path: Path, name: str) -> zipfile.ZipFile:
    """The zip, none of whose names leads elsewhere. Raises: DataError with everything that is wrong with them."""
    if path.stat().st_size == 0:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
        raise DataError(f"{name}: is no zip file, or a broken one: {error}") from error
    problems = _dangers(archive.infolist(), name)
    if problems:
        archive.close()
        raise DataError(problems[:MOST_TOLD] + _and_more(problems))
    return archive


def _dangers(infos: Sequence[zipfile.ZipInfo], name: str) -> list[str]:
    if len(infos) > MOST_MEMBERS:
        return [f"{name}: holds {len(infos)} members; at most {MOST_MEMBERS} are read"]
    problems = []
    for info in infos:
        # zipfile has put "/" for the system's own separator, and cut names at a zero byte: the raw name tells.
        if any(_leads_out(told) for told in {info.filename, info.orig_filename}):
            problems.append(f"{name}: member {info.orig_filename!r} has a path that could lead out of the zip")
        if stat.S_ISLNK(info.external_attr >> 16):
            problems.append(f"{name}: member {info.filename!r} is a link")
    # Some disks hold names that differ in case alone for one.
    counted = Counter(info.filename.lower() for info in infos)
    problems += [f"{name}: member {member!r} stands in it {n} times" for member, n in sorted(counted.items()) if n > 1]
    return problems


def _leads_out(member: str) -> bool:
    parts = member.removesuffix("/").split("/")
    return (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in member
        or re.match(r"[A-Za-z]:", member) is not None
        or any(ord(letter) < 32 or ord(letter) == 127 for letter in member)
    )


def _chosen(names: Sequence[str], name: str, options: Unzip, suffixes: Sequence[str]) -> list[str]:
    """The members that are read, in the order of their names; a FileGDB is one, by its folder."""
    candidates = sorted({_unit(n) for n in names if not _is_junk(n)})
    if not candidates:
        raise DataError(f"{name}: the zip is empty")
    listed = ", ".join(repr(c) for c in candidates[:MOST_TOLD]) + (
        f" and {len(candidates) - MOST_TOLD} more" if len(candidates) > MOST_TOLD else ""
    )
    if options.member:
        found = [c for c in candidates if options.takes(c)]
        if not found:
            raise DataError(f"{name}: no member is named by unzip.member {list(options.member)}; it holds {listed}")
    else:
        found = [c for c in candidates if PurePosixPath(c).suffix.lower() in suffixes]
        if len(found) != 1:
            what = f"{len(found)} members" if found else "no member"
            raise DataError(f"{name}: {what} with {', '.join(suffixes)}: declare unzip.member; it holds {listed}")
    nested = [c for c in found if PurePosixPath(c).suffix.lower() == ".zip"]
    if nested:
        raise DataError([f"{name}: member {c!r} is a zip itself: a zip within a zip is not read" for c in nested])
    return found


def _is_junk(member: str) -> bool:
    """What file managers leave in zips."""
    parts = member.split("/")
    return parts[0] == "__MACOSX" or any(part.startswith(".") for part in parts) or parts[-1] == "Thumbs.db"


def _unit(member: str) -> str:
    parts = member.split("/")
    depth = next((n for n, part in enumerate(parts[:-1], start=1) if part.lower().endswith(".gdb")), len(parts))
    return "/".join(parts[:depth])


def _with_neighbours(chosen: str, members: Mapping[str, zipfile.ZipInfo]) -> list[str]:
    if chosen not in members:
        return sorted(n for n in members if n.startswith(f"{chosen}/"))
    path = PurePosixPath(chosen)
    if path.suffix.lower() != ".shp":
        return [chosen]
    beside = [
        n
        for n in members
        if (other := PurePosixPath(n)).parent == path.parent
        and other.stem.lower() == path.stem.lower()
        and other.suffix.lower() in BESIDE_SHAPEFILES
    ]
    return [chosen, *sorted(beside)]


def refuse_unreadable(wanted: Sequence[zipfile.ZipInfo], name: str, most_bytes: int) -> None:
    """Raise DataError for members that are encrypted, or say themselves that they are larger than may be."""
    problems = [f"{name}: member {info.filename!r} is encrypted" for info in wanted if info.flag_bits & 0x1]
    total = sum(info.file_size for info in wanted)
    if total > most_bytes:
        problems.append(f"{name}: unpacks to {total} bytes; unzip.most_bytes allows {most_bytes}")
    problems += [_swollen(info, name) for info in wanted if _is_bomb(info, info.file_size)]
    if problems:
        raise DataError(problems[:MOST_TOLD] + _and_more(problems))


def _is_bomb(info: zipfile.ZipInfo, size: int) -> bool:
    return size > SMALL_BYTES and size > MOST_RATIO * info.compress_size


def _swollen(info: zipfile.ZipInfo, name: str) -> str:
    return (
        f"{name}: member {info.filename!r} unpacks to more than {MOST_RATIO} times its {info.compress_size} packed "
        "bytes, as bombs do"
    )


def _unpack(
    archive: zipfile.ZipFile, wanted: Sequence[zipfile.ZipInfo], folder: Path, name: str, most_bytes: int
) -> None:
    left = most_bytes
    for info in wanted:
        target = folder / info.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for block in inflated(archive, info, name, left):
                out.write(block)
                left -= len(block)


def inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, most_bytes: int) -> Iterator[bytes]:
    """The bytes of a member, block by block. Raises: DataError where it is broken, and as soon as it is larger than
    may be: what it says of its size itself is not believed."""
    size = 0
    try:
        with archive.open(info) as member:
            for block in iter(functools.partial(_read, member), b""):
                size += len(block)
                if size > most_bytes:
                    raise DataError(f"{name}: unpacks to more than the {most_bytes} bytes that unzip.most_bytes allows")
                if _is_bomb(info, size):
                    raise DataError(_swollen(info, name))
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise DataError(f"{name}: member {info.filename!r} cannot be unpacked: {error}") from error


def _read(member: IO[bytes]) -> bytes:
    return member.read(_BLOCK)


def _and_more(problems: Sequence[str]) -> list[str]:
    return [f"and {len(problems) - MOST_TOLD} more like these"] if len(problems) > MOST_TOLD else []
