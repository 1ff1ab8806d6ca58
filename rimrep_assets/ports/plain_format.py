"""The two formats in which a plain copy may stand: what its metadata is, and what its chunks are called.

Here belongs everything in which Zarr 3 and Zarr 2 differ for the copy. Not here: the order of writes (``plain_copy``),
or translating one array's metadata (``domain/zarr_v2``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Protocol

from rimrep_assets.domain.release import json_bytes
from rimrep_assets.domain.zarr_v2 import DIMENSIONS, GROUP, ArrayV2, array_v2, chunk_key_v2

ROOT_V3, ROOT_V2 = "zarr.json", ".zmetadata"
ROOTS = {3: ROOT_V3, 2: ROOT_V2}
"""the document of each format that readers open the whole store by; no copy is there without it"""
NAMES = {3: frozenset({ROOT_V3}), 2: frozenset({ROOT_V2, ".zgroup", ".zattrs", ".zarray"})}
"""what metadata documents are called"""
_CHUNKS = {3: re.compile(r"[^/]+/c(/\d+)*"), 2: re.compile(r"[^/]+/\d+(\.\d+)*")}
OURS = "rimrep"
"""attribute of the root that carries the data's version"""


def is_metadata(key: str, format: int) -> bool:
    """Whether ``key`` is a metadata document of a format."""
    return key.rpartition("/")[2] in NAMES[format]


def is_of_format(key: str, format: int) -> bool:
    """Whether ``key`` is what only a format calls its metadata and chunks."""
    return is_metadata(key, format) or _CHUNKS[format].fullmatch(key) is not None


@dataclass(frozen=True)
class ShownArray:
    """An array as a root describes it; ``rest`` is all but the shape, to be compared."""

    shape: tuple[int, ...]
    dimensions: tuple[str, ...]
    rest: Any


@dataclass(frozen=True)
class Root:
    """A root document that stands in the store."""

    format: int
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, format: int, data: bytes | None) -> Root | None:
        """None where there is none, or what is there is no root: then all is written anew."""
        try:
            document = None if data is None else json.loads(data)
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        held = document.get("attributes" if format == 3 else "metadata")
        return cls(format, document) if isinstance(held, dict) else None

    @property
    def attributes(self) -> Mapping[str, Any]:
        if self.format == 3:
            return _mapping(self.document["attributes"])
        return _mapping(self.document["metadata"].get(".zattrs"))

    @property
    def snapshot(self) -> str | None:
        """The snapshot that the copy says it shows."""
        found = _mapping(self.attributes.get(OURS)).get("snapshot")
        return None if found is None else str(found)

    @cached_property
    def arrays(self) -> dict[str, ShownArray]:
        if self.format == 3:
            nodes = _mapping(_mapping(self.document.get("consolidated_metadata")).get("metadata"))
            return {path: _shown_v3(node) for path, node in nodes.items() if node.get("node_type") == "array"}
        documents = self.document["metadata"]
        return {
            key.removesuffix("/.zarray"): _shown_v2(node, documents.get(f"{key.removesuffix('.zarray')}.zattrs", {}))
            for key, node in documents.items()
            if key.endswith("/.zarray")
        }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _shown_v3(node: Mapping[str, Any]) -> ShownArray:
    rest = {key: value for key, value in node.items() if key != "shape"}
    return ShownArray(tuple(node.get("shape", ())), tuple(node.get("dimension_names") or ()), rest)


def _shown_v2(zarray: Mapping[str, Any], zattrs: Mapping[str, Any]) -> ShownArray:
    rest = {key: value for key, value in zarray.items() if key != "shape"}
    return ShownArray(tuple(zarray.get("shape", ())), tuple(zattrs.get(DIMENSIONS) or ()), [rest, zattrs])


