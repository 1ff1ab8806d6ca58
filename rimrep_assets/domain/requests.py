"""Which run is asked for, and when again after one that failed: a pure function from what is known of one dataset.

Here belong run keys, back-off and the words that are told. Not here: what is due (``plan``), finding out how a run
ended, or asking (``defs/catalog_sensor``, ``defs/source_sensor``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rimrep_assets.domain.strict_model import StrictModel

BACK_OFF_S = (60, 300, 1800, 7200)
"""seconds from the end of attempt 1, 2, 3, 4 to the next"""
ATTEMPTS = len(BACK_OFF_S) + 1

Ending = Literal["absent", "going", "succeeded", "canceled", "may pass", "stays"]
"""How the run of a key stands: no run has it; it has not ended; it succeeded; somebody ended it; it failed with what
may pass (a server that did not answer, a process that was killed); or with what only catalog or source can change."""

WORDS = {"may pass": "failed", "succeeded": "ended without releasing what is due"}


class Pending(StrictModel):
    """What a sensor remembers of a dataset that is not settled; it saves work, and losing it costs only that."""

    state: str = ""
    """digest of what was due when its run was asked for; empty: no run was asked for yet"""
    key: str = ""
    """of the newest run that was asked for"""
    attempt: int = 0
    """how often a run was asked for in this state"""
    retry_at: float | None = None
    """seconds since 1970, once the newest run is known to have failed"""
    stale: bool = False
    """the catalog changed since it was compared"""
    told: bool = False
    """the last message was given: only a change of catalog or source wakes it"""

    def needs_a_look(self, ending: Ending, now: float) -> bool:
        """Whether comparing it again could change anything, while the catalog stays as it is."""
        if self.stale or not self.state:
            return True
        if self.told or ending == "going":
            return False
        return self.retry_at is None or now >= self.retry_at


@dataclass(frozen=True)
class Asked:
    """What to do about a dataset now: ``run_key`` is asked for where there is one; ``message`` is for people."""

    pending: Pending | None
    """None: it is settled"""
    run_key: str | None = None
    message: str | None = None


def state_of(*parts: Any) -> str:
    """A short digest of what makes one state of due work differ from the next."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def run_key(dataset: str, commit: str, steps: Sequence[str], release: int, attempt: int, state: str = "") -> str:
    """A key that is asked for once: another commit, step, newest release, state or attempt gives another one."""
    return f"{dataset}-{commit[:7]}-{state_of(dataset, commit, list(steps), release, attempt, state)}"


def ask(
    dataset: str,
    pending: Pending | None,
    *,
    due: Sequence[str],
    state: str,
    commit: str,
    release: int,
    ending: Ending,
    is_busy: bool,
    now: float,
) -> Asked:
    """Decide about ``dataset``, of which the steps ``due`` (none: nothing) are due in ``state``.

    ``ending`` is of the run with ``pending.key``; ``is_busy``: some run of the dataset is under way, which may still
    release something older; ``now`` in seconds since 1970.
    """
    before = (pending or Pending()).model_copy(update={"stale": False})
    if not due:
        # A run under way may still release what an older commit describes; then it is due again.
        return Asked(Pending() if is_busy else None)
    if before.state != state:
        return _attempt(dataset, 1, due, state, commit, release)
    if before.told or ending == "going":
        return Asked(before)
    if ending == "absent":
        return Asked(before, run_key=before.key)
    if ending == "canceled":
        return _give_up(dataset, before, "its run was canceled")
    if ending == "stays":
        return _give_up(dataset, before, "its run failed, and would fail again as things are")
    if before.attempt >= ATTEMPTS:
        return _give_up(dataset, before, f"{ATTEMPTS} runs {WORDS[ending]}, and no more are started")
    if before.retry_at is None:
        wait = BACK_OFF_S[before.attempt - 1]
        told = f"{dataset}: run {before.attempt} of {ATTEMPTS} {WORDS[ending]}; the next starts in {wait // 60} min"
        return Asked(before.model_copy(update={"retry_at": now + wait}), message=told)
    if now < before.retry_at or is_busy:
        return Asked(before)
    return _attempt(dataset, before.attempt + 1, due, state, commit, release)


def _attempt(dataset: str, number: int, due: Sequence[str], state: str, commit: str, release: int) -> Asked:
    key = run_key(dataset, commit, due, release, number, state)
    return Asked(Pending(state=state, key=key, attempt=number), run_key=key)


def _give_up(dataset: str, pending: Pending, why: str) -> Asked:
    told = f"{dataset}: {why}; it runs again when the catalog or its source changes, or when somebody starts it"
    return Asked(pending.model_copy(update={"told": True}), message=told)
