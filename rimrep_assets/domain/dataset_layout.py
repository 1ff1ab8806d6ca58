"""How a dataset's data lies in the store: ``layout`` in ``dataset.yaml``.

Here belongs what a curator may write under this key. Not here: the other keys (``dataset``), or doing what it says.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.strict_model import StrictModel

DURATION = re.compile(r"P(?:\d+D|T\d+H|T\d+M)")
GRIDS_ALONE = ("chunks", "cadence", "plain_format", "virtual")
"""keys that mean nothing to a table"""
TABLES_ALONE = ("sort_by", "object_bytes", "folder", "key", "duplicates")
"""keys that mean nothing to a grid"""


class Layout(StrictModel):
    """How the data lies in the store."""

    sort_by: tuple[str, ...] = ()
    object_bytes: int = Field(default=5_000_000_000, ge=1)
    """tables: so many bytes in one object, which ends with the row group that reaches them; more become parts"""
    folder: bool = False
    """tables: a folder of parts also where one object would do"""
    key: tuple[str, ...] = ()
    """tables: the columns that tell all rows apart"""
    duplicates: Literal["refuse", "drop_same", "last"] = "refuse"
    """tables: what becomes of rows with one ``key``: an error; those that are equal in all columns stand once; or the
    one of the last file (by name, and the last of it) stands"""
    row_group_rows: int = Field(default=250_000, ge=100)
    chunks: dict[str, int] = {}
    plain: bool = True
    """grids: also a plain Zarr copy at the stable address"""
    plain_format: Literal[2, 3] = 3
    """grids: the Zarr format of the plain copy; 2 for R and older tools"""
    virtual: bool = False
    """grids: publish references to the chunks of the source's files instead of copies of them"""
    cadence: str | None = None
    """grids: regular step of the time axis as ISO 8601 (P1D, PT1H, PT30M); times without a file are fill"""

    @field_validator("cadence")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None and not DURATION.fullmatch(value):
            raise ValueError(f"{value!r} is not a step like P1D, PT1H or PT30M")
        return value

    @field_validator("chunks")
    @classmethod
    def _positive(cls, value: dict[str, int]) -> dict[str, int]:
        for name, size in value.items():
            if size < 1:
                raise ValueError(f"{name}: a chunk holds at least 1 value, not {size}")
        return value

    @model_validator(mode="after")
    def _has_a_key(self) -> Layout:
        if self.duplicates != "refuse" and not self.key:
            raise ValueError(f"duplicates: {self.duplicates} needs key: the columns that tell rows apart")
        twice = sorted({column for column in self.key if self.key.count(column) > 1})
        if twice:
            raise ValueError(f"key names {', '.join(twice)} twice")
        return self

    @model_validator(mode="after")
    def _has_one_place(self) -> Layout:
        if self.virtual and self.plain:
            raise ValueError("virtual needs plain: false, because a plain copy would copy what virtual leaves in place")
        return self

    def for_grids_alone(self) -> list[str]:
        """The keys that were set and that mean nothing to a table."""
        return self._set_among(GRIDS_ALONE)

    def for_tables_alone(self) -> list[str]:
        """The keys that were set and that mean nothing to a grid."""
        return self._set_among(TABLES_ALONE)

    def _set_among(self, keys: tuple[str, ...]) -> list[str]:
        return [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
