"""pygeoapi's files in the store: a header by people, an entry a dataset, and the two files that the server reads.

Here belongs where the files of ``pygeoapi/`` lie and how the served ones are kept in step. Not here: what an entry
says (``domain/pygeoapi``), pygeoapi's own OpenAPI generator (``pygeoapi_openapi``), or the server (``stack``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.pygeoapi import default_header, merge
from rimrep_assets.domain.release import Places, ReleaseRecord, json_bytes, sha256
from rimrep_assets.ports.object_store import ObjectStore, StoredObject, read_if_there
from rimrep_assets.ports.pygeoapi_openapi import header_openapi, merge_openapi
from rimrep_assets.ports.shared_document import json_object, keep_in_step, listing_digest, render_from

HEADER = "pygeoapi/header.yaml"
CONFIG = "pygeoapi/config-pygeoapi.yaml"
OPENAPI = "pygeoapi/config-openapi.yaml"
LOG = logging.getLogger("rimrep")


@dataclass(frozen=True)
class PygeoapiConfig:
    """The tree ``pygeoapi/`` of one store. Raises: Unavailable, DefinitionError as the store does."""

    store: ObjectStore

    def own_documents(self, record: ReleaseRecord) -> dict[str, bytes]:
        """What the record alone decides."""
        places = Places(record.dataset)
        return {
            places.pygeoapi_entry: yaml_bytes(record.pygeoapi_entry),
            places.openapi_fragment: json_bytes(record.openapi_fragment),
        }

    def publish(self, record: ReleaseRecord) -> None:
        """Write the entry, then the served configuration, where they differ."""
        self._provide_header(record)
        for path, data in self.own_documents(record).items():
            if read_if_there(self.store, path) != data:
                self.store.write(path, data)
        self.refresh()

    def _provide_header(self, record: ReleaseRecord) -> None:
        self._header_for(record.datapackage["rimrep"]["addresses"]["pygeoapi"].partition("/collections/")[0])

    def _header_for(self, address: str) -> None:
        if read_if_there(self.store, HEADER) is None:
            self.store.create(HEADER, yaml_bytes(default_header(address)))

    def begin(self, address: str) -> None:
        """Let there be something to serve before the first publication: a header for ``address``, and no entry."""
        self._header_for(address)
        self.refresh()

    def refresh(self) -> bool:
        """Bring the served files in step with header and entries; whether anything was written."""
        return keep_in_step(self.store, self._parts, self._served)

    def differences(self) -> list[str]:
        """The served files that are not what the listing wants."""
        wanted = render_from(self.store, self._parts, self._served)
        return [
            f"{p} is not in step with what is listed" for p, d in wanted.items() if read_if_there(self.store, p) != d
        ]

    def require_header(self) -> None:
        """Read the header that people wrote, where there is one. Raises: DefinitionError when it is no header."""
        text = read_if_there(self.store, HEADER)
        if text is not None:
            _header(text)

    def _parts(self) -> Sequence[StoredObject]:
        return [o for o in self.store.list("pygeoapi") if o.path == HEADER or o.path.startswith("pygeoapi/datasets/")]

    def _served(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        if HEADER not in contents:
            return {}
        header = _header(contents[HEADER])
        entries: dict[str, Any] = {}
        for path, data in sorted(contents.items()):
            if path.endswith(".yaml") and path != HEADER:
                entries[_dataset(path, ".yaml")] = _loaded(data)
        fragments = {
            _dataset(path, ".openapi.json"): fragment
            for path, data in sorted(contents.items())
            if path.endswith(".openapi.json") and (fragment := json_object(data)) is not None
        }
        config, left_out = merge(header, entries)
        for dataset, reason in left_out.items():
            LOG.warning("pygeoapi's entry of %s is left out: %s", dataset, reason)
        served = {dataset: fragments[dataset] for dataset in config["resources"] if dataset in fragments}
        openapi = merge_openapi(self._header_openapi(contents[HEADER], header), served)
        stamp = f"# made from the files listed in pygeoapi/, digest {listing_digest(contents)}\n".encode()
        return {CONFIG: stamp + yaml_bytes(config), OPENAPI: stamp + yaml_bytes(openapi)}

    def _header_openapi(self, text: bytes, header: Mapping[str, Any]) -> dict[str, Any]:
        """pygeoapi's own document for the header; its generator takes seconds, so what it made is kept."""
        path = f"pygeoapi/openapi/{sha256(text)[:16]}.json"
        known = read_if_there(self.store, path)
        if (found := json_object(known)) is not None:
            return found
        made = header_openapi(header)
        self.store.write(path, json_bytes(made))
        return made


def yaml_bytes(document: Any) -> bytes:
    """YAML in the document's own order, without anchors, so that people can read it."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110).encode()


def _header(text: bytes) -> dict[str, Any]:
    found = _loaded(text)
    if not isinstance(found, dict):
        raise DefinitionError(f"{HEADER} is no YAML mapping", advice="mend it, then run `rimrep reconcile --fix`.")
    return found


def _dataset(path: str, ending: str) -> str:
    return path.rpartition("/")[2].removesuffix(ending)


def _loaded(data: bytes) -> Any:
    """The entry, or None for what is not YAML, so that one broken entry does not drop the others."""
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError:
        return None
