"""Searches find what comparing the query with every value finds, in every store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FileSource
from feast.value_type import ValueType

from benchmarks.postgres_server import connect
from feast_bc.catalog.versions import EmbeddingVersion
from feast_bc.columns.instants import to_datetime, to_micros
from feast_bc.online.redis.reader import RedisReader
from feast_bc.online.request import Wanted
from feast_bc.online.search.metric import METRICS
from feast_bc.transforms import MLPTransform
from feast_bc.views.versioned_embedding import VersionedEmbedding
from tests.support.families import USER, Family, Row, at, make_store
from tests.support.presence import there
from tests.support.redis_kinds import redis_cluster
from tests.support.searches import (
    FAMILY,
    QUERY,
    RNG,
    brute,
    check,
    expected,
    searched,
    vector,
)


@pytest.fixture(params=["sqlite", "redis", "postgres", "pgvector"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureStore]:
    """A feature store over each online store that can be searched."""
    online: dict[str, object] | None = None
    if request.param == "redis":
        online = request.getfixturevalue("redis_store")
    elif request.param != "sqlite":
        server = request.getfixturevalue("postgres")
        vectors = request.param == "pgvector"
        if vectors:
            with connect(server) as connection:
                connection.execute("CREATE EXTENSION vector")
        online = {"type": "postgres", **server, "vector_enabled": vectors}
    store = make_store(tmp_path, online=online)
    yield store
    close(store)


def close(store: FeatureStore) -> None:
    """Close what Feast leaves open."""
    opened = getattr(store._get_provider().online_store, "_conn", None)
    if opened is not None:
        opened.close()


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_every_version_and_metric(serving: Any, stored: FeatureStore, tmp_path: Path) -> None:
    family = replace(FAMILY, serving=serving)
    embedding = family.write(tmp_path)
    stored.apply([USER, *embedding.feature_views().values()])
    with patch("feast_bc.clock.now", return_value=to_micros(at(8))):
        stored.materialize(at(0), at(8))
        for version in range(3):
            view = f"user_embedding_v{version}"
            for metric in METRICS:
                query = (QUERY * 2)[: family.dims[version]]
                wanted = expected(family, version, 8, metric, query)
                for count in (1, 4, 100):
                    check(searched(stored, view, metric, count, query), wanted, count)
        response = stored.retrieve_online_documents_v2(
            features=["user_embedding_v0:embedding"], query=QUERY, top_k=6
        )
    # Keys, values, distances and timestamps of an entity stand in one row.
    rows = response.to_dict(include_event_timestamps=True)
    assert rows["user_id"] == sorted(rows["user_id"])
    for user, value, distance, instant in zip(
        rows["user_id"],
        rows["embedding"],
        rows["distance"],
        rows["embedding__ts"],
        strict=True,
    ):
        np.testing.assert_allclose(value, there(family.value(0, user, 8)), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(distance, brute("L2", QUERY, np.array(value)), rtol=1e-4)
        assert to_datetime(instant * 1_000_000) == at(there(family.dated_by(0, user, 8)).hour)


def test_pgvector_answers_products_from_the_newest_index(
    postgres: dict[str, Any], tmp_path: Path
) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE EXTENSION vector")
    family = replace(FAMILY, serving="on_read")
    store = make_store(tmp_path, online={"type": "postgres", **postgres, "vector_enabled": True})
    store.apply([USER, *family.write(tmp_path).feature_views().values()])
    with (
        patch("feast_bc.clock.now", return_value=to_micros(at(8))),
        patch("feast_bc.online.search.search.scanned", side_effect=AssertionError),
    ):
        store.materialize(at(0), at(8))
        wanted = expected(family, 0, 8, "inner_product", QUERY)
        check(searched(store, "user_embedding_v0", "inner_product", 3), wanted, 3)
        # Version 2 has no more dimensions than version 1.
        query = [*QUERY, 0.1]
        wanted = expected(family, 1, 8, "L2", query)
        check(searched(store, "user_embedding_v1", "L2", 3, query), wanted, 3)
    close(store)


def mlp() -> Family:
    """Version 1 leads to version 0 through a network."""
    layers = [(RNG.normal(size=(5, 2)), RNG.normal(size=5)), (RNG.normal(size=(3, 5)), np.ones(3))]
    return Family(
        dims=[3, 2],
        rows=[
            *(Row(0, e, 1, vector(3)) for e in range(8)),
            *(Row(1, e, 2, vector(2)) for e in range(5)),
        ],
        active={1: [(3, None)]},
        transforms=[MLPTransform(layers, from_version=1, to_version=0)],
        serving="on_read",
    )


@pytest.mark.parametrize("metric", METRICS)
def test_a_network_is_scanned(metric: str, stored: FeatureStore, tmp_path: Path) -> None:
    family = mlp()
    stored.apply([USER, *family.write(tmp_path).feature_views().values()])
    stored.materialize(at(0), at(8))
    wanted = expected(family, 0, 8, metric, QUERY)
    check(searched(stored, "user_embedding_v0", metric, 4), wanted, 4)


@pytest.mark.parametrize("serving", ["materialized", "on_read"])
def test_other_projects_in_one_redis(
    serving: Any,
    redis_store: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Feast appends the project to an entity's key: `my_test` ends in `test`."""
    family = replace(FAMILY, serving=serving)
    views = family.write(tmp_path).feature_views().values()
    stores = {}
    for project in ("test", "my_test"):
        folder = tmp_path / project
        folder.mkdir()
        made = make_store(folder, online={**redis_store, "full_scan_for_deletion": True})
        config = made.config.model_copy(update={"project": project})
        stores[project] = FeatureStore(config=config)
        stores[project].apply([USER, *views])
    with patch("feast_bc.clock.now", return_value=to_micros(at(8))):
        stores["my_test"].materialize(at(0), at(8))
        assert searched(stores["test"], "user_embedding_v0", "L2", 5) == {}
        wanted = expected(family, 0, 8, "L2", QUERY)
        # What `test` deletes is its own.
        monkeypatch.setenv("FEAST_BC_ACCEPT_HISTORY", "user_embedding@none")
        stores["test"].apply([], objects_to_delete=list(views), partial=False)
        check(searched(stores["my_test"], "user_embedding_v0", "L2", 5), wanted, 5)


