"""`rimrep init`: a proposed dataset folder from a file, a folder or an address.

Here belong its options and what it prints. Not here: looking, guessing and writing (``ports/proposing``).
"""

from __future__ import annotations

import os
import shlex
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimrep_assets.console import print_json

if TYPE_CHECKING:
    from rimrep_assets.ports.proposing import Proposed


def init(
    address: Annotated[
        str, typer.Argument(help="A file, a folder of files, or an http address of one.", metavar="FILE_OR_URL")
    ],
    dataset_id: Annotated[
        str | None, typer.Option("--id", help="Id of the dataset; made from the file's name by default.", metavar="ID")
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", help="Its collection; one of its own by default.", metavar="ID")
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            help="Work tree of the catalog; RIMREP_CATALOG or ./catalog, which is begun when it is not there.",
            metavar="FOLDER",
        ),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", help="Zone of times that carry none.", metavar="ZONE")
    ] = None,
    access: Annotated[str, typer.Option("--access", help="public or limited.")] = "public",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Propose a dataset's folder from its data; every guess is marked as one, and nothing is committed."""
    from rimrep_assets.ports.proposing import Asked, propose
    from rimrep_assets.ports.workbench import Settings

    settings = Settings.from_environment(os.environ)
    asked = Asked(
        address, catalog or os.environ.get("RIMREP_CATALOG") or None, dataset_id, collection, timezone, access
    )
    with tempfile.TemporaryDirectory(prefix="rimrep-") as scratch:
        proposed = propose(
            asked,
            cache=settings.cache,
            source_roots=settings.source_roots,
            scratch=Path(scratch),
            now=datetime.now(UTC),
        )
    if as_json:
        print_json(_document(proposed))
    else:
        _tell(proposed)


def _shown(folder: Path) -> str:
    """A path as short as it can be written from here."""
    relative = os.path.relpath(folder)
    return relative if len(relative) < len(str(folder)) else str(folder)


def _next(proposed: Proposed) -> list[str]:
    """The commands that come next, in their order."""
    where, name = shlex.quote(_shown(proposed.catalog)), proposed.dataset
    variables = {**proposed.variables}
    if not _is_everybodys(proposed.catalog):
        variables["RIMREP_CATALOG"] = str(proposed.catalog)
    return [
        *(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
        f"${{EDITOR:-vi}} {where}/datasets/{name}/dataset.yaml {where}/datasets/{name}/datapackage.json",
        f"git -C {where} add . && git -C {where} commit -m 'Describe {name}'",
        f"rimrep check {name}",
        f"rimrep publish {name}",
        "rimrep up",
    ]


def _is_everybodys(catalog: Path) -> bool:
    """Whether the other commands read this catalog already."""
    told = os.environ.get("RIMREP_CATALOG")
    return bool(told) and Path(str(told)).expanduser().absolute() == catalog


def _document(proposed: Proposed) -> dict[str, Any]:
    return {
        "dataset": proposed.dataset,
        "collection": proposed.collection,
        "catalog": str(proposed.catalog),
        "created_catalog": proposed.created_catalog,
        "files": list(proposed.files),
        "source": proposed.source,
        "copied": list(proposed.copied),
        "guesses": [vars(guess) for guess in proposed.guesses],
        "taken": dict(proposed.taken),
        "notes": list(proposed.notes),
        "next": _next(proposed),
    }


def _tell(proposed: Proposed) -> None:
    if proposed.created_catalog:
        print(f"began a new catalog in {_shown(proposed.catalog)}")
    print(f"proposed dataset {proposed.dataset}, collection {proposed.collection}; written, not committed:")
    for path in proposed.files:
        print(f"  {path}")
    if proposed.taken:
        print("taken from the file as it stands there:")
        for key, origin in proposed.taken.items():
            print(f"  {key}: {origin}")
    print(f"guessed ({len(proposed.guesses)}), each marked in its file:")
    for guess in proposed.guesses:
        print(f"  {guess.file.rpartition('/')[2]}  {guess.key}: {_cut(guess.value)}  ({_cut(guess.why)})")
    for note in proposed.notes:
        print(f"note: {note}")
    if not _is_everybodys(proposed.catalog):
        print("note: the other commands read RIMREP_CATALOG; without it they mean the example in RIMREP_DATA, not this")
    print("next, in this order (a catalog is read at a commit, so check comes after it; `rimrep up` publishes too):")
    for command in _next(proposed):
        print(f"  {command}")


def _cut(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
