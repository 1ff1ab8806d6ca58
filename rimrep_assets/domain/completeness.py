"""What a dataset still lacks: times that should be there, and what a finished dataset has.

Here belong findings in words that warn and never stop a release. Not here: what must be right (``datapackage``,
``stac_validation``), or telling somebody (``defs``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.extents import moment
from rimrep_assets.domain.facts import Facts
from rimrep_assets.domain.grid_partitions import partition_advice

_PERIODS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=31),
    "yearly": timedelta(days=366),
}
LATE_AFTER = 2
"""periods; sources are often a little late, and nobody should learn to overlook a warning"""
MOST_NAMED = 20
SHORTEST_DESCRIPTION = 100
"""characters; a description that says less than two sentences helps nobody to choose a dataset"""


def missing_times(facts: Facts, dataset: Dataset, now: datetime) -> list[str]:
    """Times without data, and whether the newest one is older than two periods of ``update.expected`` at ``now``."""
    findings = [f"no data for {time}" for time in facts.missing_times[:MOST_NAMED]]
    if len(facts.missing_times) > MOST_NAMED:
        findings.append(f"no data for {len(facts.missing_times) - MOST_NAMED} more times")
    period = _PERIODS.get(dataset.update.expected or "")
    newest = moment(facts.end) if facts.end else None
    if period and dataset.coordinates.t and newest is None:
        findings.append(f"data is expected {dataset.update.expected}, and it holds no time at all")
    elif period and newest is not None and _aware(now) - newest > LATE_AFTER * period:
        days = (_aware(now) - newest) / timedelta(days=1)
        findings.append(
            f"data is expected {dataset.update.expected}, and the newest is of {facts.end}, {days:.1f} days ago"
        )
    return findings


def undone(dataset: Dataset, package: Mapping[str, Any]) -> list[str]:
    """What the programme's definition of done asks for and the dataset has not; empty when it is finished."""
    contributors = package.get("contributors", [])
    roles = {role for c in contributors for role in [*c.get("roles", []), *([c["role"]] if "role" in c else [])]}
    licences = package.get("licenses", [])
    update = dataset.update
    asked = (
        (any(lic.get("name") for lic in licences), "no licence"),
        (any(lic.get("path") for lic in licences), "no address of the licence's text (licenses[].path)"),
        (package.get("citation"), "no citation"),
        (any(c.get("email") for c in contributors), "no contact: no contributor has an email"),
        (roles & {"licensor", "producer", "author"}, "no contributor is named as producer or licensor"),
        (
            len(package.get("description", "")) >= SHORTEST_DESCRIPTION,
            f"the description has fewer than {SHORTEST_DESCRIPTION} characters",
        ),
        (package.get("keywords"), "no keywords"),
        (package.get("themes"), "no themes from a vocabulary"),
        (package.get("sources"), "no link to the original data or metadata (sources)"),
        (update.expected, "update.expected is not set: nobody can tell when data is late"),
        (
            update.schedule or update.expected == "never",
            "update.schedule is not set: new data is published only by hand",
        ),
        (
            dataset.access == "public" or dataset.data_sharing_agreement,
            "limited data without a data sharing agreement",
        ),
    )
    return [finding for done, finding in asked if not done] + partition_advice(dataset)


def _aware(moment_: datetime) -> datetime:
    return moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)
