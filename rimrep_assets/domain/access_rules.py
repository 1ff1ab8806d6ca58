"""How data must reach the platform, by how often it changes.

Here belongs what can be told from ``dataset.yaml`` alone. Not here: how data is fetched (``ports/sources``), or the
size of what a provider keeps, which nobody knows before looking.
Source: the programme's guidelines on data access by update frequency: data that does not change may be uploaded by
hand; what changes more often than once a year needs a place that programs can read; daily grids come in daily files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimrep_assets.domain.proposal_marks import still_guesses

if TYPE_CHECKING:
    from rimrep_assets.domain.dataset import Dataset

BY_HAND = (None, "yearly", "never")
"""what ``update.expected`` may say of data that somebody uploads"""
DAILY = ("hourly", "daily")


def access_problems(dataset: Dataset) -> list[str]:
    """Everything in which the way data comes does not fit how often it comes, in words; empty when it fits."""
    source, expected, problems = dataset.source, dataset.update.expected, []
    if source.upload and source.kind != "local":
        problems.append(
            f"source.upload belongs to kind: local, a folder into which people put files; not {source.kind}"
        )
    if source.upload and expected not in BY_HAND:
        problems.append(
            f"data that is expected {expected} cannot be uploaded by hand (source.upload): it needs a place that "
            "programs can read, such as kind: http; uploads fit update.expected: yearly or never"
        )
    partition = dataset.partition
    if dataset.format == "zarr" and expected in DAILY and partition and not _tells_the_day(partition.file_time):
        problems.append(
            f"a grid that is expected {expected} needs files of a day or less, or every update reads old days again; "
            f"partition.file_time {partition.file_time!r} tells no day (%d or %j)"
        )
    problems += still_guesses({"data_sharing_agreement": dataset.data_sharing_agreement})
    return problems


def _tells_the_day(file_time: str) -> bool:
    codes = file_time.replace("%%", "")
    return "%d" in codes or "%j" in codes
