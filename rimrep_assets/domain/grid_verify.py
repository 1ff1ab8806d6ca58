"""A published grid against the digests of its receipt: by block, source file and variable, without any source.

Here belongs reading stored values and comparing their digests. Not here: proving against sources (``grid_proof``), or
where receipt and store come from (``ports/release_proof``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from rimrep_assets.domain.errors import Damaged, DefinitionError, Unavailable
from rimrep_assets.domain.grid_axis import Slot, block_slots
from rimrep_assets.domain.grid_block import BlockReader
from rimrep_assets.domain.grid_chunks import bands
from rimrep_assets.domain.grid_digests import BlockDigests, RowDigests, rows_by_file
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import iso_time
from rimrep_assets.domain.grid_values import sha256_of

if TYPE_CHECKING:
    import zarr

Explained = Callable[[Damaged | Unavailable], str | None]
"""what is said of an error of the store of which more is known; None of all others"""
NAMED = 3
"""so many files are named of those that share what cannot be read"""


class BlockDifference(NamedTuple):
    """Where a variable's values in a block are not those that were proven."""

    variable: str
    block: int
    finding: str


def chosen_files(state: GridState, file: str | None, time: str | None) -> set[str] | None:
    """The contents (digests) of the files that are meant: by name, by a time such as ``2024-03-01T12``; None for all.

    Raises: DefinitionError when the release has no such file or time.
    """
    if file is None and time is None:
        return None
    found = {f.digest for f in state.files if file is None or f.name == file}
    if not found:
        raise DefinitionError(f"the release has no source file {file!r}", advice="run `rimrep releases` with --json.")
    if time is not None:
        calendar = state.united.time.calendar if state.united.time else ""
        at = {s.digest for s in state.axis if state.united.time and iso_time(s.time, calendar).startswith(time)}
        found &= {digest for digest in at if digest is not None}
        if not found:
            raise DefinitionError(f"no source file of the release covers {time!r}", advice="write it as 2024-03-01T12.")
    return found


def whole_arrays(state: GridState) -> list[str]:
    """The arrays that belong to no block: the time axis, and all that does not vary with time."""
    fixed = [name for name in state.united.variables if not state.united.varies(name)]
    return [*fixed, *([state.united.time.name] if state.united.time else [])]


def whole_digest(group: zarr.Group, name: str) -> str:
    """The digest of all stored values of an array. Raises: KeyError where there is none, and as reading does."""
    array: Any = group[name]
    return sha256_of(array[...])


def differing_whole(group: zarr.Group, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Array and finding, where what is stored of it is not what has the digest in ``known``."""
    for name, digest in known.items():
        try:
            found = whole_digest(group, name)
        except KeyError:
            yield name, f"{name}: is not in the store"
        except Damaged as error:
            yield name, f"{name}: {'; '.join(error.problems)}"
        except (RuntimeError, ValueError) as error:
            yield name, f"{name}: what is stored cannot be decoded: {error}"
        else:
            if found != digest:
                yield name, f"{name}: what is stored is not what was proven"


def differing_values(
    group: zarr.Group,
    state: GridState,
    digests: Mapping[int, BlockDigests],
    files: set[str] | None = None,
    threads: int = 2,
    where: Callable[[str, int], bool] = lambda variable, block: True,
    explained: Explained = lambda error: None,
) -> Iterator[BlockDifference]:
    """Where stored values are not those that were proven; ``files`` (contents) and ``where`` narrow what is read.

    What ``explained`` has words for is a finding in these. Raises: Unavailable of what it has none for.
    """
    with ThreadPoolExecutor(threads) as pool:
        reader = BlockReader(group, state, pool)
        for block, known in sorted(digests.items()):
            wanted = {digest: names for digest, names in known.items() if files is None or digest in files}
            for name in sorted({name for names in wanted.values() for name in names}):
                if where(name, block):
                    for finding in _of_variable(reader, block, name, wanted, explained):
                        yield BlockDifference(name, block, finding)


def _of_variable(
    reader: BlockReader, block: int, name: str, wanted: BlockDigests, explained: Explained
) -> Iterator[str]:
    state = reader.state
    if name not in reader.group:
        yield f"{name}: is not in the store"
        return
    slots = block_slots(state.axis, block, state.chunk)
    own = {
        digest: rows for digest, rows in rows_by_file(slots) if digest is not None and name in wanted.get(digest, {})
    }
    rows = RowDigests(len(slots))
    try:
        for band in bands(state, name):
            values = reader.read(name, block, band)
            if len(values) != len(slots):
                yield f"{name}: {len(values)} times in block {block}, expected {len(slots)}"
                return
            for row in (row for some in own.values() for row in some):
                rows.update(row, values[row])
    except (Damaged, Unavailable) as error:
        words = explained(error)
        if words is None and isinstance(error, Unavailable):
            raise
        yield words or f"{_whose(state, own)}: {name} at {_span(state, slots)}: {'; '.join(error.problems)}"
        return
    except (RuntimeError, ValueError) as error:
        # What a decoder raises for bytes that it did not make.
        yield f"{_whose(state, own)}: {name} at {_span(state, slots)}: what is stored cannot be decoded: {error}"
        return
    for digest, some in own.items():
        if rows.of_rows(some) != wanted[digest][name]:
            span = _span(state, [slots[row] for row in some])
            yield f"{state.by_digest[digest].name}: {name} at {span}: what is stored is not what was proven"


def _span(state: GridState, slots: Sequence[Slot]) -> str:
    calendar = state.united.time.calendar if state.united.time else ""
    first, last = (iso_time(slot.time, calendar) for slot in (slots[0], slots[-1]))
    return first if first == last else f"{first} to {last}"


def _whose(state: GridState, digests: Mapping[str, object]) -> str:
    """The names of the files with these contents, the first of many."""
    names = sorted(state.by_digest[digest].name for digest in digests)
    more = f" and {len(names) - NAMED} more files" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
