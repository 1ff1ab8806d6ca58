"""Between what a request says, what Arrow holds and what GeoJSON can say.

Here belong times, scalars and types of the pygeoapi providers. Not here: the providers (``pygeoapi_providers``,
``pygeoapi_coverages``).
"""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pygeoapi.provider.base import ProviderInvalidQueryError

NANOSECONDS_BEGIN, NANOSECONDS_END = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""beyond these a count of nanoseconds since 1970 does not fit into 64 bits, and 9999-12-31 is often asked for"""


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Both ends of an OGC datetime, in UTC and inclusive; None where it is open. A date stands for its whole day.

    Raises: ProviderInvalidQueryError.
    """
    first, slash, last = text.partition("/")
    ends = (first, last if slash else first)
    return _bound(ends[0], upper=False), _bound(ends[1], upper=True)


def _bound(text: str, *, upper: bool) -> datetime | None:
    if text in ("", ".."):
        return None
    try:
        moment = datetime.fromisoformat(text + {4: "-01-01", 7: "-01"}.get(len(text), ""))
    except ValueError as error:
        raise ProviderInvalidQueryError(f"{text!r} is not a date and time like 2020-01-31T00:00:00Z") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return _last_moment_of(moment, text) if upper and "T" not in text else moment


def _last_moment_of(moment: datetime, text: str) -> datetime:
    """The end of the day, month or year that begins at ``moment``, as precise as ``text`` is."""
    if len(text) == 4:
        moment = moment.replace(month=12)
    if len(text) <= 7:
        moment = moment.replace(day=monthrange(moment.year, moment.month)[1])
    return moment.replace(hour=23, minute=59, second=59, microsecond=999_999)


def json_type(type_: Any) -> dict[str, str] | None:
    """JSON schema's words for an Arrow type; None for bytes, which no GeoJSON property can hold."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    checks = (
        (pa.types.is_integer, {"type": "integer", "format": str(type_)}),
        (pa.types.is_floating, {"type": "number", "format": str(type_)}),
        (pa.types.is_decimal, {"type": "number"}),
        (pa.types.is_boolean, {"type": "boolean"}),
        (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
        (pa.types.is_date, {"type": "string", "format": "date"}),
        (pa.types.is_time, {"type": "string", "format": "time"}),
        (pa.types.is_struct, {"type": "object"}),
        (pa.types.is_map, {"type": "array"}),
        (pa.types.is_nested, {"type": "array"}),
        (_is_bytes, None),
    )
    return next((described for fits, described in checks if fits(type_)), {"type": "string"})


def _is_bytes(type_: Any) -> bool:
    return any(fits(type_) for fits in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary))


def json_value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return value


def scalar(text: str, type_: Any, name: str) -> Any:
    """What ``text`` means in a column of ``type_``. Raises: ProviderInvalidQueryError."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    try:
        if pa.types.is_timestamp(type_):
            return moment_scalar(_bound(text, upper=False), type_)
        return pa.scalar(str(text)).cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ProviderInvalidQueryError(f"{text!r} is not a value of {name!r}, which holds {type_}") from error


def moment_scalar(moment: datetime | None, type_: Any) -> Any:
    assert moment is not None
    if pa.types.is_timestamp(type_):
        if type_.unit == "ns":
            moment = min(max(moment, NANOSECONDS_BEGIN), NANOSECONDS_END)
        # Arrow counts columns with and without timezone from the epoch in UTC.
        counted = pa.scalar(moment.replace(tzinfo=None), pa.timestamp("us"))
        return counted.cast(pa.timestamp(type_.unit), safe=False).cast(type_)
    if pa.types.is_date(type_):
        return pa.scalar(moment.date(), type_)
    return pa.scalar(moment.isoformat().replace("+00:00", "Z"), type_)
