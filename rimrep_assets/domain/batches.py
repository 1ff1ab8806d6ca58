"""Lists in parts: so many parts of nearly one length, or parts of so many.

Here belongs counting. Not here: what the parts are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def split_evenly(items: Sequence[T], parts: int) -> list[Sequence[T]]:
    """``parts`` pieces that cover ``items`` once in their order; lengths differ by 1 at most.

    Fewer where there are fewer items, for a piece without items is no work. Raises: ValueError for less than 1 part.
    """
    if parts < 1:
        raise ValueError(f"{parts} parts; at least 1")
    count = min(parts, len(items))
    length, longer = divmod(len(items), count) if count else (0, 0)
    ends = [0]
    for number in range(count):
        ends.append(ends[-1] + length + (number < longer))
    return [items[begin:end] for begin, end in pairwise(ends)]


def batches_of(items: Sequence[T], size: int = 100) -> list[Sequence[T]]:
    """Pieces of ``size``, the last one shorter: ceil(n / size) of them. Raises: ValueError for a size below 1."""
    if size < 1:
        raise ValueError(f"batches of {size}; at least 1")
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
