"""A dataset's folder in the catalog as a value: the keys of ``dataset.yaml`` and what they may hold.

Here belongs what a curator may write and the sentences that say why not. Not here: reading the catalog
(``ports/catalog``), or doing what the steps of ``convert`` say (``tabular``, ``gridded``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import ValidationError, field_validator, model_validator

from rimrep_assets.domain.access_rules import access_problems
from rimrep_assets.domain.dataset_layout import Layout
from rimrep_assets.domain.dataset_source import Source
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.grid_steps import (
    GRID_READERS,
    RULES_OF_FILES,
    AttributesStep,
    Clip,
    FixTime,
    Mosaic,
    Orient,
    ReadGeotiff,
    ReadNetcdf,
    ReadZarr,
    Repack,
    SetTime,
    Unite,
    Unpack,
    step_problems,
)
from rimrep_assets.domain.partition import Partition
from rimrep_assets.domain.proposal_marks import still_guesses, without_marks
from rimrep_assets.domain.schedule import checked_schedule, checked_zone
from rimrep_assets.domain.strict_model import StrictModel, nearest, problems_of
from rimrep_assets.domain.table_profiles_options import ReadProfiles
from rimrep_assets.domain.table_readers import (
    TABLE_READERS,
    ReadCsv,
    ReadDwca,
    ReadJson,
    ReadParquet,
    ReadRdata,
    ReadVector,
    Unzip,
)
from rimrep_assets.domain.table_steps import (
    IN_ORDER,
    WITHOUT_ORDER,
    Cast,
    ColumnMetadata,
    Concat,
    FromName,
    JoinGeometry,
    Pivot,
    Values,
    order_of,
    table_step_problems,
)
from rimrep_assets.domain.worker_resources import Resources

TAKEN = frozenset({"assets", "catalog", "collection", "collections", "commits", "items", "pygeoapi", "stac", "staging"})
"""names of the platform's own folders and documents, beside which a dataset's would be mistaken"""
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""the same language, ten times faster where libyaml is there: a catalog has a thousand of these files"""


class Coordinates(StrictModel):
    """Which column or variable plays which part; only those that exist."""

    x: str | None = None
    y: str | None = None
    z: str | None = None
    t: str | None = None
    geometry: str | None = None

    def named(self) -> dict[str, str]:
        """The parts that are played, e.g. ``{"x": "lon", "y": "lat"}``."""
        return {part: name for part, name in self.model_dump().items() if name is not None}


class Convert(StrictModel):
    """The declared steps, in the order in which they are applied, by name."""

    unzip: Unzip | None = None
    read_csv: ReadCsv | None = None
    read_vector: ReadVector | None = None
    read_json: ReadJson | None = None
    read_parquet: ReadParquet | None = None
    read_rdata: ReadRdata | None = None
    read_dwca: ReadDwca | None = None
    read_profiles: ReadProfiles | None = None
    read_netcdf: ReadNetcdf | None = None
    read_geotiff: ReadGeotiff | None = None
    read_zarr: ReadZarr | None = None
    mosaic: Mosaic | None = None
    rename: dict[str, str] = {}
    drop_columns: tuple[str, ...] = ()
    clip: Clip | None = None
    orient: Orient | None = None
    set_time: SetTime | None = None
    fix_time: FixTime | None = None
    unite: Unite = Unite()
    unpack: Unpack | None = None
    repack: Repack | None = None
    attributes: AttributesStep | None = None
    where: dict[str, Values] = {}
    add_columns: dict[str, bool | int | float | str | FromName] = {}
    pivot: Pivot | None = None
    join_geometry: JoinGeometry | None = None
    cast: Cast = Cast()
    column_metadata: ColumnMetadata | None = None
    concat: Concat = Concat()
    order: tuple[str, ...] = ()
    """names of the steps that change a table, as they stand; the other steps have a fixed place"""

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, steps: Any) -> Any:
        return {**steps, "order": order_of(steps)} if isinstance(steps, dict) and "order" not in steps else steps

    def reader(self) -> str:
        """The name of the step that reads a grid's files."""
        return next(name for name in GRID_READERS if getattr(self, name) is not None)

    def steps_of_grids(self) -> list[str]:
        """Names of the steps declared here that only grids have."""
        tables = ("unzip", *TABLE_READERS, *IN_ORDER, *WITHOUT_ORDER, "order")
        return [n for n in Convert.model_fields if n not in tables and getattr(self, n) not in (None, Unite())]

    def steps_of_tables(self) -> list[str]:
        """Names of the steps declared here that only tables have."""
        readers = self.table_readers() + (["unzip"] if self.unzip else [])
        alone = [step for step in self.order if step not in ("rename", "clip")]
        plain = {"cast": Cast(), "column_metadata": None, "concat": Concat()}
        return readers + alone + [step for step, default in plain.items() if getattr(self, step) != default]

    def table_readers(self) -> list[str]:
        """Names of the steps declared here that read a table's files; a table has exactly one."""
        return [name for name in TABLE_READERS if getattr(self, name) is not None]


