"""Which native rows are kept, against the rule's sentence at every later instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.instants import to_datetime
from feast_bc.rule import NONE, Activation, Kept, Member, Plan, Rows, Served
from tests.support.plans import HORIZON, History, histories

AFTER = 2 * HORIZON + 3
"""An instant at which all rows have expired and everything decided has happened."""


def kept(family: Sequence[History], version: int, rollbacks: int) -> Kept:
    """What is kept of a version for the views of a family."""
    own = Plan((Member(version, f"digest {version}"),))
    return Kept(own, tuple(Served(history.plan(), rollbacks) for history in family))


def family_of(history: History) -> list[History]:
    """The history of every view of a family whose oldest view is the given one's."""
    newest = history.version + history.versions
    return [
        replace(history, version=j, versions=newest - j) for j in range(history.version, newest)
    ]


def may_be_rolled_back(
    history: History, rollbacks: int
) -> list[Mapping[int, Sequence[tuple[int, int | None]]]]:
    """The activations that are left, whichever versions are rolled back."""
    return [
        {k: spans for k, spans in history.active.items() if k not in gone}
        for count in range(rollbacks + 1)
        for gone in combinations(history.active, count)
    ]


@given(
    history=histories(),
    since=st.integers(-1, HORIZON + 1),
    rollbacks=st.integers(0, 2),
)
@settings(max_examples=400)
def test_every_later_winner_is_kept_and_nothing_else(
    history: History, since: int, rollbacks: int
) -> None:
    """Rows that lie ahead count from now on: they are dated before everything here."""
    newest = {
        k: row
        for k in range(history.version, history.version + history.versions)
        if (row := history.newest(k, HORIZON)) is not None
    }
    needed = set()
    for view in family_of(history):
        for active in may_be_rolled_back(history, rollbacks):
            for t in range(since, AFTER):
                needed.add(winner(replace(view, active=active), newest, t))
    rows = history.columns(HORIZON)
    found = {k for k in rows if kept(family_of(history), k, rollbacks).needed(since, rows).item()}
    assert found == needed - {NONE}


def winner(view: History, newest: Mapping[int, tuple[int, bool]], t: int) -> int:
    """The rule's sentence over what is stored."""
    for k in sorted(newest, reverse=True):
        instant, valid = newest[k]
        fresh = view.ttl is None or t - instant <= view.ttl
        if k >= view.version and view.counts(k, t) and valid and fresh:
            return k
    return NONE


def test_an_older_row_that_outlives_the_newer_ones() -> None:
    """Version 1 wins although its row is older; when it expires version 0 does, with no new row."""
    history = History(0, 2, {1: [(0, None)]}, [(0, 6, True), (1, 5, True)], ttl=4)
    (view, _) = family_of(history)
    rows = history.columns(7)
    assert kept([view], 0, 0).needed(7, rows).tolist() == [True]
    forever = replace(view, ttl=None)
    assert kept([forever], 0, 0).needed(7, rows).tolist() == [False]
    assert kept([forever], 0, 1).needed(7, rows).tolist() == [True]


def test_what_a_cut_over_ahead_of_now_needs_is_kept_until_then() -> None:
    history = History(0, 2, {1: [(9, None)]}, [(0, 1, True), (1, 1, True)])
    (view, _) = family_of(history)
    rows = history.columns(2)
    assert [kept([view], 0, 0).needed(t, rows).item() for t in (2, 8, 9)] == [True, True, False]
    assert kept([view], 1, 0).needed(2, rows).tolist() == [True]


def test_many_entities() -> None:
    plan = History(0, 2, {1: [(0, None)]}).plan()
    both, none = np.array([True, True, False]), np.array([3, 3, 3])
    rows = {0: Rows(none, np.array([True, True, True])), 1: Rows(none, both)}
    found = Kept(Plan(plan.members[:1]), (Served(plan, 0),)).needed(5, rows)
    assert found.tolist() == [False, False, True]


def test_views_that_plan_differently_each_have_their_say() -> None:
    """They may have been applied one by one."""
    history = History(0, 2, {1: [(0, None)]}, [(0, 1, True), (1, 1, True)])
    rows = history.columns(2)
    late = replace(history, active={})
    assert not kept([history], 0, 0).needed(2, rows).any()
    assert kept([history, late], 0, 0).needed(2, rows).all()


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"active": {1: [(0, 9)]}}, True),
        ({"ttl": 3}, True),
        ({"versions": 3}, False),  # published, never activated
    ],
)
def test_the_digest_tells_when_something_else_may_have_to_be_kept(
    changed: Mapping[str, object], differs: bool
) -> None:
    history = History(0, 2, {1: [(0, None)]})
    other = replace(history, **changed)  # type: ignore[arg-type]
    assert (kept([history], 0, 1).digest != kept([other], 0, 1).digest) == differs
    assert kept([history], 0, 1).digest != kept([history], 0, 2).digest
    assert kept([history], 0, 1).digest != kept([], 0, 1).digest


def test_views_that_never_take_from_a_version_have_no_say() -> None:
    history = History(0, 3, {1: [(0, 4)]})
    family = family_of(history)
    assert kept(family, 2, 1).digest == kept(family[2:], 2, 1).digest
    assert kept(family, 2, 1).alone
    assert not kept(family, 1, 1).alone
    assert not kept(family, 0, 1).alone
    assert kept(family, 1, 1).changes_between(3, 4)
    assert not kept(family, 2, 1).changes_between(3, 4)


def test_a_version_ahead_of_all_that_was_activated_is_alone() -> None:
    plan = Plan((Member(0, "a"), Member(1, "b", (Activation(to_datetime(3)),)), Member(2, "c")))
    views = tuple(Served(Plan(plan.members[j:]), 1) for j in range(3))
    assert [Kept(Plan((Member(k, "x"),)), views).alone for k in range(3)] == [False, False, True]
