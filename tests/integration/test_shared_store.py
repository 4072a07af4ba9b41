"""One feature store of many callers: threads, processes that fork, tasks that are cancelled."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from feast import FeatureStore

from feast_bc.feast_internals import redis_client_async
from feast_bc.online.online_vectors import online_vectors, online_vectors_async
from feast_bc.views.serving import Serving
from tests.support.families import USER, Family, Row, at, make_store, online

USERS = 60
VIEWS = ["user_embedding_v0", "user_embedding_v1"]
Check = Callable[[FeatureStore, int], None]


def family(serving: Serving) -> Family:
    rows = [
        Row(version, user, version + 1, tuple(user + 100 * version + i for i in range(dim)))
        for version, dim in enumerate([4, 5])
        for user in range(USERS)
        if user % 3 or not version  # every third user has only version 0
    ]
    return Family(dims=[4, 5], rows=rows, active={1: [(2, None)]}, serving=serving)


@pytest.fixture(params=["materialized", "on_read"])
def shared(
    request: pytest.FixtureRequest, online_store: dict[str, object] | None, tmp_path: Path
) -> tuple[FeatureStore, Check]:
    """A materialized store, and a check of what it answers for some users drawn by a seed."""
    made = family(request.param)
    store = make_store(tmp_path, online=online_store)
    store.apply([USER, *made.write(tmp_path).feature_views().values()])
    store.materialize(at(-1), at(6))
    expected = {
        view: [made.value(version, user, 6) for user in range(USERS)]
        for version, view in enumerate(VIEWS)
    }
    return store, partial(check, expected)


def check(expected: dict[str, list[np.ndarray | None]], store: FeatureStore, seed: int) -> None:
    ids = np.random.default_rng(seed).permutation(USERS)[:7].tolist()
    for view in VIEWS:
        same(online(store, view, ids), [expected[view][user] for user in ids])
        found = online_vectors(store, view, ids)
        same(
            [v if here else None for v, here in zip(found.vectors, found.present, strict=True)],
            [expected[view][user] for user in ids],
        )


def same(found: Sequence[np.ndarray | None], expected: Sequence[np.ndarray | None]) -> None:
    for mine, right in zip(found, expected, strict=True):
        assert (mine is None) == (right is None)
        if mine is not None and right is not None:
            np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-3)


def test_threads(shared: tuple[FeatureStore, Check]) -> None:
    store, right = shared
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: right(store, seed), range(80)))


def test_processes_that_fork_from_one_that_has_read(shared: tuple[FeatureStore, Check]) -> None:
    """Connections that were open before must not be shared."""
    store, right = shared
    right(store, 0)
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            status = 1
            try:
                for seed in range(20):
                    right(store, 100 * number + seed)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
    for seed in range(20):
        right(store, 1000 + seed)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    right(store, 1)


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
async def test_tasks_that_are_cancelled(
    serving: Serving, redis_store: dict[str, object], tmp_path: Path
) -> None:
    """A reply that nobody waits for any more must not answer the next request."""
    made = family(serving)
    store = make_store(tmp_path, online=redis_store)
    store.apply([USER, *made.write(tmp_path).feature_views().values()])
    store.materialize(at(-1), at(6))

    async def read(seed: int) -> None:
        ids = np.random.default_rng(seed).permutation(USERS)[:7].tolist()
        answer = await store.get_online_features_async(
            [f"{view}:embedding" for view in VIEWS],
            [{"user_id": user} for user in ids],
            full_feature_names=True,
        )
        columns = answer.to_dict()
        for version, view in enumerate(VIEWS):
            expected = [made.value(version, user, 6) for user in ids]
            column = columns[f"{view}__embedding"]
            same([None if v is None else np.array(v) for v in column], expected)
        found = await online_vectors_async(store, VIEWS[0], ids)
        same(list(found.vectors), [made.value(0, user, 6) for user in ids])

    cancelled = 0
    for seed in range(60):
        tasks = [asyncio.create_task(read(seed)), asyncio.create_task(read(1000 + seed))]
        await asyncio.sleep(seed * 1e-4)  # each is somewhere else when it is cancelled
        tasks[0].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        cancelled += isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[1] is None
    assert cancelled > 10
    await read(0)
    client = await redis_client_async(store.provider.online_store, store.config)
    await client.aclose()  # Feast's store does not