class Update(StrictModel):
    """When new data is due: ``schedule`` is a cron line in ``timezone``; ``expected`` how often data comes.

    ``overlap``: what happens when data is due while a run of the dataset is under way: the new one waits, or replaces.
    """

    schedule: str | None = None
    timezone: str = "Australia/Sydney"
    expected: Literal["hourly", "daily", "weekly", "monthly", "yearly", "never"] | None = None
    overlap: Literal["skip", "replace"] = "skip"

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return checked_zone(value)

    @field_validator("schedule")
    @classmethod
    def _is_cron_line(cls, value: str | None) -> str | None:
        return value if value is None else checked_schedule(value)


class Dataset(StrictModel):
    """``dataset.yaml``, complete and valid."""

    id: str
    collection: str
    format: Literal["parquet", "zarr"]
    access: Literal["public", "limited"]
    data_sharing_agreement: str | None = None
    coordinates: Coordinates = Coordinates()
    source: Source
    convert: Convert
    layout: Layout = Layout()
    partition: Partition | None = None
    resources: Resources | None = None
    """with them the data step gets a worker of its own"""
    update: Update = Update()

    @field_validator("id", "collection")
    @classmethod
    def _is_id(cls, value: str) -> str:
        if not ID.fullmatch(value):
            raise ValueError(f"{value!r} is not an id like 'noaa-crw-dhw'")
        if value in TAKEN:
            raise ValueError(f"{value!r} names a folder of the platform itself; choose another id")
        return value

    @model_validator(mode="after")
    def _parts_agree(self) -> Dataset:
        problems = []
        if self.access == "limited" and not self.data_sharing_agreement:
            problems.append("limited data needs data_sharing_agreement: the reference of the agreement")
        if self.partition and not self.coordinates.t:
            problems.append("partition needs coordinates.t")
        if self.format == "parquet":
            if len(self.convert.table_readers()) != 1:
                problems.append(f"convert of a table needs one of {', '.join(TABLE_READERS)}")
            if self.convert.unzip and self.convert.read_dwca:
                problems.append("unzip: read_dwca opens the archive itself")
            if grid_steps := self.convert.steps_of_grids():
                problems.append(f"{', '.join(grid_steps)}: a step of grids (format: zarr)")
            if grids_alone := self.layout.for_grids_alone():
                problems.append(f"layout.{' and layout.'.join(grids_alone)} belong to grids (format: zarr)")
            if bool(self.coordinates.x) != bool(self.coordinates.y):
                problems.append("coordinates x and y come together")
            problems += table_step_problems(self.convert, self.coordinates)
        else:
            if table_steps := self.convert.steps_of_tables():
                problems.append(f"{', '.join(table_steps)}: a step of tables (format: parquet)")
            if self.convert.clip and self.convert.clip.cut:
                problems.append("clip.cut belongs to tables (format: parquet)")
            if self.coordinates.geometry:
                problems.append("coordinates.geometry belongs to tables; a grid has x and y")
            if not (self.coordinates.x and self.coordinates.y):
                problems.append("a grid needs coordinates x and y")
            problems += step_problems(self.convert, self.coordinates)
            if self.layout.virtual and self.resources and self.resources.dask:
                problems.append("resources.dask: layout.virtual copies nothing that could be shared out")
            if self.layout.virtual and self.source.kind == "earthdata":
                problems.append("layout.virtual: whoever reads references would have to log in to Earthdata")
            if self.layout.virtual and not self.coordinates.t:
                problems.append("layout.virtual needs coordinates.t: a grid without time is copied")
            if self.layout.cadence and not self.coordinates.t:
                problems.append("layout.cadence needs coordinates.t")
            if tables_alone := self.layout.for_tables_alone():
                verb = "belong" if len(tables_alone) > 1 else "belongs"
                problems.append(f"layout.{' and layout.'.join(tables_alone)} {verb} to tables (format: parquet)")
        if self.format == "parquet" and self.resources and self.resources.dask:
            problems.append("resources.dask belongs to grids (format: zarr)")
        problems += self._problems_of_ranges()
        problems += access_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_of_ranges(self) -> list[str]:
        """Where ``source.ranges`` is declared for what needs whole files."""
        if not self.source.ranges:
            return []
        problems = []
        if self.format != "zarr" or self.convert.read_netcdf is None:
            problems.append("source.ranges: parts of files are read of grids (format: zarr) with read_netcdf alone")
        if self.layout.virtual:
            problems.append(
                "source.ranges: layout.virtual digests whole files, and copies nothing that could be clipped"
            )
        if self.resources and self.resources.dask:
            problems.append("source.ranges: resources.dask hands whole files to its workers")
        return problems


