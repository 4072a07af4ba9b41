"""Vectors for models equal what Feast's own online features give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from feast import Entity, FeatureStore, FileSource
from feast.errors import FeatureViewNotFoundException
from feast.value_type import ValueType
from pyarrow import parquet

from feast_bc import (
    EmbeddingVersion,
    VersionedEmbedding,
    online_vectors,
    online_vectors_async,
    prepare_serving,
)
from feast_bc.errors import EntityKeyError, ProviderError
from tests.support.families import EXAMPLE, Family, at, make_store, online, same
from tests.support.plain_views import served

ASKED = [3, 9, 1, 2, 1]
VIEWS = ["user_embedding_v0", "user_embedding_v1"]


@pytest.fixture(params=["materialized", "on_read"])
def family(request: pytest.FixtureRequest) -> Family:
    return replace(EXAMPLE, serving=request.param)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, family: Family, tmp_path: Path) -> FeatureStore:
    config = request.getfixturevalue("redis_store") if request.param == "redis" else None
    return served(tmp_path, family, config)


def as_list(found: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray | None]:
    vectors, present = found
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert np.isnan(vectors[~present]).all()
    return [v if p else None for v, p in zip(vectors, present, strict=True)]


@pytest.mark.parametrize("view", VIEWS)
def test_equal_to_feast(view: str, store: FeatureStore) -> None:
    found = online_vectors(store, view, ASKED)
    assert found.vectors.shape == (5, 2 + VIEWS.index(view))
    same(as_list(found), online(store, view, ASKED))
    assert found.present.any()
    assert not found.present.all()


@pytest.mark.parametrize(
    "ids",
    [
        np.array(ASKED),
        np.array(ASKED, np.int32),
        tuple(ASKED),
        pd.Series(ASKED),
        pa.array(ASKED),
        pa.chunked_array([ASKED[:2], ASKED[2:]]),
        [{"user_id": user} for user in ASKED],
        {"user_id": ASKED, "other": "ignored"},
        pd.DataFrame({"user_id": ASKED}),
        pa.table({"user_id": ASKED}),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_ids(ids: object, tmp_path: Path) -> None:
    store = served(tmp_path, EXAMPLE, None)
    same(as_list(online_vectors(store, VIEWS[0], ids)), online(store, VIEWS[0], ASKED))


def test_a_registry_that_is_refreshed_during_the_look_up(tmp_path: Path) -> None:
    """The plan from before a rollback is not kept as that of the new registry."""
    before = replace(EXAMPLE, serving="on_read")
    store = served(tmp_path, before, None)
    store.refresh_registry()
    original = store.get_feature_view

    def slow(name: str, **options: bool) -> object:
        view = original(name, **options)
        rolled_back = replace(before, active={1: [(5, 5)]})
        store.apply(list(rolled_back.write(tmp_path).feature_views().values()))
        return view

    with patch.object(store, "get_feature_view", slow):
        online_vectors(store, "user_embedding_v0", [1])
    vectors, _ = online_vectors(store, "user_embedding_v0", [1])
    same([vectors[0]], [replace(before, active={}).value(0, 1, 6)])


@pytest.mark.parametrize("view", VIEWS)
def test_no_ids(view: str, store: FeatureStore) -> None:
    vectors, present = online_vectors(store, view, [])
    assert (len(vectors), len(present)) == (0, 0)


async def test_async(store: FeatureStore) -> None:
    found = await online_vectors_async(store, VIEWS[0], ASKED)
    client = getattr(store._get_provider().online_store, "_client_async", None)
    if client is not None:
        await client.aclose()
    expected = online_vectors(store, VIEWS[0], ASKED)
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    np.testing.assert_array_equal(found.present, expected.present)


def test_more_ids_than_a_query_takes(store: FeatureStore) -> None:
    found = online_vectors(store, VIEWS[0], np.arange(25_000))
    assert np.flatnonzero(found.present).tolist() == [1, 2, 3]


def test_torch_takes_it_without_a_copy(store: FeatureStore) -> None:
    vectors = online_vectors(store, VIEWS[0], [1, 2]).vectors
    torch.from_numpy(vectors)[0, 0] = 42
    assert vectors[0, 0] == 42


def test_a_changed_definition_is_seen(tmp_path: Path) -> None:
    store = served(tmp_path, EXAMPLE, None)
    online_vectors(store, VIEWS[0], [1])
    prepare_serving(store, "user_embedding", "on_read")
    ttl = replace(EXAMPLE, ttl_hours=1, serving="on_read").write(tmp_path)
    store.apply(list(ttl.feature_views().values()))
    assert not online_vectors(store, VIEWS[0], [1]).present.any()


def test_compound_keys(tmp_path: Path) -> None:
    keys = {"user_id": pa.array(["a", "a", "b"]), "item_id": pa.array([1, 2, 1], pa.int64())}
    stamps = pa.array([at(1)] * 3, pa.timestamp("us", "UTC"))
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32()))
    table = pa.table({**keys, "event_timestamp": stamps, "embedding": vectors})
    parquet.write_table(table, tmp_path / "v0.parquet")
    source = FileSource(path=str(tmp_path / "v0.parquet"), timestamp_field="event_timestamp")
    entities = [
        Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING),
        Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64),
    ]
    embedding = VersionedEmbedding(
        "pair", versions=[EmbeddingVersion(0, 2, source)], entities=entities
    )
    store = make_store(tmp_path)
    store.apply([*entities, embedding.view(0)])
    store.materialize(at(0), at(2))
    found = online_vectors(
        store, "pair_v0", [{"item_id": 1, "user_id": "b"}, {"item_id": 2, "user_id": "a"}]
    )
    assert found.vectors.tolist() == [[5, 6], [3, 4]]
    with pytest.raises(EntityKeyError, match="join keys user_id, item_id; plain ids"):
        online_vectors(store, "pair_v0", [1, 2])
    with pytest.raises(EntityKeyError, match=r"join key\(s\) item_id missing"):
        online_vectors(store, "pair_v0", [{"user_id": "a"}])
    with pytest.raises(EntityKeyError, match="lacks 'item_id', which the first one has"):
        online_vectors(store, "pair_v0", [{"item_id": 1, "user_id": "b"}, {"user_id": "a"}])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["one"], "expected ids of Feast type INT64"),
        ([1.5], "expected ids of Feast type INT64"),
        ([1, None], r"1 id\(s\) are null"),
        (7, "expected a list or array of ids, found 7"),
        ("7", "expected a list or array of ids, found '7'"),
        (np.ones((2, 2), int), "expected ids of Feast type INT64"),
        ([2**70], "expected ids of Feast type INT64"),
        (np.array([2**70], object), "expected ids of Feast type INT64"),
        (np.array([2**63], np.uint64), "expected ids of Feast type INT64"),
        (np.array([1.0]), "expected ids of Feast type INT64"),
        (Path("ids.txt"), "expected a list or array of ids, found"),
        ({1, 2}, r"expected a list or array of ids, found a set.*sorted\(ids\)"),
        ({"user_id": frozenset([1])}, r"expected a list or array of ids, found a set"),
    ],
)
def test_wrong_ids(ids: object, message: str, tmp_path: Path) -> None:
    store = served(tmp_path, EXAMPLE, None)
    with pytest.raises(EntityKeyError, match=f"user_embedding_v0, join key 'user_id': {message}"):
        online_vectors(store, VIEWS[0], ids)


def test_wrong_views(tmp_path: Path) -> None:
    store = served(tmp_path, EXAMPLE, None)
    with pytest.raises(FeatureViewNotFoundException, match="user_embedding_v7"):
        online_vectors(store, "user_embedding_v7", [1])
    with pytest.raises(ProviderError, match=r"'profile' is no version view: .*FileSource"):
        online_vectors(store, "profile", [1])


def test_stock_provider(family: Family, tmp_path: Path) -> None:
    """It reads materialized vectors; on_read takes the provider."""
    expected = online(served(tmp_path, family, None), VIEWS[0], ASKED)
    stock = make_store(tmp_path, provider="local")
    if family.serving == "materialized":
        same(as_list(online_vectors(stock, VIEWS[0], ASKED)), expected)
    else:
        with pytest.raises(ProviderError, match="served on read, which takes `provider"):
            online_vectors(stock, VIEWS[0], ASKED)


def test_no_ids_of_a_type_that_says_nothing(tmp_path: Path) -> None:
    """numpy has floats where nothing says what the ids would be."""
    store = served(tmp_path, EXAMPLE, None)
    nothing: list[object] = [np.array([]), pd.Series([], dtype=float), {"user_id": []}]
    for none in nothing:
        vectors, present = online_vectors(store, "user_embedding_v0", none)
        assert (vectors.shape, present.shape) == ((0, 2), (0,))


def test_rows_of_different_kinds(tmp_path: Path) -> None:
    store = served(tmp_path, EXAMPLE, None)
    with pytest.raises(EntityKeyError, match="expected a dict in every entity row, found 7"):
        online_vectors(store, "user_embedding_v0", [{"user_id": 1}, 7])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_no_store(kind: type[str] | type[Path], tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"expected a feast\.FeatureStore, found .*repo_path"):
        online_vectors(kind(tmp_path), "user_embedding_v0", [1])
