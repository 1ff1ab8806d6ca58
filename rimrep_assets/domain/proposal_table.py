"""The proposed form of a table: its coordinates, steps and order, and the schema that the gate will compute.

Here belongs what columns mean, told by their names and cells. Not here: how text is written (``proposal_csv``), names
of files (``proposal_names``), words for people (``proposal_words``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.proposal import Draft, Guess
from rimrep_assets.domain.proposal_csv import (
    EITHER_ORDER,
    ROWS_NEEDED,
    ColumnLook,
    CsvForm,
    declared_fields,
    first_rows,
    form_of,
    look_at_columns,
    missing_words,
)
from rimrep_assets.domain.table_csv import header_of
from rimrep_assets.domain.table_dwca_meta import is_identifier
from rimrep_assets.domain.table_facts import measure_table
from rimrep_assets.domain.table_fold import fold_table
from rimrep_assets.domain.table_layer_text import likely_encoding
from rimrep_assets.domain.table_readers import ReadVector
from rimrep_assets.domain.table_schema import schema_of
from rimrep_assets.domain.table_source import MADE_GEOMETRY, platform_columns
from rimrep_assets.domain.table_types import ColumnWatch
from rimrep_assets.domain.table_vector import Layer, is_json, layer_blocks, open_layer, unreadable
from rimrep_assets.domain.tabular import stage_table

DARWIN_CORE = frozenset({"basisOfRecord", "scientificName", "occurrenceID", "eventID", "taxonID"})
"""terms that nobody else calls a column by"""
LOOKED_AT = 10
"""so many files are looked at for how cells are written"""
_X = re.compile(
    r"(decimal[ _]?)?(x_?)?(lon|long|lng|longitude)([ _.(\[-].*|bin|dd|deg|degrees|e|wgs84)?", re.IGNORECASE
)
_Y = re.compile(r"(decimal[ _]?)?(y_?)?(lat|latitude)([ _.(\[-].*|bin|dd|deg|degrees|s|wgs84)?", re.IGNORECASE)
_Z = re.compile(r"(depth|altitude|elevation|height)([ _.(\[-]?m(etres|eters)?[)\]]?)?", re.IGNORECASE)
_T_FIRST = re.compile(r"time|date[ _/]?time|timestamp|datetime_?utc|time_?utc|date", re.IGNORECASE)
_T_LATE = re.compile(r"release|start|end|from|thru|until|created|modified|updated|deploy|retriev", re.IGNORECASE)
_SITE = re.compile(r"(site|station|reef|location|mooring|transect|logger)([ _-]?(name|code|id))?", re.IGNORECASE)


def propose_csv(files: Mapping[str, Path], draft: Draft, timezone: str | None) -> list[dict[str, Any]]:
    """Fill ``draft`` for the delimited text ``files`` (name to path); return the fields that must be declared.

    Raises: DataError for what is no table, and for files with other columns than the first.
    """
    name, path = next(iter(files.items()))
    form = form_of(path, name)
    looked = dict(list(files.items())[:LOOKED_AT])
    blocks = [first_rows(path, name, form.reading, _own_header(path, name, form)) for name, path in looked.items()]
    if all(block is None for block in blocks):
        raise DataError([f"{name}: no rows below the header" for name in looked], advice=ROWS_NEEDED)
    looks = look_at_columns([block for block in blocks if block is not None], form.header, form.decimal)
    names, dropped = _steps(draft, form.header, blocks[0])
    kept = [look for look in looks if look.name not in dropped]
    _put_coordinates(draft, kept, names)
    _put_reading(draft, form, kept, timezone)
    _put_order(draft, kept, names)
    # The draft's steps stand in the order in which they are applied.
    steps = draft.keys["convert"]
    draft.keys["convert"] = {step: steps[step] for step in ("read_csv", "rename", "drop_columns") if step in steps}
    return declared_fields(kept, names) + _identifiers(kept, names)


def _identifiers(looks: Sequence[ColumnLook], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Fields for columns of whole numbers that Darwin Core knows as identifiers, where its terms name the columns."""
    if not DARWIN_CORE & {look.name for look in looks}:
        return []
    found = [look.name for look in looks if look.type == "integer" and is_identifier(look.name)]
    return [{"name": names[name], "type": "string"} for name in found]


