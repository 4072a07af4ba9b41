"""What stands online after a materialization is the rule's value, whatever stood there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from feast import FeatureStore
from feast.data_source import PushMode

from feast_bc.columns.arrays import NEVER
from feast_bc.columns.instants import to_micros
from feast_bc.errors import MaterializationError
from feast_bc.views.serving import Serving
from tests.support.families import USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import redis_client
from tests.support.pushes import frame, push, with_rows
from tests.support.schedules import apply

USERS = [1, 2, 3]
FAMILY = Family(
    dims=[2, 3],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(1, 1, 2, (1, 2, 3)),
        Row(1, 3, 2, (4, 5, 6)),
    ],
    active={1: [(2, None)]},
    push=True,
)


@pytest.fixture
def store(online_store: dict[str, object] | None, tmp_path: Path) -> FeatureStore:
    return make_store(tmp_path, online=online_store)


def applied(store: FeatureStore, family: Family, folder: Path) -> None:
    store.apply([USER])
    apply(store, family, folder)


def check(
    store: FeatureStore, family: Family, hour: float, versions: Sequence[int] | None = None
) -> None:
    """The views have what the rule says at an hour."""
    for version in range(len(family.dims)) if versions is None else versions:
        expected = [family.value(version, user, hour) for user in USERS]
        same(online(store, f"user_embedding_v{version}", USERS), expected)


def stamps(store: FeatureStore, view: str) -> list[int]:
    """The users' event timestamps online, in microseconds; NEVER where there is none."""
    response = store.get_online_features(
        [f"{view}:embedding"], [{"user_id": user} for user in USERS]
    ).proto
    found = [s.ToMicroseconds() for s in response.results[-1].event_timestamps]
    return [stamp or NEVER for stamp in found]


def test_a_cut_over_after_a_run_whose_end_lay_in_the_future(
    store: FeatureStore, tmp_path: Path
) -> None:
    """ "To the end of today": the next run ends before it and still brings the cut-over."""
    before = replace(FAMILY, active={})
    applied(store, before, tmp_path)
    store.materialize(at(-1), at(24))
    check(store, before, 24)
    later = replace(FAMILY, active={1: [(10, None)]})
    apply(store, later, tmp_path)
    store.materialize_incremental(at(12))
    check(store, later, 12)
    # The same without a new plan: a planned cut-over lies between the two ends.
    planned = replace(FAMILY, active={1: [(14, None)]})
    apply(store, planned, tmp_path)
    store.materialize_incremental(at(24))
    store.materialize_incremental(at(13))
    check(store, planned, 13)
    store.materialize_incremental(at(15))
    check(store, planned, 15)


def test_an_apply_that_changes_nothing_writes_nothing_anew(
    store: FeatureStore, tmp_path: Path
) -> None:
    """A row that was only pushed online stays, in every view, as in stock Feast."""
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    pushed = [Row(1, 1, 6, (9, 9, 9)), Row(1, 2, 6, (8, 8, 8))]
    push(store, pushed, hour=6)
    apply(store, FAMILY, tmp_path)
    batches = []
    with patch("feast_bc.materialization.bucket.Bucket._write") as write:
        write.side_effect = lambda *batch: batches.append(batch)
        store.materialize_incremental(at(8))
    assert not batches
    check(store, with_rows(FAMILY, pushed), 8)


def test_a_pushed_row_outlives_a_full_run(store: FeatureStore, tmp_path: Path) -> None:
    """Until the batch source has a newer one, or one of the same instant."""
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    pushed = [Row(1, 1, 6, (9, 9, 9))]
    push(store, pushed, hour=6)
    store.materialize(at(-1), at(7))
    check(store, with_rows(FAMILY, pushed), 7)
    family = with_rows(FAMILY, [Row(1, 1, 6, (7, 7, 7)), Row(1, 3, 6, (6, 6, 6))])
    family.write(tmp_path)
    store.materialize(at(-1), at(8))
    check(store, family, 8)


