"""What a NetCDF file says of itself, brought under the names that are published.

Here belongs reading and judging one file's header. Not here: comparing files (``gridded``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_attributes import (
    attributes_of,
    meaning_of,
    packing_of,
    references_of,
)
from rimrep_assets.domain.grid_classic import missing_bytes
from rimrep_assets.domain.grid_file import RawFile, open_raw
from rimrep_assets.domain.grid_layout import (
    GLOBAL,
    Attributes,
    FileGrid,
    GridHeader,
    GridLayout,
    GridTime,
    Role,
    Variable,
)
from rimrep_assets.domain.grid_steps import ReadNetcdf
from rimrep_assets.domain.grid_time import STANDARD, TimeUnits, decode_times, iso_time, parse_units
from rimrep_assets.domain.grid_values import native, read_raw, sha256_of, to_text
from rimrep_assets.domain.strict_model import nearest


def read_header(path: Path, name: str, digest: str, dataset: Dataset) -> GridHeader:
    """Read what is remembered of one source file; its bulk is not read, save variables that do not vary with time.

    ``name`` and ``digest`` are the file's in the ledger. Times are microseconds since 1970-01-01 UTC.
    Raises: DataError that lists every problem of the file.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{name}: is empty (0 bytes)")
    try:
        short = missing_bytes(path)
    except ValueError as error:
        raise DataError(f"{name}: cannot be read as NetCDF: {error}") from error
    if short:
        raise DataError(f"{name}: is cut: {short} bytes fewer than its header says")
    with open_raw(path, name) as file:
        return _Reading(file, name, digest, dataset).header()


