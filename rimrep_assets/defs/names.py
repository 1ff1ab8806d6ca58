"""How a dataset's id becomes names in Dagster: keys and pools take hyphens, ops and groups do not.

Here belong keys, groups, kinds, owners and tags of a dataset. Not here: the assets, or what a materialization shows
(``presenting``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from rimrep_assets.domain.dataset import Dataset

KINDS = {
    "facts": {"json"},
    "datapackage": {"json", "frictionless"},
    "release": {"json"},
    "stac_item": {"json", "stac"},
    "pygeoapi_entry": {"yaml", "pygeoapi"},
}
MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
LONGEST_SUMMARY = 300


@dataclass(frozen=True)
class About:
    """What the graph shows of a dataset's description: title, first sentence, whom to ask."""

    title: str = ""
    summary: str = ""
    mails: tuple[str, ...] = ()

    @classmethod
    def from_curated(cls, text: str | None) -> About:
        """From the text of ``datapackage.json``; a broken one is told by the gate and by `rimrep check`, not here."""
        try:
            curated: Any = json.loads(text or "{}")
        except json.JSONDecodeError:
            return cls()
        if not isinstance(curated, dict):
            return cls()
        people = curated.get("contributors")
        mails = [p.get("email") for p in people if isinstance(p, dict)] if isinstance(people, list) else []
        first = re.split(r"(?<=[.!?])\s", str(curated.get("description") or ""), maxsplit=1)[0]
        return cls(
            title=str(curated.get("title") or ""),
            summary=first[:LONGEST_SUMMARY],
            mails=tuple(dict.fromkeys(m for m in mails if isinstance(m, str) and MAIL.fullmatch(m))),
        )


def word(dataset_id: str) -> str:
    """The id as an op or group name: ``aims-temp-loggers`` is ``aims_temp_loggers``."""
    return dataset_id.replace("-", "_")


def key(dataset_id: str, asset: str) -> dg.AssetKey:
    return dg.AssetKey([dataset_id, asset])


def collection_key(collection: str) -> dg.AssetKey:
    return dg.AssetKey(["collections", collection])


def spec(
    dataset: Dataset,
    asset: str,
    description: str,
    deps: tuple[str, ...] = (),
    skippable: bool = False,
    about: About | None = None,
) -> dg.AssetSpec:
    """One asset of ``dataset`` that depends on assets of the same dataset."""
    about = about or About()
    known: dict[str, set[str]] = {
        "data": {dataset.format},
        "source": {dataset.source.kind, *_file_kinds(dataset)},
        **KINDS,
    }
    told = [f"**{about.title}**" if about.title else "", about.summary, f"*{description}*"]
    tags = {
        "rimrep/collection": dataset.collection,
        "rimrep/access": dataset.access,
        "rimrep/format": dataset.format,
    }
    if dataset.update.expected:
        tags["rimrep/expected"] = dataset.update.expected
    return dg.AssetSpec(
        key(dataset.id, asset),
        deps=[key(dataset.id, dep) for dep in deps],
        group_name=word(dataset.id),
        description="\n\n".join(filter(None, told)),
        kinds=known.get(asset, {"json"}),
        owners=[*about.mails, f"team:{word(dataset.collection)}"],
        tags=tags,
        skippable=skippable,
    )


def _file_kinds(dataset: Dataset) -> set[str]:
    convert = dataset.convert
    named = {
        "csv": convert.read_csv,
        "vector": convert.read_vector,
        "json": convert.read_json,
        "parquet": convert.read_parquet,
        "r": convert.read_rdata,
        "dwca": convert.read_dwca,
        "netcdf": convert.read_netcdf or convert.read_profiles,
        "geotiff": convert.read_geotiff,
        "zarr": convert.read_zarr,
    }
    return {kind for kind, step in named.items() if step is not None}


def broken_dataset(dataset_id: str, problems: Sequence[str]) -> dg.AssetSpec:
    """What stands in the graph for a dataset whose description is broken: nothing to run, but every problem."""
    found = "\n".join(f"- {problem}" for problem in problems)
    return dg.AssetSpec(
        key(dataset_id, "description"),
        group_name=word(dataset_id) if re.fullmatch(r"[a-z0-9-]+", dataset_id) else "broken",
        description=f"**{dataset_id} is not described well enough to run.**\n\n{found}\n\nMend it in the catalog; "
        f"`rimrep check {dataset_id}` says the same. What is published of it stays as it is.",
        kinds={"yaml", "broken"},
        tags={"rimrep/broken": "true"},
    )
