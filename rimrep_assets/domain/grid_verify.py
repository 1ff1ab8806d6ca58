"""A published grid against the digests of its receipt: by block, source file and variable, without any source.

Here belongs reading stored values and comparing their digests. Not here: proving against sources (``grid_proof``), or
where receipt and store come from (``ports/verification``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_axis import block_slots
from rimrep_assets.domain.grid_block import BlockReader
from rimrep_assets.domain.grid_chunks import bands
from rimrep_assets.domain.grid_digests import BlockDigests, RowDigests, rows_by_file
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_time import iso_time

if TYPE_CHECKING:
    import zarr


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


def differing_values(
    group: zarr.Group,
    state: GridState,
    digests: Mapping[int, BlockDigests],
    files: set[str] | None = None,
    threads: int = 2,
    store_errors: tuple[type[Exception], ...] = (),
    explained: Callable[[Exception], str | None] = str,
) -> Iterator[str]:
    """Where stored values are not those that were proven, in words; ``files`` (contents) narrows what is read.

    An error of the store that ``explained`` has words for is a finding, told once however many blocks it concerns; any
    other is raised.
    """
    told: set[str] = set()
    with ThreadPoolExecutor(threads) as pool:
        reader = BlockReader(group, state, pool)
        for block, known in sorted(digests.items()):
            wanted = {digest: names for digest, names in known.items() if files is None or digest in files}
            for name in sorted({name for names in wanted.values() for name in names}):
                try:
                    yield from _of_variable(reader, block, name, wanted)
                except (RuntimeError, ValueError) as error:
                    # What a decoder raises for bytes that it did not make.
                    yield f"{name} in block {block}: what is stored cannot be decoded: {error}"
                except store_errors as error:
                    words = explained(error)
                    if words is None:
                        raise
                    if words not in told:
                        told.add(words)
                        yield words


def _of_variable(reader: BlockReader, block: int, name: str, wanted: BlockDigests) -> Iterator[str]:
    state = reader.state
    if name not in reader.group:
        yield f"{name}: is not in the store"
        return
    slots = block_slots(state.axis, block, state.chunk)
    own = {
        digest: rows for digest, rows in rows_by_file(slots) if digest is not None and name in wanted.get(digest, {})
    }
    rows = RowDigests(len(slots))
    for band in bands(state, name):
        values = reader.read(name, block, band)
        if len(values) != len(slots):
            yield f"{name}: {len(values)} times in block {block}, expected {len(slots)}"
            return
        for row in (row for some in own.values() for row in some):
            rows.update(row, values[row])
    calendar = state.united.time.calendar if state.united.time else ""
    for digest, some in own.items():
        if rows.of_rows(some) != wanted[digest][name]:
            first, last = (iso_time(slots[row].time, calendar) for row in (some[0], some[-1]))
            span = first if first == last else f"{first} to {last}"
            yield f"{state.by_digest[digest].name}: {name} at {span}: what is stored is not what was proven"
