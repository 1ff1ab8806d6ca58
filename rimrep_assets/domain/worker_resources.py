"""What a dataset's worker may use: ``resources`` in ``dataset.yaml``.

Here belongs how amounts are written and read. Not here: starting a worker or holding it to them
(``ports/watched_process``, ``defs/worker_launch``).
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from rimrep_assets.domain.strict_model import StrictModel

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
"""as Kubernetes writes them: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/"""
AMOUNT = re.compile(rf"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>{'|'.join(UNITS)})")
LEAST_BYTES = 2**20


def bytes_of(amount: str) -> int:
    """``"8Gi"``, ``"500Mi"`` or ``"1.5G"`` in bytes. Raises: ValueError for what is not written like that."""
    found = AMOUNT.fullmatch(amount)
    if found is None:
        raise ValueError(f"{amount!r} is not an amount like 8Gi, 500Mi or 2G; its units are {', '.join(UNITS)}")
    return int(float(found["number"]) * UNITS[found["unit"]])


def amount_in_words(count: int) -> str:
    """A number of bytes as people write it: ``8Gi``, ``345Mi``."""
    for unit in ("Ti", "Gi"):
        if count >= UNITS[unit] and count % UNITS[unit] == 0:
            return f"{count // UNITS[unit]}{unit}"
    return f"{count / UNITS['Mi']:.0f}Mi"


class Resources(StrictModel):
    """With these the data step gets a worker of its own, which is ended when it needs more memory."""

    memory: str
    """most that the worker's processes may hold at once, e.g. ``8Gi``"""
    cpu: int | None = Field(default=None, ge=1)
    """cores that the worker may use; None: all that its starter may"""

    @field_validator("memory", mode="before")
    @classmethod
    def _is_amount(cls, value: Any) -> Any:
        if bytes_of(str(value)) < LEAST_BYTES:
            raise ValueError(f"{value!r} is less than 1Mi")
        return value

    @property
    def memory_bytes(self) -> int:
        return bytes_of(self.memory)
