"""Stretches of bytes in a file: which of them are wanted, there, and lacking.

Here belongs the arithmetic, as pure functions. Not here: fetching (``partial_file``), or what stands in the bytes
(``grid_hdf5_index``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

ByteSpan = tuple[int, int]
"""first byte and the one after the last"""


def joined(spans: Iterable[ByteSpan], gap: int = 0) -> list[ByteSpan]:
    """The spans in order; those that touch, overlap, or stand no more than ``gap`` bytes apart are one."""
    found: list[ByteSpan] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def lacking(wanted: Iterable[ByteSpan], there: Sequence[ByteSpan]) -> list[ByteSpan]:
    """What of ``wanted`` is not ``there``; both are as ``joined`` makes them."""
    found, holders = [], iter(there)
    holder = next(holders, None)
    for start, stop in wanted:
        at = start
        while at < stop:
            while holder is not None and holder[1] <= at:
                holder = next(holders, None)
            if holder is None or holder[0] >= stop:
                found.append((at, stop))
                break
            if at < holder[0]:
                found.append((at, holder[0]))
            at = holder[1]
    return found


def pieces(spans: Iterable[ByteSpan], longest: int) -> Iterator[ByteSpan]:
    """The same bytes in spans of no more than ``longest``."""
    for start, stop in spans:
        for at in range(start, stop, longest):
            yield at, min(at + longest, stop)


def overlap(one: ByteSpan, others: Iterable[ByteSpan]) -> bool:
    """Whether one span has a byte in common with any of the others."""
    return any(one[0] < stop and start < one[1] for start, stop in others)
