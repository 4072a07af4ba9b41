"""Version views that are served on read: values, statuses and timestamps as materialized."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from feast import FeatureService, FeatureStore
from feast.infra.online_stores.remote import RemoteOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from feast_bc.columns.encoding import encode
from feast_bc.columns.instants import to_micros
from feast_bc.errors import CatalogError, DimensionError, LineageError, ProviderError
from feast_bc.online.online_vectors import online_vectors
from feast_bc.online.redis.reader import hash_fields
from feast_bc.online.store import on_read_capable
from feast_bc.views.serving import Serving
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import EXAMPLE, USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import redis_client
from tests.support.plain_views import served
from tests.support.redis_kinds import Running, redis_cluster, redis_sentinel
from tests.support.scenarios import CASES
from tests.support.schedules import apply, run
from tests.support.strategies import families, schedules

ON_READ = replace(EXAMPLE, serving="on_read")
CHAIN = Family(
    dims=[2, 3, 2],
    rows=[
        Row(0, 1, 1, (1, 2)),
        Row(0, 2, 1, (3, 4)),
        Row(1, 1, 2, (1, 2, 3)),
        Row(1, 2, 2, (4, 5, 6)),
        Row(2, 1, 3, (7, 8)),
    ],
    active={1: [(2, None)], 2: [(3, None)]},
)
ASKED = [3, 9, 1, 2, 1]
REFS = ["user_embedding_v0:embedding", "profile:age", "user_embedding_v1:embedding"]


def answer(store: FeatureStore, refs: list[str] | FeatureService = REFS) -> Any:
    return store.get_online_features(
        refs, [{"user_id": user} for user in ASKED], full_feature_names=True
    ).proto


def test_answers_as_materialized(online_store: dict[str, object] | None, tmp_path: Path) -> None:
    """Values, statuses, timestamps and the order of features, mixed with a plain view."""
    answers = []
    for family in (EXAMPLE, ON_READ):
        folder = tmp_path / family.serving
        folder.mkdir()
        store = served(folder, family, online_store)
        answers.append(answer(store))
        store.teardown()
    materialized, on_read = answers
    assert on_read.metadata == materialized.metadata
    for name, found, expected in zip(
        on_read.metadata.feature_names.val, on_read.results, materialized.results, strict=True
    ):
        assert list(found.statuses) == list(expected.statuses), name
        if "user_embedding" not in name:
            assert found == expected
            continue
        same(
            [np.array(v.float_list_val.val) for v in found.values],
            [np.array(v.float_list_val.val) for v in expected.values],
        )
        assert found.event_timestamps == expected.event_timestamps


def test_only_native_vectors_are_stored(tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, None)
    connection = store._get_provider().online_store._get_conn(store.config)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {name for (name,) in tables} == {
        "test_profile",
        "test_user_embedding_v0_native",
        "test_user_embedding_v1_native",
        "test_user_embedding_native_state",
        "test_user_embedding_written",
    }
    for version in (0, 1):
        (count,) = connection.execute(
            f"SELECT COUNT(*) FROM test_user_embedding_v{version}_native"  # noqa: S608
        ).fetchone()
        assert count == 2


def test_feature_service(online_store: dict[str, object] | None, tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, online_store)
    service = FeatureService(
        name="model",
        features=[store.get_feature_view("profile"), store.get_feature_view("user_embedding_v0")],
    )
    store.apply([service])
    response = answer(store, store.get_feature_service("model"))
    names = list(response.metadata.feature_names.val)
    values = response.results[names.index("user_embedding_v0__embedding")].values
    same(
        [np.array(v.float_list_val.val) if v.WhichOneof("val") else None for v in values],
        [ON_READ.value(0, user, 6) for user in ASKED],
    )
    assert [v.int64_val for v in response.results[names.index("profile__age")].values] == [
        0, 0, 30, 40, 30,
    ]  # fmt: skip


async def test_async_reads(redis_store: dict[str, object], tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, redis_store)
    await store.initialize()
    response = await store.get_online_features_async(
        REFS, [{"user_id": user} for user in ASKED], full_feature_names=True
    )
    # Feast's own close() leaves the asynchronous client's connections open.
    await store._get_provider().online_store._client_async.aclose()
    assert response.proto == answer(store)


async def test_async_read_of_one_view(redis_store: dict[str, object], tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, redis_store)
    inner = store._get_provider().online_store
    view = store.get_feature_view("user_embedding_v0")
    keys = [
        EntityKey(join_keys=["user_id"], entity_values=[Value(int64_val=user)]) for user in ASKED
    ]
    found = await inner.online_read_async(store.config, view, keys)
    await inner._client_async.aclose()
    assert found == inner.online_read(store.config, view, keys)


@pytest.mark.parametrize("case", CASES)
def test_schedules(case: str, online_store: dict[str, object] | None, tmp_path: Path) -> None:
    family, steps = CASES[case]
    store = make_store(tmp_path, online=online_store)
    run(store, replace(family, serving="on_read"), tmp_path, steps)


@settings(max_examples=100)
@given(data=st.data())
def test_online_equals_offline_equals_the_rule_with_sqlite(data: st.DataObject) -> None:
    family = data.draw(families(serving="on_read"))
    steps = data.draw(schedules(family))
    with tempfile.TemporaryDirectory() as folder:
        run(make_store(Path(folder)), family, Path(folder), steps)


@settings(max_examples=100)
@given(data=st.data(), at_once=st.sampled_from([0, 2**13]))
def test_online_equals_offline_equals_the_rule_with_redis(
    redis_store: dict[str, object], redis_address: str, data: st.DataObject, at_once: int
) -> None:
    """In one round trip, and in two."""
    family = data.draw(families(serving="on_read"))
    steps = data.draw(schedules(family))
    with redis_client(redis_address) as client:
        client.flushdb()
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("feast_bc.online.on_read._BYTES_AT_ONCE", at_once),
    ):
        run(make_store(Path(folder), online=redis_store), family, Path(folder), steps)


def test_round_trips(redis_store: dict[str, object], tmp_path: Path) -> None:
    """One where the vectors are few; two where an entity of many lacks the newest version."""
    store = served(tmp_path, ON_READ, redis_store)
    trips = []

    def count(inner: Any, config: Any, commands: Any) -> Any:
        trips.append([len(fields) for _, fields in commands])
        return hash_fields(inner, config, commands)

    with patch("feast_bc.online.redis.views.hash_fields", count):
        online(store, "user_embedding_v0", [1, 2])
        assert trips == [[3, 3]]  # the state, two vectors
        trips.clear()
        with patch("feast_bc.online.on_read._BYTES_AT_ONCE", 0):
            online(store, "user_embedding_v0", [1, 2, 9])
            assert trips == [[2, 2, 2], [1]]  # only user 2 has a version 0 row and no newer one
            trips.clear()
            online(store, "user_embedding_v0", [1, 3])
            assert trips == [[2, 2]]


@pytest.mark.parametrize("kind", [redis_cluster, redis_sentinel])
def test_other_kinds_of_redis(
    kind: Callable[[Path], AbstractContextManager[Running]], tmp_path: Path
) -> None:
    """Materialized and read again, by both of our calls."""
    with kind(tmp_path) as (_, online_store):
        store = served(tmp_path, ON_READ, online_store)
        expected = [ON_READ.value(0, user, 6) for user in ASKED]
        same(online(store, "user_embedding_v0", ASKED), expected)
        vectors, present = online_vectors(store, "user_embedding_v0", ASKED)
        same([v if there else None for v, there in zip(vectors, present, strict=True)], expected)


def test_a_retired_version_still_serves_older_views(
    online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    family = Family(
        dims=[2, 3, 2],
        rows=[Row(0, 1, 1, (1, 2)), Row(1, 1, 2, (3, 4, 5)), Row(1, 2, 2, (5, 6, 7))],
        active={1: [(1, None)]},
        serving="on_read",
    )
    embedding = family.write(tmp_path)
    store = make_store(tmp_path, online=online_store)
    store.apply([USER, *embedding.feature_views().values()])
    store.materialize(at(-1), at(6))
    expected = [family.value(0, user, 6) for user in (1, 2)]
    same(online(store, "user_embedding_v0", [1, 2]), expected)

    retired = VersionedEmbedding(
        "user_embedding",
        versions=[replace(v, retired=v.version == 1) for v in embedding.versions],
        entities=[USER],
        serving="on_read",
    )
    store.apply(
        [USER, *retired.feature_views().values()],
        objects_to_delete=[embedding.view(1)],
        partial=False,
    )
    same(online(store, "user_embedding_v0", [1, 2]), expected)
    replace(family, rows=[*family.rows, Row(1, 3, 7, (1, 1, 1))]).write(tmp_path)
    store.materialize_incremental(at(8))
    same(online(store, "user_embedding_v0", [3]), [
        replace(family, rows=[Row(1, 3, 7, (1, 1, 1))]).value(0, 3, 8)
    ])  # fmt: skip


def test_deleting_all_views_deletes_the_native_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = served(tmp_path, ON_READ, None)
    views = [v for v in store.list_feature_views() if v.name != "profile"]
    with pytest.raises(LineageError, match="FEAST_BC_ACCEPT_HISTORY=user_embedding@none"):
        store.apply([USER], objects_to_delete=views, partial=False)
    monkeypatch.setenv("FEAST_BC_ACCEPT_HISTORY", "user_embedding@none")
    store.apply([USER], objects_to_delete=views, partial=False)
    connection = store._get_provider().online_store._get_conn(store.config)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("test_profile",)]


def test_a_stored_vector_of_wrong_dimension_is_named(tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, None)
    connection = store._get_provider().online_store._get_conn(store.config)
    (wrong,) = encode(np.ones((1, 1), np.float32))
    connection.execute("UPDATE test_user_embedding_v1_native SET value = ?", (wrong,))
    with pytest.raises(DimensionError, match="user_embedding version 1 in the online store"):
        online(store, "user_embedding_v0", [1])


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
@pytest.mark.parametrize("applied", [[0], [1], [0, 1], [0, 2]])
def test_a_subset_of_views_is_applied(
    applied: list[int],
    serving: Serving,
    online_store: dict[str, object] | None,
    tmp_path: Path,
) -> None:
    """Each view has all versions that count for it, whether their own views are applied or not."""
    store = make_store(tmp_path, online=online_store)
    embedding = replace(CHAIN, serving=serving).write(tmp_path)
    store.apply([USER, *(embedding.view(version) for version in applied)])
    store.materialize(at(-1), at(6))
    for version in applied:
        expected = [CHAIN.value(version, user, 6) for user in ASKED]
        same(online(store, f"user_embedding_v{version}", ASKED), expected)


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_subset_of_views_is_materialized(
    version: int,
    serving: Serving,
    online_store: dict[str, object] | None,
    tmp_path: Path,
) -> None:
    store = make_store(tmp_path, online=online_store)
    store.apply([USER])
    apply(store, replace(CHAIN, serving=serving), tmp_path)
    view = f"user_embedding_v{version}"
    store.materialize(at(-1), at(6), feature_views=[view])
    same(online(store, view, ASKED), [CHAIN.value(version, user, 6) for user in ASKED])
    later = replace(CHAIN, rows=[*CHAIN.rows, Row(1, 2, 7, (9, 9, 9))], serving=serving)
    later.write(tmp_path)
    store.materialize_incremental(at(8), feature_views=[view])
    same(online(store, view, ASKED), [later.value(version, user, 8) for user in ASKED])


def test_a_view_that_comes_back_is_written_anew(
    online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    """Deleting it dropped its values where the store drops them."""
    store = make_store(tmp_path, online=online_store)
    store.apply([USER])
    for serving in ("materialized", "on_read"):
        family = replace(CHAIN, serving=serving)
        apply(store, family, tmp_path)
        store.materialize(at(-1), at(6))
        gone = store.get_feature_view("user_embedding_v0")
        store.apply([], objects_to_delete=[gone], partial=False)
        expected = [CHAIN.value(1, user, 6) for user in ASKED]
        same(online(store, "user_embedding_v1", ASKED), expected)
        apply(store, family, tmp_path)
        store.materialize(at(5), at(7))
        expected = [CHAIN.value(0, user, 7) for user in ASKED]
        same(online(store, "user_embedding_v0", ASKED), expected)
        store.teardown()
        store.apply([USER])


def test_precomputed_feature_services_are_refused(
    redis_store: dict[str, object], tmp_path: Path
) -> None:
    """Feast works their answers out anew for the pushed view only; the others would go stale."""
    for family in (EXAMPLE, ON_READ):
        store = served(tmp_path, family, redis_store)
        view = store.get_feature_view("user_embedding_v0")
        store.apply([FeatureService(name="model", features=[view], precompute_online=True)])
        message = r"'model' has precompute_online=True.*version view 'user_embedding_v0'"
        with pytest.raises(ProviderError, match=message):
            store.get_online_features(store.get_feature_service("model"), [{"user_id": 1}])
        with pytest.raises(ProviderError, match=message):
            store.precompute_feature_service("model")
        plain = store.get_feature_view("profile")
        store.apply([FeatureService(name="plain", features=[plain], precompute_online=True)])
        assert store.precompute_feature_service("plain") > 0
        service = store.get_feature_service("plain")
        response = store.get_online_features(service, [{"user_id": 1}], full_feature_names=True)
        assert response.to_dict()["profile__age"] == [30]
        store.teardown()


def test_feast_s_older_search_is_refused(tmp_path: Path) -> None:
    store = served(tmp_path, ON_READ, None)
    with pytest.raises(ProviderError, match=r"user_embedding_v0.*retrieve_online_documents_v2"):
        store.retrieve_online_documents(
            features=["user_embedding_v0:embedding"], query=[0.0, 0.0], top_k=1
        )


def test_unknown_serving(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="Unknown serving 'lazy'; expected one of"):
        replace(EXAMPLE, serving="lazy").write(tmp_path)  # type: ignore[arg-type]


def test_a_cut_over_serves_without_materialization(
    online_store: dict[str, object] | None, tmp_path: Path
) -> None:
    store = served(tmp_path, ON_READ, online_store)
    for hour in (4.9, 5):
        with patch("feast_bc.clock.now", return_value=to_micros(at(hour))):
            same(online(store, "user_embedding_v0", [1]), [ON_READ.value(0, 1, hour)])


def test_the_wrapper_can_be_sent_to_workers() -> None:
    sent = pickle.loads(pickle.dumps(on_read_capable(SqliteOnlineStore)()))  # noqa: S301
    assert isinstance(sent, SqliteOnlineStore)
    assert type(sent).__name__ == "BackwardCompatibleSqliteOnlineStore"
    assert on_read_capable(RemoteOnlineStore) is RemoteOnlineStore
