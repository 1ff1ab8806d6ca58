"""Which cells of a NetCDF file are the rows of a table: CF's discrete sampling geometries, from the header alone.

Here belongs finding the sample dimensions, how dimensions of instances hang on them, and which variables are columns.
Not here: reading values (``table_profiles``) or what they mean (``table_profiles_values``).
Source: https://cfconventions.org/cf-conventions/cf-conventions.html#discrete-sampling-geometries
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.strict_model import nearest
from rimrep_assets.domain.table_profiles_options import ReadProfiles

FLAG_ATTRIBUTES = frozenset({"flag_values", "flag_masks", "flag_meanings"})
FLAG_NAMES = ("status_flag", "quality_flag")
"""ends of a standard name, cut short by some writers"""


@dataclass(frozen=True)
class Variable:
    """A variable as the header tells of it. ``kind``: ``number``, ``char`` (arrays of single characters), ``text``
    (of strings), or ``other``, which no column can show."""

    name: str
    dims: tuple[str, ...]
    kind: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Header:
    """``sizes`` of dimensions, and ``variables``, both by name in the file's order; names of the groups that hold
    variables too, and the file's own ``attributes``."""

    sizes: Mapping[str, int]
    variables: Mapping[str, Variable]
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Link:
    """Samples along one dimension belong to instances along ``parent``: ``variable`` holds their number by instance
    (``counts``: a contiguous ragged array) or the instance by sample (an indexed one)."""

    parent: str
    variable: str
    counts: bool


@dataclass(frozen=True)
class Layout:
    """``dims``: the dimensions whose cells are the rows, slowest first. ``columns``: names of variables in the file's
    order. ``text``: dimensions along which characters make words. ``measured``: where all of these are missing the row
    is left out; empty where every row stays. ``left``: variables that are no columns, and nobody said so."""

    dims: tuple[str, ...]
    columns: tuple[str, ...]
    links: Mapping[str, Link]
    text: frozenset[str]
    measured: tuple[str, ...]
    left: tuple[str, ...]


def layout_of(header: Header, options: ReadProfiles) -> Layout:
    """Find the rows. Raises: DataError with everything that keeps them from being known; where there are several
    sets of samples all of them are listed."""
    problems: list[str] = []
    if header.groups and not options.variables:
        listed = ", ".join(header.groups)
        problems.append(f"its groups {listed} hold variables, and read_profiles reads none below the root")
    chosen = _chosen(header, options, problems)
    text = _text_dims(header)
    links = _links(header, problems)
    for variable in chosen:
        if variable.kind == "other":
            problems.append(f"{variable.name}: no type of a table; choose others with read_profiles.variables")
        elif len(set(variable.dims)) < len(variable.dims):
            problems.append(f"{variable.name}: its dimension {variable.dims[0]!r} stands twice")
    problems += [
        f"read_profiles.outside_valid names {name!r}, which is not in the file{nearest(name, header.variables)}"
        for name in options.outside_valid
        if name not in header.variables
    ]
    if problems:
        raise DataError(problems)
    find = _Find(header, text, links)
    dims = find.declared(options.dimension) if options.dimension else find.alone(chosen)
    fitting = [v for v in chosen if find.fits(v, dims)]
    _refuse_unfit(options, chosen, fitting, dims)
    if not fitting:
        raise DataError(f"no variable lies along {' x '.join(dims)}; dimensions: {_sizes(header.sizes)}")
    return Layout(
        dims=dims,
        columns=tuple(v.name for v in fitting),
        links=links,
        text=text,
        measured=() if options.keep_empty else find.measured(fitting, dims),
        left=tuple(v.name for v in chosen if v not in fitting),
    )


def _chosen(header: Header, options: ReadProfiles, problems: list[str]) -> list[Variable]:
    """The variables that are to be columns; without a choice all but containers of a CRS and bounds of cells."""
    if options.variables:
        for pattern in options.variables:
            if not any(fnmatchcase(name, pattern) for name in header.variables):
                told = nearest(pattern, header.variables)
                problems.append(f"read_profiles.variables names {pattern!r}, which is not in the file{told}")
        return [v for v in header.variables.values() if any(fnmatchcase(v.name, p) for p in options.variables)]
    bounds = {str(v.attributes[key]) for v in header.variables.values() for key in v.attributes if key == "bounds"}
    return [v for v in header.variables.values() if v.name not in bounds and "grid_mapping_name" not in v.attributes]