def test_a_value_of_the_batch_source_is_not_taken_for_a_pushed_one(
    store: FeatureStore, tmp_path: Path
) -> None:
    """A row was pushed to version 1 before it served view 0, which then took the native one."""
    applied(store, replace(FAMILY, active={}), tmp_path)
    store.materialize(at(-1), at(5))
    push(store, [Row(1, 1, 6, (9, 9, 9))], hour=6)
    apply(store, FAMILY, tmp_path)
    store.materialize_incremental(at(10))
    check(store, FAMILY, 10, [0])
    late = with_rows(FAMILY, [Row(1, 1, 5, (7, 7, 7))])
    late.write(tmp_path)
    store.materialize(at(-1), at(8))
    check(store, late, 8, [0])


def test_a_pushed_row_expires(store: FeatureStore, tmp_path: Path) -> None:
    """An incremental run ends its value, although no row of the batch sources is news."""
    family = replace(
        FAMILY, ttl_hours=3, rows=[*FAMILY.rows, Row(0, 2, 6.5, (5, 5))], active={1: [(2, None)]}
    )
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    pushed = [Row(1, 1, 6, (9, 9, 9)), Row(1, 2, 6, (8, 8, 8))]
    push(store, pushed, hour=6)
    store.materialize_incremental(at(7))
    check(store, with_rows(family, pushed), 7)
    store.materialize_incremental(at(9))
    check(store, with_rows(family, pushed), 9)
    store.materialize_incremental(at(9.25))
    check(store, with_rows(family, pushed), 9.25)
    same(online(store, "user_embedding_v0", [1, 2]), [None, family.value(0, 2, 9.25)])


def test_a_pushed_row_gives_way_to_a_newer_version(store: FeatureStore, tmp_path: Path) -> None:
    """And to a rollback of its own."""
    inactive = replace(FAMILY, active={})
    applied(store, inactive, tmp_path)
    store.materialize(at(-1), at(5))
    push(store, [Row(0, 1, 6, (9, 9))], hour=6)
    apply(store, FAMILY, tmp_path)
    store.materialize_incremental(at(7))
    check(store, FAMILY, 7, [0])
    push(store, [Row(1, 2, 8, (8, 8, 8))], hour=8)
    rolled_back = replace(FAMILY, active={1: [(2, 9)]})
    apply(store, rolled_back, tmp_path)
    store.materialize_incremental(at(10))
    check(store, rolled_back, 10, [0])


def test_a_rollback_of_values_that_carry_a_later_instant(
    store: FeatureStore, tmp_path: Path
) -> None:
    """A cut-over of the future, materialized early; native rows that are stamped ahead."""
    family = with_rows(FAMILY, [Row(1, 1, 20, (7, 7, 7)), Row(1, 3, 20, (8, 8, 8))])
    family = replace(family, active={1: [(15, None)]})
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(24))
    check(store, family, 24)
    undone = replace(family, active={1: [(15, 15)]})
    apply(store, undone, tmp_path)
    store.materialize_incremental(at(12))
    check(store, undone, 12)


def test_a_longer_ttl(store: FeatureStore, tmp_path: Path) -> None:
    """Values that had expired come back, without a new row."""
    short = replace(FAMILY, ttl_hours=3)
    applied(store, short, tmp_path)
    store.materialize(at(-1), at(4))
    store.materialize_incremental(at(9))
    check(store, short, 9)
    for ttl in (12, None):
        family = replace(FAMILY, ttl_hours=ttl)
        apply(store, family, tmp_path)
        store.materialize_incremental(at(10))
        check(store, family, 10)


