"""One side in one process, sides taken in turns, and the median of the rounds.

Here belongs the clock, the child process and the median. Not here: what is measured. This module imports nothing
heavy: on Linux a child's peak memory begins at that of the process which forked it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType

from benchmarks import inputs as inputs_module

KIB_PER_MB = 1024 if sys.platform != "darwin" else 1024 * 1024
ROOT = Path(__file__).parents[1]


class Clock:
    """Wall seconds of all that runs inside it, and the peak resident memory of the process when it ends; ``share`` is
    what a side read of all that it could have read, where it counts that."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak_mb = 0.0
        self.share = 0.0
        self._begin = 0.0

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.perf_counter() - self._begin
        self.read_peak()

    def read_peak(self) -> None:
        self.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MB


def load(*modules: str) -> None:
    """Import before the clock starts what a side would otherwise import within; each side loads what it uses."""
    for module in modules:
        importlib.import_module(module)


@dataclass(frozen=True)
class Measure:
    """Medians over the rounds."""

    seconds: float
    peak_mb: float
    share: float = 0.0
    """bytes read / bytes there are, for the sides that count them"""


def in_child(call: str, inputs: Path, out: Path, smoke: bool) -> Measure:
    """Run ``module:function`` of this package in a fresh process. Raises: RuntimeError with its last words."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.measuring", call, str(inputs), str(out)]
    done = subprocess.run(command + ["--smoke"] * smoke, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{call} failed:\n{done.stderr[-3000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Measure(told["seconds"], told["peak_mb"], told["share"])


def in_turns(calls: Sequence[str], inputs: Path, scratch: Path, rounds: int, smoke: bool) -> dict[str, Measure]:
    """Every call once a round, one after the other, so that a busy minute hits all alike.

    A side writes into ``<module>-<function>-<round>``; ``our_proof``, ``plain_copy`` and the questions for sites read
    what ``ours`` wrote in the same round. Of what was written only the first round is kept.
    """
    found: dict[str, list[Measure]] = {call: [] for call in calls}
    for number in range(rounds):
        for call in calls:
            writer = (
                "tables:ours" if call.startswith("questions:site") else re.sub("our_proof|plain_copy", "ours", call)
            )
            folder = f"{writer.replace(':', '-')}-{number}"
            found[call].append(in_child(call, inputs, scratch / folder, smoke))
        for written in scratch.glob(f"*-{number}") if number else ():
            shutil.rmtree(written)
    return {
        call: Measure(*(statistics.median(figure) for figure in zip(*map(astuple, rows), strict=True)))
        for call, rows in found.items()
    }


def main() -> None:
    """The child: run one side and print what its clock says as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("call")
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--smoke", action="store_true")
    told = parser.parse_args()
    module, _, function = told.call.partition(":")
    clock = Clock()
    size = inputs_module.SMOKE if told.smoke else inputs_module.FULL
    getattr(importlib.import_module(f"benchmarks.{module}"), function)(told.inputs, told.out, size, clock)
    if not clock.peak_mb:
        clock.read_peak()
    print(json.dumps({"seconds": clock.seconds, "peak_mb": clock.peak_mb, "share": clock.share}))


if __name__ == "__main__":
    main()
