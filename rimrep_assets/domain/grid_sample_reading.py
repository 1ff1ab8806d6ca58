"""The independent reading: a sample of every file, decoded by libraries that share no code with the fast way.

The numbers are read by netCDF4 (by what ``grid_other_reader`` has where the file was not read by the fast way), and
decoded by xarray on both sides, with the file's attributes and with the published ones.

Here belongs the reading alone. Not here: what is read and compared (``grid_sample``), or any of our own decoding
(``grid_hdf5``, ``grid_values``), on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError
from rimrep_assets.domain.file_time import moment_told
from rimrep_assets.domain.grid_file import open_raw
from rimrep_assets.domain.grid_file_time import ROUNDING_SHARE
from rimrep_assets.domain.grid_layout import Variable
from rimrep_assets.domain.grid_other_reader import open_otherwise
from rimrep_assets.domain.grid_sample import Pick
from rimrep_assets.domain.grid_sample_times import UNITS, instants, moments
from rimrep_assets.domain.grid_state import GridState
from rimrep_assets.domain.grid_steps import SetTime
from rimrep_assets.domain.grid_time import cadence_us
from rimrep_assets.domain.grid_values import in_published_order
from rimrep_assets.domain.partial_file import LocalFile

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_UNREADABLE = (ValueError, OSError, KeyError, TypeError, IndexError, DataError)


@dataclass(frozen=True)
class OtherReading:
    """What the other reader made of a pick: decoded values as they are published, and the times that it saw."""

    values: np.ndarray
    times: tuple[Any, ...]
    moved_us: int = 0
    """by how much published times may differ by declared rule"""


@dataclass(frozen=True)
class Stored:
    """Numbers as a file stores them, with the attributes that say what they mean."""

    numbers: np.ndarray
    """one-dimensional"""
    attributes: Mapping[str, Any]

    @property
    def kind(self) -> object:
        """Equal for what can be decoded at once, one behind the other."""
        told = sorted((name, repr(value)) for name, value in self.attributes.items())
        return self.numbers.dtype.str, tuple(told)


@dataclass(frozen=True)
class RawReading:
    """A pick as its file has it: decoded values as they are published, and the numbers of its times."""

    values: np.ndarray
    times: Stored | None
    """of the pick's rows; None where they stand in no variable"""
    told: tuple[Any, ...] = ()
    """times that stand in an attribute or a name"""


Unread = str
"""a sentence on why the other reader could not read a pick"""


@dataclass
class OtherReader:
    """Reads picks of one grid; ``published`` is the store as xarray opens it, times as numbers."""

    state: GridState
    dataset: Dataset
    published: xr.Dataset
    places: dict[object, np.ndarray | None] = field(default_factory=dict)
    """indexes in files that were looked for by an axis and a window; None where its labels are not there"""

    def read(self, pick: Pick, source: LocalFile, by_netcdf4: bool) -> RawReading | Unread:
        """The pick as it stands in ``source``."""
        try:
            with _opened(source, pick.file.name, by_netcdf4) as opened:
                return _Reading(pick, opened, self).read()
        except _UNREADABLE as error:
            return _unread(pick, error)

    def with_times(self, readings: Sequence[tuple[Pick, RawReading | Unread]]) -> list[OtherReading | Unread]:
        """Readings whose numbers of times have become times; those of files with equal units do at once."""
        moments = _decoded_together([raw.times for _, raw in readings if isinstance(raw, RawReading) and raw.times])
        found: list[OtherReading | Unread] = []
        for pick, raw in readings:
            times = moments[id(raw.times)] if isinstance(raw, RawReading) and raw.times else ()
            if isinstance(raw, str):
                found.append(raw)
            elif isinstance(times, Exception):
                found.append(_unread(pick, times))
            else:
                found.append(OtherReading(raw.values, raw.told or tuple(times), self._moved))
        return found

    @property
    def _moved(self) -> int:
        """By how much ``fix_time`` may move a time."""
        fix = self.dataset.convert.fix_time
        return cadence_us(fix.round) // ROUNDING_SHARE if fix is not None and fix.round is not None else 0


def _unread(pick: Pick, error: Exception) -> Unread:
    return f"{pick.name}: the independent reader could not read it: {error}"


def _opened(source: LocalFile, name: str, by_netcdf4: bool) -> AbstractContextManager[Any]:
    return open_raw(source, name) if by_netcdf4 else open_otherwise(source)


def _decoded_together(stored: Iterable[Stored]) -> dict[int, Any]:
    """The times of each (by ``id``), or the error that it raises; decoding costs by the call more than by the time."""
    kinds: dict[object, list[Stored]] = {}
    for one in stored:
        kinds.setdefault(one.kind, []).append(one)
    return {key: found for alike in kinds.values() for key, found in _of_one_kind(alike).items()}


def _of_one_kind(alike: Sequence[Stored]) -> dict[int, Any]:
    import numpy as np

    try:
        times = moments(np.concatenate([one.numbers for one in alike]), alike[0].attributes)
    except _UNREADABLE as error:
        if len(alike) == 1:
            return {id(alike[0]): error}
        # Which of them cannot be decoded shows when each is.
        return {key: found for one in alike for key, found in _of_one_kind([one]).items()}
    ends = np.cumsum([len(one.numbers) for one in alike])
    return {id(one): times[end - len(one.numbers) : end] for one, end in zip(alike, ends, strict=True)}


