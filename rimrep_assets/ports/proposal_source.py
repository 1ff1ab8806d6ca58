"""What lies at the address that `rimrep init` was given: names, the family that is proposed, files to look into.

Here belongs listing a file, a folder or a web address, and bringing only what is needed. Not here: what names mean
(``domain/proposal_names``), or what files hold (``domain/proposal_table``, ``proposal_grid``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError
from rimrep_assets.domain.proposal_csv import form_of
from rimrep_assets.domain.proposal_grid import files_to_look_at
from rimrep_assets.domain.proposal_names import Family, families, family_of, literal_glob, pattern_of
from rimrep_assets.domain.table_csv import header_of
from rimrep_assets.ports.sources.download_cache import DownloadCache
from rimrep_assets.ports.sources.http_folder import HttpFolder
from rimrep_assets.ports.sources.local_folder import LocalFolder
from rimrep_assets.ports.sources.protocol import SourceFolder
from rimrep_assets.ports.sources.selection import Selection, is_shapefile

KINDS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".gpkg": "vector", ".geojson": "vector", ".json": "vector",
    ".shp": "vector", ".nc": "netcdf", ".nc4": "netcdf", ".cdf": "netcdf",
}  # fmt: skip
WEAK = (".json", ".txt")
READABLE = (
    "CSV (.csv .tsv .txt), GeoPackage (.gpkg), GeoJSON (.geojson .json), shapefile (.shp), NetCDF (.nc .nc4 .cdf)"
)
SMALL_BYTES = 64_000_000
"""tables up to this size, all files together, are read whole; of larger ones the beginning"""
CUT_BYTES = 8_000_000
FLAT_BYTES = 1_000_000_000
MOST_GRIDS, MOST_TABLES, MOST_FETCHED = 24, 200, 3
"""so many files are looked into: grids (headers alone), tables, files of a web server"""


@dataclass(frozen=True)
class Seen:
    """A family of files at an address; ``files``: those that are looked into, name to path."""

    kind: str
    """csv, vector or netcdf"""
    family: Family
    files: Mapping[str, Path]
    total: int
    """bytes of all files of the family as far as known"""
    is_http: bool
    url: str
    """the folder, ending in ``/``, or the one file"""
    folder: Path | None = None
    """local: the folder that the names count from"""
    is_file: bool = False
    """whether one file is the source, not a folder"""
    cut: str = ""
    """what was read, where that was not all"""
    notes: tuple[str, ...] = ()


def see(address: str, *, cache: Path, scratch: Path) -> Seen:
    """Look at ``address``. Raises: DefinitionError where nothing is, or where it is not clear which files are meant;
    DataError for kinds of files that cannot be read; Unavailable as the web server does."""
    if address.startswith(("http://", "https://")):
        seen = _see_web(address, cache, scratch)
    elif "://" in address:
        raise DefinitionError(
            f"{address!r} is neither a path nor a http or https address", advice="download it, or give its web address."
        )
    else:
        seen = _see_local(Path(address).expanduser().absolute())
    return _cut(seen, scratch) if seen.kind == "csv" else seen


def _see_local(path: Path) -> Seen:
    if not path.exists():
        raise DefinitionError(f"there is no file or folder {path}", advice="check the path.")
    # The person names the place; only from there on links must not lead elsewhere.
    path = path.resolve()
    if path.is_file():
        kind = _kind_of(path.name)
        beside = [p.name for p in path.parent.iterdir() if p.is_file() and not p.is_symlink() and p.name[0] != "."]
        family = family_of(path.name, [name for name in beside if _kind(name) == kind])
        folder = path.parent
    else:
        source = LocalFolder(path, Selection(("**",)), allowed_roots=[path], address=str(path))
        flat = LocalFolder(path, Selection(("*",)), allowed_roots=[path], address=str(path))
        kind, names = _names_of_one_kind(_listed(flat) or _listed(source), str(path))
        family = _one_family(kind, names, path)
        folder = path
    sizes = {name: (folder / name).stat().st_size for name in family.names}
    total = sum(sizes.values())
    looked = _looked_into(kind, family.names, total, MOST_GRIDS if kind == "netcdf" else MOST_TABLES)
    alone = len(family.names) == 1 and path.is_file()
    return Seen(
        kind=kind,
        family=family,
        files={name: folder / name for name in looked},
        total=total,
        is_http=False,
        url=str(path) if alone else f"{folder}/",
        folder=folder,
        is_file=alone,
    )


def _listed(source: SourceFolder) -> list[str]:
    """Names of files of a known kind; none where the folder has none of them."""
    try:
        return [name for name in source.glance().names if _kind(name)]
    except (DefinitionError, DataError) as error:
        if any("link" in problem for problem in error.problems):
            raise
        return []


def _see_web(address: str, cache: Path, scratch: Path) -> Seen:
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise DefinitionError("the address holds a user or password; credentials never stand in the catalog")
    downloads = DownloadCache(cache / "downloads")
    if parts.path.endswith("/"):
        source = HttpFolder(address, Selection(("*",)), cache=downloads)
        names = _names_on(source)
        if not names:
            source = HttpFolder(address, Selection(("**",)), cache=downloads)
            names = _names_on(source)
        kind, names = _names_of_one_kind(names, address)
        family = _one_family(kind, names, None)
        return _fetched(source, kind, family, address, scratch, is_file=False)
    name = unquote(parts.path.rpartition("/")[2])
    kind = _kind_of(name)
    folder = f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/"
    family, note = family_of(name, ()), ()
    if pattern_of(name) is not None and not parts.query:
        try:
            beside = _names_on(HttpFolder(folder, Selection(("*",)), cache=downloads))
            family = family_of(name, [other for other in beside if _kind(other) == kind])
        except RimrepError:
            note = (f"the folder {folder} cannot be listed, so the source is this one file",)  # type: ignore[assignment]
    if len(family.names) > 1:
        source = HttpFolder(folder, Selection((family.include,)), cache=downloads)
        return _fetched(source, kind, family, folder, scratch, is_file=False)
    source = HttpFolder(address, cache=downloads)
    return replace(_fetched(source, kind, family, address, scratch, is_file=True), notes=tuple(note))


def _names_on(source: HttpFolder) -> list[str]:
    """All names that a server lists, of a known kind; no file is fetched."""
    seen: list[str] = []

    def note(names: Sequence[str]) -> set[str]:
        seen.extend(names)
        return set()

    try:
        source.look(pick=note)
    except DefinitionError as error:
        if not any("include" in problem for problem in error.problems):
            raise
    except DataError as error:
        if not any("is empty" in problem for problem in error.problems):
            raise
    return [name for name in seen if _kind(name)]


def _fetched(source: HttpFolder, kind: str, family: Family, url: str, scratch: Path, *, is_file: bool) -> Seen:
    """The same files are asked for by the first publication, which finds them in the cache."""
    wanted = set(files_to_look_at(family.names, MOST_FETCHED))
    files = {}
    total = 0
    for number, file in enumerate(source.look(pick=lambda names: {*names} if is_file else wanted & {*names})):
        folder = scratch / "fetched" / str(number)
        folder.mkdir(parents=True)
        files[file.name] = source.fetch(file, folder)
        total += file.size
    if not files:
        raise DataError(f"{url}: the files that it lists are not there")
    return Seen(kind, family, files, total, is_http=True, url=url, is_file=is_file)


def _names_of_one_kind(names: Sequence[str], address: str) -> tuple[str, list[str]]:
    # Beside data such files are mostly notes about it.
    names = [name for name in names if Path(name).suffix.lower() not in WEAK] or names
    counted = Counter(_kind(name) for name in names)
    if not counted:
        raise DataError(
            f"{address}: no file that can be read; these can: {READABLE}", advice="name a file of these kinds."
        )
    if len(counted) > 1:
        words = ", ".join(f"{number} {kind}" for kind, number in sorted(counted.items()))
        raise DefinitionError(
            f"{address} holds files of several kinds ({words}), which cannot be one dataset",
            advice="name one of the files, or a folder with files of one kind.",
        )
    return next(iter(counted)), list(names)


def _one_family(kind: str, names: Sequence[str], folder: Path | None) -> Family:
    """All names as one family. Raises: DefinitionError that names the families, where these do not look like one."""
    found = families(names)
    if len(found) == 1:
        return found[0]
    if kind == "csv" and folder is not None and _same_columns([folder / family.names[0] for family in found]):
        suffixes = {Path(name).suffix for name in names}
        glob = f"*{suffixes.pop()}" if len(suffixes) == 1 else "*"
        deep = any("/" in name for name in names)
        return Family(tuple(sorted(names)), None, f"**/{glob}" if deep else glob)
    shown = ", ".join(
        f"{literal_glob(f.include) if len(f.names) == 1 else f.include} ({len(f.names)})" for f in found[:8]
    )
    raise DefinitionError(
        f"the folder holds {len(found)} families of files, which do not look like one dataset: {shown}",
        advice="name one of the files: those that differ from it in their date alone come with it.",
    )


def _same_columns(paths: Sequence[Path]) -> bool:
    headers = set()
    for path in paths[:MOST_TABLES]:
        try:
            form = form_of(path, path.name)
            headers.add(tuple(sorted(header_of(path, path.name, form.reading))))
        except DataError:
            return False
    return len(headers) == 1


def _looked_into(kind: str, names: Sequence[str], total: int, most: int) -> list[str]:
    if kind != "netcdf" and total > SMALL_BYTES:
        most = 2
    return files_to_look_at(names, most)


def _cut(seen: Seen, scratch: Path) -> Seen:
    """Only the beginning of large text, up to the end of a line, and what was left out in words."""
    sizes = {name: path.stat().st_size for name, path in seen.files.items()}
    if sum(sizes.values()) <= SMALL_BYTES:
        if len(seen.files) < len(seen.family.names):
            return replace(seen, cut=f"{len(seen.files)} of {len(seen.family.names)} files")
        return seen
    folder = scratch / "cut"
    files = {}
    rows = 0
    for number, (name, path) in enumerate(seen.files.items()):
        target = folder / str(number) / path.name
        target.parent.mkdir(parents=True)
        with path.open("rb") as file:
            data = file.read(CUT_BYTES)
        data = data[: data.rfind(b"\n") + 1] if len(data) == CUT_BYTES else data
        target.write_bytes(data)
        files[name] = target
        rows += data.count(b"\n")
    said = f"the first {rows} lines of {len(files)} of {len(seen.family.names)} files"
    return replace(seen, files=files, cut=said)


def _kind(name: str) -> str:
    return KINDS.get(Path(name).suffix.lower(), "")


def _kind_of(name: str) -> str:
    kind = _kind(name)
    if not kind:
        what = f"a {Path(name).suffix} file" if Path(name).suffix else "a file without a suffix"
        raise DataError(f"{name}: {what} cannot be read; these can: {READABLE}", advice="convert it to one of these.")
    return kind


def members_of(seen: Seen, name: str) -> list[Path]:
    """The local files that ``name`` consists of: itself, and what belongs to a shapefile."""
    assert seen.folder is not None
    path = seen.folder / name
    if not is_shapefile(name):
        return [path]
    return [path, *(p for p in sorted(path.parent.iterdir()) if p.stem.lower() == path.stem.lower() and p != path)]
