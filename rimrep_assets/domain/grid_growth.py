"""A grid that only grows at its end: the state that uniting all headers would give, made of the state before.

Of ten thousand files that were united yesterday nothing can be new today, so that a step more costs what it costs on
ten. Here belongs telling when that holds. Not here: uniting (``gridded``), which decides whenever it does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_axis import extended_axis
from rimrep_assets.domain.grid_chunks import chunk_lengths
from rimrep_assets.domain.grid_layout import Attributes, FileGrid, GridHeader
from rimrep_assets.domain.grid_state import GridState, holders
from rimrep_assets.domain.grid_time_bounds import unreadable_bounds


def grown(base: GridState, new: Sequence[GridHeader], dataset: Dataset) -> GridState | None:
    """``unite([*base.headers(), *new], dataset)``; None where that must be asked.

    ``base`` was united by the same rules of ``convert``. It must be asked unless every new file has the layout of the
    newest file and of most, lies after all times of ``base``, and has every attribute in which all files agree.
    """
    if not new or base.united.time is None or not _same_layout_rules(base, dataset):
        return None
    files = sorted((*base.files, *(h.file for h in new)), key=lambda f: f.name)
    if any(one.name == other.name for one, other in pairwise(files)):
        return None
    if {h.file.layout for h in new} != {_leading_layout(base)}:
        return None
    rests = {h.file.name: _rest(h, base.attributes) for h in new}
    if None in rests.values():
        return None
    calendar = base.united.time.calendar
    axis = extended_axis(base.axis, [h.file for h in new], base.cadence, calendar, base.overlap)
    if axis is None or unreadable_bounds(base.united, axis[-1:]):
        return None
    kept = tuple(_with_rest(f, rests[f.name]) if f.name in rests else f for f in files)
    return GridState.model_construct(**{**base.fields(), "files": kept}).with_axis(axis)


def _same_layout_rules(base: GridState, dataset: Dataset) -> bool:
    """Whether ``dataset`` says what it said when ``base`` was united, as far as that is no part of ``convert``."""
    chunks = chunk_lengths(base.united, dataset.layout.chunks)
    wanted = (chunks, dataset.layout.cadence, dataset.convert.unite.overlap)
    return (base.chunks, base.cadence, base.overlap) == wanted


def _leading_layout(base: GridState) -> str | None:
    """The layout of the newest files, which is that of most files too; None where there is no such layout.

    From the newest the published variables are taken, and with the commonest all others are compared.
    """
    if len(base.layouts) == 1:
        return next(iter(base.layouts))
    last = max(file.times[-1:] for file in base.files)
    newest = {file.layout for file in base.files if file.times[-1:] == last}
    (common, most), (_, next_most) = Counter(file.layout for file in base.files).most_common(2)
    return common if newest == {common} and most > next_most else None


def _rest(header: GridHeader, agreed: Attributes) -> Attributes | None:
    """What the file alone says; None where it does not say what all others agree on."""
    own = header.file.attributes
    for name in holders(header.layout):
        told = own.get(name, {})
        if any(key not in told or told[key] != value for key, value in agreed.get(name, {}).items()):
            return None
    rest = {name: {k: v for k, v in told.items() if k not in agreed.get(name, {})} for name, told in own.items()}
    return {name: told for name, told in rest.items() if told}


def _with_rest(file: FileGrid, rest: Attributes | None) -> FileGrid:
    return FileGrid.model_construct(**{**file.__dict__, "attributes": rest})
