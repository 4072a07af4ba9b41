"""What the checker holds the stores against, on examples made by hand."""

from __future__ import annotations

import pytest

from tests.checker.histories import history
from tests.checker.oracle import Link, Plan, Row, needed, transformed, value, winner
from tests.checker.promises import MATERIALIZED, ON_READ, Online
from tests.checker.releases import activate, nothing, plan, roll_back
from tests.checker.steps import WHOLE

PLAN: Plan = {"view": 0, "ttl": 10, "active": {0: (), 1: ((5, 20),), 2: ((8, None),)}}


@pytest.mark.parametrize(
    ("rows", "t", "expected"),
    [
        ([], 10, None),
        ([Row(0, 0, 3, 1)], 2, None),  # not yet there
        ([Row(0, 0, 3, 1)], 3, 1),
        ([Row(0, 0, 3, 1)], 13, 1),  # the TTL's last instant
        ([Row(0, 0, 3, 1)], 14, None),
        ([Row(0, 1, 3, 1)], 3, None),  # another entity
        ([Row(0, 0, 3, 1), Row(1, 0, 3, 2)], 4, 1),  # version 1 is not yet active
        ([Row(0, 0, 3, 1), Row(1, 0, 3, 2)], 5, 2),
        ([Row(0, 0, 19, 1), Row(1, 0, 12, 2)], 19, 2),  # an older row of a newer version wins
        ([Row(0, 0, 19, 1), Row(1, 0, 12, 2)], 20, 1),  # rolled back
        ([Row(0, 0, 9, 1), Row(1, 0, 3, 2)], 14, 1),  # version 1's row has expired
        ([Row(1, 0, 6, 1), Row(2, 0, 6, 2)], 7, 1),
        ([Row(1, 0, 6, 1), Row(2, 0, 6, 2)], 8, 2),
        ([Row(2, 0, 6, 1), Row(2, 0, 7, 2, null=True)], 8, None),  # only the newest row counts
        ([Row(1, 0, 6, 1), Row(2, 0, 7, 2, null=True)], 8, 1),
        ([Row(3, 0, 6, 1)], 8, None),  # a version that the plan does not know
    ],
)
def test_the_rule(rows: list[Row], t: int, expected: int | None) -> None:
    found = value(PLAN, rows, 0, t)
    assert (None if found is None else found.number) == expected


def test_a_stored_row_ahead_of_the_clock_counts() -> None:
    assert winner(PLAN, {0: Row(0, 0, 30, 1), 1: None, 2: None}, 3) == Row(0, 0, 30, 1)


def test_a_version_is_always_active_for_its_own_view() -> None:
    own = {"view": 1, "ttl": None, "active": {1: ((5, 6),), 2: ()}}
    rows = [Row(1, 0, 1, 1), Row(2, 0, 1, 2)]
    assert [value(own, rows, 0, t) for t in (1, 5, 9)] == [rows[0]] * 3


def test_transformations_go_hop_by_hop() -> None:
    links: dict[int, Link] = {
        1: {"kind": "affine", "weight": [[1, 2], [0, 3]], "bias": [5, -1]},
        2: {"kind": "truncation", "to": 2},
        3: {"kind": "mlp", "layers": [([[1, -1]], [0]), ([[2], [0], [1]], [1, 0, 7])]},
    }
    assert transformed(links, [4, 1], 1, 1) == (4, 1)
    assert transformed(links, [4, 1], 1, 0) == (11, 2)
    assert transformed(links, [4, 1, 9], 2, 0) == (11, 2)
    assert transformed(links, [4, 1], 3, 2) == (7, 0, 10)
    assert transformed(links, [1, 4], 3, 2) == (1, 0, 7)
    assert transformed(links, [4, 1], 3, 0) == (12, -1)


def test_releases() -> None:
    release = nothing()
    release["published"] = 3
    assert not roll_back(release, None, 5)
    assert activate(release, 1, 5)
    assert activate(release, 1, 5)  # again: nothing changes
    assert not activate(release, 1, 9)
    assert activate(release, 2, 7)
    assert not roll_back(release, None, 6)  # before its activation
    assert roll_back(release, None, 8)
    assert roll_back(release, None, 8)  # again: it ends no other
    assert not roll_back(release, 2, 9)
    assert roll_back(release, 1, 9)
    assert activate(release, 2, 12)
    assert plan(release, 1, None)["active"] == {1: ((5, 9),), 2: ((7, 8), (12, None))}


OLD, NEW, PUSHED = Row(0, 0, 1, 1), Row(1, 0, 2, 2), Row(0, 0, 7, 3, pushed=True)


def applied(serving: str = MATERIALIZED, ttl: int | None = None) -> Online:
    """Versions 0 and 1; version 1 serves from 5 on."""
    online = Online([0])
    release = nothing()
    release["published"] = 2
    activate(release, 1, 5)
    for k in (0, 1):
        online.apply(plan(release, k, ttl), serving)
    return online