STEPS = tuple(name for name in Convert.model_fields if name != "order")
SENSITIVE = "sensitive data is not supported by this platform: it must not be published"


def dataset_from_yaml(text: str, *, folder: str) -> Dataset:
    """Parse ``dataset.yaml`` of ``folder``.

    Raises: DefinitionError that lists every unknown key (with the nearest known one), every missing and every
    wrong value, every rule that is still a guess, and a folder name that is not the id.
    """
    try:
        raw = yaml.load(text, Loader=YAML)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise DefinitionError(f"dataset.yaml is not YAML: {error}", dataset=folder) from error
    if not isinstance(raw, dict):
        raise DefinitionError("dataset.yaml is not a mapping of keys", dataset=folder)
    problems: list[str] = []
    if str(raw.get("access", "")).replace("_", "-") in {"sensitive", "highly-sensitive"}:
        raise DefinitionError(SENSITIVE, dataset=folder)
    raw = {**raw, "convert": _steps_by_name(raw.get("convert"), problems)}
    problems += still_guesses({"convert": _rules(raw["convert"])})
    raw["convert"] |= without_marks(_rules(raw["convert"]))
    dataset = None
    try:
        dataset = Dataset.model_validate(raw)
    except ValidationError as error:
        problems += problems_of(error, Dataset)
    if raw.get("id") not in (None, folder):
        problems.append(f"id {raw['id']!r} is not the name of its folder, {folder!r}")
    if problems or dataset is None:
        raise DefinitionError(sorted(set(problems), key=problems.index), dataset=folder)
    return dataset


def _rules(convert: Mapping[str, Any]) -> dict[str, Any]:
    return {name: convert[name] for name in RULES_OF_FILES if name in convert}


def _steps_by_name(steps: Any, problems: list[str]) -> dict[str, Any]:
    """``[{read_csv: {...}}, {rename: {...}}]`` as a mapping; says what is not a step or stands twice."""
    if steps is None:
        problems.append("convert is missing")
        return {}
    if not isinstance(steps, list):
        problems.append("convert is a list of steps, each '- name: {options}'")
        return {}
    found: dict[str, Any] = {}
    for number, step in enumerate(steps, start=1):
        name, options = next(iter(step.items())) if isinstance(step, dict) and len(step) == 1 else (step, None)
        if not isinstance(name, str):
            problems.append(f"convert step {number} is not '- name: {{options}}'")
        elif name not in STEPS:
            problems.append(f"convert step {number}: unknown step {name!r}{nearest(name, STEPS)}")
        elif name in found:
            problems.append(f"convert step {number}: {name} stands twice")
        elif name == "join_geometry" and isinstance(options, dict) and "content" in options:
            problems.append("unknown key 'content' in convert.join_geometry")
        else:
            found[name] = {} if options is None else options
    return found
