"""Asking for runs, played through to the end: what is due gets done, no failed key comes again, and all of it ends."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.requests import ATTEMPTS, BACK_OFF_S, Asked, Pending, ask, run_key

COMMIT = "c" * 40


def asked(pending: Pending | None, ending: str = "absent", *, due=("data",), state="s1", now=0.0, busy=False) -> Asked:
    return ask("reef", pending, due=due, state=state, commit=COMMIT, release=1, ending=ending, is_busy=busy, now=now)  # type: ignore[arg-type]


def test_a_dataset_with_nothing_due_is_settled_unless_an_older_run_is_under_way():
    assert asked(None, due=()).pending is None
    assert asked(Pending(state="s1", key="k"), "succeeded", due=()).pending is None
    assert asked(Pending(state="s1", key="k"), "going", due=(), busy=True).pending == Pending()


def test_a_run_that_is_under_way_is_not_asked_for_again():
    first = asked(None)
    assert first.run_key
    assert asked(first.pending, "going") == Asked(first.pending)


def test_a_request_that_dagster_lost_is_made_again_under_its_own_key():
    first = asked(None)
    assert asked(first.pending, "absent").run_key == first.run_key


def test_another_state_is_asked_for_at_once_also_after_the_last_message():
    over = Pending(state="s1", key="k", attempt=ATTEMPTS, told=True)
    again = asked(over, "may pass", state="s2")
    assert again.run_key and again.pending and again.pending.attempt == 1


def test_what_only_a_change_can_mend_is_told_once_and_not_repeated():
    for ending in ("stays", "canceled"):
        first = asked(None)
        told = asked(first.pending, ending)
        assert told.message and "runs again when the catalog or its source changes" in told.message
        assert asked(told.pending, ending, now=1e9) == Asked(told.pending)


def test_failures_that_may_pass_back_off_and_end_in_one_message():
    now, keys, messages = 0.0, [], []
    pending, ending = None, "absent"
    for _ in range(60):
        step = asked(pending, ending, now=now)
        keys += [(now, step.run_key)] if step.run_key else []
        messages += [step.message] if step.message else []
        pending, ending = step.pending, "may pass"
        now += 600
    assert len(keys) == len({k for _, k in keys}) == ATTEMPTS
    waits = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(keys)]
    assert all(wait >= least for wait, least in zip(waits, BACK_OFF_S, strict=True))
    assert len(messages) == ATTEMPTS
    assert f"{ATTEMPTS} runs failed" in messages[-1]


def test_a_run_that_succeeds_without_releasing_does_not_start_a_loop():
    pending, now, started = None, 0.0, 0
    for _ in range(200):
        step = asked(pending, "succeeded", now=now)
        started += step.run_key is not None
        pending, now = step.pending, now + 900
    assert started == ATTEMPTS


endings = st.sampled_from(["absent", "going", "succeeded", "canceled", "may pass", "stays"])
moments = st.tuples(endings, st.sampled_from(["s1", "s2"]), st.booleans(), st.booleans(), st.floats(0, 9000))


@given(st.lists(moments, max_size=30))
def test_whatever_happens_a_key_comes_again_only_where_no_run_has_it(history):
    pending, now = None, 0.0
    for ending, state, is_due, busy, later in history:
        now += later
        step = asked(pending, ending, due=("data",) if is_due else (), state=state, now=now, busy=busy)
        if step.run_key and pending and pending.key == step.run_key and pending.state == state:
            assert ending == "absent"
        assert step.run_key is None or (step.pending and step.pending.key == step.run_key)
        assert not (step.run_key and not is_due)
        pending = step.pending


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["c1", "c2"]),
            st.sampled_from([("data",), ("datapackage",)]),
            st.integers(0, 2),
            st.integers(1, 3),
            st.sampled_from(["s", "t"]),
        ),
        unique=True,
    )
)
def test_a_key_names_dataset_commit_steps_release_attempt_and_state(parts):
    assert len({run_key(*part) for part in parts}) == len(parts)
