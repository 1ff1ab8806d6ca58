"""The process in which a catalog's jsonnet is evaluated: reads a request on stdin, writes the answer on stdout.

Here belongs what must run apart from us, because catalogs may be hostile: only the standard library and jsonnet
are imported. Not here: starting it and telling what went wrong (``jsonnet_evaluator``).
"""

from __future__ import annotations

import json
import posixpath
import resource
import sys
from collections.abc import Mapping


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Bound this process: address space, CPU time, and no file may be written."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def resolve(folder: str, name: str, files: Mapping[str, str]) -> str:
    """The path in ``files`` that ``import 'name'`` in ``folder`` means: beside the file, then from the root.

    Raises: ValueError when there is none, or when the name leads out of the catalog.
    """
    if name.startswith("/"):
        raise ValueError(f"{name}: an absolute path; imports stay inside the catalog")
    candidates = [posixpath.normpath(posixpath.join(folder, name)), posixpath.normpath(name)]
    inside = [path for path in candidates if path != ".." and not path.startswith(("../", "/"))]
    if not inside:
        raise ValueError(f"{name}: leads out of the catalog")
    for path in inside:
        if path in files:
            return path
    raise ValueError(f"{name}: the catalog has no {' and no '.join(dict.fromkeys(inside))} at this commit")


def main() -> None:
    """Evaluate one request; a failure is an answer too, so that only a killed process gives none."""
    import _jsonnet

    request = json.load(sys.stdin)
    files: dict[str, str] = request["files"]
    imports: list[str] = []
    limit(request["memory_bytes"], request["cpu_s"])

    def read(folder: str, name: str) -> tuple[str, bytes]:
        path = resolve(folder, name, files)
        if path not in imports:
            imports.append(path)
        return path, files[path].encode()

    try:
        text = _jsonnet.evaluate_snippet(
            request["main"],
            files[request["main"]],
            import_callback=read,
            max_stack=request["max_stack"],
            ext_vars=request["ext_vars"],
            tla_vars=request["tla_vars"],
        )
        answer = {"text": text, "imports": imports}
        if len(text) > request["largest_answer"]:
            answer = {"error": f"the result has {len(text)} characters, more than {request['largest_answer']}"}
    except RuntimeError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
