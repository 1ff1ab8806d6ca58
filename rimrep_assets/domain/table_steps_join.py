"""The step ``join_geometry``: geometries from a GeoJSON file beside the description, by equal values.

Here belongs reading that file, and matching rows with its features. Not here: the options (``table_steps``), or how
the file is found at a commit (``ports/catalog``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError, DefinitionError
from rimrep_assets.domain.source_table import SourceTable, counting
from rimrep_assets.domain.table_geometry import crs84
from rimrep_assets.domain.table_names import absent
from rimrep_assets.domain.table_types import MOST_MISFITS

if TYPE_CHECKING:
    import pyarrow as pa

UNMATCHED = "geometries, by join_geometry"
"""under which rows that no feature is for are counted"""


def joined(table: SourceTable, name: str, dataset: Dataset, problems: list[str]) -> SourceTable:
    """``table`` with the geometry of the feature that each row's values name, as its last column."""
    import pyarrow as pa

    step, own = dataset.convert.join_geometry, dataset.coordinates.geometry
    assert step is not None and own is not None
    missing = [absent("join_geometry.on", column, table.names) for column in step.on if column not in table.names]
    if table.geometry is not None or own in table.names:
        missing.append(f"join_geometry: the data has a geometry, or a column {own!r}, already")
    problems += missing
    if missing:
        return table
    features = features_of(step.file, step.content, tuple(step.on.values()))
    counted = {UNMATCHED: 0}

    def blocks(kinds: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        counted[UNMATCHED] = row = 0
        for block in table.blocks({c: kind for c, kind in kinds.items() if c in table.names and c not in step.on}):
            keys = zip(*(_texts(block.column(column)) for column in step.on), strict=True)
            found = [features.get(key) for key in keys]
            lost = [at for at, feature in enumerate(found) if feature is None]
            counted[UNMATCHED] += len(lost)
            if lost and step.unmatched == "refuse":
                raise DataError(_told_unmatched(block, row, lost, tuple(step.on), table.file, step.file))
            shapes = pa.array([None if feature is None else feature[0] for feature in found], pa.binary())
            yield pa.record_batch([*block.columns, shapes], names=[*block.schema.names, own])
            row += len(block)

    return replace(
        table,
        names=(*table.names, own),
        blocks=blocks,
        left_out=counting(table, counted),
        geometry=own,
        crs=crs84(),
        keep=None,
    )


def _texts(cells: pa.Array) -> list[str | None]:
    import pyarrow as pa

    if pa.types.is_string(cells.type):
        return list(cells.to_pylist())
    return [key_text(value) for value in cells.to_pylist()]


def key_text(value: Any) -> str | None:
    """A value as the text by which rows and features are compared: 12 is 12.0, true is true."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _told_unmatched(
    block: pa.RecordBatch, row: int, lost: Sequence[int], on: Sequence[str], file: str, geometries: str
) -> list[str]:
    told = []
    for at in lost[:MOST_MISFITS]:
        values = ", ".join(f"{column} {block.column(column)[at].as_py()!r}" for column in on)
        told.append(f"{file}: row {row + at}: {geometries} has no feature for {values}")
    if len(lost) > MOST_MISFITS:
        told.append(f"{file}: and {len(lost) - MOST_MISFITS} more rows nearby without a feature")
    return told


@lru_cache(maxsize=4)
def features_of(
    file: str, content: str | None, properties: tuple[str, ...]
) -> dict[tuple[str | None, ...], tuple[bytes | None]]:
    """WKB by the texts of ``properties``, of a GeoJSON file's features; a feature may have no geometry.

    Raises: DefinitionError for what is no GeoJSON in longitude and latitude, and for features that cannot be told
    apart. Source: RFC 7946.
    """
    import shapely
    import shapely.geometry

    if content is None:
        raise DefinitionError(f"join_geometry: {file} was not handed over with the description")
    problems: list[str] = []
    found: dict[tuple[str | None, ...], tuple[bytes | None]] = {}
    for number, feature in enumerate(_features(file, content)):
        about = feature.get("properties") or {} if isinstance(feature, dict) else {}
        key = tuple(key_text(about.get(name)) for name in properties)
        if None in key:
            absent_ones = ", ".join(repr(name) for name in properties if about.get(name) is None)
            problems.append(f"{file}: feature {number} has no {absent_ones}")
            continue
        if key in found:
            problems.append(f"{file}: feature {number} has the same {', '.join(map(repr, key))} as one before")
        try:
            shape = feature.get("geometry")
            found[key] = (None if shape is None else shapely.to_wkb(shapely.geometry.shape(shape), flavor="iso"),)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
            problems.append(f"{file}: feature {number} has no geometry that can be read: {error}")
    if problems:
        raise DefinitionError(problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else []))
    return found


def with_geometries(dataset: Dataset, content: str) -> Dataset:
    """``dataset`` with what the file of ``join_geometry`` holds, which then is part of how the data is made."""
    assert dataset.convert.join_geometry is not None
    step = dataset.convert.join_geometry.model_copy(update={"content": content})
    return dataset.model_copy(update={"convert": dataset.convert.model_copy(update={"join_geometry": step})})


def geometry_problems(dataset: Dataset) -> tuple[str, ...]:
    """What is wrong with the file of geometries that was handed over."""
    step = dataset.convert.join_geometry
    try:
        if step is not None:
            features_of(step.file, step.content, tuple(step.on.values()))
    except DefinitionError as error:
        return error.problems
    return ()


def _features(file: str, content: str) -> list[Any]:
    try:
        document = json.loads(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DefinitionError(f"{file} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise DefinitionError(f"{file} is no GeoJSON FeatureCollection")
    said = document.get("crs")
    called = said.get("properties", {}).get("name", "") if isinstance(said, dict) else ""
    if said is not None and not str(called).endswith(("CRS84", "EPSG::4326", "EPSG:4326")):
        raise DefinitionError(f"{file} is in {called or said!r}; GeoJSON is in longitude and latitude (WGS 84)")
    return list(document["features"])
