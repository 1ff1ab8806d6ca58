"""What happens to a grid's source, drawn at random, and whether the store ends as it must.

Here belong the strategies of hypothesis, carrying a change out, and the comparison at the end. Not here: the store and
its attempts (``grid_history``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rimrep_assets_tests.grid_history import Life, Rules, content, days_in, read_by_netcdf4
from rimrep_assets_tests.worlds import GRID

KINDS = ("append", "re-issue", "withdraw", "late", "new variable")
CHANGES = st.one_of([st.tuples(st.just(kind), st.integers(0, 30), st.integers(0, 5)) for kind in KINDS])
"""a kind, a number that picks the place, and a seed of values"""
STEPS = st.tuples(st.lists(CHANGES, min_size=1, max_size=2), st.one_of(st.none(), st.integers(1, 24)))
"""changes, then an attempt that crashes at the numbered write, or does not"""
QUICK = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)


def change(life: Life, kind: str, place: int, seed: int) -> None:
    """One thing that a provider or a curator does; nothing where it cannot be done."""
    days = sorted(day for file in life.held.values() for day in file.days)
    names = sorted(life.held)
    if kind == "append":
        first = days[-1] + 1 + place % 3
        life.put([first, first + 1] if place % 2 else [first], seed)
    elif kind == "re-issue":
        file = life.held[names[place % len(names)]]
        life.put(file.days, seed, tuple(file.variables))
    elif kind == "withdraw":
        may_go = [name for name in names if name not in life.kept]
        if may_go and len(names) > 1:
            life.take_out(may_go[place % len(may_go)])
    elif kind == "late":
        free = [day for day in range(int(days[0]) - 2, int(days[-1])) if day not in days]
        life.put([free[place % len(free)]], seed)
    elif kind == "new variable":
        if life.rules.variables == "all":
            life.put([days[-1] + 1], seed, ("sst", "wind"))
        else:
            life.rules = Rules(life.rules.cadence, life.rules.chunk, "both")


def lived(life: Life, steps: Iterable[tuple[Iterable[tuple[str, int, int]], int | None]]) -> Life:
    """The life after ``steps``, each of changes and of the store call at which a publication of them breaks."""
    life.publish()
    for changes, crash in steps:
        for kind, place, seed in changes:
            change(life, kind, place, seed)
        life.publish(crash)
    life.publish()
    return life


def ends_as_a_clean_rebuild(life: Life) -> bool:
    """Snapshot, plain copy and a rebuild in an empty place are one, and are what netCDF4 reads of the source."""
    published = life.attempt().projector.repository.read(life.records()[-1].snapshot)
    plain = str(Path(life.store.address) / GRID / "data.zarr")
    assert content(published) == content(life.rebuilt()) == content(plain)
    assert days_in(plain) == read_by_netcdf4(life)
    return True
