"""Pushed vectors reach all version views; stale ones change nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from feast.data_source import PushMode
from feast.repo_config import RegistryConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.instants import to_micros
from feast_bc.errors import DimensionError, EntityKeyError, InvalidVectorsError
from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER, Family, Row, at, make_store, offline, online, same
from tests.support.online_stores import redis_client
from tests.support.pushes import FAMILY, NOW, check, filled, frame, push, with_rows
from tests.support.schedules import ASKED, apply, online_at
from tests.support.strategies import families

NAIVE = at(9).replace(tzinfo=None)


@pytest.fixture(params=["materialized", "on_read"])
def family(request: pytest.FixtureRequest) -> Family:
    return replace(FAMILY, serving=request.param)


def test_all_views_follow(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    store = filled(tmp_path, family, online_store)
    check(store, family)
    rows = [Row(2, 1, 9, (5, 5)), Row(2, 99, 9, (6, 6))]
    push(store, rows)
    check(store, with_rows(family, rows))


def test_an_older_version_does_not_replace_a_newer_one(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    """Version 1's fresh vector of user 3, whose values come from version 2."""
    store = filled(tmp_path, family, online_store)
    rows = [Row(1, 3, 9, (9, 9, 9)), Row(1, 2, 9, (8, 8, 8))]
    push(store, rows)
    check(store, with_rows(family, rows))


