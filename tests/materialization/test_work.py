"""Served on read, the store keeps what a view needs, now or after some rollbacks, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore

from feast_bc.errors import NotKeptError
from feast_bc.online.request import Request, Wanted
from feast_bc.online.stores import reader_for_table
from tests.support.clock import shown
from tests.support.families import USER, Family, Row, at, make_store, same
from tests.support.pushes import check, push, with_rows
from tests.support.schedules import ASKED, apply, online_at

USERS = [1, 2, 3]
FAMILY = Family(
    dims=[2, 3, 2],
    rows=[
        Row(k, user, k + 1, tuple(float(user + i) for i in range(dim)))
        for k, dim in enumerate([2, 3, 2])
        for user in USERS
    ],
    active={1: [(2, None)], 2: [(3, None)]},
    serving="on_read",
    rollback_versions=0,
    push=True,
)
"""Every user has all versions; version 2 serves all views from hour 3 on."""


@pytest.fixture
def store(online_store: dict[str, object] | None, tmp_path: Path) -> FeatureStore:
    store = make_store(tmp_path, online=online_store)
    store.apply([USER])
    return store


def filled(store: FeatureStore, family: Family, folder: Path, hour: float = 10) -> None:
    apply(store, family, folder)
    store.materialize(at(-1), at(hour))


def stored(store: FeatureStore, version: int) -> list[int]:
    """The users whose native vector of a version stands in the store."""
    view = store.get_feature_view("user_embedding_v0")
    reader = reader_for_table(
        store.provider.online_store, store.config, view, pa.table({"user_id": USERS})
    )
    (column,) = reader.read(Request((Wanted("natives", version),)))
    return [user for user, value in zip(USERS, column, strict=True) if value]


def check_refused(store: FeatureStore, version: int, message: str, hour: float = 10) -> None:
    with pytest.raises(NotKeptError, match=message):
        online_at(store, f"user_embedding_v{version}", hour)


@pytest.mark.parametrize(("rollbacks", "kept"), [(0, [2]), (1, [1, 2]), (2, [0, 1, 2])])
def test_the_winners_and_those_after_rollbacks_are_kept(
    rollbacks: int, kept: list[int], store: FeatureStore, tmp_path: Path
) -> None:
    family = replace(FAMILY, rollback_versions=rollbacks)
    filled(store, family, tmp_path)
    assert [k for k in range(3) if stored(store, k)] == kept
    check(store, family)
    # Each rollback is applied, and nothing is materialized.
    once = replace(family, active={1: [(2, None)], 2: [(3, 9)]})
    twice = replace(family, active={1: [(2, 9)], 2: [(3, 9)]})
    for done, rolled_back in enumerate([once, twice], 1):
        apply(store, rolled_back, tmp_path)
        if done <= rollbacks:
            check(store, rolled_back)
        else:
            version = 2 - done
            check_refused(
                store,
                0,
                f"user_embedding_v0: .* user_embedding version {version} for 3 of 4 entities: "
                rf".*{rollbacks} rollback.*feast materialize .*--views user_embedding_v0",
            )
    store.materialize_incremental(at(11))
    check(store, twice, 11)
    # Activated again, version 2 serves at once: its own view needs its rows.
    apply(store, family, tmp_path)
    check(store, family, 12)


def test_a_cut_over_deletes_what_it_makes_needless(store: FeatureStore, tmp_path: Path) -> None:
    before = replace(FAMILY, active={1: [(2, None)]})
    filled(store, before, tmp_path)
    assert [stored(store, k) for k in range(3)] == [[], USERS, USERS]
    apply(store, FAMILY, tmp_path)
    check(store, FAMILY, 11)
    store.materialize_incremental(at(11))
    assert [stored(store, k) for k in range(3)] == [[], [], USERS]
    check(store, FAMILY, 11)
    apply(store, replace(FAMILY, rollback_versions=2), tmp_path)
    store.materialize_incremental(at(12))
    assert [stored(store, k) for k in range(3)] == [USERS, USERS, USERS]


def test_a_planned_cut_over_keeps_both_sides(store: FeatureStore, tmp_path: Path) -> None:
    family = replace(FAMILY, active={1: [(2, None)], 2: [(15, None)]})
    filled(store, family, tmp_path)
    for hour in (10, 14, 15, 20):
        check(store, family, hour)
    assert stored(store, 1) == USERS
    store.materialize_incremental(at(16))
    assert stored(store, 1) == []
    check(store, family, 16)


def test_rows_that_expire_give_way_to_older_versions(store: FeatureStore, tmp_path: Path) -> None:
    """Version 0 has user 1's newest row: it outlives version 2's."""
    family = replace(with_rows(FAMILY, [Row(0, 1, 9, (5, 5))]), ttl_hours=10)
    filled(store, family, tmp_path)
    assert [stored(store, k) for k in range(3)] == [[1], [], USERS]
    for hour in (10, 13, 14, 19, 20):
        check(store, family, hour)


def test_a_newer_version_that_loses_its_vector(store: FeatureStore, tmp_path: Path) -> None:
    """An incremental run brings back what it needs of older versions, for that entity alone."""
    filled(store, FAMILY, tmp_path)
    family = with_rows(FAMILY, [Row(2, 1, 11, None)])
    family.write(tmp_path)
    store.materialize_incremental(at(12))
    check(store, family, 12)
    assert [stored(store, k) for k in range(3)] == [[], [1], [2, 3]]


def test_a_late_row_is_taken_up_with_another_row_of_its_entity(
    store: FeatureStore, tmp_path: Path
) -> None:
    """Or else version 1's row would go, for a row that the store does not know."""
    rows = [row for row in FAMILY.rows if (row.version, row.entity) != (2, 1)]
    family = replace(FAMILY, rows=rows)
    filled(store, family, tmp_path)
    family = with_rows(family, [Row(2, 1, 9, (6, 6)), Row(0, 1, 11, (4, 4))])
    family.write(tmp_path)
    store.materialize(at(10.5), at(12))
    check(store, family, 12)
    assert [stored(store, k) for k in range(3)] == [[], [], USERS]


