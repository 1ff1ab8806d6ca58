"""The `rimrep` command.

Here belongs parsing, printing and exit codes. Not here: any step of a publication: `publish` and `demo` execute the
asset graph (``defs/run``), the other commands ask the ports; what they share is in ``console``. The file is long, as
every command spells out its own options, which is what a reader looks for here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from rimrep_assets.cli_init import init
from rimrep_assets.cli_platform import down, up
from rimrep_assets.console import (
    REFUSED,
    WRONG_INPUT,
    chosen,
    exit_code,
    print_json,
    progress,
    projector_of,
    ranges_of,
    records_of,
    say,
    settings_from,
    without_files,
)
from rimrep_assets.domain.errors import DefinitionError, GateRefusal, RimrepError

if TYPE_CHECKING:
    from rimrep_assets.domain.plan import Released, Wanted
    from rimrep_assets.ports.catalog import CatalogCommit
    from rimrep_assets.ports.workbench import Settings

app = typer.Typer(
    help="From a provider's files to published, proven and described marine data.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)

CatalogOption = Annotated[
    str | None,
    typer.Option("--catalog", help="Path or address of the catalog's git repository.", metavar="PATH_OR_URL"),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Folder or s3://bucket/prefix; {access} in it stands for public or limited-access.",
        metavar="URL",
    ),
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option("--environment", help="Which endpoints/<environment>.libsonnet is used.", metavar="NAME"),
]
AtOption = Annotated[str, typer.Option("--at", help="Commit of the catalog.", metavar="SHA")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Datasets = Annotated[list[str], typer.Argument(help="Ids of datasets.", metavar="DATASET...")]
MaybeDatasets = Annotated[
    list[str] | None, typer.Argument(help="Ids of datasets; all when none is named.", metavar="[DATASET...]")
]


app.command()(up)
app.command()(down)
app.command()(init)


def main() -> None:
    """Run the command; our errors become one message on standard error and an exit code."""
    try:
        # Without standalone mode click hands an `Exit` back as a number instead of raising it.
        sys.exit(app(standalone_mode=False))
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG_INPUT)
    except RimrepError as error:
        say(str(error))
        sys.exit(exit_code(type(error).__name__))


def _publish(
    settings: Settings,
    at: str,
    names: list[str] | None,
    as_json: bool,
    partitions: str | None = None,
    rebuild: bool = False,
) -> list[dict[str, Any]]:
    """Run the asset graph for the named datasets; the printed rows, or an exit when any of them failed."""
    from rimrep_assets.definitions import definitions_at
    from rimrep_assets.defs.run import run_assets

    catalog = settings.open_catalog()
    commit = catalog.resolve(at)
    datasets = chosen(catalog.at(commit), names, settings.environment)
    ranges = ranges_of(datasets, partitions)
    projectors = {d.id: projector_of(settings, catalog.at(commit), d) for d in datasets}
    before = {d.id: (projectors[d.id].log.numbers() or [0])[-1] for d in datasets}
    with progress(quiet=as_json):
        endings = run_assets(definitions_at(settings, commit, pooled=False), datasets, commit, ranges, rebuild=rebuild)
    failed = {ending.dataset: ending for ending in endings if ending.kind is not None}
    rows = []
    for dataset in datasets:
        record = projectors[dataset.id].log.newest() if dataset.id not in failed else None
        if record is not None:
            rows.append(_row(record, changed=record.release != before[dataset.id]))
        if dataset.id in ranges and dataset.id not in failed:
            sources = [file.name for file in record.sources] if record is not None else []
            lacking = without_files(dataset, ranges[dataset.id], sources)
            if lacking:
                say(f"{dataset.id}: {lacking}")
    for ending in failed.values():
        if ending.kind == GateRefusal.__name__:
            say(f"{ending.dataset}: the gate stopped the release; nothing was published\n{ending.message}")
            say(f"What to do: {GateRefusal.advice_by_default}")
        else:
            say(ending.message)
    if failed:
        _show_rows(rows, as_json)
        raise typer.Exit(max(exit_code(ending.kind or "") for ending in failed.values()))
    return rows


def _row(record: Any, changed: bool) -> dict[str, Any]:
    addresses = record.datapackage["rimrep"]["addresses"]
    return {
        "dataset": record.dataset,
        "release": record.release,
        "data": addresses["data"],
        "datapackage": addresses["datapackage_stable"],
        "left_out": record.facts.left_out,
        "stac_item": addresses["stac_item"],
        "pygeoapi": addresses["pygeoapi"],
        "changed": changed,
    }


def _show_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "published" if row["changed"] else "nothing changed, still"
        print(f"{row['dataset']}: {state} release {row['release']}")
        for name in ("data", "datapackage", "stac_item", "pygeoapi"):
            print(f"  {name:<12} {row[name]}")
        for what, count in row["left_out"].items():
            print(f"  left out     {count} {what}")


@app.command()
def publish(
    datasets: Datasets,
    catalog: CatalogOption = None,
    at: AtOption = "HEAD",
    store: StoreOption = None,
    environment: EnvironmentOption = None,
    partition: Annotated[
        str | None,
        typer.Option("--partition", help="Only these partitions: A, or A...B; 2024 stands for its months or days."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make everything again from the sources, also where nothing changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take datasets from source to published: convert, prove, describe, judge, release, project."""
    if rebuild and partition is not None:
        raise DefinitionError(
            "--rebuild makes all partitions again, so that none can be chosen", advice="leave --partition out."
        )
    settings = settings_from(catalog, store, environment)
    _show_rows(_publish(settings, at, datasets, as_json, partition, rebuild), as_json)


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where everything is kept; a folder of this user by default."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep pygeoapi running on the result until interrupted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate the sample sources, publish the example catalog end to end, and read everything back."""
    from rimrep_assets.reading_back import read_back, serving

    if folder is not None:
        os.environ["RIMREP_DATA"] = str(folder.absolute())
    for variable in ("RIMREP_CATALOG", "RIMREP_STORE", "RIMREP_ENVIRONMENT"):
        os.environ.pop(variable, None)
    settings = settings_from()
    rows = _publish(settings, "HEAD", None, as_json)
    _show_rows(rows, as_json)
    announce = logging.getLogger("rimrep").info
    with progress(quiet=as_json), serving(settings, rows[0]["pygeoapi"], announce) as server:
        findings = read_back(rows, server.url)
        for line in findings:
            say(line)
        if serve:
            say(f"pygeoapi serves the result at {server.url}; stop it with Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


@app.command()
def check(
    datasets: MaybeDatasets = None,
    catalog: CatalogOption = None,
    at: AtOption = "HEAD",
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate the catalog's folders at a commit and say everything that is wrong with them."""
    from rimrep_assets.domain.datapackage import untold, validate
    from rimrep_assets.domain.proposal_marks import guesses_in_schema

    settings = settings_from(catalog, None, environment)
    opened = settings.open_catalog()
    commit = opened.at(opened.resolve(at))
    report: dict[str, list[str]] = {}
    for name in datasets or commit.dataset_ids:
        try:
            folder = commit.folder(name, settings.environment)
            report[name] = validate(folder.curated, _before_data(folder.profile), dataset=name)
            report[name] += untold(folder.curated, folder.dataset)
            report[name] += guesses_in_schema(folder.schema)
            if folder.schema is None:
                kind = "tableschema.json" if folder.dataset.format == "parquet" else "gridschema.json"
                report[name].append(f"{kind} is missing; `rimrep publish` proposes one and stops at the gate")
        except DefinitionError as error:
            report[name] = list(error.problems)
    if as_json:
        print_json({"commit": commit.commit, "problems": report})
    else:
        for name, problems in report.items():
            count = f"{len(problems)} problem{'s' * (len(problems) > 1)}" if problems else "valid"
            print(f"{name}: {count} at {commit.commit[:7]}")
            for problem in problems:
                print(f"  - {problem}")
    if any(report.values()):
        raise typer.Exit(WRONG_INPUT)


def _before_data(profile: Any) -> dict[str, Any]:
    """The profile without what only data can give, so that a curated document can be held against it."""
    given = {"spatial", "temporal", "resources", "rimrep", "row_count", "updated", "coordinates", "crs"}
    return {**profile, "required": [name for name in profile.get("required", []) if name not in given]}


@app.command()
def plan(
    datasets: MaybeDatasets = None,
    catalog: CatalogOption = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Commit to compare with; the releases in the store by default.", metavar="SHA"),
    ] = None,
    to: Annotated[str, typer.Option("--to", help="Commit that is wanted.", metavar="SHA")] = "HEAD",
    store: StoreOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would run, and why, without running it."""
    from rimrep_assets.domain.plan import Released, plan
    from rimrep_assets.ports.due_work import plan_between

    settings = settings_from(catalog, store, environment)
    opened = settings.open_catalog()
    wanted_commit = opened.at(opened.resolve(to))
    if from_ is not None:
        names = [d.id for d in chosen(wanted_commit, datasets)] if datasets else list(wanted_commit.dataset_ids)
        due = plan_between(opened.at(opened.resolve(from_)), wanted_commit, settings, names)
    else:
        names = [d.id for d in chosen(wanted_commit, datasets)]
        wanted = {n: _wanted(settings, wanted_commit, n) for n in names}
        released: dict[str, Released] = {}
        for name in names:
            record = projector_of(settings, wanted_commit, wanted_commit.dataset(name)).log.newest()
            if record is not None:
                released[name] = Released(record.release, record.fingerprints, record.sources)
        due = plan(wanted, released)
    if as_json:
        print_json([asdict(step) for step in due])
    else:
        for step in due:
            print(f"{step.dataset}: {step.step}, because {step.reason}")
        if not due:
            print("nothing is due")


def _wanted(settings: Settings, commit: CatalogCommit, name: str) -> Wanted:
    """What the commit and the source want of a dataset."""
    import tempfile

    from rimrep_assets.domain.plan import Wanted
    from rimrep_assets.ports.publication import Publication
    from rimrep_assets.ports.workbench import open_workbench

    with tempfile.TemporaryDirectory(prefix="rimrep-") as scratch:
        bench = open_workbench(
            settings, settings.open_catalog(), commit.commit, name, attempt="plan", scratch=Path(scratch)
        )
        publication = Publication(bench)
        return Wanted(publication.fingerprints, publication.look().sources)


@app.command()
def releases(
    dataset: Annotated[str, typer.Argument(help="Id of a dataset.")],
    catalog: CatalogOption = None,
    store: StoreOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the releases of a dataset, newest first."""
    settings = settings_from(catalog, store, environment)
    opened = settings.open_catalog()
    commit = opened.at(opened.resolve())
    log = records_of(settings, commit, dataset).log
    records = [log.read(number) for number in reversed(log.numbers())]
    if as_json:
        print_json(
            [
                {
                    "release": r.release,
                    "created": r.created,
                    "catalog_commit": r.catalog_commit,
                    "data_version": r.data_version,
                    "code_version": r.code_version,
                    "source_files": len(r.sources),
                    "left_out": r.facts.left_out,
                    "cost": r.cost.model_dump(),
                    "datapackage": r.datapackage["rimrep"]["addresses"]["datapackage"],
                }
                for r in records
            ]
        )
        return
    for r in records:
        print(
            f"release {r.release}  {r.created}  catalog {r.catalog_commit[:7]}  "
            f"data {r.data_version}  {len(r.sources)} source files"
        )
    if not records:
        print(f"{dataset} has no release")


@app.command()
def verify(
    datasets: Datasets,
    release: Annotated[int | None, typer.Option("--release", help="An older release; the newest by default.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="Only a grid's values of this source file.")] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Only of files that cover this time.", metavar="2024-03-01T12")
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write what is wrong at the stable addresses again from the release's own.")
    ] = False,
    catalog: CatalogOption = None,
    store: StoreOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a published release back against its record and receipt; exit 4 when anything differs."""
    from rimrep_assets.ports.verification import verify as verify_release
    from rimrep_assets.ports.verification import verify_and_mend

    if fix and (file is not None or time is not None):
        raise DefinitionError("--fix looks at the whole release", advice="leave --file and --time out.")
    settings = settings_from(catalog, store, environment)
    opened = settings.open_catalog()
    commit = opened.at(opened.resolve())
    report: dict[str, Any] = {}
    projectors = {name: records_of(settings, commit, name) for name in dict.fromkeys(datasets)}
    for name, projector in projectors.items():
        numbers = projector.log.numbers()
        wanted = release if release is not None else (numbers or [0])[-1]
        if wanted not in numbers:
            raise DefinitionError(
                f"there is no release {wanted or 'yet'}; there are: {numbers or 'none'}",
                dataset=name,
                advice="run `rimrep releases`.",
            )
        newest = wanted == numbers[-1]
        if fix and not newest:
            raise DefinitionError(
                f"release {wanted} is not the newest, which alone has copies at the stable addresses",
                dataset=name,
                advice="leave --release out.",
            )
        mended: list[str] = []
        with progress(quiet=as_json):
            record = projector.log.read(wanted)
            if fix:
                found, mended = verify_and_mend(projector, record)
            else:
                found = verify_release(projector, record, stable=newest, file=file, time=time)
        report[name] = {"release": wanted, "differences": found.differences, "advice": found.advice(name)}
        if fix:
            report[name]["mended"] = mended
    if as_json:
        print_json(report)
    else:
        for name, row in report.items():
            print(f"{name}: release {row['release']} {'holds' if not row['differences'] else 'DIFFERS'}")
            for finding in row.get("mended", []):
                print(f"  - {finding} (mended)")
            for finding in row["differences"]:
                print(f"  - {finding}")
            for sentence in row["advice"]:
                print(f"What to do: {sentence}")
    if any(row["differences"] for row in report.values()):
        raise typer.Exit(REFUSED)


@app.command()
def reconcile(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what drifted by projecting the newest releases again.")
    ] = False,
    catalog: CatalogOption = None,
    store: StoreOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the store with its records, STAC and pygeoapi's files; exit 4 when drift is left."""
    from rimrep_assets.ports.reconciliation import Reconciliation

    settings = settings_from(catalog, store, environment)
    opened = settings.open_catalog()
    endpoints = opened.at(opened.resolve()).endpoints(settings.environment)
    rows: list[dict[str, Any]] = []
    left = False
    for access, opened_store in settings.stores(endpoints).items():
        with progress(quiet=as_json):
            reconciliation = Reconciliation(opened_store, settings.s3, logging.getLogger("rimrep").info)
            drift = reconciliation.find()
            if fix and drift:
                refused = reconciliation.fix(drift)
                remaining = [*reconciliation.find(), *refused]
            else:
                remaining = drift
        left = left or bool(remaining)
        rows += [{"access": access, **asdict(d), "fixed": d not in remaining} for d in drift]
        rows += [{"access": access, **asdict(d), "fixed": False} for d in remaining if d not in drift]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            print(
                f"{row['access']} {row['dataset'] or 'shared'}: {row['finding']}{' (mended)' if row['fixed'] else ''}"
            )
        if not rows:
            print("no drift")
    if left:
        raise typer.Exit(REFUSED)


if __name__ == "__main__":
    main()
