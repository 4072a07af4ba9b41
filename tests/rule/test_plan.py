"""The rule's answers under a plan, against its sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.arrays import NEVER
from feast_bc.rule import NONE, Rows
from tests.support.plans import HORIZON, History, histories

INSTANTS = range(-1, HORIZON + 2)


@given(history=histories())
@settings(max_examples=300)
def test_the_winner_of_one_instant(history: History) -> None:
    plan = history.plan()
    for at in INSTANTS:
        expected, instant = history.winner(at)
        rows = history.columns(at)
        winner = plan.winners_now(at, rows)
        assert winner.tolist() == [expected]
        if instant is not None:
            assert plan.instants(winner, at, rows).tolist() == [instant]


@given(history=histories())
@settings(max_examples=300)
def test_the_winners_of_a_column_of_instants(history: History) -> None:
    """As a point-in-time join gives the rows: each at its own instant, within the TTL."""
    plan, instants = history.plan(), np.array(INSTANTS)
    usable, unchanged = {}, {}
    for version in range(history.version, history.version + history.versions):
        columns = [history.columns(at)[version] for at in INSTANTS]
        rows = Rows(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))
        usable[version] = plan.usable(rows, instants)
        assert rows.unchanged is not None
        unchanged[version] = rows.unchanged
    expected = [history.winner(at)[0] for at in INSTANTS]
    assert plan.winners(instants, usable, unchanged).tolist() == expected


@given(history=histories())
@settings(max_examples=200)
def test_which_versions_count(history: History) -> None:
    plan = history.plan()
    members = range(history.version, history.version + history.versions)
    for at in INSTANTS:
        expected = [k for k in reversed(members) if history.counts(k, at)]
        assert list(plan.counting(at)) == expected
        assert set(expected) <= set(plan.ever_counting)
        for k in members:
            assert plan.counts(k, np.array([at])).tolist() == [history.counts(k, at)]


@given(history=histories(), since=st.sampled_from(INSTANTS), until=st.sampled_from(INSTANTS))
@settings(max_examples=1000)
def test_no_change_goes_unseen(history: History, since: int, until: int) -> None:
    """Between two instants a value changes only if one of the two answers says so."""
    since, until = sorted((since, until))
    plan, rows = history.plan(), history.columns(until)
    changed = plan.changed(since, until, plan.winners_now(until, rows), rows)
    if history.winner(since) != history.winner(until):
        assert plan.changes_between(since, until) or changed.tolist() == [True]


def test_what_does_not_win_is_no_change() -> None:
    """An older version's row arrives while a newer one serves; a row expired long ago."""
    history = History(0, 2, {1: [(0, None)]}, [(1, 1, True), (0, 5, True)])
    plan, rows = history.plan(), history.columns(6)
    assert plan.changed(4, 6, plan.winners_now(6, rows), rows).tolist() == [False]
    history = replace(history, rows=[(1, 1, True), (0, 3, True)], ttl=3)
    plan, rows = history.plan(), history.columns(6)
    assert plan.changed(5, 6, plan.winners_now(6, rows), rows).tolist() == [False]


def test_a_change_at_the_edges_of_the_window() -> None:
    def changed(history: History, since: int, until: int) -> bool:
        plan, rows = history.plan(), history.columns(until)
        (answer,) = plan.changed(since, until, plan.winners_now(until, rows), rows).tolist()
        return bool(answer)

    arrives = History(0, 1, {}, [(0, 4, True)])
    assert changed(arrives, 4, 6)
    assert not changed(arrives, 5, 6)
    ends = History(0, 2, {1: [(0, None)]}, [(0, 1, True), (1, 4, False)])
    assert changed(ends, 4, 6)
    assert not changed(ends, 5, 6)
    expires = History(0, 1, {}, [(0, 1, True)], ttl=3)  # usable at 4, not at 5
    assert not changed(expires, 3, 4)
    assert changed(expires, 4, 5)
    assert not changed(expires, 5, 6)


def test_a_cut_over_at_the_edges_of_the_window() -> None:
    plan = History(0, 2, {0: [(2, 9)], 1: [(5, 7)]}).plan()
    assert not plan.changes_between(2, 4)  # version 0 always counts for its own view
    assert plan.changes_between(4, 5)
    assert not plan.changes_between(5, 6)
    assert plan.changes_between(6, 7)
    assert not plan.changes_between(7, 20)
    assert not plan.changes_between(6, 4)


def test_a_null_has_the_instant_of_the_newest_row_that_counts() -> None:
    history = History(
        0, 3, {1: [(0, None)]}, [(0, 1, True), (1, 2, False), (0, 3, False), (2, 4, True)]
    )
    plan, rows = history.plan(), history.columns(5)
    winner = plan.winners_now(5, rows)
    assert winner.tolist() == [NONE]
    assert plan.instants(winner, 5, rows).tolist() == [3]
    nobody = {version: Rows(np.array([NEVER]), np.array([False])) for version in (0, 1)}
    assert plan.instants(np.array([NONE]), 5, nobody).tolist() == [NEVER]
    assert plan.instants(np.array([NONE]), 5, {0: nobody[0]}).tolist() == [NEVER]
    both = {0: Rows(np.array([3, 4]), np.array([False, True]))}
    assert plan.instants(np.array([NONE, 0]), 5, both).tolist() == [3, 4]


def test_versions_without_rows_may_be_left_out() -> None:
    history = History(0, 3, {1: [(0, None)], 2: [(0, None)]}, [(0, 1, True)])
    plan = history.plan()
    rows = {0: history.columns(2)[0]}
    winner = plan.winners_now(2, rows)
    assert winner.tolist() == [0]
    assert plan.instants(winner, 2, rows).tolist() == [1]
    assert plan.changed(1, 2, winner, rows).tolist() == [True]


def test_the_digest_names_whatever_may_change_a_value() -> None:
    base = History(0, 3, {1: [(2, None)]})
    digests = {
        base.plan().digest,
        replace(base, ttl=5).plan().digest,
        replace(base, active={1: [(3, None)]}).plan().digest,
        replace(base, active={1: [(2, 4)]}).plan().digest,
        replace(base, active={1: [(2, 2)]}).plan().digest,
        replace(base, active={1: [(2, None)], 2: [(9, None)]}).plan().digest,
        replace(base, active={}).plan().digest,
        replace(base, version=1, active={2: [(2, None)]}).plan().digest,
    }
    assert len(digests) == 8
    plan = base.plan()
    for place in range(2):  # a version's content, also of one that is only a link
        members = list(plan.members)
        members[place] = members[place]._replace(digest="other")
        assert replace(plan, members=tuple(members)).digest not in digests


def test_the_digest_does_not_change_for_nothing() -> None:
    base = History(1, 2, {2: [(2, None)]})
    assert base.plan().digest == base.plan().digest
    # A version that was never activated, and activations of the view's own version.
    assert replace(base, versions=3).plan().digest == base.plan().digest
    assert replace(base, active={1: [(0, 4)], 2: [(2, None)]}).plan().digest == base.plan().digest
    assert len(base.plan().digest) == 32