@pytest.mark.parametrize("serving", [MATERIALIZED, ON_READ])
def test_a_cut_over(serving: str) -> None:
    """Served materialized it waits for a run, served on read it does not."""
    online = applied(serving)
    online.materialize([0, 1], [OLD, NEW], None, 4)
    assert online.values(0, 0, 4) == {OLD}
    assert online.values(0, 0, 5) == {OLD if serving == MATERIALIZED else NEW}
    online.materialize([0], [OLD, NEW], None, 5)
    assert online.values(0, 0, 5) == {NEW}


@pytest.mark.parametrize("serving", [MATERIALIZED, ON_READ])
def test_a_late_row_may_stay_unseen(serving: str) -> None:
    online = applied(serving)
    online.materialize([0, 1], [OLD], None, 4)
    late = Row(0, 0, 3, 4)
    online.materialize([0, 1], [OLD, late], None, 4)
    assert online.values(0, 0, 4) == {OLD, late}
    online.found(0, 0, OLD)
    assert online.values(0, 0, 4) == {OLD}
    online.materialize([0, 1], [OLD, late], WHOLE, 4)
    assert online.values(0, 0, 4) == {late}


@pytest.mark.parametrize(("rollbacks", "refused"), [(0, True), (1, False)])
def test_what_a_read_may_be_refused_for(rollbacks: int, refused: bool) -> None:
    """Version 1 serves view 0 at the run; then it is rolled back."""
    online, release = applied(ON_READ), nothing()
    release["published"] = 2
    activate(release, 1, 5)
    for k in (0, 1):
        online.apply(plan(release, k, None, rollbacks), ON_READ)
    online.materialize([0, 1], [OLD, NEW], None, 6)
    assert not online.may_refuse(0, 6)
    assert online.may_refuse(0, 4) == refused  # before the run
    roll_back(release, 1, 7)
    online.apply(plan(release, 0, None, rollbacks), ON_READ)
    assert online.may_refuse(0, 7) == refused
    assert not online.may_refuse(1, 7)
    online.materialize([0, 1], [OLD, NEW], WHOLE, 8)
    assert not online.may_refuse(0, 8)


def test_a_read_is_not_refused_for_a_row_that_was_pushed() -> None:
    online = applied(ON_READ)
    online.apply({**online.views[0].plan, "rollbacks": 0}, ON_READ)
    online.apply({**online.views[1].plan, "rollbacks": 0}, ON_READ)
    online.materialize([0, 1], [OLD, NEW], None, 6)
    assert online.may_refuse(0, 4)
    online.push(PUSHED, 7)
    assert not online.may_refuse(0, 4)


@pytest.mark.parametrize(
    ("ttl", "rollbacks", "since", "expected"),
    [(None, 0, 6, {1}), (None, 1, 6, {0, 1}), (None, 0, 4, {0, 1}), (5, 0, 6, {0, 1})],
)
def test_what_is_needed(ttl: int | None, rollbacks: int, since: int, expected: set[int]) -> None:
    """Version 1 serves from 5 on; version 0's row is the newer one and outlives it."""
    view: Plan = {"view": 0, "ttl": ttl, "rollbacks": rollbacks, "active": {0: (), 1: ((5, None),)}}
    assert needed([view], {0: Row(0, 0, 4, 1), 1: NEW}, since) == expected


def test_a_late_row_is_seen_once_the_plan_has_changed() -> None:
    online = applied()
    online.materialize([0, 1], [OLD], None, 4)
    late = Row(0, 0, 3, 4)
    plans = [dict(view.plan) for view in online.views.values()]
    online.apply({**plans[0], "ttl": 100}, MATERIALIZED)
    online.materialize([0], [OLD, late], None, 4)
    assert online.values(0, 0, 4) == {late}


def test_a_row_within_the_window_is_seen() -> None:
    online = applied()
    online.materialize([0], [OLD], None, 3)
    online.materialize([0], [OLD, Row(0, 0, 3, 4)], None, 4)
    assert online.values(0, 0, 4) == {Row(0, 0, 3, 4)}


def test_expiry_needs_a_run() -> None:
    online = applied(ttl=2)
    online.materialize([0], [OLD], None, 3)
    assert online.values(0, 0, 9) == {OLD}
    online.materialize([0], [OLD], None, 4)
    assert online.values(0, 0, 9) == {None}


def test_natives_are_given_by_any_view_of_the_family() -> None:
    online = applied(ON_READ)
    online.materialize([0, 1], [OLD], None, 4)
    native = Row(1, 0, 6, 4)
    online.materialize([0], [OLD, native], None, 6)
    assert online.values(1, 0, 6) == {native}
    online.materialize([1], [OLD, native], WHOLE, 5)  # it may be taken back, or not
    assert online.values(1, 0, 6) == {native, None}


