"""The mark on words that `rimrep init` guessed, so that nothing guessed is published unseen.

Here belongs finding the mark in a document and taking it off. Not here: guessing (``proposal_words``), or which
documents are looked at (``datapackage``, ``access_rules``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GUESS = "(guess) "
MOST_SHOWN = 80
"""characters of a value that a message shows"""


def guesses_in(document: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """``(place, text)`` of every text that begins with the mark, e.g. ``("licenses.0.name", "(guess) other")``."""
    if isinstance(document, str):
        if document.startswith(GUESS.rstrip()):
            yield place, document
    elif isinstance(document, Mapping):
        for key, value in document.items():
            yield from guesses_in(value, f"{place}.{key}" if place else str(key))
    elif isinstance(document, list | tuple):
        for number, value in enumerate(document):
            yield from guesses_in(value, f"{place}.{number}" if place else str(number))


def still_guesses(document: Any) -> list[str]:
    """What is still marked, each in a sentence that says what to do."""
    return [
        f"{place}: {_short(text)!r} is still a guess of `rimrep init`: confirm it by removing the mark "
        f"{GUESS.strip()!r}, or write what is right"
        for place, text in guesses_in(document)
    ]


def guesses_in_schema(schema: Mapping[str, Any] | None) -> list[str]:
    """What is still marked in the words of a Table Schema's fields, as ``still_guesses`` says it.

    Names are not looked at: they come from the data, which may call a column as it likes.
    """
    fields = (schema or {}).get("fields", ())
    marked = {
        str(field.get("name")): {key: field[key] for key in ("title", "description") if key in field}
        for field in fields
        if isinstance(field, Mapping)
    }
    return [f"tableschema.json: {problem}" for problem in still_guesses(marked)]


def without_marks(document: Any) -> Any:
    """The same document as it would be if every guess were confirmed."""
    if isinstance(document, str):
        return document.removeprefix(GUESS.rstrip()).lstrip() if document.startswith(GUESS.rstrip()) else document
    if isinstance(document, Mapping):
        return {key: without_marks(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [without_marks(value) for value in document]
    return document


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
