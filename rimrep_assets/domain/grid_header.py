"""What a source file of a grid says of itself, brought under the names that are published.

Here belongs reading and judging one file's header. Not here: comparing files (``gridded``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.grid_attributes import (
    attributes_of,
    declared_attributes,
    meaning_of,
    packing_of,
    packing_problems,
    references_of,
)
from rimrep_assets.domain.grid_axes_right import axis_of, published_size, put_axes_right
from rimrep_assets.domain.grid_file import RawFile, open_raw, refuse_unreadable
from rimrep_assets.domain.grid_file_time import TimeReading
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
from rimrep_assets.domain.grid_mosaic import MosaicFile
from rimrep_assets.domain.grid_spans import disorder
from rimrep_assets.domain.grid_steps import ReadGeotiff, ReadNetcdf, ReadZarr
from rimrep_assets.domain.grid_together import content_of
from rimrep_assets.domain.grid_values import as_published, read_raw, sha256_of, to_text
from rimrep_assets.domain.partial_file import LocalFile
from rimrep_assets.domain.strict_model import nearest

TABLE = "observations at places are rows of a table (format: parquet), not a grid"


def read_header(source: LocalFile, name: str, digest: str, dataset: Dataset) -> GridHeader:
    """Read what is remembered of one source file; its bulk is not read, save variables that do not vary with time.

    ``name`` and ``digest`` are the file's in the ledger. Times are microseconds since 1970-01-01 UTC.
    Raises: DataError that lists every problem of the file.
    """
    refuse_unreadable(source, name, dataset.convert.reader())
    with open_raw(source, name) as file:
        return _Reading(file, name, digest, dataset).header()


@dataclass
class _Reading:
    """One file being read; ``problems`` gathers what is wrong with it."""

    file: RawFile
    name: str
    digest: str
    dataset: Dataset
    problems: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """by the file's own names those that ``read_geotiff.names`` gives"""
    time_bounds: dict[str, tuple[str, str]] = field(default_factory=dict)
    """by bounds of time the units and calendar of their numbers"""

    def header(self) -> GridHeader:
        step = self.dataset.convert.read_netcdf or self.dataset.convert.read_zarr or self._bands()
        self._names_exist(step)
        timing = TimeReading(self.file, self.name, self.dataset, self._renamed, self.problems)
        published = self._published(step, timing)
        parts = self._parts(published)
        told = timing.read()
        time = told.axis if told else None
        variables = self._variables(published, parts, timing, time)
        self._refuse_tables(variables, parts)
        variables = put_axes_right(self.file, variables, self.dataset, time.dim if time else None, self.problems)
        sizes = self._sizes(variables, time)
        if not self.problems and not any(v.role == "data" for v in variables.values()):
            self.problems.append(
                "no data variable: none shares a dimension with coordinates x and y "
                f"(variables: {', '.join(published) or 'none'})"
            )
        if self.problems:
            raise DataError([f"{self.name}: {problem}" for problem in self.problems])
        variables, values = self._hashed(variables, time)
        if self.problems:
            raise DataError([f"{self.name}: {problem}" for problem in self.problems])
        layout = GridLayout(dimensions=sizes, variables=variables, time=time)
        grid = FileGrid(
            name=self.name,
            digest=content_of(self.name, self.digest, self.dataset),
            layout=layout.digest,
            times=told.times if told else (),
            positions=told.positions if told else (),
            time_bounds=self.time_bounds,
            attributes=self._attributes(published, timing),
        )
        return GridHeader(file=grid, layout=layout, values=values)

    def _published(self, step: ReadNetcdf | ReadZarr, timing: TimeReading) -> dict[str, str]:
        """Published names of the variables that are kept, with their names in the file."""
        kept = self._kept(step, timing)
        published = {self._renamed(source): source for source in kept}
        if len(published) < len(kept):
            self.problems.append("rename gives two variables the same name")
        if self.dataset.convert.set_time is not None:
            # Where the time really stands it is published as the axis; what had that name before is not.
            source = timing.source()
            published = {n: s for n, s in published.items() if s not in (source, timing.own())}
            if source is not None:
                published[str(self.dataset.coordinates.t)] = source
        return published

    def _refuse_tables(self, variables: Mapping[str, Variable], parts: Mapping[str, str]) -> None:
        """Observations at places that are no plane: they are rows, and a grid of them would be mostly empty."""
        x, y = (variables.get(parts.get(part, "")) for part in ("x", "y"))
        if x is None or y is None or x.dims != y.dims or len(x.dims) > 1:
            return
        what = f"both lie along {x.dims[0]!r}, a track or a list of places" if x.dims else "are one place"
        self.problems.append(f"coordinates x and y {what}; {TABLE}")

    def _bands(self) -> ReadNetcdf:
        """The bands of a GeoTIFF as variables to keep, and what files that are one disagree about."""
        step, bands = self.dataset.convert.read_geotiff or ReadGeotiff(), getattr(self.file, "bands", {})
        self.names = {bands[number]: name for number, name in step.names.items() if number in bands}
        self.problems += [
            f"read_geotiff.names: there is no band {n}; the file has {len(bands)}" for n in step.names if n not in bands
        ]
        if isinstance(self.file, MosaicFile):
            self.problems += self.file.disagreements(tiled=self.dataset.convert.mosaic is not None)
        return ReadNetcdf(variables=tuple(self.names) if step.names else None)

    def _renamed(self, name: str) -> str:
        named = self.names.get(name, name)
        return self.dataset.convert.rename.get(named, named)

    def _names_exist(self, step: ReadNetcdf | ReadZarr) -> None:
        known, reader = list(self.file.variables), self.dataset.convert.reader()
        for key, names in ((f"{reader}.variables", step.variables or ()), (f"{reader}.drop", step.drop)):
            self.problems += [f"{key}: there is no variable {n!r}{_near(n, known)}" for n in names if n not in known]
        both = [*(self.names.get(n, n) for n in known), *self.file.dimensions]
        self.problems += [
            f"rename: there is no variable or dimension {n!r}{_near(n, both)}"
            for n in self.dataset.convert.rename
            if n not in both
        ]

    def _kept(self, step: ReadNetcdf | ReadZarr, timing: TimeReading) -> list[str]:
        """Names in the file: those asked for, with the coordinates, bounds and mappings that they lean on."""
        everything = self.file.variables
        if step.variables is None:
            return [n for n in everything if n not in step.drop]
        back = {self._renamed(n): n for n in everything}
        wanted = {n for n in step.variables if n in everything}
        wanted |= {back[n] for n in self.dataset.coordinates.named().values() if n in back}
        wanted |= {n for n in (timing.source(),) if n is not None}
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
            elif part == "t" and self.dataset.convert.set_time is not None:
                continue
            else:
                there = [self._renamed(n) for n in self.file.variables]
                gone = f"; {self.dataset.convert.reader()}.drop drops it" if name in there else _near(name, there)
                self.problems.append(f"coordinates.{part}: there is no variable {name!r}{gone}")
        return parts

    def _variables(
        self, published: Mapping[str, str], parts: Mapping[str, str], timing: TimeReading, time: GridTime | None
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
            self.problems += [f"{name}: {problem}" for problem in packing_problems(variable)]
            bounds = timing.bounds(name, source, published.get(time.name) if time else None, time)
            first = self._first_dims(name, roles[name], source_dims, time, bounds is not None)
            if bounds and not first:
                self.problems.append(f"{name}: bounds of time lack its dimension; {timing.left_out(source)}")
            found[name] = Variable(
                source=source,
                source_dims=source_dims,
                dims=(*first, *(d for d in source_dims if d not in first)),
                dtype=dtype,
                role=roles[name],
                packing=packing_of(variable, dtype),
                meaning=meaning_of(variable),
            )
            if bounds:
                self.time_bounds[name] = bounds.units, bounds.calendar
                # Units that each file has of its own would make every layout another one.
                no_units = bounds.model_copy(update={"units": "", "calendar": ""})
                meaning = {n: v for n, v in found[name].meaning.items() if n not in ("units", "calendar")}
                found[name] = found[name].model_copy(update={"time_bounds": no_units, "meaning": meaning})
        only = (self.dataset.convert.set_time.only if self.dataset.convert.set_time else None) or ()
        self.problems += [f"set_time.only: there is no variable {n!r}{_near(n, found)}" for n in only if n not in found]
        return found

    def _first_dims(
        self, name: str, role: Role, source_dims: tuple[str, ...], time: GridTime | None, bounds: bool
    ) -> tuple[str, ...]:
        """The time dimension where the variable has it, or gets it by ``set_time``."""
        step = self.dataset.convert.set_time
        if time is None or time.dim in source_dims:
            return () if time is None else (time.dim,)
        # A file with the dimension says itself which variables do not vary along it.
        lacks_it = time.dim not in map(self._renamed, self.file.dimensions)
        if bounds and step is not None and lacks_it:
            return (time.dim,)
        if step is None or (step.only is not None and name not in step.only):
            return ()
        return (time.dim,) if step.only is not None or (lacks_it and role == "data") else ()

    def _dtype(self, name: str, variable: Any) -> str | None:
        kind = getattr(variable.dtype, "kind", "O")
        if kind == "S" and variable.ndim == 0:
            # A grid mapping's variable often is one character; only its attributes matter.
            return "uint8"
        if kind not in "iuf" or getattr(variable, "_isvlen", False):
            reader = self.dataset.convert.reader()
            advice = (
                "name the other bands in read_geotiff.names" if reader == "read_geotiff" else f"add it to {reader}.drop"
            )
            self.problems.append(f"{name}: holds text or records, not numbers; {advice}")
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
        sizes = {d: published_size(d, size, variables) for d, size in all_sizes.items() if d in used}
        self.problems += [f"dimension {d!r} has size 0" for d, size in sizes.items() if size == 0]
        return sizes

    def _hashed(
        self, variables: Mapping[str, Variable], time: GridTime | None
    ) -> tuple[dict[str, Variable], dict[str, str]]:
        found, values = {}, {}
        parts = {name: part for part, name in self.dataset.coordinates.named().items()}
        for name, variable in variables.items():
            if time is not None and time.dim in variable.dims:
                found[name] = variable
                continue
            array = as_published(read_raw(self.file, variable), variable, variable)
            if name in parts:
                problem = disorder(axis_of(name, variable, array), parts[name])
                self.problems += [problem] if problem else []
            digest = sha256_of(array)
            found[name] = variable.model_copy(update={"sha256": digest})
            if variable.role == "coordinate" and self.dataset.convert.unite.coordinate_tolerance > 0:
                values[digest] = to_text(array)
        return found, values

    def _attributes(self, published: Mapping[str, str], timing: TimeReading) -> Attributes:
        new_names = {source: name for name, source in published.items()}
        own, step = timing.own(), self.dataset.convert.attributes
        if own is not None and self.dataset.convert.set_time is not None:
            new_names.setdefault(own, str(self.dataset.coordinates.t))
        gone = set(self.file.variables) - set(new_names)
        found = {GLOBAL: declared_attributes(attributes_of(self.file, new_names, gone), step, of_file=True)}
        for name, source in published.items():
            told = attributes_of(self.file.variables[source], new_names, gone)
            found[name] = declared_attributes(told, step, of_file=False)
        return {name: attributes for name, attributes in found.items() if attributes}

    def _by_published(self, name: str) -> Any:
        return next(v for n, v in self.file.variables.items() if self._renamed(n) == name)


def _near(name: str, known: Iterable[str]) -> str:
    """All names there are, the likeliest first, after the hint of ``nearest`` where one name is near."""
    import difflib

    names = sorted(set(known))
    likely = sorted(names, key=lambda n: -difflib.SequenceMatcher(None, name.lower(), n.lower()).ratio())
    hint = nearest(name, names)
    known_words = f"; known: {', '.join(likely)}" if likely else ""
    return known_words if hint.startswith("; known") else f"{hint}{known_words}"