def _text_dims(header: Header) -> frozenset[str]:
    """Dimensions that are met only as the last one of characters: the letters of a word."""
    last = {v.dims[-1] for v in header.variables.values() if v.kind == "char" and v.dims}
    other = {d for v in header.variables.values() for d in (v.dims[:-1] if v.kind == "char" else v.dims)}
    return frozenset(last - other)


def _links(header: Header, problems: list[str]) -> dict[str, Link]:
    """By dimension of samples the link to its instances."""
    found: dict[str, Link] = {}
    for variable in header.variables.values():
        for key, counts in (("sample_dimension", True), ("instance_dimension", False)):
            if key not in variable.attributes or not variable.dims:
                continue
            named = str(variable.attributes[key]).strip()
            child, parent = (named, variable.dims[0]) if counts else (variable.dims[0], named)
            if len(variable.dims) > 1 or variable.kind != "number":
                problems.append(f"{variable.name}: has {key}, and is not a list of whole numbers")
            elif named not in header.sizes:
                problems.append(f"{variable.name}: {key} names {named!r}{nearest(named, header.sizes)}")
            elif child in found:
                both = f"{found[child].variable} and {variable.name}"
                problems.append(f"{both} both say to which instance the samples of {child!r} belong")
            else:
                found[child] = Link(parent, variable.name, counts)
    for start in found:
        seen, at = [start], start
        while at in found and found[at].parent not in seen:
            at = found[at].parent
            seen.append(at)
        if at in found and found[at].parent == start:
            problems.append(f"{' -> '.join([*seen, start])}: samples that are their own instances")
    return found


def _refuse_unfit(
    options: ReadProfiles, chosen: Sequence[Variable], fitting: Sequence[Variable], dims: Sequence[str]
) -> None:
    """What a curator named must be a column."""
    unfit = [v for v in chosen if v not in fitting and v.name in options.variables]
    if unfit:
        rows = " x ".join(dims)
        raise DataError(
            [f"{v.name}: lies along {_dims(v.dims)}, the rows along {rows}; it cannot be a column" for v in unfit]
        )