class PlainFormat(Protocol):
    """A format, told of the snapshot's metadata: Zarr 3 documents by node path, '' the root."""

    @property
    def number(self) -> int: ...

    def metadata(self, mark: Mapping[str, Any]) -> dict[str, bytes]:
        """All metadata of the copy by key, the root first: the snapshot's, with ``mark`` in the root's attributes."""

    def chunk_key(self, key: str) -> str:
        """What the snapshot's chunk ``key`` is called in the copy."""

    def written_absent(self, beyond: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
        """Keys (the snapshot's) of the chunks that must be written even where the snapshot has none: those of arrays
        whose fill the format cannot say. Only those outside the shape in ``beyond``, where an array stands in it.
        """

    def absent_chunk(self, key: str) -> bytes | None:
        """What is written for a chunk that the snapshot has not; None: nothing."""

    def is_absent_chunk(self, key: str, data: bytes) -> bool:
        """Whether ``data`` is right at a chunk that the snapshot has not."""


@dataclass(frozen=True)
class Zarr3:
    """The snapshot's own format: documents and keys are taken over."""

    documents: Mapping[str, Any]
    number: int = 3

    def metadata(self, mark: Mapping[str, Any]) -> dict[str, bytes]:
        """See ``PlainFormat.metadata``."""
        arrays = {path: document for path, document in sorted(self.documents.items()) if path}
        root = {
            **self.documents[""],
            "attributes": {**self.documents[""].get("attributes", {}), OURS: mark},
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
        }
        return {ROOT_V3: json_bytes(root), **{f"{path}/{ROOT_V3}": json_bytes(doc) for path, doc in arrays.items()}}

    def chunk_key(self, key: str) -> str:
        """See ``PlainFormat.chunk_key``."""
        return key

    def written_absent(self, beyond: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
        """See ``PlainFormat.written_absent``."""
        return iter(())

    def absent_chunk(self, key: str) -> bytes | None:
        """See ``PlainFormat.absent_chunk``."""
        return None

    def is_absent_chunk(self, key: str, data: bytes) -> bool:
        """See ``PlainFormat.is_absent_chunk``."""
        return False


@dataclass(frozen=True)
class Zarr2:
    """The older format, with a ``.zmetadata`` by which readers open the whole."""

    documents: Mapping[str, Any]
    number: int = 2
    _encoded: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def arrays(self) -> dict[str, ArrayV2]:
        """Raises: DefinitionError for what format 2 cannot say."""
        return {path: array_v2(path, document) for path, document in sorted(self.documents.items()) if path}

    def metadata(self, mark: Mapping[str, Any]) -> dict[str, bytes]:
        """See ``PlainFormat.metadata``."""
        parts: dict[str, Any] = {
            ".zgroup": GROUP,
            ".zattrs": {**self.documents[""].get("attributes", {}), OURS: mark},
        }
        for path, array in self.arrays.items():
            parts |= {f"{path}/.zarray": array.zarray, f"{path}/.zattrs": array.zattrs}
        root = {"zarr_consolidated_format": 1, "metadata": parts}
        return {ROOT_V2: json_bytes(root), **{key: json_bytes(part) for key, part in parts.items()}}

    def chunk_key(self, key: str) -> str:
        """See ``PlainFormat.chunk_key``."""
        return chunk_key_v2(key)

    def written_absent(self, beyond: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
        """See ``PlainFormat.written_absent``."""
        for path, array in self.arrays.items():
            if array.absent is None:
                continue
            known = _grid(beyond.get(path, ()), array.zarray["chunks"])
            inside = [range(count) for count in known] if path in beyond else None
            for index in product(*map(range, _grid(array.zarray["shape"], array.zarray["chunks"]))):
                if inside is None or any(i not in there for i, there in zip(index, inside, strict=True)):
                    yield "/".join([path, "c", *map(str, index)])

    def absent_chunk(self, key: str) -> bytes | None:
        """See ``PlainFormat.absent_chunk``."""
        path = key.partition("/")[0]
        array = self.arrays.get(path)
        if array is None or array.absent is None or not self._lies_within(array, key):
            return None
        if path not in self._encoded:
            self._encoded[path] = array.absent_chunk()
        return self._encoded[path]

    def is_absent_chunk(self, key: str, data: bytes) -> bool:
        """See ``PlainFormat.is_absent_chunk``."""
        return self.absent_chunk(key) == data or self.arrays[key.partition("/")[0]].is_absent_chunk(data)

    def _lies_within(self, array: ArrayV2, key: str) -> bool:
        index = [int(part) for part in key.split("/")[2:]]
        return all(i < n for i, n in zip(index, _grid(array.zarray["shape"], array.zarray["chunks"]), strict=True))


def _grid(shape: Iterable[int], chunks: Iterable[int]) -> tuple[int, ...]:
    """How many chunks there are along each dimension."""
    return tuple(-(-size // length) for size, length in zip(shape, chunks, strict=False))


def plain_format(number: int, documents: Mapping[str, Any]) -> PlainFormat:
    """The format of this number for a snapshot's metadata."""
    return Zarr3(documents) if number == 3 else Zarr2(documents)
