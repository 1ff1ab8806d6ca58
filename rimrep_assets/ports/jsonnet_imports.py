"""Which files a jsonnet file reaches, found by reading it instead of evaluating it.

Here belongs the scan and the closure. Not here: evaluation (``jsonnet_evaluator``), or which files a commit has
(``catalog``). Jsonnet allows only literals after ``import``, so a scan finds every import; it may find more, in
comments and in branches that are never evaluated, and then a dataset is made again without need.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from rimrep_assets.ports.jsonnet_child import resolve

IMPORT = re.compile(
    r"""\b(import|importstr|importbin)
        (?:\s|/\*.*?\*/|//[^\n]*\n|\#[^\n]*\n)*
        (?:(?P<raw>@'(?:[^']|'')*'|@"(?:[^"]|"")*")|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))""",
    re.VERBOSE | re.DOTALL,
)
JSONNET = (".jsonnet", ".libsonnet", ".json")
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def closure(main: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """``main`` and every key of ``files`` that it imports, directly or not, sorted; empty where ``main`` is not there.

    What is imported and not there is left out: evaluating says so.
    """
    if main not in files:
        return ()
    found, todo, scanned = {main}, [main], {main}
    while todo:
        path = todo.pop()
        for word, name in scan(files[path]):
            try:
                target = resolve(posixpath.dirname(path), name, files)
            except ValueError:
                continue
            found.add(target)
            # `importstr` and `importbin` take a file as it is: what it says is not code there.
            if word == "import" and target not in scanned:
                scanned.add(target)
                todo.append(target)
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def scan(text: str) -> tuple[tuple[str, str], ...]:
    """``(word, name)`` of everything in ``text`` that reads like an import, in order."""
    return tuple(_imports(text))


def _imports(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while match := IMPORT.search(text, position):
        # Begin again right after the word: what looks like a name may be the end of one string and hold an import.
        position = match.end(1)
        raw, plain = match.group("raw"), match.group("text")
        name = raw[2:-1].replace(raw[1] * 2, raw[1]) if raw is not None else ESCAPE.sub(_unescaped, plain[1:-1])
        yield match.group(1), name


def _unescaped(escape: re.Match[str]) -> str:
    digits, letter = escape.groups()
    return (
        chr(int(digits, 16)) if digits else {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.get(letter, letter)
    )


class JsonnetFiles(Mapping[str, str]):
    """What jsonnet may import at a commit, with ``endpoints.libsonnet`` standing for the environment's."""

    def __init__(self, texts: Mapping[str, str], environment: str) -> None:
        self._texts, self._environment = texts, environment

    def __contains__(self, path: object) -> bool:
        real = real_path(str(path), self._environment)
        return real in self._texts and real.endswith(JSONNET)

    def __getitem__(self, path: str) -> str:
        if path not in self:
            raise KeyError(path)
        return self._texts[real_path(path, self._environment)]

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._texts if path in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def real_path(path: str, environment: str) -> str:
    """The file that ``path`` names: ``endpoints.libsonnet`` is that of the environment, every other name its own."""
    return f"endpoints/{environment}.libsonnet" if path == "endpoints.libsonnet" else path