class _Find:
    """Finds the dimensions of rows among those of ``header``."""

    def __init__(self, header: Header, text: frozenset[str], links: Mapping[str, Link]) -> None:
        self.header, self.text, self.links = header, text, links

    def declared(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        sizes = {d: n for d, n in self.header.sizes.items() if d not in self.text}
        problems = [
            f"read_profiles.dimension names {d!r}{nearest(d, sizes)}; dimensions: {_sizes(sizes)}"
            for d in dims
            if d not in sizes
        ]
        problems += [f"dimension {d!r} has size 0: there are no rows" for d in dims if sizes.get(d) == 0]
        problems += [
            f"read_profiles.dimension names {d!r} and its instances {p!r}; name {d!r} alone"
            for d in dims
            for p in self._instances(d)
            if p in dims and p != d
        ]
        if problems:
            raise DataError(problems)
        return dims

    def alone(self, chosen: Iterable[Variable]) -> tuple[str, ...]:
        """The one set of dimensions that holds the samples of all numbers (of all text where there are none)."""
        chosen = list(chosen)
        several = [v for v in chosen if v.kind == "number"] or chosen
        sets = list(dict.fromkeys(tuple(d for d in v.dims if d not in self.text) for v in several))
        filled = [dims for dims in sets if all(self.header.sizes[d] for d in dims)]
        largest = self._maximal(filled)
        if len(largest) > 1:
            raise DataError(self._several(largest, several), advice=CHOOSE)
        if not largest or self._lacks_samples(largest[0], filled, [dims for dims in sets if dims not in filled]):
            empty = sorted({d for dims in sets for d in dims if self.header.sizes[d] == 0})
            raise DataError(f"{_are(empty)} of size 0: there are no rows" if empty else "the file holds no variables")
        return largest[0]

    def _lacks_samples(
        self, found: Sequence[str], filled: Sequence[tuple[str, ...]], empty: Sequence[tuple[str, ...]]
    ) -> bool:
        """Whether what was found are the mere coordinates of samples along dimensions of size 0."""
        if not any(self.header.sizes[d] > 1 for d in found):
            return bool(empty)
        whole = max((dims for dims in filled if set(found) <= set(dims)), key=len)
        reached = [{p for d in dims for p in self._instances(d)} for dims in empty]
        return any(set(whole) <= dims for dims in reached)

    def _maximal(self, sets: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Of ``sets`` those that no other covers; dimensions of size 1 are dropped where a longer one is there."""
        found: list[tuple[str, ...]] = []
        for dims in sorted(sets, key=len, reverse=True):
            long = tuple(d for d in dims if self.header.sizes[d] > 1)
            if not any(self._covers(other, dims) for other in found):
                found = [o for o in found if not self._covers(long or dims, o)] + [long or dims]
        return found

    def _covers(self, large: Sequence[str], small: Sequence[str]) -> bool:
        reached = {p for d in large for p in self._instances(d)}
        return all(d in reached or self.header.sizes[d] == 1 for d in small)

    def _instances(self, dim: str) -> list[str]:
        """``dim`` and the dimensions of the instances to which its samples belong, nearest first."""
        chain = [dim]
        while chain[-1] in self.links and self.links[chain[-1]].parent not in chain:
            chain.append(self.links[chain[-1]].parent)
        return chain

    def _several(self, largest: Sequence[tuple[str, ...]], variables: Sequence[Variable]) -> list[str]:
        told = ["the file holds several sets of samples, and nothing says which are the rows:"]
        for dims in largest:
            own = [v.name for v in variables if self.fits(v, dims) and not self.fits(v, ())]
            shape = " x ".join(f"{d} ({self.header.sizes[d]})" for d in dims) or "no dimension"
            told.append(f"{shape}: {', '.join(own[:8])}{' and more' if len(own) > 8 else ''}")
        return told

    def fits(self, variable: Variable, dims: Sequence[str]) -> bool:
        """Whether every row has one value of it: each of its dimensions is one of the rows', holds the instances of
        one, or has size 1, and no two hang on the same."""
        roots = [self.root(d, dims) for d in variable.dims if d not in self.text]
        used = [root for root in roots if root]
        return None not in roots and len(set(used)) == len(used)

    def root(self, dim: str, dims: Sequence[str]) -> str | None:
        """The dimension of the rows on which ``dim`` hangs; "" for one of size 1, None for none."""
        found = next((d for d in dims if dim in self._instances(d)), None)
        return "" if found is None and self.header.sizes[dim] == 1 else found

    def measured(self, fitting: Sequence[Variable], dims: Sequence[str]) -> tuple[str, ...]:
        """The variables of an incomplete array that may show that a cell holds a sample; flags show nothing.

        An array is incomplete where a dimension has no variable of its own: then its length is that of the longest
        instance, and shorter ones are filled up.
        """
        along = [v for v in self.header.variables.values() if v.kind in ("number", "text", "char")]
        own = {tuple(d for d in v.dims if d not in self.text) for v in along}
        if all((d,) in own for d in dims):
            return ()
        full = [v for v in fitting if set(dims) <= set(v.dims)]
        flags = _flags(self.header.variables.values())
        return tuple(v.name for v in full if v.name not in flags) or tuple(v.name for v in full)


def _flags(variables: Iterable[Variable]) -> set[str]:
    variables = list(variables)
    found = {word for v in variables for word in str(v.attributes.get("ancillary_variables", "")).split()}
    for variable in variables:
        name = str(variable.attributes.get("standard_name", ""))
        if FLAG_ATTRIBUTES & variable.attributes.keys() or name.endswith(FLAG_NAMES):
            found.add(variable.name)
    return found


CHOOSE = (
    "name the dimensions of the rows with read_profiles.dimension (a list where they are several), or the columns with "
    "read_profiles.variables."
)


def _are(dims: Sequence[str]) -> str:
    return f"dimension{'s' if len(dims) > 1 else ''} {', '.join(map(repr, dims))} {'are' if len(dims) > 1 else 'is'}"


def _dims(dims: Sequence[str]) -> str:
    return " x ".join(dims) or "no dimension"


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{d} ({n})" for d, n in sizes.items()) or "none"