def test_a_stale_push_changes_nothing(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    store = filled(tmp_path, family, online_store)
    fresh, stale = Row(1, 1, 9, (5, 6, 7)), Row(1, 1, 8, (0, 0, 0))
    push(store, [fresh])
    push(store, [stale])
    check(store, with_rows(family, [fresh]))
    push(store, [Row(1, 2, 9, (1, 1, 1)), Row(1, 2, 8, (0, 0, 0))])  # within one push
    check(store, with_rows(family, [fresh, Row(1, 2, 9, (1, 1, 1))]))


def test_a_stale_push_after_a_later_apply(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    store = filled(tmp_path, family, online_store)
    apply(store, family, tmp_path)
    push(store, [Row(1, 1, 1.5, (0, 0, 0))], hour=NOW + 2)
    check(store, family, NOW + 2)


def test_a_version_that_is_not_active_serves_its_own_view_only(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    family = replace(family, active={1: [(1, None)], 2: [(50, None)]})
    store = filled(tmp_path, family, online_store)
    rows = [Row(2, 1, 9, (5, 5))]
    push(store, rows)
    check(store, with_rows(family, rows))


def test_a_newer_version_whose_view_is_retired(
    online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    """What it gave user 3 stays; user 98, whom nobody knew, is served."""
    embedding = FAMILY.write(tmp_path)
    retired = VersionedEmbedding(
        "user_embedding",
        versions=[replace(v, retired=v.version == 2) for v in embedding.versions],
        entities=[USER],
        push=True,
    )
    store = make_store(tmp_path, online=online_store)
    store.apply([USER, *retired.feature_views().values()])
    store.materialize(at(-1), at(NOW))
    rows = [Row(1, 3, 9, (9, 9, 9)), Row(1, 99, 9, (8, 8, 8))]
    store.push("user_embedding_v1_push", frame(rows))
    for version in (0, 1):
        expected = [with_rows(FAMILY, rows).value(version, user, NOW) for user in ASKED]
        same(online_at(store, f"user_embedding_v{version}", NOW), expected)


def test_a_user_whom_only_the_pushed_version_knows(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    """The oldest newer active version is retired and has no row of the user."""
    family = replace(family, rows=[*family.rows, Row(1, 98, 2, (1, 1, 1))])
    embedding = family.write(tmp_path)
    retired = VersionedEmbedding(
        "user_embedding",
        versions=[replace(v, retired=v.version == 2) for v in embedding.versions],
        entities=[USER],
        push=True,
        serving=family.serving,
    )
    store = make_store(tmp_path, online=online_store)
    store.apply([USER, *retired.feature_views().values()])
    store.materialize(at(-1), at(NOW))
    rows = [Row(1, 98, 9, (9, 9, 9))]
    push(store, rows)
    for version in (0, 1):
        expected = [with_rows(family, rows).value(version, 98, NOW)]
        same(online(store, f"user_embedding_v{version}", [98]), expected)


@pytest.mark.parametrize("applied", [[0], [1], [0, 2], [1, 2], [2]])
def test_views_that_are_not_applied(
    applied: Sequence[int],
    family: Family,
    online_store: dict[str, object] | None,
    tmp_path: Path,
) -> None:
    """A push reaches those that are; the others take it from the batch source later."""
    embedding = family.write(tmp_path)
    store = make_store(tmp_path, online=online_store)
    store.apply([USER, *(embedding.view(version) for version in applied)])
    store.materialize(at(-1), at(NOW))
    rows = [Row(applied[-1], 1, 9, (7.0,) * family.dims[applied[-1]])]
    push(store, rows)
    for version in applied:
        expected = [with_rows(family, rows).value(version, user, NOW) for user in ASKED]
        same(online_at(store, f"user_embedding_v{version}", NOW), expected)


def test_a_view_that_was_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    gone = store.get_feature_view("user_embedding_v0")
    store.apply([], objects_to_delete=[gone], partial=False)
    rows = [Row(2, 1, 9, (5, 5))]
    push(store, rows)
    expected = [with_rows(FAMILY, rows).value(1, user, NOW) for user in ASKED]
    same(online_at(store, "user_embedding_v1", NOW), expected)


def test_a_row_of_the_future_is_refused(family: Family, tmp_path: Path) -> None:
    """It does not hold yet. Clocks may differ by a minute."""
    store = filled(tmp_path, family, None)
    with pytest.raises(InvalidVectorsError, match=r"1 row\(s\) lie in the future \(first: row 1"):
        push(store, [Row(2, 2, NOW, (5, 5)), Row(2, 1, NOW + 0.1, (5, 5))])
    check(store, family)
    rows = [Row(2, 1, NOW + 0.01, (5, 5))]
    push(store, rows)
    same(
        online(store, "user_embedding_v2", [1]),
        [with_rows(family, rows).value(2, 1, NOW + 1)],
    )


def test_of_two_rows_within_a_second_the_later_push_stays(
    family: Family, online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    """And an earlier instant does not: also in SQLite, which keeps whole seconds."""
    store = filled(tmp_path, family, online_store)
    first, second = 9 + 0.2 / 3600, 9 + 0.7 / 3600
    push(store, [Row(2, 1, second, (5, 5))])
    push(store, [Row(2, 1, first, (6, 6))])
    check(store, with_rows(family, [Row(2, 1, second, (5, 5))]))
    push(store, [Row(2, 1, second, (7, 7))])
    check(store, with_rows(family, [Row(2, 1, second, (7, 7))]))


def test_what_changed_nothing_is_counted(
    family: Family, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = filled(tmp_path, family, None)
    push(store, [Row(1, 1, 9, (5, 6, 7)), Row(1, 2, 0.5, (5, 6, 7)), Row(1, 99, 9, (1, 1, 1))])
    assert not caplog.records
    push(store, [Row(1, 1, 8, (5, 6, 7)), Row(1, 2, 9, (5, 6, 7))])
    (record,) = caplog.records
    assert record.getMessage().startswith("user_embedding_v1: 1 of 2 pushed row(s) changed nothing")


async def test_write_to_online_store_and_async(family: Family, tmp_path: Path) -> None:
    store = filled(tmp_path, family, None)
    rows = [Row(2, 2, 9, (5, 5))]
    with patch("feast_bc.clock.now", return_value=to_micros(at(NOW))):
        store.write_to_online_store("user_embedding_v2", frame(rows))
        more = [Row(1, 99, 9, (1, 2, 3))]
        await store.push_async("user_embedding_v1_push", frame(more))
    check(store, with_rows(family, [*rows, *more]))


def test_push_to_both_stores(family: Family, tmp_path: Path) -> None:
    store = filled(tmp_path, family, None)
    row = Row(2, 2, 9, (5, 5))
    store.push("user_embedding_v2_push", frame([row]), to=PushMode.ONLINE_AND_OFFLINE)
    expected = [with_rows(family, [row]).value(0, 2, NOW)]
    same(offline(store, "user_embedding_v0", [2], [NOW]), expected)
    same([online_at(store, "user_embedding_v0", NOW)[ASKED.index(2)]], expected)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("serving", ["materialized", "on_read"])
@settings(max_examples=40)
@given(data=st.data())
def test_pushes_follow_the_rule(
    kind: str,
    serving: Serving,
    redis_store: dict[str, object],
    redis_address: str,
    data: st.DataObject,
) -> None:
    """After any materialized history, any fresh and stale pushes in any order."""
    family = replace(data.draw(families(serving=serving, push=True)), ttl_hours=None)
    family.active = {k: [(s, e) for s, e in a if s <= 24] for k, a in family.active.items()}
    with redis_client(redis_address) as client:
        client.flushdb()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), online=redis_store if kind == "redis" else None)
        store.apply([USER])
        apply(store, family, Path(folder))
        store.materialize(at(-1), at(25))
        floats = st.floats(-8, 8, width=16)
        for hour in range(26, 26 + data.draw(st.integers(1, 5))):
            version = data.draw(st.integers(0, len(family.dims) - 1))
            entity = data.draw(st.sampled_from(ASKED))
            vector = data.draw(st.tuples(*[floats] * family.dims[version]))
            known = [r.hour for r in family.rows if (r.version, r.entity) == (version, entity)]
            stale: bool = bool(known) and data.draw(st.booleans())
            if stale:
                push(store, [Row(version, entity, max(known) - 1, vector)], hour)
            else:
                push(store, [Row(version, entity, hour, vector)], hour)
                family = with_rows(family, [Row(version, entity, hour, vector)])
            check(store, family, hour)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"embedding": [[1.0, 2.0, 3.0]]}, DimensionError, "dimension 2, found 3"),
        ({"embedding": [[1.0, float("nan")]]}, InvalidVectorsError, "NaN or infinity"),
        ({"embedding": [7]}, InvalidVectorsError, "expected lists of 2 floats"),
        ({"event_timestamp": [pd.NaT]}, InvalidVectorsError, "'event_timestamp' is null"),
        ({"user_id": ["one"]}, EntityKeyError, "join key 'user_id': expected ids of Feast type"),
    ],
)
def test_bad_rows_are_refused_whole(
    change: dict[str, Any],
    error: type[Exception],
    message: str,
    family: Family,
    tmp_path: Path,
) -> None:
    store = filled(tmp_path, family, None)
    bad = frame([Row(2, 1, 9, (5, 5))]).assign(**change)
    with pytest.raises(error, match=message):
        store.push("user_embedding_v2_push", pd.concat([frame([Row(2, 2, 9, (5, 5))]), bad]))
    check(store, family)


def test_null_vectors_are_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    rows = frame([Row(2, 1, 9, (5, 5)), Row(2, 2, 9, (5, 5))])
    rows["embedding"] = pd.Series([None, [1.0, 2.0]])
    with pytest.raises(InvalidVectorsError, match=r"user_embedding_v2: 1 vector\(s\) are null"):
        store.push("user_embedding_v2_push", rows)


def test_a_missing_timestamp_column(tmp_path: Path) -> None:
    store = filled(tmp_path, FAMILY, None)
    rows = frame([Row(2, 1, 9, (5, 5))]).rename(columns={"event_timestamp": "when"})
    with pytest.raises(InvalidVectorsError, match="timestamp in column 'event_timestamp'"):
        store.push("user_embedding_v2_push", rows)


def test_online_view_versioning(tmp_path: Path) -> None:
    """Feast then stores version N of a view under a name of its own; pushes find it."""
    registry = RegistryConfig(
        path=str(tmp_path / "registry.db"), enable_online_feature_view_versioning=True
    )
    store = make_store(tmp_path, registry=registry)
    store.apply([USER, *FAMILY.write(tmp_path).feature_views().values()])
    later = replace(FAMILY, ttl_hours=100)
    store.apply([USER, *later.write(tmp_path).feature_views().values()])
    store.materialize(at(-1), at(NOW))
    rows = [Row(2, 1, 9, (5, 5))]
    push(store, rows)
    check(store, with_rows(later, rows))


ZONE = "expected timestamps with a time zone"


@pytest.mark.parametrize(
    ("to", "stamps", "message"),
    [
        (PushMode.ONLINE, [NAIVE, NAIVE], rf"has type datetime64\[\w+\]; {ZONE}"),
        (PushMode.OFFLINE, [NAIVE, NAIVE], rf"has type datetime64\[\w+\]; {ZONE}"),
        # Offline, Feast hands on a table in which both have become UTC.
        (PushMode.ONLINE, [at(9), NAIVE], f"has type object; {ZONE}"),
        (PushMode.ONLINE, [1767258000, 1767258000], f"has type int64; {ZONE}"),
        (PushMode.OFFLINE, [1767258000, 1767258000], f"has type int64; {ZONE}"),
        (PushMode.ONLINE, ["2026-01-01T09:00:00Z", "tomorrow"], "text that is no instant in ISO"),
    ],
)
def test_timestamps_without_a_time_zone_are_refused(
    to: PushMode, stamps: list[Any], message: str, tmp_path: Path
) -> None:
    store = filled(tmp_path, FAMILY, None)
    before = (tmp_path / "v2.parquet").read_bytes()
    rows = frame([Row(2, 2, 9, (5, 5)), Row(2, 1, 9, (5, 5))]).assign(event_timestamp=stamps)
    with pytest.raises(InvalidVectorsError, match=rf"pushed to user_embedding_v2.*{message}"):
        store.push("user_embedding_v2_push", rows, to=to)
    check(store, FAMILY)
    assert (tmp_path / "v2.parquet").read_bytes() == before


def test_text_without_a_time_zone_is_utc(tmp_path: Path) -> None:
    """Feast's clients of a feature server send it so."""
    store = filled(tmp_path, FAMILY, None)
    rows = [Row(2, 2, 9, (5, 5)), Row(2, 1, 9, (6, 6))]
    texts = [at(9).replace(tzinfo=None).isoformat(), at(9).isoformat()]
    with patch("feast_bc.clock.now", return_value=to_micros(at(NOW))):
        store.push("user_embedding_v2_push", frame(rows).assign(event_timestamp=texts))
    check(store, with_rows(FAMILY, rows))