@dataclass
class _Reading:
    """One file being read; ``problems`` gathers what is wrong with it."""

    file: RawFile
    name: str
    digest: str
    dataset: Dataset
    problems: list[str] = field(default_factory=list)

    def header(self) -> GridHeader:
        step = self.dataset.convert.read_netcdf or ReadNetcdf()
        self._names_exist(step)
        kept = self._kept(step)
        published = {self._renamed(source): source for source in kept}
        if len(published) < len(kept):
            self.problems.append("rename gives two variables the same name")
        parts = self._parts(published)
        time = self._time(parts.get("t"))
        variables = self._variables(published, parts, time)
        sizes = self._sizes(variables, time)
        if not self.problems and not any(v.role == "data" for v in variables.values()):
            self.problems.append(
                "no data variable: none shares a dimension with coordinates x and y "
                f"(variables: {', '.join(published) or 'none'})"
            )
        times = self._times(published, time)
        if self.problems:
            raise DataError([f"{self.name}: {problem}" for problem in self.problems])
        variables, values = self._hashed(variables, time)
        layout = GridLayout(dimensions=sizes, variables=variables, time=time)
        attributes = self._attributes(published)
        grid = FileGrid(name=self.name, digest=self.digest, layout=layout.digest, times=times, attributes=attributes)
        return GridHeader(file=grid, layout=layout, values=values)

    def _renamed(self, name: str) -> str:
        return self.dataset.convert.rename.get(name, name)

    def _names_exist(self, step: ReadNetcdf) -> None:
        known = list(self.file.variables)
        for key, names in (("read_netcdf.variables", step.variables or ()), ("read_netcdf.drop", step.drop)):
            self.problems += [f"{key}: there is no variable {n!r}{_near(n, known)}" for n in names if n not in known]
        both = [*known, *self.file.dimensions]
        self.problems += [
            f"rename: there is no variable or dimension {n!r}{_near(n, both)}"
            for n in self.dataset.convert.rename
            if n not in both
        ]

    def _kept(self, step: ReadNetcdf) -> list[str]:
        """Names in the file: those asked for, with the coordinates, bounds and mappings that they lean on."""
        everything = self.file.variables
        if step.variables is None:
            return [n for n in everything if n not in step.drop]
        back = {self._renamed(n): n for n in everything}
        wanted = {n for n in step.variables if n in everything}
        wanted |= {back[n] for n in self.dataset.coordinates.named().values() if n in back}
        while True:
            more = {dim for n in wanted for dim in everything[n].dimensions if dim in everything}
            more |= {r for n in wanted for r in references_of(everything[n]) if r in everything}
            if more <= wanted:
                return [n for n in everything if n in wanted and n not in step.drop]
            wanted |= more

    def _parts(self, published: Mapping[str, str]) -> dict[str, str]:
        """The declared coordinates that the file has; the absent ones are problems."""
        parts = {}
        for part, name in self.dataset.coordinates.named().items():
            if name in published:
                parts[part] = name
            else:
                there = [self._renamed(n) for n in self.file.variables]
                gone = "; read_netcdf.drop drops it" if name in there else _near(name, there)
                self.problems.append(f"coordinates.{part}: there is no variable {name!r}{gone}")
        return parts

    def _time(self, name: str | None) -> GridTime | None:
        if name is None:
            return None
        variable = self._by_published(name)
        if len(variable.dimensions) != 1:
            what = "no dimension" if not variable.dimensions else f"dimensions {variable.dimensions}"
            self.problems.append(f"coordinates.t: {name!r} has {what}; a time axis has exactly one")
            return None
        units = self._time_units(variable)
        if units is None:
            return None
        words = units.words if units.calendar != STANDARD else ""
        return GridTime(name=name, dim=self._renamed(variable.dimensions[0]), units=words, calendar=units.calendar)

    def _time_units(self, variable: Any) -> TimeUnits | None:
        units = getattr(variable, "units", None)
        if not isinstance(units, str):
            self.problems.append(f"coordinates.t: {variable.name!r} has no units, so its times are unknown")
            return None
        try:
            return parse_units(units, getattr(variable, "calendar", None))
        except ValueError as error:
            self.problems.append(f"coordinates.t: {variable.name!r} cannot be decoded: {error}")
            return None

    def _times(self, published: Mapping[str, str], time: GridTime | None) -> tuple[int, ...]:
        if time is None:
            return ()
        variable = self.file.variables[published[time.name]]
        units = self._time_units(variable)
        if units is None:
            return ()
        values = native(variable[...])
        if not values.size:
            self.problems.append(f"the time axis {time.name!r} is empty")
            return ()
        if values.dtype.kind not in "iuf":
            self.problems.append(f"coordinates.t: {time.name!r} holds {values.dtype.name}, not numbers")
            return ()
        problems, times = decoded_times(values, variable, units)
        self.problems += [f"{time.name}: {problem}" for problem in problems]
        return times

    def _variables(
        self, published: Mapping[str, str], parts: Mapping[str, str], time: GridTime | None
    ) -> dict[str, Variable]:
        roles = self._roles(published, parts)
        found = {}
        for name, source in published.items():
            if time is not None and name == time.name:
                continue
            variable = self.file.variables[source]
            dtype = self._dtype(name, variable)
            if dtype is None:
                continue
            source_dims = tuple(map(self._renamed, variable.dimensions))
            if len(set(source_dims)) < len(source_dims):
                self.problems.append(f"{name}: has a dimension twice {source_dims}; drop it")
                continue
            first = [d for d in source_dims if time is not None and d == time.dim]
            found[name] = Variable(
                source=source,
                source_dims=source_dims,
                dims=(*first, *(d for d in source_dims if d not in first)),
                dtype=dtype,
                role=roles[name],
                packing=packing_of(variable, dtype),
                meaning={**self._bounds_units(source, time, published), **meaning_of(variable)},
            )
        return found

    def _bounds_units(self, source: str, time: GridTime | None, published: Mapping[str, str]) -> dict[str, Any]:
        """Bounds of time inherit its units (CF 7.1); the published time has others, so they are said here."""
        if time is None:
            return {}
        owner = self.file.variables[published[time.name]]
        if source not in references_of(owner, "bounds", "climatology"):
            return {}
        return {n: v for n, v in meaning_of(owner).items() if n in ("units", "calendar")}

    def _dtype(self, name: str, variable: Any) -> str | None:
        kind = getattr(variable.dtype, "kind", "O")
        if kind == "S" and variable.ndim == 0:
            # A grid mapping's variable often is one character; only its attributes matter.
            return "uint8"
        if kind not in "iuf" or getattr(variable, "_isvlen", False):
            self.problems.append(f"{name}: holds text or records, not numbers; add it to read_netcdf.drop")
            return None
        return str(variable.dtype.newbyteorder("=").name)

    def _roles(self, published: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, Role]:
        files = self.file.variables
        named = {self._renamed(r) for s in published.values() for r in references_of(files[s], "coordinates")}
        helpers = {
            self._renamed(r)
            for s in published.values()
            for r in references_of(files[s], "bounds", "climatology", "grid_mapping", "formula_terms")
        }
        plane = {d for part in ("x", "y") if part in parts for d in self._by_published(parts[part]).dimensions}
        roles: dict[str, Role] = {}
        for name, source in published.items():
            dims = files[source].dimensions
            if name in parts.values() or dims == (source,) or name in named:
                roles[name] = "coordinate"
            elif name in helpers or not plane & set(dims):
                roles[name] = "auxiliary"
            else:
                roles[name] = "data"
        return roles

    def _sizes(self, variables: Mapping[str, Variable], time: GridTime | None) -> dict[str, int]:
        all_sizes = {self._renamed(n): len(d) for n, d in self.file.dimensions.items()}
        used = {d for v in variables.values() for d in v.dims} - ({time.dim} if time else set())
        sizes = {d: size for d, size in all_sizes.items() if d in used}
        self.problems += [f"dimension {d!r} has size 0" for d, size in sizes.items() if size == 0]
        return sizes

    def _hashed(
        self, variables: Mapping[str, Variable], time: GridTime | None
    ) -> tuple[dict[str, Variable], dict[str, str]]:
        found, values = {}, {}
        for name, variable in variables.items():
            if time is not None and time.dim in variable.dims:
                found[name] = variable
                continue
            array = read_raw(self.file, variable)
            digest = sha256_of(array)
            found[name] = variable.model_copy(update={"sha256": digest})
            if variable.role == "coordinate" and self.dataset.convert.unite.coordinate_tolerance > 0:
                values[digest] = to_text(array)
        return found, values

    def _attributes(self, published: Mapping[str, str]) -> Attributes:
        new_names = {source: name for name, source in published.items()}
        gone = set(self.file.variables) - set(new_names)
        found = {GLOBAL: attributes_of(self.file, new_names, gone)}
        for name, source in published.items():
            found[name] = attributes_of(self.file.variables[source], new_names, gone)
        return {name: attributes for name, attributes in found.items() if attributes}

    def _by_published(self, name: str) -> Any:
        return next(v for n, v in self.file.variables.items() if self._renamed(n) == name)


