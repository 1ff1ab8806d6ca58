"""Published data opened lazily: an xarray Dataset or a pyarrow Dataset on the object store, and documents as values.

Here belongs opening what a record names, or what one run staged. Not here: deciding which of them a step is given
(``defs/io_managers``). Nothing but metadata is read until somebody computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rimrep_assets.domain.dataset import Dataset
from rimrep_assets.domain.errors import DataError, Unavailable
from rimrep_assets.domain.release import Places, ReleaseRecord, table_objects
from rimrep_assets.domain.staging import Staged
from rimrep_assets.domain.table_objects import METADATA
from rimrep_assets.ports.grid_repository import GridRepository
from rimrep_assets.ports.object_store import ObjectStore, S3Access, read_if_there
from rimrep_assets.ports.release_log import ReleaseLog
from rimrep_assets.ports.staged_parts import STAGED

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    import xarray as xr


@dataclass(frozen=True)
class Opener:
    """Opens one dataset out of the store of its access class."""

    store: ObjectStore
    dataset: Dataset
    s3: S3Access

    @property
    def places(self) -> Places:
        return Places(self.dataset.id)

    def newest(self) -> ReleaseRecord:
        """The newest release's record. Raises: DataError when there is none."""
        record = ReleaseLog(self.store, self.dataset.id).newest()
        if record is None:
            raise DataError(
                "nothing is released yet, so there is nothing to read",
                dataset=self.dataset.id,
                advice="materialize the dataset's release first.",
            )
        return record

    def staged_by(self, run: str) -> Staged | None:
        """What attempts of ``run`` staged and nobody released yet; None when that is nothing."""
        for attempt in reversed(self.store.folders(self.places.staged)):
            data = read_if_there(self.store, self.places.staging(attempt, STAGED)) if attempt.startswith(run) else None
            if data is not None:
                return Staged.from_bytes(data)
        return None

    def data_of(self, version: ReleaseRecord | Staged) -> xr.Dataset | pads.Dataset:
        """The data of a release, or of a staging. Raises: Unavailable."""
        if self.dataset.format == "zarr":
            assert version.snapshot is not None
            return self._grid(version.snapshot)
        if isinstance(version, Staged):
            return self._table([part.file.path for part in version.parts])
        objects = table_objects(version.objects)
        if f"/{METADATA}" in objects:
            return self._table([objects[f"/{METADATA}"].path], parts=True)
        return self._table([objects[""].path])

    def _grid(self, snapshot: str) -> xr.Dataset:
        import xarray as xr

        store = GridRepository(self.store, self.dataset.id, self.s3).read(snapshot)
        return xr.open_zarr(store, consolidated=False, chunks=None)

    def _table(self, paths: Iterable[str], parts: bool = False) -> pads.Dataset:
        """``parts``: the path is that of the footers of all parts, which then are read only where they are needed."""
        import pyarrow.dataset as pads

        addresses = [self.store.url(path) for path in paths]
        try:
            filesystem = _s3_filesystem(self.s3) if self.store.address.startswith("s3://") else None
            bare = [address.removeprefix("s3://") for address in addresses]
            if parts:
                return pads.parquet_dataset(bare[0], filesystem=filesystem)
            return pads.dataset(bare, format="parquet", filesystem=filesystem)
        except OSError as error:
            raise Unavailable(f"{addresses[0]} cannot be opened: {error}", dataset=self.dataset.id) from error

    def within(self, data: Any, start: datetime, end: datetime) -> Any:
        """``data`` from ``start`` up to, but not with, ``end``, still lazy; all of it without a time coordinate."""
        t = self.dataset.coordinates.t
        if t is None:
            return data
        if self.dataset.format == "zarr":
            import numpy as np

            begin, stop = (np.datetime64(moment.replace(tzinfo=None), "ns") for moment in (start, end))
            times = data[t].values
            return data.isel({data[t].dims[0]: slice(*np.searchsorted(times, [begin, stop]))})
        import pyarrow as pa
        import pyarrow.dataset as pads

        kind = data.schema.field(t).type
        begin, stop = (pa.scalar(moment, pa.timestamp("us", "UTC")).cast(kind) for moment in (start, end))
        return data.filter((pads.field(t) >= begin) & (pads.field(t) < stop))

    def document(self, path: str) -> Any:
        """The JSON document at ``path``. Raises: DataError when it is not there."""
        data = read_if_there(self.store, path)
        if data is None:
            raise DataError(
                f"{self.store.url(path)} is not there", dataset=self.dataset.id, advice="materialize the release first."
            )
        return json.loads(data)


def _s3_filesystem(s3: S3Access) -> Any:
    from pyarrow import fs

    scheme, _, host = (s3.endpoint_url or "https://").partition("://")
    options: dict[str, Any] = {"region": s3.region, "scheme": scheme}
    if host:
        options["endpoint_override"] = host.rstrip("/")
    if s3.access_key_id and s3.secret_access_key:
        options |= {
            "access_key": s3.access_key_id,
            "secret_key": s3.secret_access_key,
            "session_token": s3.session_token or None,
        }
    return fs.S3FileSystem(**{name: value for name, value in options.items() if value is not None})