def test_late_rows(store: FeatureStore, tmp_path: Path) -> None:
    """A full run brings them into all views, also where an older version's value is newer."""
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    late = with_rows(
        FAMILY, [Row(1, 1, 3, (7, 7, 7)), Row(1, 2, 0.5, (8, 8, 8)), Row(0, 3, 4, (9, 9))]
    )
    late.write(tmp_path)
    store.materialize(at(-1), at(6))
    check(store, late, 6)


def test_a_late_winner_shows_when_another_row_arrives(store: FeatureStore, tmp_path: Path) -> None:
    """An incremental run sees the late row no later than a row of a version that it beats."""
    family = replace(
        FAMILY, rows=[Row(0, 1, 1, (1, 1)), Row(0, 2, 1, (2, 2)), Row(1, 2, 2, (3, 3, 3))]
    )
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    late = with_rows(family, [Row(1, 1, 3, (7, 7, 7)), Row(0, 1, 6, (9, 9))])
    late.write(tmp_path)
    store.materialize_incremental(at(7))
    check(store, late, 7, [0])


def test_a_late_push(store: FeatureStore, tmp_path: Path) -> None:
    """Older than the cut-over and than the last run, but newer than the row it replaces."""
    applied(store, replace(FAMILY, active={1: [(4, None)]}), tmp_path)
    store.materialize(at(-1), at(5))
    pushed = [Row(1, 1, 3, (7, 7, 7))]
    push(store, pushed, hour=6)
    check(store, with_rows(FAMILY, pushed), 6)


def test_timestamps_are_the_winning_rows_own(store: FeatureStore, tmp_path: Path) -> None:
    family = replace(
        FAMILY,
        rows=[*FAMILY.rows, Row(1, 2, 3, None), Row(0, 3, 1, (5, 5))],
        active={1: [(4, None)]},
    )
    for serving in ("materialized", "on_read"):
        served = replace(family, serving=serving)
        applied(store, served, tmp_path)
        store.materialize(at(-1), at(6))
        for version in (0, 1):
            rows = [family.dated_by(version, user, 6) for user in USERS]
            expected = [NEVER if row is None else to_micros(at(row.hour)) for row in rows]
            assert stamps(store, f"user_embedding_v{version}") == expected
        store.teardown()


def test_timestamps_after_a_rollback_with_a_later_null_row(
    store: FeatureStore, tmp_path: Path
) -> None:
    """Both servings tell the same: the rolled-back version's rows have no say."""
    family = replace(
        FAMILY, rows=[*FAMILY.rows, Row(1, 1, 5, None)], active={1: [(2, 4)]}, serving="on_read"
    )
    found = []
    for serving in ("materialized", "on_read"):
        applied(store, replace(family, serving=serving), tmp_path)
        store.materialize(at(-1), at(6))
        found.append(stamps(store, "user_embedding_v0")[:2])
        store.teardown()
    assert found == [[to_micros(at(1))] * 2] * 2


def test_a_null_native_vector_ends_the_versions_value(store: FeatureStore, tmp_path: Path) -> None:
    """The version's older rows do not come back; the next older version serves."""
    family = with_rows(FAMILY, [Row(1, 1, 4, None), Row(1, 3, 4, None)])
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    (first, _, third) = online(store, "user_embedding_v0", USERS)
    same([first, third], [FAMILY.value(0, 1, 1), None])
    check(store, family, 5)


def test_rows_of_several_versions_at_one_instant(store: FeatureStore, tmp_path: Path) -> None:
    """The newest version that counts wins."""
    family = replace(
        FAMILY, rows=[Row(0, 1, 3, (1, 1)), Row(1, 1, 3, (2, 2, 2)), Row(0, 2, 3, (3, 3))]
    )
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    check(store, family, 5)
    apply(store, replace(family, active={}), tmp_path)
    store.materialize_incremental(at(6))
    check(store, replace(family, active={}), 6)


