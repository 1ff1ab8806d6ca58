"""A published grid as it is remembered: its files, their layouts, the layout that they share, its time axis.

Here belongs the state and what follows from it alone. Not here: making one from headers (``gridded``), or comparing
two (``grid_axis``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from rimrep_assets.domain.grid_axis import NameOrder, Overlap, Slot, assign_axis
from rimrep_assets.domain.grid_layout import (
    GLOBAL,
    Attributes,
    FileGrid,
    GridHeader,
    GridLayout,
    Variable,
    stable_json,
)
from rimrep_assets.domain.grid_time import published_units
from rimrep_assets.domain.strict_model import StrictModel


class GridState(StrictModel):
    """All that must be remembered of a grid in order to plan its next release without its old files."""

    files: tuple[FileGrid, ...]
    """by name"""
    layouts: dict[str, GridLayout]
    """by ``GridLayout.digest``; most files share one"""
    united: GridLayout
    attributes: Attributes = {}
    """in which all files agree"""
    chunks: dict[str, int]
    """chunk length of every dimension, the time dimension included; it never depends on the number of times"""
    cadence: str | None = None
    overlap: Overlap = "refuse"
    values: dict[str, str] = {}
    """values of axes by sha256, kept where ``unite.coordinate_tolerance`` is declared"""

    def to_json(self) -> bytes:
        """Stable bytes: equal states give equal bytes."""
        return stable_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes | str) -> GridState:
        return cls.model_validate_json(data)

    @cached_property
    def axis(self) -> tuple[Slot, ...]:
        """Every time with the file that covers it; one slot for a grid without time. Derived, so not in JSON."""
        if self.united.time is None:
            return (Slot(0, self.files[0].digest, 0),)
        return assign_axis(self.files, self.cadence, self.united.time.calendar, self.overlap)

    def with_axis(self, axis: tuple[Slot, ...]) -> GridState:
        """This state, which need not derive its axis: it is known to be ``axis``."""
        self.__dict__["axis"] = axis
        return self

    def placed(self, places: Mapping[str, str]) -> GridState:
        """This state, whose files' chunks stay at ``places``: by name the digests of ``source_file.Place``."""
        if all(file.place == places.get(file.name) for file in self.files):
            return self
        files = tuple(
            FileGrid.model_construct(**{**file.__dict__, "place": places.get(file.name)}) for file in self.files
        )
        return GridState.model_construct(**{**self.fields(), "files": files}).with_axis(self.axis)

    def fields(self) -> dict[str, Any]:
        """The fields as they are, to make another state of; nothing that was derived."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @cached_property
    def time_units(self) -> str | None:
        """The units in which the time axis is published."""
        time = self.united.time
        if time is None:
            return None
        times = (slot.time for slot in self.axis)
        # Bounds are published in the same units, and may be finer than the axis.
        return published_units(times if self._bounds_are_whole else (1,), time.units, time.calendar)

    @property
    def _bounds_are_whole(self) -> bool:
        bounds = [n for n, v in self.united.variables.items() if v.time_bounds is not None]
        held = [layout.variables[n] for layout in self.layouts.values() for n in bounds if n in layout.variables]
        return all(one.time_bounds.whole for one in held if one.time_bounds is not None)

    @property
    def chunk(self) -> int:
        """The time chunk: how many slots of the axis make a block; 1 for a grid without time."""
        return self.chunks[self.united.time.dim] if self.united.time else 1

    @cached_property
    def by_digest(self) -> dict[str, FileGrid]:
        """Files by content; of two names with the same bytes the first by name."""
        return {f.digest: f for f in reversed(self.files)}

    @cached_property
    def newest_first(self) -> tuple[FileGrid, ...]:
        """Files by their last time, the latest first."""
        return tuple(sorted(self.files, key=lambda f: (f.times[-1:] or (0,), NameOrder(f.name)), reverse=True))

    def unused(self) -> set[str]:
        """Names of files that give no time, because ``overlap`` lets others give all of theirs."""
        if self.overlap == "refuse":
            return set()
        taken = {slot.digest for slot in self.axis}
        return {file.name for file in self.files if file.digest not in taken}

    def layout_of(self, file: FileGrid) -> GridLayout:
        return self.layouts[file.layout]

    def variables_of(self, file: FileGrid) -> dict[str, Variable]:
        """The variables of a file; of bounds of the time axis with the units that their numbers have in it."""
        variables = self.layout_of(file).variables
        return {**variables, **{n: _in_units(variables[n], *units) for n, units in file.time_bounds.items()}}

    def published(self, name: str) -> Variable:
        """A variable as it is published; bounds of the time axis in the units that the axis has now."""
        variable, time = self.united.variables[name], self.united.time
        if variable.time_bounds is None or time is None:
            return variable
        return _in_units(variable, str(self.time_units), time.calendar)

    def provider(self, name: str) -> FileGrid:
        """The file from which a variable without time is taken: the newest that has it."""
        return next(f for f in self.newest_first if name in self.layout_of(f).variables)

    def headers(self) -> list[GridHeader]:
        """The headers from which this state was united, as far as they are remembered; for uniting again."""
        # Thousands of files share a layout, and with it most of what is put together here.
        shared = {digest: self._of_layout(layout) for digest, layout in self.layouts.items()}
        found = []
        for file in self.files:
            agreed, values = shared[file.layout]
            own = file.attributes
            attributes = {**agreed, **{name: {**agreed.get(name, {}), **held} for name, held in own.items() if held}}
            whole = FileGrid.model_construct(**{**file.__dict__, "attributes": attributes})
            found.append(GridHeader.model_construct(file=whole, layout=self.layouts[file.layout], values=values))
        return found

    def _of_layout(self, layout: GridLayout) -> tuple[Attributes, dict[str, str]]:
        """The agreed attributes of what the files of a layout hold, and the remembered values of their axes."""
        known = set(holders(layout))
        values = {
            v.sha256: self.values[v.sha256] for v in layout.variables.values() if v.sha256 and v.sha256 in self.values
        }
        return {name: a for name, a in self.attributes.items() if name in known and a}, values

    def published_attributes(self, name: str) -> dict[str, Any]:
        """What is published about a variable (or of the grid, under the empty name), save packing."""
        from rimrep_assets.domain.grid_attributes import DESCRIPTIVE

        found = dict(self.attributes.get(name, {}))
        if name == GLOBAL:
            return found
        newest = self._newest_with(name)
        own = newest.attributes.get(name, {}) if newest else {}
        found |= {key: own[key] for key in DESCRIPTIVE if key in own}
        meaning = self.united.variables[name].meaning if name in self.united.variables else {}
        return {**meaning, **found}

    def _newest_with(self, name: str) -> FileGrid | None:
        for file in self.newest_first:
            layout = self.layout_of(file)
            if name in layout.variables or (layout.time and layout.time.name == name):
                return file
        return None

    def written_alike(self, other: GridState) -> bool:
        """Whether a chunk of one has the same place, shape and type in the other, of the variables that both have."""
        both = self.united.variables.keys() & other.united.variables.keys()

        def what(state: GridState) -> Any:
            united = state.united
            held = {name: united.variables[name] for name in both}
            stored = {n: (v.dims, v.dtype, v.packing, v.role == "data") for n, v in held.items()}
            counted = {n: state.time_units for n, v in held.items() if v.time_bounds is not None}
            axis = united.time and (united.time.name, united.time.dim)
            dims = {d: (united.dimensions.get(d), state.chunks.get(d)) for v in held.values() for d in v.dims}
            return stored, counted, axis, dims, state.chunk, {name: state.gap_values.get(name) for name in both}

        return what(self) == what(other)

    @cached_property
    def gap_values(self) -> dict[str, Any]:
        """What is stored per varying variable where there is no file; as JSON values."""
        return {
            name: (v.packing.fill.value if v.packing.fill else None)
            for name, v in self.united.variables.items()
            if self.united.varies(name)
        }


def _in_units(variable: Variable, units: str, calendar: str) -> Variable:
    told = variable.time_bounds
    if told is None:
        return variable
    return variable.model_copy(update={"time_bounds": told.model_copy(update={"units": units, "calendar": calendar})})


def holders(layout: GridLayout) -> list[str]:
    """What a file of the layout has attributes of: itself, under the empty name, and its variables."""
    return [GLOBAL, *layout.variables, *([layout.time.name] if layout.time else [])]
