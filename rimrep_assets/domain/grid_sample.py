"""The independent reading: of every file one chunk, decoded by libraries that share no code with the fast way.

The numbers are read by netCDF4 (by what ``grid_other_reader`` has where the file was not read by the fast way), and
decoded by xarray on both sides, with the file's attributes and with the published ones.

Here belong choosing what is read and comparing it by time and place. Not here: any of our own decoding
(``grid_hdf5``, ``grid_values``), on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.file_time import moment_told
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_file_time import ROUNDING_SHARE
from rimrep_assets.domain.grid_layout import FileGrid, Variable
from rimrep_assets.domain.grid_other_reader import open_otherwise
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_steps import SetTime
from rimrep_assets.domain.grid_time import cadence_us
from rimrep_assets.domain.grid_values import in_published_order

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

TIME_SLACK_US = 1_000
"""readers round fractions of days differently, by microseconds"""
CADENCE_SLACK_US = 500_000
"""with a cadence the published axis is in whole seconds"""
_TOLD = 3


@dataclass(frozen=True)
class Pick:
    """What is sampled of one file: some rows of one variable in one block, within the extent of one chunk."""

    file: FileGrid
    block: int
    name: str
    rows: tuple[int, ...]
    """positions on the published time axis; (0,) of what does not vary with time"""
    windows: tuple[tuple[str, slice], ...]
    """published indexes of the other dimensions"""


@dataclass(frozen=True)
class OtherReading:
    """What the other reader made of a pick: decoded values as they are published, and the times that it saw."""

    values: np.ndarray
    times: tuple[Any, ...]
    moved_us: int = 0
    """by how much published times may differ by declared rule"""


def choose(state: GridState, blocks: Sequence[int], seed: int) -> dict[int, list[Pick]]:
    """For every file of ``blocks`` one pick, by block; the same seed picks the same."""
    rows_of: dict[str, dict[int, list[int]]] = {}
    for block in blocks:
        for row in range(block * state.chunk, min((block + 1) * state.chunk, len(state.axis))):
            digest = state.axis[row].digest
            if digest is not None:
                rows_of.setdefault(digest, {}).setdefault(block, []).append(row)
    found: dict[int, list[Pick]] = {}
    for digest in sorted(rows_of):
        file = state.by_digest[digest]
        layout = state.layout_of(file)
        dice = random.Random(f"{seed}:{digest}")  # noqa: S311 - a sample, not a secret
        names = sorted(n for n, v in layout.variables.items() if v.role == "data" and n in state.united.variables)
        names = [n for n in names if layout.varies(n)] or names
        if names:
            block, name = dice.choice(sorted(rows_of[digest])), dice.choice(names)
            windows = _windows(state, name, f"{seed}:{block}:{name}")
            found.setdefault(block, []).append(Pick(file, block, name, tuple(rows_of[digest][block]), windows))
    return found


def _windows(state: GridState, name: str, seed: str) -> tuple[tuple[str, slice], ...]:
    """The other dimensions' extent of one published chunk."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    time = state.united.time
    windows = []
    for dim in state.united.variables[name].dims:
        if time is None or dim != time.dim:
            size, length = state.united.dimensions[dim], state.chunks.get(dim, state.united.dimensions[dim])
            start = dice.randrange(-(-size // length)) * length
            windows.append((dim, slice(start, min(start + length, size))))
    return tuple(windows)


def read_independently(
    pick: Pick, path: Path, state: GridState, dataset: Dataset, published: xr.Dataset, by_netcdf4: bool
) -> OtherReading | str:
    """The pick as the other reader decodes it; a sentence where it cannot."""
    try:
        with _opened(path, pick.file.name, by_netcdf4) as source:
            return _Reading(pick, source, state, dataset, published).read()
    except (ValueError, OSError, KeyError, TypeError, IndexError, DataError) as error:
        return f"{pick.name}: the independent reader could not read it: {error}"


def _opened(path: Path, name: str, by_netcdf4: bool) -> AbstractContextManager[Any]:
    return open_raw(path, name) if by_netcdf4 else open_otherwise(path)


@dataclass(frozen=True)
class _Reading:
    pick: Pick
    source: Any
    """netCDF4's file with raw values, or an undecoded xarray.Dataset"""
    state: GridState
    dataset: Dataset
    published: xr.Dataset

    def read(self) -> OtherReading:
        import numpy as np

        variable = self.state.layout_of(self.pick.file).variables[self.pick.name]
        time = self.state.united.time
        rows = [self.state.axis[row].position for row in self.pick.rows]
        windows, index = dict(self.pick.windows), []
        for dim in variable.source_dims:
            varies = time is not None and dim == time.dim
            index.append(np.asarray(rows) if varies else self._places(variable, dim, windows[dim]))
        held = self.source.variables[variable.source]
        # Read as one stretch and picked from in memory: netCDF4 reads scattered indexes one by one.
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in index)
        raw = np.asarray(held[box if box else ...])
        for axis, places in enumerate(index):
            raw = raw.take(places - places.min(), axis=axis)
        raw = in_published_order(raw, variable)
        return OtherReading(decoded(raw, variable.dims, _attributes(held)), self._times(rows), self._rounding())

    def _rounding(self) -> int:
        """By how much ``fix_time`` may move a time."""
        fix = self.dataset.convert.fix_time
        return cadence_us(fix.round) // ROUNDING_SHARE if fix is not None and fix.round is not None else 0

    def _places(self, variable: Variable, dim: str, window: slice) -> np.ndarray:
        """Where the source has the published window: by the values of its axis, else by what was remembered."""
        import numpy as np

        ours = self.published.variables.get(dim)
        back = {new: old for old, new in self.dataset.convert.rename.items()}
        name = back.get(dim, dim)
        theirs = self.source.variables.get(name)
        if ours is not None and ours.ndim == 1 and theirs is not None and len(theirs.shape) == 1:
            axis = decoded(_flat(theirs), (dim,), _attributes(theirs)).astype("f8")
            labels = np.asarray(ours[window].values)
            if labels.dtype.kind in "iuf" and np.isfinite(axis).all():
                # As they stand first: an axis may hold -180 and 180, which are one meridian.
                for around in (False, True) if dim == self.dataset.coordinates.x else (False,):
                    found = _by_label(axis, labels.astype("f8"), self._slack(axis), around)
                    if found is not None:
                        return found
        spans = variable.spans.get(dim, ())
        if not spans:
            return np.arange(window.start, window.stop)
        order = [np.arange(s.low, s.high)[:: -1 if s.backward else 1] for s in spans]
        return np.concatenate(order)[window]

    def _slack(self, axis: np.ndarray) -> float:
        import numpy as np

        cell = float(np.abs(np.diff(axis)).min(initial=np.inf)) if axis.size > 1 else 1.0
        return max(self.dataset.convert.unite.coordinate_tolerance, 1e-3 * cell, 1e-9)

    def _times(self, rows: Sequence[int]) -> tuple[Any, ...]:
        """The other reader's times of the rows, through cftime; none where the grid has none."""
        time = self.state.united.time
        if time is None:
            return ()
        import xarray as xr

        step = self.dataset.convert.set_time
        if step is not None and step.variable is None:
            return tuple(self._one_time(step) for _ in rows)
        name = time.name if step is None else str(step.variable)
        back = {new: old for old, new in self.dataset.convert.rename.items()}
        held = self.source.variables[back.get(name, name)]
        coder = xr.coders.CFDatetimeCoder()
        raw = xr.Variable(("t",), _flat(held), _attributes(held))
        stamps = coder.decode(xr.conventions.decode_cf_variable(time.name, raw, decode_times=False)).values
        return tuple(stamps[row] for row in rows)

    def _one_time(self, step: SetTime) -> np.datetime64:
        """The time that stands in an attribute, read by pandas, or in the file's name."""
        import numpy as np
        import pandas as pd

        if step.attribute is None:
            told = moment_told(str(step.name), self.pick.file.name)
            assert told is not None
            return np.datetime64(told.replace(tzinfo=None), "us")
        text = _attributes(self.source)[step.attribute].strip()
        return pd.to_datetime(text, format=step.format or "ISO8601", utc=True).tz_localize(None).to_datetime64()


def _flat(held: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(held[...]).reshape(-1)


def _attributes(held: Any) -> dict[str, Any]:
    if hasattr(held, "ncattrs"):
        return {name: held.getncattr(name) for name in held.ncattrs()}
    return dict(held.attrs)


def decoded(raw: np.ndarray, dims: Sequence[str], attributes: Mapping[str, Any]) -> np.ndarray:
    """Stored numbers as xarray reads them with these attributes, NaN for no value; times stay numbers."""
    import xarray as xr

    held = {k: v for k, v in attributes.items() if k not in ("units", "calendar", "dtype")}
    variable = xr.Variable(tuple(dims), raw, held)
    found: np.ndarray = xr.conventions.decode_cf_variable("values", variable, decode_times=False).values
    return found


def _by_label(axis: np.ndarray, labels: np.ndarray, slack: float, around: bool) -> np.ndarray | None:
    """Index of the axis' value that equals each label, longitudes modulo 360; None where one has none."""
    import numpy as np

    def turned(values: np.ndarray) -> np.ndarray:
        return np.mod(values, 360.0) if around else values

    order = np.argsort(turned(axis), kind="stable")
    ascending = turned(axis)[order]
    after = np.searchsorted(ascending, turned(labels)) % len(ascending)
    before = (after - 1) % len(ascending)

    def apart(places: np.ndarray) -> np.ndarray:
        difference = np.abs(ascending[places] - turned(labels))
        return np.minimum(difference, 360.0 - difference) if around else difference

    nearest = np.where(apart(after) <= apart(before), after, before)
    return order[nearest] if (apart(nearest) <= slack).all() else None


def compare(
    pick: Pick, other: OtherReading, there: np.ndarray, published_times: np.ndarray | None, state: GridState
) -> tuple[int, list[str]]:
    """Number of values compared, and the differences in words.

    ``there``: the published values of the pick, decoded; ``published_times``: those of its rows.
    """
    problems = []
    slack = max(CADENCE_SLACK_US if state.cadence is not None else TIME_SLACK_US, other.moved_us)
    if published_times is not None:
        name = state.united.time.name if state.united.time else ""
        for stamp, ours in zip(other.times, published_times, strict=True):
            if not _same_time(stamp, ours, slack):
                problems.append(f"{name}: independent reader {stamp}, published {ours}")
    return there.size, problems[:_TOLD] + _unequal(pick, other.values, there, other.times, state)


def _same_time(stamp: Any, ours: Any, slack: int) -> bool:
    import numpy as np

    if isinstance(stamp, np.datetime64) != isinstance(ours, np.datetime64):
        return False
    apart = stamp - ours
    microseconds = apart / np.timedelta64(1, "us") if isinstance(apart, np.timedelta64) else apart.total_seconds() * 1e6
    return bool(abs(microseconds) <= slack)


def _decodes_exactly(of_file: Variable, published: Variable) -> bool:
    """Whether both sides do the same arithmetic.

    Scale factors of float32 become float64 in JSON, and values unpacked or packed anew were rounded once more.
    """
    scaling = [n.dtype for n in (of_file.packing.scale, of_file.packing.offset) if n is not None]
    same = (of_file.packing.scale, of_file.packing.offset) == (published.packing.scale, published.packing.offset)
    return not scaling or (same and "float32" not in scaling)


def _unequal(pick: Pick, expected: np.ndarray, there: np.ndarray, times: Sequence[Any], state: GridState) -> list[str]:
    import numpy as np

    name = pick.name
    if expected.shape != there.shape:
        return [f"{name}: shape {there.shape}, independent reader {expected.shape}"]
    variable, published = state.layout_of(pick.file).variables[name], state.united.variables[name]
    if expected.dtype.kind not in "fiu" or there.dtype.kind not in "fiu":
        same = expected == there
    elif expected.dtype == there.dtype and _decodes_exactly(variable, published):
        same = (expected == there) | (np.isnan(expected) & np.isnan(there))
    else:
        a, b = expected.astype("f8"), there.astype("f8")
        largest = float(np.nanmax(np.abs(a), initial=0.0, where=np.isfinite(a)))
        offset = published.packing.offset or variable.packing.offset
        slack = 1e-6 * max(largest, abs(float(offset.numpy())) if offset else 0.0)
        same = np.isclose(a, b, rtol=1e-6, atol=slack, equal_nan=True)
    if same.all():
        return []
    wrong = np.argwhere(~np.atleast_1d(same))
    starts = [part.start for _, part in pick.windows]
    told = []
    for cell in wrong[:_TOLD].tolist():
        index = tuple(cell)[: same.ndim]
        at = f" at {times[index[0]]}" if times else ""
        place = [i + s for i, s in zip(index[1:] if times else index, starts, strict=False)]
        told.append(f"{name}{at} {place}: independent reader {expected[index]}, published {there[index]}")
    if len(wrong) > _TOLD:
        told.append(f"{name}: {len(wrong) - _TOLD} more cells differ from the independent reader")
    return told
