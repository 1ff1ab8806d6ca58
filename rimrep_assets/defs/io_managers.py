"""What another asset is given when it asks for one of ours: lazy data on the object store, documents as values.

Here belongs which address an asset's key means. Not here: opening it (``ports/opening``). Bulk data never passes
through an IO manager: who has bulk data publishes it as a dataset.
"""

import json
from typing import Any

import dagster as dg

from rimrep_assets.defs.failures import as_failure
from rimrep_assets.defs.resources import COMMIT_TAG, Platform, attempt_of
from rimrep_assets.domain.errors import DataError, DefinitionError, RimrepError
from rimrep_assets.domain.release import json_bytes
from rimrep_assets.ports.catalog import CatalogCommit
from rimrep_assets.ports.object_store import read_if_there
from rimrep_assets.ports.opening import Opener
from rimrep_assets.ports.stac_catalog import collection_path

LARGEST_DOCUMENT = 1_000_000
"""bytes of JSON"""
BULK = "only small documents pass through this IO manager: a dict, list, text or number of at most 1 MB as JSON"


class ReleasedData(dg.ConfigurableIOManager):
    """Reads assets of this platform, also on S3 and in other processes; writes small documents of other assets.

    ``<dataset>/release``, ``/facts`` and ``/data`` give a lazy ``xarray.Dataset`` (grids) or
    ``pyarrow.dataset.Dataset`` (tables) of the newest release; ``/data`` of a run that staged something and did not
    release it yet gives that, and a partitioned run its own span of time. ``/datapackage``, ``/stac_item``,
    ``/pygeoapi_entry`` and ``collections/<id>`` give the document as a value. Failures name the dataset.
    """

    platform: Platform

    def load_input(self, context: dg.InputContext) -> Any:
        try:
            asset = context.asset_key if context.has_asset_key else context.upstream_output.asset_key  # type: ignore[union-attr]
            path = asset.path
            if path[0] == "collections" and len(path) == 2:
                return self._collection(path[1])
            commit = self._commit(context)
            if len(path) == 2 and path[0] in commit.dataset_ids:
                return self._of_dataset(context, commit, *path)
            return self._document("/".join(path))
        except RimrepError as error:
            raise as_failure(error) from error

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if obj is None:
            return
        # Whether it was derived from limited data cannot be known, so that it is kept as if it were.
        store = self.platform.settings().store_for("limited")
        path = _document_path("/".join(context.asset_key.path))
        store.write(path, _small_json(obj, "/".join(context.asset_key.path)))
        context.add_output_metadata({"document": store.url(path)})

    def _commit(self, context: dg.InputContext) -> CatalogCommit:
        catalog = self.platform.settings().open_catalog()
        run = getattr(context.step_context, "dagster_run", None)
        return catalog.at(catalog.resolve(run.tags.get(COMMIT_TAG, "HEAD") if run is not None else "HEAD"))

    def _of_dataset(self, context: dg.InputContext, commit: CatalogCommit, dataset_id: str, step: str) -> Any:
        settings, dataset = self.platform.settings(), commit.dataset(dataset_id)
        store = settings.store_for(dataset.access, commit.endpoints(settings.environment))
        opener = Opener(store, dataset, settings.s3)
        if step == "datapackage":
            return opener.newest().datapackage
        if step == "stac_item":
            return opener.newest().stac_item
        if step == "pygeoapi_entry":
            return opener.newest().pygeoapi_entry
        if step == "source":
            return [file.model_dump(mode="json") for file in opener.newest().sources]
        staged = opener.staged_by(attempt_of(context.step_context.run_id)) if step == "data" else None
        data = opener.data_of(staged or opener.newest())
        if context.has_asset_partitions and dataset.partition is not None:
            window = context.asset_partitions_time_window
            data = opener.within(data, window.start, window.end)
        return data

    def _collection(self, collection: str) -> Any:
        settings = self.platform.settings()
        for store in settings.stores().values():
            data = read_if_there(store, collection_path(collection))
            if data is not None:
                return json.loads(data)
        raise DataError(f"collection {collection} is not published yet", advice="materialize one of its datasets.")

    def _document(self, name: str) -> Any:
        data = read_if_there(self.platform.settings().store_for("limited"), _document_path(name))
        if data is None:
            raise DataError(f"nothing is kept of asset {name}", advice=f"materialize it with this IO manager; {BULK}.")
        return json.loads(data)


def _document_path(name: str) -> str:
    return f"assets/{name}.json"


def _small_json(value: Any, name: str) -> bytes:
    advice = "publish bulk data as a dataset of its own: describe it in the catalog with a source."
    try:
        data = json_bytes(value)
    except (TypeError, ValueError) as error:
        raise as_failure(
            DefinitionError(f"asset {name} returned {type(value).__name__}; {BULK}", advice=advice)
        ) from error
    if len(data) > LARGEST_DOCUMENT:
        raise as_failure(DefinitionError(f"asset {name} returned {len(data)} bytes of JSON; {BULK}", advice=advice))
    return data
