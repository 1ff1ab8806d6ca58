"""Models that refuse what they do not know, and say which known key is nearest.

Here belongs turning pydantic's findings into sentences for curators. Not here: any model of the catalog.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class StrictModel(BaseModel):
    """A frozen model; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=BaseModel)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint ``; did you mean 'x'?``, or which words there are; empty when nothing is known."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(words)}" if words else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence per finding, each with the place in dotted form."""
    sentences = []
    for found in error.errors():
        loc = [p for p in found["loc"] if not (isinstance(p, str) and p in _TAGS)]
        place = ".".join(str(part) for part in loc)
        if found["type"] == "extra_forbidden":
            owner = ".".join(str(part) for part in loc[:-1]) or "the file"
            sentences.append(
                f"unknown key {str(loc[-1])!r} in {owner}{nearest(str(loc[-1]), _keys_at(model, loc[:-1]))}"
            )
        elif found["type"] == "missing":
            sentences.append(f"{place} is missing")
        else:
            message = found["msg"].removeprefix("Value error, ")
            # pydantic's own sentences do not say what was found; ours do.
            if found["type"] != "value_error" and isinstance(found["input"], str | int | float | None):
                message += f", not {found['input']!r}"
            sentences.append(f"{place}: {message}" if place else message)
    return sentences


_TAGS = frozenset({"function-after", "function-before"})


def _keys_at(model: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """The keys that the model allows at ``loc``, as far as its annotations tell."""
    current: Any = model
    for part in loc:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            continue
        current = _model_in(field.annotation) or current
    return list(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
