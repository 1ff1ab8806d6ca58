"""Amounts of memory as Kubernetes writes them, in words and in bytes.

Here belongs reading and writing one amount. Not here: whose amount it is (``worker_resources``, ``dask_resources``).
"""

from __future__ import annotations

import re
from typing import Any

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


def checked_amount(value: Any) -> Any:
    """``value`` as it is. Raises: ValueError for what is no amount, or less than 1Mi."""
    if bytes_of(str(value)) < LEAST_BYTES:
        raise ValueError(f"{value!r} is less than 1Mi")
    return value


def amount_in_words(count: int) -> str:
    """A number of bytes as people write it: ``8Gi``, ``345Mi``."""
    for unit in ("Ti", "Gi"):
        if count >= UNITS[unit] and count % UNITS[unit] == 0:
            return f"{count // UNITS[unit]}{unit}"
    return f"{count / UNITS['Mi']:.0f}Mi"