def test_a_redis_cluster(tmp_path: Path) -> None:
    family = replace(FAMILY, serving="on_read")
    with redis_cluster(tmp_path) as (_, online):
        store = make_store(tmp_path, online=online)
        store.apply([USER, *family.write(tmp_path).feature_views().values()])
        with patch("feast_bc.clock.now", return_value=to_micros(at(8))):
            store.materialize(at(0), at(8))
            wanted = expected(family, 0, 8, "cosine", QUERY)
            check(searched(store, "user_embedding_v0", "cosine", 5), wanted, 5)


def test_several_batches_and_keys_listed_twice(
    redis_store: dict[str, object], tmp_path: Path
) -> None:
    family = replace(FAMILY, serving="on_read")
    store = make_store(tmp_path, online=redis_store)
    store.apply([USER, *family.write(tmp_path).feature_views().values()])
    listed = RedisReader.entities

    def twice(self: RedisReader, wanted: Wanted) -> Iterator[list[bytes]]:
        return chain(listed(self, wanted), listed(self, wanted))

    with (
        patch("feast_bc.clock.now", return_value=to_micros(at(8))),
        patch("feast_bc.online.redis.reader._LISTED", 5),
        patch.object(RedisReader, "entities", twice),
    ):
        store.materialize(at(0), at(8))
        wanted = expected(family, 0, 8, "L2", QUERY)
        check(searched(store, "user_embedding_v0", "L2", 7), wanted, 7)


def test_text_and_several_join_keys(stored: FeatureStore, tmp_path: Path) -> None:
    keys: dict[str, list[Any]] = {"shop": ["a", "ü*", "a[", "b"], "user_id": [1, 2, 1, 1]}
    values = RNG.normal(size=(4, 2)).astype(np.float32)
    table = pa.table({**keys, "event_timestamp": [at(1)] * 4, "embedding": list(values)})
    pq.write_table(table, tmp_path / "v0.parquet")
    source = FileSource(
        name="v0", path=str(tmp_path / "v0.parquet"), timestamp_field="event_timestamp"
    )
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    embedding = VersionedEmbedding(
        "pairs",
        versions=[EmbeddingVersion(version=0, dim=2, source=source, transform=None)],
        entities=[USER, shop],
    )
    stored.apply([USER, shop, *embedding.feature_views().values()])
    stored.materialize(at(0), at(2))
    response = stored.retrieve_online_documents_v2(
        features=["pairs_v0:embedding"], query=[0.0, 0.0], top_k=3
    ).to_dict()
    pairs = zip(response["shop"], response["user_id"], strict=True)
    found = dict(zip(pairs, response["distance"], strict=True))
    lengths = np.sort(np.linalg.norm(values, axis=1))[:3]
    np.testing.assert_allclose(sorted(found.values()), lengths, rtol=1e-5)
    every = zip(keys["shop"], keys["user_id"], strict=True)
    lengths_of = dict(zip(every, np.linalg.norm(values, axis=1), strict=True))
    for pair, distance in found.items():
        np.testing.assert_allclose(distance, lengths_of[pair], rtol=1e-5)


def test_the_view_s_own_metric(tmp_path: Path) -> None:
    family = replace(FAMILY, serving="on_read")
    versions = family.write(tmp_path).versions
    embedding = VersionedEmbedding(
        "user_embedding",
        versions=versions,
        entities=[USER],
        ttl=timedelta(hours=6),
        serving="on_read",
        vector_index=True,
        vector_search_metric="inner_product",
    )
    store = make_store(tmp_path)
    store.apply([USER, *embedding.feature_views().values()])
    with patch("feast_bc.clock.now", return_value=to_micros(at(8))):
        store.materialize(at(0), at(8))
        wanted = expected(family, 0, 8, "inner_product", QUERY)
        check(searched(store, "user_embedding_v0", "L2", 3), wanted, 3)
