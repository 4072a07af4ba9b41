"""Version views over DynamoDB, through Feast's own interface."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import FeatureStore

from feast_bc import online_vectors
from feast_bc.errors import MaterializationError
from feast_bc.views.serving import Serving
from feast_bc.views.stored_views import stored_views
from tests.support.families import EXAMPLE, USER, Family, Row, at, make_store, online, same
from tests.support.online_stores import dynamodb_dump

USERS = [1, 2, 3, 9]
VIEWS = ["user_embedding_v0", "user_embedding_v1"]
LATER = [Row(1, 2, 9, (7, 8, 9)), Row(0, 9, 9, (5, 6))]


def check(store: FeatureStore, family: Family, hour: float, users: Sequence[int] = USERS) -> None:
    """What every way of reading answers is the oracle's."""
    for version, view in enumerate(VIEWS):
        expected = [family.value(version, user, hour) for user in users]
        same(online(store, view, users), expected)
        vectors, present = online_vectors(store, view, users)
        same([v if p else None for v, p in zip(vectors, present, strict=True)], expected)


async def asked_async(store: FeatureStore, view: str) -> list[np.ndarray | None]:
    await store.initialize()
    try:
        found = await store.get_online_features_async(
            [f"{view}:embedding"], [{"user_id": user} for user in USERS]
        )
    finally:
        await store.close()
    return [None if v is None else np.array(v, np.float32) for v in found.to_dict()["embedding"]]


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_a_life_of_a_family(serving: Serving, dynamodb: dict[str, object], tmp_path: Path) -> None:
    family = replace(EXAMPLE, serving=serving, push=True)

    def applied(family: Family) -> FeatureStore:
        store = make_store(tmp_path, online=dynamodb)
        store.apply([USER, *family.write(tmp_path).feature_views().values()])
        return store

    store = applied(family)
    store.materialize(at(0), at(6))
    check(store, family, 6)
    for version, view in enumerate(VIEWS):
        same(asyncio.run(asked_async(store, view)), [family.value(version, u, 6) for u in USERS])

    family = replace(family, rows=[*family.rows, *LATER])
    store = applied(family)
    store.materialize_incremental(at(10))
    check(store, family, 10)

    pushed = Row(1, 9, 11, (1.0, 1.0, 1.0))
    fresh = {"user_id": [9], "event_timestamp": [at(11)], "embedding": [list(pushed.vector or ())]}
    store.push("user_embedding_v1_push", pd.DataFrame(fresh))
    with_pushed = replace(family, rows=[*family.rows, pushed])
    check(store, with_pushed, 12)
    # A row that is older than the pushed one changes nothing.
    stale = {**fresh, "event_timestamp": [at(10.5)], "embedding": [[2.0, 2.0, 2.0]]}
    store.push("user_embedding_v1_push", pd.DataFrame(stale))
    check(store, with_pushed, 12)

    rolled_back = replace(with_pushed, active={1: [(5, 13)]})
    store = applied(replace(family, active=rolled_back.active))
    store.materialize_incremental(at(14))
    check(store, rolled_back, 14)

    stored = {each.name for view in store.list_feature_views() for each in stored_views(view)}
    assert set(dynamodb_dump(dynamodb)) == {f"test.{name}" for name in stored}
    store.teardown()
    assert dynamodb_dump(dynamodb) == {}


COUNT = 1500
"""More than a store is handed at once, so that several objects of it write."""
MANY = Family(
    dims=[2, 3],
    rows=[
        Row(version, user, version + 1 + user / 7 / 3600, (user, *([version] * (version + 1))))
        for version in (0, 1)
        for user in range(COUNT)
        if (user + version) % 5
    ],
    active={1: [(2, None)]},
    ttl_hours=3.2,
)
"""Some have one version only; instants lie between seconds; some expire."""
SOME = range(0, COUNT, 11)


def applied(dynamodb: dict[str, object], folder: Path) -> FeatureStore:
    store = make_store(folder, online=dynamodb)
    store.apply([USER, *MANY.write(folder).feature_views().values()])
    return store


def test_many_entities(dynamodb: dict[str, object], tmp_path: Path) -> None:
    store = applied(dynamodb, tmp_path)
    for hour in (4, 4.3):
        store.materialize(at(-1), at(hour))
        check(store, MANY, hour, SOME)
    found = dynamodb_dump(dynamodb)
    assert len(found["test.user_embedding_state"]) == COUNT
    answers = online(store, VIEWS[1], SOME)
    assert 0 < sum(value is None for value in answers) < len(SOME)


def test_a_store_that_fails_in_between(dynamodb: dict[str, object], tmp_path: Path) -> None:
    """No state tells of a value that was not written."""
    store = applied(dynamodb, tmp_path)
    inner = store._get_provider().online_store
    missing = next(view for view in store.list_feature_views() if view.name == VIEWS[0])
    inner.update(store.config, [missing], [], [], [], True)
    with pytest.raises(MaterializationError, match="ResourceNotFoundException") as caught:
        store.materialize(at(-1), at(4))
    assert "run the same command again" in str(caught.value)
    assert dynamodb_dump(dynamodb)["test.user_embedding_state"] == {}
    applied(dynamodb, tmp_path).materialize(at(-1), at(4))
    check(store, MANY, 4, SOME)
