"""`rimrep init`: from an address to a proposed dataset folder in the work tree of a catalog.

Here belongs the order of the steps: look at the source, draft, compute the schema, place what was given. Not here: what
is guessed (``domain/proposal_*``), looking at addresses (``proposal_source``), or writing (``proposal_catalog``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import ID
from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError
from rimrep_assets.domain.proposal import AGREEMENT, Draft, Guess
from rimrep_assets.domain.proposal_grid import (
    grid_notes,
    propose_grid,
    propose_grid_schema,
    put_layout,
    rhythm_of_times,
)
from rimrep_assets.domain.proposal_grid_rules import unite_by_least_rule
from rimrep_assets.domain.proposal_names import id_from, partition_of, rhythm_of, title_from, words_of
from rimrep_assets.domain.proposal_profiles import holds_samples, propose_profiles
from rimrep_assets.domain.proposal_table import orders_guessed, propose_csv, propose_table_schema, propose_vector
from rimrep_assets.domain.proposal_words import Words, collection_text, words_from
from rimrep_assets.domain.release import json_bytes
from rimrep_assets.domain.schedule import checked_zone
from rimrep_assets.ports.proposal_catalog import Placing, WorkTree
from rimrep_assets.ports.proposal_source import FLAT_BYTES, Seen, see

GUESSED_SEPARATORS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Asked:
    """What the command line said; None where it said nothing."""

    address: str
    catalog: str | None = None
    dataset_id: str | None = None
    collection: str | None = None
    timezone: str | None = None
    access: str = "public"


@dataclass(frozen=True)
class Proposed:
    """What was written, and what a person should know of it."""

    dataset: str
    collection: str
    catalog: Path
    created_catalog: bool
    files: tuple[str, ...]
    """paths in the catalog"""
    source: str
    """``source.url`` as it was written"""
    copied: tuple[str, ...]
    """source files that were copied beside the catalog, relative to it"""
    guesses: tuple[Guess, ...]
    taken: Mapping[str, str]
    """key of datapackage.json -> what of the file it was taken from"""
    notes: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """environment variables that publishing needs"""


def propose(asked: Asked, *, cache: Path, source_roots: tuple[Path, ...], scratch: Path, now: datetime) -> Proposed:
    """Look at ``asked.address`` and write a dataset folder; nothing is written before all of it is made.

    ``scratch`` is a folder that the caller removes. Raises: DefinitionError for wrong options and for files of the
    catalog that are there already, DataError for data that cannot be a dataset, Unavailable as the source does.
    """
    _check(asked)
    tree = WorkTree.of(asked.catalog)
    seen = see(asked.address, cache=cache, scratch=scratch)
    words_in_name = words_of(seen.family)
    dataset_id = asked.dataset_id or id_from(words_in_name)
    collection = asked.collection or dataset_id
    placing = tree.placing(seen, dataset_id, source_roots)
    draft = _begin(asked, seen, placing, dataset_id, collection)
    try:
        schema, attributes, rhythm, warned = _drafted(draft, seen, asked.timezone, scratch)
        _put_times(draft, seen, rhythm)
        _ = draft.dataset()
    except RimrepError as error:
        if error.advice == DataError.advice_by_default:
            # There is no catalog yet that could be changed.
            error.advice = "mend the file, or ask who made it, then run `rimrep init` again; nothing was written."
        raise error.about(dataset_id) from error
    url = asked.address if seen.is_http else None
    title = title_from(words_in_name)
    words = words_from(
        dataset_id, title, [w.lower() for w in words_in_name if not w.isdigit()], attributes, year=now.year, url=url
    )
    notes = [*seen.notes, *placing.notes, *_put_extents(words, draft), *_notes(seen, draft), *warned]
    folder = f"datasets/{dataset_id}"
    schema_file = "tableschema.json" if draft.keys["format"] == "parquet" else "gridschema.json"
    files = {
        f"{folder}/dataset.yaml": draft.text().encode(),
        f"{folder}/datapackage.json": json_bytes(words.package),
        f"{folder}/{schema_file}": json_bytes(schema),
    }
    if not tree.has(f"collections/{collection}/collection.jsonnet"):
        files[f"collections/{collection}/collection.jsonnet"] = collection_text(collection, dataset_id).encode()
    written, copied = tree.write(files, placing)
    return Proposed(
        dataset=dataset_id,
        collection=collection,
        catalog=tree.folder,
        created_catalog=tree.is_new,
        files=written,
        source=placing.url,
        copied=copied,
        guesses=(
            *draft.guesses(f"{folder}/dataset.yaml"),
            *orders_guessed(schema, f"{folder}/{schema_file}"),
            *words.guesses(f"{folder}/datapackage.json"),
        ),
        taken=words.taken,
        notes=tuple(notes),
        variables=placing.variables,
    )


def _check(asked: Asked) -> None:
    problems = []
    for option, value in (("--id", asked.dataset_id), ("--collection", asked.collection)):
        if value is not None and not ID.fullmatch(value):
            near = GUESSED_SEPARATORS.sub("-", value.lower()).strip("-") or "noaa-crw-dhw"
            problems.append(f"{option} {value!r} is not an id like {near!r}")
    if asked.access not in ("public", "limited"):
        problems.append(f"--access {asked.access!r} is neither public nor limited")
    try:
        checked_zone(asked.timezone or "UTC")
    except ValueError as error:
        problems.append(f"--timezone: {error}")
    if problems:
        raise DefinitionError(problems, advice="see `rimrep init --help`.")


def _begin(asked: Asked, seen: Seen, placing: Placing, dataset_id: str, collection: str) -> Draft:
    draft = Draft({})
    named = "" if asked.dataset_id else "made from the file's name"
    draft.put("id", dataset_id, named)
    draft.put("collection", collection, "" if asked.collection else "a collection of its own, named like the dataset")
    draft.put("format", "zarr" if seen.kind == "netcdf" and not _holds_samples(seen) else "parquet")
    draft.put("access", asked.access)
    if asked.access == "limited":
        draft.put("data_sharing_agreement", AGREEMENT, "only the reference of the agreement is wanted")
    draft.put("source.kind", "http" if seen.is_http else "local")
    draft.put("source.url", placing.url)
    if placing.include is not None:
        several = len(seen.family.names) > 1
        why = f"takes {len(seen.family.names)} files that are named alike" if several else ""
        draft.put("source.include", placing.include, why)
    return draft


def _holds_samples(seen: Seen) -> bool:
    """Whether its NetCDF files are rows of a table, not a grid."""
    name, path = next(iter(seen.files.items()))
    return seen.kind == "netcdf" and holds_samples(name, path)


def _drafted(
    draft: Draft, seen: Seen, timezone: str | None, scratch: Path
) -> tuple[dict[str, Any], Mapping[str, Any], str | None, list[str]]:
    """Fill the draft from the files; the schema, their global attributes, the rhythm of their times, warnings."""
    name, path = next(iter(seen.files.items()))
    if _holds_samples(seen):
        fields, attributes = propose_profiles(name, path, draft)
        return propose_table_schema(seen.files, draft, fields, scratch / "schema"), attributes, None, []
    if seen.kind == "netcdf":
        attributes = propose_grid(name, path, draft)
        state = unite_by_least_rule(seen.files, seen.family, draft)
        remarks = put_layout(draft, state, len(seen.files) / len(seen.family.names))
        rhythm = rhythm_of_times(state) if len(seen.family.names) > 1 else None
        return propose_grid_schema(state, seen.files, draft), attributes, rhythm, grid_notes(state, draft) + remarks
    declared: list[dict[str, Any]] = []
    if seen.kind == "csv":
        declared = propose_csv(seen.files, draft, timezone)
    else:
        propose_vector(name, path, draft, timezone)
    schema = propose_table_schema(seen.files, draft, declared, scratch / "schema")
    if seen.cut:
        step = "convert.read_csv"
        draft.why[step] = "; ".join(
            filter(None, [f"types in tableschema.json come from {seen.cut}", draft.why.get(step)])
        )
    return schema, {}, None, []


def _put_times(draft: Draft, seen: Seen, rhythm: str | None) -> None:
    """``partition`` and ``update`` from the dates in names, or from the times of the files."""
    expected = rhythm_of(seen.family) or rhythm
    partition = partition_of(seen.family)
    if partition and draft.keys.get("coordinates", {}).get("t"):
        for key, value in partition.items():
            draft.put(f"partition.{key}", value)
        draft.why["partition.by"] = "so that a backfill has a handy number of pieces"
        draft.why["partition.file_time"] = "the dates in the files' names"
    if expected:
        draft.put("update.expected", expected, "so far apart are the dates of the files")
    else:
        draft.put("update.expected", "never", "nothing in the files says that more of them come")


def _put_extents(words: Words, draft: Draft) -> list[str]:
    """Say ``null`` for an extent that the data cannot give, and tell it."""
    there = draft.keys.get("coordinates", {})
    notes = []
    for extent, parts, what in (
        ("spatial", ("geometry", "x"), "no place was found in the data"),
        ("temporal", ("t",), "no time was found in the data"),
    ):
        if not any(part in there for part in parts):
            words.package[extent] = None
            notes.append(f'{what}: datapackage.json says "{extent}": null; write the extent there if there is one')
    return notes


def _notes(seen: Seen, draft: Draft) -> list[str]:
    notes = []
    if seen.kind == "csv" and seen.total > FLAT_BYTES:
        notes.append(
            f"{seen.total / 1e9:.1f} GB of flat files: the programme asks providers for an API above 1 GB; ask for one"
        )
    if draft.keys["update"]["expected"] != "never":
        notes.append("update.schedule is not set: give it a cron line to say when new files should be looked for")
    return notes