def test_an_entity_that_only_pushes_know() -> None:
    online = applied()
    pushed = Row(1, 0, 6, 4, pushed=True)
    online.materialize([0, 1], [], None, 4)
    online.push(pushed, 6)
    release = nothing()
    release["published"] = 2
    online.apply(plan(release, 0, None), MATERIALIZED)
    online.materialize([0], [], None, 7)
    assert online.values(0, 0, 7) == {pushed, None}
    online.materialize([0], [NEW], None, 7)
    online.apply(plan(release, 0, 5), MATERIALIZED)
    online.materialize([0], [NEW], None, 7)
    assert online.values(0, 0, 7) == {None}


def test_a_deleted_view_is_read_again_after_its_first_run() -> None:
    online = applied()
    online.materialize([0, 1], [OLD], None, 4)
    before = online.views[0].plan
    online.delete(0)
    online.apply(before, MATERIALIZED)
    assert not online.views[0].readable
    late = Row(0, 0, 3, 4)
    online.materialize([0], [OLD, late], None, 4)
    assert online.values(0, 0, 4) == {late}


def test_a_run_that_ends_before_an_earlier_end_sees_everything() -> None:
    online = applied()
    late, later = Row(0, 0, 2, 4), Row(0, 0, 4, 5)
    online.materialize([0], [OLD, later], None, 4)
    online.materialize([0], [OLD, late, later], 3, 3)
    assert online.values(0, 0, 3) == {late}
    online.materialize([0], [OLD, late, later], None, 4)
    assert online.values(0, 0, 4) == {later}


def test_a_push() -> None:
    online = applied()
    online.materialize([0, 1], [OLD], None, 4)
    online.push(PUSHED, 7)
    assert online.values(0, 0, 7) == {PUSHED}
    online.push(Row(0, 0, 6, 4, pushed=True), 7)  # not newer
    assert online.values(0, 0, 7) == {PUSHED}
    again = Row(0, 0, 7, 5, pushed=True)
    online.push(again, 7)
    assert online.values(0, 0, 7) == {again}
    online.materialize([0, 1], [OLD], None, 8)
    assert online.values(0, 0, 8) == {OLD, again}
    native = Row(0, 0, 8, 6)
    online.materialize([0, 1], [OLD, native], None, 8)
    assert online.values(0, 0, 8) == {native}


def test_a_push_of_an_older_version() -> None:
    """It is passed over where the newer version is active and has a row."""
    online = applied()
    online.materialize([0, 1], [OLD, NEW], None, 6)
    online.push(PUSHED, 7)
    assert online.values(0, 0, 7) == {NEW}
    online.push(PUSHED._replace(at=4), 4)
    assert online.values(0, 0, 4) == {PUSHED._replace(at=4)}


def test_a_push_beyond_the_ttl() -> None:
    online = applied(ttl=3)
    online.materialize([0, 1], [OLD], None, 4)
    online.push(PUSHED, 11)
    assert online.values(0, 0, 11) == {OLD}


def test_a_push_of_a_newer_version_reaches_the_older_views() -> None:
    online = applied()
    online.materialize([0, 1], [OLD], None, 4)
    pushed = Row(1, 0, 4, 4, pushed=True)
    online.push(pushed, 4)
    assert online.values(0, 0, 4) == {OLD}
    assert online.values(1, 0, 4) == {pushed}
    later = Row(1, 0, 6, 5, pushed=True)
    online.push(later, 6)
    assert online.values(0, 0, 6) == online.values(1, 0, 6) == {later}


def test_prepare_and_drop() -> None:
    online = applied()
    online.materialize([0, 1], [OLD], None, 4)
    online.prepare(ON_READ, [OLD, NEW], 4)
    assert online.values(0, 0, 4) == {OLD}
    assert not online.drop(MATERIALIZED)
    plans = [view.plan for view in online.views.values()]
    for each in plans:
        online.apply(each, ON_READ)
    online.switched()
    assert all(view.readable for view in online.views.values())
    assert online.values(0, 0, 6) == {NEW}
    assert online.drop(MATERIALIZED)
    for each in plans:
        online.apply(each, MATERIALIZED)
    assert not any(view.readable for view in online.views.values())


def test_histories_can_be_repeated() -> None:
    first, again, other = history(7, 20), history(7, 20), history(8, 20)
    assert first.steps == again.steps != other.steps
    assert first.families == again.families


def test_vectors_tell_where_they_come_from() -> None:
    """No vector is met in two spaces, or comes from two rows."""
    for seed in range(100):
        for family in history(seed, 0).families:
            met: dict[tuple[float, ...], set[tuple[int, int]]] = {}
            for number in range(20):
                row = Row(number % len(family.dims), 0, 0, number)
                for view in range(row.version + 1):
                    met.setdefault(family.vector(row, view), set()).add((number, view))
            assert all(len(places) == 1 for places in met.values())
            largest = max(abs(x) for vector in met for x in vector)
            assert largest < 2**22
