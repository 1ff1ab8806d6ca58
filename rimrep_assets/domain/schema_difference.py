"""How the schema that the data has differs from the one that the catalog promises.

Here belongs one difference, graded, as a value. Not here: finding differences (``table_schema``, ``grid_schema``), or
what the gate does about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Difference:
    """``additive``: old readers go on; ``breaking``: they fail; ``meaning``: they go on and are misled.

    ``column`` is the column, variable or dimension; '' where the whole schema is meant.
    """

    grade: Literal["additive", "breaking", "meaning"]
    column: str
    message: str
