"""What a dataset's data step may use: ``resources`` in ``dataset.yaml``.

Here belongs what a curator may write. Not here: starting a worker or holding it to its memory
(``ports/watched_process``, ``defs/worker_launch``), or dask's own keys (``dask_resources``).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.amounts import amount_in_words, bytes_of, checked_amount
from rimrep_assets.domain.dask_resources import Dask
from rimrep_assets.domain.strict_model import StrictModel

__all__ = ["Resources", "amount_in_words", "bytes_of"]


class Resources(StrictModel):
    """With ``memory`` the data step gets a worker of its own; with ``dask`` a grid's blocks are written by several."""

    memory: str | None = None
    """most that the worker's processes may hold at once, e.g. ``8Gi``; it is ended when it needs more"""
    cpu: int | None = Field(default=None, ge=1)
    """cores that the worker may use; None: all that its starter may"""
    dask: Dask | None = None

    @field_validator("memory", mode="before")
    @classmethod
    def _is_amount(cls, value: Any) -> Any:
        return None if value is None else checked_amount(value)

    @model_validator(mode="after")
    def _asks_for_something(self) -> Resources:
        if self.memory is None and self.dask is None:
            raise ValueError("resources.memory is missing (or resources.dask)")
        if self.memory is None and self.cpu is not None:
            raise ValueError("resources.memory is missing: cpu belongs to a worker, which memory asks for")
        return self

    @property
    def memory_bytes(self) -> int:
        """Raises: ValueError where no memory is declared."""
        if self.memory is None:
            raise ValueError("no memory is declared")
        return bytes_of(self.memory)