@dataclass(frozen=True)
class _Reading:
    pick: Pick
    source: Any
    """netCDF4's file with raw values, or an undecoded xarray.Dataset"""
    reader: OtherReader

    def read(self) -> RawReading:
        import numpy as np

        state = self.reader.state
        variable = state.layout_of(self.pick.file).variables[self.pick.name]
        time = state.united.time
        rows = [state.axis[row].position for row in self.pick.rows]
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
        raw, attributes = in_published_order(raw, variable), _attributes(held)
        if variable.time_bounds is not None:
            return self._timed(instants(raw, {**self._units_of_axis(), **attributes}), rows)
        return self._timed(decoded(raw, variable.dims, attributes), rows)

    def _places(self, variable: Variable, dim: str, window: slice) -> np.ndarray:
        """Where the source has the published window: by the values of its axis, else by what was remembered."""
        import numpy as np

        dataset, published = self.reader.dataset, self.reader.published
        ours = published.variables.get(dim)
        back = {new: old for old, new in dataset.convert.rename.items()}
        theirs = self.source.variables.get(back.get(dim, dim))
        if ours is not None and ours.ndim == 1 and theirs is not None and len(theirs.shape) == 1:
            axis = Stored(_flat(theirs), _attributes(theirs))
            # Files of a series have one axis most often: what was found on it once is there again.
            known = (dim, axis.kind, axis.numbers.tobytes(), window.start, window.stop)
            if known not in self.reader.places:
                self.reader.places[known] = self._places_by_label(axis, dim, np.asarray(ours[window].values))
            found = self.reader.places[known]
            if found is not None:
                return found
        return _places_remembered(variable, dim, window)

    def _places_by_label(self, stored: Stored, dim: str, labels: np.ndarray) -> np.ndarray | None:
        import numpy as np

        axis = decoded(stored.numbers, (dim,), stored.attributes).astype("f8")
        if labels.dtype.kind not in "iuf" or not np.isfinite(axis).all():
            return None
        # As they stand first: an axis may hold -180 and 180, which are one meridian.
        for around in (False, True) if dim == self.reader.dataset.coordinates.x else (False,):
            found = _by_label(axis, labels.astype("f8"), self._slack(axis), around)
            if found is not None:
                return found
        return None

    def _slack(self, axis: np.ndarray) -> float:
        import numpy as np

        cell = float(np.abs(np.diff(axis)).min(initial=np.inf)) if axis.size > 1 else 1.0
        return max(self.reader.dataset.convert.unite.coordinate_tolerance, 1e-3 * cell, 1e-9)

    def _timed(self, values: np.ndarray, rows: Sequence[int]) -> RawReading:
        """With what the file says of the rows' times; nothing where the grid has none."""
        dataset, time = self.reader.dataset, self.reader.state.united.time
        if time is None:
            return RawReading(values, None)
        step = dataset.convert.set_time
        if step is not None and step.variable is None:
            return RawReading(values, None, tuple(self._one_time(step) for _ in rows))
        held = self._axis(time.name)
        return RawReading(values, Stored(_flat(held)[list(rows)], _attributes(held)))

    def _axis(self, published: str) -> Any:
        """The variable that tells the time; ``published``: the axis' name."""
        step = self.reader.dataset.convert.set_time
        name = published if step is None else str(step.variable)
        back = {new: old for old, new in self.reader.dataset.convert.rename.items()}
        return self.source.variables[back.get(name, name)]

    def _units_of_axis(self) -> dict[str, Any]:
        """What bounds of time inherit where they do not say it themselves."""
        time = self.reader.state.united.time
        told = _attributes(self._axis(time.name)) if time is not None else {}
        return {name: told[name] for name in UNITS if name in told}

    def _one_time(self, step: SetTime) -> np.datetime64:
        """The time that stands in an attribute, read by pandas, or in the file's name."""
        import numpy as np
        import pandas as pd

        if step.attribute is None:
            told = moment_told(str(step.name), self.pick.file.name)
            assert told is not None
            return np.datetime64(told.replace(tzinfo=None), "us")
        text = str(_attributes(self.source)[step.attribute]).strip()
        return pd.to_datetime(text, format=step.format or "ISO8601", utc=True).tz_localize(None).to_datetime64()


def _places_remembered(variable: Variable, dim: str, window: slice) -> np.ndarray:
    import numpy as np

    spans = variable.spans.get(dim, ())
    if not spans:
        return np.arange(window.start, window.stop)
    order = [np.arange(s.low, s.high)[:: -1 if s.backward else 1] for s in spans]
    return np.concatenate(order)[window]


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
    if raw.dtype.kind == "f" and getattr(held.get("missing_value"), "dtype", raw.dtype).kind == "f":
        # A double -9999.9 marks the float32 that is nearest to it: netCDF4 masks so, xarray compares as they stand.
        held |= {"missing_value": held["missing_value"].astype(raw.dtype)} if "missing_value" in held else {}
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
