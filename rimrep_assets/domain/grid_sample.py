"""The independent reading: one chunk of each file, decoded by a reader that shares no code with ours.

Here belong xarray with h5netcdf for HDF5 and with scipy for classic files, and the comparison by time. Not here: any
of our own reading (``grid_values``), on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.grid_layout import FileGrid, GridLayout, Variable
from rimrep_assets.domain.grid_state import GridState

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

TIME_SLACK_US = 1_000
"""readers round fractions of days differently, by microseconds"""
CADENCE_SLACK_US = 500_000
"""with a cadence the published axis is in whole seconds"""
_TOLD = 3


def sample_file(
    path: Path,
    file: FileGrid,
    state: GridState,
    positions: Sequence[int],
    dataset: Dataset,
    published: xr.Dataset,
    seed: int,
) -> tuple[int, list[str]]:
    """Decode one chunk of ``file`` and compare it with ``published`` at the times that the other reader sees.

    ``positions`` are those of the published axis that the file holds; the chunk is chosen by ``seed`` and the file's
    digest. Returns how many values were compared, and differences in words.
    """
    import xarray as xr

    layout = state.layout_of(file)
    choose = random.Random(f"{seed}:{file.digest}")  # noqa: S311 - a sample, not a secret
    names = sorted(n for n, v in layout.variables.items() if v.role == "data" and n in state.united.variables)
    if not names:
        return 0, []
    varying = [n for n in names if layout.varies(n)]
    name = choose.choice(varying or names)
    try:
        with xr.open_dataset(path, engine=_engine(path)) as source:
            return _compare(name, source, layout, state, positions, dataset, published, choose)
    except (ValueError, OSError, KeyError, TypeError) as error:
        return 0, [f"{name}: the independent reader could not read it: {error}"]


def _engine(path: Path) -> Any:
    with path.open("rb") as file:
        return "scipy" if file.read(3) == b"CDF" else "h5netcdf"


def _compare(
    name: str,
    source: xr.Dataset,
    layout: GridLayout,
    state: GridState,
    positions: Sequence[int],
    dataset: Dataset,
    published: xr.Dataset,
    choose: random.Random,
) -> tuple[int, list[str]]:
    import numpy as np

    variable = layout.variables[name]
    if name not in published.variables:
        return 0, [f"{name}: is not in the published dataset"]
    indexes = _chosen_indexes(layout, name, state, positions, choose)
    windows = _chosen_windows(variable, layout, state, choose)
    theirs, their_times = _of_source(source, layout, variable, indexes, windows, dataset)
    ours = published[name]
    problems: list[str] = []
    compared = 0
    for i, stamp in enumerate(their_times):
        chosen = dict(windows)
        at = ""
        if stamp is not None:
            assert state.united.time is not None
            at = f" at {stamp}"
            position = _position_of(published[state.united.time.name].values, stamp, state.cadence is not None)
            if position is None:
                problems.append(f"{state.united.time.name}: source has {stamp}, the published axis has not")
                continue
            chosen[state.united.time.dim] = slice(position, position + 1)
        there = ours.isel({d: s for d, s in chosen.items() if d in ours.dims}).values
        expected = theirs[i : i + 1] if stamp is not None else theirs
        compared += there.size
        problems += _unequal(name, at, expected, there, windows, variable, state)
    return compared, problems if compared or problems else [f"{name}: {np.shape(theirs)} gave nothing to compare"]


def _chosen_indexes(
    layout: GridLayout, name: str, state: GridState, positions: Sequence[int], choose: random.Random
) -> list[int]:
    """Positions in the file whose times lie in one published time chunk; empty for what does not vary."""
    if not layout.varies(name):
        return []
    chunk = choose.choice(sorted({p // state.chunk for p in positions}))
    return sorted(state.axis[p].position for p in positions if p // state.chunk == chunk)


def _chosen_windows(
    variable: Variable, layout: GridLayout, state: GridState, choose: random.Random
) -> dict[str, slice]:
    """The other dimensions' extent of one published chunk."""
    windows = {}
    for dim in variable.dims:
        if layout.time is not None and dim == layout.time.dim:
            continue
        size, length = layout.dimensions[dim], state.chunks.get(dim, layout.dimensions[dim])
        start = choose.randrange(-(-size // length)) * length
        windows[dim] = slice(start, min(start + length, size))
    return windows


def _of_source(
    source: xr.Dataset,
    layout: GridLayout,
    variable: Variable,
    indexes: Sequence[int],
    windows: dict[str, slice],
    dataset: Dataset,
) -> tuple[np.ndarray, list[Any]]:
    """The other reader's values in the published order of dimensions, and the times that it sees."""
    import numpy as np

    array = source[variable.source]
    selection: dict[Any, Any] = {}
    for dim, own in zip(variable.source_dims, array.dims, strict=True):
        selection[own] = list(indexes) if indexes and layout.time and dim == layout.time.dim else windows[dim]
    values = np.asarray(array.isel(selection).values)
    values = values.transpose([variable.source_dims.index(d) for d in variable.dims])
    if not indexes or layout.time is None:
        return values, [None]
    back = {new: old for old, new in dataset.convert.rename.items()}
    stamps = source[back.get(layout.time.name, layout.time.name)].values
    return values, [stamps[i] for i in indexes]


def _position_of(axis: np.ndarray, stamp: Any, rounded: bool) -> int | None:
    """Where the published axis has this time, by value; None where it has not."""
    import numpy as np

    if not axis.size:
        return None
    slack = CADENCE_SLACK_US if rounded else TIME_SLACK_US
    if isinstance(stamp, np.datetime64):
        if axis.dtype.kind != "M":
            return None
        apart = np.abs((axis - stamp) / np.timedelta64(1, "us"))
    else:
        apart = np.array([abs((moment - stamp).total_seconds()) * 1e6 for moment in axis])
    nearest = int(np.argmin(apart))
    return nearest if apart[nearest] <= slack else None


def _decodes_exactly(of_file: Variable, published: Variable) -> bool:
    """Whether both readers do the same arithmetic.

    Scale factors of float32 become float64 in JSON, and unpacked values were rounded once more.
    """
    scaling = [n.dtype for n in (of_file.packing.scale, of_file.packing.offset) if n is not None]
    return not scaling or (published.packing.scales and "float32" not in scaling)


def _unequal(
    name: str,
    at: str,
    expected: np.ndarray,
    there: np.ndarray,
    windows: dict[str, slice],
    variable: Variable,
    state: GridState,
) -> list[str]:
    import numpy as np

    if expected.shape != there.shape:
        return [f"{name}{at}: shape {there.shape}, independent reader {expected.shape}"]
    if expected.dtype.kind not in "fiu" or there.dtype.kind not in "fiu":
        same = expected == there
    elif expected.dtype == there.dtype and _decodes_exactly(variable, state.united.variables[name]):
        same = (expected == there) | (np.isnan(expected) & np.isnan(there))
    else:
        a, b = expected.astype("f8"), there.astype("f8")
        largest = float(np.nanmax(np.abs(a), initial=0.0, where=np.isfinite(a)))
        offset = state.united.variables[name].packing.offset or variable.packing.offset
        slack = 1e-6 * max(largest, abs(float(offset.numpy())) if offset else 0.0)
        same = np.isclose(a, b, rtol=1e-6, atol=slack, equal_nan=True)
    if same.all():
        return []
    wrong = np.argwhere(~np.atleast_1d(same))
    starts = [windows[d].start if d in windows else 0 for d in variable.dims]
    told = []
    for cell in wrong[:_TOLD].tolist():
        index = tuple(cell)[: same.ndim]
        place = [i + s for i, s in zip(index, starts, strict=False)]
        if at:
            place = place[1:]
        told.append(f"{name}{at} {place}: independent reader {expected[index]}, published {there[index]}")
    if len(wrong) > _TOLD:
        told.append(f"{name}{at}: {len(wrong) - _TOLD} more cells differ from the independent reader")
    return told