def decoded_times(values: Any, variable: Any, units: TimeUnits) -> tuple[list[str], tuple[int, ...]]:
    """Problems and times of a file's own time variable; ``values`` raw, packing and fill honoured."""
    packing = packing_of(variable, values.dtype.name)
    if packing.scales or packing.fill is not None or packing.missing:
        from rimrep_assets.domain.grid_values import decode

        decoded = decode(values, packing)
        values = decoded if packing.scales or (decoded != decoded).any() else values
    try:
        times = decode_times(values, units)
    except ValueError as error:
        return [str(error)], ()
    problems = []
    for position, (before, after) in enumerate(pairwise(times), start=1):
        word = "again" if after == before else "before the one in front of it" if after < before else ""
        if word:
            problems.append(f"position {position} has {iso_time(after, units.calendar)} {word}")
    return problems[:5] + ([f"and {len(problems) - 5} more"] if len(problems) > 5 else []), times


def _near(name: str, known: Iterable[str]) -> str:
    """All names there are, the likeliest first, after the hint of ``nearest`` where one name is near."""
    import difflib

    names = sorted(set(known))
    likely = sorted(names, key=lambda n: -difflib.SequenceMatcher(None, name.lower(), n.lower()).ratio())
    hint = nearest(name, names)
    known_words = f"; known: {', '.join(likely)}" if likely else ""
    return known_words if hint.startswith("; known") else f"{hint}{known_words}"