def propose_vector(name: str, path: Path, draft: Draft, timezone: str | None) -> None:
    """Fill ``draft`` for a vector file. Raises: DataError when no layer of it can be published."""
    import pyogrio
    import pyogrio.errors

    try:
        found = pyogrio.list_layers(path)
    except (pyogrio.errors.DataSourceError, OSError) as error:
        by_hand = "`rimrep init` proposes no JSON but GeoJSON; write dataset.yaml by hand, with read_json."
        advice = by_hand if is_json(path) else DataError.advice_by_default
        raise DataError(f"{name}: {unreadable(path, error)}", advice=advice) from error
    layers = [str(layer) for layer, kind in found if kind]
    if not layers:
        raise DataError(f"{name}: holds no layer with a geometry; without one a table is read from CSV")
    options: dict[str, Any] = {"layer": layers[0]} if len(found) > 1 else {}
    reasons = []
    if len(found) > 1:
        others = ", ".join(str(layer) for layer, _ in found if str(layer) != layers[0])
        reasons.append(f"the first of its layers that has a geometry; the others are {others}")
    if encoding := likely_encoding(path):
        options["encoding"] = encoding
        reasons.append(f"no .cpg tells the encoding of its texts; they can be read as {encoding}")
    layer = open_layer(path, name, ReadVector(layer=layers[0], encoding=encoding))
    if naive := _without_zone(layer):
        options["timezone"] = timezone or "UTC"
        reasons += [] if timezone else [f"the times of {', '.join(naive[:3])} carry no zone; UTC is assumed"]
    draft.put("convert.read_vector", options, "; ".join(reasons))
    geometry = next(word for word in ("geometry", "geom", "shape_wkb") if word not in layer.names)
    rename_clashes(draft, layer.names, made=(geometry, "bbox"))
    draft.put("coordinates.geometry", geometry)
    times = [column for column in layer.names if column in layer.times]
    if times:
        draft.put("coordinates.t", _first_time(times), "the layer knows it as date with time")


def _without_zone(layer: Layer) -> list[str]:
    """The attributes whose first times carry no zone."""
    block = next(layer_blocks(layer))
    found = []
    for column in sorted(layer.times):
        watch = ColumnWatch(None, None)
        watch.see(block.column(column), 0)
        if watch.type.type == "string":
            found.append(column)
    return found


def propose_table_schema(
    files: Mapping[str, Path], draft: Draft, declared: Sequence[Mapping[str, Any]], scratch: Path
) -> dict[str, Any]:
    """The Table Schema of ``files`` as the gate computes it, without what changes with the data.

    Memory and time: those of converting ``files``. Raises: DataError as a publication of them would.
    """
    dataset = draft.dataset()
    schema = {"fields": [dict(field) for field in declared]} if declared else None
    parts: dict[str, Path] = {}
    problems: list[str] = []
    scratch.mkdir(parents=True, exist_ok=True)
    for number, (name, path) in enumerate(files.items()):
        parts[name] = scratch / f"part-{number}.parquet"
        try:
            stage_table(path, name, dataset, schema, parts[name])
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    fold_table(base=None, without=(), staged=parts, out=scratch / "fold", dataset=dataset)
    data = scratch / "fold" / "data.parquet"
    promised = _promised(schema_of(data, measure_table(data, dataset), dataset, schema), declared, dataset)
    if "read_csv" in draft.keys["convert"]:
        _tell_whole_numbers(draft, promised)
    return promised


def _tell_whole_numbers(draft: Draft, promised: Mapping[str, Any]) -> None:
    """Tell the columns of text that are promised to be integers because nothing else was seen in them."""
    whole = [str(field["name"]) for field in promised["fields"] if field["type"] == "integer"]
    if whole:
        draft.why["convert"] = "only whole numbers were seen; where 2.5 may come, write number in tableschema.json"
        draft.shown["convert"] = f"integer: {', '.join(whole)}"


def _promised(schema: Mapping[str, Any], declared: Sequence[Mapping[str, Any]], dataset: Dataset) -> dict[str, Any]:
    """The fields that a catalog promises: no extremes, which may be confidential too, and nothing that is made."""
    forms = {field["name"]: {k: v for k, v in field.items() if k == "format"} for field in declared}
    fields = []
    for field in schema["fields"]:
        if field["name"] in platform_columns(dataset):
            continue
        kept = {k: v for k, v in field.items() if k not in ("min", "max")}
        # Of a column that is empty by now nothing is known.
        kept["type"] = "string" if kept["type"] == "null" else kept["type"]
        # The next place need not lie on a whole degree or metre.
        kept["type"] = "number" if kept["type"] == "integer" and _is_place(field, dataset) else kept["type"]
        fields.append({**kept, **forms.get(field["name"], {})})
    return {"fields": fields, "missingValues": [""]}


def _is_place(field: Mapping[str, Any], dataset: Dataset) -> bool:
    """Whether a column is a coordinate in space, or called like one."""
    there = dataset.coordinates
    return field["name"] in (there.x, there.y, there.z) or any(f.fullmatch(field["name"]) for f in (_X, _Y, _Z))


def orders_guessed(schema: Mapping[str, Any], file: str) -> list[Guess]:
    """The columns of a proposed Table Schema whose dates fit both orders of day and month."""
    return [
        Guess(
            file,
            f"{field['name']}.description",
            field["format"],
            "every date fits month before day too; if that is right, change format and description",
        )
        for field in schema.get("fields", ())
        if field.get("description") == EITHER_ORDER
    ]


def _own_header(path: Path, name: str, form: CsvForm) -> Sequence[str]:
    header = header_of(path, name, form.reading)
    if set(header) != set(form.header):
        other = sorted(set(header) ^ set(form.header))
        raise DataError(
            f"{name}: its columns are not those of the first file; in one of them alone are: {', '.join(other)}",
            advice="name one file, or a folder whose files have the same columns.",
        )
    return header


