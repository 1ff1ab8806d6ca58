"""Source files that make up one file of a grid together: tiles of a mosaic, variables in files of their own.

Here belongs which files belong together, told by their names alone. Not here: opening them (``grid_mosaic``), or
fetching (``ports/sources/together``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.file_time import moment_told
from rimrep_assets.domain.proof import FileProof
from rimrep_assets.domain.source_file import SourceFile

NO_VARIABLE = "_"
"""stands for the variable in a member's place where names tell none; no variable can be called so"""


class Together(SourceFile):
    """Several source files as one; known by the digests of its members and what they are in it.

    Fetched it is a folder: each member lies at ``<variable>/<its name>``.
    """

    members: tuple[tuple[str, SourceFile], ...]
    """variable and file, sorted"""

    @classmethod
    def of(cls, name: str, members: Iterable[tuple[str, SourceFile]]) -> Together:
        held = tuple(sorted(members, key=lambda member: (member[0], member[1].name)))
        lines = sorted(f"{variable} {file.digest}\n" for variable, file in held)
        return cls(
            name=name,
            digest=sha256("".join(lines).encode()).hexdigest(),
            size=sum(file.size for _, file in held),
            url=held[0][1].url,
            members=held,
        )


def makes_together(dataset: Dataset) -> bool:
    """Whether a file of the grid may be made of several source files."""
    step = dataset.convert.read_geotiff
    return step is not None and (step.variable is not None or dataset.convert.mosaic is not None)


def grid_files(files: Iterable[SourceFile], dataset: Dataset) -> tuple[SourceFile, ...]:
    """The files of the grid that source files make, sorted by name; most often they are the same.

    Raises: DataError naming every file whose name does not tell with which it belongs.
    """
    sources = sorted(files, key=lambda f: f.name)
    if not makes_together(dataset):
        return tuple(sources)
    problems: list[str] = []
    groups: dict[str, list[tuple[str, SourceFile, str]]] = {}
    for file in sources:
        told = _told(file.name, dataset, problems)
        if told is not None:
            key, variable, name = told
            groups.setdefault(key, []).append((variable, file, name))
    problems += _doubled(groups.values(), dataset)
    if problems:
        raise DataError(problems)
    found = [Together.of(members[0][2], [(v, file) for v, file, _ in members]) for members in groups.values()]
    return tuple(sorted(found, key=lambda f: f.name))


def _told(name: str, dataset: Dataset, problems: list[str]) -> tuple[str, str, str] | None:
    """With which files one belongs (as a key), its variable, and the name of the whole."""
    step = dataset.convert.read_geotiff
    variable, whole = NO_VARIABLE, name
    if step is not None and step.variable is not None:
        found = variable_told(step.variable, name)
        if found is None:
            problems.append(f"{name}: its name does not match read_geotiff.variable {step.variable!r}")
            return None
        variable, whole = found
    if dataset.convert.mosaic is None:
        return whole, variable, whole
    if dataset.coordinates.t is None:
        return "", variable, whole
    pattern = dataset.convert.set_time.name if dataset.convert.set_time else None
    moment = moment_told(str(pattern), name)
    if moment is None:
        problems.append(f"{name}: its name does not match set_time.name {pattern!r}")
        return None
    return moment.isoformat(), variable, whole


def _doubled(groups: Iterable[Sequence[tuple[str, SourceFile, str]]], dataset: Dataset) -> list[str]:
    """Without ``mosaic`` a variable stands once; two can differ in nothing but the length of what ``*`` took."""
    if dataset.convert.mosaic is not None:
        return []
    problems = []
    for members in groups:
        by_variable: dict[str, list[str]] = {}
        for variable, file, _ in members:
            by_variable.setdefault(variable, []).append(file.name)
        problems += [f"{' and '.join(names)}: both are {v!r}" for v, names in by_variable.items() if len(names) > 1]
    return problems


def content_of(name: str, digest: str, dataset: Dataset) -> str:
    """What a file of the grid is known by: its digest, with its time where only its name tells that.

    Two days may have the very same bytes, and are not one file under two names then.
    """
    step = dataset.convert.set_time
    moment = moment_told(step.name, name) if step is not None and step.name is not None else None
    return digest if moment is None else sha256(f"{moment.isoformat()} {digest}".encode()).hexdigest()


def proofs_of_sources(proofs: Iterable[FileProof], files: Iterable[SourceFile]) -> list[FileProof]:
    """What was proven of ``files`` of the grid, told of every source file in them; counts are those of the whole."""
    by_name = {file.name: file for file in files}
    found = []
    for proof in proofs:
        file = by_name.get(proof.name)
        members = [member for _, member in file.members] if isinstance(file, Together) else [file] if file else []
        found += [proof.model_copy(update={"name": m.name, "digest": m.digest}) for m in members] or [proof]
    return found


def variable_told(pattern: str, name: str) -> tuple[str, str] | None:
    """The variable that a file's name tells, and the name with ``*`` in its place; None where it does not match.

    A pattern with ``/`` is held against the whole name, else against its last part. A variable is letters, digits and
    ``_``, beginning with a letter.
    """
    folder, slash, last = ("", "", name) if "/" in pattern else name.rpartition("/")
    pieces = {"*": "[^/]*", "{variable}": "(?P<variable>[A-Za-z][A-Za-z0-9_]*)"}
    split = re.split(r"(\*|\{variable\})", pattern)
    found = re.fullmatch("".join(pieces.get(piece, re.escape(piece)) for piece in split), last)
    if found is None:
        return None
    start, end = found.span("variable")
    return found["variable"], f"{folder}{slash}{last[:start]}*{last[end:]}"
