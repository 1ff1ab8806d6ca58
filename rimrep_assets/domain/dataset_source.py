"""The key ``source`` of ``dataset.yaml``: where a provider keeps the data, and which of it is wanted.

Here belongs what a curator may write for each kind of source. Not here: reading a source (``ports/sources``), or how
data must come by how often it changes (``access_rules``).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from rimrep_assets.domain.strict_model import StrictModel

OF_EARTHDATA = ("concept_id", "short_name", "version", "provider", "bbox", "temporal")
"""keys that only NASA Earthdata has"""
CONCEPT_ID = re.compile(r"C\d+-[A-Z0-9_]+")


class Source(StrictModel):
    """Where a provider keeps the data."""

    kind: Literal["local", "http", "earthdata"]
    url: str | None = None
    """a folder or file; for ``local`` it may be relative, and then counts from the catalog repository itself"""
    include: tuple[str, ...] = ("*",)
    """globs on the path below ``url``, or on the names of granules' files; a plain string stands for one glob"""
    exclude: tuple[str, ...] = ()
    ranges: bool = False
    """of NetCDF-4 files only the bytes that are published are fetched; files are known by their server's validators"""
    upload: bool = False
    """people put files there by hand; only data that rarely changes may come so (``access_rules``)"""
    concept_id: str | None = None
    """the collection in NASA's catalogue (CMR), ``C1996881146-POCLOUD``; or its ``short_name`` and ``version``"""
    short_name: str | None = None
    version: str | None = None
    provider: str | None = None
    """the archive, ``POCLOUD``, where several have a collection of that name and version"""
    bbox: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees: granules that meet this box; west > east crosses the antimeridian"""
    temporal: tuple[str, str | None] | None = None
    """first and last day or time (UTC) of the granules that are wanted; null goes on for ever"""

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("version", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            # 4.10 and 002 would have lost a digit by now.
            raise ValueError(f"{value} is a number; write the version in quotes, as '{value}'")
        return value

    @field_validator("temporal", mode="before")
    @classmethod
    def _times_as_text(cls, value: Any) -> Any:
        # YAML makes dates of what looks like one.
        return [v.isoformat() if isinstance(v, date) else v for v in value] if isinstance(value, list) else value

    @field_validator("temporal")
    @classmethod
    def _is_a_span(cls, value: tuple[str, str | None] | None) -> tuple[str, str | None] | None:
        if value is not None:
            first, last = _utc(value[0]), _utc(value[1], ends=True) if value[1] is not None else None
            if last is not None and last < first:
                raise ValueError(f"{value[1]} lies before {value[0]}")
        return value

    @field_validator("bbox")
    @classmethod
    def _is_a_box(cls, value: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if value is None:
            return None
        west, south, east, north = value
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
            raise ValueError(f"{list(value)} is not [west, south, east, north] within -180..180 and -90..90")
        return value

    @model_validator(mode="after")
    def _keys_fit_kind(self) -> Source:
        if self.ranges and self.kind != "http":
            raise ValueError(f"ranges belongs to kind: http, not to kind: {self.kind}")
        foreign = [key for key in OF_EARTHDATA if getattr(self, key) is not None]
        if self.kind == "earthdata":
            self._refuse_wrong_collection()
            return self
        if foreign:
            verb = "belong" if len(foreign) > 1 else "belongs"
            raise ValueError(f"{', '.join(foreign)} {verb} to kind: earthdata, not to kind: {self.kind}")
        if self.url is None:
            raise ValueError(f"url is missing: kind: {self.kind} needs it")
        if self.kind == "http" and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url {self.url!r} does not start with http:// or https://")
        if "@" in urlsplit(self.url).netloc:
            # The address stands in every release record, and those of public datasets are public.
            raise ValueError("url holds a user or password; credentials never stand in the catalog")
        if self.kind == "local" and "://" in self.url:
            raise ValueError(f"url {self.url!r} is not a folder or file of this machine; use kind: http")
        return self

    def _refuse_wrong_collection(self) -> None:
        problems = []
        if self.url is not None:
            problems.append("url does not belong to kind: earthdata, where short_name or concept_id name the data")
        if self.concept_id is None:
            missing = [key for key in ("short_name", "version") if not getattr(self, key)]
            if missing:
                # Without a version the search finds every version of the collection, one beside the other.
                lacks = " and ".join(missing)
                problems.append(f"kind: earthdata needs concept_id, or short_name and version; it lacks {lacks}")
        else:
            if not CONCEPT_ID.fullmatch(self.concept_id):
                problems.append(f"concept_id {self.concept_id!r} is no collection's, like 'C1996881146-POCLOUD'")
            double = [key for key in ("short_name", "version", "provider") if getattr(self, key) is not None]
            if double:
                problems.append(f"concept_id names the collection already; leave out {', '.join(double)}")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def address(self) -> str:
        """Where the data comes from, for people: the url, or the collection of Earthdata."""
        if self.url is not None:
            return self.url
        named = self.concept_id or f"{self.short_name} version {self.version}"
        return f"NASA Earthdata, {named}" + (f" of {self.provider}" if self.provider else "")

    def granule_query(self) -> dict[str, str]:
        """The parameters that find the granules.

        Source: https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html (granule search by parameters).
        """
        if self.concept_id is not None:
            query = {"collection_concept_id": self.concept_id}
        else:
            query = {"short_name": self.short_name or "", "version": self.version or ""}
        if self.provider is not None:
            query["provider"] = self.provider
        if self.bbox is not None:
            query["bounding_box"] = ",".join(f"{number:.10g}" for number in self.bbox)
        if self.temporal is not None:
            first, last = self.temporal
            ends = "" if last is None else _written(_utc(last, ends=True))
            query["temporal"] = f"{_written(_utc(first))},{ends}"
        return query


def _utc(text: str, *, ends: bool = False) -> datetime:
    """A day or time as written; a day that ends a span counts to its last millisecond, which is CMR's finest unit."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day like 2002-06-01 or a time like 2002-06-01T09:00:00Z") from None
    if ends and len(text) == len("2002-06-01"):
        found = found.replace(hour=23, minute=59, second=59, microsecond=999_000)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"
