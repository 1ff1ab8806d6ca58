"""The step `source`: the provider's files as an external asset.

Here belongs the asset that stands for them. Not here: its observations, which the `data` op logs (``data``).
"""

from __future__ import annotations

import dagster as dg

from rimrep_assets.defs.names import About, spec
from rimrep_assets.domain.dataset import Dataset


def source_spec(dataset: Dataset, *, about: About | None = None) -> dg.AssetSpec:
    """The provider's files of ``dataset``: nothing here makes them."""
    return spec(
        dataset,
        "source",
        f"Files of the provider at {dataset.source.address}: {', '.join(dataset.source.include)}",
        about=about,
    )
