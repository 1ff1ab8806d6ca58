"""Rendering a catalog's jsonnet, in a process of its own and with imports from the catalog alone.

Here belongs running the evaluation within limits and turning its failures into ours. Not here: which files a
commit has (``catalog``), or what the rendered document may say (``domain``).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rimrep_assets.domain.errors import DefinitionError

WALL_S = 10
CPU_S = 8
MEMORY_BYTES = 512 * 1024**2
MAX_STACK = 500
"""nested calls; jsonnet's own default, said here because a catalog must not depend on it"""
LARGEST_ANSWER = 1_000_000
"""characters; a description is text that people wrote"""


@dataclass(frozen=True)
class Evaluated:
    """A rendered document, and the closure of the files that it imports, in the order of their first use."""

    document: Mapping[str, Any]
    imports: tuple[str, ...]


def evaluate(
    main: str,
    files: Mapping[str, str],
    ext_vars: Mapping[str, str] | None = None,
    tla_vars: Mapping[str, str] | None = None,
    *,
    wall_s: float = WALL_S,
) -> Evaluated:
    """Render ``main``, a key of ``files`` (path in the catalog -> text); imports are looked up in ``files`` alone.

    A name is looked for beside the importing file, then from the catalog's root. The process may use ``wall_s``
    seconds, 8 s of CPU time, 512 MiB and 500 nested calls.
    Raises: DefinitionError with jsonnet's own message, or naming the limit that was reached.
    """
    request = {
        "main": main,
        "files": dict(files),
        "ext_vars": dict(ext_vars or {}),
        "tla_vars": dict(tla_vars or {}),
        "max_stack": MAX_STACK,
        "memory_bytes": MEMORY_BYTES,
        "cpu_s": CPU_S,
        "largest_answer": LARGEST_ANSWER,
    }
    if main not in files:
        raise DefinitionError(f"the catalog has no {main}")
    child = Path(__file__).with_name("jsonnet_child.py")
    try:
        # -I: neither the environment nor the working folder may add code to the process.
        done = subprocess.run(
            [sys.executable, "-I", str(child)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=wall_s,
            env={"LC_ALL": "C.UTF-8"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DefinitionError(f"{main}: the evaluation did not end within {wall_s:g} s") from error
    if done.returncode:
        raise DefinitionError(f"{main}: {_how_it_ended(done)}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise DefinitionError(f"{main}: {answer['error'].strip()}")
    document = json.loads(answer["text"])
    if not isinstance(document, dict):
        raise DefinitionError(f"{main} renders to {type(document).__name__}, not to an object")
    return Evaluated(document, tuple(answer["imports"]))


def _how_it_ended(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode == -signal.SIGXCPU or done.returncode == -signal.SIGKILL:
        return f"the evaluation used more than {CPU_S} s of CPU time"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    if done.returncode == -signal.SIGABRT or "MemoryError" in last[0] or "bad_alloc" in last[0]:
        return f"the evaluation used more than {MEMORY_BYTES // 1024**2} MiB of memory"
    return f"the evaluation ended with status {done.returncode}: {last[0]}"
