"""The options of ``read_profiles``: what a curator may write about NetCDF files whose values are samples.

Here belong the option's words and which of them contradict each other. Not here: finding the rows of a file
(``table_profiles_layout``) or reading them (``table_profiles``).
"""

from __future__ import annotations

import codecs
from typing import Any, Literal

from pydantic import field_validator, model_validator

from rimrep_assets.domain.strict_model import StrictModel


class ReadProfiles(StrictModel):
    """NetCDF files of CF's discrete sampling geometries as rows: one sample a row.

    ``dimension``: the dimensions whose cells are the rows, one or several, the slowest first; needed only where a file
    has several sets of samples. What lies along other dimensions is left out.
    ``variables``: those that become columns (globs; all by default).
    ``attributes``: global attributes that become columns, ``{attribute: column}``.
    ``keep_empty``: keep the rows of an incomplete array that hold nothing but fill.
    ``outside_valid``: by variable what becomes of values outside its ``valid_min``, ``valid_max`` or ``valid_range``:
    ``null`` (the default of all but places and times, for which the file is refused) or ``keep``.
    ``encoding``: of text.
    """

    dimension: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    keep_empty: bool = False
    outside_valid: dict[str, Literal["null", "keep"]] = {}
    encoding: str = "utf-8"

    @field_validator("dimension", "variables", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError(f"{value!r} is no encoding that is known") from None
        return value

    @model_validator(mode="after")
    def _names_agree(self) -> ReadProfiles:
        columns = list(self.attributes.values())
        problems = [
            f"dimension: {d!r} stands twice" for d in sorted(set(self.dimension)) if self.dimension.count(d) > 1
        ]
        problems += [f"attributes: {c!r} names two columns" for c in sorted(set(columns)) if columns.count(c) > 1]
        if problems:
            raise ValueError("; ".join(problems))
        return self