def test_a_store_that_was_emptied_is_filled(
    redis_store: dict[str, object], redis_address: str, tmp_path: Path
) -> None:
    """What was written last is recorded beside the values: the record is lost with them."""
    store = make_store(tmp_path, online=redis_store)
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    with redis_client(redis_address) as client:
        client.flushdb()
    store.materialize_incremental(at(6))
    check(store, FAMILY, 6)


def test_a_run_that_ended_early_is_finished_by_the_next(
    store: FeatureStore, tmp_path: Path
) -> None:
    """Also if the plan is changed back in between."""
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    apply(store, replace(FAMILY, active={}), tmp_path)
    kind = store.config.online_store.type
    target = f"feast_bc.online.{kind}.writer.{kind.capitalize()}Writer.update"
    with (
        patch(target, side_effect=OSError("gone")),
        pytest.raises(MaterializationError, match="gone"),
    ):
        store.materialize_incremental(at(6))
    apply(store, FAMILY, tmp_path)
    store.materialize_incremental(at(7))
    check(store, FAMILY, 7)


def test_a_window_that_ends_before_an_earlier_one(store: FeatureStore, tmp_path: Path) -> None:
    """What stands online is then the past's value, as offline; the next run brings the present."""
    family = with_rows(FAMILY, [Row(1, 1, 8, (7, 7, 7)), Row(0, 2, 8, (6, 6))])
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(10))
    store.materialize(at(3), at(4))
    check(store, family, 4)
    store.materialize_incremental(at(11))
    check(store, family, 11)


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_a_user_whose_rows_all_lie_after_the_new_end(
    serving: Serving, store: FeatureStore, tmp_path: Path
) -> None:
    """The value goes, although no row up to the end tells of the user."""
    family = replace(
        with_rows(FAMILY, [Row(0, 4, 8, (6, 6)), Row(1, 4, 9, (6, 6, 6))]), serving=serving
    )
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(10))
    store.materialize(at(-1), at(7))
    for view in ("user_embedding_v0", "user_embedding_v1"):
        assert online(store, view, [4]) == [None]
    check(store, family, 7)


def test_a_late_row_is_taken_up_as_a_whole_or_not_at_all(
    store: FeatureStore, tmp_path: Path
) -> None:
    """Another row of user 1, of another version, is news in that run; user 3 has none."""
    family = replace(FAMILY, serving="on_read")
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    news = [Row(1, 1, 3, (9, 9, 9)), Row(0, 1, 6, (8, 8)), Row(1, 3, 3, (7, 7, 7))]
    with_rows(family, news).write(tmp_path)
    store.materialize(at(5), at(7))
    assert stamps(store, "user_embedding_v1") == [to_micros(at(3)), NEVER, to_micros(at(2))]
    same(
        online(store, "user_embedding_v1", USERS),
        [np.array([9, 9, 9]), None, family.value(1, 3, 7)],
    )


def test_a_gap_between_windows_is_closed(store: FeatureStore, tmp_path: Path) -> None:
    family = with_rows(FAMILY, [Row(1, 1, 6, (7, 7, 7))])
    applied(store, family, tmp_path)
    store.materialize(at(-1), at(5))
    store.materialize(at(8), at(9))
    check(store, family, 9)


def test_push_to_both_stores_then_materialize(store: FeatureStore, tmp_path: Path) -> None:
    applied(store, FAMILY, tmp_path)
    store.materialize(at(-1), at(5))
    row = Row(1, 2, 6, (9, 9, 9))
    with patch("feast_bc.clock.now", return_value=to_micros(at(6))):
        store.push("user_embedding_v1_push", frame([row]), to=PushMode.ONLINE_AND_OFFLINE)
    store.materialize_incremental(at(7))
    check(store, with_rows(FAMILY, [row]), 7)
    rolled_back = replace(with_rows(FAMILY, [row]), active={1: [(2, 7)]})
    apply(store, rolled_back, tmp_path)
    # `apply` writes the family's files anew.
    store.materialize_incremental(at(8))
    check(store, rolled_back, 8)