def _steps(draft: Draft, header: Sequence[str], block: Any) -> tuple[dict[str, str], set[str]]:
    """Put ``rename`` and ``drop_columns`` where names stand in the way; raw name -> final name, and dropped ones."""
    dropped: set[str] = set()
    if "" in header and block is not None and _counts_rows(block.column("")):
        dropped.add("")
        draft.put("convert.drop_columns", [""], "a column without a name that counts the rows")
    kept = [name for name in header if name not in dropped]
    # A geometry written as text keeps its name: it becomes the table's geometry.
    text = MADE_GEOMETRY in kept and block is not None and _is_wkt(block.column(MADE_GEOMETRY))
    made = ("bbox",) if text else (MADE_GEOMETRY, "bbox")
    names = rename_clashes(draft, kept, made)
    if text:
        draft.put("coordinates.geometry", MADE_GEOMETRY, "its cells are geometries written as text (WKT)")
    return names, dropped


def rename_clashes(draft: Draft, names: Sequence[str], made: Sequence[str]) -> dict[str, str]:
    """Raw name -> final name: none empty, none made by the platform, none alike but for case."""
    taken, final = {name.lower() for name in made}, {}
    for number, name in enumerate(names, start=1):
        wanted = name or f"column_{number}"
        while wanted.lower() in taken:
            wanted += "_"
        taken.add(wanted.lower())
        final[name] = wanted
    renamed = {name: new for name, new in final.items() if name != new}
    if renamed:
        draft.put("convert.rename", renamed, "these names are empty, alike but for case, or given by the platform")
    return final


def _counts_rows(cells: Any) -> bool:
    texts = cells.to_pylist()
    return texts in ([str(n) for n in range(len(texts))], [str(n) for n in range(1, len(texts) + 1)])


def _is_wkt(cells: Any) -> bool:
    import shapely

    texts = [text for text in cells.to_pylist() if text is not None][:100]
    return bool(texts) and not shapely.is_missing(shapely.from_wkt(texts, on_invalid="ignore")).any()


def _put_coordinates(draft: Draft, looks: Sequence[ColumnLook], names: Mapping[str, str]) -> None:
    numbers = [look for look in looks if look.type in ("integer", "number")]
    if "geometry" not in draft.keys.get("coordinates", {}):
        x = next((c for c in numbers if _X.fullmatch(c.name) and _within(c, -180, 360)), None)
        y = next((c for c in numbers if _Y.fullmatch(c.name) and _within(c, -90, 90)), None)
        if x and y:
            draft.put("coordinates.x", names[x.name], f"its name, and its numbers lie in {x.low:g} to {x.high:g}")
            draft.put("coordinates.y", names[y.name], f"its name, and its numbers lie in {y.low:g} to {y.high:g}")
    z = next((c for c in numbers if _Z.fullmatch(c.name)), None)
    if z:
        draft.put("coordinates.z", names[z.name], "its name")
    times = [look.name for look in looks if look.type in ("date", "datetime")]
    if times:
        t = _first_time(times)
        others = ", ".join(name for name in times if name != t)
        draft.put("coordinates.t", names[t], "it holds times" + (f"; so do {others}" if others else ""))


def _first_time(names: Sequence[str]) -> str:
    def rank(name: str) -> tuple[bool, bool]:
        return (bool(_T_LATE.search(name)), not _T_FIRST.fullmatch(name))

    return min(names, key=rank)


def _within(look: ColumnLook, low: float, high: float) -> bool:
    return look.low is not None and look.high is not None and low <= look.low and look.high <= high


def _put_reading(draft: Draft, form: CsvForm, looks: Sequence[ColumnLook], timezone: str | None) -> None:
    options: dict[str, Any] = dict(form.options)
    reasons = [f"{look.name}: {look.sentinel} may mean missing; then add it to na" for look in looks if look.sentinel]
    reasons += [f"{option}: {why}" for option, why in form.why.items()]
    words = missing_words(looks)
    if words:
        options["na"] = list(words)
        reasons += [f"{word!r} stands among the numbers of {', '.join(columns[:3])}" for word, columns in words.items()]
    naive = [look.name for look in looks if look.needs_zone]
    if timezone:
        options["timezone"] = timezone
    elif naive:
        options["timezone"] = "UTC"
        reasons.append(f"the times of {', '.join(naive[:3])} carry no zone; UTC is assumed")
    odd = [f"{look.name} ({look.form})" for look in looks if look.form]
    if odd:
        reasons.append(f"times that are not ISO 8601 are declared in tableschema.json: {', '.join(odd[:3])}")
    draft.put("convert.read_csv", options, "; ".join(reasons))


def _put_order(draft: Draft, looks: Sequence[ColumnLook], names: Mapping[str, str]) -> None:
    site = next((look.name for look in looks if look.type == "string" and _SITE.fullmatch(look.name)), None)
    order = [*([names[site]] if site else []), *([t] if (t := draft.keys.get("coordinates", {}).get("t")) else [])]
    if order:
        draft.put("layout.sort_by", order, "people ask for one place, then for a time")