def test_a_pushed_row_is_kept(store: FeatureStore, tmp_path: Path) -> None:
    """No view needs it yet; it stands nowhere else."""
    filled(store, FAMILY, tmp_path)
    pushed = [Row(0, 1, 10, (8, 8)), Row(0, 2, 10, (9, 9))]
    push(store, pushed)
    store.materialize(at(-1), at(11))
    assert stored(store, 0) == [1, 2]
    rolled_back = replace(FAMILY, active={})
    apply(store, rolled_back, tmp_path)
    check_refused(store, 0, "version 0 for 1 of 4 entities", 11)
    store.materialize_incremental(at(12))
    check(store, with_rows(rolled_back, pushed), 12)
    # The batch source has caught up.
    apply(store, with_rows(FAMILY, [Row(0, 1, 12, (7, 7))]), tmp_path)
    store.materialize_incremental(at(13))
    assert stored(store, 0) == [2]


def test_a_push_to_a_version_that_was_not_kept(store: FeatureStore, tmp_path: Path) -> None:
    filled(store, FAMILY, tmp_path)
    apply(store, replace(FAMILY, active={}), tmp_path)
    check_refused(store, 0, "version 0 for 3 of 4")
    pushed = [Row(0, user, 10, (user, user)) for user in USERS]
    push(store, pushed)
    expected = [None if user == 99 else np.array([user, user]) for user in ASKED]
    same(online_at(store, "user_embedding_v0", 10), expected)
    check_refused(store, 1, "version 1 for 3 of 4")


def test_a_view_that_is_applied_alone_has_its_say(store: FeatureStore, tmp_path: Path) -> None:
    """View 0 still has the registry's old plan, in which version 1 serves it."""
    before = replace(FAMILY, active={1: [(2, None)]})
    filled(store, before, tmp_path)
    views = FAMILY.write(tmp_path).feature_views()
    store.apply([USER, views["user_embedding_v1"]])
    store.materialize(at(-1), at(11), feature_views=["user_embedding_v1"])
    assert stored(store, 1) == USERS
    expected = [before.value(0, user, 11) for user in ASKED]
    same(online_at(store, "user_embedding_v0", 11), expected)


def test_publishing_a_version_writes_the_others_not_anew(
    store: FeatureStore, tmp_path: Path
) -> None:
    before = replace(FAMILY, active={1: [(2, None)]}, dims=FAMILY.dims[:2], transforms=())
    before = replace(before, rows=[row for row in FAMILY.rows if row.version < 2])
    filled(store, before, tmp_path)
    apply(store, replace(FAMILY, active={1: [(2, None)]}), tmp_path)
    written = []
    target = "feast_bc.materialization.bucket.Bucket._write"
    with patch(target, side_effect=lambda _keys, batch, *_: written.append(batch[0])):
        store.materialize_incremental(at(11))
    assert written == [2]


def test_what_an_earlier_release_stored(store: FeatureStore, tmp_path: Path) -> None:
    """It kept every vector; the first run drops what is not needed."""
    with patch("feast_bc.rule.Plan.may_win", lambda _, version, __, rows, ___: rows[version][1]):
        filled(store, FAMILY, tmp_path)
    assert [stored(store, k) for k in range(3)] == [USERS, USERS, USERS]
    check(store, FAMILY)
    store.materialize(at(-1), at(11))
    check(store, FAMILY, 11)
    assert [stored(store, k) for k in range(3)] == [[], [], USERS]


def test_a_run_up_to_an_instant_ahead_of_the_clock(store: FeatureStore, tmp_path: Path) -> None:
    """What is needed until then is kept."""
    family = replace(FAMILY, active={1: [(2, None)], 2: [(15, None)]})
    apply(store, family, tmp_path)
    with shown(10):
        store.materialize(at(-1), at(20))
    check(store, family, 10)
    check(store, family, 20)
