"""Headers of a grid's files: those that its states remember, and those that must be fetched and read.

Here belongs telling these apart. Not here: reading one header (``domain/grid_header``), or uniting them
(``domain/gridded``, ``domain/grid_growth``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_growth import grown
from rimrep_assets.domain.grid_header import read_header
from rimrep_assets.domain.grid_layout import GridHeader
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_together import content_of, grid_files
from rimrep_assets.domain.gridded import unite
from rimrep_assets.domain.source_file import SourceFile
from rimrep_assets.ports.workbench import Workbench


class Headers:
    """What a staging knows of the files' headers: those that states remember, and those that it read itself."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.read: dict[tuple[str, str], GridHeader] = {}
        self._whole_bytes = 0

    @property
    def bytes_read(self) -> int:
        """How much was read of source files: of those that are read in parts what was fetched until now."""
        return self._whole_bytes + self.bench.bytes_in_parts

    def united(self, sources: Sequence[SourceFile], states: Sequence[GridState]) -> GridState:
        """The state that ``sources`` make; only files that none of ``states`` remembers are opened.

        Raises: DataError that lists every file that cannot be read, or every difference between files.
        """
        dataset = self.bench.folder.dataset
        files = grid_files(sources, dataset)
        wanted = [(file.name, content_of(file.name, file.digest, dataset)) for file in files]
        remembered = {(file.name, file.digest) for state in states for file in state.files}
        unread = [(key, file) for key, file in zip(wanted, files, strict=True) if key not in remembered]
        problems = self._read([(key, file) for key, file in unread if key not in self.read])
        if problems:
            raise self._all_that_is_wrong(problems, wanted, states)
        if states:
            held = {(file.name, file.digest) for file in states[0].files}
            new = [self.read[key] for key in wanted if key not in held and key in self.read]
            if len(held) + len(new) == len(wanted) and held <= set(wanted):
                state = grown(states[0], new, dataset)
                if state is not None:
                    return state
        known = self._known(states)
        return unite([known[key] for key in wanted], dataset)

    def _known(self, states: Sequence[GridState]) -> dict[tuple[str, str], GridHeader]:
        return {(h.file.name, h.file.digest): h for state in reversed(states) for h in state.headers()} | self.read

    def _all_that_is_wrong(
        self, problems: Sequence[str], wanted: Sequence[tuple[str, str]], states: Sequence[GridState]
    ) -> DataError:
        """The ``problems`` of files that cannot be read, with what is wrong between those that can be."""
        known = self._known(states)
        readable = [known[key] for key in wanted if key in known]
        try:
            if readable:
                unite(readable, self.bench.folder.dataset)
        except DataError as error:
            return DataError([*problems, *error.problems], dataset=self.bench.id, advice=error.advice)
        return DataError(problems, dataset=self.bench.id)

    def _read(self, files: Sequence[tuple[tuple[str, str], SourceFile]]) -> list[str]:
        """Read the headers of ``files``; the problems of those that cannot be read."""
        dataset = self.bench.folder.dataset
        problems: list[str] = []
        for number, (key, file) in enumerate(files, start=1):
            self.bench.progress(f"reading {file.name} ({number} of {len(files)})")
            try:
                opened = self.bench.open(file)
                self.read[key] = read_header(opened, file.name, file.digest, dataset)
            except DataError as error:
                problems += error.problems
                continue
            self._whole_bytes += file.size if isinstance(opened, Path) else 0
        return problems
